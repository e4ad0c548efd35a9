/* instance: one running copy of a service, as the registry knows it. A plain value. */
#ifndef DURE_REGISTRY_INSTANCE_H
#define DURE_REGISTRY_INSTANCE_H

#include "base/buf.h"
#include "io/io.h"

enum instance_health {
    INSTANCE_STARTING, /* runs, was never healthy */
    INSTANCE_UP,       /* gets traffic */
    INSTANCE_DOWN,     /* fails its health check */
    INSTANCE_DRAINING, /* leaves: finishes what it has */
    INSTANCE_HEALTH_COUNT
};

struct instance {
    char id[128];     /* unique; letters, digits and -_.= */
    char service[64]; /* what it is a copy of */
    char version[64];
    char process[64]; /* the service whose process it runs in; its own name when alone */
    struct io_addr addr;
    enum instance_health health;
    int pid;
    uint32_t restarts;      /* of its process */
    uint64_t since_wall_ns; /* when this health began */
};

const char *instance_health_name(enum instance_health health);

/* Appends the instance as a JSON object. */
void instance_encode(const struct instance *instance, struct buf *out);

/* Reads what instance_encode wrote. ERR_SYNTAX; members that it does not know are ignored. */
int instance_decode(struct bytes text, struct instance *ret_instance);

#endif
