/* $ref: what it names, and whether it leads anywhere (JSON Schema 2020-12 core, section 8.2.3.1;
 * pointers: RFC 6901; fragments are percent-encoded: RFC 3986, section 2.1). */
#include "schema/schema_impl.h"

#include "base/err.h"

#include <stdlib.h>

enum { FRAGMENT_MAX = 512 };

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False: too long, or a percent sign without two digits. */
static bool decode(const char *from, char text[FRAGMENT_MAX])
{
    size_t len = 0;
    for (; *from; from++) {
        if (len + 1 >= FRAGMENT_MAX) return false;
        if (*from != '%') {
            text[len++] = *from;
            continue;
        }
        int high = hex(from[1]), low = high < 0 ? -1 : hex(from[2]);
        if (low < 0 || (high | low) == 0) return false; /* no name has a NUL */
        text[len++] = (char)(high << 4 | low);
        from += 2;
    }
    text[len] = '\0';
    return true;
}

/* "~1" is "/", "~0" is "~" (RFC 6901, section 4). */
static void unescape(char *step)
{
    char *to = step;
    for (; *step; step++) {
        bool escaped = *step == '~' && (step[1] == '0' || step[1] == '1');
        *to++ = !escaped ? *step : step[1] == '0' ? '~' : '/';
        if (escaped) step++;
    }
    *to = '\0';
}

static json_t *at_pointer(json_t *json, char *pointer)
{
    while (json && *pointer) {
        char *step = ++pointer;
        pointer += strcspn(pointer, "/");
        bool more = *pointer == '/';
        *pointer = '\0';
        unescape(step);
        if (json_is_array(json)) {
            char *end;
            unsigned long index = strtoul(step, &end, 10);
            json = *step && !*end ? json_array_get(json, index) : NULL;
        } else {
            json = json_object_get(json, step);
        }
        if (more) *pointer = '/';
    }
    return json;
}

/* The part behind the document's own name, NULL when it is another's. */
static const char *fragment_of(const struct schema *schema, const char *reference)
{
    const char *id = json_string_value(json_object_get(schema->json, "$id"));
    size_t len = strcspn(reference, "#");
    bool own = len == 0 || (id && strcspn(id, "#") == len && memcmp(id, reference, len) == 0);
    return !own ? NULL : reference[len] ? reference + len + 1 : "";
}

static int resolve(struct schema *schema, struct schema_node *node,
                   const struct schema_place *place, char *why)
{
    char text[FRAGMENT_MAX];
    const char *fragment = fragment_of(schema, node->reference);
    if (!fragment)
        return schema_place_wrong(place, why,
                                  "$ref \"%s\" is another document, expected a place of this one",
                                  node->reference);
    if (!decode(fragment, text))
        return schema_place_wrong(place, why, "$ref \"%s\"", node->reference);
    json_t *target = NULL;
    if (!text[0])
        target = schema->json;
    else if (text[0] == '/')
        target = at_pointer(schema->json, text);
    else
        node->ref = map_get(&schema->anchors, bytes_str(text));
    if (!target && !node->ref)
        return schema_place_wrong(place, why, "$ref \"%s\": there is no such place",
                                  node->reference);
    /* What stands where no schema was expected is compiled now. */
    return target ? schema_compile(schema, target, place, why, &node->ref) : 0;
}

/* ---- circles ---- */

/* The search for circles: depth first over everything that looks at the same value. */
struct search {
    const struct schema_place *place;
    char *why;
    unsigned depth;
};

static int enter(struct search *search, struct schema_node *node);

static int enter_all(struct search *search, const struct schema_nodes *nodes)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < nodes->count; i++) r = enter(search, nodes->list[i]);
    return r;
}

static int enter(struct search *search, struct schema_node *node)
{
    if (!node || node->walk == NODE_LEFT) return 0;
    if (node->walk == NODE_ENTERED)
        return schema_place_wrong(search->place, search->why,
                                  "a $ref comes back to where it began");
    if (++search->depth > CHECK_DEPTH_MAX / 2)
        return schema_place_wrong(search->place, search->why, "found too many $ref in a row");
    node->walk = NODE_ENTERED;
    struct schema_node *const others[] = {node->ref, node->excluded, node->condition, node->then,
                                          node->otherwise};
    int r = 0;
    for (size_t i = 0; r == 0 && i < sizeof others / sizeof others[0]; i++)
        r = enter(search, others[i]);
    if (r == 0) r = enter_all(search, &node->all);
    if (r == 0) r = enter_all(search, &node->any);
    if (r == 0) r = enter_all(search, &node->one);
    for (size_t i = 0; r == 0 && i < node->dependent.count; i++)
        r = enter(search, node->dependent.list[i].node);
    node->walk = NODE_LEFT;
    search->depth--;
    return r;
}

int schema_resolve(struct schema *schema, const struct schema_place *place, char *why)
{
    struct search search = {place, why, 0};
    int r = 0;
    /* What is compiled meanwhile comes at the end of the list. */
    for (struct schema_node *node = schema->first; r == 0 && node; node = node->next) {
        if (node->reference) r = resolve(schema, node, place, why);
    }
    for (struct schema_node *node = schema->first; r == 0 && node; node = node->next)
        r = enter(&search, node);
    return r;
}
