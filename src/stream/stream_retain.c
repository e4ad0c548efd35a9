/* What goes without anybody deleting it: because of its age or its time to live, or because no
 * consumer needs it any more. */
#include "stream/stream_impl.h"
#include "wire/nats.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    REMOVAL_MAX = 4096, /* sequences in one record */
    RETRY_MS = 1000,
    WAIT_MAX_MS = 3600000, /* wall clocks are set: no longer at once */
};

/* ---- removal by a record: what has come together in a turn goes into one ---- */

static int by_seq(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static size_t unique(uint64_t *seqs, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || seqs[kept - 1] != seqs[i]) seqs[kept++] = seqs[i];
    }
    return kept;
}

static void write_removals(struct io_task *task)
{
    struct stream *stream = CONTAINER_OF(task, struct stream, removal.task);
    struct stream_removal *removal = &stream->removal;
    struct buf runs;
    size_t done = 0;
    int r = stream->closing ? ERR_CLOSED : 0;
    buf_init(&runs, SIZE_MAX);
    qsort(removal->seqs, removal->count, sizeof *removal->seqs, by_seq);
    removal->count = unique(removal->seqs, removal->count);
    while (r == 0 && done < removal->count) {
        size_t count = removal->count - done;
        if (count > REMOVAL_MAX) count = REMOVAL_MAX;
        buf_clear(&runs);
        stream_runs_encode(removal->seqs + done, count, &runs);
        const struct stream_record record = {.kind = STREAM_RECORD_REMOVE,
                                             .payload = buf_bytes(&runs)};
        r = runs.failed ? ERR_NOMEM : stream_submit(stream, &record);
        if (r == 0) done += count;
    }
    buf_release(&runs);
    removal->count -= done;
    memmove(removal->seqs, removal->seqs + done, removal->count * sizeof *removal->seqs);
    if (r < 0 && !stream->closing && !removal->retry.armed) {
        io_timer_set(stream->host->io, &removal->retry, RETRY_MS);
    }
}

static void retry(struct io_timer *timer)
{
    struct stream *stream = CONTAINER_OF(timer, struct stream, removal.retry);
    io_defer(stream->host->io, &stream->removal.task);
}

static int gather(struct stream_removal *removal, uint64_t seq)
{
    if (removal->count == removal->room) {
        size_t room = removal->room ? removal->room * 2 : 64;
        uint64_t *seqs = realloc(removal->seqs, room * sizeof *seqs);
        if (!seqs) return ERR_NOMEM;
        removal->seqs = seqs;
        removal->room = room;
    }
    removal->seqs[removal->count++] = seq;
    return 0;
}

/* Without memory it stays until a restart: nothing is lost by that. */
void stream_remove_later(struct stream *stream, uint64_t seq)
{
    if (gather(&stream->removal, seq) < 0) return;
    if (!stream->removal.retry.armed) io_defer(stream->host->io, &stream->removal.task);
}

void stream_removal_failed(struct stream *stream, struct bytes runs)
{
    uint64_t end = 0, first, count;
    while (stream_runs_next(&runs, &end, &first, &count) > 0) {
        for (uint64_t i = 0; i < count; i++) (void)gather(&stream->removal, first + i);
    }
    if (!stream->closing && !stream->removal.retry.armed) {
        io_timer_set(stream->host->io, &stream->removal.retry, RETRY_MS);
    }
}

/* ---- time ---- */

uint64_t stream_expires(const struct stream *stream, const struct stream_record *record)
{
    struct stream_headers headers;
    const struct stream_config *config = stream->config;
    if (stream_headers_read(record->headers, &headers) < 0 || !headers.has_ttl || headers.bad_ttl) {
        return STREAM_NEVER;
    }
    uint64_t ttl = headers.ttl_ns, least = 0;
    if (config && config->subject_delete_marker_ttl_ns > 0 && config->max_msgs_per_subject != 1) {
        least = (uint64_t)config->subject_delete_marker_ttl_ns;
    }
    if (ttl < least) ttl = least;
    return ttl > STREAM_NEVER - record->value ? STREAM_NEVER : record->value + ttl;
}

/* "1h0m0s": as Go writes a duration; one with a fraction in nanoseconds. */
static int put_duration(char *text, size_t size, int64_t ns)
{
    int64_t seconds = ns / 1000000000, minutes = seconds / 60;
    if (ns % 1000000000) return snprintf(text, size, "%" PRId64 "ns", ns);
    if (minutes == 0) return snprintf(text, size, "%" PRId64 "s", seconds);
    if (minutes < 60)
        return snprintf(text, size, "%" PRId64 "m%" PRId64 "s", minutes, seconds % 60);
    return snprintf(text, size, "%" PRId64 "h%" PRId64 "m%" PRId64 "s", minutes / 60, minutes % 60,
                    seconds % 60);
}

