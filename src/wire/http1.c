/* How the parser works: one pass of a vector scan finds the next control character, which in a
 * correct head is the CR of the line's end; then that one line is parsed from its start. A line
 * that is not whole yet is left alone and the scan continues behind the last byte seen, so feeding
 * a head byte by byte costs no more than feeding it whole. */
#include "wire/http1.h"

#include <assert.h>

#include "wire/http1_scan.h"
#include "wire/http1_target.h"

static int refuse(struct http1_parser *parser, enum http1_error error, size_t at)
{
    parser->error = error;
    parser->error_at = at;
    return ERR_PROTOCOL;
}

void http1_parser_init(struct http1_parser *parser, struct http1_head *head, bool is_response)
{
    *parser = (struct http1_parser){.head = head};
    memset(head, 0, offsetof(struct http1_head, headers));
    head->is_response = is_response;
    head->method_name = head->target = head->scheme = head->authority = head->path = head->reason =
        BYTES("");
}

/* ---- moving ------------------------------------------------------------------------------- */

static void move_view(struct bytes *view, const char *from, size_t len, const char *to)
{
    uintptr_t at = (uintptr_t)view->data - (uintptr_t)from;
    if (view->data && at <= len) view->data = to + at;
}

static void move_views(struct http1_head *head, const char *from, size_t len, const char *to)
{
    struct bytes *const views[] = {&head->method_name, &head->target, &head->scheme,
                                   &head->authority,   &head->path,   &head->query,
                                   &head->reason};
    for (size_t i = 0; i < sizeof views / sizeof *views; i++) move_view(views[i], from, len, to);
    for (size_t i = 0; i < head->count; i++) {
        move_view(&head->headers[i].name, from, len, to);
        move_view(&head->headers[i].value, from, len, to);
    }
}

void http1_head_move(struct http1_head *head, const char *from, const char *to)
{
    move_views(head, from, head->size, to);
}

/* ---- start lines --------------------------------------------------------------------------- */

/* "HTTP/1.1" at `at` to the end of the line. */
static int parse_version(struct http1_parser *parser, struct bytes text, size_t at)
{
    if (text.len != 8 || !bytes_starts(text, BYTES("HTTP/")) || text.data[6] != '.' ||
        (unsigned char)(text.data[5] - '0') > 9 || (unsigned char)(text.data[7] - '0') > 9)
        return refuse(parser, HTTP1_ERROR_VERSION, at);
    if (text.data[5] != '1' || text.data[7] > '1')
        return refuse(parser, HTTP1_ERROR_VERSION_UNSUPPORTED, at);
    parser->head->minor = (uint8_t)(text.data[7] - '0');
    return 0;
}

static int parse_request_line(struct http1_parser *parser, struct bytes line)
{
    struct http1_head *head = parser->head;
    size_t start = parser->line, len = http1_span(line, HTTP1_CLASS_TOKEN);
    if (len < line.len && line.data[len] != ' ')
        return refuse(parser, HTTP1_ERROR_METHOD, start + len);
    if (len == 0 || len == line.len) return refuse(parser, HTTP1_ERROR_REQUEST_LINE, start + len);
    head->method_name = bytes_head(line, len);
    head->method = http1_method_find(head->method_name);

    size_t from = len + 1;
    struct bytes rest = bytes_skip(line, from);
    size_t target_len = bytes_find(rest, ' ');
    if (target_len == 0 || target_len == rest.len)
        return refuse(parser, HTTP1_ERROR_REQUEST_LINE, start + from + target_len);
    head->target = bytes_head(rest, target_len);
    size_t at;
    enum http1_error error = http1_target_parse(head, &at);
    if (error) return refuse(parser, error, start + from + at);

    from += target_len + 1;
    struct bytes version = bytes_skip(line, from);
    size_t space = bytes_find(version, ' ');
    if (space < version.len) return refuse(parser, HTTP1_ERROR_REQUEST_LINE, start + from + space);
    return parse_version(parser, version, start + from);
}

