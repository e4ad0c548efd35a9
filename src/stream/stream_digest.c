#include "stream/stream_digest.h"

#include "base/le.h"
#include "stream/stream_headers.h"

#include <stdlib.h>

enum item { RECORD = 1, NAME, PLAIN, IDENT, RUN, IDS, LAST_ID };

enum {
    RUN_HEAD = 9,
    RUN_MAX = 1 << 16,
    SIZE_LIMIT = 1 << 30,
    HEADERS_MAX = 1 << 20,
};

/* ---- writing ---- */

void stream_digest_init(struct stream_digest *digest)
{
    *digest = (struct stream_digest){.chunk = 1};
    buf_init(&digest->data, UINT32_MAX);
    buf_init(&digest->id_headers, HEADERS_MAX);
}

void stream_digest_release(struct stream_digest *digest)
{
    buf_release(&digest->data);
    buf_release(&digest->id_headers);
}

static void end_run(struct stream_digest *digest)
{
    if (digest->run_count == 0 || digest->data.failed) return;
    char *at = digest->data.data + digest->data.start + digest->run_at;
    size_t len = buf_len(&digest->data) - digest->run_at - RUN_HEAD;
    le_put32(at + 1, digest->run_count);
    le_put32(at + 5, (uint32_t)len);
    digest->run_count = 0;
}

static void begin_run(struct stream_digest *digest)
{
    static const char head[RUN_HEAD] = {RUN};
    digest->run_at = buf_len(&digest->data);
    digest->run_us = 0;
    buf_append(&digest->data, bytes_make(head, sizeof head));
}

/* Whether it follows the message before as most do. */
static bool is_plain(const struct stream_digest *digest, const struct stream_record *record)
{
    if (record->flags & ~STREAM_FLAG_ID) return false;
    if (!digest->seq || record->seq != digest->seq + 1 || record->value < digest->time_ns) {
        return false;
    }
    uint64_t time_ns = record->value - digest->time_ns;
    return time_ns % 1000 == 0 && time_ns / 1000 <= UINT32_MAX;
}

static void note_last(struct stream_digest *digest, const struct stream_record *record)
{
    if (!digest->first_seq) digest->first_seq = record->seq;
    digest->seq = record->seq;
    digest->time_ns = record->value;
    if (!(record->flags & STREAM_FLAG_ID)) return;
    buf_clear(&digest->id_headers);
    buf_append(&digest->id_headers, record->headers);
    digest->id_seq = record->seq;
    digest->id_time_ns = record->value;
}

static void name(struct stream_digest *digest, struct stream_subject *subject)
{
    if (subject->digest_chunk == digest->chunk) return;
    subject->digest_chunk = digest->chunk;
    subject->digest_number = digest->names++;
    buf_append_char(&digest->data, NAME);
    stream_number_put(&digest->data, subject->name.len);
    buf_append(&digest->data, subject->name);
}

void stream_digest_message(struct stream_digest *digest, const struct stream_record *record,
                           struct stream_subject *subject, uint32_t size)
{
    if (!is_plain(digest, record)) {
        stream_digest_record(digest, record, size);
        return;
    }
    uint32_t time_us = (uint32_t)((record->value - digest->time_ns) / 1000);
    bool same = digest->plain && subject->digest_chunk == digest->chunk &&
                subject->digest_number == digest->subject && size == digest->size &&
                record->flags == digest->flags;
    bool fits = digest->run_count < RUN_MAX && time_us <= UINT32_MAX - digest->run_us;
    if (!same || !fits) end_run(digest);
    if (same) {
        if (digest->run_count == 0) begin_run(digest);
        digest->run_count++;
        digest->run_us += time_us;
    } else {
        name(digest, subject);
        buf_append_char(&digest->data, record->flags ? IDENT : PLAIN);
        stream_number_put(&digest->data, subject->digest_number);
        stream_number_put(&digest->data, size);
    }
    stream_number_put(&digest->data, time_us);
    digest->plain = true;
    digest->subject = subject->digest_number;
    digest->size = size;
    digest->flags = record->flags;
    note_last(digest, record);
}

