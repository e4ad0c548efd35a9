/* dure_work: a service in a process of its own that works on a queue. */
#include "program.h"
#include "work.h"

#include <stdlib.h>
#include <unistd.h>

static struct program worker;

static void start_worker(void)
{
    static char url[64];
    static const char *const env[] = {url, "DURE_GRACE_MS=5000", NULL};
    static const char *const path[] = {MODULES "/worker.so", NULL};
    snprintf(url, sizeof url, "NATS_URL=nats://127.0.0.1:%d", work_server.port);
    program_start(&worker, NULL, path, 1, env);
}

static int tell(struct dure_ctx *ctx, const char *body)
{
    return dure_tell(ctx, "jobs.a", NULL, body, 0);
}

static int make_jobs(struct dure_ctx *ctx)
{
    return work_make_stream(ctx, "JOBS", "jobs.>");
}

static int tell_argument(struct dure_ctx *ctx)
{
    return tell(ctx, dure_argument(ctx));
}

static void send_job(const char *body)
{
    work_run(tell_argument, (void *)(uintptr_t)body);
}

static int tell_many(struct dure_ctx *ctx)
{
    enum { COUNT = 40 };
    struct dure_publication all[COUNT];
    for (int i = 0; i < COUNT; i++)
        all[i] = (struct dure_publication){.subject = "jobs.b", .body = "sleep 20", .len = 8};
    return dure_tell_all(ctx, all, COUNT, 0, NULL);
}

/* What the consumer has left: unacknowledged and undelivered. */
static int64_t left;
static int count_left(struct dure_ctx *ctx)
{
    struct dure_json *info;
    DONE(dure_api(ctx, "CONSUMER.INFO.JOBS.worker", NULL, 0, &info));
    left =
        dure_json_get_int(info, "num_ack_pending", -1) + dure_json_get_int(info, "num_pending", -1);
    return 0;
}

static void messages_are_worked_on(void **state)
{
    work_run_streams(make_jobs, NULL);
    start_worker();
    send_job("hello");
    program_wait_log(&worker, "\"body\":\"hello\",\"token\":\"a\",\"sequence\":1,\"deliveries\":1",
                     1);
    send_job("twice");
    program_wait_log(&worker, "\"body\":\"twice\",\"token\":\"a\",\"sequence\":2,\"deliveries\":2",
                     1);
    send_job("fail");
    program_wait_log(&worker, "\"event\":\"work_failed\"", 4); /* one of `twice`, three of this */
    send_job("poison");
    program_wait_log(&worker, "\"event\":\"work_failed\"", 5);
    send_job("sleep 2500"); /* more than twice ack_wait: kept while it runs */
    program_wait_log(&worker,
                     "\"body\":\"sleep 2500\",\"token\":\"a\",\"sequence\":5,\"deliveries\":1", 1);
    work_run(tell_many, NULL);
    program_wait_log(&worker, "\"body\":\"sleep 20\"", 40);
    assert_string_equal(client_request(worker.ports[0], "GET", "/stats", NULL, NULL)->body,
                        "done=43 most=4");
    assert_int_equal(program_stop(&worker), 0);
    work_run(count_left, NULL);
    assert_true(left <= 1); /* `fail`, which is given up after three deliveries */
}

/* Handlers finish, what waits is handed back at once, and another instance does it. */
static void stopping_loses_nothing(void **state)
{
    work_run_streams(make_jobs, NULL);
    start_worker();
    work_run(tell_many, NULL);
    program_wait_log(&worker, "\"event\":\"worked\"", 5);
    assert_int_equal(program_stop(&worker), 0);
    work_run(count_left, NULL);
    assert_true(left >= 10 && left <= 35);
    start_worker();
    program_wait_log(&worker, "\"event\":\"worked\"", (int)left);
    usleep(200 * 1000);
    program_poll_log(&worker);
    int done = 0;
    for (const char *at = worker.log; (at = strstr(at, "\"event\":\"worked\"")); at++) done++;
    assert_int_equal(done, left);
    assert_int_equal(program_stop(&worker), 0);
    work_run(count_left, NULL);
    assert_int_equal(left, 0);
}

static void a_worker_survives_the_server(void **state)
{
    work_run_streams(make_jobs, NULL);
    start_worker();
    send_job("one");
    program_wait_log(&worker, "\"body\":\"one\"", 1);
    nats_server_kill(&work_server);
    nats_server_start(&work_server);
    send_job("two");
    program_wait_log(&worker, "\"body\":\"two\"", 1);
    assert_int_equal(program_stop(&worker), 0);
}

/* The stream comes after the worker. */
static int remove_jobs(struct dure_ctx *ctx)
{
    return dure_api(ctx, "STREAM.DELETE.JOBS", NULL, 0, NULL);
}

static void a_worker_waits_for_its_stream(void **state)
{
    work_run_streams(make_jobs, NULL);
    work_run(remove_jobs, NULL);
    start_worker();
    program_wait_log(&worker, "\"event\":\"queue_not_ready\"", 1);
    work_run(make_jobs, NULL);
    send_job("late");
    program_wait_log(&worker, "\"body\":\"late\"", 1);
    assert_int_equal(program_stop(&worker), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_worked_on),
        cmocka_unit_test(stopping_loses_nothing),
        cmocka_unit_test(a_worker_survives_the_server),
        cmocka_unit_test(a_worker_waits_for_its_stream),
    };
    return cmocka_run_group_tests(tests, work_begin, work_end);
}
