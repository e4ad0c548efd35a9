#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "guard.h"
#include "wire/websocket.h"

static struct guard guard;
static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

/* Reads all of it in pieces of `step` bytes and writes down what happens: "data" parts are put
 * together up to the end of their message. */
static void read_all(enum ws_side side, struct bytes input, size_t step, uint64_t max_message,
                     struct buf *out)
{
    struct ws_reader reader;
    struct ws_event event;
    int r = 0;
    ws_reader_init(&reader, side, max_message);
    buf_clear(out);
    while (input.len && r >= 0) {
        struct bytes piece = guard_bytes(&guard, bytes_head(input, step));
        input = bytes_skip(input, step);
        while ((r = ws_read(&reader, &piece, &event)) > 0) {
            static const char *const names[] = {"", "ping ", "pong ", "close "};
            buf_append_str(out, names[event.kind]);
            if (event.kind == WS_EVENT_CLOSE) buf_append_format(out, "%d ", event.code);
            buf_append(out, bytes_make(event.data, event.len));
            if (event.kind != WS_EVENT_DATA || event.end)
                buf_append_str(out, event.text ? "/text " : "; ");
        }
        assert_true(r < 0 || !piece.len);
    }
    if (r < 0) {
        buf_append_format(out, "%s %d", err_name(r), reader.close_code);
        assert_int_equal(ws_read(&reader, &input, &event), ERR_PROTOCOL); /* and stays so */
    }
}

static void expect_read(enum ws_side side, struct bytes input, uint64_t max, const char *expected)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    for (size_t step = 1; step <= input.len; step++) {
        read_all(side, input, step, max, &out);
        struct bytes got = buf_bytes(&out);
        if (!bytes_eq(got, bytes_str(expected)))
            fail_msg("expected \"%s\", found \"%.*s\" in pieces of %zu", expected, BYTES_ARG(got),
                     step);
    }
    buf_release(&out);
}

#define CLIENT_READS(literal, expected) expect_read(WS_CLIENT, BYTES(literal), 1000, expected)
#define SERVER_READS(literal, expected) expect_read(WS_SERVER, BYTES(literal), 1000, expected)

