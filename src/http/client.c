#include "http/client.h"

#include <assert.h>
#include <stdlib.h>

#include "http/conn.h"

struct http_client {
    struct http_conn conn;
    struct conn_limits limits;
    uint64_t body_max;
    void *context;
    void (*connected)(struct http_client *client, int result);
    void (*gone)(struct http_client *client);
    uint64_t exchanges;
    bool opened;   /* the stream is there, so it must be closed */
    bool usable;   /* connected, and nothing has happened that forbids another exchange */
    bool released; /* the owner has let go */
    bool finished; /* the stream has been closed */
};

static struct http_client *client_of(const struct http_conn *conn)
{
    return (struct http_client *)CONTAINER_OF(conn, struct http_client, conn);
}

/* The connection ended, or is of no more use, while nothing was under way. */
static void tell_gone(struct http_client *client)
{
    void (*gone)(struct http_client * client) = client->gone;
    client->gone = NULL;
    conn_end(&client->conn, ERR_EOF);
    if (gone && !client->released) gone(client);
}

/* ---- the side ------------------------------------------------------------------------------ */

static void client_head(struct http_conn *conn)
{
    struct http_exchange *x = conn->x;
    if (x->in.has_length && x->in_kind == HTTP1_BODY_LENGTH && x->in.length > x->body_max)
        conn_end(conn, ERR_TOO_BIG);
    else
        x->response(x);
}

static void client_bad_head(struct http_conn *conn)
{
    LOG(conn->http->log, LOG_WARN, "http_response_refused",
        LOG_S("reason", http1_error_name(conn->x->parser.error)),
        LOG_U("offset", conn->x->parser.error_at));
    conn_end(conn, ERR_PROTOCOL);
}

/* Bytes that nobody asked for: the two sides do not agree what the last message was. */
static bool client_begins(struct http_conn *conn)
{
    tell_gone(client_of(conn));
    return false;
}

static void client_received(struct http_conn *conn, bool rest)
{
    struct http_exchange *x = conn->x;
    if (x->in_kind != HTTP1_BODY_NONE && !x->last_given)
        return; /* its end is still to be asked for */
    bool taken = !conn->sending || io_send_taken(&conn->stream);
    client_of(conn)->usable = client_of(conn)->usable && !rest && taken && x->sent_last &&
                              !x->spilled && x->in.keep_alive && !x->close && !conn->eof &&
                              x->in_kind != HTTP1_BODY_UNTIL_CLOSE;
    conn_complete(conn, 0);
}

static void client_sending_head(struct http_conn *conn)
{
    (void)conn;
}

static void client_sent(struct http_conn *conn)
{
    (void)conn; /* now the response is waited for: conn_settle */
}

/* The server may have answered already and closed; its answer is in the socket then, and if it is
 * not, receiving will fail too. */
static void client_send_failed(struct http_conn *conn, int error)
{
    client_of(conn)->usable = false;
    conn->send_broken = true;
    if (error != ERR_TIMEOUT && conn->x && conn->receiving)
        conn_settle(conn);
    else
        conn_end(conn, error);
}

static void client_peer_closed(struct http_conn *conn)
{
    if (conn->x)
        conn_end(conn, ERR_EOF);
    else
        tell_gone(client_of(conn));
}

static void client_timed_out(struct http_conn *conn)
{
    if (conn->phase != CONN_CONNECTING) {
        conn_end(conn, ERR_TIMEOUT);
        return;
    }
    struct http_client *client = client_of(conn);
    void (*connected)(struct http_client * client, int result) = client->connected;
    conn->http->metrics.client_connect_failures++;
    client->connected = NULL;
    conn_end(conn, ERR_TIMEOUT);
    if (connected && !client->released) connected(client, ERR_TIMEOUT);
}

static void client_failing(struct http_conn *conn, int error)
{
    struct http_metrics *metrics = &conn->http->metrics;
    client_of(conn)->usable = false;
    if (!conn->x) return;
    metrics->client_failures++;
    if (error == ERR_PROTOCOL) metrics->client_protocol_errors++;
    if (error == ERR_TIMEOUT) metrics->client_timeouts++;
}

