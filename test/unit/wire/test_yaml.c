#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "guard.h"
#include "wire/yaml.h"

struct inner {
    uint32_t kind; /* no field, so that the presence of the struct is known */
    struct bytes name;
    uint32_t count;
};

struct outer {
    struct bytes text;
    uint32_t number, wait_ms;
    bool flag;
    uint64_t size;
    int color;
    struct bytes *words;
    size_t word_count;
    struct yaml_pair *pairs;
    size_t pair_count;
    struct inner one;
    struct inner *many;
    size_t many_count;
    struct bytes left, right;
};

#define AT(type, member) .at = offsetof(struct type, member)

static const struct yaml_field inner_fields[] = {
    {.key = "name", .type = YAML_STRING, AT(inner, name), .required = true, .example = "name: x"},
    {.key = "count", .type = YAML_INT, AT(inner, count), .min = 1, .max = 9, .fallback = "7"},
    {0}};

static const struct yaml_schema inner_schema = {"an inner", sizeof(struct inner), inner_fields};

static const char *const colors[] = {"red", "green", "blue", NULL};

static const struct yaml_field outer_fields[] = {
    {.key = "text", .type = YAML_STRING, AT(outer, text), .example = "text: x"},
    {.key = "number",
     .example = "number: ...",
     .type = YAML_INT,
     AT(outer, number),
     .fallback = "3"},
    {.key = "wait",
     .example = "wait: ...",
     .type = YAML_DURATION,
     AT(outer, wait_ms),
     .fallback = "15s"},
    {.key = "flag", .example = "flag: ...", .type = YAML_BOOL, AT(outer, flag), .fallback = "true"},
    {.key = "size",
     .example = "size: ...",
     .type = YAML_BYTES,
     AT(outer, size),
     .fallback = "1MiB"},
    {.key = "color",
     .example = "color: ...",
     .type = YAML_ENUM,
     AT(outer, color),
     .names = colors,
     .fallback = "green"},
    {.key = "words",
     .example = "words: ...",
     .type = YAML_STRINGS,
     AT(outer, words),
     .count_at = offsetof(struct outer, word_count),
     .max = 3},
    {.key = "pairs",
     .example = "pairs: ...",
     .type = YAML_MAP,
     AT(outer, pairs),
     .count_at = offsetof(struct outer, pair_count)},
    {.key = "one",
     .example = "one: ...",
     .type = YAML_STRUCT,
     AT(outer, one),
     .schema = &inner_schema},
    {.key = "many",
     .example = "many: ...",
     .type = YAML_STRUCTS,
     AT(outer, many),
     .count_at = offsetof(struct outer, many_count),
     .schema = &inner_schema},
    {.key = "left", .type = YAML_STRING, AT(outer, left), .one_of = 1, .example = "left: x"},
    {.key = "right", .type = YAML_STRING, AT(outer, right), .one_of = 1, .example = "right: x"},
    {0}};

static const struct yaml_schema outer_schema = {"an outer", sizeof(struct outer), outer_fields};

struct reading {
    struct arena arena;
    struct errors errors;
    struct outer *value;
    const struct yaml_source *source;
    int err;
};

static void read_max(struct reading *reading, struct bytes text, size_t max)
{
    void *value;
    arena_init(&reading->arena, max);
    errors_init(&reading->errors, &reading->arena);
    reading->err = yaml_bind(&outer_schema, text, "f.yaml", &reading->arena, &reading->errors,
                             &value, &reading->source);
    reading->value = value;
}

static void read_str(struct reading *reading, const char *text)
{
    read_max(reading, bytes_str(text), 16 << 20);
}

static void done(struct reading *reading)
{
    arena_release(&reading->arena);
}

static void assert_text(struct bytes bytes, const char *text)
{
    assert_true(bytes_eq(bytes, bytes_str(text)));
    assert_int_equal(bytes.data[bytes.len], 0);
}

static void test_defaults(void **state)
{
    struct reading r;
    read_str(&r, "left: x\n");
    assert_int_equal(r.err, 0);
    assert_int_equal(r.value->text.len, 0);
    assert_non_null(r.value->text.data);
    assert_int_equal(r.value->number, 3);
    assert_int_equal(r.value->wait_ms, 15000);
    assert_true(r.value->flag);
    assert_int_equal(r.value->size, 1 << 20);
    assert_int_equal(r.value->color, 1);
    assert_int_equal(r.value->word_count, 0);
    assert_int_equal(r.value->one.count, 7);
    assert_false(yaml_given(r.source, &r.value->number));
    assert_false(yaml_given(r.source, &r.value->one));
    assert_true(yaml_given(r.source, &r.value->left));
    done(&r);
}

