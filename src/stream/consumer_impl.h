/* What the parts of a consumer share: consumer.c (life, state), consumers.c (those of a stream),
 * consumer_start.c (where it begins), consumer_pump.c (choosing and delivering),
 * consumer_interest.c (what it needs of the stream), consumer_settle.c, consumer_journal.c (what is
 * written), consumer_dead.c (dead letters), consumer_local.c (this program's). */
#ifndef DURE_STREAM_CONSUMER_IMPL_H
#define DURE_STREAM_CONSUMER_IMPL_H

#include "stream/consumer.h"
#include "stream/consumer_expiry.h"
#include "stream/consumer_state.h"
#include "stream/stream_impl.h"

enum {
    CONSUMER_PATH = STREAM_PATH + STREAM_NAME_MAX + 16,
    CONSUMER_RETRY_MS = 1000,
    CONSUMER_FIRST = 2, /* units that make a consumer: its configuration and where it begins */
};

/* What is to come again now, in the order in which it became due. An entry whose message is not
 * ready any more is passed over. */
struct consumer_again {
    uint64_t *at; /* at[start .. end) */
    size_t start, end, room;
};

/* Acknowledgements whose durability this program wants to know. */
struct consumer_settled {
    struct settled {
        uint64_t seq, ticket;
    } * at; /* at[start .. end) */
    size_t start, end, room;
};

/* What is written. A unit is a record, or a snapshot that stands in for records that failed. */
struct consumer_writing {
    struct journal *journal; /* NULL: in memory */
    struct consumer_log log; /* what has happened in this turn */
    uint64_t begun, told;    /* units given to the journal; of them those with an outcome */
    uint64_t durable;        /* everything up to this unit is */
    unsigned told_first;     /* of the units that make the consumer, so many are */
    int refused;             /* the disk would not take them: who waits is to know */
    uint64_t covers;         /* recovery: the snapshot includes the records up to here */
    bool broken;             /* a unit was lost: only a snapshot can mend it */
    bool repairing;          /* that snapshot is under way */
    bool snapshot;           /* another one is, to cut the journal */
    struct list waits;       /* of struct consumer_wait */
    struct io_task task;     /* writes at the end of the turn, */
    struct io_timer later;   /* or a little later, when nobody waits for it */
    struct io_task tell;
    struct io_timer retry;
    struct consumer_settled settled;
};

struct consumer {
    struct io *io;
    struct streams *streams;
    struct stream *stream;
    struct stream_metrics *metrics;
    struct consumer_config *config;
    char name[STREAM_NAME_MAX + 1];
    char dir[CONSUMER_PATH];
    uint64_t created_ns;
    unsigned sample; /* per cent of acknowledgements that are reported */
    bool dead_letters;

    struct consumer_state state;
    struct consumer_expiry expiry;
    struct consumer_again again;
    struct consumer_writing writing;

    struct stream_filter filter;
    struct stream_observer observer;
    struct stream_interest interest;
    uint64_t num_pending; /* matching messages that were never delivered */
    uint64_t candidate;   /* the next of them, when it is known; else 0 */
    uint64_t *last;       /* last per subject: those still to be delivered: last[last_at ..) */
    size_t last_at, last_count;
    uint64_t damaged, damaged_ns; /* could not be read for damage, and since when (monotonic) */
    uint64_t looked_seq;          /* how far it had come when somebody wanted more than there was */
    bool scanning;                /* the search for the next goes on at the next turn */

    struct stream_get next_get, again_get;
    bool reading_next, reading_again;
    struct io_task pump;
    struct io_timer timer; /* the earliest of what happens by itself */
    uint64_t timer_at_ms;
    bool replaying;          /* replay original: still in the past, */
    uint64_t past_seq;       /* which ends here */
    uint64_t replay_time_ns; /* when the last message was stored, */
    uint64_t replay_at_ns;   /* and the next may go */
    struct consumer_outlet *outlet;
    struct consumer_local *local; /* the outlet, if it is this program */

    struct list letters; /* of struct letter: those under way */
    size_t letter_count;
    struct io_task bury;

    bool closing, destroying, released;
    struct list going; /* of the stream's set */
    void (*closed)(void *context, int result);
    void *closed_context;
    struct io_task close_task;
};

/* ---- consumers.c ---- */

/* Opens those that the disk has. BLOCKS. */
int consumers_open_all(struct streams *streams, struct stream *stream, struct error *error);

/* Closes all of a stream, or destroys them; `done` runs when they, and those that were closing, are
 * gone, perhaps at once. */
void consumers_close_all(struct stream *stream, bool destroy, void (*done)(void *context),
                         void *context);

/* Whether there are any, those that are closing too. */
bool consumers_are_there(const struct stream *stream);

/* One that was closing has gone. */
void consumers_gone(struct stream *stream);

/* Frees memory without I/O. */
void consumers_free_all(struct stream *stream);

/* Whether all of a stream keep to the limits that a new configuration of it sets for consumers.
 * ERR_CONFLICT. */
