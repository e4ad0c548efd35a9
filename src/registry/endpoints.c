#include "registry/endpoints.h"

struct adding {
    struct snapshot_builder *builder;
    bool (*is_known)(const void *context, struct bytes service);
    const void *context;
    struct error *error;
    int err;
};

static enum endpoint_health endpoint_health_of(enum instance_health health)
{
    static const enum endpoint_health map[INSTANCE_HEALTH_COUNT] = {
        [INSTANCE_STARTING] = ENDPOINT_STARTING,
        [INSTANCE_UP] = ENDPOINT_UP,
        [INSTANCE_DOWN] = ENDPOINT_DOWN,
        [INSTANCE_DRAINING] = ENDPOINT_DRAINING,
    };
    return map[health];
}

static void add(void *context, const struct instance *instance)
{
    struct adding *adding = context;
    if (adding->err || !adding->is_known(adding->context, bytes_str(instance->service))) return;
    struct endpoint_spec spec = {
        .cluster = bytes_str(instance->service),
        .instance = bytes_str(instance->id),
        .version = bytes_str(instance->version),
        .addr = instance->addr,
        .health = endpoint_health_of(instance->health),
    };
    int err = snapshot_add_endpoint(adding->builder, &spec, adding->error);
    /* Two instances on one address: one of them is gone, and its removal is on the way. */
    adding->err = err == ERR_EXISTS ? 0 : err;
}

int registry_add_endpoints(const struct registry *registry, struct snapshot_builder *builder,
                           bool (*is_known)(const void *context, struct bytes service),
                           const void *context, struct error *error)
{
    struct adding adding = {builder, is_known, context, error, 0};
    registry_each(registry, add, &adding);
    return adding.err;
}
