/* A bucket, as this program sees it and as a NATS client does. */
#include "stream_test.h"

struct fixture {
    struct test_streams s;
    struct kv *kv;
    char seen[512]; /* what the watch was told */
    struct kv_watch *watch, *leave;
};

struct change {
    struct kv_op op;
    bool done;
    int result;
};

static void change_done(struct kv_op *op, int result)
{
    struct change *change = CONTAINER_OF(op, struct change, op);
    change->done = true;
    change->result = result;
}

static void open_bucket(struct fixture *f)
{
    struct error error;
    const struct kv_config config = {.bucket = "b", .max_value_bytes = 1000};
    if (kv_open(f->s.streams, &config, &f->kv, &error) < 0) fail_msg("%s", error.message);
}

static void begin(struct fixture *f)
{
    *f = (struct fixture){0};
    start_streams(&f->s);
    open_bucket(f);
}

static void end(struct fixture *f)
{
    kv_close(f->kv);
    stop_streams(&f->s);
}

static int wait_for(struct fixture *f, struct change *c)
{
    assert_false(c->done);
    turn_until(&f->s, &c->done);
    return c->result;
}

static int put(struct fixture *f, const char *key, const char *value)
{
    struct change c = {0};
    kv_put(f->kv, &c.op, bytes_str(key), bytes_str(value), change_done);
    return wait_for(f, &c);
}

static int create(struct fixture *f, const char *key, const char *value)
{
    struct change c = {0};
    kv_create(f->kv, &c.op, bytes_str(key), bytes_str(value), change_done);
    return wait_for(f, &c);
}

static int update(struct fixture *f, const char *key, const char *value, uint64_t revision)
{
    struct change c = {0};
    kv_update(f->kv, &c.op, bytes_str(key), bytes_str(value), revision, change_done);
    return wait_for(f, &c);
}

static int delete (struct fixture *f, const char *key, uint64_t revision)
{
    struct change c = {0};
    kv_delete(f->kv, &c.op, bytes_str(key), revision, change_done);
    return wait_for(f, &c);
}

static void has(struct fixture *f, const char *key, const char *value, uint64_t revision)
{
    struct kv_entry entry;
    int r = kv_get(f->kv, bytes_str(key), &entry);
    assert_int_equal(r, value ? 0 : ERR_NOT_FOUND);
    if (!value) return;
    assert_true(bytes_eq(entry.value, bytes_str(value)));
    assert_true(bytes_eq(entry.key, bytes_str(key)));
    assert_int_equal(entry.revision, revision);
}

static void puts_and_gets(void **state)
{
    struct fixture f;
    begin(&f);
    has(&f, "a", NULL, 0);
    assert_int_equal(put(&f, "a", "1"), 0);
    has(&f, "a", "1", 1);
    assert_int_equal(create(&f, "a", "2"), ERR_EXISTS);
    assert_int_equal(update(&f, "a", "2", 7), ERR_CONFLICT);
    assert_int_equal(update(&f, "a", "2", 1), 0);
    has(&f, "a", "2", 2);
    assert_int_equal(delete (&f, "a", 1), ERR_CONFLICT);
    assert_int_equal(delete (&f, "a", 2), 0);
    has(&f, "a", NULL, 0);
    assert_int_equal(create(&f, "a", "4"), 0); /* behind the marker */
    has(&f, "a", "4", 4);
    assert_int_equal(create(&f, "x/y.z_=-", ""), 0);
    has(&f, "x/y.z_=-", "", 5);
    assert_int_equal(kv_count(f.kv), 2);
    static const char *const bad[] = {"", "a b", ".a", "a.", "a..b", "*", "a.>", "\xc3\xa4"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(put(&f, bad[i], "x"), ERR_INVALID);
    }
    static char big[1002];
    memset(big, 'x', 1001);
    assert_int_equal(put(&f, "big", big), ERR_TOO_BIG);
    end(&f);
}

/* Two at once: the second sees that the first was submitted. */
static void compares_with_what_is_under_way(void **state)
{
    struct fixture f;
    struct change a = {0}, b = {0};
    begin(&f);
    kv_create(f.kv, &a.op, BYTES("k"), BYTES("a"), change_done);
    kv_create(f.kv, &b.op, BYTES("k"), BYTES("b"), change_done);
    assert_int_equal(wait_for(&f, &a), 0);
    if (!b.done) turn_until(&f.s, &b.done);
    assert_int_equal(b.result, ERR_EXISTS);
    has(&f, "k", "a", 1);
    end(&f);
}

