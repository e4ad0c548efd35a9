/* A backup from arbitrary bytes, which come in two pieces. */
#include "jetstream/backup.h"

#include <assert.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_file(struct bytes content)
{
    struct stream_message message;
    uint64_t last;
    (void)backup_read_meta(content, &last);
    size_t left = content.len;
    while (backup_read_message(&content, &message) > 0) {
        assert(content.len < left);
        left = content.len;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct backup_reader reader;
    struct bytes all = bytes_make(data, size), content;
    size_t first = size ? data[0] * size / 256 : 0;
    backup_reader_init(&reader);
    int r = backup_reader_feed(&reader, bytes_head(all, first));
    while (r == 0 && (r = backup_reader_next(&reader, &content)) > 0) {
        read_file(content);
        r = 0;
    }
    if (r == 0) r = backup_reader_feed(&reader, bytes_skip(all, first));
    while (r == 0 && (r = backup_reader_next(&reader, &content)) > 0) {
        read_file(content);
        r = 0;
    }
    backup_reader_release(&reader);
    return 0;
}
