/* json: dure_json over jansson. A dure_json is a reference to a value, held until its ctx ends, so
 * a value that was replaced in its container stays valid for whoever looks at it. */
#ifndef DURE_SDK_JSON_H
#define DURE_SDK_JSON_H

#include "sdk/src/ctx.h"

#include <jansson.h>

/* How deep a parsed document may nest: jansson reads recursively, and a fiber's stack is small. */
enum { JSON_NESTING_MAX = 128 };

/* Parses a whole document. 0, `invalid` when it is none, DURE_ENOMEM. */
int json_read(struct dure_ctx *ctx, const char *text, size_t len, int invalid,
              struct dure_json **ret_json);

/* Takes over a reference for as long as the ctx lives. NULL: no memory (or no value). */
struct dure_json *json_hold(struct dure_ctx *ctx, json_t *value);

/* A new reference to the value; NULL for NULL. */
json_t *json_borrow(const struct dure_json *json);

/* Lets go of all values of a ctx; or of those that are newer than `roots`. */
void json_release_all(struct dure_ctx *ctx);
void json_release_to(struct dure_ctx *ctx, struct json_root *roots);

#endif
