/* What clients say of a message that was delivered, on the reply subject that it bore:
 * `$JS.ACK.STREAM.CONSUMER.ATTEMPT.SSEQ.CSEQ.TIME.PENDING`, or with a domain and the account's
 * hash before the stream. The payload says what: nothing or "+ACK", "-NAK", "+WPI", "+TERM",
 * "+NXT". One that bears a reply subject itself is answered, when it is on the disk. */
#include "jetstream/delivery.h"
#include "jetstream/pull_request.h"

#include <jansson.h>
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

/* ---- the delay of a NAK: {"delay": ns}, or as Go writes durations ---- */

static bool unit_ns(struct bytes *rest, uint64_t *ret_ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"ns", 1},         {"us", 1000},       {"ms", 1000000},
                 {"s", 1000000000}, {"m", 60000000000}, {"h", 3600000000000}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (!bytes_starts(*rest, bytes_str(units[i].name))) continue;
        *rest = bytes_skip(*rest, strlen(units[i].name));
        *ret_ns = units[i].ns;
        return true;
    }
    return false;
}

/* "1h30m", "500ms"; 0 for what is none. */
static int64_t duration_ns(struct bytes text)
{
    uint64_t total = 0;
    while (text.len) {
        size_t len = 0;
        uint64_t number, unit;
        while (len < text.len && text.data[len] >= '0' && text.data[len] <= '9') len++;
        if (bytes_to_u64(bytes_head(text, len), INT32_MAX, &number) < 0) return 0;
        text = bytes_skip(text, len);
        if (!unit_ns(&text, &unit) || number > INT64_MAX / 4 / unit) return 0;
        total += number * unit;
        if (total > INT64_MAX / 4) return 0;
    }
    return (int64_t)total;
}

static int64_t delay_ns(struct bytes argument)
{
    argument = bytes_trim(argument);
    if (argument.len == 0) return 0;
    if (argument.data[0] != '{') return duration_ns(argument);
    json_t *object = json_loadb(argument.data, argument.len, 0, NULL);
    int64_t delay = json_integer_value(json_object_get(object, "delay"));
    json_decref(object);
    return delay > 0 ? delay : 0;
}

/* ---- doing it ---- */

static void act(struct outlet *outlet, uint64_t seq, const struct message *message)
{
    struct consumer *consumer = outlet->consumer;
    struct bytes said = message->payload;
    if (said.len == 0 || bytes_eq(said, BYTES("+ACK")) || bytes_eq(said, BYTES("+OK"))) {
        (void)consumer_ack(consumer, seq); /* one that is settled already is answered too */
    } else if (bytes_starts(said, BYTES("+NXT"))) {
        (void)consumer_ack(consumer, seq);
        if (message->reply.len == 0) return;
        outlet_request(outlet, pull_request_read(bytes_skip(said, 4), message->reply));
        return;
    } else if (bytes_starts(said, BYTES("-NAK"))) {
        (void)consumer_nak(consumer, seq, delay_ns(bytes_skip(said, 4)));
    } else if (bytes_eq(said, BYTES("+WPI"))) {
        (void)consumer_progress(consumer, seq);
    } else if (bytes_starts(said, BYTES("+TERM"))) {
        (void)consumer_term(consumer, seq, bytes_trim(bytes_skip(said, 5)));
    }
    answer_later(outlet, message->reply);
}

/* ---- who is meant ---- */

static size_t count_tokens(struct bytes subject)
{
    size_t count = 1;
    for (size_t i = 0; i < subject.len; i++) count += subject.data[i] == '.';
    return count;
}

/* `rest` begins with the stream's name, and is left behind the consumer's. */
static struct outlet *find(struct deliveries *deliveries, struct bytes *rest)
{
    struct outlet *last = deliveries->last;
    size_t skip = strlen("$JS.ACK.");
    if (last) {
        struct bytes prefix = bytes_make(last->ack_prefix + skip, last->ack_prefix_len - skip);
        if (bytes_starts(*rest, prefix)) {
            *rest = bytes_skip(*rest, prefix.len);
            return last;
        }
    }
    if (count_tokens(*rest) >= 9) { /* domain and account */
        bytes_cut(rest, '.');
        bytes_cut(rest, '.');
    }
    struct stream *stream = streams_find(deliveries->streams, bytes_cut(rest, '.'));
    struct bytes name = bytes_cut(rest, '.');
    struct consumer *consumer = stream ? consumers_find(stream, name) : NULL;
    struct outlet *outlet = consumer ? outlet_of(consumer) : NULL;
    if (outlet) deliveries->last = outlet;
    return outlet;
}

bool ack_take(struct bus_service *service, struct message *message)
{
    struct deliveries *deliveries = CONTAINER_OF(service, struct deliveries, ack);
    struct bytes rest = bytes_skip(message->subject, strlen(service->prefix));
    struct outlet *outlet = find(deliveries, &rest);
    uint64_t seq;
    if (!outlet) return false;
    bytes_cut(&rest, '.'); /* the attempt */
    if (bytes_to_u64(bytes_cut(&rest, '.'), UINT64_MAX, &seq) < 0 || !rest.data) return false;
    act(outlet, seq, message);
    return true;
}
