/* store_writer: a program to be killed. Appends numbered records to several journals over one
 * commit log, as fast as it can, and writes to stdout which of them are acknowledged. store_writer
 * write DIR JOURNALS   prints "open J N" (journal J has N records), then "J N" for each
 *                                     acknowledged record, in order
 *   store_writer read DIR JOURNALS    prints "J N" for every record, in order, then "end"
 *   store_writer fill DIR JOURNALS    as write, but goes on when the disk is full: prints "full"
 * once, and appends again when a line comes on stdin */
#include "io/io.h"
#include "store/journal.h"
#include "store/wal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { IN_FLIGHT = 64, PAYLOAD_MAX = 3000, JOURNALS_MAX = 64 };

struct line {
    int number;
    struct journal *journal;
};

static struct line lines[JOURNALS_MAX];
static bool reading, filling, full, had_room;

static size_t payload_of(int line, uint64_t number, char *payload)
{
    size_t len = 8 + (size_t)(number * UINT64_C(2654435761) % (PAYLOAD_MAX - 8));
    memcpy(payload, &number, 8);
    memset(payload + 8, 'a' + (int)((number + (uint64_t)line) % 26), len - 8);
    return len;
}

static int recovered(void *context, const struct journal_record *record)
{
    const struct line *line = context;
    char expected[PAYLOAD_MAX];
    size_t len = payload_of(line->number, record->seq, expected);
    if (!bytes_eq(record->payload, bytes_make(expected, len))) {
        printf("record %" PRIu64 " of %d has another content\n", record->seq, line->number);
        exit(3);
    }
    if (reading) printf("%d %" PRIu64 "\n", line->number, record->seq);
    return 0;
}

static void append_more(struct line *line)
{
    while (journal_next(line->journal) - journal_last(line->journal) <= IN_FLIGHT) {
        char payload[PAYLOAD_MAX];
        uint64_t seq;
        struct iovec iov = {payload,
                            payload_of(line->number, journal_next(line->journal), payload)};
        int r = journal_append(line->journal, &iov, 1, &seq);
        if (r < 0) {
            fprintf(stderr, "append: %s\n", err_text(r));
            exit(2);
        }
    }
}

/* Straight to the pipe: what is in a buffer of this process dies with it. */
static void appended(void *context, const struct journal_record *record, int result)
{
    const struct line *line = context;
    char text[48];
    if (result == ERR_NO_SPACE && filling) {
        full = true;
        return;
    }
    if (result < 0) exit(2);
    int len = snprintf(text, sizeof text, "%d %" PRIu64 "\n", line->number, record->seq);
    if (write(STDOUT_FILENO, text, (size_t)len) != len) exit(0);
}

static void must(int r, const struct error *error)
{
    if (r == 0) return;
    fprintf(stderr, "%s: %s\n", error->file, error->message);
    exit(1);
}

static void open_store(struct io *io, const char *dir, int count)
{
    struct error error = {0};
    struct wal *wal;
    const struct wal_options wal_options = {.dir = dir, .file_min = 256 << 10, .file_max = 1 << 20};
    must(wal_open(io, &wal_options, &wal, &error), &error);
    for (int i = 0; i < count; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/%d", dir, i);
        lines[i].number = i;
        const struct journal_options options = {.dir = path,
                                                .wal = wal,
                                                .segment_bytes = 1 << 20,
                                                .allocate_bytes = 128 << 10,
                                                .context = &lines[i],
                                                .recovered = recovered,
                                                .appended = appended};
        must(journal_open(io, &options, &lines[i].journal, &error), &error);
        struct journal_verify verify;
        bool there = journal_last(lines[i].journal) > 0; /* made with its first record */
        if (reading && there) must(journal_verify(io, path, &verify, &error), &error);
    }
}

/* Somebody makes room meanwhile. */
static void wait_for_room(void)
{
    char line[16];
    printf("full\n");
    fflush(stdout);
    if (!fgets(line, sizeof line, stdin)) exit(0);
    full = false;
    had_room = true; /* what was refused before is still being told */
}

int main(int argc, char **argv)
{
    if (argc != 4) return 64;
    struct io *io;
    int count = (int)strtol(argv[3], NULL, 10);
    if (count < 1 || count > JOURNALS_MAX) return 64;
    reading = argv[1][0] == 'r';
    filling = argv[1][0] == 'f';
    if (io_new(NULL, &io) < 0) return 1;
    open_store(io, argv[2], count);
    if (reading) {
        printf("end\n");
        fflush(stdout);
        _exit(0); /* closing would sync everything; the next start does not need it */
    }
    for (int i = 0; i < count; i++)
        printf("open %d %" PRIu64 "\n", i, journal_last(lines[i].journal));
    fflush(stdout);
    for (;;) {
        for (int i = 0; i < count; i++) append_more(&lines[i]);
        io_turn(io, -1);
        if (full && !had_room) wait_for_room();
    }
}
