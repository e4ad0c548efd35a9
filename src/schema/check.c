#include "schema/schema_impl.h"

#include "base/err.h"
#include "schema/value.h"

#include <inttypes.h>
#include <stdlib.h>

bool check_step(struct check *check, unsigned steps)
{
    check->steps += steps;
    if (check->steps > CHECK_STEPS_MAX && !check->failure) check->failure = ERR_TOO_BIG;
    return !check->failure;
}

int check_range(struct check *check, const struct schema_range *range, uint64_t count,
                const char *what, const struct schema_place *place)
{
    if (count < range->min)
        return CHECK_WRONG(check, place, "found %" PRIu64 " %s, expected at least %" PRIu64, count,
                           what, range->min);
    if (count > range->max)
        return CHECK_WRONG(check, place, "found %" PRIu64 " %s, expected at most %" PRIu64, count,
                           what, range->max);
    return 0;
}

/* ---- what is said of any value ---- */

static int check_value(struct check *check, const struct schema_node *node, const json_t *value,
                       const struct schema_place *place)
{
    char found[VALUE_BRIEF], wanted[VALUE_BRIEF], list[80];
    if (node->types && !(node->types & schema_value_types(value)))
        return CHECK_WRONG(check, place, "found %s, expected %s", schema_value_type_name(value),
                           schema_value_types_text(node->types, list, sizeof list));
    if (node->constant && !schema_value_same(node->constant, value))
        return CHECK_WRONG(check, place, "found %s, expected %s", schema_value_brief(value, found),
                           schema_value_brief(node->constant, wanted));
    if (!node->choices) return 0;
    size_t i;
    json_t *choice;
    json_array_foreach(node->choices, i, choice)
    {
        if (schema_value_same(choice, value)) return 0;
    }
    return CHECK_WRONG(check, place, "found %s, expected one of %s",
                       schema_value_brief(value, found), schema_value_brief(node->choices, wanted));
}

static int check_string(struct check *check, const struct schema_node *node, const json_t *value,
                        const struct schema_place *place)
{
    struct bytes text = bytes_make(json_string_value(value), json_string_length(value));
    if (node->length.min > 0 || node->length.max < UINT64_MAX) {
        uint64_t letters = 0; /* code points: RFC 8259, section 7 */
        for (size_t i = 0; i < text.len; i++)
            letters += ((unsigned char)text.data[i] & 0xc0) != 0x80;
        int r = check_range(check, &node->length, letters, "letters", place);
        if (r < 0) return r;
    }
    if (!node->pattern) return 0;
    int matches = schema_pattern_matches(node->pattern, text);
    if (matches > 0) return 0;
    if (matches < 0) check->failure = matches;
    char found[VALUE_BRIEF];
    return CHECK_WRONG(check, place, "found %s, expected what matches \"%s\"",
                       schema_value_brief(value, found), node->pattern->text);
}

static int check_number(struct check *check, const struct schema_node *node, const json_t *value,
                        const struct schema_place *place)
{
    const struct {
        const json_t *bound;
        const char *words;
        int bad[2]; /* outcomes of schema_value_compare(value, bound) that are not allowed */
    } bounds[] = {
        {node->minimum, "at least", {-1, -1}},
        {node->maximum, "at most", {1, 1}},
        {node->exclusive_minimum, "more than", {-1, 0}},
        {node->exclusive_maximum, "less than", {1, 0}},
    };
    char found[VALUE_BRIEF], wanted[VALUE_BRIEF];
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        if (!bounds[i].bound) continue;
        int order = schema_value_compare(value, bounds[i].bound);
        if (order != bounds[i].bad[0] && order != bounds[i].bad[1]) continue;
        return CHECK_WRONG(check, place, "found %s, expected %s %s",
                           schema_value_brief(value, found), bounds[i].words,
                           schema_value_brief(bounds[i].bound, wanted));
    }
    if (node->multiple_of && !schema_value_is_multiple(value, node->multiple_of))
        return CHECK_WRONG(check, place, "found %s, expected a multiple of %s",
                           schema_value_brief(value, found),
                           schema_value_brief(node->multiple_of, wanted));
    return 0;
}

/* ---- schemas of the same value ---- */

int check_part(struct check *check, const struct schema_node *node, const json_t *value,
               const struct schema_place *place, struct seen *seen, bool loud)
{
    char *why = check->why;
    struct seen own = {0};
    if (seen) {
        own = (struct seen){calloc(seen->count + 1, sizeof(bool)), seen->count};
        if (!own.marks) check->failure = ERR_NOMEM;
        if (!own.marks) return ERR_NOMEM;
    }
    if (!loud) check->why = NULL;
    int r = check_node(check, node, value, place, seen ? &own : NULL);
    check->why = why;
    for (size_t i = 0; r == 0 && i < own.count; i++) seen->marks[i] |= own.marks[i];
    free(own.marks);
    return r;
}

