/* router: who gets a message with this subject. The set of subscriptions, and for each literal
 * subject that is published to again and again the route: its subscriptions, found once.
 *
 * Every change of the set makes all routes stale at once (a generation); a stale route is made anew
 * when it is asked for. A subject that is seen for the first time (an inbox, say) is not remembered
 * but routed in a scratch, so one-time subjects push nothing out. Pure; owns its routes, not the
 * subscriptions. */
#ifndef DURE_BUS_ROUTER_H
#define DURE_BUS_ROUTER_H

#include "bus/trie.h"

struct session;

/* Embedded in what takes the messages: a client's subscription or one of this program. The views
 * belong to the owner and must stay until router_remove(). */
struct subscription {
    struct trie_entry entry; /* private */
    uint64_t id;             /* private: order of subscribing */
    struct session *session; /* NULL: of this program */
    struct bytes queue;      /* empty: none */
    struct bytes sid;        /* the client's name for it */
    uint64_t delivered, max; /* max 0: no end */
    bool filtered;           /* gets only what router.admits lets through */
    bool gone;               /* takes no more; is removed as soon as nobody walks a route */
};

struct route_target {
    struct subscription *subscription;
    const char *prefix;  /* "HMSG subject sid", without a blank behind; for a MSG skip the H */
    uint32_t prefix_len; /* 0: not a client's */
};

struct route_group {
    struct route_target *members;
    uint32_t count;
    uint32_t turn; /* the member whose turn it is, modulo count */
};

struct route {
    struct bytes subject;
    struct route_target *targets; /* those of no group */
    struct route_group *groups;
    uint32_t target_count, group_count;
    bool valid;     /* no token of the subject is empty; else it goes nowhere */
    void *captured; /* what the capture stores it in; NULL: it is not wanted */

    /* private */
    uint64_t hash, generation;
    size_t size; /* bytes allocated, with this struct */
};

struct router {
    struct trie trie;
    uint64_t generation, next_id;
    uint64_t hits, misses;
    size_t count;                            /* subscriptions */
    void *(*captures)(void *, struct bytes); /* may be NULL */
    void *captures_context;
    void (*added)(void *, struct bytes pattern); /* somebody has subscribed; may be NULL */
    void *added_context;
    bool (*admits)(const struct subscription *, struct bytes subject); /* for those `filtered` */

    /* private */
    struct route **routes; /* ROUTES slots, by hash */
    uint32_t *seen;        /* per slot: tag of the subject last routed there */
    size_t routes_size;    /* bytes in `routes` */
    struct route *scratch; /* for subjects seen the first time */
    struct bytes matching; /* the subject whose route is being made */
    struct subscription **matched;
    size_t matched_count, matched_size;
    bool out_of_memory;
};

/* ERR_NOMEM. */
int router_init(struct router *router);
void router_release(struct router *router);

/* Adds a subscription with a valid pattern. ERR_NOMEM. */
int router_add(struct router *router, struct subscription *subscription, struct bytes pattern);
void router_remove(struct router *router, struct subscription *subscription);

/* All routes are stale: what the capture takes has changed. */
void router_invalidate(struct router *router);

/* Of the routes that are remembered and good: how many, the most subscriptions of one, and of all
 * together. */
void router_fanout(const struct router *router, uint64_t *ret_count, uint64_t *ret_max,
                   uint64_t *ret_sum);

/* The route of a subject. It stays good until the next call of any function here. NULL when out of
 * memory. Subscriptions in it may be `gone`. */
struct route *router_find(struct router *router, struct bytes subject);

#endif
