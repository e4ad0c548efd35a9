/* Streams and consumers are made, changed and removed on a simulated host that crashes, fails and
 * fills up at any place: what was answered holds after the next start, with its configuration; what
 * was not is there whole or not at all; and of what was removed nothing is left on the disk. */
#include "lives.h"
#include "runner.h"

#include "stream/consumer.h"
#include "stream/stream_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { STREAMS = 4, CONSUMERS = 3, DESCRIPTION = 32 };

static uint64_t seen_found, seen_absent, seen_either, seen_refused;

/* A stream or a consumer of one. */
struct thing {
    bool there, unsure; /* unsure: something is under way, or has failed */
    unsigned change;    /* the last one that was asked for */
    char description[DESCRIPTION];
};

struct world {
    struct lives lives;
    struct list asked; /* of struct ask */
    struct thing streams_model[STREAMS], consumers_model[STREAMS][CONSUMERS];
    unsigned changes;
};

/* A change that has not been answered. */
struct ask {
    struct stream_op op;
    struct consumer_wait wait;
    struct list link;
    struct thing *thing;
    unsigned change;
    bool there; /* then */
};

static struct ask *ask(struct world *w, struct thing *thing, bool there)
{
    struct ask *ask = calloc(1, sizeof *ask);
    CHECK(ask, "memory");
    list_init(&ask->link);
    list_push(&w->asked, &ask->link);
    ask->thing = thing;
    ask->there = there;
    ask->change = thing->change = ++w->changes;
    thing->unsure = true;
    if (there) snprintf(thing->description, DESCRIPTION, "%u", ask->change);
    return ask;
}

static void answered(struct ask *ask, int result)
{
    struct thing *thing = ask->thing;
    if (result < 0) seen_refused++;
    if (result == 0 && thing->change == ask->change) {
        thing->unsure = false;
        thing->there = ask->there;
    }
    list_remove(&ask->link);
    free(ask);
}

static void stream_durable(struct stream_op *op, int result)
{
    answered(CONTAINER_OF(op, struct ask, op), result);
}

static void consumer_durable(struct consumer_wait *wait, int result)
{
    answered(CONTAINER_OF(wait, struct ask, wait), result);
}

static void removed(void *context, int result)
{
    answered(context, result);
}

static void forget_asked(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    for (struct list *link; (link = list_pop(&w->asked));)
        free(CONTAINER_OF(link, struct ask, link));
}

/* ---- changes ---- */

static struct stream *find(struct world *w, uint64_t which)
{
    char name[8];
    snprintf(name, sizeof name, "S%d", (int)which);
    return streams_find(w->lives.streams, bytes_str(name));
}

static struct consumer *find_consumer(struct stream *stream, uint64_t which)
{
    char name[8];
    snprintf(name, sizeof name, "C%d", (int)which);
    return consumers_find(stream, bytes_str(name));
}

static void make_stream(struct world *w, uint64_t which)
{
    char name[8], subject[8];
    const char *subjects[] = {subject};
    snprintf(name, sizeof name, "S%d", (int)which);
    snprintf(subject, sizeof subject, "s.%d", (int)which);
    struct stream *stream = find(w, which);
    struct ask *a = ask(w, &w->streams_model[which], true);
    const struct stream_config config = {
        .name = name,
        .subjects = subjects,
        .subject_count = 1,
        .description = a->thing->description,
        .max_msgs = 30,
        .sync = stream ? stream_config(stream)->sync : (enum journal_sync)(which % 3),
    };
    struct api_error refusal = {0};
    if (stream) {
        stream_update(stream, &a->op, &config, stream_durable);
        return;
    }
    int r = streams_add(w->lives.streams, &config, &stream, &refusal);
    if (r < 0) {
        answered(a, r);
        return;
    }
    stream_when_durable(stream, &a->op, stream_durable);
}

static void remove_stream(struct world *w, uint64_t which)
{
    struct stream *stream = find(w, which);
    if (!stream) return;
    for (int i = 0; i < CONSUMERS; i++) {
        struct thing *thing = &w->consumers_model[which][i];
        thing->change = ++w->changes;
        thing->there = thing->unsure = false; /* as far as the stream is there */
    }
    streams_remove(w->lives.streams, stream, removed, ask(w, &w->streams_model[which], false));
}

static void make_consumer(struct world *w, uint64_t which, uint64_t number)
{
    char name[8];
    struct stream *stream = find(w, which);
    if (!stream) return;
    snprintf(name, sizeof name, "C%d", (int)number);
    struct ask *a = ask(w, &w->consumers_model[which][number], true);
    const struct consumer_config config = {.name = name,
                                           .durable = true,
                                           .description = a->thing->description,
                                           .ack_policy = CONSUMER_ACK_EXPLICIT};
    struct api_error refusal = {0};
    struct consumer *consumer;
    int r = consumers_add(w->lives.streams, stream, &config, CONSUMER_MAKE_OR_UPDATE, &consumer,
                          &refusal);
    if (r < 0) {
        answered(a, r);
        return;
    }
    consumer_when_durable(consumer, &a->wait, consumer_durable);
}

static void remove_consumer(struct world *w, uint64_t which, uint64_t number)
{
    struct stream *stream = find(w, which);
    struct consumer *consumer = stream ? find_consumer(stream, number) : NULL;
    if (!consumer) return;
    consumer_destroy(consumer, removed, ask(w, &w->consumers_model[which][number], false));
}

