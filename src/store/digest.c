#include "store/digest.h"

#include "base/le.h"

#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

enum { POINT = 8 };

static const char magic[4] = {'d', 'i', 'g', '1'};

void digest_name(uint64_t first_seq, char ret_name[DIGEST_NAME])
{
    snprintf(ret_name, DIGEST_NAME, "%020" PRIu64 ".dig", first_seq);
}

bool digest_name_parse(const char *name, uint64_t *ret_first_seq)
{
    struct bytes text = bytes_str(name);
    if (text.len != DIGEST_NAME - 1 || !bytes_ends(text, BYTES(".dig"))) return false;
    return bytes_to_u64(bytes_head(text, 20), UINT64_MAX, ret_first_seq) == 0;
}

static uint64_t hash_of(struct bytes chunk, uint64_t salt)
{
    return XXH3_64bits_withSeed(chunk.data + 8, chunk.len - 8, salt);
}

void digest_begin(struct buf *out, const struct segment_point *points, size_t count)
{
    char *at = buf_reserve(out, DIGEST_HEAD + count * POINT);
    if (!at) return;
    memset(at, 0, DIGEST_HEAD);
    at += DIGEST_HEAD;
    for (size_t i = 0; i < count; i++, at += POINT) {
        le_put32(at, points[i].index);
        le_put32(at + 4, points[i].offset);
    }
    buf_commit(out, DIGEST_HEAD + count * POINT);
}

void digest_end(struct buf *out, const struct digest_chunk *chunk, uint64_t salt)
{
    struct bytes bytes = buf_bytes(out);
    if (bytes.len > UINT32_MAX) out->failed = true;
    if (out->failed) return;
    char *head = out->data + out->start;
    memcpy(head + 8, magic, sizeof magic);
    le_put32(head + 12, (uint32_t)bytes.len);
    le_put64(head + 16, chunk->first);
    le_put32(head + 24, chunk->count);
    le_put32(head + 28, chunk->point_count);
    le_put64(head + 32, chunk->offset);
    le_put64(head + 40, chunk->end);
    le_put64(head + 48, chunk->last_offset);
    le_put64(head + 56, chunk->last_hash);
    le_put64(head, hash_of(bytes, salt));
}

/* What can be said of a chunk without its segment. */
static bool makes_sense(const struct digest_chunk *chunk)
{
    if (chunk->first == 0 || chunk->count == 0) return false;
    if (chunk->first > UINT64_MAX - chunk->count) return false;
    if (chunk->offset > chunk->last_offset || chunk->last_offset >= chunk->end) return false;
    return chunk->end <= UINT32_MAX;
}

int64_t digest_decode(struct bytes bytes, uint64_t salt, struct digest_chunk *ret_chunk)
{
    if (bytes.len < DIGEST_HEAD) return ERR_CORRUPT;
    const char *head = bytes.data;
    uint32_t len = le_get32(head + 12);
    if (memcmp(head + 8, magic, sizeof magic) != 0) return ERR_CORRUPT;
    if (len < DIGEST_HEAD || len > bytes.len) return ERR_CORRUPT;
    bytes = bytes_head(bytes, len);
    if (le_get64(head) != hash_of(bytes, salt)) return ERR_CORRUPT;
    *ret_chunk = (struct digest_chunk){
        .first = le_get64(head + 16),
        .count = le_get32(head + 24),
        .point_count = le_get32(head + 28),
        .offset = le_get64(head + 32),
        .end = le_get64(head + 40),
        .last_offset = le_get64(head + 48),
        .last_hash = le_get64(head + 56),
        .points = head + DIGEST_HEAD,
    };
    bytes = bytes_skip(bytes, DIGEST_HEAD);
    if (ret_chunk->point_count > bytes.len / POINT) return ERR_CORRUPT;
    ret_chunk->said = bytes_skip(bytes, (size_t)ret_chunk->point_count * POINT);
    return makes_sense(ret_chunk) ? (int64_t)len : ERR_CORRUPT;
}

struct segment_point digest_point(const struct digest_chunk *chunk, uint32_t i)
{
    const char *at = chunk->points + (size_t)i * POINT;
    return (struct segment_point){le_get32(at), le_get32(at + 4)};
}
