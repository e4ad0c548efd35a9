/* wait: the deadlines of a connection. There is one timer. It is moved only to fire earlier; when
 * it fires early it looks what is due and sets itself anew, so a busy connection does not touch it.
 */
#include "http/conn.h"

uint64_t conn_now_ms(const struct http_conn *conn)
{
    return io_now_ns(conn->http->io) / 1000000;
}

/* How long the phase may take; 0: for ever. */
static uint32_t limit_ms(const struct http_conn *conn, bool wants_bytes)
{
    const struct http_exchange *x = conn->x;
    switch ((enum conn_phase)conn->phase) {
    case CONN_CONNECTING: return conn->limits->connect_ms;
    case CONN_IDLE: return conn->limits->idle_ms;
    case CONN_HEAD:
        /* A client waits only when it has asked, or cannot. */
        if (conn->side->is_server || conn->send_broken) return conn->limits->head_ms;
        return x->sent_last && !conn->sending ? conn->limits->head_ms : 0;
    case CONN_BODY: return wants_bytes ? conn->limits->body_ms : 0;
    case CONN_WHOLE: return 0;
    case CONN_LINGER: return conn->limits->linger_ms;
    }
    return 0;
}

void conn_wait(struct http_conn *conn, bool wants_bytes)
{
    uint32_t limit = limit_ms(conn, wants_bytes);
    /* In a body every piece starts the clock again; elsewhere the phase as a whole is limited. */
    bool fresh = conn->waits != conn->phase || conn->phase == CONN_BODY;
    if (limit == 0)
        conn->read_deadline_ms = 0;
    else if (fresh || conn->read_deadline_ms == 0)
        conn->read_deadline_ms = conn_now_ms(conn) + limit;
    conn->waits = conn->phase;
    conn_arm(conn);
}

void conn_arm(struct http_conn *conn)
{
    uint64_t due = conn->read_deadline_ms;
    if (conn->write_deadline_ms && (!due || conn->write_deadline_ms < due))
        due = conn->write_deadline_ms;
    if (!due || (conn->timer_ms && conn->timer_ms <= due)) return;
    uint64_t now = conn_now_ms(conn);
    conn->timer_ms = due;
    io_timer_set(conn->http->io, &conn->timer, due > now ? due - now : 0);
}

void conn_timer_done(struct io_timer *timer)
{
    struct http_conn *conn = CONTAINER_OF(timer, struct http_conn, timer);
    uint64_t now = conn_now_ms(conn);
    conn->timer_ms = 0;
    if (conn->write_deadline_ms && now >= conn->write_deadline_ms) {
        conn->write_deadline_ms = 0;
        conn->side->send_failed(conn, ERR_TIMEOUT);
    }
    if (!conn->ending && conn->read_deadline_ms && now >= conn->read_deadline_ms) {
        conn->read_deadline_ms = 0;
        conn->side->timed_out(conn);
    }
    if (!conn->ending) conn_arm(conn);
}
