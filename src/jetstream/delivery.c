#include "jetstream/delivery.h"

#include "jetstream/advisory.h"
#include "jetstream/pull.h"
#include "jetstream/pull_request.h"
#include "jetstream/push.h"
#include "wire/nats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { TEXT_MAX = 256 << 10, LINES_MAX = 256 };

static const uint64_t millisecond_ns = 1000000;

static struct outlet *of(struct consumer_outlet *outlet)
{
    return CONTAINER_OF(outlet, struct outlet, outlet);
}

/* ---- what is sent ---- */

/* Five numbers and the dots between them. */
enum { ACK_NUMBERS_MAX = 4 * DIGITS_MAX + 4 + DIGITS_ROOM };

/* "$JS.ACK.S.C.delivered.sseq.cseq.time.pending", at the start of `text`. */
static struct bytes put_ack_subject(struct outlet *outlet, const struct delivery *delivery)
{
    struct buf *text = &outlet->deliveries->text;
    struct outlet_numbers *last = &outlet->numbers;
    buf_clear(text);
    char *start = buf_reserve(text, outlet->ack_prefix_len + ACK_NUMBERS_MAX);
    if (!start) return (struct bytes){0};
    memcpy(start, outlet->ack_prefix, outlet->ack_prefix_len);
    char *at = digits_put_last(&last->attempt, start + outlet->ack_prefix_len, delivery->attempt);
    *at++ = '.';
    at = digits_put_last(&last->seq, at, delivery->seq);
    *at++ = '.';
    at = digits_put_last(&last->consumer_seq, at, delivery->consumer_seq);
    *at++ = '.';
    at = digits_put_last(&last->time, at, delivery->time_ns);
    *at++ = '.';
    at = digits_put_last(&last->pending, at, delivery->pending);
    buf_commit(text, (size_t)(at - start));
    return bytes_make(start, (size_t)(at - start));
}

static size_t digits(uint64_t number)
{
    size_t count = 1;
    for (; number >= 10; number /= 10) count++;
    return count;
}

size_t outlet_size(const struct outlet *outlet, const struct stream_message *message)
{
    const struct message *m = &message->message;
    struct consumer_info info = consumer_info(outlet->consumer);
    size_t reply = outlet->ack_prefix_len + 1 + digits(message->seq) +
                   digits(info.delivered.consumer_seq + 1) + digits(message->time_ns) +
                   digits(info.num_pending ? info.num_pending - 1 : 0) + 4;
    size_t headers = m->headers.len, payload = m->payload.len;
    if (consumer_config(outlet->consumer)->headers_only) {
        if (headers == 0) headers = strlen("NATS/1.0\r\n\r\n");
        headers += strlen("Nats-Msg-Size: \r\n") + digits(payload);
        payload = 0;
    }
    return m->subject.len + reply + headers + payload;
}

/* Adds lines to a block of headers, at the end of the deliveries' text. */
static struct bytes with_headers(struct outlet *outlet, struct bytes headers, const char *name,
                                 struct bytes value)
{
    struct buf *text = &outlet->deliveries->text;
    size_t start = buf_len(text);
    if (headers.len > 2) {
        buf_append(text, bytes_head(headers, headers.len - 2));
    } else {
        buf_append_str(text, "NATS/1.0\r\n");
    }
    buf_append_str(text, name);
    buf_append_str(text, ": ");
    buf_append(text, value);
    buf_append_str(text, "\r\n\r\n");
    return bytes_skip(buf_bytes(text), start);
}

/* A delivery that is more than the stored message. The reserve keeps the text where it is. */
static unsigned send_changed(struct outlet *outlet, struct bus_inbox *inbox,
                             const struct delivery *delivery, struct bytes pin)
{
    const struct message *m = &delivery->message;
    struct buf *text = &outlet->deliveries->text;
    struct bytes headers = m->headers, payload = m->payload;
    buf_clear(text);
    if (!buf_reserve(text, outlet->ack_prefix_len + ACK_NUMBERS_MAX +
                               2 * (headers.len + pin.len + LINES_MAX))) {
        return 0;
    }
    struct bytes reply = put_ack_subject(outlet, delivery);
    if (consumer_config(outlet->consumer)->headers_only) {
        char size[DIGITS_ROOM];
        struct bytes number = bytes_make(size, (size_t)(digits_put(size, payload.len) - size));
        headers = with_headers(outlet, headers, "Nats-Msg-Size", number);
        payload = BYTES("");
    }
    if (pin.len) headers = with_headers(outlet, headers, "Nats-Pin-Id", pin);
    struct message changed = message_borrow(m->subject, reply, headers, payload);
    unsigned taken = text->failed ? 0 : bus_inbox_put(inbox, &changed);
    message_done(&changed);
    return taken;
}

unsigned outlet_send(struct outlet *outlet, struct bus_inbox *inbox,
                     const struct delivery *delivery, struct bytes pin)
{
    const struct message *m = &delivery->message;
    if (pin.len || consumer_config(outlet->consumer)->headers_only) {
        return send_changed(outlet, inbox, delivery, pin);
    }
    struct message whole =
        message_borrow(m->subject, put_ack_subject(outlet, delivery), m->headers, m->payload);
    unsigned taken = whole.reply.len ? bus_inbox_put(inbox, &whole) : 0;
    message_done(&whole);
    return taken;
}

