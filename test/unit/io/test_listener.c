#include "harness.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/un.h>

enum { CLIENTS = 150 }; /* more than are accepted in one turn */

static struct io_stream clients[CLIENTS], servers[CLIENTS];
static int connected, accepted, limit;
static struct io_listener listener;

static void connect_done(struct io_stream *stream, int result)
{
    assert_int_equal(result, 0);
    connected++;
}

/* The listener goes away while this one may still be in its queue. */
static void connect_ended(struct io_stream *stream, int result)
{
    assert_true(result == 0 || result == ERR_RESET || result == ERR_REFUSED);
    connected++;
}

static void take(struct io_listener *from)
{
    assert_ptr_equal(from, &listener);
    io_accept(from, &servers[accepted++]);
    if (accepted == limit) io_listener_pause(from, true);
}

static void refuse(struct io_listener *from)
{
    accepted++;
}

static void take_and_free(struct io_listener *from)
{
    io_accept(from, &servers[accepted++]);
    io_listener_close(from);
    free(from); /* ASan sees who still touches it */
}

static void start(const char *text, void (*taker)(struct io_listener *from))
{
    struct io_addr addr;
    connected = accepted = limit = 0;
    parse_addr(text, &addr);
    assert_int_equal(io_listen(io, &listener, &addr, NULL, taker), 0);
}

static void connect_clients(int count)
{
    for (int i = 0; i < count; i++) io_connect(io, &clients[i], &listener.addr, connect_done);
    TURN_UNTIL(connected == count);
}

static void close_streams(struct io_stream *streams, int count)
{
    for (int i = 0; i < count; i++) io_close(&streams[i], NULL);
}

static void test_takes_all_connections(void **state)
{
    static const char *const texts[] = {"127.0.0.1:0", "[::1]:0", ":0", "[::]:0"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        start(texts[i], take);
        assert_int_not_equal(listener.addr.port, 0);
        connect_clients(CLIENTS);
        TURN_UNTIL(accepted == CLIENTS);
        io_listener_close(&listener);
        close_streams(clients, CLIENTS);
        close_streams(servers, CLIENTS);
        io_turn(io, 0);
    }
}

static void expect_loopback_options(const struct io_stream *stream)
{
    char name[16] = "";
    int no_delay = 0;
    socklen_t len = sizeof name;
    assert_int_equal(getsockopt(stream->fd, IPPROTO_TCP, TCP_CONGESTION, name, &len), 0);
    assert_string_equal(name, "reno");
    len = sizeof no_delay;
    assert_int_equal(getsockopt(stream->fd, IPPROTO_TCP, TCP_NODELAY, &no_delay, &len), 0);
    assert_int_not_equal(no_delay, 0);
}

static void test_loopback_options(void **state)
{
    static const char *const texts[] = {"127.0.0.1:0", "[::1]:0", ":0"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        start(texts[i], take);
        if (!listener.addr.ip[0] && !listener.addr.ip[15])
            memcpy(listener.addr.ip, "\x7f\0\0\1", 4);
        connect_clients(1);
        TURN_UNTIL(accepted == 1);
        expect_loopback_options(&clients[0]);
        expect_loopback_options(&servers[0]);
        io_listener_close(&listener);
        close_streams(clients, 1);
        close_streams(servers, 1);
    }
}

static void test_pause_leaves_them_in_the_queue(void **state)
{
    start("127.0.0.1:0", take);
    limit = 1; /* pauses itself inside accepted */
    connect_clients(3);
    settle();
    assert_int_equal(accepted, 1);
    limit = 0;
    io_listener_pause(&listener, false);
    io_listener_pause(&listener, true);
    settle();
    assert_int_equal(accepted, 1);
    io_listener_pause(&listener, false);
    TURN_UNTIL(accepted == 3);
    io_listener_close(&listener);
    close_streams(clients, 3);
    close_streams(servers, 3);
}

static int ended;

static void end_done(struct io_stream *stream, int result)
{
    assert_true(result == 0 || result == ERR_RESET);
    ended++;
}

static void test_connection_that_is_not_taken_is_closed(void **state)
{
    ended = 0;
    start("127.0.0.1:0", refuse);
    connect_clients(1);
    io_recv(&clients[0], NULL, 0, end_done);
    TURN_UNTIL(ended);
    assert_int_equal(accepted, 1);
    io_listener_close(&listener);
    close_streams(clients, 1);
}

static void test_close_inside_accepted(void **state)
{
    struct io_listener *dying = malloc(sizeof *dying);
    struct io_addr addr;
    assert_non_null(dying);
    connected = accepted = 0;
    parse_addr("127.0.0.1:0", &addr);
    assert_int_equal(io_listen(io, dying, &addr, NULL, take_and_free), 0);
    addr = dying->addr;
    io_connect(io, &clients[0], &addr, connect_ended);
    io_connect(io, &clients[1], &addr, connect_ended);
    TURN_UNTIL(connected == 2);
    settle();
    assert_int_equal(accepted, 1);
    close_streams(clients, 2);
    close_streams(servers, 1);
}

static void test_address_in_use(void **state)
{
    struct io_listener second;
    start("127.0.0.1:0", take);
    assert_int_equal(io_listen(io, &second, &listener.addr, NULL, take), ERR_IN_USE);
    io_listener_close(&listener);
    assert_int_equal(io_listen(io, &second, &listener.addr, NULL, take), 0);
    io_listener_close(&second);
}