static void restart_finds_the_values(void **state)
{
    struct fixture f;
    begin(&f);
    assert_int_equal(put(&f, "a", "1"), 0);
    assert_int_equal(put(&f, "b", "2"), 0);
    assert_int_equal(put(&f, "a", "3"), 0);
    assert_int_equal(put(&f, "gone", "4"), 0);
    struct change c = {0};
    kv_purge(f.kv, &c.op, BYTES("gone"), change_done);
    assert_int_equal(wait_for(&f, &c), 0);
    kv_close(f.kv);
    close_streams(&f.s);
    open_streams(&f.s);
    open_bucket(&f);
    has(&f, "a", "3", 3);
    has(&f, "b", "2", 2);
    has(&f, "gone", NULL, 0);
    assert_int_equal(kv_count(f.kv), 2);
    end(&f);
}

static void changed(void *context, const struct kv_entry *entry)
{
    struct fixture *f = context;
    size_t len = strlen(f->seen);
    if (!entry) {
        snprintf(f->seen + len, sizeof f->seen - len, "| ");
    } else {
        snprintf(f->seen + len, sizeof f->seen - len, "%.*s%c%.*s ", BYTES_ARG(entry->key),
                 "=-!"[entry->operation], BYTES_ARG(entry->value));
    }
    kv_unwatch(f->leave);
    f->leave = NULL;
}

static void watches(void **state)
{
    struct fixture f;
    begin(&f);
    assert_int_equal(put(&f, "w.b", "1"), 0);
    assert_int_equal(put(&f, "w.a", "2"), 0);
    assert_int_equal(put(&f, "other", "3"), 0);
    assert_int_equal(put(&f, "w.b", "4"), 0);
    assert_int_equal(put(&f, "w.x", "5"), 0);
    assert_int_equal(delete (&f, "w.x", 0), 0);
    assert_int_equal(kv_watch(f.kv, BYTES("w.*"), changed, &f, &f.watch), 0);
    assert_string_equal(f.seen, "");
    turn(&f.s.t, 3);
    assert_string_equal(f.seen, "w.a=2 w.b=4 | ");
    assert_int_equal(put(&f, "w.a", "6"), 0);
    assert_int_equal(put(&f, "other", "7"), 0);
    assert_int_equal(delete (&f, "w.a", 0), 0);
    assert_string_equal(f.seen, "w.a=2 w.b=4 | w.a=6 w.a- ");
    f.leave = f.watch;
    assert_int_equal(put(&f, "w.a", "8"), 0); /* leaves inside */
    assert_int_equal(put(&f, "w.a", "9"), 0);
    assert_string_equal(f.seen, "w.a=2 w.b=4 | w.a=6 w.a- w.a=8 ");
    assert_int_equal(kv_watch(f.kv, BYTES("a..b"), changed, &f, &f.watch), ERR_INVALID);
    end(&f);
}

/* A client's put and delete are the same bucket. */
static void client_sees_the_same_bucket(void **state)
{
    struct fixture f;
    struct client c;
    f = (struct fixture){0};
    serve_streams(&f.s);
    open_bucket(&f);
    open_client(&f.s.t, &c, "{\"verbose\":false,\"headers\":true}");
    say(&c, "SUB r 1\r\nPUB $KV.b.key r 5\r\nvalue\r\n");
    expect(&c, "MSG r 1 25\r\n{\"stream\":\"KV_b\",\"seq\":1}\r\n");
    has(&f, "key", "value", 1);
    assert_int_equal(put(&f, "mine", "x"), 0);
    say(&c, "HPUB $KV.b.key r 31 31\r\nNATS/1.0\r\nKV-Operation: DEL\r\n\r\n\r\n");
    expect(&c, "MSG r 1 25\r\n{\"stream\":\"KV_b\",\"seq\":3}\r\n");
    has(&f, "key", NULL, 0);
    close_client(&c);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(puts_and_gets),
        cmocka_unit_test(compares_with_what_is_under_way),
        cmocka_unit_test(restart_finds_the_values),
        cmocka_unit_test(watches),
        cmocka_unit_test(client_sees_the_same_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
