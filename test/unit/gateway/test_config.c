/* A gateway's own file, and the gateway of a whole system's manifest, compiled to routes. */
#include "gateway/gateway.h"
#include "gateway/gateway_config.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

enum { ARENA_MAX = 8 << 20 };

struct world {
    struct arena arena;
    struct errors errors;
    struct gateway_config *config;
    struct snapshot *snapshot;
};

static int load(struct world *world, const char *text)
{
    *world = (struct world){0};
    arena_init(&world->arena, ARENA_MAX);
    errors_init(&world->errors, &world->arena);
    int err = gateway_config_parse(bytes_str(text), "gateway.yaml", &world->arena, &world->errors,
                                   &world->config);
    if (!err) err = gateway_config_compile(world->config, &world->errors, &world->snapshot);
    assert_int_equal(err != 0, errors_total(&world->errors) != 0);
    assert_true(!err || !world->snapshot);
    return err;
}

static void unload(struct world *world)
{
    snapshot_unref(world->snapshot);
    arena_release(&world->arena);
}

static const struct route *find(const struct world *world, const char *method, const char *host,
                                const char *path)
{
    struct route_query query = {
        .host = bytes_str(host), .path = bytes_str(path), .method = bytes_str(method)};
    return snapshot_route(world->snapshot, &query);
}

static const char good[] = "listen: 127.0.0.1:9999\n"
                           "upstreams:\n"
                           "  - name: order\n"
                           "    servers: [127.0.0.1:4001, 127.0.0.1:4002]\n"
                           "    timeout: 3s\n"
                           "    connections: 7\n"
                           "  - name: web\n"
                           "    servers: ['unix:/run/web.sock']\n"
                           "    wait: 0s\n"
                           "routes:\n"
                           "  - path: /orders\n"
                           "    to: order\n"
                           "    host: shop.example.org\n"
                           "    method: [GET, POST]\n"
                           "    rewrite: /v2/orders\n"
                           "    retries: 0\n"
                           "  - path: /orders\n"
                           "    to: order\n"
                           "    exact: true\n"
                           "    timeout: 500ms\n"
                           "  - path: /\n"
                           "    to: web\n";

static void test_a_whole_file(void **state)
{
    struct world world;
    if (load(&world, good)) fail_msg("%s", world.errors.items[0].message);
    assert_int_equal(world.config->listen_addr.port, 9999);
    const struct route *route = find(&world, "GET", "shop.example.org", "/orders/1");
    assert_non_null(route);
    assert_true(bytes_eq(route->cluster->name, BYTES("order")));
    assert_true(route->has_rewrite && bytes_eq(route->rewrite, BYTES("/v2/orders")));
    assert_int_equal(route->retries, 0);
    assert_int_equal(route->request_timeout_ms, 3000);
    assert_int_equal(route->cluster->endpoint_count, 2);
    assert_int_equal(route->cluster->policy.connections_max, 7);
    assert_int_equal(route->cluster->policy.connect_timeout_ms, 5000);
    route = find(&world, "GET", "other", "/orders");
    assert_int_equal(route->match, PATH_EXACT);
    assert_int_equal(route->request_timeout_ms, 500);
    assert_int_equal(route->retries, 2);
    route = find(&world, "DELETE", "shop.example.org", "/orders/1");
    assert_true(bytes_eq(route->cluster->name, BYTES("web")));
    assert_int_equal(route->cluster->endpoints[0].addr.family, IO_UNIX);
    assert_int_equal(route->cluster->policy.wait_ms, 0);
    unload(&world);
}

static void test_defaults(void **state)
{
    struct world world;
    assert_int_equal(load(&world, "upstreams: [{name: a, servers: [localhost:1]}]\n"
                                  "routes: [{path: /, to: a}]\n"),
                     0);
    assert_int_equal(world.config->listen_addr.port, 8080);
    const struct route *route = find(&world, "GET", "", "/x");
    assert_int_equal(route->retries, 2);
    assert_int_equal(route->request_timeout_ms, 15000);
    assert_int_equal(route->cluster->policy.idle_timeout_ms, 300000);
    assert_int_equal(route->cluster->policy.wait_ms, 2000);
    unload(&world);
}

