#include "mesh/call.h"

#include <stdlib.h>
#include <stdio.h>

enum { TARGET_MAX = 1024 };

/* A connection to the road: in use by a call, or idle in the pool. */
struct road_conn {
    struct list link; /* in callers->idle */
    struct callers *callers;
    struct http_client *client;
    struct call *call; /* NULL: idle */
};

struct call {
    struct body body;
    struct callers *callers;
    struct call_request request;
    struct road_conn *conn;
    struct http_exchange *exchange;
    struct io_timer timer;
    call_done *done;
    void *context;
    int status;
    bool reused;   /* the connection had been idle: it may have died unnoticed */
    bool complete; /* the answer is whole in body */
    char type[128];
};

static void call_begin(struct call *call);

/* ---- connections ---- */

void callers_init(struct callers *callers, struct http *http, const struct io_addr *road)
{
    *callers = (struct callers){.http = http, .road = *road};
    list_init(&callers->idle);
}

static void conn_free(struct road_conn *conn)
{
    if (list_linked(&conn->link)) conn->callers->idle_count--;
    list_remove(&conn->link);
    http_client_close(conn->client);
    free(conn);
}

void callers_release(struct callers *callers)
{
    LIST_EACH(&callers->idle, struct road_conn, link, conn) conn_free(conn);
}

static void conn_gone(struct http_client *client)
{
    conn_free(http_client_context(client));
}

static void conn_rest(struct road_conn *conn)
{
    struct callers *callers = conn->callers;
    conn->call = NULL;
    if (!http_client_reusable(conn->client) || callers->idle_count >= CALLERS_IDLE_MAX) {
        conn_free(conn);
        return;
    }
    list_push_front(&callers->idle, &conn->link);
    callers->idle_count++;
    http_client_watch(conn->client, conn_gone);
}

static void conn_connected(struct http_client *client, int result);

static int conn_take(struct call *call)
{
    struct callers *callers = call->callers;
    struct list *link = list_pop(&callers->idle);
    if (link) {
        callers->idle_count--;
        call->conn = CONTAINER_OF(link, struct road_conn, link);
        call->conn->call = call;
        call->reused = true;
        call_begin(call);
        return 0;
    }
    struct road_conn *conn = calloc(1, sizeof *conn);
    if (!conn) return ERR_NOMEM;
    *conn = (struct road_conn){.callers = callers, .call = call};
    list_init(&conn->link);
    int err = http_client_new(callers->http, &callers->options, conn, &conn->client);
    if (err) {
        free(conn);
        return err;
    }
    call->conn = conn;
    call->reused = false;
    http_client_connect(conn->client, &callers->road, conn_connected);
    return 0;
}

/* ---- a call ---- */

/* Gives up what belongs to the exchange at hand. */
static void call_detach(struct call *call)
{
    if (call->exchange) call->exchange->closed = NULL;
    call->exchange = NULL;
    if (call->conn) conn_free(call->conn);
    call->conn = NULL;
}

static void call_free(struct call *call)
{
    io_timer_cancel(call->callers->http->io, &call->timer);
    call_detach(call);
    body_release(&call->body);
    free(call);
}

static void call_finish(struct call *call, int result)
{
    struct bytes body = result ? BYTES("") : buf_bytes(&call->body.bytes);
    struct bytes type = result ? BYTES("") : bytes_str(call->type);
    call->done(call->context, result, result ? 0 : call->status, type, body);
    call_free(call);
}

void call_cancel(struct call *call)
{
    if (call) call_free(call);
}

static void call_timed_out(struct io_timer *timer)
{
    call_finish(CONTAINER_OF(timer, struct call, timer), ERR_TIMEOUT);
}

static void conn_connected(struct http_client *client, int result)
{
    struct road_conn *conn = http_client_context(client);
    if (result)
        call_finish(conn->call, result);
    else
        call_begin(conn->call);
}

static void exchange_closed(struct http_exchange *x, int result)
{
    struct call *call = CONTAINER_OF((struct body *)x->context, struct call, body);
    call->exchange = NULL;
    if (!result && call->complete) {
        struct road_conn *conn = call->conn;
        call->conn = NULL;
        conn_rest(conn);
        call_finish(call, 0);
        return;
    }
    /* An idle connection may be closed by the peer at the moment it is used again. */
    bool again = call->reused && http_exchange_unanswered(x);
    call_detach(call);
    int err = again ? conn_take(call) : (result ? result : ERR_EOF);
    if (err) call_finish(call, err);
}

static void body_done(struct body *body, int result)
{
    struct call *call = CONTAINER_OF(body, struct call, body);
    if (result)
        call_finish(call, result);
    else
        call->complete = true; /* exchange_closed follows */
}

static void response(struct http_exchange *x)
{
    struct call *call = CONTAINER_OF((struct body *)x->context, struct call, body);
    call->status = x->in.status;
    struct bytes type = http1_value(&x->in, HTTP1_NAME_CONTENT_TYPE);
    snprintf(call->type, sizeof call->type, "%.*s", BYTES_ARG(type));
    body_read(&call->body, x, CALL_ANSWER_MAX, body_done);
}

/* What the services' callees never need to know about: the road's own head. */
static void call_begin(struct call *call)
{
    const struct call_request *request = &call->request;
    struct http_exchange *x = http_client_begin(call->conn->client, response);
    char target[TARGET_MAX];
    int len = snprintf(target, sizeof target, "/%.*s%.*s", BYTES_ARG(request->service),
                       BYTES_ARG(request->path));
    if (!x || len >= (int)sizeof target) {
        call_finish(call, x ? ERR_TOO_BIG : ERR_NOMEM);
        return;
    }
    call->exchange = x;
    x->context = &call->body;
    x->closed = exchange_closed;
    http_head_request(&x->out, BYTES("POST"), bytes_make(target, (size_t)len));
    http_head_add(&x->out, BYTES("Host"), BYTES("dure"));
    for (size_t i = 0; i < request->field_count; i++)
        http_head_add(&x->out, request->fields[i].name, request->fields[i].value);
    int err = http_send_head(x, request->body.len);
    if (err)
        call_finish(call, err);
    else if (request->body.len)
        http_write(x, request->body, true, NULL);
}

int call_start(struct callers *callers, const struct call_request *request, call_done *done,
               void *context, struct call **ret_call)
{
    struct call *call = calloc(1, sizeof *call);
    if (!call) return ERR_NOMEM;
    call->callers = callers;
    call->request = *request;
    call->done = done;
    call->context = context;
    io_timer_init(&call->timer, call_timed_out);
    buf_init(&call->body.bytes, CALL_ANSWER_MAX);
    *ret_call = call;
    io_timer_set(callers->http->io, &call->timer, request->timeout_ms);
    int err = conn_take(call);
    if (err) call_free(call);
    return err;
}
