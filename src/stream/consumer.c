/* The life of a consumer, and what can be asked of it. */
#include "stream/consumer_impl.h"

#include "bus/subject.h"
#include "store/wal.h"

#include <stdio.h>
#include <stdlib.h>

const struct consumer_config *consumer_config(const struct consumer *consumer)
{
    return consumer->config;
}

struct stream *consumer_stream(const struct consumer *consumer)
{
    return consumer->stream;
}

/* ---- configuration ---- */

static unsigned sample_of(const struct consumer_config *config)
{
    struct bytes digits = bytes_str(config->sample_freq ? config->sample_freq : "");
    uint64_t rate = 0;
    if (bytes_ends(digits, BYTES("%"))) digits.len--;
    if (digits.len == 0 || bytes_to_u64(digits, INT32_MAX, &rate) < 0) return 0;
    return rate < 100 ? (unsigned)rate : 100;
}

static bool wants_dead_letters(const struct consumer *consumer)
{
    const char *value = consumer_config_metadata(consumer->config, CONSUMER_DEAD_LETTERS);
    if (value && strcmp(value, "off") == 0) return false;
    /* What nobody could do with a dead letter ends there. */
    return strcmp(consumer->stream->name, CONSUMER_DEAD_STREAM) != 0;
}

static int make_filter(struct consumer *consumer, const struct consumer_config *config)
{
    struct stream_filter filter;
    struct bytes *patterns = calloc(config->filter_count + 1, sizeof *patterns);
    if (!patterns) return ERR_NOMEM;
    for (size_t i = 0; i < config->filter_count; i++) {
        patterns[i] = bytes_str(config->filters[i]);
    }
    int r = stream_filter_init(&filter, consumer->stream, patterns, config->filter_count);
    free(patterns);
    if (r < 0) return r;
    if (consumer->config) stream_filter_release(&consumer->filter);
    consumer->filter = filter;
    return 0;
}

int consumer_take_config(struct consumer *consumer, struct consumer_config *config)
{
    int r = make_filter(consumer, config);
    if (r < 0) {
        free(config);
        return r;
    }
    free(consumer->config);
    consumer->config = config;
    consumer->state.keeps = config->ack_policy != CONSUMER_ACK_NONE;
    consumer->sample = sample_of(config);
    consumer->dead_letters = wants_dead_letters(consumer);
    return 0;
}

/* ---- state ---- */

struct consumer_info consumer_info(const struct consumer *consumer)
{
    const struct consumer_state *state = &consumer->state;
    struct consumer_info info = {
        .created_ns = consumer->created_ns,
        .delivered = {state->consumer_seq, state->seen_seq, state->delivered_ns},
        .ack_floor = {state->floor_consumer_seq, state->floor_seq, state->settled_ns},
        .num_pending = consumer->num_pending,
        .num_ack_pending = state->pending.count,
        .num_redelivered = state->pending.again,
    };
    uint64_t now = io_wall_ns(consumer->io), until = (uint64_t)consumer->config->pause_until_ns;
    info.paused = until > now;
    if (info.paused) info.pause_remaining_ns = (int64_t)(until - now);
    if (consumer->writing.journal) info.status = journal_status(consumer->writing.journal);
    if (consumer->outlet) consumer->outlet->info(consumer->outlet, &info);
    return info;
}

int consumer_pause(struct consumer *consumer, int64_t until_ns)
{
    struct consumer_config changed = *consumer->config;
    changed.pause_until_ns = until_ns > 0 ? until_ns : 0;
    struct consumer_config *copy = consumer_config_copy(&changed, NULL);
    if (!copy) return ERR_NOMEM;
    int r = consumer_take_config(consumer, copy);
    if (r < 0) return r;
    consumer_write_config(consumer);
    consumer_post(consumer);
    if (consumer->outlet && consumer->outlet->updated) consumer->outlet->updated(consumer->outlet);
    return 0;
}

int consumer_reset(struct consumer *consumer, uint64_t seq)
{
    struct consumer_state *state = &consumer->state;
    if (seq == 0) seq = state->floor_seq + 1;
    consumer->metrics->ack_pending -= state->pending.count;
    consumer_state_start(state, seq, 0);
    consumer_log_start(&consumer->writing.log, seq, 0);
    consumer_expiry_clear(&consumer->expiry);
    consumer->again.start = consumer->again.end = 0;
    consumer_changed(consumer);
    consumer_post(consumer);
    return consumer_recount(consumer);
}

