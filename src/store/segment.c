#include "store/segment.h"

#include "base/le.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <xxhash.h>

enum { WINDOW_SIZE = 256 << 10 };

static const char magic[8] = {'d', 'u', 'r', 'e', 's', 'e', 'g', '1'};

static uint64_t hash(const char *data, size_t len, uint64_t salt)
{
    return XXH3_64bits_withSeed(data, len, salt);
}

void segment_header_encode(const struct segment_header *header, char ret_bytes[SEGMENT_HEADER])
{
    memset(ret_bytes, 0, SEGMENT_HEADER);
    memcpy(ret_bytes, magic, sizeof magic);
    le_put64(ret_bytes + 8, header->salt);
    le_put64(ret_bytes + 16, header->first_seq);
    le_put64(ret_bytes + 56, hash(ret_bytes, 56, 0));
}

int segment_header_decode(const char bytes[SEGMENT_HEADER], struct segment_header *ret_header)
{
    if (memcmp(bytes, magic, sizeof magic) != 0) return ERR_CORRUPT;
    if (le_get64(bytes + 56) != hash(bytes, 56, 0)) return ERR_CORRUPT;
    *ret_header = (struct segment_header){le_get64(bytes + 8), le_get64(bytes + 16)};
    return ret_header->first_seq > 0 ? 0 : ERR_CORRUPT;
}

void segment_mark_encode(const struct segment_mark *mark, uint64_t salt,
                         char ret_bytes[SEGMENT_MARK])
{
    memset(ret_bytes, 0, SEGMENT_MARK);
    le_put64(ret_bytes + 8, mark->next_seq);
    le_put64(ret_bytes + 16, mark->offset);
    le_put64(ret_bytes, hash(ret_bytes + 8, SEGMENT_MARK - 8, salt));
}

int segment_mark_decode(const char bytes[SEGMENT_MARK], uint64_t salt,
                        struct segment_mark *ret_mark)
{
    *ret_mark = (struct segment_mark){0};
    if (le_get64(bytes) != hash(bytes + 8, SEGMENT_MARK - 8, salt)) return ERR_CORRUPT;
    *ret_mark = (struct segment_mark){le_get64(bytes + 8), le_get64(bytes + 16)};
    return 0;
}

void segment_name(uint64_t first_seq, char ret_name[SEGMENT_NAME])
{
    snprintf(ret_name, SEGMENT_NAME, "%020" PRIu64 ".seg", first_seq);
}

bool segment_name_parse(const char *name, uint64_t *ret_first_seq)
{
    struct bytes text = bytes_str(name);
    if (text.len != SEGMENT_NAME - 1 || !bytes_ends(text, BYTES(".seg"))) return false;
    return bytes_to_u64(bytes_head(text, 20), UINT64_MAX, ret_first_seq) == 0;
}

/* Heads and payloads are hashed apart: otherwise a payload of 24 bytes, with its hash before it,
 * would pass for a head. */
static uint64_t hash_head(const char *at, uint64_t salt)
{
    return hash(at + 8, SEGMENT_RECORD_HEADER - 8, ~salt);
}

void segment_record_begin(char *at, uint64_t seq, uint32_t payload_len)
{
    size_t used = SEGMENT_RECORD_HEADER + payload_len;
    memset(at, 0, SEGMENT_RECORD_HEADER);
    memset(at + used, 0, segment_record_size(payload_len) - used);
    le_put64(at + 8, seq);
    le_put32(at + 16, payload_len);
}

void segment_record_seal(char *at, uint64_t salt, uint32_t unsynced)
{
    le_put32(at + 20, unsynced);
    le_put64(at + 24, hash(at + SEGMENT_RECORD_HEADER, le_get32(at + 16), salt));
    le_put64(at, hash_head(at, salt));
}

void segment_record_peek(const char *at, struct segment_record *ret_record)
{
    uint32_t len = le_get32(at + 16);
    *ret_record = (struct segment_record){
        .seq = le_get64(at + 8),
        .hash = le_get64(at),
        .unsynced = le_get32(at + 20),
        .payload = {at + SEGMENT_RECORD_HEADER, len},
        .size = segment_record_size(len),
    };
}

int segment_record_head(const char *at, uint64_t salt, struct segment_record *ret_record)
{
    segment_record_peek(at, ret_record);
    /* Sequence 0 is never given out: a cheap way past zeros. */
    if (ret_record->seq == 0) return ERR_CORRUPT;
    return le_get64(at) == hash_head(at, salt) ? 0 : ERR_CORRUPT;
}

int64_t segment_record_decode(struct bytes bytes, uint64_t salt, size_t payload_max,
                              struct segment_record *ret_record, size_t *ret_need)
{
    *ret_need = SEGMENT_RECORD_HEADER;
    if (bytes.len < SEGMENT_RECORD_HEADER) return 0;
    if (segment_record_head(bytes.data, salt, ret_record) < 0) return ERR_CORRUPT;
    if (ret_record->payload.len > payload_max) return ERR_CORRUPT;
    *ret_need = ret_record->size;
    if (bytes.len < ret_record->size) return 0;
    struct bytes payload = ret_record->payload;
    if (le_get64(bytes.data + 24) != hash(payload.data, payload.len, salt)) return ERR_CORRUPT;
    return (int64_t)ret_record->size;
}

