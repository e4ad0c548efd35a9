#include "orders.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { BUSY_MS = 5000 };

struct orders {
    sqlite3 *db;
    sqlite3_stmt *find, *add, *move, *stuck;
};

static const char schema[] =
    "PRAGMA journal_mode = WAL;"
    "PRAGMA synchronous = FULL;"
    "CREATE TABLE IF NOT EXISTS orders (id TEXT PRIMARY KEY, status TEXT NOT NULL, request TEXT "
    "NOT "
    "NULL, amount INTEGER NOT NULL, changed_ms INTEGER NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS waiting ON orders (changed_ms) WHERE status IN "
    "('pending', 'paid', 'cancelling');";

static int64_t wall_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int prepare(sqlite3 *db, const char *sql, sqlite3_stmt **ret)
{
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL);
}

int orders_open(const char *path, struct orders **ret_orders)
{
    struct orders *orders = calloc(1, sizeof *orders);
    *ret_orders = orders;
    if (!orders) return SQLITE_NOMEM;
    int err = sqlite3_open(path, &orders->db);
    sqlite3_busy_timeout(orders->db, BUSY_MS);
    if (!err) err = sqlite3_exec(orders->db, schema, NULL, NULL, NULL);
    if (!err)
        err = prepare(orders->db, "SELECT status, request, amount FROM orders WHERE id = ?",
                      &orders->find);
    if (!err)
        err = prepare(orders->db, "INSERT OR IGNORE INTO orders VALUES (?, 'pending', ?, 0, ?)",
                      &orders->add);
    if (!err)
        err = prepare(orders->db,
                      "UPDATE orders SET status = ?3, changed_ms = ?5, amount = CASE WHEN ?4 > 0 "
                      "THEN ?4 ELSE amount END WHERE id = ?1 AND status = ?2",
                      &orders->move);
    if (!err)
        err = prepare(orders->db,
                      "SELECT id FROM orders WHERE status IN ('pending', 'paid', 'cancelling') AND "
                      "changed_ms < ? ORDER BY changed_ms LIMIT ?",
                      &orders->stuck);
    return err;
}

void orders_close(struct orders *orders)
{
    if (!orders) return;
    sqlite3_finalize(orders->find);
    sqlite3_finalize(orders->add);
    sqlite3_finalize(orders->move);
    sqlite3_finalize(orders->stuck);
    sqlite3_close(orders->db);
    free(orders);
}

const char *orders_error(const struct orders *orders)
{
    return orders ? sqlite3_errmsg(orders->db) : "out of memory";
}

int orders_find(struct orders *orders, const char *id, struct order *ret_order)
{
    sqlite3_stmt *find = orders->find;
    sqlite3_bind_text(find, 1, id, -1, SQLITE_STATIC);
    int step = sqlite3_step(find);
    if (step == SQLITE_ROW) {
        if (id != ret_order->id) snprintf(ret_order->id, sizeof ret_order->id, "%s", id);
        snprintf(ret_order->status, sizeof ret_order->status, "%s",
                 (const char *)sqlite3_column_text(find, 0));
        snprintf(ret_order->request, sizeof ret_order->request, "%s",
                 (const char *)sqlite3_column_text(find, 1));
        ret_order->amount = sqlite3_column_int64(find, 2);
    }
    sqlite3_reset(find);
    return step == SQLITE_ROW ? 1 : step == SQLITE_DONE ? 0 : -1;
}

int orders_add(struct orders *orders, const char *id, const char *request)
{
    sqlite3_bind_text(orders->add, 1, id, -1, SQLITE_STATIC);
    sqlite3_bind_text(orders->add, 2, request, -1, SQLITE_STATIC);
    sqlite3_bind_int64(orders->add, 3, wall_ms());
    int step = sqlite3_step(orders->add);
    sqlite3_reset(orders->add);
    return step == SQLITE_DONE ? 0 : -1;
}

int orders_move(struct orders *orders, const char *id, const char *from, const char *to,
                int64_t amount)
{
    sqlite3_stmt *move = orders->move;
    sqlite3_bind_text(move, 1, id, -1, SQLITE_STATIC);
    sqlite3_bind_text(move, 2, from, -1, SQLITE_STATIC);
    sqlite3_bind_text(move, 3, to, -1, SQLITE_STATIC);
    sqlite3_bind_int64(move, 4, amount);
    sqlite3_bind_int64(move, 5, wall_ms());
    int step = sqlite3_step(move);
    sqlite3_reset(move);
    return step == SQLITE_DONE ? sqlite3_changes(orders->db) : -1;
}

int orders_stuck(struct orders *orders, int64_t now_ms, int64_t age_ms,
                 char (*ret_ids)[ORDER_ID_MAX], int max)
{
    int count = 0;
    sqlite3_bind_int64(orders->stuck, 1, now_ms - age_ms);
    sqlite3_bind_int(orders->stuck, 2, max);
    while (count < max && sqlite3_step(orders->stuck) == SQLITE_ROW)
        snprintf(ret_ids[count++], ORDER_ID_MAX, "%s",
                 (const char *)sqlite3_column_text(orders->stuck, 0));
    sqlite3_reset(orders->stuck);
    return count;
}
