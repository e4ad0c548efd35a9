/* The journal under everything a machine can do to it: power failures inside any file operation,
 * kills, torn and lost writes, failing syncs, full disks, bit rot. After every restart: what was
 * acknowledged is there, in order, with its content; nothing appears that was never appended; and
 * no sequence stands for two acknowledged records. */
#include "runner.h"
#include "store/journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DIR "/journal"

enum { APPENDS_MAX = 4000, PAYLOAD_MAX = 900 };

enum fate { FATE_PENDING, FATE_KEPT, FATE_REFUSED, FATE_UNKNOWN };

/* One append as the harness remembers it; its number is in the payload. */
struct append {
    uint64_t seq;
    enum fate fate;
};

struct harness {
    struct sim *sim;
    struct sim_host *host;
    struct io *io;
    struct journal *journal;
    struct journal_options options;
    struct store_metrics metrics;

    struct append appends[APPENDS_MAX];
    uint32_t append_count;
    uint32_t kept[APPENDS_MAX]; /* by sequence: number of the append + 1; 0: nothing acknowledged */
    uint64_t last_kept, pending;
    uint64_t recovering;                 /* last sequence seen by the recovery under way */
    uint32_t recovering_number;          /* of its append */
    uint64_t trimmed;                    /* nothing below it need be there */
    uint64_t batch_first, batch_time_ns; /* of the last acknowledged batch */

    uint64_t snapshot_acknowledged, snapshot_submitted;

    struct journal_read read;
    uint64_t read_seq;
    bool reading, closed;
};

static uint64_t seen_torn, seen_no_space, seen_failed, seen_corrupt, seen_cut, seen_read,
    seen_restarts, seen_trims, seen_snapshots, seen_intact;

/* The payload of append `number`: its number, then bytes that follow from it. */
static size_t payload_fill(uint32_t number, char *payload)
{
    uint64_t x = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
    size_t len = (x >> 40) % 4 == 0 ? (x >> 20) % PAYLOAD_MAX : (x >> 20) % 80;
    if (len < 4) len = 4;
    for (size_t i = 4; i < len; i++) payload[i] = (char)(x >> (i % 57));
    memcpy(payload, &number, 4);
    return len;
}

/* The number of the append with this payload; the content must be exactly its own. */
static uint32_t payload_check(const struct harness *h, const struct journal_record *record)
{
    uint32_t number = UINT32_MAX;
    char expected[PAYLOAD_MAX];
    CHECK(record->payload.len >= 4, "record %" PRIu64 " has %zu bytes", record->seq,
          record->payload.len);
    memcpy(&number, record->payload.data, 4);
    CHECK(number < h->append_count, "record %" PRIu64 " was never appended", record->seq);
    size_t len = payload_fill(number, expected);
    CHECK(bytes_eq(record->payload, bytes_make(expected, len)), "content of %" PRIu64, record->seq);
    return number;
}

static void appended(void *context, const struct journal_record *record, int result)
{
    struct harness *h = context;
    uint32_t number = payload_check(h, record);
    struct append *append = &h->appends[number];
    CHECK(append->seq == record->seq, "acknowledged as %" PRIu64, record->seq);
    CHECK(append->fate == FATE_PENDING, "acknowledged twice");
    h->pending--;
    if (result < 0) {
        append->fate = result == ERR_NO_SPACE ? FATE_REFUSED : FATE_UNKNOWN;
        return;
    }
    CHECK(record->seq == h->last_kept + 1, "acknowledged out of order");
    append->fate = FATE_KEPT;
    h->kept[record->seq] = number + 1;
    h->last_kept = record->seq;
    if (sim_now_ns(h->sim) != h->batch_time_ns) h->batch_first = record->seq;
    h->batch_time_ns = sim_now_ns(h->sim);
}

