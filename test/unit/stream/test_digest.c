/* Digests of records, as bytes: what was noted comes back, cut anywhere it is damage or less. That
 * a stream made of them is the same is proved in test/sim/test_digest.c. */
#include "stream/stream_digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "guard.h"

struct fixture {
    struct stream_digest digest;
    struct stream_dedupe dedupe;
    struct stream_subjects subjects;
    struct buf out;
};

static void note(struct fixture *f, const char *name, uint64_t seq, uint64_t time_us, uint8_t flags)
{
    const struct stream_record record = {
        .kind = STREAM_RECORD_MESSAGE,
        .flags = flags,
        .seq = seq,
        .value = time_us * 1000,
        .subject = bytes_str(name),
        .headers =
            flags ? BYTES("NATS/1.0\r\nNats-Msg-Id: one\r\nNats-TTL: 5s\r\n\r\n") : BYTES(""),
        .payload = BYTES("content"),
    };
    struct stream_subject *subject = stream_subjects_claim(&f->subjects, record.subject);
    if (flags & STREAM_FLAG_ID) {
        assert_int_equal(stream_dedupe_add(&f->dedupe, BYTES("one"), seq, record.value), 0);
    }
    stream_digest_message(&f->digest, &record, subject, 40);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    stream_digest_init(&f->digest);
    stream_dedupe_init(&f->dedupe);
    stream_subjects_init(&f->subjects);
    buf_init(&f->out, 1 << 20);
    note(f, "a", 5, 100, 0);
    note(f, "a", 6, 101, 0);
    for (uint64_t i = 0; i < 300; i++) note(f, "a", 7 + i, 101 + i * i, 0);
    note(f, "b", 307, 1000000, STREAM_FLAG_ID);
    note(f, "b", 308, 1000000, STREAM_FLAG_TTL);
    note(f, "b", 310, 1000001, 0);
    const struct stream_record purge = {
        .kind = STREAM_RECORD_PURGE, .seq = 300, .subject = BYTES("a")};
    stream_digest_record(&f->digest, &purge, 0);
    assert_int_equal(stream_digest_take(&f->digest, &f->dedupe, &f->out), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    stream_digest_release(&f->digest);
    stream_dedupe_release(&f->dedupe);
    stream_subjects_release(&f->subjects);
    buf_release(&f->out);
    free(f);
    return 0;
}

static void next(struct stream_digest_walk *walk, struct stream_digest_item *item,
                 enum stream_digest_kind kind, uint64_t seq)
{
    assert_int_equal(stream_digest_next(walk, item), 1);
    assert_int_equal(item->kind, kind);
    bool message = kind == STREAM_DIGEST_RECORD || kind == STREAM_DIGEST_RUN;
    assert_int_equal(message ? item->record.seq : item->id.seq, seq);
}

static void what_was_noted_comes_back(void **state)
{
    struct fixture *f = *state;
    struct stream_digest_walk walk;
    struct stream_digest_item item;
    stream_digest_walk_init(&walk, buf_bytes(&f->out));
    next(&walk, &item, STREAM_DIGEST_RECORD, 5);
    assert_int_equal(item.record.value, 100000);
    assert_int_equal(item.record.size, 40);
    assert_int_equal(item.record.payload.len, 0);
    next(&walk, &item, STREAM_DIGEST_RECORD, 6);
    assert_true(bytes_eq(item.record.subject, BYTES("a")));
    next(&walk, &item, STREAM_DIGEST_RUN, 7);
    assert_int_equal(item.count, 300);
    assert_int_equal(item.record.value, 101000);
    for (uint32_t i = 0; i < 300; i++) assert_int_equal(item.times_us[i], i * i);
    next(&walk, &item, STREAM_DIGEST_RECORD, 307);
    assert_int_equal(item.record.flags, STREAM_FLAG_ID);
    next(&walk, &item, STREAM_DIGEST_RECORD, 308);
    assert_true(item.record.headers.len > 0); /* a time to live is in them */
    next(&walk, &item, STREAM_DIGEST_RECORD, 310);
    next(&walk, &item, STREAM_DIGEST_RECORD, 300);
    assert_int_equal(item.record.kind, STREAM_RECORD_PURGE);
    next(&walk, &item, STREAM_DIGEST_ID, 307);
    assert_int_equal(item.id.time_ns, 1000000000);
    next(&walk, &item, STREAM_DIGEST_LAST_ID, 307);
    assert_true(bytes_eq(item.text, BYTES("one")));
    assert_int_equal(stream_digest_next(&walk, &item), 0);
    stream_digest_walk_release(&walk);
    assert_true(buf_len(&f->out) < 1100);
}

static void cut_anywhere_nothing_behind_is_read(void **state)
{
    struct fixture *f = *state;
    struct guard guard;
    struct bytes bytes = buf_bytes(&f->out);
    guard_init(&guard, bytes.len);
    for (size_t len = 0; len < bytes.len; len++) {
        struct stream_digest_walk walk;
        struct stream_digest_item item;
        int r;
        stream_digest_walk_init(&walk, guard_bytes(&guard, bytes_head(bytes, len)));
        while ((r = stream_digest_next(&walk, &item)) > 0) {
        }
        assert_true(r == 0 || r == ERR_CORRUPT);
        stream_digest_walk_release(&walk);
    }
    guard_release(&guard);
}

static void a_chunk_stands_alone(void **state)
{
    struct fixture *f = *state;
    struct stream_digest_walk walk;
    struct stream_digest_item item;
    buf_clear(&f->out);
    note(f, "b", 311, 1000002, 0);
    assert_int_equal(stream_digest_take(&f->digest, &f->dedupe, &f->out), 0);
    stream_digest_walk_init(&walk, buf_bytes(&f->out));
    next(&walk, &item, STREAM_DIGEST_RECORD, 311);
    assert_true(bytes_eq(item.record.subject, BYTES("b")));
    assert_int_equal(stream_digest_next(&walk, &item), 0);
    stream_digest_walk_release(&walk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_noted_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(cut_anywhere_nothing_behind_is_read, setup, teardown),
        cmocka_unit_test_setup_teardown(a_chunk_stands_alone, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
