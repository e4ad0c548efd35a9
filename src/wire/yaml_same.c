#include "wire/yaml.h"

static bool same_texts(const struct bytes *a, const struct bytes *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!bytes_eq(a[i], b[i])) return false;
    return true;
}

static bool same_pairs(const struct yaml_pair *a, const struct yaml_pair *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!bytes_eq(a[i].key, b[i].key) || !bytes_eq(a[i].value, b[i].value)) return false;
    return true;
}

static bool same_structs(const struct yaml_schema *schema, const char *a, const char *b,
                         size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!yaml_same(schema, a + i * schema->size, b + i * schema->size)) return false;
    return true;
}

/* A collection: a pointer to its elements, and their number elsewhere. */
static bool same_elements(const struct yaml_field *field, const char *a, const char *b)
{
    const void *x, *y;
    size_t count, other;
    memcpy(&x, a + field->at, sizeof x);
    memcpy(&y, b + field->at, sizeof y);
    memcpy(&count, a + field->count_at, sizeof count);
    memcpy(&other, b + field->count_at, sizeof other);
    if (count != other) return false;
    if (field->type == YAML_STRINGS) return same_texts(x, y, count);
    if (field->type == YAML_MAP) return same_pairs(x, y, count);
    return same_structs(field->schema, x, y, count);
}

static bool same_field(const struct yaml_field *field, const char *a, const char *b)
{
    const char *x = a + field->at, *y = b + field->at;
    switch (field->type) {
    case YAML_STRING: return same_texts((const void *)x, (const void *)y, 1);
    case YAML_INT:
    case YAML_DURATION: return memcmp(x, y, sizeof(uint32_t)) == 0;
    case YAML_BOOL: return memcmp(x, y, sizeof(bool)) == 0;
    case YAML_BYTES: return memcmp(x, y, sizeof(uint64_t)) == 0;
    case YAML_ENUM: return memcmp(x, y, sizeof(int)) == 0;
    case YAML_STRUCT: return yaml_same(field->schema, x, y);
    case YAML_STRINGS:
    case YAML_MAP:
    case YAML_STRUCTS: break;
    }
    return same_elements(field, a, b);
}

bool yaml_same(const struct yaml_schema *schema, const void *a, const void *b)
{
    for (const struct yaml_field *field = schema->fields; field->key; field++)
        if (!same_field(field, a, b)) return false;
    return true;
}
