/* registry: which instances of which services there are, and how they are. Kept on the key-value
 * bucket REGISTRY_BUCKET of the bus (key instance.ID), so it survives the worker; everybody else
 * holds a projection of it. A change is durable before anybody sees it, and is then pushed to all
 * watchers within the same turn of the loop. Instances are bounded by REGISTRY_MAX. */
#ifndef DURE_REGISTRY_REGISTRY_H
#define DURE_REGISTRY_REGISTRY_H

#include "base/log.h"
#include "messaging/bucket.h"
#include "registry/instance.h"

#define REGISTRY_BUCKET "dure_registry"

enum { REGISTRY_MAX = 4096 };

struct registry;

/* Opens (or makes) the bucket; may BLOCK shortly. `opened` runs once, from the loop, when what it
 * held is known; before, nothing may be put, removed or watched. */
int registry_open(struct messaging *messaging, struct log *log, void (*opened)(void *context),
                  void *context, struct registry **ret_registry, struct error *error);

/* Watches end. Changes on their way still reach the disk. NULL is allowed. */
void registry_close(struct registry *registry);

/* The same for a simulated host that has crashed (io/sim.h): changes on their way are forgotten. */
void registry_free(struct registry *registry);

/* Whose registry it is: the system that has claimed it; "": nobody has. Who shares a cluster's
 * account with another system would share its registry too. */
const char *registry_owner(const struct registry *registry);
int registry_claim(struct registry *registry, const char *system);

/* Adds or changes an instance. The change is on its way when this returns 0, and shows when it is
 * durable; one that the disk refuses is logged, and the next change of that instance tries anew;
 * one that a cluster could not be told is told again and again. ERR_FULL, ERR_NOMEM. Putting what
 * is there already does nothing. */
int registry_put(struct registry *registry, const struct instance *instance);

/* Removes it; harmless when there is none. The same errors. */
int registry_remove(struct registry *registry, struct bytes id);

/* The instance, or NULL. Valid until the loop turns. */
const struct instance *registry_find(const struct registry *registry, struct bytes id);

/* Calls `each` for every instance in order of their ids; the registry must not change inside. */
void registry_each(const struct registry *registry,
                   void (*each)(void *context, const struct instance *instance), void *context);

/* Embedded in its owner. */
struct registry_watch {
    /* `before` NULL: it is new; `after` NULL: it is gone. */
    void (*changed)(struct registry_watch *watch, const struct instance *before,
                    const struct instance *after);
    struct list link; /* private */
};

/* From now on `changed` runs for every change; what is there already: registry_each. */
void registry_watch(struct registry *registry, struct registry_watch *watch,
                    void (*changed)(struct registry_watch *watch, const struct instance *before,
                                    const struct instance *after));
void registry_unwatch(struct registry_watch *watch);

#endif
