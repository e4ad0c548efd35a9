/* order: takes orders. POST /orders {id, member, items: [{product, quantity}], card, address}
 * checks the member and the prices, asks for the payment, and tells everybody: order.placed. The
 * delivery's outcome comes back as an event; a failed delivery gives the money back.
 *
 * Every step is idempotent by the order's id, so a request that is repeated, or an order that a
 * dead process left half done (see resume), goes on where it stopped. */
#include "orders.h"

#include <dure/dure.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ITEMS_MAX = 20, STUCK_MS = 3000, RESUME_EVERY_MS = 1000, RESUME_MAX = 50 };

static int broken(struct dure_ctx *ctx, const char *what)
{
    dure_log(ctx, DURE_ERROR, "database_failed", DURE_S("what", what),
             DURE_S("reason", orders_error(dure_state(ctx))));
    return DURE_EIO;
}

static bool is(const struct order *order, const char *status)
{
    return strcmp(order->status, status) == 0;
}

/* Moves the order and reads it anew: somebody else may have been faster. */
static int move(struct dure_ctx *ctx, struct order *order, const char *to, int64_t amount)
{
    struct orders *orders = dure_state(ctx);
    if (orders_move(orders, order->id, order->status, to, amount) < 0) return broken(ctx, to);
    return orders_find(orders, order->id, order) == 1 ? 0 : broken(ctx, "find");
}

/* ---- pending: member and prices, at the same time ---- */

/* An id as one segment of a path: whatever the client wrote there, it names only itself. */
static const char *segment(struct dure_ctx *ctx, const char *id)
{
    static const char digits[] = "0123456789ABCDEF";
    char *encoded = dure_alloc(ctx, 3 * strlen(id) + 1), *end = encoded;
    if (!encoded) return "";
    for (; *id; id++) {
        unsigned char c = (unsigned char)*id;
        if (isalnum(c) || c == '-' || c == '_') {
            *end++ = *id;
        } else {
            *end++ = '%';
            *end++ = digits[c >> 4];
            *end++ = digits[c & 15];
        }
    }
    return encoded;
}

/* Starts GET /KIND/ID at a service. */
static struct dure_pending *look_up(struct dure_ctx *ctx, const char *service, const char *kind,
                                    const char *id)
{
    const char *path = dure_format(ctx, "/%s/%s", kind, segment(ctx, id));
    return dure_call_start(ctx, &(struct dure_call){.service = service, .path = path});
}

/* Asks for the member and every product. 0 and the amount; amount 0: something does not exist. */
static int price(struct dure_ctx *ctx, const struct dure_json *request, int64_t *ret_amount)
{
    const struct dure_json *items = dure_json_get(request, "items");
    size_t count = dure_json_count(items);
    struct dure_pending *asked[1 + ITEMS_MAX];
    asked[0] = look_up(ctx, "member", "members", dure_json_get_string(request, "member", ""));
    for (size_t i = 0; i < count; i++)
        asked[1 + i] = look_up(ctx, "catalog", "products",
                               dure_json_get_string(dure_json_at(items, i), "product", ""));
    *ret_amount = 0;
    int64_t amount = 0;
    for (size_t i = 0; i <= count; i++) {
        struct dure_answer answer;
        struct dure_json *found;
        int err = dure_wait(ctx, asked[i], &answer);
        if (err == DURE_EREMOTE && answer.status == 404) return 0;
        if (!err) err = dure_answer_json(ctx, &answer, &found);
        if (err) return err;
        if (i == 0) continue;
        int64_t quantity = dure_json_get_int(dure_json_at(items, i - 1), "quantity", 1);
        amount += quantity * dure_json_get_int(found, "price", 0);
    }
    *ret_amount = amount;
    return 0;
}

