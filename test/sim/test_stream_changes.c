/* What changes a stream, under power failures, kills, failing and full disks: limits that take old
 * messages or refuse new ones, by subject too, deletes, purges, a schema. What was acknowledged is
 * there whole, at its place, unless something may have taken it; what was taken stays away; what
 * was refused was never there. A stream that does not sync each message loses its end at most: a
 * power failure leaves a prefix, a kill leaves everything. */
#include "stream/stream_impl.h"
#include "lives.h"
#include "runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGES = 300, SUBJECTS = 4, LIVES = 4, TEXT = 300, PURGES = 60, INTERVAL_MS = 3000 };

enum fate { FATE_NONE, FATE_PENDING, FATE_STORED, FATE_UNKNOWN, FATE_REFUSED };

struct world;

struct item {
    struct stream_op op, delete;
    struct world *world;
    enum fate fate;
    uint64_t seq, stored_ns;
    bool deleting; /* a delete or purge of it was submitted */
    bool gone;     /* and is durable */
    bool there;
};

struct purge {
    struct stream_op op;
    struct world *world;
    unsigned subject;
    uint32_t count; /* of the messages that were published before it */
};

struct world {
    struct lives lives;
    struct stream *stream;
    unsigned per_subject, total; /* limits; 0: none */
    bool refuses;                /* new messages, instead of taking old ones */
    enum journal_sync sync;
    struct item items[MESSAGES];
    uint32_t count;
    struct purge purges[PURGES];
    unsigned purge_count;
};

static uint64_t seen_refused, seen_invalid, seen_taken, seen_deleted, seen_purged, seen_lost;

/* ---- what a message is ---- */

/* The schema says that messages to t.0 have an n. */
static bool is_valid(uint32_t number)
{
    return number % SUBJECTS != 0 || number % 3 != 0;
}

static size_t body_of(uint32_t number, char *body)
{
    char fill[200];
    size_t len = number * 7919u % sizeof fill;
    memset(fill, 'a' + (int)(number % 26), len);
    return (size_t)snprintf(body, TEXT, "{\"%c\":%u,\"fill\":\"%.*s\"}",
                            is_valid(number) ? 'n' : 'm', number, (int)len, fill);
}

static uint32_t number_of(struct bytes payload)
{
    unsigned number = MESSAGES;
    char text[32] = {0}, body[TEXT], letter;
    memcpy(text, payload.data, payload.len < 31 ? payload.len : 31);
    CHECK(sscanf(text, "{\"%c\":%u,", &letter, &number) == 2 && number < MESSAGES, "content");
    CHECK(bytes_eq(payload, bytes_make(body, body_of(number, body))), "content of %u", number);
    return number;
}

static struct bytes subject_of(uint32_t number, char text[16])
{
    return bytes_make(text, (size_t)snprintf(text, 16, "t.%u", number % SUBJECTS));
}

/* ---- changes ---- */

static void published(struct stream_op *op, int result)
{
    struct item *item = CONTAINER_OF(op, struct item, op);
    uint32_t number = (uint32_t)(item - item->world->items);
    CHECK(item->fate == FATE_PENDING, "told twice");
    CHECK(result < 0 || is_valid(number), "what is not valid was stored");
    bool full = item->world->refuses && result == ERR_FULL;
    CHECK(result != ERR_INVALID || !is_valid(number), "what is valid was refused");
    item->fate = result == 0                     ? FATE_STORED
                 : full || result == ERR_INVALID ? FATE_REFUSED
                                                 : FATE_UNKNOWN;
    seen_refused += full;
    seen_invalid += result == ERR_INVALID;
    if (result < 0) return;
    CHECK(item->seq == 0 || item->seq == op->seq, "seen at another place");
    item->seq = op->seq;
    item->stored_ns = sim_now_ns(item->world->lives.sim);
}

static void publish(struct world *w)
{
    char subject[16], body[TEXT];
    uint32_t number = w->count++;
    struct item *item = &w->items[number];
    struct message message = message_borrow(subject_of(number, subject), BYTES(""), BYTES(""),
                                            bytes_make(body, body_of(number, body)));
    item->world = w;
    item->fate = FATE_PENDING;
    (void)stream_publish(w->stream, &item->op, &message, NULL, published);
    message_done(&message);
}

static void deleted(struct stream_op *op, int result)
{
    struct item *item = CONTAINER_OF(op, struct item, delete);
    CHECK(result != ERR_NOT_FOUND || item->world->per_subject || item->world->total ||
              item->deleting,
          "it is not there");
    if (result < 0) return;
    item->gone = true;
    seen_deleted++;
}

static void delete_one(struct world *w)
{
    struct item *item = &w->items[sim_random_below(w->lives.sim, w->count)];
    if (item->fate != FATE_STORED || item->deleting) return;
    item->deleting = true;
    stream_delete(w->stream, &item->delete, item->seq, deleted);
}

