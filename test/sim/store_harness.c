#include "store_harness.h"

#include "runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct harness_seen harness_seen;

static void make_options(struct harness *h, struct journal_options *ret_options)
{
    *ret_options = (struct journal_options){
        .segment_bytes = 4096 << sim_random_below(h->sim, 4),
        .allocate_bytes = 512 << sim_random_below(h->sim, 4),
        .pending_max = 2048 << sim_random_below(h->sim, 5),
        .metrics = &h->metrics,
    };
}

struct harness *harness_new(struct sim *sim, bool with_wal)
{
    struct harness *h = calloc(1, sizeof *h);
    CHECK(h, "memory");
    h->sim = sim;
    h->host = sim_host_new(sim, "a");
    h->io = sim_host_io(h->host);
    h->with_wal = with_wal;
    h->count = with_wal ? 1 + (int)sim_random_below(sim, JOURNALS_MAX) : 1;
    h->wal_options = (struct wal_options){
        .dir = HARNESS_DIR,
        .file_min = 32768,
        .file_max = 32768 << sim_random_below(sim, 3),
        .metrics = &h->metrics,
    };
    for (int i = 0; i < h->count; i++) {
        char dir[MODEL_DIR];
        struct journal_options options;
        make_options(h, &options);
        snprintf(dir, sizeof dir, HARNESS_DIR "/%d", i);
        model_init(&h->models[i], sim, h->host, dir, &options);
    }
    return h;
}

/* The commit log first. Stops at the first that cannot be opened. */
int harness_open_once(struct harness *h, struct error *error, uint64_t may_lose_from)
{
    int r = h->with_wal ? wal_open(h->io, &h->wal_options, &h->wal, error)
                        : io_mkdir(h->io, HARNESS_DIR);
    if (r == 0 && !h->with_wal) r = io_sync_dir(h->io, "/");
    for (int i = 0; r == 0 && i < h->count; i++) {
        struct model *model = &h->models[i];
        model->options.wal = h->wal;
        r = model_open(model, h->io, error, may_lose_from);
        if (r == 0 && sim_host_crashed(h->host)) r = ERR_IO;
    }
    harness_seen.torn += h->metrics.torn_tails;
    harness_seen.replayed += h->metrics.wal_replayed;
    h->metrics.torn_tails = h->metrics.wal_replayed = 0;
    return r;
}

static void count_what_was_seen(struct harness *h)
{
    for (int i = 0; i < h->count; i++) {
        struct model *model = &h->models[i];
        harness_seen.read += model->records_read;
        harness_seen.trims += model->trims;
        harness_seen.snapshots += model->snapshots;
        model->records_read = model->trims = model->snapshots = 0;
    }
    harness_seen.checkpoints += h->metrics.checkpoints;
    h->metrics.checkpoints = 0;
}

/* Frees what the host had, dead or not at work. */
static void free_all(struct harness *h)
{
    for (int i = 0; i < h->count; i++) model_free_journal(&h->models[i]);
    wal_free(h->wal);
    h->wal = NULL;
}

void harness_restart(struct harness *h)
{
    free_all(h);
    h->io = sim_host_restart(h->host);
    harness_seen.restarts++;
}

/* Opens; crashes and single failures while it does are part of the game. */
void harness_open(struct harness *h)
{
    for (int attempt = 0; attempt < 50; attempt++) {
        if (sim_host_crashed(h->host)) harness_restart(h);
        struct error error = {0};
        int r = harness_open_once(h, &error, UINT64_MAX);
        CHECK(r != ERR_CORRUPT, "%s: %s", error.file, error.message);
        if (r == 0 && !sim_host_crashed(h->host)) return;
        if (!sim_host_crashed(h->host)) sim_host_kill(h->host); /* jobs may be under way */
        if (r == ERR_NO_SPACE) sim_disk_limit(h->host, 1 << 30);
        if (attempt > 3) sim_host_crash_never(h->host);
    }
    CHECK(false, "cannot be opened");
}

struct model *harness_any(struct harness *h)
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

void harness_close(struct harness *h)
{
    for (int i = 0; i < h->count; i++) {
        if (sim_host_crashed(h->host)) return;
        if (h->models[i].journal) close_journal(&h->models[i]);
    }
    if (!h->wal || sim_host_crashed(h->host)) return;
    wal_close(h->wal, wal_was_closed, h);
    CHECK(sim_run_until(h->sim, 60000, is_wal_closed, h), "the commit log does not close");
}

void harness_release(struct harness *h)
{
    harness_close(h);
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
    struct model *model = harness_any(h);
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
    harness_seen.removed++;
}

void harness_live(struct harness *h, uint64_t actions)
{
    actions *= h->with_wal ? 2 : 1;
    for (uint64_t i = 0; i < actions && !sim_host_crashed(h->host); i++) {
        model_act(harness_any(h));
        uint64_t steps = sim_random_below(h->sim, 12);
        while (steps-- > 0 && !sim_host_crashed(h->host) && sim_step(h->sim)) {
        }
        bool remove = h->with_wal && sim_random_below(h->sim, 100) == 0;
        if (remove && !sim_host_crashed(h->host)) remove_one(h);
    }
}

bool harness_failed(const struct harness *h)
{
    for (int i = 0; i < h->count; i++) {
        if (h->models[i].journal && journal_status(h->models[i].journal) < 0) return true;
    }
    return h->wal && wal_status(h->wal) < 0;
}
