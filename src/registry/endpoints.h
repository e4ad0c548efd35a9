/* endpoints: the registry's part of a snapshot: each instance of a known service becomes an
 * endpoint of its cluster. */
#ifndef DURE_REGISTRY_ENDPOINTS_H
#define DURE_REGISTRY_ENDPOINTS_H

#include "proxy/snapshot.h"
#include "registry/registry.h"

/* Adds an endpoint for each instance whose service `is_known` says has a cluster. Returns 0 or the
 * first error of snapshot_add_endpoint. */
int registry_add_endpoints(const struct registry *registry, struct snapshot_builder *builder,
                           bool (*is_known)(const void *context, struct bytes service),
                           const void *context, struct error *error);

#endif
