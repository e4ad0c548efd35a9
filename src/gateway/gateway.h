/* gateway: from what people write about the way in to the proxy's routes and clusters. */
#ifndef DURE_GATEWAY_GATEWAY_H
#define DURE_GATEWAY_GATEWAY_H

#include "proxy/snapshot.h"
#include "wire/manifest.h"

/* Adds a cluster for each service of a manifest that has passed manifest_check, and the gateway's
 * routes. What is missing then are the endpoints, which the registry knows. Mistakes that only the
 * builder can find are added to `errors`; the first one's number is returned. */
int gateway_add_manifest(struct snapshot_builder *builder, const struct manifest *manifest,
                         struct errors *errors);

#endif
