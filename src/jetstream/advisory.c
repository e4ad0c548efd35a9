#include "jetstream/advisory.h"

#include "base/jsonw.h"
#include "base/timestamp.h"

#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 4 << 20, PER_TURN = 256, ID_LEN = 22, REQUEST_SHOWN = 64 << 10 };

struct item {
    struct list link;
    struct message *message;
};

/* ---- going out ------------------------------------------------------------------------------- */

static void publish(struct io_task *task)
{
    struct advisories *a = CONTAINER_OF(task, struct advisories, task);
    for (int i = 0; i < PER_TURN && !list_empty(&a->queue); i++) {
        struct item *item = CONTAINER_OF(list_pop(&a->queue), struct item, link);
        a->queued--;
        if (bus_publish(a->bus, item->message) >= 0)
            a->published++;
        else
            a->dropped++;
        message_unref(item->message);
        free(item);
    }
    if (!list_empty(&a->queue)) io_post(a->io, &a->task);
}

static void enqueue(struct advisories *a, struct message *message)
{
    struct item *item = a->queued < ADVISORY_QUEUE_MAX ? calloc(1, sizeof *item) : NULL;
    if (item) item->message = message_ref(message);
    if (!item || !item->message) {
        free(item);
        a->dropped++;
        return;
    }
    list_push(&a->queue, &item->link);
    a->queued++;
    io_post(a->io, &a->task);
}

void advisories_init(struct advisories *a, struct io *io, struct bus *bus)
{
    *a = (struct advisories){.io = io, .bus = bus};
    list_init(&a->queue);
    io_task_init(&a->task, publish);
}

void advisories_release(struct advisories *a)
{
    struct list *link;
    io_task_cancel(a->io, &a->task);
    while ((link = list_pop(&a->queue))) {
        struct item *item = CONTAINER_OF(link, struct item, link);
        message_unref(item->message);
        free(item);
    }
}

/* ---- writing one ----------------------------------------------------------------------------- */

struct draft {
    struct advisories *advisories;
    char subject[2 * STREAM_NAME_MAX + 80];
    struct buf text;
    struct jsonw json;
};

/* An id as clients make theirs: letters and digits. */
static void put_id(struct advisories *a, struct jsonw *json)
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    unsigned char random[ID_LEN];
    char id[ID_LEN + 1];
    io_random(a->io, random, sizeof random);
    for (size_t i = 0; i < ID_LEN; i++) id[i] = digits[random[i] % (sizeof digits - 1)];
    id[ID_LEN] = '\0';
    jsonw_cstr(json, "id", id);
}

/* Begins an advisory of this type, when somebody listens. `consumer` may be empty. */
static bool begin(struct draft *draft, struct advisories *a, const char *subject,
                  struct bytes stream, struct bytes consumer, const char *type)
{
    char time[TIMESTAMP_TEXT];
    int len = snprintf(draft->subject, sizeof draft->subject, "$JS.EVENT.%s%s%.*s%s%.*s", subject,
                       stream.len ? "." : "", BYTES_ARG(stream), consumer.len ? "." : "",
                       BYTES_ARG(consumer));
    if (!bus_has_interest(a->bus, bytes_make(draft->subject, (size_t)len))) return false;
    draft->advisories = a;
    buf_init(&draft->text, TEXT_MAX);
    jsonw_init(&draft->json, &draft->text);
    jsonw_object(&draft->json, NULL);
    jsonw_cstr(&draft->json, "type", type);
    put_id(a, &draft->json);
    timestamp_format_ns(io_wall_ns(a->io), time);
    jsonw_cstr(&draft->json, "timestamp", time);
    if (stream.len) jsonw_str(&draft->json, "stream", stream);
    if (consumer.len) jsonw_str(&draft->json, "consumer", consumer);
    return true;
}

static void end(struct draft *draft)
{
    jsonw_object_end(&draft->json);
    struct message message =
        message_borrow(bytes_str(draft->subject), BYTES(""), BYTES(""), buf_bytes(&draft->text));
    if (draft->text.failed)
        draft->advisories->dropped++;
    else
        enqueue(draft->advisories, &message);
    message_done(&message);
    buf_release(&draft->text);
}

