/* Streams, consumers and buckets under power failures, kills, failing and full disks. What was
 * acknowledged to a publisher is there; what a consumer has settled does not come again; everything
 * else comes until it is settled or in the dead-letter stream; a restart finds the state that was.
 */
#include "store/wal.h"
#include "stream/consumer_impl.h"
#include "stream/kv.h"
#include "stream/streams_impl.h"
#include "lives.h"
#include "numbered.h"
#include "runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGES_MAX = 600, FILL = 300, KEYS = 6, MAX_DELIVER = 4 };

enum fate { FATE_NONE, FATE_PENDING, FATE_STORED, FATE_UNKNOWN };

struct world;

struct publish {
    struct stream_op op;
    struct world *world;
    uint64_t seq;
    enum fate fate;
    bool settled; /* acknowledged by the consumer, durably */
    bool acked;   /* acknowledged, perhaps not durably */
    bool delivered;
    uint32_t attempt;
};

struct key {
    struct kv_op op;
    struct world *world;
    bool busy;
    enum kv_operation operation; /* of the change under way */
    uint32_t value;              /* the same */
    bool known;                  /* what is below is the last acknowledged change */
    bool exists;
    uint32_t last_value;
    uint64_t revision;
    bool maybe; /* a change has failed or was cut off: its outcome is not known */
    bool maybe_exists;
    uint32_t maybe_value;
};

struct world {
    struct lives lives;
    struct stream *stream;
    struct consumer *consumer;
    struct kv *kv;
    struct kv_watch *watch;

    struct publish publishes[MESSAGES_MAX];
    uint32_t count;
    struct key keys[KEYS];
    uint32_t values;
    uint64_t last_first_delivery; /* of this life */
    uint64_t last_watched;        /* revision, of this life */
    bool watch_began, draining, filtered;
};

static uint64_t seen_dead, seen_redelivered, seen_duplicate, seen_unknown;

/* ---- publishing ---- */

static void published(struct stream_op *op, int result)
{
    struct publish *publish = CONTAINER_OF(op, struct publish, op);
    CHECK(publish->fate == FATE_PENDING, "told twice");
    if (result < 0) {
        publish->fate = FATE_UNKNOWN;
        return;
    }
    CHECK(publish->seq == 0 || publish->seq == op->seq, "stored as %" PRIu64 " and %" PRIu64,
          publish->seq, op->seq);
    if (op->duplicate) seen_duplicate++;
    publish->fate = FATE_STORED;
    publish->seq = op->seq;
}

static void publish(struct world *w, uint32_t number)
{
    struct publish *p = &w->publishes[number];
    char subject[32], headers[64], body[NUMBERED_MAX];
    int subject_len = snprintf(subject, sizeof subject, "s.%u", number % 5);
    int headers_len =
        snprintf(headers, sizeof headers, "NATS/1.0\r\nNats-Msg-Id: id%u\r\n\r\n", number);
    struct message message = message_borrow(bytes_make(subject, (size_t)subject_len), BYTES(""),
                                            bytes_make(headers, (size_t)headers_len),
                                            bytes_make(body, numbered_body(number, FILL, body)));
    p->world = w;
    p->fate = FATE_PENDING;
    stream_publish(w->stream, &p->op, &message, NULL, published);
    message_done(&message);
}

static uint32_t number_of(const struct message *message)
{
    return numbered_read(message->payload, FILL, MESSAGES_MAX);
}

/* ---- consuming ---- */

static void settled(void *context, uint64_t seq)
{
    struct world *w = context;
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->publishes[i].seq == seq) w->publishes[i].settled = true;
    }
}

static void deliver(void *context, const struct delivery *delivery)
{
    struct world *w = context;
    uint32_t number = number_of(&delivery->message);
    struct publish *p = &w->publishes[number];
    CHECK(p->seq == 0 || p->seq == delivery->seq, "%u comes as %" PRIu64, number, delivery->seq);
    CHECK(!p->settled, "%u comes again after it was settled", number);
    CHECK(delivery->attempt <= MAX_DELIVER, "attempt %u", delivery->attempt);
    p->seq = delivery->seq;
    if (delivery->attempt > 1) {
        seen_redelivered++;
    } else if (!p->delivered) {
        CHECK(delivery->seq > w->last_first_delivery, "out of order");
        w->last_first_delivery = delivery->seq;
    }
    p->delivered = true;
    p->attempt = delivery->attempt;
    int r = 0;
    uint64_t choice = sim_random_below(w->lives.sim, 12);
    if (w->draining && number % 9 != 0) choice = 11;
    if (choice == 0) {
        r = consumer_nak(w->consumer, delivery->seq,
                         (int64_t)sim_random_below(w->lives.sim, 500) * 1000000);
    } else if (choice == 1 && number % 9 == 0) {
        r = consumer_term(w->consumer, delivery->seq, BYTES("bad"));
    } else if (choice > 3 && number % 9 != 0) {
        r = consumer_ack(w->consumer, delivery->seq);
        p->acked = true;
    }
    CHECK(r == 0, "%s", err_name(r));
    consumer_want(w->consumer, 1);
}

