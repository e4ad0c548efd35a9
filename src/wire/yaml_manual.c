#include "wire/yaml.h"

#include "wire/yaml_scalar.h"

enum { TEXT_MAX = 160, SCHEMAS_MAX = 32 };

/* The schemas below this one, each once, in the order of their first use. */
struct outline {
    const struct yaml_schema *schemas[SCHEMAS_MAX];
    const char *paths[SCHEMAS_MAX];
    size_t count;
};

static void put_group(const struct yaml_schema *schema, int one_of, struct buf *out)
{
    const char *before = "one of ";
    for (const struct yaml_field *field = schema->fields; field->key; field++) {
        if (field->one_of != one_of) continue;
        buf_append_format(out, "%s`%s`", before, field->key);
        before = ", ";
    }
}

static void put_default(const struct yaml_schema *schema, const struct yaml_field *field,
                        struct buf *out)
{
    if (field->required)
        buf_append_str(out, "required");
    else if (field->one_of)
        put_group(schema, field->one_of, out);
    else if (field->fallback)
        buf_append_format(out, "`%s`", field->fallback);
    else
        buf_append_str(out, "-");
}

static void put_field(const struct yaml_schema *schema, const struct yaml_field *field,
                      struct buf *out)
{
    char type[TEXT_MAX];
    yaml_type_describe(field, type, sizeof type);
    buf_append_format(out, "| `%s` | %s | ", field->key, type);
    put_default(schema, field, out);
    buf_append_format(out, " | %s", field->doc);
    if (field->example) buf_append_format(out, " Example: `%s`", field->example);
    buf_append_str(out, " |\n");
}

static void put_schema(const struct yaml_schema *schema, const char *key, struct buf *out)
{
    buf_append_format(out, "\n### The keys of %s", schema->name);
    if (key && !strchr(schema->name, '`')) buf_append_format(out, " (`%s`)", key);
    buf_append_str(out, "\n\n| key | type | default | meaning |\n|---|---|---|---|\n");
    for (const struct yaml_field *field = schema->fields; field->key; field++)
        put_field(schema, field, out);
    if (schema->shorthand && key)
        buf_append_format(out, "\n`%s: X` is short for `%s: {%s: X}`.\n", key, key,
                          schema->shorthand);
}

static void collect(const struct yaml_schema *schema, const char *key, struct outline *outline)
{
    for (size_t i = 0; i < outline->count; i++)
        if (outline->schemas[i] == schema) return;
    if (outline->count == SCHEMAS_MAX) return;
    outline->paths[outline->count] = key;
    outline->schemas[outline->count++] = schema;
    for (const struct yaml_field *field = schema->fields; field->key; field++)
        if (field->schema) collect(field->schema, field->key, outline);
}

void yaml_manual(const struct yaml_schema *schema, struct buf *out)
{
    struct outline outline = {.count = 0};
    collect(schema, NULL, &outline);
    for (size_t i = 0; i < outline.count; i++)
        put_schema(outline.schemas[i], outline.paths[i], out);
}