static int parse_status_line(struct http1_parser *parser, struct bytes line)
{
    struct http1_head *head = parser->head;
    size_t start = parser->line, space = bytes_find(line, ' ');
    int err = parse_version(parser, bytes_head(line, space), start);
    if (err) return err;
    struct bytes code = bytes_skip(line, space + 1);
    /* The space behind the code belongs there even without a reason (RFC 9112 section 4); a status
     * line that just ends is common and means only one thing. */
    if (code.len < 3 || (code.len > 3 && code.data[3] != ' '))
        return refuse(parser, HTTP1_ERROR_STATUS_LINE, start + space);
    uint64_t status;
    if (bytes_to_u64(bytes_head(code, 3), 999, &status) != 0)
        return refuse(parser, HTTP1_ERROR_STATUS_LINE, start + space + 1);
    if (status < 100 || status > 599) return refuse(parser, HTTP1_ERROR_STATUS, start + space + 1);
    head->status = (int)status;
    head->reason = bytes_skip(code, 4);
    return 0;
}

/* ---- fields -------------------------------------------------------------------------------- */

/* Why there is no colon directly behind the `len` characters of a name. */
static int refuse_name(struct http1_parser *parser, struct bytes line, size_t len)
{
    size_t at = parser->line + len, colon = bytes_find(line, ':');
    if (colon == line.len) return refuse(parser, HTTP1_ERROR_NO_COLON, parser->line);
    if (colon == len) return refuse(parser, HTTP1_ERROR_NAME_EMPTY, at);
    bool space = bytes_trim(bytes_make(line.data + len, colon - len)).len == 0;
    return refuse(parser, space ? HTTP1_ERROR_NAME_SPACE : HTTP1_ERROR_NAME, at);
}

static int parse_field(struct http1_parser *parser, struct bytes line)
{
    struct http1_head *head = parser->head;
    if (line.data[0] == ' ' || line.data[0] == '\t')
        return refuse(parser, HTTP1_ERROR_FOLD, parser->line);
    size_t len = http1_span(line, HTTP1_CLASS_TOKEN);
    if (len == 0 || len == line.len || line.data[len] != ':') return refuse_name(parser, line, len);
    if (head->count == HTTP1_HEADERS_MAX)
        return refuse(parser, HTTP1_ERROR_TOO_MANY_HEADERS, parser->line);
    struct bytes name = bytes_head(line, len);
    enum http1_name id = http1_name_find(name);
    head->headers[head->count++] =
        (struct http1_header){name, bytes_trim(bytes_skip(line, len + 1)), id};
    if (id == HTTP1_OTHER_NAME) return 0;
    if (!head->first[id]) {
        head->first[id] = (uint8_t)head->count;
        return 0;
    }
    switch (id) {
    case HTTP1_NAME_HOST: return refuse(parser, HTTP1_ERROR_HOST_TWICE, parser->line);
    case HTTP1_NAME_CONTENT_LENGTH: return refuse(parser, HTTP1_ERROR_LENGTH_TWICE, parser->line);
    case HTTP1_NAME_TRANSFER_ENCODING:
        return refuse(parser, HTTP1_ERROR_CODING_TWICE, parser->line);
    default: return 0;
    }
}

/* ---- what the fields mean together --------------------------------------------------------- */

static size_t offset_of(const struct http1_parser *parser, struct bytes view)
{
    return (size_t)(view.data - parser->base);
}

static enum http1_error coding_error(struct bytes value)
{
    struct bytes rest = value;
    bool last = false, seen = false, twice = false;
    while (rest.data) {
        last = bytes_eq_nocase(bytes_trim(bytes_cut(&rest, ',')), BYTES("chunked"));
        twice = twice || (seen && last);
        seen = seen || last;
    }
    return seen && (!last || twice) ? HTTP1_ERROR_CODING_NOT_FINAL : HTTP1_ERROR_CODING_UNKNOWN;
}

