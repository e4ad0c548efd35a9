#include "stream/stream_schema.h"

#include "bus/subject.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { DEPTH_MAX = 32, POINTER_ROOM = 100 };

struct stream_schema {
    json_t *root; /* subject patterns to schemas */
};

/* A walk through a document or a schema: where it is, and what is wrong there. */
struct place {
    char pointer[POINTER_ROOM];
    size_t len;
    unsigned depth;
    char *why; /* NULL: nobody wants to know */
};

static int wrong(const struct place *place, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static int wrong(const struct place *place, const char *format, ...)
{
    if (!place->why) return ERR_INVALID;
    const char *pointer = place->len ? place->pointer : "/";
    int len = snprintf(place->why, STREAM_SCHEMA_TEXT, "at %s: ", pointer);
    va_list args;
    va_start(args, format);
    vsnprintf(place->why + len, STREAM_SCHEMA_TEXT - (size_t)len, format, args);
    va_end(args);
    return ERR_INVALID;
}

/* One step down; a pointer that gets too long ends with "...". RFC 6901 escapes. */
static struct place step(const struct place *place, const char *name)
{
    struct place down = *place;
    size_t room = sizeof down.pointer - 8; /* an escape, "..." and the NUL */
    down.depth++;
    if (down.len > room) return down;
    down.pointer[down.len++] = '/';
    for (; *name && down.len < room; name++) {
        bool escaped = *name == '~' || *name == '/';
        if (escaped) down.pointer[down.len++] = '~';
        down.pointer[down.len++] = *name == '~' ? '0' : *name == '/' ? '1' : *name;
    }
    if (*name) { /* from here on it is too long */
        memcpy(down.pointer + down.len, "...", sizeof "...");
        down.len = room + 1;
        return down;
    }
    down.pointer[down.len] = '\0';
    return down;
}

static struct place step_index(const struct place *place, size_t index)
{
    char text[24];
    snprintf(text, sizeof text, "%zu", index);
    return step(place, text);
}

/* ---- types ---- */

static const char *const types[] = {"object", "array",   "string", "integer",
                                    "number", "boolean", "null"};

static bool has_type(const json_t *value, const char *type)
{
    assert(value);
    switch (json_typeof(value)) {
    case JSON_OBJECT: return strcmp(type, "object") == 0;
    case JSON_ARRAY: return strcmp(type, "array") == 0;
    case JSON_STRING: return strcmp(type, "string") == 0;
    case JSON_INTEGER: return strcmp(type, "integer") == 0 || strcmp(type, "number") == 0;
    case JSON_REAL: {
        if (strcmp(type, "number") == 0) return true;
        double real = json_real_value(value); /* 1.0 is an integer */
        return strcmp(type, "integer") == 0 && real >= -9e15 && real <= 9e15 &&
               real == (double)(int64_t)real;
    }
    case JSON_TRUE:
    case JSON_FALSE: return strcmp(type, "boolean") == 0;
    case JSON_NULL: return strcmp(type, "null") == 0;
    }
    return false;
}

static const char *type_of(const json_t *value)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (has_type(value, types[i])) return types[i];
    }
    return "nothing";
}

/* ---- checking a schema ---- */

enum shape { NOTE, TYPE, ANY, LIST, NAMES, COUNT, NUMBER, SCHEMA, SCHEMAS, MEMBERS };

static const struct {
    const char *name;
    enum shape shape;
} keywords[] = {
    {"type", TYPE},
    {"const", ANY},
    {"enum", LIST},
    {"properties", MEMBERS},
    {"required", NAMES},
    {"additionalProperties", SCHEMA},
    {"minProperties", COUNT},
    {"maxProperties", COUNT},
    {"items", SCHEMA},
    {"minItems", COUNT},
    {"maxItems", COUNT},
    {"minLength", COUNT},
    {"maxLength", COUNT},
    {"minimum", NUMBER},
    {"maximum", NUMBER},
    {"exclusiveMinimum", NUMBER},
    {"exclusiveMaximum", NUMBER},
    {"allOf", SCHEMAS},
    {"anyOf", SCHEMAS},
    {"oneOf", SCHEMAS},
    {"not", SCHEMA},
    {"$schema", NOTE},
    {"$id", NOTE},
    {"$comment", NOTE},
    {"title", NOTE},
    {"description", NOTE},
    {"default", NOTE},
    {"examples", NOTE},
    {"deprecated", NOTE},
    {"readOnly", NOTE},
    {"writeOnly", NOTE},
    {"format", NOTE},
};

