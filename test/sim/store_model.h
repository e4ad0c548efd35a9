/* store_model: what a journal has promised, remembered by the harness. It appends numbered records,
 * and checks what the journal says live and after every restart: what was acknowledged is there, in
 * order, with its content; nothing appears that was never appended, was refused, or was removed; no
 * sequence stands for two acknowledged records. */
#ifndef DURE_TEST_SIM_STORE_MODEL_H
#define DURE_TEST_SIM_STORE_MODEL_H

#include "io/sim.h"
#include "store/journal.h"

enum { MODEL_PAYLOAD_MAX = 900, MODEL_DIR = 64 };

enum fate { FATE_PENDING, FATE_KEPT, FATE_REFUSED, FATE_UNKNOWN, FATE_REMOVED };

/* One append; its number is in the payload. */
struct append {
    uint64_t seq;
    enum fate fate;
};

struct model {
    struct sim *sim;
    struct sim_host *host;
    char dir[MODEL_DIR];
    struct journal_options options;
    struct journal *journal; /* NULL: not open */

    struct append *appends;
    uint32_t append_count, append_size;
    uint32_t *kept; /* by sequence: number of the append + 1; 0: nothing acknowledged */
    uint64_t kept_size;
    uint64_t last_kept, pending;
    uint64_t recovering;        /* last sequence seen by the recovery under way */
    uint32_t recovering_number; /* of its append */
    uint64_t trimmed;           /* nothing below it need be there */
    bool forgetful;             /* a sync may fail, and the cache forget what was not synced yet */
    bool removing, told;        /* the journal is being removed, or that was interrupted */
    unsigned removals;
    uint64_t batch_first, batch_time_ns; /* of the last acknowledged batch */
    uint64_t snapshot_acknowledged, snapshot_submitted;

    struct journal_read read;
    uint64_t read_seq;
    bool reading;
    uint64_t snapshots, trims, records_read; /* how many */
    uint64_t damages;                        /* told of by the scrub */
    char damaged_file[MODEL_DIR + 64];
};

/* `options` are taken over; the model sets dir, context and callbacks. */
void model_init(struct model *model, struct sim *sim, struct sim_host *host, const char *dir,
                const struct journal_options *options);
void model_release(struct model *model);

/* Opens and checks what is found; acknowledged records from may_lose_from on may be missing
 * (UINT64_MAX: none). The journal's error. */
int model_open(struct model *model, struct io *io, struct error *error, uint64_t may_lose_from);

/* The host is dead, or the journal was never opened: frees the journal. */
void model_free_journal(struct model *model);

/* Appends some records, as many as the journal takes. */
void model_append(struct model *model);

/* Appends, reads, trims or writes a snapshot. */
void model_act(struct model *model);

/* Removes the closed journal; `told` when it is over. What was in it must never come back once
 * `removing` is false; until then all of it is there or nothing. */
int model_remove(struct model *model);

/* What the append number would have to be is its own business: checks the snapshot on the disk. */
void model_check_snapshot(struct model *model, struct io *io);

#endif
