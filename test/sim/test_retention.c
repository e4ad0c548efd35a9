/* Streams that keep what somebody still needs: interest and work queues, beside those with limits,
 * with several consumers, under power failures, kills, failing and full disks. What was
 * acknowledged to a publisher is there until every consumer has settled it, and goes then; what is
 * durably settled never comes again, to each consumer by itself; what has failed for good is in the
 * dead-letter stream once, whole, with its history; an id is taken once. */
#include "stream/consumer_impl.h"
#include "letter.h"
#include "lives.h"
#include "numbered.h"
#include "runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGES = 120, FILL = 200, READERS = 3, SUBJECTS = 4, NOTES = 3000, MAX_DELIVER = 3 };

enum fate { FATE_NONE, FATE_PENDING, FATE_STORED, FATE_UNKNOWN };

struct world;

/* One message as one consumer sees it. */
struct place {
    bool delivered, acked, termed; /* acked, termed: submitted, perhaps not durable */
    bool settled;                  /* acknowledged, durably */
    uint32_t attempt, dead;
    bool exceeded; /* its dead letter says that it was delivered too often */
};

struct item {
    struct stream_op op;
    struct world *world;
    enum fate fate;
    uint64_t seq;
    bool told_gone, there;
    struct place places[READERS];
};

struct reader {
    struct consumer_outlet outlet;
    struct world *world;
    struct consumer *consumer;
    unsigned index;
    uint64_t last_new; /* of this life */
    bool paused;
};

/* An acknowledgement is to become durable. */
struct note {
    struct consumer_wait wait;
    struct place *place;
};

struct world {
    struct lives lives;
    struct stream *stream;
    struct stream_observer observer;
    enum stream_retention retention;
    unsigned reader_count;
    struct reader readers[READERS];
    struct item items[MESSAGES];
    uint32_t count;
    struct note notes[NOTES];
    size_t note_count;
    unsigned chosen; /* the reader that is woken after the next action */
    bool draining;
};

static uint64_t seen_redelivered, seen_dead, seen_exceeded, seen_settled, seen_gone, seen_again;

/* ---- what a message is ---- */

static uint32_t number_of(struct bytes payload)
{
    return numbered_read(payload, FILL, MESSAGES);
}

static struct bytes subject_of(uint32_t number, char text[16])
{
    return bytes_make(text, (size_t)snprintf(text, 16, "s.%u", number % SUBJECTS));
}

/* A work queue's consumers share it, others overlap. */
static bool is_for(const struct world *w, unsigned reader, uint32_t number)
{
    unsigned subject = number % SUBJECTS;
    if (w->retention == STREAM_RETENTION_WORKQUEUE) return subject == reader;
    return reader == 0 || (reader == 1 && subject == 0) || (reader == 2 && subject && subject < 3);
}

/* ---- publishing ---- */

static void published(struct stream_op *op, int result)
{
    struct item *item = CONTAINER_OF(op, struct item, op);
    CHECK(item->fate == FATE_PENDING, "told twice");
    item->fate = result < 0 ? FATE_UNKNOWN : FATE_STORED;
    if (result < 0) return;
    CHECK(item->seq == 0 || item->seq == op->seq, "its id was taken twice: %" PRIu64 ", %" PRIu64,
          item->seq, op->seq);
    CHECK(!item->told_gone || op->duplicate, "stored again after it was settled");
    if (item->told_gone) seen_again++;
    item->seq = op->seq;
}

static void publish(struct world *w, uint32_t number)
{
    struct item *item = &w->items[number];
    char subject[16], headers[80], body[NUMBERED_MAX];
    int len = snprintf(headers, sizeof headers,
                       "NATS/1.0\r\nNats-Msg-Id: id%u\r\nNumber: %u\r\n\r\n", number, number);
    struct message message =
        message_borrow(subject_of(number, subject), BYTES(""), bytes_make(headers, (size_t)len),
                       bytes_make(body, numbered_body(number, FILL, body)));
    item->world = w;
    item->fate = FATE_PENDING;
    (void)stream_publish(w->stream, &item->op, &message, NULL, published);
    message_done(&message);
}

/* ---- consuming ---- */

static struct reader *of(struct consumer_outlet *outlet)
{
    return CONTAINER_OF(outlet, struct reader, outlet);
}

static void durable(struct consumer_wait *wait, int result)
{
    struct note *note = CONTAINER_OF(wait, struct note, wait);
    if (result < 0) return;
    note->place->settled = true;
    seen_settled++;
}