/* ---- the bucket ---- */

static void key_changed(struct kv_op *op, int result)
{
    struct key *key = CONTAINER_OF(op, struct key, op);
    key->busy = false;
    if (result < 0) {
        if (result == ERR_CONFLICT || result == ERR_EXISTS) return; /* has not happened */
        key->maybe = true;
        key->maybe_exists = key->operation == KV_PUT;
        key->maybe_value = key->value;
        return;
    }
    CHECK(op->revision > key->revision, "revision %" PRIu64, op->revision);
    key->known = true;
    key->maybe = false;
    key->exists = key->operation == KV_PUT;
    key->last_value = key->value;
    key->revision = op->revision;
}

static void change_key(struct world *w)
{
    uint32_t at = (uint32_t)sim_random_below(w->lives.sim, KEYS);
    struct key *key = &w->keys[at];
    /* What is not known is looked up after the next start. */
    if (key->busy || key->maybe) return;
    char name[16], value[16];
    struct bytes k = bytes_make(name, (size_t)snprintf(name, sizeof name, "k.%u", at));
    key->world = w;
    key->busy = true;
    key->value = ++w->values;
    key->operation = KV_PUT;
    struct bytes v = bytes_make(value, (size_t)snprintf(value, sizeof value, "%u", key->value));
    switch (sim_random_below(w->lives.sim, 5)) {
    case 0: kv_create(w->kv, &key->op, k, v, key_changed); break;
    case 1:
        kv_update(w->kv, &key->op, k, v, key->revision + sim_random_below(w->lives.sim, 2),
                  key_changed);
        break;
    case 2:
        key->operation = KV_DELETE;
        if (sim_random_below(w->lives.sim, 2)) {
            kv_delete(w->kv, &key->op, k, 0, key_changed);
        } else {
            kv_purge(w->kv, &key->op, k, key_changed);
        }
        break;
    default: kv_put(w->kv, &key->op, k, v, key_changed);
    }
}

static bool shows(const struct kv_entry *entry, bool found, bool exists, uint32_t value)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%u", value);
    if (found != exists) return false;
    return !found || bytes_eq(entry->value, bytes_make(text, (size_t)len));
}

static void check_keys(struct world *w)
{
    for (uint32_t i = 0; i < KEYS; i++) {
        struct key *key = &w->keys[i];
        char name[16];
        struct kv_entry entry = {0};
        struct bytes k = bytes_make(name, (size_t)snprintf(name, sizeof name, "k.%u", i));
        bool found = kv_get(w->kv, k, &entry) == 0;
        if (key->busy && !key->maybe) { /* cut off by the crash */
            key->maybe = true;
            key->maybe_exists = key->operation == KV_PUT;
            key->maybe_value = key->value;
        }
        key->busy = false;
        bool last = shows(&entry, found, key->known && key->exists, key->last_value);
        bool maybe = key->maybe && shows(&entry, found, key->maybe_exists, key->maybe_value);
        CHECK(last || maybe, "key %u: found %d '%.*s' at %" PRIu64 ", known %u %u", i, found,
              BYTES_ARG(entry.value), entry.revision, key->exists, key->last_value);
        if (maybe && !last) key->last_value = key->maybe_value;
        char subject[32];
        int len = snprintf(subject, sizeof subject, "$KV.b.k.%u", i);
        key->revision = stream_last_seq(kv_stream(w->kv), bytes_make(subject, (size_t)len));
        key->known = true;
        key->exists = found;
        key->maybe = false;
    }
}

static void watched(void *context, const struct kv_entry *entry)
{
    struct world *w = context;
    if (!entry) {
        CHECK(!w->watch_began, "twice");
        w->watch_began = true;
        return;
    }
    CHECK(entry->revision > w->last_watched, "watched out of order");
    w->last_watched = entry->revision;
}

