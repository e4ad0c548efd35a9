/* work: a test inside of dure_run(). The work runs on a fiber, from which cmocka cannot jump: what
 * is wrong is noted, and asserted when it has returned. */
#ifndef DURE_TEST_SDK_WORK_H
#define DURE_TEST_SDK_WORK_H

#include "nats_server.h"

#include "dure/dure.h"

/* In work: notes where it failed and returns. */
#define CHECK(condition)                                         \
    do {                                                         \
        if (!(condition)) {                                      \
            work_failed(__FILE__, __LINE__, #condition, ctx, 0); \
            return DURE_EINTERNAL;                               \
        }                                                        \
    } while (0)

/* The same for what returns 0 or an error. */
#define DONE(call)                                                 \
    do {                                                           \
        int done_err = (call);                                     \
        if (done_err) {                                            \
            work_failed(__FILE__, __LINE__, #call, ctx, done_err); \
            return DURE_EINTERNAL;                                 \
        }                                                          \
    } while (0)

void work_failed(const char *file, int line, const char *what, struct dure_ctx *ctx, int err);

/* The server that every test of a program uses: started by the first, ended by work_end. */
extern struct nats_server work_server;
int work_begin(void **state);
int work_end(void **state);

/* Runs `work` as a client of that server, and asserts that nothing failed. Skips without one. */
void work_run(dure_handler *work, void *argument);

/* The same, and skips when the server keeps no streams. */
void work_run_streams(dure_handler *work, void *argument);

/* With these options; "" as urls: the server's. */
int work_run_options(struct dure_run_options options, dure_handler *work, void *argument);

/* In work: makes a stream anew. */
int work_make_stream(struct dure_ctx *ctx, const char *name, const char *subject);

#endif
