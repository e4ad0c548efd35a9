/* http1_target: the request target (RFC 9112 section 3.2) and the host. Private to the HTTP/1
 * codec, except http1_host_valid, which http1.h declares. */
#ifndef DURE_WIRE_HTTP1_TARGET_H
#define DURE_WIRE_HTTP1_TARGET_H

#include "wire/http1.h"

/* Takes head->target apart: form, scheme, authority, path, query. head->method is known. On an
 * error `ret_at` is the offset in the target. */
enum http1_error http1_target_parse(struct http1_head *head, size_t *ret_at);

/* Whether two host[:port] name the same place for the scheme (its default port may be missing). */
bool http1_host_same(struct bytes scheme, struct bytes a, struct bytes b);

#endif
