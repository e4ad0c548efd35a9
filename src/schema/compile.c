#include "schema/schema_impl.h"

#include "base/err.h"
#include "schema/value.h"

#include <math.h>
#include <stdlib.h>

enum { DEPTH_MAX = 64 };

/* What a keyword's value has to be, and so what becomes of it. */
enum shape {
    NOTE,      /* anything; no effect */
    TYPES,     /* a type's name, or several: unsigned */
    VALUE,     /* anything: json_t * */
    VALUES,    /* a list that is not empty: json_t * */
    NAMES,     /* a list of strings: json_t * */
    NAMED,     /* members, each a list of strings: json_t * */
    COUNT,     /* uint64_t */
    NUMBER,    /* json_t * */
    FACTOR,    /* a number above 0: json_t * */
    FLAG,      /* bool */
    TEXT,      /* const char * */
    ANCHOR,    /* a name of this schema */
    IDENTITY,  /* the name of the document */
    DIALECT,   /* the name of what this is written in */
    PATTERN,   /* struct schema_pattern * */
    PATTERNS,  /* members by pattern: struct schema_matches */
    SCHEMA,    /* struct schema_node * */
    SCHEMAS,   /* a list that is not empty: struct schema_nodes */
    MEMBERS,   /* struct schema_members */
    OTHERWISE, /* not there in 2020-12: refused, and said what is */
};

static const struct keyword {
    const char *name;
    enum shape shape;
    size_t offset; /* in struct schema_node */
    const char *hint;
} keywords[] = {
#define AT(member) offsetof(struct schema_node, member)
    {"type", TYPES, AT(types)},
    {"const", VALUE, AT(constant)},
    {"enum", VALUES, AT(choices)},
    {"minimum", NUMBER, AT(minimum)},
    {"maximum", NUMBER, AT(maximum)},
    {"exclusiveMinimum", NUMBER, AT(exclusive_minimum)},
    {"exclusiveMaximum", NUMBER, AT(exclusive_maximum)},
    {"multipleOf", FACTOR, AT(multiple_of)},
    {"minLength", COUNT, AT(length.min)},
    {"maxLength", COUNT, AT(length.max)},
    {"pattern", PATTERN, AT(pattern)},
    {"required", NAMES, AT(required)},
    {"properties", MEMBERS, AT(properties)},
    {"patternProperties", PATTERNS, AT(patterns)},
    {"additionalProperties", SCHEMA, AT(additional)},
    {"unevaluatedProperties", SCHEMA, AT(unevaluated_members)},
    {"propertyNames", SCHEMA, AT(names)},
    {"minProperties", COUNT, AT(members_count.min)},
    {"maxProperties", COUNT, AT(members_count.max)},
    {"dependentRequired", NAMED, AT(dependent_required)},
    {"dependentSchemas", MEMBERS, AT(dependent)},
    {"prefixItems", SCHEMAS, AT(prefix)},
    {"items", SCHEMA, AT(items)},
    {"unevaluatedItems", SCHEMA, AT(unevaluated_items)},
    {"contains", SCHEMA, AT(contains)},
    {"minContains", COUNT, AT(contains_count.min)},
    {"maxContains", COUNT, AT(contains_count.max)},
    {"minItems", COUNT, AT(items_count.min)},
    {"maxItems", COUNT, AT(items_count.max)},
    {"uniqueItems", FLAG, AT(unique)},
    {"allOf", SCHEMAS, AT(all)},
    {"anyOf", SCHEMAS, AT(any)},
    {"oneOf", SCHEMAS, AT(one)},
    {"not", SCHEMA, AT(excluded)},
    {"if", SCHEMA, AT(condition)},
    {"then", SCHEMA, AT(then)},
    {"else", SCHEMA, AT(otherwise)},
    {"$ref", TEXT, AT(reference)},
    {"$defs", MEMBERS, AT(definitions)},
    {"definitions", MEMBERS, AT(definitions)},
    {"$anchor", ANCHOR},
    {"$id", IDENTITY},
    {"$schema", DIALECT},
    {"$comment", NOTE},
    {"$vocabulary", NOTE},
    {"title", NOTE},
    {"description", NOTE},
    {"default", NOTE},
    {"examples", NOTE},
    {"deprecated", NOTE},
    {"readOnly", NOTE},
    {"writeOnly", NOTE},
    {"format", NOTE},
    {"contentEncoding", NOTE},
    {"contentMediaType", NOTE},
    {"contentSchema", NOTE},
    {"additionalItems", OTHERWISE, 0, "items behind prefixItems"},
    {"dependencies", OTHERWISE, 0, "dependentRequired or dependentSchemas"},
    {"$dynamicRef", OTHERWISE, 0, "$ref"},
    {"$dynamicAnchor", OTHERWISE, 0, "$anchor"},
    {"$recursiveRef", OTHERWISE, 0, "$ref"},
#undef AT
};