static void purged(struct stream_op *op, int result)
{
    struct purge *purge = CONTAINER_OF(op, struct purge, op);
    if (result < 0) return;
    seen_purged += op->purged;
    for (uint32_t i = purge->subject; i < purge->count; i += SUBJECTS) {
        purge->world->items[i].gone = true;
    }
}

static void purge(struct world *w)
{
    if (w->purge_count == PURGES) return;
    struct purge *purge = &w->purges[w->purge_count++];
    char subject[16];
    *purge = (struct purge){.world = w,
                            .subject = (unsigned)sim_random_below(w->lives.sim, SUBJECTS),
                            .count = w->count};
    for (uint32_t i = purge->subject; i < w->count; i += SUBJECTS) w->items[i].deleting = true;
    stream_purge(w->stream, &purge->op, subject_of(purge->subject, subject), 0, 0, purged);
}

/* ---- what there is ---- */

struct walk {
    struct world *w;
    uint64_t last;
    uint32_t last_number, count[SUBJECTS], all;
};

static int look(void *context, const struct stream_message *message)
{
    struct walk *walk = context;
    uint32_t number = number_of(message->message.payload);
    struct item *item = &walk->w->items[number];
    char text[16];
    CHECK(item->fate != FATE_NONE && item->fate != FATE_REFUSED, "%u was not to be stored", number);
    CHECK(bytes_eq(message->message.subject, subject_of(number, text)), "subject");
    CHECK(message->seq > walk->last, "order");
    CHECK(walk->all == 0 || number > walk->last_number, "not as it was published");
    CHECK(item->seq == 0 || item->seq == message->seq, "%u has moved", number);
    CHECK(!item->gone, "%u has come back", number);
    item->there = true;
    item->seq = walk->last = message->seq;
    item->fate = FATE_STORED;
    walk->last_number = number;
    walk->count[number % SUBJECTS]++;
    walk->all++;
    return 0;
}

/* Whether so many messages may have come behind it that a limit has taken it, or, `surely`, have.
 */
static bool is_taken(const struct world *w, uint32_t number, bool surely)
{
    unsigned same = 0, all = 0;
    for (uint32_t i = number + 1; i < w->count; i++) {
        const struct item *item = &w->items[i];
        bool counts = surely ? item->fate == FATE_STORED && !item->deleting
                             : item->fate == FATE_STORED || item->fate == FATE_UNKNOWN;
        all += counts;
        same += counts && i % SUBJECTS == number % SUBJECTS;
    }
    bool by_subject = w->per_subject && same >= w->per_subject;
    return by_subject || (!surely && w->total && all >= w->total);
}

static struct walk walk_stream(struct world *w)
{
    struct walk walk = {.w = w};
    for (uint32_t i = 0; i < w->count; i++) w->items[i].there = false;
    CHECK(stream_each(w->stream, look, &walk) == 0, "cannot be read");
    for (int i = 0; i < SUBJECTS; i++) {
        CHECK(!w->per_subject || walk.count[i] <= w->per_subject, "%u of one", walk.count[i]);
    }
    CHECK(!w->total || walk.all <= w->total, "%u messages", walk.all);
    return walk;
}

static void check(struct world *w)
{
    for (uint32_t i = 0; i < w->count; i++) {
        if (w->items[i].fate == FATE_PENDING) w->items[i].fate = FATE_UNKNOWN;
        if (w->items[i].fate == FATE_UNKNOWN) w->items[i].seq = 0;
    }
    (void)walk_stream(w);
    for (uint32_t i = 0; i < w->count; i++) {
        const struct item *item = &w->items[i];
        if (item->fate != FATE_STORED) continue;
        bool may_be = !w->refuses && is_taken(w, i, false);
        CHECK(item->there || item->deleting || may_be, "%u is lost", i);
        if (w->refuses || !is_taken(w, i, true)) continue;
        CHECK(!item->there, "%u should have made room", i);
        seen_taken++;
    }
}

/* ---- lives ---- */

static int open_stream(struct lives *lives)
{
    static const char *const subjects[] = {"t.>"};
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    const struct stream_config config = {
        .name = "T",
        .subjects = subjects,
        .subject_count = 1,
        .max_msgs = w->total,
        .max_msgs_per_subject = w->per_subject,
        .discard = w->refuses ? STREAM_DISCARD_NEW : STREAM_DISCARD_OLD,
        .discard_new_per_subject = w->refuses && w->per_subject,
        .sync = w->sync,
        .schema = "{\"t.0\": {\"type\": \"object\", \"required\": [\"n\"]}}",
    };
    struct api_error refusal = {0};
    int r = streams_add(lives->streams, &config, &w->stream, &refusal);
    CHECK(r != ERR_INVALID, "%d", api_error_number(refusal.kind));
    return r;
}

static void started(struct lives *lives)
{
    check(CONTAINER_OF(lives, struct world, lives));
}

static void act(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    uint64_t choice = sim_random_below(lives->sim, 20);
    if (choice < 3 && w->count) {
        delete_one(w);
    } else if (choice == 3) {
        purge(w);
    } else if (w->count < MESSAGES) {
        publish(w);
    }
}

