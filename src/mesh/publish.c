#include "mesh/publish.h"

#include "bus/bus.h"
#include "bus/subject.h"
#include "mesh/body.h"
#include "wire/nats.h"
#include "wire/yaml.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADERS_MAX = 8192, ACK_TIMEOUT_MS = 10000, ANSWER_TIMEOUT_MS = 10000 };

/* One POST: first its body is read, then it is on the bus. */
struct posting {
    struct body body;
    struct publish_context *context;
    struct http_exchange *x;
    struct bus_request request;
    struct buf headers;
    struct bytes subject; /* view of x->in */
    uint32_t timeout_ms;
    bool asks;    /* an answer is wanted, not only to be stored */
    bool waiting; /* on the bus */
};

static void posting_free(struct posting *posting)
{
    if (posting->waiting) bus_request_cancel(&posting->request);
    body_release(&posting->body);
    buf_release(&posting->headers);
    free(posting);
}

static void exchange_closed(struct http_exchange *x, int result)
{
    posting_free(CONTAINER_OF((struct body *)x->context, struct posting, body));
}

static void problem(struct posting *posting, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void problem(struct posting *posting, int status, const char *format, ...)
{
    char detail[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    http_problem(posting->x, status, NULL, bytes_str(detail), BYTES(""));
}

/* ---- the message's headers ---- */

static void copy_header(struct posting *posting, const char *from, const char *to)
{
    struct bytes unused;
    if (nats_headers_get(buf_bytes(&posting->headers), bytes_str(to), &unused) == 0) return;
    const struct http1_header *header = http1_find_text(&posting->x->in, bytes_str(from));
    if (header && header->value.len)
        nats_headers_add(&posting->headers, bytes_str(to), header->value);
}

static void make_headers(struct posting *posting)
{
    buf_init(&posting->headers, HEADERS_MAX);
    nats_headers_begin(&posting->headers, 0, NULL);
    size_t empty = buf_len(&posting->headers);
    copy_header(posting, "Content-Type", "Content-Type");
    copy_header(posting, "traceparent", "traceparent");
    copy_header(posting, "tracestate", "tracestate");
    copy_header(posting, "Nats-Msg-Id", "Nats-Msg-Id");
    copy_header(posting, "Idempotency-Key", "Nats-Msg-Id");
    copy_header(posting, "ce-id", "Nats-Msg-Id");
    if (buf_len(&posting->headers) == empty)
        buf_clear(&posting->headers);
    else
        nats_headers_end(&posting->headers);
}

/* ---- what comes back ---- */

static void answer(struct posting *posting, const struct message *reply)
{
    struct bytes value;
    uint64_t status = 200;
    if (nats_headers_get(reply->headers, BYTES("Nats-Service-Error-Code"), &value) == 0)
        if (bytes_to_u64(value, 599, &status) != 0 || status < 400) status = 502;
    struct bytes type = BYTES("application/octet-stream");
    if (nats_headers_get(reply->headers, BYTES("Content-Type"), &value) == 0) type = value;
    http_respond(posting->x, (int)status, type, reply->payload);
}

/* A PubAck, or {"error":{"code":..,"description":".."}}: its code is an HTTP status. */
static void acknowledge(struct posting *posting, const struct message *reply)
{
    json_t *ack = json_loadb(reply->payload.data, reply->payload.len, 0, NULL);
    json_t *error = json_object_get(ack, "error");
    int code = (int)json_integer_value(json_object_get(error, "code"));
    if (error)
        problem(posting, code >= 400 && code <= 599 ? code : 500, "the stream refused it: %s",
                json_string_value(json_object_get(error, "description")));
    else
        http_respond(posting->x, ack ? 200 : 502, BYTES("application/json"), reply->payload);
    json_decref(ack);
}

static void replied(struct bus_request *request, int result, struct message *reply)
{
    struct posting *posting = CONTAINER_OF(request, struct posting, request);
    posting->waiting = false;
    if (result == ERR_UNAVAILABLE)
        problem(posting, 503, "nobody answers requests to %.*s", BYTES_ARG(posting->subject));
    else if (result == ERR_TIMEOUT)
        problem(posting, 504, "no answer to %.*s within %u ms", BYTES_ARG(posting->subject),
                posting->timeout_ms);
    else if (result)
        problem(posting, err_http_status(result), "%s", err_text(result));
    else if (posting->asks)
        answer(posting, reply);
    else
        acknowledge(posting, reply);
}

static int ask(struct posting *posting, struct message *message)
{
    int err = bus_request(posting->context->bus, &posting->request, message, posting->timeout_ms,
                          replied);
    posting->waiting = !err;
    return err;
}

/* Not durable: whoever listens now. */
static int tell(struct posting *posting, struct message *message)
{
    int deliveries = bus_publish(posting->context->bus, message);
    if (deliveries < 0) return deliveries;
    if (deliveries == 0) {
        problem(posting, 404,
                "nobody stores or listens to %.*s; a durable subject stands under "
                "`publishes` or `subscribes` of a service.yaml",
                BYTES_ARG(posting->subject));
        return 0;
    }
    char text[48];
    int len = snprintf(text, sizeof text, "{\"deliveries\":%d}", deliveries);
    http_respond(posting->x, 202, BYTES("application/json"), bytes_make(text, (size_t)len));
    return 0;
}

static void body_done(struct body *body, int result)
{
    struct posting *posting = CONTAINER_OF(body, struct posting, body);
    if (result == ERR_TOO_BIG) {
        problem(posting, 413, "a message may have %zu bytes at most",
                posting->context->max_payload);
        return;
    }
    if (result) {
        http_refuse(posting->x, result, BYTES(""));
        return;
    }
    make_headers(posting);
    struct message message = message_borrow(posting->subject, BYTES(""),
                                            buf_bytes(&posting->headers), buf_bytes(&body->bytes));
    bool durable = streams_capturing(posting->context->streams, posting->subject) != NULL;
    int err;
    if (posting->headers.failed)
        err = ERR_TOO_BIG;
    else
        err = posting->asks || durable ? ask(posting, &message) : tell(posting, &message);
    message_done(&message);
    if (err) problem(posting, err_http_status(err), "%s", err_text(err));
}

/* ---- the request ---- */

/* timeout=2s of the query, or the fallback; 0: it is not a duration. */
static uint32_t timeout_of(struct bytes query, uint32_t fallback_ms)
{
    while (query.len) {
        struct bytes value = bytes_cut(&query, '&');
        struct bytes key = bytes_cut(&value, '=');
        uint32_t timeout_ms;
        if (!bytes_eq(key, BYTES("timeout"))) continue;
        return yaml_duration_parse(value, &timeout_ms) == 0 ? timeout_ms : 0;
    }
    return fallback_ms;
}

static void begin(struct publish_context *context, struct http_exchange *x, const char *prefix,
                  bool asks)
{
    struct posting *posting = calloc(1, sizeof *posting);
    if (!posting) {
        http_problem(x, 503, NULL, BYTES("out of memory"), BYTES(""));
        return;
    }
    posting->context = context;
    posting->x = x;
    posting->asks = asks;
    posting->timeout_ms = timeout_of(x->in.query, asks ? ANSWER_TIMEOUT_MS : ACK_TIMEOUT_MS);
    posting->subject = bytes_skip(x->in.path, strlen(prefix) + 1);
    buf_init(&posting->body.bytes, 0);
    buf_init(&posting->headers, 0);
    x->context = &posting->body;
    x->closed = exchange_closed;
    if (x->in.method != HTTP1_POST)
        problem(posting, 405, "POST a message here, found %.*s", BYTES_ARG(x->in.method_name));
    else if (!subject_is_literal(posting->subject))
        problem(posting, 400, "'%.*s' is no subject: words divided by dots, without * and >",
                BYTES_ARG(posting->subject));
    else if (!posting->timeout_ms)
        problem(posting, 400, "timeout must be a duration such as 2s or 500ms");
    else
        body_read(&posting->body, x, context->max_payload, body_done);
}

void publish_handle(void *context, struct http_exchange *x)
{
    begin(context, x, PUBLISH_PREFIX, false);
}

void publish_handle_request(void *context, struct http_exchange *x)
{
    begin(context, x, REQUEST_PREFIX, true);
}