/* What one keyword is read into, and from where. */
struct reading {
    struct schema *schema;
    struct schema_node *node;
    json_t *value;
    struct schema_place place;
    char *why;
    void *slot;
};

#define WRONG(reading, ...) schema_place_wrong(&(reading)->place, (reading)->why, __VA_ARGS__)

static int expected(const struct reading *reading, const char *what)
{
    char text[VALUE_BRIEF];
    return WRONG(reading, "found %s, expected %s", schema_value_brief(reading->value, text), what);
}

static int read_types(struct reading *reading)
{
    unsigned types = schema_value_type_named(json_string_value(reading->value));
    size_t i;
    json_t *item;
    json_array_foreach(reading->value, i, item)
    {
        unsigned bit = schema_value_type_named(json_string_value(item));
        if (!bit) return expected(reading, "names of types");
        types |= bit;
    }
    if (!types) return expected(reading, "the name of a type");
    *(unsigned *)reading->slot = types;
    return 0;
}

static bool is_names(const json_t *value)
{
    size_t i;
    json_t *item;
    json_array_foreach(value, i, item)
    {
        if (!json_is_string(item)) return false;
    }
    return json_is_array(value);
}

static bool is_named(const json_t *value)
{
    const char *name;
    json_t *item;
    json_object_foreach((json_t *)value, name, item)
    {
        if (!is_names(item)) return false;
    }
    return json_is_object(value);
}

static int read_value(struct reading *reading, bool fits, const char *what)
{
    if (!fits) return expected(reading, what);
    *(const json_t **)reading->slot = reading->value;
    return 0;
}

static int read_count(struct reading *reading)
{
    double number = json_number_value(reading->value);
    if (!json_is_number(reading->value) || number < 0 || number > 1e15 || trunc(number) != number)
        return expected(reading, "a whole number that is not negative");
    *(uint64_t *)reading->slot = (uint64_t)number;
    return 0;
}

static int read_text(struct reading *reading)
{
    if (!json_is_string(reading->value)) return expected(reading, "a string");
    *(const char **)reading->slot = json_string_value(reading->value);
    return 0;
}

static int read_anchor(struct reading *reading)
{
    if (!json_is_string(reading->value)) return expected(reading, "a string");
    struct bytes name = bytes_str(json_string_value(reading->value));
    if (map_get(&reading->schema->anchors, name))
        return WRONG(reading, "the anchor \"%s\" is there twice", name.data);
    return map_put(&reading->schema->anchors, name, reading->node, NULL);
}

/* A document within the document would change what references mean. */
static int read_identity(struct reading *reading)
{
    if (!json_is_string(reading->value)) return expected(reading, "a string");
    if (reading->node->json != reading->schema->json)
        return WRONG(reading, "found $id below the root, expected it there only");
    return 0;
}

/* Older drafts are read as 2020-12: what they mean otherwise is refused by its keyword. */
static int read_dialect(const struct reading *reading)
{
    const char *name = json_string_value(reading->value);
    const char *at = name ? strstr(name, "://") : NULL;
    if (at && bytes_starts(bytes_str(at), BYTES("://json-schema.org/"))) return 0;
    return expected(reading, "a dialect of json-schema.org");
}

static int read_patterns(struct reading *reading)
{
    struct schema_matches *matches = reading->slot;
    const char *name;
    json_t *item;
    if (!json_is_object(reading->value)) return expected(reading, "an object of schemas");
    matches->list = arena_array(&reading->schema->arena, json_object_size(reading->value),
                                sizeof *matches->list);
    if (!matches->list) return ERR_TOO_BIG;
    json_object_foreach(reading->value, name, item)
    {
        struct schema_place down = schema_place_member(&reading->place, bytes_str(name));
        struct schema_match *match = &matches->list[matches->count++];
        int r = schema_pattern_new(reading->schema, name, &down, reading->why, &match->pattern);
        if (r == 0) r = schema_compile(reading->schema, item, &down, reading->why, &match->node);
        if (r < 0) return r;
    }
    return 0;
}

