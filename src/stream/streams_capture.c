/* What is published on the bus to a subject of a stream: stored, and answered as JetStream does. */
#include "stream/streams_impl.h"

#include "base/jsonw.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    REPLY_ROOM = 120,  /* longer reply subjects have memory of their own */
    POOL_MAX = 16384,  /* operations that are kept for the next */
    OPS_MAX = 4 << 20, /* under way at once */
    ACK_ROOM = 64,     /* behind an acknowledgement's beginning */
};

/* One pattern of a stream in the trie of all. */
struct capture_pattern {
    struct trie_entry entry;
    struct streams_capture *capture;
    bool wild; /* begins with a wildcard */
};

/* What the bus hands back with every message of a subject. */
struct streams_capture {
    struct streams *streams;
    struct stream *stream;
    char *ack; /* {"stream":"NAME","seq": */
    size_t ack_len;
    struct capture_pattern *patterns;
    size_t count;
};

/* A publish that wants its acknowledgement. */
struct capture_op {
    struct stream_op op;
    struct streams_capture *capture;
    struct list link;
    struct bytes reply;
    char room[REPLY_ROOM];
};

/* ---- operations ---- */

static struct capture_op *take_op(struct streams *streams, struct bytes reply)
{
    struct list *link = list_pop(&streams->ops);
    struct capture_op *op = link ? CONTAINER_OF(link, struct capture_op, link) : NULL;
    if (op) {
        streams->pool_size--;
    } else {
        op = streams->op_count < OPS_MAX ? malloc(sizeof *op) : NULL;
        if (!op) return NULL;
        streams->op_count++;
    }
    list_init(&op->link);
    char *at = reply.len <= REPLY_ROOM ? op->room : malloc(reply.len);
    if (!at) {
        list_push(&streams->ops, &op->link);
        streams->pool_size++;
        return NULL;
    }
    memcpy(at, reply.data, reply.len);
    op->reply = bytes_make(at, reply.len);
    list_push(&streams->ops_busy, &op->link);
    return op;
}

static void give_op(struct streams *streams, struct capture_op *op)
{
    if (op->reply.data != op->room) free((char *)op->reply.data);
    list_remove(&op->link);
    if (streams->pool_size < POOL_MAX) {
        list_push_front(&streams->ops, &op->link);
        streams->pool_size++;
        return;
    }
    streams->op_count--;
    free(op);
}

/* ---- acknowledgements ---- */

static size_t put_number(char *at, uint64_t value)
{
    char digits[20];
    size_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    for (size_t i = 0; i < count; i++) at[i] = digits[count - 1 - i];
    return count;
}

static void answer(struct streams *streams, struct bytes reply, struct bytes text)
{
    struct message ack = message_borrow(reply, BYTES(""), BYTES(""), text);
    (void)bus_publish(streams->bus, &ack);
    message_done(&ack);
}

static void acknowledge(const struct capture_op *op)
{
    const struct streams_capture *capture = op->capture;
    char text[6 * STREAM_NAME_MAX + ACK_ROOM + 32];
    size_t len = capture->ack_len;
    memcpy(text, capture->ack, len);
    len += put_number(text + len, op->op.seq);
    struct bytes end = op->op.duplicate ? BYTES(",\"duplicate\": true}") : BYTES("}");
    memcpy(text + len, end.data, end.len);
    answer(capture->streams, op->reply, bytes_make(text, len + end.len));
}

static void refuse(const struct capture_op *op)
{
    struct buf text;
    struct jsonw json;
    buf_init(&text, 4096);
    jsonw_init(&json, &text);
    jsonw_object(&json, NULL);
    api_error_encode(&op->op.refusal, &json);
    jsonw_cstr(&json, "stream", op->capture->stream->name);
    jsonw_u64(&json, "seq", 0);
    jsonw_object_end(&json);
    if (!text.failed) answer(op->capture->streams, op->reply, buf_bytes(&text));
    buf_release(&text);
}

static void captured(struct stream_op *stream_op, int result)
{
    struct capture_op *op = CONTAINER_OF(stream_op, struct capture_op, op);
    if (result < 0) {
        refuse(op);
    } else {
        acknowledge(op);
    }
    give_op(op->capture->streams, op);
}

/* Without memory for the acknowledgement nothing is stored either: the publisher must not believe
 * that a message is lost which is not. */
static bool append(struct bus_capture *bus_capture, void *target, struct message *message)
{
    struct streams_capture *capture = target;
    struct streams *streams = capture->streams;
    const struct journal *journal = capture->stream->journal;
    bus_capture->busy = journal && journal_is_busy(journal);
    if (message->reply.len == 0 || capture->stream->config->no_ack) {
        return stream_publish(capture->stream, NULL, message, NULL, NULL);
    }
    struct capture_op *op = take_op(streams, message->reply);
    if (!op) {
        streams->metrics.refused++;
        return true;
    }
    op->capture = capture;
    return stream_publish(capture->stream, &op->op, message, NULL, captured);
}

