#include "app/drain.h"

#include <stdlib.h>

struct drain_wait {
    struct proxy_drain drain;
    void (*done)(void *context);
    void *context;
};

static void drained(struct proxy_drain *drain)
{
    struct drain_wait *wait = CONTAINER_OF(drain, struct drain_wait, drain);
    void (*done)(void *) = wait->done;
    void *context = wait->context;
    free(wait);
    done(context);
}

/* Without memory the process is not waited for here, but by its drain time. */
static void *begin(void *proxy, const struct io_addr *addr, void (*done)(void *context),
                   void *context)
{
    struct drain_wait *wait = calloc(1, sizeof *wait);
    if (!wait) return NULL;
    wait->done = done;
    wait->context = context;
    proxy_drain(proxy, &wait->drain, addr, drained);
    return wait;
}

static void cancel(void *proxy, void *token)
{
    struct drain_wait *wait = token;
    if (!wait) return;
    proxy_drain_cancel(proxy, &wait->drain);
    free(wait);
}

struct drain_port drain_port_of(struct proxy *proxy)
{
    return (struct drain_port){.drain = begin, .cancel = cancel, .context = proxy};
}
