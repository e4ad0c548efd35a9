#include "messaging/embedded.h"
#include "stream/consumer.h"

#include <stdlib.h>

enum { MAX_DELIVER = 5 };

static const int64_t ms_ns = 1000000;

struct embedded_queue {
    struct queue queue;
    struct consumer *consumer;
    queue_deliver *deliver;
    void *context;
};

static struct consumer *consumer_of(struct queue *queue)
{
    return CONTAINER_OF(queue, struct embedded_queue, queue)->consumer;
}

static void delivered(void *context, const struct delivery *from)
{
    struct embedded_queue *queue = context;
    struct queue_delivery delivery = {
        .seq = from->seq,
        .time_ns = from->time_ns,
        .attempt = from->attempt,
        .message = from->message,
    };
    queue->deliver(queue->context, &delivery);
}

static void close_it(struct queue *queue, void (*done)(void *context), void *context)
{
    struct embedded_queue *embedded = CONTAINER_OF(queue, struct embedded_queue, queue);
    consumer_close(embedded->consumer, done, context);
    free(embedded);
}

/* The consumer lives with its stream. */
static void release(struct queue *queue)
{
    free(CONTAINER_OF(queue, struct embedded_queue, queue));
}

static void want(struct queue *queue, uint32_t count)
{
    consumer_want(consumer_of(queue), count);
}

static int ack(struct queue *queue, uint64_t seq)
{
    return consumer_ack(consumer_of(queue), seq);
}

static int nak(struct queue *queue, uint64_t seq, uint32_t delay_ms)
{
    return consumer_nak(consumer_of(queue), seq, delay_ms * ms_ns);
}

static int term(struct queue *queue, uint64_t seq, struct bytes reason)
{
    return consumer_term(consumer_of(queue), seq, reason);
}

static int progress(struct queue *queue, uint64_t seq)
{
    return consumer_progress(consumer_of(queue), seq);
}

static const struct queue_engine engine = {close_it, release, want, ack, nak, term, progress};

int embedded_queue_open(struct messaging *messaging, const struct queue_config *config,
                        queue_deliver *deliver, void *context, struct queue **ret_queue,
                        struct error *error)
{
    struct embedded *embedded = CONTAINER_OF(messaging, struct embedded, messaging);
    struct stream *stream = streams_find(embedded->streams, bytes_str(config->stream));
    if (!stream) return error_set(error, ERR_NOT_FOUND, "there is no stream %s", config->stream);
    struct embedded_queue *queue = calloc(1, sizeof *queue);
    if (!queue) return error_set(error, ERR_NOMEM, "out of memory");
    queue->queue = (struct queue){.engine = &engine, .open = true};
    queue->deliver = deliver;
    queue->context = context;
    const struct consumer_config consumer = {
        .name = config->name,
        .durable = true,
        .filters = &config->filter,
        .filter_count = config->filter ? 1 : 0,
        .ack_policy = CONSUMER_ACK_EXPLICIT,
        .ack_wait_ns = config->ack_wait_ms * ms_ns,
        .max_deliver = config->max_deliver ? config->max_deliver : MAX_DELIVER,
        .max_ack_pending = config->max_ack_pending,
    };
    int err = consumer_open(embedded->streams, stream, &consumer, delivered, queue,
                            &queue->consumer, error);
    if (err)
        free(queue);
    else
        *ret_queue = &queue->queue;
    return err;
}