int consumer_attach(struct consumer *consumer, struct consumer_outlet *outlet)
{
    if (consumer->outlet) return ERR_EXISTS;
    consumer->outlet = outlet;
    consumer_post(consumer);
    return 0;
}

void consumer_detach(struct consumer *consumer)
{
    consumer->outlet = NULL;
}

struct consumer_outlet *consumer_outlet(const struct consumer *consumer)
{
    return consumer->outlet;
}

void consumer_event(struct consumer *consumer, const struct consumer_event *event)
{
    struct consumer_port *port = *consumer->stream->host->consumer_port;
    if (port && port->event) port->event(port, consumer, event);
}

/* ---- opening ---- */

static void close_task(struct io_task *task);

static struct consumer *allocate(struct streams *streams, struct stream *stream)
{
    struct consumer *consumer = calloc(1, sizeof *consumer);
    if (!consumer) return NULL;
    consumer->io = stream->host->io;
    consumer->streams = streams;
    consumer->stream = stream;
    consumer->metrics = stream->host->metrics;
    consumer_state_init(&consumer->state, true);
    consumer_expiry_init(&consumer->expiry);
    list_init(&consumer->letters);
    list_init(&consumer->going);
    consumer_writing_init(consumer);
    consumer_pump_init(consumer);
    consumer_interest_init(consumer);
    io_task_init(&consumer->bury, consumer_bury);
    io_task_init(&consumer->close_task, close_task);
    return consumer;
}

/* A new one: its place is chosen now, and on the disk before it delivers. */
static int begin(struct consumer *consumer, const struct consumer_config *config)
{
    uint64_t seq, last_until;
    struct consumer_config *copy = consumer_config_copy(config, NULL);
    int r = copy ? consumer_take_config(consumer, copy) : ERR_NOMEM;
    if (r < 0) return r;
    consumer->created_ns = consumer->stream->host->made_at(consumer->stream->host->context);
    consumer_choose_start(consumer, &seq, &last_until);
    consumer_state_start(&consumer->state, seq, last_until);
    return consumer_open_new(consumer);
}

/* What was pending comes again at its time. */
static int revive(struct consumer *consumer)
{
    struct consumer_pending *pending = &consumer->state.pending;
    const struct pending *one = consumer_pending_first(pending);
    int r = 0;
    for (; r == 0 && one; one = consumer_pending_after(pending, one)) {
        r = consumer_expiry_add(&consumer->expiry, one->due_ns, one->seq);
    }
    return r;
}

