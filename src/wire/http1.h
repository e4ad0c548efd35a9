/* http1: the heads of HTTP/1 messages (RFC 9112, 9110): a strict, incremental parser that copies
 * nothing. The head is read where it lies, in one contiguous buffer; what comes out are views into
 * it. What two implementations could read in two ways (request smuggling) is refused, always with
 * the exact reason and place.
 *
 * The body's framing is decided in one place, http1_body_kind(); decoding chunks is
 * http1_chunked.h, writing http1_write.h. Pure: no I/O, no clock, no allocation. */
#ifndef DURE_WIRE_HTTP1_H
#define DURE_WIRE_HTTP1_H

#include "base/bytes.h"
#include "base/err.h"

enum {
    HTTP1_HEAD_MAX = 64 * 1024, /* bytes of start line and fields together */
    HTTP1_HEADERS_MAX = 100,
};

/*   name                status  text */
#define HTTP1_ERROR_TABLE(X)                                                                       \
    X(HEAD_TOO_LARGE, 431, "the head is larger than 64 KiB")                                       \
    X(TOO_MANY_HEADERS, 431, "more than 100 header fields")                                        \
    X(NUL, 400, "NUL byte in the head")                                                            \
    X(BARE_CR, 400, "CR without LF")                                                               \
    X(BARE_LF, 400, "LF without CR")                                                               \
    X(CONTROL, 400, "control character in the head")                                               \
    X(METHOD, 400, "character that a method must not have")                                        \
    X(TARGET, 400, "character that a request target must not have")                                \
    X(TARGET_FORM, 400, "request target in a form that its method does not allow")                 \
    X(TARGET_SCHEME, 400, "request target with a scheme other than http or https")                 \
    X(AUTHORITY, 400, "invalid host or port in the request target")                                \
    X(REQUEST_LINE, 400, "request line is not: method, space, target, space, version")             \
    X(VERSION, 400, "invalid HTTP version")                                                        \
    X(VERSION_UNSUPPORTED, 505, "HTTP version other than 1.0 and 1.1")                             \
    X(STATUS_LINE, 400, "status line is not: version, space, three digits, space")                 \
    X(STATUS, 400, "status code outside 100 to 599")                                               \
    X(FOLD, 400, "header line that begins with white space (folding)")                             \
    X(NO_COLON, 400, "header line without a colon")                                                \
    X(NAME_EMPTY, 400, "header line without a name")                                               \
    X(NAME, 400, "character that a header name must not have")                                     \
    X(NAME_SPACE, 400, "white space between header name and colon")                                \
    X(HOST_MISSING, 400, "HTTP/1.1 request without Host")                                          \
    X(HOST_TWICE, 400, "more than one Host")                                                       \
    X(HOST_INVALID, 400, "invalid Host")                                                           \
    X(HOST_DIFFERS, 400, "Host differs from the host of the request target")                       \
    X(LENGTH_INVALID, 400, "Content-Length is not a decimal number")                               \
    X(LENGTH_TWICE, 400, "more than one Content-Length")                                           \
    X(LENGTH_AND_CODING, 400, "both Content-Length and Transfer-Encoding")                         \
    X(CODING_TWICE, 400, "more than one Transfer-Encoding")                                        \
    X(CODING_NOT_FINAL, 400, "Transfer-Encoding in which chunked is not the last, or comes twice") \
    X(CODING_UNKNOWN, 501, "Transfer-Encoding other than chunked")                                 \
    X(CODING_HTTP10, 400, "Transfer-Encoding in an HTTP/1.0 message")                              \
    X(CHUNK_SIZE, 400, "invalid chunk size")                                                       \
    X(CHUNK_SIZE_DIGITS, 400, "chunk size with more than 16 digits")                               \
    X(CHUNK_EXTENSION, 400, "invalid chunk extension, or longer than 256 bytes")                   \
    X(CHUNK_END, 400, "chunk data not followed by CRLF")                                           \
    X(TRAILER_TOO_LARGE, 431, "trailer section larger than 8 KiB or 32 fields")

enum http1_error {
    HTTP1_OK,
#define X(name, status, text) HTTP1_ERROR_##name,
    HTTP1_ERROR_TABLE(X)
#undef X
        HTTP1_ERROR_COUNT
};

/* "HOST_MISSING"; "OK" for HTTP1_OK. */
const char *http1_error_name(enum http1_error error);
/* The sentence of the table. */
const char *http1_error_text(enum http1_error error);
/* The status that tells a client about it. */
int http1_error_status(enum http1_error error);