static int pay(struct dure_ctx *ctx, struct order *order)
{
    struct dure_json *request = dure_json_parse(ctx, order->request, strlen(order->request));
    int64_t amount = 0;
    int err = price(ctx, request, &amount);
    if (err) return err;
    if (!amount) return move(ctx, order, "rejected", 0);
    struct dure_json *charge = dure_json_object(ctx);
    dure_json_set_string(charge, "order", order->id);
    dure_json_set_string(charge, "member", dure_json_get_string(request, "member", ""));
    dure_json_set_string(charge, "card", dure_json_get_string(request, "card", ""));
    dure_json_set_int(charge, "amount", amount);
    struct dure_answer answer;
    err = dure_ask_json(ctx, "payment.charge", charge, 0, &answer);
    if (err == DURE_EREMOTE && answer.status == 402) return move(ctx, order, "declined", amount);
    return err ? err : move(ctx, order, "paid", amount);
}

/* ---- paid: tell everybody, once ---- */

static int tell(struct dure_ctx *ctx, struct order *order)
{
    struct dure_json *request = dure_json_parse(ctx, order->request, strlen(order->request));
    struct dure_json *event = dure_json_object(ctx);
    dure_json_set_string(event, "id", order->id);
    dure_json_set_string(event, "address", dure_json_get_string(request, "address", ""));
    int err =
        dure_tell_json(ctx, "order.placed", dure_format(ctx, "placed-%s", order->id), event, 0);
    return err ? err : move(ctx, order, "placed", 0);
}

/* ---- cancelling: the money goes back ---- */

static int refund(struct dure_ctx *ctx, struct order *order)
{
    struct dure_json *ask = dure_json_object(ctx);
    dure_json_set_string(ask, "order", order->id);
    int err = dure_ask_json(ctx, "payment.refund", ask, 0, NULL);
    return err ? err : move(ctx, order, "cancelled", 0);
}

/* Takes the order as far as it goes now. */
static int proceed(struct dure_ctx *ctx, struct order *order)
{
    int err = 0;
    if (is(order, "pending")) err = pay(ctx, order);
    if (!err && is(order, "paid")) err = tell(ctx, order);
    if (!err && is(order, "cancelling")) err = refund(ctx, order);
    return err;
}

/* ---- HTTP ---- */

static int reply_order(struct dure_ctx *ctx, int status, const struct order *order)
{
    struct dure_json *reply = dure_json_object(ctx);
    dure_json_set_string(reply, "id", order->id);
    dure_json_set_string(reply, "status", order->status);
    dure_json_set_int(reply, "amount", order->amount);
    return dure_reply_json(ctx, status, reply);
}

static int reply_placed(struct dure_ctx *ctx, const struct order *order)
{
    if (is(order, "rejected"))
        return dure_reply_problem(ctx, 422, "order %s: the member or a product does not exist",
                                  order->id);
    if (is(order, "declined"))
        return dure_reply_problem(ctx, 402, "order %s: the payment was declined", order->id);
    return reply_order(ctx, 201, order);
}

/* NULL when it can be ordered, else what is wrong with it. */
static const char *mistake(const struct dure_json *request, size_t body_len)
{
    const char *id = dure_json_get_string(request, "id", "");
    size_t items = dure_json_count(dure_json_get(request, "items"));
    if (!id[0] || strlen(id) >= ORDER_ID_MAX) return "`id` must have 1 to 63 bytes";
    if (!items || items > ITEMS_MAX) return "`items` must be a list of 1 to 20";
    if (body_len >= ORDER_TEXT_MAX) return "an order may have 4 KiB at most";
    for (size_t i = 0; i < items; i++) {
        const struct dure_json *item = dure_json_at(dure_json_get(request, "items"), i);
        int64_t quantity = dure_json_get_int(item, "quantity", 1);
        if (quantity < 1 || quantity > 1000) return "`quantity` must be 1 to 1000";
    }
    return NULL;
}

