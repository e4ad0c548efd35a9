#include "wire/yaml_scalar.h"

#include <inttypes.h>
#include <stdio.h>

enum { TEXT_MAX = 160, SHOWN_MAX = 64 };

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit durations[] = {
    {"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}, {0}};

static const struct unit sizes[] = {{"", 1},
                                    {"B", 1},
                                    {"kB", 1000},
                                    {"KiB", 1024},
                                    {"MB", 1000 * 1000},
                                    {"MiB", 1024 * 1024},
                                    {"GB", 1000 * 1000 * 1000},
                                    {"GiB", 1024 * 1024 * 1024},
                                    {0}};

/* Digits and one of the units. */
static int parse_units(struct bytes text, const struct unit *units, uint64_t max, uint64_t *ret)
{
    size_t digits = 0;
    while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9') digits++;
    struct bytes unit = bytes_skip(text, digits);
    for (; units->name; units++) {
        if (!bytes_eq(unit, bytes_str(units->name))) continue;
        uint64_t number;
        int err = bytes_to_u64(bytes_head(text, digits), max / units->factor, &number);
        if (!err) *ret = number * units->factor;
        return err;
    }
    return ERR_SYNTAX;
}

int yaml_duration_parse(struct bytes text, uint32_t *ret_ms)
{
    uint64_t value;
    int err = parse_units(text, durations, UINT32_MAX, &value);
    if (!err) *ret_ms = (uint32_t)value;
    return err;
}

int yaml_bytes_parse(struct bytes text, uint64_t *ret_bytes)
{
    return parse_units(text, sizes, INT64_MAX, ret_bytes);
}

struct bytes yaml_shown(struct bytes text)
{
    size_t len = 0, max = text.len < SHOWN_MAX ? text.len : SHOWN_MAX;
    while (len < max && (unsigned char)text.data[len] >= ' ' && text.data[len] != 0x7f) len++;
    while (len && len < text.len && ((unsigned char)text.data[len] & 0xc0) == 0x80) len--;
    return bytes_head(text, len);
}

static uint64_t field_max(const struct yaml_field *field)
{
    if (field->max) return field->max;
    return field->type == YAML_BYTES ? INT64_MAX : UINT32_MAX;
}

static void format_duration(uint64_t ms, char *text, size_t size)
{
    const struct unit *unit = &durations[ms ? 3 : 1];
    while (unit > durations && ms % unit->factor) unit--;
    snprintf(text, size, "%" PRIu64 "%s", ms / unit->factor, unit->name);
}

static void format_size(uint64_t bytes, char *text, size_t size)
{
    static const int order[] = {7, 5, 3, 0}; /* the binary ones, as people write limits */
    size_t i = 0;
    while (order[i] && (bytes == 0 || bytes % sizes[order[i]].factor)) i++;
    snprintf(text, size, "%" PRIu64 "%s", bytes / sizes[order[i]].factor, sizes[order[i]].name);
}

static void describe_range(const struct yaml_field *field, const char *what,
                           void (*format)(uint64_t value, char *text, size_t size), char *text,
                           size_t size)
{
    char from[32], to[32];
    format(field->min, from, sizeof from);
    format(field_max(field), to, sizeof to);
    if (field->max)
        snprintf(text, size, "%s from %s to %s", what, from, to);
    else
        snprintf(text, size, "%s", what);
}

static void format_number(uint64_t value, char *text, size_t size)
{
    snprintf(text, size, "%" PRIu64, value);
}

static void describe_names(const struct yaml_field *field, char *text, size_t size)
{
    size_t used = (size_t)snprintf(text, size, "one of");
    for (size_t i = 0; field->names[i] && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s `%s`", i ? "," : "", field->names[i]);
}

void yaml_type_describe(const struct yaml_field *field, char *text, size_t size)
{
    switch (field->type) {
    case YAML_STRING: snprintf(text, size, "a text"); break;
    case YAML_INT: describe_range(field, "a whole number", format_number, text, size); break;
    case YAML_BOOL: snprintf(text, size, "true or false"); break;
    case YAML_DURATION: describe_range(field, "a duration", format_duration, text, size); break;
    case YAML_BYTES: describe_range(field, "a size", format_size, text, size); break;
    case YAML_ENUM: describe_names(field, text, size); break;
    case YAML_STRINGS: snprintf(text, size, "a list of texts"); break;
    case YAML_MAP: snprintf(text, size, "a mapping of names to texts"); break;
    case YAML_STRUCT: snprintf(text, size, "a mapping (%s)", field->schema->name); break;
    case YAML_STRUCTS:
        snprintf(text, size, "a list (each element: %s)", field->schema->name);
        break;
    }
}

void yaml_node_describe(const struct yaml_node *node, char *text, size_t size)
{
    if (yaml_node_is_null(node))
        snprintf(text, size, "nothing");
    else if (node->kind == YAML_KIND_LIST)
        snprintf(text, size, "a list");
    else if (node->kind == YAML_KIND_MAPPING)
        snprintf(text, size, "a mapping");
    else {
        struct bytes head = yaml_shown(node->text);
        snprintf(text, size, node->quoted ? "the text \"%.*s%s\"" : "`%.*s%s`", BYTES_ARG(head),
                 head.len < node->text.len ? "..." : "");
    }
}

/* "`scale` must be a whole number from 1 to 64, not `0`" */
static int fail_type(const struct yaml_field *field, const struct yaml_node *node, int code,
                     struct error *error)
{
    char wanted[TEXT_MAX], found[TEXT_MAX];
    yaml_type_describe(field, wanted, sizeof wanted);
    yaml_node_describe(node, found, sizeof found);
    error_set(error, code, "`%s` must be %s, not %s", field->key, wanted, found);
    if (field->example) error_remedy(error, "Write, for example: `%s`.", field->example);
    return code;
}

static bool is_negative(struct bytes text)
{
    uint64_t number;
    return text.len > 1 && text.data[0] == '-' &&
           bytes_to_u64(bytes_skip(text, 1), UINT64_MAX, &number) != ERR_SYNTAX;
}

static int store_string(const struct yaml_field *field, const struct yaml_node *node, void *member,
                        struct error *error)
{
    if (node->text.len == 0) {
        error_set(error, ERR_INVALID, "`%s` is an empty text", field->key);
        error_remedy(error, "Write a value, or remove the key.");
        return ERR_INVALID;
    }
    if (field->check && !field->check(node->text, error)) return ERR_INVALID;
    *(struct bytes *)member = node->text;
    return 0;
}

static int store_bool(const struct yaml_field *field, const struct yaml_node *node, void *member,
                      struct error *error)
{
    static const char *const wrong[] = {"yes", "on",  "y", "1", "true",
                                        "no",  "off", "n", "0", "false"};
    bool value = bytes_eq(node->text, BYTES("true"));
    if (!node->quoted && (value || bytes_eq(node->text, BYTES("false")))) {
        *(bool *)member = value;
        return 0;
    }
    fail_type(field, node, ERR_INVALID, error);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (bytes_eq_nocase(node->text, bytes_str(wrong[i])))
            error_remedy(error, "Write `%s: %s`%s.", field->key, i < 5 ? "true" : "false",
                         node->quoted ? " without quotes" : "");
    return ERR_INVALID;
}

static int store_int(const struct yaml_field *field, const struct yaml_node *node, void *member,
                     struct error *error)
{
    uint64_t value;
    int err = bytes_to_u64(node->text, UINT64_MAX, &value);
    if (!err && node->quoted) {
        fail_type(field, node, ERR_INVALID, error);
        error_remedy(error, "Remove the quotes: `%s: %" PRIu64 "`.", field->key, value);
        return ERR_INVALID;
    }
    if (err || value < field->min || value > field_max(field))
        return fail_type(field, node, ERR_INVALID, error);
    *(uint32_t *)member = (uint32_t)value;
    return 0;
}

static int store_duration(const struct yaml_field *field, const struct yaml_node *node,
                          void *member, struct error *error)
{
    uint32_t value;
    uint64_t number;
    int err = yaml_duration_parse(node->text, &value);
    if (!err && value >= field->min && value <= field_max(field)) {
        *(uint32_t *)member = value;
        return 0;
    }
    fail_type(field, node, ERR_INVALID, error);
    if (err && bytes_to_u64(node->text, UINT32_MAX, &number) == 0)
        error_remedy(error, "Add the unit: `%s: %" PRIu64 "s` (or ms, m, h).", field->key, number);
    else if (err && !is_negative(node->text))
        error_remedy(error, "Write a whole number and one unit: 250ms, 15s, 5m, 1h.");
    return ERR_INVALID;
}

static int store_size(const struct yaml_field *field, const struct yaml_node *node, void *member,
                      struct error *error)
{
    uint64_t value;
    int err = yaml_bytes_parse(node->text, &value);
    if (!err && value >= field->min && value <= field_max(field)) {
        *(uint64_t *)member = value;
        return 0;
    }
    fail_type(field, node, ERR_INVALID, error);
    if (err)
        error_remedy(error,
                     "Write a whole number and one unit: 64KiB, 1MiB, 1GiB (powers of 1024), "
                     "or 64kB, 1MB, 1GB (powers of 1000).");
    return ERR_INVALID;
}

static int store_enum(const struct yaml_field *field, const struct yaml_node *node, void *member,
                      struct error *error)
{
    size_t count = 0;
    for (; field->names[count]; count++) {
        if (!bytes_eq(node->text, bytes_str(field->names[count]))) continue;
        *(int *)member = (int)count;
        return 0;
    }
    fail_type(field, node, ERR_INVALID, error);
    const char *near = bytes_nearest(node->text, field->names, count);
    if (near) error_remedy(error, "Did you mean `%s`?", near);
    return ERR_INVALID;
}

typedef int store_fn(const struct yaml_field *field, const struct yaml_node *node, void *member,
                     struct error *error);

static store_fn *const stores[] = {
    [YAML_STRING] = store_string,     [YAML_INT] = store_int,    [YAML_BOOL] = store_bool,
    [YAML_DURATION] = store_duration, [YAML_BYTES] = store_size, [YAML_ENUM] = store_enum};

int yaml_scalar_store(const struct yaml_field *field, const struct yaml_node *node, void *member,
                      struct error *error)
{
    if (node->kind != YAML_KIND_SCALAR) return fail_type(field, node, ERR_INVALID, error);
    return stores[field->type](field, node, member, error);
}
