#include "stream/stream_headers.h"

#include "base/timestamp.h"
#include "stream/stream.h"
#include "wire/nats.h"

#include <inttypes.h>
#include <stdio.h>

#define EXPECTED BYTES("Nats-Expected-")
#define SOURCE BYTES("Nats-Stream-Source")

static const uint64_t second_ns = UINT64_C(1000000000);

/* ---- durations ---- */

static const struct {
    const char *name;
    uint64_t ns;
} units[] = {
    {"ns", 1},
    {"us", 1000},
    {"ms", 1000000},
    {"s", UINT64_C(1000000000)},
    {"m", UINT64_C(60000000000)},
    {"h", UINT64_C(3600000000000)},
};

static size_t digits_at(struct bytes text)
{
    size_t len = 0;
    while (len < text.len && text.data[len] >= '0' && text.data[len] <= '9') len++;
    return len;
}

static uint64_t unit_of(struct bytes name)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (bytes_eq(name, bytes_str(units[i].name))) return units[i].ns;
    }
    return 0;
}

/* One number with its unit off the front of `rest`. */
static int take_part(struct bytes *rest, uint64_t *ret_ns)
{
    uint64_t whole = 0, fraction = 0, scale = 1;
    size_t len = digits_at(*rest);
    if (len > 0 && bytes_to_u64(bytes_head(*rest, len), UINT64_MAX, &whole) < 0) return ERR_TOO_BIG;
    struct bytes tail = bytes_skip(*rest, len);
    if (tail.len > 0 && tail.data[0] == '.') {
        tail = bytes_skip(tail, 1);
        size_t decimals = digits_at(tail);
        if (len + decimals == 0) return ERR_SYNTAX;
        for (size_t i = 0; i < decimals && i < 9; i++, scale *= 10) {
            fraction = fraction * 10 + (uint64_t)(tail.data[i] - '0');
        }
        tail = bytes_skip(tail, decimals);
    } else if (len == 0) {
        return ERR_SYNTAX;
    }
    size_t name = 0;
    while (name < tail.len && tail.data[name] != '.' &&
           (tail.data[name] < '0' || tail.data[name] > '9')) {
        name++;
    }
    uint64_t unit = unit_of(bytes_head(tail, name));
    if (!unit) return ERR_SYNTAX;
    if (whole > INT64_MAX / unit) return ERR_TOO_BIG;
    /* Of an hour, nine decimals are 3.6 us apart: exact enough, and it cannot overflow. */
    uint64_t part = unit >= second_ns ? fraction * (unit / second_ns) * (second_ns / scale)
                                      : fraction * unit / scale;
    *ret_ns = whole * unit + part;
    *rest = bytes_skip(tail, name);
    return 0;
}

int stream_duration_parse(struct bytes text, uint64_t *ret_ns)
{
    uint64_t total = 0;
    if (text.len > 0 && digits_at(text) == text.len) {
        int r = bytes_to_u64(text, INT64_MAX / second_ns, &total);
        *ret_ns = total * second_ns;
        return r;
    }
    if (text.len == 0) return ERR_SYNTAX;
    while (text.len > 0) {
        uint64_t part;
        int r = take_part(&text, &part);
        if (r < 0) return r;
        if (part > INT64_MAX - total) return ERR_TOO_BIG;
        total += part;
    }
    *ret_ns = total;
    return 0;
}

/* ---- headers ---- */

/* What is no number is no sequence that there could be. */
static void read_number(struct bytes text, bool *ret_has, uint64_t *ret)
{
    *ret_has = true;
    if (bytes_to_u64(text, UINT64_MAX, ret) < 0) *ret = UINT64_MAX;
}

static void read_expected(struct bytes name, struct bytes value, struct stream_headers *ret)
{
    name = bytes_skip(name, EXPECTED.len);
    if (bytes_eq_nocase(name, BYTES("Stream"))) ret->expected_stream = value;
    if (bytes_eq_nocase(name, BYTES("Last-Msg-Id"))) ret->expected_last_id = value;
    if (bytes_eq_nocase(name, BYTES("Last-Subject-Sequence-Subject"))) {
        ret->expected_subject = value;
    }
    if (bytes_eq_nocase(name, BYTES("Last-Sequence"))) {
        read_number(value, &ret->has_last_seq, &ret->last_seq);
    }
    if (bytes_eq_nocase(name, BYTES("Last-Subject-Sequence"))) {
        read_number(value, &ret->has_subject_seq, &ret->subject_seq);
    }
}

static void read_ttl(struct bytes value, struct stream_headers *ret)
{
    ret->has_ttl = true;
    ret->ttl_ns = STREAM_NEVER;
    if (bytes_eq(value, BYTES("never"))) return;
    ret->bad_ttl = stream_duration_parse(value, &ret->ttl_ns) < 0 || ret->ttl_ns < second_ns;
}

static bool is_expectation(struct bytes name)
{
    return bytes_eq_nocase(bytes_head(name, EXPECTED.len), EXPECTED);
}

