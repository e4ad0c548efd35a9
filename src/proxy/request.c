#include "proxy/request.h"

#include "proxy/retry.h"

#include <assert.h>
#include <stdlib.h>

enum { NS_PER_MS = 1000000, SPARE_MAX = 1024, SPARE_BUF_MAX = 8192 };

/* What may be put aside on top of what is kept: one piece, of at most a receive buffer. */
enum { ASIDE_MAX = 1 << 20, TEXT_MAX = 256 << 10 };

/* ---- memory ------------------------------------------------------------------------------ */

static struct request *request_new(struct proxy *proxy)
{
    struct request *r;
    if (!list_empty(&proxy->spare)) {
        r = CONTAINER_OF(list_pop(&proxy->spare), struct request, link);
        proxy->spare_count--;
    } else {
        r = malloc(sizeof *r);
        if (!r) return NULL;
        buf_init(&r->text, TEXT_MAX);
        buf_init(&r->replay, proxy->options.replay_max + ASIDE_MAX);
    }
    struct buf text = r->text, replay = r->replay;
    memset(r, 0, offsetof(struct request, intake));
    r->text = text;
    r->replay = replay;
    r->proxy = proxy;
    list_init(&r->wait_link);
    proxy->metrics.requests++;
    return r;
}

static void keep_small(struct buf *buf)
{
    if (buf->size > SPARE_BUF_MAX)
        buf_release(buf);
    else
        buf_clear(buf);
}

static void request_free(struct request *r)
{
    struct proxy *proxy = r->proxy;
    assert(!r->down && !r->up && !r->conn && !r->upstream && !r->timer.armed);
    proxy->metrics.requests--;
    generation_unref(r->generation);
    keep_small(&r->text);
    keep_small(&r->replay);
    if (proxy->spare_count < SPARE_MAX && !proxy->closing) {
        list_push_front(&proxy->spare, &r->link);
        proxy->spare_count++;
    } else {
        buf_release(&r->text);
        buf_release(&r->replay);
        free(r);
    }
    proxy_check_closed(proxy);
}

void request_release_spare(struct proxy *proxy)
{
    LIST_EACH(&proxy->spare, struct request, link, r) {
        buf_release(&r->text);
        buf_release(&r->replay);
        free(r);
    }
    list_init(&proxy->spare);
    proxy->spare_count = 0;
}

/* ---- states ------------------------------------------------------------------------------ */

static uint64_t now_ns(const struct request *r)
{
    return io_now_ns(r->proxy->io);
}

/* Until `at`, rounded up: a timer that fires has passed it. */
static uint64_t ms_until(const struct request *r, uint64_t at_ns)
{
    uint64_t now = now_ns(r);
    return at_ns > now ? (at_ns - now + NS_PER_MS - 1) / NS_PER_MS : 0;
}

static void stop_waiting(struct request *r)
{
    if (!list_linked(&r->wait_link)) return;
    list_remove(&r->wait_link);
    r->service->metrics.waiting--;
    r->proxy->metrics.waiting--;
    r->wait_ns += now_ns(r) - r->waiting_since_ns;
}

static void stop_retrying(struct request *r)
{
    if (!r->retrying) return;
    r->retrying = false;
    r->service->retrying--;
}

/* The request is not with an endpoint any more: somebody else may take its place. */
static void leave(struct request *r)
{
    struct upstream *upstream = r->upstream;
    if (!upstream) return;
    r->upstream = NULL;
    upstream_leave(upstream);
    if (r->service && !list_empty(&r->service->waiters)) request_wake(r->service);
}

/* Forgets where it was to go. */
static void unbind(struct request *r)
{
    stop_waiting(r);
    stop_retrying(r);
    if (r->service) r->service->metrics.in_flight--;
    if (r->route_traffic) r->route_traffic->metrics.in_flight--;
    r->service = r->route_traffic = NULL;
    r->route = NULL;
    r->cluster = NULL;
    r->endpoint = NULL;
    buf_clear(&r->text);
}

static void end_if_done(struct request *r)
{
    if (r->down || r->up) return;
    unbind(r);
    request_free(r);
}

/* ---- failures ---------------------------------------------------------------------------- */

static void attempt(struct request *r);

void request_fail(struct request *r, int error)
{
    io_timer_cancel(r->proxy->io, &r->timer);
    stop_waiting(r);
    r->error = error;
    problem_send_error(r, error);
    if (r->conn && !r->up) {
        upstream_discard(r->conn);
        r->conn = NULL;
        leave(r);
    }
    if (r->up) http_abort(r->up);
}

