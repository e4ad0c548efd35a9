/* The index against a simple model: random additions and removals, every question asked. */
#include "stream/stream_index.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MODEL_MAX = 4000, SUBJECTS = 7, RUN_MAX = 1800 };

struct model_entry {
    uint64_t seq, time_ns, place;
    uint32_t size;
    int subject;
    bool live;
};

static struct model_entry model[MODEL_MAX];
static size_t model_count;
static uint32_t state;

static uint32_t below(uint32_t n)
{
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(state >> 8) * n) >> 24);
}

static struct bytes name_of(int subject, char room[16])
{
    return bytes_make(room, (size_t)snprintf(room, 16, "s.%d", subject));
}

static struct stream_entry entry_of(struct stream_index *index, const struct model_entry *m)
{
    char room[16];
    return (struct stream_entry){
        .seq = m->seq,
        .time_ns = m->time_ns,
        .place = m->place,
        .size = m->size,
        .subject = stream_subjects_claim(&index->subjects, name_of(m->subject, room)),
    };
}

static void check_entry(const struct stream_entry *entry, const struct model_entry *m)
{
    char room[16];
    assert_int_equal(entry->seq, m->seq);
    assert_int_equal(entry->time_ns, m->time_ns);
    assert_int_equal(entry->place, m->place);
    assert_int_equal(entry->size, m->size);
    assert_true(bytes_eq(entry->subject->name, name_of(m->subject, room)));
}

static void check_subjects(struct stream_index *index)
{
    size_t held = 0;
    for (int s = 0; s < SUBJECTS; s++) {
        char room[16];
        uint64_t first = 0, last = 0, count = 0, before = 0;
        for (size_t i = 0; i < model_count; i++) {
            if (!model[i].live || model[i].subject != s) continue;
            if (!first) first = model[i].seq;
            before = last;
            last = model[i].seq;
            count++;
        }
        const struct stream_subject *subject =
            stream_subjects_find(&index->subjects, name_of(s, room));
        if (!count) {
            assert_null(subject);
            continue;
        }
        held++;
        assert_int_equal(subject->first, first);
        assert_int_equal(subject->last, last);
        assert_int_equal(subject->count, count);
        assert_int_equal(stream_index_before(index, last), before);
    }
    assert_int_equal(index->subjects.held, held);
}

static void check_all(struct stream_index *index)
{
    struct stream_entry entry;
    uint64_t count = 0, bytes = 0, seq = 0;
    struct stream_walk walk;
    uint32_t number;
    stream_walk_begin(&walk, index, 0);
    for (size_t i = 0; i < model_count; i++) {
        const struct model_entry *m = &model[i];
        uint64_t place = 0;
        assert_int_equal(stream_index_find(index, m->seq, &entry), m->live);
        assert_int_equal(stream_index_place(index, m->seq, &place), m->live);
        if (!m->live) continue;
        check_entry(&entry, m);
        assert_int_equal(place, entry.place);
        assert_true(stream_index_from(index, seq + 1, &entry));
        check_entry(&entry, m);
        assert_true(stream_walk_next(&walk, &seq, &number));
        assert_int_equal(seq, m->seq);
        count++;
        bytes += m->size;
    }
    assert_false(stream_walk_next(&walk, &seq, &number));
    assert_int_equal(index->count, count);
    assert_int_equal(index->bytes, bytes);
    check_subjects(index);
}

/* Gaps in sequence, place and time, each rarely and each also far. */
static struct model_entry *next_model(void)
{
    const struct model_entry *last = model_count ? &model[model_count - 1] : NULL;
    struct model_entry *m = &model[model_count++];
    uint64_t far = below(300) ? 0 : UINT64_C(1) << 33;
    *m = (struct model_entry){
        .seq = last ? last->seq + 1 + (below(20) ? 0 : below(9)) + far : 1,
        .time_ns = last ? last->time_ns + below(5) * 1000 + far * 1000 : 1000000000,
        .place = last ? last->place + 1 + (below(50) ? 0 : below(3)) + (below(200) ? 0 : far) : 1,
        .size = below(1000),
        .subject = (int)below(SUBJECTS),
        .live = true,
    };
    if (last && !below(100)) m->time_ns = last->time_ns - 5000; /* a clock that was set back */
    return m;
}

static void add(struct stream_index *index)
{
    struct stream_entry entry = entry_of(index, next_model());
    assert_int_equal(stream_index_add(index, &entry), 0);
}

/* Messages as the one before, for long enough to fill blocks: one by one, or as recovery adds them.
 */
static void add_run(struct stream_index *index)
{
    static uint32_t times_us[RUN_MAX];
    uint32_t count = 1 + below(RUN_MAX), time_us = 0;
    if (count > MODEL_MAX - model_count) count = (uint32_t)(MODEL_MAX - model_count);
    bool at_once = below(2);
    struct model_entry *first = next_model();
    struct stream_entry entry = entry_of(index, first);
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0) model[model_count++] = *first;
        struct model_entry *m = &model[model_count - 1];
        m->seq += i;
        m->place += i;
        m->time_ns += UINT64_C(1000) * time_us;
        times_us[i] = time_us;
        time_us += below(4);
        struct stream_entry one = entry;
        one.seq = m->seq;
        one.place = m->place;
        one.time_ns = m->time_ns;
        if (!at_once) assert_int_equal(stream_index_add(index, &one), 0);
    }
    if (at_once) assert_int_equal(stream_index_add_run(index, &entry, times_us, count), 0);
}

