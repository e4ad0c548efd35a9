/* A parent for the tests of the supervisor: sits at the other end of the control channel and
 * "starts" processes that are listeners on their ports in this very process. What a service is like
 * is said by its command: run: well | deaf (never listens) | dead (exits at once) | missing (cannot
 * be started) | stubborn (minds SIGKILL only). Everything that happens stands in `story`. */
#ifndef DURE_TEST_FAKE_PARENT_H
#define DURE_TEST_FAKE_PARENT_H

#include "bus/bus.h"
#include "messaging/messaging.h"
#include "run/supervisor.h"
#include "temp_dir.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

enum { CHILDREN_MAX = 64, STORY_MAX = 8192 };

struct fake_child {
    char id[128], command[32];
    int pid; /* 0: not alive */
    uint16_t port;
    json_t *tag;
    bool listens;
    struct io_listener listener;
};

struct fake_drain {
    uint16_t port;
    void (*done)(void *context);
    void *context;
};

struct world {
    struct temp_dir dir;
    struct io *io;
    struct http http;
    struct bus *bus;
    struct streams *streams;
    struct messaging *messaging;
    struct registry *registry;
    struct control ends[2]; /* the worker's, the parent's */
    struct supervisor *supervisor;
    struct fake_child children[CHILDREN_MAX];
    size_t child_count;
    int last_pid, ends_open;
    struct fake_drain drain; /* the last one asked for */
    bool hold_drains;        /* the test says when */
    int accepted, stopped, applied, result;
    bool streams_gone, bus_gone;
    struct error error;
    char story[STORY_MAX];
};

static struct world world;

