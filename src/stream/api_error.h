/* api_error: why a request or a publish was refused, as a client of JetStream is told it. */
#ifndef DURE_STREAM_API_ERROR_H
#define DURE_STREAM_API_ERROR_H

#include "base/err.h"
#include "base/jsonw.h"

enum api_error_kind {
    API_OK,
#define API_ERROR(name, code, err_code, text) API_##name,
#include "stream/api_errors.def"
#undef API_ERROR
    API_ERROR_COUNT
};

struct api_error {
    enum api_error_kind kind; /* API_OK: none */
    char details[192];        /* what stands in place of the text's "%s"; cut when longer */
};

/* Fills `error` and returns false, so that a check can end with `return api_error_set(...)`. A text
 * with details in it takes a format for them; the others take NULL. */
bool api_error_set(struct api_error *error, enum api_error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a function that returns a negative error: fills `error` (may be NULL), returns
 * `err`.
 */
int api_error_fail(struct api_error *error, int err, enum api_error_kind kind, const char *format,
                   ...) __attribute__((format(printf, 4, 5)));

/* What an error of the store or of this program is to a client; returns `err`. */
int api_error_of(struct api_error *error, int err);

/* The status and the number of an error; 0 for API_OK. */
int api_error_code(enum api_error_kind kind);
int api_error_number(enum api_error_kind kind);

/* Writes the whole text, cut at `size`. */
void api_error_text(const struct api_error *error, char *text, size_t size);

/* The same for a person who is not a client; returns `err`. `ret_error` may be NULL. */
int api_error_tell(const struct api_error *error, int err, struct error *ret_error);

/* "error":{"code":..,"err_code":..,"description":".."} */
void api_error_encode(const struct api_error *error, struct jsonw *json);

#endif
