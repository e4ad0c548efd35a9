/* fiber_switch: from one stack to another. For x86-64 and AArch64 a few instructions of assembly;
 * elsewhere, or with FIBER_UCONTEXT defined, <ucontext.h>. Private to fiber.c. */
#ifndef DURE_SDK_FIBER_SWITCH_H
#define DURE_SDK_FIBER_SWITCH_H

#include <stddef.h>

#if !defined(FIBER_UCONTEXT) && !defined(__x86_64__) && !defined(__aarch64__)
#define FIBER_UCONTEXT 1
#endif

/* Makes `stack` ready so that the first switch to it calls main(argument), which must not return.
 * Returns what to switch to. */
void *fiber_prepare(char *stack, size_t size, void (*main)(void *argument), void *argument);

/* Keeps the place where we stand in *save and goes on at `load`. Returns when somebody switches to
 * what was saved. */
void fiber_switch(void **save, void *load);

#endif
