/* A mirror, and a stream with two sources, under power failures, kills, failing and full disks. A
 * mirror has what its origin gave out, at the same places; a stream has each message of its sources
 * once, in the order of each; what was seen in one of them stays; in the end nothing is missing. */
#include "stream/stream_impl.h"
#include "lives.h"
#include "runner.h"
#include "wire/nats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGES = 100, ORIGINS = 2, TEXT = 300 };

enum fate { FATE_NONE, FATE_PENDING, FATE_STORED, FATE_UNKNOWN };

struct world;

struct item {
    struct stream_op op, delete;
    struct world *world;
    enum fate fate;
    uint64_t seq;
    bool deleting;
    bool there, mirrored, sourced;    /* as found by a walk */
    bool seen_mirrored, seen_sourced; /* once: it is durable */
};

struct world {
    struct lives lives;
    struct stream *origins[ORIGINS], *mirror, *sum;
    struct stream_observer watch_mirror, watch_sum;
    struct item items[ORIGINS][MESSAGES];
    uint32_t count[ORIGINS];
};

static uint64_t seen_mirrored, seen_sourced, seen_deleted;

static const char *const names[ORIGINS] = {"O", "P"};

/* ---- what a message is ---- */

static size_t body_of(unsigned origin, uint32_t number, char *body)
{
    size_t len = (size_t)snprintf(body, 32, "message %u %u ", origin, number);
    size_t fill = number * 7919u % 200;
    memset(body + len, 'a' + (int)(number % 26), fill);
    return len + fill;
}

static struct bytes subject_of(unsigned origin, uint32_t number, char text[16])
{
    return bytes_make(text, (size_t)snprintf(text, 16, "%c.%u", origin ? 'p' : 'o', number % 3));
}

static struct item *item_of(struct world *w, const struct message *message, unsigned *ret_origin)
{
    unsigned number = MESSAGES;
    struct bytes payload = message->payload;
    char text[32] = {0}, body[TEXT];
    memcpy(text, payload.data, payload.len < 31 ? payload.len : 31);
    CHECK(sscanf(text, "message %u %u ", ret_origin, &number) == 2, "content");
    CHECK(*ret_origin < ORIGINS && number < w->count[*ret_origin], "content");
    CHECK(bytes_eq(payload, bytes_make(body, body_of(*ret_origin, number, body))), "content");
    CHECK(bytes_eq(message->subject, subject_of(*ret_origin, number, text)), "subject");
    return &w->items[*ret_origin][number];
}

/* ---- changes ---- */

static void published(struct stream_op *op, int result)
{
    struct item *item = CONTAINER_OF(op, struct item, op);
    item->fate = result < 0 ? FATE_UNKNOWN : FATE_STORED;
    if (result < 0) return;
    CHECK(item->seq == 0 || item->seq == op->seq, "seen at another place");
    item->seq = op->seq;
}

static void publish(struct world *w)
{
    unsigned origin = (unsigned)sim_random_below(w->lives.sim, ORIGINS);
    char subject[16], body[TEXT];
    if (w->count[origin] == MESSAGES) return;
    uint32_t number = w->count[origin]++;
    struct item *item = &w->items[origin][number];
    struct message message =
        message_borrow(subject_of(origin, number, subject), BYTES(""), BYTES(""),
                       bytes_make(body, body_of(origin, number, body)));
    item->world = w;
    item->fate = FATE_PENDING;
    (void)stream_publish(w->origins[origin], &item->op, &message, NULL, published);
    message_done(&message);
}

static void deleted(struct stream_op *op, int result)
{
    seen_deleted += result == 0;
}

static void delete_one(struct world *w)
{
    unsigned origin = (unsigned)sim_random_below(w->lives.sim, ORIGINS);
    if (!w->count[origin]) return;
    struct item *item = &w->items[origin][sim_random_below(w->lives.sim, w->count[origin])];
    if (item->fate != FATE_STORED || item->deleting) return;
    item->deleting = true;
    stream_delete(w->origins[origin], &item->delete, item->seq, deleted);
}

/* ---- what there is ---- */

static void check_mirrored(struct world *w, const struct stream_message *message)
{
    unsigned origin;
    struct item *item = item_of(w, &message->message, &origin);
    CHECK(origin == 0, "of another stream");
    CHECK(item->seq == message->seq, "at %" PRIu64 ", was at %" PRIu64, message->seq, item->seq);
    item->seen_mirrored = true;
    seen_mirrored++;
}

/* "O 17 > >": where it was. */
static void check_sourced(struct world *w, const struct stream_message *message)
{
    unsigned origin;
    uint64_t seq;
    struct bytes from;
    struct item *item = item_of(w, &message->message, &origin);
    CHECK(nats_headers_get(message->message.headers, BYTES("Nats-Stream-Source"), &from) == 0);
    CHECK(bytes_eq(bytes_cut(&from, ' '), bytes_str(names[origin])), "of another source");
    CHECK(bytes_to_u64(bytes_cut(&from, ' '), UINT64_MAX, &seq) == 0 && seq == item->seq, "seq");
    item->seen_sourced = true;
    seen_sourced++;
}

static void mirrored(struct stream_observer *observer, const struct stream_message *message)
{
    check_mirrored(CONTAINER_OF(observer, struct world, watch_mirror), message);
}

static void sourced(struct stream_observer *observer, const struct stream_message *message)
{
    check_sourced(CONTAINER_OF(observer, struct world, watch_sum), message);
}

struct walk {
    struct world *w;
    uint64_t last[ORIGINS];
};

