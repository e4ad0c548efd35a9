/* bytes: a view of bytes that somebody else owns. Not terminated by NUL, passed by value.
 * It is valid for as long as its owner says; whoever keeps it longer copies it (arena, buf). */
#ifndef DURE_BASE_BYTES_H
#define DURE_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const char *data;
    size_t len;
};

/* A view of a string literal. */
#define BYTES(literal) ((struct bytes){"" literal, sizeof(literal) - 1})

/* For printf's "%.*s". */
#define BYTES_ARG(b) (int)(b).len, (b).data

static inline struct bytes bytes_make(const void *data, size_t len)
{
    return (struct bytes){data, len};
}

/* A view of a C string; NULL gives the empty view. */
static inline struct bytes bytes_str(const char *string)
{
    return (struct bytes){string ? string : "", string ? strlen(string) : 0};
}

static inline bool bytes_eq(struct bytes a, struct bytes b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* The view from `from` (at most len) to the end. */
static inline struct bytes bytes_skip(struct bytes b, size_t from)
{
    if (from > b.len) from = b.len;
    return (struct bytes){from ? b.data + from : b.data, b.len - from}; /* data may be NULL */
}

/* The first `len` bytes, or all when there are fewer. */
static inline struct bytes bytes_head(struct bytes b, size_t len)
{
    return (struct bytes){b.data, len < b.len ? len : b.len};
}

static inline bool bytes_starts(struct bytes b, struct bytes prefix)
{
    return b.len >= prefix.len && bytes_eq(bytes_head(b, prefix.len), prefix);
}

static inline bool bytes_ends(struct bytes b, struct bytes suffix)
{
    return b.len >= suffix.len && bytes_eq(bytes_skip(b, b.len - suffix.len), suffix);
}

/* Equality in which A-Z equals a-z; nothing else folds (RFC 9110: field names, schemes, hosts). */
bool bytes_eq_nocase(struct bytes a, struct bytes b);

/* Negative, 0 or positive as memcmp; a prefix sorts first. */
int bytes_cmp(struct bytes a, struct bytes b);

/* The length of the UTF-8 sequence at the start of `text`; 0: there is none (RFC 3629). */
size_t bytes_utf8_len(struct bytes text);

/* The place of the first `c`, or b.len when there is none. */
size_t bytes_find(struct bytes b, char c);

/* Cuts the part before the first `c` off the front of `rest` and returns it; `rest` then starts
 * behind that `c`. Without a `c` the whole is returned and `rest` becomes {NULL, 0}. */
struct bytes bytes_cut(struct bytes *rest, char c);

/* Without leading and trailing spaces and tabs (RFC 9110 OWS). */
struct bytes bytes_trim(struct bytes b);

/* Strict unsigned decimal: digits only, at least one, no overflow. 0, or ERR_SYNTAX, or
 * ERR_TOO_BIG when it exceeds `max`; `ret` is set on success only. */
int bytes_to_u64(struct bytes b, uint64_t max, uint64_t *ret);

/* The same for hexadecimal digits of either case, without a prefix. */
int bytes_to_u64_hex(struct bytes b, uint64_t max, uint64_t *ret);

/* Writes 2 * b.len lower-case hexadecimal digits, no NUL. */
void bytes_hex(struct bytes b, char *ret_digits);

/* How many single-character edits (insert, delete, replace, swap neighbours) lead from a to b;
 * gives up beyond `max` and returns max + 1. For "did you mean". */
size_t bytes_distance(struct bytes a, struct bytes b, size_t max);

/* The candidate nearest to `word`, or NULL when none is near enough to be meant. */
const char *bytes_nearest(struct bytes word, const char *const *candidates, size_t count);

#endif
