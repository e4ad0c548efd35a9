#include "stream/consumer_impl.h"
#include "bus/subject.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    ACK_WAIT_MS = 30000,
    MAX_DELIVER = 5,
    MAX_ACK_PENDING = 1000,
    MAX_ACK_PENDING_MAX = 65536,
    RETRY_MS = 1000,
    SEGMENT_BYTES = 256 << 10,
    REASON_MAX = 200,
    READ_AHEAD = 64 << 10,
};

/* ---- the journal ---- */

int consumer_write(struct consumer *consumer, enum consumer_record_kind kind, uint64_t seq,
                   uint32_t attempt)
{
    char bytes[CONSUMER_RECORD_SIZE];
    const struct consumer_record record = {.kind = kind, .attempt = attempt, .seq = seq};
    consumer_record_encode(&record, bytes);
    struct iovec iov = {bytes, sizeof bytes};
    uint64_t journal_seq;
    return journal_append(consumer->journal, &iov, 1, &journal_seq);
}

static int recovered(void *context, const struct journal_record *record)
{
    struct consumer *consumer = context;
    if (record->seq <= consumer->covers) return 0;
    struct consumer_record decoded;
    int r = consumer_record_decode(record->payload, &decoded);
    return r < 0 ? r : consumer_state_apply(&consumer->state, &decoded);
}

static void snapshot_done(void *context, uint64_t covers, int result)
{
    struct consumer *consumer = context;
    consumer->snapshot = false;
    if (result == 0) journal_trim(consumer->journal, covers + 1);
}

/* The state is small, so the journal is cut as soon as it fills a second segment. What was settled
 * but is not durable counts as pending. */
static void shorten(struct consumer *consumer, uint64_t covers)
{
    if (consumer->snapshot || consumer->closing || !journal_second_segment(consumer->journal)) {
        return;
    }
    struct buf data;
    buf_init(&data, SIZE_MAX);
    consumer_state_encode(&consumer->state, &data);
    consumer->snapshot = !data.failed && journal_snapshot_write(consumer->journal, buf_bytes(&data),
                                                                covers, snapshot_done) == 0;
    buf_release(&data);
}

static void settle_told(struct consumer *consumer, uint64_t seq, int result)
{
    struct consumer_pending *pending = consumer_state_find(&consumer->state, seq);
    if (!pending || pending->state != PENDING_SETTLED) return;
    if (result < 0) {
        list_push(&consumer->unsaved, &pending->due);
        consumer_retry_later(consumer);
        return;
    }
    consumer->metrics->ack_pending--;
    consumer_state_drop(&consumer->state, pending);
    if (consumer->settled) consumer->settled(consumer->context, seq);
    consumer_post(consumer);
}

static void appended(void *context, const struct journal_record *record, int result)
{
    struct consumer *consumer = context;
    struct consumer_record decoded;
    if (consumer_record_decode(record->payload, &decoded) < 0) return;
    if (decoded.kind == CONSUMER_RECORD_SETTLE) settle_told(consumer, decoded.seq, result);
    if (decoded.kind == CONSUMER_RECORD_DELIVER && result < 0) {
        consumer_delivery_lost(consumer, consumer_state_find(&consumer->state, decoded.seq));
    }
    if (result == 0) shorten(consumer, record->seq);
}

/* ---- settling ---- */

void consumer_delivery_lost(struct consumer *consumer, struct consumer_pending *pending)
{
    if (!pending || pending->unwritten) return;
    pending->unwritten = true;
    consumer->unwritten++;
    consumer_retry_later(consumer);
}

void consumer_write_delivery(struct consumer *consumer, struct consumer_pending *pending)
{
    int r = consumer_write(consumer, CONSUMER_RECORD_DELIVER, pending->seq, pending->attempt);
    if (r < 0) {
        consumer_delivery_lost(consumer, pending);
    } else if (pending->unwritten) {
        pending->unwritten = false;
        consumer->unwritten--;
    }
}

void consumer_settle(struct consumer *consumer, struct consumer_pending *pending)
{
    io_timer_cancel(consumer->io, &pending->timer);
    list_remove(&pending->due);
    pending->state = PENDING_SETTLED;
    if (pending->unwritten ||
        consumer_write(consumer, CONSUMER_RECORD_SETTLE, pending->seq, 0) < 0) {
        list_push(&consumer->unsaved, &pending->due);
        consumer_retry_later(consumer);
    }
}

