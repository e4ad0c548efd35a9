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

bool api_error_set(struct api_error *error, enum api_error_kind kind, const char *format, ...)
{
    error->kind = kind;
    error->details[0] = '\0';
    if (format) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->details, sizeof error->details, format, arguments);
        va_end(arguments);
    }
    return false;
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
