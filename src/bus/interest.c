/* Who wants to know that somebody has subscribed to a subject: by subject, so that a new
 * subscription costs one look. */
#include "bus/core.h"

#include <stdlib.h>

enum { WATCHED_MAX = 1 << 20 };

/* A subject that is watched; its name stands behind the struct. */
struct bus_watched {
    struct bytes subject;
    struct list watches;
};

static void tell(struct bus_watched *watched)
{
    LIST_EACH(&watched->watches, struct bus_watch, link, watch) watch->came(watch);
}

static void added(void *context, struct bytes pattern)
{
    struct bus *bus = context;
    struct bus_watched *watched = bus->watched.count ? map_get(&bus->watched, pattern) : NULL;
    if (watched) tell(watched);
}

void interest_init(struct bus *bus)
{
    map_init(&bus->watched, WATCHED_MAX);
    bus->router.added = added;
    bus->router.added_context = bus;
}

void interest_release(struct bus *bus)
{
    size_t cursor = 0;
    struct bus_watched *watched;
    while ((watched = map_next(&bus->watched, &cursor))) free(watched);
    map_release(&bus->watched);
}

static struct bus_watched *claim(struct bus *bus, struct bytes subject)
{
    struct bus_watched *watched = map_get(&bus->watched, subject);
    if (watched) return watched;
    watched = malloc(sizeof *watched + subject.len);
    if (!watched) return NULL;
    char *name = (char *)(watched + 1);
    if (subject.len) memcpy(name, subject.data, subject.len);
    watched->subject = bytes_make(name, subject.len);
    list_init(&watched->watches);
    if (map_put(&bus->watched, watched->subject, watched, NULL) == 0) return watched;
    free(watched);
    return NULL;
}

int bus_watch_interest(struct bus *bus, struct bus_watch *watch, struct bytes subject,
                       void (*came)(struct bus_watch *watch))
{
    struct bus_watched *watched = claim(bus, subject);
    if (!watched) return ERR_NOMEM;
    *watch = (struct bus_watch){.came = came, .bus = bus, .watched = watched};
    list_init(&watch->link);
    list_push(&watched->watches, &watch->link);
    return 0;
}

void bus_unwatch_interest(struct bus_watch *watch)
{
    struct bus_watched *watched = watch->watched;
    if (!watched) return;
    watch->watched = NULL;
    list_remove(&watch->link);
    if (!list_empty(&watched->watches)) return;
    map_remove(&watch->bus->watched, watched->subject);
    free(watched);
}
