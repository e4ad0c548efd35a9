/* What becomes of a message that was delivered: it is acknowledged, given back, extended, given
 * up, its time runs out, or the stream loses it. */
#include "stream/consumer_impl.h"

#include <stdlib.h>

enum { FIRST_ROOM = 64 };

/* ---- the queue of those that are to come again ---- */

static int again_push(struct consumer_again *again, uint64_t seq)
{
    if (again->end == again->room && again->start > 0) {
        memmove(again->at, again->at + again->start, (again->end - again->start) * sizeof seq);
        again->end -= again->start;
        again->start = 0;
    }
    if (again->end == again->room) {
        size_t room = again->room ? again->room * 2 : FIRST_ROOM;
        uint64_t *bigger = realloc(again->at, room * sizeof *bigger);
        if (!bigger) return ERR_NOMEM;
        again->at = bigger;
        again->room = room;
    }
    again->at[again->end++] = seq;
    return 0;
}

int consumer_make_ready(struct consumer *consumer, struct pending *one)
{
    if (one->place == PENDING_READY) return 0;
    int r = again_push(&consumer->again, one->seq);
    if (r == 0) one->place = PENDING_READY;
    return r;
}

struct pending *consumer_next_ready(struct consumer *consumer)
{
    struct consumer_again *again = &consumer->again;
    for (; again->start < again->end; again->start++) {
        struct pending *one =
            consumer_pending_find(&consumer->state.pending, again->at[again->start]);
        if (one && one->place == PENDING_READY) return one;
    }
    again->start = again->end = 0;
    return NULL;
}

/* ---- time ---- */

static bool is_live(void *context, const struct expiry *entry)
{
    struct consumer *consumer = context;
    const struct pending *one = consumer_pending_find(&consumer->state.pending, entry->seq);
    return one && one->place != PENDING_READY && one->due_ns == entry->due_ns;
}

static bool was_last_attempt(const struct consumer *consumer, const struct pending *one)
{
    int64_t most = consumer->config->max_deliver;
    return most > 0 && one->attempts >= (uint64_t)most;
}

void consumer_expire(struct consumer *consumer)
{
    uint64_t now = io_wall_ns(consumer->io);
    const struct expiry *first;
    while ((first = consumer_expiry_first(&consumer->expiry)) && first->due_ns <= now) {
        bool live = is_live(consumer, first);
        struct pending *one = consumer_pending_find(&consumer->state.pending, first->seq);
        /* Without memory it stays due, and is looked at again. */
        if (live && !was_last_attempt(consumer, one) && consumer_make_ready(consumer, one) < 0) {
            return;
        }
        consumer_expiry_pop(&consumer->expiry);
        if (live && one->place != PENDING_READY) consumer_die(consumer, one, true, BYTES(""));
    }
}

/* A stale entry makes it look too early, which costs less than finding the true one every time. */
uint64_t consumer_next_due(struct consumer *consumer)
{
    const struct expiry *first;
    if (consumer_expiry_is_stale(&consumer->expiry, consumer->state.pending.count)) {
        consumer_expiry_sweep(&consumer->expiry, is_live, consumer);
    }
    first = consumer_expiry_first(&consumer->expiry);
    return first ? first->due_ns : 0;
}

bool consumer_is_at_work(const struct consumer *consumer)
{
    const struct consumer_pending *pending = &consumer->state.pending;
    const struct pending *one = consumer_pending_first(pending);
    uint64_t now = io_wall_ns(consumer->io);
    for (; one; one = consumer_pending_after(pending, one)) {
        if (one->place != PENDING_READY && one->due_ns > now) return true;
    }
    return false;
}

/* Not before then. Without memory for the entry it comes again at once instead: never lost. */
static void wait_until(struct consumer *consumer, struct pending *one, uint64_t due_ns,
                       enum pending_place place)
{
    one->due_ns = due_ns;
    one->place = place;
    if (consumer_expiry_add(&consumer->expiry, due_ns, one->seq) < 0) {
        (void)consumer_make_ready(consumer, one);
    }
    consumer_log_due(&consumer->writing.log, one);
    consumer_changed(consumer);
    consumer_post(consumer);
}

void consumer_retime(struct consumer *consumer, const struct consumer_config *config)
{
    struct consumer_pending *pending = &consumer->state.pending;
    struct pending *one = consumer_pending_first(pending);
    for (; one; one = consumer_pending_after(pending, one)) {
        uint64_t before = consumer_wait_ns(consumer->config, one->attempts);
        uint64_t after = consumer_wait_ns(config, one->attempts);
        if (one->place != PENDING_OUT || before == after) continue;
        wait_until(consumer, one, one->due_ns - before + after, PENDING_OUT);
    }
}

/* ---- settling ---- */

