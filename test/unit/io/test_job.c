#include "harness.h"

#include <pthread.h>
#include <stdio.h>

enum { JOBS = 500 };

struct work {
    struct io_job job;
    int runs, dones, again;
    uint64_t sum;
    pthread_t thread;
};

static struct work works[JOBS];
static int finished;

static void run(struct io_job *job)
{
    struct work *work = CONTAINER_OF(job, struct work, job);
    for (uint64_t i = 0; i < 1000; i++) work->sum += i;
    work->thread = pthread_self();
    work->runs++;
}

static void done(struct io_job *job)
{
    struct work *work = CONTAINER_OF(job, struct work, job);
    assert_false(pthread_equal(work->thread, pthread_self()));
    work->dones++;
    if (work->again-- > 0)
        io_job_submit(io, job);
    else
        finished++;
}

static void test_all_run_once_each_time(void **state)
{
    memset(works, 0, sizeof works);
    finished = 0;
    for (int i = 0; i < JOBS; i++) {
        works[i].job.run = run;
        works[i].job.done = done;
        works[i].again = i % 4;
        io_job_submit(io, &works[i].job);
        assert_int_equal(works[i].dones, 0);
        if (i % 50 == 0) io_turn(io, 0);
    }
    TURN_UNTIL(finished == JOBS);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(works[i].runs, 1 + i % 4);
        assert_int_equal(works[i].dones, 1 + i % 4);
        assert_int_equal(works[i].sum, 499500u * (1 + i % 4));
    }
}

/* Each of two jobs waits until the other has begun: only two threads can finish them. */
static pthread_barrier_t barrier;

static void meet(struct io_job *job)
{
    pthread_barrier_wait(&barrier);
}

static void met(struct io_job *job)
{
    finished++;
}

static void test_jobs_run_beside_each_other(void **state)
{
    struct io_job first = {.run = meet, .done = met}, second = {.run = meet, .done = met};
    pthread_barrier_init(&barrier, NULL, 2);
    finished = 0;
    io_job_submit(io, &first);
    io_job_submit(io, &second);
    TURN_UNTIL(finished == 2);
    pthread_barrier_destroy(&barrier);
}

/* A job may use files, and the loop sleeps meanwhile. */
struct file_work {
    struct io_job job;
    struct io_file file;
    const char *path;
    int err;
    bool done;
};

static void write_file(struct io_job *job)
{
    struct file_work *work = CONTAINER_OF(job, struct file_work, job);
    struct iovec iov = {(char *)"durable", 7};
    work->err = io_file_open(io, &work->file, work->path, IO_WRITE | IO_CREATE);
    if (!work->err) work->err = io_file_write(&work->file, &iov, 1, 0);
    if (!work->err) work->err = io_file_sync(&work->file);
    io_file_close(&work->file);
    usleep(30000);
}

static void file_written(struct io_job *job)
{
    CONTAINER_OF(job, struct file_work, job)->done = true;
}

static void test_job_with_a_file(void **state)
{
    char folder[64], path[80];
    make_folder(folder);
    snprintf(path, sizeof path, "%s/f", folder);
    struct file_work work = {.job = {.run = write_file, .done = file_written}, .path = path};
    uint64_t size, mtime;
    io_job_submit(io, &work.job);
    int turns = 0;
    for (; !work.done; turns++) io_turn(io, -1);
    assert_in_range(turns, 1, 3);
    assert_int_equal(work.err, 0);
    assert_int_equal(io_stat(io, path, &size, &mtime, NULL), 0);
    assert_int_equal(size, 7);
    io_unlink(io, path);
    rmdir(folder);
}

static int one_thread(void **state)
{
    return io_new(&(struct io_options){.threads = 1}, &io);
}

static char order[8];

static void nothing(struct io_job *job)
{
}

static void first_done(struct io_job *job)
{
    strncat(order, "1", 2);
}

static void second_done(struct io_job *job)
{
    strncat(order, "2", 2);
}

static void test_one_thread_keeps_the_order(void **state)
{
    struct io_job first = {.run = nothing, .done = first_done};
    struct io_job second = {.run = nothing, .done = second_done};
    order[0] = '\0';
    io_job_submit(io, &first);
    io_job_submit(io, &second);
    TURN_UNTIL(strlen(order) == 2);
    assert_string_equal(order, "12");
}

#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, make_loop, free_loop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOOP(test_all_run_once_each_time),
        WITH_LOOP(test_jobs_run_beside_each_other),
        WITH_LOOP(test_job_with_a_file),
        cmocka_unit_test_setup_teardown(test_one_thread_keeps_the_order, one_thread, free_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