static void publish(struct world *w, uint64_t which)
{
    static const char payload[300];
    struct stream *stream = find(w, which);
    if (!stream) return;
    struct message message = message_borrow(
        BYTES("s"), BYTES(""), BYTES(""), bytes_make(payload, sim_random_below(w->lives.sim, 300)));
    stream_publish(stream, NULL, &message, NULL, NULL);
    message_done(&message);
}

static void act(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    uint64_t which = sim_random_below(w->lives.sim, STREAMS);
    uint64_t number = sim_random_below(w->lives.sim, CONSUMERS);
    switch (sim_random_below(w->lives.sim, 10)) {
    case 0:
    case 1: make_stream(w, which); break;
    case 2: remove_stream(w, which); break;
    case 3:
    case 4: make_consumer(w, which, number); break;
    case 5: remove_consumer(w, which, number); break;
    default: publish(w, which);
    }
}

/* ---- what is found ---- */

static void check(struct thing *thing, bool there, const char *description, const char *what)
{
    if (!thing->unsure) {
        CHECK(there == thing->there, "%s: %s, but it was %s", what, there ? "there" : "gone",
              thing->there ? "made" : "removed");
        CHECK(!there || strcmp(description, thing->description) == 0, "%s: says %s, not %s", what,
              description, thing->description);
        seen_found += there;
        seen_absent += !there;
    } else {
        seen_either++;
    }
    thing->unsure = false;
    thing->there = there;
    snprintf(thing->description, DESCRIPTION, "%s", description);
}

static void check_all(struct world *w)
{
    for (uint64_t i = 0; i < STREAMS; i++) {
        struct stream *stream = find(w, i);
        bool was_sure = !w->streams_model[i].unsure;
        check(&w->streams_model[i], stream != NULL,
              stream ? stream_config(stream)->description : "", "stream");
        for (uint64_t j = 0; j < CONSUMERS; j++) {
            struct consumer *consumer = stream ? find_consumer(stream, j) : NULL;
            struct thing *thing = &w->consumers_model[i][j];
            if (!was_sure) thing->unsure = true; /* with its stream */
            check(thing, consumer != NULL, consumer ? consumer_config(consumer)->description : "",
                  "consumer");
        }
    }
}

static int count(void *context, const char *name)
{
    ++*(size_t *)context;
    return 0;
}

/* As many folders as there are streams and consumers. */
static void check_folders(struct world *w)
{
    size_t folders = 0, streams = 0;
    CHECK(io_list_dir(w->lives.io, "/store/streams", count, &folders) == 0, "list");
    for (uint64_t i = 0; i < STREAMS; i++) {
        char dir[STREAM_PATH + 16];
        struct stream *stream = find(w, i);
        size_t inside = 0;
        if (!stream) continue;
        streams++;
        snprintf(dir, sizeof dir, "%s/" STREAM_CONSUMERS, stream->dir);
        int r = io_list_dir(w->lives.io, dir, count, &inside);
        CHECK(r == 0 || r == ERR_NOT_FOUND, "%s", err_name(r));
        CHECK(inside == consumers_count(stream), "%zu folders of %zu consumers", inside,
              consumers_count(stream));
    }
    CHECK(folders == streams, "%zu folders of %zu streams", folders, streams);
}

/* ---- lives ---- */

static int open_none(struct lives *lives)
{
    return 0;
}

static void started(struct lives *lives)
{
    check_all(CONTAINER_OF(lives, struct world, lives));
}

static const struct lives_program program = {
    .open = open_none, .started = started, .act = act, .steps = 14, .drop = forget_asked};

static const struct lives_pace pace = {
    .lives = 5, .crash_within = 200, .actions = 80, .fail_within = 60, .troubled = 80};

static bool is_answered(void *context)
{
    return list_empty(&((struct world *)context)->asked);
}

static struct world *world_new(struct sim *sim)
{
    struct world *w = lives_new(sizeof *w, sim, &program);
    list_init(&w->asked);
    return w;
}

static void finish_world(struct world *w)
{
    lives_calm(&w->lives);
    lives_start(&w->lives);
    lives_act(&w->lives, 20);
    CHECK(sim_run_until(w->lives.sim, 60000, is_answered, w), "no answer");
    sim_run_ms(w->lives.sim, 5000);
    check_folders(w);
    lives_end(&w->lives);
    lives_start(&w->lives);
    sim_run_ms(w->lives.sim, 5000);
    check_folders(w);
    lives_free(&w->lives);
}

static void life_crashes(struct sim *sim, uint64_t seed)
{
    struct world *w = world_new(sim);
    lives_crashes(&w->lives, &pace);
    finish_world(w);
}

static void life_failures(struct sim *sim, uint64_t seed)
{
    struct world *w = world_new(sim);
    lives_failures(&w->lives, &pace);
    finish_world(w);
}

static void finish(void)
{
    CHECK(seen_found > 0 && seen_absent > 0 && seen_either > 0,
          "%" PRIu64 " found, %" PRIu64 " absent, %" PRIu64 " either", seen_found, seen_absent,
          seen_either);
}

static void finish_failures(void)
{
    finish();
    CHECK(seen_refused > 0, "nothing was refused");
}

RUNNER_MAIN({"life_crashes", life_crashes, .finish = finish, .seeds = 1500},
            {"life_failures", life_failures, .finish = finish_failures, .seeds = 800})
