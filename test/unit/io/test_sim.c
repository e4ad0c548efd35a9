/* The simulated world's own rules: choices, the order of events, clocks, turns, the dead. What its
 * network and disks do to programs is tested in test/sim/. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "io/sim.h"
#include "io/sim_content.h"
#include "io/sim_prng.h"

/* ---- choices ----------------------------------------------------------------------------- */

/* The first values of xoshiro256** seeded with splitmix64(0), from the authors' reference code. */
static void prng_is_xoshiro(void **state)
{
    struct sim_prng prng;
    sim_prng_init(&prng, 0);
    assert_true(prng.state[0] == 0xe220a8397b1dcdafu);
    assert_true(prng.state[1] == 0x6e789e6aa1b965f4u);
    assert_true(prng.state[2] == 0x06c45d188009454fu);
    assert_true(prng.state[3] == 0xf88bb8a8724c81ecu);
    prng = (struct sim_prng){{1, 2, 3, 4}};
    assert_true(sim_prng_next(&prng) == 11520);
    assert_true(sim_prng_next(&prng) == 0);
    assert_true(sim_prng_next(&prng) == 1509978240);
    assert_true(sim_prng_next(&prng) == 1215971899390074240u);
}

static void prng_keeps_its_bounds(void **state)
{
    enum { DRAWS = 100000, MEAN = 1000 };
    struct sim_prng prng;
    uint64_t sum = 0, longest = 0;
    int counts[7] = {0}, chances = 0;
    sim_prng_init(&prng, 7);
    for (int i = 0; i < DRAWS; i++) {
        counts[sim_prng_below(&prng, 7)]++;
        uint64_t between = sim_prng_between(&prng, 10, 12);
        assert_in_range(between, 10, 12);
        uint64_t wait = sim_prng_exponential(&prng, MEAN);
        sum += wait;
        longest = wait > longest ? wait : longest;
        chances += sim_prng_chance(&prng, 10 * 1000);
    }
    for (int i = 0; i < 7; i++) assert_in_range(counts[i], DRAWS / 7 - 1000, DRAWS / 7 + 1000);
    assert_in_range(sum / DRAWS, MEAN * 9 / 10, MEAN * 11 / 10);
    assert_in_range(longest, 5 * MEAN, 64 * MEAN);
    assert_in_range(chances, 800, 1200);
    assert_int_equal(sim_prng_below(&prng, 0), 0);
    assert_int_equal(sim_prng_between(&prng, 5, 5), 5);
    assert_false(sim_prng_chance(&prng, 0));
    assert_true(sim_prng_chance(&prng, 1000000));
}

/* ---- time -------------------------------------------------------------------------------- */

struct record {
    int numbers[64], count;
};

static struct record record;

static void note(void *context)
{
    record.numbers[record.count++] = (int)(intptr_t)context;
}

static void events_come_in_order(void **state)
{
    static const int delays[] = {30, 10, 20, 10, 0, 30, 5, 20, 10};
    record.count = 0;
    struct sim *sim = sim_new(1, NULL);
    for (int i = 0; i < 9; i++)
        sim_at(sim, (uint64_t)delays[i], note, (void *)(intptr_t)(delays[i] * 10 + i));
    sim_run_ms(sim, 20);
    assert_int_equal(sim_now_ns(sim), 20 * 1000000);
    assert_int_equal(record.count, 7);
    assert_true(sim_step(sim) && sim_step(sim));
    assert_false(sim_step(sim));
    assert_int_equal(record.count, 9);
    for (int i = 1; i < 9; i++) assert_true(record.numbers[i - 1] < record.numbers[i]);
    assert_int_equal(sim_now_ns(sim), 30 * 1000000);
    sim_free(sim);
}

/* Many events that are moved and cancelled: the heap against a plain search. */
struct timed {
    struct io *io;
    struct io_timer timer;
    uint64_t due_ns, fired_ns;
    int fired;
};

static void timed_done(struct io_timer *timer)
{
    struct timed *timed = CONTAINER_OF(timer, struct timed, timer);
    timed->fired++;
    timed->fired_ns = io_now_ns(timed->io);
}

