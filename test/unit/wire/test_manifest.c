#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "guard.h"
#include "wire/manifest.h"
#include "wire/manifest_value.h"

/* ---- versions ---- */

static void test_version(void **state)
{
    struct manifest_version v;
    assert_int_equal(manifest_version_parse(BYTES("v1_20261121-2"), &v, NULL), 0);
    assert_int_equal(v.form, MANIFEST_VERSION_DATED);
    assert_int_equal(v.major, 1);
    assert_int_equal(v.minor, 20261121);
    assert_int_equal(v.fix, 2);
    assert_int_equal(manifest_version_parse(BYTES("1.10.0"), &v, NULL), 0);
    assert_int_equal(v.form, MANIFEST_VERSION_SEMANTIC);
    assert_int_equal(v.minor, 10);
    assert_int_equal(manifest_version_parse(BYTES("v0_20240229-0"), &v, NULL), 0);
    static const char *const wrong[] = {"",
                                        "v",
                                        "1",
                                        "1.2",
                                        "1.2.3.4",
                                        "01.2.3",
                                        "1.2.3-rc1",
                                        "1..3",
                                        "1.2.",
                                        " 1.2.3",
                                        "v1_20261121",
                                        "v1_20261121-",
                                        "v_20261121-1",
                                        "v1_2026112-1",
                                        "v1_20230229-1",
                                        "v1_20261301-1",
                                        "v1_19690101-1",
                                        "v1_20261121-1-2",
                                        "v1.2.3",
                                        "9999999999.0.0",
                                        "v1_00000000-1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct error error = {0};
        assert_int_equal(manifest_version_parse(bytes_str(wrong[i]), &v, &error), ERR_SYNTAX);
        assert_true(error.message[0] && error.remedy[0]);
    }
}

static void test_version_order(void **state)
{
    static const char *const order[] = {"v1_20260101-9", "v1_20261121-1", "v1_20261121-2",
                                        "v2_20250101-1", "0.9.9",         "1.2.3",
                                        "1.10.0"};
    enum { COUNT = sizeof order / sizeof order[0] };
    struct manifest_version v[COUNT];
    for (size_t i = 0; i < COUNT; i++)
        assert_int_equal(manifest_version_parse(bytes_str(order[i]), &v[i], NULL), 0);
    for (size_t i = 0; i < COUNT; i++) {
        for (size_t j = 0; j < COUNT; j++) {
            int compared = manifest_version_compare(&v[i], &v[j]);
            assert_int_equal((compared > 0) - (compared < 0), (i > j) - (i < j));
        }
    }
    assert_true(manifest_version_compatible(&v[1], &v[2]));
    assert_true(manifest_version_compatible(&v[1], &v[1]));
    assert_false(manifest_version_compatible(&v[2], &v[1]));
    assert_false(manifest_version_compatible(&v[0], &v[1]));
    assert_false(manifest_version_compatible(&v[5], &v[6]));
}

/* ---- commands ---- */

static void assert_words(const char *text, size_t count, const char *const *words)
{
    struct arena arena;
    struct manifest_command command = {0};
    struct error error = {0};
    arena_init(&arena, 1 << 20);
    int err = manifest_command_parse(bytes_str(text), &arena, &command, &error);
    if (err) fail_msg("%s: %s", text, error.message);
    assert_int_equal(command.argc, count);
    for (size_t i = 0; i < count; i++) assert_string_equal(command.argv[i], words[i]);
    assert_null(command.argv[count]);
    arena_release(&arena);
}

#define ASSERT_WORDS(text, ...)                                                \
    assert_words(text, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *), \
                 (const char *[]){__VA_ARGS__})

static void test_command(void **state)
{
    ASSERT_WORDS("make", "make");
    ASSERT_WORDS("  python3\tmain.py \n", "python3", "main.py");
    ASSERT_WORDS("a 'b c' \"d e\"", "a", "b c", "d e");
    ASSERT_WORDS("a'b'\"c\"d", "abcd");
    ASSERT_WORDS("'' a \"\"", "", "a", "");
    ASSERT_WORDS("a\\ b \\'c\\|", "a b", "'c|");
    ASSERT_WORDS("\"a\\\"b\\\\c\\n\\$\"", "a\"b\\c\\n$");
    ASSERT_WORDS("'a\\b$c|\"'", "a\\b$c|\"");
    ASSERT_WORDS("sh -c 'a | b > c'", "sh", "-c", "a | b > c");
    ASSERT_WORDS("a~b c#d --x=1,2 %@^!+:", "a~b", "c#d", "--x=1,2", "%@^!+:");
}

