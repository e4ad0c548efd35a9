/* What flows through an encrypted stream, and how it ends. Who may talk to whom: test_tls_trust. */
#include "tls_harness.h"

static void test_message_arrives_both_ways(void **state)
{
    struct io_tls_info info;
    shake_well();
    send_text(&client, "hello");
    assert_int_equal(client.send_result, 5);
    receive(&server);
    assert_string_equal(server.text, "hello");
    send_text(&server, "world");
    receive(&client);
    assert_string_equal(client.text, "world");
    assert_int_equal(io_tls_info(&client.stream, &info), 0);
    assert_string_equal(info.version, "TLSv1.3");
    assert_true(info.peer_verified);
    assert_int_equal(info.alpn.len, 0);
    assert_true(io_tls_used(&client.stream));
    assert_string_equal(io_tls_problem(&client.stream), "");
    close_ends();
}

static void test_pieces_are_gathered(void **state)
{
    static const struct iovec hello[] = {
        {(char *)"hel", 3}, {(char *)"", 0}, {(char *)"lo", 2}, {(char *)"", 0}};
    shake_well();
    io_send(&client.stream, hello, 4, send_done);
    assert_true(io_send_taken(&client.stream));
    TURN_UNTIL(client.sent);
    assert_int_equal(client.send_result, 5);
    receive(&server);
    assert_string_equal(server.text, "hello");
    client.sent = false;
    io_send(&client.stream, hello, 0, send_done); /* nothing at all */
    TURN_UNTIL(client.sent);
    assert_int_equal(client.send_result, 0);
    close_ends();
}

static void test_small_receives_take_a_record_apart(void **state)
{
    char own[2];
    shake_well();
    send_text(&client, "abcdef");
    io_recv(&server.stream, own, 2, recv_done);
    TURN_UNTIL(server.recv_count == 1);
    assert_string_equal(server.text, "ab");
    assert_ptr_equal(io_recv_data(&server.stream), own);
    io_recv(&server.stream, NULL, 3, recv_done);
    TURN_UNTIL(server.recv_count == 2);
    assert_string_equal(server.text, "cde");
    receive(&server);
    assert_string_equal(server.text, "f");
    close_ends();
}

static char big[3 << 20];

/* More than the kernel holds: the sender goes on when there is room, in both directions at once. */
static void test_bulk_both_ways(void **state)
{
    struct end *ends[] = {&client, &server};
    struct iovec pieces[] = {{big, 1 << 20}, {big + (1 << 20), 7}, {big + (1 << 20) + 7, 2097145}};
    for (size_t i = 0; i < sizeof big; i++) big[i] = (char)(i * 2654435761u >> 13);
    shake_well();
    static char got[2][sizeof big];
    for (int i = 0; i < 2; i++) io_send(&ends[i]->stream, pieces, 3, send_done);
    assert_false(io_send_taken(&client.stream));
    while (client.received < sizeof big || server.received < sizeof big) {
        int before[] = {client.recv_count, server.recv_count};
        size_t had[] = {client.received, server.received};
        for (int i = 0; i < 2; i++)
            if (ends[i]->received < sizeof big) {
                char *to = got[i] + ends[i]->received;
                io_recv(&ends[i]->stream, to, sizeof big - ends[i]->received, recv_done);
            }
        for (int i = 0; i < 2; i++)
            TURN_UNTIL(had[i] == sizeof big || ends[i]->recv_count > before[i]);
    }
    TURN_UNTIL(client.sent && server.sent);
    assert_int_equal(client.send_result, sizeof big);
    for (int i = 0; i < 2; i++) assert_memory_equal(got[i], big, sizeof big);
    close_ends();
}

/* INFO first, then TLS; the client's first bytes may come with what was read before. */
static void test_start_behind_clear_text(void **state)
{
    struct io_tls_context *ours = make_context(false, -1, AUTHORITY, 0, NULL);
    struct io_tls_context *theirs = make_context(true, BUS, -1, 0, NULL);
    char early[2048];
    open_ends();
    send_text(&server, "INFO\r\n");
    receive(&client);
    assert_string_equal(client.text, "INFO\r\n");
    start(&client, ours, "bus.example");
    io_recv(&server.stream, early, sizeof early, recv_done);
    TURN_UNTIL(server.recv_count == 1);
    struct bytes head = bytes_make(early, (size_t)server.recv_result);
    assert_int_equal(io_tls_looks_like(head), 1);
    struct io_tls_start how = {.context = theirs, .early = head};
    assert_int_equal(io_tls_start(&server.stream, &how, start_done), 0);
    memset(early, 0, sizeof early); /* was copied */
    TURN_UNTIL(client.started && server.started);
    assert_int_equal(client.start_result, 0);
    assert_int_equal(server.start_result, 0);
    send_text(&client, "CONNECT");
    receive(&server);
    assert_string_equal(server.text, "CONNECT");
    io_tls_context_unref(ours);
    io_tls_context_unref(theirs);
    close_ends();
}

