#include "schema/schema_impl.h"

#include "base/err.h"

#include <stdlib.h>

enum { MEMORY_MAX = 8 << 20, NODES_MAX = 1 << 16 };

int schema_new(json_t *json, const struct schema_place *place, struct schema **ret_schema,
               char *why)
{
    struct schema *schema = calloc(1, sizeof *schema);
    if (!schema) return ERR_NOMEM;
    arena_init(&schema->arena, MEMORY_MAX);
    map_init(&schema->nodes, NODES_MAX);
    map_init(&schema->anchors, NODES_MAX);
    schema->json = json_incref(json);
    schema->last = &schema->first;
    int r = schema_compile(schema, json, place, why, &schema->root);
    if (r == 0) r = schema_resolve(schema, place, why);
    map_release(&schema->nodes);
    map_release(&schema->anchors);
    if (r == ERR_TOO_BIG || r == ERR_FULL) {
        schema_place_wrong(place, why, "found a schema with too many parts (8 MiB of memory)");
        r = ERR_TOO_BIG;
    }
    if (r < 0) {
        schema_free(schema);
        return r;
    }
    *ret_schema = schema;
    return 0;
}

void schema_free(struct schema *schema)
{
    if (!schema) return;
    schema_patterns_free(schema->patterns);
    arena_release(&schema->arena);
    json_decref(schema->json);
    free(schema);
}

json_t *schema_document(struct bytes text, char *why)
{
    const struct schema_place root = {0};
    const size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL;
    json_error_t error;
    json_t *document = json_loadb(text.data, text.len, flags, &error);
    if (!document && json_error_code(&error) == json_error_numeric_overflow)
        document = json_loadb(text.data, text.len, flags | JSON_DECODE_INT_AS_REAL, &error);
    if (!document)
        schema_place_wrong(&root, why, "found no JSON (line %d, column %d: %s), expected JSON",
                           error.line, error.column, error.text);
    return document;
}
