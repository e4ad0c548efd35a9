/* Records of a stream without files. They take effect from the loop, as those that a disk has
 * taken do; a message's record stays, by itself, as long as the message is held. */
#include "stream/stream_impl.h"

#include <stdlib.h>

enum { WAITING_MAX = 64 << 20 };

struct memory_record {
    struct list link; /* while it waits, or is dead */
    size_t len;
    bool held; /* the index has it, or has had it */
    char data[];
};

/* A place of the index is the record's address. */
static struct memory_record *record_at(uint64_t place)
{
    struct memory_record *record;
    uintptr_t address = (uintptr_t)place;
    memcpy(&record, &address, sizeof record);
    return record;
}

static void free_all(struct list *records)
{
    for (struct list *link; (link = list_pop(records));) {
        free(CONTAINER_OF(link, struct memory_record, link));
    }
}

static void run(struct io_task *task)
{
    struct stream *stream = CONTAINER_OF(task, struct stream, memory.task);
    stream_memory_flush(stream);
    free_all(&stream->memory.dead);
}

void stream_memory_init(struct stream *stream)
{
    list_init(&stream->memory.waiting);
    list_init(&stream->memory.dead);
    io_task_init(&stream->memory.task, run);
}

void stream_memory_release(struct stream *stream)
{
    io_task_cancel(stream->host->io, &stream->memory.task);
    free_all(&stream->memory.waiting);
    free_all(&stream->memory.dead);
    struct stream_entry entry;
    if (!stream->in_memory) return;
    for (uint64_t seq = 0; stream_index_from(&stream->index, seq, &entry); seq = entry.seq + 1) {
        free(record_at(entry.place));
    }
}

int stream_memory_append(struct stream *stream, const struct iovec *parts, int count)
{
    size_t len = 0;
    for (int i = 0; i < count; i++) len += parts[i].iov_len;
    if (stream->pending_bytes + len > WAITING_MAX && stream->ring.count > 0) return ERR_FULL;
    struct memory_record *record = malloc(sizeof *record + len);
    if (!record) return ERR_NOMEM;
    record->len = len;
    record->held = false;
    char *at = record->data;
    for (int i = 0; i < count; i++) {
        if (parts[i].iov_len > 0) memcpy(at, parts[i].iov_base, parts[i].iov_len);
        at += parts[i].iov_len;
    }
    list_init(&record->link);
    list_push(&stream->memory.waiting, &record->link);
    io_defer(stream->host->io, &stream->memory.task);
    return 0;
}

struct bytes stream_memory_at(uint64_t place)
{
    const struct memory_record *record = record_at(place);
    return bytes_make(record->data, record->len);
}

void stream_memory_hold(uint64_t place)
{
    record_at(place)->held = true;
}

void stream_memory_forget(struct stream *stream, uint64_t place)
{
    list_push(&stream->memory.dead, &record_at(place)->link);
    io_defer(stream->host->io, &stream->memory.task);
}

void stream_memory_flush(struct stream *stream)
{
    struct list *waiting = &stream->memory.waiting;
    for (struct list *link; (link = list_pop(waiting));) {
        struct memory_record *record = CONTAINER_OF(link, struct memory_record, link);
        const struct journal_record told = {(uintptr_t)record,
                                            bytes_make(record->data, record->len)};
        stream_appended(stream, &told, 0);
        if (!record->held) free(record);
    }
}
