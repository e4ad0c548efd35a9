/* What goes by itself and what comes later, under power failures, kills, failing and full disks:
 * messages with a time to live, delayed ones, a work queue's acknowledged ones, ids, mirrors. What
 * was acknowledged to a publisher is there, once, until it may go; what has gone stays gone; what
 * is delayed is not seen before its time, and then once. */
#include "stream/stream_impl.h"
#include "runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGES_MAX = 300, LIVES = 6 };

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
    struct sim *sim;
    struct sim_host *host;
    struct io *io;
    struct streams *streams;
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
    uint64_t now = io_wall_ns(w->io);
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
    struct publish *p = &w->publishes[sim_random_below(w->sim, w->count)];
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
    CHECK(p->due_ns <= io_wall_ns(w->io), "seen before its time");
    if (p->due_ns) seen_released++;
}

static void removed(struct stream_observer *observer, uint64_t seq, struct bytes subject)
{
    struct world *w = CONTAINER_OF(observer, struct world, observer);
    struct publish *p = by_seq(w, seq);
    if (!p || p->due_ns) return; /* of a delayed one only its hidden part has this sequence */
    uint64_t now = io_wall_ns(w->io);
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
    CHECK(p->due_ns <= io_wall_ns(w->io), "seen before its time");
    p->visible++;
    return 0;
}

static void check_one(struct world *w, uint32_t number)
{
    struct publish *p = &w->publishes[number];
    uint64_t now = io_wall_ns(w->io), born = p->due_ns ? p->due_ns : p->stored_ns;
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

static int start_once(struct world *w)
{
    static const char *const subjects[] = {"s.>"};
    static const struct stream_source origin = {.name = "S"};
    const struct streams_options options = {
        .dir = "/store", .segment_bytes = 4096, .log_file_min = 32 << 10, .log_file_max = 64 << 10};
    const struct stream_config config = {
        .name = "S",
        .subjects = subjects,
        .subject_count = 1,
        .retention = w->queue ? STREAM_RETENTION_WORKQUEUE : STREAM_RETENTION_LIMITS,
        .allow_msg_ttl = true,
        .duplicate_window_ns = INT64_C(3600000000000),
    };
    const struct stream_config mirror = {.name = "M", .mirror = &origin};
    struct error error = {0};
    int r = streams_open(w->io, NULL, &options, &w->streams, &error);
    CHECK(r != ERR_CORRUPT, "%s %s", error.file, error.message);
    if (r == 0) r = streams_add(w->streams, &config, &w->stream, NULL);
    if (r == 0) r = streams_add(w->streams, &mirror, &w->mirror, NULL);
    return r;
}

static void drop(struct world *w)
{
    if (w->interest.stream) stream_detach(&w->interest, false);
    streams_free(w->streams);
    w->streams = NULL;
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->publishes[i].fate == FATE_PENDING) w->publishes[i].fate = FATE_UNKNOWN;
    }
}

static void start(struct world *w)
{
    for (int attempt = 0;; attempt++) {
        CHECK(attempt < 50, "does not start");
        if (sim_host_crashed(w->host)) {
            drop(w);
            w->io = sim_host_restart(w->host);
            if (attempt > 3) sim_host_crash_never(w->host);
        }
        int r = start_once(w);
        if (r == 0 && !sim_host_crashed(w->host)) break;
        sim_host_crash(w->host);
    }
    w->observer = (struct stream_observer){.stored = stored, .removed = removed};
    stream_observe(w->stream, &w->observer);
    w->interest = (struct stream_interest){.needs = needs, .acknowledged = acknowledged};
    stream_attach(w->stream, &w->interest);
    check(w);
    CHECK(stream_each(w->mirror, mirrored, w) == 0, "mirror");
    stream_interest_known(w->stream);
}

static void live(struct world *w, int actions)
{
    while (actions-- > 0 && !sim_host_crashed(w->host)) {
        uint64_t choice = sim_random_below(w->sim, 8);
        if (choice == 0 && w->count > 0) {
            uint32_t number = (uint32_t)sim_random_below(w->sim, w->count);
            if (w->publishes[number].fate == FATE_UNKNOWN) seen_unknown++;
            if (w->publishes[number].fate != FATE_PENDING) publish(w, number);
        } else if (choice < 3 && w->count > 0) {
            ack_one(w);
        } else if (w->count < MESSAGES_MAX) {
            publish(w, w->count++);
        }
        uint64_t steps = sim_random_below(w->sim, 10);
        while (steps-- > 0 && !sim_host_crashed(w->host) && sim_step(w->sim)) {
        }
    }
}

static bool broken(const struct world *w)
{
    return journal_status(w->stream->journal) < 0 || journal_status(w->mirror->journal) < 0;
}

/* When nothing fails any more, everything comes to its end. */
static void finish_world(struct world *w)
{
    for (int attempt = 0; attempt == 0 || broken(w); attempt++) { /* a fault may be still to come */
        CHECK(attempt < 5, "broken without a fault");
        sim_host_crash_never(w->host);
        if (!sim_host_crashed(w->host)) sim_host_crash(w->host);
        start(w);
        sim_run_ms(w->sim, 20000);
    }
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
    sim_host_crash(w->host);
    drop(w);
    free(w);
}

static struct world *world_new(struct sim *sim)
{
    struct world *w = calloc(1, sizeof *w);
    CHECK(w, "memory");
    w->sim = sim;
    w->host = sim_host_new(sim, "bus");
    w->io = sim_host_io(w->host);
    w->queue = sim_random_below(sim, 2);
    return w;
}

static void rules_crashes(struct sim *sim, uint64_t seed)
{
    struct world *w = world_new(sim);
    for (int life = 0; life < LIVES; life++) {
        if (sim_random_below(sim, 2)) {
            sim_host_crash_after(w->host, sim_random_below(sim, 200));
        } else {
            sim_host_crash_never(w->host);
        }
        start(w);
        live(w, (int)sim_random_below(sim, 80));
        if (sim_random_below(sim, 3) == 0 && !sim_host_crashed(w->host)) {
            sim_run_ms(sim, sim_random_below(sim, 3000));
        }
        if (sim_host_crashed(w->host)) continue;
        if (sim_random_below(sim, 2)) {
            sim_host_crash(w->host);
        } else {
            sim_host_kill(w->host);
        }
    }
    finish_world(w);
}

static void rules_failures(struct sim *sim, uint64_t seed)
{
    struct world *w = world_new(sim);
    for (int life = 0; life < LIVES; life++) {
        start(w);
        live(w, 15);
        if (sim_random_below(sim, 2)) {
            enum sim_disk_op op = (enum sim_disk_op)(1 + sim_random_below(sim, SIM_DISK_OPS - 1));
            sim_disk_fail(w->host, op, sim_random_below(sim, 30));
        } else {
            sim_disk_limit(w->host, sim_disk_used(w->host) + sim_random_below(sim, 20000));
        }
        live(w, (int)sim_random_below(sim, 60));
        sim_disk_limit(w->host, 1 << 30);
        if (sim_random_below(sim, 2)) sim_run_ms(sim, sim_random_below(sim, 4000));
        sim_host_crash(w->host);
    }
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
