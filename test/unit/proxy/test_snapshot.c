#include "proxy/snapshot.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

struct header {
    const char *name, *value;
};

static bool find_header(const void *context, struct bytes name, struct bytes *ret_value)
{
    for (const struct header *header = context; header && header->name; header++) {
        if (!bytes_eq_nocase(bytes_str(header->name), name)) continue;
        *ret_value = bytes_str(header->value);
        return true;
    }
    return false;
}

static struct snapshot_builder *builder_new(void)
{
    struct snapshot_builder *builder;
    assert_int_equal(snapshot_builder_new(&builder), 0);
    assert_int_equal(
        snapshot_add_cluster(builder, &(struct cluster_spec){.name = BYTES("shop")}, NULL), 0);
    return builder;
}

static struct snapshot *build(struct snapshot_builder *builder)
{
    struct snapshot *snapshot;
    struct error error = {0};
    if (snapshot_build(builder, &snapshot, &error)) fail_msg("%s", error.message);
    snapshot_builder_free(builder);
    return snapshot;
}

static void add(struct snapshot_builder *builder, struct route_spec spec)
{
    struct error error = {0};
    if (!spec.cluster.len) spec.cluster = BYTES("shop");
    if (snapshot_add_route(builder, &spec, &error)) fail_msg("%s", error.message);
}

static void expect(const struct snapshot *snapshot, const char *method, const char *host,
                   const char *path, const struct header *headers, const char *expected)
{
    struct route_query query = {.host = bytes_str(host),
                                .path = bytes_str(path),
                                .method = bytes_str(method),
                                .header = find_header,
                                .context = headers};
    const struct route *route = snapshot_route(snapshot, &query);
    struct bytes name = route ? route->name : BYTES("none");
    if (!bytes_eq(name, bytes_str(expected)))
        fail_msg("%s %s%s: %.*s, expected %s", method, host, path, BYTES_ARG(name), expected);
}

#define PREFIX(id, h, p) \
    ((struct route_spec){.name = BYTES(id), .host = BYTES(h), .path = BYTES(p)})
#define EXACT(id, h, p)   \
    ((struct route_spec){ \
        .name = BYTES(id), .host = BYTES(h), .path = BYTES(p), .match = PATH_EXACT})

static void test_paths(void **state)
{
    struct snapshot_builder *builder = builder_new();
    add(builder, PREFIX("orders", "", "/orders"));
    add(builder, PREFIX("new", "", "/orders/new/"));
    add(builder, EXACT("one", "", "/orders/1"));
    add(builder, EXACT("slash", "", "/exact/"));
    add(builder, PREFIX("deep", "", "/a/b/c/d"));
    add(builder, PREFIX("shallow", "", "/a"));
    struct snapshot *snapshot = build(builder);
    expect(snapshot, "GET", "x", "/orders", NULL, "orders");
    expect(snapshot, "GET", "x", "/orders/", NULL, "orders");
    expect(snapshot, "GET", "x", "/orders/2", NULL, "orders");
    expect(snapshot, "GET", "x", "/orders/1", NULL, "one");
    expect(snapshot, "GET", "x", "/orders/1/", NULL, "orders");
    expect(snapshot, "GET", "x", "/orders/1/items", NULL, "orders");
    expect(snapshot, "GET", "x", "/orders/new", NULL, "new");
    expect(snapshot, "GET", "x", "/orders/new/", NULL, "new");
    expect(snapshot, "GET", "x", "/orders/newer", NULL, "orders");
    expect(snapshot, "GET", "x", "/ordersx", NULL, "none");
    expect(snapshot, "GET", "x", "/order", NULL, "none");
    expect(snapshot, "GET", "x", "/", NULL, "none");
    expect(snapshot, "GET", "x", "/exact/", NULL, "slash");
    expect(snapshot, "GET", "x", "/exact", NULL, "none");
    expect(snapshot, "GET", "x", "/a/b/c/d/e/f/g", NULL, "deep");
    expect(snapshot, "GET", "x", "/a/b/c/dd", NULL, "shallow");
    expect(snapshot, "GET", "x", "/a//b/c/d", NULL, "shallow");
    expect(snapshot, "GET", "x", "//a", NULL, "none");
    snapshot_unref(snapshot);
}

