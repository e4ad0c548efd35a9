/* Streams through the SDK: durable publications, readers, queues; with a server that is killed. */
#include "work.h"

#include <stdlib.h>
#include <unistd.h>

/* ---- durable publications ----------------------------------------------------------------- */

static int tells(struct dure_ctx *ctx)
{
    struct dure_stored stored;
    struct dure_message message;
    DONE(work_make_stream(ctx, "TELL", "tell.>"));
    struct dure_publication publication = {.subject = "tell.a", .body = "1", .len = 1, .id = "one"};
    DONE(dure_tell_message(ctx, &publication, 0, &stored));
    CHECK(stored.sequence == 1 && !stored.duplicate && strcmp(stored.stream, "TELL") == 0);
    DONE(dure_tell_message(ctx, &publication, 0, &stored));
    CHECK(stored.sequence == 1 && stored.duplicate);
    static const char *const expects[] = {"Nats-Expected-Last-Sequence", "7", NULL};
    publication.id = NULL;
    publication.headers = expects;
    CHECK(dure_tell_message(ctx, &publication, 0, &stored) == DURE_ECONFLICT);
    CHECK(stored.code == 10071 && strstr(dure_reason(ctx), "wrong last sequence"));
    publication.headers = NULL;
    publication.subject = "nowhere";
    CHECK(dure_tell_message(ctx, &publication, 500, &stored) == DURE_ENOSTREAM);
    DONE(dure_stream_get(ctx, "TELL", 1, NULL, &message));
    CHECK(strcmp(message.subject, "tell.a") == 0 && strcmp(message.body, "1") == 0);
    CHECK(strcmp(dure_headers_find(message.headers, "Nats-Msg-Id"), "one") == 0);
    CHECK(message.time_ns > 1600000000000000000u);
    CHECK(dure_stream_get(ctx, "TELL", 9, NULL, &message) == DURE_ENOTFOUND);
    DONE(dure_stream_get(ctx, "TELL", 0, "tell.a", &message));
    CHECK(message.sequence == 1);
    return 0;
}

static void a_message_is_stored_once(void **state)
{
    work_run_streams(tells, NULL);
}

static int tells_many(struct dure_ctx *ctx)
{
    enum { COUNT = 1000 };
    static struct dure_publication publications[COUNT];
    static struct dure_stored results[COUNT];
    DONE(work_make_stream(ctx, "MANY", "many.*"));
    for (int i = 0; i < COUNT; i++)
        publications[i] = (struct dure_publication){
            .subject = dure_format(ctx, "many.%d", i % 10), .body = "x", .len = 1};
    DONE(dure_tell_all(ctx, publications, COUNT, 0, results));
    for (uint64_t i = 0; i < COUNT; i++) CHECK(!results[i].err && results[i].sequence == i + 1);
    publications[1].subject = "nowhere";
    publications[2].subject = "a b";
    CHECK(dure_tell_all(ctx, publications, 4, 500, results) == DURE_ENOSTREAM);
    CHECK(results[0].err == 0 && results[1].err == DURE_ENOSTREAM);
    CHECK(results[2].err == DURE_EINVALID && results[3].err == 0);
    return 0;
}

static void each_of_many_has_its_result(void **state)
{
    work_run_streams(tells_many, NULL);
}

static size_t stored_count, failed_count;
static uint64_t highest;

static void count_stored(void *argument, uint64_t tag, const struct dure_stored *stored)
{
    if (stored->err)
        failed_count++;
    else
        stored_count++;
    if (stored->sequence > highest) highest = stored->sequence;
}

/* The server dies three times in the middle: everything is there once, in order. */
static int survives_kills(struct dure_ctx *ctx)
{
    enum { COUNT = 3000 };
    struct dure_publisher *publisher;
    struct dure_reader *reader;
    struct dure_message message;
    char body[16];
    DONE(work_make_stream(ctx, "SURVIVE", "survive"));
    const struct dure_publisher_options options = {
        .window = 64, .timeout_ms = 50000, .stored = count_stored};
    DONE(dure_publisher_open(ctx, &options, &publisher));
    for (int i = 0; i < COUNT; i++) {
        snprintf(body, sizeof body, "%d", i);
        const struct dure_publication publication = {
            .subject = "survive", .body = body, .len = strlen(body)};
        DONE(dure_publisher_put(publisher, &publication, (uint64_t)i));
        if (i % 1000 != 500) continue;
        nats_server_kill(&work_server);
        nats_server_start(&work_server);
    }
    DONE(dure_publisher_flush(publisher));
    dure_publisher_close(publisher);
    CHECK(stored_count == COUNT && failed_count == 0);
    DONE(dure_reader_open(ctx, &(struct dure_reader_options){.stream = "SURVIVE"}, &reader));
    CHECK(dure_reader_initial(reader) == COUNT);
    for (int i = 0; i < COUNT; i++) {
        DONE(dure_reader_next(reader, 5000, &message));
        CHECK(atoi(message.body) == i && message.sequence == (uint64_t)i + 1);
    }
    CHECK(dure_reader_pending(reader) == 0);
    return 0;
}