static int look_origin(void *context, const struct stream_message *message)
{
    struct walk *walk = context;
    unsigned origin;
    struct item *item = item_of(walk->w, &message->message, &origin);
    CHECK(message->seq > walk->last[origin], "order");
    CHECK(item->seq == 0 || item->seq == message->seq, "it has moved");
    CHECK(!item->there, "twice");
    walk->last[origin] = item->seq = message->seq;
    item->there = true;
    item->fate = FATE_STORED;
    return 0;
}

static int look_mirror(void *context, const struct stream_message *message)
{
    struct walk *walk = context;
    unsigned origin;
    struct item *item = item_of(walk->w, &message->message, &origin);
    CHECK(message->seq > walk->last[0], "order");
    CHECK(!item->mirrored, "mirrored twice");
    walk->last[0] = message->seq;
    item->mirrored = true;
    check_mirrored(walk->w, message);
    return 0;
}

static int look_sum(void *context, const struct stream_message *message)
{
    struct walk *walk = context;
    unsigned origin;
    struct item *item = item_of(walk->w, &message->message, &origin);
    CHECK(!item->sourced, "sourced twice");
    item->sourced = true;
    check_sourced(walk->w, message);
    CHECK(item->seq > walk->last[origin], "order of a source");
    walk->last[origin] = item->seq;
    return 0;
}

static void walk(struct world *w, struct stream *stream,
                 int (*each)(void *context, const struct stream_message *message))
{
    struct walk walk = {.w = w};
    CHECK(stream_each(stream, each, &walk) == 0, "cannot be read");
}

static void check(struct world *w)
{
    for (int origin = 0; origin < ORIGINS; origin++) {
        for (uint32_t i = 0; i < w->count[origin]; i++) {
            struct item *item = &w->items[origin][i];
            item->there = item->mirrored = item->sourced = false;
            if (item->fate == FATE_PENDING) item->fate = FATE_UNKNOWN;
        }
        walk(w, w->origins[origin], look_origin);
    }
    walk(w, w->mirror, look_mirror);
    walk(w, w->sum, look_sum);
    for (int origin = 0; origin < ORIGINS; origin++) {
        for (uint32_t i = 0; i < w->count[origin]; i++) {
            const struct item *item = &w->items[origin][i];
            CHECK(item->fate != FATE_STORED || item->deleting || item->there, "%u is lost", i);
            CHECK(!item->seen_mirrored || item->mirrored, "%u is lost in the mirror", i);
            CHECK(!item->seen_sourced || item->sourced, "%u is lost behind its source", i);
        }
    }
}

/* ---- lives ---- */

static int open_streams(struct lives *lives)
{
    static const char *const subjects[ORIGINS][1] = {{"o.>"}, {"p.>"}};
    static const struct stream_source sources[ORIGINS] = {{.name = "O"}, {.name = "P"}};
    const struct stream_config mirror = {.name = "M", .mirror = sources};
    const struct stream_config sum = {.name = "A", .sources = sources, .source_count = ORIGINS};
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    int r = 0;
    for (int i = 0; i < ORIGINS && r == 0; i++) {
        const struct stream_config origin = {
            .name = names[i], .subjects = subjects[i], .subject_count = 1};
        r = streams_add(lives->streams, &origin, &w->origins[i], NULL);
    }
    if (r == 0) r = streams_add(lives->streams, &mirror, &w->mirror, NULL);
    if (r == 0) r = streams_add(lives->streams, &sum, &w->sum, NULL);
    return r;
}

static void started(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    w->watch_mirror = (struct stream_observer){.stored = mirrored};
    w->watch_sum = (struct stream_observer){.stored = sourced};
    stream_observe(w->mirror, &w->watch_mirror);
    stream_observe(w->sum, &w->watch_sum);
    check(w);
}

static void act(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    if (sim_random_below(lives->sim, 10) == 0) {
        delete_one(w);
    } else {
        publish(w);
    }
}

static const struct lives_program program = {
    .open = open_streams, .started = started, .act = act, .steps = 10};

static const struct lives_pace pace = {.lives = 4,
                                       .crash_within = 250,
                                       .actions = 60,
                                       .fail_within = 40,
                                       .calm = 10,
                                       .troubled = 50,
                                       .after = 5,
                                       .rest_one_in = 3,
                                       .rest_ms = 1500};

static void finish_world(struct world *w)
{
    lives_calm(&w->lives);
    lives_start(&w->lives);
    sim_run_ms(w->lives.sim, 5000);
    check(w);
    for (int origin = 0; origin < ORIGINS; origin++) {
        for (uint32_t i = 0; i < w->count[origin]; i++) {
            const struct item *item = &w->items[origin][i];
            CHECK(!item->there || origin || item->mirrored, "%u was not mirrored", i);
            CHECK(!item->there || item->sourced, "%u of %d was not sourced", i, origin);
        }
    }
    sim_host_kill(w->lives.host);
    lives_start(&w->lives);
    lives_free(&w->lives);
}

static void mirror_crashes(struct sim *sim, uint64_t seed)
{
    struct world *w = lives_new(sizeof *w, sim, &program);
    lives_crashes(&w->lives, &pace);
    finish_world(w);
}

static void mirror_failures(struct sim *sim, uint64_t seed)
{
    struct world *w = lives_new(sizeof *w, sim, &program);
    lives_failures(&w->lives, &pace);
    finish_world(w);
}

static void saw_enough(void)
{
    CHECK(seen_mirrored && seen_sourced && seen_deleted, "%" PRIu64 " %" PRIu64 " %" PRIu64,
          seen_mirrored, seen_sourced, seen_deleted);
}

RUNNER_MAIN({"mirror_crashes", mirror_crashes, .finish = saw_enough, .seeds = 500},
            {"mirror_failures", mirror_failures, .seeds = 300})
