#include "stream/stream_mapper.h"

#include "bus/subject.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOKENS_MAX = 64, WILDCARDS_MAX = 32, NUMBER_MAX = 1 << 30 };

enum function {
    LITERAL,
    REST, /* ">" */
    WILDCARD,
    PARTITION,
    SPLIT_FROM_LEFT,
    SPLIT_FROM_RIGHT,
    SLICE_FROM_LEFT,
    SLICE_FROM_RIGHT,
    SPLIT,
    LEFT,
    RIGHT,
};

static const struct {
    const char *name;
    enum function function;
    bool text; /* the second argument is one, not a number */
} functions[] = {
    {"splitfromleft", SPLIT_FROM_LEFT, false},
    {"splitfromright", SPLIT_FROM_RIGHT, false},
    {"slicefromleft", SLICE_FROM_LEFT, false},
    {"slicefromright", SLICE_FROM_RIGHT, false},
    {"split", SPLIT, true},
    {"left", LEFT, false},
    {"right", RIGHT, false},
};

/* One token of the destination. */
struct part {
    enum function function;
    struct bytes text;                /* LITERAL, SPLIT */
    uint32_t number;                  /* of letters, or of partitions */
    uint8_t wildcards[WILDCARDS_MAX]; /* which of the source's, from 0 */
    uint8_t wildcard_count;
};

struct stream_mapper {
    struct bytes src, dest; /* stand behind the struct */
    struct part parts[TOKENS_MAX];
    size_t part_count;
    size_t wildcard_count; /* of the source */
};

/* ---- compiling ---- */

/* "$3". */
static bool is_dollar(struct bytes token, uint64_t *ret_number)
{
    if (token.len < 2 || token.data[0] != '$') return false;
    return bytes_to_u64(bytes_skip(token, 1), NUMBER_MAX, ret_number) == 0;
}

static int add_wildcard(const struct stream_mapper *mapper, struct part *part, uint64_t number,
                        const char **ret_why)
{
    if (number == 0 || number > mapper->wildcard_count || part->wildcard_count == WILDCARDS_MAX) {
        *ret_why = "wildcard index out of range";
        return ERR_INVALID;
    }
    part->wildcards[part->wildcard_count++] = (uint8_t)(number - 1);
    return 0;
}

static int read_number(struct bytes *rest, uint64_t *ret, const char **ret_why)
{
    *ret_why = "invalid argument of a function";
    return bytes_to_u64(bytes_trim(bytes_cut(rest, ',')), NUMBER_MAX, ret) < 0 ? ERR_INVALID : 0;
}

static int read_partition(const struct stream_mapper *mapper, struct part *part,
                          struct bytes arguments, const char **ret_why)
{
    uint64_t number;
    int r = read_number(&arguments, &number, ret_why);
    if (r == 0 && number == 0) r = ERR_INVALID;
    part->function = PARTITION;
    part->number = (uint32_t)number;
    while (r == 0 && arguments.data) {
        r = read_number(&arguments, &number, ret_why);
        if (r == 0) r = add_wildcard(mapper, part, number, ret_why);
    }
    return r;
}

static int read_function(const struct stream_mapper *mapper, struct part *part, struct bytes name,
                         struct bytes arguments, const char **ret_why)
{
    uint64_t number;
    if (bytes_eq_nocase(name, BYTES("partition"))) {
        return read_partition(mapper, part, arguments, ret_why);
    }
    int r = read_number(&arguments, &number, ret_why);
    if (r == 0) r = add_wildcard(mapper, part, number, ret_why);
    if (r < 0) return r;
    if (bytes_eq_nocase(name, BYTES("wildcard"))) {
        part->function = WILDCARD;
        return arguments.data ? ERR_INVALID : 0;
    }
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (!bytes_eq_nocase(name, bytes_str(functions[i].name))) continue;
        part->function = functions[i].function;
        *ret_why = "invalid argument of a function";
        if (!arguments.data) return ERR_INVALID;
        part->text = bytes_trim(arguments);
        if (functions[i].text) return part->text.len > 0 ? 0 : ERR_INVALID;
        if (read_number(&arguments, &number, ret_why) < 0 || arguments.data) return ERR_INVALID;
        part->number = (uint32_t)number;
        return 0;
    }
    *ret_why = "unknown function";
    return ERR_INVALID;
}

