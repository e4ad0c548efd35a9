/* A digest file's chunk from arbitrary bytes. An odd first byte has it sealed first, so that what
 * is behind the hash is read too. */
#include "store/digest.h"

#include <assert.h>
#include <stdlib.h>

#include <xxhash.h>

#include "base/le.h"

enum { SALT = 0x5eed };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) return 0;
    char *bytes = malloc(len); /* so that one byte too many is seen */
    assert(bytes);
    memcpy(bytes, data + 1, len - 1);
    size_t size = len - 1;
    if ((data[0] & 1) && size >= DIGEST_HEAD) {
        memcpy(bytes + 8, "dig1", 4);
        le_put32(bytes + 12, (uint32_t)size);
        le_put64(bytes, XXH3_64bits_withSeed(bytes + 8, size - 8, SALT));
    }
    struct digest_chunk chunk;
    int64_t used = digest_decode(bytes_make(bytes, size), SALT, &chunk);
    if (used > 0) {
        assert((size_t)used <= size && chunk.count > 0 && chunk.last_offset < chunk.end);
        assert(chunk.said.data + chunk.said.len == bytes + used);
        for (uint32_t i = 0; i < chunk.point_count; i++) (void)digest_point(&chunk, i);
    }
    free(bytes);
    return 0;
}
