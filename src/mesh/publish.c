#include "mesh/publish.h"

#include "bus/subject.h"
#include "base/jsonw.h"
#include "mesh/body.h"
#include "wire/nats.h"
#include "wire/yaml.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { HEADERS_MAX = 8192, ACK_TIMEOUT_MS = 10000, ANSWER_TIMEOUT_MS = 10000 };

/* One POST: first its body is read, then it is on the bus. */
struct posting {
    struct body body;
    struct publish_context *context;
    struct http_exchange *x;
    struct messaging_request request;
    struct messaging_store store;
    struct message *message; /* to be stored, or told if no stream takes it */
    struct buf headers;
    struct bytes subject; /* view of x->in */
    uint32_t timeout_ms;
    bool asks;             /* an answer is wanted, not only to be stored */
    bool waiting, storing; /* on the bus */
};

static void posting_free(struct posting *posting)
{
    if (posting->waiting) messaging_request_cancel(&posting->request);
    if (posting->storing) messaging_store_cancel(&posting->store);
    message_unref(posting->message);
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

static void acknowledge(struct posting *posting, const struct puback *ack)
{
    struct buf text;
    struct jsonw json;
    buf_init(&text, 1024);
    jsonw_init(&json, &text);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "stream", ack->stream);
    jsonw_u64(&json, "seq", ack->seq);
    if (ack->duplicate) jsonw_bool(&json, "duplicate", true);
    jsonw_object_end(&json);
    http_respond(posting->x, 200, BYTES("application/json"), buf_bytes(&text));
    buf_release(&text);
}

static void late(struct posting *posting, const char *what)
{
    problem(posting, 504, "no %s to %.*s within %u ms", what, BYTES_ARG(posting->subject),
            posting->timeout_ms);
}

static void replied(struct messaging_request *request, int result, struct message *reply)
{
    struct posting *posting = CONTAINER_OF(request, struct posting, request);
    posting->waiting = false;
    if (result == ERR_UNAVAILABLE)
        problem(posting, 503, "nobody answers requests to %.*s", BYTES_ARG(posting->subject));
    else if (result == ERR_TIMEOUT)
        late(posting, "answer");
    else if (result)
        problem(posting, err_http_status(result), "%s", err_text(result));
    else
        answer(posting, reply);
}

/* Not durable: whoever listens now. */
static void tell(struct posting *posting)
{
    struct messaging *messaging = posting->context->messaging;
    int deliveries = messaging_publish(messaging, posting->message);
    if (deliveries < 0) {
        problem(posting, err_http_status(deliveries), "%s", err_text(deliveries));
        return;
    }
    bool knows = messaging_status(messaging).embedded;
    if (deliveries == 0 && knows) {
        problem(posting, 404,
                "nobody stores or listens to %.*s; a durable subject stands under "
                "`publishes` or `subscribes` of a service.yaml",
                BYTES_ARG(posting->subject));
        return;
    }
    char text[48] = "{}";
    if (knows) snprintf(text, sizeof text, "{\"deliveries\":%d}", deliveries);
    http_respond(posting->x, 202, BYTES("application/json"), bytes_str(text));
}

static void stored(struct messaging_store *store, int result)
{
    struct posting *posting = CONTAINER_OF(store, struct posting, store);
    const struct puback *ack = &store->ack;
    posting->storing = false;
    if (result == ERR_NOT_FOUND)
        tell(posting);
    else if (!result)
        acknowledge(posting, ack);
    else if (ack->code)
        problem(posting, ack->code >= 400 && ack->code <= 599 ? ack->code : 500,
                "the stream refused it: %s", ack->description);
    else if (result == ERR_TIMEOUT)
        late(posting, "acknowledgement");
    else
        problem(posting, err_http_status(result), "%s", err_text(result));
}

static int ask(struct posting *posting, struct message *message)
{
    int err = messaging_ask(posting->context->messaging, &posting->request, message,
                            posting->timeout_ms, replied);
    posting->waiting = !err;
    return err;
}

static int keep(struct posting *posting, struct message *message)
{
    posting->message = message_ref(message);
    if (!posting->message) return ERR_NOMEM;
    int err = messaging_store(posting->context->messaging, &posting->store, posting->message,
                              posting->timeout_ms, stored);
    posting->storing = !err;
    return err;
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
    int err;
    if (posting->headers.failed)
        err = ERR_TOO_BIG;
    else
        err = posting->asks ? ask(posting, &message) : keep(posting, &message);
    message_done(&message);
    if (err == ERR_UNREACHABLE)
        problem(posting, 503, "the bus cannot be reached: %s",
                messaging_status(posting->context->messaging).client.reason);
    else if (err)
        problem(posting, err_http_status(err), "%s", err_text(err));
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
