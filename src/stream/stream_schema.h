/* stream_schema: what the messages of a stream must look like. A JSON object whose members are
 * subject patterns, each with a JSON Schema (schema/schema.h):
 *
 *     {"orders.*": {"type": "object", "required": ["id"], "properties": {"id": {"type":
 * "string"}}}}
 *
 * A message whose subject matches one of them must be JSON that is valid by it; of several all
 * count. */
#ifndef DURE_STREAM_STREAM_SCHEMA_H
#define DURE_STREAM_STREAM_SCHEMA_H

#include "base/bytes.h"
#include "base/err.h"
#include "schema/place.h"

enum { STREAM_SCHEMA_TEXT = SCHEMA_WHY };

struct stream_schema;

/* ERR_INVALID or ERR_TOO_BIG, and ret_why says where and what; ERR_NOMEM. */
int stream_schema_new(struct bytes json, struct stream_schema **ret_schema,
                      char ret_why[STREAM_SCHEMA_TEXT]);

/* NULL is allowed. */
void stream_schema_free(struct stream_schema *schema);

/* ERR_INVALID: ret_why names the place (JSON pointer), what was found and what was expected.
 * ERR_NOMEM. */
int stream_schema_check(const struct stream_schema *schema, struct bytes subject,
                        struct bytes payload, char ret_why[STREAM_SCHEMA_TEXT]);

#endif
