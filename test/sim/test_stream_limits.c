/* A stream with limits, also for each subject, that is published to, deleted from, purged and
 * cleaned: a power failure or a kill in peace, and the restart finds what was there; the cleaning
 * keeps the journal's room near what is needed. */
#include "stream/streams_impl.h"
#include "lives.h"
#include "runner.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

struct world {
    struct lives lives;
    struct stream *stream;
    struct stream_config config;
    uint32_t values;
};

static uint64_t seen_moved;

struct print {
    uint64_t hash, count;
};

static int print_one(void *context, const struct stream_message *message)
{
    struct print *print = context;
    print->hash = XXH3_64bits_withSeed(message->message.payload.data, message->message.payload.len,
                                       print->hash ^ message->seq);
    print->count++;
    return 0;
}

static struct print print_stream(struct stream *stream)
{
    struct print print = {0};
    CHECK(stream_each(stream, print_one, &print) == 0, "cannot be read");
    CHECK(print.count == stream_state(stream).messages, "%" PRIu64, print.count);
    return print;
}

static void change_done(struct stream_op *op, int result)
{
    free(op);
}

static void change(struct world *w, struct stream *stream)
{
    char subject[32], body[200] = {0};
    struct stream_op *op = malloc(sizeof *op);
    CHECK(op, "memory");
    uint64_t choice = sim_random_below(w->lives.sim, 40);
    uint64_t which = sim_random_below(w->lives.sim, 3) ? sim_random_below(w->lives.sim, 4)
                                                       : sim_random_below(w->lives.sim, 40);
    int len = snprintf(subject, sizeof subject, "t.%" PRIu64, which);
    struct bytes name = bytes_make(subject, (size_t)len);
    struct stream_state state = stream_state(stream);
    if (choice == 0) {
        stream_purge(stream, op, sim_random_below(w->lives.sim, 4) ? name : BYTES(""), 0,
                     sim_random_below(w->lives.sim, 3), change_done);
    } else if (choice < 4) {
        stream_delete(stream, op,
                      state.first_seq + sim_random_below(w->lives.sim, state.last_seq + 1),
                      change_done);
    } else {
        memcpy(body, &w->values, sizeof w->values);
        w->values++;
        struct message message = message_borrow(
            name, BYTES(""), BYTES(""), bytes_make(body, 8 + sim_random_below(w->lives.sim, 190)));
        stream_publish(stream, op, &message, NULL, change_done);
        message_done(&message);
    }
}

static bool idle(void *context)
{
    const struct stream *stream = context;
    return stream->told == stream->submitted && !stream->cleaner.copying &&
           !stream->cleaner.snapshot && !stream->cleaner.getting && !stream->cleaner.records &&
           list_empty(&stream->ready);
}

static int open_limited(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    struct api_error refusal = {0};
    int r = streams_add(lives->streams, &w->config, &w->stream, &refusal);
    CHECK(r == 0, "%d", api_error_number(refusal.kind));
    return r;
}

static void change_stream(struct lives *lives)
{
    struct world *w = CONTAINER_OF(lives, struct world, lives);
    change(w, w->stream);
}

static void check_room(struct stream *stream)
{
    uint64_t needed = stream->index.bytes + stream->index.count * 72;
    uint64_t used = journal_bytes(stream->journal);
    CHECK(used <= 2 * needed + 3 * 4096 + 4096, "%" PRIu64 " bytes for %" PRIu64, used, needed);
}

static void limits(struct sim *sim, uint64_t seed)
{
    static const char *const subjects[] = {"t.>"};
    static const struct lives_program limited = {
        .open = open_limited, .act = change_stream, .steps = 8};
    struct world *w = lives_new(sizeof *w, sim, &limited);
    w->config = (struct stream_config){
        .name = "T",
        .subjects = subjects,
        .subject_count = 1,
        .max_msgs = sim_random_below(sim, 2) ? 0 : 20 + (int64_t)sim_random_below(sim, 60),
        .max_bytes = sim_random_below(sim, 2) ? 0 : 2000 + (int64_t)sim_random_below(sim, 6000),
        .max_msgs_per_subject = 1 + (int64_t)sim_random_below(sim, 3),
    };
    struct print before = {0};
    uint64_t last_seq = 0;
    for (int life = 0; life < 4; life++) {
        lives_start(&w->lives);
        struct print after = print_stream(w->stream);
        CHECK(after.hash == before.hash, "%" PRIu64 " messages, were %" PRIu64, after.count,
              before.count);
        CHECK(stream_state(w->stream).last_seq == last_seq, "last sequence");
        lives_act(&w->lives, sim_random_below(sim, 300));
        CHECK(sim_run_until(sim, 60000, idle, w->stream), "cleans for ever");
        stream_clean(w->stream);
        CHECK(sim_run_until(sim, 60000, idle, w->stream), "cleans for ever");
        before = print_stream(w->stream);
        last_seq = stream_state(w->stream).last_seq;
        check_room(w->stream);
        seen_moved += streams_metrics(w->lives.streams)->moved;
        lives_end(&w->lives);
    }
    lives_free(&w->lives);
}

static void finish(void)
{
    CHECK(seen_moved > 0, "nothing was copied forward");
}

RUNNER_MAIN({"limits", limits, .finish = finish, .seeds = 1000})