static void timers_fire_in_virtual_time(void **state)
{
    enum { TIMERS = 200 };
    static struct timed timers[TIMERS];
    struct sim *sim = sim_new(3, NULL);
    struct io *io = sim_host_io(sim_host_new(sim, "a"));
    for (int i = 0; i < TIMERS; i++) {
        timers[i] = (struct timed){.io = io};
        io_timer_init(&timers[i].timer, timed_done);
    }
    for (int i = 0; i < 3 * TIMERS; i++) {
        struct timed *timed = &timers[sim_random_below(sim, TIMERS)];
        uint64_t delay_ms = sim_random_below(sim, 1000 * 1000);
        timed->due_ns = io_now_ns(io) + delay_ms * 1000000;
        io_timer_set(io, &timed->timer, delay_ms);
        if (i % 5) continue;
        io_timer_cancel(io, &timed->timer);
        timed->due_ns = 0;
    }
    sim_run_ms(sim, 2000 * 1000);
    for (int i = 0; i < TIMERS; i++) {
        assert_int_equal(timers[i].fired, timers[i].due_ns != 0);
        if (!timers[i].fired) continue;
        assert_true(timers[i].fired_ns >= timers[i].due_ns);
        assert_true(timers[i].fired_ns < timers[i].due_ns + 5 * 1000000);
    }
    sim_free(sim);
}

static void clocks_differ_between_hosts(void **state)
{
    struct sim_options options;
    sim_options_init(&options);
    options.wall_skew_ms = 5000;
    struct sim *sim = sim_new(11, &options);
    struct sim_host *a = sim_host_new(sim, "a"), *b = sim_host_new(sim, "b");
    uint64_t a_ns = io_now_ns(sim_host_io(a)), b_ns = io_now_ns(sim_host_io(b));
    uint64_t a_wall_ns = io_wall_ns(sim_host_io(a)), b_wall_ns = io_wall_ns(sim_host_io(b));
    assert_true(a_ns != b_ns && a_wall_ns != b_wall_ns);
    uint64_t apart_ns = a_wall_ns > b_wall_ns ? a_wall_ns - b_wall_ns : b_wall_ns - a_wall_ns;
    assert_true(apart_ns <= 10000ull * 1000000);
    sim_host_set_wall(a, -1000);
    sim_run_ms(sim, 100);
    assert_int_equal(io_now_ns(sim_host_io(a)), a_ns + 100 * 1000000);
    assert_int_equal(io_wall_ns(sim_host_io(a)), a_wall_ns - 900 * 1000000);
    sim_free(sim);
}

/* ---- the loop ---------------------------------------------------------------------------- */

struct counted {
    struct io *io;
    struct io_task task;
    int ran;
};

static void counted_run(struct io_task *task)
{
    struct counted *counted = CONTAINER_OF(task, struct counted, task);
    if (++counted->ran == 3)
        io_stop(counted->io);
    else
        io_post(counted->io, task);
}

static void a_loop_can_be_run_as_on_the_machine(void **state)
{
    struct sim *sim = sim_new(1, NULL);
    struct counted counted = {.io = sim_host_io(sim_host_new(sim, "a"))};
    io_task_init(&counted.task, counted_run);
    io_post(counted.io, &counted.task);
    assert_int_equal(io_run(counted.io), 0);
    assert_int_equal(counted.ran, 3);
    /* Nothing is left that could ever happen: who waits for ever is told. */
    assert_int_equal(io_turn(counted.io, -1), ERR_CANCELLED);
    uint64_t before_ns = io_now_ns(counted.io);
    assert_int_equal(io_turn(counted.io, 10), 0);
    assert_int_equal(io_now_ns(counted.io), before_ns + 10 * 1000000);
    io_free(counted.io);
    assert_int_equal(io_turn(counted.io, 0), ERR_CLOSED);
    sim_free(sim);
}

