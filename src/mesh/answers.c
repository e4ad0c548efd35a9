#include "mesh/answers.h"

#include "base/arena.h"
#include "wire/nats.h"

#include <stdio.h>
#include <stdlib.h>

struct answers {
    struct messaging *messaging;
    struct callers *callers;
    struct log *log;
    struct messaging_subscription *subscription;
    struct arena arena; /* holds the config's texts */
    struct answers_config config;
    struct list asked;
    size_t in_flight;
    char path[ANSWERS_PATH_MAX]; /* of the config; may change */
};

struct asked {
    struct list link;
    struct answers *answers;
    struct message *message;
    struct call *call;
};

static void reply(struct answers *answers, struct bytes subject, int status, struct bytes type,
                  struct bytes body)
{
    if (!subject.len) return; /* published, not asked: nobody waits */
    struct buf headers;
    buf_init(&headers, 4096);
    nats_headers_begin(&headers, 0, NULL);
    if (type.len) nats_headers_add(&headers, BYTES("Content-Type"), type);
    if (status >= 400) {
        char code[8];
        int len = snprintf(code, sizeof code, "%d", status);
        nats_headers_add(&headers, BYTES("Nats-Service-Error-Code"), bytes_make(code, (size_t)len));
        nats_headers_add(&headers, BYTES("Nats-Service-Error"), BYTES("the service refused it"));
    }
    nats_headers_end(&headers);
    struct message message = message_borrow(subject, BYTES(""), buf_bytes(&headers), body);
    int result = headers.failed ? ERR_NOMEM : messaging_publish(answers->messaging, &message);
    message_done(&message);
    buf_release(&headers);
    if (result < 0)
        LOG(answers->log, LOG_WARN, "answer_lost", LOG_B("subject", answers->config.subject),
            LOG_ERR(result));
}

static void asked_free(struct asked *asked)
{
    list_remove(&asked->link);
    asked->answers->in_flight--;
    message_unref(asked->message);
    free(asked);
}

static void call_ended(void *context, int result, int status, struct bytes type, struct bytes body)
{
    struct asked *asked = context;
    if (result) {
        status = err_http_status(result);
        body = bytes_str(err_text(result));
        type = BYTES("text/plain");
    }
    reply(asked->answers, asked->message->reply, status, type, body);
    asked_free(asked);
}

static struct bytes header(const struct message *message, struct bytes name, struct bytes fallback)
{
    struct bytes value;
    return nats_headers_get(message->headers, name, &value) == 0 ? value : fallback;
}

static int forward(struct answers *answers, struct asked *asked)
{
    const struct message *message = asked->message;
    struct call_request request = {
        .service = answers->config.service,
        .path = answers->config.path,
        .body = message->payload,
        .timeout_ms = answers->config.timeout_ms,
    };
    struct bytes trace = message_trace(message);
    struct bytes id = header(message, BYTES("Nats-Msg-Id"), BYTES(""));
    struct call_field *fields = request.fields;
    fields[request.field_count++] = (struct call_field){
        BYTES("Content-Type"), header(message, BYTES("Content-Type"), BYTES("application/json"))};
    fields[request.field_count++] = (struct call_field){BYTES("Dure-Subject"), message->subject};
    if (trace.len) fields[request.field_count++] = (struct call_field){BYTES("traceparent"), trace};
    if (id.len) fields[request.field_count++] = (struct call_field){BYTES("Idempotency-Key"), id};
    return call_start(answers->callers, &request, call_ended, asked, &asked->call);
}

static void asked_for(void *context, struct message *message)
{
    struct answers *answers = context;
    struct asked *asked =
        answers->in_flight < ANSWERS_IN_FLIGHT_MAX ? calloc(1, sizeof *asked) : NULL;
    struct message *kept = asked ? message_ref(message) : NULL;
    if (!kept) {
        free(asked);
        reply(answers, message->reply, 503, BYTES("text/plain"), BYTES("too many requests wait"));
        return;
    }
    *asked = (struct asked){.answers = answers, .message = kept};
    list_push(&answers->asked, &asked->link);
    answers->in_flight++;
    int err = forward(answers, asked);
    if (err) call_ended(asked, err, 0, BYTES(""), BYTES(""));
}

int answers_update(struct answers *answers, const struct answers_config *config)
{
    if (config->path.len >= sizeof answers->path) return ERR_TOO_BIG;
    snprintf(answers->path, sizeof answers->path, "%.*s", BYTES_ARG(config->path));
    answers->config.path = bytes_str(answers->path);
    answers->config.timeout_ms = config->timeout_ms;
    return 0;
}

int answers_open(struct messaging *messaging, struct callers *callers, struct log *log,
                 const struct answers_config *config, struct answers **ret_answers)
{
    struct answers *answers = calloc(1, sizeof *answers);
    if (!answers) return ERR_NOMEM;
    answers->messaging = messaging;
    answers->callers = callers;
    answers->log = log;
    list_init(&answers->asked);
    arena_init(&answers->arena, 64 * 1024);
    answers->config = (struct answers_config){
        .service = arena_bytes(&answers->arena, config->service),
        .subject = arena_bytes(&answers->arena, config->subject),
    };
    int err = answers->arena.failed ? ERR_NOMEM : answers_update(answers, config);
    if (!err)
        err = messaging_subscribe(messaging, config->subject, config->service, asked_for, answers,
                                  &answers->subscription);
    if (err)
        answers_close(answers);
    else
        *ret_answers = answers;
    return err;
}

void answers_close(struct answers *answers)
{
    if (!answers) return;
    messaging_unsubscribe(answers->subscription);
    LIST_EACH(&answers->asked, struct asked, link, asked) {
        call_cancel(asked->call);
        asked_free(asked);
    }
    arena_release(&answers->arena);
    free(answers);
}
