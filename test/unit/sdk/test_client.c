/* A program that is only a client: dure_run, publishing, subscribing, losing the server. */
#include "work.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static int returns_a_value(struct dure_ctx *ctx)
{
    CHECK(dure_argument(ctx) == &work_server);
    return DURE_ECONFLICT;
}

static void run_returns_what_the_work_returns(void **state)
{
    assert_int_equal(work_run_options((struct dure_run_options){0}, returns_a_value, &work_server),
                     DURE_ECONFLICT);
    assert_int_equal(
        dure_run(&(struct dure_run_options){.urls = "nats://a/b"}, returns_a_value, NULL),
        DURE_EINVALID);
    assert_int_equal(dure_run(NULL, NULL, NULL), DURE_EINVALID);
}

static int connects(struct dure_ctx *ctx)
{
    struct dure_server server;
    DONE(dure_connect(ctx, 5000));
    dure_server(ctx, &server);
    CHECK(server.connected && server.max_payload > 1000);
    CHECK(strncmp(server.url, "nats://127.0.0.1:", 17) == 0);
    CHECK(*server.version && server.reconnects == 0);
    DONE(dure_flush(ctx, 5000));
    return 0;
}

static void a_client_connects(void **state)
{
    work_run(connects, NULL);
}

static int cannot_connect(struct dure_ctx *ctx)
{
    CHECK(dure_connect(ctx, 5000) == DURE_EUNREACHABLE);
    CHECK(strstr(dure_reason(ctx), "nats://127.0.0.1:1"));
    CHECK(strstr(dure_reason(ctx), "refused"));
    CHECK(dure_publish(ctx, "a", "", 0) == DURE_EUNREACHABLE);
    return 0;
}

static void a_missing_server_is_told(void **state)
{
    struct dure_run_options options = {.urls = "nats://127.0.0.1:1"};
    assert_int_equal(work_run_options(options, cannot_connect, NULL), 0);
}

static void the_next_server_is_tried(void **state)
{
    char urls[128];
    if (!work_server.port) skip();
    snprintf(urls, sizeof urls, "nats://127.0.0.1:1, unix:/nonexistent,127.0.0.1:%d",
             work_server.port);
    struct dure_run_options options = {.urls = urls};
    assert_int_equal(work_run_options(options, returns_a_value, &work_server), DURE_ECONFLICT);
}

/* ---- messages ----------------------------------------------------------------------------- */

static int exchanges(struct dure_ctx *ctx)
{
    static const char *const headers[] = {"Colour", "blue", "colour", "red", NULL};
    struct dure_subscription *all, *group;
    struct dure_message message;
    const char *name, *value;
    DONE(dure_connect(ctx, 5000));
    DONE(dure_subscribe(ctx, "t.>", NULL, &all));
    DONE(dure_subscribe(ctx, "t.*", "g", &group));
    const struct dure_publication publication = {
        .subject = "t.a", .reply = "back", .headers = headers, .body = "hello", .len = 5};
    DONE(dure_send(ctx, &publication));
    DONE(dure_publish(ctx, "t.b.c", "x", 1));
    DONE(dure_next(all, 2000, &message));
    CHECK(strcmp(message.subject, "t.a") == 0 && strcmp(message.reply, "back") == 0);
    CHECK(message.len == 5 && strcmp(message.body, "hello") == 0 && !message.status);
    CHECK(strcmp(dure_headers_find(message.headers, "COLOUR"), "blue") == 0);
    CHECK(dure_headers_at(message.headers, 1, &name, &value) && strcmp(value, "red") == 0);
    CHECK(!dure_headers_at(message.headers, 2, &name, &value));
    CHECK(!message.stream && !message.sequence);
    DONE(dure_next(all, 2000, &message));
    CHECK(strcmp(message.subject, "t.b.c") == 0 && !*message.reply);
    DONE(dure_next(group, 2000, &message));
    CHECK(strcmp(message.subject, "t.a") == 0);
    CHECK(dure_next(group, 20, &message) == DURE_ETIMEOUT);
    CHECK(dure_next(group, -1, &message) == DURE_EINVALID);
    dure_unsubscribe(group);
    return 0; /* `all` closes with us */
}

static void messages_are_exchanged(void **state)
{
    work_run(exchanges, NULL);
}