static void test_root_is_for_all(void **state)
{
    struct snapshot_builder *builder = builder_new();
    add(builder, PREFIX("root", "", "/"));
    add(builder, PREFIX("a", "", "/a"));
    struct snapshot *snapshot = build(builder);
    expect(snapshot, "GET", "", "/", NULL, "root");
    expect(snapshot, "GET", "", "/b/c", NULL, "root");
    expect(snapshot, "GET", "", "/a/c", NULL, "a");
    expect(snapshot, "GET", "", "//", NULL, "root");
    snapshot_unref(snapshot);
}

static void test_hosts(void **state)
{
    struct snapshot_builder *builder = builder_new();
    add(builder, PREFIX("any", "*", "/"));
    add(builder, PREFIX("exact", "Shop.Example.com", "/"));
    add(builder, PREFIX("wild", "*.example.com", "/"));
    add(builder, PREFIX("wilder", "*.eu.example.com", "/"));
    add(builder, PREFIX("api", "api.eu.example.com", "/only"));
    add(builder, EXACT("any-exact", "", "/deep/path"));
    struct snapshot *snapshot = build(builder);
    expect(snapshot, "GET", "shop.example.com", "/", NULL, "exact");
    expect(snapshot, "GET", "x.example.com", "/", NULL, "wild");
    expect(snapshot, "GET", "a.b.example.com", "/", NULL, "wild");
    expect(snapshot, "GET", "a.eu.example.com", "/", NULL, "wilder");
    expect(snapshot, "GET", "eu.example.com", "/", NULL, "wild");
    expect(snapshot, "GET", "example.com", "/", NULL,
           "any"); /* '*' stands for one label at least */
    expect(snapshot, "GET", "notexample.com", "/", NULL, "any");
    expect(snapshot, "GET", ".example.com", "/", NULL, "any");
    expect(snapshot, "GET", "", "/", NULL, "any");
    /* The more specific host first, even against an exact path; the less specific one after all. */
    expect(snapshot, "GET", "shop.example.com", "/deep/path", NULL, "exact");
    expect(snapshot, "GET", "api.eu.example.com", "/only/x", NULL, "api");
    expect(snapshot, "GET", "api.eu.example.com", "/else", NULL, "wilder");
    snapshot_unref(snapshot);
}

static void test_methods_and_headers(void **state)
{
    static const struct bytes post[] = {BYTES("POST"), BYTES("PUT")}, get[] = {BYTES("GET")};
    static const struct route_header beta[] = {{BYTES("X-Beta"), BYTES("yes")}};
    static const struct route_header both[] = {{BYTES("X-Beta"), BYTES("yes")},
                                               {BYTES("X-Region"), BYTES("eu")}};
    struct snapshot_builder *builder = builder_new();
    add(builder, PREFIX("plain", "", "/x"));
    struct route_spec spec = PREFIX("write", "", "/x");
    spec.methods = post;
    spec.method_count = 2;
    add(builder, spec);
    spec = PREFIX("beta", "", "/x");
    spec.headers = beta;
    spec.header_count = 1;
    add(builder, spec);
    spec = PREFIX("both", "", "/x");
    spec.headers = both;
    spec.header_count = 2;
    add(builder, spec);
    spec = PREFIX("older", "", "/y");
    spec.methods = post;
    spec.method_count = 2;
    add(builder, spec);
    spec = PREFIX("newer", "", "/y");
    spec.methods = post;
    spec.method_count = 1;
    add(builder, spec);
    spec = PREFIX("read", "", "/z");
    spec.methods = get;
    spec.method_count = 1;
    add(builder, spec);
    add(builder, PREFIX("fallback", "", "/"));
    struct snapshot *snapshot = build(builder);
    const struct header is_beta[] = {{"x-beta", "yes"}, {0}};
    const struct header is_not[] = {{"X-Beta", "Yes"}, {0}};
    const struct header is_both[] = {{"X-Region", "eu"}, {"X-Beta", "yes"}, {0}};
    expect(snapshot, "GET", "", "/x", NULL, "plain");
    expect(snapshot, "PUT", "", "/x", NULL, "write");
    expect(snapshot, "GET", "", "/x", is_beta, "beta");
    expect(snapshot, "GET", "", "/x", is_not, "plain");
    expect(snapshot, "GET", "", "/x", is_both, "both");
    expect(snapshot, "POST", "", "/x", is_both, "write"); /* a method counts more than headers */
    expect(snapshot, "POST", "", "/y", NULL, "older");
    expect(snapshot, "GET", "", "/y", NULL, "fallback"); /* not a 405: the next route */
    expect(snapshot, "get", "", "/z", NULL, "fallback"); /* methods are case-sensitive */
    snapshot_unref(snapshot);
}