#define HTTP1_METHOD_TABLE(X) \
    X(GET) X(HEAD) X(POST) X(PUT) X(DELETE) X(CONNECT) X(OPTIONS) X(TRACE) X(PATCH)

enum http1_method {
    HTTP1_OTHER_METHOD, /* any other token; see method_name */
#define X(name) HTTP1_##name,
    HTTP1_METHOD_TABLE(X)
#undef X
        HTTP1_METHOD_COUNT
};

/* The enum for a method's name (case matters). */
enum http1_method http1_method_find(struct bytes name);
struct bytes http1_method_name(enum http1_method method); /* "" for HTTP1_OTHER_METHOD */

/* RFC 9110 section 9.2: safe methods, PUT and DELETE. */
bool http1_method_idempotent(enum http1_method method);

/* Header names that this project acts upon; recognised once, while parsing. */
#define HTTP1_NAME_TABLE(X)                       \
    X(ACCEPT, "Accept")                           \
    X(ACCEPT_ENCODING, "Accept-Encoding")         \
    X(AUTHORIZATION, "Authorization")             \
    X(CONNECTION, "Connection")                   \
    X(CONTENT_ENCODING, "Content-Encoding")       \
    X(CONTENT_LENGTH, "Content-Length")           \
    X(CONTENT_TYPE, "Content-Type")               \
    X(COOKIE, "Cookie")                           \
    X(DATE, "Date")                               \
    X(EXPECT, "Expect")                           \
    X(FORWARDED, "Forwarded")                     \
    X(HOST, "Host")                               \
    X(KEEP_ALIVE, "Keep-Alive")                   \
    X(LOCATION, "Location")                       \
    X(ORIGIN, "Origin")                           \
    X(PROXY_AUTHENTICATE, "Proxy-Authenticate")   \
    X(PROXY_AUTHORIZATION, "Proxy-Authorization") \
    X(PROXY_CONNECTION, "Proxy-Connection")       \
    X(RETRY_AFTER, "Retry-After")                 \
    X(SERVER, "Server")                           \
    X(SET_COOKIE, "Set-Cookie")                   \
    X(TE, "TE")                                   \
    X(TRACEPARENT, "traceparent")                 \
    X(TRACESTATE, "tracestate")                   \
    X(TRAILER, "Trailer")                         \
    X(TRANSFER_ENCODING, "Transfer-Encoding")     \
    X(UPGRADE, "Upgrade")                         \
    X(USER_AGENT, "User-Agent")                   \
    X(VIA, "Via")                                 \
    X(X_FORWARDED_FOR, "X-Forwarded-For")         \
    X(X_FORWARDED_HOST, "X-Forwarded-Host")       \
    X(X_FORWARDED_PROTO, "X-Forwarded-Proto")     \
    X(X_REQUEST_ID, "X-Request-Id")

enum http1_name {
    HTTP1_OTHER_NAME,
#define X(id, text) HTTP1_NAME_##id,
    HTTP1_NAME_TABLE(X)
#undef X
        HTTP1_NAME_COUNT
};

/* The enum for a header name (case does not matter), and its usual spelling. */
enum http1_name http1_name_find(struct bytes name);
struct bytes http1_name_text(enum http1_name name); /* "" for HTTP1_OTHER_NAME */

struct http1_header {
    struct bytes name;  /* as it was sent */
    struct bytes value; /* without surrounding white space; bytes >= 0x80 are possible */
    enum http1_name id;
};

enum http1_form {
    HTTP1_ORIGIN_FORM,    /* /path?query */
    HTTP1_ABSOLUTE_FORM,  /* http://host/path?query */
    HTTP1_AUTHORITY_FORM, /* host:port, CONNECT only */
    HTTP1_ASTERISK_FORM,  /* *, OPTIONS only */
};

/* One parsed head, of a request or of a response. All views point into the buffer that was parsed
 * (or into literals). About 4 KiB: keep it where a message is in flight, not in idle connections.
 */
struct http1_head {
    /* of a request */
    enum http1_method method;
    enum http1_form form;
    struct bytes method_name;
    struct bytes target;    /* as it was sent */
    struct bytes scheme;    /* absolute form: "http" or "https" as sent; else "" */
    struct bytes authority; /* host[:port]: of the target when it has one, else Host; else "" */
    struct bytes
        path;           /* begins with '/' (an absolute form's empty path is "/"), or is "*"
                           (OPTIONS); "" for      CONNECT. As sent: escapes and dots are not touched */
    struct bytes query; /* behind the '?', without it; data is NULL when there is no '?' */