/* ---- lives ---- */

struct walk {
    struct world *w;
    uint64_t last;
    uint32_t found;
};

static int look(void *context, const struct stream_message *message)
{
    struct walk *walk = context;
    struct publish *p = &walk->w->publishes[number_of(&message->message)];
    CHECK(message->seq > walk->last, "order");
    CHECK(p->fate != FATE_NONE, "never published");
    CHECK(p->seq == 0 || p->seq == message->seq, "%" PRIu64 " moved to %" PRIu64, p->seq,
          message->seq);
    walk->last = message->seq;
    p->seq = message->seq;
    p->fate = FATE_STORED;
    walk->found++;
    return 0;
}

static void check_stream(struct world *w)
{
    struct walk walk = {.w = w};
    for (uint32_t i = 0; i < w->count; i++) {
        struct publish *p = &w->publishes[i];
        if (p->fate == FATE_PENDING) p->fate = FATE_UNKNOWN;
        /* A failed publish may have been seen under a number that it did not keep. */
        if (p->fate == FATE_UNKNOWN && !p->delivered) p->seq = 0;
    }
    uint32_t stored = 0;
    for (uint32_t i = 0; i < w->count; i++) stored += w->publishes[i].fate == FATE_STORED;
    int r = stream_each(w->stream, look, &walk);
    CHECK(r == 0, "%s", err_name(r));
    CHECK(walk.found >= stored, "%u of %u", walk.found, stored);
    seen_unknown += walk.found - stored;
    uint32_t now = 0;
    for (uint32_t i = 0; i < w->count; i++) now += w->publishes[i].fate == FATE_STORED;
    CHECK(now == walk.found, "%u acknowledged, %u there", now, walk.found);
}

static void prepare(struct lives *lives)
{
    CONTAINER_OF(lives, struct world, lives)->filtered = sim_random_below(lives->sim, 2);
}

static int open_all(struct lives *lives)
{
    static const char *const subjects[] = {"s.>"};
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    /* Longer than all of it: what is published again is the same message. */
    const struct stream_config config = {.name = "S",
                                         .subjects = subjects,
                                         .subject_count = 1,
                                         .duplicate_window_ns = INT64_C(3600000000000)};
    static const char *const filter = "s.*";
    const struct consumer_config consumer = {.name = "C",
                                             .durable = true,
                                             .filters = &filter,
                                             .filter_count = w->filtered,
                                             .ack_policy = CONSUMER_ACK_EXPLICIT,
                                             .ack_wait_ns = 1000000000,
                                             .max_deliver = MAX_DELIVER,
                                             .max_ack_pending = 20};
    const struct kv_config bucket = {.bucket = "b"};
    struct error error = {0};
    int r = streams_add(lives->streams, &config, &w->stream, NULL);
    if (r == 0) {
        r = consumer_open(lives->streams, w->stream, &consumer, deliver, w, &w->consumer, &error);
    }
    if (r == 0) r = kv_open(lives->streams, &bucket, &w->kv, &error);
    return r;
}

static void drop(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    kv_close(w->kv);
    w->consumer = NULL;
    w->kv = NULL;
}

static void started(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    w->last_first_delivery = 0;
    w->last_watched = 0;
    w->watch_began = false;
    check_stream(w);
    check_keys(w);
    consumer_on_settled(w->consumer, settled);
    consumer_want(w->consumer, 10);
    CHECK(kv_watch(w->kv, BYTES(">"), watched, w, &w->watch) == 0, "watch");
}

static void act(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    uint64_t choice = sim_random_below(lives->sim, 8);
    if (choice < 2) {
        change_key(w);
    } else if (choice == 2 && w->count > 0) {
        /* Again, as a publisher does who got no answer. */
        uint32_t number = (uint32_t)sim_random_below(lives->sim, w->count);
        if (w->publishes[number].fate != FATE_PENDING) publish(w, number);
    } else if (w->count < MESSAGES_MAX) {
        publish(w, w->count++);
    }
}

static const struct lives_program program = {.prepare = prepare,
                                             .open = open_all,
                                             .started = started,
                                             .act = act,
                                             .steps = 10,
                                             .drop = drop};

static bool all_done(void *context)
{
    struct world *w = context;
    struct consumer_info info = consumer_info(w->consumer);
    return info.num_pending == 0 && info.num_ack_pending == 0 &&
           w->consumer->state.grave_count == 0;
}

