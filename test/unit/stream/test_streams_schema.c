/* Which schema a message is held to. What schemas say is tested in unit/schema. */
#include "stream/stream_schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

/* `why` NULL: it is valid. */
static void check(const char *schema, const char *document, const char *why)
{
    char text[4096], told[STREAM_SCHEMA_TEXT] = "";
    struct stream_schema *made;
    snprintf(text, sizeof text, "{\"s\":%s}", schema);
    if (stream_schema_new(bytes_str(text), &made, told) < 0) fail_msg("%s: %s", schema, told);
    int r = stream_schema_check(made, BYTES("s"), bytes_str(document), told);
    if ((r < 0) != (why != NULL)) fail_msg("%s: %s: %d %s", schema, document, r, told);
    if (why) assert_string_equal(told, why);
    assert_int_equal(stream_schema_check(made, BYTES("other"), bytes_str("}"), told), 0);
    stream_schema_free(made);
}

static void messages_are_checked(void **state)
{
    check("true", "1", NULL);
    check("{}", "{",
          "at /: found no JSON (line 1, column 1: string or '}' expected near end of file), "
          "expected JSON");
    check("{\"properties\":{\"a\":{\"items\":{\"type\":\"string\"}}}}", "{\"a\":[\"x\",2]}",
          "at /a/1: found integer, expected string");
}

/* Each rule whose pattern matches counts, and has references of its own. */
static void rules_are_chosen_by_subject(void **state)
{
    const char *text = "{\"orders.*\":{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"minimum\":2}}},"
                       "\"*.new\":{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"maximum\":4}}}}";
    static const struct {
        const char *subject, *document;
        int result;
    } rows[] = {
        {"orders.new", "3", 0},
        {"orders.new", "1", ERR_INVALID},
        {"orders.new", "5", ERR_INVALID},
        {"orders.old", "5", 0},
        {"items.new", "1", 0},
        {"items.old", "none", 0},
    };
    char why[STREAM_SCHEMA_TEXT];
    struct stream_schema *schema;
    assert_int_equal(stream_schema_new(bytes_str(text), &schema, why), 0);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(stream_schema_check(schema, bytes_str(rows[i].subject),
                                             bytes_str(rows[i].document), why),
                         rows[i].result);
    }
    stream_schema_free(schema);
}

static void rules_are_refused(void **state)
{
    static const char *const rows[][2] = {
        {"", "at /: '[' or '{' expected near end of file"},
        {"[]", "at /: expected an object of subjects"},
        {"{\"a..b\":{}}", "at /a..b: not a subject"},
        {"{\"a\":1}", "at /a: found 1, expected a schema: an object, true or false"},
        {"{\"a\":{\"minimun\":1}}", "at /a/minimun: this keyword is not supported"},
        {"{\"a\":{},\"b\":{\"$ref\":\"#/a\"}}", "at /b: $ref \"#/a\": there is no such place"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[STREAM_SCHEMA_TEXT];
        struct stream_schema *schema;
        assert_int_equal(stream_schema_new(bytes_str(rows[i][0]), &schema, why), ERR_INVALID);
        assert_string_equal(why, rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_checked),
        cmocka_unit_test(rules_are_chosen_by_subject),
        cmocka_unit_test(rules_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