/* ---- scanning ---- */

/* Makes `need` bytes from `offset` on readable in the window, fewer only at the end of the file. */
static int window_fill(struct segment_scan *scan, uint64_t offset, size_t need,
                       struct bytes *ret_bytes)
{
    uint64_t end = scan->window_offset + scan->window_len;
    bool inside = offset >= scan->window_offset && offset <= end;
    if (!inside || (end - offset < need && end < scan->size)) {
        if (need > scan->window_size) {
            char *window = realloc(scan->window, need);
            if (!window) return ERR_NOMEM;
            scan->window = window;
            scan->window_size = need;
        }
        int64_t n = scan->read(scan->context, scan->window, scan->window_size, offset);
        if (n < 0) return (int)n;
        scan->window_offset = offset;
        scan->window_len = (size_t)n;
    }
    size_t skip = (size_t)(offset - scan->window_offset);
    *ret_bytes = bytes_make(scan->window + skip, scan->window_len - skip);
    return 0;
}

int segment_scan_init(struct segment_scan *scan, segment_read *read, void *context, uint64_t size,
                      uint64_t first_seq, size_t payload_max)
{
    *scan = (struct segment_scan){
        .read = read,
        .context = context,
        .size = size,
        .offset = SEGMENT_HEADER,
        .settled_offset = SEGMENT_HEADER,
        .next_seq = first_seq,
        .payload_max = payload_max,
        .window_size = WINDOW_SIZE,
        .window = malloc(WINDOW_SIZE),
    };
    if (!scan->window) return ERR_NOMEM;
    int64_t n = scan->read(context, scan->window, SEGMENT_HEADER, 0);
    if (n < SEGMENT_HEADER) return n < 0 ? (int)n : ERR_CORRUPT;
    scan->window_len = SEGMENT_HEADER;
    int r = segment_header_decode(scan->window, &scan->header);
    if (r < 0) return r;
    if (scan->header.first_seq != first_seq) return ERR_CORRUPT;
    (void)segment_mark_decode(scan->window + SEGMENT_MARK_AT, scan->header.salt, &scan->mark);
    return 0;
}

void segment_scan_release(struct segment_scan *scan)
{
    free(scan->window);
    scan->window = NULL;
}

void segment_scan_skip(struct segment_scan *scan, uint64_t next_seq, uint64_t offset)
{
    scan->next_seq = next_seq;
    scan->offset = scan->settled_offset = offset;
}

int segment_scan_next(struct segment_scan *scan, struct segment_record *ret_record)
{
    size_t need = SEGMENT_RECORD_HEADER;
    for (;;) {
        struct bytes bytes = {0};
        int r = window_fill(scan, scan->offset, need, &bytes);
        if (r < 0) return r;
        int64_t n =
            segment_record_decode(bytes, scan->header.salt, scan->payload_max, ret_record, &need);
        if (n < 0) return 0;
        if (n > 0) break;
        if (bytes.len >= need || scan->offset + need > scan->size) return 0;
        if (scan->window_offset == scan->offset && scan->window_len < need &&
            scan->window_len < scan->window_size) {
            return 0; /* the file ends earlier than its size says */
        }
    }
    if (ret_record->seq != scan->next_seq) return 0;
    if (ret_record->unsynced == 0) scan->settled_offset = scan->offset;
    scan->next_seq++;
    scan->offset += ret_record->size;
    if (scan->offset == scan->mark.offset) scan->settled_offset = scan->offset;
    return 1;
}

/* Whether a header at `at` vouches for the record where the good run ended. */
static bool vouches(const struct segment_scan *scan, const char *at)
{
    struct segment_record record;
    if (segment_record_head(at, scan->header.salt, &record) < 0) return false;
    return record.seq > scan->next_seq && record.seq - scan->next_seq > record.unsynced;
}

int segment_scan_tail(struct segment_scan *scan)
{
    int verdict = SEGMENT_TAIL_CLEAN;
    uint64_t offset = scan->offset;
    if (scan->mark.next_seq > scan->next_seq) return SEGMENT_TAIL_DAMAGED;
    for (;;) {
        struct bytes bytes = {0};
        int r = window_fill(scan, offset, SEGMENT_RECORD_HEADER, &bytes);
        if (r < 0) return r;
        if (bytes.len == 0) return verdict;
        size_t at = 0;
        for (; at < bytes.len; at += 8) {
            size_t left = bytes.len - at;
            static const char zeros[8];
            if (memcmp(bytes.data + at, zeros, left < 8 ? left : 8) == 0) continue;
            verdict = SEGMENT_TAIL_TORN;
            if (left < SEGMENT_RECORD_HEADER) {
                if (scan->window_offset + scan->window_len < scan->size) break; /* read on */
                continue;
            }
            if (vouches(scan, bytes.data + at)) return SEGMENT_TAIL_DAMAGED;
        }
        if (at == 0) return verdict;
        offset += at;
    }
}