/* ---- ends ---------------------------------------------------------------------------------- */

static void test_shutdown_is_the_end_of_one_way(void **state)
{
    shake_well();
    send_text(&client, "last");
    io_shutdown(&client.stream);
    receive(&server);
    assert_string_equal(server.text, "last");
    receive(&server);
    assert_int_equal(server.recv_result, 0);
    receive(&server); /* and stays so */
    assert_int_equal(server.recv_result, 0);
    send_text(&server, "answer");
    assert_int_equal(server.send_result, 6);
    receive(&client);
    assert_string_equal(client.text, "answer");
    io_shutdown(&server.stream);
    receive(&client);
    assert_int_equal(client.recv_result, 0);
    close_ends();
}

static void test_close_says_so(void **state)
{
    shake_well();
    io_close(&client.stream, closed);
    TURN_UNTIL(client.closed);
    receive(&server);
    assert_int_equal(server.recv_result, 0);
    close_ends();
}

/* Anybody on the way can send a FIN. */
static void test_cut_is_no_end(void **state)
{
    shake_well();
    send_text(&client, "half");
    shutdown(client.stream.fd, SHUT_WR);
    receive(&server);
    assert_string_equal(server.text, "half");
    receive(&server);
    assert_int_equal(server.recv_result, ERR_RESET);
    receive(&server);
    assert_int_equal(server.recv_result, ERR_RESET);
    close_ends();
}

static void test_close_fails_what_is_in_flight(void **state)
{
    struct iovec piece = {big, sizeof big};
    shake_well();
    io_recv(&client.stream, NULL, 0, recv_done);
    io_send(&client.stream, &piece, 1, send_done);
    io_close(&client.stream, closed);
    assert_false(client.sent);
    TURN_UNTIL(client.closed);
    assert_int_equal(client.recv_result, ERR_CLOSED);
    assert_int_equal(client.send_result, ERR_CLOSED);
    close_ends();
}

static void test_close_without_a_word_back(void **state)
{
    shake_well();
    io_close(&client.stream, NULL);
    memset(&client.stream, 0xdb, sizeof client.stream); /* nobody touches it any more */
    receive(&server);
    assert_int_equal(server.recv_result, 0);
    client.closed = true;
    client.stream.filter = NULL;
    close_ends();
}

static void test_close_during_the_handshake(void **state)
{
    struct io_tls_context *ours = make_context(false, -1, AUTHORITY, 0, NULL);
    struct io_tls_context *theirs = make_context(true, BUS, -1, 0, NULL);
    for (int turns = 0; turns < 8; turns++) {
        open_ends();
        start(&client, ours, "bus.example");
        start(&server, theirs, NULL);
        for (int i = 0; i < turns; i++) io_turn(io, 0);
        bool was_started = client.started;
        io_close(&client.stream, closed);
        TURN_UNTIL(client.closed && server.started);
        assert_int_equal(client.started, was_started);
        if (server.start_result) assert_string_not_equal(io_tls_problem(&server.stream), "");
        close_ends();
    }
    io_tls_context_unref(ours);
    io_tls_context_unref(theirs);
}

/* A crashed host's: no completion will come. */
static void test_forget_frees_what_stands_in_the_stream(void **state)
{
    shake_well();
    io_stream_forget(&client.stream);
    assert_null(client.stream.filter);
    io_stream_forget(&client.stream);
    close_ends();
}

static void test_receive_can_be_taken_back(void **state)
{
    shake_well();
    io_recv(&server.stream, NULL, 0, recv_done);
    settle();
    io_recv_cancel(&server.stream);
    send_text(&client, "later");
    settle();
    assert_int_equal(server.recv_count, 0);
    receive(&server);
    assert_string_equal(server.text, "later");
    close_ends();
}

/* ---- bytes on the way ------------------------------------------------------------------------ */