static int check_schema(const json_t *schema, const struct place *place);

static int check_type(const json_t *value, const struct place *place)
{
    const char *name = json_string_value(value);
    for (size_t i = 0; name && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(name, types[i]) == 0) return 0;
    }
    return wrong(place, "not the name of a type");
}

static int check_names(const json_t *value, const struct place *place, bool of_types)
{
    size_t i;
    json_t *item;
    if (!json_is_array(value)) return wrong(place, "expected an array of strings");
    json_array_foreach(value, i, item)
    {
        struct place down = step_index(place, i);
        int r = of_types ? check_type(item, &down) : 0;
        if (r < 0) return r;
        if (!json_is_string(item)) return wrong(&down, "expected a string");
    }
    return 0;
}

static int check_schemas(const json_t *value, const struct place *place, bool members)
{
    size_t i;
    const char *name;
    json_t *item;
    int r = 0;
    if (members && !json_is_object(value)) return wrong(place, "expected an object of schemas");
    if (!members && json_array_size(value) == 0) return wrong(place, "expected schemas");
    if (members) {
        json_object_foreach((json_t *)value, name, item)
        {
            struct place down = step(place, name);
            if (r == 0) r = check_schema(item, &down);
        }
        return r;
    }
    json_array_foreach(value, i, item)
    {
        struct place down = step_index(place, i);
        if (r == 0) r = check_schema(item, &down);
    }
    return r;
}

static int check_keyword(enum shape shape, const json_t *value, const struct place *place)
{
    switch (shape) {
    case NOTE:
    case ANY: return 0;
    case TYPE:
        return json_is_array(value) ? check_names(value, place, true) : check_type(value, place);
    case LIST: return json_array_size(value) ? 0 : wrong(place, "expected a list of values");
    case NAMES: return check_names(value, place, false);
    case COUNT:
        return json_is_integer(value) && json_integer_value(value) >= 0
                   ? 0
                   : wrong(place, "expected a number that is not negative");
    case NUMBER: return json_is_number(value) ? 0 : wrong(place, "expected a number");
    case SCHEMA: return check_schema(value, place);
    case SCHEMAS: return check_schemas(value, place, false);
    case MEMBERS: return check_schemas(value, place, true);
    }
    return ERR_INVALID;
}

static int check_schema(const json_t *schema, const struct place *place)
{
    const char *name;
    json_t *value;
    if (json_is_boolean(schema)) return 0;
    if (!json_is_object(schema)) return wrong(place, "a schema is an object, true or false");
    if (place->depth > DEPTH_MAX) return wrong(place, "nested too deeply");
    json_object_foreach((json_t *)schema, name, value)
    {
        struct place down = step(place, name);
        int r = 1;
        for (size_t i = 0; r == 1 && i < sizeof keywords / sizeof keywords[0]; i++) {
            if (strcmp(name, keywords[i].name) != 0) continue;
            r = check_keyword(keywords[i].shape, value, &down);
        }
        if (r == 1) return wrong(&down, "this keyword is not supported");
        if (r < 0) return r;
    }
    return 0;
}

static int check_root(const json_t *root, struct place *place)
{
    const char *pattern;
    json_t *schema;
    int r = 0;
    if (!json_is_object(root)) return wrong(place, "expected an object of subjects");
    json_object_foreach((json_t *)root, pattern, schema)
    {
        struct place down = step(place, pattern);
        if (r == 0 && !subject_is_pattern(bytes_str(pattern))) {
            r = wrong(&down, "not a subject");
        }
        if (r == 0) r = check_schema(schema, &down);
    }
    return r;
}

