/* What a consumer remembers: the same whether it was there or read it from its records, against a
 * model, and whatever is cut off. */
#include "stream/consumer_expiry.h"
#include "stream/consumer_state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint64_t random_state = 88172645463325252u;

static uint64_t random_below(uint64_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state % below;
}

/* ---- pending ---- */

static void pending_finds_what_a_model_knows(void **state)
{
    enum { SEQS = 20000 };
    static uint32_t model[SEQS + 1]; /* attempts; 0: not pending */
    struct consumer_pending pending;
    consumer_pending_init(&pending);
    memset(model, 0, sizeof model);
    size_t count = 0, again = 0;
    uint64_t next = 1, consumer_seq = 0;
    while (next < SEQS) {
        if (random_below(5) < 3) {
            struct pending *one = consumer_pending_add(&pending, next, ++consumer_seq);
            assert_non_null(one);
            model[next] = 1;
            count++;
            next += random_below(8) ? 1 : 1 + random_below(20);
        } else {
            /* Near the front mostly, as acknowledgements are. */
            uint64_t window = 1 + random_below(random_below(4) ? 100 : next);
            uint64_t seq = next > window ? next - window : 1;
            struct pending *one = consumer_pending_find(&pending, seq);
            assert_int_equal(one != NULL, model[seq] > 0);
            if (!one) continue;
            if (random_below(4) == 0) {
                again += one->attempts == 1;
                consumer_pending_attempts(&pending, one, ++model[seq]);
            } else {
                again -= model[seq] > 1;
                model[seq] = 0;
                count--;
                consumer_pending_remove(&pending, one);
            }
        }
        assert_int_equal(pending.count, count);
        assert_int_equal(pending.again, again);
    }
    struct pending *one = consumer_pending_first(&pending);
    for (uint64_t seq = 1; seq <= SEQS; seq++) {
        if (!model[seq]) continue;
        assert_int_equal(one->seq, seq);
        assert_int_equal(one->attempts, model[seq]);
        one = consumer_pending_after(&pending, one);
    }
    assert_null(one);
    assert_in_range(pending.room, 1, SEQS);
    consumer_pending_release(&pending);
}

/* ---- expiry ---- */

static bool is_even(void *context, const struct expiry *entry)
{
    return entry->seq % 2 == 0;
}

static void expiry_gives_the_earliest(void **state)
{
    struct consumer_expiry expiry;
    consumer_expiry_init(&expiry);
    for (uint64_t seq = 1; seq <= 1000; seq++) {
        assert_int_equal(consumer_expiry_add(&expiry, random_below(300), seq), 0);
    }
    assert_true(consumer_expiry_is_stale(&expiry, 10));
    consumer_expiry_sweep(&expiry, is_even, NULL);
    struct expiry last = {0};
    for (int i = 0; i < 500; i++) {
        const struct expiry *first = consumer_expiry_first(&expiry);
        assert_int_equal(first->seq % 2, 0);
        bool later =
            first->due_ns > last.due_ns || (first->due_ns == last.due_ns && first->seq > last.seq);
        assert_true(later);
        last = *first;
        consumer_expiry_pop(&expiry);
    }
    assert_null(consumer_expiry_first(&expiry));
    consumer_expiry_release(&expiry);
}

/* ---- the state and its records ---- */

static void encode(const struct consumer_state *state, struct buf *out)
{
    buf_init(out, SIZE_MAX);
    consumer_state_encode(state, out);
    assert_false(out->failed);
}

static void assert_same(const struct consumer_state *a, const struct consumer_state *b)
{
    struct buf x, y;
    encode(a, &x);
    encode(b, &y);
    assert_int_equal(buf_len(&x), buf_len(&y));
    assert_memory_equal(x.data + x.start, y.data + y.start, buf_len(&x));
    buf_release(&x);
    buf_release(&y);
}

static struct pending *any(const struct consumer_state *state)
{
    struct pending *one = consumer_pending_first(&state->pending);
    for (uint64_t skip = random_below(5); one && skip; skip--) {
        one = consumer_pending_after(&state->pending, one);
    }
    return one;
}

/* One thing happens, and is noted. */
static void happen(struct consumer_state *state, struct consumer_log *log, uint64_t now)
{
    struct pending *one = any(state);
    uint64_t choice = random_below(10);
    if (choice < 5 || !one) {
        uint64_t seq = state->next_seq + (random_below(6) ? 0 : random_below(10));
        assert_int_equal(consumer_state_deliver(state, seq, now + 30), 0);
        consumer_log_deliver(log, seq, state->consumer_seq, now + 30);
        state->delivered_ns = now;
    } else if (choice < 8) {
        consumer_log_settle(log, one->seq);
        consumer_state_settle(state, one);
        state->settled_ns = now;
    } else if (choice == 8) {
        consumer_state_redeliver(state, one, one->attempts + 1, state->consumer_seq + 1, now + 50);
        consumer_log_redeliver(log, one, state->consumer_seq);
        state->delivered_ns = now;
    } else if (random_below(2)) {
        one->due_ns = now + random_below(100);
        one->place = PENDING_NAKED;
        consumer_log_due(log, one);
    } else {
        struct consumer_grave *grave = consumer_state_die(state, one, true, BYTES("why"));
        assert_non_null(grave);
        consumer_log_die(log, grave);
        state->settled_ns = now;
        if (random_below(2)) return;
        if (random_below(2)) {
            consumer_log_keep(log, grave->seq);
            consumer_state_keep(state, grave);
            return;
        }
        consumer_log_bury(log, grave->seq);
        consumer_state_bury(state, grave);
    }
}

