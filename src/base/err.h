/* err: what can go wrong, as a number for the program and as a sentence for a person.
 *
 * A function that can fail returns int: 0 (or a count), or one of the negative `enum err` below.
 * What a person will read (manifest, command line, deploy) also fills a `struct error`, always the
 * last parameter, always optional (NULL: the caller only wants the number).
 *
 * One table gives each error its name, its text, the HTTP status it becomes at an edge, and whether
 * trying the same thing again can help. */
#ifndef DURE_BASE_ERR_H
#define DURE_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>

/*   name          HTTP  retry  text */
#define ERR_TABLE(X)                                                    \
    X(NOMEM, 503, true, "out of memory")                                \
    X(INVALID, 400, false, "invalid value")                             \
    X(SYNTAX, 400, false, "syntax error")                               \
    X(TOO_BIG, 413, false, "larger than its limit")                     \
    X(FULL, 503, true, "a queue or pool is full")                       \
    X(NOT_FOUND, 404, false, "not found")                               \
    X(EXISTS, 409, false, "exists already")                             \
    X(CONFLICT, 409, false, "changed by somebody else in the meantime") \
    X(DENIED, 403, false, "not permitted")                              \
    X(TIMEOUT, 504, true, "no answer within its time")                  \
    X(CANCELLED, 503, false, "cancelled")                               \
    X(CLOSED, 503, true, "closed by this side")                         \
    X(EOF, 502, true, "closed by the peer")                             \
    X(RESET, 502, true, "connection reset by the peer")                 \
    X(REFUSED, 503, true, "connection refused")                         \
    X(UNREACHABLE, 503, true, "host or network unreachable")            \
    X(IN_USE, 503, true, "address in use")                              \
    X(UNAVAILABLE, 503, true, "no healthy instance")                    \
    X(PROTOCOL, 502, false, "the peer broke the protocol")              \
    X(CORRUPT, 500, false, "stored data fails its checksum")            \
    X(NO_SPACE, 507, true, "no space left on the disk")                 \
    X(IO, 500, true, "input/output error")                              \
    X(UNSUPPORTED, 501, false, "not supported")

enum err_number {
    ERR_NUMBER_OK = 0,
#define X(name, status, retry, text) ERR_NUMBER_##name,
    ERR_TABLE(X)
#undef X
        ERR_COUNT
};

/* The values functions return: negative. */
enum err {
    ERR_OK = 0,
#define X(name, status, retry, text) ERR_##name = -ERR_NUMBER_##name,
    ERR_TABLE(X)
#undef X
};

/* "NOT_FOUND"; "OK" for 0 and counts; "UNKNOWN" for a number outside the table. */
const char *err_name(int err);

/* "not found" */
const char *err_text(int err);

/* The HTTP status that tells a client about this error (RFC 9110 section 15). */
int err_http_status(int err);

/* Whether the same request may succeed when it is made again. */
bool err_retry_helps(int err);

/* The `enum err` for an errno value; ERR_IO for one that has no closer match. */
int err_from_errno(int errnum);

/* Everything a person needs to mend a mistake. Fixed size, so it can live anywhere; texts that do
 * not fit are cut and end with "...". Fields that do not apply are "" and 0. */
struct error {
    int code;         /* one of enum err */
    int line, column; /* counted from 1; 0: not about a place in a file */
    char file[256];
    char message[320]; /* what is wrong, what was found, what was expected */
    char remedy[256];  /* what to do about it: one sentence, imperative */
};

/* Fills `error` (may be NULL) and returns `code`, so that a function can end with
 * `return error_set(error, ERR_INVALID, "...", ...)`. The place and the remedy are left alone. */
int error_set(struct error *error, int code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Adds the place: a file and, where known, a line and a column (from 1; 0: unknown). */
void error_at(struct error *error, const char *file, int line, int column);

/* Adds what to do about it. */
void error_remedy(struct error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Writes "file:line:column: message\n  remedy" into `text`, cut at `size`; returns text's length.
 */
size_t error_format(const struct error *error, char *text, size_t size);

#endif
