/* A module that asks and calls the other one, module_back.c, in every way. */
#include <dure/dure.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
    int64_t cancelled;
} seen;

static int via_call(struct dure_ctx *ctx)
{
    struct dure_answer answer;
    const char *path = dure_format(ctx, "/items/%s?full=1", dure_param(ctx, "id"));
    int err = dure_get(ctx, "back", path, &answer);
    if (err && err != DURE_EREMOTE) return err;
    const char *header = dure_answer_header(&answer, "x-back");
    return dure_reply_text(ctx, 200, "%s %d %s %s", dure_error_name(err), answer.status,
                           answer.body, header ? header : "-");
}

static int via_ask(struct dure_ctx *ctx)
{
    struct dure_answer answer;
    int err = dure_ask(ctx, dure_param(ctx, "subject"), "hello", 0, &answer);
    return dure_reply_text(ctx, 200, "%s %d %s", dure_error_name(err), answer.status,
                           answer.body ? answer.body : "-");
}

static int via_post(struct dure_ctx *ctx)
{
    struct dure_json *json;
    struct dure_answer answer;
    int err = dure_body_json(ctx, &json);
    if (!err) err = dure_post(ctx, "back", "/echo", json, &answer);
    if (err) return err;
    return dure_reply(ctx, answer.status, "application/json", answer.body, answer.len);
}

/* n asks at once; each takes as long as the others. */
static int all(struct dure_ctx *ctx)
{
    struct dure_pending *pendings[20];
    struct dure_answer answer;
    char text[200] = "";
    uint64_t before = dure_now_ns();
    for (int i = 0; i < 20; i++) {
        const char *body = dure_format(ctx, "%d", i == 7 && dure_query(ctx, "fail") ? -1 : 100 + i);
        pendings[i] = dure_ask_start(ctx, "back.nap", body, strlen(body), 0);
    }
    int err = dure_all(ctx, pendings, 20);
    uint64_t took_ms = (dure_now_ns() - before) / 1000000;
    for (int i = 0; i < 20; i++) {
        dure_wait(ctx, pendings[i], &answer);
        if (i == 19) strncat(text, answer.body, 20);
    }
    return dure_reply_text(ctx, 200, "%s %s %s", dure_error_name(err), text,
                           took_ms < 1000 ? "together" : "one by one");
}

static int race(struct dure_ctx *ctx)
{
    static const char *const naps[] = {"5000", "-1", "50", "5000"};
    struct dure_pending *pendings[4];
    struct dure_answer answer;
    for (int i = 0; i < 4; i++)
        pendings[i] = dure_ask_start(ctx, "back.nap", naps[i], strlen(naps[i]), 0);
    int winner = dure_race(ctx, pendings, 4);
    int loser = dure_wait(ctx, pendings[0], NULL), failed = dure_wait(ctx, pendings[1], NULL);
    if (winner < 0) return winner;
    dure_wait(ctx, pendings[winner], &answer);
    int nobody = dure_race(ctx, pendings, 2), empty = dure_race(ctx, pendings, 0);
    return dure_reply_text(ctx, 200, "%d %s %s %s %s %s", winner, answer.body,
                           dure_error_name(loser), dure_error_name(failed), dure_error_name(nobody),
                           dure_error_name(empty));
}

static int short_time(struct dure_ctx *ctx)
{
    int err = dure_ask(ctx, "back.nap", "60000", 30, NULL);
    return dure_reply_text(ctx, 200, "%s %s", dure_error_name(err),
                           dure_cancelled(ctx) ? "over" : "goes on");
}

/* Waits until its own caller goes away. */
static int long_time(struct dure_ctx *ctx)
{
    int err = dure_ask(ctx, "back.nap", "60000", 0, NULL);
    int again = dure_sleep(ctx, 1), more = dure_ask(ctx, "back.nap", "1", 0, NULL);
    if (err == DURE_ECANCELLED && again == err && more == err) seen.cancelled++;
    return err;
}

static int remaining(struct dure_ctx *ctx)
{
    struct dure_answer answer;
    int err = dure_ask(ctx, "back.remaining", "", 0, &answer);
    return err ? err : dure_reply_text(ctx, 200, "%s", answer.body);
}

static int recursive(struct dure_ctx *ctx)
{
    struct dure_answer answer;
    int err = dure_get(ctx, "front", "/recursive", &answer);
    if (err == DURE_EREMOTE) return dure_reply_text(ctx, answer.status, "%s", answer.body);
    return err;
}

static int trace(struct dure_ctx *ctx)
{
    struct dure_answer answer;
    int err = dure_ask(ctx, "back.trace", "", 0, &answer);
    return err ? err : dure_reply_text(ctx, 200, "%s %s", dure_trace_id(ctx), answer.body);
}

static int env(struct dure_ctx *ctx)
{
    const char *own = dure_env(ctx, "OWN"), *database = dure_env(ctx, "DATABASE_URL");
    const char *path = dure_env(ctx, "PATH");
    return dure_reply_text(ctx, 200, "%s %s %s %s", dure_service(ctx), own ? own : "-",
                           database ? database : "-", path ? "path" : "-");
}

