#include "proxy/pick.h"

enum pick_level { PICK_FRESH, PICK_TRIED, PICK_EJECTED, PICK_LEVEL_COUNT };

struct pick {
    const struct generation *generation;
    const struct cluster *cluster;
    const struct pick_tried *tried;
    uint32_t first; /* of the endpoints looked at */
    uint64_t now_ns;
    enum pick_level level;
};

void pick_tried_add(struct pick_tried *tried, const struct upstream *upstream)
{
    if (tried->count < PICK_TRIED_MAX) tried->upstreams[tried->count++] = upstream;
}

static bool was_tried(const struct pick_tried *tried, const struct upstream *upstream)
{
    for (uint32_t i = 0; i < tried->count; i++)
        if (tried->upstreams[i] == upstream) return true;
    return false;
}

static struct balance_candidate look(const void *context, uint32_t index)
{
    const struct pick *pick = context;
    const struct endpoint *endpoint = &pick->cluster->endpoints[pick->first + index];
    const struct upstream *upstream = pick->generation->upstreams[endpoint->index];
    const struct balance_candidate unusable = {false, 0};
    if (endpoint->health != ENDPOINT_UP ||
        !upstream_has_room(upstream, pick->cluster->policy.connections_max))
        return unusable;
    if (pick->level < PICK_EJECTED && outlier_ejected(&upstream->outlier, pick->now_ns))
        return unusable;
    if (pick->level < PICK_TRIED && was_tried(pick->tried, upstream)) return unusable;
    return (struct balance_candidate){
        true, balance_cost(&upstream->latency, pick->now_ns, upstream->in_flight)};
}

static const struct endpoint *pick_among(struct pick *pick, uint32_t first, uint32_t count,
                                         uint64_t random)
{
    pick->first = first;
    int64_t index = balance_pick(count, random, look, pick);
    return index == BALANCE_NONE ? NULL : &pick->cluster->endpoints[first + index];
}

/* The version whose share of the weights `random` falls into; any other when it has none. */
static const struct endpoint *pick_version(struct pick *pick, uint64_t random)
{
    const struct cluster *cluster = pick->cluster;
    const struct cluster_version *versions = cluster->versions;
    uint64_t at = (random >> 32) * cluster->weight_total >> 32;
    uint32_t drawn = 0;
    while (drawn < cluster->version_count && at >= versions[drawn].weight)
        at -= versions[drawn++].weight;
    /* The bits that chose the version must not choose the endpoint too. */
    random *= UINT64_C(0x9e3779b97f4a7c15);
    for (uint32_t i = 0; i < cluster->version_count; i++) {
        const struct cluster_version *version = &versions[(drawn + i) % cluster->version_count];
        if (!version->weight) continue;
        const struct endpoint *endpoint = pick_among(pick, version->first, version->count, random);
        if (endpoint) return endpoint;
    }
    return NULL;
}

const struct endpoint *pick_endpoint(const struct generation *generation,
                                     const struct cluster *cluster, const struct pick_tried *tried,
                                     uint64_t now_ns, uint64_t random)
{
    struct pick pick = {generation, cluster, tried, 0, now_ns, PICK_FRESH};
    /* Versions without a share come after all others, whatever the level. */
    for (int shared = cluster->version_count > 0; shared >= 0; shared--) {
        for (pick.level = PICK_FRESH; pick.level < PICK_LEVEL_COUNT; pick.level++) {
            if (pick.level == PICK_TRIED && !tried->count) continue; /* would ask the same again */
            const struct endpoint *endpoint =
                shared ? pick_version(&pick, random)
                       : pick_among(&pick, 0, cluster->endpoint_count, random);
            if (endpoint) return endpoint;
        }
    }
    return NULL;
}

struct pick_census pick_count(const struct generation *generation, const struct cluster *cluster,
                              uint64_t now_ns)
{
    struct pick_census census = {.endpoints = cluster->endpoint_count};
    for (uint32_t i = 0; i < cluster->endpoint_count; i++) {
        const struct endpoint *endpoint = &cluster->endpoints[i];
        const struct upstream *upstream = generation->upstreams[endpoint->index];
        switch (endpoint->health) {
        case ENDPOINT_STARTING: census.starting++; break;
        case ENDPOINT_DOWN: census.down++; break;
        case ENDPOINT_DRAINING: census.draining++; break;
        default:
            census.up++;
            census.ejected += outlier_ejected(&upstream->outlier, now_ns);
            census.full += !upstream_has_room(upstream, cluster->policy.connections_max);
        }
    }
    return census;
}
