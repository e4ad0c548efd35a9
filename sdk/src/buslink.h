/* buslink: this process's one connection to the bus (NATS). It reconnects by itself, with back-off
 * and jitter, subscribes again, and sends again what was in flight. Everything takes NULL, which is
 * a process without a bus. */
#ifndef DURE_SDK_BUSLINK_H
#define DURE_SDK_BUSLINK_H

#include "sdk/src/await.h"
#include "sdk/src/bus_address.h"
#include "sdk/src/bus_route.h"
#include "sdk/src/pending.h"

#include "wire/nats.h"

struct buslink;

/* `settings` and its texts live as long as the link; without URLs *ret_link is NULL. Connects when
 * the loop runs. ERR_INVALID: not a list of URLs. Names that are not addresses are looked up while
 * the loop waits. */
int buslink_new(struct host *host, const struct bus_settings *settings, struct buslink **ret_link);
void buslink_free(struct buslink *link);

/* "connected", "connecting", "none" */
const char *buslink_state_name(const struct buslink *link);

/* Of the server that was connected last, 2.10.4 as 2010004; 0: unknown. */
uint32_t buslink_version(const struct buslink *link);

/* Messages to the route's subject from now on, on every connection to come. DURE_EUNREACHABLE
 * (there is no bus), DURE_ENOMEM, DURE_EFULL. */
int buslink_route_add(struct buslink *link, struct bus_route *route);
void buslink_route_remove(struct buslink *link, struct bus_route *route);

/* The server is told that no more are wanted; what is on its way still comes. */
void buslink_route_end(struct buslink *link, struct bus_route *route);

/* Messages to `subscription` run its handler from now on. */
void buslink_subscribe(struct buslink *link, struct subscription *subscription);

/* At most once. DURE_EUNREACHABLE, DURE_EFULL, DURE_ETOOBIG. */
int buslink_publish(struct buslink *link, const char *subject, struct bytes body);

/* On a fiber: waits while much is gathered that the kernel has not taken. */
int buslink_wait_room(struct buslink *link, struct dure_ctx *ctx);

/* A new subject for answers: "_INBOX.<process>.<number>". */
enum { BUSLINK_INBOX_TEXT = 64 };
void buslink_new_inbox(struct buslink *link, char ret_inbox[BUSLINK_INBOX_TEXT]);

/* Never NULL. */
struct dure_pending *buslink_ask(struct dure_ctx *ctx, const struct dure_publication *publication,
                                 int64_t timeout_ms);
struct dure_pending *buslink_tell(struct dure_ctx *ctx, const struct dure_publication *publication,
                                  int64_t timeout_ms);

/* The modules' subscriptions end; drained: no message will come for them any more. */
void buslink_drain(struct buslink *link);
bool buslink_drained(const struct buslink *link);

/* Flushed: the bus has everything that was sent before buslink_flush(). */
void buslink_flush(struct buslink *link);
bool buslink_flushed(const struct buslink *link);

#endif