static const struct lives_program program = {
    .open = open_stream, .started = started, .act = act, .steps = 8};

static const struct lives_pace pace = {.lives = LIVES,
                                       .crash_within = 200,
                                       .actions = 100,
                                       .fail_within = 30,
                                       .calm = 15,
                                       .troubled = 60,
                                       .after = 8};

static void choose_limits(struct world *w)
{
    w->refuses = sim_random_below(w->lives.sim, 2);
    if (sim_random_below(w->lives.sim, 3))
        w->per_subject = 1 + (unsigned)sim_random_below(w->lives.sim, 6);
    if (sim_random_below(w->lives.sim, 2))
        w->total = 5 + (unsigned)sim_random_below(w->lives.sim, 30);
}

static void finish_world(struct world *w)
{
    lives_calm(&w->lives);
    for (int i = 0; i < 2; i++) {
        if (!sim_host_crashed(w->lives.host)) sim_host_crash(w->lives.host);
        lives_start(&w->lives);
        sim_run_ms(w->lives.sim, 2000);
        check(w);
    }
    lives_free(&w->lives);
}

static void changes_crashes(struct sim *sim, uint64_t seed)
{
    struct world *w = lives_new(sizeof *w, sim, &program);
    choose_limits(w);
    lives_crashes(&w->lives, &pace);
    finish_world(w);
}

static void changes_failures(struct sim *sim, uint64_t seed)
{
    struct world *w = lives_new(sizeof *w, sim, &program);
    choose_limits(w);
    lives_failures(&w->lives, &pace);
    finish_world(w);
}

/* ---- without a sync for each message ---- */

/* The first messages, all of them up to one; what is behind it is as if it had never been. Returns
 * the first that is not there. */
static uint32_t check_prefix(struct world *w)
{
    for (uint32_t i = 0; i < w->count; i++) w->items[i].seq = 0;
    struct walk walk = walk_stream(w);
    CHECK(walk.last == walk.all, "a gap");
    CHECK(stream_state(w->stream).last_seq == walk.last, "last sequence");
    uint32_t end = walk.all ? walk.last_number + 1 : 0;
    for (uint32_t i = 0; i < end; i++) {
        bool stored = w->items[i].fate == FATE_STORED;
        CHECK(w->items[i].there || !stored, "%u is lost before the end", i);
    }
    return end;
}

static bool has_crashed(void *context)
{
    return sim_host_crashed(((struct world *)context)->lives.host);
}

static void publish_and_wait(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    if (w->count < MESSAGES) publish(w);
    if (sim_random_below(lives->sim, 20) == 0) {
        (void)sim_run_until(lives->sim, sim_random_below(lives->sim, 2500), has_crashed, w);
    }
}

static void prefix_survives(struct sim *sim, uint64_t seed)
{
    static const struct lives_program lazy = {
        .open = open_stream, .act = publish_and_wait, .steps = 8};
    struct world *w = lives_new(sizeof *w, sim, &lazy);
    w->sync = sim_random_below(sim, 2) ? JOURNAL_SYNC_INTERVAL : JOURNAL_SYNC_NEVER;
    lives_start(&w->lives);
    for (int life = 0; life < LIVES; life++) {
        lives_arm_crash(&w->lives, 150);
        lives_act(&w->lives, sim_random_below(sim, 80));
        bool killed = !sim_host_crashed(w->lives.host) && sim_random_below(sim, 2);
        if (killed) {
            sim_host_kill(w->lives.host);
        } else {
            sim_host_crash(w->lives.host);
        }
        uint64_t then_ns = sim_now_ns(sim);
        sim_host_crash_never(w->lives.host);
        lives_start(&w->lives);
        uint32_t end = check_prefix(w);
        for (uint32_t i = end; i < w->count; i++) {
            struct item *item = &w->items[i];
            if (item->fate == FATE_STORED) {
                bool old = then_ns - item->stored_ns > INTERVAL_MS * UINT64_C(1000000);
                CHECK(!killed, "%u is lost though only the process died", i);
                CHECK(!old || w->sync != JOURNAL_SYNC_INTERVAL, "%u was synced long ago", i);
                seen_lost++;
            }
            item->fate = FATE_UNKNOWN;
        }
    }
    lives_free(&w->lives);
}

static void saw_changes(void)
{
    CHECK(seen_refused && seen_invalid && seen_taken && seen_deleted && seen_purged,
          "%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64, seen_refused, seen_invalid,
          seen_taken, seen_deleted, seen_purged);
}

static void saw_losses(void)
{
    CHECK(seen_lost > 0, "nothing was lost: nothing was tested");
}

RUNNER_MAIN({"changes_crashes", changes_crashes, .finish = saw_changes, .seeds = 600},
            {"changes_failures", changes_failures, .seeds = 400},
            {"prefix_survives", prefix_survives, .finish = saw_losses, .seeds = 400})