static void read_nats(struct bytes name, struct bytes value, struct stream_headers *ret)
{
    if (is_expectation(name)) {
        read_expected(name, value, ret);
        return;
    }
    if (bytes_eq_nocase(name, BYTES("Nats-Msg-Id"))) ret->id = value;
    if (bytes_eq_nocase(name, BYTES("Nats-Rollup"))) ret->rollup = value;
    if (bytes_eq_nocase(name, BYTES("Nats-TTL"))) read_ttl(value, ret);
    if (bytes_eq_nocase(name, BYTES("Nats-Marker-Reason"))) ret->marker = true;
}

static void read_dure(struct bytes name, struct bytes value, struct stream_headers *ret)
{
    int r = 0;
    bool delay = bytes_eq_nocase(name, BYTES("Dure-Delay"));
    if (delay) r = stream_duration_parse(value, &ret->delay_ns);
    if (!delay) {
        if (!bytes_eq_nocase(name, BYTES("Dure-Deliver-At"))) return;
        r = timestamp_parse(value, &ret->deliver_at_ns);
    }
    if (r < 0 || ret->has_delay) ret->bad_delay = true; /* one of them, once */
    ret->has_delay = true;
}

int stream_headers_read(struct bytes headers, struct stream_headers *ret)
{
    *ret = (struct stream_headers){0};
    if (headers.len == 0) return 0;
    struct nats_headers walk;
    int r = nats_headers_parse(headers, &walk);
    if (r < 0) return r;
    struct bytes name, value;
    while ((r = nats_headers_next(&walk, &name, &value)) > 0) {
        if (name.len < 8 || name.data[4] != '-') continue;
        if (bytes_eq_nocase(bytes_head(name, 4), BYTES("Nats"))) read_nats(name, value, ret);
        if (bytes_eq_nocase(bytes_head(name, 4), BYTES("Dure"))) read_dure(name, value, ret);
    }
    return r;
}

uint64_t stream_headers_due(const struct stream_headers *headers, uint64_t now_ns)
{
    if (headers->deliver_at_ns) return headers->deliver_at_ns;
    return headers->delay_ns > STREAM_NEVER - now_ns ? STREAM_NEVER : now_ns + headers->delay_ns;
}

int stream_headers_set_ttl(struct bytes headers, uint64_t seconds, struct buf *ret_headers)
{
    struct nats_headers walk;
    struct bytes name, value;
    char text[24];
    buf_init(ret_headers, 2 * STREAM_HEADERS_MAX);
    nats_headers_begin(ret_headers, 0, NULL);
    int r = nats_headers_parse(headers, &walk);
    while (r == 0 && nats_headers_next(&walk, &name, &value) > 0) {
        if (!bytes_eq_nocase(name, BYTES("Nats-TTL"))) {
            r = nats_headers_add(ret_headers, name, value);
        }
    }
    int len = snprintf(text, sizeof text, "%" PRIu64, seconds);
    if (r == 0) r = nats_headers_add(ret_headers, BYTES("Nats-TTL"), bytes_make(text, (size_t)len));
    nats_headers_end(ret_headers);
    return r == 0 && ret_headers->failed ? ERR_NOMEM : r;
}

/* ---- copies ---- */

static bool has_expectations(struct bytes headers)
{
    struct nats_headers walk;
    struct bytes name, value;
    if (headers.len == 0 || nats_headers_parse(headers, &walk) < 0) return false;
    while (nats_headers_next(&walk, &name, &value) > 0) {
        if (is_expectation(name)) return true;
    }
    return false;
}

/* All but expectations and, unless `keeps_source`, where it came from. Returns how many. */
static size_t copy_headers(struct buf *out, struct bytes headers, bool keeps_source)
{
    struct nats_headers walk;
    struct bytes name, value;
    size_t count = 0;
    if (headers.len == 0 || nats_headers_parse(headers, &walk) < 0) return 0;
    while (nats_headers_next(&walk, &name, &value) > 0) {
        bool source = !keeps_source && bytes_eq_nocase(name, SOURCE);
        if (source || is_expectation(name)) continue;
        (void)nats_headers_add(out, name, value);
        count++;
    }
    return count;
}

int stream_headers_mirrored(struct bytes headers, struct buf *ret_room, struct bytes *ret_headers)
{
    buf_init(ret_room, 2 * STREAM_HEADERS_MAX);
    *ret_headers = headers;
    if (!has_expectations(headers)) return 0;
    nats_headers_begin(ret_room, 0, NULL);
    size_t left = copy_headers(ret_room, headers, true);
    nats_headers_end(ret_room);
    *ret_headers = left ? buf_bytes(ret_room) : BYTES("");
    return ret_room->failed ? ERR_NOMEM : 0;
}

int stream_headers_sourced(struct bytes headers, const char *name, uint64_t seq,
                           struct buf *ret_headers)
{
    char text[STREAM_NAME_MAX + 32];
    buf_init(ret_headers, 2 * STREAM_HEADERS_MAX);
    nats_headers_begin(ret_headers, 0, NULL);
    (void)copy_headers(ret_headers, headers, false);
    int len = snprintf(text, sizeof text, "%s %" PRIu64, name, seq);
    (void)nats_headers_add(ret_headers, SOURCE, bytes_make(text, (size_t)len));
    nats_headers_end(ret_headers);
    return ret_headers->failed ? ERR_NOMEM : 0;
}