int consumers_keep_to(const struct stream *stream, const struct stream_config *limits,
                      struct api_error *refusal);

/* Takes it out of its stream's set. */
void consumers_forget(struct consumer *consumer);

/* ---- consumer.c ---- */

/* From the disk (config NULL: BLOCKS; ERR_NOT_FOUND: the folder holds none) or made anew. */
int consumer_make(struct streams *streams, struct stream *stream, const char *folder,
                  const struct consumer_config *config, struct consumer **ret_consumer,
                  struct error *error);

/* Takes a complete configuration over; `config` belongs to the consumer then. */
int consumer_take_config(struct consumer *consumer, struct consumer_config *config);

void consumer_shut(struct consumer *consumer, void (*done)(void *context, int result),
                   void *context);
void consumer_free(struct consumer *consumer);

/* Goes on with closing when nothing is under way. */
void consumer_close_step(struct consumer *consumer);

void consumer_event(struct consumer *consumer, const struct consumer_event *event);

/* ---- consumer_pump.c ---- */

void consumer_pump_init(struct consumer *consumer);
void consumer_post(struct consumer *consumer);

/* Looks at what is due, no later than that. */
void consumer_wake_in(struct consumer *consumer, uint64_t wait_ms);

/* Counts what is pending and finds the next anew: at the start, and when the filter has changed. */
int consumer_recount(struct consumer *consumer);

/* How long a message is out at this attempt. */
uint64_t consumer_wait_ns(const struct consumer_config *config, uint32_t attempt);

/* ---- consumer_interest.c ---- */

void consumer_interest_init(struct consumer *consumer);

/* ---- consumer_start.c ---- */

/* Where a new consumer begins. */
void consumer_choose_start(const struct consumer *consumer, uint64_t *ret_seq,
                           uint64_t *ret_last_until);

/* The last message of each subject up to state.last_until, from next_seq on. ERR_NOMEM. */
int consumer_find_last(struct consumer *consumer);

/* ---- consumer_settle.c ---- */

/* Whether as many messages are pending as may be. */
static inline bool consumer_is_full(const struct consumer *consumer)
{
    int64_t most = consumer->config->max_ack_pending;
    return most > 0 && consumer->state.pending.count >= (uint64_t)most;
}

/* The stream has lost a message that was pending: to limits, a purge or a delete. */
void consumer_lose(struct consumer *consumer, struct pending *one);

/* To be delivered again as soon as somebody wants it. ERR_NOMEM. */
int consumer_make_ready(struct consumer *consumer, struct pending *one);

/* The next that is to come again; NULL: none. */
struct pending *consumer_next_ready(struct consumer *consumer);

/* The consumer is about to have this configuration: its waits hold for what is out, too, from when
 * it was sent. What was given back with a delay comes again as was asked. */
void consumer_retime(struct consumer *consumer, const struct consumer_config *config);

/* Moves what is due to where it is taken from, and what was delivered too often to its grave. */
void consumer_expire(struct consumer *consumer);

/* No message is due before; 0: nothing is. */
uint64_t consumer_next_due(struct consumer *consumer);

/* ---- consumer_journal.c ---- */

void consumer_writing_init(struct consumer *consumer);
void consumer_writing_release(struct consumer *consumer);

/* Reads what the disk has. ERR_NOT_FOUND: no configuration. BLOCKS. */
int consumer_load(struct consumer *consumer, struct error *error);

/* Writes what a new consumer is. */
int consumer_open_new(struct consumer *consumer);

/* Whether the disk has it. Before that it delivers nothing. */
static inline bool consumer_is_born(const struct consumer *consumer)
{
    return consumer->writing.told_first == CONSUMER_FIRST || !consumer->writing.journal;
}

/* The configuration has changed. */
void consumer_write_config(struct consumer *consumer);

/* The log has a new step, which goes to the journal soon: together with what else happens within
 * some milliseconds, unless somebody waits for it. */
void consumer_changed(struct consumer *consumer);

/* Asks for `settled` when what was done last is durable. */
void consumer_note_settled(struct consumer *consumer, uint64_t seq);

/* ---- consumer_dead.c ---- */

/* The message has failed for good. */
void consumer_die(struct consumer *consumer, struct pending *one, bool exceeded,
                  struct bytes reason);

/* Buries what is in the graves. */
void consumer_bury(struct io_task *task);

/* The consumer closes: what is not under way to the dead-letter stream is left to the next start.
 */
void consumer_letters_stop(struct consumer *consumer);
void consumer_letters_free(struct consumer *consumer);

/* ---- consumer_local.c ---- */

void consumer_local_settled(struct consumer *consumer, uint64_t seq);

/* Whether its state is not written to the disk: so it was asked for, or its stream is not either.
 */
static inline bool consumer_in_memory(const struct consumer *consumer)
{
    return consumer->config->mem_storage || consumer->stream->in_memory;
}

#endif
