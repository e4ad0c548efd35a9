#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct err_row {
    const char *name, *text;
    int status;
    bool retry;
};

static const struct err_row rows[ERR_COUNT] = {[ERR_NUMBER_OK] = {"OK", "success", 200, false},
#define X(name, status, retry, text) [ERR_NUMBER_##name] = {#name, text, status, retry},
                                               ERR_TABLE(X)
#undef X
};

static const struct err_row unknown = {"UNKNOWN", "unknown error", 500, false};

static const struct err_row *row(int err)
{
    if (err >= 0) return &rows[ERR_NUMBER_OK];
    return err > -ERR_COUNT ? &rows[-err] : &unknown;
}

const char *err_name(int err)
{
    return row(err)->name;
}

const char *err_text(int err)
{
    return row(err)->text;
}

int err_http_status(int err)
{
    return row(err)->status;
}

bool err_retry_helps(int err)
{
    return row(err)->retry;
}

int err_from_errno(int errnum)
{
    switch (errnum) {
    case 0: return 0;
    case ENOMEM:
    case ENOBUFS: return ERR_NOMEM;
    case EINVAL: return ERR_INVALID;
    case E2BIG:
    case EMSGSIZE:
    case ENAMETOOLONG: return ERR_TOO_BIG;
    case EAGAIN:
    case EMFILE:
    case ENFILE: return ERR_FULL;
    case ENOENT:
    case ENOTDIR:
    case ESRCH: return ERR_NOT_FOUND;
    case EEXIST: return ERR_EXISTS;
    case EACCES:
    case EPERM: return ERR_DENIED;
    case ETIMEDOUT: return ERR_TIMEOUT;
    case ECANCELED: return ERR_CANCELLED;
    case EBADF: return ERR_CLOSED;
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED: return ERR_RESET;
    case ECONNREFUSED: return ERR_REFUSED;
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN: return ERR_UNREACHABLE;
    case EADDRINUSE: return ERR_IN_USE;
    case ENOSPC:
    case EDQUOT: return ERR_NO_SPACE;
    case ENOSYS:
    case EOPNOTSUPP:
    case EAFNOSUPPORT: return ERR_UNSUPPORTED;
    default: return ERR_IO;
    }
}

static void format_cut(char *text, size_t size, const char *format, va_list arguments)
{
    int length = vsnprintf(text, size, format, arguments);
    if (length >= (int)size) memcpy(text + size - 4, "...", 4);
}

int error_set(struct error *error, int code, const char *format, ...)
{
    if (!error) return code;
    error->code = code;
    va_list arguments;
    va_start(arguments, format);
    format_cut(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return code;
}

void error_at(struct error *error, const char *file, int line, int column)
{
    if (!error) return;
    snprintf(error->file, sizeof error->file, "%s", file ? file : "");
    error->line = line;
    error->column = column;
}

void error_remedy(struct error *error, const char *format, ...)
{
    if (!error) return;
    va_list arguments;
    va_start(arguments, format);
    format_cut(error->remedy, sizeof error->remedy, format, arguments);
    va_end(arguments);
}

size_t error_format(const struct error *error, char *text, size_t size)
{
    char place[320] = "";
    if (error->file[0] && error->line && error->column)
        snprintf(place, sizeof place, "%s:%d:%d: ", error->file, error->line, error->column);
    else if (error->file[0] && error->line)
        snprintf(place, sizeof place, "%s:%d: ", error->file, error->line);
    else if (error->file[0])
        snprintf(place, sizeof place, "%s: ", error->file);
    if (!size) return 0;
    int length = snprintf(text, size, "%s%s%s%s", place, error->message,
                          error->remedy[0] ? "\n  " : "", error->remedy);
    return length < (int)size ? (size_t)length : size - 1;
}
