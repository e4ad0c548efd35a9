/* logger: one JSON line per event on stderr. A line is at most LOGGER_LINE_MAX bytes, which a pipe
 * takes whole or not at all; one that stderr does not take at once is dropped, and the next line
 * says how many were. */
#ifndef DURE_SDK_LOGGER_H
#define DURE_SDK_LOGGER_H

#include "sdk/src/ctx.h"

enum { LOGGER_LINE_MAX = 4096, LOGGER_TEXT_MAX = 1024 };

struct logger {
    enum dure_log_level level;
    uint64_t dropped;
};

/* The level comes from $DURE_LOG. */
void logger_init(struct logger *logger);

/* An event of the host itself; `tenant` may be NULL. Fields as for dure_log(). */
void logger_event(struct host *host, const struct tenant *tenant, enum dure_log_level level,
                  const char *event, const struct dure_field *fields);

#define LOGGER(host, tenant, level, event, ...) \
    logger_event(host, tenant, level, event,    \
                 (const struct dure_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})

#endif