static int recovered(void *context, const struct journal_record *record)
{
    struct harness *h = context;
    uint32_t number = payload_check(h, record);
    struct append *append = &h->appends[number];
    if (h->recovering) {
        CHECK(record->seq == h->recovering + 1, "a gap before %" PRIu64, record->seq);
        CHECK(number > h->recovering_number, "%" PRIu64 " comes from before a crash", record->seq);
    }
    h->recovering = record->seq;
    h->recovering_number = number;
    CHECK(append->seq == record->seq, "found as %" PRIu64, record->seq);
    CHECK(append->fate != FATE_REFUSED, "%" PRIu64 " had been refused", record->seq);
    uint32_t kept = record->seq <= h->last_kept ? h->kept[record->seq] : 0;
    CHECK(!kept || kept == number + 1, "%" PRIu64 " has changed", record->seq);
    return 0;
}

/* What was found is durable from now on, whether it had been acknowledged or not. */
static void adopt(struct harness *h, uint64_t may_lose_from)
{
    uint64_t last = journal_last(h->journal), first = journal_first(h->journal);
    CHECK(h->recovering == last || (!h->recovering && last == first - 1), "last is %" PRIu64, last);
    CHECK(last >= h->last_kept || last + 1 >= may_lose_from,
          "acknowledged up to %" PRIu64 ", found up to %" PRIu64, h->last_kept, last);
    CHECK(first <= h->trimmed, "first is %" PRIu64 ", kept from %" PRIu64, first, h->trimmed);
    for (uint32_t i = 0; i < h->append_count; i++) {
        struct append *append = &h->appends[i];
        if (append->fate == FATE_KEPT || append->fate == FATE_REFUSED) continue;
        append->fate = FATE_UNKNOWN;
    }
    for (uint64_t seq = last + 1; seq <= h->last_kept; seq++) h->kept[seq] = 0;
    h->last_kept = last;
    h->pending = 0;
    h->batch_first = last + 1;
}

/* Records that were recovered without an acknowledgement count as kept: found by reading them. */
static int note_kept(void *context, const struct journal_record *record)
{
    struct harness *h = context;
    int r = recovered(context, record);
    uint32_t number;
    memcpy(&number, record->payload.data, 4);
    h->kept[record->seq] = number + 1;
    return r;
}

static void check_snapshot(struct harness *h)
{
    struct buf data;
    uint64_t covers = 0;
    struct error error = {0};
    buf_init(&data, 1 << 20);
    int r = journal_snapshot_read(h->io, DIR, &data, &covers, &error);
    CHECK(r != ERR_CORRUPT, "snapshot: %s", error.message);
    if (r == 0) {
        char expected[32];
        int len = snprintf(expected, sizeof expected, "state at %" PRIu64, covers);
        CHECK(bytes_eq(buf_bytes(&data), bytes_make(expected, (size_t)len)), "snapshot content");
        CHECK(covers >= h->snapshot_acknowledged && covers <= h->snapshot_submitted,
              "snapshot covers %" PRIu64, covers);
        h->snapshot_acknowledged = covers;
    } else if (r == ERR_NOT_FOUND) {
        CHECK(h->snapshot_acknowledged == 0, "the snapshot is gone");
    }
    buf_release(&data);
}

static void harness_init(struct harness *h, struct sim *sim)
{
    h->sim = sim;
    h->host = sim_host_new(sim, "a");
    h->io = sim_host_io(h->host);
    h->trimmed = 1;
    journal_read_init(&h->read);
    h->options = (struct journal_options){
        .dir = DIR,
        .segment_bytes = 4096 << sim_random_below(sim, 4),
        .allocate_bytes = 512 << sim_random_below(sim, 4),
        .record_max = PAYLOAD_MAX,
        .pending_max = 2048 << sim_random_below(sim, 5),
        .metrics = &h->metrics,
        .context = h,
        .recovered = note_kept,
        .appended = appended,
    };
}

