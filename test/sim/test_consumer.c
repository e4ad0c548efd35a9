/* A consumer under power failures, kills and full disks, through an outlet as clients over the wire
 * have one. What was durably acknowledged never comes again; what was delivered comes again, but
 * not before the time that was durable, and with more attempts; the number of messages ahead is
 * exact after every step; in the end everything is acknowledged, dead or deleted. */
#include "stream/consumer_impl.h"
#include "letter.h"
#include "runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGES = 200, NOTES = 4000, MAX_DELIVER = 5 };

static const int64_t ack_wait_ns = 2000000000;

struct item {
    uint32_t attempts;         /* seen */
    uint32_t durable_attempts; /* of them, those that a restart must know */
    uint64_t not_before_ns;    /* durable */
    unsigned version;          /* changes with everything that is done to it */
    bool mine, done, durably_done, deleted;
};

/* Something was done to a message, and is to become durable. */
struct note {
    struct consumer_wait wait;
    struct world *world;
    uint64_t seq, not_before_ns;
    uint32_t attempts;
    unsigned version;
    bool done;
};

struct world {
    struct sim *sim;
    struct sim_host *host;
    struct io *io;
    struct streams *streams;
    struct stream *stream;
    struct consumer *consumer;
    struct consumer_outlet outlet;
    struct item items[MESSAGES * 2];
    struct note notes[NOTES];
    size_t note_count;
    uint64_t published, last_consumer_seq;
    struct list publishing;
    bool draining, paused;
};

static uint64_t seen_redelivered, seen_dead, seen_durable;

static struct world *of(struct consumer_outlet *outlet)
{
    return CONTAINER_OF(outlet, struct world, outlet);
}

/* ---- what becomes durable ---- */

static void durable(struct consumer_wait *wait, int result)
{
    struct note *note = CONTAINER_OF(wait, struct note, wait);
    struct item *item = &note->world->items[note->seq];
    if (result < 0) return;
    seen_durable++;
    if (note->attempts > item->durable_attempts) item->durable_attempts = note->attempts;
    if (note->done) item->durably_done = true;
    if (note->version == item->version) item->not_before_ns = note->not_before_ns;
}

static void note(struct world *w, uint64_t seq, uint64_t not_before_ns, bool done)
{
    struct item *item = &w->items[seq];
    CHECK(w->note_count < NOTES, "too much happens");
    struct note *n = &w->notes[w->note_count++];
    *n = (struct note){.world = w,
                       .seq = seq,
                       .not_before_ns = not_before_ns,
                       .attempts = item->attempts,
                       .version = ++item->version,
                       .done = done};
    /* Earlier than what was durable: it may come then already. */
    if (not_before_ns < item->not_before_ns) item->not_before_ns = not_before_ns;
    consumer_when_durable(w->consumer, &n->wait, durable);
}

/* ---- the outlet ---- */

static bool wants(struct consumer_outlet *outlet)
{
    return !of(outlet)->paused;
}

static bool takes(struct consumer_outlet *outlet, const struct stream_message *message)
{
    struct world *w = of(outlet);
    return w->draining || sim_random_below(w->sim, 10) > 0;
}

static void act(struct world *w, uint64_t seq)
{
    struct item *item = &w->items[seq];
    uint64_t now = io_wall_ns(w->io), choice = sim_random_below(w->sim, 10);
    int64_t delay = (int64_t)sim_random_below(w->sim, 3000) * 1000000;
    int r = 0;
    if (choice < 5 || (w->draining && seq % 7 != 0)) {
        r = consumer_ack(w->consumer, seq);
        item->done = true;
        note(w, seq, UINT64_MAX, true);
    } else if (choice == 5 && seq % 7 == 0) {
        r = consumer_term(w->consumer, seq, BYTES("no"));
        item->done = true;
        note(w, seq, UINT64_MAX, true);
    } else if (choice == 6) {
        r = consumer_nak(w->consumer, seq, delay);
        note(w, seq, now + (uint64_t)delay, false);
    } else if (choice == 7) {
        r = consumer_progress(w->consumer, seq);
        note(w, seq, now + (uint64_t)ack_wait_ns, false);
    }
    CHECK(r == 0, "%s", err_name(r));
}

