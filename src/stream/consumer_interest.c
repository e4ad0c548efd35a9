/* What a consumer needs of its stream: which messages must stay for it, and what becomes of it when
 * they go. */
#include "stream/consumer_impl.h"

#include "bus/subject.h"

/* Where the last message of a subject is looked for among those that are still to come; its place
 * in the list, or the list's end. */
static size_t find_last(const struct consumer *consumer, uint64_t seq)
{
    size_t low = consumer->last_at, high = consumer->last_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (consumer->last[middle] < seq) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < consumer->last_count && consumer->last[low] == seq ? low : consumer->last_count;
}

/* Whether the message, which the stream holds, is still to be delivered for the first time. */
static bool is_ahead(const struct consumer *consumer, uint64_t seq, struct bytes subject)
{
    if (seq < consumer->state.next_seq) return false;
    if (seq <= consumer->state.last_until) {
        return find_last(consumer, seq) < consumer->last_count;
    }
    return stream_filter_matches(&consumer->filter, subject);
}

/* Whether the stream must keep the message for this consumer. */
static bool needs(struct stream_interest *interest, uint64_t seq, struct bytes subject)
{
    struct consumer *consumer = CONTAINER_OF(interest, struct consumer, interest);
    if (seq >= consumer->state.next_seq) return is_ahead(consumer, seq, subject);
    return consumer_pending_find(&consumer->state.pending, seq) ||
           consumer_state_grave(&consumer->state, seq);
}

static bool acknowledged(struct stream_interest *interest, uint64_t seq, struct bytes subject)
{
    struct consumer *consumer = CONTAINER_OF(interest, struct consumer, interest);
    if (seq >= consumer->state.next_seq || !stream_filter_matches(&consumer->filter, subject)) {
        return false;
    }
    return !needs(interest, seq, subject);
}

/* ---- what goes from the stream ---- */

static void removed(struct stream_observer *observer, uint64_t seq, struct bytes subject)
{
    struct consumer *consumer = CONTAINER_OF(observer, struct consumer, observer);
    if (consumer->closing) return;
    if (seq == consumer->candidate) consumer->candidate = 0;
    if (is_ahead(consumer, seq, subject)) {
        consumer->num_pending--;
        size_t at = find_last(consumer, seq);
        if (at == consumer->last_count) return;
        memmove(consumer->last + at, consumer->last + at + 1,
                (consumer->last_count - at - 1) * sizeof *consumer->last);
        consumer->last_count--;
        return;
    }
    struct pending *one = consumer_pending_find(&consumer->state.pending, seq);
    struct consumer_grave *grave = consumer_state_grave(&consumer->state, seq);
    if (grave && !grave->busy) {
        consumer_state_bury(&consumer->state, grave);
        consumer_log_bury(&consumer->writing.log, seq);
        consumer_changed(consumer);
    }
    if (!one) return;
    consumer_lose(consumer, one);
    consumer_post(consumer);
}

/* Whether all that the consumer's filters let through was to be purged; `ret_touches`: or all that
 * one of them lets through, or a part of it. */
static bool is_within(const struct consumer *consumer, struct bytes pattern, bool *ret_touches)
{
    const struct consumer_config *config = consumer->config;
    bool within = pattern.len == 0 || config->filter_count > 0;
    *ret_touches = pattern.len == 0 || config->filter_count == 0;
    for (size_t i = 0; i < config->filter_count && pattern.len > 0; i++) {
        struct bytes filter = bytes_str(config->filters[i]);
        bool contained = subject_contains(pattern, filter);
        if (!contained) within = false;
        if (contained || subject_contains(filter, pattern)) *ret_touches = true;
    }
    return within;
}

/* It goes on behind what was purged, as if it had been delivered and acknowledged. */
static void purged(struct stream_observer *observer, struct bytes pattern)
{
    struct consumer *consumer = CONTAINER_OF(observer, struct consumer, observer);
    struct stream_state state = stream_state(consumer->stream);
    bool touches, within = is_within(consumer, pattern, &touches);
    uint64_t start = state.first_seq, resume;
    if (consumer->closing || !touches || start == 0) return;
    if (within && pattern.len > 0) {
        uint64_t next = stream_next(consumer->stream, start, pattern, SIZE_MAX, &resume);
        start = next ? next : state.last_seq + 1;
    }
    if (!consumer_state_skip(&consumer->state, start)) return;
    consumer_log_skip(&consumer->writing.log, start);
    consumer_changed(consumer);
}

void consumer_interest_init(struct consumer *consumer)
{
    consumer->interest = (struct stream_interest){.needs = needs, .acknowledged = acknowledged};
    list_init(&consumer->interest.link);
    consumer->observer.removed = removed;
    consumer->observer.purged = purged;
    list_init(&consumer->observer.link);
}