int stream_schema_new(struct bytes json, struct stream_schema **ret_schema,
                      char ret_why[STREAM_SCHEMA_TEXT])
{
    json_error_t error;
    struct place place = {.why = ret_why};
    struct stream_schema *schema = calloc(1, sizeof *schema);
    if (!schema) return ERR_NOMEM;
    schema->root = json_loadb(json.data, json.len, JSON_REJECT_DUPLICATES, &error);
    int r = schema->root ? check_root(schema->root, &place) : wrong(&place, "%s", error.text);
    if (r < 0) {
        stream_schema_free(schema);
        return r;
    }
    *ret_schema = schema;
    return 0;
}

void stream_schema_free(struct stream_schema *schema)
{
    if (!schema) return;
    json_decref(schema->root);
    free(schema);
}

/* ---- checking a document ---- */

static int validate(const json_t *schema, const json_t *value, const struct place *place);

static int validate_type(const json_t *type, const json_t *value, const struct place *place)
{
    size_t i;
    json_t *one;
    if (json_is_string(type)) {
        if (has_type(value, json_string_value(type))) return 0;
        return wrong(place, "found %s, expected %s", type_of(value), json_string_value(type));
    }
    json_array_foreach(type, i, one)
    {
        if (has_type(value, json_string_value(one))) return 0;
    }
    return wrong(place, "found %s, expected one of %zu other types", type_of(value),
                 json_array_size(type));
}

/* 1 and 1.0 are the same number. */
static bool same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b) && json_typeof(a) != json_typeof(b)) {
        return json_number_value(a) == json_number_value(b);
    }
    return json_equal(a, b);
}

static int validate_value(const json_t *schema, const json_t *value, const struct place *place)
{
    const json_t *constant = json_object_get(schema, "const");
    const json_t *list = json_object_get(schema, "enum");
    size_t i;
    json_t *one;
    if (constant && !same(constant, value)) return wrong(place, "not the value that is expected");
    if (!list) return 0;
    json_array_foreach(list, i, one)
    {
        if (same(one, value)) return 0;
    }
    return wrong(place, "none of the %zu values that are expected", json_array_size(list));
}

static int validate_count(const json_t *schema, const char *min, const char *max, size_t count,
                          const char *what, const struct place *place)
{
    const json_t *least = json_object_get(schema, min), *most = json_object_get(schema, max);
    if (least && count < (uint64_t)json_integer_value(least)) {
        return wrong(place, "found %zu %s, expected at least %" PRId64, count, what,
                     (int64_t)json_integer_value(least));
    }
    if (most && count > (uint64_t)json_integer_value(most)) {
        return wrong(place, "found %zu %s, expected at most %" PRId64, count, what,
                     (int64_t)json_integer_value(most));
    }
    return 0;
}

static int validate_object(const json_t *schema, const json_t *value, const struct place *place)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *others = json_object_get(schema, "additionalProperties");
    size_t i;
    const char *name;
    json_t *item;
    json_array_foreach(json_object_get(schema, "required"), i, item)
    {
        if (json_object_get(value, json_string_value(item))) continue;
        return wrong(place, "member \"%s\" is missing", json_string_value(item));
    }
    int r = validate_count(schema, "minProperties", "maxProperties", json_object_size(value),
                           "members", place);
    json_object_foreach((json_t *)value, name, item)
    {
        const json_t *known = json_object_get(properties, name);
        struct place down = step(place, name);
        if (r == 0 && known) r = validate(known, item, &down);
        if (r == 0 && !known && json_is_false(others)) r = wrong(&down, "unknown member");
        if (r == 0 && !known && others) r = validate(others, item, &down);
    }
    return r;
}

static int validate_array(const json_t *schema, const json_t *value, const struct place *place)
{
    const json_t *items = json_object_get(schema, "items");
    size_t i;
    json_t *item;
    int r = validate_count(schema, "minItems", "maxItems", json_array_size(value), "items", place);
    json_array_foreach(value, i, item)
    {
        struct place down = step_index(place, i);
        if (r == 0 && items) r = validate(items, item, &down);
    }
    return r;
}

