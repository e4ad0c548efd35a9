/* What a consumer writes, and when somebody may rely on it. Steps gather for WRITE_MS, or until
 * somebody waits for them, and are one record then: a busy consumer must not make the disk sync for
 * each of its turns. When the disk would not take a record, those behind it mean nothing without
 * it: then nothing more is written until a snapshot of the whole state has taken its place. */
#include "stream/consumer_impl.h"

#include "base/le.h"

#include <stdlib.h>

enum { SEGMENT_BYTES = 1 << 20, FIRST_ROOM = 64, WRITE_MS = 4, STEPS_MAX = 64 << 10 };

static struct consumer *of_task(struct io_task *task, size_t offset)
{
    return (struct consumer *)((char *)task - offset);
}

/* ---- who waits ---- */

static void write_soon(struct consumer *consumer)
{
    struct consumer_writing *w = &consumer->writing;
    io_timer_cancel(consumer->io, &w->later);
    if (!list_linked(&w->task.link)) io_defer(consumer->io, &w->task);
}

/* The unit that what was done last belongs to. */
static uint64_t ticket(const struct consumer_writing *w)
{
    bool open = !consumer_log_is_empty(&w->log) || (w->broken && !w->repairing);
    return w->begun + open;
}

static void tell_settled(struct consumer *consumer)
{
    struct consumer_settled *s = &consumer->writing.settled;
    while (s->start < s->end && s->at[s->start].ticket <= consumer->writing.durable) {
        consumer_local_settled(consumer, s->at[s->start++].seq);
    }
    if (s->start == s->end) s->start = s->end = 0;
}

static void tell(struct consumer *consumer)
{
    struct consumer_writing *w = &consumer->writing;
    tell_settled(consumer);
    while (!list_empty(&w->waits)) {
        struct consumer_wait *wait = CONTAINER_OF(w->waits.next, struct consumer_wait, link);
        if (wait->ticket > w->durable) return;
        list_remove(&wait->link);
        wait->done(wait, 0);
    }
}

static void tell_refused(struct consumer *consumer)
{
    struct list waits;
    int result = consumer->writing.refused;
    consumer->writing.refused = 0;
    list_init(&waits);
    list_splice(&waits, &consumer->writing.waits);
    for (struct list *link; (link = list_pop(&waits));) {
        struct consumer_wait *wait = CONTAINER_OF(link, struct consumer_wait, link);
        wait->done(wait, result);
    }
}

static void tell_task(struct io_task *task)
{
    struct consumer *consumer = of_task(task, offsetof(struct consumer, writing.tell));
    if (consumer->writing.refused < 0) {
        tell_refused(consumer);
    } else {
        tell(consumer);
    }
}

/* A journal that has failed takes nothing more before the next start, which may find what it was
 * writing then, or not: a snapshot could not say which. */
static bool give_up(struct consumer *consumer)
{
    struct consumer_writing *w = &consumer->writing;
    int status = w->journal ? journal_status(w->journal) : 0;
    if (status == 0) return false;
    w->refused = status;
    io_post(consumer->io, &w->tell);
    return true;
}

void consumer_when_durable(struct consumer *consumer, struct consumer_wait *wait,
                           void (*done)(struct consumer_wait *wait, int result))
{
    struct consumer_writing *w = &consumer->writing;
    wait->done = done;
    wait->ticket = ticket(w);
    list_init(&wait->link);
    list_push(&w->waits, &wait->link);
    if (wait->ticket <= w->durable) {
        io_post(consumer->io, &w->tell);
    } else if (!w->broken || !give_up(consumer)) {
        write_soon(consumer);
    }
}

/* Without memory the owner is not told; the message does not come again all the same. */
void consumer_note_settled(struct consumer *consumer, uint64_t seq)
{
    struct consumer_settled *s = &consumer->writing.settled;
    if (s->end == s->room && s->start > 0) {
        memmove(s->at, s->at + s->start, (s->end - s->start) * sizeof *s->at);
        s->end -= s->start;
        s->start = 0;
    }
    if (s->end == s->room) {
        size_t room = s->room ? s->room * 2 : FIRST_ROOM;
        struct settled *bigger = realloc(s->at, room * sizeof *bigger);
        if (!bigger) return;
        s->at = bigger;
        s->room = room;
    }
    s->at[s->end++] = (struct settled){seq, ticket(&consumer->writing)};
    write_soon(consumer);
}

/* ---- the state as a snapshot: state created_ns:8 configuration ---- */

static void encode(const struct consumer *consumer, struct buf *out)
{
    char created[8];
    struct jsonw json;
    le_put64(created, consumer->created_ns);
    consumer_state_encode(&consumer->state, out);
    buf_append(out, bytes_make(created, sizeof created));
    jsonw_init(&json, out);
    consumer_config_encode(consumer->config, &json, NULL);
}

