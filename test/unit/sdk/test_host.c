/* Two modules in one process, and that no socket is between them. */
#include "program.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static struct program program;
static int front, back;

static const char *const modules[] = {MODULES "/front.so", MODULES "/back.so", NULL};

static void find_ports(struct program *p)
{
    const char *at = strstr(p->log, "\"service\":\"front\"");
    bool first = at < strstr(p->log, "\"service\":\"back\"");
    front = p->ports[first ? 0 : 1];
    back = p->ports[first ? 1 : 0];
}

static int begin(void **state)
{
    program_start(&program, NULL, modules, 2, NULL);
    find_ports(&program);
    return 0;
}

static int end(void **state)
{
    program_wait_log(&program, "\"event\":\"tick\"", 3);
    int code = program_stop(&program);
    return code;
}

static const char *get(const char *target)
{
    struct response *r = client_request(front, "GET", target, NULL, NULL);
    assert_int_equal(r->status, 200);
    return r->body;
}

static int sockets_of(pid_t pid)
{
    char path[64], link[400], target[64];
    int count = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    assert_non_null(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        snprintf(link, sizeof link, "%s/%s", path, entry->d_name);
        ssize_t len = readlink(link, target, sizeof target - 1);
        if (len > 7 && memcmp(target, "socket:", 7) == 0) count++;
    }
    closedir(dir);
    return count;
}

/* The program notices a closed connection a little after its client closed it. */
static void wait_sockets(int count)
{
    for (int i = 0; i < 500 && sockets_of(program.pid) != count; i++) usleep(5000);
    assert_int_equal(sockets_of(program.pid), count);
}

static void calls_and_asks_reach_the_neighbour(void **state)
{
    assert_string_equal(get("/call/7"), "OK 200 item 7 full=1 yes");
    const char *missing = get("/call/0");
    assert_memory_equal(missing, "REMOTE 404 {\"title\":\"Not Found\"", 30);
    assert_string_equal(get("/ask/back.greet"), "OK 200 hello to you (back.greet)");
    assert_string_equal(get("/ask/back.wild.a.x.b.c"), "OK 200 a|b.c");
    assert_string_equal(get("/ask/back.wild.a.y.b"), "UNREACHABLE 0 -");
    struct response *r = client_request(front, "POST", "/post", NULL, "{\"a\": [1, 2]}");
    assert_int_equal(r->status, 201);
    assert_string_equal(r->body, "{\"a\":[1,2]}");
    assert_non_null(strstr(r->head, "Content-Type: application/json"));
    assert_string_equal(get("/wrong"), "fine");
}

static void no_socket_is_between_them(void **state)
{
    struct response r;
    int fds[5];
    wait_sockets(2); /* the listeners */
    for (int i = 0; i < 5; i++) {
        fds[i] = client_connect(front);
        client_send(fds[i], "GET /long HTTP/1.1\r\nHost: x\r\nDure-Deadline-Ms: 500\r\n\r\n");
    }
    for (int i = 0;
         i < 500 && !strstr(client_request(back, "GET", "/stats", NULL, NULL)->body, "running=5");
         i++)
        usleep(5000);
    wait_sockets(2 + 5); /* those of the clients */
    for (int i = 0; i < 5; i++) {
        assert_true(client_response(fds[i], &r));
        assert_int_equal(r.status, 504);
        close(fds[i]);
    }
}

static void several_at_once(void **state)
{
    assert_string_equal(get("/all"), "OK 119 together");
    assert_string_equal(get("/all?fail=1"), "REMOTE 119 together");
    assert_string_equal(get("/race"), "2 50 CANCELLED REMOTE REMOTE INVALID");
}

static void wait_back(const char *text)
{
    for (int i = 0; i < 500; i++) {
        if (strstr(client_request(back, "GET", "/stats", NULL, NULL)->body, text)) return;
        usleep(5000);
    }
    fail_msg("back never says %s but %s", text,
             client_request(back, "GET", "/stats", NULL, NULL)->body);
}

static int cancelled_so_far(void)
{
    struct response *r = client_request(back, "GET", "/stats", NULL, NULL);
    return (int)strtol(r->body + strlen("cancelled="), NULL, 10);
}