void stream_digest_record(struct stream_digest *digest, const struct stream_record *record,
                          uint32_t size)
{
    struct stream_record copy = *record;
    bool message = record->kind == STREAM_RECORD_MESSAGE;
    if (message || record->kind == STREAM_RECORD_MOVE) {
        bool timed = record->flags & (STREAM_FLAG_TTL | STREAM_FLAG_DELAYED);
        if (!timed) copy.headers = BYTES("");
        copy.payload = BYTES("");
    } else {
        size = 1;
    }
    char header[STREAM_RECORD_HEADER_MAX];
    size_t len = stream_record_encode(&copy, header);
    end_run(digest);
    buf_append_char(&digest->data, RECORD);
    stream_number_put(&digest->data, size);
    stream_number_put(&digest->data, len + copy.subject.len + copy.headers.len + copy.payload.len);
    buf_append(&digest->data, bytes_make(header, len));
    buf_append(&digest->data, copy.subject);
    buf_append(&digest->data, copy.headers);
    buf_append(&digest->data, copy.payload);
    digest->plain = false;
    if (message) note_last(digest, record);
}

static void put_last_id(struct stream_digest *digest)
{
    struct stream_headers headers;
    struct bytes text = buf_bytes(&digest->id_headers);
    if (text.len == 0 || stream_headers_read(text, &headers) < 0) return;
    buf_append_char(&digest->data, LAST_ID);
    stream_number_put(&digest->data, digest->id_seq);
    stream_number_put(&digest->data, digest->id_time_ns);
    stream_number_put(&digest->data, headers.id.len);
    buf_append(&digest->data, headers.id);
}

static void put_ids(struct stream_digest *digest, const struct stream_dedupe *dedupe)
{
    uint64_t from = dedupe->end, count = 0, seq = 0, time_ns = 0;
    const struct stream_id *id;
    while (from > dedupe->start) {
        id = stream_dedupe_at(dedupe, from - 1);
        if (id->seq && id->seq < digest->first_seq) break;
        count += id->seq && id->seq <= digest->seq;
        from--;
    }
    if (count == 0) return;
    buf_append_char(&digest->data, IDS);
    stream_number_put(&digest->data, count);
    for (; from < dedupe->end; from++) {
        id = stream_dedupe_at(dedupe, from);
        if (!id->seq || id->seq > digest->seq) continue;
        char hash[16];
        le_put64(hash, id->hash[0]);
        le_put64(hash + 8, id->hash[1]);
        buf_append(&digest->data, bytes_make(hash, sizeof hash));
        stream_number_put(&digest->data, id->seq - seq);
        stream_number_put(&digest->data, id->time_ns - time_ns);
        seq = id->seq;
        time_ns = id->time_ns;
    }
}

int stream_digest_take(struct stream_digest *digest, const struct stream_dedupe *dedupe,
                       struct buf *out)
{
    end_run(digest);
    if (digest->seq) put_ids(digest, dedupe);
    put_last_id(digest);
    bool failed = digest->data.failed;
    if (!failed) buf_append(out, buf_bytes(&digest->data));
    uint32_t chunk = digest->chunk + 1;
    stream_digest_release(digest);
    stream_digest_init(digest);
    digest->chunk = chunk ? chunk : 1;
    return failed ? ERR_NOMEM : 0;
}

/* ---- reading ---- */

void stream_digest_walk_init(struct stream_digest_walk *walk, struct bytes digest)
{
    *walk = (struct stream_digest_walk){.rest = digest};
}

void stream_digest_walk_release(struct stream_digest_walk *walk)
{
    free(walk->names);
    free(walk->times_us);
}

