#include "sdk/src/fiber_switch.h"

#include <stdint.h>
#include <string.h>

#ifdef FIBER_UCONTEXT

#include <assert.h>
#include <ucontext.h>

/* Where a stack stands is a ucontext_t on that stack itself: the caller of fiber_switch() keeps it
 * alive for as long as it is away. */
static void start(unsigned main_0, unsigned main_1, unsigned argument_0, unsigned argument_1)
{
    unsigned parts[2][2] = {{main_0, main_1}, {argument_0, argument_1}};
    void (*function)(void *argument);
    void *argument;
    memcpy(&function, parts[0], sizeof function);
    memcpy(&argument, parts[1], sizeof argument);
    function(argument);
}

void *fiber_prepare(char *stack, size_t size, void (*main)(void *argument), void *argument)
{
    ucontext_t *context = (void *)stack; /* the low end: the stack grows down to it */
    size_t room = (sizeof *context + 63) & ~(size_t)63;
    assert(size > 2 * room);
    int err = getcontext(context);
    assert(!err);
    context->uc_stack.ss_sp = stack + room;
    context->uc_stack.ss_size = size - room;
    context->uc_link = NULL;
    unsigned parts[2][2] = {{0}}; /* makecontext() hands on nothing but ints */
    memcpy(parts[0], &main, sizeof main);
    memcpy(parts[1], &argument, sizeof argument);
    makecontext(context, (void (*)(void))start, 4, parts[0][0], parts[0][1], parts[1][0],
                parts[1][1]);
    return context;
}

void fiber_switch(void **save, void *load)
{
    ucontext_t here;
    *save = &here;
    int err = swapcontext(&here, load);
    assert(!err);
}

#else

/* In switch_*.S: the first thing that runs on a new stack. */
void fiber_enter(void);

#ifdef __x86_64__
/* As fiber_switch() would have left it: control words, r15 r14 r13 r12 rbx rbp, return address. */
void *fiber_prepare(char *stack, size_t size, void (*main)(void *argument), void *argument)
{
    char *top = stack + size; /* whole pages, so a multiple of 16 */
    uintptr_t *frame = (void *)(top - 80);
    memset(frame, 0, 10 * sizeof *frame);
    uint32_t mxcsr;
    uint16_t x87;
    __asm__("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(x87));
    frame[0] = mxcsr | (uintptr_t)x87 << 32;
    frame[3] = (uintptr_t)argument;    /* r13 */
    frame[4] = (uintptr_t)main;        /* r12 */
    frame[7] = (uintptr_t)fiber_enter; /* return address; behind it zeros end a backtrace */
    return frame;
}
#endif

#ifdef __aarch64__
/* x19 .. x30, then d8 .. d15; 160 bytes. */
void *fiber_prepare(char *stack, size_t size, void (*main)(void *argument), void *argument)
{
    char *top = stack + size; /* whole pages, so a multiple of 16 */
    uintptr_t *frame = (void *)(top - 160);
    memset(frame, 0, 160);
    frame[0] = (uintptr_t)main;         /* x19 */
    frame[1] = (uintptr_t)argument;     /* x20 */
    frame[11] = (uintptr_t)fiber_enter; /* x30 */
    return frame;
}
#endif

#endif