static void what_there_is_not(void **state)
{
    struct sim *sim = sim_new(1, NULL);
    struct io *io = sim_host_io(sim_host_new(sim, "a"));
    struct io_stream stream;
    struct io_listener listener;
    struct io_process process;
    struct io_signal signal_watch;
    struct error error;
    struct io_spawn_options spawn = {0};
    assert_int_equal(io_stream_adopt(io, &stream, 0), ERR_UNSUPPORTED);
    assert_int_equal(io_listener_adopt(io, &listener, 0, (void (*)(struct io_listener *))abort),
                     ERR_UNSUPPORTED);
    assert_int_equal(
        io_spawn(io, &process, &spawn, (void (*)(struct io_process *, int))abort, &error),
        ERR_UNSUPPORTED);
    assert_int_equal(io_process_watch(io, &process, 1, (void (*)(struct io_process *, int))abort),
                     ERR_UNSUPPORTED);
    assert_int_equal(
        io_signal_watch(io, &signal_watch, SIGTERM, (void (*)(struct io_signal *))abort),
        ERR_UNSUPPORTED);
    sim_free(sim);
}

/* ---- the dead ---------------------------------------------------------------------------- */

struct program {
    struct io *io;
    struct sim_host *host;
    struct io_timer timer, late_timer;
    struct io_task task, second_task, late_task;
    struct io_job job;
    struct io_listener listener;
    struct io_stream stream;
    struct io_file file;
    char buf[16];
    int ran;
};

static void must_not_accept(struct io_listener *listener)
{
    fail();
}

static void must_not_complete(struct io_stream *stream, int result)
{
    fail();
}

static void must_not_close(struct io_stream *stream)
{
    fail();
}

static void must_not_fire(struct io_timer *timer)
{
    fail();
}

static void must_not_run(struct io_task *task)
{
    fail();
}

static void job_must_not_run(struct io_job *job)
{
    fail();
}

/* Crashes its own host in the middle of a turn, with everything in flight. */
static void crashing_task(struct io_task *task)
{
    struct program *program = CONTAINER_OF(task, struct program, task);
    program->ran++;
    sim_host_crash(program->host);
    io_post(program->io, &program->late_task);
    io_defer(program->io, &program->late_task);
    io_timer_set(program->io, &program->late_timer, 1);
    io_job_submit(program->io, &program->job);
}

static struct program *program_new(struct sim_host *host)
{
    struct program *program = calloc(1, sizeof *program);
    assert_non_null(program);
    struct io *io = program->io = sim_host_io(host);
    program->host = host;
    struct io_addr addr = {.family = IO_IPV4, .port = 80};
    io_timer_init(&program->timer, must_not_fire);
    io_timer_init(&program->late_timer, must_not_fire);
    io_task_init(&program->task, crashing_task);
    io_task_init(&program->second_task, must_not_run);
    io_task_init(&program->late_task, must_not_run);
    program->job = (struct io_job){.run = job_must_not_run, .done = job_must_not_run};
    assert_int_equal(io_listen(io, &program->listener, &addr, NULL, must_not_accept), 0);
    assert_int_equal(io_file_open(io, &program->file, "f", IO_READ | IO_WRITE | IO_CREATE), 0);
    addr = sim_host_addr(host, 81);
    io_connect(io, &program->stream, &addr, must_not_complete);
    io_timer_set(io, &program->timer, 100);
    io_post(io, &program->task);
    io_post(io, &program->second_task);
    return program;
}

static void the_dead_do_nothing(void **state)
{
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct sim *sim = sim_new(seed, NULL);
        struct sim_host *host = sim_host_new(sim, "a");
        sim_options_of(sim)->turn_us = sim_options_of(sim)->disk_op_us = 0;
        struct program *program = program_new(host);
        bool from_outside = seed % 2;
        if (from_outside) sim_host_crash(host);
        while (!sim_host_crashed(host)) assert_true(sim_step(sim));
        assert_int_equal(program->ran, !from_outside);
        assert_false(list_linked(&program->second_task.link) || program->timer.armed);
        assert_false(list_linked(&program->late_task.link) || program->late_timer.armed);
        struct io *io = program->io;
        char byte = 0;
        struct iovec iov = {&byte, 1};
        uint64_t size;
        assert_int_equal(io_file_write(&program->file, &iov, 1, 0), ERR_IO);
        assert_int_equal(io_file_sync(&program->file), ERR_IO);
        assert_int_equal(io_file_size(&program->file), ERR_IO);
        assert_int_equal(io_mkdir(io, "d"), ERR_IO);
        assert_int_equal(io_disk_free(io, "/", &size), ERR_IO);
        io_file_close(&program->file);
        io_timer_cancel(io, &program->timer);
        io_task_cancel(io, &program->second_task);
        io_close(&program->stream, must_not_close);
        io_listener_close(&program->listener);
        io_free(io);
        free(program); /* and the world does not look at it again */
        assert_ptr_not_equal(sim_host_restart(host), io);
        assert_false(sim_host_crashed(host));
        sim_run_ms(sim, 1000);
        sim_host_crash(host);
        sim_host_crash(host);
        sim_free(sim);
    }
}

