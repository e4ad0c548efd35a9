/* query: the part of a URL behind the '?', as names and values. Pure. */
#ifndef DURE_MONITOR_QUERY_H
#define DURE_MONITOR_QUERY_H

#include "base/bytes.h"
#include "base/err.h"

enum { QUERY_TEXT_MAX = 1024 };

/* Writes the value of `name` (the first one), unescaped and ended by NUL. ERR_NOT_FOUND: it is not
 * there. ERR_SYNTAX: a '%' without two digits, or a NUL. ERR_TOO_BIG: longer than QUERY_TEXT_MAX.
 */
int query_text(struct bytes query, const char *name, char ret_text[QUERY_TEXT_MAX + 1]);

/* A decimal number; `otherwise` where it is not there. ERR_SYNTAX. */
int query_u64(struct bytes query, const char *name, uint64_t otherwise, uint64_t *ret);

/* "1", "true" and so on; false where it is not there. ERR_SYNTAX. */
int query_bool(struct bytes query, const char *name, bool *ret);

#endif
