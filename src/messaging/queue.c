#include "messaging/engine.h"

int queue_open(struct messaging *messaging, const struct queue_config *config,
               queue_deliver *deliver, void *context, struct queue **ret_queue, struct error *error)
{
    return messaging->engine->queue_open(messaging, config, deliver, context, ret_queue, error);
}

void queue_is_open(struct queue *queue)
{
    void (*opened)(void *context) = queue->opened;
    queue->open = true;
    queue->opened = NULL;
    if (opened) opened(queue->opened_context);
}

void queue_when_open(struct queue *queue, void (*opened)(void *context), void *context)
{
    queue->opened = opened;
    queue->opened_context = context;
    if (queue->open) queue_is_open(queue);
}

void queue_close(struct queue *queue, void (*done)(void *context), void *context)
{
    queue->opened = NULL;
    queue->engine->close(queue, done, context);
}

void queue_free(struct queue *queue)
{
    if (queue) queue->engine->free(queue);
}

void queue_want(struct queue *queue, uint32_t count)
{
    queue->engine->want(queue, count);
}

int queue_ack(struct queue *queue, uint64_t seq)
{
    return queue->engine->ack(queue, seq);
}

int queue_nak(struct queue *queue, uint64_t seq, uint32_t delay_ms)
{
    return queue->engine->nak(queue, seq, delay_ms);
}

int queue_term(struct queue *queue, uint64_t seq, struct bytes reason)
{
    return queue->engine->term(queue, seq, reason);
}

int queue_progress(struct queue *queue, uint64_t seq)
{
    return queue->engine->progress(queue, seq);
}