static int validate_string(const json_t *schema, const json_t *value, const struct place *place)
{
    const char *text = json_string_value(value);
    size_t len = json_string_length(value), points = 0;
    for (size_t i = 0; i < len; i++) points += ((unsigned char)text[i] & 0xc0) != 0x80;
    return validate_count(schema, "minLength", "maxLength", points, "letters", place);
}

/* Negative, 0, positive; integers are compared as such. */
static int compare(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return x < y ? -1 : x > y;
    }
    double x = json_number_value(a), y = json_number_value(b);
    return x < y ? -1 : x > y;
}

static int validate_number(const json_t *schema, const json_t *value, const struct place *place)
{
    static const struct {
        const char *name, *text;
        int bad[2]; /* outcomes of compare(value, bound) that are not allowed */
    } bounds[] = {
        {"minimum", "at least", {-1, -1}},
        {"maximum", "at most", {1, 1}},
        {"exclusiveMinimum", "more than", {-1, 0}},
        {"exclusiveMaximum", "less than", {1, 0}},
    };
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        const json_t *bound = json_object_get(schema, bounds[i].name);
        if (!bound) continue;
        int order = compare(value, bound);
        if (order != bounds[i].bad[0] && order != bounds[i].bad[1]) continue;
        return wrong(place, "found %.15g, expected %s %.15g", json_number_value(value),
                     bounds[i].text, json_number_value(bound));
    }
    return 0;
}

static size_t count_valid(const json_t *schemas, const json_t *value, const struct place *place)
{
    struct place quiet = *place;
    size_t i, valid = 0;
    json_t *schema;
    quiet.why = NULL;
    json_array_foreach(schemas, i, schema) valid += validate(schema, value, &quiet) == 0;
    return valid;
}

static int validate_combined(const json_t *schema, const json_t *value, const struct place *place)
{
    const json_t *any = json_object_get(schema, "anyOf"), *one = json_object_get(schema, "oneOf");
    const json_t *not = json_object_get(schema, "not");
    struct place quiet = *place;
    size_t i;
    json_t *part;
    int r = 0;
    quiet.why = NULL;
    json_array_foreach(json_object_get(schema, "allOf"), i, part)
    {
        if (r == 0) r = validate(part, value, place);
    }
    if (r < 0) return r;
    if (any && count_valid(any, value, place) == 0) {
        return wrong(place, "valid by none of the %zu schemas of anyOf", json_array_size(any));
    }
    size_t valid = one ? count_valid(one, value, place) : 1;
    if (valid != 1) return wrong(place, "valid by %zu of the schemas of oneOf", valid);
    if (not &&validate(not, value, &quiet) == 0) return wrong(place, "valid by what is excluded");
    return 0;
}

/* Recursion is as deep as the schema. */
static int validate(const json_t *schema, const json_t *value, const struct place *place)
{
    if (json_is_true(schema)) return 0;
    if (json_is_false(schema)) return wrong(place, "nothing is allowed here");
    const json_t *type = json_object_get(schema, "type");
    int r = type ? validate_type(type, value, place) : 0;
    if (r == 0) r = validate_value(schema, value, place);
    if (r == 0 && json_is_object(value)) r = validate_object(schema, value, place);
    if (r == 0 && json_is_array(value)) r = validate_array(schema, value, place);
    if (r == 0 && json_is_string(value)) r = validate_string(schema, value, place);
    if (r == 0 && json_is_number(value)) r = validate_number(schema, value, place);
    return r == 0 ? validate_combined(schema, value, place) : r;
}

int stream_schema_check(const struct stream_schema *schema, struct bytes subject,
                        struct bytes payload, char ret_why[STREAM_SCHEMA_TEXT])
{
    const char *pattern;
    json_t *one, *document = NULL;
    json_error_t error;
    struct place place = {.why = ret_why};
    int r = 0;
    json_object_foreach(schema->root, pattern, one)
    {
        if (r < 0 || !subject_matches(bytes_str(pattern), subject)) continue;
        if (!document) {
            document = json_loadb(payload.data, payload.len, JSON_DECODE_ANY, &error);
            if (!document) r = wrong(&place, "found no JSON (%s), expected JSON", error.text);
        }
        if (r == 0) r = validate(one, document, &place);
    }
    json_decref(document);
    return r;
}
