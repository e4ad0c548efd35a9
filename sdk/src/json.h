/* json: dure_json over jansson. A dure_json is a reference to a value, held until its ctx ends, so
 * a value that was replaced in its container stays valid for whoever looks at it. */
#ifndef DURE_SDK_JSON_H
#define DURE_SDK_JSON_H

#include "sdk/src/ctx.h"

/* How deep a parsed document may nest: jansson reads recursively, and a fiber's stack is small. */
enum { JSON_NESTING_MAX = 128 };

/* Parses a whole document. 0, `invalid` when it is none, DURE_ENOMEM. */
int json_read(struct dure_ctx *ctx, const char *text, size_t len, int invalid,
              struct dure_json **ret_json);

/* Lets go of all values of a ctx. */
void json_release_all(struct dure_ctx *ctx);

#endif
