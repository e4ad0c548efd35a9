/* orders: the order service's database. An order's status only moves forward:
 *
 *     pending --> rejected            (unknown member or product)
 *        |------> declined            (the payment was declined)
 *        '------> paid --> placed --> delivered
 *                             '-----> cancelling --> cancelled   (delivery failed; money went back)
 *
 * `placed` means: the event order.placed is on the bus for good. Every step can be repeated. */
#ifndef SHOP_ORDERS_H
#define SHOP_ORDERS_H

#include <stdbool.h>
#include <stdint.h>

enum { ORDER_TEXT_MAX = 4096, ORDER_ID_MAX = 64 };

struct orders;

struct order {
    char id[ORDER_ID_MAX];
    char status[16];
    char request[ORDER_TEXT_MAX]; /* the JSON that was posted */
    int64_t amount;               /* 0: not known yet */
};

/* `path` of the database file. Returns 0 or a SQLite code. */
int orders_open(const char *path, struct orders **ret_orders);
void orders_close(struct orders *orders);
const char *orders_error(const struct orders *orders);

/* 1: found; 0: there is none; negative: failed. */
int orders_find(struct orders *orders, const char *id, struct order *ret_order);

/* Adds it as pending unless it is there. 0, or negative. */
int orders_add(struct orders *orders, const char *id, const char *request);

/* Moves it from one status to another; 1: done, 0: it was not in `from` (somebody else was faster),
 * negative: failed. `amount` > 0 is stored too. */
int orders_move(struct orders *orders, const char *id, const char *from, const char *to,
                int64_t amount);

/* Ids of orders that wait for a step of ours for longer than `age_ms`: at most `max`; how many. */
int orders_stuck(struct orders *orders, int64_t now_ms, int64_t age_ms,
                 char (*ret_ids)[ORDER_ID_MAX], int max);

#endif