/* Every mistake has its line, a sentence and, where one is known, a remedy. */
static void test_mistakes(void **state)
{
    static const struct {
        const char *text;
        int line;
        const char *message, *remedy;
    } cases[] = {
        {"upstreams: [{name: a, servers: ['127.0.0.1:1']}]\nroutes:\n  - path: /\n    to: b\n", 4,
         "there is no upstream `b`", "Did you mean `a`?"},
        {"upstreams: [{name: a, servers: ['127.0.0.1:1']}]\nroutes:\n  - path: /\n    to: zebra\n",
         4, "there is no upstream `zebra`", "Add it to `upstreams`."},
        {"upstreams:\n  - name: a\n    servers: [example.com:80]\nroutes: [{path: /, to: a}]\n", 3,
         "`example.com:80` is no address", "names are not looked up"},
        {"upstreams:\n  - name: a\n    servers: [127.0.0.1:0]\nroutes: [{path: /, to: a}]\n", 3,
         "has no port", "Write the port"},
        {"upstreams:\n  - name: a\n    servers: ['127.0.0.1:1', '127.0.0.1:1']\n"
         "routes: [{path: /, to: a}]\n",
         3, "has the endpoint 127.0.0.1:1 twice", ""},
        {"upstreams:\n  - {name: a, servers: ['127.0.0.1:1']}\n"
         "  - {name: a, servers: ['127.0.0.1:2']}\nroutes: [{path: /, to: a}]\n",
         3, "service \"a\" is there twice", ""},
        {"upstreams: [{name: A, servers: ['127.0.0.1:1']}]\nroutes: [{path: /, to: A}]\n", 1,
         "\"A\" is no service name", ""},
        {"upstreams: [{name: a, servers: ['127.0.0.1:1']}]\nroutes:\n  - {path: orders, to: a}\n",
         3, "\"orders\" is no path", ""},
        {"upstreams: [{name: a, servers: ['127.0.0.1:1']}]\nroutes:\n"
         "  - {path: /, to: a, host: 'x:80'}\n",
         3, "\"x:80\" is no host", "Leave out the scheme and the port"},
        {"upstreams: [{name: a, servers: ['127.0.0.1:1']}]\nroutes:\n"
         "  - {path: /, to: a, method: [get]}\n",
         3, "\"get\" is no method", "upper case"},
        {"upstreams: [{name: a, servers: ['127.0.0.1:1']}]\nroutes:\n  - {path: /a, to: a}\n"
         "  - {path: /a/, to: a}\n",
         3, "match the same requests", "tell them apart"},
        {"listen: nowhere\nupstreams: [{name: a, servers: ['127.0.0.1:1']}]\n"
         "routes: [{path: /, to: a}]\n",
         1, "`nowhere` is no address", ""},
        {"upstreams: [{name: a, servers: ['127.0.0.1:1'], timout: 3s}]\n"
         "routes: [{path: /, to: a}]\n",
         1, "timout", "timeout"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct world world;
        assert_true(load(&world, cases[i].text) < 0);
        const struct error *error = &world.errors.items[0];
        if (error->line != cases[i].line || !strstr(error->message, cases[i].message) ||
            !strstr(error->remedy, cases[i].remedy))
            fail_msg("%zu: %s:%d: %s / %s", i, error->file, error->line, error->message,
                     error->remedy);
        assert_string_equal(error->file, "gateway.yaml");
        unload(&world);
    }
}

static void test_cut_anywhere(void **state)
{
    for (size_t len = 0; len < sizeof good - 1; len++) {
        struct world world = {0};
        arena_init(&world.arena, ARENA_MAX);
        errors_init(&world.errors, &world.arena);
        char *text = malloc(len ? len : 1); /* its own block: a read behind it is seen */
        assert_non_null(text);
        memcpy(text, good, len);
        int err = gateway_config_parse(bytes_make(text, len), "g", &world.arena, &world.errors,
                                       &world.config);
        if (!err) err = gateway_config_compile(world.config, &world.errors, &world.snapshot);
        assert_int_equal(err != 0, errors_total(&world.errors) != 0);
        free(text);
        unload(&world);
    }
}

static void test_many_routes(void **state)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    buf_append_str(&text, "upstreams: [{name: a, servers: ['127.0.0.1:1']}]\nroutes:\n");
    for (int i = 0; i < 2000; i++) buf_append_format(&text, "  - {path: /p%d, to: a}\n", i);
    buf_append_char(&text, '\0');
    struct world world;
    if (load(&world, buf_bytes(&text).data)) fail_msg("%s", world.errors.items[0].message);
    assert_non_null(find(&world, "GET", "x", "/p1999/y"));
    assert_null(find(&world, "GET", "x", "/p2000"));
    unload(&world);
    buf_release(&text);
}