static int place(struct dure_ctx *ctx)
{
    struct orders *orders = dure_state(ctx);
    struct dure_json *request;
    struct order *order = dure_alloc(ctx, sizeof *order);
    size_t len;
    const char *body = dure_body(ctx, &len);
    int err = dure_body_json(ctx, &request);
    if (err) return err;
    if (!order) return DURE_ENOMEM;
    const char *wrong = mistake(request, len);
    if (wrong) return dure_reply_problem(ctx, 400, "%s", wrong);
    const char *id = dure_json_get_string(request, "id", "");
    if (orders_add(orders, id, body) < 0) return broken(ctx, "add");
    if (orders_find(orders, id, order) != 1) return broken(ctx, "find");
    if (strcmp(order->request, body) != 0)
        return dure_reply_problem(ctx, 409, "order %s exists with another content", id);
    err = proceed(ctx, order);
    return err ? err : reply_placed(ctx, order);
}

static int show(struct dure_ctx *ctx)
{
    struct order *order = dure_alloc(ctx, sizeof *order);
    if (!order) return DURE_ENOMEM;
    int found = orders_find(dure_state(ctx), dure_param(ctx, "id"), order);
    if (found < 0) return broken(ctx, "find");
    return found ? reply_order(ctx, 200, order)
                 : dure_reply_problem(ctx, 404, "there is no order %s", dure_param(ctx, "id"));
}

/* ---- the delivery's outcome ---- */

static int delivery_ended(struct dure_ctx *ctx)
{
    struct orders *orders = dure_state(ctx);
    struct dure_json *event;
    struct order *order = dure_alloc(ctx, sizeof *order);
    int err = dure_body_json(ctx, &event);
    if (err) return err;
    if (!order) return DURE_ENOMEM;
    const char *type = dure_header(ctx, "ce-type"), *id = dure_json_get_string(event, "order", "");
    int found = orders_find(orders, id, order);
    if (found < 0) return broken(ctx, "find");
    if (!found || !type) return dure_reply_problem(ctx, 422, "there is no order %s", id);
    /* The event may overtake our own note that the order was placed. */
    if (is(order, "paid")) err = move(ctx, order, "placed", 0);
    if (!err && is(order, "placed"))
        err =
            move(ctx, order, strcmp(type, "delivery.failed") == 0 ? "cancelling" : "delivered", 0);
    if (!err) err = proceed(ctx, order);
    return err ? err : dure_reply(ctx, 204, NULL, NULL, 0);
}

/* ---- what a dead process left behind ---- */

static int resume(struct dure_ctx *ctx)
{
    char(*ids)[ORDER_ID_MAX] = dure_alloc(ctx, RESUME_MAX * sizeof *ids);
    struct order *order = dure_alloc(ctx, sizeof *order);
    if (!ids || !order) return DURE_ENOMEM;
    int64_t now_ms = (int64_t)(dure_wall_ns() / 1000000);
    int count = orders_stuck(dure_state(ctx), now_ms, STUCK_MS, ids, RESUME_MAX);
    for (int i = 0; i < count; i++) {
        if (orders_find(dure_state(ctx), ids[i], order) != 1) continue;
        int err = proceed(ctx, order);
        /* What cannot go on now waits behind the others. */
        if (err) orders_move(dure_state(ctx), order->id, order->status, order->status, 0);
        dure_log(ctx, err ? DURE_WARN : DURE_INFO, "order_resumed", DURE_S("order", ids[i]),
                 DURE_S("status", order->status), DURE_S("error", dure_error_name(err)));
    }
    return 0;
}

/* ---- the module ---- */

static int start(struct dure_ctx *ctx)
{
    static const char scheme[] = "sqlite://";
    struct orders *orders;
    const char *url = dure_env(ctx, "DATABASE_URL");
    if (!url || strncmp(url, scheme, strlen(scheme)) != 0) return DURE_EINVALID;
    int failed = orders_open(url + strlen(scheme), &orders);
    dure_set_state(ctx, orders);
    if (failed) return broken(ctx, "open");
    int err = dure_route(ctx, "POST", "/orders", place);
    if (!err) err = dure_route(ctx, "GET", "/orders/{id}", show);
    if (!err) err = dure_route(ctx, "POST", "/events/delivery", delivery_ended);
    return err ? err : dure_every(ctx, RESUME_EVERY_MS, resume);
}

static int stop(struct dure_ctx *ctx)
{
    orders_close(dure_state(ctx));
    return 0;
}

DURE_MODULE("order", start, stop)