static void test_adopt(void **state)
{
    struct io_listener maker;
    struct io_addr addr;
    connected = accepted = limit = 0;
    parse_addr("127.0.0.1:0", &addr);
    assert_int_equal(io_listen(io, &maker, &addr, NULL, refuse), 0);
    io_listener_pause(&maker, true);
    int handed = dup(io_listener_fd(&maker));
    assert_int_equal(io_listener_adopt(io, &listener, handed, take), 0);
    assert_int_equal(listener.addr.port, maker.addr.port);
    io_listener_close(&maker); /* the socket lives on */
    connect_clients(2);
    TURN_UNTIL(accepted == 2);
    io_listener_close(&listener);
    close_streams(clients, 2);
    close_streams(servers, 2);

    int plain = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(io_listener_adopt(io, &listener, plain, take), ERR_INVALID);
    close(plain);
    assert_int_equal(io_listener_adopt(io, &listener, -1, take), ERR_CLOSED);
}

/* ---- Unix sockets ------------------------------------------------------------------------ */

static void unix_addr(const char *folder, struct io_addr *addr)
{
    char text[IO_ADDR_TEXT];
    snprintf(text, sizeof text, "unix:%s/s", folder);
    parse_addr(text, addr);
}

static void test_unix_socket_file(void **state)
{
    struct io_listener second;
    struct io_addr addr;
    struct stat status;
    char folder[64];
    make_folder(folder);
    unix_addr(folder, &addr);
    start("127.0.0.1:0", take);
    io_listener_close(&listener);
    assert_int_equal(io_listen(io, &listener, &addr, NULL, take), 0);
    assert_int_equal(stat(addr.path, &status), 0);
    assert_int_equal(status.st_mode, S_IFSOCK | 0600);
    connect_clients(2);
    TURN_UNTIL(accepted == 2);
    assert_int_equal(io_listen(io, &second, &addr, NULL, take), ERR_IN_USE);
    assert_int_equal(stat(addr.path, &status), 0); /* the live one was left alone */
    io_listener_close(&listener);
    assert_int_equal(stat(addr.path, &status), -1);
    close_streams(clients, 2);
    close_streams(servers, 2);

    struct io_listen_options open_to_all = {.unix_mode = 0666};
    assert_int_equal(io_listen(io, &listener, &addr, &open_to_all, take), 0);
    assert_int_equal(stat(addr.path, &status), 0);
    assert_int_equal(status.st_mode, S_IFSOCK | 0666);
    io_listener_close(&listener);
    rmdir(folder);
}

static void test_stale_unix_socket_is_replaced(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct io_addr addr;
    char folder[64];
    make_folder(folder);
    unix_addr(folder, &addr);
    memcpy(address.sun_path, addr.path, sizeof address.sun_path);
    int dead = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(dead, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(dead, 1), 0);
    close(dead);
    assert_int_equal(access(addr.path, F_OK), 0);
    connected = accepted = limit = 0;
    assert_int_equal(io_listen(io, &listener, &addr, NULL, take), 0);
    connect_clients(1);
    TURN_UNTIL(accepted == 1);
    io_listener_close(&listener);
    close_streams(clients, 1);
    close_streams(servers, 1);

    int file = open(addr.path, O_CREAT | O_WRONLY, 0600); /* somebody's data is no socket */
    close(file);
    assert_int_equal(io_listen(io, &listener, &addr, NULL, take), ERR_EXISTS);
    assert_int_equal(access(addr.path, F_OK), 0);
    unlink(addr.path);
    rmdir(folder);
    assert_int_equal(io_listen(io, &listener, &addr, NULL, take), ERR_NOT_FOUND);
}

static void test_adopted_unix_socket_keeps_its_file(void **state)
{
    struct io_listener maker;
    struct io_addr addr;
    char folder[64];
    make_folder(folder);
    unix_addr(folder, &addr);
    assert_int_equal(io_listen(io, &maker, &addr, NULL, refuse), 0);
    assert_int_equal(io_listener_adopt(io, &listener, dup(io_listener_fd(&maker)), take), 0);
    assert_string_equal(listener.addr.path, addr.path);
    io_listener_close(&listener);
    assert_int_equal(access(addr.path, F_OK), 0);
    io_listener_close(&maker);
    assert_int_equal(access(addr.path, F_OK), -1);
    rmdir(folder);
}

/* ---- shortage ---------------------------------------------------------------------------- */

/* Without descriptors the loop must neither spin nor forget the connection. */
static void test_waits_for_descriptors(void **state)
{
    struct rlimit before, none;
    start("127.0.0.1:0", take);
    io_connect(io, &clients[0], &listener.addr, connect_done);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int turns = 0;
    for (uint64_t start_ms = real_ms(); real_ms() < start_ms + 250; turns++) io_turn(io, 1000);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(accepted, 0);
    assert_in_range(turns, 1, 20);
    TURN_UNTIL(accepted == 1);
    io_listener_close(&listener);
    close_streams(clients, 1);
    close_streams(servers, 1);
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, make_loop, free_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_takes_all_connections),
        WITH_LOOP(test_loopback_options),
        WITH_LOOP(test_pause_leaves_them_in_the_queue),
        WITH_LOOP(test_connection_that_is_not_taken_is_closed),
        WITH_LOOP(test_close_inside_accepted),
        WITH_LOOP(test_address_in_use),
        WITH_LOOP(test_adopt),
        WITH_LOOP(test_unix_socket_file),
        WITH_LOOP(test_stale_unix_socket_is_replaced),
        WITH_LOOP(test_adopted_unix_socket_keeps_its_file),
        WITH_LOOP(test_waits_for_descriptors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