static void test_command_refused(void **state)
{
    static const char *const wrong[] = {
        "",   "  ",  "a |b",  "a;b", "a&", "a >b", "a <b", "$A",  "\"$A\"", "`a`",  "\"`\"", "*.py",
        "a?", "(a)", "{a,b}", "~/a", "#a", "'a",   "\"a",  "a\\", "A=1 b",  "a[0]", "\"a\\"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct arena arena;
        struct manifest_command command = {0};
        struct error error = {0};
        arena_init(&arena, 1 << 20);
        assert_int_equal(manifest_command_parse(bytes_str(wrong[i]), &arena, &command, &error),
                         ERR_SYNTAX);
        assert_true(error.message[0] && error.remedy[0]);
        assert_null(command.argv);
        arena_release(&arena);
    }
}

static void test_command_bounds(void **state)
{
    struct arena arena;
    struct manifest_command command = {0};
    char text[2 * (MANIFEST_WORDS_MAX + 1)];
    for (size_t i = 0; i < sizeof text; i++) text[i] = i % 2 ? ' ' : 'a';
    arena_init(&arena, 1 << 20);
    struct bytes fits = bytes_make(text, 2 * (size_t)MANIFEST_WORDS_MAX);
    assert_int_equal(manifest_command_parse(fits, &arena, &command, NULL), 0);
    assert_int_equal(command.argc, MANIFEST_WORDS_MAX);
    assert_int_equal(manifest_command_parse(bytes_make(text, sizeof text), &arena, &command, NULL),
                     ERR_TOO_BIG);
    arena_release(&arena);
    static char longest[16 * 1024 + 1];
    memset(longest, 'a', sizeof longest);
    struct bytes longer = bytes_make(longest, sizeof longest);
    assert_int_equal(manifest_command_parse(longer, &arena, &command, NULL), ERR_TOO_BIG);
    assert_int_equal(manifest_command_parse(BYTES("a\0b"), &arena, &command, NULL), ERR_SYNTAX);
    arena_release(&arena);
    arena_init(&arena, 100);
    assert_int_equal(manifest_command_parse(BYTES("a b"), &arena, &command, NULL), ERR_NOMEM);
    arena_release(&arena);
    static const char quoted[] = "a 'b c' \"d\\\"e\" f\\ g";
    struct guard guard;
    guard_init(&guard, sizeof quoted);
    for (size_t len = 0; len < sizeof quoted; len++) {
        arena_init(&arena, 1 << 20);
        manifest_command_parse(guard_bytes(&guard, bytes_make(quoted, len)), &arena, &command,
                               NULL);
        arena_release(&arena);
    }
    guard_release(&guard);
}

/* ---- values ---- */

static void assert_check(yaml_check *check, bool expected, const char *const *values)
{
    for (; *values; values++) {
        struct error error = {0};
        if (check(bytes_str(*values), &error) != expected)
            fail_msg("`%s`: %s", *values, expected ? error.message : "taken");
        assert_true(expected || (error.message[0] && error.remedy[0]));
    }
}

