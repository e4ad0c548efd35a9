/* Journals under everything a machine can do to them: power failures inside any file operation,
 * kills, torn and lost writes, failing syncs, full and slow disks, bit rot, journals trimmed and
 * removed. Each scenario runs with one journal that syncs its own files, and (wal_...) with several
 * over one commit log. What must hold is in store_model.h. */
#include "runner.h"
#include "store/journal.h"
#include "store/wal.h"
#include "store_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define DIR "/store"

enum { JOURNALS_MAX = 6 };

struct harness {
    struct sim *sim;
    struct sim_host *host;
    struct io *io;
    struct wal *wal;
    struct wal_options wal_options;
    bool with_wal, wal_closed;
    struct store_metrics metrics;
    struct model models[JOURNALS_MAX];
    int count, closing;
};

static uint64_t seen_torn, seen_no_space, seen_failed, seen_corrupt, seen_cut, seen_read,
    seen_restarts, seen_trims, seen_snapshots, seen_intact, seen_removed, seen_replayed,
    seen_checkpoints, seen_wal_corrupt, seen_wal_survived, seen_scrubbed, seen_walks,
    seen_recovered_space;

/* ---- the harness ---- */

static void make_options(struct harness *h, struct journal_options *ret_options)
{
    *ret_options = (struct journal_options){
        .segment_bytes = 4096 << sim_random_below(h->sim, 4),
        .allocate_bytes = 512 << sim_random_below(h->sim, 4),
        .pending_max = 2048 << sim_random_below(h->sim, 5),
        .metrics = &h->metrics,
    };
}

static struct harness *harness_new(struct sim *sim, bool with_wal)
{
    struct harness *h = calloc(1, sizeof *h);
    CHECK(h, "memory");
    h->sim = sim;
    h->host = sim_host_new(sim, "a");
    h->io = sim_host_io(h->host);
    h->with_wal = with_wal;
    h->count = with_wal ? 1 + (int)sim_random_below(sim, JOURNALS_MAX) : 1;
    h->wal_options = (struct wal_options){
        .dir = DIR,
        .file_min = 32768,
        .file_max = 32768 << sim_random_below(sim, 3),
        .metrics = &h->metrics,
    };
    for (int i = 0; i < h->count; i++) {
        char dir[MODEL_DIR];
        struct journal_options options;
        make_options(h, &options);
        snprintf(dir, sizeof dir, DIR "/%d", i);
        model_init(&h->models[i], sim, h->host, dir, &options);
    }
    return h;
}

/* The commit log first. Stops at the first that cannot be opened. */
static int open_all(struct harness *h, struct error *error, uint64_t may_lose_from)
{
    int r = h->with_wal ? wal_open(h->io, &h->wal_options, &h->wal, error) : io_mkdir(h->io, DIR);
    if (r == 0 && !h->with_wal) r = io_sync_dir(h->io, "/");
    for (int i = 0; r == 0 && i < h->count; i++) {
        struct model *model = &h->models[i];
        model->options.wal = h->wal;
        r = model_open(model, h->io, error, may_lose_from);
        if (r == 0 && sim_host_crashed(h->host)) r = ERR_IO;
    }
    seen_torn += h->metrics.torn_tails;
    seen_replayed += h->metrics.wal_replayed;
    h->metrics.torn_tails = h->metrics.wal_replayed = 0;
    return r;
}

static void count_what_was_seen(struct harness *h)
{
    for (int i = 0; i < h->count; i++) {
        struct model *model = &h->models[i];
        seen_read += model->records_read;
        seen_trims += model->trims;
        seen_snapshots += model->snapshots;
        model->records_read = model->trims = model->snapshots = 0;
    }
    seen_checkpoints += h->metrics.checkpoints;
    h->metrics.checkpoints = 0;
}

/* Frees what the host had, dead or not at work. */
static void free_all(struct harness *h)
{
    for (int i = 0; i < h->count; i++) model_free_journal(&h->models[i]);
    wal_free(h->wal);
    h->wal = NULL;
}

