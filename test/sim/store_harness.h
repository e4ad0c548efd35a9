/* store_harness: a host whose store lives and dies: one journal that syncs its own files, or
 * several over one commit log, each with its model (store_model.h), opened again after each crash
 * until it works. What has been seen is counted, for the scenarios' `finish`. */
#ifndef DURE_TEST_SIM_STORE_HARNESS_H
#define DURE_TEST_SIM_STORE_HARNESS_H

#include "store/wal.h"
#include "store_model.h"

#define HARNESS_DIR "/store"

enum { JOURNALS_MAX = 6 };

struct harness {
    struct sim *sim;
    struct sim_host *host;
    struct io *io;
    struct wal *wal;
    struct wal_options wal_options;
    bool with_wal;
    struct store_metrics metrics;
    struct model models[JOURNALS_MAX];
    int count;
};

/* Of all seeds together. */
struct harness_seen {
    uint64_t torn, read, restarts, trims, snapshots, removed, replayed, checkpoints;
};

extern struct harness_seen harness_seen;

struct harness *harness_new(struct sim *sim, bool with_wal);

/* Closes what is open, and frees. */
void harness_release(struct harness *h);

/* One try: the commit log, then each journal. Stops at the first that cannot be opened; see
 * model_open. */
int harness_open_once(struct harness *h, struct error *error, uint64_t may_lose_from);

/* Opens; crashes and single failures while it does are part of the game. */
void harness_open(struct harness *h);

/* Starts a crashed host, without opening. */
void harness_restart(struct harness *h);

/* Closes in peace, or is interrupted by a crash. */
void harness_close(struct harness *h);

/* Models act, and the world goes on a little after each action; with a wal now and then a journal
 * is removed and made anew. */
void harness_live(struct harness *h, uint64_t actions);

struct model *harness_any(struct harness *h);

/* A journal or the commit log acknowledges nothing any more. */
bool harness_failed(const struct harness *h);

#endif
