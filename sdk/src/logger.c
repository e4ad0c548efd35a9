#include "sdk/src/logger.h"

#include "base/jsonw.h"
#include "base/timestamp.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

static const char *const levels[] = {"debug", "info", "warn", "error"};

void logger_init(struct logger *logger)
{
    const char *wanted = getenv("DURE_LOG");
    *logger = (struct logger){.level = DURE_INFO};
    for (int i = 0; wanted && i <= DURE_ERROR; i++)
        if (strcmp(wanted, levels[i]) == 0) logger->level = (enum dure_log_level)i;
}

/* Whole or not at all: never waits. */
static bool write_line(struct bytes line)
{
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&out, 1, 0) != 1 || !(out.revents & POLLOUT)) return false;
    ssize_t written;
    do written = write(STDERR_FILENO, line.data, line.len);
    while (written < 0 && errno == EINTR);
    return written == (ssize_t)line.len;
}

static void put_fields(struct jsonw *json, const struct dure_field *fields)
{
    for (const struct dure_field *field = fields; field && field->key; field++) {
        if (field->type == 'i')
            jsonw_i64(json, field->key, field->integer);
        else if (field->type == 'f')
            jsonw_double(json, field->key, field->number);
        else if (field->text)
            jsonw_str(json, field->key, bytes_head(bytes_str(field->text), LOGGER_TEXT_MAX));
        else
            jsonw_null(json, field->key);
    }
}

static void write_event(struct logger *logger, const struct tenant *tenant, struct dure_ctx *ctx,
                        enum dure_log_level level, const char *event,
                        const struct dure_field *fields)
{
    char time[TIMESTAMP_TEXT], room[LOGGER_LINE_MAX];
    struct buf line = {.data = room, .size = sizeof room, .max = sizeof room};
    struct jsonw json;
    timestamp_format(loop_wall_ns(), time);
    jsonw_init(&json, &line);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "time", time);
    jsonw_cstr(&json, "level", levels[level]);
    jsonw_cstr(&json, "event", event);
    if (tenant) jsonw_cstr(&json, "service", tenant->name);
    if (ctx) jsonw_cstr(&json, "trace_id", dure_trace_id(ctx));
    if (ctx) jsonw_cstr(&json, "span_id", dure_span_id(ctx));
    put_fields(&json, fields);
    if (logger->dropped) jsonw_u64(&json, "dropped_before", logger->dropped);
    jsonw_object_end(&json);
    buf_append_char(&line, '\n');
    if (line.failed || !write_line(buf_bytes(&line)))
        logger->dropped++;
    else
        logger->dropped = 0;
}

void logger_event(struct host *host, const struct tenant *tenant, enum dure_log_level level,
                  const char *event, const struct dure_field *fields)
{
    if (level >= host->logger->level) write_event(host->logger, tenant, NULL, level, event, fields);
}

void dure_log_fields(struct dure_ctx *ctx, enum dure_log_level level, const char *event,
                     const struct dure_field *fields)
{
    struct logger *logger = ctx->tenant->host->logger;
    if (level > DURE_ERROR || level < logger->level) return;
    write_event(logger, ctx->tenant, ctx, level, event, fields);
}
