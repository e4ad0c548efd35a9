#include "jetstream/ack_said.h"

#include <jansson.h>

enum { SEQUENCE_DIGITS = 19 }; /* no stream comes further than a signed number of 64 bits */

static bool unit_ns(struct bytes *rest, uint64_t *ret_ns)
{
    static const struct {
        const char *name;
        uint64_t ns;
    } units[] = {{"ns", 1},         {"us", 1000},       {"ms", 1000000},
                 {"s", 1000000000}, {"m", 60000000000}, {"h", 3600000000000}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (!bytes_starts(*rest, bytes_str(units[i].name))) continue;
        *rest = bytes_skip(*rest, strlen(units[i].name));
        *ret_ns = units[i].ns;
        return true;
    }
    return false;
}

/* "1h30m", "500ms"; 0 for what is none. */
static int64_t duration_ns(struct bytes text)
{
    uint64_t total = 0;
    while (text.len) {
        size_t len = 0;
        uint64_t number, unit;
        while (len < text.len && text.data[len] >= '0' && text.data[len] <= '9') len++;
        if (bytes_to_u64(bytes_head(text, len), INT32_MAX, &number) < 0) return 0;
        text = bytes_skip(text, len);
        if (!unit_ns(&text, &unit) || number > INT64_MAX / 4 / unit) return 0;
        total += number * unit;
        if (total > INT64_MAX / 4) return 0;
    }
    return (int64_t)total;
}

/* {"delay": ns}, or as Go writes durations. */
static int64_t delay_ns(struct bytes argument)
{
    argument = bytes_trim(argument);
    if (argument.len == 0) return 0;
    if (argument.data[0] != '{') return duration_ns(argument);
    json_t *object = json_loadb(argument.data, argument.len, 0, NULL);
    int64_t delay = json_integer_value(json_object_get(object, "delay"));
    json_decref(object);
    return delay > 0 ? delay : 0;
}

struct ack_said ack_said_read(struct bytes payload)
{
    struct ack_said said = {.kind = ACK_UNKNOWN};
    if (payload.len == 0 || bytes_eq(payload, BYTES("+ACK")) || bytes_eq(payload, BYTES("+OK"))) {
        said.kind = ACK_DONE;
    } else if (bytes_starts(payload, BYTES("+NXT"))) {
        said.kind = ACK_NEXT;
        said.argument = bytes_skip(payload, 4);
    } else if (bytes_starts(payload, BYTES("-NAK"))) {
        said.kind = ACK_NOT;
        said.delay_ns = delay_ns(bytes_skip(payload, 4));
    } else if (bytes_eq(payload, BYTES("+WPI"))) {
        said.kind = ACK_PROGRESS;
    } else if (bytes_starts(payload, BYTES("+TERM"))) {
        said.kind = ACK_TERM;
        said.argument = bytes_trim(bytes_skip(payload, 5));
    }
    return said;
}

static size_t count_tokens(struct bytes subject)
{
    size_t count = 1;
    for (size_t i = 0; i < subject.len; i++) count += subject.data[i] == '.';
    return count;
}

void ack_names(struct bytes *rest, struct bytes *ret_stream, struct bytes *ret_consumer)
{
    if (count_tokens(*rest) >= 9) { /* domain and account */
        bytes_cut(rest, '.');
        bytes_cut(rest, '.');
    }
    *ret_stream = bytes_cut(rest, '.');
    *ret_consumer = bytes_cut(rest, '.');
}

/* By hand: every acknowledgement comes through here, and the numbers are short. */
bool ack_sequence(struct bytes rest, uint64_t *ret_sequence)
{
    size_t at = 0;
    uint64_t sequence = 0;
    while (at < rest.len && rest.data[at] != '.') at++; /* the attempt */
    size_t first = ++at;
    for (; at < rest.len && (unsigned)(rest.data[at] - '0') <= 9; at++) {
        if (at - first == SEQUENCE_DIGITS) return false;
        sequence = sequence * 10 + (unsigned)(rest.data[at] - '0');
    }
    *ret_sequence = sequence;
    return at > first && at < rest.len && rest.data[at] == '.';
}
