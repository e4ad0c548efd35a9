/* The JetStream API over simulated connections: the server's power fails or it is killed, also
 * inside a file operation; connections are reset, the network is cut. What was answered is durable:
 * publishes (once each, whole, in order), deleted messages, streams and consumers that were made,
 * updated or removed. A confirmed acknowledgement is the last that is heard of a message; what was
 * not settled comes again until it is, or until it is in the dead-letter stream, once. */
#include "bus/bus_server.h"
#include "client/client.h"
#include "jetstream/jetstream.h"
#include "api_slots.h"
#include "letter.h"
#include "numbered.h"
#include "runner.h"
#include "stream/consumer.h"
#include "stream/streams.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    PORT = 4222,
    MESSAGES = 100,
    FILL = 300,
    ASKS = 400,
    MAX_DELIVER = 3,
    LIMIT_MS = 110 * 1000,
    HELD = 20,
};

struct world;

/* A message of S, or of K, from which messages are deleted. */
struct item {
    struct client_durable durable;
    struct world *world;
    uint64_t seq; /* 0: not acknowledged to the publisher */
    bool begun;
    bool acked, termed;     /* said, perhaps not heard */
    bool confirmed;         /* the acknowledgement was answered */
    bool deleting, deleted; /* asked for; answered */
    unsigned there, dead;
    uint64_t attempt; /* the last that was heard */
};

enum ask_kind { ASK_MAKE, ASK_SLOT, ASK_ACK, ASK_DELETE };

struct ask {
    struct client_request request;
    struct world *world;
    enum ask_kind kind;
    struct api_slot *slot;
    struct item *item;
};

struct world {
    struct sim *sim;
    struct sim_host *host, *away;
    struct bus *bus;
    struct bus_server *server;
    struct streams *streams;
    struct jetstream *jetstream;
    struct client *client;
    struct client_subscription *subscription;
    char inbox[CLIENT_INBOX_TEXT];
    size_t inbox_len;
    struct item items[2][MESSAGES]; /* of S and of K */
    unsigned begun[2], ended;
    struct api_slots slots;
    struct ask asks[ASKS];
    unsigned asked;
    uint64_t last_new; /* over this connection */
    struct client_watch watch;
    struct held {
        unsigned number;
        char reply[100];
    } held[HELD]; /* heard, to be settled later: perhaps when the server has started anew */
    unsigned held_count;
    bool made, calm, closed;
};

static uint64_t seen_confirmed, seen_again, seen_dead, seen_deleted, seen_duplicates;

/* ---- what a message is ---- */

static unsigned number_of(struct bytes payload)
{
    return numbered_read(payload, FILL, MESSAGES);
}

/* ---- what there is, looked at from inside ---- */

struct walk {
    struct world *w;
    int which;
    uint64_t last;
};

static int look(void *context, const struct stream_message *message)
{
    struct walk *walk = context;
    struct item *item = &walk->w->items[walk->which][number_of(message->message.payload)];
    CHECK(item->begun, "never published");
    CHECK(message->seq > walk->last, "order");
    CHECK(item->seq == 0 || item->seq == message->seq, "it is not where its publisher was told");
    CHECK(item->there++ == 0, "stored twice");
    CHECK(!item->deleted, "it was deleted");
    walk->last = message->seq;
    return 0;
}

static void check_messages(struct world *w, int which)
{
    struct walk walk = {.w = w, .which = which};
    struct stream *stream = streams_find(w->streams, which ? BYTES("K") : BYTES("S"));
    CHECK(stream, "no stream");
    for (unsigned i = 0; i < w->begun[which]; i++) w->items[which][i].there = 0;
    CHECK(stream_each(stream, look, &walk) == 0, "cannot be read");
    for (unsigned i = 0; i < w->begun[which]; i++) {
        const struct item *item = &w->items[which][i];
        CHECK(!item->seq || item->deleting || item->there, "%u of %d is lost", i, which);
    }
}