static int check_framing(struct http1_parser *parser)
{
    struct http1_head *head = parser->head;
    const struct http1_header *coding = http1_find(head, HTTP1_NAME_TRANSFER_ENCODING);
    const struct http1_header *length = http1_find(head, HTTP1_NAME_CONTENT_LENGTH);
    if (coding && length)
        return refuse(parser, HTTP1_ERROR_LENGTH_AND_CODING,
                      offset_of(parser, coding > length ? coding->name : length->name));
    if (coding) {
        size_t at = offset_of(parser, coding->value);
        if (head->minor == 0) return refuse(parser, HTTP1_ERROR_CODING_HTTP10, at);
        if (!bytes_eq_nocase(coding->value, BYTES("chunked")))
            return refuse(parser, coding_error(coding->value), at);
        head->chunked = true;
    }
    if (length) {
        if (bytes_to_u64(length->value, INT64_MAX, &head->length) != 0)
            return refuse(parser, HTTP1_ERROR_LENGTH_INVALID, offset_of(parser, length->value));
        head->has_length = true;
    }
    return 0;
}

static int check_host(struct http1_parser *parser)
{
    struct http1_head *head = parser->head;
    const struct http1_header *host = http1_find(head, HTTP1_NAME_HOST);
    if (!host) return head->minor ? refuse(parser, HTTP1_ERROR_HOST_MISSING, parser->line) : 0;
    size_t at = offset_of(parser, host->value);
    if (!http1_host_valid(host->value)) return refuse(parser, HTTP1_ERROR_HOST_INVALID, at);
    if (head->form == HTTP1_ABSOLUTE_FORM &&
        !http1_host_same(head->scheme, head->authority, host->value))
        return refuse(parser, HTTP1_ERROR_HOST_DIFFERS, at);
    if (head->form == HTTP1_ORIGIN_FORM || head->form == HTTP1_ASTERISK_FORM)
        head->authority = host->value;
    return 0;
}

static void read_connection(struct http1_head *head)
{
    bool close = false, keep_alive = false, upgrade = false;
    const struct http1_header *header = http1_find(head, HTTP1_NAME_CONNECTION);
    for (; header; header = http1_find_next(head, header)) {
        struct bytes rest = header->value;
        while (rest.data) {
            struct bytes option = bytes_trim(bytes_cut(&rest, ','));
            if (bytes_eq_nocase(option, BYTES("close")))
                close = true;
            else if (bytes_eq_nocase(option, BYTES("keep-alive")))
                keep_alive = true;
            else if (bytes_eq_nocase(option, BYTES("upgrade")))
                upgrade = true;
            else if (option.len)
                head->names_in_connection = true;
        }
    }
    head->keep_alive = !close && (head->minor == 1 || keep_alive);
    head->upgrade = upgrade && http1_find(head, HTTP1_NAME_UPGRADE);
}

static int finish(struct http1_parser *parser, size_t size)
{
    struct http1_head *head = parser->head;
    head->size = size;
    int err = check_framing(parser);
    if (err == 0 && !head->is_response) err = check_host(parser);
    if (err) return err;
    read_connection(head);
    head->expect_continue =
        !head->is_response && head->minor == 1 &&
        bytes_eq_nocase(http1_value(head, HTTP1_NAME_EXPECT), BYTES("100-continue"));
    return (int)size;
}

/* ---- lines --------------------------------------------------------------------------------- */

/* Finds the end of the line at hand: its place (of the CR), or SIZE_MAX when more is needed, or
 * an error is set. */
static size_t line_end(struct http1_parser *parser, struct bytes input)
{
    size_t at = http1_scan_control(input, parser->scanned);
    parser->scanned = at;
    if (at == input.len) return SIZE_MAX;
    char c = input.data[at];
    if (c == '\r') {
        if (at + 1 == input.len) return SIZE_MAX;
        if (input.data[at + 1] == '\n') return at;
    }
    refuse(parser,
           c == '\r'   ? HTTP1_ERROR_BARE_CR
           : c == '\n' ? HTTP1_ERROR_BARE_LF
           : c == '\0' ? HTTP1_ERROR_NUL
                       : HTTP1_ERROR_CONTROL,
           at);
    return SIZE_MAX;
}

static int parse_line(struct http1_parser *parser, struct bytes line)
{
    if (parser->in_fields) return parse_field(parser, line);
    parser->in_fields = true;
    return parser->head->is_response ? parse_status_line(parser, line)
                                     : parse_request_line(parser, line);
}