void consumer_retry_later(struct consumer *consumer)
{
    if (!consumer->closing && !consumer->retry.armed) {
        io_timer_set(consumer->io, &consumer->retry, RETRY_MS);
    }
}

static void retry(struct io_timer *timer)
{
    struct consumer *consumer = CONTAINER_OF(timer, struct consumer, retry);
    struct list unsaved;
    list_init(&unsaved);
    list_splice(&unsaved, &consumer->unsaved);
    LIST_EACH(&consumer->state.order, struct consumer_pending, link, pending) {
        if (pending->unwritten) consumer_write_delivery(consumer, pending);
    }
    for (struct list *link; (link = list_pop(&unsaved));) {
        consumer_settle(consumer, CONTAINER_OF(link, struct consumer_pending, due));
    }
    LIST_EACH(&consumer->state.order, struct consumer_pending, link, pending) {
        /* Dead letters that could not be published. */
        if (pending->state == PENDING_DELAYED && !pending->timer.armed) {
            consumer_make_due(consumer, pending);
        }
    }
    consumer_post(consumer);
}

/* One that the owner may still settle. */
static struct consumer_pending *settleable(struct consumer *consumer, uint64_t seq)
{
    struct consumer_pending *pending = consumer_state_find(&consumer->state, seq);
    if (!pending || consumer->closing || pending->reason) return NULL;
    bool dying = pending->state == PENDING_DEAD || pending->state == PENDING_SETTLED;
    return dying ? NULL : pending;
}

int consumer_ack(struct consumer *consumer, uint64_t seq)
{
    struct consumer_pending *pending = settleable(consumer, seq);
    if (!pending) return ERR_NOT_FOUND;
    consumer->metrics->acked++;
    consumer_settle(consumer, pending);
    return 0;
}

int consumer_nak(struct consumer *consumer, uint64_t seq, uint32_t delay_ms)
{
    struct consumer_pending *pending = settleable(consumer, seq);
    if (!pending) return ERR_NOT_FOUND;
    if (pending->state == PENDING_DUE) return 0; /* it comes again already */
    if (delay_ms == CONSUMER_DELAY_BACKOFF) {
        const struct consumer_config *config = &consumer->config;
        size_t at = pending->attempt ? pending->attempt - 1 : 0;
        if (at >= config->backoff_count) at = config->backoff_count - 1;
        delay_ms = config->backoff_count ? config->backoff_ms[at] : 0;
    }
    if (delay_ms == 0 || pending->attempt >= consumer->config.max_deliver) {
        consumer_make_due(consumer, pending);
        return 0;
    }
    pending->state = PENDING_DELAYED;
    io_timer_set(consumer->io, &pending->timer, delay_ms);
    return 0;
}

int consumer_term(struct consumer *consumer, uint64_t seq, struct bytes reason)
{
    struct consumer_pending *pending = settleable(consumer, seq);
    if (!pending) return ERR_NOT_FOUND;
    size_t len = reason.len < REASON_MAX ? reason.len : REASON_MAX;
    pending->reason = strndup(len ? reason.data : "terminated", len ? len : REASON_MAX);
    if (!pending->reason) return ERR_NOMEM;
    consumer_make_due(consumer, pending);
    return 0;
}

int consumer_progress(struct consumer *consumer, uint64_t seq)
{
    struct consumer_pending *pending = settleable(consumer, seq);
    if (!pending || pending->state != PENDING_OUT) return ERR_NOT_FOUND;
    io_timer_set(consumer->io, &pending->timer, consumer->config.ack_wait_ms);
    return 0;
}

void consumer_on_settled(struct consumer *consumer, void (*settled)(void *context, uint64_t seq))
{
    consumer->settled = settled;
}

void consumer_want(struct consumer *consumer, uint32_t count)
{
    consumer->wanted =
        count > UINT32_MAX - consumer->wanted ? UINT32_MAX : consumer->wanted + count;
    consumer_post(consumer);
}

struct consumer_info consumer_info(const struct consumer *consumer)
{
    const struct consumer_state *state = &consumer->state;
    struct consumer_info info = {
        .delivered_consumer_seq = state->consumer_seq,
        .delivered_stream_seq = state->next_seq ? state->next_seq - 1 : 0,
        .ack_floor = consumer_state_floor(state),
        .pending = stream_count(consumer->stream, state->next_seq, bytes_str(consumer->filter)),
        .ack_pending = (uint32_t)state->pending.count,
        .wanted = consumer->wanted,
        .status = journal_status(consumer->journal),
    };
    LIST_EACH(&state->order, struct consumer_pending, link, pending) {
        if (pending->attempt > 1) info.redelivered++;
    }
    return info;
}

