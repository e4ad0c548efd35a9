#include "harness.h"

#include <fcntl.h>
#include <signal.h>

/* The three things that a stream can be. */
enum kind { TCP, UNIX, PIPE, KINDS };

struct end {
    struct io_stream stream;
    bool connected, closed;
    int connect_result, recv_result, recv_count, send_result, send_count;
    char text[64];
};

static struct end left, right; /* left sends to right; a pipe goes this way only */
static struct io_listener listener;

static struct end *end_of(struct io_stream *stream)
{
    return CONTAINER_OF(stream, struct end, stream);
}

static void connect_done(struct io_stream *stream, int result)
{
    struct end *end = end_of(stream);
    assert_false(end->closed);
    end->connected = true;
    end->connect_result = result;
}

static void recv_done(struct io_stream *stream, int result)
{
    struct end *end = end_of(stream);
    assert_false(end->closed);
    end->recv_result = result;
    end->recv_count++;
    if (result > 0 && result < (int)sizeof end->text) {
        memcpy(end->text, io_recv_data(stream), (size_t)result);
        end->text[result] = '\0';
    }
}

static void send_done(struct io_stream *stream, int result)
{
    struct end *end = end_of(stream);
    assert_false(end->closed);
    end->send_result = result;
    end->send_count++;
}

static void closed(struct io_stream *stream)
{
    struct end *end = end_of(stream);
    assert_false(end->closed);
    end->closed = true;
}

static void take_right(struct io_listener *from)
{
    io_accept(from, &right.stream);
    right.connected = true;
}

static void open_pair(enum kind kind)
{
    int fds[2];
    memset(&left, 0, sizeof left);
    memset(&right, 0, sizeof right);
    if (kind == TCP) {
        struct io_addr addr;
        parse_addr("127.0.0.1:0", &addr);
        assert_int_equal(io_listen(io, &listener, &addr, NULL, take_right), 0);
        io_connect(io, &left.stream, &listener.addr, connect_done);
        assert_false(left.connected);
        TURN_UNTIL(left.connected && right.connected);
        assert_int_equal(left.connect_result, 0);
        io_listener_close(&listener);
        return;
    }
    if (kind == UNIX)
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    else
        assert_int_equal(pipe(fds), 0);
    assert_int_equal(io_stream_adopt(io, &right.stream, fds[0]), 0);
    assert_int_equal(io_stream_adopt(io, &left.stream, fds[1]), 0);
}

static void close_pair(void)
{
    if (!left.closed) io_close(&left.stream, closed);
    if (!right.closed) io_close(&right.stream, closed);
    TURN_UNTIL(left.closed && right.closed);
}

static const struct iovec hello[] = {{(char *)"hel", 3}, {(char *)"", 0}, {(char *)"lo", 2}};

static void test_message_arrives(void **state)
{
    for (enum kind kind = TCP; kind < KINDS; kind++) {
        open_pair(kind);
        io_recv(&right.stream, NULL, 0, recv_done);
        io_send(&left.stream, hello, 3, send_done);
        assert_int_equal(left.send_count, 0); /* never inside the call */
        TURN_UNTIL(right.recv_count && left.send_count);
        assert_int_equal(left.send_result, 5);
        assert_string_equal(right.text, "hello");
        io_send(&left.stream, hello, 0, send_done); /* nothing at all */
        TURN_UNTIL(left.send_count == 2);
        assert_int_equal(left.send_result, 0);
        close_pair();
    }
}

/* One turn for the request and one for the answer: the completions of what a turn sends run in the
 * same turn. */
static void test_send_completes_in_the_turn(void **state)
{
    open_pair(UNIX);
    settle();
    io_send(&left.stream, hello, 3, send_done);
    io_turn(io, 0);
    assert_int_equal(left.send_count, 1);
    close_pair();
}

