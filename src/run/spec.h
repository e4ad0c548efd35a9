/* spec: how a process is started: the words of its command, its environment, its folder. Built from
 * the manifests and what this worker offers; touches nothing. */
#ifndef DURE_RUN_SPEC_H
#define DURE_RUN_SPEC_H

#include "run/deployment.h"

#include <jansson.h>

/* What every process is told about this system. Owned by the supervisor's owner. */
struct surroundings {
    const char *program;        /* absolute path of `dure`, which hosts modules */
    const char *state;          /* absolute path of the folder .dure */
    const char *const *environ; /* what dure itself was given; passed on below everything else */
    const char *bus;            /* URLs */
    const char *bus_creds, *bus_ca; /* absolute paths; NULL: none */
    struct io_addr internal;
};

/* One service in a process: its index in the manifest, and the port it is to listen on. */
struct seat {
    size_t service;
    uint16_t port;
    char instance[128];
};

/* The message that asks the parent to start the process of services[host] with these seats (the
 * first is the host itself): {op: spawn, id, argv, env, dir, log}. A new reference, or NULL when
 * out of memory. */
json_t *spec_spawn_message(const struct deployment *deployment, size_t host,
                           const struct surroundings *surroundings, const char *id,
                           const struct seat *seats, size_t seat_count);

/* The folder that belongs to a service: STATE/data/SERVICE, in `text`. */
void spec_data_dir(const struct surroundings *surroundings, struct bytes service, char *ret_text,
                   size_t size);

#endif