static void client_ended(struct http_conn *conn)
{
    struct http_client *client = client_of(conn);
    conn->http->metrics.client_connections--;
    client->finished = true;
    if (client->released) free(client);
}

static const struct conn_side client_side = {
    .head = client_head,
    .bad_head = client_bad_head,
    .begins = client_begins,
    .bad_body = conn_end,
    .received = client_received,
    .sending_head = client_sending_head,
    .sent = client_sent,
    .send_failed = client_send_failed,
    .peer_closed = client_peer_closed,
    .timed_out = client_timed_out,
    .failing = client_failing,
    .ended = client_ended,
};

/* ---- what the owner asks ------------------------------------------------------------------- */

int http_client_new(struct http *http, const struct http_client_options *options, void *context,
                    struct http_client **ret_client)
{
    struct http_client *client = calloc(1, sizeof *client);
    if (!client) return ERR_NOMEM;
    conn_init(&client->conn, http, &client_side, &client->limits, CONN_CONNECTING);
    client->context = context;
    client->body_max = options->body_max ? options->body_max : UINT64_MAX;
    /* No idle_ms: how long to keep it is the pool's choice. */
    client->limits = (struct conn_limits){
        .connect_ms = limit_or_default(options->connect_timeout_ms, 5 * 1000),
        .write_ms = limit_or_default(options->write_timeout_ms, 30 * 1000),
        .head_ms = limit_or_default(options->response_timeout_ms, 60 * 1000),
        .body_ms = limit_or_default(options->body_timeout_ms, 60 * 1000),
    };
    *ret_client = client;
    return 0;
}

static void connect_done(struct io_stream *stream, int result)
{
    struct http_client *client = CONTAINER_OF(stream, struct http_client, conn.stream);
    if (client->conn.ending) return;
    void (*connected)(struct http_client * client, int result) = client->connected;
    client->connected = NULL;
    if (result < 0) {
        client->conn.http->metrics.client_connect_failures++;
        conn_end(&client->conn, result);
    } else {
        client->usable = true;
        client->conn.phase = CONN_IDLE;
        conn_settle(&client->conn);
    }
    if (!client->released && !client->conn.aborted) connected(client, result);
}

void http_client_connect(struct http_client *client, const struct io_addr *addr,
                         void (*done)(struct http_client *client, int result))
{
    assert(!client->opened);
    client->opened = true;
    client->connected = done;
    client->conn.http->metrics.client_connects++;
    client->conn.http->metrics.client_connections++;
    io_connect(client->conn.http->io, &client->conn.stream, addr, connect_done);
    conn_wait(&client->conn, false);
}

bool http_client_reusable(const struct http_client *client)
{
    return client->usable && !client->conn.x && !client->conn.ending && !client->conn.aborted &&
           !client->conn.eof;
}

void http_client_watch(struct http_client *client, void (*gone)(struct http_client *client))
{
    client->gone = gone;
}

struct http_exchange *http_client_begin(struct http_client *client,
                                        void (*response)(struct http_exchange *x))
{
    assert(http_client_reusable(client) && response);
    struct http_exchange *x = conn_begin(&client->conn);
    if (!x) return NULL;
    x->response = response;
    x->body_max = client->body_max;
    client->exchanges++;
    client->conn.http->metrics.client_exchanges++;
    return x;
}

bool http_exchange_unanswered(const struct http_exchange *x)
{
    return !x->received_any;
}

struct http_client *http_exchange_client(const struct http_exchange *x)
{
    return client_of(x->conn);
}

void *http_client_context(const struct http_client *client)
{
    return client->context;
}

bool http_client_connected(const struct http_client *client)
{
    return client->opened && client->conn.phase != CONN_CONNECTING && !client->conn.ending;
}

uint64_t http_client_exchanges(const struct http_client *client)
{
    return client->exchanges;
}

void http_client_close(struct http_client *client)
{
    if (!client) return;
    assert(!client->released);
    client->released = true;
    client->usable = false;
    client->gone = NULL;
    client->connected = NULL;
    if (!client->opened || client->finished)
        free(client);
    else
        conn_abort(&client->conn, ERR_CANCELLED);
}