static void ack(struct reader *reader, struct place *place, uint64_t seq)
{
    struct world *w = reader->world;
    CHECK(consumer_ack(reader->consumer, seq) == 0, "ack");
    place->acked = true;
    CHECK(w->note_count < NOTES, "too much happens");
    struct note *note = &w->notes[w->note_count++];
    *note = (struct note){.place = place};
    consumer_when_durable(reader->consumer, &note->wait, durable);
}

static bool wants(struct consumer_outlet *outlet)
{
    return !of(outlet)->paused;
}

static bool takes(struct consumer_outlet *outlet, const struct stream_message *message)
{
    struct world *w = of(outlet)->world;
    return w->draining || sim_random_below(w->lives.sim, 8) > 0;
}

static void deliver(struct consumer_outlet *outlet, const struct delivery *delivery)
{
    struct reader *reader = of(outlet);
    struct world *w = reader->world;
    uint32_t number = number_of(delivery->message.payload);
    struct item *item = &w->items[number];
    struct place *place = &item->places[reader->index];
    CHECK(is_for(w, reader->index, number), "%u is not for %u", number, reader->index);
    CHECK(item->seq == 0 || item->seq == delivery->seq, "%u comes as %" PRIu64, number,
          delivery->seq);
    CHECK(!place->settled, "%u comes again to %u", number, reader->index);
    CHECK(delivery->attempt <= MAX_DELIVER, "attempt %u", delivery->attempt);
    CHECK(delivery->message.reply.len == 0, "a reply");
    item->seq = delivery->seq;
    if (delivery->attempt > 1) seen_redelivered++;
    if (!place->delivered) {
        CHECK(delivery->seq > reader->last_new, "out of order");
        reader->last_new = delivery->seq;
    }
    place->delivered = true;
    place->attempt = delivery->attempt;
    bool doomed = number % 9 == 0;
    uint64_t choice = sim_random_below(w->lives.sim, 10);
    if (!doomed && (w->draining || choice < 5)) {
        ack(reader, place, delivery->seq);
    } else if (doomed && number % 2 && choice < 6) {
        char reason[16];
        int len = snprintf(reason, sizeof reason, "bad %u", number);
        place->termed = true;
        CHECK(consumer_term(reader->consumer, delivery->seq, bytes_make(reason, (size_t)len)) == 0);
    } else if (choice < 8) {
        int64_t delay = (int64_t)sim_random_below(w->lives.sim, 700) * 1000000;
        CHECK(consumer_nak(reader->consumer, delivery->seq, delay) == 0, "nak");
    }
}

static void nothing(struct consumer_outlet *outlet)
{
}

static void closed(struct consumer_outlet *outlet, enum consumer_end why)
{
}

static void no_info(const struct consumer_outlet *outlet, struct consumer_info *info)
{
}

/* ---- what there is ---- */

/* Nobody needs it any more, as far as we have said. */
static bool may_go(const struct world *w, uint32_t number)
{
    unsigned needed_by = 0, readers = 0;
    if (w->retention == STREAM_RETENTION_LIMITS) return false;
    for (unsigned i = 0; i < w->reader_count; i++) {
        if (!is_for(w, i, number)) continue;
        readers++;
        needed_by += !w->items[number].places[i].acked && !w->items[number].places[i].termed;
    }
    return needed_by == 0 && (readers > 0 || w->retention == STREAM_RETENTION_INTEREST);
}

static void removed(struct stream_observer *observer, uint64_t seq, struct bytes subject)
{
    struct world *w = CONTAINER_OF(observer, struct world, observer);
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->items[i].seq != seq) continue;
        CHECK(may_go(w, i), "%u was removed", i);
        w->items[i].told_gone = true;
        seen_gone++;
    }
}

static void stored(struct stream_observer *observer, const struct stream_message *message)
{
    struct world *w = CONTAINER_OF(observer, struct world, observer);
    uint32_t number = number_of(message->message.payload);
    CHECK(w->items[number].fate != FATE_NONE, "never published");
}

struct walk {
    struct world *w;
    uint64_t last;
};

static int look(void *context, const struct stream_message *message)
{
    struct walk *walk = context;
    uint32_t number = number_of(message->message.payload);
    struct item *item = &walk->w->items[number];
    char text[16];
    CHECK(item->fate != FATE_NONE, "never published");
    CHECK(bytes_eq(message->message.subject, subject_of(number, text)), "subject");
    CHECK(message->seq > walk->last, "order");
    CHECK(!item->there, "%u is there twice", number);
    CHECK(!item->told_gone, "%u has come back", number);
    CHECK(item->seq == 0 || item->seq == message->seq, "%u has moved", number);
    item->there = true;
    item->seq = walk->last = message->seq;
    item->fate = FATE_STORED;
    return 0;
}

