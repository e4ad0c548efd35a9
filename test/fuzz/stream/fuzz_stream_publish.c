/* What comes from publishers and from those who configure: headers, durations, mappings, ids. */
#include "bus/subject.h"
#include "stream/stream_dedupe.h"
#include "stream/stream_headers.h"
#include "stream/stream_mapper.h"
#include "stream/stream_schema.h"

#include <assert.h>
#include <stdlib.h>

static void headers(struct bytes bytes)
{
    struct stream_headers read;
    uint64_t ns;
    if (stream_headers_read(bytes, &read) == 0 && read.has_ttl && !read.bad_ttl) {
        assert(read.ttl_ns >= 1000000000);
    }
    if (stream_duration_parse(bytes, &ns) == 0) assert(ns <= INT64_MAX);
}

/* source '\n' destination '\n' subject */
static void mapping(struct bytes bytes)
{
    char out[128];
    size_t len;
    const char *why = NULL;
    struct stream_mapper *mapper;
    struct bytes src = bytes_cut(&bytes, '\n'), dest = bytes_cut(&bytes, '\n');
    if (stream_mapper_new(src, dest, &mapper, &why) < 0) {
        assert(why);
        return;
    }
    if (bytes.data && subject_is_literal(bytes) &&
        stream_mapper_map(mapper, bytes, out, sizeof out, &len) == 0) {
        assert(len <= sizeof out && subject_is_literal(bytes_make(out, len)));
    }
    stream_mapper_free(mapper);
}

static void ids(struct bytes bytes)
{
    struct stream_dedupe dedupe, copy;
    struct buf out;
    stream_dedupe_init(&dedupe);
    stream_dedupe_init(&copy);
    buf_init(&out, SIZE_MAX);
    if (stream_dedupe_decode(&dedupe, &bytes) == 0) {
        stream_dedupe_encode(&dedupe, UINT64_MAX, &out);
        struct bytes rest = buf_bytes(&out);
        assert(stream_dedupe_decode(&copy, &rest) == 0 && rest.len == 0);
    }
    buf_release(&out);
    stream_dedupe_release(&dedupe);
    stream_dedupe_release(&copy);
}

/* schema '\n' document */
static void schema(struct bytes bytes)
{
    char why[STREAM_SCHEMA_TEXT];
    struct stream_schema *made;
    struct bytes text = bytes_cut(&bytes, '\n');
    if (stream_schema_new(text, &made, why) < 0) {
        assert(memchr(why, 0, sizeof why));
        return;
    }
    if (stream_schema_check(made, BYTES("a.b"), bytes, why) < 0) assert(memchr(why, 0, sizeof why));
    stream_schema_free(made);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0) return 0;
    char *copy = malloc(len); /* so that one byte too many is seen */
    assert(copy);
    memcpy(copy, data + 1, len - 1);
    struct bytes bytes = bytes_make(copy, len - 1);
    switch (data[0] % 4) {
    case 0: headers(bytes); break;
    case 1: mapping(bytes); break;
    case 3: schema(bytes); break;
    default: ids(bytes);
    }
    free(copy);
    return 0;
}
