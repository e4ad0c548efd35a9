/* The checks of a publish, in the order in which JetStream makes them. What is checked here is
 * checked against everything submitted so far, durable or not, because it will be durable before
 * this one is. */
#include "stream/stream_impl.h"
#include "bus/subject.h"
#include "wire/nats.h"

#include <inttypes.h>

enum {
    /* What nats-server counts for a message besides its parts: in files, and in memory. */
    FILE_OVERHEAD = 30,
    FILE_HEADERS_OVERHEAD = 4,
    MEMORY_OVERHEAD = 16,
};

/* A publish on its way through the checks. */
struct publish {
    struct stream *stream;
    struct stream_op *op;
    const struct message *message;
    struct stream_headers headers;
    uint64_t now_ns;
    uint32_t size;
    uint8_t flags;
};

#define REFUSE(err, kind, ...) api_error_fail(&p->op->refusal, err, kind, __VA_ARGS__)

uint64_t stream_now_ns(const struct stream *stream)
{
    return io_wall_ns(stream->host->io) / 1000 * 1000;
}

uint32_t stream_message_size(const struct stream *stream, size_t subject, size_t headers,
                             size_t payload)
{
    size_t size = subject + headers + payload;
    if (stream->in_memory) return (uint32_t)(size + MEMORY_OVERHEAD);
    return (uint32_t)(size + FILE_OVERHEAD + (headers ? FILE_HEADERS_OVERHEAD : 0));
}

/* ---- expectations ---- */

static uint64_t last_of(const struct stream_subject *subject)
{
    if (!subject) return 0;
    return subject->pending ? subject->pending_last : subject->last;
}

uint64_t stream_submitted_last(const struct stream *stream, struct bytes name)
{
    return last_of(stream_subjects_find(&stream->index.subjects, name));
}

static uint64_t submitted_last_matching(const struct stream *stream, struct bytes pattern)
{
    if (subject_is_literal(pattern)) return stream_submitted_last(stream, pattern);
    size_t cursor = 0;
    uint64_t last = 0;
    const struct stream_subject *subject;
    while ((subject = map_next(&stream->index.subjects.names, &cursor))) {
        if (stream_subject_hidden(subject) || !subject_matches(pattern, subject->name)) continue;
        if (last_of(subject) > last) last = last_of(subject);
    }
    return last;
}

static int check_stream(const struct publish *p)
{
    const struct stream_headers *headers = &p->headers;
    if (headers->expected_stream.len > 0 &&
        !bytes_eq(headers->expected_stream, bytes_str(p->stream->name))) {
        return REFUSE(ERR_CONFLICT, API_STREAM_NOT_MATCH, NULL);
    }
    if (headers->has_ttl && !headers->bad_ttl && !p->stream->config->allow_msg_ttl) {
        return REFUSE(ERR_INVALID, API_TTL_DISABLED, NULL);
    }
    if (headers->bad_delay) return REFUSE(ERR_INVALID, API_DELAY, NULL);
    return 0;
}

static int check_sequences(const struct publish *p)
{
    const struct stream_headers *headers = &p->headers;
    struct bytes subject = p->message->subject;
    if (headers->expected_subject.len > 0) {
        if (!headers->has_subject_seq) {
            return REFUSE(ERR_INVALID, API_SUBJECT_SEQUENCE_MISSING, NULL);
        }
        subject = headers->expected_subject;
        if (!subject_is_pattern(subject)) return REFUSE(ERR_INVALID, API_BAD_REQUEST, NULL);
    }
    if (headers->has_subject_seq) {
        uint64_t last = submitted_last_matching(p->stream, subject);
        if (last != headers->subject_seq) {
            return REFUSE(ERR_CONFLICT, API_WRONG_LAST_SEQUENCE, "%" PRIu64, last);
        }
    }
    if (headers->has_last_seq && headers->last_seq != p->stream->submitted_seq) {
        return REFUSE(ERR_CONFLICT, API_WRONG_LAST_SEQUENCE, "%" PRIu64, p->stream->submitted_seq);
    }
    return 0;
}

