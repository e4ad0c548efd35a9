/* A counted message is one block: the struct, then headers, payload and CRLF in the order of the
 * wire, then the names. */
#include "bus/message.h"

#include "io/io.h"
#include "wire/nats.h"

#include <assert.h>
#include <stdlib.h>

static struct bytes place(char **at, struct bytes bytes)
{
    char *start = *at;
    if (bytes.len) memcpy(start, bytes.data, bytes.len);
    *at += bytes.len;
    return bytes_make(start, bytes.len);
}

static struct message *copy(const struct message *message)
{
    size_t size = sizeof *message + message->headers.len + message->payload.len + 2 +
                  message->subject.len + message->reply.len;
    struct message *m = malloc(size);
    if (!m) return NULL;
    char *at = (char *)(m + 1);
    m->headers = place(&at, message->headers);
    m->payload = place(&at, message->payload);
    place(&at, BYTES("\r\n"));
    m->subject = place(&at, message->subject);
    m->reply = place(&at, message->reply);
    m->refs = 1;
    m->copy = NULL;
    m->shared = NULL;
    m->stored = message->stored;
    return m;
}

struct message *message_ref(struct message *message)
{
    if (!message->refs) {
        if (!message->copy) message->copy = copy(message);
        if (!message->copy) return NULL;
        message = message->copy;
    }
    message->refs++;
    return message;
}

struct message *message_block(size_t len, char **ret_data)
{
    struct message *m = malloc(sizeof *m + len);
    if (!m) return NULL;
    *m = (struct message){.refs = 1};
    *ret_data = (char *)(m + 1);
    m->payload = bytes_make(*ret_data, len);
    return m;
}

struct message *message_shared_block(struct io *io, struct bytes bytes)
{
    struct message *m = malloc(sizeof *m);
    const char *data = m ? io_shared_new(io, bytes.data, bytes.len) : NULL;
    if (!data) {
        free(m);
        return NULL;
    }
    *m = (struct message){.payload = bytes_make(data, bytes.len), .refs = 1, .shared = io};
    return m;
}

void message_unref(struct message *message)
{
    if (!message) return;
    assert(message->refs > 0);
    if (--message->refs) return;
    if (message->shared)
        io_shared_free(message->shared, message->payload.data, message->payload.len);
    free(message);
}

void message_done(struct message *message)
{
    assert(message->refs == 0);
    message_unref(message->copy);
    message->copy = NULL;
}

struct bytes message_body(const struct message *message)
{
    assert(message->refs > 0);
    return bytes_make(message->headers.data, message->headers.len + message->payload.len + 2);
}

struct bytes message_trace(const struct message *message)
{
    struct bytes value = {0};
    if (nats_headers_get(message->headers, BYTES("traceparent"), &value)) return (struct bytes){0};
    return value;
}
