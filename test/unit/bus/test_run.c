/* Messages in a row under one subject: every client gets the bytes that it would get of each of
 * them alone, whatever else it is and however the publisher's bytes are cut. */
#include "base/buf.h"
#include "bus_test.h"

enum { MESSAGES = 400, CLIENTS = 6, LIMITED = 7 };

/* Subscribers: what they say, their subscription's sid, whether they take subject "b" too. */
static const struct {
    const char *said, *sid;
    bool all;
    unsigned max; /* messages that they want; 0: no end */
} kinds[CLIENTS] = {
    {"SUB a 1\r\n", "1", false, 0},
    {"SUB a 1\r\n", "1", false, 0}, /* the same bytes as the one before */
    {"SUB a long-sid\r\n", "long-sid", false, 0},
    {"SUB > 2\r\n", "2", true, 0},
    {"SUB * 2\r\n", "2", true, 0},
    {"SUB a 3\r\nUNSUB 3 7\r\n", "3", false, LIMITED},
};

struct script {
    struct buf said, expected[CLIENTS];
    unsigned got[CLIENTS];
};

static void add_message(struct script *script, const char *subject, size_t size, unsigned number)
{
    char body[5000], head[64];
    memset(body, 'a' + (char)(number % 26), sizeof body);
    int n = snprintf(head, sizeof head, "PUB %s %zu\r\n", subject, size);
    buf_append(&script->said, bytes_make(head, (size_t)n));
    buf_append(&script->said, bytes_make(body, size));
    buf_append(&script->said, BYTES("\r\n"));
    for (size_t i = 0; i < CLIENTS; i++) {
        if (*subject == 'b' && !kinds[i].all) continue;
        if (kinds[i].max && script->got[i] == kinds[i].max) continue;
        script->got[i]++;
        n = snprintf(head, sizeof head, "MSG %s %s %zu\r\n", subject, kinds[i].sid, size);
        buf_append(&script->expected[i], bytes_make(head, (size_t)n));
        buf_append(&script->expected[i], bytes_make(body, size));
        buf_append(&script->expected[i], BYTES("\r\n"));
    }
}

static void make_script(struct script *script, unsigned seed)
{
    static const size_t sizes[] = {0, 5, 128, 1000, 1500, 4096};
    *script = (struct script){0};
    buf_init(&script->said, SIZE_MAX);
    for (size_t i = 0; i < CLIENTS; i++) buf_init(&script->expected[i], SIZE_MAX);
    srand(seed);
    for (unsigned i = 0; i < MESSAGES;) {
        const char *subject = rand() % 4 ? "a" : "b";
        size_t size = sizes[(unsigned)rand() % (sizeof sizes / sizeof *sizes)];
        for (unsigned n = 1 + (unsigned)rand() % 40; n > 0; n--)
            add_message(script, subject, size, i++);
    }
}

static void run_script(unsigned seed, size_t most)
{
    struct test_bus t;
    struct client clients[CLIENTS], publisher;
    struct script script;
    make_script(&script, seed);
    start(&t, NULL);
    for (size_t i = 0; i < CLIENTS; i++) {
        open_client(&t, &clients[i], QUIET);
        say(&clients[i], kinds[i].said);
        expect_all(&clients[i], "");
    }
    open_client(&t, &publisher, "{\"verbose\":false,\"pedantic\":false,\"echo\":false}");
    say(&publisher, "SUB a 9\r\n");
    struct bytes left = buf_bytes(&script.said);
    while (left.len) {
        struct bytes piece = bytes_head(left, 1 + (size_t)rand() % most);
        say_bytes(&publisher, piece.data, piece.len);
        left = bytes_skip(left, piece.len);
        for (size_t i = 0; i < CLIENTS; i++) client_read(&clients[i]);
    }
    expect_all(&publisher, "");
    for (size_t i = 0; i < CLIENTS; i++) {
        struct bytes want = buf_bytes(&script.expected[i]);
        client_wait(&clients[i], want.len);
        assert_int_equal(clients[i].len, want.len);
        assert_memory_equal(clients[i].data, want.data, want.len);
        close_client(&clients[i]);
        buf_release(&script.expected[i]);
    }
    close_client(&publisher);
    buf_release(&script.said);
    stop(&t);
}

