#include "wire/http1.h"
#include "wire/http1_scan.h"

/* clang-format off */
/* Made from the classes' definitions in http1_scan.h; test_http1 checks it against them. */
const uint8_t http1_classes[256] = {
    32, 32, 32, 32, 32, 32, 32, 32, 32, 0, 32, 32, 32, 32, 32, 32,
    32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32,
    0, 7, 0, 1, 7, 7, 7, 7, 6, 6, 7, 7, 6, 15, 15, 6,
    31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 6, 6, 0, 6, 0, 4,
    6, 31, 31, 31, 31, 31, 31, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6, 4, 6, 7, 15,
    5, 31, 31, 31, 31, 31, 31, 15, 15, 15, 15, 15, 15, 15, 15, 15,
    15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 15, 6, 7, 6, 15, 32,
};
/* clang-format on */

struct error_row {
    const char *name, *text;
    int status;
};

static const struct error_row errors[HTTP1_ERROR_COUNT] = {[HTTP1_OK] = {"OK", "no error", 200},
#define X(name, status, text) [HTTP1_ERROR_##name] = {#name, text, status},
                                                           HTTP1_ERROR_TABLE(X)
#undef X
};

static const struct bytes methods[HTTP1_METHOD_COUNT] = {[HTTP1_OTHER_METHOD] = {"", 0},
#define X(name) [HTTP1_##name] = {#name, sizeof #name - 1},
                                                         HTTP1_METHOD_TABLE(X)
#undef X
};

static const struct bytes names[HTTP1_NAME_COUNT] = {[HTTP1_OTHER_NAME] = {"", 0},
#define X(id, text) [HTTP1_NAME_##id] = {text, sizeof text - 1},
                                                     HTTP1_NAME_TABLE(X)
#undef X
};

/* The known names by their length, ended by 0. */
enum { NAME_LEN_MAX = 19, SAME_LEN_MAX = 5 };
#define N(id) HTTP1_NAME_##id
static const uint8_t by_length[NAME_LEN_MAX + 1][SAME_LEN_MAX + 1] = {
    [2] = {N(TE)},
    [3] = {N(VIA)},
    [4] = {N(HOST), N(DATE)},
    [6] = {N(ACCEPT), N(COOKIE), N(SERVER), N(ORIGIN), N(EXPECT)},
    [7] = {N(UPGRADE), N(TRAILER)},
    [8] = {N(LOCATION)},
    [9] = {N(FORWARDED)},
    [10] = {N(CONNECTION), N(USER_AGENT), N(KEEP_ALIVE), N(SET_COOKIE), N(TRACESTATE)},
    [11] = {N(TRACEPARENT), N(RETRY_AFTER)},
    [12] = {N(CONTENT_TYPE), N(X_REQUEST_ID)},
    [13] = {N(AUTHORIZATION)},
    [14] = {N(CONTENT_LENGTH)},
    [15] = {N(ACCEPT_ENCODING), N(X_FORWARDED_FOR)},
    [16] = {N(CONTENT_ENCODING), N(X_FORWARDED_HOST), N(PROXY_CONNECTION)},
    [17] = {N(TRANSFER_ENCODING), N(X_FORWARDED_PROTO)},
    [18] = {N(PROXY_AUTHENTICATE)},
    [19] = {N(PROXY_AUTHORIZATION)},
};
#undef N

static const struct error_row *error_row(enum http1_error error)
{
    return (unsigned)error < HTTP1_ERROR_COUNT ? &errors[error] : &errors[HTTP1_OK];
}

const char *http1_error_name(enum http1_error error)
{
    return error_row(error)->name;
}

const char *http1_error_text(enum http1_error error)
{
    return error_row(error)->text;
}

int http1_error_status(enum http1_error error)
{
    return error_row(error)->status;
}

enum http1_method http1_method_find(struct bytes name)
{
    for (unsigned i = 1; i < HTTP1_METHOD_COUNT; i++)
        if (bytes_eq(name, methods[i])) return i;
    return HTTP1_OTHER_METHOD;
}

struct bytes http1_method_name(enum http1_method method)
{
    return (unsigned)method < HTTP1_METHOD_COUNT ? methods[method] : methods[0];
}

bool http1_method_idempotent(enum http1_method method)
{
    switch (method) {
    case HTTP1_GET:
    case HTTP1_HEAD:
    case HTTP1_PUT:
    case HTTP1_DELETE:
    case HTTP1_OPTIONS:
    case HTTP1_TRACE: return true;
    default: return false;
    }
}

enum http1_name http1_name_find(struct bytes name)
{
    if (name.len > NAME_LEN_MAX || name.len == 0) return HTTP1_OTHER_NAME;
    for (const uint8_t *id = by_length[name.len]; *id; id++)
        if ((name.data[0] | 0x20) == (names[*id].data[0] | 0x20) &&
            bytes_eq_nocase(name, names[*id]))
            return *id;
    return HTTP1_OTHER_NAME;
}

struct bytes http1_name_text(enum http1_name name)
{
    return (unsigned)name < HTTP1_NAME_COUNT ? names[name] : names[0];
}