/* ---- the server ---- */

static void server_open(struct world *w, struct io *io)
{
    const struct streams_options options = {.dir = "/store",
                                            .segment_bytes = 8 << 10,
                                            .log_file_min = 32 << 10,
                                            .log_file_max = 64 << 10};
    const struct bus_server_options server = {.jetstream = true};
    struct error error = {0};
    struct io_addr addr = sim_host_addr(w->host, PORT);
    int err = bus_new(io, NULL, NULL, &w->bus);
    if (!err) err = bus_server_new(io, &server, w->bus, NULL, &w->server);
    if (!err) err = streams_open(io, w->bus, &options, &w->streams, &error);
    if (!err) err = jetstream_open(io, w->bus, w->streams, NULL, &w->jetstream, &error);
    if (!err) err = bus_server_listen(w->server, &addr, NULL);
    CHECK(!err, "%s %s", err_name(err), error.message);
}

static void server_free(struct world *w)
{
    bus_server_free(w->server);
    jetstream_free(w->jetstream);
    streams_free(w->streams);
    bus_free(w->bus);
}

static void server_restart(struct world *w)
{
    if (!sim_host_crashed(w->host)) {
        if (sim_random_below(w->sim, 2)) {
            sim_host_crash(w->host);
        } else {
            sim_host_kill(w->host);
        }
    }
    sim_host_crash_never(w->host);
    server_free(w);
    server_open(w, sim_host_restart(w->host));
    check_messages(w, 0);
    check_messages(w, 1);
    api_slots_check(&w->slots, w->streams);
    if (!w->calm && sim_random_below(w->sim, 2)) {
        sim_host_crash_after(w->host, sim_random_below(w->sim, 300));
    }
}

/* ---- asking ---- */

static bool has(struct bytes text, const char *part)
{
    return memmem(text.data, text.len, part, strlen(part)) != NULL;
}

static void answered(struct client_request *request, int result, struct message *reply)
{
    struct ask *ask = CONTAINER_OF(request, struct ask, request);
    CHECK(result == 0 || result == ERR_RESET || result == ERR_TIMEOUT ||
              result == ERR_UNAVAILABLE || result == ERR_CLOSED,
          "%s", err_name(result));
    switch (ask->kind) {
    case ASK_MAKE: ask->world->made = result == 0 && !has(reply->payload, "\"error\""); break;
    case ASK_SLOT:
        CHECK(result || !has(reply->payload, "\"error\""), "%.*s", BYTES_ARG(reply->payload));
        api_slot_answered(ask->slot, result);
        break;
    case ASK_ACK:
        if (result) break;
        ask->item->confirmed = true;
        seen_confirmed++;
        break;
    case ASK_DELETE:
        if (result || !has(reply->payload, "\"success\":true")) break;
        ask->item->deleted = true;
        seen_deleted++;
        break;
    }
}

static int ask(struct world *w, struct ask as, struct bytes subject, struct bytes body)
{
    if (w->asked == ASKS) return ERR_FULL;
    struct ask *ask = &w->asks[w->asked];
    *ask = as;
    ask->world = w;
    struct message message = message_borrow(subject, BYTES(""), BYTES(""), body);
    int err = client_request(w->client, &ask->request, &message, 1500, answered);
    message_done(&message);
    CHECK(!err || err == ERR_UNREACHABLE || err == ERR_FULL, "%s", err_name(err));
    if (!err) w->asked++;
    return err;
}

static void change_slot(struct world *w)
{
    char subject[API_SLOT_SUBJECT], body[API_SLOT_BODY];
    struct api_slot *slot = api_slots_change(&w->slots, w->sim, subject, body);
    if (!slot) return;
    const struct ask as = {.kind = ASK_SLOT, .slot = slot};
    if (ask(w, as, bytes_str(subject), bytes_str(body)) < 0) api_slot_not_asked(slot);
}

