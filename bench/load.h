/* load: what the load generators share: the arguments' numbers, connections over loopback, when a
 * run measures, what it cost whom, and the one line of JSON that it prints.
 *
 * A run warms up, then measures for its time, then ends. What the server's processes cost in that
 * window is read from the scheduler (schedstat of all their threads), which counts nanoseconds on
 * the core: it says the same on a busy machine, where operations per second do not. */
#ifndef DURE_BENCH_LOAD_H
#define DURE_BENCH_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define LOAD_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))

/* Ends the run: "httpload: TEXT" to stderr, exit code 1. */
_Noreturn void load_fail(const char *format, ...) LOAD_PRINTF(1, 2);

/* A whole decimal number between `min` and `max`, or the end of the run. */
unsigned long load_number(const char *name, const char *text, unsigned long min, unsigned long max);

void *load_alloc(size_t size); /* zeroed, never NULL */

uint64_t load_now_ns(void);

/* A TCP connection to a port of 127.0.0.1, without Nagle's delay; blocking until load_nonblock. */
int load_connect(unsigned port);

/* The same, to a port ("4222") or to a Unix socket ("/path"). */
int load_connect_to(const char *address);
void load_nonblock(int fd);

/* ---- latencies --------------------------------------------------------------------------- */

enum { LATENCY_SUB_BITS = 5, LATENCY_BUCKETS = 60 << LATENCY_SUB_BITS };

/* Counts of nanoseconds; a quantile is exact to 3 %. */
struct latency {
    uint64_t count;
    uint64_t buckets[LATENCY_BUCKETS];
};

void latency_add(struct latency *latency, uint64_t ns);
double latency_quantile_us(const struct latency *latency, double quantile);

/* ---- the measured window ----------------------------------------------------------------- */

enum { MEASURE_PIDS_MAX = 64 };

struct sample {
    uint64_t time_ns;
    uint64_t server_ns, own_ns, machine_ns; /* on a core: the server, this process, all */
    uint64_t operations;
};

enum measure_state { MEASURE_WARMUP, MEASURE_OPEN, MEASURE_OVER };

struct measure {
    pid_t pids[MEASURE_PIDS_MAX]; /* of the server, with those it started */
    unsigned pid_count;
    uint64_t begin_ns, end_ns; /* the window */
    enum measure_state state;
    struct sample begin, end;
    struct latency latency; /* of the window */
    uint64_t errors;        /* of the whole run */
};

/* "12,13,14" */
void measure_pids(struct measure *measure, const char *list);

void measure_start(struct measure *measure, double warmup_s, double seconds);

/* Looks at the clock, and opens or closes the window; `operations` have been done up to now.
 * Returns whether the run goes on. */
bool measure_tick(struct measure *measure, uint64_t operations);

/* Counts a latency when the window is open. */
static inline void measure_latency(struct measure *measure, uint64_t ns)
{
    if (measure->state == MEASURE_OPEN) latency_add(&measure->latency, ns);
}

/* Prints the line of JSON. Returns the exit code: 1 when something went wrong or nothing was done.
 */
int measure_report(const struct measure *measure);

#endif