/* What the compiled table says is what a scan over all routes by the rules says. */
static bool host_matches(struct bytes pattern, struct bytes host, size_t *ret_weight)
{
    *ret_weight = 2 * pattern.len + (pattern.len && pattern.data[0] != '*' ? 1000 : 0);
    if (!pattern.len) return true;
    if (pattern.data[0] != '*') return bytes_eq(pattern, host);
    struct bytes suffix = bytes_skip(pattern, 1);
    return host.len > suffix.len && bytes_ends(host, suffix);
}

static const struct route *scan(const struct snapshot *snapshot, const struct route_query *query)
{
    size_t count, best_weight = 0;
    const struct route *routes = snapshot_routes(snapshot, &count), *best = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct route *route = &routes[i];
        size_t host;
        if (!host_matches(route->host, query->host, &host)) continue;
        bool slash = route->path.len == 1;
        bool covers = bytes_starts(query->path, route->path) &&
                      (slash || query->path.len == route->path.len ||
                       query->path.data[route->path.len] == '/');
        if (route->match == PATH_EXACT ? !bytes_eq(route->path, query->path) : !covers) continue;
        bool method = route->method_count == 0;
        for (uint32_t m = 0; m < route->method_count; m++)
            method |= bytes_eq(route->methods[m], query->method);
        if (!method) continue;
        size_t weight = 1 + host * 1000000 + (route->match == PATH_EXACT ? 100000 : 0) +
                        route->path.len * 100 + (route->method_count ? 10 : 0);
        if (weight > best_weight) {
            best = route;
            best_weight = weight;
        }
    }
    return best;
}

static unsigned draw(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245 + 12345;
    return (*seed >> 16) % below;
}

static void test_agrees_with_a_scan(void **state)
{
    static const char *const hosts[] = {"", "a.x", "b.x", "*.x", "*.a.x", "c.a.x"};
    static const char *const parts[] = {"/a", "/b", "/aa", "/"};
    static const struct bytes methods[] = {BYTES("GET"), BYTES("POST")};
    unsigned seed = 12345;
    for (int round = 0; round < 30; round++) {
        struct snapshot_builder *builder = builder_new();
        for (int i = 0; i < 200; i++) {
            char path[64] = "";
            size_t len = 0;
            for (unsigned n = 1 + draw(&seed, 4); n > 0; n--)
                len += (size_t)snprintf(path + len, sizeof path - len, "%s", parts[draw(&seed, 4)]);
            struct route_spec spec = {.host = bytes_str(hosts[draw(&seed, 6)]),
                                      .path = bytes_str(path),
                                      .cluster = BYTES("shop"),
                                      .match = draw(&seed, 2) ? PATH_EXACT : PATH_PREFIX,
                                      .methods = methods,
                                      .method_count = draw(&seed, 3)};
            char name[16];
            snprintf(name, sizeof name, "r%d", i);
            spec.name = bytes_str(name);
            assert_int_equal(snapshot_add_route(builder, &spec, NULL), 0);
        }
        struct snapshot *snapshot;
        int err = snapshot_build(builder, &snapshot, NULL);
        snapshot_builder_free(builder);
        if (err) { /* two alike were drawn */
            assert_int_equal(err, ERR_EXISTS);
            continue;
        }
        for (int i = 0; i < 2000; i++) {
            char path[64] = "";
            size_t len = 0;
            for (unsigned n = 1 + draw(&seed, 5); n > 0; n--)
                len += (size_t)snprintf(path + len, sizeof path - len, "%s", parts[draw(&seed, 4)]);
            struct route_query query = {.host = bytes_str(hosts[draw(&seed, 6)]),
                                        .path = bytes_str(path),
                                        .method = methods[draw(&seed, 2)]};
            assert_ptr_equal(snapshot_route(snapshot, &query), scan(snapshot, &query));
        }
        snapshot_unref(snapshot);
    }
}

