/* The parent with a worker that is made for the purpose (fake_worker.c). */
#include "run/parent.h"

#include "temp_dir.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <cmocka.h>

extern char **environ;

struct world {
    struct temp_dir dir;
    struct io *io;
    struct parent *parent;
    struct log log;
    int ready, ended, said;
    char text[4096]; /* of a file */
};

static struct world world;
static const char *fake_worker;

static void say(void *context, const char *text)
{
    world.said++;
}

static void ready(void *context)
{
    world.ready++;
}

static void ended(void *context, int status)
{
    assert_int_equal(status, 0);
    world.ended++;
}

static int begin(const char *mode)
{
    static const char *argv[4];
    struct error error = {0};
    argv[0] = fake_worker;
    argv[1] = world.dir.path;
    argv[2] = mode;
    struct parent_options options = {
        .worker_argv = argv,
        .worker_envp = (const char *const *)environ,
        .logs = world.dir.path,
        .grace_ms = 300,
        .log = &world.log,
        .say = say,
        .table = say,
        .ready = ready,
        .ended = ended,
    };
    for (int i = HANDOVER_GATEWAY; i < HANDOVER_ADMIN; i++)
        assert_int_equal(io_addr_parse(BYTES("127.0.0.1:0"), &options.listen[i]), 0);
    options.listen[HANDOVER_ADMIN].family = IO_UNIX;
    snprintf(options.listen[HANDOVER_ADMIN].path, sizeof options.listen[0].path, "%s/admin.sock",
             world.dir.path);
    return parent_new(world.io, &options, &world.parent, &error);
}

static bool no_line(void *context, enum log_level level, struct bytes line)
{
    return true;
}

static uint64_t no_time(void *context)
{
    return 0;
}

static int setup(void **state)
{
    memset(&world, 0, sizeof world);
    world.log = (struct log){LOG_ERROR, no_line, no_time, NULL, 0};
    temp_dir_make(&world.dir);
    return io_new(NULL, &world.io);
}

static int teardown(void **state)
{
    parent_free(world.parent);
    io_free(world.io);
    temp_dir_remove(&world.dir);
    return 0;
}

