/* Choosing what to deliver next, reading it and handing it over. First what is to come again, then
 * what the stream holds that was never delivered; and when there is nothing left, new messages
 * straight as they become durable, without reading them back. */
#include "stream/consumer_impl.h"

#include "store/wal.h"

enum {
    SCAN_BUDGET = 4096,
    READ_AHEAD = 256 << 10,
    PER_TURN = 256, /* messages; then what was sent of them goes, and others have their turn */
};

static const uint64_t millisecond_ns = 1000000, hour_ms = 3600000;

void consumer_post(struct consumer *consumer)
{
    if (!consumer->closing) io_post(consumer->io, &consumer->pump);
}

void consumer_wake(struct consumer *consumer)
{
    consumer_post(consumer);
}

uint64_t consumer_wait_ns(const struct consumer_config *config, uint32_t attempt)
{
    if (config->backoff_count == 0) return (uint64_t)config->ack_wait_ns;
    size_t at = attempt ? attempt - 1 : 0;
    if (at >= config->backoff_count) at = config->backoff_count - 1;
    return (uint64_t)config->backoff_ns[at];
}

void consumer_wake_in(struct consumer *consumer, uint64_t wait_ms)
{
    if (wait_ms > hour_ms) wait_ms = hour_ms; /* wall clocks are set */
    uint64_t at_ms = io_now_ns(consumer->io) / millisecond_ns + wait_ms;
    if (consumer->timer.armed && consumer->timer_at_ms <= at_ms) return;
    consumer->timer_at_ms = at_ms;
    io_timer_set(consumer->io, &consumer->timer, wait_ms);
}

bool consumer_is_paused(const struct consumer *consumer)
{
    int64_t until = consumer->config->pause_until_ns;
    return until > 0 && (uint64_t)until > io_wall_ns(consumer->io);
}

/* ---- counting ---- */

int consumer_recount(struct consumer *consumer)
{
    struct consumer_state *state = &consumer->state;
    int r = consumer_find_last(consumer);
    if (r < 0) return r;
    uint64_t from = state->next_seq > state->last_until ? state->next_seq : state->last_until + 1;
    consumer->candidate = 0;
    consumer->num_pending =
        stream_filter_count(&consumer->filter, from) + (consumer->last_count - consumer->last_at);
    return 0;
}

uint64_t consumer_available(const struct consumer *consumer)
{
    const struct consumer_again *again = &consumer->again;
    return consumer->num_pending + (again->end - again->start);
}

/* ---- what is new ---- */

static bool may_deliver_new(const struct consumer *consumer)
{
    return !consumer->state.keeps || !consumer_is_full(consumer);
}

/* The next message that was never delivered; 0: none, or `scanning`: it is looked for. */
static uint64_t next_new(struct consumer *consumer)
{
    struct consumer_state *state = &consumer->state;
    if (consumer->last_at < consumer->last_count) return consumer->last[consumer->last_at];
    if (state->next_seq <= state->last_until) state->next_seq = state->last_until + 1;
    if (consumer->candidate) return consumer->candidate;
    if (consumer->num_pending == 0) {
        if (state->next_seq <= consumer->stream->last_seq) {
            state->next_seq = consumer->stream->last_seq + 1;
        }
        return 0;
    }
    uint64_t resume;
    consumer->candidate =
        stream_filter_next(&consumer->filter, state->next_seq, SCAN_BUDGET, &resume);
    if (consumer->candidate) return consumer->candidate;
    consumer->scanning = resume > 0;
    state->next_seq = resume ? resume : consumer->stream->last_seq + 1;
    return 0;
}

/* It was chosen, but has gone from the stream. */
static void pass_over(struct consumer *consumer, uint64_t seq)
{
    consumer->candidate = 0;
    if (consumer->last_at < consumer->last_count && consumer->last[consumer->last_at] == seq) {
        consumer->last_at++;
    }
    if (consumer->state.next_seq <= seq) consumer->state.next_seq = seq + 1;
}

/* ---- the original times ---- */

/* The past is over once what it held has gone out and the consumer has to wait for somebody, or for
 * something new. */
