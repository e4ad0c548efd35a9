/* schema: JSON Schema, draft 2020-12 (json-schema.org): compiled once, then asked of many
 * documents. Immutable after schema_new.
 *
 * Understood are all keywords of the vocabularies core, applicator, validation and unevaluated but
 * $dynamicRef, $dynamicAnchor and a $id below the root. $ref names a place of the same document:
 * "#", "#/$defs/item", "#anchor", the same behind the root's $id. Patterns are those of PCRE2 in
 * its nearest form to ECMA-262. What only describes (title, format, contentEncoding, ..., and any
 * name that begins with "x-") has no effect. Any other keyword is refused: what looks like a rule
 * is one. */
#ifndef DURE_SCHEMA_SCHEMA_H
#define DURE_SCHEMA_SCHEMA_H

#include "schema/place.h"

#include <jansson.h>

struct schema;

/* Compiles `json`, which stands at `place` (of the file or the object that it came from) and is
 * kept. 0; ERR_INVALID, and why[SCHEMA_WHY] says where and what; ERR_TOO_BIG (8 MiB of memory);
 * ERR_NOMEM. */
int schema_new(json_t *json, const struct schema_place *place, struct schema **ret_schema,
               char *why);

/* NULL is allowed. */
void schema_free(struct schema *schema);

/* 0, or ERR_INVALID, and why[SCHEMA_WHY] names the place in `value`, what was found and what was
 * expected; also when finding out takes too many steps, so that no document makes it slow.
 * ERR_NOMEM. */
int schema_check(const struct schema *schema, const json_t *value, char *why);

/* A document from its text: any JSON value; numbers past 64 bits become reals. NULL, and why says
 * so, when it is none. */
json_t *schema_document(struct bytes text, char *why);

#endif
