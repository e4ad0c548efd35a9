/* The smallest proxy: two exchanges and one pump. That it is this small is what exchange.h is for.
 */
#include "harness.h"

static uint64_t seed; /* 0: the real loop */

struct relay {
    struct http_exchange *front, *back; /* NULL: gone */
    struct http_client *client;
};

static struct http_server *edge;
static bool edge_gone;
static size_t relays;
static int front_result;

static void pump(struct http_exchange *from);

static struct http_exchange *other(const struct http_exchange *x)
{
    struct relay *relay = x->context;
    return x == relay->front ? relay->back : relay->front;
}

static void pumped(struct http_exchange *to)
{
    if (other(to)) pump(other(to));
}

static void pump_read(struct http_exchange *from, int result, struct bytes piece)
{
    struct http_exchange *to = other(from);
    if (result < 0) {
        if (to) http_abort(to);
        http_refuse(from, result, BYTES(""));
        return;
    }
    if (to && !to->sent_last) http_write(to, piece, result == HTTP_LAST, pumped);
}

static void pump(struct http_exchange *from)
{
    if (!from->last_given) http_read(from, pump_read);
}

static void relay_settle(struct relay *relay)
{
    if (relay->front || relay->back) return;
    http_client_close(relay->client);
    free(relay);
    relays--;
}

static void back_closed(struct http_exchange *x, int result)
{
    struct relay *relay = x->context;
    relay->back = NULL;
    if (result && relay->front && !relay->front->head_sent)
        http_problem(relay->front, 502, NULL, BYTES("the server did not answer"), BYTES(""));
    else if (result && relay->front)
        http_abort(relay->front);
    relay_settle(relay);
}

static void front_closed(struct http_exchange *x, int result)
{
    struct relay *relay = x->context;
    front_result = result + 1000;
    relay->front = NULL;
    if (relay->back) http_abort(relay->back);
    relay_settle(relay);
}

static void back_responded(struct http_exchange *back)
{
    struct relay *relay = back->context;
    struct http_exchange *front = relay->front;
    if (!front) return;
    http_head_response(&front->out, back->in.status);
    http_head_copy_all(&front->out, &back->in, 0);
    assert_int_equal(http_send_head(front, http_body_length(back)), 0);
    if (!front->sent_last) pump(back);
}

static void back_connected(struct http_client *client, int result)
{
    struct relay *relay = http_client_context(client);
    struct http_exchange *front = relay->front;
    if (!front) {
        relay_settle(relay);
        return;
    }
    if (result < 0) {
        http_problem(front, 503, NULL, BYTES(""), BYTES(""));
        return;
    }
    struct http_exchange *back = relay->back = http_client_begin(client, back_responded);
    back->context = relay;
    back->closed = back_closed;
    http_head_request(&back->out, front->in.method_name, front->in.target);
    http_head_copy_all(&back->out, &front->in, 0);
    assert_int_equal(http_send_head(back, http_body_length(front)), 0);
    if (!back->sent_last) pump(front);
}

static void edge_request(struct http_exchange *x)
{
    static const struct http_client_options options = {0};
    struct relay *relay = calloc(1, sizeof *relay);
    relay->front = x;
    x->context = relay;
    x->closed = front_closed;
    relays++;
    assert_int_equal(http_client_new(&http, &options, relay, &relay->client), 0);
    http_client_connect(relay->client, http_server_addr(server), back_connected);
}

static void edge_closed(void *context)
{
    (void)context;
    edge_gone = true;
}

static void begin(struct peer *peer)
{
    struct io_addr addr = any_port();
    loop_begin(seed);
    server_begin((struct http_server_options){0});
    edge_gone = false;
    front_result = 0;
    assert_int_equal(http_server_open(&http, &addr,
                                      &(struct http_server_options){.request = edge_request},
                                      &edge),
                     0);
    peer_open(peer, http_server_addr(edge));
}

static void end(struct peer *peer)
{
    peer_close(peer);
    TURN_UNTIL(relays == 0);
    http_server_close(edge, 0, edge_closed);
    TURN_UNTIL(edge_gone);
    server_end();
    loop_end();
}

static struct peer peer;