/* Leaves a marker behind the last message of a subject that has expired. */
static void mark(struct stream *stream, const struct stream_entry *entry)
{
    int64_t ttl = stream->config->subject_delete_marker_ttl_ns;
    const struct stream_subject *subject = entry->subject;
    if (ttl <= 0 || entry->marker || subject->count > 1 || subject->pending ||
        stream_subject_hidden(subject)) {
        return;
    }
    char text[48], name[STREAM_SUBJECT_MAX];
    int len = put_duration(text, sizeof text, ttl);
    struct buf headers;
    buf_init(&headers, 256);
    nats_headers_begin(&headers, 0, NULL);
    (void)nats_headers_add(&headers, BYTES("Nats-Marker-Reason"), BYTES("MaxAge"));
    (void)nats_headers_add(&headers, BYTES("Nats-TTL"), bytes_make(text, (size_t)len));
    (void)nats_headers_add(&headers, BYTES("Nats-Rollup"), BYTES("sub"));
    nats_headers_end(&headers);
    memcpy(name, subject->name.data, subject->name.len);
    const struct stream_record record = {
        .kind = STREAM_RECORD_MESSAGE,
        .flags = STREAM_FLAG_TTL | STREAM_FLAG_MARKER,
        .seq = stream->submitted_seq + 1,
        .value = stream_now_ns(stream),
        .subject = bytes_make(name, subject->name.len),
        .headers = buf_bytes(&headers),
        .payload = BYTES(""),
    };
    /* A full disk takes no marker; the message expires all the same. */
    if (!headers.failed) (void)stream_submit_message(stream, &record, BYTES(""));
    buf_release(&headers);
}

/* The oldest message goes at once: a restart would find it too old as well. When messages that do
 * not grow old stand before it, it goes by a record: else what a limit takes would depend on when
 * this ran. Returns when the next is due. */
static uint64_t expire_old(struct stream *stream, uint64_t now_ns)
{
    uint64_t age = (uint64_t)stream->config->max_age_ns;
    struct stream_entry entry;
    if (stream->config->max_age_ns <= 0) return STREAM_NEVER;
    while (stream_index_from(&stream->index, stream->age_floor, &entry)) {
        if (entry.ageless) {
            stream->age_floor = entry.seq + 1;
            continue;
        }
        if (entry.time_ns + age > now_ns) return entry.time_ns + age;
        struct stream_entry first;
        stream_index_first(&stream->index, &first);
        mark(stream, &entry);
        if (first.seq == entry.seq) {
            stream_remove(stream, &entry);
        } else {
            stream_remove_later(stream, entry.seq);
            stream->age_floor = entry.seq + 1;
        }
    }
    return STREAM_NEVER;
}

static bool still_there(void *context, uint64_t seq)
{
    return stream_index_find(context, seq, NULL);
}

static uint64_t expire_ttl(struct stream *stream, uint64_t now_ns)
{
    const struct stream_due *due;
    if (stream->expiry.count > 64 && stream->expiry.count > 2 * stream->index.count) {
        stream_clock_sift(&stream->expiry, still_there, &stream->index);
    }
    while ((due = stream_clock_first(&stream->expiry))) {
        struct stream_entry entry;
        uint64_t seq = due->seq;
        if (due->time_ns > now_ns) return due->time_ns;
        stream_clock_pop(&stream->expiry);
        if (!stream_index_find(&stream->index, seq, &entry)) continue;
        mark(stream, &entry);
        stream_remove_later(stream, seq);
    }
    return STREAM_NEVER;
}

void stream_tick(struct stream *stream)
{
    struct io *io = stream->host->io;
    io_timer_cancel(io, &stream->timer);
    if (stream->closing || !stream->config || stream->recovery.running) return;
    uint64_t now = io_wall_ns(io);
    uint64_t next = expire_old(stream, now), other = expire_ttl(stream, now);
    if (other < next) next = other;
    other = stream_release_due(stream, now);
    if (other < next) next = other;
    if (next == STREAM_NEVER) return;
    uint64_t wait_ms = next > now ? (next - now) / 1000000 + 1 : 1;
    io_timer_set(io, &stream->timer, wait_ms < WAIT_MAX_MS ? wait_ms : WAIT_MAX_MS);
}

void stream_tick_soon(struct stream *stream)
{
    if (!stream->closing) io_timer_set(stream->host->io, &stream->timer, 0);
}

