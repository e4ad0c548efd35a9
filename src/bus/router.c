#include "bus/router.h"

#include "base/map.h"
#include "bus/subject.h"

#include <stdlib.h>

enum {
    ROUTES = 16384,             /* slots, a power of two */
    ROUTES_SIZE_MAX = 64 << 20, /* bytes of all routes */
    SCRATCH_KEEP = 64 << 10,    /* a bigger scratch is given back */
};

static void matched_add(void *context, struct trie_entry *entry)
{
    struct router *router = context;
    struct subscription *subscription = CONTAINER_OF(entry, struct subscription, entry);
    if (subscription->filtered && !router->admits(subscription, router->matching)) return;
    if (router->matched_count == router->matched_size) {
        size_t size = router->matched_size ? router->matched_size * 2 : 64;
        struct subscription **bigger = realloc(router->matched, size * sizeof *bigger);
        if (!bigger) {
            router->out_of_memory = true;
            return;
        }
        router->matched = bigger;
        router->matched_size = size;
    }
    router->matched[router->matched_count++] = subscription;
}

/* Those of no group first, then group by group; within them by age, so that one set of
 * subscriptions always gives the same route. */
static int compare(const void *a, const void *b)
{
    const struct subscription *x = *(struct subscription *const *)a;
    const struct subscription *y = *(struct subscription *const *)b;
    int by_queue = bytes_cmp(x->queue, y->queue);
    if (by_queue) return by_queue;
    return x->id < y->id ? -1 : x->id > y->id;
}

static size_t prefix_size(const struct subscription *subscription, struct bytes subject)
{
    return subscription->session ? 5 + subject.len + 1 + subscription->sid.len : 0;
}

/* What a route with these matches needs: one block, arrays first, then the text. */
static size_t route_size(const struct router *router, struct bytes subject, size_t *ret_groups)
{
    size_t groups = 0, text = subject.len;
    for (size_t i = 0; i < router->matched_count; i++) {
        struct bytes queue = router->matched[i]->queue;
        if (queue.len && (i == 0 || !bytes_eq(queue, router->matched[i - 1]->queue))) groups++;
        text += prefix_size(router->matched[i], subject);
    }
    *ret_groups = groups;
    return sizeof(struct route) + router->matched_count * sizeof(struct route_target) +
           groups * sizeof(struct route_group) + text;
}

static char *put(char *at, struct bytes bytes)
{
    if (bytes.len) memcpy(at, bytes.data, bytes.len);
    return at + bytes.len;
}

static char *fill_target(struct route_target *target, struct subscription *subscription,
                         struct bytes subject, char *text)
{
    *target = (struct route_target){.subscription = subscription, .prefix = text};
    if (!subscription->session) return text;
    text = put(text, BYTES("HMSG "));
    text = put(text, subject);
    *text++ = ' ';
    text = put(text, subscription->sid);
    target->prefix_len = (uint32_t)(text - target->prefix);
    return text;
}

/* Lays the matches out in `route`, which has room for them. */
static void fill(struct router *router, struct route *route, struct bytes subject, uint64_t hash,
                 size_t group_count)
{
    route->targets = (struct route_target *)(route + 1);
    route->groups = (struct route_group *)(route->targets + router->matched_count);
    char *text = (char *)(route->groups + group_count);
    route->subject = bytes_make(text, subject.len);
    text = put(text, subject);
    route->target_count = route->group_count = 0;
    for (size_t i = 0; i < router->matched_count; i++) {
        struct subscription *subscription = router->matched[i];
        text = fill_target(&route->targets[i], subscription, subject, text);
        if (!subscription->queue.len) {
            route->target_count++;
            continue;
        }
        if (i == 0 || !bytes_eq(subscription->queue, router->matched[i - 1]->queue))
            route->groups[route->group_count++] = (struct route_group){
                .members = &route->targets[i],
                /* Where a group begins anew must not always favour its first member. */
                .turn = (uint32_t)(router->misses * 0x9e3779b97f4a7c15u >> 32)};
        route->groups[route->group_count - 1].count++;
    }
    route->hash = hash;
    route->generation = router->generation;
    route->captured = NULL;
    if (router->captures && route->valid && subject_is_literal(subject)) {
        route->captured = router->captures(router->captures_context, subject);
    }
}

