/* store_writer: a program to be killed. Appends numbered records to a journal as fast as it can and
 * writes the number of each to stdout when it is acknowledged.
 *   store_writer write DIR   prints "open N" (N records are there), then acknowledged numbers
 *   store_writer read DIR    prints the number in every record, in order, then "end" */
#include "io/io.h"
#include "store/journal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { IN_FLIGHT = 64, PAYLOAD_MAX = 3000 };

static struct journal *journal;
static bool reading;

static size_t payload_of(uint64_t number, char *payload)
{
    size_t len = 8 + (size_t)(number * UINT64_C(2654435761) % (PAYLOAD_MAX - 8));
    memcpy(payload, &number, 8);
    memset(payload + 8, 'a' + (int)(number % 26), len - 8);
    return len;
}

static void check(const struct journal_record *record)
{
    char expected[PAYLOAD_MAX];
    size_t len = payload_of(record->seq, expected);
    if (bytes_eq(record->payload, bytes_make(expected, len))) return;
    printf("record %" PRIu64 " has another content\n", record->seq);
    exit(3);
}

static int recovered(void *context, const struct journal_record *record)
{
    check(record);
    if (reading) printf("%" PRIu64 "\n", record->seq);
    return 0;
}

static void append_more(void)
{
    while (journal_next(journal) - journal_last(journal) <= IN_FLIGHT) {
        char payload[PAYLOAD_MAX];
        uint64_t seq;
        struct iovec iov = {payload, payload_of(journal_next(journal), payload)};
        int r = journal_append(journal, &iov, 1, &seq);
        if (r < 0) {
            fprintf(stderr, "append: %s\n", err_text(r));
            exit(2);
        }
    }
}

/* Straight to the pipe: what is in a buffer of this process dies with it. */
static void appended(void *context, const struct journal_record *record, int result)
{
    char line[32];
    if (result < 0) exit(2);
    int len = snprintf(line, sizeof line, "%" PRIu64 "\n", record->seq);
    if (write(STDOUT_FILENO, line, (size_t)len) != len) exit(0);
}

int main(int argc, char **argv)
{
    if (argc != 3) return 64;
    struct io *io;
    struct error error = {0};
    struct journal_options options = {.dir = argv[2],
                                      .segment_bytes = 1 << 20,
                                      .allocate_bytes = 128 << 10,
                                      .recovered = recovered,
                                      .appended = appended};
    reading = argv[1][0] == 'r';
    if (io_new(NULL, &io) < 0) return 1;
    if (journal_open(io, &options, &journal, &error) < 0) {
        fprintf(stderr, "%s: %s\n", error.file, error.message);
        return 1;
    }
    if (reading) {
        struct journal_verify verify;
        if (journal_verify(io, argv[2], &verify, &error) < 0) return 1;
        printf("end\n");
        journal_free(journal);
        io_free(io);
        return 0;
    }
    printf("open %" PRIu64 "\n", journal_last(journal));
    fflush(stdout);
    for (;;) {
        append_more();
        io_turn(io, -1);
    }
}