static void giving_up_goes_all_the_way(void **state)
{
    char text[64];
    wait_back("running=0");
    int before = cancelled_so_far();
    assert_string_equal(get("/short"), "TIMEOUT goes on");
    wait_back("running=0");
    int fd = client_connect(front);
    client_send(fd, "GET /long HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_back("running=1");
    close(fd);
    snprintf(text, sizeof text, "cancelled=%d running=0", before + 2);
    wait_back(text);
    for (int i = 0; i < 500 && !strstr(get("/stats"), "cancelled=1"); i++) usleep(5000);
    assert_string_equal(get("/stats"), "cancelled=1");
}

static void deadline_and_trace_are_handed_on(void **state)
{
    struct response *r =
        client_request(front, "GET", "/remaining", "Dure-Deadline-Ms: 700\r\n", NULL);
    long ms = strtol(r->body, NULL, 10);
    assert_true(ms > 300 && ms <= 700);
    const char *ids = get("/trace");
    assert_memory_equal(ids, ids + 33, 32);
}

static void endless_recursion_ends(void **state)
{
    struct response *r = client_request(front, "GET", "/recursive", NULL, NULL);
    assert_int_equal(r->status, 503);
    assert_non_null(strstr(r->body, "too much at once"));
}

static void each_has_its_environment(void **state)
{
    static const char *const env[] = {
        "DATABASE_URL=sqlite:///of-the-host",
        "DURE_HOST_MODULES=["
        "{\"name\":\"shopfront\",\"module\":\"" MODULES "/front.so\",\"port\":0,"
        "\"env\":{\"OWN\":\"mine\"}},"
        "{\"name\":\"nothing\",\"module\":\"/no/such.so\"},"
        "{\"name\":\"back\",\"module\":\"" MODULES "/back.so\",\"port\":0,"
        "\"env\":{\"DATABASE_URL\":\"sqlite:///of-back\"}}]",
        NULL};
    static const char *const no_paths[] = {NULL};
    struct program p;
    program_start(&p, NULL, no_paths, 2, env);
    assert_non_null(strstr(p.log, "\"event\":\"cannot_load\",\"which\":\"/no/such.so\""));
    int port = strstr(p.log, "\"service\":\"shopfront\"") < strstr(p.log, "\"service\":\"back\"")
                   ? p.ports[0]
                   : p.ports[1];
    assert_string_equal(client_request(port, "GET", "/env", NULL, NULL)->body,
                        "shopfront mine - path");
    assert_string_equal(client_request(port, "GET", "/call/7", NULL, NULL)->body,
                        "OK 200 item 7 full=1 yes");
    assert_int_equal(program_stop(&p), 0);
}

static void wrong_lists_are_refused(void **state)
{
    static const char *const none[] = {NULL};
    static const char *const lists[][2] = {{"DURE_HOST_MODULES=", NULL},
                                           {"DURE_HOST_MODULES={}", NULL},
                                           {"DURE_HOST_MODULES=[{\"name\":1}]", NULL},
                                           {"DURE_HOST_MODULES=[]", NULL},
                                           {"NATS_URL=http://x", NULL},
                                           {"DURE_HTTP=ftp://x", NULL}};
    struct program p;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        program_spawn(&p, NULL, i < 4 ? none : modules, lists[i]);
        assert_int_equal(program_wait(&p), 1);
    }
}

static void exit_hooks_may_ask(void **state)
{
    struct program p;
    program_start(&p, NULL, modules, 2, NULL);
    kill(p.pid, SIGTERM);
    program_wait_log(&p, "back_exit", 1);
    assert_int_equal(program_wait(&p), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_and_asks_reach_the_neighbour),
        cmocka_unit_test(no_socket_is_between_them),
        cmocka_unit_test(several_at_once),
        cmocka_unit_test(giving_up_goes_all_the_way),
        cmocka_unit_test(deadline_and_trace_are_handed_on),
        cmocka_unit_test(endless_recursion_ends),
        cmocka_unit_test(each_has_its_environment),
        cmocka_unit_test(wrong_lists_are_refused),
        cmocka_unit_test(exit_hooks_may_ask),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
