/* What the tests of mesh share: a bus with streams on a disk, a proxy whose internal road leads to
 * services, which are HTTP servers in this very thread. What a service answers is said by the path
 * of the request: see `serve`. */
#ifndef DURE_TEST_MESH_HARNESS_H
#define DURE_TEST_MESH_HARNESS_H

#include "bus/bus.h"
#include "messaging/messaging.h"
#include "stream/streams.h"
#include "http/server.h"
#include "mesh/body.h"
#include "mesh/bridge.h"
#include "mesh/call.h"
#include "proxy/proxy.h"
#include "temp_dir.h"
#include "wire/nats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { SEEN_MAX = 256 };

/* A request that reached the service. */
struct seen {
    char path[128], body[256], id[64], attempt[16], subject[64], type[64], trace[64];
    uint64_t at_ms;
};

/* A request that is being answered. */
struct serving {
    struct body body;
    struct http_exchange *x;
};

struct world {
    struct temp_dir dir;
    struct io *io;
    struct http http;
    struct bus *bus;
    struct streams *streams;
    struct messaging *messaging;
    char complaint[256]; /* of the bridge */
    struct proxy *proxy;
    struct io_addr road;
    struct http_server *service;
    struct bridge *bridge;
    struct log log;
    struct seen seen[SEEN_MAX];
    size_t seen_count;
    struct http_exchange *held; /* a request to /hold, not answered yet */
    int status;                 /* what /status answers; 0: breaks off */
    bool service_gone, streams_gone, bus_gone, proxy_gone, bridge_gone;
};

static struct world world;

