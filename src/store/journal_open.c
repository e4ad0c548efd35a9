/* Opening: every segment is read, or what its digest says of it, and the end is settled: what the
 * file system's cache shows may not be on the disk (the process before was killed, or its sync
 * failed), so the records that no later one vouches for are written again and synced before anybody
 * builds on them. */
#include "store/journal_impl.h"

#include <inttypes.h>
#include <stdlib.h>

#include "store/folder.h"
#include "store/wal_impl.h"

enum { COPY_SIZE = 256 << 10 };

/* The sequences by which files in a directory are named, ascending. */
struct names {
    uint64_t *firsts;
    size_t count, size;
};

struct listing {
    struct names segments, digests;
    bool snapshot;
};

static int note_first(struct names *names, uint64_t first)
{
    if (names->count == names->size) {
        size_t size = names->size ? names->size * 2 : 16;
        uint64_t *firsts = realloc(names->firsts, size * sizeof *firsts);
        if (!firsts) return ERR_NOMEM;
        names->firsts = firsts;
        names->size = size;
    }
    names->firsts[names->count++] = first;
    return 0;
}

static int note_name(void *context, const char *name)
{
    struct listing *listing = context;
    uint64_t first;
    if (segment_name_parse(name, &first)) return note_first(&listing->segments, first);
    if (digest_name_parse(name, &first)) return note_first(&listing->digests, first);
    if (strcmp(name, "snapshot") == 0) listing->snapshot = true;
    return 0;
}

static void free_listing(struct listing *listing)
{
    free(listing->segments.firsts);
    free(listing->digests.firsts);
}

/* ---- one walk over all segments, for opening and for checking ---- */

struct walk {
    struct io *io;
    const char *dir;
    size_t payload_max;
    struct error *error;
    void *context;
    int (*segment)(void *context, uint64_t first, uint64_t salt);
    /* May move the scan behind records that need not be read. May be NULL. */
    int (*skip)(void *context, struct segment_scan *scan, uint64_t next);
    int (*record)(void *context, const struct segment_record *record, uint64_t offset);
    /* The newest segment has been read; `file` is open for reading. */
    int (*last)(void *context, const struct segment_scan *scan, enum segment_tail tail);
    /* Another one has been read. May be NULL. */
    void (*sealed)(void *context);
};

static int64_t read_file(void *context, void *buf, size_t size, uint64_t offset)
{
    return io_file_read(context, buf, size, offset);
}

static int damaged(struct walk *walk, const char *path, uint64_t offset, const char *what)
{
    error_set(walk->error, ERR_CORRUPT,
              "%s at byte %" PRIu64 ": data that had been acknowledged is damaged", what, offset);
    error_at(walk->error, path, 0, 0);
    error_remedy(walk->error, "restore the file from a backup, or move its folder away to go on "
                              "without it; dure has changed nothing");
    return ERR_CORRUPT;
}

static int walk_records(struct walk *walk, struct segment_scan *scan)
{
    for (;;) {
        struct segment_record record;
        int r = segment_scan_next(scan, &record);
        if (r <= 0) return r;
        r = walk->record(walk->context, &record, scan->offset - record.size);
        if (r < 0) return r;
    }
}

/* next: the first sequence of the following segment; 0: this is the newest. */
static int walk_file(struct walk *walk, struct io_file *file, const char *path, uint64_t first,
                     uint64_t next)
{
    int64_t size = io_file_size(file);
    if (size < 0) return (int)size;
    struct segment_scan scan;
    int r = segment_scan_init(&scan, read_file, file, (uint64_t)size, first, walk->payload_max);
    if (r == ERR_CORRUPT) r = damaged(walk, path, 0, "bad segment header");
    if (r == 0) r = walk->segment(walk->context, first, scan.header.salt);
    if (r == 0 && walk->skip) r = walk->skip(walk->context, &scan, next);
    bool known = next && scan.next_seq == next;
    if (r == 0 && !known) r = walk_records(walk, &scan);
    if (r == 0 && next && scan.next_seq != next) {
        r = damaged(walk, path, scan.offset, "bad record");
    } else if (r == 0 && next) {
        if (walk->sealed) walk->sealed(walk->context);
    } else if (r == 0) {
        r = segment_scan_tail(&scan);
        if (r == SEGMENT_TAIL_DAMAGED) r = damaged(walk, path, scan.offset, "bad record");
        if (r >= 0) r = walk->last(walk->context, &scan, (enum segment_tail)r);
    }
    segment_scan_release(&scan);
    return r;
}