static void test_scratch_is_limited_by_size(void **state)
{
    char own[2];
    open_pair(TCP);
    io_send(&left.stream, hello, 3, send_done);
    io_recv(&right.stream, NULL, 2, recv_done);
    TURN_UNTIL(right.recv_count == 1);
    assert_string_equal(right.text, "he");
    io_recv(&right.stream, own, 2, recv_done);
    TURN_UNTIL(right.recv_count == 2);
    assert_memory_equal(own, "ll", 2);
    assert_ptr_equal(io_recv_data(&right.stream), own);
    io_recv(&right.stream, NULL, 0, recv_done);
    TURN_UNTIL(right.recv_count == 3);
    assert_string_equal(right.text, "o");
    close_pair();
}

/* ---- large transfers --------------------------------------------------------------------- */

enum { PIECE = 3 << 20, PIECES = 8 };

static char *pattern;
static size_t received, pauses;
static struct iovec pieces[IO_SEND_IOV];
static size_t starts[IO_SEND_IOV]; /* of the pieces, in the pattern */

static char pattern_at(size_t i)
{
    return (char)(i * 2654435761u >> 13);
}

static void check_done(struct io_stream *stream, int result)
{
    assert_true(result > 0);
    const char *data = io_recv_data(stream);
    for (size_t len = (size_t)result; len;) {
        size_t at = received % PIECE, part = len < PIECE - at ? len : PIECE - at;
        assert_memory_equal(data, pattern + at, part);
        data += part;
        len -= part;
        received += part;
    }
    /* Now and then the reader waits, so that the sender meets a full buffer. */
    if (received / 1000000 > pauses) {
        pauses = received / 1000000;
        end_of(stream)->recv_count++;
    } else if (received < (size_t)PIECE * PIECES) {
        io_recv(stream, NULL, 0, check_done);
    }
}

/* Every third piece is in shared memory. */
static bool in_shared(int i)
{
    return i % 3 == 1;
}

static void share_pieces(void)
{
    for (int i = 0; i < IO_SEND_IOV; i++) {
        const char *bytes = pattern + starts[i];
        if (!in_shared(i)) continue;
        const char *block = io_shared_new(io, bytes, pieces[i].iov_len);
        assert_non_null(block);
        assert_memory_equal(block, bytes, pieces[i].iov_len);
        pieces[i].iov_base = (char *)block;
    }
}

static void unshare_pieces(void)
{
    for (int i = 0; i < IO_SEND_IOV; i++)
        if (in_shared(i)) io_shared_free(io, pieces[i].iov_base, pieces[i].iov_len);
}

/* What was sent is still in the kernel's queues: that the blocks have been freed and that others
 * are where they were must not be seen there. */
static void share_anew(void)
{
    static const char zeros[PIECE];
    const char *others[IO_SEND_IOV];
    unshare_pieces();
    for (int i = 0; i < IO_SEND_IOV; i++)
        if (in_shared(i)) others[i] = io_shared_new(io, zeros, pieces[i].iov_len);
    share_pieces();
    for (int i = 0; i < IO_SEND_IOV; i++)
        if (in_shared(i)) io_shared_free(io, others[i], pieces[i].iov_len);
}

static void test_large_transfer_with_back_pressure(void **state)
{
    pattern = malloc(PIECE);
    assert_non_null(pattern);
    for (size_t i = 0; i < PIECE; i++) pattern[i] = pattern_at(i);
    size_t at = 0;
    for (int i = 0; i < IO_SEND_IOV; i++) {
        size_t len = i == IO_SEND_IOV - 1 ? PIECE - at : (size_t)i * 311 + (size_t)(i % 3);
        pieces[i] = (struct iovec){pattern + at, len};
        starts[i] = at;
        at += len;
    }
    share_pieces();
    for (enum kind kind = TCP; kind < KINDS; kind++) {
        open_pair(kind);
        received = pauses = 0;
        int sent = 0, resumed = 0;
        io_recv(&right.stream, NULL, 0, check_done);
        io_send(&left.stream, pieces, IO_SEND_IOV, send_done);
        uint64_t give_up_ms = real_ms() + 60000;
        while (received < (size_t)PIECE * PIECES) {
            io_turn(io, 100);
            if (left.send_count > sent) {
                sent = left.send_count;
                assert_int_equal(left.send_result, PIECE);
                share_anew();
                if (sent < PIECES) io_send(&left.stream, pieces, IO_SEND_IOV, send_done);
            }
            if (right.recv_count > resumed && received < (size_t)PIECE * PIECES) {
                resumed = right.recv_count;
                settle(); /* the sender fills what there is and then waits */
                io_recv(&right.stream, NULL, 0, check_done);
            }
            assert_true(real_ms() < give_up_ms);
        }
        TURN_UNTIL(left.send_count == PIECES);
        assert_int_equal(received, (size_t)PIECE * PIECES);
        close_pair();
    }
    unshare_pieces();
    free(pattern);
}

