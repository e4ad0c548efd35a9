/* The NATS codec: every operation whole, byte by byte and cut at every byte, with a guard page
 * behind what is read. */
#include "wire/nats.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

/* A copy of `text` that ends where memory that must not be read begins. */
struct guarded {
    char *map;
    size_t map_size;
    struct bytes bytes;
};

static struct guarded guard(struct bytes text)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t size = (text.len + page - 1) / page * page;
    struct guarded g = {.map_size = size + page};
    g.map = mmap(NULL, g.map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(g.map, MAP_FAILED);
    assert_int_equal(mprotect(g.map + size, page, PROT_NONE), 0);
    char *start = g.map + size - text.len;
    if (text.len) memcpy(start, text.data, text.len);
    g.bytes = bytes_make(start, text.len);
    return g;
}

static void unguard(struct guarded *g)
{
    munmap(g->map, g->map_size);
}

static void assert_bytes(struct bytes found, const char *expected)
{
    if (!bytes_eq(found, bytes_str(expected)))
        fail_msg("found \"%.*s\", expected \"%s\"", BYTES_ARG(found), expected);
}

/* One line of text for each operation, so that two readings can be compared. */
static void describe(struct buf *out, const struct nats_frame *f)
{
    const struct bytes parts[] = {f->subject, f->reply,   f->queue, f->sid,
                                  f->headers, f->payload, f->text,  f->tail};
    buf_append_format(out, "%d %llu", f->op, (unsigned long long)f->max);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        buf_append_format(out, " <%zu:", parts[i].len);
        buf_append(out, parts[i]);
        buf_append_char(out, '>');
    }
    buf_append_char(out, '\n');
}

/* Decodes all of `in`; what is left over stays in *ret_rest. */
static int64_t decode_all(enum nats_side side, struct bytes in, struct buf *out,
                          struct bytes *ret_rest, size_t *ret_need)
{
    struct nats_decoder decoder;
    struct nats_frame frame;
    nats_decoder_init(&decoder, side);
    int64_t n;
    while ((n = nats_decode(&decoder, in, &frame)) > 0) {
        assert_true((size_t)n <= in.len);
        describe(out, &frame);
        in = bytes_skip(in, (size_t)n);
    }
    if (n == 0) assert_true(decoder.need > in.len);
    *ret_rest = in;
    *ret_need = decoder.need;
    return n;
}

/* The same bytes must read the same whole and in two parts, wherever they are cut, and a need that
 * is told must be the truth. */
static void check_cuts(enum nats_side side, struct bytes text)
{
    struct buf whole, part;
    struct bytes rest;
    size_t need;
    buf_init(&whole, 1 << 20);
    buf_init(&part, 1 << 20);
    struct guarded g = guard(text);
    assert_int_equal(decode_all(side, g.bytes, &whole, &rest, &need), 0);
    assert_int_equal(rest.len, 0);
    unguard(&g);
    for (size_t cut = 0; cut < text.len; cut++) {
        buf_clear(&part);
        g = guard(bytes_head(text, cut));
        assert_int_equal(decode_all(side, g.bytes, &part, &rest, &need), 0);
        size_t taken = cut - rest.len;
        assert_true(need + taken <= text.len);
        unguard(&g);
        g = guard(bytes_skip(text, taken));
        assert_int_equal(decode_all(side, g.bytes, &part, &rest, &need), 0);
        unguard(&g);
        if (!bytes_eq(buf_bytes(&whole), buf_bytes(&part)))
            fail_msg("differs when cut at %zu", cut);
    }
    buf_release(&whole);
    buf_release(&part);
}

static const char server_text[] =
    "CONNECT {\"verbose\":false}\r\n"
    "PING\r\nping\r\nPiNg  \r\nPONG\r\nPINGxyz\r\n"
    "SUB a.b 1\r\nsub a.> workers 22\r\nSUB \t a\t \tq  3 \t\r\nSUB a 1\n"
    "UNSUB 1\r\nUNSUB 1 5\r\nunsub 22 x\r\n"
    "PUB a 0\r\n\r\nPUB a.b.c reply.here 5\r\nhello\r\nPUB  a  2\r\nhi\r\npub a\tr\t2\r\nhi\r\n"
    "PUB long.enough.to.need.more.than.one.word of.eight.bytes.each 11\r\n1\r\n2\r\n3\r\n45\r\n"
    "HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\nhpub a r 12 12\r\nNATS/1.0\r\n\r\n\r\nHPUB a 0 "
    "2\r\nhi\r\n"
    "PUB a 002\r\nhi\r\nPUB a 2\nhi\r\n+OK\r\nINFO {}\r\n-ERR 'so what'\r\n";

