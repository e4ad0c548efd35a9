/* worker: handlers that work on a queue (dure_work): makes its consumer if need be, pulls as many
 * messages as handlers may run, keeps each message while its handler runs, and settles it when that
 * has returned. */
#ifndef DURE_SDK_WORKER_H
#define DURE_SDK_WORKER_H

#include "sdk/src/tenant.h"

/* The module is up; takes nothing new any more; is going. */
void worker_start_all(struct tenant *tenant);
void worker_stop_all(struct tenant *tenant);
void worker_free_all(struct tenant *tenant);

#endif