static int open_journal(struct harness *h, struct error *error)
{
    /* What is remembered of sequences that were never acknowledged must not bind the recovery. */
    for (uint64_t seq = h->last_kept + 1; seq < APPENDS_MAX; seq++) h->kept[seq] = 0;
    h->recovering = 0;
    int r = journal_open(h->io, &h->options, &h->journal, error);
    seen_torn += h->metrics.torn_tails;
    h->metrics.torn_tails = 0;
    return r;
}

static void restart(struct harness *h)
{
    journal_free(h->journal);
    h->journal = NULL;
    h->read.busy = false; /* its job died with the host */
    h->reading = false;
    h->io = sim_host_restart(h->host);
    seen_restarts++;
}

/* Opens; crashes and single failures while it does are part of the game. */
static void open_until_it_works(struct harness *h)
{
    for (int attempt = 0; attempt < 50; attempt++) {
        if (sim_host_crashed(h->host)) restart(h);
        struct error error = {0};
        int r = open_journal(h, &error);
        CHECK(r != ERR_CORRUPT, "%s: %s", error.file, error.message);
        if (r == 0 && !sim_host_crashed(h->host)) {
            adopt(h, UINT64_MAX);
            check_snapshot(h);
            return;
        }
        if (r == 0) continue; /* restart() frees it */
        if (r == ERR_NO_SPACE) sim_disk_limit(h->host, 1 << 30);
        if (attempt > 3) sim_host_crash_never(h->host);
    }
    CHECK(false, "cannot be opened");
}

static void read_done(struct journal_read *read, int result)
{
    struct harness *h = read->context;
    h->reading = false;
    if (result < 0) {
        CHECK(result != ERR_CORRUPT, "reading %" PRIu64, h->read_seq);
        return;
    }
    struct journal_record record;
    uint64_t seq = h->read_seq;
    for (; journal_read_next(read, &record); seq++) {
        CHECK(record.seq == seq, "read %" PRIu64 " for %" PRIu64, record.seq, seq);
        CHECK(h->kept[seq] == payload_check(h, &record) + 1, "read another %" PRIu64, seq);
        seen_read++;
    }
    CHECK(seq > h->read_seq, "read nothing");
}

static void snapshot_done(void *context, uint64_t covers, int result)
{
    struct harness *h = context;
    if (result == 0) {
        h->snapshot_acknowledged = covers;
        seen_snapshots++;
    }
}

static void append_some(struct harness *h)
{
    uint64_t count = 1 + sim_random_below(h->sim, 12);
    for (uint64_t i = 0; i < count && h->append_count < APPENDS_MAX - 1; i++) {
        char payload[PAYLOAD_MAX];
        uint32_t number = h->append_count;
        size_t len = payload_fill(number, payload);
        size_t cut = sim_random_below(h->sim, len + 1);
        struct iovec parts[] = {{payload, cut}, {payload + cut, len - cut}};
        uint64_t seq;
        int r = journal_append(h->journal, parts, 2, &seq);
        if (r < 0) {
            CHECK(r == ERR_FULL || journal_status(h->journal) < 0, "append: %s", err_name(r));
            return;
        }
        CHECK(seq == h->last_kept + h->pending + 1, "sequence %" PRIu64, seq);
        h->appends[number] = (struct append){seq, FATE_PENDING};
        h->append_count++;
        h->pending++;
    }
}

static void act(struct harness *h)
{
    if (sim_host_crashed(h->host)) return;
    uint64_t last = journal_last(h->journal), first = journal_first(h->journal);
    switch (sim_random_below(h->sim, 8)) {
    case 0:
        if (h->reading || last < first) break;
        h->read.done = read_done;
        h->read.context = h;
        h->read_seq = first + sim_random_below(h->sim, last - first + 1);
        h->reading = journal_read_start(h->journal, &h->read, h->read_seq,
                                        sim_random_below(h->sim, 4000)) == 0;
        break;
    case 1: {
        if (last < first || sim_random_below(h->sim, 3)) break;
        uint64_t keep = first + sim_random_below(h->sim, last - first + 1);
        if (keep > h->trimmed) h->trimmed = keep;
        journal_trim(h->journal, keep);
        CHECK(journal_first(h->journal) <= keep, "trimmed too much");
        seen_trims++;
        break;
    }
    case 2: {
        if (sim_random_below(h->sim, 3)) break;
        char data[32];
        int len = snprintf(data, sizeof data, "state at %" PRIu64, last);
        if (journal_snapshot_write(h->journal, bytes_make(data, (size_t)len), last,
                                   snapshot_done) == 0) {
            h->snapshot_submitted = last;
        }
        break;
    }
    default: append_some(h);
    }
}