static void test_many_routes(void **state)
{
    struct snapshot_builder *builder = builder_new();
    char path[64], host[64];
    for (int i = 0; i < 20000; i++) {
        snprintf(path, sizeof path, "/service-%d/v1", i % 1000);
        snprintf(host, sizeof host, "h%d.example.com", i / 1000);
        struct route_spec spec = {.host = bytes_str(host), .path = bytes_str(path)};
        add(builder, spec);
    }
    struct snapshot *snapshot = build(builder);
    for (int i = 0; i < 20000; i++) {
        char want[128];
        snprintf(host, sizeof host, "h%d.example.com", i / 1000);
        snprintf(path, sizeof path, "/service-%d/v1/x/y/z", i % 1000);
        snprintf(want, sizeof want, "%s/service-%d/v1", host, i % 1000);
        expect(snapshot, "GET", host, path, NULL, want);
    }
    snapshot_unref(snapshot);
}

static void test_long_paths_cost_no_more_than_the_routes_are_deep(void **state)
{
    struct snapshot_builder *builder = builder_new();
    add(builder, PREFIX("a", "", "/a/b"));
    add(builder, PREFIX("wild", "*.x", "/a/b"));
    struct snapshot *snapshot = build(builder);
    static char path[60000], host[60000];
    memset(path, '/', sizeof path - 1);
    memset(host, '.', sizeof host - 1);
    for (int i = 0; i < 10000; i++) expect(snapshot, "GET", host, path, NULL, "none");
    snapshot_unref(snapshot);
}

/* ---- the builder ------------------------------------------------------------------------- */

static void refuse_route(struct route_spec spec, int code, const char *message)
{
    struct snapshot_builder *builder = builder_new();
    struct error error = {0};
    if (!spec.cluster.len) spec.cluster = BYTES("shop");
    assert_int_equal(snapshot_add_route(builder, &spec, &error), code);
    if (!strstr(error.message, message)) fail_msg("%s", error.message);
    snapshot_builder_free(builder);
}

static void test_refused_routes(void **state)
{
    struct bytes lower = BYTES("get"), space = BYTES("G T");
    struct route_header bad_name = {BYTES("X Y"), BYTES("v")};
    struct route_header bad_value = {BYTES("X"), BYTES("v\n")};
    refuse_route(PREFIX("", "", ""), ERR_INVALID, "no path");
    refuse_route(PREFIX("", "", "orders"), ERR_INVALID, "\"orders\" is no path");
    refuse_route(PREFIX("", "", "/a b"), ERR_INVALID, "a space");
    refuse_route(PREFIX("", "", "/a?b"), ERR_INVALID, "a '?'");
    refuse_route(PREFIX("", "", "/%zz"), ERR_INVALID, "escape");
    refuse_route(PREFIX("", "x:80", "/"), ERR_INVALID, "no host");
    refuse_route(PREFIX("", "http://x", "/"), ERR_INVALID, "no host");
    refuse_route(PREFIX("", "*x", "/"), ERR_INVALID, "no host");
    refuse_route(PREFIX("", "a..b", "/"), ERR_INVALID, "no host");
    refuse_route(PREFIX("", "*.*.x", "/"), ERR_INVALID, "no host");
    struct route_spec spec = PREFIX("", "", "/");
    spec.methods = &lower;
    spec.method_count = 1;
    refuse_route(spec, ERR_INVALID, "\"get\" is no method");
    spec.methods = &space;
    refuse_route(spec, ERR_INVALID, "no method");
    spec = PREFIX("", "", "/");
    spec.headers = &bad_name;
    spec.header_count = 1;
    refuse_route(spec, ERR_INVALID, "no header name");
    spec.headers = &bad_value;
    refuse_route(spec, ERR_INVALID, "control characters");
    spec = PREFIX("", "", "/");
    spec.cluster = BYTES("Shop");
    refuse_route(spec, ERR_INVALID, "no service name");
    spec = PREFIX("", "", "/");
    spec.has_rewrite = true;
    spec.rewrite = BYTES("x");
    refuse_route(spec, ERR_INVALID, "\"x\" is no path");
}

