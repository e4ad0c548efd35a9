/* Schemas: what they may say, and what they say of documents. In the tables ' stands for ". */
#include "base/err.h"
#include "schema/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TEXT = 4096 };

static struct bytes quoted(const char *text, char room[TEXT])
{
    size_t len = strlen(text);
    assert_true(len < TEXT);
    for (size_t i = 0; i < len; i++) room[i] = text[i] == '\'' ? '"' : text[i];
    return bytes_make(room, len);
}

static int compile(const char *text, struct schema **ret, char *why)
{
    const struct schema_place root = {0};
    char room[TEXT];
    json_t *json = schema_document(quoted(text, room), why);
    if (!json) fail_msg("%s: %s", text, why);
    int r = schema_new(json, &root, ret, why);
    json_decref(json);
    return r;
}

/* Is valid when no reason is given. */
struct row {
    const char *schema, *document, *why;
};

static void check_rows(const struct row *rows, size_t count)
{
    const char *before = NULL;
    for (size_t i = 0; i < count; i++) {
        char why[SCHEMA_WHY] = "", room[TEXT], wanted[TEXT] = "";
        const char *text = rows[i].schema ? rows[i].schema : before; /* NULL: the one above */
        struct schema *schema;
        before = text;
        if (compile(text, &schema, why) < 0) fail_msg("%s: %s", text, why);
        json_t *document = schema_document(quoted(rows[i].document, room), why);
        if (!document) fail_msg("%s: %s", rows[i].document, why);
        int r = schema_check(schema, document, why);
        if (rows[i].why) quoted(rows[i].why, wanted);
        if (strcmp(why, wanted) != 0) fail_msg("%s with %s: \"%s\"", text, rows[i].document, why);
        assert_int_equal(r, rows[i].why ? ERR_INVALID : 0);
        json_decref(document);
        schema_free(schema);
    }
}

#define CHECK(...)                                      \
    do {                                                \
        static const struct row rows[] = {__VA_ARGS__}; \
        check_rows(rows, sizeof rows / sizeof rows[0]); \
    } while (0)

static void values(void **state)
{
    CHECK({"true", "1"}, {"{}", "1"}, {"false", "1", "at /: nothing is allowed here"},
          {"{'type':'integer'}", "1"}, {NULL, "1.0"}, {NULL, "1e300"},
          {NULL, "1.5", "at /: found number, expected integer"}, {NULL, "18446744073709551616"},
          {"{'type':['string','null']}", "null"},
          {NULL, "1", "at /: found integer, expected string, null"}, {"{'type':'number'}", "7"},
          {"{'enum':[1,'a']}", "1.0"}, {NULL, "'b'", "at /: found 'b', expected one of [1,'a']"},
          {"{'const':{'a':[1]}}", "{'a':[1.0]}"},
          {NULL, "{'a':[2]}", "at /: found {'a':[2]}, expected {'a':[1]}"},
          {"{'const':'a value that is much too long to be shown whole'}", "0",
           "at /: found 0, expected 'a value that is much too long to ..."},
          {"{'title':'t','format':'email','x-owner':'us'}", "1"});
}

static void numbers(void **state)
{
    CHECK({"{'minimum':1,'maximum':2}", "1"}, {NULL, "2.5", "at /: found 2.5, expected at most 2"},
          {"{'exclusiveMinimum':1}", "1", "at /: found 1, expected more than 1"},
          {"{'exclusiveMaximum':1}", "0.5"},
          {"{'minimum':9007199254740993}", "9007199254740992",
           "at /: found 9007199254740992, expected at least 9007199254740993"},
          {"{'multipleOf':0.01}", "19.99"},
          {NULL, "0.075", "at /: found 0.075, expected a multiple of 0.01"},
          {"{'multipleOf':7}", "-14"}, {NULL, "15", "at /: found 15, expected a multiple of 7"});
}

static void strings(void **state)
{
    CHECK({"{'maxLength':2,'minLength':2}", "'\xc3\xa4\xc3\xa4'"},
          {NULL, "'\xc3\xa4'", "at /: found 1 letters, expected at least 2"},
          {"{'pattern':'^[A-Z]{3}-\\\\d+$'}", "'ABC-17'"},
          {NULL, "'ABC-17\\n'", "at /: found 'ABC-17\\n', expected what matches '^[A-Z]{3}-\\d+$'"},
          {NULL, "17"}, {"{'pattern':'\\\\u00e4'}", "'b\xc3\xa4'"},
          {"{'pattern':'b'}", "'a\\u0000b'"});
}