/* 1: it was stored (or submitted) before. */
static int check_ids(const struct publish *p)
{
    struct stream *stream = p->stream;
    /* That of the last message, which may have none. */
    bool had = stream->dedupe.last_id_seq == stream->submitted_seq;
    struct bytes last = had ? buf_bytes(&stream->dedupe.last_id) : BYTES("");
    if (p->headers.id.len > 0) {
        uint64_t window = (uint64_t)stream->config->duplicate_window_ns;
        stream_dedupe_expire(&stream->dedupe, p->now_ns > window ? p->now_ns - window : 0);
        uint64_t known = stream_dedupe_find(&stream->dedupe, p->headers.id);
        if (known) {
            stream->host->metrics->duplicates++;
            p->op->duplicate = true;
            p->op->seq = known;
            p->op->waits_for = known > stream->last_seq ? STREAM_OP_BEFORE : STREAM_OP_NONE;
            return 1;
        }
    }
    if (p->headers.expected_last_id.len > 0 && !bytes_eq(last, p->headers.expected_last_id)) {
        return REFUSE(ERR_CONFLICT, API_WRONG_LAST_MSG_ID, "%.*s",
                      last.len < 120 ? (int)last.len : 120, last.data);
    }
    return 0;
}

static int check_rollup(struct publish *p)
{
    const struct stream_config *config = p->stream->config;
    struct bytes rollup = p->headers.rollup;
    if (rollup.len == 0) return 0;
    if (!config->allow_rollup || config->deny_purge) {
        return REFUSE(ERR_INVALID, API_ROLLUP, "rollup not permitted");
    }
    if (bytes_eq_nocase(rollup, BYTES("sub"))) {
        p->flags |= STREAM_FLAG_ROLLUP_SUB;
    } else if (bytes_eq_nocase(rollup, BYTES("all"))) {
        p->flags |= STREAM_FLAG_ROLLUP_ALL;
    } else {
        return REFUSE(ERR_INVALID, API_ROLLUP, "rollup value invalid: \"%.*s\"",
                      rollup.len < 80 ? (int)rollup.len : 80, rollup.data);
    }
    return 0;
}

static int check_headers(struct publish *p)
{
    int r = check_stream(p);
    if (r == 0) r = check_sequences(p);
    if (r == 0) r = check_ids(p);
    if (r == 0) r = check_rollup(p);
    if (r != 0) return r;
    if (p->headers.id.len > 0) p->flags |= STREAM_FLAG_ID;
    if (p->headers.has_ttl) p->flags |= STREAM_FLAG_TTL;
    if (p->headers.marker) p->flags |= STREAM_FLAG_MARKER;
    if (p->headers.has_delay && stream_headers_due(&p->headers, p->now_ns) > p->now_ns) {
        p->flags |= STREAM_FLAG_DELAYED;
    }
    return 0;
}

/* ---- limits ---- */

/* Before everything that its headers ask for. */
static int check_size(const struct publish *p)
{
    int64_t most = p->stream->config->max_msg_size;
    size_t body = p->message->headers.len + p->message->payload.len;
    if (most <= 0 || body <= (uint64_t)most) return 0;
    return REFUSE(ERR_TOO_BIG, API_MESSAGE_TOO_BIG, NULL);
}

/* A stream that refuses what it has no room for. What replaces an older message of its subject
 * takes that one's place. */
static int check_room(const struct publish *p)
{
    struct stream *stream = p->stream;
    const struct stream_config *config = stream->config;
    struct stream_index *index = &stream->index;
    const struct stream_subject *subject =
        stream_subjects_find(&index->subjects, p->message->subject);
    uint64_t held = subject ? subject->count + subject->pending : 0;
    bool replaces =
        config->max_msgs_per_subject > 0 && held >= (uint64_t)config->max_msgs_per_subject;
    if (replaces && config->discard_new_per_subject) {
        return REFUSE(ERR_FULL, API_STORE_FAILED, "maximum messages per subject exceeded");
    }
    uint64_t messages = index->count + stream->pending_messages + (replaces ? 0 : 1);
    if (config->max_msgs > 0 && messages > (uint64_t)config->max_msgs) {
        return REFUSE(ERR_FULL, API_STORE_FAILED, "maximum messages exceeded");
    }
    struct stream_entry first = {0};
    if (replaces && subject->count) stream_index_find(index, subject->first, &first);
    uint64_t bytes = index->bytes + stream->pending_bytes + p->size - first.size;
    if (config->max_bytes > 0 && bytes > (uint64_t)config->max_bytes) {
        return REFUSE(ERR_FULL, API_STORE_FAILED, "maximum bytes exceeded");
    }
    return 0;
}

