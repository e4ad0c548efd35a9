/* permissions: what one user may publish and subscribe to (rules: wire/nats_permissions.h), ready
 * to be asked. Counted: shared by all connections of the user. Pure, but for a cache of answers. */
#ifndef DURE_BUS_PERMISSIONS_H
#define DURE_BUS_PERMISSIONS_H

#include "base/err.h"
#include "wire/nats_permissions.h"

struct permissions;

/* Copies the rules, whose patterns must be valid. ERR_NOMEM. */
int permissions_new(const struct nats_permissions *rules, struct permissions **ret_permissions);

struct permissions *permissions_ref(struct permissions *permissions);

/* NULL is allowed. */
void permissions_unref(struct permissions *permissions);

/* The rules as they were given; valid as long as this is. */
const struct nats_permissions *permissions_rules(const struct permissions *permissions);

/* Whether a message with that subject may be published. A denial does not yet say that it is not an
 * answer to a request (bus/responses.h). */
bool permissions_may_publish(struct permissions *permissions, struct bytes subject);

/* Whether it may be subscribed to, as a member of `queue` or of none (empty): a pattern that is
 * allowed stands for all that the subscription asks for. */
bool permissions_may_subscribe(const struct permissions *permissions, struct bytes pattern,
                               struct bytes queue);

/* Whether some of what matches the pattern is denied, so that deliveries have to be asked for with
 * permissions_may_receive(). */
bool permissions_overlap_denied(const struct permissions *permissions, struct bytes pattern);
bool permissions_may_receive(const struct permissions *permissions, struct bytes subject);

#endif
