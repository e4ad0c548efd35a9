/* check: what names, hosts, paths and methods in a configuration may look like. Each returns 0, or
 * ERR_INVALID with a sentence about what was found and what was expected. */
#ifndef DURE_PROXY_CHECK_H
#define DURE_PROXY_CHECK_H

#include "base/arena.h"
#include "base/err.h"

enum { SERVICE_NAME_MAX = 63, HOST_NAME_MAX = 253, ROUTE_PATH_MAX = 2048 };

/* 1 to 63 of a-z 0-9 - . _, beginning with a letter or digit. */
int check_service_name(struct bytes name, struct error *error);

/* A host name or "*.NAME", without port; ret_host: the copy in lower case. "" and "*" mean any
 * host and give "". */
int check_host(struct arena *arena, struct bytes host, struct bytes *ret_host, struct error *error);

/* A path without query; ret_path: its normalised copy. For a prefix the '/' at its end is dropped.
 */
int check_path(struct arena *arena, struct bytes path, bool is_prefix, struct bytes *ret_path,
               struct error *error);

/* A token in upper case (RFC 9110 section 9.1). */
int check_method(struct bytes method, struct error *error);

/* A field name and a value without control characters (RFC 9110 section 5). */
int check_header(struct bytes name, struct bytes value, struct error *error);

#endif