/* Somebody between the two: passes on what he gets, as he likes. */
struct relay {
    int client_fd, server_fd;
    size_t piece;       /* bytes at once */
    size_t limit;       /* from the client: then nothing more */
    size_t flip;        /* this byte from the client is changed; SIZE_MAX: none */
    size_t from_client; /* so far */
};

static bool pass(struct relay *relay, int from, int to, bool is_client)
{
    char bytes[65536];
    ssize_t got = recv(from, bytes, relay->piece, MSG_DONTWAIT);
    if (got <= 0) return false;
    size_t len = (size_t)got;
    if (is_client) {
        if (relay->flip >= relay->from_client && relay->flip < relay->from_client + len)
            bytes[relay->flip - relay->from_client] ^= 1;
        if (relay->from_client + len > relay->limit) len = relay->limit - relay->from_client;
        relay->from_client += len;
    }
    assert_int_equal(send(to, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT), len);
    return true;
}

static void open_relayed(struct relay *relay)
{
    int left[2], right[2];
    memset(&client, 0, sizeof client);
    memset(&server, 0, sizeof server);
    assert_int_equal(io_socket_pair(left), 0);
    assert_int_equal(io_socket_pair(right), 0);
    assert_int_equal(io_stream_adopt(io, &client.stream, left[0]), 0);
    assert_int_equal(io_stream_adopt(io, &server.stream, right[0]), 0);
    relay->client_fd = left[1];
    relay->server_fd = right[1];
    relay->from_client = 0;
}

static void turn_relayed(struct relay *relay)
{
    io_turn(io, 0);
    pass(relay, relay->client_fd, relay->server_fd, true);
    pass(relay, relay->server_fd, relay->client_fd, false);
}

static void close_relayed(struct relay *relay)
{
    close(relay->client_fd);
    close(relay->server_fd);
    close_ends();
}

static void shake_relayed(struct relay *relay)
{
    struct io_tls_context *ours = make_context(false, -1, AUTHORITY, 0, NULL);
    struct io_tls_context *theirs = make_context(true, BUS, -1, 0, NULL);
    open_relayed(relay);
    start(&client, ours, "bus.example");
    start(&server, theirs, NULL);
    io_tls_context_unref(ours);
    io_tls_context_unref(theirs);
}

static void test_byte_by_byte(void **state)
{
    static const struct iovec text = {(char *)"slowly", 6};
    struct relay relay = {.piece = 1, .limit = SIZE_MAX, .flip = SIZE_MAX};
    shake_relayed(&relay);
    while (!client.started || !server.started) turn_relayed(&relay);
    assert_int_equal(client.start_result, 0);
    assert_int_equal(server.start_result, 0);
    io_recv(&server.stream, NULL, 0, recv_done);
    io_send(&client.stream, &text, 1, send_done);
    while (!server.recv_count) turn_relayed(&relay);
    assert_string_equal(server.text, "slowly");
    close_relayed(&relay);
}

static size_t handshake_length(void)
{
    struct relay relay = {.piece = 65536, .limit = SIZE_MAX, .flip = SIZE_MAX};
    shake_relayed(&relay);
    while (!client.started || !server.started) turn_relayed(&relay);
    close_relayed(&relay);
    return relay.from_client;
}

/* Cut at every byte that the client says: the server hears of an end, at once and only once. */
static void test_cut_at_every_byte(void **state)
{
    size_t length = handshake_length();
    for (size_t limit = 0; limit < length; limit += limit < 16 ? 1 : 7) {
        struct relay relay = {.piece = 65536, .limit = limit, .flip = SIZE_MAX};
        shake_relayed(&relay);
        for (int i = 0; i < 20; i++) turn_relayed(&relay);
        assert_false(server.started);
        shutdown(relay.server_fd, SHUT_WR);
        TURN_UNTIL(server.started);
        assert_int_equal(server.start_result, ERR_EOF);
        assert_non_null(strstr(io_tls_problem(&server.stream), "during the handshake"));
        close_relayed(&relay);
    }
}