static void test_cut_anywhere(void **state)
{
    static const size_t pieces[] = {1 << 20, 65536, 4000, 300};
    for (unsigned seed = 1; seed <= 12; seed++)
        run_script(seed, pieces[seed % (sizeof pieces / sizeof *pieces)]);
}

/* ---- clients that do not read ---- */

enum {
    SLOW = 9, /* so many are sent a run from shared memory */
    BULK = 3000,
    LONG = 4096,
    BULK_MESSAGE = LONG + 16,
    ROUND = 900000,
    MIXED = 100, /* of twice as many messages, so many are in one run, the others in short ones */
    OTHERS = 3
};

/* The n-th message of a bulk; where they are mixed every OTHERS-th has another subject. */
static size_t bulk_message(char *out, const char *head, unsigned n)
{
    const char *sid = *head == 'M' ? " 1" : "",
               *subject = n / MIXED % 2 && n % OTHERS == 0 ? "b" : "a";
    size_t len = (size_t)snprintf(out, 64, "%s %s%s %d\r\n", head, subject, sid, LONG);
    memset(out + len, 'a' + (char)(n % 26), LONG);
    memcpy(out + len, &n, sizeof n);
    memcpy(out + len + LONG, "\r\n", 2);
    return len + LONG + 2;
}

/* Compares what comes with the bulk, message by message, until `count` of them have come. */
static void expect_bulk(struct client *c, unsigned *seen, unsigned count)
{
    char want[LONG + 64];
    for (int turns = 0; *seen < count; turns++) {
        size_t at = 0;
        client_wait(c, BULK_MESSAGE);
        for (size_t len; *seen < count; at += len, ++*seen) {
            len = bulk_message(want, "MSG", *seen);
            if (c->len - at < len) break;
            if (memcmp(c->data + at, want, len)) fail_msg("message %u is another one", *seen);
        }
        memmove(c->data, c->data + at, c->len - at);
        c->len -= at;
        assert_true(turns < TURNS_MAX * 100);
    }
}

/* What is sent from where it was received must be kept when it cannot be sent: the receive buffer
 * is used again and again while nobody reads, or one reads now and then. */
static void test_nobody_reads(void **state)
{
    struct test_bus t;
    struct client clients[SLOW], publisher;
    unsigned seen[SLOW] = {0};
    struct buf said;
    char message[LONG + 64];
    start(&t, NULL);
    for (size_t i = 0; i < SLOW; i++) {
        int little = 256 << 10;
        open_client(&t, &clients[i], QUIET);
        setsockopt(clients[i].fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little);
        say(&clients[i], i % 2 ? "SUB > 1\r\n" : "SUB * 1\r\n");
        expect_all(&clients[i], "");
    }
    open_client(&t, &publisher, QUIET);
    buf_init(&said, SIZE_MAX);
    for (unsigned n = 0; n < BULK; n++)
        buf_append(&said, bytes_make(message, bulk_message(message, "PUB", n)));
    assert_false(said.failed);
    for (struct bytes left = buf_bytes(&said); left.len;) {
        struct bytes piece = bytes_head(left, ROUND);
        say_bytes(&publisher, piece.data, piece.len);
        left = bytes_skip(left, piece.len);
        turn(&t, 20);
        expect_bulk(&clients[0], &seen[0], seen[0] + 20);
    }
    expect_all(&publisher, "");
    buf_release(&said);
    for (size_t i = 0; i < SLOW; i++) {
        expect_bulk(&clients[i], &seen[i], BULK);
        close_client(&clients[i]);
    }
    close_client(&publisher);
    stop(&t);
}

/* What does not end as the first one does is no part of the run, and is told as ever. */
static void test_broken_end(void **state)
{
    struct test_bus t;
    struct client subscriber, publisher;
    start(&t, NULL);
    open_client(&t, &subscriber, QUIET);
    say(&subscriber, "SUB a 1\r\n");
    expect_all(&subscriber, "");
    open_client(&t, &publisher, QUIET);
    say(&publisher, "PUB a 1\r\nx\r\nPUB a 1\r\ny\r\nPUB a 1\r\nzz\r\n");
    expect_end(&publisher, "-ERR 'Unknown Protocol Operation'\r\n");
    expect_all(&subscriber, "MSG a 1 1\r\nx\r\nMSG a 1 1\r\ny\r\n");
    close_client(&publisher);
    close_client(&subscriber);
    stop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_anywhere),
        cmocka_unit_test(test_nobody_reads),
        cmocka_unit_test(test_broken_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
