/* Bringing a consumer at the target to the place where it stands at the source: what is settled
 * there is taken and acknowledged here, so that its configuration stays what it was. */
#include "app/move.h"

#include "wire/nats.h"

#include <stdio.h>

enum { BATCH = 256, PATIENCE_MS = 5000, TRIES_MAX = 20, SUBJECT_MAX = 2 * MOVE_NAME_MAX + 64 };

static const uint64_t ms_ns = 1000000;

struct placing {
    struct move *move;
    uint64_t floor;        /* up to here it is settled at the source */
    uint64_t acknowledged; /* the last sequence that was settled here */
    uint64_t left;         /* deliveries that the source needed for it */
    size_t batch, got;
    bool exactly;
    bool over;   /* the batch is */
    bool beyond; /* what comes is not settled at the source */
};

static void answer(struct placing *placing, const struct message *to, const char *word)
{
    struct message message = message_borrow(to->reply, BYTES(""), BYTES(""), bytes_str(word));
    /* One that is lost comes again when its time is over. */
    (void)client_publish(placing->move->to, &message);
    message_done(&message);
}

static void received(void *context, struct message *message)
{
    struct placing *placing = context;
    struct jsapi_position at;
    if (jsapi_position(message->reply, &at) != 0) {
        placing->over = true; /* 404, 408: there is no more */
        return;
    }
    placing->got++;
    if (placing->left) placing->left--;
    if (at.stream_seq <= placing->floor) {
        answer(placing, message, "+ACK");
        if (at.stream_seq > placing->acknowledged) placing->acknowledged = at.stream_seq;
    } else {
        answer(placing, message, "-NAK");
        placing->beyond = true;
    }
}

static int ask_batch(struct placing *placing, const char *consumer, const char *inbox)
{
    char subject[SUBJECT_MAX], body[48];
    snprintf(subject, sizeof subject, "$JS.API.CONSUMER.MSG.NEXT.%s", consumer);
    /* No more than needed: what is delivered beyond is delivered once more later. */
    placing->batch = placing->left > BATCH ? BATCH : placing->left ? placing->left : 1;
    snprintf(body, sizeof body, "{\"batch\":%zu,\"no_wait\":true}", placing->batch);
    struct message message =
        message_borrow(bytes_str(subject), bytes_str(inbox), BYTES(""), bytes_str(body));
    placing->got = 0;
    placing->over = false;
    int err = client_publish(placing->move->to, &message);
    message_done(&message);
    return err;
}

static void wait_for_batch(struct placing *placing)
{
    struct io *io = placing->move->io;
    uint64_t until_ns = io_now_ns(io) + PATIENCE_MS * ms_ns;
    while (!placing->over && placing->got < placing->batch && io_now_ns(io) < until_ns)
        io_turn(io, 50);
}

static int take_all(struct placing *placing, const char *consumer, const char *inbox)
{
    for (int tries = 0; !placing->beyond && tries < TRIES_MAX;) {
        bool there = placing->exactly || placing->acknowledged >= placing->floor;
        if (!placing->left && there) return 0;
        int err = ask_batch(placing, consumer, inbox);
        if (!err) wait_for_batch(placing);
        if (!err && placing->over && !placing->got) return 0;
        tries = placing->got ? 0 : tries + 1;
        if (err) io_turn(placing->move->io, 100);
    }
    return placing->beyond ? 0 : ERR_TIMEOUT;
}

/* Until the consumer says that it stands there. */
static int confirm(struct placing *placing, const char *consumer)
{
    char what[SUBJECT_MAX];
    snprintf(what, sizeof what, "CONSUMER.INFO.%s", consumer);
    for (int tries = 0; tries < TRIES_MAX * 10; tries++) {
        json_t *info = NULL;
        int err = move_ask(placing->move, placing->move->to, what, NULL, &info);
        if (err) return err;
        json_int_t floor =
            json_integer_value(json_object_get(json_object_get(info, "ack_floor"), "stream_seq"));
        json_decref(info);
        if ((uint64_t)floor >= placing->acknowledged) return 0;
        uint64_t until_ns = io_now_ns(placing->move->io) + 100 * ms_ns;
        while (io_now_ns(placing->move->io) < until_ns) io_turn(placing->move->io, 50);
    }
    return ERR_TIMEOUT;
}

int move_place(struct move *move, const char *consumer, uint64_t floor, uint64_t deliveries,
               bool exactly)
{
    struct placing placing = {.move = move, .floor = floor, .left = deliveries, .exactly = exactly};
    struct client_subscription *subscription = NULL;
    char inbox[CLIENT_INBOX_TEXT];
    client_inbox(move->to, inbox);
    int err =
        client_subscribe(move->to, bytes_str(inbox), BYTES(""), received, &placing, &subscription);
    if (!err) err = take_all(&placing, consumer, inbox);
    if (!err) err = confirm(&placing, consumer);
    client_unsubscribe(subscription);
    if (err && !move->error.message[0])
        error_set(&move->error, err, "cannot bring the consumer %s to its place: %s", consumer,
                  err_text(err));
    return err;
}