#define VALUES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_values(void **state)
{
    assert_check(manifest_check_name, true, VALUES("a", "a1", "1a", "order-2"));
    assert_check(manifest_check_name, false,
                 VALUES("-a", "a-", "A", "a_b", "a.b", "alone", "localhost", "안",
                        "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1234"));
    assert_check(manifest_check_path, true, VALUES("/", "/a", "/a/", "/a/%20b", "/a;v=1/@b:c"));
    assert_check(manifest_check_path, false,
                 VALUES("a", "//", "/a//b", "/a/../b", "/./a", "/a b", "/a?b", "/a#b", "/%2",
                        "/%zz", "/a/*", "/ä", "/a\\b"));
    assert_check(manifest_check_host, true,
                 VALUES("a", "shop.example.org", "*.example.org", "127.0.0.1"));
    assert_check(manifest_check_host, false,
                 VALUES("*", "*.", "a..b", "a.", "http://a", "a:80", "a/b", "-a.b", "a.*.b"));
    assert_check(manifest_check_listen, true,
                 VALUES("127.0.0.1:80", ":80", "localhost:0", "[::1]:65535", "[::]:80", "0.0.0.0:1",
                        "unix:/tmp/a.sock"));
    assert_check(manifest_check_listen, false,
                 VALUES("80", "a:80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
                        "127.0.0.256:80", "127.0.1:80", "127.0.0.01:80", "::1:80", "[]:80",
                        "[::1:80", "[:::::::::]:80", "unix:", ":-1"));
    assert_check(manifest_check_subject, true,
                 VALUES("a", "a.b", "*.b", "a.*", "a.>", ">", "a.$b"));
    assert_check(
        manifest_check_subject, false,
        VALUES(".", "a.", ".a", "a..b", "a b", "a.>.b", "a*", "a.b>", "$JS.a", "_INBOX.a", "a\tb"));
    assert_check(manifest_check_method, true, VALUES("GET", "PATCH"));
    assert_check(manifest_check_method, false, VALUES("get", "G ET", "CONNECT"));
    assert_check(manifest_check_header, true, VALUES("X-Canary", "a"));
    assert_check(manifest_check_header, false, VALUES("X Canary", "a:", "ä"));
    assert_check(manifest_check_environment, true, VALUES("A", "_a1", "DATABASE_URL", "PORTAL"));
    assert_check(manifest_check_environment, false,
                 VALUES("1A", "A-B", "A=B", "PORT", "DURE_HTTP"));
    assert_check(manifest_check_folder, true, VALUES("a", "../b c/안", "/srv/a"));
    assert_check(manifest_check_folder, false, VALUES("a\nb", "\x1b[2J", "a\x7f"));
    assert_check(manifest_check_file, true, VALUES("a.db", "a/b.db", "..a"));
    assert_check(manifest_check_file, false, VALUES("/a", "a/", "../a", "a/../b", "./a", "a//b"));
    assert_check(manifest_check_module, true, VALUES("a.so", "../build/a.so"));
    assert_check(manifest_check_module, false, VALUES("a", "a.so.1"));
}

static void test_helpers(void **state)
{
    assert_int_equal(manifest_listen_port(BYTES("127.0.0.1:80")), 80);
    assert_int_equal(manifest_listen_port(BYTES("[::1]:0")), 0);
    assert_int_equal(manifest_listen_port(BYTES("unix:/a:80")), -1);
    assert_true(manifest_same_folder(BYTES("./a/"), BYTES("a")));
    assert_false(manifest_same_folder(BYTES("a/b"), BYTES("a")));
    static const struct {
        const char *a, *b;
        bool overlap;
    } cases[] = {{"a", "a", true},     {"a", "b", false},        {"a.b", "a", false},
                 {"a.*", "a.b", true}, {"a.*", "*.b", true},     {"a.>", "a", false},
                 {"a.>", "a.b", true}, {"a.*.c", "a.>", true},   {">", "a", true},
                 {"*", "a.b", false},  {"a.*.c", "a.b.d", false}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes a = bytes_str(cases[i].a), b = bytes_str(cases[i].b);
        assert_int_equal(manifest_subjects_overlap(a, b), cases[i].overlap);
        assert_int_equal(manifest_subjects_overlap(b, a), cases[i].overlap);
    }
}

/* What the manual and the remedies need of every field. */
static void assert_complete(const struct yaml_schema *schema)
{
    for (const struct yaml_field *field = schema->fields; field->key; field++) {
        assert_non_null(field->doc);
        assert_non_null(field->example);
        assert_true(bytes_starts(bytes_str(field->example), bytes_str(field->key)));
        if (field->schema) assert_complete(field->schema);
    }
}

/* ---- the whole ---- */

struct system {
    struct arena arena;
    struct errors errors;
    struct manifest manifest;
    struct manifest_service *services[4];
};

static int parse(struct system *s, size_t max, const char *system, const char *const *services)
{
    arena_init(&s->arena, max);
    errors_init(&s->errors, &s->arena);
    s->manifest = (struct manifest){.services = s->services};
    int err = manifest_system_parse(bytes_str(system), "dure.yaml", &s->arena, &s->errors,
                                    &s->manifest.system);
    if (!s->manifest.system) return err;
    for (size_t i = 0; services[i]; i++) {
        char name[64];
        snprintf(name, sizeof name, "%zu/service.yaml", i);
        manifest_service_parse(bytes_str(services[i]), name, &s->arena, &s->errors,
                               &s->services[i]);
        s->manifest.service_count++;
    }
    err = manifest_check(&s->manifest, &s->errors);
    return errors_total(&s->errors) && !err ? ERR_INVALID : err;
}

