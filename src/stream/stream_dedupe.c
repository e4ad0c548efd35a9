#include "stream/stream_dedupe.h"

#include "base/err.h"
#include "base/le.h"

#include <stdlib.h>
#include <xxhash.h>

enum { FIRST_ROOM = 256, ID_BYTES = 32, LAST_ID_MAX = 64 << 10 };

void stream_dedupe_init(struct stream_dedupe *dedupe)
{
    *dedupe = (struct stream_dedupe){0};
    buf_init(&dedupe->last_id, LAST_ID_MAX);
}

void stream_dedupe_release(struct stream_dedupe *dedupe)
{
    free(dedupe->ring);
    free(dedupe->table);
    buf_release(&dedupe->last_id);
    stream_dedupe_init(dedupe);
}

static struct stream_id *at(const struct stream_dedupe *dedupe, uint64_t number)
{
    return &dedupe->ring[number & (dedupe->room - 1)];
}

/* ---- the table: open addressing, linear probing ---- */

/* Other bits of the hash than those that choose the slot: two ids are compared only when these are
 * alike, which saves a visit to the ring. */
static uint64_t entry_of(const uint64_t hash[2], uint64_t index)
{
    return hash[1] << 32 | (uint32_t)(index + 1);
}

static struct stream_id *id_of(const struct stream_dedupe *dedupe, uint64_t entry)
{
    return &dedupe->ring[(uint32_t)entry - 1];
}

static size_t slot_of(const struct stream_dedupe *dedupe, const uint64_t hash[2])
{
    size_t mask = dedupe->table_size - 1, slot = hash[0] & mask;
    for (uint64_t entry; (entry = dedupe->table[slot]); slot = (slot + 1) & mask) {
        if (entry >> 32 != (uint32_t)hash[1]) continue;
        const struct stream_id *id = id_of(dedupe, entry);
        if (id->hash[0] == hash[0] && id->hash[1] == hash[1]) break;
    }
    return slot;
}

/* Takes a slot out and moves those behind it up, so that no probe ends too early. */
static void free_slot(struct stream_dedupe *dedupe, size_t slot)
{
    size_t mask = dedupe->table_size - 1, hole = slot;
    for (size_t i = (hole + 1) & mask; dedupe->table[i]; i = (i + 1) & mask) {
        size_t home = id_of(dedupe, dedupe->table[i])->hash[0] & mask;
        if (((i - home) & mask) < ((i - hole) & mask)) continue;
        dedupe->table[hole] = dedupe->table[i];
        hole = i;
    }
    dedupe->table[hole] = 0;
}

/* An id that was outside the window, but is still there, gives way to the newer one. */
static void list(struct stream_dedupe *dedupe, uint64_t number)
{
    struct stream_id *id = at(dedupe, number);
    size_t slot = slot_of(dedupe, id->hash);
    if (dedupe->table[slot]) id_of(dedupe, dedupe->table[slot])->seq = 0;
    dedupe->table[slot] = entry_of(id->hash, number & (dedupe->room - 1));
}

/* Brings the table up to date. Slots lie anywhere in it: they are asked for in advance. */
static void list_all(struct stream_dedupe *dedupe)
{
    enum { AHEAD = 16 };
    size_t mask = dedupe->table_size - 1;
    for (; dedupe->listed < dedupe->end; dedupe->listed++) {
        if (dedupe->listed + AHEAD < dedupe->end) {
            const struct stream_id *coming = at(dedupe, dedupe->listed + AHEAD);
            __builtin_prefetch(&dedupe->table[coming->hash[0] & mask], 1);
        }
        if (at(dedupe, dedupe->listed)->seq) list(dedupe, dedupe->listed);
    }
}

static void forget(struct stream_dedupe *dedupe, struct stream_id *id)
{
    if (id->seq) free_slot(dedupe, slot_of(dedupe, id->hash));
    id->seq = 0;
}

static int grow(struct stream_dedupe *dedupe)
{
    size_t room = dedupe->room ? dedupe->room * 2 : FIRST_ROOM;
    struct stream_id *ring = calloc(room, sizeof *ring);
    uint64_t *table = calloc(room * 2, sizeof *table);
    if (!ring || !table) {
        free(ring);
        free(table);
        return ERR_NOMEM;
    }
    struct stream_dedupe old = *dedupe;
    dedupe->ring = ring;
    dedupe->table = table;
    dedupe->room = room;
    dedupe->table_size = room * 2;
    dedupe->listed = old.start;
    for (uint64_t number = old.start; number < old.end; number++)
        *at(dedupe, number) = *at(&old, number);
    free(old.ring);
    free(old.table);
    return 0;
}

static void hash_of(struct bytes id, uint64_t ret_hash[2])
{
    XXH128_hash_t hash = XXH3_128bits(id.data, id.len);
    ret_hash[0] = hash.low64;
    ret_hash[1] = hash.high64;
}

/* ---- the window ---- */