static int refuses(struct dure_ctx *ctx)
{
    static const char *const bad[] = {"Na:me", "x", NULL};
    static const char *const broken[] = {"Name", "x\r\ny", NULL};
    struct dure_subscription *subscription;
    CHECK(dure_subscribe(ctx, "a..b", NULL, &subscription) == DURE_EINVALID);
    CHECK(dure_subscribe(ctx, "a", "b c", &subscription) == DURE_EINVALID);
    CHECK(dure_send(ctx, &(struct dure_publication){.subject = "a.*"}) == DURE_EINVALID);
    CHECK(dure_send(ctx, &(struct dure_publication){.subject = "a", .headers = bad}) ==
          DURE_EINVALID);
    CHECK(dure_send(ctx, &(struct dure_publication){.subject = "a", .headers = broken}) ==
          DURE_EINVALID);
    DONE(dure_connect(ctx, 5000));
    struct dure_server server;
    dure_server(ctx, &server);
    char *body = calloc(1, server.max_payload + 1);
    int err = dure_send(ctx, &(struct dure_publication){
                                 .subject = "a", .body = body, .len = server.max_payload + 1});
    free(body);
    CHECK(err == DURE_ETOOBIG);
    return 0;
}

static void what_breaks_the_protocol_is_refused(void **state)
{
    work_run(refuses, NULL);
}

static int drains(struct dure_ctx *ctx)
{
    struct dure_subscription *subscription;
    struct dure_message message;
    DONE(dure_connect(ctx, 5000));
    DONE(dure_subscribe(ctx, "d", NULL, &subscription));
    for (int i = 0; i < 10; i++) DONE(dure_publish(ctx, "d", "x", 1));
    DONE(dure_drain(subscription, 2000));
    DONE(dure_publish(ctx, "d", "late", 4));
    DONE(dure_flush(ctx, 2000));
    for (int i = 0; i < 10; i++) DONE(dure_next(subscription, 1000, &message));
    CHECK(dure_next(subscription, 1000, &message) == DURE_ECLOSED);
    return 0;
}

static void a_subscription_drains(void **state)
{
    work_run(drains, NULL);
}

/* More than any buffer: the sender waits for the kernel, nothing is lost. */
static int floods(struct dure_ctx *ctx)
{
    enum { COUNT = 2000, SIZE = 16 * 1024 };
    static char body[SIZE];
    struct dure_subscription *subscription;
    struct dure_message message;
    DONE(dure_subscribe(ctx, "flood", NULL, &subscription));
    DONE(dure_connect(ctx, 5000));
    const struct dure_publication publication = {.subject = "flood", .body = body, .len = SIZE};
    int got = 0;
    for (int i = 0; i < COUNT; i++) {
        DONE(dure_send(ctx, &publication));
        while (got < COUNT && dure_next(subscription, 1, &message) == 0) got++;
    }
    while (got < COUNT && dure_next(subscription, 5000, &message) == 0) got++;
    CHECK(got == COUNT && dure_dropped(subscription) == 0);
    return 0;
}

static void a_flood_is_slowed_down(void **state)
{
    work_run(floods, NULL);
}

static int marks(struct dure_ctx *ctx)
{
    struct dure_mark mark;
    DONE(dure_connect(ctx, 5000));
    dure_mark(ctx, &mark);
    for (int i = 0; i < 2000; i++) { /* 2 GiB in all: more than a ctx may have */
        char *memory = dure_alloc(ctx, 1 << 20);
        CHECK(memory && memory[0] == 0 && memory[(1 << 20) - 1] == 0);
        memory[0] = memory[(1 << 20) - 1] = 'x';
        CHECK(dure_json_object(ctx));
        dure_forget(ctx, &mark);
    }
    char *small = dure_alloc(ctx, 64);
    CHECK(small && small[0] == 0 && small[63] == 0);
    return 0;
}

static void memory_is_given_back(void **state)
{
    work_run(marks, NULL);
}

/* ---- losing the server -------------------------------------------------------------------- */

static int survives(struct dure_ctx *ctx)
{
    struct dure_subscription *subscription;
    struct dure_message message;
    struct dure_server server;
    DONE(dure_subscribe(ctx, "s.*", NULL, &subscription));
    DONE(dure_flush(ctx, 5000));
    nats_server_kill(&work_server);
    CHECK(dure_flush(ctx, 100) != 0);
    nats_server_start(&work_server);
    int err = DURE_EUNREACHABLE;
    for (int i = 0; i < 100 && err; i++)
        err = dure_flush(ctx, 5000) ? dure_sleep(ctx, 50) ?: -1 : 0;
    DONE(err);
    DONE(dure_publish(ctx, "s.a", "again", 5));
    DONE(dure_next(subscription, 5000, &message));
    CHECK(strcmp(message.body, "again") == 0);
    dure_server(ctx, &server);
    CHECK(server.connected && server.reconnects == 1);
    return 0;
}

static void subscriptions_are_there_again(void **state)
{
    work_run(survives, NULL);
}

