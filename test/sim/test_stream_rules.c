/* What goes by itself and what comes later, under power failures, kills, failing and full disks:
 * messages with a time to live, delayed ones, a work queue's acknowledged ones, ids, mirrors. What
 * was acknowledged to a publisher is there, once, until it may go; what has gone stays gone; what
 * is delayed is not seen before its time, and then once. */
#include "stream/stream_impl.h"
#include "lives.h"
#include "runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGES_MAX = 300 };

enum fate { FATE_NONE, FATE_PENDING, FATE_STORED, FATE_UNKNOWN };

struct world;

struct publish {
    struct stream_op op;
    struct world *world;
    enum fate fate;
    uint64_t seq;       /* as it was acknowledged */
    uint64_t ttl_ns;    /* 0: for ever */
    uint64_t due_ns;    /* wall clock; 0: at once */
    uint64_t stored_ns; /* no earlier than it was stored */
    bool acked;         /* by the work queue's consumer */
    bool told_gone;     /* its removal has been told of: it is durable */
    /* as found by a walk */
    unsigned visible, hidden;
};

struct world {
    struct lives lives;
    struct stream *stream, *mirror;
    struct stream_interest interest;
    struct stream_observer observer;
    bool queue;
    struct publish publishes[MESSAGES_MAX];
    uint32_t count;
};

static uint64_t seen_expired, seen_released, seen_acked, seen_unknown, seen_duplicate;

static uint32_t number_of(const struct message *message)
{
    unsigned number = MESSAGES_MAX;
    char text[32] = {0};
    size_t len = message->payload.len < 31 ? message->payload.len : 31;
    memcpy(text, message->payload.data, len);
    CHECK(sscanf(text, "message %u", &number) == 1 && number < MESSAGES_MAX, "content");
    return number;
}

/* ---- a consumer of a work queue ---- */

static struct publish *by_seq(struct world *w, uint64_t seq)
{
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->publishes[i].fate == FATE_STORED && w->publishes[i].seq == seq) {
            return &w->publishes[i];
        }
    }
    return NULL;
}

static bool needs(struct stream_interest *interest, uint64_t seq, struct bytes subject)
{
    const struct publish *p = by_seq(CONTAINER_OF(interest, struct world, interest), seq);
    return !p || !p->acked;
}

static bool acknowledged(struct stream_interest *interest, uint64_t seq, struct bytes subject)
{
    return !needs(interest, seq, subject);
}

/* ---- publishing ---- */

static void published(struct stream_op *op, int result)
{
    struct publish *p = CONTAINER_OF(op, struct publish, op);
    CHECK(p->fate == FATE_PENDING, "told twice");
    p->fate = result < 0 ? FATE_UNKNOWN : FATE_STORED;
    if (result < 0) return;
    if (op->duplicate) seen_duplicate++;
    CHECK(p->seq == 0 || p->seq == op->seq, "stored twice");
    p->seq = op->seq;
}

static void publish(struct world *w, uint32_t number)
{
    struct publish *p = &w->publishes[number];
    char subject[32], headers[200], body[80], text[64] = "";
    uint64_t now = io_wall_ns(w->lives.io);
    if (p->fate == FATE_NONE) {
        p->stored_ns = now;
        if (number % 3 == 1) p->ttl_ns = (1 + number % 4) * UINT64_C(1000000000);
        if (number % 5 == 2) p->due_ns = now + (100 + number * 37 % 3000) * UINT64_C(1000000);
    }
    if (p->due_ns) {
        uint64_t delay = p->due_ns > now ? p->due_ns - now : 0;
        snprintf(text, sizeof text, "Dure-Delay: %" PRIu64 "ns\r\n", delay);
    }
    if (p->ttl_ns) {
        snprintf(text + strlen(text), sizeof text - strlen(text), "Nats-TTL: %" PRIu64 "s\r\n",
                 p->ttl_ns / 1000000000);
    }
    int len =
        snprintf(headers, sizeof headers, "NATS/1.0\r\nNats-Msg-Id: id%u\r\n%s\r\n", number, text);
    int subject_len = snprintf(subject, sizeof subject, "s.%u", number % 5);
    int body_len = snprintf(body, sizeof body, "message %u %*s", number, (int)(number % 50), "");
    struct message message =
        message_borrow(bytes_make(subject, (size_t)subject_len), BYTES(""),
                       bytes_make(headers, (size_t)len), bytes_make(body, (size_t)body_len));
    p->world = w;
    p->fate = FATE_PENDING;
    (void)stream_publish(w->stream, &p->op, &message, NULL, published);
    message_done(&message);
}

