/* list: an intrusive doubly linked ring. The head is a link that belongs to no element; a link that
 * is in no list points to itself, so removing twice is harmless. Nothing is allocated. */
#ifndef DURE_BASE_LIST_H
#define DURE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

/* The element that holds `link` as its member `member`. */
#define CONTAINER_OF(link, type, member) ((type *)((char *)(link)-offsetof(type, member)))

/* Walks the elements; the element at hand may be removed, no other. */
#define LIST_EACH(head, type, member, it)                               \
    for (type *it = CONTAINER_OF((head)->next, type, member),           \
              *it##_next = CONTAINER_OF(it->member.next, type, member); \
         &it->member != (head);                                         \
         it = it##_next, it##_next = CONTAINER_OF(it->member.next, type, member))

static inline void list_init(struct list *link)
{
    link->prev = link->next = link;
}

static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}

/* Whether this link is in a list. */
static inline bool list_linked(const struct list *link)
{
    return link->next != link;
}

/* Puts `link`, which is in no list, before `place`: with the head as place, at the end. */
static inline void list_insert_before(struct list *place, struct list *link)
{
    link->prev = place->prev;
    link->next = place;
    place->prev->next = link;
    place->prev = link;
}

static inline void list_push(struct list *head, struct list *link)
{
    list_insert_before(head, link);
}

static inline void list_push_front(struct list *head, struct list *link)
{
    list_insert_before(head->next, link);
}

static inline void list_remove(struct list *link)
{
    link->prev->next = link->next;
    link->next->prev = link->prev;
    list_init(link);
}

/* The first link, taken out, or NULL. */
static inline struct list *list_pop(struct list *head)
{
    struct list *link = head->next;
    if (link == head) return NULL;
    list_remove(link);
    return link;
}

/* Moves all of `from` to the end of `to`; `from` is empty then. */
static inline void list_splice(struct list *to, struct list *from)
{
    if (list_empty(from)) return;
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
