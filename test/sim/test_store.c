/* Journals under everything a machine can do to them: power failures inside any file operation,
 * kills, torn and lost writes, failing syncs, full and slow disks, bit rot, journals trimmed and
 * removed. Each scenario runs with one journal that syncs its own files, and (wal_...) with several
 * over one commit log. What must hold is in store_model.h. */
#include "runner.h"
#include "store_harness.h"

#include <inttypes.h>
#include <stdio.h>

static uint64_t seen_no_space, seen_failed, seen_corrupt, seen_cut, seen_intact, seen_wal_corrupt,
    seen_wal_survived, seen_scrubbed, seen_walks, seen_recovered_space;

/* ---- scenarios ---- */

static void arm_crash(struct harness *h)
{
    if (sim_random_below(h->sim, 2)) {
        sim_host_crash_after(h->host, sim_random_below(h->sim, h->with_wal ? 150 : 60));
    } else {
        sim_host_crash_never(h->host);
    }
}

static void end_life(struct harness *h)
{
    if (sim_host_crashed(h->host)) return;
    switch (sim_random_below(h->sim, 3)) {
    case 0: sim_host_kill(h->host); break;
    case 1: sim_host_crash(h->host); break;
    default: harness_close(h);
    }
}

/* Power failures and kills at every place. */
static void crash_again_and_again(struct sim *sim, bool with_wal)
{
    struct harness *h = harness_new(sim, with_wal);
    for (int life = 0; life < 6; life++) {
        arm_crash(h);
        harness_open(h);
        arm_crash(h);
        harness_live(h, 25);
        end_life(h);
    }
    sim_host_crash_never(h->host);
    harness_open(h);
    harness_release(h);
}

/* Single operations fail; a journal that has failed acknowledges nothing until it is opened again,
 * by the same process or after a crash. */
static void fail_again_and_again(struct sim *sim, bool with_wal)
{
    struct harness *h = harness_new(sim, with_wal);
    for (int life = 0; life < 6; life++) {
        harness_open(h);
        enum sim_disk_op op = (enum sim_disk_op)(1 + sim_random_below(sim, SIM_DISK_OPS - 1));
        for (int i = 0; i < h->count; i++) h->models[i].forgetful = with_wal;
        sim_disk_fail(h->host, op, sim_random_below(sim, with_wal ? 60 : 15));
        harness_live(h, 25);
        if (!sim_host_crashed(h->host) && harness_failed(h)) {
            uint64_t acknowledged[JOURNALS_MAX];
            seen_failed++;
            bool log_failed = h->wal && wal_status(h->wal) < 0;
            for (int i = 0; i < h->count; i++) acknowledged[i] = h->models[i].last_kept;
            harness_live(h, 5);
            for (int i = 0; i < h->count && !sim_host_crashed(h->host); i++) {
                struct model *model = &h->models[i];
                bool failed = log_failed || journal_status(model->journal) < 0;
                CHECK(!failed || model->last_kept <= acknowledged[i] || !log_failed,
                      "%s: acknowledged after a failure", model->dir);
            }
        }
        end_life(h);
    }
    harness_open(h);
    harness_release(h);
}

/* The disk fills up and is given room again: no acknowledged record is lost, what is refused never
 * appears, and appends work again without a restart. */
static void fill_the_disk(struct sim *sim, bool with_wal)
{
    struct harness *h = harness_new(sim, with_wal);
    for (int life = 0; life < 3; life++) {
        harness_open(h);
        sim_disk_limit(h->host, sim_disk_used(h->host) + sim_random_below(sim, 8192));
        bool refuses = sim_random_below(sim, 2);
        if (refuses) sim_disk_refuse(h->host, sim_random_below(sim, 40));
        harness_live(h, 30);
        sim_disk_refuse(h->host, UINT64_MAX);
        seen_no_space += h->metrics.no_space;
        h->metrics.no_space = 0;
        if (sim_random_below(sim, 3) == 0) sim_host_crash(h->host);
        if (sim_host_crashed(h->host)) continue;
        sim_disk_limit(h->host, 1 << 30);
        sim_run_ms(sim, 3000);
        CHECK(!harness_failed(h), "a full disk has closed a journal");
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
    harness_open(h);
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
    harness_open(h);
    harness_live(h, 40);
    sim_run_ms(sim, 1000);
    uint64_t first = journal_first(model->journal);
    uint64_t second = journal_second_segment(model->journal);
    if (second && sim_random_below(sim, 2)) first = second;
    char path[96];
    snprintf(path, sizeof path, "%s/%020" PRIu64 ".seg", model->dir, first);
    uint64_t may_lose_from = model->batch_first;
    bool at_rest = sim_random_below(sim, 2);
    if (at_rest) harness_close(h);
    if (!at_rest || sim_random_below(sim, 2)) sim_host_kill(h->host);
    if (at_rest) may_lose_from = UINT64_MAX; /* a mark vouches for the last batch too */
    flip_one(h, path, 2048);
    if (sim_host_crashed(h->host)) harness_restart(h);
    uint64_t last_kept = model->last_kept;
    struct error error = {0};
    model->snapshot_acknowledged = UINT64_MAX;
    int r = harness_open_once(h, &error, may_lose_from);
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
    harness_open(h);
    harness_live(h, 20 + (int)sim_random_below(sim, 40));
    sim_run_ms(sim, 3000);
    if (sim_random_below(sim, 2)) sim_host_crash(h->host);
    if (!sim_host_crashed(h->host)) sim_host_kill(h->host);
    char path[64];
    snprintf(path, sizeof path, HARNESS_DIR "/wal/%04d.wal", (int)sim_random_below(sim, 3));
    flip_one(h, path, 40000);
    harness_restart(h);
    struct error error = {0};
    for (int i = 0; i < h->count; i++) h->models[i].snapshot_acknowledged = UINT64_MAX;
    int r = harness_open_once(h, &error, UINT64_MAX);
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
    harness_open(h);
    harness_live(h, 40);
    sim_run_ms(sim, 500);
    struct model *model = harness_any(h);
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
    CHECK(harness_seen.restarts > 0 && harness_seen.read > 0, "nothing happened");
}

static void finish_crashes(void)
{
    finish();
    CHECK(harness_seen.torn > 0 && harness_seen.trims > 0 && harness_seen.snapshots > 0,
          "no torn tail, trim or snapshot");
}

static void finish_wal(void)
{
    finish_crashes();
    CHECK(harness_seen.removed > 0 && harness_seen.replayed > 0 && harness_seen.checkpoints > 0,
          "removed %" PRIu64 ", replayed %" PRIu64 ", checkpoints %" PRIu64, harness_seen.removed,
          harness_seen.replayed, harness_seen.checkpoints);
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
