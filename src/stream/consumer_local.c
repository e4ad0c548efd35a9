/* A consumer of this program: messages go to a function, as many as were wanted. */
#include "stream/consumer_impl.h"

#include "bus/subject.h"

#include <stdlib.h>

struct consumer_local {
    struct consumer_outlet outlet;
    consumer_deliver *deliver;
    void (*settled)(void *context, uint64_t seq);
    void *context;
    uint32_t wanted;
};

static struct consumer_local *of(const struct consumer_outlet *outlet)
{
    return CONTAINER_OF(outlet, struct consumer_local, outlet);
}

static bool wants(struct consumer_outlet *outlet)
{
    return of(outlet)->wanted > 0;
}

static bool takes(struct consumer_outlet *outlet, const struct stream_message *message)
{
    return true;
}

static void deliver(struct consumer_outlet *outlet, const struct delivery *delivery)
{
    struct consumer_local *local = of(outlet);
    local->wanted--;
    local->deliver(local->context, delivery);
}

static void idle(struct consumer_outlet *outlet)
{
}

static void closed(struct consumer_outlet *outlet, enum consumer_end why)
{
}

static void info(const struct consumer_outlet *outlet, struct consumer_info *ret_info)
{
    ret_info->num_waiting = of(outlet)->wanted;
}

/* Whoever had it is gone: all that was out comes again. What was given back keeps its time. */
static int take_back(struct consumer *consumer)
{
    struct consumer_pending *pending = &consumer->state.pending;
    struct pending *one = consumer_pending_first(pending);
    int r = 0;
    for (; r == 0 && one; one = consumer_pending_after(pending, one)) {
        if (one->place != PENDING_OUT) continue;
        one->due_ns = io_wall_ns(consumer->io);
        r = consumer_expiry_add(&consumer->expiry, one->due_ns, one->seq);
    }
    consumer_expire(consumer);
    return r;
}

static int attach(struct consumer *consumer, consumer_deliver *deliver_fn, void *context)
{
    struct consumer_outlet *other = consumer->outlet;
    if (consumer->local) return ERR_EXISTS;
    struct consumer_local *local = calloc(1, sizeof *local);
    if (!local) return ERR_NOMEM;
    if (other) {
        consumer->outlet = NULL;
        other->closed(other, CONSUMER_END_CLOSED);
    }
    local->outlet = (struct consumer_outlet){.wants = wants,
                                             .takes = takes,
                                             .deliver = deliver,
                                             .idle = idle,
                                             .closed = closed,
                                             .info = info};
    local->deliver = deliver_fn;
    local->context = context;
    consumer->local = local;
    consumer->outlet = &local->outlet;
    return take_back(consumer);
}

int consumer_open(struct streams *streams, struct stream *stream,
                  const struct consumer_config *config, consumer_deliver *deliver_fn, void *context,
                  struct consumer **ret_consumer, struct error *error)
{
    struct api_error refusal = {0};
    struct consumer *consumer = consumers_find(stream, bytes_str(config->name));
    if (error) *error = (struct error){0};
    if (consumer && consumer->local) {
        return error_set(error, ERR_EXISTS, "consumer %s is open already", config->name);
    }
    int r = consumers_add(streams, stream, config, CONSUMER_MAKE_OR_UPDATE, &consumer, &refusal);
    if (r < 0) return api_error_tell(&refusal, r, error);
    r = attach(consumer, deliver_fn, context);
    if (r < 0) return error_set(error, r, "consumer %s: %s", config->name, err_text(r));
    *ret_consumer = consumer;
    return 0;
}

/* ---- leaving ---- */

struct leaving {
    struct consumer_wait wait;
    void (*done)(void *context);
    void *context;
};

static void left(struct consumer_wait *wait, int result)
{
    struct leaving *leaving = CONTAINER_OF(wait, struct leaving, wait);
    if (leaving->done) leaving->done(leaving->context);
    free(leaving);
}

void consumer_close(struct consumer *consumer, void (*done)(void *context), void *context)
{
    struct consumer_port *port = *consumer->stream->host->consumer_port;
    struct leaving *leaving = calloc(1, sizeof *leaving);
    free(consumer->local);
    consumer->local = NULL;
    consumer->outlet = NULL;
    if (!leaving) {
        if (done) done(context);
    } else {
        leaving->done = done;
        leaving->context = context;
        consumer_when_durable(consumer, &leaving->wait, left);
    }
    if (port) port->opened(port, consumer);
}

void consumer_want(struct consumer *consumer, uint32_t count)
{
    struct consumer_local *local = consumer->local;
    local->wanted = count > UINT32_MAX - local->wanted ? UINT32_MAX : local->wanted + count;
    consumer_post(consumer);
}

void consumer_on_settled(struct consumer *consumer, void (*settled)(void *context, uint64_t seq))
{
    consumer->local->settled = settled;
}

void consumer_local_settled(struct consumer *consumer, uint64_t seq)
{
    struct consumer_local *local = consumer->local;
    if (local && local->settled) local->settled(local->context, seq);
}