static int walk_segment(struct walk *walk, uint64_t first, uint64_t next)
{
    char name[SEGMENT_NAME], path[JOURNAL_PATH];
    segment_name(first, name);
    int r = journal_path(walk->dir, name, path);
    if (r < 0) return r;
    struct io_file file;
    r = io_file_open(walk->io, &file, path, IO_READ);
    if (r == 0) {
        r = walk_file(walk, &file, path, first, next);
        io_file_close(&file);
    }
    if (r < 0 && walk->error && !walk->error->code) {
        error_set(walk->error, r, "%s", err_text(r));
        error_at(walk->error, path, 0, 0);
    }
    return r;
}

static int walk_run(struct walk *walk, const struct names *names)
{
    if (walk->error) *walk->error = (struct error){0};
    for (size_t i = 0; i < names->count; i++) {
        uint64_t next = i + 1 < names->count ? names->firsts[i + 1] : 0;
        int r = walk_segment(walk, names->firsts[i], next);
        if (r < 0) return r;
    }
    return 0;
}

/* ---- opening ---- */

struct opening {
    struct journal *journal;
    uint64_t settled_offset;
    bool torn, snapshot;
};

static int open_segment(void *context, uint64_t first, uint64_t salt)
{
    struct journal *journal = ((struct opening *)context)->journal;
    if (!journal_add_segment(journal, first, salt)) return ERR_NOMEM;
    journal->last = first - 1;
    journal_digest_segment(journal, first);
    return 0;
}

static int open_skip(void *context, struct segment_scan *scan, uint64_t next)
{
    return journal_digest_load(((struct opening *)context)->journal, scan, next);
}

static void open_sealed(void *context)
{
    journal_digest_seal(((struct opening *)context)->journal);
}

static int open_record(void *context, const struct segment_record *record, uint64_t offset)
{
    struct journal *journal = ((struct opening *)context)->journal;
    struct segment *segment = &journal->segments[journal->segment_count - 1];
    int r = segment_note(segment, record->seq, offset);
    if (r < 0) return r;
    segment->end = offset + record->size;
    journal->last = record->seq;
    journal_digest_note(journal, offset, record->hash);
    if (!journal->options.recovered) return 0;
    const struct journal_record told = {record->seq, record->payload};
    return journal->options.recovered(journal->options.context, &told);
}

static int open_last(void *context, const struct segment_scan *scan, enum segment_tail tail)
{
    struct opening *opening = context;
    opening->settled_offset = scan->settled_offset;
    opening->torn = tail == SEGMENT_TAIL_TORN;
    return 0;
}

/* Writes [from, to) of the file over itself: a sync skips what the cache believes to be clean. */
static int rewrite(struct io_file *file, uint64_t from, uint64_t to)
{
    if (from == to) return 0;
    char *copy = malloc(COPY_SIZE);
    if (!copy) return ERR_NOMEM;
    int r = 0;
    while (r == 0 && from < to) {
        size_t len = to - from < COPY_SIZE ? (size_t)(to - from) : COPY_SIZE;
        int64_t n = io_file_read(file, copy, len, from);
        if (n > 0) {
            struct iovec iov = {copy, (size_t)n};
            r = io_file_write(file, &iov, 1, from);
            from += (uint64_t)n;
        } else {
            r = n < 0 ? (int)n : ERR_IO;
        }
    }
    free(copy);
    return r;
}

/* What stands before the journal's end is on the disk now, or in the log, and need not be looked
 * after by the next start. */