static void catch_up(struct consumer *consumer)
{
    if (consumer->state.next_seq > consumer->past_seq) consumer->replaying = false;
}

/* Whether a message has to wait for its moment. Once the consumer has caught up, nothing has. */
static bool is_early(struct consumer *consumer, uint64_t time_ns)
{
    if (!consumer->replaying) return false;
    uint64_t now = io_wall_ns(consumer->io), before = consumer->replay_time_ns;
    uint64_t gap = before && time_ns > before ? time_ns - before : 0;
    if (consumer->replay_at_ns + gap <= now || gap < millisecond_ns) return false;
    consumer_wake_in(consumer, (consumer->replay_at_ns + gap - now) / millisecond_ns + 1);
    return true;
}

/* ---- handing over ---- */

static void deliver(struct consumer *consumer, const struct stream_message *message,
                    uint32_t attempt)
{
    const struct message *m = &message->message;
    consumer->state.delivered_ns = io_wall_ns(consumer->io);
    consumer->metrics->delivered++;
    consumer_changed(consumer);
    /* Borrowed anew: a copy that another reader has been given belongs to that one. */
    const struct delivery delivery = {
        .seq = message->seq,
        .consumer_seq = consumer->state.consumer_seq,
        .time_ns = message->time_ns,
        .pending = consumer->num_pending,
        .attempt = attempt,
        .message = message_borrow(m->subject, BYTES(""), m->headers, m->payload),
    };
    consumer->outlet->deliver(consumer->outlet, &delivery);
}

/* The first delivery of a message that the outlet takes. */
static int deliver_new(struct consumer *consumer, const struct stream_message *message)
{
    struct consumer_state *state = &consumer->state;
    uint64_t now = io_wall_ns(consumer->io);
    uint64_t due = state->keeps ? now + consumer_wait_ns(consumer->config, 1) : 0;
    if (state->keeps && consumer_expiry_add(&consumer->expiry, due, message->seq) < 0) {
        return ERR_NOMEM;
    }
    int r = consumer_state_deliver(state, message->seq, due);
    if (r < 0) return r;
    consumer_log_deliver(&consumer->writing.log, message->seq, state->consumer_seq, due);
    consumer->metrics->ack_pending += state->keeps;
    consumer->num_pending--;
    pass_over(consumer, message->seq);
    if (consumer->replaying) {
        consumer->replay_time_ns = message->time_ns;
        consumer->replay_at_ns = now;
    }
    if (!state->keeps) stream_acked(&consumer->interest, message->seq);
    deliver(consumer, message, 1);
    return 0;
}

static int deliver_again(struct consumer *consumer, const struct stream_message *message)
{
    struct consumer_state *state = &consumer->state;
    struct pending *one = consumer_pending_find(&state->pending, message->seq);
    uint32_t attempt = one->attempts + 1;
    uint64_t due = io_wall_ns(consumer->io) + consumer_wait_ns(consumer->config, attempt);
    if (consumer_expiry_add(&consumer->expiry, due, one->seq) < 0) return ERR_NOMEM;
    consumer->again.start++;
    consumer_state_redeliver(state, one, attempt, state->consumer_seq + 1, due);
    consumer_log_redeliver(&consumer->writing.log, one, state->consumer_seq);
    consumer->metrics->redelivered++;
    deliver(consumer, message, attempt);
    return 0;
}

/* ---- reading ---- */

static void trouble(struct consumer *consumer, uint64_t seq, int result)
{
    if (result == ERR_CLOSED || consumer->closing) return;
    LOG(consumer->stream->host->log, LOG_ERROR, "consumer_read_failed",
        LOG_S("stream", consumer->stream->name), LOG_S("consumer", consumer->name),
        LOG_U("seq", seq), LOG_ERR(result));
    consumer_wake_in(consumer, CONSUMER_RETRY_MS);
}

/* Whether a message whose record is damaged is given up: when a reading finds the same later. One
 * rotten message must not hold up all behind it. It stays in the stream, for whoever has a copy.
 * After a sync has failed, what the commit log still has may read as damage, until the store is
 * opened anew: that nothing is to be trusted then is known a moment later than it can be read. */