/* ---- contents ---------------------------------------------------------------------------- */

/* Against a plain array: what is read is what was written, whatever is synced or fails. */
static void content_reads_as_written(void **state)
{
    enum { SIZE = 40000, STEPS = 3000 };
    static uint8_t model[SIZE], data[SIZE], got[SIZE];
    struct sim_prng prng;
    struct sim_content content;
    uint64_t size = 0;
    sim_prng_init(&prng, 5);
    sim_content_init(&content);
    memset(model, 0, SIZE);
    for (int step = 0; step < STEPS; step++) {
        uint64_t offset = sim_prng_below(&prng, SIZE), len = sim_prng_below(&prng, 5000);
        if (len > SIZE - offset) len = SIZE - offset;
        switch (sim_prng_below(&prng, 8)) {
        case 0:
            sim_content_resize(&content, &prng, offset);
            if (offset < size) memset(model + offset, 0, size - offset);
            size = offset;
            break;
        case 1: sim_content_sync(&content); break;
        case 2:
            sim_content_sync(&content);
            sim_content_crash(&content, &prng);
            break;
        default:
            sim_prng_fill(&prng, data, len);
            sim_content_write(&content, &prng, data, len, offset);
            memcpy(model + offset, data, len);
            if (len && offset + len > size) size = offset + len;
        }
        memset(got, 0xee, SIZE);
        assert_int_equal(sim_content_read(&content, got, SIZE, 0), size);
        assert_memory_equal(got, model, size);
    }
    sim_content_release(&content);
}

/* Each sector that was not synced is the old one or one of the newer ones, never anything else. */
static void content_crashes_by_sectors(void **state)
{
    enum { SECTORS = 40, VERSIONS = 4, ROUNDS = 500 };
    struct sim_prng prng;
    int seen[VERSIONS] = {0}, mixed = 0;
    sim_prng_init(&prng, 6);
    for (int round = 0; round < ROUNDS; round++) {
        struct sim_content content;
        uint8_t data[SECTORS * SIM_SECTOR], sector[SIM_SECTOR];
        sim_content_init(&content);
        for (int version = 0; version < VERSIONS; version++) {
            memset(data, version + 1, sizeof data);
            sim_content_write(&content, &prng, data, sizeof data, 0);
            if (version == 0) sim_content_sync(&content);
        }
        sim_content_crash(&content, &prng);
        assert_int_equal(sim_content_read(&content, data, sizeof data, 0), sizeof data);
        for (int i = 0; i < SECTORS; i++) {
            int version = data[i * SIM_SECTOR] - 1;
            assert_in_range(version, 0, VERSIONS - 1);
            memset(sector, version + 1, sizeof sector);
            assert_memory_equal(data + i * SIM_SECTOR, sector, SIM_SECTOR);
            seen[version]++;
            mixed += i && data[i * SIM_SECTOR] != data[(i - 1) * SIM_SECTOR];
        }
        sim_content_release(&content);
    }
    for (int version = 0; version < VERSIONS; version++) assert_true(seen[version] > ROUNDS);
    assert_true(mixed > ROUNDS);
}