int http1_parse(struct http1_parser *parser, struct bytes input)
{
    if (parser->error) return ERR_PROTOCOL;
    assert(input.len >= parser->scanned);
    if (parser->base && parser->base != input.data)
        move_views(parser->head, parser->base, parser->scanned, input.data);
    parser->base = input.data;
    for (;;) {
        size_t end = line_end(parser, bytes_head(input, HTTP1_HEAD_MAX));
        if (parser->error) return ERR_PROTOCOL;
        if (end == SIZE_MAX)
            return input.len < HTTP1_HEAD_MAX
                       ? 0
                       : refuse(parser, HTTP1_ERROR_HEAD_TOO_LARGE, HTTP1_HEAD_MAX);
        struct bytes line = bytes_make(input.data + parser->line, end - parser->line);
        if (line.len) {
            int err = parse_line(parser, line);
            if (err) return err;
        } else if (parser->in_fields) {
            return finish(parser, end + 2);
        } else if (parser->skipped || parser->head->is_response) {
            return refuse(parser,
                          parser->head->is_response ? HTTP1_ERROR_STATUS_LINE
                                                    : HTTP1_ERROR_REQUEST_LINE,
                          parser->line);
        } else {
            parser->skipped = true; /* RFC 9112 section 2.2: at least one empty line is ignored */
        }
        parser->line = parser->scanned = end + 2;
    }
}

/* ---- questions about a head ------------------------------------------------------------------ */

const struct http1_header *http1_find_next(const struct http1_head *head,
                                           const struct http1_header *header)
{
    const struct http1_header *end = head->headers + head->count;
    for (const struct http1_header *it = header + 1; it < end; it++)
        if (it->id == header->id && (it->id || bytes_eq_nocase(it->name, header->name))) return it;
    return NULL;
}

const struct http1_header *http1_find_text(const struct http1_head *head, struct bytes name)
{
    enum http1_name id = http1_name_find(name);
    if (id) return http1_find(head, id);
    for (size_t i = 0; i < head->count; i++)
        if (bytes_eq_nocase(head->headers[i].name, name)) return &head->headers[i];
    return NULL;
}

bool http1_list_has(struct bytes list, struct bytes token)
{
    while (list.data)
        if (bytes_eq_nocase(bytes_trim(bytes_cut(&list, ',')), token)) return true;
    return false;
}

bool http1_hop_by_hop(const struct http1_head *head, const struct http1_header *header)
{
    switch (header->id) {
    case HTTP1_NAME_CONNECTION:
    case HTTP1_NAME_CONTENT_LENGTH:
    case HTTP1_NAME_EXPECT:
    case HTTP1_NAME_KEEP_ALIVE:
    case HTTP1_NAME_PROXY_AUTHENTICATE:
    case HTTP1_NAME_PROXY_AUTHORIZATION:
    case HTTP1_NAME_PROXY_CONNECTION:
    case HTTP1_NAME_TE:
    case HTTP1_NAME_TRAILER:
    case HTTP1_NAME_TRANSFER_ENCODING:
    case HTTP1_NAME_UPGRADE: return true;
    case HTTP1_OTHER_NAME: break;
    default: return false;
    }
    if (!head->names_in_connection) return false;
    const struct http1_header *connection = http1_find(head, HTTP1_NAME_CONNECTION);
    for (; connection; connection = http1_find_next(head, connection))
        if (http1_list_has(connection->value, header->name)) return true;
    return false;
}

enum http1_body http1_body_kind(const struct http1_head *head, enum http1_method request_method)
{
    if (head->is_response && (request_method == HTTP1_HEAD || head->status < 200 ||
                              head->status == 204 || head->status == 304))
        return HTTP1_BODY_NONE;
    if (head->chunked) return HTTP1_BODY_CHUNKED;
    if (head->has_length) return head->length ? HTTP1_BODY_LENGTH : HTTP1_BODY_NONE;
    return head->is_response ? HTTP1_BODY_UNTIL_CLOSE : HTTP1_BODY_NONE;
}