/* ---- opening ---- */

static int check(const struct consumer_config *config, struct error *error)
{
    if (!stream_name_valid(config->name)) {
        return error_set(error, ERR_INVALID, "invalid consumer name");
    }
    if (config->filter && !subject_is_pattern(bytes_str(config->filter))) {
        return error_set(error, ERR_INVALID, "invalid filter subject '%.100s'", config->filter);
    }
    if (config->backoff_count > CONSUMER_BACKOFF_MAX) {
        return error_set(error, ERR_INVALID, "at most %d back-off times", CONSUMER_BACKOFF_MAX);
    }
    return 0;
}

static int load(struct consumer *consumer, struct error *error)
{
    struct buf data;
    buf_init(&data, SIZE_MAX);
    int r = journal_snapshot_read(consumer->io, consumer->dir, &data, &consumer->covers, error);
    if (r == 0) r = consumer_state_decode(&consumer->state, buf_bytes(&data));
    buf_release(&data);
    if (r < 0 && r != ERR_NOT_FOUND) return r;
    uint64_t segment = consumer->stream->host->segment_bytes;
    if (segment > SEGMENT_BYTES) segment = SEGMENT_BYTES;
    const struct journal_options options = {
        .dir = consumer->dir,
        .segment_bytes = segment,
        .allocate_bytes = segment / 4,
        .log = consumer->stream->host->log,
        .metrics = consumer->stream->host->store_metrics,
        .context = consumer,
        .recovered = recovered,
        .appended = appended,
    };
    return journal_open(consumer->io, &options, &consumer->journal, error);
}

/* Where a new consumer begins is durable before it delivers. */
static int begin(struct consumer *consumer)
{
    if (consumer->state.started) return 0;
    uint64_t seq = 1;
    if (consumer->config.start == CONSUMER_FROM_NEW) seq = consumer->stream->submitted_seq + 1;
    if (consumer->config.start == CONSUMER_FROM_SEQ) seq = consumer->config.start_seq;
    consumer->state.next_seq = seq ? seq : 1;
    consumer->state.started = true;
    int r = consumer_write(consumer, CONSUMER_RECORD_START, consumer->state.next_seq, 0);
    return r < 0 ? r : journal_flush(consumer->journal);
}

static int open_files(struct consumer *consumer, struct error *error)
{
    char dir[CONSUMER_PATH];
    int n = snprintf(dir, sizeof dir, "%s/" STREAM_CONSUMERS, consumer->stream->dir);
    if (n >= (int)sizeof dir) return ERR_TOO_BIG;
    n = snprintf(consumer->dir, sizeof consumer->dir, "%.*s/%s", n, dir, consumer->name);
    if (n >= (int)sizeof consumer->dir) return ERR_TOO_BIG;
    int r = io_mkdir(consumer->io, dir);
    if (r == 0) r = io_sync_dir(consumer->io, consumer->stream->dir);
    if (r == 0) r = load(consumer, error);
    return r == 0 ? begin(consumer) : r;
}

/* Everything that was pending comes again: whoever had it is gone. */
static void revive(struct consumer *consumer)
{
    LIST_EACH(&consumer->state.order, struct consumer_pending, link, pending) {
        pending->consumer = consumer;
        io_timer_init(&pending->timer, consumer_pending_due);
        list_push(&consumer->due, &pending->due);
        consumer->metrics->ack_pending++;
    }
}

static void close_task(struct io_task *task);

static void take_config(struct consumer *consumer, const struct consumer_config *config)
{
    consumer->config = *config;
    struct consumer_config *c = &consumer->config;
    snprintf(consumer->name, sizeof consumer->name, "%s", config->name);
    c->name = consumer->name;
    c->filter = consumer->filter;
    if (!c->ack_wait_ms) c->ack_wait_ms = ACK_WAIT_MS;
    if (!c->max_deliver) c->max_deliver = MAX_DELIVER;
    if (!c->max_ack_pending) c->max_ack_pending = MAX_ACK_PENDING;
    if (c->max_ack_pending > MAX_ACK_PENDING_MAX) c->max_ack_pending = MAX_ACK_PENDING_MAX;
}