#define SYSTEM                                                                     \
    "system: shop\nservices:\n- path: a\n- {path: b, in: a, env: {X: deployed}}\n" \
    "- {path: c, scale: 3}\nenv: {X: system, A: system, Z: system}\n"              \
    "gateway: {routes: [{path: /b, to: b, timeout: 5s}, {path: /c, to: c, method: [GET]}]}\n"

#define SERVICE_A "name: a\nversion: 1.0.0\nmodule: a.so\nenv: {A: a}\n"
#define SERVICE_B "name: b\nversion: 1.0.0\nmodule: b.so\nenv: {X: b, M: b}\nstores: [b.db]\n"
#define SERVICE_C "name: c\nversion: 1.0.0\nrun: 'c \"1 2\"'\nhealth: {bus: true}\n"

static void test_system(void **state)
{
    struct system s;
    assert_int_equal(parse(&s, 1 << 22, SYSTEM, VALUES(SERVICE_A, SERVICE_B, SERVICE_C)), 0);
    const struct manifest_system *system = s.manifest.system;
    assert_int_equal(system->deployments[0].host, 0);
    assert_int_equal(system->deployments[1].host, 0);
    assert_int_equal(system->deployments[2].host, 2);
    assert_int_equal(system->deployments[2].scale, 3);
    assert_int_equal(system->gateway.routes[0].service, 1);
    assert_int_equal(system->gateway.routes[0].timeout_ms, 5000);
    assert_int_equal(system->gateway.routes[1].retries, 2);
    assert_true(bytes_eq(system->bus.listen, BYTES("127.0.0.1:4222")));
    assert_int_equal(system->bus.max_payload, 1 << 20);
    assert_int_equal(s.services[2]->run.argc, 2);
    assert_string_equal(s.services[2]->run.argv[1], "1 2");
    assert_int_equal(s.services[2]->health.kind, MANIFEST_HEALTH_BUS);
    assert_int_equal(s.services[0]->health.kind, MANIFEST_HEALTH_TCP);
    assert_int_equal(s.services[0]->health.interval_ms, 10000);
    assert_int_equal(s.services[0]->stop.grace_ms, 10000);
    assert_true(manifest_is_module(s.services[0]));
    assert_false(manifest_is_module(s.services[2]));
    arena_release(&s.arena);
}

static void put_variable(void *context, struct bytes key, struct bytes value)
{
    buf_append_format(context, "%.*s=%.*s ", BYTES_ARG(key), BYTES_ARG(value));
}

static void test_environment(void **state)
{
    struct system s;
    struct buf out;
    buf_init(&out, 1024);
    assert_int_equal(parse(&s, 1 << 22, SYSTEM, VALUES(SERVICE_A, SERVICE_B, SERVICE_C)), 0);
    assert_true(bytes_eq(manifest_env(&s.manifest, 1, BYTES("X")), BYTES("deployed")));
    assert_true(bytes_eq(manifest_env(&s.manifest, 0, BYTES("X")), BYTES("system")));
    assert_null(manifest_env(&s.manifest, 0, BYTES("M")).data);
    manifest_env_each(&s.manifest, 1, put_variable, &out);
    assert_true(bytes_eq(buf_bytes(&out), BYTES("A=system M=b X=deployed Z=system ")));
    buf_release(&out);
    arena_release(&s.arena);
}

static uint64_t fingerprint(size_t index, const char *system, const char *const *services)
{
    struct system s;
    uint64_t value;
    assert_int_equal(parse(&s, 1 << 22, system, services), 0);
    assert_int_equal(manifest_service_fingerprint(&s.manifest, index, &value), 0);
    arena_release(&s.arena);
    return value;
}