/* ---- who captures what ---- */

struct search {
    bool reserved; /* the server's own subjects */
    struct streams_capture *found;
};

static void consider(void *context, struct trie_entry *entry)
{
    struct search *search = context;
    const struct capture_pattern *pattern = CONTAINER_OF(entry, struct capture_pattern, entry);
    const struct stream *stream = pattern->capture->stream;
    if (stream->closing) return;
    if (search->reserved && pattern->wild && !stream->config->no_ack) return;
    search->found = pattern->capture;
}

static struct streams_capture *find(struct streams *streams, struct bytes subject)
{
    struct search search = {.reserved = bytes_starts(subject, BYTES("$JS.")) ||
                                        bytes_starts(subject, BYTES("$SYS."))};
    trie_match(&streams->patterns, subject, consider, &search);
    return search.found;
}

struct stream *streams_capturing(struct streams *streams, struct bytes subject)
{
    const struct streams_capture *capture = find(streams, subject);
    return capture ? capture->stream : NULL;
}

static void *captures(struct bus_capture *capture, struct bytes subject)
{
    return find(CONTAINER_OF(capture, struct streams, capture), subject);
}

static int put_patterns(struct streams_capture *capture, const struct stream_config *config,
                        struct capture_pattern **ret)
{
    struct capture_pattern *patterns = calloc(config->subject_count + 1, sizeof *patterns);
    if (!patterns) return ERR_NOMEM;
    for (size_t i = 0; i < config->subject_count; i++) {
        char first = config->subjects[i][0];
        patterns[i].capture = capture;
        patterns[i].wild = first == '*' || first == '>';
        int r = trie_insert(&capture->streams->patterns, bytes_str(config->subjects[i]),
                            &patterns[i].entry);
        if (r == 0) continue;
        while (i-- > 0) trie_remove(&capture->streams->patterns, &patterns[i].entry);
        free(patterns);
        return r;
    }
    *ret = patterns;
    return 0;
}

static void take_patterns(struct streams_capture *capture)
{
    for (size_t i = 0; i < capture->count; i++) {
        trie_remove(&capture->streams->patterns, &capture->patterns[i].entry);
    }
    free(capture->patterns);
    capture->patterns = NULL;
    capture->count = 0;
}

static struct streams_capture *make(struct streams *streams, struct stream *stream)
{
    struct buf ack;
    struct streams_capture *capture = calloc(1, sizeof *capture);
    buf_init(&ack, 6 * STREAM_NAME_MAX + 32);
    buf_append(&ack, BYTES("{\"stream\":"));
    jsonw_escape(&ack, bytes_str(stream->name));
    buf_append(&ack, BYTES(",\"seq\":"));
    if (capture && !ack.failed) capture->ack = malloc(buf_len(&ack));
    if (!capture || !capture->ack) {
        free(capture);
        buf_release(&ack);
        return NULL;
    }
    capture->streams = streams;
    capture->stream = stream;
    capture->ack_len = buf_len(&ack);
    memcpy(capture->ack, buf_bytes(&ack).data, capture->ack_len);
    buf_release(&ack);
    return capture;
}

int streams_capture_set(struct streams *streams, struct stream *stream)
{
    struct capture_pattern *patterns = NULL;
    if (!stream->capture) stream->capture = make(streams, stream);
    if (!stream->capture) return ERR_NOMEM;
    int r = put_patterns(stream->capture, stream->config, &patterns);
    if (r < 0) return r;
    take_patterns(stream->capture);
    stream->capture->patterns = patterns;
    stream->capture->count = stream->config->subject_count;
    if (streams->bus && !streams->closing) bus_capture_changed(streams->bus);
    return 0;
}

/* Operations that are under way still refer to it: it is freed when the stream is. */
void streams_capture_drop(struct streams *streams, struct stream *stream)
{
    if (!stream->capture) return;
    take_patterns(stream->capture);
    if (streams->bus && !streams->closing) bus_capture_changed(streams->bus);
}

void streams_capture_free(struct streams_capture *capture)
{
    if (!capture) return;
    take_patterns(capture);
    free(capture->ack);
    free(capture);
}

void streams_capture_init(struct streams *streams)
{
    streams->capture = (struct bus_capture){captures, append};
    trie_init(&streams->patterns);
    list_init(&streams->ops);
    list_init(&streams->ops_busy);
}

void streams_capture_release(struct streams *streams)
{
    for (struct list *link; (link = list_pop(&streams->ops));) {
        free(CONTAINER_OF(link, struct capture_op, link));
    }
    /* Of a simulated host that has crashed. */
    for (struct list *link; (link = list_pop(&streams->ops_busy));) {
        struct capture_op *op = CONTAINER_OF(link, struct capture_op, link);
        if (op->reply.data != op->room) free((char *)op->reply.data);
        free(op);
    }
    trie_release(&streams->patterns);
}