static void deliver(struct consumer_outlet *outlet, const struct delivery *delivery)
{
    struct world *w = of(outlet);
    struct item *item = &w->items[delivery->seq];
    uint64_t now = io_wall_ns(w->io);
    CHECK(item->mine, "%" PRIu64 " is not for it", delivery->seq);
    CHECK(!item->durably_done, "%" PRIu64 " comes again", delivery->seq);
    CHECK(delivery->attempt <= MAX_DELIVER, "attempt %u", delivery->attempt);
    CHECK(delivery->attempt > item->durable_attempts, "attempt %u after %u", delivery->attempt,
          item->durable_attempts);
    CHECK(now >= item->not_before_ns, "%" PRIu64 " comes %" PRIu64 " ns early", delivery->seq,
          item->not_before_ns - now);
    CHECK(delivery->consumer_seq == w->last_consumer_seq + 1, "a gap");
    w->last_consumer_seq = delivery->consumer_seq;
    if (delivery->attempt > 1) seen_redelivered++;
    item->attempts = delivery->attempt;
    item->not_before_ns = 0;
    note(w, delivery->seq, now + (uint64_t)ack_wait_ns, false);
    item->not_before_ns = 0; /* until that is durable */
    act(w, delivery->seq);
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

/* ---- the world ---- */

static void start_once(struct world *w)
{
    static const char *const subjects[] = {"s.>", "t.>"}, *const filter = "s.>";
    const struct streams_options options = {
        .dir = "/store", .segment_bytes = 4096, .log_file_min = 32 << 10, .log_file_max = 64 << 10};
    const struct stream_config stream = {.name = "S", .subjects = subjects, .subject_count = 2};
    const struct consumer_config config = {.name = "C",
                                           .durable = true,
                                           .filters = &filter,
                                           .filter_count = 1,
                                           .ack_policy = CONSUMER_ACK_EXPLICIT,
                                           .ack_wait_ns = ack_wait_ns,
                                           .max_deliver = MAX_DELIVER,
                                           .max_ack_pending = 30};
    struct error error = {0};
    struct api_error refusal = {0};
    int r = streams_open(w->io, NULL, &options, &w->streams, &error);
    CHECK(r == 0, "%s %s", error.file, error.message);
    r = streams_add(w->streams, &stream, &w->stream, &refusal);
    CHECK(r == 0, "stream: %d", api_error_number(refusal.kind));
    r = consumers_add(w->streams, w->stream, &config, CONSUMER_MAKE_OR_UPDATE, &w->consumer,
                      &refusal);
    CHECK(r == 0, "consumer: %d", api_error_number(refusal.kind));
    w->outlet = (struct consumer_outlet){.wants = wants,
                                         .takes = takes,
                                         .deliver = deliver,
                                         .idle = nothing,
                                         .closed = closed,
                                         .info = no_info};
    w->last_consumer_seq = consumer_info(w->consumer).delivered.consumer_seq;
    w->note_count = 0;
    CHECK(consumer_attach(w->consumer, &w->outlet) == 0, "attach");
}

struct publishing {
    struct stream_op op;
    struct list link;
};

static void stored(struct stream_op *op, int result)
{
    struct publishing *p = CONTAINER_OF(op, struct publishing, op);
    list_remove(&p->link);
    free(p);
}

/* Those of a host that is no more. */
static void forget_publishing(struct world *w)
{
    for (struct list *link; (link = list_pop(&w->publishing));) {
        free(CONTAINER_OF(link, struct publishing, link));
    }
}

static void restart(struct world *w)
{
    if (w->streams) {
        if (!sim_host_crashed(w->host)) {
            if (sim_random_below(w->sim, 2)) {
                sim_host_crash(w->host);
            } else {
                sim_host_kill(w->host);
            }
        }
        streams_free(w->streams);
        forget_publishing(w);
        w->io = sim_host_restart(w->host);
    }
    start_once(w);
}

static void publish(struct world *w)
{
    struct publishing *p = malloc(sizeof *p);
    bool mine = sim_random_below(w->sim, 4) > 0;
    struct message message = message_borrow(mine ? BYTES("s.x") : BYTES("t.x"), BYTES(""),
                                            BYTES(""), BYTES("some words to be delivered"));
    CHECK(p, "memory");
    list_push(&w->publishing, &p->link);
    stream_publish(w->stream, &p->op, &message, NULL, stored);
    message_done(&message);
    w->published++;
}

/* Whose message a sequence became is known when the stream holds it. */
static int learn(void *context, const struct stream_message *message)
{
    struct world *w = context;
    w->items[message->seq].mine = bytes_eq(message->message.subject, BYTES("s.x"));
    return 0;
}

static void step(struct world *w)
{
    if (sim_host_crashed(w->host) || !sim_step(w->sim) || sim_host_crashed(w->host)) return;
    uint64_t ahead = stream_filter_count(&w->consumer->filter, w->consumer->state.next_seq);
    CHECK(w->consumer->num_pending == ahead, "%" PRIu64 " ahead, says %" PRIu64, ahead,
          w->consumer->num_pending);
}

static void live(struct world *w)
{
    for (int i = 0; i < 30 && !sim_host_crashed(w->host); i++) {
        uint64_t choice = sim_random_below(w->sim, 12);
        if (choice < 8 && w->published < MESSAGES) publish(w);
        if (choice == 9) w->paused = !w->paused;
        if (choice == 10 && w->stream->last_seq) {
            uint64_t seq = 1 + sim_random_below(w->sim, w->stream->last_seq);
            w->items[seq].deleted = true;
            stream_delete(w->stream, NULL, seq, NULL);
        }
        for (uint64_t n = sim_random_below(w->sim, 12); n > 0; n--) step(w);
        consumer_wake(w->consumer);
    }
    if (!sim_host_crashed(w->host) && sim_random_below(w->sim, 2)) {
        for (uint64_t n = sim_random_below(w->sim, 400); n > 0; n--) step(w);
    }
}

static bool all_done(void *context)
{
    struct world *w = context;
    struct consumer_info info = consumer_info(w->consumer);
    return info.num_pending == 0 && info.num_ack_pending == 0 &&
           w->consumer->state.grave_count == 0;
}

static int look_dead(void *context, const struct stream_message *message)
{
    uint32_t *dead = context;
    uint64_t seq = letter_read(&message->message).seq;
    CHECK(seq < MESSAGES * 2, "sequence");
    dead[seq]++;
    seen_dead++;
    return 0;
}

static void check_all(struct world *w)
{
    uint32_t dead[MESSAGES * 2] = {0};
    struct stream *stream = streams_find(w->streams, BYTES("DEAD"));
    if (stream) CHECK(stream_each(stream, look_dead, dead) == 0, "DEAD");
    for (uint64_t seq = 1; seq <= w->stream->last_seq; seq++) {
        const struct item *item = &w->items[seq];
        CHECK(dead[seq] <= 1, "%" PRIu64 " is dead %u times", seq, dead[seq]);
        if (!item->mine || item->deleted) continue;
        CHECK(item->attempts > 0, "%" PRIu64 " was never delivered", seq);
        CHECK(item->done || dead[seq], "%" PRIu64 " has vanished", seq);
    }
}

static void gone(void *context)
{
    *(bool *)context = true;
}

static bool is_true(void *context)
{
    return *(bool *)context;
}

static void keeps_its_promises(struct sim *sim, uint64_t seed)
{
    struct world *w = calloc(1, sizeof *w);
    CHECK(w, "memory");
    w->sim = sim;
    w->host = sim_host_new(sim, "a");
    w->io = sim_host_io(w->host);
    list_init(&w->publishing);
    /* Everything that may be published is learned from the stream before it is delivered. */
    for (int life = 0; life < 4; life++) {
        restart(w);
        for (size_t i = 0; i < MESSAGES * 2; i++) w->items[i].mine = true;
        CHECK(stream_each(w->stream, learn, w) == 0, "learn");
        if (sim_random_below(sim, 2)) sim_host_crash_after(w->host, sim_random_below(sim, 100));
        if (sim_random_below(sim, 3) == 0) {
            sim_disk_limit(w->host, sim_disk_used(w->host) + sim_random_below(sim, 8000));
        }
        live(w);
        sim_host_crash_never(w->host);
        sim_disk_limit(w->host, 1 << 30);
    }
    restart(w);
    CHECK(stream_each(w->stream, learn, w) == 0, "learn");
    w->draining = true;
    w->paused = false;
    consumer_wake(w->consumer);
    CHECK(sim_run_until(sim, 600000, all_done, w), "pending %zu", w->consumer->state.pending.count);
    check_all(w);
    bool done = false;
    streams_close(w->streams, gone, &done);
    CHECK(sim_run_until(sim, 60000, is_true, &done), "streams close");
    free(w);
}

static void saw_enough(void)
{
    CHECK(seen_redelivered > 100, "%" PRIu64 " redelivered", seen_redelivered);
    CHECK(seen_dead > 10, "%" PRIu64 " dead", seen_dead);
    CHECK(seen_durable > 1000, "%" PRIu64 " durable", seen_durable);
}

RUNNER_MAIN({"keeps_its_promises", keeps_its_promises, .finish = saw_enough, .seeds = 400})
