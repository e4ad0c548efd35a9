#include "schema/schema_impl.h"

#include "base/err.h"
#include "schema/value.h"

static const struct schema_node *member_of(const struct schema_members *members, struct bytes name)
{
    size_t from = 0, to = members->count;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        int order = bytes_cmp(members->list[middle].name, name);
        if (order == 0) return members->list[middle].node;
        if (order < 0)
            from = middle + 1;
        else
            to = middle;
    }
    return NULL;
}

static int check_names(struct check *check, const json_t *names, const json_t *value,
                       const char *because, const struct schema_place *place)
{
    size_t i;
    json_t *name;
    json_array_foreach(names, i, name)
    {
        if (json_object_get(value, json_string_value(name))) continue;
        if (because)
            return CHECK_WRONG(check, place, "member \"%s\" is missing, which \"%s\" requires",
                               json_string_value(name), because);
        return CHECK_WRONG(check, place, "member \"%s\" is missing", json_string_value(name));
    }
    return 0;
}

static int check_dependent(struct check *check, const struct schema_node *node, const json_t *value,
                           const struct schema_place *place, struct seen *seen)
{
    const char *name;
    json_t *names;
    int r = 0;
    json_object_foreach((json_t *)node->dependent_required, name, names)
    {
        if (r == 0 && json_object_get(value, name))
            r = check_names(check, names, value, name, place);
    }
    for (size_t i = 0; r == 0 && i < node->dependent.count; i++) {
        const struct schema_member *member = &node->dependent.list[i];
        if (json_object_get(value, member->name.data))
            r = check_part(check, member->node, value, place, seen, true);
    }
    return r;
}

/* A name is checked as the string that it is. */
static int check_name(struct check *check, const struct schema_node *names, struct bytes name,
                      const struct schema_place *place)
{
    json_t *string = json_stringn(name.data, name.len);
    if (!string) return check->failure = ERR_NOMEM;
    int r = check_node(check, names, string, place, NULL);
    json_decref(string);
    return r;
}

/* One member by properties, patternProperties, and additionalProperties when neither speaks of it.
 */
static int check_member(struct check *check, const struct schema_node *node, struct bytes name,
                        const json_t *item, const struct schema_place *place, bool *ret_known)
{
    const struct schema_node *own = member_of(&node->properties, name);
    int r = own ? check_node(check, own, item, place, NULL) : 0;
    *ret_known = own != NULL;
    for (size_t i = 0; r == 0 && i < node->patterns.count; i++) {
        const struct schema_match *match = &node->patterns.list[i];
        int matches = schema_pattern_matches(match->pattern, name);
        if (matches < 0) return check->failure = matches;
        if (!matches) continue;
        *ret_known = true;
        r = check_node(check, match->node, item, place, NULL);
    }
    if (r < 0 || *ret_known || !node->additional) return r;
    *ret_known = true;
    if (node->additional->nothing) return CHECK_WRONG(check, place, "unknown member");
    return check_node(check, node->additional, item, place, NULL);
}

int check_object(struct check *check, const struct schema_node *node, const json_t *value,
                 const struct schema_place *place, struct seen *seen)
{
    size_t i = 0;
    const char *text;
    json_t *item;
    int r = check_names(check, node->required, value, NULL, place);
    if (r == 0)
        r = check_range(check, &node->members_count, json_object_size(value), "members", place);
    if (r == 0) r = check_dependent(check, node, value, place, seen);
    bool each =
        node->properties.count > 0 || node->patterns.count > 0 || node->additional || node->names;
    if (r < 0 || !each) return r;
    json_object_foreach((json_t *)value, text, item)
    {
        struct bytes name = bytes_str(text);
        struct schema_place down = schema_place_member(place, name);
        bool known = false;
        if (node->names) r = check_name(check, node->names, name, &down);
        if (r == 0) r = check_member(check, node, name, item, &down, &known);
        if (r < 0) return r;
        if (known && seen) seen->marks[i] = true;
        i++;
    }
    return 0;
}
