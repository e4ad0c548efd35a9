/* Recovery from arbitrary bytes of a segment. The first byte says how they become a file:
 *   0: the file is the input; 1: a good header, then the input; else: the input is cut into
 * payloads of good records, and, if the second byte is odd, its last bytes say where the file is
 * damaged. */
#include "base/map.h"
#include "store/segment.h"

#include <assert.h>
#include <stdlib.h>

enum { SALT = 0x5eed, FIRST = 7, PAYLOAD_MAX = 1 << 16, RECORDS_MAX = 64 };

struct file {
    char *data;
    size_t len;
};

static int64_t read_file(void *context, void *buf, size_t size, uint64_t offset)
{
    const struct file *file = context;
    if (offset >= file->len) return 0;
    size_t n = file->len - (size_t)offset < size ? file->len - (size_t)offset : size;
    memcpy(buf, file->data + offset, n);
    return (int64_t)n;
}

/* Returns how many records there are, and where each one ends. */
static size_t build(const uint8_t *data, size_t len, char *at, size_t *ret_ends, size_t *ret_len)
{
    char *start = at;
    size_t count = 0;
    at += SEGMENT_HEADER;
    while (len > 0 && count < RECORDS_MAX) {
        size_t want = data[0], size = want < len - 1 ? want : len - 1;
        segment_record_begin(at, FIRST + count, (uint32_t)size);
        memcpy(at + SEGMENT_RECORD_HEADER, data + 1, size);
        segment_record_seal(at, SALT, (uint32_t)(count % 3));
        at += segment_record_size(size);
        ret_ends[count++] = (size_t)(at - start);
        data += 1 + size;
        len -= 1 + size;
    }
    *ret_len = (size_t)(at - start);
    return count;
}

static size_t scan(struct file *file, uint64_t first, size_t must_find)
{
    struct segment_scan scan;
    size_t found = 0;
    int r = segment_scan_init(&scan, read_file, file, file->len, first, PAYLOAD_MAX);
    if (r == 0) {
        struct segment_record record;
        while (segment_scan_next(&scan, &record) == 1) {
            assert(record.seq == first + found);
            assert(record.payload.len <= PAYLOAD_MAX);
            assert(record.payload.len == 0 || map_hash(record.payload) != 0); /* every byte */
            found++;
        }
        int tail = segment_scan_tail(&scan);
        assert(tail >= SEGMENT_TAIL_CLEAN && tail <= SEGMENT_TAIL_DAMAGED);
    }
    assert(found >= must_find);
    segment_scan_release(&scan);
    return found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len < 2) return 0;
    const struct segment_header header = {SALT, FIRST};
    struct file file = {malloc(SEGMENT_HEADER + len * 10 + RECORDS_MAX * 48), 0};
    size_t ends[RECORDS_MAX], must_find = 0;
    assert(file.data);
    segment_header_encode(&header, file.data);
    if (data[0] < 2) {
        size_t at = data[0] ? SEGMENT_HEADER : 0;
        memcpy(file.data + at, data + 1, len - 1);
        file.len = at + len - 1;
        (void)scan(&file, FIRST, 0);
    } else {
        must_find = build(data + 2, len - 2, file.data, ends, &file.len);
        if (data[1] % 2 && len > 5) {
            size_t place = (data[len - 1] | (size_t)data[len - 2] << 8) % file.len;
            file.data[place] ^= (char)(data[len - 3] | 1);
            size_t whole = 0;
            while (whole < must_find && ends[whole] <= place) whole++;
            /* Padding is not covered by a hash: then everything is found. */
            must_find = place < SEGMENT_HEADER ? 0 : whole;
        }
        (void)scan(&file, FIRST, must_find);
    }
    free(file.data);
    return 0;
}
