/* The simulated disk: what was synced survives, what was not may or may not, in every way that a
 * disk knows; failures and a full disk are told; the same seed gives the same run. */
#include "runner.h"

#include <stdio.h>
#include <stdlib.h>

enum { RECORD = 64, RECORDS_MAX = 400, BATCH_MAX = 20 };

/* A program with one file of records, appended in batches by a job. Record n is filled with the
 * bytes n * 7 + place, so that any part of it tells where it belongs. */
struct writer {
    struct io *io;
    struct io_job job;
    struct io_file file;
    uint32_t first, count; /* the batch under way */
    uint32_t next;         /* records given to the disk */
    uint32_t acknowledged; /* records that a sync has covered */
    bool syncs;
    int result;
};

static void fill(uint8_t *record, uint32_t number)
{
    for (int i = 0; i < RECORD; i++) record[i] = (uint8_t)(number * 7 + (uint32_t)i + 1);
}

static void batch_run(struct io_job *job)
{
    struct writer *writer = CONTAINER_OF(job, struct writer, job);
    uint8_t records[BATCH_MAX][RECORD];
    struct iovec iov[BATCH_MAX];
    for (uint32_t i = 0; i < writer->count; i++) {
        fill(records[i], writer->first + i);
        iov[i] = (struct iovec){records[i], RECORD};
    }
    writer->result =
        io_file_write(&writer->file, iov, (int)writer->count, (uint64_t)writer->first * RECORD);
    if (writer->result == 0 && writer->syncs) writer->result = io_file_sync(&writer->file);
}

static void batch_start(struct writer *writer);

static void batch_done(struct io_job *job)
{
    struct writer *writer = CONTAINER_OF(job, struct writer, job);
    CHECK(writer->result == 0, "%s", err_name(writer->result));
    if (writer->syncs) writer->acknowledged = writer->next;
    batch_start(writer);
}

static void batch_start(struct writer *writer)
{
    writer->first = writer->next;
    writer->count = 1 + (uint32_t)(io_random_u64(writer->io) % BATCH_MAX);
    writer->syncs = io_random_u64(writer->io) % 3 == 0;
    if (writer->first + writer->count > RECORDS_MAX) return;
    writer->next += writer->count;
    io_job_submit(writer->io, &writer->job);
}

static int writer_start(struct writer *writer, struct io *io)
{
    *writer = (struct writer){.io = io, .job = {.run = batch_run, .done = batch_done}};
    int result = io_mkdir(io, "/data");
    if (result == 0) result = io_sync_dir(io, "/");
    if (result == 0)
        result = io_file_open(io, &writer->file, "/data/log", IO_READ | IO_WRITE | IO_CREATE);
    if (result == 0) result = io_sync_dir(io, "/data");
    if (result == 0) batch_start(writer);
    return result;
}

static uint64_t seen_all, seen_none, seen_torn, seen_hole;

/* What the disk has of the records behind the acknowledged ones. */
static void look_at_rest(struct io_file *file, uint32_t from, uint32_t to)
{
    uint32_t whole = 0, lost = 0;
    bool hole = false;
    for (uint32_t n = from; n < to; n++) {
        uint8_t record[RECORD] = {0}, expected[RECORD];
        fill(expected, n);
        int64_t got = io_file_read(file, record, RECORD, (uint64_t)n * RECORD);
        CHECK(got >= 0, "%s", err_name((int)got));
        for (int i = 0; i < RECORD; i++)
            CHECK(record[i] == 0 || record[i] == expected[i], "foreign byte in record %u", n);
        bool is_whole = memcmp(record, expected, RECORD) == 0;
        if (is_whole && lost) hole = true;
        if (is_whole)
            whole++;
        else
            lost++;
    }
    seen_all += !lost;
    seen_none += !whole;
    seen_torn += whole && lost;
    seen_hole += hole;
}