static void delete_one(struct world *w)
{
    if (!w->begun[1]) return;
    struct item *item = &w->items[1][sim_random_below(w->sim, w->begun[1])];
    char body[64];
    if (!item->seq || item->deleting) return;
    snprintf(body, sizeof body, "{\"seq\":%" PRIu64 "}", item->seq);
    const struct ask as = {.kind = ASK_DELETE, .item = item};
    item->deleting = ask(w, as, BYTES("$JS.API.STREAM.MSG.DELETE.K"), bytes_str(body)) == 0;
}

/* ---- publishing ---- */

static void published(struct client_durable *durable, int result)
{
    struct item *item = CONTAINER_OF(durable, struct item, durable);
    CHECK(result == 0, "%s %s", err_name(result), durable->ack.description);
    item->seq = durable->ack.seq;
    item->world->ended++;
    seen_duplicates += durable->ack.duplicate;
}

static void publish(struct world *w, int which)
{
    if (w->begun[which] == MESSAGES) return;
    unsigned number = w->begun[which]++;
    struct item *item = &w->items[which][number];
    char subject[16], body[NUMBERED_MAX];
    int len = snprintf(subject, sizeof subject, which ? "k.%u" : "s.%u", number % 5);
    struct message message = message_borrow(bytes_make(subject, (size_t)len), BYTES(""), BYTES(""),
                                            bytes_make(body, numbered_body(number, FILL, body)));
    item->world = w;
    item->begun = true;
    int err = client_durable(w->client, &item->durable, &message, LIMIT_MS, published);
    message_done(&message);
    CHECK(!err, "%s", err_name(err));
}

/* ---- consuming ---- */

static void say(struct world *w, struct bytes to, const char *what)
{
    struct message message = message_borrow(to, BYTES(""), BYTES(""), bytes_str(what));
    (void)client_publish(w->client, &message); /* it is lost, and the message comes again */
    message_done(&message);
}

/* $JS.ACK.S.C.ATTEMPT.SSEQ.CSEQ.TIME.PENDING */
static uint64_t token(struct bytes subject, int place)
{
    uint64_t value;
    while (place-- > 0) bytes_cut(&subject, '.');
    CHECK(bytes_to_u64(bytes_cut(&subject, '.'), UINT64_MAX, &value) == 0, "a reply subject");
    return value;
}

static void settle(struct world *w, unsigned number, struct bytes reply)
{
    struct item *item = &w->items[0][number];
    uint64_t choice = sim_random_below(w->sim, 10);
    bool doomed = number % 9 == 0;
    if (!doomed && (w->calm || choice < 4)) {
        item->acked = true;
        (void)ask(w, (struct ask){.kind = ASK_ACK, .item = item}, reply, BYTES("+ACK"));
    } else if (!doomed && choice < 6) {
        item->acked = true;
        say(w, reply, "+ACK");
    } else if (doomed && choice < 3) {
        item->termed = true;
        say(w, reply, "+TERM no good");
    } else if (choice < 8) {
        say(w, reply, "-NAK {\"delay\": 100000000}");
    } else if (choice == 8) {
        say(w, reply, "+WPI");
    }
}

static void heard(void *context, struct message *message)
{
    struct world *w = context;
    if (!bytes_starts(message->reply, BYTES("$JS.ACK.S.C."))) return; /* a status */
    unsigned number = number_of(message->payload);
    struct item *item = &w->items[0][number];
    uint64_t attempt = token(message->reply, 4), seq = token(message->reply, 5);
    CHECK(!item->confirmed, "%u comes again", number);
    CHECK(item->seq == 0 || item->seq == seq, "%u comes as %" PRIu64, number, seq);
    CHECK(attempt >= 1 && attempt <= MAX_DELIVER, "attempt %" PRIu64, attempt);
    item->attempt = attempt;
    if (attempt > 1) {
        seen_again++;
    } else {
        CHECK(seq > w->last_new, "out of order");
        w->last_new = seq;
    }
    if (!w->calm && w->held_count < HELD && sim_random_below(w->sim, 3) == 0) {
        struct held *held = &w->held[w->held_count++];
        held->number = number;
        snprintf(held->reply, sizeof held->reply, "%.*s", BYTES_ARG(message->reply));
        return;
    }
    settle(w, number, message->reply);
}