static void records_lead_to_the_same_state(void **unused)
{
    struct consumer_state state, replayed, newer;
    struct consumer_log log;
    struct bytes rest;
    struct buf snapshot;
    consumer_state_init(&state, true);
    consumer_state_init(&replayed, true);
    consumer_state_init(&newer, true);
    consumer_log_init(&log);
    consumer_state_start(&state, 7, 0);
    consumer_log_start(&log, 7, 0);
    assert_int_equal(consumer_state_apply(&replayed, 1, consumer_log_steps(&log)), 0);
    for (uint64_t now = 1; now < 2000; now++) {
        consumer_log_clear(&log);
        assert_true(consumer_log_is_empty(&log));
        for (uint64_t steps = random_below(20); steps; steps--) happen(&state, &log, now);
        struct bytes steps = consumer_log_steps(&log);
        assert_int_equal(consumer_state_apply(&replayed, now, steps), 0);
        assert_same(&state, &replayed);
        if (now % 100) continue;
        /* A snapshot that is newer than the record: once more changes nothing. */
        encode(&state, &snapshot);
        consumer_state_release(&newer);
        consumer_state_init(&newer, true);
        assert_int_equal(consumer_state_decode(&newer, buf_bytes(&snapshot), &rest), 0);
        assert_int_equal(rest.len, 0);
        assert_int_equal(consumer_state_apply(&newer, now, steps), 0);
        assert_int_equal(newer.pending.count, state.pending.count);
        assert_int_equal(newer.next_seq, state.next_seq);
        assert_int_equal(newer.consumer_seq, state.consumer_seq);
        buf_release(&snapshot);
    }
    consumer_log_release(&log);
    consumer_state_release(&state);
    consumer_state_release(&replayed);
    consumer_state_release(&newer);
}

static void runs_are_one_step(void **unused)
{
    struct consumer_log log;
    consumer_log_init(&log);
    for (uint64_t seq = 1; seq <= 256; seq++) consumer_log_deliver(&log, seq, seq, 1000);
    for (uint64_t seq = 1; seq <= 256; seq++) consumer_log_settle(&log, seq);
    assert_in_range(consumer_log_steps(&log).len, 2, 20);
    consumer_log_release(&log);
}

static void what_is_cut_is_refused(void **unused)
{
    struct consumer_state state, copy;
    struct consumer_log log;
    struct bytes rest;
    struct buf whole;
    consumer_state_init(&state, true);
    consumer_log_init(&log);
    consumer_state_start(&state, 1, 0);
    for (uint64_t now = 1; now < 40; now++) happen(&state, &log, now);
    encode(&state, &whole);
    for (size_t len = 0; len < buf_len(&whole); len++) {
        consumer_state_init(&copy, true);
        assert_int_equal(consumer_state_decode(&copy, bytes_head(buf_bytes(&whole), len), &rest),
                         ERR_CORRUPT);
        consumer_state_release(&copy);
    }
    struct bytes steps = consumer_log_steps(&log);
    size_t refused = 0;
    for (size_t len = 0; len < steps.len; len++) {
        consumer_state_init(&copy, true);
        consumer_state_start(&copy, 1, 0);
        refused += consumer_state_apply(&copy, 1, bytes_head(steps, len)) == ERR_CORRUPT;
        consumer_state_release(&copy);
    }
    assert_in_range(refused, steps.len / 2, steps.len); /* between two steps it is whole */
    buf_release(&whole);
    consumer_log_release(&log);
    consumer_state_release(&state);
}

static void the_floor(void **unused)
{
    struct consumer_state state;
    consumer_state_init(&state, true);
    consumer_state_start(&state, 10, 0);
    assert_int_equal(state.floor_seq, 9);
    for (uint64_t seq = 10; seq < 14; seq++)
        assert_int_equal(consumer_state_deliver(&state, seq, 1), 0);
    consumer_state_settle(&state, consumer_pending_find(&state.pending, 11));
    assert_int_equal(state.floor_seq, 9);
    consumer_state_settle(&state, consumer_pending_find(&state.pending, 10));
    assert_int_equal(state.floor_seq, 11);
    assert_int_equal(state.floor_consumer_seq, 2);
    consumer_state_settle(&state, consumer_pending_find(&state.pending, 12));
    consumer_state_settle(&state, consumer_pending_find(&state.pending, 13));
    assert_int_equal(state.floor_seq, 13);
    assert_int_equal(state.floor_consumer_seq, 4);
    consumer_state_release(&state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pending_finds_what_a_model_knows),
        cmocka_unit_test(expiry_gives_the_earliest),
        cmocka_unit_test(records_lead_to_the_same_state),
        cmocka_unit_test(runs_are_one_step),
        cmocka_unit_test(what_is_cut_is_refused),
        cmocka_unit_test(the_floor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