/* ---- what there is to tell ------------------------------------------------------------------- */

static const char *const actions[] = {"create", "delete", "modify"};

void advisory_stream(struct advisories *a, enum advisory_action action, struct bytes stream)
{
    static const char *const subjects[] = {"ADVISORY.STREAM.CREATED", "ADVISORY.STREAM.DELETED",
                                           "ADVISORY.STREAM.UPDATED"};
    struct draft draft;
    if (!begin(&draft, a, subjects[action], stream, BYTES(""),
               "io.nats.jetstream.advisory.v1.stream_action"))
        return;
    jsonw_cstr(&draft.json, "action", actions[action]);
    end(&draft);
}

void advisory_consumer(struct advisories *a, enum advisory_action action, struct bytes stream,
                       struct bytes consumer)
{
    static const char *const subjects[] = {"ADVISORY.CONSUMER.CREATED", "ADVISORY.CONSUMER.DELETED",
                                           "ADVISORY.CONSUMER.UPDATED"};
    struct draft draft;
    if (!begin(&draft, a, subjects[action], stream, consumer,
               "io.nats.jetstream.advisory.v1.consumer_action"))
        return;
    jsonw_cstr(&draft.json, "action", actions[action]);
    end(&draft);
}

void advisory_pause(struct advisories *a, struct bytes stream, struct bytes consumer, bool paused,
                    uint64_t until_ns)
{
    struct draft draft;
    char time[TIMESTAMP_TEXT];
    if (!begin(&draft, a, "ADVISORY.CONSUMER.PAUSE", stream, consumer,
               "io.nats.jetstream.advisory.v1.consumer_pause"))
        return;
    timestamp_format_ns(until_ns, time);
    jsonw_bool(&draft.json, "paused", paused);
    jsonw_cstr(&draft.json, "pause_until", time);
    end(&draft);
}

void advisory_pinned(struct advisories *a, struct bytes stream, struct bytes consumer,
                     const char *group, struct bytes id, const char *reason)
{
    struct draft draft;
    bool pinned = id.len != 0;
    if (!begin(&draft, a, pinned ? "ADVISORY.CONSUMER.PINNED" : "ADVISORY.CONSUMER.UNPINNED",
               stream, consumer,
               pinned ? "io.nats.jetstream.advisory.v1.consumer_group_pinned"
                      : "io.nats.jetstream.advisory.v1.consumer_group_unpinned"))
        return;
    jsonw_cstr(&draft.json, "group", group);
    if (pinned)
        jsonw_str(&draft.json, "pinned_id", id);
    else
        jsonw_cstr(&draft.json, "reason", reason);
    end(&draft);
}

void advisory_message(struct advisories *a, struct bytes stream, struct bytes consumer,
                      const struct consumer_event *event)
{
    static const struct {
        const char *subject, *type;
    } kinds[] = {
        [CONSUMER_EVENT_ACKED] = {"METRIC.CONSUMER.ACK",
                                  "io.nats.jetstream.metric.v1.consumer_ack"},
        [CONSUMER_EVENT_NAKED] = {"ADVISORY.CONSUMER.MSG_NAKED",
                                  "io.nats.jetstream.advisory.v1.nak"},
        [CONSUMER_EVENT_TERMINATED] = {"ADVISORY.CONSUMER.MSG_TERMINATED",
                                       "io.nats.jetstream.advisory.v1.terminated"},
        [CONSUMER_EVENT_MAX_DELIVERIES] = {"ADVISORY.CONSUMER.MAX_DELIVERIES",
                                           "io.nats.jetstream.advisory.v1.max_deliver"},
    };
    struct draft draft;
    if (!begin(&draft, a, kinds[event->kind].subject, stream, consumer, kinds[event->kind].type))
        return;
    if (event->kind != CONSUMER_EVENT_MAX_DELIVERIES)
        jsonw_u64(&draft.json, "consumer_seq", event->consumer_seq);
    jsonw_u64(&draft.json, "stream_seq", event->stream_seq);
    if (event->kind == CONSUMER_EVENT_ACKED) jsonw_u64(&draft.json, "ack_time", event->delay_ns);
    jsonw_u64(&draft.json, "deliveries", event->attempts);
    if (event->kind == CONSUMER_EVENT_TERMINATED && event->reason.len)
        jsonw_str(&draft.json, "reason", event->reason);
    end(&draft);
}