static int wrong(struct dure_ctx *ctx)
{
    struct dure_call no_service = {.path = "/"}, no_slash = {.service = "back", .path = "x"};
    int errs[] = {dure_ask(ctx, "a..b", "", 0, NULL), dure_ask(ctx, "a.*", "", 0, NULL),
                  dure_ask(ctx, "", "", 0, NULL),     dure_ask(ctx, "a b", "", 0, NULL),
                  dure_ask(ctx, "x", "", -1, NULL),   dure_call(ctx, &no_service, NULL),
                  dure_call(ctx, &no_slash, NULL),    dure_tell(ctx, "a.*", NULL, "", 0)};
    for (size_t i = 0; i < sizeof errs / sizeof *errs; i++)
        if (errs[i] != DURE_EINVALID && i != 4) return DURE_EINTERNAL;
    int none[] = {dure_ask(ctx, "nobody.here", "", 0, NULL), dure_get(ctx, "nobody", "/", NULL),
                  dure_tell(ctx, "event", NULL, "", 0), dure_publish(ctx, "event", "", 0)};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        if (none[i] != DURE_EUNREACHABLE) return DURE_EINTERNAL;
    return dure_reply_text(ctx, 200, "fine");
}

static int tell(struct dure_ctx *ctx)
{
    int err = dure_tell(ctx, dure_param(ctx, "subject"), dure_query(ctx, "id"), "told", 0);
    return dure_reply_text(ctx, 200, "%s", dure_error_name(err));
}

static int publish(struct dure_ctx *ctx)
{
    size_t len;
    const char *body = dure_body(ctx, &len);
    int err = dure_publish(ctx, dure_param(ctx, "subject"), body, len);
    return dure_reply_text(ctx, 200, "%s", dure_error_name(err));
}

/* POST, as a whole request of one's own. */
static int order(struct dure_ctx *ctx)
{
    static const char *const headers[] = {"X-Kind", "test", NULL};
    struct dure_answer answer;
    struct dure_call call = {.service = "back",
                             .path = "/orders",
                             .body = "five",
                             .len = 4,
                             .content_type = "text/plain",
                             .headers = headers,
                             .idempotent = dure_query(ctx, "idempotent") != NULL};
    int err = dure_call(ctx, &call, &answer);
    return dure_reply_text(ctx, 200, "%s %d %s", dure_error_name(err), answer.status,
                           answer.body ? answer.body : "-");
}

static int block_for(void *argument)
{
    struct timespec time = {0, 150000000};
    nanosleep(&time, NULL);
    return 0;
}

static int wait_by(struct dure_ctx *ctx, const char *how)
{
    struct dure_pending *two[2] = {dure_ask_start(ctx, "back.nap", "60000", 5, 0),
                                   dure_ask_start(ctx, "back.nap", "60000", 5, 0)};
    if (strcmp(how, "sleep") == 0) return dure_sleep(ctx, 60000);
    if (strcmp(how, "ask") == 0) return dure_ask(ctx, "back.nap", "60000", 0, NULL);
    if (strcmp(how, "call") == 0) return dure_get(ctx, "elsewhere", "/slow", NULL);
    if (strcmp(how, "tell") == 0) return dure_tell(ctx, "silent.x", NULL, "", 0);
    if (strcmp(how, "wait") == 0) return dure_wait(ctx, two[1], NULL);
    if (strcmp(how, "all") == 0) return dure_all(ctx, two, 2);
    if (strcmp(how, "race") == 0) return dure_race(ctx, two, 2);
    int err = dure_blocking(ctx, block_for, NULL); /* is not interrupted, the next wait is */
    return err ? err : dure_sleep(ctx, 1);
}

/* Waits in one of all ways and says how that ended. */
static int wait(struct dure_ctx *ctx)
{
    dure_log(ctx, DURE_INFO, "waits");
    int err = wait_by(ctx, dure_param(ctx, "how"));
    dure_log(ctx, DURE_INFO, "waited", DURE_S("how", dure_param(ctx, "how")),
             DURE_S("end", dure_error_name(err)),
             DURE_S("sleep", dure_error_name(dure_sleep(ctx, 0))));
    return err;
}

static int stats(struct dure_ctx *ctx)
{
    return dure_reply_text(ctx, 200, "cancelled=%d", (int)seen.cancelled);
}

static int start(struct dure_ctx *ctx)
{
    static const struct {
        const char *pattern;
        dure_handler *handler;
    } routes[] = {
        {"/call/{id}", via_call},
        {"/ask/{subject}", via_ask},
        {"/post", via_post},
        {"/all", all},
        {"/race", race},
        {"/short", short_time},
        {"/long", long_time},
        {"/remaining", remaining},
        {"/recursive", recursive},
        {"/trace", trace},
        {"/env", env},
        {"/wrong", wrong},
        {"/stats", stats},
        {"/tell/{subject}", tell},
        {"/order", order},
        {"/publish/{subject}", publish},
        {"/wait/{how}", wait},
    };
    int err = 0;
    for (size_t i = 0; !err && i < sizeof routes / sizeof *routes; i++)
        err = dure_route(ctx, NULL, routes[i].pattern, routes[i].handler);
    return err;
}

DURE_MODULE("front", start, NULL)
