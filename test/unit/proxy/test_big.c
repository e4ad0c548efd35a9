/* Large bodies both ways: every byte arrives, in order, and memory stays small however slow a
 * reader is. */
#include "fixture.h"

#include <sys/resource.h>

enum { BIG = 50 << 20 };

static long peak_kb(void)
{
    struct rusage usage;
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* Receives without keeping; checks every byte behind the head. */
struct drain {
    struct io_stream stream;
    struct fixture *f;
    struct buf head;
    uint64_t body;
    bool in_body, eof, closed, connected, stop, receiving;
    struct iovec iov;
};

static void drain_received(struct io_stream *stream, int result);

static void drain_more(struct drain *drain)
{
    if (drain->stop || drain->eof || drain->receiving) return;
    drain->receiving = true;
    io_recv(&drain->stream, NULL, 0, drain_received);
}

static void drain_received(struct io_stream *stream, int result)
{
    struct drain *drain = CONTAINER_OF(stream, struct drain, stream);
    drain->receiving = false;
    if (result <= 0) {
        drain->eof = true;
        return;
    }
    struct bytes text = bytes_make(io_recv_data(stream), (size_t)result);
    if (!drain->in_body) {
        buf_append(&drain->head, text);
        size_t head = raw_head_len(buf_bytes(&drain->head));
        if (!head) {
            drain_more(drain);
            return;
        }
        drain->in_body = true;
        text = bytes_skip(buf_bytes(&drain->head), head);
    }
    for (size_t i = 0; i < text.len; i++)
        if (text.data[i] != pattern_at(drain->body + i))
            fail_msg("byte %lu is wrong", (unsigned long)(drain->body + i));
    drain->body += text.len;
    drain_more(drain);
}

static void drain_connected(struct io_stream *stream, int result)
{
    assert_int_equal(result, 0);
    CONTAINER_OF(stream, struct drain, stream)->connected = true;
}

static void drain_sent(struct io_stream *stream, int result)
{
    assert_true(result > 0);
}

static void drain_closed(struct io_stream *stream)
{
    CONTAINER_OF(stream, struct drain, stream)->closed = true;
}

static void test_large_responses_to_slow_readers(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *b = add_backend(f, SCRIPT_FLOOD, NULL);
    b->flood_size = BIG;
    apply_default(f);
    static const char request[] = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    struct drain drain = {.f = f, .iov = {(char *)request, sizeof request - 1}};
    buf_init(&drain.head, FIXTURE_BUF);
    io_connect(f->io, &drain.stream, &f->edge, drain_connected);
    UNTIL(f, drain.connected);
    io_send(&drain.stream, &drain.iov, 1, drain_sent);
    long before_kb = peak_kb();
    /* Does not read at all for a while: the sockets fill, and nothing else. */
    turn_for(f, 200);
    struct backend_conn *conn = CONTAINER_OF(b->conns.next, struct backend_conn, link);
    uint64_t left = conn->left;
    assert_true(left > BIG / 2);
    turn_for(f, 100);
    assert_int_equal(conn->left, left);
    drain_more(&drain);
    UNTIL(f, drain.body == BIG);
    long grown_kb = peak_kb() - before_kb;
    if (grown_kb > 8 * 1024) fail_msg("memory grew by %ld KiB", grown_kb);
    UNTIL(f, f->event_count == 1);
    assert_int_equal(last_event(f)->bytes_out, BIG);
    assert_int_equal(last_event(f)->error, 0);
    drain.stop = true;
    io_close(&drain.stream, drain_closed);
    UNTIL(f, drain.closed);
    buf_release(&drain.head);
    fixture_free(f);
}

static void test_large_requests(void **state)
{
    struct fixture *f = fixture_new(NULL);
    struct backend *b = add_backend(f, SCRIPT_SINK, NULL);
    apply_default(f);
    struct client client;
    client_open(&client, f, &f->edge);
    char head[128];
    enum { PIECE = 64 << 10 };
    static char piece[PIECE];
    snprintf(head, sizeof head, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", BIG);
    client_send(&client, bytes_str(head));
    uint64_t sum = 0;
    long before_kb = peak_kb();
    for (uint64_t at = 0; at < BIG; at += PIECE) {
        UNTIL(f, !client.sending);
        for (uint64_t i = 0; i < PIECE; i++) {
            piece[i] = pattern_at(at + i);
            sum = sum * 31 + (unsigned char)piece[i];
        }
        client_send(&client, bytes_make(piece, PIECE));
    }
    UNTIL(f, raw_message_len(client_text(&client), true));
    assert_int_equal(raw_status(client_text(&client)), 200);
    assert_int_equal(b->body_bytes, BIG);
    assert_true(b->body_sum == sum);
    long grown_kb = peak_kb() - before_kb;
    if (grown_kb > 8 * 1024) fail_msg("memory grew by %ld KiB", grown_kb);
    client_close(&client);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_large_responses_to_slow_readers),
        cmocka_unit_test(test_large_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