static bool failed(struct world *w)
{
    struct stream *dead = streams_find(w->lives.streams, BYTES("DEAD"));
    return wal_status(w->lives.streams->wal) < 0 ||
           journal_status(w->consumer->writing.journal) < 0 ||
           (dead && journal_status(dead->journal) < 0);
}

static bool done_or_failed(void *context)
{
    return all_done(context) || failed(context);
}

struct dead_walk {
    struct world *w;
    uint32_t count[MESSAGES_MAX];
};

static int look_dead(void *context, const struct stream_message *message)
{
    struct dead_walk *walk = context;
    walk->count[number_of(&message->message)]++;
    return 0;
}

/* Everything that is stored gets settled: by an acknowledgement, or as one dead letter. */
static void drain(struct world *w)
{
    w->draining = true;
    while (sim_run_until(w->lives.sim, 600000, done_or_failed, w)) {
        lives_disarm(&w->lives);
        sim_run_ms(w->lives.sim, 1000); /* a failure that has come just now is told */
        if (!failed(w)) break;
        sim_host_crash(w->lives.host);
        lives_start(&w->lives);
    }
    CHECK(all_done(w), "pending %" PRIu64 ", out %" PRIu64, consumer_info(w->consumer).num_pending,
          consumer_info(w->consumer).num_ack_pending);
    struct dead_walk walk = {.w = w};
    struct stream *dead = streams_find(w->lives.streams, BYTES("DEAD"));
    if (dead) CHECK(stream_each(dead, look_dead, &walk) == 0, "DEAD");
    for (uint32_t i = 0; i < w->count; i++) {
        const struct publish *p = &w->publishes[i];
        if (p->fate != FATE_STORED) continue;
        CHECK(p->delivered, "%u was never delivered", i);
        CHECK(walk.count[i] <= 1, "%u is dead %u times", i, walk.count[i]);
        CHECK(p->acked || walk.count[i] == 1, "%u has vanished", i);
        seen_dead += walk.count[i];
    }
    struct consumer_info info = consumer_info(w->consumer);
    CHECK(info.ack_floor.stream_seq == w->stream->last_seq, "floor %" PRIu64,
          info.ack_floor.stream_seq);
}

static void gone(void *context)
{
    *(bool *)context = true;
}

static bool is_true(void *context)
{
    return *(bool *)context;
}

static void close_all(struct world *w)
{
    bool done = false;
    consumer_close(w->consumer, gone, &done);
    CHECK(sim_run_until(w->lives.sim, 10000, is_true, &done), "consumer closes");
    kv_close(w->kv);
    done = false;
    streams_close(w->lives.streams, gone, &done);
    CHECK(sim_run_until(w->lives.sim, 10000, is_true, &done), "streams close");
    w->kv = NULL;
    w->lives.streams = NULL;
}

static void finish_world(struct world *w)
{
    lives_start(&w->lives);
    drain(w);
    close_all(w);
    lives_free(&w->lives);
}

static void crashes(struct sim *sim, uint64_t seed)
{
    static const struct lives_pace pace = {
        .lives = 4, .crash_within = 150, .actions = 60, .rest_one_in = 3, .rest_ms = 3000};
    struct world *w = lives_new(sizeof *w, sim, &program);
    lives_crashes(&w->lives, &pace);
    sim_host_crash_never(w->lives.host);
    finish_world(w);
}

/* Operations fail, the disk is full for a while; what was to fail may fail in the next start. */
static void failures(struct sim *sim, uint64_t seed)
{
    struct world *w = lives_new(sizeof *w, sim, &program);
    for (int life = 0; life < 4; life++) {
        lives_start(&w->lives);
        lives_trouble(&w->lives, 30);
        lives_act(&w->lives, 30);
        lives_end_of_trouble(&w->lives);
        lives_act(&w->lives, 10);
        sim_host_crash(w->lives.host);
    }
    finish_world(w);
}

static void finish(void)
{
    CHECK(seen_dead > 0 && seen_redelivered > 0 && seen_duplicate > 0 && seen_unknown > 0,
          "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, seen_dead, seen_redelivered,
          seen_duplicate, seen_unknown);
}

RUNNER_MAIN({"crashes", crashes, .finish = finish, .seeds = 1500},
            {"failures", failures, .seeds = 800})
