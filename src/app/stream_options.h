/* stream_options: the settings of streams and consumers as options of the command line, and as
 * JetStream's JSON. */
#ifndef DURE_APP_STREAM_OPTIONS_H
#define DURE_APP_STREAM_OPTIONS_H

#include "app/bus_client.h"

/* Metadata by which a stream of dure says how durable it is. */
#define STREAM_FSYNC "_dure.fsync"

struct stream_options {
    struct cli_list subjects;
    const char *description, *retention, *discard, *storage, *fsync, *compression;
    const char *max_messages, *max_bytes, *max_age, *max_size, *max_per_subject, *max_consumers;
    const char *duplicates, *replicas, *mirror;
    struct cli_list sources;
    bool no_direct, deny_delete, deny_purge, allow_rollup, allow_ttl;
};

/* How many options there are; `ret` has room for as many. */
enum { STREAM_OPTIONS = 22 };
void stream_options_list(struct stream_options *options, struct cli_option ret[STREAM_OPTIONS]);

/* Puts what was said into a stream's configuration. -1, and stderr was told what is wrong. */
int stream_options_apply(const struct stream_options *options, const char *command,
                         struct dure_ctx *ctx, struct dure_json *config);

struct consumer_options {
    struct cli_list filters;
    const char *description, *deliver, *ack, *ack_wait, *max_deliver, *max_pending, *inactive;
    struct cli_list backoff;
    bool headers_only;
};
enum { CONSUMER_OPTIONS = 10 };
void consumer_options_list(struct consumer_options *options,
                           struct cli_option ret[CONSUMER_OPTIONS]);
int consumer_options_apply(const struct consumer_options *options, const char *command,
                           struct dure_ctx *ctx, struct dure_json *config);

#endif
