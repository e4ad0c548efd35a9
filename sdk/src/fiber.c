/* How a switch works: fiber_switch() pushes what the calling convention wants kept onto the stack
 * at hand, stores the stack pointer, loads the other one and pops. It is a few instructions for
 * each processor (switch_x86_64.S, switch_aarch64.S); elsewhere, swapcontext(3) does the same
 * slower. */
#include "sdk/src/fiber.h"
#include "sdk/src/fiber_switch.h"

#include "base/err.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define FIBER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIBER_TSAN 1
#endif
#endif

#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef FIBER_TSAN
#include <sanitizer/tsan_interface.h>
#endif

enum { FIBER_IDLE_MAX = 64 };

struct fiber {
    struct fiber_pool *pool;
    struct list link; /* in the pool's idle list */
    void *sp;         /* where it stands while it is suspended */
    void (*run)(void *argument);
    void *argument;
    char *stack; /* lowest usable byte; the guard page is below */
    size_t size;
    void *fake_stack;
    void *tsan;
    bool returned;
};

/* ---- what the sanitizers want to know ----------------------------------------------------- */

/* About to leave the loop for `fiber`. */
static void entering(struct fiber_pool *pool, struct fiber *fiber)
{
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(&pool->loop_fake_stack, fiber->stack, fiber->size);
#endif
#ifdef FIBER_TSAN
    pool->loop_tsan = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber->tsan, 0);
#endif
    (void)pool, (void)fiber;
}

/* Arrived on `fiber`. */
static void entered(struct fiber_pool *pool, struct fiber *fiber)
{
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(fiber->fake_stack, &pool->loop_bottom, &pool->loop_size);
#endif
    (void)pool, (void)fiber;
}

/* About to leave `fiber` for the loop. */
static void leaving(struct fiber_pool *pool, struct fiber *fiber)
{
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(fiber->returned ? NULL : &fiber->fake_stack, pool->loop_bottom,
                                   pool->loop_size);
#endif
#ifdef FIBER_TSAN
    __tsan_switch_to_fiber(pool->loop_tsan, 0);
#endif
    (void)pool, (void)fiber;
}

/* Arrived on the loop. */
static void left(struct fiber_pool *pool)
{
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(pool->loop_fake_stack, NULL, NULL);
#endif
    (void)pool;
}

/* The stack holds nothing any more. */
static void forget_stack(struct fiber *fiber)
{
#ifdef FIBER_ASAN
    __asan_unpoison_memory_region(fiber->stack, fiber->size);
#endif
#ifdef FIBER_TSAN
    if (fiber->tsan) __tsan_destroy_fiber(fiber->tsan);
    fiber->tsan = NULL;
#endif
    fiber->fake_stack = NULL;
}

/* ---- one fiber ---------------------------------------------------------------------------- */

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static void fiber_free(struct fiber *fiber)
{
    munmap(fiber->stack - page_size(), fiber->size + page_size());
    free(fiber);
}

static struct fiber *fiber_new(struct fiber_pool *pool)
{
    struct fiber *fiber = calloc(1, sizeof *fiber);
    if (!fiber) return NULL;
    size_t guard = page_size();
    char *map = mmap(NULL, pool->stack_size + guard, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    if (map == MAP_FAILED) {
        free(fiber);
        return NULL;
    }
    fiber->pool = pool;
    fiber->stack = map + guard;
    fiber->size = pool->stack_size;
    list_init(&fiber->link);
    if (mprotect(map, guard, PROT_NONE) == 0) return fiber;
    fiber_free(fiber);
    return NULL;
}

static void to_loop(struct fiber *fiber)
{
    struct fiber_pool *pool = fiber->pool;
    leaving(pool, fiber);
    fiber_switch(&fiber->sp, pool->loop_sp);
}

/* The bottom of every fiber: entered by the first switch to it, never left by returning. */
static void fiber_main(void *argument)
{
    struct fiber *fiber = argument;
    entered(fiber->pool, fiber);
    fiber->run(fiber->argument);
    fiber->returned = true;
    to_loop(fiber);
    assert(!"a fiber that has returned was resumed");
}

static void recycle(struct fiber_pool *pool, struct fiber *fiber)
{
    forget_stack(fiber);
    pool->count--;
    if (pool->idle_count >= FIBER_IDLE_MAX) {
        fiber_free(fiber);
        return;
    }
    list_push_front(&pool->idle, &fiber->link);
    pool->idle_count++;
}

/* ---- public ------------------------------------------------------------------------------- */

void fiber_pool_init(struct fiber_pool *pool, size_t max, size_t stack_size)
{
    size_t page = page_size();
    *pool = (struct fiber_pool){.max = max};
#if defined(FIBER_ASAN) || defined(FIBER_TSAN)
    stack_size *= 2; /* their frames are larger */
#endif
    pool->stack_size = (stack_size + page - 1) / page * page;
    list_init(&pool->idle);
}

void fiber_pool_release(struct fiber_pool *pool)
{
    assert(!pool->count);
    LIST_EACH(&pool->idle, struct fiber, link, fiber) {
        list_remove(&fiber->link);
        fiber_free(fiber);
    }
    pool->idle_count = 0;
}

int fiber_start(struct fiber_pool *pool, void (*run)(void *argument), void *argument)
{
    if (pool->count >= pool->max) return ERR_FULL;
    struct list *link = list_pop(&pool->idle);
    struct fiber *fiber = link ? CONTAINER_OF(link, struct fiber, link) : fiber_new(pool);
    if (!fiber) return ERR_NOMEM;
    if (link) pool->idle_count--;
    pool->count++;
    fiber->run = run;
    fiber->argument = argument;
    fiber->returned = false;
#ifdef FIBER_TSAN
    fiber->tsan = __tsan_create_fiber(0);
#endif
    fiber->sp = fiber_prepare(fiber->stack, fiber->size, fiber_main, fiber);
    fiber_resume(pool, fiber);
    return 0;
}

void fiber_suspend(struct fiber_pool *pool)
{
    struct fiber *fiber = pool->current;
    assert(fiber);
    to_loop(fiber);
    entered(pool, fiber);
}

void fiber_resume(struct fiber_pool *pool, struct fiber *fiber)
{
    assert(!pool->current && !fiber->returned);
    pool->current = fiber;
    entering(pool, fiber);
    fiber_switch(&pool->loop_sp, fiber->sp);
    left(pool);
    pool->current = NULL;
    if (fiber->returned) recycle(pool, fiber);
}
