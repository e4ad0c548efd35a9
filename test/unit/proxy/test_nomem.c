/* Every allocation fails once: what was asked for is refused or cut off, nothing is lost for good,
 * and the next request is served. malloc, calloc and realloc are wrapped by the linker. */
#include "fixture.h"

#define GET "GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
#define PUT "PUT /%61 HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool armed, struck;
static size_t left;

/* The allocation `n` from now on fails. */
static void arm(size_t n)
{
    armed = true;
    struck = false;
    left = n;
}

static bool fails(void)
{
    if (!armed || fixture_inside || left-- > 0) return false;
    armed = false;
    struck = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails() ? NULL : __real_realloc(old, size);
}

/* Whether `n` was beyond the last allocation: the loop is over. */
static bool was_last(void)
{
    armed = false;
    return !struck;
}

static int build(struct snapshot **ret_snapshot, const struct io_addr *addr)
{
    static const struct bytes methods[] = {BYTES("GET"), BYTES("PUT")};
    static const struct route_header headers[] = {{BYTES("X-A"), BYTES("b")}};
    struct snapshot_builder *builder = NULL;
    struct error error = {0};
    int err = snapshot_builder_new(&builder);
    if (err) return err;
    struct cluster_spec cluster = {.name = BYTES("shop")};
    err = snapshot_add_cluster(builder, &cluster, &error);
    struct endpoint_spec endpoint = {.cluster = BYTES("shop"), .addr = *addr};
    if (!err) err = snapshot_add_endpoint(builder, &endpoint, &error);
    if (!err) err = snapshot_add_split(builder, BYTES("shop"), BYTES(""), 1, &error);
    struct route_spec route = {.path = BYTES("/"), .cluster = BYTES("shop")};
    if (!err) err = snapshot_add_route(builder, &route, &error);
    route = (struct route_spec){.path = BYTES("/a"),
                                .host = BYTES("*.x.y"),
                                .cluster = BYTES("shop"),
                                .methods = methods,
                                .method_count = 2,
                                .headers = headers,
                                .header_count = 1};
    if (!err) err = snapshot_add_route(builder, &route, &error);
    route = (struct route_spec){.path = BYTES("/a"),
                                .match = PATH_EXACT,
                                .cluster = BYTES("shop"),
                                .has_rewrite = true,
                                .rewrite = BYTES("/rewritten")};
    if (!err) err = snapshot_add_route(builder, &route, &error);
    if (!err) err = snapshot_build(builder, ret_snapshot, &error);
    if (err) assert_string_not_equal(error.message, "");
    snapshot_builder_free(builder);
    return err;
}

static void test_building(void **state)
{
    struct io_addr addr;
    assert_int_equal(io_addr_parse(BYTES("127.0.0.1:1"), &addr), 0);
    for (size_t n = 0;; n++) {
        struct snapshot *snapshot = NULL;
        arm(n);
        int err = build(&snapshot, &addr);
        if (was_last()) {
            assert_int_equal(err, 0);
            assert_true(n > 10);
            snapshot_unref(snapshot);
            break;
        }
        assert_int_equal(err, ERR_NOMEM);
        assert_null(snapshot);
    }
}

static void test_starting(void **state)
{
    struct io *io;
    assert_int_equal(io_new(NULL, &io), 0);
    for (size_t n = 0;; n++) {
        struct proxy *proxy = NULL;
        arm(n);
        int err = proxy_new(io, NULL, NULL, &proxy);
        if (was_last()) {
            assert_int_equal(err, 0);
            proxy_close(proxy, 0, NULL, NULL);
            for (int i = 0; i < 5; i++) io_turn(io, 0);
            break;
        }
        assert_int_equal(err, ERR_NOMEM);
    }
    io_free(io);
}

/* A snapshot that cannot be taken into force leaves the one before it there. */
static void test_applying(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *a = add_backend(f, SCRIPT_ECHO, NULL);
    apply_default(f);
    struct io_addr elsewhere;
    assert_int_equal(io_addr_parse(BYTES("127.0.0.1:1"), &elsewhere), 0);
    for (size_t n = 0;; n++) {
        struct snapshot *snapshot;
        assert_int_equal(build(&snapshot, &elsewhere), 0);
        arm(n);
        int err = proxy_apply(f->proxy, snapshot);
        bool last = was_last();
        snapshot_unref(snapshot);
        if (last) {
            assert_int_equal(err, 0);
            assert_true(n > 3);
            break;
        }
        assert_int_equal(err, ERR_NOMEM);
        assert_int_equal(ask(f, &f->edge, GET, NULL), 200);
        assert_int_equal(a->requests, n + 1);
    }
    fixture_free(f);
}

/* Answered, refused, or cut off; then all is as before. */
static void serve_without(const char *request, size_t least)
{
    for (size_t n = 0;; n++) {
        struct fixture *f = fixture_new(NULL);
        struct backend *a = add_backend(f, SCRIPT_ECHO, NULL);
        struct snapshot *snapshot;
        assert_int_equal(build(&snapshot, &a->listener.addr), 0);
        assert_int_equal(proxy_apply(f->proxy, snapshot), 0);
        snapshot_unref(snapshot);
        struct client client;
        client_open(&client, f, &f->edge);
        arm(n);
        client_send(&client, bytes_str(request));
        UNTIL(f, client.eof || raw_message_len(client_text(&client), true));
        turn_for(f, 5);
        bool last = was_last();
        int status = raw_status(client_text(&client));
        if (status != 200 && status != 503 && !client.eof)
            fail_msg("allocation %zu: %.*s", n, BYTES_ARG(client_text(&client)));
        client_close(&client);
        assert_int_equal(ask(f, &f->edge, request, NULL), 200);
        UNTIL(f, proxy_in_flight(f->proxy, &a->listener.addr) == 0);
        fixture_free(f);
        if (!last) continue;
        assert_true(n >= least);
        break;
    }
}

static void test_serving(void **state)
{
    serve_without(GET, 5);
    serve_without(PUT, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_building),
        cmocka_unit_test(test_starting),
        cmocka_unit_test(test_applying),
        cmocka_unit_test(test_serving),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