static const char whole[] = "text: no\n"
                            "number: 4294967295\n"
                            "wait: 250ms\n"
                            "flag: false\n"
                            "size: 10kB\n"
                            "color: blue\n"
                            "words: [on, \"1.10\", 'a b']\n"
                            "pairs: {A: yes, B: \"\"}\n"
                            "one: &one {name: n}\n"
                            "many:\n"
                            "  - *one\n"
                            "  - name: m\n"
                            "    count: 9\n"
                            "right: |\n"
                            "  two\n"
                            "  lines\n";

static void test_values(void **state)
{
    struct reading r;
    read_str(&r, whole);
    assert_int_equal(r.err, 0);
    assert_text(r.value->text, "no");
    assert_int_equal(r.value->number, UINT32_MAX);
    assert_int_equal(r.value->wait_ms, 250);
    assert_false(r.value->flag);
    assert_int_equal(r.value->size, 10000);
    assert_int_equal(r.value->color, 2);
    assert_int_equal(r.value->word_count, 3);
    assert_text(r.value->words[0], "on");
    assert_text(r.value->words[1], "1.10");
    assert_text(r.value->words[2], "a b");
    assert_int_equal(r.value->pair_count, 2);
    assert_text(r.value->pairs[0].key, "A");
    assert_text(r.value->pairs[0].value, "yes");
    assert_text(r.value->pairs[1].value, "");
    assert_text(r.value->one.name, "n");
    assert_int_equal(r.value->many_count, 2);
    assert_text(r.value->many[0].name, "n");
    assert_int_equal(r.value->many[0].count, 7);
    assert_int_equal(r.value->many[1].count, 9);
    assert_text(r.value->right, "two\nlines\n");
    done(&r);
}

static void test_places(void **state)
{
    struct reading r;
    read_str(&r, whole);
    assert_true(yaml_given(r.source, &r.value->one));
    assert_true(yaml_given(r.source, &r.value->many[1].count));
    assert_false(yaml_given(r.source, &r.value->many[0].count));
    const struct {
        const void *member;
        int line, column;
    } places[] = {{&r.value->number, 2, 9},         {&r.value->words, 7, 8},
                  {&r.value->words[1], 7, 13},      {&r.value->pairs[0].key, 8, 12},
                  {&r.value->many[1].name, 12, 11}, {&r.value->left, 0, 0}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct error *error = yaml_error(r.source, places[i].member, &r.errors);
        assert_string_equal(error->file, "f.yaml");
        assert_int_equal(error->line, places[i].line);
        assert_int_equal(error->column, places[i].column);
    }
    assert_string_equal(yaml_source_name(r.source), "f.yaml");
    done(&r);
}

