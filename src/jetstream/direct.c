/* Direct get: messages of a stream as they are, with what is known of them in headers. One request
 * is a list of sequences (the last of several subjects), or a place in the stream that moves on;
 * each message is read, sent and then the next one looked for, until the batch is whole. */
#include "jetstream/direct_request.h"
#include "jetstream/jetstream_impl.h"
#include "jetstream/lookup.h"
#include "base/timestamp.h"
#include "wire/nats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    GETS_MAX = 65536,             /* under way at once */
    HEADERS_MAX = 72 << 10,       /* those of a message and ours */
    BATCH_BYTES = 64 << 20,       /* when the request says nothing */
    BATCH_AHEAD_BYTES = 256 << 10 /* read together */
};

struct direct_get {
    struct jetstream *js;
    struct message *message;
    struct direct_request request;
    struct stream *stream;
    struct stream_get get;

    uint64_t *seqs; /* `many`: what is sent */
    size_t seq_count, seq_at;
    uint64_t next;      /* not `many`: where to look for the next message */
    uint64_t pending;   /* messages behind the one that is sent */
    uint64_t last_seq;  /* of the message sent before */
    uint64_t seen;      /* the stream's last sequence when `pending` was counted */
    uint64_t up_to_seq; /* `many` */
    size_t sent, sent_bytes;

    struct io_task task;
    struct list link;
};

static void step(struct direct_get *get);

static void end(struct direct_get *get)
{
    struct jetstream *js = get->js;
    list_remove(&get->link);
    stream_get_release(&get->get);
    direct_request_release(&get->request);
    message_unref(get->message);
    free(get->seqs);
    free(get);
    jetstream_get_ended(js);
}

static void send(struct direct_get *get, struct buf *headers, struct bytes payload)
{
    struct message answer =
        message_borrow(get->message->reply, BYTES(""), buf_bytes(headers), payload);
    int r = headers->failed ? ERR_NOMEM : jetstream_send(get->js, &answer);
    if (r < 0)
        LOG(get->js->log, LOG_WARN, "answer_lost", LOG_S("request", "DIRECT.GET"), LOG_ERR(r));
}

/* A status without anything, which ends the request. */
static void end_with(struct direct_get *get, int status, const char *description)
{
    struct buf headers;
    buf_init(&headers, HEADERS_MAX);
    nats_headers_begin(&headers, status, description);
    nats_headers_end(&headers);
    send(get, &headers, BYTES(""));
    buf_release(&headers);
    end(get);
}

static void put_number(struct buf *headers, const char *name, uint64_t value)
{
    buf_append_format(headers, "%s: %" PRIu64 "\r\n", name, value);
}

/* ---- one message ----------------------------------------------------------------------------- */

static void put_headers(const struct direct_get *get, const struct stream_message *message,
                        struct buf *out)
{
    struct bytes own = message->message.headers;
    char time[TIMESTAMP_TEXT];
    timestamp_format_ns(message->time_ns, time);
    if (own.len)
        buf_append(out, bytes_head(own, own.len - 2)); /* without its empty line */
    else
        buf_append_str(out, "NATS/1.0\r\n");
    buf_append_format(out, "Nats-Stream: %s\r\nNats-Subject: %.*s\r\n",
                      stream_config(get->stream)->name, BYTES_ARG(message->message.subject));
    put_number(out, "Nats-Sequence", message->seq);
    buf_append_format(out, "Nats-Time-Stamp: %s\r\n", time);
    if (direct_request_is_batch(&get->request)) {
        put_number(out, "Nats-Num-Pending", get->pending);
        put_number(out, "Nats-Last-Sequence", get->last_seq);
    }
    buf_append_str(out, "\r\n");
}

static bool is_whole(const struct direct_get *get)
{
    const struct direct_request *request = &get->request;
    size_t max_bytes = request->max_bytes ? request->max_bytes : BATCH_BYTES;
    if (get->sent_bytes >= max_bytes) return true;
    if (request->many_count) return request->batch && get->sent >= request->batch;
    return get->sent >= (request->batch ? request->batch : 1);
}

/* The end of a batch. */
static void end_batch(struct direct_get *get)
{
    struct buf headers;
    buf_init(&headers, HEADERS_MAX);
    nats_headers_begin(&headers, 204, "EOB");
    if (!get->request.many_count && stream_state(get->stream).last_seq > get->seen)
        get->pending = stream_count(get->stream, get->next, get->request.next);
    put_number(&headers, "Nats-Num-Pending", get->pending);
    put_number(&headers, "Nats-Last-Sequence", get->last_seq);
    if (get->request.many_count) put_number(&headers, "Nats-UpTo-Sequence", get->up_to_seq);
    nats_headers_end(&headers);
    send(get, &headers, BYTES(""));
    buf_release(&headers);
    end(get);
}

