/* loop: waits for sockets and timers and runs tasks; one thread. Everything is intrusive: what is
 * watched or timed belongs to the caller, must not move, and is taken out before it is freed.
 * Nothing here allocates, so arming cannot fail. Callbacks run from loop_turn() only. */
#ifndef DURE_SDK_LOOP_H
#define DURE_SDK_LOOP_H

#include "base/list.h"

#include <stdint.h>
#include <sys/epoll.h>

enum { LOOP_BATCH = 128 };

struct loop_timer {
    void (*fire)(struct loop_timer *timer);
    uint64_t at_ns;                            /* 0: not armed */
    struct loop_timer *child, *sibling, *prev; /* private: pairing heap */
};

struct loop_task {
    void (*run)(struct loop_task *task);
    struct list link;
};

struct loop_watch {
    void (*ready)(struct loop_watch *watch, uint32_t events);
    int fd; /* -1: not watched */
    uint32_t events;
};

struct loop {
    int epoll;
    uint64_t now_ns; /* monotonic, read once per turn */
    bool stopped;
    struct list tasks;
    struct loop_timer *timers; /* root of the heap: the earliest */
    struct epoll_event batch[LOOP_BATCH];
    int batch_count, batch_at;
};

/* 0 or a negative enum err. */
int loop_init(struct loop *loop);
void loop_release(struct loop *loop);

/* Runs turns until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* The clocks themselves, and the loop's, which stands still during a turn. */
uint64_t loop_monotonic_ns(void);
uint64_t loop_wall_ns(void);

/* Level-triggered; the watch does not own fd. 0 or a negative enum err. */
int loop_watch(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events);
void loop_watch_change(struct loop *loop, struct loop_watch *watch, uint32_t events);

/* After this `ready` does not run, even if its event was seen already. Harmless when not watched.
 */
void loop_unwatch(struct loop *loop, struct loop_watch *watch);

/* One shot, at at_ns or as soon after it as the loop comes round; moves an armed timer. */
void loop_timer_at(struct loop *loop, struct loop_timer *timer, uint64_t at_ns);
void loop_timer_in_ms(struct loop *loop, struct loop_timer *timer, uint64_t delay_ms);
void loop_timer_cancel(struct loop *loop, struct loop_timer *timer);

/* Runs `task` from the loop, once however often it was posted. Its link must have been
 * list_init'ed.
 */
void loop_post(struct loop *loop, struct loop_task *task);
void loop_task_init(struct loop_task *task, void (*run)(struct loop_task *task));
void loop_task_cancel(struct loop_task *task);

#endif
