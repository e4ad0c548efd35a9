/* blocking: a few threads for what blocks in the kernel, so that the loop does not. The only other
 * threads of the process; they touch nothing but the job they run. */
#ifndef DURE_SDK_BLOCKING_H
#define DURE_SDK_BLOCKING_H

#include "sdk/src/ctx.h"

enum { BLOCKING_THREADS = 4, BLOCKING_QUEUE_MAX = 1024 };

struct blocking_pool;

/* Makes no thread yet. NULL: no memory or no descriptor. */
struct blocking_pool *blocking_new(struct host *host);

/* Waits for the jobs that run. */
void blocking_free(struct blocking_pool *pool);

#endif
