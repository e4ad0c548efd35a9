/* path: the part of a request target that routes look at. One spelling for one resource, so that
 * what a route excludes cannot be reached by writing it differently. */
#ifndef DURE_PROXY_PATH_H
#define DURE_PROXY_PATH_H

#include "base/bytes.h"

/* Whether path_normalise would leave it as it is; this is nearly always so and costs one scan. */
bool path_is_normal(struct bytes path);

/* Writes the path with unreserved characters decoded ("%61" is "a", RFC 3986 section 6.2.2.2) and
 * dot segments removed (section 5.2.4) into `text`, which holds path.len bytes; `path` begins with
 * '/' and has no query. Repeated slashes stay: they are distinct paths. ERR_SYNTAX: an escape that
 * is none, or one of NUL. */
int path_normalise(struct bytes path, char *text, size_t *ret_len);

/* Whether `prefix` (no '/' at the end, except "/") covers `path`, element by element. */
bool path_has_prefix(struct bytes path, struct bytes prefix);

#endif