/* One token of the destination; a function's arguments hold no dots. */
static int read_part(struct stream_mapper *mapper, struct bytes token, struct part *part,
                     const char **ret_why)
{
    uint64_t number;
    *part = (struct part){.function = LITERAL, .text = token};
    if (is_dollar(token, &number)) {
        part->function = WILDCARD;
        return add_wildcard(mapper, part, number, ret_why);
    }
    if (bytes_starts(token, BYTES("{{")) && bytes_ends(token, BYTES("}}")) && token.len >= 4) {
        struct bytes call = bytes_trim(bytes_head(bytes_skip(token, 2), token.len - 4));
        size_t open = bytes_find(call, '(');
        *ret_why = "invalid function";
        if (open == call.len || call.data[call.len - 1] != ')') return ERR_INVALID;
        struct bytes arguments = bytes_skip(bytes_head(call, call.len - 1), open + 1);
        return read_function(mapper, part, bytes_trim(bytes_head(call, open)), arguments, ret_why);
    }
    *ret_why = "invalid destination";
    if (token.len == 0 || bytes_eq(token, BYTES("*"))) return ERR_INVALID;
    for (size_t i = 0; i < token.len; i++) {
        if ((unsigned char)token.data[i] <= ' ') return ERR_INVALID;
    }
    return 0;
}

static int compile(struct stream_mapper *mapper, const char **ret_why)
{
    struct bytes rest = mapper->src;
    bool src_rest = false, dest_rest = false;
    *ret_why = "invalid source";
    if (!subject_is_pattern(mapper->src)) return ERR_INVALID;
    while (rest.data) {
        struct bytes token = bytes_cut(&rest, '.');
        if (bytes_eq(token, BYTES("*")) && ++mapper->wildcard_count > WILDCARDS_MAX) {
            return ERR_INVALID;
        }
        src_rest = bytes_eq(token, BYTES(">"));
    }
    rest = mapper->dest;
    while (mapper->dest.len > 0 && rest.data) {
        struct bytes token = bytes_cut(&rest, '.');
        *ret_why = "too many tokens";
        if (mapper->part_count == TOKENS_MAX) return ERR_INVALID;
        struct part *part = &mapper->parts[mapper->part_count++];
        dest_rest = bytes_eq(token, BYTES(">"));
        if (dest_rest) *part = (struct part){.function = REST};
        int r = dest_rest ? 0 : read_part(mapper, token, part, ret_why);
        *ret_why = r == 0 ? "invalid destination" : *ret_why;
        if (r == 0 && dest_rest && rest.data) r = ERR_INVALID;
        if (r < 0) return r;
    }
    *ret_why = "source and destination must both end with '>', or none";
    return mapper->dest.len > 0 && src_rest != dest_rest ? ERR_INVALID : 0;
}

int stream_mapper_new(struct bytes src, struct bytes dest, struct stream_mapper **ret_mapper,
                      const char **ret_why)
{
    if (src.len == 0) src = BYTES(">");
    struct stream_mapper *mapper = calloc(1, sizeof *mapper + src.len + dest.len);
    if (!mapper) return ERR_NOMEM;
    char *at = (char *)(mapper + 1);
    memcpy(at, src.data, src.len);
    if (dest.len) memcpy(at + src.len, dest.data, dest.len);
    mapper->src = bytes_make(at, src.len);
    mapper->dest = bytes_make(at + src.len, dest.len);
    int r = compile(mapper, ret_why);
    if (r < 0) {
        free(mapper);
        return r;
    }
    *ret_mapper = mapper;
    return 0;
}

void stream_mapper_free(struct stream_mapper *mapper)
{
    free(mapper);
}

bool stream_mapper_matches(const struct stream_mapper *mapper, struct bytes subject)
{
    return subject_matches(mapper->src, subject);
}

/* ---- mapping ---- */

struct output {
    char *at;
    size_t len, room;
    bool full;
};

static void put(struct output *out, struct bytes bytes)
{
    if (bytes.len > out->room - out->len) {
        out->full = true;
        return;
    }
    if (bytes.len) memcpy(out->at + out->len, bytes.data, bytes.len);
    out->len += bytes.len;
}

/* The two sides of a place within the token; outside of it, the token. */
static void put_split(struct output *out, struct bytes token, size_t place)
{
    put(out, bytes_head(token, place));
    if (place > 0 && place < token.len) put(out, BYTES("."));
    if (place < token.len) put(out, bytes_skip(token, place));
}