static void mark_end(struct journal *journal, bool synced)
{
    struct writer *writer = &journal->writer;
    const struct segment_mark mark = {writer->next, writer->offset};
    if (synced) {
        (void)writer_mark(&writer->file, writer->salt, &mark); /* without it opening takes longer */
    } else if (journal->wal) {
        wal_opened(journal->wal, journal->wal_name, writer->salt, &mark);
    }
}

/* How far the last segment is known to be on the disk, or to come back if it is not. */
static uint64_t settled_to(const struct opening *opening, const struct segment *last)
{
    const struct journal *journal = opening->journal;
    uint64_t logged = journal->wal ? wal_end(journal->wal, journal->wal_name, last->salt) : 0;
    return logged > opening->settled_offset ? logged : opening->settled_offset;
}

/* The names too, of the last segment, of the snapshot and of what was removed, may be in the cache
 * alone. A record in the segment vouches for its name: that was durable before, or the log has the
 * record and makes the name again, with what leads there. It does not make again what it does not
 * have (`alone`): a snapshot, a record whose frame has failed. Before anything is removed, the
 * removals are synced. */
static int settle_names(struct journal *journal, bool alone)
{
    struct writer *writer = &journal->writer;
    if (journal->wal && !alone) {
        return writer->offset > SEGMENT_HEADER ? 0 : io_sync_dir(journal->io, journal->dir);
    }
    int r = folder_sync(journal->io, writer->root, journal->dir);
    writer->unnamed = r < 0;
    return r;
}

static int settle_end(struct opening *opening)
{
    struct journal *journal = opening->journal;
    struct writer *writer = &journal->writer;
    const struct segment *last = &journal->segments[journal->segment_count - 1];
    char name[SEGMENT_NAME], path[JOURNAL_PATH];
    segment_name(last->first, name);
    int r = journal_path(journal->dir, name, path);
    if (r == 0) r = io_file_open(journal->io, &writer->file, path, IO_READ | IO_WRITE);
    if (r < 0) return r;
    writer->open = true;
    writer->first = last->first;
    writer->salt = last->salt;
    writer->offset = last->end;
    writer->next = journal->last + 1;
    uint64_t settled = settled_to(opening, last);
    bool unsettled = settled < last->end;
    if (opening->torn) {
        journal->metrics->torn_tails++;
        LOG(journal->options.log, LOG_WARN, "journal_tail_cut", LOG_S("file", path),
            LOG_U("offset", last->end), LOG_U("last_seq", journal->last));
        r = io_file_truncate(&writer->file, last->end);
    }
    if (r == 0 && unsettled) r = rewrite(&writer->file, settled, last->end);
    if (r == 0 && (unsettled || opening->torn)) r = io_file_sync(&writer->file);
    int64_t size = r == 0 ? io_file_size(&writer->file) : r;
    if (size < 0) return (int)size;
    writer->allocated = (uint64_t)size > last->end ? (uint64_t)size : last->end;
    journal->made = writer->unnamed = true;
    r = settle_names(journal, unsettled || opening->snapshot);
    if (r == 0) mark_end(journal, unsettled);
    return r;
}

/* Its files are made with the first batch. */
static int begin_new(struct journal *journal)
{
    struct writer *writer = &journal->writer;
    writer->first = writer->next = 1;
    writer->salt = io_random_u64(journal->io);
    writer->offset = SEGMENT_HEADER;
    if (journal->options.wal) { /* the log makes it, with any policy */
        (void)wal_adopt(journal->options.wal, journal);
        writer->logged = true;
        writer->zeros = false;
    }
    if (!journal_add_segment(journal, 1, writer->salt)) return ERR_NOMEM;
    journal_digest_segment(journal, 1);
    return 0;
}

/* Leftovers of a crash; what has a temporary name was never part of the journal. */
static int remove_temporary(struct io *io, const char *dir)
{
    static const char *const names[] = {"new.tmp", "snapshot.tmp", JOURNAL_DIGEST_LATE};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[JOURNAL_PATH];
        int r = journal_path(dir, names[i], path);
        if (r == 0) r = io_unlink(io, path);
        if (r < 0 && r != ERR_NOT_FOUND) return r;
    }
    return 0;
}