void stream_dedupe_expire(struct stream_dedupe *dedupe, uint64_t before_ns)
{
    list_all(dedupe);
    while (dedupe->start < dedupe->end) {
        struct stream_id *oldest = at(dedupe, dedupe->start);
        if (oldest->seq && oldest->time_ns >= before_ns) return;
        forget(dedupe, oldest);
        dedupe->start++;
    }
}

uint64_t stream_dedupe_find(struct stream_dedupe *dedupe, struct bytes id)
{
    uint64_t hash[2];
    if (!dedupe->room) return 0;
    hash_of(id, hash);
    list_all(dedupe);
    uint64_t found = dedupe->table[slot_of(dedupe, hash)];
    return found ? id_of(dedupe, found)->seq : 0;
}

int stream_dedupe_add_hash(struct stream_dedupe *dedupe, const struct stream_id *id)
{
    if (dedupe->end - dedupe->start == dedupe->room) {
        int r = dedupe->room < STREAM_DEDUPE_MAX ? grow(dedupe) : 0;
        if (r < 0) return r;
        if (dedupe->end - dedupe->start == dedupe->room) {
            list_all(dedupe);
            forget(dedupe, at(dedupe, dedupe->start++));
            dedupe->forgotten++;
        }
    }
    *at(dedupe, dedupe->end++) = *id;
    return 0;
}

void stream_dedupe_set_last(struct stream_dedupe *dedupe, struct bytes id, uint64_t seq)
{
    buf_clear(&dedupe->last_id);
    buf_append(&dedupe->last_id, id);
    dedupe->last_id_seq = seq;
}

int stream_dedupe_add(struct stream_dedupe *dedupe, struct bytes id, uint64_t seq, uint64_t time_ns)
{
    struct stream_id noted = {.seq = seq, .time_ns = time_ns};
    hash_of(id, noted.hash);
    stream_dedupe_set_last(dedupe, id, seq);
    return stream_dedupe_add_hash(dedupe, &noted);
}

void stream_dedupe_remove(struct stream_dedupe *dedupe, struct bytes id, uint64_t seq)
{
    uint64_t hash[2];
    if (!dedupe->room) return;
    hash_of(id, hash);
    list_all(dedupe);
    uint64_t found = dedupe->table[slot_of(dedupe, hash)];
    if (found && id_of(dedupe, found)->seq == seq) forget(dedupe, id_of(dedupe, found));
    if (dedupe->last_id_seq == seq) buf_clear(&dedupe->last_id);
}

void stream_dedupe_skip(struct stream_dedupe *dedupe, uint64_t last_seq, uint64_t to_seq)
{
    if (dedupe->last_id_seq == last_seq) dedupe->last_id_seq = to_seq;
}

/* ---- as bytes: last_id_len:8 last_id count:8 (hash:16 seq:8 time_ns:8)* ---- */

static void put64(struct buf *out, uint64_t value)
{
    char bytes[8];
    le_put64(bytes, value);
    buf_append(out, bytes_make(bytes, sizeof bytes));
}

static int get64(struct bytes *rest, uint64_t *ret)
{
    if (rest->len < 8) return ERR_CORRUPT;
    *ret = le_get64(rest->data);
    *rest = bytes_skip(*rest, 8);
    return 0;
}

void stream_dedupe_encode(const struct stream_dedupe *dedupe, uint64_t last_seq, struct buf *out)
{
    uint64_t count = 0;
    struct bytes last_id = buf_bytes(&dedupe->last_id);
    if (dedupe->last_id_seq > last_seq) last_id = BYTES("");
    put64(out, last_id.len);
    buf_append(out, last_id);
    for (uint64_t number = dedupe->start; number < dedupe->end; number++) {
        uint64_t seq = at(dedupe, number)->seq;
        if (seq && seq <= last_seq) count++;
    }
    put64(out, count);
    for (uint64_t number = dedupe->start; number < dedupe->end; number++) {
        const struct stream_id *id = at(dedupe, number);
        if (!id->seq || id->seq > last_seq) continue;
        put64(out, id->hash[0]);
        put64(out, id->hash[1]);
        put64(out, id->seq);
        put64(out, id->time_ns);
    }
}

int stream_dedupe_decode(struct stream_dedupe *dedupe, struct bytes *rest)
{
    uint64_t len, count;
    int r = get64(rest, &len);
    if (r == 0 && len > rest->len) r = ERR_CORRUPT;
    if (r < 0) return r;
    buf_append(&dedupe->last_id, bytes_head(*rest, (size_t)len));
    *rest = bytes_skip(*rest, (size_t)len);
    r = get64(rest, &count);
    if (r == 0 && count > rest->len / ID_BYTES) r = ERR_CORRUPT;
    for (uint64_t i = 0; r == 0 && i < count; i++) {
        struct stream_id id;
        r = get64(rest, &id.hash[0]);
        if (r == 0) r = get64(rest, &id.hash[1]);
        if (r == 0) r = get64(rest, &id.seq);
        if (r == 0) r = get64(rest, &id.time_ns);
        if (r == 0 && id.seq == 0) r = ERR_CORRUPT;
        if (r == 0) r = stream_dedupe_add_hash(dedupe, &id);
    }
    return r;
}
