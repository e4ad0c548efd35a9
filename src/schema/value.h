/* value: JSON values as JSON Schema sees them, over jansson's. 1 and 1.0 are the same number and
 * both integers (JSON Schema 2020-12 core, section 4.2.2 and validation, section 6.1.1). */
#ifndef DURE_SCHEMA_VALUE_H
#define DURE_SCHEMA_VALUE_H

#include "base/bytes.h"

#include <jansson.h>

/* Types, as a mask: an integer is a number too. */
enum {
    VALUE_OBJECT = 1,
    VALUE_ARRAY = 2,
    VALUE_STRING = 4,
    VALUE_NUMBER = 8,
    VALUE_INTEGER = 16,
    VALUE_BOOLEAN = 32,
    VALUE_NULL = 64,
};

/* Room for a value's short text. */
enum { VALUE_BRIEF = 40 };

/* What can be said of its type: VALUE_NUMBER | VALUE_INTEGER for 1. */
unsigned schema_value_types(const json_t *value);

/* The bit of the type of that name; 0: there is none. */
unsigned schema_value_type_named(const char *name);

/* The name of the narrowest type: "integer" for 1. */
const char *schema_value_type_name(const json_t *value);

/* The names of a mask, with commas, cut at the room. */
const char *schema_value_types_text(unsigned types, char *text, size_t room);

/* Deep equality. */
bool schema_value_same(const json_t *a, const json_t *b);

/* Equal values have equal hashes. */
uint64_t schema_value_hash(const json_t *value);

/* Negative, 0, positive, of two numbers; integers are compared as such. */
int schema_value_compare(const json_t *a, const json_t *b);

/* Whether a number is an integral multiple of another, which is not 0; what decimal digits cannot
 * say exactly in binary is forgiven. */
bool schema_value_is_multiple(const json_t *value, const json_t *of);

/* The value as compact JSON, cut with "..." where it is long. */
const char *schema_value_brief(const json_t *value, char text[VALUE_BRIEF]);

#endif
