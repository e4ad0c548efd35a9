/* Error documents (RFC 9457): what happened, in words, and what is known of the request as members,
 * so that the reader of a log or a caller's screen can find the place. At the edge nothing is said
 * of addresses. */
#include "proxy/request.h"

#include "base/jsonw.h"
#include "wire/http1_write.h"

#include <stdio.h>

enum { PROBLEM_MAX = 8192, DETAIL_MAX = 640 };

static void write_members(const struct request *r, struct jsonw *json, struct bytes nearest)
{
    uint64_t elapsed_ns = io_now_ns(r->proxy->io) - r->begin_ns;
    if (nearest.len) jsonw_str(json, "nearest", nearest);
    if (r->route) jsonw_str(json, "route", r->route->name);
    if (r->cluster) {
        jsonw_str(json, "service", r->cluster->name);
        jsonw_u64(json, "endpoints", r->cluster->endpoint_count);
    }
    if (r->endpoint && r->side == PROXY_INTERNAL) jsonw_str(json, "endpoint", r->endpoint->address);
    if (r->attempts) jsonw_u64(json, "attempts", r->attempts);
    if (r->wait_ns) jsonw_u64(json, "waited_ms", r->wait_ns / 1000000);
    jsonw_u64(json, "elapsed_ms", elapsed_ns / 1000000);
    jsonw_cstr(json, "error", err_name(r->error));
    char trace_id[32];
    trace_id_format(&r->trace.id, trace_id);
    jsonw_str(json, "trace", bytes_make(trace_id, sizeof trace_id));
}

void problem_send(struct request *r, int status, struct bytes detail, struct bytes nearest)
{
    r->state = REQUEST_ANSWERED;
    r->status = status;
    struct buf body;
    struct jsonw json;
    buf_init(&body, PROBLEM_MAX);
    jsonw_init(&json, &body);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "type", "about:blank");
    jsonw_str(&json, "title", http1_reason(status));
    jsonw_u64(&json, "status", (uint64_t)status);
    jsonw_str(&json, "detail", detail);
    write_members(r, &json, nearest);
    jsonw_object_end(&json);

    http_head_response(&r->down->out, status);
    if (status == 503) http_head_add(&r->down->out, BYTES("Retry-After"), BYTES("1"));
    http_respond(r->down, status, BYTES("application/problem+json"),
                 body.failed ? BYTES("") : buf_bytes(&body));
    buf_release(&body);
}

/* "2 known: 1 starting, 1 down" */
static void describe_endpoints(const struct request *r, struct buf *out)
{
    struct pick_census census = pick_count(r->generation, r->cluster, io_now_ns(r->proxy->io));
    if (!census.endpoints) {
        buf_append_str(out, "it has no instances");
        return;
    }
    const struct {
        uint32_t count;
        const char *text;
    } parts[] = {{census.starting, "starting"},
                 {census.down, "failing their health check"},
                 {census.draining, "leaving"},
                 {census.full, "with all their connections in use"},
                 {census.ejected, "ejected after failures"}};
    buf_append_format(out, "of %u", census.endpoints);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].count) buf_append_format(out, ", %u %s", parts[i].count, parts[i].text);
}

static void describe(const struct request *r, int error, struct buf *out)
{
    uint64_t elapsed_ms = (io_now_ns(r->proxy->io) - r->begin_ns) / 1000000;
    buf_append_format(out, "Service \"%.*s\" ", BYTES_ARG(r->cluster->name));
    switch (error) {
    case ERR_UNAVAILABLE:
        buf_append_str(out, "has no usable instance: ");
        describe_endpoints(r, out);
        buf_append_format(out, "; waited %lu ms", (unsigned long)(r->wait_ns / 1000000));
        break;
    case ERR_FULL:
        buf_append_str(out, "cannot take more: too many requests wait for it already; ");
        describe_endpoints(r, out);
        break;
    case ERR_TIMEOUT:
        buf_append_format(out, "did not answer in time: gave up after %lu ms",
                          (unsigned long)elapsed_ms);
        break;
    case ERR_NOMEM: buf_append_str(out, "could not be called: out of memory"); break;
    default:
        buf_append_format(out, "failed: %s, after %lu ms", err_text(error),
                          (unsigned long)elapsed_ms);
    }
    if (r->attempts)
        buf_append_format(out, " and %u attempt%s", r->attempts, r->attempts == 1 ? "" : "s");
    if (r->endpoint && r->side == PROXY_INTERNAL)
        buf_append_format(out, ", the last at %.*s", BYTES_ARG(r->endpoint->address));
    buf_append_char(out, '.');
}

void problem_send_error(struct request *r, int error)
{
    struct buf detail;
    buf_init(&detail, DETAIL_MAX);
    if (r->cluster)
        describe(r, error, &detail);
    else
        buf_append_format(&detail, "The request could not be taken: %s.", err_text(error));
    problem_send(r, err_http_status(error), buf_bytes(&detail), BYTES(""));
    buf_release(&detail);
}
