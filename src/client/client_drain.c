#include "client/client_impl.h"

static void end(struct client *client, int result)
{
    void (*drained)(void *, int) = client->drained;
    if (!drained) return;
    client->drained = NULL;
    io_timer_cancel(client->io, &client->drain_timer);
    drained(client->drain_context, result);
}

void client_drain_timer(struct io_timer *timer)
{
    struct client *client = CONTAINER_OF(timer, struct client, drain_timer);
    bool settled =
        !client->durable_count && client->drain_mark && client->pongs >= client->drain_mark;
    end(client, settled ? 0 : ERR_TIMEOUT);
}

/* The pong behind the UNSUBs says that nothing more comes for them. Called inside what it waits
 * for, so the end comes by the timer. */
void client_drain_step(struct client *client)
{
    if (!client->draining || !client->drained || client->durable_count) return;
    if (client->drain_mark && client->pongs >= client->drain_mark)
        io_timer_set(client->io, &client->drain_timer, 0);
}

void client_drain(struct client *client, uint32_t timeout_ms,
                  void (*done)(void *context, int result), void *context)
{
    client->draining = true;
    client->drained = done;
    client->drain_context = context;
    io_timer_set(client->io, &client->drain_timer, timeout_ms);
    if (client->state < CLIENT_JOINING) return; /* the mark is set at the next connection */
    client_put_unsubscribes(client);
    client_put_ping(client);
    client->drain_mark = client->pings;
}