/* ---- a server that is about to close ------------------------------------------------------- */

static char events[256];

static void happened(void *argument, enum dure_bus_event event, const char *server)
{
    static const char *const names[] = {"connected", "lost", "lame_duck"};
    const int *port = argument;
    size_t len = strlen(events);
    snprintf(events + len, sizeof events - len, "%s %s; ", names[event],
             strtol(strrchr(server, ':') + 1, NULL, 10) == *port ? "first" : "second");
}

static int goes_over(struct dure_ctx *ctx)
{
    struct dure_subscription *subscription;
    struct dure_message message;
    struct dure_server server = {0};
    dure_on_bus_event(ctx, happened, &work_server.port);
    DONE(dure_subscribe(ctx, "s.*", NULL, &subscription));
    DONE(dure_flush(ctx, 5000));
    kill(work_server.pid, SIGUSR2);
    for (int i = 0; i < 100 && server.reconnects == 0; i++) { /* it would close after 10 s */
        DONE(dure_sleep(ctx, 50));
        dure_server(ctx, &server);
    }
    CHECK(server.connected && server.reconnects == 1);
    CHECK(strcmp(events, "connected first; lame_duck first; lost first; connected second; ") == 0);
    DONE(dure_publish(ctx, "s.a", "here", 4));
    DONE(dure_next(subscription, 5000, &message));
    CHECK(strcmp(message.body, "here") == 0);
    return 0;
}

static void a_lame_duck_is_left(void **state)
{
    struct nats_server other = {0};
    char urls[128];
    if (!work_server.port) skip();
    nats_server_start(&other);
    snprintf(urls, sizeof urls, "127.0.0.1:%d,127.0.0.1:%d", work_server.port, other.port);
    int err = work_run_options((struct dure_run_options){.urls = urls}, goes_over, NULL);
    nats_server_release(&other);
    nats_server_kill(&work_server);
    nats_server_start(&work_server);
    assert_int_equal(err, 0);
}

static int stays(struct dure_ctx *ctx)
{
    struct dure_server server;
    events[0] = '\0';
    dure_on_bus_event(ctx, happened, &work_server.port);
    DONE(dure_flush(ctx, 5000));
    kill(work_server.pid, SIGUSR2);
    DONE(dure_sleep(ctx, 1500));
    dure_server(ctx, &server);
    CHECK(server.connected && server.reconnects == 0);
    CHECK(strcmp(events, "connected first; lame_duck first; ") == 0);
    return 0;
}

/* There is no other: it stays as long as it may. */
static void the_only_server_is_not_left(void **state)
{
    work_run(stays, NULL);
    nats_server_kill(&work_server);
    nats_server_start(&work_server);
}

static int is_interrupted(struct dure_ctx *ctx)
{
    struct dure_subscription *subscription;
    struct dure_message message;
    DONE(dure_subscribe(ctx, "never", NULL, &subscription));
    kill(getpid(), SIGINT);
    int err = dure_next(subscription, 5000, &message);
    CHECK(err == DURE_ECLOSED && dure_sleep(ctx, 1000) == DURE_ECLOSED);
    return err;
}

static void a_signal_ends_every_wait(void **state)
{
    assert_int_equal(work_run_options((struct dure_run_options){0}, is_interrupted, NULL),
                     DURE_ECLOSED);
    sigset_t now;
    sigprocmask(SIG_SETMASK, NULL, &now);
    assert_false(sigismember(&now, SIGINT));
}

static int has_a_limit(struct dure_ctx *ctx)
{
    return dure_sleep(ctx, 10000);
}

static void work_has_a_deadline(void **state)
{
    assert_int_equal(
        work_run_options((struct dure_run_options){.timeout_ms = 30}, has_a_limit, NULL),
        DURE_ETIMEOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(run_returns_what_the_work_returns),
        cmocka_unit_test(a_client_connects),
        cmocka_unit_test(a_missing_server_is_told),
        cmocka_unit_test(the_next_server_is_tried),
        cmocka_unit_test(messages_are_exchanged),
        cmocka_unit_test(what_breaks_the_protocol_is_refused),
        cmocka_unit_test(a_subscription_drains),
        cmocka_unit_test(a_flood_is_slowed_down),
        cmocka_unit_test(memory_is_given_back),
        cmocka_unit_test(subscriptions_are_there_again),
        cmocka_unit_test(a_lame_duck_is_left),
        cmocka_unit_test(the_only_server_is_not_left),
        cmocka_unit_test(a_signal_ends_every_wait),
        cmocka_unit_test(work_has_a_deadline),
    };
    return cmocka_run_group_tests(tests, work_begin, work_end);
}