static int read_schemas(struct reading *reading)
{
    struct schema_nodes *nodes = reading->slot;
    size_t i;
    json_t *item;
    if (json_array_size(reading->value) == 0) return expected(reading, "a list of schemas");
    nodes->list = arena_array(&reading->schema->arena, json_array_size(reading->value),
                              sizeof(struct schema_node *));
    if (!nodes->list) return ERR_TOO_BIG;
    json_array_foreach(reading->value, i, item)
    {
        struct schema_place down = schema_place_item(&reading->place, i);
        int r = schema_compile(reading->schema, item, &down, reading->why, &nodes->list[i]);
        if (r < 0) return r;
        nodes->count++;
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return bytes_cmp(((const struct schema_member *)a)->name,
                     ((const struct schema_member *)b)->name);
}

static int read_members(struct reading *reading)
{
    struct schema_members *members = reading->slot;
    const char *name;
    json_t *item;
    if (!json_is_object(reading->value)) return expected(reading, "an object of schemas");
    members->list = arena_array(&reading->schema->arena, json_object_size(reading->value),
                                sizeof *members->list);
    if (!members->list) return ERR_TOO_BIG;
    members->count = 0;
    json_object_foreach(reading->value, name, item)
    {
        struct schema_place down = schema_place_member(&reading->place, bytes_str(name));
        struct schema_member *member = &members->list[members->count++];
        member->name = bytes_str(name);
        int r = schema_compile(reading->schema, item, &down, reading->why, &member->node);
        if (r < 0) return r;
    }
    if (members->count > 0) qsort(members->list, members->count, sizeof *members->list, by_name);
    return 0;
}

static int read_keyword(struct reading *reading, const struct keyword *keyword)
{
    json_t *value = reading->value;
    switch (keyword->shape) {
    case NOTE: return 0;
    case TYPES: return read_types(reading);
    case VALUE: return read_value(reading, true, "");
    case VALUES: return read_value(reading, json_array_size(value) > 0, "a list of values");
    case NAMES: return read_value(reading, is_names(value), "a list of names");
    case NAMED: return read_value(reading, is_named(value), "an object of lists of names");
    case COUNT: return read_count(reading);
    case NUMBER: return read_value(reading, json_is_number(value), "a number");
    case FACTOR: return read_value(reading, json_number_value(value) > 0, "a number above 0");
    case FLAG:
        if (!json_is_boolean(value)) return expected(reading, "true or false");
        *(bool *)reading->slot = json_is_true(value);
        return 0;
    case TEXT: return read_text(reading);
    case ANCHOR: return read_anchor(reading);
    case IDENTITY: return read_identity(reading);
    case DIALECT: return read_dialect(reading);
    case PATTERN:
        if (!json_is_string(value)) return expected(reading, "a pattern");
        return schema_pattern_new(reading->schema, json_string_value(value), &reading->place,
                                  reading->why, reading->slot);
    case PATTERNS: return read_patterns(reading);
    case SCHEMA:
        return schema_compile(reading->schema, value, &reading->place, reading->why, reading->slot);
    case SCHEMAS: return read_schemas(reading);
    case MEMBERS: return read_members(reading);
    case OTHERWISE: return WRONG(reading, "this keyword is not supported; use %s", keyword->hint);
    }
    return ERR_INVALID;
}

static const struct keyword *keyword_named(const char *name)
{
    static const struct keyword note = {"", NOTE, 0, NULL};
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        if (strcmp(name, keywords[i].name) == 0) return &keywords[i];
    }
    return strncmp(name, "x-", 2) == 0 ? &note : NULL;
}

static int compile_object(struct schema *schema, struct schema_node *node,
                          const struct schema_place *place, char *why)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)node->json, name, value)
    {
        const struct keyword *keyword = keyword_named(name);
        struct reading reading = {schema, node, value, schema_place_member(place, bytes_str(name)),
                                  why,    NULL};
        if (!keyword) return WRONG(&reading, "this keyword is not supported");
        reading.slot = (char *)node + keyword->offset;
        int r = read_keyword(&reading, keyword);
        if (r < 0) return r;
    }
    return 0;
}

static size_t depth_of(const struct schema_place *place)
{
    size_t depth = 0;
    for (; place; place = place->up) depth++;
    return depth;
}

int schema_compile(struct schema *schema, json_t *json, const struct schema_place *place, char *why,
                   struct schema_node **ret_node)
{
    /* true and false are the same value everywhere, and so the same node. */
    struct schema_node *node = map_get(&schema->nodes, bytes_make(&json, sizeof(json_t *)));
    if (node) {
        *ret_node = node;
        return 0;
    }
    if (!json_is_object(json) && !json_is_boolean(json)) {
        char text[VALUE_BRIEF];
        return schema_place_wrong(place, why,
                                  "found %s, expected a schema: an object, true or false",
                                  schema_value_brief(json, text));
    }
    if (depth_of(place) > DEPTH_MAX) return schema_place_wrong(place, why, "nested too deeply");
    node = arena_alloc(&schema->arena, sizeof *node);
    if (!node) return ERR_TOO_BIG;
    *node = (struct schema_node){
        .json = json,
        .nothing = json_is_false(json),
        .length = {0, UINT64_MAX},
        .items_count = {0, UINT64_MAX},
        .contains_count = {1, UINT64_MAX},
        .members_count = {0, UINT64_MAX},
    };
    *schema->last = node;
    schema->last = &node->next;
    int r = map_put(&schema->nodes, bytes_make(&node->json, sizeof(json_t *)), node, NULL);
    if (r == 0 && json_is_object(json)) r = compile_object(schema, node, place, why);
    if (r == 0) *ret_node = node;
    return r;
}