/* Takes `len` bytes off the front. */
static int take(struct bytes *rest, uint64_t len, struct bytes *ret)
{
    if (len > rest->len) return ERR_CORRUPT;
    *ret = bytes_head(*rest, (size_t)len);
    *rest = bytes_skip(*rest, (size_t)len);
    return 0;
}

static int take_text(struct bytes *rest, struct bytes *ret)
{
    uint64_t len;
    int r = stream_number_get(rest, &len);
    return r < 0 ? r : take(rest, len, ret);
}

static int take_size(struct bytes *rest, uint32_t *ret)
{
    uint64_t size;
    int r = stream_number_get(rest, &size);
    if (r == 0 && (size == 0 || size >= SIZE_LIMIT)) r = ERR_CORRUPT;
    *ret = (uint32_t)size;
    return r;
}

static int take_record(struct stream_digest_walk *walk, struct stream_record *ret_record)
{
    uint32_t size;
    struct bytes bytes;
    int r = take_size(&walk->rest, &size);
    if (r == 0) r = take_text(&walk->rest, &bytes);
    if (r == 0) r = stream_record_decode(bytes, ret_record);
    if (r < 0) return r;
    ret_record->size = size;
    walk->plain = false;
    if (ret_record->kind != STREAM_RECORD_MESSAGE) return 0;
    walk->last = *ret_record;
    walk->any = true;
    return 0;
}

static int take_name(struct stream_digest_walk *walk)
{
    if (walk->name_count == walk->name_room) {
        size_t room = walk->name_room ? walk->name_room * 2 : 16;
        struct bytes *names = realloc(walk->names, room * sizeof *names);
        if (!names) return ERR_NOMEM;
        walk->names = names;
        walk->name_room = room;
    }
    struct bytes *named = &walk->names[walk->name_count];
    int r = take_text(&walk->rest, named);
    if (r == 0 && (named->len == 0 || named->len > UINT16_MAX)) r = ERR_CORRUPT;
    if (r == 0) walk->name_count++;
    return r;
}

/* The message behind walk->last, so much later. */
static int step(struct stream_digest_walk *walk, uint64_t count, uint64_t time_us)
{
    struct stream_record *last = &walk->last;
    if (!walk->any || last->seq > UINT64_MAX - count || time_us > UINT32_MAX) return ERR_CORRUPT;
    if (last->value > UINT64_MAX - time_us * 1000) return ERR_CORRUPT;
    last->seq += count;
    last->value += time_us * 1000;
    return 0;
}

static int take_plain(struct stream_digest_walk *walk, uint8_t flags,
                      struct stream_record *ret_record)
{
    uint64_t number, time_us = 0;
    uint32_t size = 0;
    int r = stream_number_get(&walk->rest, &number);
    if (r == 0) r = take_size(&walk->rest, &size);
    if (r == 0) r = stream_number_get(&walk->rest, &time_us);
    if (r == 0 && number >= walk->name_count) r = ERR_CORRUPT;
    if (r == 0) r = step(walk, 1, time_us);
    if (r < 0) return r;
    walk->last = (struct stream_record){
        .kind = STREAM_RECORD_MESSAGE,
        .flags = flags,
        .seq = walk->last.seq,
        .value = walk->last.value,
        .size = size,
        .subject = walk->names[number],
    };
    walk->plain = true;
    *ret_record = walk->last;
    return 0;
}

/* Nearly all are less than 128, and there is one for each message. */
static inline int take_time(struct bytes *rest, uint64_t *ret_us)
{
    bool is_short = rest->len > 0 && (unsigned char)rest->data[0] < 128;
    if (!is_short) return stream_number_get(rest, ret_us);
    *ret_us = (unsigned char)rest->data[0];
    *rest = bytes_skip(*rest, 1);
    return 0;
}

