/* buslink: this process's one connection to the bus (NATS). It reconnects by itself, with back-off
 * and jitter, subscribes again, and sends again what was in flight. Everything takes NULL, which is
 * a process without a bus. */
#ifndef DURE_SDK_BUSLINK_H
#define DURE_SDK_BUSLINK_H

#include "sdk/src/pending.h"

struct buslink;

/* `urls`: nats://[user[:password]@]host[:port] or unix:/path, several separated by commas, tried in
 * turn; NULL or "": *ret_link is NULL. Connects when the loop runs. ERR_INVALID: not such a list.
 * Names that are not addresses are looked up while the loop waits. */
int buslink_new(struct host *host, const char *urls, struct buslink **ret_link);
void buslink_free(struct buslink *link);

/* "connected", "connecting", "none" */
const char *buslink_state_name(const struct buslink *link);

/* Messages to `subscription` run its handler from now on. */
void buslink_subscribe(struct buslink *link, struct subscription *subscription);

/* At most once. DURE_EUNREACHABLE, DURE_EFULL, DURE_ETOOBIG. */
int buslink_publish(struct buslink *link, const char *subject, struct bytes body);

/* Never NULL. */
struct dure_pending *buslink_ask(struct dure_ctx *ctx, const char *subject, struct bytes body,
                                 int64_t timeout_ms);
struct dure_pending *buslink_tell(struct dure_ctx *ctx, const char *subject, const char *id,
                                  struct bytes body, int64_t timeout_ms);

/* Ends the subscriptions; drained: no message will come any more. */
void buslink_drain(struct buslink *link);
bool buslink_drained(const struct buslink *link);

/* Flushed: the bus has everything that was sent before buslink_flush(). */
void buslink_flush(struct buslink *link);
bool buslink_flushed(const struct buslink *link);

#endif