static void check_stream(struct world *w)
{
    struct walk walk = {.w = w};
    for (uint32_t i = 0; i < w->count; i++) {
        struct item *item = &w->items[i];
        bool delivered = false;
        item->there = false;
        for (unsigned k = 0; k < READERS; k++) delivered |= item->places[k].delivered;
        if (item->fate == FATE_PENDING) item->fate = FATE_UNKNOWN;
        if (item->fate == FATE_UNKNOWN && !delivered) item->seq = 0;
    }
    CHECK(stream_each(w->stream, look, &walk) == 0, "cannot be read");
    for (uint32_t i = 0; i < w->count; i++) {
        const struct item *item = &w->items[i];
        CHECK(item->fate != FATE_STORED || item->there || may_go(w, i), "%u is lost", i);
    }
}

/* ---- lives ---- */

static const char *const filters[2][READERS][2] = {
    {{"s.*", NULL}, {"s.0", NULL}, {"s.1", "s.2"}},
    {{"s.0", NULL}, {"s.1", NULL}, {"s.2", NULL}},
};

static int open_reader(struct world *w, unsigned index)
{
    static const char *const names[READERS] = {"a", "b", "c"};
    const char *const *mine = filters[w->retention == STREAM_RETENTION_WORKQUEUE][index];
    const struct consumer_config config = {.name = names[index],
                                           .durable = true,
                                           .filters = mine,
                                           .filter_count = mine[1] ? 2 : 1,
                                           .filter_list = true,
                                           .ack_policy = CONSUMER_ACK_EXPLICIT,
                                           .ack_wait_ns = 1000000000,
                                           .max_deliver = MAX_DELIVER,
                                           .max_ack_pending = 12};
    struct reader *reader = &w->readers[index];
    struct api_error refusal = {0};
    int r = consumers_add(w->lives.streams, w->stream, &config, CONSUMER_MAKE_OR_UPDATE,
                          &reader->consumer, &refusal);
    if (r < 0) return r;
    reader->world = w;
    reader->index = index;
    reader->last_new = 0;
    reader->outlet = (struct consumer_outlet){.wants = wants,
                                              .takes = takes,
                                              .deliver = deliver,
                                              .idle = nothing,
                                              .closed = closed,
                                              .info = no_info};
    return consumer_attach(reader->consumer, &reader->outlet);
}

static int open_all(struct lives *lives)
{
    static const char *const subjects[] = {"s.>"};
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    const struct stream_config config = {.name = "S",
                                         .subjects = subjects,
                                         .subject_count = 1,
                                         .retention = w->retention,
                                         .duplicate_window_ns = INT64_C(3600000000000)};
    int r = streams_add(lives->streams, &config, &w->stream, NULL);
    for (unsigned i = 0; i < w->reader_count && r == 0; i++) r = open_reader(w, i);
    return r;
}

static void started(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    w->observer = (struct stream_observer){.stored = stored, .removed = removed};
    stream_observe(w->stream, &w->observer);
    check_stream(w);
}

static void drop(struct lives *lives)
{
    CONTAINER_OF(lives, struct world, lives)->note_count = 0;
}

static void act(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    uint64_t choice = sim_random_below(lives->sim, 10);
    w->chosen = (unsigned)sim_random_below(lives->sim, w->reader_count);
    if (choice == 0) {
        w->readers[w->chosen].paused = !w->readers[w->chosen].paused;
    } else if (choice < 3 && w->count > 0) {
        /* Again, as a publisher does who got no answer. */
        uint32_t number = (uint32_t)sim_random_below(lives->sim, w->count);
        if (w->items[number].fate != FATE_PENDING) publish(w, number);
    } else if (w->count < MESSAGES) {
        publish(w, w->count++);
    }
}

static void acted(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    consumer_wake(w->readers[w->chosen].consumer);
}

static const struct lives_program program = {
    .open = open_all, .started = started, .act = act, .acted = acted, .steps = 10, .drop = drop};

static const struct lives_pace pace = {.lives = 4,
                                       .crash_within = 250,
                                       .actions = 60,
                                       .fail_within = 40,
                                       .calm = 10,
                                       .troubled = 50,
                                       .after = 5,
                                       .rest_one_in = 2,
                                       .rest_ms = 2500};

/* ---- the end ---- */

static bool all_done(void *context)
{
    struct world *w = context;
    for (unsigned i = 0; i < w->reader_count; i++) {
        struct consumer_info info = consumer_info(w->readers[i].consumer);
        if (info.num_pending || info.num_ack_pending) return false;
        if (w->readers[i].consumer->state.grave_count) return false;
    }
    return true;
}

