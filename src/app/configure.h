/* configure: compiles what is deployed and what the registry knows into a snapshot for the data
 * plane. */
#ifndef DURE_APP_CONFIGURE_H
#define DURE_APP_CONFIGURE_H

#include "proxy/snapshot.h"
#include "registry/registry.h"
#include "wire/manifest.h"

/* Every service becomes a cluster, every instance an endpoint, every route of the gateway a route.
 */
int configure_snapshot(const struct manifest *manifest, const struct registry *registry,
                       struct snapshot **ret_snapshot, struct error *error);

#endif
