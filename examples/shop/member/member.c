/* member: who may buy. GET /members/{id}, PUT /members/{id} with {"name": ...}. */
#include <dure/dure.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SEED_MEMBERS = 1000, BUSY_MS = 5000 };

static const char schema[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    "CREATE TABLE IF NOT EXISTS member (id TEXT PRIMARY KEY, name TEXT NOT "
    "NULL) WITHOUT ROWID;";

struct members {
    sqlite3 *db;
    sqlite3_stmt *find, *put;
};

static int failed(struct dure_ctx *ctx, sqlite3 *db, const char *what)
{
    dure_log(ctx, DURE_ERROR, "database_failed", DURE_S("what", what),
             DURE_S("reason", sqlite3_errmsg(db)));
    return DURE_EIO;
}

static int reply_member(struct dure_ctx *ctx, int status, const char *id, const char *name)
{
    struct dure_json *member = dure_json_object(ctx);
    dure_json_set_string(member, "id", id);
    dure_json_set_string(member, "name", name);
    return dure_reply_json(ctx, status, member);
}

static int show(struct dure_ctx *ctx)
{
    struct members *members = dure_state(ctx);
    const char *id = dure_param(ctx, "id");
    sqlite3_bind_text(members->find, 1, id, -1, SQLITE_STATIC);
    int step = sqlite3_step(members->find);
    int err;
    if (step == SQLITE_ROW)
        err = reply_member(ctx, 200, id, (const char *)sqlite3_column_text(members->find, 0));
    else if (step == SQLITE_DONE)
        err = dure_reply_problem(ctx, 404, "there is no member %s", id);
    else
        err = failed(ctx, members->db, "find");
    sqlite3_reset(members->find);
    return err;
}

static int put(struct dure_ctx *ctx)
{
    struct members *members = dure_state(ctx);
    struct dure_json *body;
    int err = dure_body_json(ctx, &body);
    if (err) return err;
    const char *id = dure_param(ctx, "id"), *name = dure_json_get_string(body, "name", NULL);
    if (!name) return dure_reply_problem(ctx, 400, "a member needs a name");
    sqlite3_bind_text(members->put, 1, id, -1, SQLITE_STATIC);
    sqlite3_bind_text(members->put, 2, name, -1, SQLITE_STATIC);
    int step = sqlite3_step(members->put);
    sqlite3_reset(members->put);
    return step == SQLITE_DONE ? reply_member(ctx, 200, id, name) : failed(ctx, members->db, "put");
}

/* Members m1 to m1000, so that there is somebody to sell to. */
static int seed(sqlite3 *db)
{
    int err = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (int i = 1; i <= SEED_MEMBERS && !err; i++) {
        char sql[128];
        snprintf(sql, sizeof sql, "INSERT OR IGNORE INTO member VALUES ('m%d', 'Member %d')", i, i);
        err = sqlite3_exec(db, sql, NULL, NULL, NULL);
    }
    return err ? err : sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
}

static int prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret)
{
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
}

static int start(struct dure_ctx *ctx)
{
    static const char scheme[] = "sqlite://";
    struct members *members = calloc(1, sizeof *members);
    const char *url = dure_env(ctx, "DATABASE_URL");
    if (!members) return DURE_ENOMEM;
    dure_set_state(ctx, members);
    if (!url || strncmp(url, scheme, strlen(scheme)) != 0) return DURE_EINVALID;
    int err = sqlite3_open(url + strlen(scheme), &members->db);
    sqlite3_busy_timeout(members->db, BUSY_MS);
    if (!err) err = sqlite3_exec(members->db, schema, NULL, NULL, NULL);
    if (!err) err = seed(members->db);
    if (!err) err = prepare(members->db, "SELECT name FROM member WHERE id = ?", &members->find);
    if (!err)
        err = prepare(members->db, "INSERT OR REPLACE INTO member VALUES (?, ?)", &members->put);
    if (err) return failed(ctx, members->db, "open");
    err = dure_route(ctx, "GET", "/members/{id}", show);
    return err ? err : dure_route(ctx, "PUT", "/members/{id}", put);
}

static int stop(struct dure_ctx *ctx)
{
    struct members *members = dure_state(ctx);
    sqlite3_finalize(members->find);
    sqlite3_finalize(members->put);
    sqlite3_close(members->db);
    free(members);
    return 0;
}

DURE_MODULE("member", start, stop)