static void take(struct stream_index *index, size_t i)
{
    if (!model[i].live) return;
    stream_index_remove(index, model[i].seq);
    model[i].live = false;
}

static void follows_its_model(void **unused)
{
    for (uint32_t seed = 1; seed <= 40; seed++) {
        struct stream_index index;
        stream_index_init(&index);
        model_count = 0;
        state = seed;
        bool oldest_first = below(2), thorough = below(2), runs = below(2);
        size_t first = 0;
        while (model_count < MODEL_MAX) {
            if (runs && below(1000) < 3) {
                add_run(&index);
            } else if (below(100) < 60 || model_count == 0) {
                add(&index);
            } else if (oldest_first) {
                take(&index, first++ % model_count);
            } else {
                take(&index, below((uint32_t)model_count));
            }
            if (!below(100) && model_count) {
                struct model_entry *m = &model[below((uint32_t)model_count)];
                if (m->live) m->place += 1 + below(1000);
                if (m->live) assert_int_equal(stream_index_move(&index, m->seq, m->place), 0);
            }
            if (model_count % 500 == 0) check_all(&index);
        }
        check_all(&index);
        for (size_t i = 0; thorough && i < model_count; i++) {
            take(&index, i);
            if (i % 500 == 0) check_all(&index);
        }
        stream_index_release(&index);
    }
}

static void merges_what_came_late(void **unused)
{
    static struct stream_entry late[MODEL_MAX];
    for (uint32_t seed = 1; seed <= 20; seed++) {
        struct stream_index index;
        stream_index_init(&index);
        model_count = 0;
        state = seed;
        size_t count = 0;
        while (model_count < 2000) {
            struct model_entry *m = next_model();
            struct stream_entry entry = entry_of(&index, m);
            if (below(3)) {
                assert_int_equal(stream_index_add(&index, &entry), 0);
                continue;
            }
            late[count++] = entry;
            if (below(5)) continue;
            late[count] = late[count - 1]; /* copied twice: the later place counts */
            late[count++].place = m->place += 7;
        }
        for (size_t i = count; i > 1; i--) {
            struct stream_entry *a = &late[i - 1], *b = &late[below((uint32_t)i)], c = *a;
            *a = *b;
            *b = c;
        }
        assert_int_equal(stream_index_merge(&index, late, count), 0);
        check_all(&index);
        stream_index_release(&index);
    }
}

static void finds_by_time(void **unused)
{
    struct stream_index index;
    stream_index_init(&index);
    model_count = 0;
    state = 1;
    while (model_count < 1500) add(&index);
    for (size_t i = 0; i < model_count; i += 3) take(&index, i);
    for (size_t i = 0; i < model_count; i += 37) {
        for (int64_t shift = -1000; shift <= 1000; shift += 1000) {
            uint64_t time = model[i].time_ns + (uint64_t)shift, found = 0;
            for (size_t j = 0; j < model_count && !found; j++) {
                if (model[j].live && model[j].time_ns >= time) found = model[j].seq;
            }
            assert_int_equal(stream_index_at(&index, time), found);
        }
    }
    stream_index_release(&index);
}

/* What the memory figure of the project stands on. */
static void a_message_costs_little(void **unused)
{
    struct stream_index index;
    stream_index_init(&index);
    for (uint64_t seq = 1; seq <= 100000; seq++) {
        char room[16];
        struct stream_subject *subject =
            stream_subjects_claim(&index.subjects, name_of(seq % 2, room));
        const struct stream_entry entry = {
            .seq = seq, .time_ns = seq * 5000, .place = seq, .size = 128, .subject = subject};
        assert_int_equal(stream_index_add(&index, &entry), 0);
    }
    assert_in_range(index.memory, 20 * 100000, 21 * 100000);
    stream_index_release(&index);
}

static void messages_that_are_alike_cost_less(void **unused)
{
    struct stream_index index;
    stream_index_init(&index);
    struct stream_subject *subject = stream_subjects_claim(&index.subjects, BYTES("s"));
    for (uint64_t seq = 1; seq <= 100000; seq++) {
        const struct stream_entry entry = {
            .seq = seq, .time_ns = seq * 5000, .place = seq + 1, .size = 128, .subject = subject};
        assert_int_equal(stream_index_add(&index, &entry), 0);
    }
    assert_in_range(index.memory, 4 * 100000, 5 * 100000);
    /* Few that are left of many do not hold the memory of all. */
    for (uint64_t seq = 1; seq <= 100000; seq++) {
        if (seq % 100) stream_index_remove(&index, seq);
    }
    assert_int_equal(index.count, 1000);
    assert_in_range(index.memory, 20 * 1000, 60 * 1000);
    stream_index_release(&index);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(follows_its_model),
        cmocka_unit_test(merges_what_came_late),
        cmocka_unit_test(finds_by_time),
        cmocka_unit_test(a_message_costs_little),
        cmocka_unit_test(messages_that_are_alike_cost_less),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