static void what_was_not_acknowledged_is_sent_again(void **state)
{
    stored_count = failed_count = 0;
    work_run_streams(survives_kills, NULL);
}

/* ---- reading ------------------------------------------------------------------------------ */

static int fill(struct dure_ctx *ctx, const char *subject, int count)
{
    struct dure_publication *publications = calloc((size_t)count, sizeof *publications);
    for (int i = 0; i < count; i++)
        publications[i] = (struct dure_publication){
            .subject = dure_format(ctx, subject, i % 3),
            .body = dure_format(ctx, "%d", i),
            .len = strlen(dure_format(ctx, "%d", i)),
        };
    int err = dure_tell_all(ctx, publications, (size_t)count, 0, NULL);
    free(publications);
    return err;
}

static int expect(struct dure_ctx *ctx, struct dure_reader_options options, const char *bodies)
{
    struct dure_reader *reader;
    struct dure_message message;
    char got[256] = "";
    options.stream = "READ";
    DONE(dure_reader_open(ctx, &options, &reader));
    while (dure_reader_next(reader, 200, &message) == 0) {
        CHECK(strcmp(message.stream, "READ") == 0 && message.time_ns && !*message.reply);
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s ", message.body);
    }
    dure_reader_close(reader);
    if (strcmp(got, bodies) != 0) {
        work_failed(__FILE__, __LINE__, dure_format(ctx, "%s != %s", got, bodies), ctx, 0);
        return DURE_EINTERNAL;
    }
    return 0;
}

static int reads(struct dure_ctx *ctx)
{
    DONE(work_make_stream(ctx, "READ", "read.*"));
    DONE(fill(ctx, "read.%d", 9));
    int err = expect(ctx, (struct dure_reader_options){0}, "0 1 2 3 4 5 6 7 8 ");
    if (!err) err = expect(ctx, (struct dure_reader_options){.ahead = 1}, "0 1 2 3 4 5 6 7 8 ");
    if (!err) err = expect(ctx, (struct dure_reader_options){.filter = "read.1"}, "1 4 7 ");
    if (!err) err = expect(ctx, (struct dure_reader_options){.from = DURE_FROM_LAST}, "8 ");
    if (!err)
        err =
            expect(ctx, (struct dure_reader_options){.from = DURE_FROM_LAST_PER_SUBJECT}, "6 7 8 ");
    if (!err) err = expect(ctx, (struct dure_reader_options){.from = DURE_FROM_NEW}, "");
    if (!err)
        err = expect(ctx, (struct dure_reader_options){.from = DURE_FROM_SEQUENCE, .sequence = 8},
                     "7 8 ");
    if (!err)
        err = expect(ctx, (struct dure_reader_options){.from = DURE_FROM_TIME, .time_ns = 1},
                     "0 1 2 3 4 5 6 7 8 ");
    if (!err) err = expect(ctx, (struct dure_reader_options){.headers_only = true}, "         ");
    struct dure_reader *reader;
    CHECK(dure_reader_open(ctx, &(struct dure_reader_options){.stream = "NONE"}, &reader) ==
          DURE_ENOTFOUND);
    CHECK(dure_reason_code(ctx) == 10059);
    CHECK(dure_reader_open(ctx, &(struct dure_reader_options){.stream = "a.b"}, &reader) ==
          DURE_EINVALID);
    return err;
}

static void readers_begin_anywhere(void **state)
{
    work_run_streams(reads, NULL);
}

/* The server forgets the consumer when it dies: the reader goes on where it was. */
static int reads_on(struct dure_ctx *ctx)
{
    enum { COUNT = 1200 };
    struct dure_reader *reader;
    struct dure_message message;
    DONE(work_make_stream(ctx, "ON", "on.*"));
    DONE(fill(ctx, "on.%d", COUNT));
    DONE(dure_reader_open(ctx, &(struct dure_reader_options){.stream = "ON", .ahead = 100},
                          &reader));
    for (int i = 0; i < COUNT; i++) {
        DONE(dure_reader_next(reader, 10000, &message));
        CHECK(atoi(message.body) == i);
        if (i % 400 != 300) continue;
        nats_server_kill(&work_server);
        nats_server_start(&work_server);
    }
    return 0;
}

static void a_reader_goes_on_after_a_kill(void **state)
{
    work_run_streams(reads_on, NULL);
}

/* ---- queues by hand ----------------------------------------------------------------------- */

static int make_consumer(struct dure_ctx *ctx, const char *stream, const char *name,
                         int64_t ack_wait_ms)
{
    struct dure_json *request = dure_json_object(ctx), *config = dure_json_object(ctx);
    dure_json_set_string(config, "durable_name", name);
    dure_json_set_string(config, "ack_policy", "explicit");
    dure_json_set_int(config, "ack_wait", ack_wait_ms * 1000000);
    dure_json_set_string(request, "stream_name", stream);
    dure_json_set(request, "config", config);
    return dure_api(ctx, dure_format(ctx, "CONSUMER.DURABLE.CREATE.%s.%s", stream, name), request,
                    0, NULL);
}