static int check_storing(const struct publish *p)
{
    const struct stream_config *config = p->stream->config;
    if (p->headers.bad_ttl) return REFUSE(ERR_INVALID, API_TTL_INVALID, NULL);
    if (config->max_bytes > 0 && p->size > (uint64_t)config->max_bytes) {
        return REFUSE(ERR_FULL, API_STORE_FAILED, "maximum bytes exceeded");
    }
    int r = config->discard == STREAM_DISCARD_NEW ? check_room(p) : 0;
    const struct stream_host *host = p->stream->host;
    if (r == 0 && host->is_full && host->is_full(host->context, p->stream, p->size)) {
        r = REFUSE(ERR_FULL, API_RESOURCES_EXCEEDED, NULL);
    }
    return r;
}

/* What deletes a key has no payload, and needs none. */
static bool is_tombstone(const struct message *message)
{
    struct bytes value;
    return message->payload.len == 0 && message->headers.len > 0 &&
           nats_headers_get(message->headers, BYTES("KV-Operation"), &value) == 0;
}

static int check_schema(const struct publish *p)
{
    char why[STREAM_SCHEMA_TEXT];
    const struct message *message = p->message;
    if (is_tombstone(message)) return 0;
    int r = stream_schema_check(p->stream->schema, message->subject, message->payload, why);
    return r < 0 ? REFUSE(r, API_SCHEMA, "%s", r == ERR_NOMEM ? err_text(r) : why) : 0;
}

/* ---- submitting ---- */

/* With retention by interest: no consumer wants it. */
static bool is_unwanted(const struct publish *p)
{
    struct stream *stream = p->stream;
    return stream->config->retention == STREAM_RETENTION_INTEREST && stream->interest_known &&
           !(p->flags & STREAM_FLAG_DELAYED) &&
           !stream_needed(stream, stream->submitted_seq + 1, p->message->subject);
}

/* What it replaces goes, though it does not stay itself. */
static int roll_up(const struct publish *p, uint64_t seq)
{
    const struct stream_record record = {
        .kind = STREAM_RECORD_PURGE,
        .subject = p->flags & STREAM_FLAG_ROLLUP_ALL ? BYTES("") : p->message->subject,
        .seq = seq,
    };
    return stream_submit(p->stream, &record);
}

/* A message that no consumer wants: it gets a sequence, which is remembered, and that is all. */
static int skip(const struct publish *p)
{
    struct stream *stream = p->stream;
    const struct stream_record record = {
        .kind = STREAM_RECORD_SKIP, .seq = stream->submitted_seq + 1, .value = p->now_ns};
    int r = stream_submit(stream, &record);
    if (r < 0) return r;
    stream->submitted_seq = record.seq;
    struct bytes id = p->headers.id;
    if (id.len > 0) (void)stream_dedupe_add(&stream->dedupe, id, record.seq, p->now_ns);
    bool rolls_up = p->flags & (STREAM_FLAG_ROLLUP_SUB | STREAM_FLAG_ROLLUP_ALL);
    return rolls_up ? roll_up(p, record.seq) : 0;
}

