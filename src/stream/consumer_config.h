/* consumer_config: what a consumer is to be, as a value: JetStream's ConsumerConfig. Checked, with
 * its defaults, copied, compared, and as JSON with the names that JetStream gives its fields.
 *
 * Times are nanoseconds. A field that is 0 (NULL, empty) has its default, which
 * consumer_config_copy() fills in. */
#ifndef DURE_STREAM_CONSUMER_CONFIG_H
#define DURE_STREAM_CONSUMER_CONFIG_H

#include "base/buf.h"
#include "stream/api_error.h"
#include "stream/stream.h"

enum consumer_deliver_policy {
    CONSUMER_DELIVER_ALL,              /* everything the stream holds */
    CONSUMER_DELIVER_LAST,             /* from the last message that matches */
    CONSUMER_DELIVER_NEW,              /* what comes after the consumer was made */
    CONSUMER_DELIVER_BY_START_SEQ,     /* from start_seq */
    CONSUMER_DELIVER_BY_START_TIME,    /* from start_time_ns */
    CONSUMER_DELIVER_LAST_PER_SUBJECT, /* the last message of each subject, then what is new */
};

enum consumer_ack_policy {
    CONSUMER_ACK_NONE,     /* delivered is done */
    CONSUMER_ACK_ALL,      /* an acknowledgement covers all that was delivered before */
    CONSUMER_ACK_EXPLICIT, /* each message by itself */
};

enum consumer_replay_policy { CONSUMER_REPLAY_INSTANT, CONSUMER_REPLAY_ORIGINAL };

enum consumer_priority_policy {
    CONSUMER_PRIORITY_NONE,
    CONSUMER_PRIORITY_OVERFLOW,
    CONSUMER_PRIORITY_PINNED_CLIENT,
    CONSUMER_PRIORITY_PRIORITIZED,
};

enum { CONSUMER_GROUPS_MAX = 16 };

/* How long one that is not durable outlives its use, unless it is told. */
#define CONSUMER_INACTIVE_NS INT64_C(5000000000)

struct consumer_config {
    const char *name;
    bool durable; /* durable_name is the name; else it goes when nobody has used it for a while */
    const char *description;

    enum consumer_deliver_policy deliver_policy;
    uint64_t start_seq;
    int64_t start_time_ns; /* wall clock */
    const char *const *filters;
    size_t filter_count;
    bool filter_list;  /* given as filter_subjects; else one at most, as filter_subject */
    bool both_filters; /* it was given one and a list of them, which is refused */
    enum consumer_replay_policy replay_policy;
    bool headers_only;

    enum consumer_ack_policy ack_policy;
    int64_t ack_wait_ns;       /* 0: 30 s, or the first of backoff_ns */
    int64_t max_deliver;       /* 0: -1, no end */
    const int64_t *backoff_ns; /* wait after attempt 1, 2, ...; the last repeats */
    size_t backoff_count;      /* 0: ack_wait_ns each time */
    int64_t max_ack_pending;   /* 0: 1000; -1: no limit; without meaning for ACK_NONE */
    const char *sample_freq;   /* per cent of acknowledgements that are reported, "100%" or "100" */

    /* pull */
    int64_t max_waiting;                          /* requests that may wait; 0: 512 */
    int64_t max_batch, max_expires_ns, max_bytes; /* of one request; 0: no limit */
    const char *const *priority_groups;
    size_t priority_group_count;
    enum consumer_priority_policy priority_policy;
    int64_t priority_timeout_ns; /* a pinned client that is silent so long loses its place */

    /* push: deliver_subject is set */
    const char *deliver_subject, *deliver_group;
    int64_t idle_heartbeat_ns;
    bool flow_control;
    uint64_t rate_limit_bps;

    int64_t inactive_threshold_ns; /* 0: 5 s when not durable, for ever when durable */
    int64_t pause_until_ns;        /* wall clock; 0: not paused */
    int64_t replicas;              /* as given; there is one */
    bool mem_storage;              /* its state is not written to the disk */
    bool direct;                   /* echoed only */
    const struct stream_pair *metadata;
    size_t metadata_count;
};

/* Metadata with this key and the value "off" switch the dead letters of a consumer off. */
#define CONSUMER_DEAD_LETTERS "dure.dead_letters"

/* A copy with the defaults filled in, in one piece that free() gives back; NULL: no memory. Those
 * of the stream (consumer_limits) come before ours; `stream` may be NULL. */
struct consumer_config *consumer_config_copy(const struct consumer_config *config,
                                             const struct stream_config *stream);

/* Whether it is a configuration that a consumer of this stream may have (`config` as it was asked
 * for, without defaults). ERR_INVALID; `refusal` says why. What depends on the stream's other
 * consumers is checked when the consumer is made. */
int consumer_config_check(const struct consumer_config *config, const struct stream_config *stream,
                          struct api_error *refusal);

/* Whether a consumer with the configuration `from` may become `to`, both with their defaults. What
 * depends on who listens (deliver_subject) is for the caller. ERR_INVALID as above. */
int consumer_config_may_become(const struct consumer_config *from, const struct consumer_config *to,
                               struct api_error *refusal);

/* Both with their defaults. */
bool consumer_config_equal(const struct consumer_config *a, const struct consumer_config *b);

/* Whether there is a subject that both filters let through. */
bool consumer_config_overlaps(const struct consumer_config *a, const struct consumer_config *b);

/* The value of a metadata key; NULL: none. */
const char *consumer_config_metadata(const struct consumer_config *config, const char *key);

/* The object, as member `key` of another one, or as a document (NULL). Fields without a value are
 * left out, as JetStream does. */
void consumer_config_encode(const struct consumer_config *config, struct jsonw *json,
                            const char *key);

struct arena;
struct json_t;

/* Reads a ConsumerConfig. It is good as long as `object` and `arena`. Unknown members are passed
 * over; nothing is checked or filled in. ERR_SYNTAX (10025: a member of the wrong type), ERR_NOMEM.
 */
int consumer_config_read(struct json_t *object, struct arena *arena,
                         struct consumer_config *ret_config, struct api_error *refusal);

/* Reads what _encode has written; a copy as above. ERR_CORRUPT, ERR_NOMEM. */
int consumer_config_decode(struct bytes json, struct consumer_config **ret_config);

#endif