/* The times, as distances from the first of the run. */
static int take_times(struct stream_digest_walk *walk, struct bytes bytes, uint32_t count,
                      uint64_t *ret_first_us)
{
    if (count > walk->time_room) {
        uint32_t *times = realloc(walk->times_us, count * sizeof *times);
        if (!times) return ERR_NOMEM;
        walk->times_us = times;
        walk->time_room = count;
    }
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t time_us;
        int r = take_time(&bytes, &time_us);
        if (r < 0) return r;
        if (i == 0) *ret_first_us = time_us;
        if (i > 0) sum += time_us;
        if (time_us > UINT32_MAX || sum > UINT32_MAX) return ERR_CORRUPT;
        walk->times_us[i] = (uint32_t)sum;
    }
    return bytes.len == 0 ? 0 : ERR_CORRUPT;
}

static int take_run(struct stream_digest_walk *walk, struct stream_digest_item *ret_item)
{
    struct bytes head, bytes;
    int r = take(&walk->rest, RUN_HEAD - 1, &head);
    if (r < 0) return r;
    uint32_t count = le_get32(head.data);
    r = take(&walk->rest, le_get32(head.data + 4), &bytes);
    if (r < 0) return r;
    if (!walk->plain || count == 0 || count > RUN_MAX || count > bytes.len) return ERR_CORRUPT;
    uint64_t first_us = 0;
    r = take_times(walk, bytes, count, &first_us);
    if (r == 0) r = step(walk, 1, first_us);
    if (r < 0) return r;
    ret_item->record = walk->last;
    ret_item->count = count;
    ret_item->times_us = walk->times_us;
    return step(walk, count - 1, walk->times_us[count - 1]);
}

static int take_id(struct stream_digest_walk *walk, struct stream_id *ret_id)
{
    uint64_t seq = 0, time_ns = 0;
    struct bytes hash = {0};
    int r = take(&walk->rest, 16, &hash);
    if (r == 0) r = stream_number_get(&walk->rest, &seq);
    if (r == 0) r = stream_number_get(&walk->rest, &time_ns);
    if (r < 0) return r;
    walk->ids--;
    walk->id.hash[0] = le_get64(hash.data);
    walk->id.hash[1] = le_get64(hash.data + 8);
    walk->id.seq += seq;
    walk->id.time_ns += time_ns;
    *ret_id = walk->id;
    return walk->id.seq ? 0 : ERR_CORRUPT;
}

static int take_last_id(struct stream_digest_walk *walk, struct stream_digest_item *ret_item)
{
    ret_item->kind = STREAM_DIGEST_LAST_ID;
    int r = stream_number_get(&walk->rest, &ret_item->id.seq);
    if (r == 0) r = stream_number_get(&walk->rest, &ret_item->id.time_ns);
    return r < 0 ? r : take_text(&walk->rest, &ret_item->text);
}

int stream_digest_next(struct stream_digest_walk *walk, struct stream_digest_item *ret_item)
{
    int r = 0;
    ret_item->kind = STREAM_DIGEST_RECORD;
    ret_item->count = 1;
    while (r == 0) {
        if (walk->ids > 0) {
            ret_item->kind = STREAM_DIGEST_ID;
            r = take_id(walk, &ret_item->id);
            return r < 0 ? r : 1;
        }
        if (walk->rest.len == 0) return 0;
        char tag = walk->rest.data[0];
        walk->rest = bytes_skip(walk->rest, 1);
        switch (tag) {
        case NAME: r = take_name(walk); continue;
        case IDS: r = stream_number_get(&walk->rest, &walk->ids); continue;
        case RECORD: r = take_record(walk, &ret_item->record); break;
        case PLAIN: r = take_plain(walk, 0, &ret_item->record); break;
        case IDENT: r = take_plain(walk, STREAM_FLAG_ID, &ret_item->record); break;
        case RUN:
            ret_item->kind = STREAM_DIGEST_RUN;
            r = take_run(walk, ret_item);
            break;
        case LAST_ID: r = take_last_id(walk, ret_item); break;
        default: return ERR_CORRUPT;
        }
        return r < 0 ? r : 1;
    }
    return r;
}