static void test_unknown_cluster(void **state)
{
    struct snapshot_builder *builder = builder_new();
    struct route_spec spec = PREFIX("r", "", "/");
    spec.cluster = BYTES("shopp");
    add(builder, spec);
    struct snapshot *snapshot = NULL;
    struct error error = {0};
    assert_int_equal(snapshot_build(builder, &snapshot, &error), ERR_NOT_FOUND);
    assert_string_equal(error.message,
                        "route \"r\" names the service \"shopp\", which does not exist");
    assert_string_equal(error.remedy, "Did you mean \"shop\"?");
    assert_null(snapshot);
    snapshot_builder_free(builder);
}

static void test_same_route_twice(void **state)
{
    struct bytes ab[] = {BYTES("GET"), BYTES("PUT")}, ba[] = {BYTES("PUT"), BYTES("GET")};
    struct snapshot_builder *builder = builder_new();
    struct route_spec spec = PREFIX("first", "X.com", "/a");
    spec.methods = ab;
    spec.method_count = 2;
    add(builder, spec);
    spec = PREFIX("second", "x.com", "/a/");
    spec.methods = ba;
    spec.method_count = 2;
    add(builder, spec);
    struct snapshot *snapshot = NULL;
    struct error error = {0};
    assert_int_equal(snapshot_build(builder, &snapshot, &error), ERR_EXISTS);
    assert_string_equal(error.message, "routes \"first\" and \"second\" match the same requests "
                                       "(host \"x.com\", path \"/a\")");
    snapshot_builder_free(builder);
}

static void endpoint(struct snapshot_builder *builder, const char *cluster, int port,
                     const char *version, int expected)
{
    struct endpoint_spec spec = {.cluster = bytes_str(cluster), .version = bytes_str(version)};
    spec.addr = (struct io_addr){.family = IO_IPV4, .port = (uint16_t)port, .ip = {127, 0, 0, 1}};
    assert_int_equal(snapshot_add_endpoint(builder, &spec, NULL), expected);
}

static void test_endpoints_and_splits(void **state)
{
    struct snapshot_builder *builder = builder_new();
    /* In any order: the endpoints before their cluster. */
    endpoint(builder, "pay", 3, "2", 0);
    endpoint(builder, "pay", 1, "1", 0);
    endpoint(builder, "shop", 1, "", 0);
    endpoint(builder, "pay", 2, "2", 0);
    endpoint(builder, "pay", 2, "1", ERR_EXISTS);
    assert_int_equal(
        snapshot_add_cluster(builder, &(struct cluster_spec){.name = BYTES("pay")}, NULL), 0);
    assert_int_equal(
        snapshot_add_cluster(builder, &(struct cluster_spec){.name = BYTES("pay")}, NULL),
        ERR_EXISTS);
    assert_int_equal(snapshot_add_split(builder, BYTES("pay"), BYTES("2"), 5, NULL), 0);
    assert_int_equal(snapshot_add_split(builder, BYTES("pay"), BYTES("1"), 95, NULL), 0);
    assert_int_equal(snapshot_add_split(builder, BYTES("pay"), BYTES("3"), 1, NULL), 0);
    struct snapshot *snapshot = build(builder);
    const struct cluster *pay = snapshot_cluster(snapshot, BYTES("pay"));
    assert_int_equal(pay->endpoint_count, 3);
    assert_true(bytes_eq(pay->endpoints[0].address, BYTES("127.0.0.1:1")));
    assert_true(bytes_eq(pay->endpoints[1].address, BYTES("127.0.0.1:2")));
    assert_int_equal(pay->version_count, 3);
    assert_int_equal(pay->weight_total, 101);
    assert_int_equal(pay->versions[0].first, 1);
    assert_int_equal(pay->versions[0].count, 2);
    assert_int_equal(pay->versions[2].count, 0);
    size_t count;
    const struct endpoint *endpoints = snapshot_endpoints(snapshot, &count);
    assert_int_equal(count, 4);
    for (uint32_t i = 0; i < count; i++) assert_int_equal(endpoints[i].index, i);
    assert_null(snapshot_cluster(snapshot, BYTES("nobody")));
    assert_true(bytes_eq(snapshot_nearest_cluster(snapshot, BYTES("shpo")), BYTES("shop")));
    assert_true(bytes_eq(snapshot_nearest_cluster(snapshot, BYTES("warehouse")), BYTES("")));
    snapshot_unref(snapshot);
}