int consumer_make(struct streams *streams, struct stream *stream, const char *folder,
                  const struct consumer_config *config, struct consumer **ret_consumer,
                  struct error *error)
{
    struct consumer *consumer = allocate(streams, stream);
    if (!consumer) return error_set(error, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    int n = snprintf(consumer->dir, sizeof consumer->dir, "%s/" STREAM_CONSUMERS "/%s", stream->dir,
                     folder);
    int r = n < (int)sizeof consumer->dir ? 0 : ERR_TOO_BIG;
    if (r == 0) r = config ? begin(consumer, config) : consumer_load(consumer, error);
    if (r == 0) r = revive(consumer);
    if (r == 0) snprintf(consumer->name, sizeof consumer->name, "%s", consumer->config->name);
    if (r == 0) r = consumer_recount(consumer);
    if (r < 0) {
        consumer_free(consumer);
        if (error && !error->code) error_set(error, r, "consumer %s: %s", folder, err_text(r));
        return r;
    }
    consumer->replaying = consumer->config->replay_policy == CONSUMER_REPLAY_ORIGINAL;
    consumer->past_seq = stream->last_seq;
    stream_observe(stream, &consumer->observer);
    stream_attach(stream, &consumer->interest);
    consumer->metrics->consumers++;
    consumer->metrics->ack_pending += consumer->state.pending.count;
    consumer_post(consumer);
    if (consumer->state.grave_count) io_post(consumer->io, &consumer->bury);
    *ret_consumer = consumer;
    return 0;
}

/* ---- closing ---- */

static void fail_waits(struct consumer *consumer)
{
    struct list *link;
    while ((link = list_pop(&consumer->writing.waits))) {
        struct consumer_wait *wait = CONTAINER_OF(link, struct consumer_wait, link);
        wait->done(wait, ERR_CLOSED);
    }
}

static void end(struct consumer *consumer, int result)
{
    void (*closed)(void *, int) = consumer->closed;
    void *context = consumer->closed_context;
    fail_waits(consumer);
    consumer->metrics->consumers--;
    consumer->metrics->ack_pending -= consumer->state.pending.count;
    struct stream *stream = consumer->stream;
    consumer_free(consumer);
    if (closed) closed(context, result);
    consumers_gone(stream);
}

static void removed(void *context, int result)
{
    struct consumer *consumer = context;
    if (result < 0) {
        LOG(consumer->stream->host->log, LOG_ERROR, "consumer_remove_failed",
            LOG_S("dir", consumer->dir), LOG_ERR(result));
    }
    end(consumer, result);
}

static void close_task(struct io_task *task)
{
    struct consumer *consumer = CONTAINER_OF(task, struct consumer, close_task);
    bool stays = !consumer->destroying || consumer_in_memory(consumer);
    int r = stays ? 0 : wal_remove(consumer->stream->host->wal, consumer->dir, removed, consumer);
    if (stays) {
        end(consumer, 0);
    } else if (r < 0) {
        removed(consumer, r);
    }
}

static void journal_gone(void *context)
{
    struct consumer *consumer = context;
    consumer->writing.journal = NULL;
    io_post(consumer->io, &consumer->close_task);
}

void consumer_close_step(struct consumer *consumer)
{
    if (consumer->reading_next || consumer->reading_again || consumer->letter_count) return;
    if (consumer->released) return;
    consumer->released = true;
    stream_detach(&consumer->interest, consumer->destroying);
    if (consumer->writing.journal) {
        journal_close(consumer->writing.journal, journal_gone, consumer);
    } else {
        io_post(consumer->io, &consumer->close_task);
    }
}

void consumer_shut(struct consumer *consumer, void (*done)(void *context, int result),
                   void *context)
{
    struct consumer_outlet *outlet = consumer->outlet;
    consumers_forget(consumer);
    list_push(&consumer->stream->consumers.going, &consumer->going);
    consumer->closed = done;
    consumer->closed_context = context;
    consumer->outlet = NULL;
    if (outlet) {
        outlet->closed(outlet, consumer->destroying ? CONSUMER_END_DESTROYED : CONSUMER_END_CLOSED);
    }
    io_timer_cancel(consumer->io, &consumer->writing.later);
    io_task_cancel(consumer->io, &consumer->writing.task);
    consumer->writing.task.run(&consumer->writing.task);
    consumer->closing = true;
    io_timer_cancel(consumer->io, &consumer->timer);
    io_timer_cancel(consumer->io, &consumer->writing.retry);
    io_task_cancel(consumer->io, &consumer->pump);
    io_task_cancel(consumer->io, &consumer->bury);
    stream_unobserve(&consumer->observer);
    consumer_letters_stop(consumer);
    consumer_close_step(consumer);
}

void consumer_destroy(struct consumer *consumer, void (*done)(void *context, int result),
                      void *context)
{
    consumer->destroying = true;
    consumer_shut(consumer, done, context);
}

void consumer_free(struct consumer *consumer)
{
    if (!consumer) return;
    list_remove(&consumer->going);
    io_timer_cancel(consumer->io, &consumer->timer);
    io_task_cancel(consumer->io, &consumer->pump);
    io_task_cancel(consumer->io, &consumer->bury);
    io_task_cancel(consumer->io, &consumer->close_task);
    consumer_letters_free(consumer);
    consumer_writing_release(consumer);
    consumer->next_get.read.busy = false;
    consumer->again_get.read.busy = false;
    stream_get_release(&consumer->next_get);
    stream_get_release(&consumer->again_get);
    if (consumer->config) stream_filter_release(&consumer->filter);
    consumer_state_release(&consumer->state);
    consumer_expiry_release(&consumer->expiry);
    free(consumer->again.at);
    free(consumer->last);
    free(consumer->local);
    free(consumer->config);
    free(consumer);
}