static void relays_small_messages(void **state)
{
    (void)state;
    begin(&peer);
    peer_send(&peer, BYTES("GET /hello HTTP/1.1\r\nHost: a\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n"
                           "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n"
                           "POST /chunked HTTP/1.1\r\nHost: a\r\nX-End: 1\r\nX-Hop: 2\r\n"
                           "Connection: x-hop\r\nTransfer-Encoding: chunked\r\n\r\n"
                           "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n"
                           "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nxy"
                           "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n"));
    TURN_UNTIL_HAS(&peer, "204 No Content");
    assert_int_equal(peer_count(&peer, "HTTP/1.1 "), 5);
    assert_int_equal(peer_count(&peer, "Content-Length: 5\r\n"), 2);
    assert_int_equal(peer_count(&peer, "\r\n\r\nhello"), 1);
    assert_has(&peer, "X-End: 1\r\nTransfer-Encoding: chunked\r\n");
    assert_false(peer_has(&peer, "X-Hop"));
    assert_has(&peer, "\r\n\r\n2HTTP/1.1 204");
    end(&peer);
}

static size_t body_len(void)
{
    struct bytes in = buf_bytes(&peer.in);
    const char *end = memmem(in.data, in.len, "\r\n\r\n", 4);
    return end ? (size_t)(in.data + in.len - end) - 4 : 0;
}

/* `size` bytes there and back again, chunked or not. */
static void relay_large(size_t size, bool chunked)
{
    char *text = malloc(size + 256);
    int head = snprintf(text, 256,
                        chunked ? "POST /chunked HTTP/1.1\r\nHost: a\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n%zx\r\n"
                                : "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
                        size);
    for (size_t i = 0; i < size; i++) text[(size_t)head + i] = (char)(i % 251);
    memcpy(text + head + size, "\r\n0\r\n\r\n", 7);
    size_t len = (size_t)head + size + (chunked ? 7 : 0);
    begin(&peer);
    peer_post(&peer, bytes_make(text, len));
    TURN_UNTIL(front_result);
    assert_int_equal(front_result, 1000);
    if (chunked) {
        TURN_UNTIL(peer_has(&peer, "\r\n0\r\n\r\n"));
    } else {
        TURN_UNTIL(body_len() == size);
        assert_memory_equal(peer.in.data + peer.in.end - size, text + head, size);
    }
    end(&peer);
    free(text);
}

static void relays_large_messages(void **state)
{
    (void)state;
    size_t size = seed ? 300 * 1000 : 50 * 1000 * 1000;
    relay_large(size, false);
    relay_large(size, true);
}

static void a_break_behind_reaches_the_front(void **state)
{
    (void)state;
    begin(&peer);
    peer_send(&peer, BYTES("GET /abort HTTP/1.1\r\nHost: a\r\n\r\n"));
    TURN_UNTIL_HAS(&peer, "did not answer");
    assert_has(&peer, "HTTP/1.1 502 ");
    peer_send(&peer, BYTES("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n"));
    TURN_UNTIL(buf_len(&peer.in) > 500 * 1000);
    http_server_close(server, 0, server_closed);
    TURN_UNTIL(server_gone && peer.ended);
    assert_false(peer_has(&peer, "\r\n0\r\n\r\n")); /* the client sees that it is cut off */
    peer_close(&peer);
    TURN_UNTIL(relays == 0);
    http_server_close(edge, 0, edge_closed);
    TURN_UNTIL(edge_gone);
    loop_end();
}

static void a_break_in_front_reaches_behind(void **state)
{
    (void)state;
    begin(&peer);
    peer_send(&peer, BYTES("GET /endless HTTP/1.1\r\nHost: a\r\n\r\n"));
    TURN_UNTIL(buf_len(&peer.in) > 500 * 1000);
    peer_close(&peer);
    TURN_UNTIL(last_closed && relays == 0);
    assert_true(last_closed < 1000);
    peer_open(&peer, http_server_addr(edge));
    last_closed = 0;
    peer_send(&peer, BYTES("POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"));
    turn_for(20);
    peer_close(&peer);
    TURN_UNTIL(last_closed && relays == 0);
    assert_int_equal(last_closed, 1000 + ERR_EOF);
    peer_open(&peer, http_server_addr(edge));
    end(&peer);
}

static int on_machine(void **state)
{
    (void)state;
    seed = 0;
    return 0;
}

#define ON_BOTH(test) cmocka_unit_test_setup(test, on_machine), cmocka_unit_test(test##_sim)

/* The same on a simulated host: segments cut anywhere, completions in any order. */
#define SIM(test)                                       \
    static void test##_sim(void **state)                \
    {                                                   \
        for (seed = 1; seed <= 20; seed++) test(state); \
    }

SIM(relays_small_messages)
SIM(relays_large_messages)
SIM(a_break_behind_reaches_the_front)
SIM(a_break_in_front_reaches_behind)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ON_BOTH(relays_small_messages),
        ON_BOTH(relays_large_messages),
        ON_BOTH(a_break_behind_reaches_the_front),
        ON_BOTH(a_break_in_front_reaches_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