static void crash_keeps_synced(struct sim *sim, uint64_t seed)
{
    struct sim_host *host = sim_host_new(sim, "disk");
    struct writer writer;
    sim_host_crash_after(host, sim_random_below(sim, 60));
    writer_start(&writer, sim_host_io(host));
    while (!sim_host_crashed(host) && sim_step(sim)) continue;
    sim_host_crash(host); /* if it has come to its end before */
    /* The dead are silent. */
    io_job_submit(writer.io, &writer.job);
    if (writer.next) {
        CHECK(io_file_sync(&writer.file) < 0);
        io_file_close(&writer.file);
    }

    struct io *io = sim_host_restart(host);
    struct io_file file;
    int result = io_file_open(io, &file, "/data/log", IO_READ);
    if (result < 0) {
        CHECK(!writer.acknowledged && !writer.next, "the file is lost: %s", err_name(result));
        return;
    }
    for (uint32_t n = 0; n < writer.acknowledged; n++) {
        uint8_t record[RECORD], expected[RECORD];
        fill(expected, n);
        int64_t got = io_file_read(&file, record, RECORD, (uint64_t)n * RECORD);
        CHECK(got == RECORD && memcmp(record, expected, RECORD) == 0,
              "record %u of %u acknowledged ones is damaged", n, writer.acknowledged);
    }
    if (writer.next > writer.acknowledged) look_at_rest(&file, writer.acknowledged, writer.next);
    io_file_close(&file);
}

static void crash_keeps_synced_finish(void)
{
    runner_say("unsynced: all %llu, none %llu, torn %llu, with holes %llu",
               (unsigned long long)seen_all, (unsigned long long)seen_none,
               (unsigned long long)seen_torn, (unsigned long long)seen_hole);
    CHECK(seen_all && seen_none && seen_torn && seen_hole);
}

/* ---- names ------------------------------------------------------------------------------- */

static uint64_t seen_old, seen_new;

static int write_file(struct io *io, const char *path, const char *text)
{
    struct io_file file;
    struct iovec iov = {(void *)text, strlen(text)};
    int result = io_file_open(io, &file, path, IO_WRITE | IO_CREATE | IO_TRUNCATE);
    if (result < 0) return result;
    result = io_file_write(&file, &iov, 1, 0);
    if (result == 0) result = io_file_sync(&file);
    io_file_close(&file);
    return result;
}

/* The way to replace a file: after it the name means the old content or the new one, whole. */
static int replace_file(struct io *io, const char *text)
{
    int result = write_file(io, "/file.new", text);
    if (result == 0) result = io_rename(io, "/file.new", "/file");
    if (result == 0) result = io_sync_dir(io, "/");
    return result;
}

static void rename_is_atomic(struct sim *sim, uint64_t seed)
{
    struct sim_host *host = sim_host_new(sim, "disk");
    struct io *io = sim_host_io(host);
    CHECK(replace_file(io, "0") == 0);
    sim_host_crash_after(host, sim_random_below(sim, 30));
    int replaced = 0;
    char text[16];
    do snprintf(text, sizeof text, "%d", ++replaced);
    while (replace_file(io, text) == 0);
    CHECK(sim_host_crashed(host));

    io = sim_host_restart(host);
    char found[16] = "";
    CHECK(sim_disk_peek(host, "/file", found, sizeof found - 1, 0) > 0, "the name is gone");
    int value = (int)strtol(found, NULL, 10);
    CHECK(value == replaced || value == replaced - 1, "found \"%s\" after %d", found, replaced);
    seen_new += value == replaced;
    seen_old += value != replaced;
    CHECK(io_unlink(io, "/file") == 0 && io_sync_dir(io, "/") == 0);
    sim_host_crash(host);
    sim_host_restart(host);
    CHECK(sim_disk_peek(host, "/file", found, 1, 0) == ERR_NOT_FOUND, "it came back");
}

static void rename_is_atomic_finish(void)
{
    CHECK(seen_old && seen_new);
}

/* ---- faults ------------------------------------------------------------------------------ */

static uint64_t seen_first, seen_second;

struct durable {
    struct io_job job;
    struct io_file file;
    _Alignas(IO_ALIGN) char block[IO_ALIGN];
    uint64_t offset;
    bool done;
};

static void durable_run(struct io_job *job)
{
    struct durable *write = CONTAINER_OF(job, struct durable, job);
    CHECK(io_file_write_durable(&write->file, write->block, IO_ALIGN, write->offset) == 0);
}

static void durable_done(struct io_job *job)
{
    CONTAINER_OF(job, struct durable, job)->done = true;
}

/* Two durable writes under way at once: what is done is on the disk, also when the one that was
 * submitted before it is not. */