static void report_ack(struct consumer *consumer, const struct pending *one)
{
    if (consumer->sample < 100 && io_random_u64(consumer->io) % 100 >= consumer->sample) return;
    uint64_t now = io_wall_ns(consumer->io);
    uint64_t sent = one->due_ns - consumer_wait_ns(consumer->config, one->attempts);
    const struct consumer_event event = {
        .kind = CONSUMER_EVENT_ACKED,
        .stream_seq = one->seq,
        .consumer_seq = one->consumer_seq,
        .attempts = one->attempts,
        .delay_ns = now > sent ? now - sent : 0,
    };
    consumer_event(consumer, &event);
}

/* It is pending no more. */
static void drop(struct consumer *consumer, struct pending *one)
{
    uint64_t seq = one->seq;
    consumer->metrics->ack_pending--;
    consumer_state_settle(&consumer->state, one);
    consumer_log_settle(&consumer->writing.log, seq);
}

static void settle(struct consumer *consumer, struct pending *one)
{
    uint64_t seq = one->seq;
    if (consumer->sample) report_ack(consumer, one);
    consumer->metrics->acked++;
    drop(consumer, one);
    stream_acked(&consumer->interest, seq);
    if (consumer->local) consumer_note_settled(consumer, seq);
}

/* Where an acknowledgement is one of all that came before. */
static void settle_before(struct consumer *consumer, uint64_t seq)
{
    struct pending *one;
    if (consumer->config->ack_policy != CONSUMER_ACK_ALL) return;
    while ((one = consumer_pending_first(&consumer->state.pending)) && one->seq < seq) {
        settle(consumer, one);
    }
}

static void settled_one(struct consumer *consumer, bool was_full)
{
    consumer->state.settled_ns = io_wall_ns(consumer->io);
    consumer_changed(consumer);
    if (was_full) consumer_post(consumer);
}

void consumer_lose(struct consumer *consumer, struct pending *one)
{
    drop(consumer, one);
    settled_one(consumer, false);
}

bool consumer_has_delivered(const struct consumer *consumer, uint64_t seq)
{
    return seq < consumer->state.next_seq;
}

int consumer_ack(struct consumer *consumer, uint64_t seq)
{
    struct pending *one = consumer_pending_find(&consumer->state.pending, seq);
    bool was_full = consumer_is_full(consumer);
    if (!one || consumer->closing) return ERR_NOT_FOUND;
    if (consumer->config->ack_policy == CONSUMER_ACK_ALL) {
        settle_before(consumer, seq);
        one = consumer_pending_find(&consumer->state.pending, seq);
    }
    settle(consumer, one);
    settled_one(consumer, was_full);
    return 0;
}

int consumer_nak(struct consumer *consumer, uint64_t seq, int64_t delay_ns)
{
    struct pending *one = consumer_pending_find(&consumer->state.pending, seq);
    if (!one || consumer->closing) return ERR_NOT_FOUND;
    const struct consumer_event event = {
        .kind = CONSUMER_EVENT_NAKED,
        .stream_seq = seq,
        .consumer_seq = one->consumer_seq,
        .attempts = one->attempts,
    };
    consumer_event(consumer, &event);
    if (one->place == PENDING_READY && delay_ns == 0) return 0; /* it comes again already */
    if (delay_ns == CONSUMER_DELAY_BACKOFF) {
        bool has = consumer->config->backoff_count > 0;
        delay_ns = has ? (int64_t)consumer_wait_ns(consumer->config, one->attempts) : 0;
    }
    if (was_last_attempt(consumer, one)) {
        consumer_die(consumer, one, true, BYTES(""));
        return 0;
    }
    uint64_t now = io_wall_ns(consumer->io);
    wait_until(consumer, one, delay_ns > 0 ? now + (uint64_t)delay_ns : now, PENDING_NAKED);
    if (delay_ns <= 0) consumer_expire(consumer);
    return 0;
}

int consumer_term(struct consumer *consumer, uint64_t seq, struct bytes reason)
{
    struct pending *one = consumer_pending_find(&consumer->state.pending, seq);
    bool was_full = consumer_is_full(consumer);
    if (!one || consumer->closing) return ERR_NOT_FOUND;
    settle_before(consumer, seq);
    consumer_die(consumer, consumer_pending_find(&consumer->state.pending, seq), false, reason);
    settled_one(consumer, was_full);
    return 0;
}

int consumer_progress(struct consumer *consumer, uint64_t seq)
{
    struct pending *one = consumer_pending_find(&consumer->state.pending, seq);
    if (!one || consumer->closing) return ERR_NOT_FOUND;
    if (one->place == PENDING_READY) return 0; /* comes again all the same */
    uint64_t wait = consumer_wait_ns(consumer->config, one->attempts);
    wait_until(consumer, one, io_wall_ns(consumer->io) + wait, PENDING_OUT);
    return 0;
}
