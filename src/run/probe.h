/* probe: asks one instance once whether it is alive: an HTTP GET that must be answered with 2xx, a
 * TCP connection that must be accepted, or a ping on the bus ($SRV.PING.SERVICE.INSTANCE) that must
 * be answered. Embedded in its owner. */
#ifndef DURE_RUN_PROBE_H
#define DURE_RUN_PROBE_H

#include "http/client.h"
#include "messaging/messaging.h"
#include "wire/manifest.h"

struct probe {
    /* success, and how it failed otherwise: for a person, valid during the call. */
    void (*done)(struct probe *probe, bool success, const char *reason);

    /* private */
    struct http *http;
    struct messaging *messaging;
    const struct manifest_service *service;
    struct http_client *client;
    struct http_exchange *exchange;
    struct io_timer timer;
    struct messaging_request request;
    bool busy, asking;
};

void probe_init(struct probe *probe, struct http *http, struct messaging *messaging);

/* Not while it is busy. `service` must stay until done has run or probe_cancel(). */
void probe_start(struct probe *probe, const struct manifest_service *service, const char *instance,
                 const struct io_addr *addr,
                 void (*done)(struct probe *probe, bool success, const char *reason));

/* After this `done` will not run. Harmless when it is not busy. */
void probe_cancel(struct probe *probe);

#endif