static void durable_writes_overlap(struct sim *sim, uint64_t seed)
{
    struct sim_host *host = sim_host_new(sim, "disk");
    struct io *io = sim_host_io(host);
    struct durable writes[2] = {0};
    for (int i = 0; i < 2; i++) {
        struct durable *write = &writes[i];
        int flags = IO_READ | IO_WRITE | IO_CREATE | IO_DIRECT;
        CHECK(io_file_open(io, &write->file, "/f", flags) == 0 && io_sync_dir(io, "/") == 0);
        memset(write->block, '1' + i, IO_ALIGN);
        write->offset = (uint64_t)i * IO_ALIGN;
        write->job = (struct io_job){.run = durable_run, .done = durable_done};
        io_job_submit(io, &write->job);
    }
    uint64_t steps = sim_random_below(sim, 12);
    while (steps-- && !(writes[0].done && writes[1].done) && sim_step(sim)) continue;
    sim_host_crash(host);
    sim_host_restart(host);
    bool there[2];
    for (int i = 0; i < 2; i++) {
        char found[IO_ALIGN] = "";
        sim_disk_peek(host, "/f", found, IO_ALIGN, writes[i].offset);
        there[i] = memcmp(found, writes[i].block, IO_ALIGN) == 0;
        CHECK(there[i] || !writes[i].done, "write %d is done and gone", i);
    }
    seen_first += there[0] && !there[1];
    seen_second += there[1] && !there[0];
}

static void durable_writes_overlap_finish(void)
{
    CHECK(seen_first && seen_second);
}

static uint64_t seen_kept, seen_forgotten;

static void failed_sync_promises_nothing(struct sim *sim, uint64_t seed)
{
    struct sim_host *host = sim_host_new(sim, "disk");
    struct io *io = sim_host_io(host);
    struct io_file file;
    char byte = 'x';
    struct iovec iov = {&byte, 1};
    CHECK(io_file_open(io, &file, "/f", IO_READ | IO_WRITE | IO_CREATE) == 0);
    CHECK(io_sync_dir(io, "/") == 0);
    sim_disk_fail(host, SIM_DISK_WRITE, 0);
    CHECK(io_file_write(&file, &iov, 1, 0) == ERR_IO);
    CHECK(io_file_write(&file, &iov, 1, 0) == 0);
    sim_disk_fail(host, SIM_DISK_SYNC, 0);
    CHECK(io_file_sync(&file) == ERR_IO);
    CHECK(io_file_sync(&file) == 0); /* and yet nothing was promised */
    sim_host_crash(host);
    sim_host_restart(host);
    byte = 0;
    CHECK(sim_disk_peek(host, "/f", &byte, 1, 0) >= 0);
    seen_kept += byte == 'x';
    seen_forgotten += byte != 'x';
}

static void failed_sync_promises_nothing_finish(void)
{
    CHECK(seen_kept && seen_forgotten);
}

static void full_disk_is_told(struct sim *sim, uint64_t seed)
{
    struct sim_host *host = sim_host_new(sim, "disk");
    struct io *io = sim_host_io(host);
    struct io_file file;
    char block[1000];
    uint64_t limit = 512 * (1 + sim_random_below(sim, 100)), written = 0, left = 0;
    sim_disk_limit(host, limit);
    memset(block, 'b', sizeof block);
    CHECK(io_file_open(io, &file, "/f", IO_READ | IO_WRITE | IO_CREATE) == 0);
    int result;
    do {
        struct iovec iov = {block, 1 + sim_random_below(sim, sizeof block)};
        result = io_file_write(&file, &iov, 1, written);
        written += result == 0 ? iov.iov_len : 0;
    } while (result == 0);
    CHECK(result == ERR_NO_SPACE, "%s", err_name(result));
    CHECK(written <= limit && written + sizeof block > limit, "%llu of %llu",
          (unsigned long long)written, (unsigned long long)limit);
    CHECK(io_disk_free(io, "/", &left) == 0 && left == limit - sim_disk_used(host));
    CHECK(io_file_truncate(&file, 0) == 0 && sim_disk_used(host) == 0);
    CHECK(io_file_allocate(&file, limit + 1) == ERR_NO_SPACE);
    CHECK(io_file_allocate(&file, limit) == 0);
    io_file_close(&file);
    CHECK(io_unlink(io, "/f") == 0 && io_sync_dir(io, "/") == 0 && sim_disk_used(host) == 0);
}

RUNNER_MAIN({"crash_keeps_synced", crash_keeps_synced, .seeds = 2000,
             .finish = crash_keeps_synced_finish},
            {"rename_is_atomic", rename_is_atomic, .seeds = 2000,
             .finish = rename_is_atomic_finish},
            {"failed_sync_promises_nothing", failed_sync_promises_nothing, .seeds = 500,
             .finish = failed_sync_promises_nothing_finish},
            {"durable_writes_overlap", durable_writes_overlap, .seeds = 1000,
             .finish = durable_writes_overlap_finish},
            {"full_disk_is_told", full_disk_is_told, .seeds = 500})