/* Whether it can go anywhere: a subject as it is published, in which "*" and ">" are letters. */
static bool tokens_are_valid(struct bytes subject)
{
    if (!subject.len) return false;
    for (struct bytes rest = subject; rest.data;)
        if (!bytes_cut(&rest, '.').len) return false;
    return true;
}

/* Makes the route in *slot's memory, or in new memory when that is too small. */
static struct route *build(struct router *router, struct route **slot, struct bytes subject,
                           uint64_t hash)
{
    router->misses++;
    router->matched_count = 0;
    router->out_of_memory = false;
    router->matching = subject;
    bool valid = tokens_are_valid(subject);
    if (valid) trie_match(&router->trie, subject, matched_add, router);
    if (router->out_of_memory) return NULL;
    if (router->matched_count > 1)
        qsort(router->matched, router->matched_count, sizeof *router->matched, compare);

    size_t groups, size = route_size(router, subject, &groups);
    if (!*slot || (*slot)->size < size) {
        struct route *route = malloc(size);
        if (!route) return NULL;
        free(*slot);
        *slot = route;
        route->size = size;
    }
    (*slot)->valid = valid;
    fill(router, *slot, subject, hash, groups);
    return *slot;
}

static struct route *build_scratch(struct router *router, struct bytes subject, uint64_t hash)
{
    if (router->scratch && router->scratch->size > SCRATCH_KEEP) {
        free(router->scratch);
        router->scratch = NULL;
    }
    return build(router, &router->scratch, subject, hash);
}

static void forget_all(struct router *router)
{
    for (size_t i = 0; i < ROUTES; i++) {
        free(router->routes[i]);
        router->routes[i] = NULL;
    }
    router->routes_size = 0;
}

int router_init(struct router *router)
{
    *router = (struct router){.generation = 1};
    trie_init(&router->trie);
    router->routes = calloc(ROUTES, sizeof *router->routes);
    router->seen = calloc(ROUTES, sizeof *router->seen);
    if (router->routes && router->seen) return 0;
    router_release(router);
    return ERR_NOMEM;
}

void router_release(struct router *router)
{
    if (router->routes) forget_all(router);
    free(router->routes);
    free(router->seen);
    free(router->scratch);
    free(router->matched);
    trie_release(&router->trie);
    *router = (struct router){0};
}

int router_add(struct router *router, struct subscription *subscription, struct bytes pattern)
{
    int r = trie_insert(&router->trie, pattern, &subscription->entry);
    if (r) return r;
    subscription->id = router->next_id++;
    router->count++;
    router->generation++;
    if (router->added) router->added(router->added_context, pattern);
    return 0;
}

void router_remove(struct router *router, struct subscription *subscription)
{
    if (!subscription->entry.node) return;
    trie_remove(&router->trie, &subscription->entry);
    router->count--;
    router->generation++;
}

void router_invalidate(struct router *router)
{
    router->generation++;
}

void router_fanout(const struct router *router, uint64_t *ret_count, uint64_t *ret_max,
                   uint64_t *ret_sum)
{
    *ret_count = *ret_max = *ret_sum = 0;
    for (size_t i = 0; i < ROUTES; i++) {
        const struct route *route = router->routes[i];
        if (!route || route->generation != router->generation) continue;
        uint64_t fanout = route->target_count + route->group_count;
        ++*ret_count;
        *ret_sum += fanout;
        if (fanout > *ret_max) *ret_max = fanout;
    }
}

struct route *router_find(struct router *router, struct bytes subject)
{
    uint64_t hash = map_hash(subject);
    size_t index = hash & (ROUTES - 1);
    struct route **slot = &router->routes[index];
    if (*slot && (*slot)->hash == hash && (*slot)->generation == router->generation &&
        bytes_eq((*slot)->subject, subject)) {
        router->hits++;
        return *slot;
    }
    uint32_t tag = (uint32_t)(hash >> 32);
    if (router->seen[index] != tag) {
        router->seen[index] = tag;
        return build_scratch(router, subject, hash);
    }
    if (router->routes_size > ROUTES_SIZE_MAX) forget_all(router);
    size_t before = *slot ? (*slot)->size : 0;
    struct route *route = build(router, slot, subject, hash);
    if (*slot) router->routes_size += (*slot)->size - before;
    return route;
}