static void ack_one(struct world *w)
{
    struct publish *p = &w->publishes[sim_random_below(w->lives.sim, w->count)];
    if (!w->queue || p->fate != FATE_STORED || p->due_ns || p->acked) return;
    p->acked = true;
    seen_acked++;
    stream_acked(&w->interest, p->seq);
}

/* ---- watching ---- */

static void stored(struct stream_observer *observer, const struct stream_message *message)
{
    struct world *w = CONTAINER_OF(observer, struct world, observer);
    const struct publish *p = &w->publishes[number_of(&message->message)];
    CHECK(p->due_ns <= io_wall_ns(w->lives.io), "seen before its time");
    if (p->due_ns) seen_released++;
}

static void removed(struct stream_observer *observer, uint64_t seq, struct bytes subject)
{
    struct world *w = CONTAINER_OF(observer, struct world, observer);
    struct publish *p = by_seq(w, seq);
    if (!p || p->due_ns) return; /* of a delayed one only its hidden part has this sequence */
    uint64_t now = io_wall_ns(w->lives.io);
    CHECK(p->acked || (p->ttl_ns && now >= p->stored_ns + p->ttl_ns), "%" PRIu64 " removed", seq);
    if (!p->acked) seen_expired++;
    p->told_gone = true;
}

/* ---- what there is ---- */

static int found(void *context, const struct stream_message *message)
{
    struct world *w = context;
    struct publish *p = &w->publishes[number_of(&message->message)];
    CHECK(p->fate != FATE_NONE, "was never published");
    CHECK(p->due_ns <= io_wall_ns(w->lives.io), "seen before its time");
    p->visible++;
    return 0;
}

static void check_one(struct world *w, uint32_t number)
{
    struct publish *p = &w->publishes[number];
    uint64_t now = io_wall_ns(w->lives.io), born = p->due_ns ? p->due_ns : p->stored_ns;
    unsigned there = p->visible + p->hidden;
    CHECK(there <= 1, "%u is there %u times", number, there);
    CHECK(!p->told_gone || there == 0, "%u has come back", number);
    bool may_go = p->acked || (p->ttl_ns && now >= born + p->ttl_ns);
    CHECK(p->fate != FATE_STORED || may_go || there == 1, "%u is lost", number);
}

static void check(struct world *w)
{
    struct stream_entry entry;
    for (uint32_t i = 0; i < w->count; i++) w->publishes[i].visible = w->publishes[i].hidden = 0;
    CHECK(stream_each(w->stream, found, w) == 0, "cannot be read");
    for (uint64_t seq = 0; stream_index_from(&w->stream->index, seq, &entry); seq = entry.seq + 1) {
        struct publish *p = by_seq(w, entry.seq);
        if (p && stream_subject_hidden(entry.subject)) p->hidden++;
    }
    for (uint32_t i = 0; i < w->count; i++) check_one(w, i);
}

/* A mirror has nothing that its origin has not given out, and nothing else under a sequence. */
static int mirrored(void *context, const struct stream_message *message)
{
    struct world *w = context;
    CHECK(message->seq <= w->stream->last_seq, "ahead of its origin");
    (void)number_of(&message->message);
    return 0;
}

/* ---- lives ---- */