void outlet_status(struct outlet *outlet, struct bytes to, struct bytes reply, int code,
                   const char *text, const char *lines)
{
    struct buf *out = &outlet->deliveries->text;
    if (outlet->deliveries->silent) return;
    buf_clear(out);
    buf_append_format(out, "NATS/1.0 %d %s\r\n%s\r\n", code, text, lines ? lines : "");
    struct message status = message_borrow(to, reply, buf_bytes(out), BYTES(""));
    if (!out->failed) (void)bus_publish(outlet->deliveries->bus, &status);
    message_done(&status);
}

void outlet_heartbeat(struct outlet *outlet, struct bytes to, const char *stalled)
{
    char lines[LINES_MAX + 2 * STREAM_NAME_MAX];
    struct consumer_info info = consumer_info(outlet->consumer);
    snprintf(lines, sizeof lines,
             "Nats-Last-Consumer: %" PRIu64 "\r\nNats-Last-Stream: %" PRIu64 "\r\n%s%s%s",
             info.delivered.consumer_seq, info.delivered.stream_seq,
             stalled ? "Nats-Consumer-Stalled: " : "", stalled ? stalled : "",
             stalled ? "\r\n" : "");
    outlet_status(outlet, to, BYTES(""), 100, "Idle Heartbeat", lines);
}

/* ---- not used any more ---- */

void outlet_touch(struct outlet *outlet)
{
    outlet->active_ns = io_now_ns(outlet->deliveries->io);
}

/* A durable consumer stays for ever unless it was told otherwise. */
static void watch(struct outlet *outlet)
{
    int64_t most = consumer_config(outlet->consumer)->inactive_threshold_ns;
    if (most <= 0) {
        io_timer_cancel(outlet->deliveries->io, &outlet->inactive);
        return;
    }
    uint64_t now = io_now_ns(outlet->deliveries->io);
    uint64_t until = outlet->active_ns + (uint64_t)most;
    io_timer_set(outlet->deliveries->io, &outlet->inactive,
                 until > now ? (until - now) / millisecond_ns + 1 : 1);
}

static void look(struct io_timer *timer)
{
    struct outlet *outlet = CONTAINER_OF(timer, struct outlet, inactive);
    int64_t most = consumer_config(outlet->consumer)->inactive_threshold_ns;
    if (outlet->kind->is_used(outlet)) outlet_touch(outlet);
    uint64_t now = io_now_ns(outlet->deliveries->io);
    if (most > 0 && now - outlet->active_ns >= (uint64_t)most) {
        io_post(outlet->deliveries->io, &outlet->end);
    } else {
        watch(outlet);
    }
}

static void end_unused(struct io_task *task)
{
    struct outlet *outlet = CONTAINER_OF(task, struct outlet, end);
    struct consumer *consumer = outlet->consumer;
    advisory_consumer(outlet->deliveries->advisories, ADVISORY_DELETE,
                      bytes_str(stream_config(consumer_stream(consumer))->name),
                      bytes_str(consumer_config(consumer)->name));
    consumer_destroy(consumer, NULL, NULL);
}

/* ---- requests ---- */

static void look_at_requests(struct io_task *task)
{
    struct outlet *outlet = CONTAINER_OF(task, struct outlet, look);
    struct list *link;
    while ((link = list_pop(&outlet->requests))) {
        outlet->kind->request(outlet, CONTAINER_OF(link, struct pull_request, link));
    }
    if (outlet->kind->requested) outlet->kind->requested(outlet);
}

void outlet_request(struct outlet *outlet, struct pull_request *request)
{
    if (!request) return;
    outlet_touch(outlet);
    list_push(&outlet->requests, &request->link);
    io_post(outlet->deliveries->io, &outlet->look);
}

/* ---- life ---- */

static void outlet_free(struct outlet *outlet)
{
    struct deliveries *deliveries = outlet->deliveries;
    if (deliveries->last == outlet) deliveries->last = NULL;
    io_timer_cancel(deliveries->io, &outlet->inactive);
    io_task_cancel(deliveries->io, &outlet->end);
    io_task_cancel(deliveries->io, &outlet->look);
    for (struct list *link; (link = list_pop(&outlet->requests));) {
        free(CONTAINER_OF(link, struct pull_request, link));
    }
    list_remove(&outlet->link);
    free(outlet->ack_prefix);
    free(outlet);
}

static void closed(struct consumer_outlet *base, enum consumer_end why)
{
    struct outlet *outlet = of(base);
    outlet->kind->end(outlet, why);
    outlet_free(outlet);
}

static void updated(struct consumer_outlet *base)
{
    struct outlet *outlet = of(base);
    outlet_touch(outlet);
    watch(outlet);
    if (outlet->kind->updated) outlet->kind->updated(outlet);
}