/* Of sectors written once: none, all, a first part, or any. */
static void content_crashes_in_patterns(void **state)
{
    enum { SECTORS = 40, ROUNDS = 500 };
    struct sim_prng prng;
    int none = 0, all = 0, prefix = 0, holes = 0;
    sim_prng_init(&prng, 8);
    for (int round = 0; round < ROUNDS; round++) {
        struct sim_content content;
        uint8_t data[SECTORS * SIM_SECTOR] = {0};
        sim_content_init(&content);
        sim_content_write(&content, &prng, data, sizeof data, 0);
        sim_content_sync(&content);
        memset(data, 1, sizeof data);
        sim_content_write(&content, &prng, data, sizeof data, 0);
        sim_content_crash(&content, &prng);
        sim_content_read(&content, data, sizeof data, 0);
        int kept = 0, first = 0;
        for (int i = 0; i < SECTORS; i++) {
            kept += data[i * SIM_SECTOR];
            first += data[i * SIM_SECTOR] && first == i;
        }
        none += !kept;
        all += kept == SECTORS;
        prefix += kept && kept < SECTORS && first == kept;
        holes += first < kept;
        sim_content_release(&content);
    }
    assert_true(none > ROUNDS / 10 && all > ROUNDS / 10 && prefix > ROUNDS / 10);
    assert_true(holes > ROUNDS / 4);
}

/* ---- a disk from outside ----------------------------------------------------------------- */

static void bit_rot_is_seen_by_all(void **state)
{
    struct sim *sim = sim_new(1, NULL);
    struct sim_host *host = sim_host_new(sim, "a");
    struct io_file file;
    char text[] = "durable";
    struct iovec iov = {text, 7};
    assert_int_equal(io_file_open(sim_host_io(host), &file, "f", IO_READ | IO_WRITE | IO_CREATE),
                     0);
    assert_int_equal(io_file_write(&file, &iov, 1, 0), 0);
    assert_int_equal(io_file_sync(&file), 0);
    assert_int_equal(io_sync_dir(sim_host_io(host), "/"), 0);
    assert_int_equal(sim_disk_flip(host, "/f", 2, 0x20), 0);
    assert_int_equal(sim_disk_flip(host, "/f", 7, 1), ERR_NOT_FOUND);
    assert_int_equal(sim_disk_flip(host, "/g", 0, 1), ERR_NOT_FOUND);
    assert_int_equal(io_file_read(&file, text, 7, 0), 7);
    assert_string_equal(text, "duRable");
    io_file_close(&file);
    sim_host_crash(host);
    assert_int_equal(sim_disk_peek(host, "f", text, 7, 0), 7);
    assert_string_equal(text, "duRable");
    sim_free(sim);
}

static bool has(struct sim_host *host, const char *path)
{
    char byte;
    return sim_disk_peek(host, path, &byte, 1, 0) >= 0;
}

/* A rename between two directories is durable with either of them, and with it what came before. */
static void rename_between_directories_is_one_change(void **state)
{
    int lost = 0, kept = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct sim *sim = sim_new(seed, NULL);
        struct sim_host *host = sim_host_new(sim, "a");
        struct io *io = sim_host_io(host);
        struct io_file file;
        assert_int_equal(io_mkdir(io, "from") + io_mkdir(io, "to") + io_sync_dir(io, "/"), 0);
        assert_int_equal(io_file_open(io, &file, "from/x", IO_WRITE | IO_CREATE), 0);
        assert_int_equal(io_rename(io, "from/x", "to/x"), 0);
        assert_int_equal(io_sync_dir(io, seed % 2 ? "from" : "to"), 0);
        assert_int_equal(io_rename(io, "to/x", "to/y"), 0);
        sim_host_crash(host);
        assert_false(has(host, "from/x"));
        assert_true(has(host, "to/x") != has(host, "to/y"));
        lost += has(host, "to/x");
        kept += has(host, "to/y");
        sim_free(sim);
    }
    assert_true(lost > 20 && kept > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prng_is_xoshiro),
        cmocka_unit_test(prng_keeps_its_bounds),
        cmocka_unit_test(events_come_in_order),
        cmocka_unit_test(timers_fire_in_virtual_time),
        cmocka_unit_test(clocks_differ_between_hosts),
        cmocka_unit_test(a_loop_can_be_run_as_on_the_machine),
        cmocka_unit_test(what_there_is_not),
        cmocka_unit_test(the_dead_do_nothing),
        cmocka_unit_test(content_reads_as_written),
        cmocka_unit_test(content_crashes_by_sectors),
        cmocka_unit_test(content_crashes_in_patterns),
        cmocka_unit_test(rename_between_directories_is_one_change),
        cmocka_unit_test(bit_rot_is_seen_by_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