static void test_changed_bytes_are_refused(void **state)
{
    size_t length = handshake_length();
    for (size_t flip = 0; flip < length; flip += 11) {
        struct relay relay = {.piece = 65536, .limit = SIZE_MAX, .flip = flip};
        shake_relayed(&relay);
        for (int i = 0; i < 60; i++) turn_relayed(&relay);
        shutdown(relay.server_fd, SHUT_WR); /* a changed length waits for more */
        shutdown(relay.client_fd, SHUT_WR);
        for (int i = 0; i < 20; i++) turn_relayed(&relay);
        TURN_UNTIL(server.started && client.started);
        /* The bytes of the record's version are not protected (RFC 8446 section 5.1), nor is the
         * dummy message for middleboxes. */
        bool both = !server.start_result && !client.start_result;
        if (!both) assert_true(server.start_result < 0 || client.start_result < 0);
        if (both) assert_true(flip < 3 || flip > length / 2);
        close_relayed(&relay);
    }
}

static void test_changed_record_ends_the_connection(void **state)
{
    static const struct iovec text = {(char *)"0123456789", 10};
    struct relay relay = {.piece = 65536, .limit = SIZE_MAX, .flip = SIZE_MAX};
    shake_relayed(&relay);
    while (!client.started || !server.started) turn_relayed(&relay);
    relay.flip = relay.from_client + 9;
    io_send(&client.stream, &text, 1, send_done);
    io_recv(&server.stream, NULL, 0, recv_done);
    for (int i = 0; i < 20; i++) turn_relayed(&relay);
    assert_int_equal(server.recv_count, 1);
    assert_int_equal(server.recv_result, ERR_PROTOCOL);
    assert_non_null(strstr(io_tls_problem(&server.stream), "bad record mac"));
    io_send(&server.stream, &text, 1, send_done);
    TURN_UNTIL(server.sent);
    assert_int_equal(server.send_result, ERR_PROTOCOL);
    close_relayed(&relay);
}

static void test_garbage_is_refused(void **state)
{
    static const char *const garbage[] = {"GET / HTTP/1.1\r\n\r\n", "CONNECT {}\r\nPING\r\n",
                                          "\x16\x03\x01\x00\x05hello", "\x80\x2e\x01\x00\x02",
                                          "\x16\x03\x01\xff\xff\x01\x00\xff\xfc\x03\x03"};
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        struct io_tls_context *theirs = make_context(true, BUS, -1, 0, NULL);
        open_ends();
        start(&server, theirs, NULL);
        io_tls_context_unref(theirs);
        struct iovec piece = {(char *)garbage[i], i == 2 ? 10 : strlen(garbage[i])};
        io_send(&client.stream, &piece, 1, send_done);
        TURN_UNTIL(client.sent);
        io_shutdown(&client.stream);
        TURN_UNTIL(server.started);
        assert_true(server.start_result == ERR_PROTOCOL || server.start_result == ERR_EOF);
        assert_string_not_equal(io_tls_problem(&server.stream), "");
        close_ends();
    }
}

static void test_first_bytes_tell(void **state)
{
    assert_int_equal(io_tls_looks_like(BYTES("")), ERR_EOF);
    assert_int_equal(io_tls_looks_like(BYTES("\x16")), ERR_EOF);
    assert_int_equal(io_tls_looks_like(BYTES("\x16\x03")), ERR_EOF);
    assert_int_equal(io_tls_looks_like(BYTES("\x16\x03\x01")), 1);
    assert_int_equal(io_tls_looks_like(BYTES("\x16\x03\x05")), 0);
    assert_int_equal(io_tls_looks_like(BYTES("\x16\x04")), 0);
    assert_int_equal(io_tls_looks_like(BYTES("CONNECT")), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_arrives_both_ways),
        cmocka_unit_test(test_pieces_are_gathered),
        cmocka_unit_test(test_small_receives_take_a_record_apart),
        cmocka_unit_test(test_bulk_both_ways),
        cmocka_unit_test(test_start_behind_clear_text),
        cmocka_unit_test(test_shutdown_is_the_end_of_one_way),
        cmocka_unit_test(test_close_says_so),
        cmocka_unit_test(test_cut_is_no_end),
        cmocka_unit_test(test_close_fails_what_is_in_flight),
        cmocka_unit_test(test_close_without_a_word_back),
        cmocka_unit_test(test_close_during_the_handshake),
        cmocka_unit_test(test_forget_frees_what_stands_in_the_stream),
        cmocka_unit_test(test_receive_can_be_taken_back),
        cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_cut_at_every_byte),
        cmocka_unit_test(test_changed_bytes_are_refused),
        cmocka_unit_test(test_changed_record_ends_the_connection),
        cmocka_unit_test(test_garbage_is_refused),
        cmocka_unit_test(test_first_bytes_tell),
    };
    return cmocka_run_group_tests(tests, make_world, free_world);
}