static void objects(void **state)
{
    CHECK(
        {"{'required':['a']}", "{'b':1}", "at /: member 'a' is missing"}, {NULL, "[]"},
        {"{'properties':{'a':{'items':{'type':'string'}}}}", "{'a':['x',2]}",
         "at /a/1: found integer, expected string"},
        {"{'properties':{'a':true},'additionalProperties':false}", "{'a':1}"},
        {NULL, "{'b/c':1}", "at /b~1c: unknown member"},
        {"{'additionalProperties':{'type':'string'}}", "{'b':1}",
         "at /b: found integer, expected string"},
        {"{'patternProperties':{'^n_':{'type':'number'}},'additionalProperties':false}",
         "{'n_a':1}"},
        {NULL, "{'n_a':''}", "at /n_a: found string, expected number"},
        {"{'propertyNames':{'maxLength':2}}", "{'abc':1}",
         "at /abc: found 3 letters, expected at most 2"},
        {"{'minProperties':1,'maxProperties':1}", "{}",
         "at /: found 0 members, expected at least 1"},
        {"{'dependentRequired':{'card':['name']}}", "{'card':1}",
         "at /: member 'name' is missing, which 'card' requires"},
        {"{'dependentSchemas':{'a':{'required':['b']}}}", "{'a':1}", "at /: member 'b' is missing"},
        {NULL, "{'c':1}"});
}

static void arrays(void **state)
{
    CHECK({"{'minItems':1,'maxItems':2}", "[]", "at /: found 0 items, expected at least 1"},
          {NULL, "[1,2,3]", "at /: found 3 items, expected at most 2"},
          {"{'prefixItems':[{'type':'string'}],'items':{'type':'integer'}}", "['a',1]"},
          {NULL, "['a','b']", "at /1: found string, expected integer"},
          {"{'contains':{'minimum':5},'maxContains':1}", "[1,5]"},
          {NULL, "[1]", "at /: found 0 items of the kind of contains, expected at least 1"},
          {NULL, "[5,6]", "at /: found 2 items of the kind of contains, expected at most 1"},
          {"{'contains':{'minimum':5},'minContains':0}", "[]"},
          {"{'uniqueItems':true}", "[1,'1',[1],{'a':1},true]"},
          {NULL, "[{'a':1,'b':0},2,{'b':-0.0,'a':1.0}]", "at /: items 0 and 2 are the same"});
}

static void combinations(void **state)
{
    CHECK(
        {"{'allOf':[{'type':'integer'},{'minimum':3}]}", "2", "at /: found 2, expected at least 3"},
        {"{'anyOf':[{'type':'string'},{'minimum':3}]}", "2",
         "at /: valid by none of the 2 schemas of anyOf"},
        {"{'oneOf':[{'minimum':1},{'minimum':3}]}", "4",
         "at /: valid by more than one of the 2 schemas of oneOf"},
        {NULL, "0", "at /: valid by none of the 2 schemas of oneOf"}, {NULL, "2"},
        {"{'not':{'type':'null'}}", "null", "at /: valid by what is excluded"},
        {"{'if':{'required':['a']},'then':{'required':['b']},'else':{'required':['c']}}", "{'a':1}",
         "at /: member 'b' is missing"},
        {NULL, "{}", "at /: member 'c' is missing"}, {NULL, "{'a':1,'b':1}"}, {NULL, "{'c':1}"});
}

static void what_nobody_has_looked_at(void **state)
{
    CHECK({"{'allOf':[{'properties':{'a':true}}],'unevaluatedProperties':false}", "{'a':1}"},
          {NULL, "{'b':1}", "at /b: nothing is allowed here"},
          {"{'anyOf':[{'properties':{'a':{'type':'string'}}},{'properties':{'b':true}}],"
           "'unevaluatedProperties':false}",
           "{'b':1}"},
          {NULL, "{'a':1}", "at /a: nothing is allowed here"}, {NULL, "{'a':'','b':1}"},
          {"{'prefixItems':[true],'contains':{'const':'x'},'unevaluatedItems':{'type':'null'}}",
           "[1,'x',null]"},
          {NULL, "[1,'x',2]", "at /2: found integer, expected null"});
}

static void references(void **state)
{
    CHECK({"{'$defs':{'id':{'type':'string'}},'properties':{'a':{'$ref':'#/$defs/id'}}}", "{'a':1}",
           "at /a: found integer, expected string"},
          {"{'properties':{'kids':{'items':{'$ref':'#'}},'n':{'type':'number'}}}",
           "{'kids':[{'n':1},{'kids':[{'n':''}]}]}",
           "at /kids/1/kids/0/n: found string, expected number"},
          {"{'$defs':{'a/b%':{'$anchor':'here','const':1}},'anyOf':[{'$ref':'#here'},"
           "{'items':{'$ref':'#/$defs/a~1b%25'}}]}",
           "[1]"},
          {NULL, "[2]", "at /: valid by none of the 2 schemas of anyOf"},
          {"{'$id':'https://shop.example/order','properties':{'a':{'$ref':"
           "'https://shop.example/order#/properties/b'},'b':{'type':'null'}}}",
           "{'a':1}", "at /a: found integer, expected null"},
          {"{'properties':{'a':{'$ref':'#/examples/0'}},'examples':[{'const':1}]}", "{'a':2}",
           "at /a: found 2, expected 1"});
}

