/* Private to src/messaging: what the parts of the embedded engine share. */
#ifndef DURE_MESSAGING_EMBEDDED_H
#define DURE_MESSAGING_EMBEDDED_H

#include "messaging/engine.h"

struct embedded {
    struct messaging messaging;
    struct bus *bus;
    struct streams *streams;
    struct io_task ready_task;
    void (*ready)(void *context);
    void *ready_context;
};

#endif