/* Digests whose segments were removed. */
static int remove_orphans(struct journal *journal, const struct listing *listing)
{
    const struct names *segments = &listing->segments;
    size_t at = 0;
    for (size_t i = 0; i < listing->digests.count; i++) {
        uint64_t first = listing->digests.firsts[i];
        while (at < segments->count && segments->firsts[at] < first) at++;
        if (at < segments->count && segments->firsts[at] == first) continue;
        char name[DIGEST_NAME], path[JOURNAL_PATH];
        digest_name(first, name);
        int r = journal_path(journal->dir, name, path);
        if (r == 0) r = io_unlink(journal->io, path);
        if (r < 0) return r;
    }
    return 0;
}

static int open_files(struct journal *journal, struct error *error)
{
    struct listing listing = {0};
    const struct names *names = &listing.segments;
    struct opening opening = {.journal = journal};
    struct walk walk = {
        .io = journal->io,
        .dir = journal->dir,
        .payload_max = SEGMENT_PAYLOAD_MAX,
        .error = error,
        .context = &opening,
        .segment = open_segment,
        .skip = open_skip,
        .record = open_record,
        .last = open_last,
        .sealed = open_sealed,
    };
    int r = remove_temporary(journal->io, journal->dir);
    if (r == 0) r = io_list_dir(journal->io, journal->dir, note_name, &listing);
    if (r == 0) r = remove_orphans(journal, &listing);
    if (r == ERR_NOT_FOUND || (r == 0 && names->count == 0)) {
        r = journal->options.must_exist ? ERR_NOT_FOUND : begin_new(journal);
    } else if (r == 0) {
        opening.snapshot = listing.snapshot;
        r = walk_run(&walk, names);
        if (r == 0) r = settle_end(&opening);
    }
    free_listing(&listing);
    return r;
}

int journal_open(struct io *io, const struct journal_options *options, struct journal **ret_journal,
                 struct error *error)
{
    struct journal *journal;
    *ret_journal = NULL;
    int r = journal_make(io, options, &journal);
    if (r < 0) return error_set(error, r, "%s", err_text(r));
    if (error) *error = (struct error){0};
    r = open_files(journal, error);
    if (r < 0) {
        if (error && !error->code) {
            error_set(error, r, "cannot open the journal: %s", err_text(r));
            error_at(error, options->dir, 0, 0);
        }
        journal_free(journal);
        return r;
    }
    journal->next = journal->synced_next = journal->last + 1;
    journal->fill = journal->writer.offset;
    journal->synced_ns = io_now_ns(io);
    journal_digest_loaded(journal);
    if (options->wal) scrub_add(&options->wal->scrub, journal);
    *ret_journal = journal;
    return 0;
}

/* ---- checking ---- */

static int verify_segment(void *context, uint64_t first, uint64_t salt)
{
    struct journal_verify *result = context;
    if (result->segments++ == 0) result->first = first;
    result->last = first - 1;
    return 0;
}

static int verify_record(void *context, const struct segment_record *record, uint64_t offset)
{
    struct journal_verify *result = context;
    result->records++;
    result->bytes += record->size;
    result->last = record->seq;
    return 0;
}

static int verify_last(void *context, const struct segment_scan *scan, enum segment_tail tail)
{
    return 0;
}

int journal_verify(struct io *io, const char *dir, struct journal_verify *ret_result,
                   struct error *error)
{
    *ret_result = (struct journal_verify){0};
    struct listing listing = {0};
    struct walk walk = {
        .io = io,
        .dir = dir,
        .payload_max = SEGMENT_PAYLOAD_MAX,
        .error = error,
        .context = ret_result,
        .segment = verify_segment,
        .record = verify_record,
        .last = verify_last,
    };
    int r = io_list_dir(io, dir, note_name, &listing);
    if (r == 0) r = walk_run(&walk, &listing.segments);
    if (r < 0 && error && !error->code) {
        error_set(error, r, "%s", err_text(r));
        error_at(error, dir, 0, 0);
    }
    free_listing(&listing);
    return r;
}