static void schemas_are_refused(void **state)
{
    static const char *const rows[][2] = {
        {"1", "at /: found 1, expected a schema: an object, true or false"},
        {"{'minimun':1}", "at /minimun: this keyword is not supported"},
        {"{'additionalItems':false}",
         "at /additionalItems: this keyword is not supported; use items behind prefixItems"},
        {"{'type':'int'}", "at /type: found 'int', expected the name of a type"},
        {"{'type':['string',1]}", "at /type: found ['string',1], expected names of types"},
        {"{'minItems':-1}", "at /minItems: found -1, expected a whole number that is not negative"},
        {"{'required':'x'}", "at /required: found 'x', expected a list of names"},
        {"{'anyOf':[]}", "at /anyOf: found [], expected a list of schemas"},
        {"{'allOf':[{'x':1}]}", "at /allOf/0/x: this keyword is not supported"},
        {"{'multipleOf':0}", "at /multipleOf: found 0, expected a number above 0"},
        {"{'pattern':'a('}",
         "at /pattern: found a pattern that is wrong at letter 3: missing closing parenthesis"},
        {"{'patternProperties':{'[':true}}",
         "at /patternProperties/[: found a pattern that is wrong at letter 2: missing terminating "
         "] for character class"},
        {"{'$ref':'#/$defs/a'}", "at /: $ref '#/$defs/a': there is no such place"},
        {"{'$ref':'other.json'}",
         "at /: $ref 'other.json' is another document, expected a place of this one"},
        {"{'$defs':{'a':{'$ref':'#/$defs/b'},'b':{'not':{'$ref':'#/$defs/a'}}}}",
         "at /: a $ref comes back to where it began"},
        {"{'items':{'$id':'x'}}",
         "at /items/$id: found $id below the root, expected it there only"},
        {"{'$schema':'https://example.com/dialect'}",
         "at /$schema: found 'https://example.com/dialect', expected a dialect of json-schema.org"},
        {"{'$defs':{'a':{'$anchor':'x'},'b':{'$anchor':'x'}}}",
         "at /$defs/b/$anchor: the anchor 'x' is there twice"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char why[SCHEMA_WHY] = "", wanted[TEXT] = "";
        struct schema *schema;
        int r = compile(rows[i][0], &schema, why);
        quoted(rows[i][1], wanted);
        if (strcmp(why, wanted) != 0) fail_msg("%s: \"%s\"", rows[i][0], why);
        assert_int_equal(r, ERR_INVALID);
    }
}

/* However deep and long the names are, the text stays within its room. */
static void places_are_cut(void **state)
{
    char schema[TEXT] = "", document[TEXT] = "1", next[TEXT], why[SCHEMA_WHY];
    const char *name = "member/~with a name that is long";
    struct schema *made;
    for (int i = 0; i < 12; i++) {
        snprintf(next, sizeof next, "{'properties':{'%s':%s}}", name,
                 i ? schema : "{'type':'null'}");
        memcpy(schema, next, sizeof next);
        snprintf(next, sizeof next, "{\"%s\":%s}", name, document);
        memcpy(document, next, sizeof next);
    }
    assert_int_equal(compile(schema, &made, why), 0);
    json_t *json = schema_document(bytes_str(document), why);
    assert_non_null(json);
    assert_int_equal(schema_check(made, json, why), ERR_INVALID);
    assert_non_null(strstr(why, "...: found integer, expected null"));
    json_decref(json);
    schema_free(made);
}

/* Two to the power of depth ways through the schema; an answer comes all the same. */
static void steps_are_counted(void **state)
{
    char why[SCHEMA_WHY], document[TEXT];
    struct schema *made;
    assert_int_equal(compile("{'anyOf':[{'items':{'$ref':'#'},'minItems':1},"
                             "{'items':{'$ref':'#'},'minItems':1}]}",
                             &made, why),
                     0);
    memset(document, '[', 60);
    memset(document + 60, ']', 60);
    json_t *json = schema_document(bytes_make(document, 120), why);
    assert_non_null(json);
    assert_int_equal(schema_check(made, json, why), ERR_INVALID);
    assert_string_equal(why, "at /: this document takes too long to check");
    json_decref(json);
    schema_free(made);

    assert_int_equal(compile("{'pattern':'^(a+)+$'}", &made, why), 0);
    json = json_string("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab");
    assert_int_equal(schema_check(made, json, why), ERR_INVALID);
    assert_string_equal(why, "at /: this document takes too long to check");
    json_decref(json);
    schema_free(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values),
        cmocka_unit_test(numbers),
        cmocka_unit_test(strings),
        cmocka_unit_test(objects),
        cmocka_unit_test(arrays),
        cmocka_unit_test(combinations),
        cmocka_unit_test(what_nobody_has_looked_at),
        cmocka_unit_test(references),
        cmocka_unit_test(schemas_are_refused),
        cmocka_unit_test(places_are_cut),
        cmocka_unit_test(steps_are_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
