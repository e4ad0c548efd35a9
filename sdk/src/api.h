/* api: requests to JetStream, for what is built on streams (readers, buckets, objects). */
#ifndef DURE_SDK_API_H
#define DURE_SDK_API_H

#include "sdk/src/ctx.h"

#include <jansson.h>

/* On a fiber. One request whose arguments are in `request` (consumed, also on error; NULL: none):
 * `what` is behind "$JS.API.". *ret_answer, the caller's, may be NULL. As dure_api(). */
int api_request(struct dure_ctx *ctx, const char *what, json_t *request, int64_t timeout_ms,
                json_t **ret_answer);

/* Whether it may be the name of a stream or consumer (ADR-6). */
bool api_name_valid(const char *name);

/* What stands between two numbers in JSON; 0 when it is none. */
uint64_t api_u64(const json_t *object, const char *key);
const char *api_text(const json_t *object, const char *key); /* "" when there is none */

/* On a fiber. The last message of `subject` (sequence 0), or the first at or behind `sequence` that
 * matches it (`next`), or the one at `sequence`; in the ctx's arena. DURE_ENOTFOUND. */
int api_get_message(struct dure_ctx *ctx, const char *stream, uint64_t sequence, bool next,
                    const char *subject, struct dure_message *ret_message);

#endif