static const char client_text[] =
    "INFO {\"server_id\":\"x\"} \r\nPING\r\nPONG\r\n+OK\r\n-ERR 'Slow Consumer'\r\n-err x\r\n"
    "MSG a 1 0\r\n\r\nMSG a.b 22 reply 5\r\nhello\r\nmsg  a  1  2\r\nhi\r\n"
    "HMSG a 1 12 14\r\nNATS/1.0\r\n\r\nhi\r\nHMSG r 9 27 27\r\nNATS/1.0 503\r\nNats: a "
    "b\r\n\r\n\r\n";

static void test_cuts(void **state)
{
    check_cuts(NATS_SERVER, bytes_str(server_text));
    check_cuts(NATS_CLIENT, bytes_str(client_text));
}

static void test_bytewise(void **state)
{
    struct bytes text = bytes_str(server_text);
    struct buf whole, part;
    struct bytes rest;
    size_t need;
    buf_init(&whole, 1 << 20);
    buf_init(&part, 1 << 20);
    decode_all(NATS_SERVER, text, &whole, &rest, &need);
    struct nats_decoder decoder;
    struct nats_frame frame;
    nats_decoder_init(&decoder, NATS_SERVER);
    size_t start = 0;
    for (size_t end = 1; end <= text.len; end++) {
        int64_t n = nats_decode(&decoder, bytes_make(text.data + start, end - start), &frame);
        assert_true(n >= 0);
        if (n == 0) continue;
        assert_int_equal(n, end - start);
        describe(&part, &frame);
        start = end;
    }
    assert_int_equal(start, text.len);
    assert_true(bytes_eq(buf_bytes(&whole), buf_bytes(&part)));
    buf_release(&whole);
    buf_release(&part);
}

static struct nats_frame decode_one(enum nats_side side, const char *text)
{
    struct nats_decoder decoder;
    struct nats_frame frame;
    nats_decoder_init(&decoder, side);
    int64_t n = nats_decode(&decoder, bytes_str(text), &frame);
    assert_int_equal(n, strlen(text));
    return frame;
}

