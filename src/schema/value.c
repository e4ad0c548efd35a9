#include "schema/value.h"

#include "base/map.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>

static const struct {
    const char *name;
    unsigned bit;
} types[] = {
    {"object", VALUE_OBJECT},   {"array", VALUE_ARRAY},   {"string", VALUE_STRING},
    {"integer", VALUE_INTEGER}, {"number", VALUE_NUMBER}, {"boolean", VALUE_BOOLEAN},
    {"null", VALUE_NULL},
};

enum { TYPES = sizeof types / sizeof types[0] };

unsigned schema_value_types(const json_t *value)
{
    assert(value);
    switch (json_typeof(value)) {
    case JSON_OBJECT: return VALUE_OBJECT;
    case JSON_ARRAY: return VALUE_ARRAY;
    case JSON_STRING: return VALUE_STRING;
    case JSON_INTEGER: return VALUE_INTEGER | VALUE_NUMBER;
    case JSON_REAL: {
        double real = json_real_value(value);
        return trunc(real) == real ? VALUE_INTEGER | VALUE_NUMBER : VALUE_NUMBER;
    }
    case JSON_TRUE:
    case JSON_FALSE: return VALUE_BOOLEAN;
    case JSON_NULL: return VALUE_NULL;
    }
    return 0;
}

unsigned schema_value_type_named(const char *name)
{
    for (size_t i = 0; name && i < TYPES; i++) {
        if (strcmp(name, types[i].name) == 0) return types[i].bit;
    }
    return 0;
}

const char *schema_value_type_name(const json_t *value)
{
    unsigned mask = schema_value_types(value);
    for (size_t i = 0; i < TYPES; i++) {
        if (mask & types[i].bit) return types[i].name;
    }
    return "nothing";
}

const char *schema_value_types_text(unsigned mask, char *text, size_t room)
{
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < TYPES && len < room; i++) {
        if (!(mask & types[i].bit)) continue;
        len += (size_t)snprintf(text + len, room - len, "%s%s", len ? ", " : "", types[i].name);
    }
    return text;
}

static bool same_arrays(const json_t *a, const json_t *b)
{
    size_t count = json_array_size(a);
    if (count != json_array_size(b)) return false;
    for (size_t i = 0; i < count; i++) {
        if (!schema_value_same(json_array_get(a, i), json_array_get(b, i))) return false;
    }
    return true;
}

static bool same_objects(const json_t *a, const json_t *b)
{
    const char *name;
    json_t *item;
    if (json_object_size(a) != json_object_size(b)) return false;
    json_object_foreach((json_t *)a, name, item)
    {
        const json_t *other = json_object_get(b, name);
        if (!other || !schema_value_same(item, other)) return false;
    }
    return true;
}

bool schema_value_same(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b)) return schema_value_compare(a, b) == 0;
    if (json_typeof(a) != json_typeof(b)) return false;
    if (json_is_array(a)) return same_arrays(a, b);
    if (json_is_object(a)) return same_objects(a, b);
    return json_equal(a, b);
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t pair[2] = {a, b};
    return map_hash(bytes_make(pair, sizeof pair));
}

uint64_t schema_value_hash(const json_t *value)
{
    uint64_t hash = 0;
    const char *name;
    json_t *item;
    size_t i;
    switch (json_typeof(value)) {
    case JSON_OBJECT: /* in whatever order */
        json_object_foreach((json_t *)value, name, item) hash +=
            mix(map_hash(bytes_str(name)), schema_value_hash(item));
        return mix(hash, JSON_OBJECT);
    case JSON_ARRAY:
        json_array_foreach(value, i, item) hash = mix(hash, schema_value_hash(item));
        return mix(hash, JSON_ARRAY);
    case JSON_STRING:
        return map_hash(bytes_make(json_string_value(value), json_string_length(value)));
    case JSON_INTEGER:
    case JSON_REAL: {
        double number = json_number_value(value);
        if (number == 0) number = 0; /* -0.0 is the same */
        return map_hash(bytes_make(&number, sizeof number));
    }
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL: break;
    }
    return mix(1, json_typeof(value));
}

int schema_value_compare(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return x < y ? -1 : x > y;
    }
    double x = json_number_value(a), y = json_number_value(b);
    return x < y ? -1 : x > y;
}

bool schema_value_is_multiple(const json_t *value, const json_t *of)
{
    if (json_is_integer(value) && json_is_integer(of)) {
        json_int_t divisor = json_integer_value(of);
        return divisor == -1 || json_integer_value(value) % divisor == 0;
    }
    double number = json_number_value(value), divisor = json_number_value(of);
    double times = round(number / divisor);
    if (!isfinite(times)) return fmod(number, divisor) == 0;
    return fabs(number - times * divisor) <= fabs(number) * 1e-12;
}

const char *schema_value_brief(const json_t *value, char text[VALUE_BRIEF])
{
    enum { CUT = VALUE_BRIEF - 5 };
    memset(text, 0, VALUE_BRIEF);
    size_t len = json_dumpb(value, text, VALUE_BRIEF - 1,
                            JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
    if (len < VALUE_BRIEF) return text;
    if (json_is_string(value)) snprintf(text, CUT, "\"%s", json_string_value(value));
    len = strnlen(text, CUT);
    while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80) len--; /* not half a letter */
    memcpy(text + len, "...", sizeof "...");
    return text;
}
