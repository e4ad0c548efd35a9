#include "mesh/events.h"

#include "base/arena.h"
#include "base/map.h"
#include "base/timestamp.h"
#include "wire/nats.h"

#include <stdio.h>
#include <stdlib.h>

/* Waits after the first, second, ... failed delivery; the last repeats. */
static const uint32_t backoff_ms[] = {200, 1000, 5000, 15000, 30000, 60000};

struct events {
    struct callers *callers;
    struct log *log;
    struct queue *queue;
    struct arena arena; /* holds the config's texts */
    struct events_config config;
    struct list deliveries;
    char path[EVENTS_PATH_MAX]; /* of the config; may change */
};

/* Longer than the longest timeout of a subscription: an event is not delivered again while a
 * service still works at it. */
enum { ACK_WAIT_MS = 2 * 60 * 60 * 1000 };

/* One delivery under way, with the texts of its head. */
struct posted {
    struct list link;
    struct events *events;
    struct message *message;
    struct call *call;
    uint64_t seq;
    uint32_t number; /* of this attempt, from 1 */
    char id[64], source[256], time[TIMESTAMP_TEXT], attempt[16];
};

static void posted_free(struct posted *posted)
{
    list_remove(&posted->link);
    message_unref(posted->message);
    free(posted);
}

/* Before the delivery that follows delivery `number` (from 1). */
static uint32_t wait_ms(uint32_t number)
{
    size_t last = sizeof backoff_ms / sizeof *backoff_ms - 1;
    size_t before = number ? number - 1 : 0;
    return backoff_ms[before < last ? before : last];
}

static void settle(struct posted *posted, int result, int status)
{
    struct events *events = posted->events;
    bool taken = !result && status >= 200 && status < 300;
    if (!taken)
        LOG(events->log, LOG_WARN, "event_not_taken", LOG_B("service", events->config.service),
            LOG_B("subject", posted->message->subject), LOG_U("seq", posted->seq),
            LOG_S("attempt", posted->attempt), LOG_I("status", status), LOG_ERR(result));
    int err;
    if (taken)
        err = queue_ack(events->queue, posted->seq);
    else if (posted->number >= events->config.attempts)
        err = queue_term(events->queue, posted->seq, BYTES("max_deliver"));
    else
        err = queue_nak(events->queue, posted->seq, wait_ms(posted->number));
    /* Not pending any more: its time ran out, and it is delivered again anyway. */
    if (err && err != ERR_NOT_FOUND)
        LOG(events->log, LOG_ERROR, "event_not_settled", LOG_U("seq", posted->seq), LOG_ERR(err));
    queue_want(events->queue, 1);
}

static void call_ended(void *context, int result, int status, struct bytes type, struct bytes body)
{
    struct posted *posted = context;
    settle(posted, result, status);
    posted_free(posted);
}

static struct bytes header(const struct message *message, struct bytes name)
{
    struct bytes value;
    return nats_headers_get(message->headers, name, &value) == 0 ? value : BYTES("");
}

/* The media type of an event that does not say: JSON when it looks like it. */
static struct bytes content_type(const struct message *message)
{
    struct bytes type = header(message, BYTES("Content-Type"));
    if (type.len) return type;
    struct bytes payload = bytes_trim(message->payload);
    bool json = payload.len && (payload.data[0] == '{' || payload.data[0] == '[');
    return json ? BYTES("application/json") : BYTES("application/octet-stream");
}

static int post(struct posted *posted)
{
    struct events *events = posted->events;
    const struct message *message = posted->message;
    struct call_request request = {
        .service = events->config.service,
        .path = events->config.path,
        .body = message->payload,
        .timeout_ms = events->config.timeout_ms,
        .fields =
            {
                {BYTES("ce-specversion"), BYTES("1.0")},
                {BYTES("ce-id"), bytes_str(posted->id)},
                {BYTES("ce-source"), bytes_str(posted->source)},
                {BYTES("ce-type"), message->subject},
                {BYTES("ce-time"), bytes_str(posted->time)},
                {BYTES("ce-dureattempt"), bytes_str(posted->attempt)},
                {BYTES("Content-Type"), content_type(message)},
                /* The same event may come twice; the same id says that it is the same. */
                {BYTES("Idempotency-Key"), bytes_str(posted->id)},
            },
        .field_count = 8,
    };
    struct bytes trace = message_trace(message);
    if (trace.len)
        request.fields[request.field_count++] = (struct call_field){BYTES("traceparent"), trace};
    return call_start(events->callers, &request, call_ended, posted, &posted->call);
}