/* ---- ends -------------------------------------------------------------------------------- */

static void test_end_of_stream(void **state)
{
    for (enum kind kind = TCP; kind < KINDS; kind++) {
        open_pair(kind);
        io_send(&left.stream, hello, 3, send_done);
        TURN_UNTIL(left.send_count);
        io_shutdown(&left.stream);
        io_recv(&right.stream, NULL, 0, recv_done);
        TURN_UNTIL(right.recv_count == 1);
        assert_string_equal(right.text, "hello");
        for (int again = 2; again < 4; again++) { /* the end stays the end */
            io_recv(&right.stream, NULL, 0, recv_done);
            TURN_UNTIL(right.recv_count == again);
            assert_int_equal(right.recv_result, 0);
        }
        if (kind != PIPE) { /* the other direction still works */
            io_recv(&left.stream, NULL, 0, recv_done);
            io_send(&right.stream, hello, 3, send_done);
            TURN_UNTIL(left.recv_count);
            assert_string_equal(left.text, "hello");
        }
        close_pair();
    }
}

static void test_end_that_was_there_before_the_data_was_read(void **state)
{
    for (enum kind kind = TCP; kind < KINDS; kind++) {
        open_pair(kind);
        io_send(&left.stream, hello, 3, send_done);
        TURN_UNTIL(left.send_count);
        io_close(&left.stream, closed);
        TURN_UNTIL(left.closed);
        settle(); /* the loop knows of data and end together: there will be no further edge */
        io_recv(&right.stream, NULL, 0, recv_done);
        TURN_UNTIL(right.recv_count == 1);
        assert_int_equal(right.recv_result, 5);
        io_recv(&right.stream, NULL, 0, recv_done);
        TURN_UNTIL(right.recv_count == 2);
        assert_int_equal(right.recv_result, 0);
        close_pair();
    }
}

static void test_waiting_receive_is_told_of_the_end(void **state)
{
    for (enum kind kind = TCP; kind < KINDS; kind++) {
        open_pair(kind);
        io_recv(&right.stream, NULL, 0, recv_done);
        settle();
        assert_int_equal(right.recv_count, 0);
        io_close(&left.stream, closed);
        TURN_UNTIL(right.recv_count);
        assert_int_equal(right.recv_result, 0);
        close_pair();
    }
}

