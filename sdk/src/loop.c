#include "sdk/src/loop.h"

#include "base/err.h"

#include <assert.h>
#include <errno.h>
#include <time.h>
#include <unistd.h>

/* ---- timers: a pairing heap (Fredman, Sedgewick, Sleator, Tarjan 1986), all links in the timers
 */

static struct loop_timer *meld(struct loop_timer *a, struct loop_timer *b)
{
    if (!a) return b;
    if (!b) return a;
    if (b->at_ns < a->at_ns) {
        struct loop_timer *swap = a;
        a = b, b = swap;
    }
    b->prev = a; /* the first child's prev is its parent */
    b->sibling = a->child;
    if (a->child) a->child->prev = b;
    a->child = b;
    a->sibling = a->prev = NULL;
    return a;
}

/* Pairs the siblings left to right, then melds the pairs. */
static struct loop_timer *meld_siblings(struct loop_timer *first)
{
    struct loop_timer *pairs = NULL;
    while (first) {
        struct loop_timer *second = first->sibling;
        struct loop_timer *rest = second ? second->sibling : NULL;
        first->sibling = first->prev = NULL;
        if (second) second->sibling = second->prev = NULL;
        struct loop_timer *pair = meld(first, second);
        pair->sibling = pairs;
        pairs = pair;
        first = rest;
    }
    struct loop_timer *root = NULL;
    while (pairs) {
        struct loop_timer *next = pairs->sibling;
        pairs->sibling = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    return root;
}

void loop_timer_cancel(struct loop *loop, struct loop_timer *timer)
{
    if (!timer->at_ns) return;
    struct loop_timer *below = meld_siblings(timer->child);
    if (timer == loop->timers) {
        loop->timers = below;
    } else {
        if (timer->prev->child == timer)
            timer->prev->child = timer->sibling;
        else
            timer->prev->sibling = timer->sibling;
        if (timer->sibling) timer->sibling->prev = timer->prev;
        loop->timers = meld(loop->timers, below);
    }
    timer->child = timer->sibling = timer->prev = NULL;
    timer->at_ns = 0;
}

void loop_timer_at(struct loop *loop, struct loop_timer *timer, uint64_t at_ns)
{
    loop_timer_cancel(loop, timer);
    timer->at_ns = at_ns ? at_ns : 1;
    loop->timers = meld(loop->timers, timer);
}

void loop_timer_in_ms(struct loop *loop, struct loop_timer *timer, uint64_t delay_ms)
{
    loop_timer_at(loop, timer, loop->now_ns + delay_ms * 1000000);
}

static void fire_timers(struct loop *loop)
{
    uint64_t now = loop->now_ns;
    while (loop->timers && loop->timers->at_ns <= now) {
        struct loop_timer *timer = loop->timers;
        loop_timer_cancel(loop, timer);
        timer->fire(timer);
    }
}

/* ---- tasks ------------------------------------------------------------------------------------
 */

void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task))
{
    task->run = run;
    list_init(&task->link);
}

void loop_post(struct loop *loop, struct loop_task *task)
{
    if (!list_linked(&task->link)) list_push(&loop->tasks, &task->link);
}

void loop_task_cancel(struct loop_task *task)
{
    list_remove(&task->link);
}

/* Those that are there now; what they post waits for the next turn, so sockets get theirs. */
static void run_tasks(struct loop *loop)
{
    struct list due, *link;
    list_init(&due);
    list_splice(&due, &loop->tasks);
    while ((link = list_pop(&due))) {
        struct loop_task *task = CONTAINER_OF(link, struct loop_task, link);
        task->run(task);
    }
}

/* ---- sockets ----------------------------------------------------------------------------------
 */

int loop_watch(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = watch};
    if (epoll_ctl(loop->epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        watch->fd = -1;
        return err_from_errno(errno);
    }
    watch->fd = fd;
    watch->events = events;
    return 0;
}

void loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    if (watch->fd < 0 || watch->events == events) return;
    struct epoll_event event = {.events = events, .data.ptr = watch};
    int failed = epoll_ctl(loop->epoll, EPOLL_CTL_MOD, watch->fd, &event);
    assert(!failed); /* it is watched, and changing takes no memory */
    watch->events = events;
}

void loop_unwatch(struct loop *loop, struct loop_watch *watch)
{
    if (watch->fd < 0) return;
    epoll_ctl(loop->epoll, EPOLL_CTL_DEL, watch->fd, NULL);
    watch->fd = -1;
    for (int i = loop->batch_at; i < loop->batch_count; i++)
        if (loop->batch[i].data.ptr == watch) loop->batch[i].data.ptr = NULL;
}

/* How long epoll may wait, rounded up so that a timer is due when it wakes. */
static int wait_ms(const struct loop *loop)
{
    if (!list_empty(&loop->tasks)) return 0;
    if (!loop->timers) return -1;
    uint64_t now = loop_monotonic_ns(), at = loop->timers->at_ns;
    if (at <= now) return 0;
    uint64_t wait = (at - now + 999999) / 1000000;
    return wait > 60000 ? 60000 : (int)wait;
}

static void turn(struct loop *loop)
{
    int count = epoll_wait(loop->epoll, loop->batch, LOOP_BATCH, wait_ms(loop));
    loop->now_ns = loop_monotonic_ns();
    loop->batch_count = count > 0 ? count : 0;
    for (loop->batch_at = 0; loop->batch_at < loop->batch_count;) {
        struct epoll_event *event = &loop->batch[loop->batch_at++];
        struct loop_watch *watch = event->data.ptr;
        if (watch) watch->ready(watch, event->events);
    }
    loop->batch_count = 0;
    fire_timers(loop);
    run_tasks(loop);
}

/* ---- the loop ---------------------------------------------------------------------------------
 */

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

uint64_t loop_monotonic_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t loop_wall_ns(void)
{
    return clock_ns(CLOCK_REALTIME);
}

int loop_init(struct loop *loop)
{
    *loop = (struct loop){.now_ns = loop_monotonic_ns()};
    list_init(&loop->tasks);
    loop->epoll = epoll_create1(EPOLL_CLOEXEC);
    return loop->epoll < 0 ? err_from_errno(errno) : 0;
}

void loop_release(struct loop *loop)
{
    if (loop->epoll >= 0) close(loop->epoll);
    loop->epoll = -1;
}

void loop_run(struct loop *loop)
{
    while (!loop->stopped) turn(loop);
}

void loop_stop(struct loop *loop)
{
    loop->stopped = true;
}