static void describe(struct posted *posted, const struct queue_delivery *delivery)
{
    struct bytes id = header(&delivery->message, BYTES("Nats-Msg-Id"));
    if (id.len && id.len < sizeof posted->id)
        snprintf(posted->id, sizeof posted->id, "%.*s", BYTES_ARG(id));
    else
        snprintf(posted->id, sizeof posted->id, "%llu", (unsigned long long)delivery->seq);
    snprintf(posted->source, sizeof posted->source, "/dure/%.*s",
             BYTES_ARG(bytes_head(posted->events->config.system, 200)));
    snprintf(posted->attempt, sizeof posted->attempt, "%u", delivery->attempt);
    timestamp_format(delivery->time_ns, posted->time);
    posted->seq = delivery->seq;
    posted->number = delivery->attempt;
}

static void deliver(void *context, const struct queue_delivery *delivery)
{
    struct events *events = context;
    struct posted *posted = calloc(1, sizeof *posted);
    struct message borrowed = delivery->message;
    if (posted) posted->message = message_ref(&borrowed);
    message_done(&borrowed);
    if (!posted || !posted->message) {
        free(posted);
        queue_nak(events->queue, delivery->seq, wait_ms(delivery->attempt));
        queue_want(events->queue, 1);
        return;
    }
    posted->events = events;
    list_push(&events->deliveries, &posted->link);
    describe(posted, delivery);
    int err = post(posted);
    if (err) call_ended(posted, err, 0, BYTES(""), BYTES(""));
}

int events_update(struct events *events, const struct events_config *config)
{
    if (config->path.len >= sizeof events->path) return ERR_TOO_BIG;
    snprintf(events->path, sizeof events->path, "%.*s", BYTES_ARG(config->path));
    events->config.path = bytes_str(events->path);
    events->config.attempts = config->attempts;
    events->config.timeout_ms = config->timeout_ms;
    return 0;
}

int events_open(struct messaging *messaging, const char *stream, struct callers *callers,
                struct log *log, const struct events_config *config, struct events **ret_events,
                struct error *error)
{
    struct events *events = calloc(1, sizeof *events);
    if (!events) return error_set(error, ERR_NOMEM, "out of memory");
    events->callers = callers;
    events->log = log;
    list_init(&events->deliveries);
    arena_init(&events->arena, 64 * 1024);
    events->config = *config;
    events->config.system = arena_bytes(&events->arena, config->system);
    events->config.service = arena_bytes(&events->arena, config->service);
    events->config.subject = arena_bytes(&events->arena, config->subject);
    int err = events_update(events, config);
    const char *name = arena_format(&events->arena, "%.*s_%016llx", BYTES_ARG(config->service),
                                    (unsigned long long)map_hash(config->subject));
    const struct queue_config queue = {
        .stream = stream,
        .name = name,
        .filter = events->config.subject.data,
        /* Attempts are counted here, where their number may change; the queue's own limits are
         * for a message that never comes to its end. */
        .ack_wait_ms = ACK_WAIT_MS,
        .max_deliver = EVENTS_ATTEMPTS_MAX,
        .max_ack_pending = 4 * EVENTS_IN_FLIGHT_MAX,
    };
    if (events->arena.failed) err = ERR_NOMEM;
    if (err)
        error_set(error, err, "cannot deliver to %.*s: %s", BYTES_ARG(config->path), err_text(err));
    else
        err = queue_open(messaging, &queue, deliver, events, &events->queue, error);
    if (err) {
        arena_release(&events->arena);
        free(events);
        return err;
    }
    queue_want(events->queue, EVENTS_IN_FLIGHT_MAX);
    *ret_events = events;
    return 0;
}

void events_when_open(struct events *events, void (*opened)(void *context), void *context)
{
    queue_when_open(events->queue, opened, context);
}

void events_close(struct events *events, void (*done)(void *context), void *context)
{
    if (!events) {
        if (done) done(context);
        return;
    }
    LIST_EACH(&events->deliveries, struct posted, link, posted) {
        call_cancel(posted->call);
        posted_free(posted);
    }
    queue_close(events->queue, done, context);
    arena_release(&events->arena);
    free(events);
}
