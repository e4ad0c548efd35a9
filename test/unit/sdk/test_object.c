/* The object store through the SDK. */
#include "work.h"

#include <stdlib.h>

/* Bytes that can be told apart, made and checked without keeping them. */
struct flow {
    uint64_t at, size;
    uint64_t fail_at; /* 0: never */
    bool differs;
};

static char byte_at(uint64_t at)
{
    return (char)(at * 2654435761u >> 13);
}

static int64_t give(void *argument, void *buffer, size_t size)
{
    struct flow *flow = argument;
    size_t n = 0;
    char *to = buffer;
    if (size > 50000) size = 50000; /* less than was asked for */
    if (flow->fail_at && flow->at >= flow->fail_at) return DURE_EIO;
    while (n < size && flow->at < flow->size) to[n++] = byte_at(flow->at++);
    return (int64_t)n;
}

static int take(void *argument, const void *data, size_t len)
{
    struct flow *flow = argument;
    const char *from = data;
    if (flow->fail_at && flow->at >= flow->fail_at) return DURE_EIO;
    for (size_t i = 0; i < len; i++)
        if (from[i] != byte_at(flow->at++)) flow->differs = true;
    return 0;
}

static int make(struct dure_ctx *ctx)
{
    int err = dure_object_drop(ctx, "O");
    if (err && err != DURE_ENOTFOUND) return err;
    return dure_object_open(ctx, "O", NULL);
}

static int64_t messages(struct dure_ctx *ctx)
{
    struct dure_json *info;
    if (dure_api(ctx, "STREAM.INFO.OBJ_O", NULL, 0, &info) != 0) return -1;
    return dure_json_get_int(dure_json_get(info, "state"), "messages", -1);
}

static int round_trip(struct dure_ctx *ctx, uint64_t size,
                      const struct dure_object_options *options)
{
    struct dure_object put, got;
    struct flow in = {.size = size}, out = {0};
    DONE(dure_object_put(ctx, "O", "a file/with: any name", options, give, &in, &put));
    CHECK(put.size == size && strncmp(put.digest, "SHA-256=", 8) == 0);
    DONE(dure_object_get(ctx, "O", "a file/with: any name", take, &out, &got));
    CHECK(out.at == size && !out.differs && got.size == size && got.chunks == put.chunks);
    CHECK(strcmp(got.digest, put.digest) == 0 && strcmp(got.id, put.id) == 0 && got.time_ns);
    return 0;
}

static int keeps(struct dure_ctx *ctx)
{
    static const uint64_t sizes[] = {
        0, 1, DURE_OBJECT_CHUNK - 1, DURE_OBJECT_CHUNK, DURE_OBJECT_CHUNK + 1, 40 << 20};
    struct dure_object object;
    DONE(make(ctx));
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int err = round_trip(ctx, sizes[i], NULL);
        if (err) return err;
    }
    const struct dure_object_options small = {.description = "in bits", .chunk_size = 100};
    int err = round_trip(ctx, 1050, &small);
    if (err) return err;
    DONE(dure_object_info(ctx, "O", "a file/with: any name", &object));
    CHECK(object.chunks == 11 && object.chunk_size == 100);
    CHECK(strcmp(object.description, "in bits") == 0);
    CHECK(messages(ctx) == 12); /* nothing of what was replaced is left */
    CHECK(dure_object_info(ctx, "O", "none", &object) == DURE_ENOTFOUND);
    CHECK(dure_object_info(ctx, "NONE", "none", &object) == DURE_ENOTFOUND);
    CHECK(dure_object_info(ctx, "O", "", &object) == DURE_EINVALID);
    return 0;
}

static void objects_of_any_size_are_kept(void **state)
{
    work_run_streams(keeps, NULL);
}