static bool gives_up(struct consumer *consumer, uint64_t seq, int result)
{
    uint64_t now_ns = io_now_ns(consumer->io);
    if (result != ERR_CORRUPT || consumer->damaged != seq) {
        consumer->damaged = result == ERR_CORRUPT ? seq : 0;
        consumer->damaged_ns = now_ns;
        return false;
    }
    const struct wal *wal = consumer->stream->host->wal;
    if (now_ns < consumer->damaged_ns + CONSUMER_RETRY_MS * millisecond_ns) return false;
    if (wal && wal_status(wal) < 0) return false;
    consumer->metrics->damaged++;
    LOG(consumer->stream->host->log, LOG_ERROR, "consumer_message_damaged",
        LOG_S("stream", consumer->stream->name), LOG_S("consumer", consumer->name),
        LOG_U("seq", seq), LOG_S("consequence", "passed over, not delivered"));
    return true;
}

static bool wants(struct consumer *consumer)
{
    struct consumer_outlet *outlet = consumer->outlet;
    return outlet && !consumer->closing && consumer_is_born(consumer) &&
           !consumer_is_paused(consumer) && outlet->wants(outlet);
}

/* Offers a message that is to come again; false: it was not taken now. */
static bool offer_again(struct consumer *consumer, const struct stream_message *message)
{
    struct pending *one = consumer_next_ready(consumer);
    /* It may have been settled while it was being read. */
    if (!one || one->seq != message->seq) return true;
    if (!wants(consumer) || !consumer->outlet->takes(consumer->outlet, message)) return false;
    if (deliver_again(consumer, message) == 0) return true;
    consumer_wake_in(consumer, CONSUMER_RETRY_MS);
    return false;
}

static bool offer_new(struct consumer *consumer, const struct stream_message *message)
{
    if (next_new(consumer) != message->seq) return true;
    if (!may_deliver_new(consumer) || !wants(consumer)) return false;
    if (is_early(consumer, message->time_ns)) return false;
    if (!consumer->outlet->takes(consumer->outlet, message)) return false;
    if (deliver_new(consumer, message) == 0) return true;
    consumer_wake_in(consumer, CONSUMER_RETRY_MS);
    return false;
}

static void got_again(struct stream_get *get, int result, const struct stream_message *message)
{
    struct consumer *consumer = CONTAINER_OF(get, struct consumer, again_get);
    consumer->reading_again = false;
    if (consumer->closing) {
        consumer_close_step(consumer);
        return;
    }
    struct pending *one = consumer_next_ready(consumer);
    if (result == 0) {
        if (!offer_again(consumer, message)) return;
    } else if (result != ERR_NOT_FOUND && !gives_up(consumer, get->seq, result)) {
        trouble(consumer, get->seq, result);
        return;
    } else if (one && one->seq == get->seq) {
        consumer_lose(consumer, one);
    }
    consumer_post(consumer);
}

static void got_new(struct stream_get *get, int result, const struct stream_message *message)
{
    struct consumer *consumer = CONTAINER_OF(get, struct consumer, next_get);
    consumer->reading_next = false;
    if (consumer->closing) {
        consumer_close_step(consumer);
        return;
    }
    if (result == 0) {
        if (!offer_new(consumer, message)) return;
    } else if (result != ERR_NOT_FOUND && !gives_up(consumer, get->seq, result)) {
        trouble(consumer, get->seq, result);
        return;
    } else if (next_new(consumer) == get->seq) {
        /* What has gone from the stream was taken from the count then. */
        if (result != ERR_NOT_FOUND) consumer->num_pending--;
        pass_over(consumer, get->seq);
    }
    consumer_post(consumer);
}

/* ---- the pump ---- */

enum step { STEP_GO_ON, STEP_STOP, STEP_IDLE };

static enum step step_again(struct consumer *consumer, uint64_t seq)
{
    struct stream_message message;
    if (consumer->reading_again) return STEP_STOP;
    if (stream_get_held(consumer->stream, &consumer->again_get, seq, &message)) {
        return offer_again(consumer, &message) ? STEP_GO_ON : STEP_STOP;
    }
    consumer->reading_again = true;
    stream_get(consumer->stream, &consumer->again_get, seq, got_again);
    return STEP_STOP;
}

