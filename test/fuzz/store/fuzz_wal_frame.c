/* The commit log's codecs on arbitrary bytes. The first byte says how they are used: 0: a header
 * block; 1: a frame as it is; else: the body of a frame that is sealed, so that extents are read.
 */
#include "store/wal_frame.h"

#include <assert.h>
#include <stdlib.h>

enum { SALT = 0x5eed };

static void read_extents(struct bytes body)
{
    struct wal_extent extent;
    size_t before = body.len;
    while (wal_extent_next(&body, &extent) > 0) {
        assert(body.len < before);
        before = body.len;
        assert(extent.name.len > 0 && extent.name.len <= WAL_NAME_MAX);
        assert(!wal_extent_is_inline(&extent) || extent.data.len == extent.length);
        /* What was read and is written again is the same. */
        size_t size = wal_extent_size(extent.name.len, extent.data.len);
        char *again = malloc(size);
        assert(again && wal_extent_encode(again, &extent) == again + size);
        struct bytes copy = bytes_make(again, size);
        struct wal_extent found;
        assert(wal_extent_next(&copy, &found) == 1 && copy.len == 0);
        assert(bytes_eq(found.name, extent.name) && bytes_eq(found.data, extent.data));
        free(again);
    }
}

static void read_frame(const char *frame, size_t size)
{
    struct wal_head head;
    if (wal_head_decode(frame, SALT, &head) < 0 || head.length > size) return;
    if (wal_frame_check(frame, &head, SALT) < 0) return;
    read_extents(bytes_make(frame + WAL_HEAD, head.length - WAL_HEAD));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2) return 0;
    size_t blocks = (WAL_HEAD + len) / WAL_BLOCK + 1;
    char *bytes = calloc(blocks, WAL_BLOCK);
    assert(bytes);
    struct wal_header header;
    memcpy(bytes + (data[0] > 1 ? WAL_HEAD : 0), data + 1, len - 1);
    if (data[0] == 0) {
        (void)wal_header_decode(bytes, &header);
    } else if (data[0] > 1) {
        const struct wal_head head = {.number = 1,
                                      .acked = 1,
                                      .first = 1,
                                      .length = (uint32_t)(WAL_HEAD + len - 1),
                                      .blocks = (uint32_t)blocks};
        wal_frame_seal(bytes, &head, SALT);
    }
    if (data[0] > 0) read_frame(bytes, blocks * WAL_BLOCK);
    free(bytes);
    return 0;
}