static void timer_due(struct io_timer *timer)
{
    struct stream *stream = CONTAINER_OF(timer, struct stream, timer);
    stream_tick(stream);
    stream_clean(stream);
}

/* ---- interest ---- */

bool stream_needed(struct stream *stream, uint64_t seq, struct bytes subject)
{
    LIST_EACH(&stream->interests, struct stream_interest, link, interest) {
        if (interest->needs(interest, seq, subject)) return true;
    }
    return false;
}

static bool is_to_be_copied(struct stream *stream, const struct stream_entry *entry)
{
    LIST_EACH(&stream->interests, struct stream_interest, link, interest) {
        if (!interest->copies) continue;
        if (interest->needs(interest, entry->seq, entry->subject->name)) return true;
    }
    return false;
}

/* Whether it was one of the consumers', and has been acknowledged. */
static bool is_done(struct stream *stream, const struct stream_entry *entry)
{
    LIST_EACH(&stream->interests, struct stream_interest, link, interest) {
        if (!interest->acknowledged) continue;
        if (interest->acknowledged(interest, entry->seq, entry->subject->name)) return true;
    }
    return false;
}

void stream_let_go(struct stream *stream, uint64_t seq)
{
    struct stream_entry entry;
    bool queue = stream->config->retention == STREAM_RETENTION_WORKQUEUE;
    if (!stream->interest_known || !stream_index_find(&stream->index, seq, &entry)) return;
    if (stream_subject_hidden(entry.subject)) return;
    bool needed =
        queue ? is_to_be_copied(stream, &entry) : stream_needed(stream, seq, entry.subject->name);
    if (!needed) stream_remove_later(stream, seq);
}

void stream_copied(struct stream *stream, uint64_t seq)
{
    struct stream_entry entry;
    bool queue = stream->config->retention == STREAM_RETENTION_WORKQUEUE;
    if (!stream_index_find(&stream->index, seq, &entry)) return;
    if (!queue || is_done(stream, &entry)) stream_let_go(stream, seq);
}

void stream_acked(struct stream_interest *interest, uint64_t seq)
{
    struct stream *stream = interest->stream;
    if (stream->config->retention != STREAM_RETENTION_LIMITS) stream_let_go(stream, seq);
}

/* With retention by interest: what nobody needs (a work queue's messages wait for a consumer). */
static void sweep(struct stream *stream)
{
    struct stream_entry entry;
    if (!stream->interest_known || stream->closing) return;
    if (stream->config->retention != STREAM_RETENTION_INTEREST) return;
    for (uint64_t seq = 0; stream_index_from(&stream->index, seq, &entry); seq = entry.seq + 1) {
        stream_let_go(stream, entry.seq);
    }
}

void stream_interest_changed(struct stream *stream)
{
    sweep(stream);
}

void stream_attach(struct stream *stream, struct stream_interest *interest)
{
    interest->stream = stream;
    list_init(&interest->link);
    list_push(&stream->interests, &interest->link);
    *(interest->copies ? &stream->copier_count : &stream->interest_count) += 1;
}

void stream_detach(struct stream_interest *interest, bool forgotten)
{
    struct stream *stream = interest->stream;
    if (!stream) return;
    list_remove(&interest->link);
    interest->stream = NULL;
    *(interest->copies ? &stream->copier_count : &stream->interest_count) -= 1;
    if (forgotten) sweep(stream);
}

/* What a work queue's consumers had acknowledged, while the record of it was on its way. */
static void sweep_queue(struct stream *stream)
{
    struct stream_entry entry;
    if (stream->interest_count == 0) return;
    for (uint64_t seq = 0; stream_index_from(&stream->index, seq, &entry); seq = entry.seq + 1) {
        if (is_done(stream, &entry)) stream_let_go(stream, entry.seq);
    }
}

void stream_interest_known(struct stream *stream)
{
    stream->interest_known = true;
    if (stream->config->retention == STREAM_RETENTION_WORKQUEUE) sweep_queue(stream);
    sweep(stream);
}

/* ---- life ---- */

void stream_retain_init(struct stream *stream)
{
    list_init(&stream->interests);
    io_timer_init(&stream->timer, timer_due);
    io_timer_init(&stream->removal.retry, retry);
    io_task_init(&stream->removal.task, write_removals);
}

void stream_retain_release(struct stream *stream)
{
    struct io *io = stream->host->io;
    io_timer_cancel(io, &stream->timer);
    io_timer_cancel(io, &stream->removal.retry);
    io_task_cancel(io, &stream->removal.task);
    free(stream->removal.seqs);
    stream_clock_release(&stream->expiry);
    stream_clock_release(&stream->delayed);
}