static void restart(struct harness *h)
{
    free_all(h);
    h->io = sim_host_restart(h->host);
    seen_restarts++;
}

/* Opens; crashes and single failures while it does are part of the game. */
static void open_until_it_works(struct harness *h)
{
    for (int attempt = 0; attempt < 50; attempt++) {
        if (sim_host_crashed(h->host)) restart(h);
        struct error error = {0};
        int r = open_all(h, &error, UINT64_MAX);
        CHECK(r != ERR_CORRUPT, "%s: %s", error.file, error.message);
        if (r == 0 && !sim_host_crashed(h->host)) return;
        if (!sim_host_crashed(h->host)) sim_host_kill(h->host); /* jobs may be under way */
        if (r == ERR_NO_SPACE) sim_disk_limit(h->host, 1 << 30);
        if (attempt > 3) sim_host_crash_never(h->host);
    }
    CHECK(false, "cannot be opened");
}

static struct model *any_model(struct harness *h)
{
    return &h->models[sim_random_below(h->sim, (uint64_t)h->count)];
}

static void journal_closed(void *context)
{
    struct model *model = context;
    model->journal = NULL;
}

static bool is_journal_closed(void *context)
{
    struct model *model = context;
    return !model->journal || sim_host_crashed(model->host);
}

/* Closes in peace, or is interrupted by a crash. */
static void close_journal(struct model *model)
{
    journal_close(model->journal, journal_closed, model);
    CHECK(sim_run_until(model->sim, 60000, is_journal_closed, model), "does not close");
}

static void wal_was_closed(void *context)
{
    struct harness *h = context;
    h->wal = NULL;
}

static bool is_wal_closed(void *context)
{
    struct harness *h = context;
    return !h->wal || sim_host_crashed(h->host);
}

static void close_all(struct harness *h)
{
    for (int i = 0; i < h->count; i++) {
        if (sim_host_crashed(h->host)) return;
        if (h->models[i].journal) close_journal(&h->models[i]);
    }
    if (!h->wal || sim_host_crashed(h->host)) return;
    wal_close(h->wal, wal_was_closed, h);
    CHECK(sim_run_until(h->sim, 60000, is_wal_closed, h), "the commit log does not close");
}

static void harness_release(struct harness *h)
{
    close_all(h);
    count_what_was_seen(h);
    if (sim_host_crashed(h->host)) free_all(h);
    for (int i = 0; i < h->count; i++) model_release(&h->models[i]);
    free(h);
}

static bool is_removal_told(void *context)
{
    struct model *model = context;
    return model->told || sim_host_crashed(model->host);
}

/* One journal is closed, removed and made anew, while the others go on. */
static void remove_one(struct harness *h)
{
    struct model *model = any_model(h);
    if (journal_status(model->journal) < 0) return;
    close_journal(model);
    if (sim_host_crashed(h->host)) return;
    int removed = model_remove(model);
    if (removed == 0) CHECK(sim_run_until(h->sim, 60000, is_removal_told, model), "no removal");
    if (sim_host_crashed(h->host)) return;
    if (model->removing) { /* the log has failed: only the next start knows */
        sim_host_crash(h->host);
        return;
    }
    struct error error = {0};
    int r = model_open(model, h->io, &error, UINT64_MAX);
    CHECK(r != ERR_CORRUPT || model->forgetful, "%s: %s", error.file, error.message);
    if (r < 0 && !sim_host_crashed(h->host)) sim_host_crash(h->host);
    seen_removed++;
}

static void arm_crash(struct harness *h)
{
    if (sim_random_below(h->sim, 2)) {
        sim_host_crash_after(h->host, sim_random_below(h->sim, h->with_wal ? 150 : 60));
    } else {
        sim_host_crash_never(h->host);
    }
}

