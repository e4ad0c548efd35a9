#include "stream/stream_schema.h"

#include "bus/subject.h"
#include "schema/schema.h"

#include <stdlib.h>

struct rule {
    const char *pattern; /* in `json` */
    struct schema *schema;
};

struct stream_schema {
    json_t *json;
    size_t count;
    struct rule rules[];
};

static int add_rule(struct stream_schema *schema, const char *pattern, json_t *json, char *why)
{
    const struct schema_place root = {0};
    const struct schema_place place = schema_place_member(&root, bytes_str(pattern));
    if (!subject_is_pattern(bytes_str(pattern)))
        return schema_place_wrong(&place, why, "not a subject");
    struct rule *rule = &schema->rules[schema->count];
    rule->pattern = pattern;
    int r = schema_new(json, &place, &rule->schema, why);
    if (r == 0) schema->count++;
    return r;
}

int stream_schema_new(struct bytes json, struct stream_schema **ret_schema,
                      char ret_why[STREAM_SCHEMA_TEXT])
{
    const struct schema_place root = {0};
    const char *pattern;
    json_t *item;
    json_error_t error;
    json_t *rules = json_loadb(json.data, json.len, JSON_REJECT_DUPLICATES, &error);
    if (!rules) return schema_place_wrong(&root, ret_why, "%s", error.text);
    if (!json_is_object(rules)) {
        json_decref(rules);
        return schema_place_wrong(&root, ret_why, "expected an object of subjects");
    }
    struct stream_schema *schema =
        calloc(1, sizeof *schema + json_object_size(rules) * sizeof(struct rule));
    if (!schema) {
        json_decref(rules);
        return ERR_NOMEM;
    }
    schema->json = rules;
    int r = 0;
    json_object_foreach(rules, pattern, item)
    {
        r = add_rule(schema, pattern, item, ret_why);
        if (r < 0) break;
    }
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
    for (size_t i = 0; i < schema->count; i++) schema_free(schema->rules[i].schema);
    json_decref(schema->json);
    free(schema);
}

int stream_schema_check(const struct stream_schema *schema, struct bytes subject,
                        struct bytes payload, char ret_why[STREAM_SCHEMA_TEXT])
{
    json_t *document = NULL;
    int r = 0;
    for (size_t i = 0; r == 0 && i < schema->count; i++) {
        const struct rule *rule = &schema->rules[i];
        if (!subject_matches(bytes_str(rule->pattern), subject)) continue;
        if (!document) document = schema_document(payload, ret_why);
        r = document ? schema_check(rule->schema, document, ret_why) : ERR_INVALID;
    }
    json_decref(document);
    return r;
}