static void test_reset(void **state)
{
    open_pair(TCP);
    io_recv(&right.stream, NULL, 0, recv_done);
    settle();
    struct linger now = {1, 0};
    assert_int_equal(setsockopt(left.stream.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
    io_close(&left.stream, closed);
    TURN_UNTIL(right.recv_count);
    assert_int_equal(right.recv_result, ERR_RESET);
    io_send(&right.stream, hello, 3, send_done);
    TURN_UNTIL(right.send_count);
    assert_int_equal(right.send_result, ERR_RESET);
    close_pair();
}

static void test_send_to_nobody(void **state)
{
    struct iovec big = {calloc(1, 1 << 24), 1 << 24};
    for (enum kind kind = UNIX; kind < KINDS; kind++) {
        open_pair(kind);
        io_send(&left.stream, &big, 1, send_done);
        settle();
        assert_int_equal(left.send_count, 0); /* waits: nobody reads */
        io_close(&right.stream, closed);
        TURN_UNTIL(left.send_count);
        assert_int_equal(left.send_result, ERR_RESET);
        close_pair();
    }
    free(big.iov_base);
}

/* ---- close and cancel -------------------------------------------------------------------- */

static void test_close_completes_what_is_in_flight(void **state)
{
    struct iovec big = {calloc(1, 1 << 24), 1 << 24};
    for (enum kind kind = TCP; kind < KINDS; kind++) {
        open_pair(kind);
        io_send(&left.stream, &big, 1, send_done);
        if (kind != PIPE) io_recv(&left.stream, NULL, 0, recv_done);
        io_turn(io, 0);
        io_close(&left.stream, closed);
        assert_false(left.closed); /* never inside the call */
        assert_int_equal(left.send_count, 0);
        TURN_UNTIL(left.closed);
        assert_int_equal(left.send_count, 1);
        assert_int_equal(left.send_result, ERR_CLOSED);
        assert_int_equal(left.recv_count, kind != PIPE);
        if (kind != PIPE) assert_int_equal(left.recv_result, ERR_CLOSED);
        close_pair();
    }
    free(big.iov_base);
}

/* A send that the kernel took, but whose owner has not been told yet, is still in flight. */
static void test_close_behind_a_send_that_succeeded(void **state)
{
    open_pair(UNIX);
    settle();
    io_send(&left.stream, hello, 3, send_done);
    io_close(&left.stream, closed);
    TURN_UNTIL(left.closed);
    assert_int_equal(left.send_count, 1);
    assert_int_equal(left.send_result, ERR_CLOSED);
    close_pair();
}

static void test_close_while_connecting(void **state)
{
    struct io_addr addr;
    memset(&left, 0, sizeof left);
    parse_addr("127.0.0.1:0", &addr);
    assert_int_equal(io_listen(io, &listener, &addr, NULL, take_right), 0);
    io_connect(io, &left.stream, &listener.addr, connect_done);
    io_listener_close(&listener);
    io_close(&left.stream, closed);
    TURN_UNTIL(left.closed);
    assert_true(left.connected);
    assert_int_equal(left.connect_result, ERR_CLOSED);
}

/* Both ends have news in the same wait; the first completion closes the other stream and frees its
 * memory. ASan sees whoever still touches it. */
static struct end *victim;
static int killed;

static void victim_closed(struct io_stream *stream)
{
    free(end_of(stream));
    victim = NULL;
}

static void must_not_succeed(struct io_stream *stream, int result)
{
    assert_int_equal(result, ERR_CLOSED);
    killed++;
}

static void kill_other(struct io_stream *stream, int result)
{
    assert_int_equal(result, 1);
    io_close(&victim->stream, victim_closed);
}

static void test_event_for_a_closed_stream_is_not_delivered(void **state)
{
    int first[2], second[2];
    struct end killer = {0};
    killed = 0;
    victim = calloc(1, sizeof *victim);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, first), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, second), 0);
    assert_int_equal(io_stream_adopt(io, &killer.stream, first[0]), 0);
    assert_int_equal(io_stream_adopt(io, &victim->stream, second[0]), 0);
    settle();
    io_recv(&killer.stream, NULL, 0, kill_other);
    io_recv(&victim->stream, NULL, 0, must_not_succeed);
    assert_int_equal(write(first[1], "x", 1), 1);
    assert_int_equal(write(second[1], "x", 1), 1);
    io_turn(io, 1000);
    assert_null(victim);
    assert_int_equal(killed, 1);
    close(first[1]);
    close(second[1]);
    io_close(&killer.stream, NULL);
    io_turn(io, 0);
}

static void test_cancelled_receive_does_not_complete(void **state)
{
    for (enum kind kind = TCP; kind < KINDS; kind++) {
        open_pair(kind);
        io_recv(&right.stream, NULL, 0, recv_done);
        settle();
        io_recv_cancel(&right.stream);
        io_recv_cancel(&right.stream);
        io_send(&left.stream, hello, 3, send_done);
        settle();
        assert_int_equal(right.recv_count, 0);
        io_recv(&right.stream, NULL, 0, recv_done); /* the edge was remembered */
        TURN_UNTIL(right.recv_count);
        assert_string_equal(right.text, "hello");
        close_pair();
    }
}

/* ---- connecting and adopting ------------------------------------------------------------- */

