/* Where a new consumer begins, as its deliver policy says. */
#include "stream/consumer_impl.h"

#include <stdlib.h>

static int later_one(void *context, const struct stream_subject_info *info)
{
    uint64_t *last = context;
    if (info->last_seq > *last) *last = info->last_seq;
    return 0;
}

static int earlier_one(void *context, const struct stream_subject_info *info)
{
    uint64_t *first = context;
    if (*first == 0 || info->last_seq < *first) *first = info->last_seq;
    return 0;
}

/* The first of the last messages of each subject; 0: none. */
static uint64_t first_last(const struct consumer *consumer)
{
    const struct consumer_config *config = consumer->config;
    uint64_t first = 0;
    for (size_t i = 0; i < config->filter_count; i++) {
        (void)stream_subjects(consumer->stream, bytes_str(config->filters[i]), earlier_one, &first);
    }
    return first;
}

/* The last message that matches; 0: none, and it begins with the first. Of all messages (">" is no
 * filter) the last that was given out, also when it has gone. */
static uint64_t last_match(const struct consumer *consumer)
{
    const struct consumer_config *config = consumer->config;
    uint64_t last = 0;
    bool all = config->filter_count == 0 ||
               (config->filter_count == 1 && strcmp(config->filters[0], ">") == 0);
    if (all) return stream_state(consumer->stream).last_seq;
    for (size_t i = 0; i < config->filter_count; i++) {
        (void)stream_subjects(consumer->stream, bytes_str(config->filters[i]), later_one, &last);
    }
    return last;
}

static uint64_t choose(const struct consumer *consumer, uint64_t first, uint64_t behind)
{
    const struct consumer_config *config = consumer->config;
    uint64_t seq = 0;
    switch (config->deliver_policy) {
    case CONSUMER_DELIVER_LAST: return last_match(consumer);
    case CONSUMER_DELIVER_NEW: return behind;
    case CONSUMER_DELIVER_BY_START_SEQ: return config->start_seq;
    case CONSUMER_DELIVER_BY_START_TIME:
        seq = stream_seq_at(consumer->stream, (uint64_t)config->start_time_ns);
        return seq ? seq : stream_state(consumer->stream).last_seq + 1;
    /* What is on its way comes behind the last messages there are. */
    case CONSUMER_DELIVER_LAST_PER_SUBJECT:
        seq = first_last(consumer);
        return seq ? seq : stream_state(consumer->stream).last_seq + 1;
    case CONSUMER_DELIVER_ALL: break;
    }
    return first;
}

void consumer_choose_start(const struct consumer *consumer, uint64_t *ret_seq,
                           uint64_t *ret_last_until)
{
    struct stream_state state = stream_state(consumer->stream);
    /* What was published before this moment is not new, even if it is still on its way. */
    uint64_t behind = consumer->stream->submitted_seq + 1;
    uint64_t first = state.first_seq ? state.first_seq : 1;
    uint64_t seq = choose(consumer, first, behind);
    if (seq < first) seq = first;
    bool last = consumer->config->deliver_policy == CONSUMER_DELIVER_LAST_PER_SUBJECT;
    *ret_seq = seq;
    *ret_last_until = last ? state.last_seq : 0;
}

/* ---- the last message of each subject ---- */

struct gathering {
    struct consumer *consumer;
    size_t room;
};

static int gather(void *context, const struct stream_subject_info *info)
{
    struct gathering *g = context;
    struct consumer *consumer = g->consumer;
    uint64_t seq = info->last_seq;
    if (seq > consumer->state.last_until) {
        seq = stream_last_seq_before(consumer->stream, info->subject, consumer->state.last_until);
    }
    if (seq == 0 || seq < consumer->state.next_seq) return 0;
    if (consumer->last_count == g->room) {
        size_t room = g->room ? g->room * 2 : 64;
        uint64_t *bigger = realloc(consumer->last, room * sizeof *bigger);
        if (!bigger) return ERR_NOMEM;
        consumer->last = bigger;
        g->room = room;
    }
    consumer->last[consumer->last_count++] = seq;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

int consumer_find_last(struct consumer *consumer)
{
    const struct consumer_config *config = consumer->config;
    struct gathering g = {.consumer = consumer};
    int r = 0;
    free(consumer->last);
    consumer->last = NULL;
    consumer->last_at = consumer->last_count = 0;
    if (consumer->state.next_seq > consumer->state.last_until) return 0;
    for (size_t i = 0; r == 0 && i < config->filter_count; i++) {
        r = stream_subjects(consumer->stream, bytes_str(config->filters[i]), gather, &g);
    }
    if (consumer->last_count > 1) {
        qsort(consumer->last, consumer->last_count, sizeof *consumer->last, compare);
    }
    return r;
}