static void closed(void *context)
{
    struct harness *h = context;
    h->journal = NULL;
    h->closed = true;
}

static bool is_closed(void *context)
{
    struct harness *h = context;
    return h->closed || sim_host_crashed(h->host);
}

/* Closes in peace, or is interrupted by a crash. */
static void close_journal(struct harness *h)
{
    h->closed = false;
    journal_close(h->journal, closed, h);
    CHECK(sim_run_until(h->sim, 60000, is_closed, h), "does not close");
}

static void harness_release(struct harness *h)
{
    if (!sim_host_crashed(h->host) && h->journal) close_journal(h);
    if (sim_host_crashed(h->host)) journal_free(h->journal);
    h->read.busy = false;
    journal_read_release(&h->read);
    free(h);
}

static struct harness *harness_new(struct sim *sim)
{
    struct harness *h = calloc(1, sizeof *h);
    CHECK(h, "memory");
    harness_init(h, sim);
    return h;
}

static void arm_crash(struct harness *h)
{
    if (sim_random_below(h->sim, 2)) {
        sim_host_crash_after(h->host, sim_random_below(h->sim, 60));
    } else {
        sim_host_crash_never(h->host);
    }
}

static void live(struct harness *h, int actions)
{
    for (int i = 0; i < actions && !sim_host_crashed(h->host); i++) {
        act(h);
        uint64_t steps = sim_random_below(h->sim, 12);
        while (steps-- > 0 && !sim_host_crashed(h->host) && sim_step(h->sim)) {
        }
    }
}

/* Power failures and kills at every place. */
static void crashes(struct sim *sim, uint64_t seed)
{
    struct harness *h = harness_new(sim);
    for (int life = 0; life < 6; life++) {
        arm_crash(h);
        open_until_it_works(h);
        arm_crash(h);
        live(h, 25);
        if (sim_host_crashed(h->host)) continue;
        switch (sim_random_below(sim, 3)) {
        case 0: sim_host_kill(h->host); break;
        case 1: sim_host_crash(h->host); break;
        default: close_journal(h);
        }
    }
    sim_host_crash_never(h->host);
    open_until_it_works(h);
    harness_release(h);
}

/* Single operations fail; a journal that has failed acknowledges nothing until it is opened again,
 * by the same process or after a crash. */
static void failures(struct sim *sim, uint64_t seed)
{
    struct harness *h = harness_new(sim);
    for (int life = 0; life < 6; life++) {
        open_until_it_works(h);
        enum sim_disk_op op = (enum sim_disk_op)(1 + sim_random_below(sim, SIM_DISK_OPS - 1));
        sim_disk_fail(h->host, op, sim_random_below(sim, 15));
        live(h, 25);
        uint64_t acknowledged = h->last_kept;
        if (journal_status(h->journal) < 0) {
            seen_failed++;
            live(h, 5);
            CHECK(h->last_kept == acknowledged, "acknowledged after a failure");
        }
        switch (sim_random_below(sim, 4)) {
        case 0: sim_host_kill(h->host); break;
        case 1: sim_host_crash(h->host); break;
        default: close_journal(h);
        }
    }
    open_until_it_works(h);
    harness_release(h);
}

/* The disk fills up and is given room again: no acknowledged record is lost, what is refused never
 * appears, and appends work again without a restart. */