static struct consumer *make(struct streams *streams, struct stream *stream,
                             const struct consumer_config *config)
{
    struct consumer *consumer = calloc(1, sizeof *consumer);
    if (!consumer) return NULL;
    consumer->io = stream->host->io;
    consumer->streams = streams;
    consumer->stream = stream;
    consumer->metrics = stream->host->metrics;
    consumer_state_init(&consumer->state);
    list_init(&consumer->due);
    list_init(&consumer->unsaved);
    list_init(&consumer->dead);
    list_init(&consumer->observer.link);
    io_task_init(&consumer->pump, consumer_pump);
    io_task_init(&consumer->close_task, close_task);
    io_timer_init(&consumer->retry, retry);
    stream_get_init(&consumer->next_get);
    stream_get_init(&consumer->due_get);
    consumer->next_get.ahead_bytes = READ_AHEAD;
    consumer->filter = strdup(config->filter ? config->filter : "");
    if (!consumer->filter) {
        consumer_free(consumer);
        return NULL;
    }
    take_config(consumer, config);
    return consumer;
}

int consumer_open(struct streams *streams, struct stream *stream,
                  const struct consumer_config *config, consumer_deliver *deliver, void *context,
                  struct consumer **ret_consumer, struct error *error)
{
    if (error) *error = (struct error){0};
    int r = check(config, error);
    if (r < 0) return r;
    LIST_EACH(&stream->observers, struct stream_observer, link, observer) {
        if (observer->stored != consumer_stored) continue;
        const struct consumer *open = CONTAINER_OF(observer, struct consumer, observer);
        if (strcmp(open->name, config->name) != 0) continue;
        return error_set(error, ERR_EXISTS, "consumer %s is open already", config->name);
    }
    struct consumer *consumer = make(streams, stream, config);
    if (!consumer) return error_set(error, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    consumer->deliver = deliver;
    consumer->context = context;
    r = open_files(consumer, error);
    if (r < 0) {
        if (error && !error->code) error_set(error, r, "consumer: %s", err_text(r));
        consumer_free(consumer);
        return r;
    }
    revive(consumer);
    consumer->observer.stored = consumer_stored;
    stream_observe(stream, &consumer->observer);
    stream->users++;
    consumer->metrics->consumers++;
    *ret_consumer = consumer;
    return 0;
}

/* ---- closing ---- */

static void close_task(struct io_task *task)
{
    struct consumer *consumer = CONTAINER_OF(task, struct consumer, close_task);
    void (*closed)(void *) = consumer->closed;
    void *context = consumer->closed_context;
    if (consumer->destroying) {
        int r = journal_destroy(consumer->io, consumer->dir);
        if (r < 0) {
            LOG(consumer->stream->host->log, LOG_ERROR, "consumer_remove_failed",
                LOG_S("dir", consumer->dir), LOG_ERR(r));
        }
    }
    consumer->stream->users--;
    consumer->metrics->consumers--;
    consumer->metrics->ack_pending -= consumer->state.pending.count;
    consumer_free(consumer);
    if (closed) closed(context);
}

static void journal_gone(void *context)
{
    struct consumer *consumer = context;
    consumer->journal = NULL;
    io_post(consumer->io, &consumer->close_task);
}

void consumer_close_step(struct consumer *consumer)
{
    if (consumer->getting_next || consumer->getting_due || !list_empty(&consumer->dead)) return;
    journal_close(consumer->journal, journal_gone, consumer);
}

void consumer_close(struct consumer *consumer, void (*done)(void *context), void *context)
{
    consumer->closing = true;
    consumer->closed = done;
    consumer->closed_context = context;
    io_timer_cancel(consumer->io, &consumer->retry);
    io_task_cancel(consumer->io, &consumer->pump);
    LIST_EACH(&consumer->state.order, struct consumer_pending, link, pending) {
        io_timer_cancel(consumer->io, &pending->timer);
    }
    stream_unobserve(&consumer->observer);
    consumer_close_step(consumer);
}

void consumer_destroy(struct consumer *consumer, void (*done)(void *context), void *context)
{
    consumer->destroying = true;
    consumer_close(consumer, done, context);
}

void consumer_free(struct consumer *consumer)
{
    if (!consumer) return;
    LIST_EACH(&consumer->dead, struct dead_letter, link, letter) free(letter);
    journal_free(consumer->journal);
    consumer->next_get.read.busy = false;
    consumer->due_get.read.busy = false;
    stream_get_release(&consumer->next_get);
    stream_get_release(&consumer->due_get);
    consumer_state_release(&consumer->state);
    free(consumer->filter);
    free(consumer);
}