static int decode(struct consumer *consumer, struct bytes data)
{
    struct consumer_config *config = NULL;
    struct bytes rest;
    int r = consumer_state_decode(&consumer->state, data, &rest);
    if (r == 0 && rest.len < 8) r = ERR_CORRUPT;
    if (r == 0) r = consumer_config_decode(bytes_skip(rest, 8), &config);
    if (r < 0) return r;
    consumer->created_ns = le_get64(rest.data);
    return consumer_take_config(consumer, config);
}

static int write_snapshot(struct consumer *consumer,
                          void (*done)(void *context, uint64_t covers, int result))
{
    struct journal *journal = consumer->writing.journal;
    struct buf data;
    buf_init(&data, SIZE_MAX);
    encode(consumer, &data);
    int r = data.failed
                ? ERR_NOMEM
                : journal_snapshot_write(journal, buf_bytes(&data), journal_last(journal), done);
    buf_release(&data);
    return r;
}

/* ---- what is broken ---- */

static void write_log(struct consumer *consumer);
static void write_first(struct consumer *consumer);

static void break_off(struct consumer *consumer)
{
    struct consumer_writing *w = &consumer->writing;
    w->broken = true;
    if (give_up(consumer)) return;
    if (!consumer->closing && !w->retry.armed) {
        io_timer_set(consumer->io, &w->retry, CONSUMER_RETRY_MS);
    }
}

static void repaired(void *context, uint64_t covers, int result)
{
    struct consumer *consumer = context;
    struct consumer_writing *w = &consumer->writing;
    w->repairing = false;
    w->told++;
    if (result < 0) {
        consumer_log_clear(&w->log); /* the next snapshot has it */
        break_off(consumer);
        return;
    }
    w->broken = false;
    w->durable = w->told;
    journal_trim(w->journal, covers + 1);
    tell(consumer);
    write_log(consumer);
}

static void repair(struct io_timer *timer)
{
    struct consumer *consumer = CONTAINER_OF(timer, struct consumer, writing.retry);
    struct consumer_writing *w = &consumer->writing;
    if (consumer->closing || !w->broken || w->repairing || give_up(consumer)) return;
    bool ready = w->told == w->begun && !w->snapshot;
    if (ready && !consumer_is_born(consumer)) {
        w->broken = false;
        write_first(consumer);
        return;
    }
    if (!ready || write_snapshot(consumer, repaired) < 0) {
        break_off(consumer);
        return;
    }
    consumer_log_clear(&w->log);
    w->repairing = true;
    w->begun++;
}

/* ---- records ---- */

static int append(struct consumer *consumer, enum consumer_record_kind kind, uint64_t time_ns,
                  struct bytes rest)
{
    char header[CONSUMER_RECORD_HEADER];
    uint64_t seq;
    consumer_record_header(kind, time_ns, header);
    const struct iovec parts[] = {{header, sizeof header}, {(char *)rest.data, rest.len}};
    int r = journal_append(consumer->writing.journal, parts, 2, &seq);
    if (r == 0) consumer->writing.begun++;
    return r;
}

static void write_log(struct consumer *consumer)
{
    struct consumer_writing *w = &consumer->writing;
    if (consumer_log_is_empty(&w->log) || w->repairing) return;
    if (!w->journal) {
        consumer_log_clear(&w->log);
        w->told = w->durable = ++w->begun;
        tell(consumer);
        return;
    }
    if (!w->broken) {
        struct bytes steps = consumer_log_steps(&w->log);
        bool whole = !w->log.steps.failed;
        if (!whole ||
            append(consumer, CONSUMER_RECORD_STEPS, io_wall_ns(consumer->io), steps) < 0) {
            break_off(consumer);
        }
    }
    consumer_log_clear(&w->log);
}

static void later_due(struct io_timer *timer)
{
    write_log(CONTAINER_OF(timer, struct consumer, writing.later));
}

static void write_task(struct io_task *task)
{
    write_log(of_task(task, offsetof(struct consumer, writing.task)));
}

void consumer_changed(struct consumer *consumer)
{
    struct consumer_writing *w = &consumer->writing;
    if (buf_len(&w->log.steps) > STEPS_MAX || !list_empty(&w->waits)) {
        write_soon(consumer);
    } else if (!w->later.armed && !list_linked(&w->task.link)) {
        io_timer_set(consumer->io, &w->later, WRITE_MS);
    }
}

void consumer_write_config(struct consumer *consumer)
{
    struct consumer_writing *w = &consumer->writing;
    struct buf text;
    struct jsonw json;
    if (!w->journal) return;
    write_log(consumer);
    if (w->broken) return; /* the snapshot has it */
    buf_init(&text, SIZE_MAX);
    jsonw_init(&json, &text);
    consumer_config_encode(consumer->config, &json, NULL);
    if (text.failed ||
        append(consumer, CONSUMER_RECORD_CONFIG, consumer->created_ns, buf_bytes(&text)) < 0) {
        break_off(consumer);
    }
    buf_release(&text);
}