static void full_disk(struct sim *sim, uint64_t seed)
{
    struct harness *h = harness_new(sim);
    for (int life = 0; life < 3; life++) {
        open_until_it_works(h);
        sim_disk_limit(h->host, sim_disk_used(h->host) + sim_random_below(sim, 8192));
        live(h, 30);
        seen_no_space += h->metrics.no_space;
        h->metrics.no_space = 0;
        if (sim_random_below(sim, 3) == 0) sim_host_crash(h->host);
        if (sim_host_crashed(h->host)) continue;
        sim_disk_limit(h->host, 1 << 30);
        sim_run_ms(sim, 1000);
        CHECK(journal_status(h->journal) == 0, "a full disk has closed the journal");
        uint64_t before = h->last_kept;
        append_some(h);
        sim_run_ms(sim, 1000);
        CHECK(h->last_kept > before || h->append_count == APPENDS_MAX - 1, "appends do not resume");
        sim_host_crash(h->host);
    }
    sim_disk_limit(h->host, 1 << 30);
    open_until_it_works(h);
    harness_release(h);
}

/* One byte rots. Either the damage is told, with the file, or every acknowledged record is whole;
 * only the last batch cannot be told from a torn write. */
static void bit_rot(struct sim *sim, uint64_t seed)
{
    struct harness *h = harness_new(sim);
    open_until_it_works(h);
    live(h, 40);
    sim_run_ms(sim, 1000);
    uint64_t first = journal_first(h->journal), second = journal_second_segment(h->journal);
    if (second && sim_random_below(sim, 2)) first = second;
    char path[64];
    snprintf(path, sizeof path, DIR "/%020" PRIu64 ".seg", first);
    uint64_t may_lose_from = h->batch_first;
    sim_host_kill(h->host);
    uint64_t size = 2048;
    sim_disk_flip(h->host, path, sim_random_below(sim, size),
                  (uint8_t)(1 << sim_random_below(sim, 8)));
    restart(h);
    uint64_t last_kept = h->last_kept;
    struct error error = {0};
    int r = open_journal(h, &error);
    struct journal_verify verify;
    if (r == ERR_CORRUPT) {
        seen_corrupt++;
        CHECK(strcmp(error.file, path) == 0, "%s is named", error.file);
        CHECK(journal_verify(h->io, DIR, &verify, &error) == ERR_CORRUPT, "verify sees nothing");
    } else {
        CHECK(r == 0, "%s", err_name(r));
        adopt(h, may_lose_from);
        if (h->last_kept < last_kept) {
            seen_cut++;
        } else {
            seen_intact++;
        }
        CHECK(journal_verify(h->io, DIR, &verify, &error) == 0, "%s", error.message);
        CHECK(verify.last == h->last_kept, "verify finds %" PRIu64, verify.last);
    }
    harness_release(h);
}

static void finish(void)
{
    CHECK(seen_restarts > 0 && seen_read > 0, "nothing happened");
}

static void finish_crashes(void)
{
    finish();
    CHECK(seen_torn > 0 && seen_trims > 0 && seen_snapshots > 0, "no torn tail, trim or snapshot");
}

static void finish_failures(void)
{
    CHECK(seen_failed > 0, "no failure");
}

static void finish_full(void)
{
    CHECK(seen_no_space > 0, "no full disk");
}

static void finish_rot(void)
{
    CHECK(seen_corrupt > 0 && seen_cut > 0 && seen_intact > 0, "%" PRIu64 " %" PRIu64 " %" PRIu64,
          seen_corrupt, seen_cut, seen_intact);
}

RUNNER_MAIN({"crashes", crashes, .finish = finish_crashes, .seeds = 5000},
            {"failures", failures, .finish = finish_failures, .seeds = 2500},
            {"full_disk", full_disk, .finish = finish_full, .seeds = 1500},
            {"bit_rot", bit_rot, .finish = finish_rot, .seeds = 1500})