static void live(struct harness *h, int actions)
{
    actions *= h->with_wal ? 2 : 1;
    for (int i = 0; i < actions && !sim_host_crashed(h->host); i++) {
        model_act(any_model(h));
        uint64_t steps = sim_random_below(h->sim, 12);
        while (steps-- > 0 && !sim_host_crashed(h->host) && sim_step(h->sim)) {
        }
        bool remove = h->with_wal && sim_random_below(h->sim, 100) == 0;
        if (remove && !sim_host_crashed(h->host)) remove_one(h);
    }
}

/* ---- scenarios ---- */

static void end_life(struct harness *h)
{
    if (sim_host_crashed(h->host)) return;
    switch (sim_random_below(h->sim, 3)) {
    case 0: sim_host_kill(h->host); break;
    case 1: sim_host_crash(h->host); break;
    default: close_all(h);
    }
}

/* Power failures and kills at every place. */
static void crash_again_and_again(struct sim *sim, bool with_wal)
{
    struct harness *h = harness_new(sim, with_wal);
    for (int life = 0; life < 6; life++) {
        arm_crash(h);
        open_until_it_works(h);
        arm_crash(h);
        live(h, 25);
        end_life(h);
    }
    sim_host_crash_never(h->host);
    open_until_it_works(h);
    harness_release(h);
}

static bool any_failed(const struct harness *h)
{
    for (int i = 0; i < h->count; i++) {
        if (h->models[i].journal && journal_status(h->models[i].journal) < 0) return true;
    }
    return h->wal && wal_status(h->wal) < 0;
}

/* Single operations fail; a journal that has failed acknowledges nothing until it is opened again,
 * by the same process or after a crash. */
static void fail_again_and_again(struct sim *sim, bool with_wal)
{
    struct harness *h = harness_new(sim, with_wal);
    for (int life = 0; life < 6; life++) {
        open_until_it_works(h);
        enum sim_disk_op op = (enum sim_disk_op)(1 + sim_random_below(sim, SIM_DISK_OPS - 1));
        for (int i = 0; i < h->count; i++) h->models[i].forgetful = with_wal;
        sim_disk_fail(h->host, op, sim_random_below(sim, with_wal ? 60 : 15));
        live(h, 25);
        if (!sim_host_crashed(h->host) && any_failed(h)) {
            uint64_t acknowledged[JOURNALS_MAX];
            seen_failed++;
            bool log_failed = h->wal && wal_status(h->wal) < 0;
            for (int i = 0; i < h->count; i++) acknowledged[i] = h->models[i].last_kept;
            live(h, 5);
            for (int i = 0; i < h->count && !sim_host_crashed(h->host); i++) {
                struct model *model = &h->models[i];
                bool failed = log_failed || journal_status(model->journal) < 0;
                CHECK(!failed || model->last_kept <= acknowledged[i] || !log_failed,
                      "%s: acknowledged after a failure", model->dir);
            }
        }
        end_life(h);
    }
    open_until_it_works(h);
    harness_release(h);
}

/* The disk fills up and is given room again: no acknowledged record is lost, what is refused never
 * appears, and appends work again without a restart. */
static void fill_the_disk(struct sim *sim, bool with_wal)
{
    struct harness *h = harness_new(sim, with_wal);
    for (int life = 0; life < 3; life++) {
        open_until_it_works(h);
        sim_disk_limit(h->host, sim_disk_used(h->host) + sim_random_below(sim, 8192));
        bool refuses = sim_random_below(sim, 2);
        if (refuses) sim_disk_refuse(h->host, sim_random_below(sim, 40));
        live(h, 30);
        sim_disk_refuse(h->host, UINT64_MAX);
        seen_no_space += h->metrics.no_space;
        h->metrics.no_space = 0;
        if (sim_random_below(sim, 3) == 0) sim_host_crash(h->host);
        if (sim_host_crashed(h->host)) continue;
        sim_disk_limit(h->host, 1 << 30);
        sim_run_ms(sim, 3000);
        CHECK(!any_failed(h), "a full disk has closed a journal");
        for (int i = 0; i < h->count; i++) {
            struct model *model = &h->models[i];
            uint64_t before = model->last_kept;
            model_append(model);
            sim_run_ms(sim, 1000);
            CHECK(model->last_kept > before, "%s: appends do not resume", model->dir);
            seen_recovered_space++;
        }
        sim_host_crash(h->host);
    }
    sim_disk_limit(h->host, 1 << 30);
    open_until_it_works(h);
    harness_release(h);
}