static int pulls(struct dure_ctx *ctx)
{
    struct dure_pull *pull;
    struct dure_message message;
    DONE(work_make_stream(ctx, "PULL", "pull.*"));
    DONE(fill(ctx, "pull.%d", 4));
    DONE(make_consumer(ctx, "PULL", "c", 1000));
    const struct dure_pull_options options = {.stream = "PULL", .consumer = "c"};
    DONE(dure_pull_open(ctx, &options, &pull));
    DONE(dure_pull_next(pull, 2000, &message));
    CHECK(message.sequence == 1 && message.deliveries == 1 && message.pending == 3);
    CHECK(strcmp(message.consumer, "c") == 0);
    DONE(dure_ack_confirmed(ctx, &message, 2000));
    DONE(dure_pull_next(pull, 2000, &message));
    CHECK(message.sequence == 2);
    DONE(dure_nak(ctx, &message, 0));
    DONE(dure_pull_next(pull, 2000, &message)); /* a nak comes back before what is new, or behind */
    uint64_t second = message.sequence;
    DONE(dure_ack(ctx, &message));
    DONE(dure_pull_next(pull, 2000, &message));
    CHECK(second + message.sequence == 5);
    DONE(dure_ack(ctx, &message));
    DONE(dure_pull_next(pull, 2000, &message));
    CHECK(message.sequence == 4);
    for (int i = 0; i < 8; i++) { /* twice its time */
        DONE(dure_sleep(ctx, 250));
        DONE(dure_working(ctx, &message));
    }
    DONE(dure_term(ctx, &message, "enough"));
    CHECK(dure_pull_next(pull, 1300, &message) == DURE_ETIMEOUT);
    dure_pull_close(pull);
    return 0;
}

static void a_queue_is_worked_by_hand(void **state)
{
    work_run_streams(pulls, NULL);
}

static int pulls_nothing(struct dure_ctx *ctx)
{
    struct dure_pull *pull;
    struct dure_message message;
    DONE(work_make_stream(ctx, "PULL", "pull.*"));
    const struct dure_pull_options options = {.stream = "PULL", .consumer = "missing"};
    CHECK(dure_pull_open(ctx, &options, &pull) == DURE_ENOTFOUND);
    CHECK(dure_reason_code(ctx) == 10014);
    DONE(make_consumer(ctx, "PULL", "missing", 1000));
    DONE(dure_pull_open(ctx, &options, &pull));
    CHECK(dure_pull_next(pull, 100, &message) == DURE_ETIMEOUT);
    DONE(dure_api(ctx, "CONSUMER.DELETE.PULL.missing", NULL, 0, NULL));
    CHECK(dure_pull_next(pull, 30000, &message) == DURE_ENOTFOUND);
    return 0;
}

static void a_missing_queue_is_told(void **state)
{
    work_run_streams(pulls_nothing, NULL);
}

/* Everything is done at last, whatever is killed; and on our own bus what was acknowledged with
 * confirmation never comes again. */
static int pulls_on(struct dure_ctx *ctx)
{
    enum { COUNT = 300 };
    static int confirmed[COUNT];
    struct dure_pull *pull;
    struct dure_message message;
    int done = 0, again = 0, kills = 0;
    memset(confirmed, 0, sizeof confirmed);
    DONE(work_make_stream(ctx, "PULL", "pull.*"));
    DONE(fill(ctx, "pull.%d", COUNT));
    DONE(make_consumer(ctx, "PULL", "c", 1000));
    const struct dure_pull_options options = {.stream = "PULL", .consumer = "c", .ahead = 20};
    DONE(dure_pull_open(ctx, &options, &pull));
    while (done < COUNT) {
        DONE(dure_pull_next(pull, 15000, &message));
        int i = atoi(message.body);
        CHECK(i >= 0 && i < COUNT);
        again += confirmed[i];
        if (dure_ack_confirmed(ctx, &message, 3000) != 0 || confirmed[i]) continue;
        confirmed[i] = 1;
        if (++done % 100 != 50) continue;
        kills++;
        nats_server_kill(&work_server);
        nats_server_start(&work_server);
    }
    CHECK(kills == 3 && (again == 0 || !getenv("DURE_TEST_BUS")));
    return 0;
}

static void a_pull_goes_on_after_a_kill(void **state)
{
    work_run_streams(pulls_on, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_is_stored_once),
        cmocka_unit_test(each_of_many_has_its_result),
        cmocka_unit_test(what_was_not_acknowledged_is_sent_again),
        cmocka_unit_test(readers_begin_anywhere),
        cmocka_unit_test(a_reader_goes_on_after_a_kill),
        cmocka_unit_test(a_queue_is_worked_by_hand),
        cmocka_unit_test(a_missing_queue_is_told),
        cmocka_unit_test(a_pull_goes_on_after_a_kill),
    };
    return cmocka_run_group_tests(tests, work_begin, work_end);
}
