#include "run/spec.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static struct io *io;
static struct surroundings around;
static const char *const inherited[] = {"PATH=/bin", "PORT=1", "HTTP_TOKEN=a=b", "LEVEL=low", NULL};

static int setup(void **state)
{
    around =
        (struct surroundings){.program = "/opt/dure", .state = "/sys/.dure", .environ = inherited};
    around.bus = "nats://127.0.0.1:4222";
    if (io_addr_parse(BYTES("127.0.0.1:9000"), &around.internal) != 0) return -1;
    return io_new(NULL, &io);
}

static int teardown(void **state)
{
    io_free(io);
    return 0;
}

/* services: "path" lines of dure.yaml; then pairs of a folder and its service.yaml. */
static struct deployment *load(const char *system, ...)
{
    struct arena arena;
    struct errors errors;
    struct deployment *deployment = NULL;
    json_t *texts = json_pack("{s:s}", "/sys/dure.yaml", system);
    va_list arguments;
    va_start(arguments, system);
    for (const char *folder; (folder = va_arg(arguments, const char *));) {
        char path[128];
        snprintf(path, sizeof path, "/sys/%s/service.yaml", folder);
        json_object_set_new(texts, path, json_string(va_arg(arguments, const char *)));
    }
    va_end(arguments);
    arena_init(&arena, 1 << 20);
    errors_init(&errors, &arena);
    if (deployment_load(io, "/sys", texts, &errors, &deployment))
        fail_msg("%s", errors.count ? errors.items[0].message : "?");
    json_decref(texts);
    arena_release(&arena);
    return deployment;
}

/* What the message's environment says of `key`; it says it once, or "(none)". */
static const char *env_of(json_t *message, const char *key)
{
    const char *found = "(none)";
    size_t i, len = strlen(key);
    json_t *entry;
    json_array_foreach(json_object_get(message, "env"), i, entry)
    {
        const char *text = json_string_value(entry);
        if (strncmp(text, key, len) != 0 || text[len] != '=') continue;
        assert_string_equal(found, "(none)");
        found = text + len + 1;
    }
    return found;
}

static const char *word_of(json_t *message, size_t i)
{
    const char *text = json_string_value(json_array_get(json_object_get(message, "argv"), i));
    return text ? text : "(none)";
}