static int fails_well(struct dure_ctx *ctx)
{
    struct dure_object object;
    struct flow old = {.size = 1000}, bad = {.size = 1 << 20, .fail_at = 500000};
    struct flow out = {.fail_at = 1};
    DONE(make(ctx));
    DONE(dure_object_put(ctx, "O", "x", NULL, give, &old, NULL));
    CHECK(dure_object_put(ctx, "O", "x", NULL, give, &bad, NULL) == DURE_EIO);
    DONE(dure_object_info(ctx, "O", "x", &object));
    CHECK(object.size == 1000);
    CHECK(messages(ctx) == 2);
    struct flow big = {.size = 1 << 20};
    DONE(dure_object_put(ctx, "O", "x", NULL, give, &big, NULL));
    CHECK(dure_object_get(ctx, "O", "x", take, &out, NULL) == DURE_EIO);
    DONE(dure_object_delete(ctx, "O", "x"));
    CHECK(dure_object_info(ctx, "O", "x", &object) == DURE_ENOTFOUND);
    CHECK(dure_object_delete(ctx, "O", "x") == DURE_ENOTFOUND);
    CHECK(messages(ctx) == 1);
    return 0;
}

static void a_failed_put_changes_nothing(void **state)
{
    work_run_streams(fails_well, NULL);
}

/* A chunk that is missing, and one that is not what was put. */
static int notices(struct dure_ctx *ctx)
{
    struct dure_object object;
    struct dure_message message;
    struct flow in = {.size = 300000}, out = {0};
    DONE(make(ctx));
    DONE(dure_object_put(ctx, "O", "x", NULL, give, &in, &object));
    const char *subject = dure_format(ctx, "$O.O.C.%s", object.id);
    DONE(dure_stream_get(ctx, "OBJ_O", 0, subject, &message));
    struct dure_json *request = dure_json_object(ctx);
    dure_json_set_int(request, "seq", (int64_t)message.sequence);
    DONE(dure_api(ctx, "STREAM.MSG.DELETE.OBJ_O", request, 0, NULL));
    CHECK(dure_object_get(ctx, "O", "x", take, &out, NULL) == DURE_EPROTOCOL);
    CHECK(strstr(dure_reason(ctx), "missing"));
    char *other = dure_alloc(ctx, message.len);
    const struct dure_publication forged = {.subject = subject, .body = other, .len = message.len};
    DONE(dure_tell_message(ctx, &forged, 0, NULL));
    CHECK(dure_object_get(ctx, "O", "x", take, &out, NULL) == DURE_EPROTOCOL);
    CHECK(strstr(dure_reason(ctx), "digest"));
    return 0;
}

static void damage_is_noticed(void **state)
{
    work_run_streams(notices, NULL);
}

static int watches(struct dure_ctx *ctx)
{
    struct dure_object_watch *watch;
    struct dure_object object;
    struct flow a = {.size = 10}, b = {.size = 20}, c = {.size = 30};
    DONE(make(ctx));
    DONE(dure_object_put(ctx, "O", "a", NULL, give, &a, NULL));
    DONE(dure_object_put(ctx, "O", "b", NULL, give, &b, NULL));
    DONE(dure_object_watch_open(ctx, "O", false, &watch));
    CHECK(dure_object_watch_next(watch, 2000, &object) == 1 && strcmp(object.name, "a") == 0);
    CHECK(dure_object_watch_next(watch, 2000, &object) == 1 && object.size == 20);
    CHECK(dure_object_watch_next(watch, 2000, &object) == 0);
    DONE(dure_object_put(ctx, "O", "c", NULL, give, &c, NULL));
    CHECK(dure_object_watch_next(watch, 2000, &object) == 1 && object.size == 30);
    DONE(dure_object_delete(ctx, "O", "b"));
    CHECK(dure_object_watch_next(watch, 2000, &object) == 1 && object.deleted);
    DONE(dure_object_seal(ctx, "O"));
    CHECK(dure_object_put(ctx, "O", "d", NULL, give, &c, NULL) != 0);
    return 0;
}

static void changes_are_told(void **state)
{
    work_run_streams(watches, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_of_any_size_are_kept),
        cmocka_unit_test(a_failed_put_changes_nothing),
        cmocka_unit_test(damage_is_noticed),
        cmocka_unit_test(changes_are_told),
    };
    return cmocka_run_group_tests(tests, work_begin, work_end);
}
