#include "fiber_switch.h"

#include <stdint.h>
#include <string.h>

#ifdef FIBER_UCONTEXT

#include <assert.h>
#include <ucontext.h>

/* Where a stack stands is a ucontext_t on that stack itself: the caller of fiber_switch() keeps it
 * alive for as long as it is away. */
static void start(unsigned main_high, unsigned main_low, unsigned argument_high,
                  unsigned argument_low)
{
    uintptr_t function = ((uintptr_t)main_high << 16 << 16) | main_low;
    uintptr_t argument = ((uintptr_t)argument_high << 16 << 16) | argument_low;
    ((void (*)(void *))function)((void *)argument);
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
    uintptr_t function = (uintptr_t)main, value = (uintptr_t)argument;
    makecontext(context, (void (*)(void))(uintptr_t)start, 4, (unsigned)(function >> 16 >> 16),
                (unsigned)function, (unsigned)(value >> 16 >> 16), (unsigned)value);
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
    uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
    uintptr_t *frame = (uintptr_t *)top - 10;
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
    uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
    uintptr_t *frame = (uintptr_t *)(top - 160);
    memset(frame, 0, 160);
    frame[0] = (uintptr_t)main;         /* x19 */
    frame[1] = (uintptr_t)argument;     /* x20 */
    frame[11] = (uintptr_t)fiber_enter; /* x30 */
    return frame;
}
#endif

#endif