static void a_command_is_told_everything(void **state)
{
    struct deployment *deployment =
        load("system: shop\nservices: [{path: order, env: {LEVEL: high}}]\nenv: {ZONE: north}\n",
             "order",
             "name: order\nversion: v1_20261121-1\nrun: python3 main.py --say 'two words'\n"
             "stores: [order.db]\nenv: {LEVEL: middle, COLOUR: red}\n",
             NULL);
    struct seat seat = {.service = 0, .port = 20123, .instance = "order-3-1"};
    json_t *message = spec_spawn_message(deployment, 0, &around, "order-3-1", &seat, 1);
    static const char *const expected[][2] = {
        {"PATH", "/bin"},
        {"HTTP_TOKEN", "a=b"},
        {"PORT", "20123"},
        {"HOST", "127.0.0.1"},
        {"NATS_URL", "nats://127.0.0.1:4222"},
        {"DURE_HTTP", "http://127.0.0.1:9000"},
        {"DURE_BUS", "http://127.0.0.1:9000/-/bus"},
        {"http_proxy", "http://order@127.0.0.1:9000"},
        {"no_proxy", "127.0.0.1,localhost"},
        {"OTEL_SERVICE_NAME", "order"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9000/-/otlp"},
        {"DURE_SERVICE", "order"},
        {"DURE_VERSION", "v1_20261121-1"},
        {"DURE_INSTANCE", "order-3-1"},
        {"DURE_DATA", "/sys/.dure/data/order"},
        {"DATABASE_URL", "sqlite:///sys/.dure/data/order/order.db"},
        {"LEVEL", "high"}, /* the deployment's over the service's over what dure was given */
        {"COLOUR", "red"},
        {"ZONE", "north"},
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_string_equal(env_of(message, expected[i][0]), expected[i][1]);
    assert_int_equal(json_array_size(json_object_get(message, "env")),
                     sizeof expected / sizeof *expected);
    assert_string_equal(word_of(message, 0), "python3");
    assert_string_equal(word_of(message, 3), "two words");
    assert_string_equal(word_of(message, 4), "(none)");
    assert_string_equal(json_string_value(json_object_get(message, "dir")), "/sys/order");
    assert_string_equal(json_string_value(json_object_get(message, "log")), "order");
    assert_string_equal(json_string_value(json_object_get(message, "id")), "order-3-1");
    assert_string_equal(json_string_value(json_object_get(message, "op")), "spawn");
    json_decref(message);
    deployment_unref(deployment);
}

static void without_a_store_there_is_no_database(void **state)
{
    struct deployment *deployment =
        load("system: s\nservices: [{path: a}]\n", "a", "name: a\nversion: 1.0.0\nrun: a\n", NULL);
    struct seat seat = {.port = 20001, .instance = "a-1-0"};
    json_t *message = spec_spawn_message(deployment, 0, &around, "a-1-0", &seat, 1);
    assert_string_equal(env_of(message, "DATABASE_URL"), "(none)");
    json_decref(message);
    deployment_unref(deployment);
}

static json_t *modules_of(json_t *message)
{
    json_t *modules = json_loads(env_of(message, "DURE_HOST_MODULES"), 0, NULL);
    assert_non_null(modules);
    return modules;
}

static void a_module_alone_is_hosted(void **state)
{
    struct deployment *deployment = load("system: s\nservices: [{path: a}]\n", "a",
                                         "name: a\nversion: 1.0.0\nmodule: a.so\n", NULL);
    struct seat seat = {.port = 20001, .instance = "a-1-0"};
    json_t *message = spec_spawn_message(deployment, 0, &around, "a-1-0", &seat, 1);
    assert_string_equal(word_of(message, 0), "/opt/dure");
    assert_string_equal(word_of(message, 1), "host");
    json_t *modules = modules_of(message), *module = json_array_get(modules, 0);
    assert_int_equal(json_array_size(modules), 1);
    assert_string_equal(json_string_value(json_object_get(module, "module")), "/sys/a/a.so");
    assert_int_equal(json_integer_value(json_object_get(module, "port")), 20001);
    json_decref(modules);
    json_decref(message);
    deployment_unref(deployment);
}

static void modules_together_have_each_their_own(void **state)
{
    struct deployment *deployment =
        load("system: s\nservices: [{path: a}, {path: b, in: a}]\n", "a",
             "name: a\nversion: 1.0.0\nmodule: a.so\nenv: {WHO: a}\n", "b",
             "name: b\nversion: 2.0.0\nmodule: lib/b.so\nstores: [b.db]\nenv: {WHO: b}\n", NULL);
    struct seat seats[] = {{.service = 0, .port = 20001, .instance = "a-1-0"},
                           {.service = 1, .port = 20002, .instance = "a-1-0.b"}};
    json_t *message = spec_spawn_message(deployment, 0, &around, "a-1-0", seats, 2);
    json_t *modules = modules_of(message), *b = json_array_get(modules, 1);
    json_t *env = json_object_get(b, "env");
    assert_int_equal(json_array_size(modules), 2);
    assert_string_equal(json_string_value(json_object_get(b, "name")), "b");
    assert_string_equal(json_string_value(json_object_get(b, "module")), "/sys/b/lib/b.so");
    assert_int_equal(json_integer_value(json_object_get(b, "port")), 20002);
    assert_string_equal(json_string_value(json_object_get(env, "PORT")), "20002");
    assert_string_equal(json_string_value(json_object_get(env, "WHO")), "b");
    assert_string_equal(json_string_value(json_object_get(env, "DURE_INSTANCE")), "a-1-0.b");
    assert_string_equal(json_string_value(json_object_get(env, "DATABASE_URL")),
                        "sqlite:///sys/.dure/data/b/b.db");
    assert_string_equal(env_of(message, "WHO"), "a"); /* the process is the host's */
    json_decref(modules);
    json_decref(message);
    deployment_unref(deployment);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_command_is_told_everything),
        cmocka_unit_test(without_a_store_there_is_no_database),
        cmocka_unit_test(a_module_alone_is_hosted),
        cmocka_unit_test(modules_together_have_each_their_own),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