static int look_dead(void *context, const struct stream_message *stored)
{
    struct world *w = context;
    const struct message *message = &stored->message;
    uint32_t number = number_of(message->payload);
    struct item *item = &w->items[number];
    struct letter letter = letter_read(message);
    unsigned index = letter.consumer.len == 1 ? (unsigned)(letter.consumer.data[0] - 'a') : READERS;
    char text[16];
    CHECK(index < w->reader_count && is_for(w, index, number), "consumer");
    struct place *place = &item->places[index];
    CHECK(bytes_eq(letter.stream, BYTES("S")), "stream");
    CHECK(bytes_eq(letter.subject, subject_of(number, text)), "subject");
    CHECK(letter.seq == item->seq, "sequence of %u", number);
    CHECK(letter_number(message, "Number") == number, "the headers it had");
    CHECK(letter.attempts >= 1 && letter.attempts <= MAX_DELIVER, "%" PRIu64 " attempts",
          letter.attempts);
    place->exceeded = bytes_eq(letter.reason, BYTES("max_deliver"));
    int len = snprintf(text, sizeof text, "bad %u", number);
    bool termed = place->termed && bytes_eq(letter.reason, bytes_make(text, (size_t)len));
    CHECK(place->exceeded ? letter.attempts == MAX_DELIVER : termed, "why %u is dead", number);
    CHECK(place->dead++ == 0, "%u is dead twice", number);
    seen_dead++;
    return 0;
}

static void check_end(struct world *w)
{
    struct stream *dead = streams_find(w->lives.streams, BYTES("DEAD"));
    int r = dead ? stream_each(dead, look_dead, w) : 0;
    CHECK(r == 0, "DEAD: %s", err_name(r));
    check_stream(w);
    for (uint32_t i = 0; i < w->count; i++) {
        const struct item *item = &w->items[i];
        bool given_up = false, needed = w->retention != STREAM_RETENTION_INTEREST;
        if (item->fate != FATE_STORED) continue;
        for (unsigned k = 0; k < w->reader_count; k++) {
            const struct place *place = &item->places[k];
            if (!is_for(w, k, i)) continue;
            needed = w->retention == STREAM_RETENTION_LIMITS;
            CHECK(place->delivered, "%u was never delivered to %u", i, k);
            CHECK(place->acked || place->dead, "%u has vanished from %u", i, k);
            CHECK(!place->settled || !place->dead, "%u is acknowledged and dead", i);
            given_up |= place->exceeded;
        }
        /* What was only delivered too often stays. */
        CHECK(item->there == (needed || given_up), "%u: there %d", i, item->there);
        seen_exceeded += given_up;
    }
}

/* Everything that is stored gets settled: by an acknowledgement, or as one dead letter. */
static void drain(struct world *w)
{
    w->draining = true;
    lives_calm(&w->lives);
    lives_start(&w->lives);
    for (unsigned i = 0; i < w->reader_count; i++) {
        w->readers[i].paused = false;
        consumer_wake(w->readers[i].consumer);
    }
    CHECK(sim_run_until(w->lives.sim, 600000, all_done, w), "not all is settled");
    sim_run_ms(w->lives.sim, 3000);
    CHECK(all_done(w), "something has come again");
    check_end(w);
    /* And the next start finds it so. */
    for (uint32_t i = 0; i < w->count; i++)
        for (unsigned k = 0; k < READERS; k++) w->items[i].places[k].dead = 0;
    sim_host_kill(w->lives.host);
    lives_start(&w->lives);
    sim_run_ms(w->lives.sim, 3000);
    CHECK(all_done(w), "something has come again");
    check_end(w);
    lives_free(&w->lives);
}

static struct world *world_new(struct sim *sim)
{
    struct world *w = lives_new(sizeof *w, sim, &program);
    w->retention = (enum stream_retention)sim_random_below(sim, 3);
    w->reader_count = 1 + (unsigned)sim_random_below(sim, READERS);
    return w;
}

static void retention_crashes(struct sim *sim, uint64_t seed)
{
    struct world *w = world_new(sim);
    lives_crashes(&w->lives, &pace);
    drain(w);
}

static void retention_failures(struct sim *sim, uint64_t seed)
{
    struct world *w = world_new(sim);
    lives_failures(&w->lives, &pace);
    drain(w);
}

static void saw_enough(void)
{
    CHECK(seen_redelivered && seen_dead && seen_exceeded && seen_settled && seen_gone && seen_again,
          "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, seen_redelivered,
          seen_dead, seen_exceeded, seen_settled, seen_gone, seen_again);
}

RUNNER_MAIN({"retention_crashes", retention_crashes, .finish = saw_enough, .seeds = 600},
            {"retention_failures", retention_failures, .seeds = 400})