static void put_slices(struct output *out, struct bytes token, size_t first, size_t size)
{
    while (token.len > 0) {
        put(out, bytes_head(token, first));
        token = bytes_skip(token, first);
        if (token.len > 0) put(out, BYTES("."));
        first = size;
    }
}

static void put_pieces(struct output *out, struct bytes token, struct bytes separator)
{
    bool any = false;
    while (token.len > 0) {
        size_t end = 0;
        while (end < token.len && !bytes_starts(bytes_skip(token, end), separator)) end++;
        if (end > 0) {
            if (any) put(out, BYTES("."));
            put(out, bytes_head(token, end));
            any = true;
        }
        token = bytes_skip(token, end + separator.len);
    }
}

static uint32_t hash(uint32_t seed, struct bytes bytes)
{
    for (size_t i = 0; i < bytes.len; i++) seed = (seed ^ (unsigned char)bytes.data[i]) * 16777619u;
    return seed;
}

static void put_partition(struct output *out, const struct part *part, const struct bytes *tokens,
                          struct bytes subject)
{
    char text[12];
    uint32_t sum = 2166136261u;
    for (size_t i = 0; i < part->wildcard_count; i++) sum = hash(sum, tokens[part->wildcards[i]]);
    if (part->wildcard_count == 0) sum = hash(sum, subject);
    assert(part->number > 0);
    int len = snprintf(text, sizeof text, "%u", sum % part->number);
    put(out, bytes_make(text, (size_t)len));
}

static void put_part(struct output *out, const struct part *part, const struct bytes *tokens,
                     struct bytes subject, struct bytes rest)
{
    struct bytes token = part->wildcard_count ? tokens[part->wildcards[0]] : BYTES("");
    size_t number = part->number;
    bool cuts = number > 0 && number < token.len;
    switch (part->function) {
    case LITERAL: put(out, part->text); return;
    case REST: put(out, rest); return;
    case WILDCARD: put(out, token); return;
    case PARTITION: put_partition(out, part, tokens, subject); return;
    case SPLIT_FROM_LEFT: put_split(out, token, cuts ? number : token.len); return;
    case SPLIT_FROM_RIGHT: put_split(out, token, cuts ? token.len - number : token.len); return;
    case SLICE_FROM_LEFT: put_slices(out, token, cuts ? number : token.len, number); return;
    case SLICE_FROM_RIGHT: {
        size_t first = cuts && token.len % number ? token.len % number : number;
        put_slices(out, token, cuts ? first : token.len, number);
        return;
    }
    case SPLIT: put_pieces(out, token, part->text); return;
    case LEFT: put(out, cuts ? bytes_head(token, number) : token); return;
    case RIGHT: put(out, cuts ? bytes_skip(token, token.len - number) : token); return;
    }
}

/* What the source's wildcards stand for. */
static void take_tokens(const struct stream_mapper *mapper, struct bytes subject,
                        struct bytes tokens[WILDCARDS_MAX], struct bytes *ret_rest)
{
    struct bytes pattern = mapper->src;
    size_t count = 0;
    *ret_rest = BYTES("");
    while (pattern.data) {
        struct bytes token = bytes_cut(&pattern, '.');
        if (bytes_eq(token, BYTES(">"))) {
            *ret_rest = subject;
            return;
        }
        struct bytes found = bytes_cut(&subject, '.');
        if (!bytes_eq(token, BYTES("*"))) continue;
        tokens[count++] = found;
    }
}

int stream_mapper_map(const struct stream_mapper *mapper, struct bytes subject, char *out,
                      size_t room, size_t *ret_len)
{
    struct bytes tokens[WILDCARDS_MAX], rest;
    struct output output = {.at = out, .room = room};
    if (!subject_matches(mapper->src, subject)) return ERR_NOT_FOUND;
    take_tokens(mapper, subject, tokens, &rest);
    if (mapper->part_count == 0) put(&output, subject);
    for (size_t i = 0; i < mapper->part_count; i++) {
        if (i > 0) put(&output, BYTES("."));
        put_part(&output, &mapper->parts[i], tokens, subject, rest);
    }
    if (output.full) return ERR_TOO_BIG;
    *ret_len = output.len;
    return subject_is_literal(bytes_make(out, output.len)) ? 0 : ERR_INVALID;
}