int outlet_init(struct outlet *outlet, const struct outlet_kind *kind,
                struct deliveries *deliveries, struct consumer *consumer)
{
    const char *stream = stream_config(consumer_stream(consumer))->name;
    const char *name = consumer_config(consumer)->name;
    outlet->kind = kind;
    outlet->deliveries = deliveries;
    outlet->consumer = consumer;
    outlet->outlet.closed = closed;
    outlet->outlet.updated = updated;
    size_t size = strlen(stream) + strlen(name) + sizeof "$JS.ACK...";
    outlet->ack_prefix = malloc(size);
    if (!outlet->ack_prefix) return ERR_NOMEM;
    outlet->ack_prefix_len =
        (size_t)snprintf(outlet->ack_prefix, size, "$JS.ACK.%s.%s.", stream, name);
    io_timer_init(&outlet->inactive, look);
    io_task_init(&outlet->end, end_unused);
    io_task_init(&outlet->look, look_at_requests);
    list_init(&outlet->requests);
    list_init(&outlet->link);
    list_push(&deliveries->outlets, &outlet->link);
    outlet_touch(outlet);
    watch(outlet);
    return consumer_attach(consumer, &outlet->outlet);
}

struct outlet *outlet_of(const struct consumer *consumer)
{
    struct consumer_outlet *outlet = consumer_outlet(consumer);
    return outlet && outlet->closed == closed ? of(outlet) : NULL;
}

/* ---- the services ---- */

static struct outlet *find(struct deliveries *deliveries, struct bytes stream_name,
                           struct bytes name)
{
    struct stream *stream = streams_find(deliveries->streams, stream_name);
    struct consumer *consumer = stream ? consumers_find(stream, name) : NULL;
    return consumer ? outlet_of(consumer) : NULL;
}

static bool take_next(struct bus_service *service, struct message *message)
{
    struct deliveries *deliveries = CONTAINER_OF(service, struct deliveries, next);
    struct bytes name = bytes_skip(message->subject, service->prefix_len);
    struct bytes stream = bytes_cut(&name, '.');
    struct outlet *outlet = find(deliveries, stream, name);
    if (!outlet) return false;
    if (message->reply.len == 0) return true;
    outlet_request(outlet, pull_request_read(message->payload, message->reply));
    return true;
}

static bool take_flow(struct bus_service *service, struct message *message)
{
    struct deliveries *deliveries = CONTAINER_OF(service, struct deliveries, flow);
    struct bytes rest = bytes_skip(message->subject, service->prefix_len);
    struct bytes stream = bytes_cut(&rest, '.'), name = bytes_cut(&rest, '.');
    struct outlet *outlet = find(deliveries, stream, name);
    if (!outlet) return false;
    outlet->kind->flow(outlet, message->subject);
    return true;
}

/* ---- the port ---- */

static void opened(struct consumer_port *port, struct consumer *consumer)
{
    struct deliveries *deliveries = CONTAINER_OF(port, struct deliveries, port);
    bool push = consumer_config(consumer)->deliver_subject != NULL;
    /* Without memory nobody can reach it until the next start. */
    (void)(push ? push_open(deliveries, consumer) : pull_open(deliveries, consumer));
}

static void event(struct consumer_port *port, struct consumer *consumer,
                  const struct consumer_event *event)
{
    struct deliveries *deliveries = CONTAINER_OF(port, struct deliveries, port);
    advisory_message(deliveries->advisories,
                     bytes_str(stream_config(consumer_stream(consumer))->name),
                     bytes_str(consumer_config(consumer)->name), event);
}

void deliveries_open(struct deliveries *deliveries, struct io *io, struct bus *bus,
                     struct streams *streams, struct advisories *advisories)
{
    *deliveries = (struct deliveries){
        .io = io,
        .bus = bus,
        .streams = streams,
        .advisories = advisories,
        .port = {.opened = opened, .event = event},
        .ack = {.prefix = "$JS.ACK.", .take = ack_take},
        .next = {.prefix = "$JS.API.CONSUMER.MSG.NEXT.", .take = take_next},
        .flow = {.prefix = "$JS.FC.", .take = take_flow},
    };
    list_init(&deliveries->outlets);
    list_init(&deliveries->replies);
    buf_init(&deliveries->text, TEXT_MAX);
    bus_add_service(bus, &deliveries->ack);
    bus_add_service(bus, &deliveries->next);
    bus_add_service(bus, &deliveries->flow);
    consumers_set_port(streams, &deliveries->port);
}

void deliveries_close(struct deliveries *deliveries)
{
    bus_remove_service(&deliveries->ack);
    bus_remove_service(&deliveries->next);
    bus_remove_service(&deliveries->flow);
    consumers_set_port(deliveries->streams, NULL);
    while (!list_empty(&deliveries->outlets)) {
        struct outlet *outlet = CONTAINER_OF(deliveries->outlets.next, struct outlet, link);
        consumer_detach(outlet->consumer);
        closed(&outlet->outlet, CONSUMER_END_CLOSED);
    }
    ack_release(deliveries);
    buf_release(&deliveries->text);
}

void deliveries_free(struct deliveries *deliveries)
{
    deliveries->silent = true;
    deliveries_close(deliveries);
}