    /* of a response */
    int status;
    struct bytes reason;

    /* of both */
    bool is_response;
    uint8_t minor;            /* HTTP/1.minor: 0 or 1 */
    bool keep_alive;          /* what version and Connection say about the connection's future */
    bool upgrade;             /* Connection: upgrade, and Upgrade is there */
    bool names_in_connection; /* Connection names fields (hop by hop by declaration) */
    bool expect_continue;     /* a 1.1 request with Expect: 100-continue */
    bool chunked;             /* Transfer-Encoding: chunked */
    bool has_length;
    uint64_t length; /* Content-Length */

    uint8_t first[HTTP1_NAME_COUNT]; /* 1 + index of the first header with that name; 0: none */
    size_t size;                     /* bytes of the whole head, once it is whole */
    size_t count;
    struct http1_header headers[HTTP1_HEADERS_MAX];
};

/* The first header of that name, or NULL. */
static inline const struct http1_header *http1_find(const struct http1_head *head,
                                                    enum http1_name name)
{
    return head->first[name] ? &head->headers[head->first[name] - 1] : NULL;
}

/* Its value, or {NULL, 0}. */
static inline struct bytes http1_value(const struct http1_head *head, enum http1_name name)
{
    const struct http1_header *header = http1_find(head, name);
    return header ? header->value : (struct bytes){NULL, 0};
}

/* The next header behind `header` with the same name, or NULL. */
const struct http1_header *http1_find_next(const struct http1_head *head,
                                           const struct http1_header *header);

/* The first header with this name, any name, case does not matter; or NULL. */
const struct http1_header *http1_find_text(const struct http1_head *head, struct bytes name);

/* Whether a comma-separated list has the token; case does not matter. */
bool http1_list_has(struct bytes list, struct bytes token);

/* Whether a header belongs to this connection only and must not be forwarded (RFC 9110 section
 * 7.6.1): the known ones, and unknown ones that Connection names. Also true for Content-Length,
 * Transfer-Encoding and Expect: whoever forwards frames the body anew. Fields that this project
 * acts upon (Host, Authorization, X-Forwarded-For ...) stay even if Connection names them:
 * otherwise a client could make a proxy drop them. */
bool http1_hop_by_hop(const struct http1_head *head, const struct http1_header *header);

/* The parser's state between calls. */
struct http1_parser {
    struct http1_head *head;
    const char *base; /* where the bytes were at the last call */
    size_t line;      /* start of the line at hand */
    size_t scanned;   /* no line ends before this */
    bool in_fields;   /* the start line is done */
    bool skipped;     /* the one empty line allowed before a request has been seen */
    enum http1_error error;
    size_t error_at; /* offset into the input of the byte that is wrong */
};

/* Prepares for one request or response. `head` is the caller's. */
void http1_parser_init(struct http1_parser *parser, struct http1_head *head, bool is_response);

/* Parses from the beginning of `input`, which always holds the message from its first byte on:
 * the bytes of earlier calls (possibly moved elsewhere in the meantime) and any number of new ones.
 * Returns the length of the head (> 0) when it is whole, 0 when more bytes are needed, and
 * ERR_PROTOCOL when it is refused: see `error` and `error_at`. No byte is scanned twice. */
int http1_parse(struct http1_parser *parser, struct bytes input);

/* Points all views of a head to `to`, where its bytes have been copied from `from`. */
void http1_head_move(struct http1_head *head, const char *from, const char *to);

enum http1_body {
    HTTP1_BODY_NONE,
    HTTP1_BODY_LENGTH, /* head->length bytes, > 0 */
    HTTP1_BODY_CHUNKED,
    HTTP1_BODY_UNTIL_CLOSE, /* responses only */
};

/* How the body behind this head is framed (RFC 9112 section 6.3). For a response
 * `request_method` is that of its request; for a request it does not matter. */
enum http1_body http1_body_kind(const struct http1_head *head, enum http1_method request_method);

/* Whether `host` is host[:port] as RFC 3986 has it: name, IPv4 or [IPv6]; may be empty. */
bool http1_host_valid(struct bytes host);

#endif
