/* Buckets through the SDK; with a server that is killed. */
#include "work.h"

#include <stdlib.h>
#include <unistd.h>

static int make(struct dure_ctx *ctx, int history)
{
    int err = dure_kv_drop(ctx, "B");
    if (err && err != DURE_ENOTFOUND) return err;
    return dure_kv_open(ctx, "B", &(struct dure_kv_config){.history = history});
}

static int keeps(struct dure_ctx *ctx)
{
    struct dure_kv_entry entry;
    struct dure_kv_status status;
    uint64_t first, second;
    DONE(make(ctx, 5));
    DONE(dure_kv_open(ctx, "B", &(struct dure_kv_config){.history = 5}));
    CHECK(dure_kv_open(ctx, "B", &(struct dure_kv_config){.history = 6}) == DURE_EEXISTS);
    CHECK(dure_kv_get(ctx, "B", "a.b", 0, &entry) == DURE_ENOTFOUND);
    DONE(dure_kv_put(ctx, "B", "a.b", "one", 3, &first));
    DONE(dure_kv_get(ctx, "B", "a.b", 0, &entry));
    CHECK(strcmp(entry.key, "a.b") == 0 && strcmp(entry.value, "one") == 0 && entry.len == 3);
    CHECK(entry.revision == first && entry.operation == DURE_KV_PUT && entry.time_ns);
    DONE(dure_kv_put(ctx, "B", "a.b", "", 0, &second));
    CHECK(second == first + 1);
    DONE(dure_kv_get(ctx, "B", "a.b", 0, &entry));
    CHECK(entry.len == 0);
    DONE(dure_kv_get(ctx, "B", "a.b", first, &entry));
    CHECK(strcmp(entry.value, "one") == 0);
    DONE(dure_kv_put(ctx, "B", "other", "x", 1, NULL));
    CHECK(dure_kv_get(ctx, "B", "other", first, &entry) == DURE_ENOTFOUND);
    DONE(dure_kv_status(ctx, "B", &status));
    CHECK(status.values == 3 && status.history == 5 && status.ttl_ms == 0 &&
          status.max_bytes == -1);
    CHECK(dure_kv_get(ctx, "NONE", "a", 0, &entry) == DURE_ENOTFOUND);
    CHECK(dure_kv_put(ctx, "NONE", "a", "", 0, NULL) == DURE_ENOTFOUND);
    CHECK(dure_kv_put(ctx, "a.b", "a", "", 0, NULL) == DURE_EINVALID);
    CHECK(dure_kv_put(ctx, "B", "a*", "", 0, NULL) == DURE_EINVALID);
    CHECK(dure_kv_put(ctx, "B", ".a", "", 0, NULL) == DURE_EINVALID);
    return 0;
}

static void values_are_kept(void **state)
{
    work_run_streams(keeps, NULL);
}

static int compares(struct dure_ctx *ctx)
{
    struct dure_kv_entry entry;
    uint64_t revision, other;
    DONE(make(ctx, 1));
    DONE(dure_kv_create(ctx, "B", "k", "1", 1, &revision));
    CHECK(dure_kv_create(ctx, "B", "k", "2", 1, NULL) == DURE_EEXISTS);
    DONE(dure_kv_update(ctx, "B", "k", "2", 1, revision, &other));
    CHECK(other == revision + 1);
    CHECK(dure_kv_update(ctx, "B", "k", "3", 1, revision, NULL) == DURE_ECONFLICT);
    CHECK(dure_kv_delete(ctx, "B", "k", revision) == DURE_ECONFLICT);
    DONE(dure_kv_delete(ctx, "B", "k", other));
    CHECK(dure_kv_get(ctx, "B", "k", 0, &entry) == DURE_ENOTFOUND);
    DONE(dure_kv_create(ctx, "B", "k", "4", 1, NULL));
    DONE(dure_kv_get(ctx, "B", "k", 0, &entry));
    CHECK(strcmp(entry.value, "4") == 0);
    DONE(dure_kv_purge(ctx, "B", "k", 0));
    CHECK(dure_kv_get(ctx, "B", "k", 0, &entry) == DURE_ENOTFOUND);
    DONE(dure_kv_create(ctx, "B", "k", "5", 1, NULL));
    DONE(dure_kv_delete(ctx, "B", "never", 0));
    return 0;
}

static void only_what_nobody_changed_is_updated(void **state)
{
    work_run_streams(compares, NULL);
}

