/* Schemas: what they may say, and what they say of documents. */
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

static void documents_are_checked(void **state)
{
    check("true", "1", NULL);
    check("false", "1", "at /: nothing is allowed here");
    check("{}", "{",
          "at /: found no JSON (string or '}' expected near end of file), expected JSON");
    check("{\"type\":\"integer\"}", "1", NULL);
    check("{\"type\":\"integer\"}", "1.0", NULL);
    check("{\"type\":\"integer\"}", "1.5", "at /: found number, expected integer");
    check("{\"type\":[\"string\",\"null\"]}", "null", NULL);
    check("{\"type\":[\"string\",\"null\"]}", "1",
          "at /: found integer, expected one of 2 other types");
    check("{\"properties\":{\"a\":{\"items\":{\"type\":\"string\"}}}}", "{\"a\":[\"x\",2]}",
          "at /a/1: found integer, expected string");
    check("{\"required\":[\"a\"]}", "{\"b\":1}", "at /: member \"a\" is missing");
    check("{\"required\":[\"a\"]}", "[]", NULL);
    check("{\"properties\":{\"a\":true},\"additionalProperties\":false}", "{\"a\":1}", NULL);
    check("{\"properties\":{\"a\":true},\"additionalProperties\":false}", "{\"b/c\":1}",
          "at /b~1c: unknown member");
    check("{\"additionalProperties\":{\"type\":\"string\"}}", "{\"b\":1}",
          "at /b: found integer, expected string");
    check("{\"minItems\":1,\"maxItems\":2}", "[]", "at /: found 0 items, expected at least 1");
    check("{\"minItems\":1,\"maxItems\":2}", "[1,2,3]", "at /: found 3 items, expected at most 2");
    check("{\"maxLength\":2}", "\"\xc3\xa4\xc3\xa4\"", NULL);
    check("{\"minLength\":3}", "\"\xc3\xa4\xc3\xa4\"",
          "at /: found 2 letters, expected at least 3");
    check("{\"minimum\":1,\"maximum\":2}", "1", NULL);
    check("{\"minimum\":1,\"maximum\":2}", "2.5", "at /: found 2.5, expected at most 2");
    check("{\"exclusiveMinimum\":1}", "1", "at /: found 1, expected more than 1");
    check("{\"exclusiveMaximum\":1}", "0.5", NULL);
    check("{\"enum\":[1,\"a\"]}", "1.0", NULL);
    check("{\"enum\":[1,\"a\"]}", "\"b\"", "at /: none of the 2 values that are expected");
    check("{\"const\":{\"a\":[1]}}", "{\"a\":[1]}", NULL);
    check("{\"const\":1}", "2", "at /: not the value that is expected");
    check("{\"allOf\":[{\"type\":\"integer\"},{\"minimum\":3}]}", "2",
          "at /: found 2, expected at least 3");
    check("{\"anyOf\":[{\"type\":\"string\"},{\"minimum\":3}]}", "2",
          "at /: valid by none of the 2 schemas of anyOf");
    check("{\"oneOf\":[{\"minimum\":1},{\"minimum\":3}]}", "4",
          "at /: valid by 2 of the schemas of oneOf");
    check("{\"not\":{\"type\":\"null\"}}", "null", "at /: valid by what is excluded");
    check("{\"minProperties\":1,\"maxProperties\":1}", "{}",
          "at /: found 0 members, expected at least 1");
    check("{\"$schema\":\"x\",\"title\":\"t\",\"format\":\"email\"}", "1", NULL);
}

static void schemas_are_checked(void **state)
{
    static const char *const rows[][2] = {
        {"", "at /: '[' or '{' expected near end of file"},
        {"[]", "at /: expected an object of subjects"},
        {"{\"a..b\":{}}", "at /a..b: not a subject"},
        {"{\"a\":1}", "at /a: a schema is an object, true or false"},
        {"{\"a\":{\"pattern\":\"x\"}}", "at /a/pattern: this keyword is not supported"},
        {"{\"a\":{\"properties\":{\"b\":{\"$ref\":\"#\"}}}}",
         "at /a/properties/b/$ref: this keyword is not supported"},
        {"{\"a\":{\"type\":\"int\"}}", "at /a/type: not the name of a type"},
        {"{\"a\":{\"type\":[\"string\",1]}}", "at /a/type/1: not the name of a type"},
        {"{\"a\":{\"minItems\":-1}}", "at /a/minItems: expected a number that is not negative"},
        {"{\"a\":{\"required\":\"x\"}}", "at /a/required: expected an array of strings"},
        {"{\"a\":{\"anyOf\":[]}}", "at /a/anyOf: expected schemas"},
        {"{\"a\":{\"allOf\":[{\"x\":1}]}}", "at /a/allOf/0/x: this keyword is not supported"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[STREAM_SCHEMA_TEXT];
        struct stream_schema *schema;
        assert_int_equal(stream_schema_new(bytes_str(rows[i][0]), &schema, why), ERR_INVALID);
        assert_string_equal(why, rows[i][1]);
    }
}

/* However deep and long the names are, the text stays within its room. */
static void places_are_cut(void **state)
{
    char schema[4096] = "true", next[4096], why[STREAM_SCHEMA_TEXT], document[4096] = "1";
    struct stream_schema *made;
    for (int i = 0; i < 12; i++) {
        snprintf(next, sizeof next, "{\"properties\":{\"member/%d~with a long name\":%s}}", i,
                 i ? schema : "{\"type\":\"null\"}");
        memcpy(schema, next, sizeof next);
        snprintf(next, sizeof next, "{\"member/%d~with a long name\":%s}", i, document);
        memcpy(document, next, sizeof next);
    }
    snprintf(next, sizeof next, "{\">\":%s}", schema);
    assert_int_equal(stream_schema_new(bytes_str(next), &made, why), 0);
    assert_int_equal(stream_schema_check(made, BYTES("a"), bytes_str(document), why), ERR_INVALID);
    assert_non_null(strstr(why, "...: found integer, expected null"));
    stream_schema_free(made);
    for (int i = 0; i < 40; i++) {
        snprintf(next, sizeof next, "{\"not\":%s}", i ? schema : "true");
        memcpy(schema, next, sizeof next);
    }
    snprintf(next, sizeof next, "{\">\":%s}", schema);
    assert_int_equal(stream_schema_new(bytes_str(next), &made, why), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(documents_are_checked),
        cmocka_unit_test(schemas_are_checked),
        cmocka_unit_test(places_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
