#include "base/log.h"

#include "base/json.h"
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
    struct json json;
    json_init(&json, &line);
    json_object(&json, NULL);
    json_cstr(&json, "time", time);
    json_cstr(&json, "level", log_level_name(level));
    json_cstr(&json, "event", event);
    for (const struct log_field *field = fields; field->type != LOG_FIELD_END; field++) {
        if (field->type == LOG_FIELD_STR) json_str(&json, field->key, field->str);
        if (field->type == LOG_FIELD_U64) json_u64(&json, field->key, field->u64);
        if (field->type == LOG_FIELD_I64) json_i64(&json, field->key, field->i64);
    }
    json_object_end(&json);
    buf_append_char(&line, '\n');
    if (line.failed || !log->sink(log->context, level, buf_bytes(&line))) log->dropped++;
    buf_release(&line);
}