static void got(struct stream_get *stream_get, int result, const struct stream_message *message)
{
    struct direct_get *get = CONTAINER_OF(stream_get, struct direct_get, get);
    if (result == ERR_NOT_FOUND && get->sent) {
        step(get); /* it has just gone */
        return;
    }
    if (result < 0) {
        end_with(get, 404, "Message Not Found");
        return;
    }
    struct buf headers;
    buf_init(&headers, HEADERS_MAX);
    if (get->pending) get->pending--;
    if (!get->request.no_headers) put_headers(get, message, &headers);
    send(get, &headers, message->message.payload);
    buf_release(&headers);
    get->last_seq = message->seq;
    get->sent++;
    get->sent_bytes +=
        message->message.subject.len + message->message.headers.len + message->message.payload.len;
    if (!is_whole(get))
        step(get);
    else if (direct_request_is_batch(&get->request))
        end_batch(get);
    else
        end(get);
}

/* ---- which message --------------------------------------------------------------------------- */

/* The sequence of the next message; 0: there is none. */
static uint64_t choose(struct direct_get *get)
{
    const struct direct_request *request = &get->request;
    if (request->many_count) return get->seq_at < get->seq_count ? get->seqs[get->seq_at++] : 0;
    if (request->last.len) return lookup_last(get->stream, request->last);
    if (!request->next.len && !request->batch) return get->next;
    uint64_t seq = lookup_next(get->stream, get->next, request->next);
    get->next = seq + 1;
    return seq;
}

static void step(struct direct_get *get)
{
    uint64_t place = get->next, seq = choose(get);
    if (seq) {
        stream_get(get->stream, &get->get, seq, got);
    } else if (get->sent) {
        get->next = place;
        end_batch(get);
    } else {
        end_with(get, 404, "Message Not Found");
    }
}

static void start_many(struct direct_get *get)
{
    const struct direct_request *request = &get->request;
    struct stream_state state = stream_state(get->stream);
    get->up_to_seq = request->up_to_seq ? request->up_to_seq : state.last_seq;
    if (request->by_up_to_time) {
        get->up_to_seq = lookup_time(get->stream, request->up_to_ns) - 1;
        if (get->up_to_seq < state.first_seq) {
            end_with(get, 404, "No Results");
            return;
        }
    }
    get->seqs = calloc(DIRECT_SUBJECTS_MAX, sizeof *get->seqs);
    if (!get->seqs) {
        end_with(get, 503, "Insufficient Resources");
        return;
    }
    int found = lookup_last_of_each(get->stream, request->many, request->many_count, request->seq,
                                    get->up_to_seq, get->seqs, DIRECT_SUBJECTS_MAX);
    if (found == ERR_FULL) {
        end_with(get, 413, "Too Many Results");
    } else if (found <= 0) {
        end_with(get, 404, "No Results");
    } else {
        get->seq_count = (size_t)found;
        get->pending = (uint64_t)found;
        step(get);
    }
}

static void start(struct io_task *task)
{
    struct direct_get *get = CONTAINER_OF(task, struct direct_get, task);
    struct direct_request *request = &get->request;
    int status;
    const char *complaint = direct_request_read(request, get->message, &status);
    if (complaint) {
        end_with(get, status, complaint);
        return;
    }
    get->stream = streams_find(get->js->streams, request->stream);
    if (!get->stream) {
        end_with(get, 404, "Message Not Found");
        return;
    }
    if (request->many_count) {
        start_many(get);
        return;
    }
    get->next = request->by_time ? lookup_time(get->stream, request->start_ns) : request->seq;
    if (request->batch) {
        get->get.ahead_bytes = BATCH_AHEAD_BYTES;
        get->seen = stream_state(get->stream).last_seq;
        get->pending = stream_count(get->stream, get->next, request->next);
    }
    step(get);
}

/* ---- taking requests ------------------------------------------------------------------------- */

bool direct_take(struct bus_service *service, struct message *message)
{
    struct jetstream *js = CONTAINER_OF(service, struct jetstream, direct);
    struct bytes name = direct_request_stream(message->subject);
    struct stream *stream = streams_find(js->streams, name);
    if (!stream) return false;
    if (!stream_config(stream)->allow_direct) return false;
    if (!message->reply.len) return true;
    struct direct_get *get = js->get_count < GETS_MAX ? calloc(1, sizeof *get) : NULL;
    if (get) get->message = message_ref(message);
    if (!get || !get->message) {
        free(get);
        js->metrics.dropped++;
        return true;
    }
    get->js = js;
    stream_get_init(&get->get);
    io_task_init(&get->task, start);
    list_init(&get->link);
    list_push(&js->gets, &get->link);
    js->get_count++;
    js->metrics.direct_gets++;
    io_post(js->io, &get->task);
    return true;
}

void direct_free(struct jetstream *js)
{
    struct list *link;
    while ((link = list_pop(&js->gets))) {
        struct direct_get *get = CONTAINER_OF(link, struct direct_get, link);
        direct_request_release(&get->request);
        message_unref(get->message);
        free(get->seqs);
        free(get);
    }
}
