/* storeload: what the store alone can do, without a network.
 *   storeload append DIR POLICY IN_FLIGHT SECONDS [SIZE] [JOURNALS]   POLICY: each, own, interval,
 * never storeload fill DIR COUNT [SIZE]       appends COUNT records on the log and kills itself
 *   storeload recover DIR                 opens what `fill` has left behind
 * `each` is acknowledged when it is in the commit log, `own` syncs the journal's own file. Prints
 * one line: rates, microseconds of CPU per record, and how long commits take. */
#include "io/io.h"
#include "store/journal.h"
#include "store/wal.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { JOURNALS_MAX = 1000, SIZE_MAX_BYTES = 1 << 20 };

static struct io *io;
static struct wal *wal;
static struct journal *journals[JOURNALS_MAX];
static struct store_metrics metrics;
static uint64_t acknowledged, recovered_count;
static char payload[SIZE_MAX_BYTES];

static double clock_seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void appended(void *context, const struct journal_record *record, int result)
{
    if (result < 0) {
        fprintf(stderr, "append: %s\n", err_text(result));
        exit(1);
    }
    acknowledged++;
}

static int recovered(void *context, const struct journal_record *record)
{
    recovered_count += record->payload.len > 0;
    return 0;
}

static void must(int r, const struct error *error)
{
    if (r >= 0) return;
    fprintf(stderr, "%s: %s\n", error->file, error->message);
    exit(1);
}

static void open_store(const char *dir, enum journal_sync sync, bool with_wal, int count)
{
    struct error error = {0};
    const struct wal_options options = {.dir = dir, .metrics = &metrics};
    must(io_new(NULL, &io), &error);
    must(wal_open(io, &options, &wal, &error), &error);
    for (int i = 0; i < count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%d", dir, i);
        const struct journal_options journal = {
            .dir = path,
            .sync = sync,
            .wal = with_wal ? wal : NULL,
            .metrics = &metrics,
            .recovered = recovered,
            .appended = appended,
        };
        must(journal_open(io, &journal, &journals[i], &error), &error);
    }
}

static void append_one(int journal, size_t size)
{
    uint64_t seq;
    struct iovec parts[2] = {{payload, 8}, {payload + 8, size - 8}};
    int r = journal_append(journals[journal], parts, 2, &seq);
    if (r < 0) {
        fprintf(stderr, "append: %s\n", err_text(r));
        exit(1);
    }
}

static int run_append(int argc, char **argv)
{
    static const char *const names[] = {"each", "interval", "never", "own"};
    int policy = 0;
    while (policy < 3 && strcmp(argv[3], names[policy]) != 0) policy++;
    uint64_t in_flight = strtoull(argv[4], NULL, 10), appends = 0;
    double seconds = strtod(argv[5], NULL);
    size_t size = argc > 6 ? strtoul(argv[6], NULL, 10) : 128;
    int count = argc > 7 ? (int)strtol(argv[7], NULL, 10) : 1;
    open_store(argv[2], policy == 3 ? JOURNAL_SYNC_EACH : (enum journal_sync)policy, policy == 0,
               count);
    double cpu = clock_seconds(CLOCK_PROCESS_CPUTIME_ID), began = clock_seconds(CLOCK_MONOTONIC);
    double loop = clock_seconds(CLOCK_THREAD_CPUTIME_ID), took = 0;
    while (took < seconds) {
        while (appends - acknowledged < in_flight)
            append_one((int)(appends++ % (uint64_t)count), size);
        io_turn(io, -1);
        took = clock_seconds(CLOCK_MONOTONIC) - began;
    }
    cpu = clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    loop = clock_seconds(CLOCK_THREAD_CPUTIME_ID) - loop;
    double records = (double)acknowledged;
    printf("%s, %" PRIu64
           " in flight, %zu B, %d journals: %.0f records/s, %.3f us CPU (%.3f in the loop), "
           "%.1f records a commit, p50 %" PRIu64 " us, p99 %" PRIu64 " us\n",
           argv[3], in_flight, size, count, records / took, cpu * 1e6 / records,
           loop * 1e6 / records, records / (double)metrics.commits,
           histogram_quantile_us(&metrics.commit_duration, 0.5),
           histogram_quantile_us(&metrics.commit_duration, 0.99));
    return 0;
}

static int run_fill(int argc, char **argv)
{
    uint64_t count = strtoull(argv[3], NULL, 10), appends = 0;
    size_t size = argc > 4 ? strtoul(argv[4], NULL, 10) : 128;
    open_store(argv[2], JOURNAL_SYNC_EACH, true, 1);
    while (acknowledged < count) {
        while (appends < count && appends - acknowledged < 1000) {
            append_one(0, size);
            appends++;
        }
        io_turn(io, -1);
    }
    return kill(getpid(), SIGKILL);
}

static int run_recover(char **argv)
{
    double began = clock_seconds(CLOCK_MONOTONIC), cpu = clock_seconds(CLOCK_PROCESS_CPUTIME_ID);
    open_store(argv[2], JOURNAL_SYNC_EACH, true, 1);
    printf("%" PRIu64 " records in %.1f ms, %.1f ms CPU, %" PRIu64 " frames from the log\n",
           recovered_count, (clock_seconds(CLOCK_MONOTONIC) - began) * 1e3,
           (clock_seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu) * 1e3, metrics.wal_replayed);
    return 0;
}

int main(int argc, char **argv)
{
    memset(payload, 'p', sizeof payload);
    if (argc >= 6 && strcmp(argv[1], "append") == 0) return run_append(argc, argv);
    if (argc >= 4 && strcmp(argv[1], "fill") == 0) return run_fill(argc, argv);
    if (argc >= 3 && strcmp(argv[1], "recover") == 0) return run_recover(argv);
    fprintf(stderr, "usage: storeload append|fill|recover DIR ...\n");
    return 2;
}