/* Each wrong document with the place and the beginning of what is said. */
static void test_mistakes(void **state)
{
    static const struct {
        const char *text;
        int line, column;
        const char *message;
    } cases[] = {
        {"left: x\nnumber: 4294967296", 2, 9, "`number` must be a whole number, not `4294967296`"},
        {"left: x\nnumber: 0x10", 2, 9, "`number` must be a whole number, not `0x10`"},
        {"left: x\nflag: True", 2, 7, "`flag` must be true or false, not `True`"},
        {"left: x\nwait: 5", 2, 7, "`wait` must be a duration, not `5`"},
        {"left: x\nwait: 50d", 2, 7, "`wait` must be a duration, not `50d`"},
        {"left: x\nwait: 9999h", 2, 7, "`wait` must be a duration, not `9999h`"},
        {"left: x\nsize: 9EiB", 2, 7, "`size` must be a size, not `9EiB`"},
        {"left: x\ncolor: grey", 2, 8, "`color` must be one of `red`, `green`, `blue`, not `grey`"},
        {"left: x\nwords: [a, b, c, d]", 2, 8, "`words` has 4 elements; it can have 3 at most"},
        {"left: x\nwords: {a: b}", 2, 8, "`words` must be a list of texts, not a mapping"},
        {"left: x\nwords: [[a]]", 2, 9, "`words` must be a text, not a list"},
        {"left: x\npairs: [a]", 2, 8, "`pairs` must be a mapping of names to texts, not a list"},
        {"left: x\npairs: {a: }", 2, 12, "`a` in `pairs` must be a text, not nothing"},
        {"left: x\none: {}", 2, 6, "an inner needs `name`, which is not given"},
        {"left: x\none: {name: ~}", 2, 7, "`name` has no value"},
        {"left: x\none: {name: \"\"}", 2, 13, "`name` is an empty text"},
        {"left: x\nmany: [{name: a}, b]", 2, 19, "an inner must be a mapping"},
        {"text: x", 1, 1, "an outer needs one of `left`, `right`, and has none"},
        {"left: x\nright: y", 2, 1, "an outer has `left` and `right`, but only one"},
        {"right: x\nleft: y", 2, 1, "an outer has `left` and `right`, but only one"},
        {"left: x\nleft: y", 2, 1, "the key `left` is there twice: it was given in line 1"},
        {"left: x\npairs: {A: 1, A: 2}", 2, 15, "the key `A` is there twice"},
        {"left: \"a\\0b\"", 1, 7, "this text contains a NUL character"},
        {"left: x\n? [a]\n: b", 2, 3, "a key must be a word"},
        {"left: x\npairs: {<<: {a: b}}", 2, 13, "`<<` in `pairs` must be a text, not a mapping"},
        {"left: x\x01", 1, 8, "this is no text: the byte 0x01"},
        {"left: \xc0\x80", 1, 7, "this is no text: the byte 0xc0"},
        {"left: \xed\xa0\x80", 1, 7, "this is no text: the byte 0xed"},
        {"left: 안\xff", 1, 8, "this is no text: the byte 0xff"},
        {"%YAML 9.9\n---\nleft: x", 1, 1, "found incompatible YAML document"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct reading r;
        read_str(&r, cases[i].text);
        if (r.err >= 0 || r.errors.count != 1 ||
            !bytes_starts(bytes_str(r.errors.items[0].message), bytes_str(cases[i].message)) ||
            r.errors.items[0].line != cases[i].line ||
            r.errors.items[0].column != cases[i].column) {
            char said[1024] = "nothing";
            if (r.errors.count) error_format(&r.errors.items[0], said, sizeof said);
            fail_msg("%s\n%zu said: %s", cases[i].text, r.errors.count, said);
        }
        assert_int_equal(r.err, r.errors.items[0].code);
        assert_true(r.errors.items[0].remedy[0] != 0);
        done(&r);
    }
}

static void test_shown(void **state)
{
    assert_text(yaml_shown(BYTES("order")), "order");
    assert_int_equal(yaml_shown(BYTES("a\x1b[31m")).len, 1);
    assert_int_equal(yaml_shown(BYTES("two\nlines")).len, 3);
    assert_int_equal(yaml_shown(BYTES("a\x7f")).len, 1);
    assert_int_equal(yaml_shown(BYTES("")).len, 0);
    char text[70];
    memset(text, 'x', sizeof text);
    assert_int_equal(yaml_shown(bytes_make(text, 64)).len, 64);
    assert_int_equal(yaml_shown(bytes_make(text, 65)).len, 64);
    memcpy(text + 62, "안", 3);
    assert_int_equal(yaml_shown(bytes_make(text, sizeof text)).len, 62);
}

static void test_all_at_once(void **state)
{
    struct reading r;
    read_str(&r, "number: x\nflag: x\nunknown: x\nwords: x\n");
    assert_int_equal(r.errors.count, 5);
    assert_non_null(r.value);
    assert_int_equal(r.value->number, 3); /* its default */
    done(&r);
}

static void test_bounds(void **state)
{
    size_t size = YAML_SIZE_MAX + 1;
    char *text = malloc(size);
    memset(text, '#', size);
    struct reading r;
    read_max(&r, bytes_make(text, size), 16 << 20);
    assert_int_equal(r.err, ERR_TOO_BIG);
    assert_null(r.value);
    done(&r);
    /* As many values as a document of that size can have. */
    for (size_t i = 0; i + 1 < size; i += 2) memcpy(text + i, "a,", 2);
    memcpy(text, "words: [", 8);
    text[size - 2] = ']';
    read_max(&r, bytes_make(text, size - 1), 64 << 20);
    assert_int_equal(r.err, ERR_TOO_BIG);
    done(&r);
    /* Brackets that never end must not cost the square of their number. */
    memset(text, '[', size);
    read_max(&r, bytes_make(text, size - 1), 64 << 20);
    assert_int_equal(r.err, ERR_TOO_BIG);
    done(&r);
    free(text);
    /* Anchors, and depth that only aliases make. */
    struct buf out;
    buf_init(&out, 1 << 20);
    buf_append_str(&out, "words: [");
    for (int i = 0; i < 257; i++) buf_append_format(&out, "&a%d x,", i);
    buf_append_str(&out, "]");
    read_max(&r, buf_bytes(&out), 16 << 20);
    assert_int_equal(r.err, ERR_TOO_BIG);
    done(&r);
    buf_clear(&out);
    buf_append_str(&out, "a0: &a0 [x]\n");
    for (int i = 1; i < 40; i++) buf_append_format(&out, "a%d: &a%d [*a%d]\n", i, i, i - 1);
    read_max(&r, buf_bytes(&out), 16 << 20);
    assert_int_equal(r.err, ERR_TOO_BIG);
    assert_int_equal(r.errors.items[0].line, YAML_DEPTH_MAX);
    done(&r);
    buf_release(&out);
}

/* At every limit of memory: the value, or ERR_NOMEM with one error that says so. */
static void test_without_memory(void **state)
{
    int succeeded = 0;
    for (size_t max = 0; max < 256 * 1024 && succeeded < 3; max += 509) {
        struct reading r;
        read_max(&r, bytes_str(whole), max);
        assert_true(r.err == 0 || r.err == ERR_NOMEM);
        assert_true((r.err == 0) == (r.value != NULL));
        assert_int_equal(errors_total(&r.errors), r.err ? 1 : 0);
        succeeded += r.err == 0;
        done(&r);
    }
    assert_int_equal(succeeded, 3);
}

static void test_cut_everywhere(void **state)
{
    struct guard guard;
    guard_init(&guard, sizeof whole);
    for (size_t len = 0; len < sizeof whole; len++) {
        struct reading r;
        read_max(&r, guard_bytes(&guard, bytes_make(whole, len)), 16 << 20);
        assert_int_equal(r.err != 0, errors_total(&r.errors) > 0);
        done(&r);
    }
    /* And with each byte of another kind. */
    for (size_t at = 0; at < sizeof whole - 1; at++) {
        static const char odd[] = "\t\n:-[]{}#&*!|>'\"%@`\\,?x\xff";
        for (size_t i = 0; i < sizeof odd; i++) {
            char changed[sizeof whole];
            memcpy(changed, whole, sizeof whole);
            changed[at] = odd[i];
            struct reading r;
            read_max(&r, guard_bytes(&guard, bytes_make(changed, sizeof whole - 1)), 16 << 20);
            assert_int_equal(r.err != 0, errors_total(&r.errors) > 0);
            done(&r);
        }
    }
    guard_release(&guard);
}

static void test_scalars(void **state)
{
    uint32_t ms;
    uint64_t size;
    assert_int_equal(yaml_duration_parse(BYTES("0ms"), &ms), 0);
    assert_int_equal(yaml_duration_parse(BYTES("1h"), &ms), 0);
    assert_int_equal(ms, 3600000);
    assert_int_equal(yaml_duration_parse(BYTES("1193h"), &ms), 0);
    assert_int_equal(yaml_duration_parse(BYTES("1194h"), &ms), ERR_TOO_BIG);
    assert_int_equal(yaml_duration_parse(BYTES(""), &ms), ERR_SYNTAX);
    assert_int_equal(yaml_duration_parse(BYTES("s"), &ms), ERR_SYNTAX);
    assert_int_equal(yaml_duration_parse(BYTES("1 s"), &ms), ERR_SYNTAX);
    assert_int_equal(yaml_duration_parse(BYTES("-1s"), &ms), ERR_SYNTAX);
    assert_int_equal(yaml_bytes_parse(BYTES("512"), &size), 0);
    assert_int_equal(size, 512);
    assert_int_equal(yaml_bytes_parse(BYTES("2GiB"), &size), 0);
    assert_int_equal(size, 2ull << 30);
    assert_int_equal(yaml_bytes_parse(BYTES("1mb"), &size), ERR_SYNTAX);
    assert_int_equal(yaml_bytes_parse(BYTES("9223372036854775808"), &size), ERR_TOO_BIG);
    assert_int_equal(yaml_bytes_parse(BYTES("9999999999GiB"), &size), ERR_TOO_BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),       cmocka_unit_test(test_values),
        cmocka_unit_test(test_places),         cmocka_unit_test(test_mistakes),
        cmocka_unit_test(test_all_at_once),    cmocka_unit_test(test_shown),
        cmocka_unit_test(test_bounds),         cmocka_unit_test(test_without_memory),
        cmocka_unit_test(test_cut_everywhere), cmocka_unit_test(test_scalars),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