static int submit(struct publish *p, bool unwanted)
{
    struct stream *stream = p->stream;
    const struct message *message = p->message;
    const struct stream_record record = {
        .kind = STREAM_RECORD_MESSAGE,
        .flags = p->flags,
        .seq = stream->submitted_seq + 1,
        .value = p->now_ns,
        .subject = message->subject,
        .headers = message->headers,
        .payload = message->payload,
    };
    int r = unwanted ? skip(p) : stream_submit_message(stream, &record, p->headers.id);
    if (r < 0) return api_error_of(&p->op->refusal, r);
    p->op->seq = record.seq;
    p->op->waits_for = STREAM_OP_RECORD;
    return 0;
}

/* Below the time of delete markers one could be missed, if there is one for the subject already. */
static bool is_too_short(const struct publish *p)
{
    const struct stream_config *config = p->stream->config;
    int64_t least = config->subject_delete_marker_ttl_ns;
    return p->headers.has_ttl && least > 0 && config->max_msgs_per_subject != 1 &&
           p->headers.ttl_ns < (uint64_t)least;
}

static int submit_longer(struct publish *p)
{
    struct buf headers;
    const struct message *message = p->message;
    uint64_t least = (uint64_t)p->stream->config->subject_delete_marker_ttl_ns;
    int r = stream_headers_set_ttl(message->headers, least / 1000000000, &headers);
    struct message longer =
        message_borrow(message->subject, BYTES(""), buf_bytes(&headers), message->payload);
    p->message = &longer;
    r = r == 0 ? submit(p, false) : api_error_of(&p->op->refusal, r);
    p->message = message;
    buf_release(&headers);
    return r;
}

static int publish(struct publish *p, const struct stream_expect *expect)
{
    const struct message *message = p->message;
    const struct stream_config *config = p->stream->config;
    if (p->stream->closing) return api_error_of(&p->op->refusal, ERR_CLOSED);
    if (message->subject.len == 0 || message->subject.len > STREAM_SUBJECT_MAX) {
        return REFUSE(ERR_INVALID, API_BAD_REQUEST, NULL);
    }
    if (config->sealed) return REFUSE(ERR_DENIED, API_STREAM_SEALED, NULL);
    int r = check_size(p);
    if (r < 0) return r;
    if (message->headers.len > 0 || expect) {
        if (stream_headers_read(message->headers, &p->headers) < 0) {
            return REFUSE(ERR_INVALID, API_BAD_REQUEST, NULL);
        }
        if (expect && expect->last_subject) {
            p->headers.has_subject_seq = true;
            p->headers.subject_seq = expect->last_subject_seq;
        }
        r = check_headers(p);
    } else {
        p->headers.id = BYTES("");
        p->headers.has_ttl = p->headers.bad_ttl = false;
    }
    if (r == 1) return 0;
    if (r == 0 && message->headers.len > STREAM_HEADERS_MAX) {
        r = REFUSE(ERR_TOO_BIG, API_HEADERS_TOO_BIG, NULL);
    }
    if (r == 0 && p->stream->schema) r = check_schema(p);
    if (r < 0) return r;
    bool unwanted = is_unwanted(p);
    if (!unwanted) r = check_storing(p);
    if (r < 0) return r;
    return !unwanted && is_too_short(p) ? submit_longer(p) : submit(p, unwanted);
}

bool stream_publish(struct stream *stream, struct stream_op *op, struct message *message,
                    const struct stream_expect *expect,
                    void (*done)(struct stream_op *op, int result))
{
    struct stream_op nobody;
    struct stream_op *target = op ? op : &nobody;
    struct publish p;
    char room[STREAM_SUBJECT_MAX];
    struct message mapped;
    if (stream->mappers.transform) {
        mapped = message_borrow(stream_map_subject(stream, message->subject, room), BYTES(""),
                                message->headers, message->payload);
        message = &mapped;
    }
    p.stream = stream;
    p.op = target;
    p.message = message;
    p.now_ns = stream_now_ns(stream);
    p.size = stream_message_size(stream, message->subject.len, message->headers.len,
                                 message->payload.len);
    p.flags = 0;
    stream_op_begin(stream, target, done);
    int r = publish(&p, expect);
    if (r < 0) stream->host->metrics->refused++;
    stream_op_wait(stream, op, r);
    return !(p.flags & STREAM_FLAG_DELAYED);
}
