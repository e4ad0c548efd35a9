/* Does what clients say of a message that was delivered (jetstream/ack_said.h). One that bears a
 * reply subject itself is answered, when it is on the disk. */
#include "jetstream/ack_said.h"
#include "jetstream/delivery.h"
#include "jetstream/pull_request.h"

#include <stdlib.h>

/* Who is to be told that an acknowledgement is durable. */
struct ack_reply {
    struct consumer_wait wait;
    struct deliveries *deliveries;
    struct list link;
    size_t len;
    char subject[];
};

static void answer(struct consumer_wait *wait, int result)
{
    struct ack_reply *reply = CONTAINER_OF(wait, struct ack_reply, wait);
    struct message message =
        message_borrow(bytes_make(reply->subject, reply->len), BYTES(""), BYTES(""), BYTES(""));
    if (result == 0) (void)bus_publish(reply->deliveries->bus, &message);
    message_done(&message);
    list_remove(&reply->link);
    free(reply);
}

/* Without memory the client asks again. */
static void answer_later(struct outlet *outlet, struct bytes to)
{
    if (to.len == 0) return;
    struct ack_reply *reply = malloc(sizeof *reply + to.len);
    if (!reply) return;
    *reply = (struct ack_reply){.deliveries = outlet->deliveries, .len = to.len};
    memcpy(reply->subject, to.data, to.len);
    list_init(&reply->link);
    list_push(&outlet->deliveries->replies, &reply->link);
    consumer_when_durable(outlet->consumer, &reply->wait, answer);
}

void ack_release(struct deliveries *deliveries)
{
    struct list *link;
    while ((link = list_pop(&deliveries->replies))) {
        struct ack_reply *reply = CONTAINER_OF(link, struct ack_reply, link);
        consumer_wait_cancel(&reply->wait);
        free(reply);
    }
}

/* ---- doing it ---- */

static void act(struct outlet *outlet, uint64_t seq, const struct message *message)
{
    struct consumer *consumer = outlet->consumer;
    struct ack_said said = ack_said_read(message->payload);
    bool settles = said.kind == ACK_DONE || said.kind == ACK_TERM;
    bool known = consumer_has_delivered(consumer, seq);
    if (outlet->inactive.armed) outlet_touch(outlet);
    switch (said.kind) {
    case ACK_DONE: (void)consumer_ack(consumer, seq); break;
    case ACK_NEXT:
        (void)consumer_ack(consumer, seq);
        if (message->reply.len == 0) return;
        outlet_request(outlet, pull_request_read(said.argument, message->reply));
        return;
    case ACK_NOT: (void)consumer_nak(consumer, seq, said.delay_ns); break;
    case ACK_PROGRESS: (void)consumer_progress(consumer, seq); break;
    case ACK_TERM: (void)consumer_term(consumer, seq, said.argument); break;
    case ACK_UNKNOWN: break;
    }
    /* A crash may have forgotten that it was delivered: then it comes again, and who was answered
     * now would think it settled. He asks again. */
    if (known || !settles) answer_later(outlet, message->reply);
}

/* ---- who is meant ---- */

/* `rest` begins with the stream's name, and is left behind the consumer's. */
static struct outlet *find(struct deliveries *deliveries, struct bytes *rest)
{
    struct outlet *last = deliveries->last;
    size_t skip = deliveries->ack.prefix_len;
    if (last) {
        struct bytes prefix = bytes_make(last->ack_prefix + skip, last->ack_prefix_len - skip);
        if (bytes_starts(*rest, prefix)) {
            *rest = bytes_skip(*rest, prefix.len);
            return last;
        }
    }
    struct bytes stream_name, name;
    ack_names(rest, &stream_name, &name);
    struct stream *stream = streams_find(deliveries->streams, stream_name);
    struct consumer *consumer = stream ? consumers_find(stream, name) : NULL;
    struct outlet *outlet = consumer ? outlet_of(consumer) : NULL;
    if (outlet) deliveries->last = outlet;
    return outlet;
}

bool ack_take(struct bus_service *service, struct message *message)
{
    struct deliveries *deliveries = CONTAINER_OF(service, struct deliveries, ack);
    struct bytes rest = bytes_skip(message->subject, service->prefix_len);
    struct outlet *outlet = find(deliveries, &rest);
    uint64_t seq;
    if (!outlet || !ack_sequence(rest, &seq)) return false;
    if (consumer_config(outlet->consumer)->ack_policy == CONSUMER_ACK_NONE) return false;
    act(outlet, seq, message);
    return true;
}
