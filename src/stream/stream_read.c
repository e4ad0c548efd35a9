#include "stream/stream_impl.h"

enum { EACH_AHEAD = 256 << 10 };

/* ---- getting content ---- */

void stream_get_init(struct stream_get *get)
{
    *get = (struct stream_get){0};
    list_init(&get->link);
    journal_read_init(&get->read);
}

void stream_get_release(struct stream_get *get)
{
    list_remove(&get->link);
    journal_read_release(&get->read);
}

static struct stream_message as_message(const struct stream_record *record)
{
    return (struct stream_message){
        .seq = record->seq,
        .time_ns = record->value,
        .message = message_borrow(record->subject, BYTES(""), record->headers, record->payload),
    };
}

/* In memory the message may have gone since it was asked for. */
static int look_up(struct stream_get *get)
{
    uint64_t place;
    if (!stream_index_place(&get->stream->index, get->seq, &place)) return ERR_NOT_FOUND;
    get->record = (struct journal_record){place, stream_memory_at(place)};
    return 0;
}

void stream_get_tell(struct stream_get *get)
{
    struct stream_record record = {0};
    int r = get->result;
    if (r == 0 && get->stream->in_memory) r = look_up(get);
    if (r == 0) r = stream_record_decode(get->record.payload, &record);
    if (r == 0 && record.seq != get->seq) r = ERR_CORRUPT;
    if (r < 0) {
        get->done(get, r, NULL);
        return;
    }
    struct stream_message message = as_message(&record);
    get->done(get, 0, &message);
    message_done(&message.message);
}

static void finish_later(struct stream_get *get, int result)
{
    get->result = result;
    list_push(&get->stream->gets, &get->link);
    stream_post_ready(get->stream);
}

static void start_read(struct stream_get *get);

static void read_done(struct journal_read *read, int result)
{
    struct stream_get *get = CONTAINER_OF(read, struct stream_get, read);
    uint64_t place;
    bool there = stream_index_place(&get->stream->index, get->seq, &place);
    get->record = (struct journal_record){0};
    if (result == ERR_NOT_FOUND && there && place != get->place) {
        start_read(get); /* copied forward in the meantime, and its old segment is gone */
        return;
    }
    if (result == 0 && !journal_read_next(read, &get->record)) result = ERR_CORRUPT;
    get->result = result;
    stream_get_tell(get);
}

static void start_read(struct stream_get *get)
{
    if (!stream_index_place(&get->stream->index, get->seq, &get->place)) {
        finish_later(get, ERR_NOT_FOUND);
        return;
    }
    if (get->stream->in_memory) {
        finish_later(get, 0);
        return;
    }
    /* Reads go forward: what was read ahead for the get before may hold this one. */
    while (get->record.seq && get->record.seq < get->place) {
        if (!journal_read_next(&get->read, &get->record)) get->record.seq = 0;
    }
    if (get->record.seq == get->place) {
        finish_later(get, 0);
        return;
    }
    get->record.seq = 0;
    get->read.done = read_done;
    int r = journal_read_start(get->stream->journal, &get->read, get->place, get->ahead_bytes);
    if (r < 0) finish_later(get, r);
}

void stream_get(struct stream *stream, struct stream_get *get, uint64_t seq,
                void (*done)(struct stream_get *, int, const struct stream_message *))
{
    get->stream = stream;
    get->seq = seq;
    get->done = done;
    if (stream->closing) {
        finish_later(get, ERR_CLOSED);
        return;
    }
    start_read(get);
}

bool stream_get_held(struct stream *stream, struct stream_get *get, uint64_t seq,
                     struct stream_message *ret_message)
{
    struct stream_record record;
    struct bytes held;
    uint64_t place;
    if (stream->closing || !stream_index_place(&stream->index, seq, &place)) return false;
    if (stream->in_memory) {
        held = stream_memory_at(place);
    } else {
        while (get->record.seq && get->record.seq < place) {
            if (!journal_read_next(&get->read, &get->record)) get->record.seq = 0;
        }
        if (get->record.seq != place) return false;
        held = get->record.payload;
    }
    if (stream_record_decode(held, &record) < 0 || record.seq != seq) return false;
    *ret_message = as_message(&record);
    return true;
}

static int each_one(struct stream_get *get,
                    int (*each)(void *context, const struct stream_message *message), void *context)
{
    bool in_memory = get->stream->in_memory;
    while (!in_memory && get->record.seq && get->record.seq < get->place) {
        if (!journal_read_next(&get->read, &get->record)) get->record.seq = 0;
    }
    int r = 0;
    if (in_memory) {
        get->record = (struct journal_record){get->place, stream_memory_at(get->place)};
    } else if (get->record.seq != get->place) {
        r = journal_read_now(get->stream->journal, &get->read, get->place, get->ahead_bytes);
        if (r == 0 && !journal_read_next(&get->read, &get->record)) r = ERR_CORRUPT;
    }
    struct stream_record record;
    if (r == 0) r = stream_record_decode(get->record.payload, &record);
    if (r < 0) return r;
    struct stream_message message = as_message(&record);
    r = each(context, &message);
    message_done(&message.message);
    return r;
}

int stream_each(struct stream *stream,
                int (*each)(void *context, const struct stream_message *message), void *context)
{
    int r = 0;
    struct stream_get get;
    stream_get_init(&get);
    get.stream = stream;
    get.ahead_bytes = EACH_AHEAD;
    struct stream_entry entry;
    uint64_t seq = 0;
    for (; r == 0 && stream_index_from(&stream->index, seq, &entry); seq = entry.seq + 1) {
        if (stream_subject_hidden(entry.subject)) continue;
        get.place = entry.place;
        r = each_one(&get, each, context);
    }
    stream_get_release(&get);
    return r;
}

/* ---- following ---- */

void stream_observe(struct stream *stream, struct stream_observer *observer)
{
    list_init(&observer->link);
    list_push(&stream->observers, &observer->link);
}

void stream_unobserve(struct stream_observer *observer)
{
    list_remove(&observer->link);
}
