/* What one start leaves to the next. A killed process leaves names, sizes and content in the cache
 * alone; the next one reads them like any other, may believe them to be on the disk, builds on them
 * and says so to its owner; then the power fails and takes them. So lives are short, many and end
 * in every way, most of them by a kill, and syncs fail between. One journal that syncs its own
 * files, and several over one commit log; what must hold is in store_model.h. */
#include "runner.h"
#include "store_harness.h"

#include <inttypes.h>

static uint64_t seen_failed, seen_in_start, seen_killed, seen_cut;

static void end_life(struct harness *h)
{
    if (sim_host_crashed(h->host)) return;
    uint64_t choice = sim_random_below(h->sim, 8);
    if (choice == 0) {
        harness_close(h);
    } else if (choice > 4) {
        sim_host_crash(h->host);
        seen_cut++;
    } else {
        sim_host_kill(h->host);
        seen_killed++;
    }
}

/* Behind a write or a sync that has failed, the files and the log differ as behind a kill. */
static void arm_failure(struct harness *h)
{
    enum sim_disk_op op =
        (enum sim_disk_op)(SIM_DISK_WRITE + sim_random_below(h->sim, SIM_DISK_OPS - 1));
    for (int i = 0; i < h->count; i++) h->models[i].forgetful = h->with_wal;
    sim_disk_fail(h->host, op, sim_random_below(h->sim, h->with_wal ? 20 : 8));
}

/* Within a file operation, soon: a job that was to sync what it has done does not come to it. */
static void arm_end(struct harness *h, uint64_t operations)
{
    uint64_t choice = sim_random_below(h->sim, 4), after = sim_random_below(h->sim, operations);
    sim_host_crash_never(h->host);
    if (choice == 0) sim_host_crash_after(h->host, after);
    if (choice > 1) sim_host_kill_after(h->host, after);
}

/* All of it may happen in the start too. */
static void one_life(struct harness *h, bool faulty)
{
    struct sim *sim = h->sim;
    sim_host_crash_never(h->host);
    if (sim_random_below(sim, 3) == 0) arm_end(h, 30);
    if (faulty && sim_random_below(sim, 8) == 0) arm_failure(h);
    uint64_t restarts = harness_seen.restarts;
    harness_open(h);
    seen_in_start += harness_seen.restarts > restarts + 1;
    sim_host_crash_never(h->host);
    if (sim_random_below(sim, 2)) arm_end(h, 60);
    if (faulty && sim_random_below(sim, 3) == 0) arm_failure(h);
    bool is_short = sim_random_below(sim, 3) > 0;
    harness_live(h, sim_random_below(sim, is_short ? 3 : 20));
    if (!sim_host_crashed(h->host) && sim_random_below(sim, 5) == 0) {
        sim_run_ms(sim, sim_random_below(sim, 2000)); /* what goes on by itself comes to its end */
    }
    seen_failed += !sim_host_crashed(h->host) && harness_failed(h);
    end_life(h);
}

static void live_and_die(struct sim *sim, bool with_wal)
{
    struct harness *h = harness_new(sim, with_wal);
    bool faulty = sim_random_below(sim, 2);
    /* So that segments begin and go often. */
    for (int i = 0; i < h->count; i++) h->models[i].options.segment_bytes = 4096;
    for (uint64_t lives = 6 + sim_random_below(sim, 10); lives > 0; lives--) one_life(h, faulty);
    sim_host_crash_never(h->host);
    harness_open(h);
    harness_release(h);
}

static void kills_and_cuts(struct sim *sim, uint64_t seed)
{
    live_and_die(sim, false);
}

static void wal_kills_and_cuts(struct sim *sim, uint64_t seed)
{
    live_and_die(sim, true);
}

static void finish(void)
{
    CHECK(seen_failed && seen_in_start && seen_killed && seen_cut,
          "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, seen_failed, seen_in_start, seen_killed,
          seen_cut);
    CHECK(harness_seen.trims > 0 && harness_seen.snapshots > 0, "no trim or snapshot");
}

static void finish_wal(void)
{
    finish();
    CHECK(harness_seen.removed > 0 && harness_seen.replayed > 0, "the log was never needed");
}

RUNNER_MAIN({"kills_and_cuts", kills_and_cuts, .finish = finish, .seeds = 2000},
            {"wal_kills_and_cuts", wal_kills_and_cuts, .finish = finish_wal, .seeds = 2000})
