/* http1_write: heads of HTTP/1.1 messages as text, appended to a buf. Nothing that could be read in
 * another way gets out: a name or value with characters that it must not have is refused with
 * ERR_INVALID and nothing is appended. Memory: the buf's `failed`, checked by the caller at the
 * end. */
#ifndef DURE_WIRE_HTTP1_WRITE_H
#define DURE_WIRE_HTTP1_WRITE_H

#include "base/buf.h"
#include "wire/http1.h"

/* "GET /path HTTP/1.1\r\n" */
int http1_write_request(struct buf *out, struct bytes method, struct bytes target);

/* "HTTP/1.1 404 Not Found\r\n"; reason {NULL, 0}: the usual one. */
int http1_write_status(struct buf *out, int status, struct bytes reason);

/* "Name: value\r\n" */
int http1_write_header(struct buf *out, struct bytes name, struct bytes value);

/* The same for a header that came out of the parser, so is known to be clean. */
void http1_write_parsed(struct buf *out, const struct http1_header *header);

/* "Content-Length: 17\r\n" */
void http1_write_length(struct buf *out, uint64_t length);

/* The usual reason phrase (RFC 9110 section 15); "" for a status that has none. */
struct bytes http1_reason(int status);

#endif