static void settle_held(struct world *w)
{
    while (w->held_count && sim_random_below(w->sim, 3)) {
        const struct held *held = &w->held[--w->held_count];
        settle(w, held->number, bytes_str(held->reply));
    }
}

static void pull(struct world *w)
{
    char body[64];
    snprintf(body, sizeof body, "{\"batch\":%" PRIu64 ",\"expires\":%" PRIu64 "}",
             1 + sim_random_below(w->sim, 10), (1 + sim_random_below(w->sim, 20)) * 100000000);
    struct message message =
        message_borrow(BYTES("$JS.API.CONSUMER.MSG.NEXT.S.C"), bytes_make(w->inbox, w->inbox_len),
                       BYTES(""), bytes_str(body));
    (void)client_publish(w->client, &message);
    message_done(&message);
}

/* ---- the beginning ---- */

static bool is_up(void *context)
{
    return client_status(((struct world *)context)->client).state == CLIENT_UP;
}

static bool is_made(void *context)
{
    return ((struct world *)context)->made;
}

static void make(struct world *w, const char *subject, const char *body)
{
    const struct ask as = {.kind = ASK_MAKE};
    w->made = false;
    CHECK(ask(w, as, bytes_str(subject), bytes_str(body)) == 0, "ask");
    CHECK(sim_run_until(w->sim, 5000, is_made, w), "not made: %s", subject);
}

static void changed(struct client_watch *watch, bool up)
{
    if (up) CONTAINER_OF(watch, struct world, watch)->last_new = 0;
}

static struct world *world_new(struct sim *sim)
{
    struct world *w = calloc(1, sizeof *w);
    CHECK(w, "memory");
    w->sim = sim;
    w->host = sim_host_new(sim, "server");
    w->away = sim_host_new(sim, "client");
    const struct client_options options = {.urls = "nats://10.0.0.1:4222",
                                           .ping_interval_ms = 1000};
    server_open(w, sim_host_io(w->host));
    int err = client_new(sim_host_io(w->away), &options, NULL, &w->client, NULL);
    CHECK(!err, "%s", err_name(err));
    client_watch(w->client, &w->watch, changed);
    w->inbox_len = client_inbox(w->client, w->inbox);
    err = client_subscribe(w->client, bytes_make(w->inbox, w->inbox_len), BYTES(""), heard, w,
                           &w->subscription);
    CHECK(!err && sim_run_until(sim, 5000, is_up, w), "%s", err_name(err));
    char body[API_SLOT_BODY];
    api_slots_init(&w->slots, body);
    make(w, "$JS.API.STREAM.CREATE.S", body);
    make(w, "$JS.API.STREAM.CREATE.K", "{\"name\":\"K\",\"subjects\":[\"k.>\"]}");
    make(w, "$JS.API.CONSUMER.CREATE.S.C",
         "{\"stream_name\":\"S\",\"config\":{\"durable_name\":\"C\",\"name\":\"C\","
         "\"ack_policy\":\"explicit\",\"ack_wait\":1000000000,\"max_deliver\":3}}");
    return w;
}

/* ---- the end ---- */

static bool all_settled(void *context)
{
    struct world *w = context;
    if (w->ended < w->begun[0] + w->begun[1]) return false;
    struct consumer *consumer = consumers_find(streams_find(w->streams, BYTES("S")), BYTES("C"));
    struct consumer_info info = consumer_info(consumer);
    return info.num_pending == 0 && info.num_ack_pending == 0;
}

