/* Runs the tests of JSON Schema's own suite (JSON-Schema-Test-Suite, tests/draft2020-12/...):
 *
 *     suite FILE...
 *
 * Prints each test whose outcome is not the suite's, and each schema that is refused with the
 * reason. Exit status 1 when an outcome was wrong. */
#include "schema/schema.h"

#include <stdio.h>
#include <string.h>

static unsigned right, wrong, refused;

static void run_group(const char *file, json_t *group)
{
    const struct schema_place root = {0};
    const char *title = json_string_value(json_object_get(group, "description"));
    char why[SCHEMA_WHY] = "";
    struct schema *schema;
    if (schema_new(json_object_get(group, "schema"), &root, &schema, why) < 0) {
        printf("%s: %s: refused %s\n", file, title, why);
        refused++;
        return;
    }
    size_t i;
    json_t *test;
    json_array_foreach(json_object_get(group, "tests"), i, test)
    {
        bool valid = schema_check(schema, json_object_get(test, "data"), why) == 0;
        if (valid == json_is_true(json_object_get(test, "valid"))) {
            right++;
            continue;
        }
        wrong++;
        printf("%s: %s: %s: WRONG: found %s\n", file, title,
               json_string_value(json_object_get(test, "description")), valid ? "valid" : why);
    }
    schema_free(schema);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        json_error_t error;
        json_t *file = json_load_file(argv[i], JSON_ALLOW_NUL, &error);
        const char *name = strrchr(argv[i], '/');
        size_t k;
        json_t *group;
        if (!file) {
            fprintf(stderr, "suite: %s: %s\n", argv[i], error.text);
            return 2;
        }
        json_array_foreach(file, k, group) run_group(name ? name + 1 : argv[i], group);
        json_decref(file);
    }
    printf("%u right, %u wrong, %u schemas refused\n", right, wrong, refused);
    return wrong > 0;
}