static void test_policy(void **state)
{
    struct snapshot_builder *builder = builder_new();
    struct cluster_spec spec = {.name = BYTES("own"),
                                .policy = {.request_timeout_ms = 7, .retries = POLICY_NONE}};
    assert_int_equal(snapshot_add_cluster(builder, &spec, NULL), 0);
    struct route_spec route = PREFIX("a", "", "/a");
    route.cluster = BYTES("own");
    add(builder, route);
    route = PREFIX("b", "", "/b");
    route.retries = POLICY_NONE;
    route.request_timeout_ms = 9;
    add(builder, route);
    add(builder, PREFIX("c", "", "/c"));
    spec = (struct cluster_spec){.name = BYTES("never"),
                                 .policy = {.request_timeout_ms = POLICY_NONE}};
    assert_int_equal(snapshot_add_cluster(builder, &spec, NULL), ERR_INVALID);
    struct snapshot *snapshot = build(builder);
    const struct cluster_policy *policy = &snapshot_cluster(snapshot, BYTES("shop"))->policy;
    assert_int_equal(policy->connect_timeout_ms, 5000);
    assert_int_equal(policy->request_timeout_ms, 15000);
    assert_int_equal(policy->idle_timeout_ms, 300000);
    assert_int_equal(policy->retries, 2);
    policy = &snapshot_cluster(snapshot, BYTES("own"))->policy;
    assert_int_equal(policy->request_timeout_ms, 7);
    assert_int_equal(policy->retries, 0);
    size_t count;
    const struct route *routes = snapshot_routes(snapshot, &count);
    assert_int_equal(routes[0].retries, 0);
    assert_int_equal(routes[0].request_timeout_ms, 7);
    assert_int_equal(routes[1].retries, 0);
    assert_int_equal(routes[1].request_timeout_ms, 9);
    assert_int_equal(routes[2].retries, 2);
    snapshot_unref(snapshot);
}

static void test_empty_and_references(void **state)
{
    struct snapshot_builder *builder;
    assert_int_equal(snapshot_builder_new(&builder), 0);
    struct snapshot *snapshot = build(builder);
    expect(snapshot, "GET", "x", "/", NULL, "none");
    assert_ptr_equal(snapshot_ref(snapshot), snapshot);
    snapshot_unref(snapshot);
    expect(snapshot, "GET", "x", "/", NULL, "none");
    snapshot_unref(snapshot);
    snapshot_unref(NULL);
    snapshot_builder_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_root_is_for_all),
        cmocka_unit_test(test_hosts),
        cmocka_unit_test(test_methods_and_headers),
        cmocka_unit_test(test_agrees_with_a_scan),
        cmocka_unit_test(test_many_routes),
        cmocka_unit_test(test_long_paths_cost_no_more_than_the_routes_are_deep),
        cmocka_unit_test(test_refused_routes),
        cmocka_unit_test(test_unknown_cluster),
        cmocka_unit_test(test_same_route_twice),
        cmocka_unit_test(test_endpoints_and_splits),
        cmocka_unit_test(test_policy),
        cmocka_unit_test(test_empty_and_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
