#include "io/wheel.h"

#include <assert.h>

enum { WHEEL_MASK = WHEEL_SLOTS - 1 };

void wheel_init(struct wheel *wheel, uint64_t now_ms)
{
    wheel->now_ms = now_ms;
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        wheel->used[level] = 0;
        for (int slot = 0; slot < WHEEL_SLOTS; slot++) list_init(&wheel->slots[level][slot]);
    }
    list_init(&wheel->due);
}

static void put(struct wheel *wheel, struct io_timer *timer)
{
    uint64_t differs = timer->deadline_ms ^ wheel->now_ms;
    int level = differs ? (63 - __builtin_clzll(differs)) / WHEEL_BITS : 0;
    int slot = (int)(timer->deadline_ms >> (level * WHEEL_BITS)) & WHEEL_MASK;
    list_push(&wheel->slots[level][slot], &timer->link);
    wheel->used[level] |= 1ull << slot;
}

/* The last timer of a slot has the slot's head on both sides, which tells its level and place;
 * so a timer need not remember them. */
static void take(struct wheel *wheel, struct io_timer *timer)
{
    struct list *head = timer->link.prev;
    bool last = head == timer->link.next;
    list_remove(&timer->link);
    if (!last || head == &wheel->due) return;
    size_t at = (size_t)(head - &wheel->slots[0][0]);
    assert(at < (size_t)WHEEL_LEVELS * WHEEL_SLOTS);
    wheel->used[at / WHEEL_SLOTS] &= ~(1ull << (at % WHEEL_SLOTS));
}

void wheel_set(struct wheel *wheel, struct io_timer *timer, uint64_t deadline_ms)
{
    if (timer->armed) take(wheel, timer);
    timer->deadline_ms = deadline_ms > wheel->now_ms ? deadline_ms : wheel->now_ms;
    timer->armed = true;
    put(wheel, timer);
}

void wheel_cancel(struct wheel *wheel, struct io_timer *timer)
{
    if (!timer->armed) return;
    take(wheel, timer);
    timer->armed = false;
}

/* The lowest level in use holds the nearest slot: a slot of a higher one begins only when all of
 * the lower levels have passed. Returns when that slot begins. */
static uint64_t nearest(const struct wheel *wheel, int *ret_level, int *ret_slot)
{
    int level = 0;
    while (level < WHEEL_LEVELS && !wheel->used[level]) level++;
    if (level == WHEEL_LEVELS) return UINT64_MAX;
    int shift = level * WHEEL_BITS, slot = __builtin_ctzll(wheel->used[level]);
    uint64_t above = shift + WHEEL_BITS < 64 ? ~0ull << (shift + WHEEL_BITS) : 0;
    *ret_level = level;
    *ret_slot = slot;
    return (wheel->now_ms & above) | (uint64_t)slot << shift;
}

uint64_t wheel_next_ms(const struct wheel *wheel)
{
    int level, slot;
    if (!list_empty(&wheel->due)) return wheel->now_ms;
    return nearest(wheel, &level, &slot);
}

void wheel_advance(struct wheel *wheel, uint64_t now_ms)
{
    assert(now_ms < UINT64_MAX);
    int level, slot;
    for (;;) {
        uint64_t begin = nearest(wheel, &level, &slot);
        if (begin > now_ms) break;
        assert(begin >= wheel->now_ms);
        wheel->now_ms = begin;
        struct list moving;
        list_init(&moving);
        list_splice(level ? &moving : &wheel->due, &wheel->slots[level][slot]);
        wheel->used[level] &= ~(1ull << slot);
        for (struct list *link; (link = list_pop(&moving));)
            put(wheel, CONTAINER_OF(link, struct io_timer, link));
    }
    if (now_ms > wheel->now_ms) wheel->now_ms = now_ms;
}

struct io_timer *wheel_pop(struct wheel *wheel)
{
    struct list *link = list_pop(&wheel->due);
    if (!link) return NULL;
    struct io_timer *timer = CONTAINER_OF(link, struct io_timer, link);
    timer->armed = false;
    return timer;
}

void wheel_clear(struct wheel *wheel)
{
    for (int level = 0; level < WHEEL_LEVELS; level++) {
        for (uint64_t used = wheel->used[level]; used; used &= used - 1)
            list_splice(&wheel->due, &wheel->slots[level][__builtin_ctzll(used)]);
        wheel->used[level] = 0;
    }
    while (wheel_pop(wheel)) continue;
}
