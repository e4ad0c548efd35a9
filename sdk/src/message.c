#include "sdk/src/message.h"

#include <stdlib.h>

/* ---- ack subjects ------------------------------------------------------------------------- */

/* $JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>.<consumer sequence>.<time>.<pending>, or with
 * <domain>.<account> in front of the stream and maybe one more token at the end. */
bool ack_subject_parse(struct bytes subject, struct ack_subject *ret_ack)
{
    enum { TOKENS_MAX = 12 };
    struct bytes tokens[TOKENS_MAX];
    size_t count = 0;
    if (!bytes_starts(subject, BYTES("$JS.ACK."))) return false;
    while (subject.data && count < TOKENS_MAX) tokens[count++] = bytes_cut(&subject, '.');
    if (subject.data || (count != 9 && count < 11)) return false;
    size_t at = count == 9 ? 2 : 4;
    *ret_ack = (struct ack_subject){.stream = tokens[at], .consumer = tokens[at + 1]};
    uint64_t *const numbers[] = {&ret_ack->deliveries, &ret_ack->sequence,
                                 &ret_ack->consumer_sequence, &ret_ack->time_ns, &ret_ack->pending};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (bytes_to_u64(tokens[at + 2 + i], UINT64_MAX, numbers[i]) != 0) return false;
    return true;
}

int headers_copy(struct bytes block, struct arena *arena, struct dure_headers *headers)
{
    struct nats_headers walk;
    struct bytes name, value;
    int more = 0, err = 0;
    if (!block.len) return 0;
    if (nats_headers_parse(block, &walk) != 0) return DURE_EPROTOCOL;
    while (!err && (more = nats_headers_next(&walk, &name, &value)) > 0)
        err = headers_add(headers, arena, name, value);
    return more < 0 ? DURE_EPROTOCOL : err;
}

/* ---- one message -------------------------------------------------------------------------- */

static char *put(char **at, struct bytes bytes)
{
    char *copy = *at;
    if (bytes.len) memcpy(copy, bytes.data, bytes.len);
    copy[bytes.len] = '\0';
    *at += bytes.len + 1;
    return copy;
}

/* How many fields a block has and how long they are together; false: it is broken. */
static bool measure(struct bytes block, size_t *ret_count, size_t *ret_len)
{
    struct nats_headers walk;
    struct bytes name, value;
    int more;
    *ret_count = *ret_len = 0;
    if (!block.len) return true;
    if (nats_headers_parse(block, &walk) != 0) return false;
    while ((more = nats_headers_next(&walk, &name, &value)) > 0) {
        (*ret_count)++;
        *ret_len += name.len + value.len + 2;
    }
    return more == 0;
}

static void copy_headers(struct message *message, struct bytes block, char **at)
{
    struct nats_headers walk;
    struct bytes name, value;
    if (!block.len || nats_headers_parse(block, &walk) != 0) return;
    message->public.status = walk.status;
    while (nats_headers_next(&walk, &name, &value) > 0) {
        struct header_field *field = &message->headers.fields[message->headers.count++];
        field->name = put(at, name);
        field->value = put(at, value);
    }
}

static struct message *make(const struct nats_frame *frame, const struct ack_subject *ack)
{
    size_t fields, len;
    if (!measure(frame->headers, &fields, &len)) return NULL;
    size_t size = sizeof(struct message) + fields * sizeof(struct header_field) + len +
                  frame->subject.len + frame->reply.len + frame->payload.len + ack->stream.len +
                  ack->consumer.len + 5;
    struct message *message = calloc(1, size);
    if (!message) return NULL;
    list_init(&message->link);
    message->size = size;
    message->headers.fields = (struct header_field *)(message + 1);
    char *at = (char *)(message->headers.fields + fields);
    copy_headers(message, frame->headers, &at);
    struct dure_message *public = &message->public;
    public->headers = &message->headers;
    public->subject = put(&at, frame->subject);
    public->reply = put(&at, frame->reply);
    public->body = put(&at, frame->payload);
    public->len = frame->payload.len;
    if (!ack->stream.len) return message;
    public->stream = put(&at, ack->stream);
    public->consumer = ack->consumer.len ? put(&at, ack->consumer) : NULL;
    public->sequence = ack->sequence;
    public->consumer_sequence = ack->consumer_sequence;
    public->deliveries = ack->deliveries;
    public->pending = ack->pending;
    public->time_ns = ack->time_ns;
    return message;
}

struct message *message_new(const struct nats_frame *frame)
{
    struct ack_subject ack;
    if (!ack_subject_parse(frame->reply, &ack)) ack = (struct ack_subject){0};
    return make(frame, &ack);
}

struct message *message_new_stored(const struct nats_frame *frame, const char *stream,
                                   uint64_t sequence, uint64_t time_ns)
{
    struct ack_subject stored = {
        .stream = bytes_str(stream), .sequence = sequence, .time_ns = time_ns};
    return make(frame, &stored);
}

void message_free(struct message *message)
{
    free(message);
}

/* ---- a queue ------------------------------------------------------------------------------ */

void message_queue_init(struct message_queue *queue)
{
    *queue = (struct message_queue){0};
    list_init(&queue->waiting);
}

void message_queue_release(struct message_queue *queue)
{
    while (message_queue_take(queue)) {
    }
}

void message_queue_push(struct message_queue *queue, struct message *message)
{
    list_push(&queue->waiting, &message->link);
    queue->count++;
    queue->bytes += message->size;
}

struct message *message_queue_take(struct message_queue *queue)
{
    message_free(queue->given);
    queue->given = NULL;
    struct list *link = list_pop(&queue->waiting);
    if (!link) return NULL;
    queue->given = CONTAINER_OF(link, struct message, link);
    queue->count--;
    queue->bytes -= queue->given->size;
    return queue->given;
}

/* ---- public ------------------------------------------------------------------------------- */

const char *dure_headers_find(const struct dure_headers *headers, const char *name)
{
    return headers_find(headers, name);
}

bool dure_headers_at(const struct dure_headers *headers, size_t index, const char **ret_name,
                     const char **ret_value)
{
    if (!headers || index >= headers->count) return false;
    *ret_name = headers->fields[index].name;
    *ret_value = headers->fields[index].value;
    return true;
}