static enum step step_new(struct consumer *consumer, uint64_t seq)
{
    struct stream_message message;
    if (consumer->reading_next) return STEP_STOP;
    if (stream_get_held(consumer->stream, &consumer->next_get, seq, &message)) {
        return offer_new(consumer, &message) ? STEP_GO_ON : STEP_STOP;
    }
    consumer->reading_next = true;
    stream_get(consumer->stream, &consumer->next_get, seq, got_new);
    return STEP_STOP;
}

static enum step step(struct consumer *consumer)
{
    if (!wants(consumer)) {
        catch_up(consumer);
        return STEP_STOP;
    }
    const struct pending *ready = consumer_next_ready(consumer);
    if (ready) return step_again(consumer, ready->seq);
    if (!may_deliver_new(consumer)) return STEP_STOP;
    consumer->scanning = false;
    uint64_t seq = next_new(consumer);
    if (seq) return step_new(consumer, seq);
    if (consumer->scanning) {
        consumer_post(consumer);
        return STEP_STOP;
    }
    consumer->replaying = false;
    consumer->looked_seq = consumer->stream->last_seq;
    if (consumer->state.consumer_seq == 0 &&
        consumer->state.seen_seq < consumer->stream->last_seq) {
        consumer->state.seen_seq = consumer->stream->last_seq;
    }
    return consumer->reading_again || consumer->reading_next ? STEP_STOP : STEP_IDLE;
}

/* What happens by itself next: something is due, or the pause ends. */
static void set_timer(struct consumer *consumer)
{
    uint64_t now = io_wall_ns(consumer->io), due = consumer_next_due(consumer);
    if (consumer_is_paused(consumer)) {
        uint64_t until = (uint64_t)consumer->config->pause_until_ns;
        if (due == 0 || until < due) due = until;
    }
    if (due == 0) return;
    consumer_wake_in(consumer, due > now ? (due - now) / millisecond_ns + 1 : 0);
}

static void pump(struct io_task *task)
{
    struct consumer *consumer = CONTAINER_OF(task, struct consumer, pump);
    enum step next = STEP_GO_ON;
    if (consumer->closing) return;
    consumer_expire(consumer);
    for (int i = 0; next == STEP_GO_ON && i < PER_TURN; i++) next = step(consumer);
    if (next == STEP_GO_ON) consumer_post(consumer);
    if (next == STEP_IDLE) consumer->outlet->idle(consumer->outlet);
    set_timer(consumer);
}

static void timer_done(struct io_timer *timer)
{
    struct consumer *consumer = CONTAINER_OF(timer, struct consumer, timer);
    consumer_expire(consumer);
    set_timer(consumer);
    if (consumer->state.grave_count) io_post(consumer->io, &consumer->bury);
    consumer_post(consumer);
}

/* Runs when the message has become durable. When everything before it has been delivered, its
 * content need not be read back. */
static void stored(struct stream_observer *observer, const struct stream_message *message)
{
    struct consumer *consumer = CONTAINER_OF(observer, struct consumer, observer);
    if (consumer->closing || message->seq < consumer->state.next_seq) return;
    bool caught_up = consumer->num_pending == 0;
    if (caught_up) consumer->replaying = false;
    if (!stream_filter_matches(&consumer->filter, message->message.subject)) {
        if (caught_up) consumer->state.next_seq = message->seq + 1;
        return;
    }
    consumer->num_pending++;
    if (caught_up && consumer->outlet && consumer_is_born(consumer) && !consumer->reading_next &&
        !consumer_next_ready(consumer)) {
        consumer->candidate = message->seq;
        offer_new(consumer, message);
        set_timer(consumer);
        return;
    }
    consumer_post(consumer);
}

void consumer_pump_init(struct consumer *consumer)
{
    consumer->observer.stored = stored;
    io_task_init(&consumer->pump, pump);
    io_timer_init(&consumer->timer, timer_done);
    stream_get_init(&consumer->next_get);
    stream_get_init(&consumer->again_get);
    consumer->next_get.ahead_bytes = READ_AHEAD;
}