void request_refuse(struct request *r, int error)
{
    if (r->state == REQUEST_ANSWERED || !r->down) return;
    char trace_id[32];
    trace_id_format(&r->trace.id, trace_id);
    io_timer_cancel(r->proxy->io, &r->timer);
    stop_waiting(r);
    r->error = error;
    if (r->state != REQUEST_RELAYING) r->status = err_http_status(error);
    r->state = REQUEST_ANSWERED;
    http_refuse(r->down, error, bytes_make(trace_id, sizeof trace_id));
    if (r->conn && !r->up) {
        upstream_discard(r->conn);
        r->conn = NULL;
        leave(r);
    }
    if (r->up) http_abort(r->up);
}

static void note_failure(struct request *r)
{
    struct upstream *upstream = r->upstream;
    uint64_t now = now_ns(r);
    struct pick_census census = {.up = 0};
    /* Counting the cluster costs; only the failure that may eject needs it. */
    if (upstream->outlier.failures + 1 >= OUTLIER_FAILURES)
        census = pick_count(r->generation, r->cluster, now);
    if (!outlier_failure(&upstream->outlier, now, census.up - census.ejected, census.ejected))
        return;
    r->service->metrics.ejections++;
    LOG(r->proxy->log, LOG_WARN, "endpoint_ejected", LOG_B("service", r->cluster->name),
        LOG_B("endpoint", upstream->address),
        LOG_U("seconds", (upstream->outlier.until_ns - now) / NS_PER_MS / 1000));
}

static void back_off(struct request *r, bool at_once)
{
    uint32_t delay_ms = at_once ? 0 : retry_delay_ms(r->attempts, io_random_u64(r->proxy->io));
    r->state = REQUEST_BACKING_OFF;
    r->due = false;
    r->replay_at = 0;
    r->writing = false;
    io_timer_set(r->proxy->io, &r->timer, delay_ms);
}

/* Whether the attempt at hand, which failed (or was turned away), may be followed by another. */
static bool may_retry(struct request *r, bool helps)
{
    struct retry_question question = {
        .idempotent = r->idempotent,
        .sent = r->sent,
        .relayed = r->state == REQUEST_RELAYING,
        .replayable = relay_replayable(r),
        .retry_helps = helps && r->down,
        .retries = r->attempts - 1,
        .retry_max = r->retries_max,
        .in_flight = (uint32_t)r->service->metrics.in_flight,
        .retrying = r->service->retrying - r->retrying,
        .left_ms = ms_until(r, r->deadline_ns),
    };
    enum retry_verdict verdict = retry_decide(&question);
    if (verdict == RETRY_REFUSED) r->service->metrics.retries_refused++;
    if (verdict == RETRY_YES && !r->retrying) {
        r->retrying = true;
        r->service->retrying++;
    }
    return verdict == RETRY_YES;
}

/* ---- the exchange with the endpoint ------------------------------------------------------ */

static void response_came(struct http_exchange *up)
{
    struct request *r = up->context;
    if (r->state != REQUEST_CALLING || !r->down) {
        http_abort(up);
        return;
    }
    struct upstream *upstream = r->upstream;
    int status = up->in.status;
    r->upstream_ns = now_ns(r) - r->call_ns;
    latency_observe(&upstream->latency, now_ns(r), r->upstream_ns);
    if (outlier_status(status))
        note_failure(r);
    else
        outlier_success(&upstream->outlier);
    if (retry_status(status) && may_retry(r, true)) {
        http_abort(up);
        back_off(r, false);
        return;
    }
    io_timer_cancel(r->proxy->io, &r->timer);
    heads_response(r);
    int err = http_send_head(r->down, http_body_length(up));
    if (err) {
        request_fail(r, err);
        return;
    }
    r->state = REQUEST_RELAYING;
    r->status = status;
    relay_response(r);
}

/* A connection that had been idle ended just as it was used again: that says nothing about the
 * endpoint, except that its other idle connections are not worth more. */
static bool was_stale(const struct http_exchange *up)
{
    return http_exchange_unanswered(up) && http_client_exchanges(http_exchange_client(up)) > 1;
}

