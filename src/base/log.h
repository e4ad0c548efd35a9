/* log: what happened, as events. One event per fact: a static name, key-value pairs, the trace id.
 * An event becomes one JSON line, handed whole to the sink. A sink that cannot take it returns
 * false; the event is then dropped and counted, never waited for.
 *
 *     LOG(log, LOG_WARN, "endpoint_ejected", LOG_S("service", name), LOG_U("failures", n));
 */
#ifndef DURE_BASE_LOG_H
#define DURE_BASE_LOG_H

#include "base/bytes.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log {
    enum log_level level; /* events below it cost one comparison */
    bool (*sink)(void *context, enum log_level level, struct bytes line); /* line ends with \n */
    uint64_t (*wall_ns)(void *context); /* time since 1970-01-01 UTC */
    void *context;
    uint64_t dropped;
};

struct log_field {
    const char *key;
    enum { LOG_FIELD_END, LOG_FIELD_STR, LOG_FIELD_U64, LOG_FIELD_I64 } type;
    struct bytes str;
    uint64_t u64;
    int64_t i64;
};

#define LOG_S(key, value) ((struct log_field){key, LOG_FIELD_STR, bytes_str(value), 0, 0})
#define LOG_B(key, value) ((struct log_field){key, LOG_FIELD_STR, value, 0, 0})
#define LOG_U(key, value) ((struct log_field){key, LOG_FIELD_U64, {0}, value, 0})
#define LOG_I(key, value) ((struct log_field){key, LOG_FIELD_I64, {0}, 0, value})
#define LOG_ERR(code) LOG_S("error", err_name(code))

/* Writes one event. `log` may be NULL: nothing is logged. The fields are LOG_S("key", cstr),
 * LOG_B("key", bytes), LOG_U("key", u64), LOG_I("key", i64), LOG_ERR(code). */
#define LOG(log, level, event, ...) \
    log_event(log, level, event, (struct log_field[]){__VA_ARGS__ __VA_OPT__(, ){0}})

void log_event(struct log *log, enum log_level level, const char *event,
               const struct log_field *fields);

const char *log_level_name(enum log_level level);

#endif