/* Turns the loop until the condition holds, which it must within ten seconds. */
#define UNTIL(condition)                                                 \
    do {                                                                 \
        uint64_t late_ = io_now_ns(world.io) + UINT64_C(10000000000);    \
        while (!(condition)) {                                           \
            io_turn(world.io, 20);                                       \
            if (io_now_ns(world.io) > late_) fail_msg("%s", #condition); \
        }                                                                \
    } while (0)

static void turn_for(uint64_t ms)
{
    uint64_t until = io_now_ns(world.io) + ms * 1000000;
    while (io_now_ns(world.io) < until) io_turn(world.io, 5);
}

static const char *content(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", world.dir.path, name);
    FILE *file = fopen(path, "r");
    size_t len = file ? fread(world.text, 1, sizeof world.text - 1, file) : 0;
    if (file) fclose(file);
    world.text[len] = 0;
    return world.text;
}

static size_t count(const char *text, const char *part)
{
    size_t found = 0;
    for (const char *at = text; (at = strstr(at, part)); at++) found++;
    return found;
}

static int gateway_connect(void)
{
    struct sockaddr_in addr = {.sin_family = AF_INET};
    addr.sin_port = htons(parent_address(world.parent, HANDOVER_GATEWAY)->port);
    addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
    return fd;
}

/* The pid of the worker that takes this connection. */
static int answer_on(int fd)
{
    char text[32] = "";
    ssize_t len = 0;
    UNTIL((len = recv(fd, text, sizeof text - 1, MSG_DONTWAIT)) > 0);
    close(fd);
    return (int)strtol(text, NULL, 10);
}

/* The pid of the child in the last hello. */
static int child_pid(void)
{
    const char *at = strstr(content("hellos"), "\"pid\":");
    return at ? (int)strtol(at + 6, NULL, 10) : 0;
}

static void stop_and_wait(void)
{
    parent_stop(world.parent);
    UNTIL(world.ended);
    turn_for(20);
    assert_int_equal(world.ended, 1);
}

static void a_worker_serves_with_the_parents_sockets_and_stops(void **state)
{
    assert_int_equal(begin(NULL), 0);
    UNTIL(world.ready == 1);
    assert_int_equal(answer_on(gateway_connect()), parent_worker_pid(world.parent));
    UNTIL(count(content("shop.log"), "begun") == 1);
    assert_non_null(
        strstr(world.text, "\"instance\":\"c1\",\"stream\":\"out\",\"line\":\"begun\""));
    assert_int_equal(count(content("dure.log"), "worker begun"), 1);
    stop_and_wait();
    assert_int_equal(parent_worker_restarts(world.parent), 0);
    assert_int_equal(parent_worker_pid(world.parent), 0);
}

static void a_killed_worker_is_replaced_and_nothing_else(void **state)
{
    assert_int_equal(begin(NULL), 0);
    UNTIL(world.ready == 1);
    UNTIL(count(content("shop.log"), "begun") == 1);
    int first = parent_worker_pid(world.parent);
    uint16_t port = parent_address(world.parent, HANDOVER_GATEWAY)->port;
    assert_null(strstr(content("hellos"), "kept"));
    kill(first, SIGKILL);
    int waiting = gateway_connect(); /* waits in the listening socket for whoever comes next */
    UNTIL(world.ready == 2);
    int second = parent_worker_pid(world.parent);
    assert_int_not_equal(first, second);
    assert_int_equal(answer_on(waiting), second);
    assert_int_equal(parent_address(world.parent, HANDOVER_GATEWAY)->port, port);
    assert_int_equal(parent_worker_restarts(world.parent), 1);
    /* The second hello names the child that lived on, its tag, and what the first worker kept. */
    const char *hello = strchr(content("hellos"), '\n') + 1;
    assert_non_null(strstr(hello, "\"children\":[{\"id\":\"c1\",\"pid\":"));
    assert_non_null(strstr(hello, "\"tag\":{\"index\":7}"));
    char kept[64];
    snprintf(kept, sizeof kept, "\"kept\":{\"pid\":%d}", first);
    assert_non_null(strstr(hello, kept));
    assert_int_equal(kill(child_pid(), 0), 0);
    assert_int_equal(count(content("shop.log"), "begun"), 1);
    stop_and_wait();
}

static void a_worker_that_dies_at_once_is_started_with_growing_waits(void **state)
{
    assert_int_equal(begin("die"), 0);
    turn_for(1500);
    /* 10 + 20 + 40 + ... ms: seven or eight starts in this time, not hundreds. */
    unsigned restarts = parent_worker_restarts(world.parent);
    assert_in_range(restarts, 4, 8);
    stop_and_wait(); /* between two starts as well */
}

static void a_deaf_worker_and_its_children_end_at_the_second_word(void **state)
{
    assert_int_equal(begin("deaf"), 0);
    UNTIL(world.ready == 1);
    UNTIL(count(content("shop.log"), "begun") == 1);
    parent_stop(world.parent);
    turn_for(500);
    assert_int_equal(world.ended, 0); /* it might still be at it */
    parent_stop(world.parent);
    UNTIL(world.ended);
}

static void a_worker_killed_while_stopping_leaves_the_children_to_the_parent(void **state)
{
    assert_int_equal(begin("deaf"), 0);
    UNTIL(world.ready == 1);
    UNTIL(count(content("shop.log"), "begun") == 1);
    parent_stop(world.parent);
    kill(parent_worker_pid(world.parent), SIGKILL);
    UNTIL(world.ended); /* sleep(1) obeys SIGTERM */
    assert_int_equal(parent_worker_restarts(world.parent), 0);
}

static void the_end_of_a_child_is_told_and_what_it_left_in_its_group_is_killed(void **state)
{
    assert_int_equal(begin(NULL), 0);
    UNTIL(world.ready == 1);
    UNTIL(count(content("shop.log"), "begun") == 1);
    kill(parent_worker_pid(world.parent), SIGKILL);
    UNTIL(world.ready == 2);
    const char *hello = strchr(content("hellos"), '\n') + 1;
    int pid = (int)strtol(strstr(hello, "\"pid\":") + 6, NULL, 10);
    kill(pid, SIGKILL);
    UNTIL(world.said == 1);
    stop_and_wait();
}

static void an_address_in_use_is_refused_with_a_remedy(void **state)
{
    assert_int_equal(begin(NULL), 0);
    UNTIL(world.ready == 1);
    struct parent_options options = {.log = &world.log, .logs = world.dir.path};
    struct error error = {0};
    struct parent *other = NULL;
    for (int i = HANDOVER_GATEWAY; i < HANDOVER_END; i++)
        options.listen[i] = *parent_address(world.parent, HANDOVER_GATEWAY);
    assert_int_equal(parent_new(world.io, &options, &other, &error), ERR_IN_USE);
    assert_non_null(strstr(error.message, "cannot listen on 127.0.0.1:"));
    assert_true(error.remedy[0] != 0);
    stop_and_wait();
}

int main(int argc, char **argv)
{
    fake_worker = argv[1];
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_worker_serves_with_the_parents_sockets_and_stops, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_killed_worker_is_replaced_and_nothing_else, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_worker_that_dies_at_once_is_started_with_growing_waits,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_deaf_worker_and_its_children_end_at_the_second_word,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            a_worker_killed_while_stopping_leaves_the_children_to_the_parent, setup, teardown),
        cmocka_unit_test_setup_teardown(
            the_end_of_a_child_is_told_and_what_it_left_in_its_group_is_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(an_address_in_use_is_refused_with_a_remedy, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
