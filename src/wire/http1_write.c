#include "wire/http1_write.h"

#include "wire/http1_scan.h"

struct reason_row {
    int status;
    struct bytes text;
};

#define R(status, text)           \
    {                             \
        status,                   \
        {                         \
            text, sizeof text - 1 \
        }                         \
    }
static const struct reason_row reasons[] = {
    R(100, "Continue"),
    R(101, "Switching Protocols"),
    R(103, "Early Hints"),
    R(200, "OK"),
    R(201, "Created"),
    R(202, "Accepted"),
    R(203, "Non-Authoritative Information"),
    R(204, "No Content"),
    R(205, "Reset Content"),
    R(206, "Partial Content"),
    R(300, "Multiple Choices"),
    R(301, "Moved Permanently"),
    R(302, "Found"),
    R(303, "See Other"),
    R(304, "Not Modified"),
    R(307, "Temporary Redirect"),
    R(308, "Permanent Redirect"),
    R(400, "Bad Request"),
    R(401, "Unauthorized"),
    R(402, "Payment Required"),
    R(403, "Forbidden"),
    R(404, "Not Found"),
    R(405, "Method Not Allowed"),
    R(406, "Not Acceptable"),
    R(407, "Proxy Authentication Required"),
    R(408, "Request Timeout"),
    R(409, "Conflict"),
    R(410, "Gone"),
    R(411, "Length Required"),
    R(412, "Precondition Failed"),
    R(413, "Content Too Large"),
    R(414, "URI Too Long"),
    R(415, "Unsupported Media Type"),
    R(416, "Range Not Satisfiable"),
    R(417, "Expectation Failed"),
    R(421, "Misdirected Request"),
    R(422, "Unprocessable Content"),
    R(425, "Too Early"),
    R(426, "Upgrade Required"),
    R(428, "Precondition Required"),
    R(429, "Too Many Requests"),
    R(431, "Request Header Fields Too Large"),
    R(451, "Unavailable For Legal Reasons"),
    R(500, "Internal Server Error"),
    R(501, "Not Implemented"),
    R(502, "Bad Gateway"),
    R(503, "Service Unavailable"),
    R(504, "Gateway Timeout"),
    R(505, "HTTP Version Not Supported"),
    R(507, "Insufficient Storage"),
    R(511, "Network Authentication Required"),
};
#undef R

struct bytes http1_reason(int status)
{
    size_t low = 0, high = sizeof reasons / sizeof *reasons;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (reasons[middle].status == status) return reasons[middle].text;
        if (reasons[middle].status < status)
            low = middle + 1;
        else
            high = middle;
    }
    return BYTES("");
}

static bool is_token(struct bytes text)
{
    return text.len && http1_span(text, HTTP1_CLASS_TOKEN) == text.len;
}

static bool is_clean(struct bytes text)
{
    return http1_scan_control(text, 0) == text.len;
}

static char *put(char *at, struct bytes bytes)
{
    if (bytes.len) memcpy(at, bytes.data, bytes.len);
    return at + bytes.len;
}

/* Appends a b c d in one reservation. */
static void append4(struct buf *out, struct bytes a, struct bytes b, struct bytes c, struct bytes d)
{
    size_t len = a.len + b.len + c.len + d.len;
    char *at = buf_reserve(out, len);
    if (!at) return;
    put(put(put(put(at, a), b), c), d);
    buf_commit(out, len);
}

int http1_write_request(struct buf *out, struct bytes method, struct bytes target)
{
    if (!is_token(method) || target.len == 0) return ERR_INVALID;
    for (size_t i = 0; i < target.len; i++)
        if ((unsigned char)target.data[i] <= ' ' || (unsigned char)target.data[i] >= 0x7f)
            return ERR_INVALID;
    append4(out, method, BYTES(" "), target, BYTES(" HTTP/1.1\r\n"));
    return 0;
}

int http1_write_status(struct buf *out, int status, struct bytes reason)
{
    if (status < 100 || status > 599 || !is_clean(reason)) return ERR_INVALID;
    char code[4] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
                    (char)('0' + status % 10), ' '};
    if (!reason.data) reason = http1_reason(status);
    append4(out, BYTES("HTTP/1.1 "), bytes_make(code, sizeof code), reason, BYTES("\r\n"));
    return 0;
}

int http1_write_header(struct buf *out, struct bytes name, struct bytes value)
{
    if (!is_token(name) || !is_clean(value)) return ERR_INVALID;
    append4(out, name, BYTES(": "), value, BYTES("\r\n"));
    return 0;
}

void http1_write_parsed(struct buf *out, const struct http1_header *header)
{
    append4(out, header->name, BYTES(": "), header->value, BYTES("\r\n"));
}

void http1_write_length(struct buf *out, uint64_t length)
{
    buf_append(out, BYTES("Content-Length: "));
    buf_append_u64(out, length);
    buf_append(out, BYTES("\r\n"));
}