static int look_dead(void *context, const struct stream_message *message)
{
    struct world *w = context;
    struct bytes reason = letter_read(&message->message).reason;
    struct item *item = &w->items[0][number_of(message->message.payload)];
    CHECK(item->termed || bytes_eq(reason, BYTES("max_deliver")), "%.*s", BYTES_ARG(reason));
    CHECK(item->dead++ == 0, "dead twice");
    seen_dead++;
    return 0;
}

static void check_end(struct world *w)
{
    struct stream *dead = streams_find(w->streams, BYTES("DEAD"));
    if (dead) CHECK(stream_each(dead, look_dead, w) == 0, "DEAD");
    check_messages(w, 0);
    check_messages(w, 1);
    for (unsigned i = 0; i < w->begun[0]; i++) {
        const struct item *item = &w->items[0][i];
        CHECK(item->there, "%u is not there", i);
        CHECK(item->acked || item->dead, "%u has vanished", i);
        /* Whose last time is up before he acknowledges is answered all the same. */
        bool late = item->attempt == MAX_DELIVER;
        CHECK(!item->confirmed || !item->dead || late, "%u is acknowledged and dead", i);
    }
}

static void closed(void *context)
{
    ((struct world *)context)->closed = true;
}

static bool is_closed(void *context)
{
    return ((struct world *)context)->closed;
}

static void end(struct world *w)
{
    w->calm = true;
    sim_heal(w->sim);
    server_restart(w);
    for (int i = 0; i < 400 && !all_settled(w); i++) {
        if (is_up(w)) pull(w);
        sim_run_ms(w->sim, 250);
    }
    CHECK(all_settled(w), "%u of %u are stored", w->ended, w->begun[0] + w->begun[1]);
    sim_run_ms(w->sim, 3000); /* whatever was to come again would have */
    CHECK(all_settled(w), "something has come again");
    server_restart(w);
    sim_run_ms(w->sim, 2000);
    check_end(w);
    client_close(w->client, closed, w);
    CHECK(sim_run_until(w->sim, 5000, is_closed, w), "does not close");
    sim_host_crash(w->host);
    server_free(w);
    free(w);
}

/* ---- what happens ---- */

static void trouble(struct world *w)
{
    switch (sim_random_below(w->sim, 24)) {
    case 0: sim_reset(w->host, w->away); break;
    case 1: sim_partition(w->host, w->away, true); break;
    case 2: sim_cut(w->away, w->host, true); break;
    case 3: server_restart(w); break;
    case 4:
    case 5:
    case 6: sim_heal(w->sim); break;
    default: break;
    }
    if (sim_host_crashed(w->host)) server_restart(w);
}

static void api_crashes(struct sim *sim, uint64_t seed)
{
    struct world *w = world_new(sim);
    for (int step = 0; step < 60; step++) {
        for (uint64_t i = sim_random_below(sim, 4); i > 0; i--) publish(w, 0);
        if (sim_random_below(sim, 2)) publish(w, 1);
        if (sim_random_below(sim, 2)) pull(w);
        settle_held(w);
        if (sim_random_below(sim, 2)) change_slot(w);
        if (sim_random_below(sim, 3) == 0) delete_one(w);
        sim_run_ms(sim, sim_random_below(sim, sim_random_below(sim, 6) ? 30 : 700));
        trouble(w);
    }
    end(w);
}

static void all_have_happened(void)
{
    const struct api_slots_seen *slots = &api_slots_seen;
    CHECK(seen_confirmed && seen_again && seen_dead && slots->changes && slots->maybes &&
              seen_deleted && seen_duplicates,
          "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64,
          seen_confirmed, seen_again, seen_dead, slots->changes, slots->maybes, seen_deleted,
          seen_duplicates);
}

RUNNER_MAIN({"api_crashes", api_crashes, .finish = all_have_happened, .seeds = 300})