static void test_values(void **state)
{
    struct nats_frame f = decode_one(NATS_SERVER, "PUB a.b r 5\r\nhello\r\n");
    assert_int_equal(f.op, NATS_PUB);
    assert_bytes(f.subject, "a.b");
    assert_bytes(f.reply, "r");
    assert_bytes(f.payload, "hello");
    assert_bytes(f.tail, " r 5\r\nhello\r\n");

    f = decode_one(NATS_SERVER, "HPUB a 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
    assert_int_equal(f.op, NATS_HPUB);
    assert_bytes(f.headers, "NATS/1.0\r\n\r\n");
    assert_bytes(f.payload, "hi");
    assert_bytes(f.tail, " 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");

    f = decode_one(NATS_SERVER, "SUB a.* q 17\r\n");
    assert_bytes(f.subject, "a.*");
    assert_bytes(f.queue, "q");
    assert_bytes(f.sid, "17");

    f = decode_one(NATS_SERVER, "UNSUB 17 3\r\n");
    assert_bytes(f.sid, "17");
    assert_int_equal(f.max, 3);
    assert_int_equal(decode_one(NATS_SERVER, "UNSUB 17 x\r\n").max, 0);
    assert_int_equal(decode_one(NATS_SERVER, "UNSUB 17\r\n").max, 0);

    f = decode_one(NATS_CLIENT, "HMSG a 9 r 12 12\r\nNATS/1.0\r\n\r\n\r\n");
    assert_bytes(f.sid, "9");
    assert_bytes(f.reply, "r");
    assert_bytes(f.payload, "");
    assert_bytes(decode_one(NATS_CLIENT, "-ERR 'Slow Consumer'\r\n").text, "Slow Consumer");
    assert_bytes(decode_one(NATS_CLIENT, "INFO {} \r\n").text, "{}");
}

/* The tail may be sent on as it is only when it is what an encoder would write. */
static void test_tail(void **state)
{
    const char *const odd[] = {"PUB a  2\r\nhi\r\n",   "PUB a 2 \r\nhi\r\n",
                               "PUB a\t2\r\nhi\r\n",   "PUB a 2\nhi\r\n",
                               "PUB a r  2\r\nhi\r\n", "PUB a 02\r\nhi\r\n",
                               "PUB a r\t2\r\nhi\r\n", "HPUB a 012 12\r\nNATS/1.0\r\n\r\n\r\n"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        assert_bytes(decode_one(NATS_SERVER, odd[i]).tail, "");
    assert_bytes(decode_one(NATS_SERVER, "PUB  a 2\r\nhi\r\n").tail, " 2\r\nhi\r\n");
    assert_bytes(decode_one(NATS_SERVER, "PUB a 0\r\n\r\n").tail, " 0\r\n\r\n");
    assert_bytes(decode_one(NATS_SERVER, "PUB a 0 2\r\nhi\r\n").tail, " 0 2\r\nhi\r\n");
}

/* What cannot be decoded, and the first prefix at which that must be known. */
static void test_faults(void **state)
{
    static const struct {
        enum nats_side side;
        enum nats_fault fault;
        const char *text;
        size_t known_at; /* 0: with the last byte */
    } cases[] = {
        {NATS_SERVER, NATS_FAULT_OPERATION, "X", 1},
        {NATS_SERVER, NATS_FAULT_OPERATION, "\r\n", 1},
        {NATS_SERVER, NATS_FAULT_OPERATION, " PING\r\n", 1},
        {NATS_SERVER, NATS_FAULT_OPERATION, "GET / HTTP/1.1\r\n", 1},
        {NATS_SERVER, NATS_FAULT_OPERATION, "PUX", 3},
        {NATS_SERVER, NATS_FAULT_OPERATION, "PUBX", 4},
        {NATS_SERVER, NATS_FAULT_OPERATION, "PUB\r\n", 4},
        {NATS_SERVER, NATS_FAULT_OPERATION, "MSG a 1 0\r\n\r\n", 1},
        {NATS_CLIENT, NATS_FAULT_OPERATION, "PUB a 0\r\n\r\n", 2},
        {NATS_SERVER, NATS_FAULT_OPERATION, "PUB a 2\r\nhix", 0},
        {NATS_SERVER, NATS_FAULT_OPERATION, "PUB a 2\r\nhi\rx", 0},
        {NATS_SERVER, NATS_FAULT_OPERATION, "PUB a 2\r\nhi\n", 0},
        {NATS_SERVER, NATS_FAULT_ARGUMENTS, "PUB \r\n", 0},
        {NATS_SERVER, NATS_FAULT_ARGUMENTS, "PUB a\r\n", 0},
        {NATS_SERVER, NATS_FAULT_ARGUMENTS, "PUB a b c 2\r\n", 0},
        {NATS_SERVER, NATS_FAULT_ARGUMENTS, "PUB a -1\r\n", 0},
        {NATS_SERVER, NATS_FAULT_ARGUMENTS, "PUB a +1\r\n", 0},
        {NATS_SERVER, NATS_FAULT_ARGUMENTS, "PUB a 1x\r\n", 0},
        {NATS_SERVER, NATS_FAULT_ARGUMENTS, "PUB a 9999999999\r\n", 0},
        {NATS_SERVER, NATS_FAULT_ARGUMENTS, "PUB a\rb 1\r\n", 7},
        {NATS_SERVER, NATS_FAULT_ARGUMENTS, "PUB a\001b 1\r\n", 6},
        {NATS_SERVER, NATS_FAULT_ARGUMENTS, "PUB a b c d e f g 1\r\n", 16},
        {NATS_SERVER, NATS_FAULT_ARGUMENTS, "HPUB a 14\r\n", 0},
        {NATS_SERVER, NATS_FAULT_ARGUMENTS, "HPUB a 14 12\r\n", 0},
        {NATS_SERVER, NATS_FAULT_ARGUMENTS, "SUB a\r\n", 0},
        {NATS_SERVER, NATS_FAULT_ARGUMENTS, "SUB a b c d\r\n", 0},
        {NATS_SERVER, NATS_FAULT_ARGUMENTS, "UNSUB \r\n", 0},
        {NATS_SERVER, NATS_FAULT_ARGUMENTS, "UNSUB 1 2 3\r\n", 0},
        {NATS_SERVER, NATS_FAULT_PAYLOAD, "PUB a 1048577\r\n", 0},
        {NATS_SERVER, NATS_FAULT_PAYLOAD, "HPUB a 12 1048577\r\n", 0},
        {NATS_CLIENT, NATS_FAULT_ARGUMENTS, "MSG a 1\r\n", 0},
        {NATS_CLIENT, NATS_FAULT_ARGUMENTS, "HMSG a 1 r x 2 2\r\n", 17},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct bytes text = bytes_str(cases[i].text);
        size_t known_at = cases[i].known_at ? cases[i].known_at : text.len;
        struct nats_decoder decoder;
        struct nats_frame frame;
        nats_decoder_init(&decoder, cases[i].side);
        for (size_t len = 0; len <= text.len; len++) {
            struct guarded g = guard(bytes_head(text, len));
            int64_t n = nats_decode(&decoder, g.bytes, &frame);
            unguard(&g);
            if (len < known_at && n != 0) fail_msg("%s: known at %zu", text.data, len);
            if (len < known_at) continue;
            if (n >= 0) fail_msg("%s: not known at %zu", text.data, len);
            assert_int_equal(decoder.fault, cases[i].fault);
        }
    }
    assert_string_equal(nats_fault_text(NATS_FAULT_OPERATION), "Unknown Protocol Operation");
    assert_null(nats_fault_text(NATS_FAULT_ARGUMENTS));
}

/* 4096 bytes of arguments are allowed, one more is not, with and without the end of the line. */
static void test_line_limit(void **state)
{
    const char *const verbs[] = {"SUB ", "PUB ", "CONNECT ", "UNSUB "};
    char *line = malloc(8192);
    for (size_t v = 0; v < sizeof verbs / sizeof *verbs; v++) {
        for (size_t extra = 0; extra < 2; extra++) {
            struct nats_decoder decoder;
            struct nats_frame frame;
            nats_decoder_init(&decoder, NATS_SERVER);
            size_t arguments = NATS_LINE_MAX + extra;
            size_t len = strlen(verbs[v]);
            memcpy(line, verbs[v], len);
            memset(line + len, 'a', arguments);
            if (v != 3) memcpy(line + len + arguments - 2, " 0", 2);
            len += arguments;
            memcpy(line + len, "\r\n\r\n", 4);
            int64_t n = nats_decode(&decoder, bytes_make(line, len + 4), &frame);
            assert_int_equal(n, extra ? ERR_TOO_BIG : (int64_t)(len + (v == 1 ? 4 : 2)));
            if (extra) assert_int_equal(decoder.fault, NATS_FAULT_LINE);
            memset(line + len, ' ', 100);
            n = nats_decode(&decoder, bytes_make(line, len + 100), &frame);
            assert_int_equal(n, ERR_TOO_BIG);
        }
    }
    memcpy(line, "SUB ", 4);
    memset(line + 4, ' ', 8188);
    struct nats_decoder decoder;
    struct nats_frame frame;
    nats_decoder_init(&decoder, NATS_SERVER);
    assert_int_equal(nats_decode(&decoder, bytes_make(line, 8192), &frame), ERR_TOO_BIG);
    free(line);
}

/* The need of a payload is exact, so that a reader does not try before it can succeed. */
static void test_need(void **state)
{
    struct nats_decoder decoder;
    struct nats_frame frame;
    nats_decoder_init(&decoder, NATS_SERVER);
    assert_int_equal(nats_decode(&decoder, bytes_str("PUB a 100000\r\nxyz"), &frame), 0);
    assert_int_equal(decoder.need, 14 + 100000 + 2);
    assert_int_equal(nats_decode(&decoder, bytes_str("PUB a 1000"), &frame), 0);
    assert_int_equal(decoder.need, 11);
}

static void test_encode(void **state)
{
    struct buf out;
    struct bytes none = {0};
    buf_init(&out, 4096);
    nats_put_info(&out, bytes_str("{}"));
    nats_put_connect(&out, bytes_str("{}"));
    nats_put_ping(&out);
    nats_put_pong(&out);
    nats_put_ok(&out);
    nats_put_err(&out, "Slow Consumer");
    nats_put_sub(&out, bytes_str("a"), none, bytes_str("1"));
    nats_put_sub(&out, bytes_str("a"), bytes_str("q"), bytes_str("2"));
    nats_put_unsub(&out, bytes_str("1"), 0);
    nats_put_unsub(&out, bytes_str("2"), 7);
    nats_put_pub(&out, bytes_str("a"), none, none, bytes_str("hi"));
    nats_put_pub(&out, bytes_str("a"), bytes_str("r"), bytes_str("NATS/1.0\r\n\r\n"), none);
    nats_put_msg(&out, bytes_str("a"), bytes_str("1"), none, none, none);
    nats_put_msg(&out, bytes_str("a"), bytes_str("1"), bytes_str("r"),
                 bytes_str("NATS/1.0\r\n\r\n"), bytes_str("hi"));
    assert_bytes(buf_bytes(&out),
                 "INFO {}\r\nCONNECT {}\r\nPING\r\nPONG\r\n+OK\r\n-ERR 'Slow Consumer'\r\n"
                 "SUB a 1\r\nSUB a q 2\r\nUNSUB 1\r\nUNSUB 2 7\r\nPUB a 2\r\nhi\r\n"
                 "HPUB a r 12 12\r\nNATS/1.0\r\n\r\n\r\nMSG a 1 0\r\n\r\n"
                 "HMSG a 1 r 12 14\r\nNATS/1.0\r\n\r\nhi\r\n");
    buf_release(&out);
}

static void test_headers(void **state)
{
    struct nats_headers headers;
    struct bytes name, value;
    struct buf out;
    buf_init(&out, 4096);
    nats_headers_begin(&out, 503, NULL);
    assert_int_equal(nats_headers_add(&out, bytes_str("Nats-Subject"), bytes_str("a.b")), 0);
    assert_int_equal(nats_headers_add(&out, bytes_str("x"), bytes_str("")), 0);
    assert_int_equal(nats_headers_add(&out, bytes_str("x"), bytes_str("a: b")), 0);
    assert_int_equal(nats_headers_add(&out, bytes_str(""), bytes_str("a")), ERR_INVALID);
    assert_int_equal(nats_headers_add(&out, bytes_str("a b"), bytes_str("a")), ERR_INVALID);
    assert_int_equal(nats_headers_add(&out, bytes_str("a:"), bytes_str("a")), ERR_INVALID);
    assert_int_equal(nats_headers_add(&out, bytes_str("a"), bytes_str("a\r\nb")), ERR_INVALID);
    nats_headers_end(&out);
    struct bytes block = buf_bytes(&out);
    assert_bytes(block, "NATS/1.0 503\r\nNats-Subject: a.b\r\nx: \r\nx: a: b\r\n\r\n");

    assert_int_equal(nats_headers_parse(block, &headers), 0);
    assert_int_equal(headers.status, 503);
    assert_bytes(headers.description, "");
    assert_int_equal(nats_headers_next(&headers, &name, &value), 1);
    assert_bytes(name, "Nats-Subject");
    assert_bytes(value, "a.b");
    assert_int_equal(nats_headers_next(&headers, &name, &value), 1);
    assert_bytes(value, "");
    assert_int_equal(nats_headers_next(&headers, &name, &value), 1);
    assert_bytes(value, "a: b");
    assert_int_equal(nats_headers_next(&headers, &name, &value), 0);
    assert_int_equal(nats_headers_get(block, bytes_str("nats-subject"), &value), 0);
    assert_bytes(value, "a.b");
    assert_int_equal(nats_headers_get(block, bytes_str("y"), &value), ERR_NOT_FOUND);
    assert_int_equal(nats_headers_get((struct bytes){0}, bytes_str("y"), &value), ERR_NOT_FOUND);

    for (size_t cut = 0; cut < block.len; cut++) {
        struct guarded g = guard(bytes_head(block, cut));
        assert_int_equal(nats_headers_get(g.bytes, bytes_str("y"), &value),
                         cut ? ERR_SYNTAX : ERR_NOT_FOUND);
        unguard(&g);
    }
    assert_int_equal(
        nats_headers_parse(bytes_str("NATS/1.0 408 Request Timeout\r\n\r\n"), &headers), 0);
    assert_int_equal(headers.status, 408);
    assert_bytes(headers.description, "Request Timeout");
    const char *const bad[] = {"NATS/1.1\r\n\r\n", "NATS/1.0x\r\n\r\n", "NATS/1.0 5\r\n\r\n",
                               "NATS/1.0 abc\r\n\r\n", "NATS/1.0\n\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(nats_headers_parse(bytes_str(bad[i]), &headers), ERR_SYNTAX);
    assert_int_equal(nats_headers_get(bytes_str("NATS/1.0\r\n: x\r\n\r\n"), bytes_str("y"), &value),
                     ERR_SYNTAX);
    buf_release(&out);
}

static void test_json(void **state)
{
    struct nats_connect c, d;
    nats_connect_init(&c);
    assert_true(c.verbose && c.pedantic && c.echo);
    assert_int_equal(nats_connect_parse(bytes_str("{}"), &c), 0);
    assert_true(c.verbose && c.pedantic && c.echo && !c.headers);
    assert_int_equal(
        nats_connect_parse(
            bytes_str("{\"verbose\":false,\"headers\":true,\"name\":\"n\",\"user\":\"u\","
                      "\"protocol\":1,\"later\":[1],\"pass\":null}"),
            &c),
        0);
    assert_true(!c.verbose && c.pedantic && c.headers && c.protocol == 1);
    assert_string_equal(c.name, "n");
    assert_string_equal(c.user, "u");
    const char *const bad[] = {
        "", "{", "[]", "null", "{} x", "{\"verbose\":1}", "{\"name\":1}", "{\"protocol\":\"1\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(nats_connect_parse(bytes_str(bad[i]), &d), ERR_SYNTAX);

    struct buf out;
    buf_init(&out, 1 << 16);
    nats_connect_write(&out, &c);
    nats_connect_init(&d);
    assert_int_equal(nats_connect_parse(buf_bytes(&out), &d), 0);
    assert_memory_equal(&c, &d, sizeof c);

    /* The token is a view of what was parsed. */
    d.jwt = BYTES("eyJ.eyJ.c_-");
    memcpy(d.nkey, "UABC", 5);
    memcpy(d.signature, "a+/=", 5);
    buf_clear(&out);
    nats_connect_write(&out, &d);
    nats_connect_init(&c);
    assert_int_equal(nats_connect_parse(buf_bytes(&out), &c), 0);
    assert_true(bytes_eq(c.jwt, d.jwt));
    assert_in_range((uintptr_t)c.jwt.data, (uintptr_t)out.data, (uintptr_t)out.data + out.end);
    assert_string_equal(c.nkey, "UABC");
    assert_string_equal(c.signature, "a+/=");
    assert_int_equal(nats_connect_parse(bytes_str("{\"jwt\":\"a.b.c\\r\\n\"}"), &c), 0);
    assert_true(bytes_eq(c.jwt, BYTES("a.b.c")));
    assert_int_equal(nats_connect_parse(bytes_str("{\"jwt\":\"e\\n.\"}"), &c), 0);
    assert_int_equal(c.jwt.len, 0); /* no token */
    assert_int_equal(nats_connect_parse(bytes_str("{\"jwt\":5}"), &c), ERR_SYNTAX);

    buf_clear(&out);
    buf_append_str(&out, "{\"pass\":\"");
    for (int i = 0; i < 300; i++) buf_append_char(&out, 'x');
    buf_append_str(&out, "\"}");
    assert_int_equal(nats_connect_parse(buf_bytes(&out), &d), ERR_TOO_BIG);

    struct nats_info i = {.version = "2.10.0",
                          .server_id = "S",
                          .port = 4222,
                          .proto = 1,
                          .max_payload = 1 << 20,
                          .client_id = 1ull << 53,
                          .headers = true,
                          .lame_duck = true,
                          .tls_available = true,
                          .nonce = "abc",
                          .connect_info = true,
                          .remote_account = "$G",
                          .connect_urls = {"a:1", "b:2"},
                          .connect_url_count = 2},
                     j;
    buf_clear(&out);
    nats_info_write(&out, &i);
    assert_int_equal(nats_info_parse(buf_bytes(&out), &j), 0);
    assert_memory_equal(&i, &j, sizeof i);
    assert_int_equal(nats_info_parse(bytes_str("{\"port\":70000}"), &j), ERR_SYNTAX);
    assert_int_equal(nats_info_parse(bytes_str("{\"connect_urls\":[1]}"), &j), ERR_SYNTAX);
    assert_int_equal(nats_info_parse(bytes_str("{\"connect_urls\":{}}"), &j), ERR_SYNTAX);
    assert_int_equal(nats_info_parse(bytes_str("{\"max_payload\":-1}"), &j), ERR_SYNTAX);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cuts),    cmocka_unit_test(test_bytewise),
        cmocka_unit_test(test_values),  cmocka_unit_test(test_tail),
        cmocka_unit_test(test_faults),  cmocka_unit_test(test_line_limit),
        cmocka_unit_test(test_need),    cmocka_unit_test(test_encode),
        cmocka_unit_test(test_headers), cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