/* How many of them the value is valid by; not more than `enough` when nobody asks what they saw. */
static size_t count_valid(struct check *check, const struct schema_nodes *nodes,
                          const json_t *value, const struct schema_place *place, struct seen *seen,
                          size_t enough)
{
    size_t valid = 0;
    for (size_t i = 0; i < nodes->count && (seen || valid < enough); i++)
        valid += check_part(check, nodes->list[i], value, place, seen, false) == 0;
    return valid;
}

static int check_condition(struct check *check, const struct schema_node *node, const json_t *value,
                           const struct schema_place *place, struct seen *seen)
{
    if (!node->condition) return 0;
    bool holds = check_part(check, node->condition, value, place, seen, false) == 0;
    const struct schema_node *next = holds ? node->then : node->otherwise;
    return next ? check_part(check, next, value, place, seen, true) : 0;
}

static int check_parts(struct check *check, const struct schema_node *node, const json_t *value,
                       const struct schema_place *place, struct seen *seen)
{
    int r = node->ref ? check_part(check, node->ref, value, place, seen, true) : 0;
    for (size_t i = 0; r == 0 && i < node->all.count; i++)
        r = check_part(check, node->all.list[i], value, place, seen, true);
    if (r == 0) r = check_condition(check, node, value, place, seen);
    if (r < 0) return r;
    if (node->any.count > 0 && count_valid(check, &node->any, value, place, seen, 1) == 0)
        return CHECK_WRONG(check, place, "valid by none of the %zu schemas of anyOf",
                           node->any.count);
    if (node->one.count > 0) {
        size_t valid = count_valid(check, &node->one, value, place, seen, 2);
        if (valid != 1)
            return CHECK_WRONG(check, place, "valid by %s of the %zu schemas of oneOf",
                               valid ? "more than one" : "none", node->one.count);
    }
    if (node->excluded && check_part(check, node->excluded, value, place, NULL, false) == 0)
        return CHECK_WRONG(check, place, "valid by what is excluded");
    return 0;
}

/* ---- a schema ---- */

static int check_by_type(struct check *check, const struct schema_node *node, const json_t *value,
                         const struct schema_place *place, struct seen *seen)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return check_object(check, node, value, place, seen);
    case JSON_ARRAY: return check_array(check, node, value, place, seen);
    case JSON_STRING: return check_string(check, node, value, place);
    case JSON_INTEGER:
    case JSON_REAL: return check_number(check, node, value, place);
    case JSON_TRUE:
    case JSON_FALSE:
    case JSON_NULL: return 0;
    }
    return 0;
}

/* Members or items that no schema has looked at. */
static int check_rest(struct check *check, const struct schema_node *rest, const json_t *value,
                      const struct schema_place *place, struct seen *seen)
{
    size_t i = 0;
    const char *name;
    json_t *item;
    int r = 0;
    if (json_is_array(value)) {
        json_array_foreach(value, i, item)
        {
            if (seen->marks[i]) continue;
            struct schema_place down = schema_place_item(place, i);
            r = check_node(check, rest, item, &down, NULL);
            if (r < 0) return r;
            seen->marks[i] = true;
        }
        return 0;
    }
    json_object_foreach((json_t *)value, name, item)
    {
        bool *mark = &seen->marks[i++];
        if (*mark) continue;
        struct schema_place down = schema_place_member(place, bytes_str(name));
        r = check_node(check, rest, item, &down, NULL);
        if (r < 0) return r;
        *mark = true;
    }
    return 0;
}

int check_node(struct check *check, const struct schema_node *node, const json_t *value,
               const struct schema_place *place, struct seen *seen)
{
    if (node->nothing) return CHECK_WRONG(check, place, "nothing is allowed here");
    if (++check->depth > CHECK_DEPTH_MAX && !check->failure) check->failure = ERR_TOO_BIG;
    if (!check_step(check, 1)) return check->failure;
    const struct schema_node *rest = json_is_object(value)  ? node->unevaluated_members
                                     : json_is_array(value) ? node->unevaluated_items
                                                            : NULL;
    struct seen own = {0};
    if (rest && !seen) {
        own.count = json_is_array(value) ? json_array_size(value) : json_object_size(value);
        own.marks = calloc(own.count + 1, sizeof(bool));
        if (!own.marks) check->failure = ERR_NOMEM;
        if (!own.marks) return ERR_NOMEM;
        seen = &own;
    }
    int r = check_value(check, node, value, place);
    if (r == 0) r = check_by_type(check, node, value, place, seen);
    if (r == 0) r = check_parts(check, node, value, place, seen);
    if (r == 0 && rest) r = check_rest(check, rest, value, place, seen);
    free(own.marks);
    check->depth--;
    return check->failure ? check->failure : r;
}

int schema_check(const struct schema *schema, const json_t *value, char *why)
{
    const struct schema_place root = {0};
    struct check check = {.why = why};
    int r = check_node(&check, schema->root, value, &root, NULL);
    if (check.failure == ERR_TOO_BIG)
        return schema_place_wrong(&root, why, "this document takes too long to check");
    return check.failure ? check.failure : r;
}