/* Turns the loop until the condition holds, which it must within ten seconds. */
#define UNTIL(condition)                                                 \
    do {                                                                 \
        uint64_t late_ = io_now_ns(world.io) + UINT64_C(10000000000);    \
        while (!(condition)) {                                           \
            io_turn(world.io, 20);                                       \
            if (io_now_ns(world.io) > late_) fail_msg("%s", #condition); \
        }                                                                \
    } while (0)

static inline void turn_for(uint64_t ms)
{
    uint64_t until = io_now_ns(world.io) + ms * 1000000;
    while (io_now_ns(world.io) < until) io_turn(world.io, 5);
}

/* ---- the service ---- */

static void serving_closed(struct http_exchange *x, int result)
{
    struct serving *serving = CONTAINER_OF((struct body *)x->context, struct serving, body);
    if (world.held == x) world.held = NULL;
    body_release(&serving->body);
    free(serving);
}

static void copy(char *to, size_t size, struct bytes text)
{
    snprintf(to, size, "%.*s", BYTES_ARG(text));
}

static void copy_header(char *to, size_t size, const struct http_exchange *x, const char *name)
{
    const struct http1_header *header = http1_find_text(&x->in, bytes_str(name));
    copy(to, size, header ? header->value : BYTES(""));
}

static void serve_big(struct http_exchange *x, size_t size)
{
    char *text = malloc(size);
    memset(text, 'b', size);
    http_respond(x, 200, BYTES("text/plain"), bytes_make(text, size));
    free(text);
}

static void serve(struct body *body, int result)
{
    struct serving *serving = CONTAINER_OF(body, struct serving, body);
    struct http_exchange *x = serving->x;
    assert_int_equal(result, 0);
    assert_true(world.seen_count < SEEN_MAX);
    struct seen *seen = &world.seen[world.seen_count++];
    seen->at_ms = io_now_ns(world.io) / 1000000;
    copy(seen->path, sizeof seen->path, x->in.path);
    copy(seen->body, sizeof seen->body, buf_bytes(&body->bytes));
    copy_header(seen->id, sizeof seen->id, x, "ce-id");
    copy_header(seen->attempt, sizeof seen->attempt, x, "ce-dureattempt");
    copy_header(seen->subject, sizeof seen->subject, x, "ce-type");
    copy_header(seen->type, sizeof seen->type, x, "content-type");
    copy_header(seen->trace, sizeof seen->trace, x, "traceparent");
    if (strcmp(seen->path, "/hold") == 0)
        world.held = x;
    else if (strcmp(seen->path, "/big") == 0)
        serve_big(x, CALL_ANSWER_MAX);
    else if (strcmp(seen->path, "/too-big") == 0)
        serve_big(x, CALL_ANSWER_MAX + 1);
    else if (strcmp(seen->path, "/status") != 0)
        http_respond(x, 200, BYTES("application/json"), buf_bytes(&body->bytes));
    else if (world.status)
        http_respond(x, world.status, BYTES("text/plain"), BYTES("said so"));
    else
        http_abort(x);
}

static void request(struct http_exchange *x)
{
    struct serving *serving = calloc(1, sizeof *serving);
    serving->x = x;
    x->context = &serving->body;
    x->closed = serving_closed;
    body_read(&serving->body, x, 16 << 20, serve);
}

static inline void open_service(void)
{
    struct http_server_options options = {.request = request, .eof_ends = true};
    struct io_addr addr;
    assert_int_equal(io_addr_parse(BYTES("127.0.0.1:0"), &addr), 0);
    assert_int_equal(http_server_open(&world.http, &addr, &options, &world.service), 0);
}

static void service_closed(void *context)
{
    world.service_gone = true;
}

static inline void close_service(void)
{
    world.service_gone = false;
    http_server_close(world.service, 0, service_closed);
    UNTIL(world.service_gone);
    world.service = NULL;
}

/* The road leads to the service, under the names "shop" and "other". */
static inline void open_road(void)
{
    struct snapshot_builder *builder;
    struct snapshot *snapshot;
    static const char *const names[] = {"shop", "other"};
    assert_int_equal(snapshot_builder_new(&builder), 0);
    for (int i = 0; i < 2; i++) {
        struct cluster_spec cluster = {.name = bytes_str(names[i])};
        struct endpoint_spec endpoint = {.cluster = bytes_str(names[i]), .health = ENDPOINT_UP};
        assert_int_equal(snapshot_add_cluster(builder, &cluster, NULL), 0);
        if (!world.service) continue;
        endpoint.addr = *http_server_addr(world.service);
        assert_int_equal(snapshot_add_endpoint(builder, &endpoint, NULL), 0);
    }
    assert_int_equal(snapshot_build(builder, &snapshot, NULL), 0);
    snapshot_builder_free(builder);
    assert_int_equal(proxy_apply(world.proxy, snapshot), 0);
    snapshot_unref(snapshot);
}

/* ---- bus and bridge ---- */

static bool no_line(void *context, enum log_level level, struct bytes line)
{
    if (getenv("DURE_TEST_VERBOSE")) fwrite(line.data, 1, line.len, stderr);
    return true;
}

static uint64_t no_time(void *context)
{
    return 0;
}

static void set_true(void *context)
{
    *(bool *)context = true;
}

static void complain(void *context, const char *reason)
{
    snprintf(world.complaint, sizeof world.complaint, "%s", reason);
}

static inline void open_bus(void)
{
    char store[96];
    struct error error = {0};
    struct io_addr addr;
    snprintf(store, sizeof store, "%s/store", world.dir.path);
    struct streams_options options = {.dir = store, .log = &world.log};
    assert_int_equal(bus_new(world.io, NULL, &world.log, &world.bus), 0);
    if (streams_open(world.io, world.bus, &options, &world.streams, &error))
        fail_msg("%s", error.message);
    assert_int_equal(proxy_new(world.io, NULL, &world.log, &world.proxy), 0);
    assert_int_equal(io_addr_parse(BYTES("127.0.0.1:0"), &addr), 0);
    assert_int_equal(proxy_listen(world.proxy, PROXY_INTERNAL, &addr, &world.road), 0);
    open_road();
    assert_int_equal(messaging_embed(world.io, world.bus, world.streams, &world.messaging), 0);
    struct bridge_options bridge = {
        .io = world.io,
        .http = &world.http,
        .messaging = world.messaging,
        .proxy = world.proxy,
        .road = world.road,
        .max_payload = 64 * 1024,
        .log = &world.log,
        .incomplete = complain,
    };
    assert_int_equal(bridge_new(&bridge, &world.bridge), 0);
    world.bridge_gone = world.streams_gone = world.bus_gone = world.proxy_gone = false;
}

static inline void close_bus(void)
{
    proxy_close(world.proxy, 0, set_true, &world.proxy_gone);
    UNTIL(world.proxy_gone);
    bridge_close(world.bridge, set_true, &world.bridge_gone);
    UNTIL(world.bridge_gone);
    messaging_close(world.messaging, NULL, NULL);
    streams_close(world.streams, set_true, &world.streams_gone);
    UNTIL(world.streams_gone);
    bus_close(world.bus, set_true, &world.bus_gone);
    UNTIL(world.bus_gone);
}

static inline int world_setup(void **state)
{
    memset(&world, 0, sizeof world);
    temp_dir_make(&world.dir);
    world.log = (struct log){LOG_INFO, no_line, no_time, NULL, 0};
    world.status = 200;
    assert_int_equal(io_new(NULL, &world.io), 0);
    http_init(&world.http, world.io, &world.log);
    open_service();
    open_bus();
    return 0;
}

static inline int world_teardown(void **state)
{
    if (world.service) close_service();
    close_bus();
    turn_for(50);
    http_release(&world.http);
    io_free(world.io);
    temp_dir_remove(&world.dir);
    return 0;
}

/* ---- what tests do ---- */

/* The manifest of one service "shop" (and an idle "other") with these lines of service.yaml. */
struct parsed {
    struct arena arena;
    struct errors errors;
    struct manifest manifest;
    struct manifest_service *services[2];
};

static inline void parse(struct parsed *parsed, const char *shop, const char *other)
{
    char text[8192];
    struct manifest *manifest = &parsed->manifest;
    *manifest = (struct manifest){.services = parsed->services, .service_count = 2};
    arena_init(&parsed->arena, 8 << 20);
    errors_init(&parsed->errors, &parsed->arena);
    int err =
        manifest_system_parse(BYTES("system: test\nservices: [{path: shop}, {path: other}]\n"),
                              "dure.yaml", &parsed->arena, &parsed->errors, &manifest->system);
    snprintf(text, sizeof text, "name: shop\nversion: 1.0.0\nrun: shop\n%s\n", shop);
    if (!err)
        err = manifest_service_parse(bytes_str(text), "shop", &parsed->arena, &parsed->errors,
                                     &parsed->services[0]);
    snprintf(text, sizeof text, "name: other\nversion: 1.0.0\nrun: other\n%s\n", other);
    if (!err)
        err = manifest_service_parse(bytes_str(text), "other", &parsed->arena, &parsed->errors,
                                     &parsed->services[1]);
    if (!err) err = manifest_check(manifest, &parsed->errors);
    if (err) fail_msg("%s", parsed->errors.count ? parsed->errors.items[0].message : err_text(err));
}

static inline void parsed_release(struct parsed *parsed)
{
    arena_release(&parsed->arena);
}

/* Without waiting for anything. */
static inline void begin_parsing(struct parsed *parsed, const char *shop, const char *other)
{
    parse(parsed, shop, other);
    bridge_configure(world.bridge, &parsed->manifest);
}

static inline void configure(struct parsed *parsed, const char *shop, const char *other)
{
    begin_parsing(parsed, shop, other);
    turn_for(2); /* a stream takes a turn of the loop, and the disk */
    if (world.complaint[0]) fail_msg("%s", world.complaint);
}

static inline void publish(const char *subject, const char *headers, const char *payload)
{
    struct message message =
        message_borrow(bytes_str(subject), BYTES(""), bytes_str(headers), bytes_str(payload));
    assert_true(bus_publish(world.bus, &message) >= 0);
    message_done(&message);
}

/* How many messages the stream holds; 0 also when there is none. */
static inline uint64_t stored(const char *name)
{
    struct stream *stream = streams_find(world.streams, bytes_str(name));
    return stream ? stream_state(stream).messages : 0;
}

#define MESH_TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

#endif