static void tell_story(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell_story(const char *format, ...)
{
    size_t len = strlen(world.story);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(world.story + len, STORY_MAX - len, format, arguments);
    va_end(arguments);
}

/* ---- the parent's side ---- */

static void take_and_close(struct io_listener *listener)
{
}

static struct fake_child *child_of(const char *id)
{
    for (size_t i = 0; i < world.child_count; i++)
        if (world.children[i].pid && strcmp(world.children[i].id, id) == 0)
            return &world.children[i];
    return NULL;
}

static void child_end(struct fake_child *child, int status)
{
    tell_story("%s ends; ", child->id);
    if (child->listens) io_listener_close(&child->listener);
    child->listens = false;
    child->pid = 0;
    json_decref(child->tag);
    child->tag = NULL;
    control_send(&world.ends[1],
                 json_pack("{s:s, s:s, s:i}", "op", "exit", "id", child->id, "status", status));
}

static uint16_t port_in(json_t *env)
{
    size_t i;
    json_t *entry;
    json_array_foreach(env, i, entry)
    {
        const char *text = json_string_value(entry);
        if (strncmp(text, "PORT=", 5) == 0) return (uint16_t)strtol(text + 5, NULL, 10);
    }
    return 0;
}

static void on_spawn(json_t *request)
{
    assert_true(world.child_count < CHILDREN_MAX);
    struct fake_child *child = &world.children[world.child_count++];
    const char *id = json_string_value(json_object_get(request, "id"));
    const char *command = json_string_value(json_array_get(json_object_get(request, "argv"), 0));
    assert_null(child_of(id)); /* never two of one name */
    tell_story("%s starts; ", id);
    *child = (struct fake_child){.pid = ++world.last_pid};
    snprintf(child->id, sizeof child->id, "%s", id);
    snprintf(child->command, sizeof child->command, "%s", command);
    child->port = port_in(json_object_get(request, "env"));
    child->tag = json_incref(json_object_get(request, "tag"));
    if (strcmp(command, "missing") == 0) {
        child->pid = 0;
        json_decref(child->tag);
        child->tag = NULL;
        control_send(&world.ends[1], json_pack("{s:s, s:s, s:i, s:s}", "op", "exit", "id", id,
                                               "status", -1, "error", "no such program"));
        return;
    }
    control_send(&world.ends[1],
                 json_pack("{s:s, s:s, s:i}", "op", "spawned", "id", id, "pid", child->pid));
    struct io_addr addr = {.family = IO_IPV4, .ip = {127, 0, 0, 1}, .port = child->port};
    if (strcmp(command, "dead") == 0) {
        child_end(child, 1 << 8);
    } else if (strcmp(command, "deaf") != 0) {
        assert_int_equal(io_listen(world.io, &child->listener, &addr, NULL, take_and_close), 0);
        child->listens = true;
    }
}

static void on_kill(json_t *request)
{
    int sent = (int)json_integer_value(json_object_get(request, "signal"));
    struct fake_child *child = child_of(json_string_value(json_object_get(request, "id")));
    if (!child) return;
    tell_story("%s gets %s; ", child->id, sent == SIGKILL ? "KILL" : "TERM");
    if (sent == SIGKILL || strcmp(child->command, "stubborn") != 0) child_end(child, sent);
}

static void parent_hears(struct control *control, const char *op, json_t *object)
{
    if (strcmp(op, "spawn") == 0) on_spawn(object);
    if (strcmp(op, "kill") == 0) on_kill(object);
}

/* ---- the worker's side ---- */

static void worker_hears(struct control *control, const char *op, json_t *object)
{
    supervisor_message(world.supervisor, op, object);
}

static void control_gone(struct control *control, int err)
{
    world.ends_open--;
}

static void *drain(void *context, const struct io_addr *addr, void (*done)(void *done_context),
                   void *done_context)
{
    tell_story("drain; ");
    world.drain = (struct fake_drain){addr->port, done, done_context};
    if (world.hold_drains) return &world.drain;
    done(done_context);
    return NULL;
}

static void drain_cancel(void *context, void *token)
{
    tell_story("drain cancelled; ");
}

static void accepted(void *context, struct deployment *deployment)
{
    tell_story("accepted; ");
    world.accepted++;
}

static void changed(void *context)
{
}

static void stopped(void *context)
{
    tell_story("stopped; ");
    world.stopped++;
}

static void applied(void *context, int result, const struct error *error)
{
    tell_story(result ? "failed; " : "done; ");
    world.applied++;
    world.result = result;
    if (error) world.error = *error;
}

static const char *const inherited[] = {"PATH=/bin", "PORT=1", NULL};

static struct supervisor *make_supervisor(void)
{
    struct supervisor_options options = {
        .world =
            {
                .io = world.io,
                .control = &world.ends[0],
                .registry = world.registry,
                .http = &world.http,
                .messaging = world.messaging,
                .surroundings = {.program = "/usr/bin/dure",
                                 .state = world.dir.path,
                                 .environ = inherited,
                                 .bus = "nats://127.0.0.1:4222"},
                .drain = {drain, drain_cancel, NULL},
            },
        .accepted = accepted,
        .changed = changed,
        .stopped = stopped,
    };
    return supervisor_new(&options);
}

/* ---- the world ---- */

static void set_true(void *context)
{
    *(bool *)context = true;
}

static inline int world_setup(void **state)
{
    char store[96], data[96];
    int pair[2];
    struct error error = {0};
    memset(&world, 0, sizeof world);
    temp_dir_make(&world.dir);
    snprintf(store, sizeof store, "%s/store", world.dir.path);
    snprintf(data, sizeof data, "%s/data", world.dir.path);
    struct streams_options options = {.dir = store};
    assert_int_equal(io_new(NULL, &world.io), 0);
    assert_int_equal(io_mkdir(world.io, data), 0);
    assert_int_equal(bus_new(world.io, NULL, NULL, &world.bus), 0);
    assert_int_equal(streams_open(world.io, world.bus, &options, &world.streams, &error), 0);
    assert_int_equal(messaging_embed(world.io, world.bus, world.streams, &world.messaging), 0);
    bool opened = false;
    assert_int_equal(
        registry_open(world.messaging, NULL, set_true, &opened, &world.registry, &error), 0);
    for (int i = 0; i < 1000 && !opened; i++) io_turn(world.io, 10);
    assert_true(opened);
    http_init(&world.http, world.io, NULL);
    assert_int_equal(io_socket_pair(pair), 0);
    assert_int_equal(
        control_open(&world.ends[0], world.io, pair[0], NULL, worker_hears, control_gone), 0);
    assert_int_equal(
        control_open(&world.ends[1], world.io, pair[1], NULL, parent_hears, control_gone), 0);
    world.ends_open = 2;
    world.supervisor = make_supervisor();
    assert_non_null(world.supervisor);
    return 0;
}

/* Turns the loop until the condition holds, which it must within ten seconds. */
#define UNTIL(condition)                                                                  \
    do {                                                                                  \
        uint64_t late_ = io_now_ns(world.io) + UINT64_C(10000000000);                     \
        while (!(condition)) {                                                            \
            io_turn(world.io, 20);                                                        \
            if (io_now_ns(world.io) > late_) fail_msg("%s: %s", #condition, world.story); \
        }                                                                                 \
    } while (0)

static inline void turn_for(uint64_t ms)
{
    uint64_t until = io_now_ns(world.io) + ms * 1000000;
    while (io_now_ns(world.io) < until) io_turn(world.io, 5);
}

static inline int world_teardown(void **state)
{
    supervisor_free(world.supervisor);
    for (int i = 0; i < 2; i++) control_close(&world.ends[i]);
    UNTIL(!world.ends_open);
    for (size_t i = 0; i < world.child_count; i++) {
        if (world.children[i].listens) io_listener_close(&world.children[i].listener);
        json_decref(world.children[i].tag);
    }
    registry_close(world.registry);
    messaging_close(world.messaging, NULL, NULL);
    streams_close(world.streams, set_true, &world.streams_gone);
    UNTIL(world.streams_gone);
    bus_close(world.bus, set_true, &world.bus_gone);
    UNTIL(world.bus_gone);
    turn_for(50);
    http_release(&world.http);
    io_free(world.io);
    temp_dir_remove(&world.dir);
    return 0;
}

/* ---- manifests ---- */

struct wish {
    const char *name, *version, *run;
    int scale;
    const char *more; /* lines of its service.yaml; NULL: none */
};

static inline struct deployment *make_deployment(const struct wish *wishes, size_t count)
{
    struct arena arena;
    struct errors errors;
    struct deployment *deployment = NULL;
    char system[2048] = "system: test\nservices:\n", path[64], text[512];
    json_t *texts = json_object();
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(system);
        snprintf(system + len, sizeof system - len, "  - path: %s\n    scale: %d\n", wishes[i].name,
                 wishes[i].scale);
        snprintf(text, sizeof text,
                 "name: %s\nversion: %s\nowner: team\nrun: %s\n"
                 "health: {tcp: true, interval: 100ms}\nstop: {grace: 200ms}\n%s",
                 wishes[i].name, wishes[i].version, wishes[i].run,
                 wishes[i].more ? wishes[i].more : "");
        snprintf(path, sizeof path, "/sys/%s/service.yaml", wishes[i].name);
        json_object_set_new(texts, path, json_string(text));
    }
    json_object_set_new(texts, "/sys/dure.yaml", json_string(system));
    arena_init(&arena, 1 << 20);
    errors_init(&errors, &arena);
    if (deployment_load(world.io, "/sys", texts, &errors, &deployment))
        fail_msg("%s", errors.count ? errors.items[0].message : "?");
    json_decref(texts);
    arena_release(&arena);
    return deployment;
}

#define APPLY(...)                                   \
    apply_wishes((const struct wish[]){__VA_ARGS__}, \
                 sizeof((const struct wish[]){__VA_ARGS__}) / sizeof(struct wish))

static inline int apply_wishes(const struct wish *wishes, size_t count)
{
    struct deployment *deployment = make_deployment(wishes, count);
    world.applied = 0;
    world.story[0] = 0;
    int err = supervisor_apply(world.supervisor, deployment, applied, NULL);
    deployment_unref(deployment);
    return err;
}

#endif