static void crashes(struct sim *sim, uint64_t seed)
{
    crash_again_and_again(sim, false);
}

static void failures(struct sim *sim, uint64_t seed)
{
    fail_again_and_again(sim, false);
}

static void full_disk(struct sim *sim, uint64_t seed)
{
    fill_the_disk(sim, false);
}

static void wal_crashes(struct sim *sim, uint64_t seed)
{
    crash_again_and_again(sim, true);
}

static void wal_failures(struct sim *sim, uint64_t seed)
{
    fail_again_and_again(sim, true);
}

static void wal_full_disk(struct sim *sim, uint64_t seed)
{
    fill_the_disk(sim, true);
}

static void slow_disk(struct sim_options *options, uint64_t seed)
{
    options->disk_op_us = seed % 3 ? 100 : 5000;
    options->disk_sync_us = seed % 2 ? 20000 : 500000;
    options->disk_bandwidth = 1 << 20;
}

/* ---- bit rot ---- */

static void flip_one(struct harness *h, const char *path, uint64_t size)
{
    sim_disk_flip(h->host, path, sim_random_below(h->sim, size),
                  (uint8_t)(1 << sim_random_below(h->sim, 8)));
}

/* One byte rots. Either the damage is told, with the file, or every acknowledged record is whole;
 * only the last batch cannot be told from a torn write. */
static void bit_rot(struct sim *sim, uint64_t seed)
{
    struct harness *h = harness_new(sim, false);
    struct model *model = &h->models[0];
    open_until_it_works(h);
    live(h, 40);
    sim_run_ms(sim, 1000);
    uint64_t first = journal_first(model->journal);
    uint64_t second = journal_second_segment(model->journal);
    if (second && sim_random_below(sim, 2)) first = second;
    char path[96];
    snprintf(path, sizeof path, "%s/%020" PRIu64 ".seg", model->dir, first);
    uint64_t may_lose_from = model->batch_first;
    bool at_rest = sim_random_below(sim, 2);
    if (at_rest) close_all(h);
    if (!at_rest || sim_random_below(sim, 2)) sim_host_kill(h->host);
    if (at_rest) may_lose_from = UINT64_MAX; /* a mark vouches for the last batch too */
    flip_one(h, path, 2048);
    if (sim_host_crashed(h->host)) restart(h);
    uint64_t last_kept = model->last_kept;
    struct error error = {0};
    model->snapshot_acknowledged = UINT64_MAX;
    int r = open_all(h, &error, may_lose_from);
    struct journal_verify verify;
    if (r == ERR_CORRUPT) {
        seen_corrupt++;
        CHECK(strcmp(error.file, path) == 0, "%s is named", error.file);
        CHECK(journal_verify(h->io, model->dir, &verify, &error) == ERR_CORRUPT,
              "verify sees nothing");
    } else {
        CHECK(r == 0, "%s", err_name(r));
        if (model->last_kept < last_kept) {
            seen_cut++;
        } else {
            seen_intact++;
        }
        CHECK(journal_verify(h->io, model->dir, &verify, &error) == 0, "%s", error.message);
        CHECK(verify.last == model->last_kept, "verify finds %" PRIu64, verify.last);
    }
    harness_release(h);
}

/* A byte of the log rots, and the journals' own files lose what was not synced. The log has come to
 * rest before: so nothing may be lost in silence. */
