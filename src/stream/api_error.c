#include "stream/api_error.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    int code, number;
    const char *text;
} table[API_ERROR_COUNT] = {
    [API_OK] = {0, 0, ""},
#define API_ERROR(name, code, err_code, text) [API_##name] = {code, err_code, text},
#include "stream/api_errors.def"
#undef API_ERROR
};

static void fill(struct api_error *error, enum api_error_kind kind, const char *format,
                 va_list arguments)
{
    error->kind = kind;
    error->details[0] = '\0';
    if (format) vsnprintf(error->details, sizeof error->details, format, arguments);
}

bool api_error_set(struct api_error *error, enum api_error_kind kind, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fill(error, kind, format, arguments);
    va_end(arguments);
    return false;
}

int api_error_fail(struct api_error *error, int err, enum api_error_kind kind, const char *format,
                   ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (error) fill(error, kind, format, arguments);
    va_end(arguments);
    return err;
}

int api_error_of(struct api_error *error, int err)
{
    switch (err) {
    case ERR_NO_SPACE: return api_error_fail(error, err, API_STORAGE_EXCEEDED, NULL);
    case ERR_NOT_FOUND: return api_error_fail(error, err, API_NO_MESSAGE, NULL);
    case ERR_INVALID: return api_error_fail(error, err, API_BAD_REQUEST, NULL);
    default: return api_error_fail(error, err, API_STORE_FAILED, "%s", err_text(err));
    }
}

int api_error_code(enum api_error_kind kind)
{
    return table[kind].code;
}

int api_error_number(enum api_error_kind kind)
{
    return table[kind].number;
}

void api_error_text(const struct api_error *error, char *text, size_t size)
{
    const char *whole = table[error->kind].text;
    const char *gap = strstr(whole, "%s");
    if (gap) {
        snprintf(text, size, "%.*s%s%s", (int)(gap - whole), whole, error->details, gap + 2);
    } else {
        snprintf(text, size, "%s", whole);
    }
}

void api_error_encode(const struct api_error *error, struct jsonw *json)
{
    char text[320];
    api_error_text(error, text, sizeof text);
    jsonw_object(json, "error");
    jsonw_i64(json, "code", table[error->kind].code);
    jsonw_i64(json, "err_code", table[error->kind].number);
    jsonw_cstr(json, "description", text);
    jsonw_object_end(json);
}

int api_error_tell(const struct api_error *error, int err, struct error *ret_error)
{
    char text[320];
    api_error_text(error, text, sizeof text);
    return error_set(ret_error, err, "%s", text);
}
