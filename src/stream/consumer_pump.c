/* Choosing what to deliver next. First what is to come again, then what the stream holds that was
 * never delivered; and when there is nothing left, new messages straight as they become durable. */
#include "stream/consumer_impl.h"
#include "bus/subject.h"

enum { SCAN_BUDGET = 4096, READ_AHEAD = 64 << 10 };

void consumer_post(struct consumer *consumer)
{
    if (!consumer->closing) io_post(consumer->io, &consumer->pump);
}

static uint32_t wait_ms(const struct consumer *consumer, uint32_t attempt)
{
    const struct consumer_config *config = &consumer->config;
    if (config->backoff_count == 0) return config->ack_wait_ms;
    size_t at = attempt ? attempt - 1 : 0;
    if (at >= config->backoff_count) at = config->backoff_count - 1;
    return config->backoff_ms[at];
}

void consumer_make_due(struct consumer *consumer, struct consumer_pending *pending)
{
    pending->state = PENDING_DUE;
    io_timer_cancel(consumer->io, &pending->timer);
    if (!list_linked(&pending->due)) list_push(&consumer->due, &pending->due);
    consumer_post(consumer);
}

void consumer_pending_due(struct io_timer *timer)
{
    struct consumer_pending *pending = CONTAINER_OF(timer, struct consumer_pending, timer);
    consumer_make_due(pending->consumer, pending);
}

/* Hands one message over. The record of the attempt goes with the next commit: a delivery waits for
 * nothing but the message itself. */
static void hand_over(struct consumer *consumer, struct consumer_pending *pending,
                      const struct stream_message *message)
{
    pending->attempt++;
    list_remove(&pending->due);
    pending->state = PENDING_OUT;
    consumer->wanted--;
    consumer->state.consumer_seq++;
    consumer->metrics->delivered++;
    if (pending->attempt > 1) consumer->metrics->redelivered++;
    io_timer_set(consumer->io, &pending->timer, wait_ms(consumer, pending->attempt));
    consumer_write_delivery(consumer, pending);
    const struct message *m = &message->message;
    /* Borrowed anew: a copy that another reader has been given belongs to that one. */
    const struct delivery delivery = {
        .seq = message->seq,
        .consumer_seq = consumer->state.consumer_seq,
        .time_ns = message->time_ns,
        .attempt = pending->attempt,
        .message = message_borrow(m->subject, m->reply, m->headers, m->payload),
    };
    consumer->deliver(consumer->context, &delivery);
}

static bool may_deliver_new(const struct consumer *consumer)
{
    return consumer->wanted > 0 && !consumer->closing && consumer->unwritten == 0 &&
           consumer->state.pending.count < consumer->config.max_ack_pending;
}

/* A message that was never delivered. */
static void first_delivery(struct consumer *consumer, const struct stream_message *message)
{
    struct consumer_pending *pending = consumer_state_claim(&consumer->state, message->seq);
    if (!pending) {
        consumer_retry_later(consumer);
        return;
    }
    pending->consumer = consumer;
    io_timer_init(&pending->timer, consumer_pending_due);
    consumer->metrics->ack_pending++;
    consumer->state.next_seq = message->seq + 1;
    hand_over(consumer, pending, message);
}

/* ---- what comes again ---- */

static bool is_dead(const struct consumer *consumer, const struct consumer_pending *pending)
{
    return pending->reason || pending->attempt >= consumer->config.max_deliver;
}

static void got_due(struct stream_get *get, int result, const struct stream_message *message)
{
    struct consumer *consumer = CONTAINER_OF(get, struct consumer, due_get);
    struct consumer_pending *pending = consumer_state_find(&consumer->state, get->seq);
    consumer->getting_due = false;
    if (consumer->closing) {
        consumer_close_step(consumer);
        return;
    }
    /* It may have been acknowledged late, while it was being read. */
    if (pending && pending->state == PENDING_DUE) {
        if (result == ERR_NOT_FOUND) {
            list_remove(&pending->due);
            consumer_settle(consumer, pending); /* limits or a purge have taken it */
        } else if (result < 0) {
            consumer_retry_later(consumer);
            return;
        } else if (is_dead(consumer, pending)) {
            consumer_bury(consumer, pending, message);
        } else if (consumer->wanted > 0 && consumer->unwritten == 0) {
            hand_over(consumer, pending, message);
        }
    }
    consumer_post(consumer);
}

/* Dead letters need nobody who wants them. */
static void pump_due(struct consumer *consumer)
{
    if (consumer->getting_due || consumer->unwritten) return;
    LIST_EACH(&consumer->due, struct consumer_pending, due, pending) {
        if (consumer->wanted == 0 && !is_dead(consumer, pending)) continue;
        consumer->getting_due = true;
        stream_get(consumer->stream, &consumer->due_get, pending->seq, got_due);
        return;
    }
}

/* ---- what is new ---- */

static void got_next(struct stream_get *get, int result, const struct stream_message *message)
{
    struct consumer *consumer = CONTAINER_OF(get, struct consumer, next_get);
    consumer->getting_next = false;
    if (consumer->closing) {
        consumer_close_step(consumer);
        return;
    }
    if (result == 0 && may_deliver_new(consumer)) {
        first_delivery(consumer, message);
    } else if (result == ERR_NOT_FOUND) {
        consumer->state.next_seq = get->seq + 1;
    } else if (result < 0) {
        consumer_retry_later(consumer);
        return;
    }
    consumer_post(consumer);
}

static void pump_next(struct consumer *consumer)
{
    if (consumer->getting_next || !may_deliver_new(consumer)) return;
    uint64_t resume;
    uint64_t seq = stream_next(consumer->stream, consumer->state.next_seq,
                               bytes_str(consumer->filter), SCAN_BUDGET, &resume);
    if (seq) {
        consumer->getting_next = true;
        stream_get(consumer->stream, &consumer->next_get, seq, got_next);
    } else if (resume) {
        consumer->state.next_seq = resume;
        consumer_post(consumer);
    } else if (consumer->state.next_seq <= consumer->stream->last_seq) {
        consumer->state.next_seq = consumer->stream->last_seq + 1;
    }
}

void consumer_pump(struct io_task *task)
{
    struct consumer *consumer = CONTAINER_OF(task, struct consumer, pump);
    if (consumer->closing) return;
    pump_due(consumer);
    pump_next(consumer);
}

/* Runs when the message has become durable. When everything before it has been delivered, its
 * content need not be read back. */
void consumer_stored(struct stream_observer *observer, const struct stream_message *message)
{
    struct consumer *consumer = CONTAINER_OF(observer, struct consumer, observer);
    if (consumer->closing || message->seq < consumer->state.next_seq) return;
    bool last = consumer->state.next_seq == message->seq && !consumer->getting_next;
    if (!last || !list_empty(&consumer->due) || !may_deliver_new(consumer)) {
        consumer_post(consumer);
        return;
    }
    struct bytes filter = bytes_str(consumer->filter);
    if (filter.len > 0 && !subject_matches(filter, message->message.subject)) {
        consumer->state.next_seq = message->seq + 1;
        return;
    }
    first_delivery(consumer, message);
}