/* ---- the manifest -------------------------------------------------------------------------- */

static const char system_text[] = "system: shop\n"
                                  "services: [{path: order}, {path: member}]\n"
                                  "gateway:\n"
                                  "  routes:\n"
                                  "    - {path: /orders, to: order, retries: 0, timeout: 2s}\n"
                                  "    - {path: /m, to: member, rewrite: /, method: [GET]}\n";

static void test_a_manifest(void **state)
{
    struct world world = {0};
    arena_init(&world.arena, ARENA_MAX);
    errors_init(&world.errors, &world.arena);
    struct manifest_service *services[2];
    struct manifest manifest = {.services = services, .service_count = 2};
    static const char *const names[] = {"order", "member"};
    assert_int_equal(manifest_system_parse(bytes_str(system_text), "dure.yaml", &world.arena,
                                           &world.errors, &manifest.system),
                     0);
    for (int i = 0; i < 2; i++) {
        char text[128];
        snprintf(text, sizeof text, "name: %s\nversion: 1.0.0\nrun: ./main\n", names[i]);
        assert_int_equal(manifest_service_parse(bytes_str(text), "service.yaml", &world.arena,
                                                &world.errors, &services[i]),
                         0);
    }
    assert_int_equal(manifest_check(&manifest, &world.errors), 0);
    struct snapshot_builder *builder;
    assert_int_equal(snapshot_builder_new(&builder), 0);
    assert_int_equal(gateway_add_manifest(builder, &manifest, &world.errors), 0);
    assert_int_equal(snapshot_build(builder, &world.snapshot, NULL), 0);
    snapshot_builder_free(builder);
    const struct route *route = find(&world, "PUT", "x", "/orders/7");
    assert_true(bytes_eq(route->cluster->name, BYTES("order")));
    assert_int_equal(route->retries, 0);
    assert_int_equal(route->request_timeout_ms, 2000);
    assert_false(route->has_rewrite);
    route = find(&world, "GET", "x", "/m/1");
    assert_true(bytes_eq(route->cluster->name, BYTES("member")));
    assert_true(route->has_rewrite);
    assert_null(find(&world, "POST", "x", "/m/1"));
    assert_non_null(snapshot_cluster(world.snapshot, BYTES("order")));
    /* The same again into one builder: every name is there twice, and all are told. */
    assert_int_equal(snapshot_builder_new(&builder), 0);
    assert_int_equal(gateway_add_manifest(builder, &manifest, &world.errors), 0);
    assert_int_equal(gateway_add_manifest(builder, &manifest, &world.errors), ERR_EXISTS);
    assert_int_equal(errors_total(&world.errors), 2);
    snapshot_builder_free(builder);
    unload(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_whole_file), cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_mistakes),     cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_many_routes),  cmocka_unit_test(test_a_manifest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