static void test_connect_refused(void **state)
{
    struct io_addr addr;
    parse_addr("127.0.0.1:0", &addr);
    assert_int_equal(io_listen(io, &listener, &addr, NULL, take_right), 0);
    addr = listener.addr;
    io_listener_close(&listener);
    memset(&left, 0, sizeof left);
    io_connect(io, &left.stream, &addr, connect_done);
    TURN_UNTIL(left.connected);
    assert_int_equal(left.connect_result, ERR_REFUSED);
    io_close(&left.stream, closed);
    TURN_UNTIL(left.closed);

    memset(&left, 0, sizeof left);
    parse_addr("unix:/nonexistent/socket", &addr);
    io_connect(io, &left.stream, &addr, connect_done);
    assert_false(left.connected);
    TURN_UNTIL(left.connected);
    assert_int_equal(left.connect_result, ERR_NOT_FOUND);
    io_close(&left.stream, closed);
    TURN_UNTIL(left.closed);
}

static void test_adopt_refuses_what_is_no_stream(void **state)
{
    struct io_stream stream;
    int file = open("/proc/self/exe", O_RDONLY);
    assert_int_equal(io_stream_adopt(io, &stream, file), ERR_UNSUPPORTED);
    close(file);
    int datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
    assert_int_equal(io_stream_adopt(io, &stream, datagram), ERR_UNSUPPORTED);
    close(datagram);
    assert_int_equal(io_stream_adopt(io, &stream, -1), ERR_CLOSED);
}

static void test_peer(void **state)
{
    struct io_addr addr;
    char text[IO_ADDR_TEXT];
    open_pair(TCP);
    assert_int_equal(io_stream_peer(&right.stream, &addr), 0);
    io_addr_format(&addr, text, sizeof text);
    assert_memory_equal(text, "127.0.0.1:", 10);
    assert_int_equal(io_stream_peer(&left.stream, &addr), 0);
    assert_int_equal(addr.port, listener.addr.port);
    close_pair();
    for (enum kind kind = UNIX; kind < KINDS; kind++) {
        open_pair(kind);
        assert_int_equal(io_stream_peer(&right.stream, &addr), ERR_UNSUPPORTED);
        close_pair();
    }
}

/* A stream with endless data gets one receive per turn, so the other one is not kept waiting. */
static int hot_count;

static void hot_done(struct io_stream *stream, int result)
{
    hot_count++;
    io_recv(stream, NULL, 16, hot_done);
}

static void test_one_receive_per_turn(void **state)
{
    static char flood[4096];
    open_pair(UNIX);
    struct iovec iov = {flood, sizeof flood};
    io_send(&left.stream, &iov, 1, send_done);
    settle();
    hot_count = 0;
    io_recv(&right.stream, NULL, 16, hot_done);
    for (int turn = 1; turn <= 5; turn++) {
        io_turn(io, 0);
        assert_int_equal(hot_count, turn);
    }
    io_recv_cancel(&right.stream);
    close_pair();
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, make_loop, free_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_message_arrives),
        WITH_LOOP(test_send_completes_in_the_turn),
        WITH_LOOP(test_scratch_is_limited_by_size),
        WITH_LOOP(test_large_transfer_with_back_pressure),
        WITH_LOOP(test_end_of_stream),
        WITH_LOOP(test_end_that_was_there_before_the_data_was_read),
        WITH_LOOP(test_waiting_receive_is_told_of_the_end),
        WITH_LOOP(test_reset),
        WITH_LOOP(test_send_to_nobody),
        WITH_LOOP(test_close_completes_what_is_in_flight),
        WITH_LOOP(test_close_behind_a_send_that_succeeded),
        WITH_LOOP(test_close_while_connecting),
        WITH_LOOP(test_event_for_a_closed_stream_is_not_delivered),
        WITH_LOOP(test_cancelled_receive_does_not_complete),
        WITH_LOOP(test_connect_refused),
        WITH_LOOP(test_adopt_refuses_what_is_no_stream),
        WITH_LOOP(test_peer),
        WITH_LOOP(test_one_receive_per_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
