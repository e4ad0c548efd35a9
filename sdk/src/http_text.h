/* http_text: small texts of HTTP: dates, addresses, problem documents. Pure. */
#ifndef DURE_SDK_HTTP_TEXT_H
#define DURE_SDK_HTTP_TEXT_H

#include "base/buf.h"

#include <sys/socket.h>

enum { HTTP_DATE_TEXT = 32 };

/* "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 section 5.6.7), NUL-ended. */
void http_date(char ret_text[HTTP_DATE_TEXT], uint64_t wall_ns);

/* A numeric IPv4 or IPv6 address, or "localhost" (127.0.0.1). The length; 0: it is none. */
socklen_t http_address(const char *host, int port, struct sockaddr_storage *ret_address);

/* {"title":"Not Found","status":404,"detail":"..."} (RFC 9457). */
void http_problem(struct buf *out, int status, const char *detail);

#endif