static void up_closed(struct http_exchange *up, int result)
{
    struct request *r = up->context;
    struct upstream_conn *conn = r->conn;
    bool stale = result < 0 && result != ERR_CANCELLED && was_stale(up);
    r->up = NULL;
    r->conn = NULL;
    r->writing = false;
    if (result == 0)
        upstream_give(conn);
    else
        upstream_discard(conn);
    if (stale) upstream_purge(r->upstream);
    if (r->state == REQUEST_CALLING) {
        if (result == 0) result = ERR_PROTOCOL; /* no response can be complete before its head */
        if (!stale) note_failure(r);
        bool again = may_retry(r, err_retry_helps(result));
        leave(r);
        if (again)
            back_off(r, stale);
        else if (r->down)
            request_fail(r, result);
    } else if (r->state == REQUEST_RELAYING && result < 0 && r->down) {
        note_failure(r);
        r->error = result;
        http_abort(r->down);
    }
    leave(r);
    if (r->state == REQUEST_BACKING_OFF && r->due)
        request_dispatch(r);
    else
        end_if_done(r);
}

static void call(struct request *r)
{
    r->up = http_client_begin(r->conn->client, response_came);
    if (!r->up) {
        request_fail(r, ERR_NOMEM);
        return;
    }
    r->up->context = r;
    r->up->closed = up_closed;
    r->state = REQUEST_CALLING;
    r->call_ns = now_ns(r);
    heads_request(r);
    uint64_t length = http_body_length(r->down);
    int err = http_send_head(r->up, length);
    if (err) {
        request_fail(r, err);
        return;
    }
    r->sent = true;
    if (length) relay_request(r);
}

static void connected(struct upstream_conn *conn, int result)
{
    struct request *r = conn->owner;
    assert(r->state == REQUEST_CONNECTING && r->conn == conn);
    if (result == 0) {
        call(r);
        return;
    }
    upstream_discard(conn);
    r->conn = NULL;
    note_failure(r);
    bool again = may_retry(r, err_retry_helps(result));
    leave(r);
    if (again)
        back_off(r, false);
    else
        request_fail(r, result);
}

/* ---- choosing an endpoint ---------------------------------------------------------------- */

/* No endpoint is usable now. One may be there soon: an instance that is being restarted should not
 * be seen by its callers. */
static void hold(struct request *r)
{
    struct proxy *proxy = r->proxy;
    uint64_t now = now_ns(r);
    if (!r->wait_until_ns) {
        r->wait_until_ns = now + (uint64_t)r->cluster->policy.wait_ms * NS_PER_MS;
        if (r->wait_until_ns > r->deadline_ns) r->wait_until_ns = r->deadline_ns;
        r->service->metrics.waited++;
    }
    if (now >= r->wait_until_ns) {
        request_fail(r, ERR_UNAVAILABLE);
        return;
    }
    if (proxy->metrics.waiting >= proxy->options.waiting_max) {
        proxy->metrics.waiting_full++;
        request_fail(r, ERR_FULL);
        return;
    }
    r->state = REQUEST_WAITING;
    r->waiting_since_ns = now;
    list_push(&r->service->waiters, &r->wait_link);
    r->service->metrics.waiting++;
    proxy->metrics.waiting++;
    io_timer_set(proxy->io, &r->timer, ms_until(r, r->wait_until_ns));
}

static void attempt_at(struct request *r, const struct endpoint *endpoint)
{
    struct upstream *upstream = r->generation->upstreams[endpoint->index];
    stop_waiting(r);
    r->endpoint = endpoint;
    r->upstream = upstream;
    r->attempts++;
    r->sent = false;
    pick_tried_add(&r->tried, upstream);
    upstream_enter(upstream);
    io_timer_set(r->proxy->io, &r->timer, ms_until(r, r->deadline_ns));
    r->conn = upstream_take(upstream);
    if (r->conn) {
        r->conn->owner = r;
        call(r);
        return;
    }
    r->state = REQUEST_CONNECTING;
    r->conn = upstream_connect(upstream, r, connected);
    if (r->conn) return;
    leave(r);
    request_fail(r, ERR_NOMEM);
}

static void attempt(struct request *r)
{
    const struct endpoint *endpoint =
        pick_endpoint(r->generation, r->cluster, &r->tried, now_ns(r), io_random_u64(r->proxy->io));
    if (endpoint)
        attempt_at(r, endpoint);
    else if (r->state != REQUEST_WAITING || !list_linked(&r->wait_link))
        hold(r);
}

void request_dispatch(struct request *r)
{
    struct generation *generation = generation_ref(r->proxy->generation);
    bool retrying = r->retrying;
    unbind(r);
    generation_unref(r->generation);
    r->generation = generation;
    int err = r->side == PROXY_EDGE ? target_edge(r) : target_internal(r);
    if (err) {
        io_timer_cancel(r->proxy->io, &r->timer);
        return;
    }
    if (retrying) {
        r->retrying = true;
        r->service->retrying++;
    }
    attempt(r);
}