static void wal_rot(struct sim *sim, uint64_t seed)
{
    struct harness *h = harness_new(sim, true);
    open_until_it_works(h);
    live(h, 20 + (int)sim_random_below(sim, 40));
    sim_run_ms(sim, 3000);
    if (sim_random_below(sim, 2)) sim_host_crash(h->host);
    if (!sim_host_crashed(h->host)) sim_host_kill(h->host);
    char path[64];
    snprintf(path, sizeof path, DIR "/wal/%04d.wal", (int)sim_random_below(sim, 3));
    flip_one(h, path, 40000);
    restart(h);
    struct error error = {0};
    for (int i = 0; i < h->count; i++) h->models[i].snapshot_acknowledged = UINT64_MAX;
    int r = open_all(h, &error, UINT64_MAX);
    CHECK(r == 0 || r == ERR_CORRUPT, "%s", err_name(r));
    if (r == ERR_CORRUPT) {
        seen_wal_corrupt++;
        CHECK(strcmp(error.file, path) == 0, "%s is named", error.file);
    } else {
        seen_wal_survived++;
    }
    harness_release(h);
}

/* A byte of a sealed segment rots while the store is open: the scrub tells the owner, and never
 * tells of anything else, while journals are appended to, trimmed and removed. */
static void scrub_finds_rot(struct sim *sim, uint64_t seed)
{
    struct harness *h = harness_new(sim, true);
    h->wal_options.scrub_pause_ms = 50;
    h->wal_options.scrub_bytes_per_second = 1 << 20;
    open_until_it_works(h);
    live(h, 40);
    sim_run_ms(sim, 500);
    struct model *model = any_model(h);
    CHECK(model->damages == 0, "damage in a sound journal");
    if (journal_second_segment(model->journal)) {
        char path[96];
        uint64_t first = journal_first(model->journal);
        snprintf(path, sizeof path, "%s/%020" PRIu64 ".seg", model->dir, first);
        sim_disk_flip(h->host, path, 128 + sim_random_below(sim, 24), 64); /* the first head */
        sim_run_ms(sim, 500);
        CHECK(model->damages > 0 && strcmp(model->damaged_file, path) == 0, "not told of %s", path);
        CHECK(h->metrics.scrub_damaged == model->damages, "told of others");
        seen_scrubbed++;
    }
    seen_walks += h->metrics.scrub_walks;
    harness_release(h);
}

static void finish_scrub(void)
{
    CHECK(seen_scrubbed > 0 && seen_walks > 0, "nothing was scrubbed");
}

static void finish_wal_rot(void)
{
    CHECK(seen_wal_corrupt > 0 && seen_wal_survived > 0, "%" PRIu64 " %" PRIu64, seen_wal_corrupt,
          seen_wal_survived);
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

static void finish_wal(void)
{
    finish_crashes();
    CHECK(seen_removed > 0 && seen_replayed > 0 && seen_checkpoints > 0,
          "removed %" PRIu64 ", replayed %" PRIu64 ", checkpoints %" PRIu64, seen_removed,
          seen_replayed, seen_checkpoints);
}

static void finish_failures(void)
{
    CHECK(seen_failed > 0, "no failure");
}

static void finish_full(void)
{
    CHECK(seen_no_space > 0 && seen_recovered_space > 0, "no full disk");
}

static void finish_rot(void)
{
    CHECK(seen_corrupt > 0 && seen_cut > 0 && seen_intact > 0, "%" PRIu64 " %" PRIu64 " %" PRIu64,
          seen_corrupt, seen_cut, seen_intact);
}

RUNNER_MAIN({"crashes", crashes, .finish = finish_crashes, .seeds = 3000},
            {"failures", failures, .finish = finish_failures, .seeds = 1500},
            {"full_disk", full_disk, .finish = finish_full, .seeds = 1000},
            {"bit_rot", bit_rot, .finish = finish_rot, .seeds = 1500},
            {"wal_crashes", wal_crashes, .finish = finish_wal, .seeds = 3000},
            {"wal_failures", wal_failures, .finish = finish_failures, .seeds = 1500},
            {"wal_full_disk", wal_full_disk, .finish = finish_full, .seeds = 1000},
            {"wal_rot", wal_rot, .finish = finish_wal_rot, .seeds = 1500},
            {"scrub_finds_rot", scrub_finds_rot, .finish = finish_scrub, .seeds = 500},
            {"wal_slow_disk", wal_crashes, .options = slow_disk, .seeds = 500})