static void snapshot_done(void *context, uint64_t covers, int result)
{
    struct consumer *consumer = context;
    consumer->writing.snapshot = false;
    if (result == 0) journal_trim(consumer->writing.journal, covers + 1);
}

/* The state is small, so the journal is cut as soon as it fills a second segment. */
static void shorten(struct consumer *consumer)
{
    struct consumer_writing *w = &consumer->writing;
    if (w->snapshot || w->repairing || consumer->closing || !journal_second_segment(w->journal)) {
        return;
    }
    w->snapshot = write_snapshot(consumer, snapshot_done) == 0;
}

/* Who made the consumer is told from the loop, and may destroy it then. */
static void refuse(struct consumer *consumer, int result)
{
    struct consumer_writing *w = &consumer->writing;
    break_off(consumer);
    if (consumer_is_born(consumer)) return;
    w->refused = result;
    io_post(consumer->io, &w->tell);
}

static void appended(void *context, const struct journal_record *record, int result)
{
    struct consumer *consumer = context;
    struct consumer_writing *w = &consumer->writing;
    w->told++;
    if (result < 0) refuse(consumer, result);
    if (w->broken) return;
    w->durable = w->told;
    if (!consumer_is_born(consumer) && ++w->told_first == CONSUMER_FIRST) consumer_post(consumer);
    tell(consumer);
    shorten(consumer);
}

/* ---- recovery ---- */

static int recovered(void *context, const struct journal_record *record)
{
    struct consumer *consumer = context;
    enum consumer_record_kind kind;
    struct consumer_config *config = NULL;
    uint64_t time_ns;
    struct bytes rest;
    if (record->seq <= consumer->writing.covers) return 0;
    int r = consumer_record_parse(record->payload, &kind, &time_ns, &rest);
    if (r < 0) return r;
    if (kind == CONSUMER_RECORD_STEPS) {
        return consumer->config ? consumer_state_apply(&consumer->state, time_ns, rest)
                                : ERR_CORRUPT;
    }
    r = consumer_config_decode(rest, &config);
    if (r < 0) return r;
    consumer->created_ns = time_ns;
    return consumer_take_config(consumer, config);
}

static int open_journal(struct consumer *consumer, bool make, struct error *error)
{
    uint64_t segment = consumer->stream->host->segment_bytes;
    if (segment > SEGMENT_BYTES) segment = SEGMENT_BYTES;
    const struct journal_options options = {
        .dir = consumer->dir,
        .must_exist = !make,
        .wal = consumer->stream->host->wal,
        .segment_bytes = segment,
        .allocate_bytes = segment / 4,
        .log = consumer->stream->host->log,
        .metrics = consumer->stream->host->store_metrics,
        .context = consumer,
        .recovered = recovered,
        .appended = appended,
    };
    return journal_open(consumer->io, &options, &consumer->writing.journal, error);
}

int consumer_load(struct consumer *consumer, struct error *error)
{
    struct buf data;
    buf_init(&data, SIZE_MAX);
    int r =
        journal_snapshot_read(consumer->io, consumer->dir, &data, &consumer->writing.covers, error);
    if (r == 0) r = decode(consumer, buf_bytes(&data));
    buf_release(&data);
    if (r < 0 && r != ERR_NOT_FOUND) return r;
    r = open_journal(consumer, false, error);
    if (r < 0) return r;
    consumer->writing.told_first = CONSUMER_FIRST;
    return consumer->config && consumer->state.started ? 0 : ERR_NOT_FOUND;
}

/* Where it begins is what it was when it was made: it has delivered nothing. */
static void write_first(struct consumer *consumer)
{
    struct consumer_writing *w = &consumer->writing;
    w->told_first = 0;
    consumer_log_clear(&w->log);
    consumer_write_config(consumer);
    consumer_log_start(&w->log, consumer->state.next_seq, consumer->state.last_until);
    write_log(consumer);
}

int consumer_open_new(struct consumer *consumer)
{
    struct error ignored;
    if (consumer_in_memory(consumer)) return 0;
    int r = open_journal(consumer, true, &ignored);
    if (r == 0) write_first(consumer);
    return r == 0 && consumer->writing.broken ? ERR_NOMEM : r;
}

/* ---- life ---- */

void consumer_writing_init(struct consumer *consumer)
{
    struct consumer_writing *w = &consumer->writing;
    consumer_log_init(&w->log);
    list_init(&w->waits);
    io_task_init(&w->task, write_task);
    io_task_init(&w->tell, tell_task);
    io_timer_init(&w->later, later_due);
    io_timer_init(&w->retry, repair);
}

void consumer_writing_release(struct consumer *consumer)
{
    struct consumer_writing *w = &consumer->writing;
    io_task_cancel(consumer->io, &w->task);
    io_task_cancel(consumer->io, &w->tell);
    io_timer_cancel(consumer->io, &w->later);
    io_timer_cancel(consumer->io, &w->retry);
    journal_free(w->journal);
    consumer_log_release(&w->log);
    free(w->settled.at);
}