/* The first that waits takes the place; if there is still none it keeps its turn. */
void request_wake(struct traffic *service)
{
    if (list_empty(&service->waiters)) return;
    attempt(CONTAINER_OF(service->waiters.next, struct request, wait_link));
}

void request_wake_all(struct proxy *proxy)
{
    /* Out of the services' lists first: whoever still finds nothing waits there again. */
    struct list waiting;
    list_init(&waiting);
    size_t cursor = 0;
    struct traffic *service;
    while ((service = map_next(&proxy->services, &cursor)))
        list_splice(&waiting, &service->waiters);
    while (!list_empty(&waiting))
        request_dispatch(CONTAINER_OF(waiting.next, struct request, wait_link));
}

/* ---- the exchange with the client -------------------------------------------------------- */

static void timer_done(struct io_timer *timer)
{
    struct request *r = CONTAINER_OF(timer, struct request, timer);
    switch (r->state) {
    case REQUEST_WAITING: request_fail(r, ERR_UNAVAILABLE); break;
    case REQUEST_BACKING_OFF:
        r->due = true;
        if (!r->up) request_dispatch(r);
        break;
    case REQUEST_CONNECTING:
    case REQUEST_CALLING:
        if (r->up && !r->up->sent_last) { /* the time runs from the end of the request's body */
            r->deadline_ns = now_ns(r) + r->timeout_ns;
            io_timer_set(r->proxy->io, &r->timer, ms_until(r, r->deadline_ns));
            break;
        }
        note_failure(r);
        request_fail(r, ERR_TIMEOUT);
        break;
    default: break;
    }
}

static void down_closed(struct http_exchange *x, int result)
{
    struct request *r = x->context;
    if (result < 0 && !r->error) r->error = result;
    io_timer_cancel(r->proxy->io, &r->timer);
    stop_waiting(r);
    record(r);
    r->down = NULL;
    if (r->up) {
        if (!r->up->last_given) {
            r->state = REQUEST_ANSWERED; /* what becomes of it is nobody's failure */
            http_abort(r->up);
        }
    } else if (r->conn) {
        upstream_discard(r->conn);
        r->conn = NULL;
        leave(r);
    }
    end_if_done(r);
}

static void read_trace(struct request *r)
{
    const struct http1_head *in = &r->down->in;
    const struct http1_header *header = http1_find(in, HTTP1_NAME_TRACEPARENT);
    uint8_t random[TRACE_RANDOM];
    trace_intake_init(&r->intake);
    for (; header; header = http1_find_next(in, header))
        trace_intake_parent(&r->intake, header->value);
    header = http1_find(in, HTTP1_NAME_TRACESTATE);
    for (; header; header = http1_find_next(in, header))
        trace_intake_state(&r->intake, header->value);
    io_random(r->proxy->io, random, sizeof random);
    trace_intake_finish(&r->intake, random, &r->trace);
}

static bool is_idempotent(const struct http1_head *in)
{
    return http1_method_idempotent(in->method) || http1_find_text(in, BYTES("Idempotency-Key"));
}

void request_begin(struct http_exchange *x)
{
    struct entrance *entrance = http_server_context(http_exchange_server(x));
    struct proxy *proxy = entrance->proxy;
    const struct handler *handler =
        entrance->side == PROXY_INTERNAL ? target_handler(proxy, x) : NULL;
    if (handler) {
        handler->handle(handler->context, x);
        return;
    }
    struct request *r = request_new(proxy);
    if (!r) {
        proxy->metrics.no_memory++;
        http_problem(x, 503, NULL, BYTES("Out of memory."), BYTES(""));
        return;
    }
    r->side = entrance->side;
    r->down = x;
    x->context = r;
    x->closed = down_closed;
    r->begin_ns = io_now_ns(proxy->io);
    r->begin_wall_ns = io_wall_ns(proxy->io);
    r->idempotent = is_idempotent(&x->in);
    r->keep = r->idempotent;
    io_timer_init(&r->timer, timer_done);
    read_trace(r);
    if (x->in.form == HTTP1_ASTERISK_FORM) { /* OPTIONS of the server as a whole */
        r->state = REQUEST_ANSWERED;
        r->status = 204;
        http_respond(x, 204, BYTES(""), BYTES(""));
        return;
    }
    request_dispatch(r);
}
