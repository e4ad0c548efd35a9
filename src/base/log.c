#include "base/log.h"

#include "base/jsonw.h"
#include "base/timestamp.h"

enum { LOG_LINE_MAX = 16 * 1024 };

const char *log_level_name(enum log_level level)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    return names[level];
}

void log_event(struct log *log, enum log_level level, const char *event,
               const struct log_field *fields)
{
    if (!log || level < log->level) return;
    struct buf line;
    buf_init(&line, LOG_LINE_MAX);
    char time[TIMESTAMP_TEXT];
    timestamp_format(log->wall_ns(log->context), time);
    struct jsonw json;
    jsonw_init(&json, &line);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "time", time);
    jsonw_cstr(&json, "level", log_level_name(level));
    jsonw_cstr(&json, "event", event);
    for (const struct log_field *field = fields; field->type != LOG_FIELD_END; field++) {
        if (field->type == LOG_FIELD_STR) jsonw_str(&json, field->key, field->str);
        if (field->type == LOG_FIELD_U64) jsonw_u64(&json, field->key, field->u64);
        if (field->type == LOG_FIELD_I64) jsonw_i64(&json, field->key, field->i64);
    }
    jsonw_object_end(&json);
    buf_append_char(&line, '\n');
    if (line.failed || !log->sink(log->context, level, buf_bytes(&line))) log->dropped++;
    buf_release(&line);
}