static int collect(struct dure_ctx *ctx, struct dure_kv_watch_options options, const char *wanted)
{
    struct dure_kv_watch *watch;
    struct dure_kv_entry entry;
    char got[512] = "";
    int more;
    DONE(dure_kv_watch_open(ctx, "B", &options, &watch));
    while ((more = dure_kv_watch_next(watch, 5000, &entry)) > 0)
        snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s%s ", entry.key,
                 entry.operation == DURE_KV_PUT      ? "="
                 : entry.operation == DURE_KV_DELETE ? "!"
                                                     : "!!",
                 entry.value);
    DONE(more);
    CHECK(dure_kv_watch_next(watch, 30, &entry) == DURE_ETIMEOUT);
    dure_kv_watch_close(watch);
    if (strcmp(got, wanted) == 0) return 0;
    work_failed(__FILE__, __LINE__, dure_format(ctx, "%s != %s", got, wanted), ctx, 0);
    return DURE_EINTERNAL;
}

static int lists(struct dure_ctx *ctx)
{
    DONE(make(ctx, 3));
    int err = collect(ctx, (struct dure_kv_watch_options){0}, "");
    for (int i = 0; i < 4; i++)
        DONE(dure_kv_put(ctx, "B", "x.a", dure_format(ctx, "%d", i), 1, NULL));
    DONE(dure_kv_put(ctx, "B", "x.b", "b", 1, NULL));
    DONE(dure_kv_put(ctx, "B", "y", "y", 1, NULL));
    DONE(dure_kv_delete(ctx, "B", "y", 0));
    DONE(dure_kv_put(ctx, "B", "z", "z", 1, NULL));
    DONE(dure_kv_purge(ctx, "B", "z", 0));
    if (!err) err = collect(ctx, (struct dure_kv_watch_options){0}, "x.a=3 x.b=b y! z!! ");
    if (!err)
        err = collect(ctx, (struct dure_kv_watch_options){.no_deletes = true}, "x.a=3 x.b=b ");
    if (!err)
        err = collect(ctx, (struct dure_kv_watch_options){.no_values = true}, "x.a= x.b= y! z!! ");
    if (!err) err = collect(ctx, (struct dure_kv_watch_options){.keys = "x.*"}, "x.a=3 x.b=b ");
    if (!err)
        err = collect(ctx, (struct dure_kv_watch_options){.keys = "x.a", .history = true},
                      "x.a=1 x.a=2 x.a=3 ");
    if (!err)
        err = collect(ctx, (struct dure_kv_watch_options){.history = true},
                      "x.a=1 x.a=2 x.a=3 x.b=b y=y y! z!! ");
    if (!err) err = collect(ctx, (struct dure_kv_watch_options){.updates_only = true}, "");
    if (!err) err = collect(ctx, (struct dure_kv_watch_options){.keys = "none"}, "");
    return err;
}

static void what_is_there_is_listed(void **state)
{
    work_run_streams(lists, NULL);
}

/* A watch tells every change once and in order, also across a server's death. */
static int watches(struct dure_ctx *ctx)
{
    enum { COUNT = 60 };
    struct dure_kv_watch *watch;
    struct dure_kv_entry entry;
    DONE(make(ctx, 64));
    DONE(dure_kv_watch_open(ctx, "B", NULL, &watch));
    CHECK(dure_kv_watch_next(watch, 1000, &entry) == 0);
    for (int i = 0; i < COUNT; i++) {
        DONE(dure_kv_put(ctx, "B", "n", dure_format(ctx, "%d", i), i < 10 ? 1 : 2, NULL));
        if (i % 20 != 10) continue;
        nats_server_kill(&work_server);
        nats_server_start(&work_server);
    }
    for (int i = 0; i < COUNT; i++) {
        int more = dure_kv_watch_next(watch, 10000, &entry);
        DONE(more < 0 ? more : 0);
        CHECK(more == 1 && atoi(entry.value) == i);
    }
    return 0;
}

static void a_watch_survives_a_kill(void **state)
{
    work_run_streams(watches, NULL);
}

/* Counting up by compare and swap while the server is killed: no step is lost or made twice. */
static int counts(struct dure_ctx *ctx)
{
    enum { COUNT = 60 };
    struct dure_kv_entry entry;
    uint64_t revision;
    DONE(make(ctx, 1));
    DONE(dure_kv_create(ctx, "B", "n", "0", 1, &revision));
    for (int i = 1; i <= COUNT; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        DONE(dure_kv_update(ctx, "B", "n", text, strlen(text), revision, &revision));
        if (i % 20 != 10) continue;
        nats_server_kill(&work_server);
        nats_server_start(&work_server);
    }
    DONE(dure_kv_get(ctx, "B", "n", 0, &entry));
    CHECK(atoi(entry.value) == COUNT && entry.revision == revision);
    return 0;
}

static void updates_survive_a_kill(void **state)
{
    work_run_streams(counts, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_kept),
        cmocka_unit_test(only_what_nobody_changed_is_updated),
        cmocka_unit_test(what_is_there_is_listed),
        cmocka_unit_test(a_watch_survives_a_kill),
        cmocka_unit_test(updates_survive_a_kill),
    };
    return cmocka_run_group_tests(tests, work_begin, work_end);
}