static int open_streams(struct lives *lives)
{
    static const char *const subjects[] = {"s.>"};
    static const struct stream_source origin = {.name = "S"};
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    const struct stream_config config = {
        .name = "S",
        .subjects = subjects,
        .subject_count = 1,
        .retention = w->queue ? STREAM_RETENTION_WORKQUEUE : STREAM_RETENTION_LIMITS,
        .allow_msg_ttl = true,
        .duplicate_window_ns = INT64_C(3600000000000),
    };
    const struct stream_config mirror = {.name = "M", .mirror = &origin};
    int r = streams_add(lives->streams, &config, &w->stream, NULL);
    if (r == 0) r = streams_add(lives->streams, &mirror, &w->mirror, NULL);
    return r;
}

static void drop(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    if (w->interest.stream) stream_detach(&w->interest, false);
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->publishes[i].fate == FATE_PENDING) w->publishes[i].fate = FATE_UNKNOWN;
    }
}

static void started(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    w->observer = (struct stream_observer){.stored = stored, .removed = removed};
    stream_observe(w->stream, &w->observer);
    w->interest = (struct stream_interest){.needs = needs, .acknowledged = acknowledged};
    stream_attach(w->stream, &w->interest);
    check(w);
    CHECK(stream_each(w->mirror, mirrored, w) == 0, "mirror");
    stream_interest_known(w->stream);
}

static void act(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    uint64_t choice = sim_random_below(lives->sim, 8);
    if (choice == 0 && w->count > 0) {
        uint32_t number = (uint32_t)sim_random_below(lives->sim, w->count);
        if (w->publishes[number].fate == FATE_UNKNOWN) seen_unknown++;
        if (w->publishes[number].fate != FATE_PENDING) publish(w, number);
    } else if (choice < 3 && w->count > 0) {
        ack_one(w);
    } else if (w->count < MESSAGES_MAX) {
        publish(w, w->count++);
    }
}

static const struct lives_program program = {
    .open = open_streams, .started = started, .act = act, .steps = 10, .drop = drop};

static const struct lives_pace pace = {.lives = 6,
                                       .crash_within = 200,
                                       .actions = 80,
                                       .fail_within = 30,
                                       .calm = 15,
                                       .troubled = 60,
                                       .rest_one_in = 3,
                                       .rest_ms = 4000};

/* When nothing fails any more, everything comes to its end. */
static void finish_world(struct world *w)
{
    lives_calm(&w->lives);
    lives_start(&w->lives);
    sim_run_ms(w->lives.sim, 20000);
    check(w);
    for (uint32_t i = 0; i < w->count; i++) {
        const struct publish *p = &w->publishes[i];
        if (p->fate != FATE_STORED) continue;
        CHECK(p->hidden == 0, "%u was not released", i);
        CHECK(!p->acked || p->visible == 0, "%u is acknowledged and there", i);
        CHECK(!p->ttl_ns || p->visible == 0, "%u has outlived its time", i);
    }
    if (!w->queue) {
        struct stream_entry entry;
        CHECK(!stream_index_last(&w->stream->index, &entry) || w->mirror->last_seq >= entry.seq,
              "the mirror has not come to the end");
    }
    lives_free(&w->lives);
}

static void rules_crashes(struct sim *sim, uint64_t seed)
{
    struct world *w = lives_new(sizeof *w, sim, &program);
    w->queue = sim_random_below(sim, 2);
    lives_crashes(&w->lives, &pace);
    finish_world(w);
}

static void rules_failures(struct sim *sim, uint64_t seed)
{
    struct world *w = lives_new(sizeof *w, sim, &program);
    w->queue = sim_random_below(sim, 2);
    lives_failures(&w->lives, &pace);
    finish_world(w);
}

static void finish(void)
{
    CHECK(seen_expired > 0 && seen_released > 0 && seen_acked > 0 && seen_duplicate > 0 &&
              seen_unknown > 0,
          "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, seen_expired, seen_released,
          seen_acked, seen_duplicate, seen_unknown);
}

RUNNER_MAIN({"rules_crashes", rules_crashes, .finish = finish, .seeds = 800},
            {"rules_failures", rules_failures, .seeds = 500})
