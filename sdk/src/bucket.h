/* bucket: what buckets of values (kv) and of files (object) share: a name, a stream under it, and
 * watching, which tells when all that was there has been told. */
#ifndef DURE_SDK_BUCKET_H
#define DURE_SDK_BUCKET_H

#include "sdk/src/ctx.h"

#include <jansson.h>

enum { BUCKET_NAME_MAX = 200, BUCKET_STREAM = BUCKET_NAME_MAX + 8 };

bool bucket_char_valid(char c);
bool bucket_name_valid(const char *bucket);

/* What both say when they are made; a limit of 0: none. */
struct bucket_config {
    const char *description;
    int64_t ttl_ms, max_bytes;
    int replicas;
    bool memory;
};

/* The stream's configuration, to be added to. */
json_t *bucket_stream_config(const char *stream, const struct bucket_config *config);

/* $JS.API.STREAM.<verb>.<stream>, as api_request(); fails in words of buckets. */
int bucket_request(struct dure_ctx *ctx, const char *verb, const char *stream, json_t *request,
                   json_t **ret_answer);

/* `err`, in words of buckets: what is no stream to the server is no bucket to our callers. */
int bucket_failed(struct dure_ctx *ctx, int err);

/* The reader belongs to the ctx, too: it is closed by whoever comes first. */
struct bucket_watch {
    struct dure_reader *reader;
    bool caught_up, told; /* all that was there has been given; and that has been said */
};

int bucket_watch_open(struct dure_ctx *ctx, const struct dure_reader_options *options,
                      struct bucket_watch *ret_watch);

/* 1: *ret_message; 0, once: that was all that was there; or an error. */
int bucket_watch_next(struct bucket_watch *watch, int64_t timeout_ms,
                      struct dure_message *ret_message);

#endif