/* The examples of RFC 6455 section 5.7. */
static void test_examples_of_the_standard(void **state)
{
    CLIENT_READS("\x81\x05Hello", "Hello/text ");
    SERVER_READS("\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "Hello/text ");
    CLIENT_READS("\x01\x03Hel\x80\x02lo", "Hello/text ");
    CLIENT_READS("\x89\x05Hello", "ping Hello; ");
    SERVER_READS("\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "pong Hello; ");
    struct buf frame, out;
    buf_init(&frame, 1 << 20);
    buf_init(&out, 1 << 20);
    char *text = calloc(1, 65536);
    buf_append(&frame, BYTES("\x82\x7e\x01\x00"));
    buf_append(&frame, bytes_make(text, 256));
    read_all(WS_CLIENT, buf_bytes(&frame), 100, 1000, &out);
    assert_int_equal(buf_len(&out), 256 + 2);
    buf_clear(&frame);
    buf_append(&frame, BYTES("\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"));
    buf_append(&frame, bytes_make(text, 65536));
    read_all(WS_CLIENT, buf_bytes(&frame), 4000, 65536, &out);
    assert_int_equal(buf_len(&out), 65536 + 2);
    free(text);
    buf_release(&frame);
    buf_release(&out);
}

static void test_pieces_and_what_comes_between(void **state)
{
    CLIENT_READS("\x02\x01"
                 "a\x89\x01p\x00\x01"
                 "b\x8a\x00\x80\x01"
                 "c",
                 "aping p; bpong ; c; ");
    CLIENT_READS("\x82\x00\x82\x01x", "; x; ");
    CLIENT_READS("\x02\x00\x00\x00\x80\x00", "; ");
    CLIENT_READS("\x02\x02"
                 "ab\x80\x00",
                 "ab; ");
    CLIENT_READS("\x82\x01x\x88\x00\x82\x01y", "x; close 1005 ; "); /* nothing comes behind */
    CLIENT_READS("\x88\x02\x03\xe8", "close 1000 ; ");
    CLIENT_READS("\x88\x05\x0f\xa0why", "close 4000 why; ");
}

static void test_faults(void **state)
{
    CLIENT_READS("\xc2\x00", "PROTOCOL 1002"); /* a reserved bit */
    CLIENT_READS("\xa2\x00", "PROTOCOL 1002");
    CLIENT_READS("\x92\x00", "PROTOCOL 1002");
    CLIENT_READS("\x83\x00", "PROTOCOL 1002"); /* reserved opcodes */
    CLIENT_READS("\x87\x00", "PROTOCOL 1002");
    CLIENT_READS("\x8b\x00", "PROTOCOL 1002");
    CLIENT_READS("\x8f\x00", "PROTOCOL 1002");
    CLIENT_READS("\x80\x00", "PROTOCOL 1002");         /* goes on with nothing */
    CLIENT_READS("\x02\x00\x82\x00", "PROTOCOL 1002"); /* begins within another */
    CLIENT_READS("\x09\x00", "PROTOCOL 1002");         /* control frame in parts */
    CLIENT_READS("\x89\x7e\x00\x7e", "PROTOCOL 1002"); /* or too long */
    CLIENT_READS("\x82\x81", "PROTOCOL 1002");         /* masked by a server */
    SERVER_READS("\x82\x01", "PROTOCOL 1002");         /* not masked by a client */
    CLIENT_READS("\x82\x7e\x00\x7d", "PROTOCOL 1002"); /* length longer than needed */
    CLIENT_READS("\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff", "PROTOCOL 1002");
    CLIENT_READS("\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00", "PROTOCOL 1002");
    CLIENT_READS("\x88\x01\x03", "PROTOCOL 1002");     /* half a code */
    CLIENT_READS("\x88\x02\x03\xed", "PROTOCOL 1002"); /* codes that nobody may send */
    CLIENT_READS("\x88\x02\x00\x00", "PROTOCOL 1002");
    CLIENT_READS("\x88\x02\x07\xd0", "PROTOCOL 1002");
    CLIENT_READS("\x82\x7e\x03\xe9", "TOO_BIG 1009");
    CLIENT_READS("\x02\x01x\x00\x7e\x03\xe8", "xTOO_BIG 1009"); /* together */
    CLIENT_READS("\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", "TOO_BIG 1009");
}

/* The last byte of each frame away: nothing is told that is not there. */
static void test_cut_frames_tell_nothing(void **state)
{
    struct buf out;
    buf_init(&out, 1000);
    struct bytes frame = BYTES("\x89\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
    for (size_t len = 0; len < frame.len; len++) {
        read_all(WS_SERVER, bytes_head(frame, len), 3, 1000, &out);
        assert_int_equal(buf_len(&out), 0);
    }
    buf_release(&out);
}

static void test_mask_at_any_place(void **state)
{
    char plain[64], masked[64];
    for (size_t i = 0; i < sizeof plain; i++) plain[i] = (char)(i * 7);
    for (size_t from = 0; from < 20; from++)
        for (size_t len = 0; len + from <= sizeof plain; len++) {
            memcpy(masked, plain, sizeof plain);
            ws_mask(masked + from, len, mask, from);
            for (size_t i = 0; i < sizeof plain; i++) {
                bool in = i >= from && i < from + len;
                assert_int_equal((uint8_t)masked[i], (uint8_t)plain[i] ^ (in ? mask[i % 4] : 0));
            }
        }
}

static void test_heads_are_read_as_written(void **state)
{
    static const uint64_t lengths[] = {0, 1, 125, 126, 127, 65535, 65536, 1ull << 40};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (int masked = 0; masked < 2; masked++) {
            char head[WS_HEAD_MAX];
            struct ws_reader reader;
            struct ws_event event;
            size_t len = ws_head(head, WS_BINARY, true, lengths[i], masked ? mask : NULL);
            struct bytes in = bytes_make(head, len);
            ws_reader_init(&reader, masked ? WS_SERVER : WS_CLIENT, UINT64_MAX);
            assert_int_equal(ws_read(&reader, &in, &event), lengths[i] == 0);
            if (lengths[i]) assert_true(reader.left == lengths[i]);
        }
    }
}

static void test_close_frames(void **state)
{
    char frame[WS_CLOSE_MAX], reason[200];
    memset(reason, 'x', sizeof reason);
    assert_int_equal(ws_close(frame, WS_CODE_NONE, BYTES("not sent")), 2);
    assert_memory_equal(frame, "\x88\x00", 2);
    assert_int_equal(ws_close(frame, WS_CODE_NORMAL, BYTES("bye")), 7);
    assert_memory_equal(frame,
                        "\x88\x05\x03\xe8"
                        "bye",
                        7);
    assert_int_equal(ws_close(frame, WS_CODE_NORMAL, bytes_make(reason, sizeof reason)),
                     WS_CLOSE_MAX);
}

static void test_opening_handshake(void **state)
{
    char accept[WS_ACCEPT_LEN + 1];
    struct bytes key = BYTES("dGhlIHNhbXBsZSBub25jZQ=="); /* section 1.3 */
    assert_true(ws_key_valid(key));
    ws_accept(key, accept);
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_false(ws_key_valid(BYTES("")));
    assert_false(ws_key_valid(BYTES("dGhlIHNhbXBsZSBub25jZQ=")));
    assert_false(ws_key_valid(BYTES("dGhlIHNhbXBsZSBub25jZQQQ")));
    assert_false(ws_key_valid(BYTES("dGhlIHNhbXBsZSBub25jZ===")));
    assert_false(ws_key_valid(BYTES("dGhlIHNhbXBsZS!ub25jZQ==")));
}

static int make_guard(void **state)
{
    guard_init(&guard, 1 << 16);
    return 0;
}

static int free_guard(void **state)
{
    guard_release(&guard);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples_of_the_standard),
        cmocka_unit_test(test_pieces_and_what_comes_between),
        cmocka_unit_test(test_faults),
        cmocka_unit_test(test_cut_frames_tell_nothing),
        cmocka_unit_test(test_mask_at_any_place),
        cmocka_unit_test(test_heads_are_read_as_written),
        cmocka_unit_test(test_close_frames),
        cmocka_unit_test(test_opening_handshake),
    };
    return cmocka_run_group_tests(tests, make_guard, free_guard);
}