static void test_fingerprint(void **state)
{
    const char *const *same = VALUES(SERVICE_A, SERVICE_B, SERVICE_C);
    uint64_t a = fingerprint(0, SYSTEM, same), c = fingerprint(2, SYSTEM, same);
    assert_true(a != c);
    assert_true(a == fingerprint(1, SYSTEM, same)); /* b lives in a's process */
    /* Order of keys, comments, routes and health are no part of a process. */
    const char *const *reordered =
        VALUES(SERVICE_A "health: {tcp: true, interval: 1s}\n", SERVICE_B, "# c\n" SERVICE_C);
    assert_true(a == fingerprint(0, SYSTEM, reordered));
    assert_true(c == fingerprint(2, SYSTEM, reordered));
    /* What is placed in it is. */
    const char *const *changed =
        VALUES(SERVICE_A, "name: b\nversion: 1.0.1\nmodule: b.so\n", SERVICE_C);
    assert_true(a != fingerprint(0, SYSTEM, changed));
    assert_true(c == fingerprint(2, SYSTEM, changed));
    const char *const *command =
        VALUES(SERVICE_A, SERVICE_B, "name: c\nversion: 1.0.0\nrun: c 1 2\n");
    assert_true(c != fingerprint(2, SYSTEM, command));
}

/* Pairs of routes, and whether they match the same requests so that one is a mistake. */
static void test_routes(void **state)
{
    static const struct {
        const char *one, *two;
        bool same;
    } cases[] = {
        {"path: /a", "path: /b", false},
        {"path: /a", "path: /a/", true},
        {"path: /", "path: /a", false},
        {"path: /a, host: x.org", "path: /a", false},
        {"path: /a, host: x.org", "path: /a, host: X.org", true},
        {"path: /a, method: [GET]", "path: /a", false},
        {"path: /a, method: [GET]", "path: /a, method: [POST]", false},
        {"path: /a, method: [GET, PUT]", "path: /a, method: [POST, PUT]", true},
        {"path: /a, headers: {X: '1'}", "path: /a", false},
        {"path: /a, headers: {X: '1'}", "path: /a, headers: {X: '2'}", false},
        {"path: /a, headers: {X: '1', Y: '2'}", "path: /a, headers: {y: '2', x: '1'}", true},
        {"path: /a, headers: {X: '1'}", "path: /a, headers: {Y: '1'}", false},
        {"path: /a, rewrite: /x", "path: /a, timeout: 1s", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512];
        struct system s;
        snprintf(text, sizeof text,
                 "system: s\nservices: [{path: a}]\n"
                 "gateway: {routes: [{%s, to: a}, {%s, to: a}]}\n",
                 cases[i].one, cases[i].two);
        int err = parse(&s, 1 << 22, text, VALUES(SERVICE_A));
        if ((err != 0) != cases[i].same) fail_msg("%s | %s", cases[i].one, cases[i].two);
        assert_int_equal(s.errors.count, cases[i].same);
        arena_release(&s.arena);
    }
}

/* One unreadable service silences what may be about it, and nothing else. */
static void test_one_unreadable(void **state)
{
    struct system s;
    int err = parse(&s, 1 << 22, SYSTEM, VALUES(SERVICE_A, "{", SERVICE_C "needs: [bb, c]\n"));
    assert_int_equal(err, ERR_INVALID);
    assert_null(s.services[1]);
    assert_int_equal(s.errors.count, 2);
    assert_string_equal(s.errors.items[0].file, "1/service.yaml");
    assert_string_equal(s.errors.items[1].message, "the service `c` needs itself");
    arena_release(&s.arena);
}

static void test_without_memory(void **state)
{
    int succeeded = 0;
    for (size_t max = 0; max < 1 << 20 && succeeded < 3; max += 1021) {
        struct system s = {0};
        int err = parse(&s, max, SYSTEM, VALUES(SERVICE_A, SERVICE_B, SERVICE_C));
        assert_int_equal(err != 0, errors_total(&s.errors) > 0);
        succeeded += err == 0;
        arena_release(&s.arena);
    }
    assert_int_equal(succeeded, 3);
}

static void test_manual(void **state)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    assert_complete(&manifest_system_schema);
    assert_complete(&manifest_service_schema);
    yaml_manual(&manifest_service_schema, &out);
    assert_false(out.failed);
    assert_true(buf_len(&out) > 1000);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version),        cmocka_unit_test(test_version_order),
        cmocka_unit_test(test_command),        cmocka_unit_test(test_command_refused),
        cmocka_unit_test(test_command_bounds), cmocka_unit_test(test_values),
        cmocka_unit_test(test_helpers),        cmocka_unit_test(test_system),
        cmocka_unit_test(test_environment),    cmocka_unit_test(test_fingerprint),
        cmocka_unit_test(test_one_unreadable), cmocka_unit_test(test_routes),
        cmocka_unit_test(test_without_memory), cmocka_unit_test(test_manual),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
