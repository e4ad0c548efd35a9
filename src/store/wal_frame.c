#include "store/wal_frame.h"

#include "base/le.h"

#include <xxhash.h>

enum { HEADER = 64, HEADER_COPY = WAL_BLOCK / 2 };

static const char magic[8] = {'d', 'u', 'r', 'e', 'w', 'a', 'l', '1'};

static uint64_t hash(const char *data, size_t len, uint64_t seed)
{
    return XXH3_64bits_withSeed(data, len, seed);
}

static size_t padded(size_t len)
{
    return (len + 7) & ~(size_t)7;
}

void wal_header_encode(const struct wal_header *header, char ret_block[WAL_BLOCK])
{
    memset(ret_block, 0, WAL_BLOCK);
    memcpy(ret_block, magic, sizeof magic);
    le_put64(ret_block + 8, header->salt);
    le_put64(ret_block + 16, header->generation);
    le_put64(ret_block + 24, header->replay_from);
    le_put64(ret_block + 32, header->size);
    le_put64(ret_block + HEADER - 8, hash(ret_block, HEADER - 8, 0));
    memcpy(ret_block + HEADER_COPY, ret_block, HEADER);
}

static int header_decode(const char *at, struct wal_header *ret_header)
{
    if (memcmp(at, magic, sizeof magic) != 0) return ERR_CORRUPT;
    if (le_get64(at + HEADER - 8) != hash(at, HEADER - 8, 0)) return ERR_CORRUPT;
    *ret_header = (struct wal_header){
        .salt = le_get64(at + 8),
        .generation = le_get64(at + 16),
        .replay_from = le_get64(at + 24),
        .size = le_get64(at + 32),
    };
    bool sound = ret_header->generation > 0 && ret_header->replay_from > 0 &&
                 ret_header->replay_from <= ret_header->generation &&
                 ret_header->size % WAL_BLOCK == 0 && ret_header->size > 2 * WAL_BLOCK;
    return sound ? 0 : ERR_CORRUPT;
}

/* The second copy is for a file whose first has rotted. Where they differ a write was torn, and
 * counts: the older copy may be overwritten alone by the next one that is, and the newer one must
 * not come up then for the first time. */
int wal_header_decode(const char block[WAL_BLOCK], struct wal_header *ret_header)
{
    struct wal_header copy;
    int r = header_decode(block, ret_header);
    if (header_decode(block + HEADER_COPY, &copy) < 0) return r;
    if (r < 0 || copy.generation > ret_header->generation) *ret_header = copy;
    return 0;
}

void wal_frame_seal(char *frame, const struct wal_head *head, uint64_t salt)
{
    memset(frame, 0, WAL_HEAD);
    memset(frame + head->length, 0, (size_t)head->blocks * WAL_BLOCK - head->length);
    le_put64(frame + 8, hash(frame + WAL_HEAD, head->length - WAL_HEAD, salt));
    le_put64(frame + 16, head->number);
    le_put64(frame + 24, head->acked);
    le_put64(frame + 32, head->first);
    le_put64(frame + 40, head->replay_from);
    le_put32(frame + 48, head->length);
    le_put32(frame + 52, head->blocks);
    le_put32(frame + 56, head->end);
    /* Another seed than the body's, or a body could be made to look like a head. */
    le_put64(frame, hash(frame + 8, WAL_HEAD - 8, ~salt));
}

int wal_head_decode(const char *at, uint64_t salt, struct wal_head *ret_head)
{
    *ret_head = (struct wal_head){
        .number = le_get64(at + 16),
        .acked = le_get64(at + 24),
        .first = le_get64(at + 32),
        .replay_from = le_get64(at + 40),
        .length = le_get32(at + 48),
        .blocks = le_get32(at + 52),
        .end = le_get32(at + 56) != 0,
    };
    if (ret_head->number == 0) return ERR_CORRUPT; /* a cheap way past zeros */
    if (le_get64(at) != hash(at + 8, WAL_HEAD - 8, ~salt)) return ERR_CORRUPT;
    bool sound = ret_head->length >= WAL_HEAD &&
                 ret_head->length <= (uint64_t)ret_head->blocks * WAL_BLOCK &&
                 ret_head->first <= ret_head->number && ret_head->acked <= ret_head->number;
    return sound ? 0 : ERR_CORRUPT;
}

int wal_frame_check(const char *frame, const struct wal_head *head, uint64_t salt)
{
    uint64_t found = hash(frame + WAL_HEAD, head->length - WAL_HEAD, salt);
    return le_get64(frame + 8) == found ? 0 : ERR_CORRUPT;
}

size_t wal_extent_size(size_t name_len, size_t data_len)
{
    return WAL_EXTENT + padded(name_len) + padded(data_len);
}

/* Returns where the padding ends. */
static char *put_padded(char *at, struct bytes bytes)
{
    size_t size = padded(bytes.len);
    memcpy(at, bytes.data, bytes.len);
    memset(at + bytes.len, 0, size - bytes.len);
    return at + size;
}

char *wal_extent_encode(char *at, const struct wal_extent *extent)
{
    le_put32(at, (uint32_t)extent->name.len);
    le_put32(at + 4, extent->kind);
    le_put64(at + 8, extent->segment);
    le_put64(at + 16, extent->salt);
    le_put64(at + 24, extent->offset);
    le_put64(at + 32, extent->length);
    at = put_padded(at + WAL_EXTENT, extent->name);
    return wal_extent_is_inline(extent) ? put_padded(at, extent->data) : at;
}

int wal_extent_next(struct bytes *body, struct wal_extent *ret_extent)
{
    if (body->len == 0) return 0;
    if (body->len < WAL_EXTENT) return ERR_CORRUPT;
    const char *at = body->data;
    size_t name_len = le_get32(at);
    *ret_extent = (struct wal_extent){
        .segment = le_get64(at + 8),
        .salt = le_get64(at + 16),
        .offset = le_get64(at + 24),
        .length = le_get64(at + 32),
        .kind = le_get32(at + 4),
    };
    if (le_get32(at + 4) >= WAL_EXTENT_KINDS) return ERR_CORRUPT;
    *body = bytes_skip(*body, WAL_EXTENT);
    if (name_len == 0 || name_len > WAL_NAME_MAX || padded(name_len) > body->len) {
        return ERR_CORRUPT;
    }
    ret_extent->name = bytes_head(*body, name_len);
    *body = bytes_skip(*body, padded(name_len));
    if (ret_extent->offset > INT64_MAX || ret_extent->length > INT64_MAX) return ERR_CORRUPT;
    if (!wal_extent_is_inline(ret_extent)) return 1;
    if (ret_extent->length > body->len || padded((size_t)ret_extent->length) > body->len) {
        return ERR_CORRUPT;
    }
    ret_extent->data = bytes_head(*body, (size_t)ret_extent->length);
    *body = bytes_skip(*body, padded((size_t)ret_extent->length));
    return 1;
}