static void put_time(struct jsonw *json, const char *key, uint64_t wall_ns)
{
    char time[TIMESTAMP_TEXT];
    timestamp_format_ns(wall_ns, time);
    jsonw_cstr(json, key, time);
}

void advisory_snapshot_began(struct advisories *a, const struct stream *stream)
{
    struct draft draft;
    struct stream_state state = stream_state(stream);
    if (!begin(&draft, a, "ADVISORY.STREAM.SNAPSHOT_CREATE", bytes_str(stream_config(stream)->name),
               BYTES(""), "io.nats.jetstream.advisory.v1.snapshot_create"))
        return;
    jsonw_object(&draft.json, "state");
    jsonw_u64(&draft.json, "messages", state.messages);
    jsonw_u64(&draft.json, "bytes", state.bytes);
    jsonw_u64(&draft.json, "first_seq", state.first_seq);
    jsonw_u64(&draft.json, "last_seq", state.last_seq);
    jsonw_object_end(&draft.json);
    end(&draft);
}

void advisory_snapshot_done(struct advisories *a, struct bytes stream, uint64_t began_ns,
                            const char *error)
{
    struct draft draft;
    if (!begin(&draft, a, "ADVISORY.STREAM.SNAPSHOT_COMPLETE", stream, BYTES(""),
               "io.nats.jetstream.advisory.v1.snapshot_complete"))
        return;
    put_time(&draft.json, "start", began_ns);
    put_time(&draft.json, "end", io_wall_ns(a->io));
    if (error) jsonw_cstr(&draft.json, "error", error);
    end(&draft);
}

void advisory_restore_began(struct advisories *a, struct bytes stream)
{
    struct draft draft;
    if (!begin(&draft, a, "ADVISORY.STREAM.RESTORE_CREATE", stream, BYTES(""),
               "io.nats.jetstream.advisory.v1.restore_create"))
        return;
    end(&draft);
}

void advisory_restore_done(struct advisories *a, struct bytes stream, uint64_t began_ns,
                           uint64_t bytes)
{
    struct draft draft;
    if (!begin(&draft, a, "ADVISORY.STREAM.RESTORE_COMPLETE", stream, BYTES(""),
               "io.nats.jetstream.advisory.v1.restore_complete"))
        return;
    put_time(&draft.json, "start", began_ns);
    put_time(&draft.json, "end", io_wall_ns(a->io));
    jsonw_u64(&draft.json, "bytes", bytes);
    end(&draft);
}

void advisory_request(struct advisories *a, const struct message *request, struct bytes answer)
{
    struct draft draft;
    if (!begin(&draft, a, "ADVISORY.API", BYTES(""), BYTES(""),
               "io.nats.jetstream.advisory.v1.api_audit"))
        return;
    jsonw_str(&draft.json, "subject", request->subject);
    if (request->payload.len)
        jsonw_str(&draft.json, "request", bytes_head(request->payload, REQUEST_SHOWN));
    jsonw_str(&draft.json, "response", bytes_head(answer, REQUEST_SHOWN));
    end(&draft);
}

void advisory_limit(struct advisories *a, uint64_t dropped)
{
    struct draft draft;
    if (!begin(&draft, a, "ADVISORY.API.LIMIT_REACHED", BYTES(""), BYTES(""),
               "io.nats.jetstream.advisory.v1.api_limit_reached"))
        return;
    jsonw_u64(&draft.json, "dropped", dropped);
    end(&draft);
}
