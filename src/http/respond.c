/* respond: whole answers in one call, among them problem documents (RFC 9457). */
#include "base/jsonw.h"
#include "http/conn.h"
#include "http/server.h"
#include "wire/http1_write.h"

/* A detail may be all the mistakes of a system's manifests; escaped it is eight times as long at
 * most. */
enum { DETAIL_MAX = 64 * 1024, PROBLEM_MAX = 8 * DETAIL_MAX + 1024 };

void http_respond(struct http_exchange *x, int status, struct bytes content_type, struct bytes body)
{
    if (buf_len(&x->out.text) == 0 || x->out.status != status) http_head_response(&x->out, status);
    if (content_type.len) http_head_add(&x->out, BYTES("Content-Type"), content_type);
    http_head_add(&x->out, BYTES("Date"), http_date(x->http));
    /* A body that is not read by now never will be. */
    if (!x->received_all && !http_drainable(x)) x->close = true;
    if (http_send_head(x, body.len) != 0)
        http_abort(x);
    else if (!x->sent_last)
        http_write(x, body, true, NULL);
}

void http_problem(struct http_exchange *x, int status, const char *title, struct bytes detail,
                  struct bytes trace)
{
    struct buf body;
    struct jsonw json;
    buf_init(&body, PROBLEM_MAX);
    jsonw_init(&json, &body);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "type", "about:blank");
    jsonw_str(&json, "title", title ? bytes_str(title) : http1_reason(status));
    jsonw_u64(&json, "status", (uint64_t)status);
    if (detail.len) jsonw_str(&json, "detail", bytes_head(detail, DETAIL_MAX));
    if (trace.len) jsonw_str(&json, "trace", bytes_head(trace, 64));
    jsonw_object_end(&json);
    http_respond(x, status, BYTES("application/problem+json"),
                 body.failed ? BYTES("") : buf_bytes(&body));
    buf_release(&body);
}

static void refuse_malformed(struct http_exchange *x, struct bytes trace)
{
    struct buf detail;
    bool in_body = x->parser.error == HTTP1_OK;
    enum http1_error error = in_body ? x->chunked.error : x->parser.error;
    buf_init(&detail, DETAIL_MAX);
    buf_append_str(&detail, http1_error_text(error));
    if (in_body)
        buf_append_str(&detail, " (in the request's body)");
    else
        buf_append_format(&detail, " (at byte %zu of the request)", x->parser.error_at);
    http_problem(x, http1_error_status(error), NULL, detail.failed ? BYTES("") : buf_bytes(&detail),
                 trace);
    buf_release(&detail);
}

void http_refuse(struct http_exchange *x, int error, struct bytes trace)
{
    x->close = true;
    if (x->head_sent)
        http_abort(x);
    else if (error == ERR_PROTOCOL)
        refuse_malformed(x, trace);
    else if (error == ERR_TOO_BIG)
        http_problem(x, 413, NULL, BYTES("the request's body is larger than this server takes"),
                     trace);
    else if (error == ERR_TIMEOUT)
        http_problem(x, 408, NULL, BYTES("the rest of the request did not come in time"), trace);
    else
        http_problem(x, err_http_status(error), NULL, bytes_str(err_text(error)), trace);
}
