/* harness: what the tests of the real loop have in common. Include it first. */
#ifndef DURE_TEST_UNIT_IO_HARNESS_H
#define DURE_TEST_UNIT_IO_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io/io.h"

static struct io *io;

static inline int make_loop(void **state)
{
    return io_new(NULL, &io);
}

static inline int free_loop(void **state)
{
    io_free(io);
    io = NULL;
    return 0;
}

static inline uint64_t real_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Turns the loop until the condition holds; a condition that does not come true within 20 s fails
 * the test. */
#define TURN_UNTIL(condition)                                          \
    do {                                                               \
        uint64_t until_ms_ = real_ms() + 20000;                        \
        while (!(condition)) {                                         \
            if (real_ms() > until_ms_) fail_msg("never: " #condition); \
            io_turn(io, 100);                                          \
        }                                                              \
    } while (0)

/* Turns until the loop has had nothing to do for two turns. */
static inline void settle(void)
{
    for (int quiet = 0; quiet < 2;) quiet = io_turn(io, 5) ? 0 : quiet + 1;
}

static inline void parse_addr(const char *text, struct io_addr *addr)
{
    assert_int_equal(io_addr_parse(bytes_str(text), addr), 0);
}

/* A new empty folder. */
static inline void make_folder(char folder[64])
{
    memcpy(folder, "/tmp/dure-test-XXXXXX", sizeof "/tmp/dure-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

#endif
