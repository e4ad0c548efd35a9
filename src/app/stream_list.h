/* stream_list: the streams (or consumers) of a bus, however many pages they come on. */
#ifndef DURE_APP_STREAM_LIST_H
#define DURE_APP_STREAM_LIST_H

#include "app/bus_client.h"

/* Calls `each` for every stream's StreamInfo (JetStream's JSON), in order of name, until it returns
 * another than 0. 0, what `each` returned, or an error of the SDK. */
int stream_list(struct dure_ctx *ctx,
                int (*each)(struct dure_ctx *ctx, void *argument, const struct dure_json *info),
                void *argument);

/* The same for a stream's consumers: ConsumerInfo. */
int consumer_list(struct dure_ctx *ctx, const char *stream,
                  int (*each)(struct dure_ctx *ctx, void *argument, const struct dure_json *info),
                  void *argument);

/* A nanosecond time of JetStream's JSON; 0: none. */
uint64_t json_time(const struct dure_json *json, const char *key);

/* "a, b" */
const char *json_joined(struct dure_ctx *ctx, const struct dure_json *array);

/* A question with the answer y or n; without a terminal --force has to be said. An exit code. */
int confirm(const char *command, bool force, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
