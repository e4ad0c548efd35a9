/* What answers a durable publication: whatever is taken for one, a reader of any JSON reads as the
 * same. */
#include "wire/puback.h"

#include <assert.h>
#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void same_text(const char *ours, size_t room, const json_t *theirs)
{
    struct bytes all = bytes_make(json_string_value(theirs), json_string_length(theirs));
    size_t len = strlen(ours);
    assert(len < room && bytes_starts(all, bytes_make(ours, len)));
    assert(len == all.len || len + 4 >= room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct puback ack;
    json_error_t why;
    if (puback_parse(bytes_make(data, size), &ack) != 0) {
        assert(!ack.code && !ack.seq && !ack.stream[0] && !ack.description[0]);
        return 0;
    }
    assert(ack.code || (ack.seq && ack.stream[0]));
    json_t *json = json_loadb((const char *)data, size, 0, &why);
    if (!json) {
        assert(json_error_code(&why) == json_error_numeric_overflow);
        return 0;
    }
    const json_t *error = json_object_get(json, "error");
    assert(json_is_object(json) && !error == !ack.code);
    if (ack.stream[0]) same_text(ack.stream, sizeof ack.stream, json_object_get(json, "stream"));
    assert(ack.seq == (uint64_t)json_integer_value(json_object_get(json, "seq")));
    assert(ack.duplicate == json_is_true(json_object_get(json, "duplicate")));
    assert(ack.err_code == json_integer_value(json_object_get(error, "err_code")));
    if (ack.description[0])
        same_text(ack.description, sizeof ack.description, json_object_get(error, "description"));
    json_decref(json);
    return 0;
}
