/* conn: one HTTP/1 connection, what server and client have in common: receiving, parsing, handing
 * out bodies, sending, waiting. Private to this folder.
 *
 *            first byte          head whole         body whole
 *     IDLE -------------> HEAD -------------> BODY -------------> WHOLE
 *       ^                                                           |
 *       +-------------- exchange complete, connection kept ---------+
 *
 * LINGER: our last answer is out and our side is shut; what still comes is dropped until the peer
 * closes. CONNECTING: a client before IDLE.
 *
 * Bytes come in the loop's scratch buffer and are worked on there (run). What nobody wants yet is
 * copied to `held` once, and the connection stops receiving; so an idle connection holds no memory
 * but this struct, and a slow reader holds back its peer.
 *
 * The owner's code runs only from run(), sent() and end(), and may call anything of exchange.h
 * there. What those calls start is settled when it returns (conn_settle). */
#ifndef DURE_HTTP_CONN_H
#define DURE_HTTP_CONN_H

#include "http/exchange.h"

enum conn_phase { CONN_CONNECTING, CONN_IDLE, CONN_HEAD, CONN_BODY, CONN_WHOLE, CONN_LINGER };

/* What the two sides do differently. `conn` may have ended (conn->ending) after any of them. */
struct conn_side {
    bool is_server;
    /* x->in is parsed. */
    void (*head)(struct http_conn *conn);
    /* The head is refused: x->parser says why. */
    void (*bad_head)(struct http_conn *conn);
    /* Bytes in IDLE. True: an exchange has begun and may have them. */
    bool (*begins)(struct http_conn *conn);
    /* The body is refused (a negative error) while somebody waits for a piece. */
    void (*bad_body)(struct http_conn *conn, int error);
    /* The incoming message is whole and has been handed out. `rest`: bytes came behind it. */
    void (*received)(struct http_conn *conn, bool rest);
    /* A head is about to be sent: the last chance to set x->close. */
    void (*sending_head)(struct http_conn *conn);
    /* The kernel has the whole outgoing message. */
    void (*sent)(struct http_conn *conn);
    /* A send failed. */
    void (*send_failed)(struct http_conn *conn, int error);
    /* The peer has ended its direction and more was wanted of it (not: where that ends a body). */
    void (*peer_closed)(struct http_conn *conn);
    /* Nothing came for as long as `wait` may take. */
    void (*timed_out)(struct http_conn *conn);
    /* The connection is about to end with `error`, perhaps in the middle of conn->x. */
    void (*failing)(struct http_conn *conn, int error);
    /* The last word: the stream is closed; free the owner of conn. */
    void (*ended)(struct http_conn *conn);
};

struct conn_limits {
    uint32_t connect_ms, head_ms, body_ms, write_ms, idle_ms, linger_ms; /* 0: no limit */
};

static inline uint32_t limit_or_default(uint32_t limit_ms, uint32_t default_ms)
{
    return limit_ms ? limit_ms : default_ms;
}

struct http_conn {
    struct io_stream stream;
    struct http *http;
    const struct conn_side *side;
    const struct conn_limits *limits;
    struct http_exchange *x;    /* NULL in IDLE and LINGER */
    struct http_exchange *past; /* ended, but its last send has not completed */
    struct buf held;
    struct io_task tick;  /* something to do outside the owner's call */
    struct io_task flush; /* a head that waits for its first piece until the turn ends */
    struct io_timer timer;
    uint64_t timer_ms; /* when it will fire; 0: not armed. May be early: it looks again */
    uint64_t read_deadline_ms, write_deadline_ms; /* 0: none */
    int aborted;                                  /* ends with this error at the next chance */
    uint8_t phase, waits;                         /* enum conn_phase; the phase of read_deadline */
    bool eof_ends; /* server: a client that ends its direction has left */
    bool running, receiving, sending, send_broken, ending, eof;
};

/* ---- lifetime (conn.c) */

/* `phase`: IDLE, or CONNECTING for a client. The stream is the caller's to open. */
void conn_init(struct http_conn *conn, struct http *http, const struct conn_side *side,
               const struct conn_limits *limits, enum conn_phase phase);

/* Begins an exchange: x is set, the phase is HEAD. NULL: no memory. */
struct http_exchange *conn_begin(struct http_conn *conn);

/* Tells x's owner, takes x off the connection and gives it back when its send has completed. The
 * phase is IDLE then. */
void conn_complete(struct http_conn *conn, int result);

/* Ends the connection now; x's owner is told `result`. Not from within a call of the owner. */
void conn_end(struct http_conn *conn, int result);

/* The same from the owner's call: soon. */
void conn_abort(struct http_conn *conn, int result);

/* Shuts our direction and drops what comes, so that the answer is not lost to a reset. */
void conn_linger(struct http_conn *conn);

/* ---- receiving (conn.c) */

/* Works on what is held. */
void conn_run_held(struct http_conn *conn);

/* After anything has changed: receives, waits or ends as the state demands. */
void conn_settle(struct http_conn *conn);

/* Hands the error of a body to the one who waits for a piece. */
void conn_give_error(struct http_conn *conn, int error);

/* ---- sending (out.c) */

void conn_send_continue(struct http_conn *conn);
void conn_flush(struct io_task *task);

/* ---- waiting (wait.c) */

uint64_t conn_now_ms(const struct http_conn *conn);
void conn_timer_done(struct io_timer *timer);

/* Sets read_deadline for what the connection waits for now. */
void conn_wait(struct http_conn *conn, bool wants_bytes);
void conn_arm(struct http_conn *conn);

/* ---- exchanges (http.c) */

/* More of an unread body than this is not worth keeping the connection for. */
enum { HTTP_DRAIN_MAX = 64 * 1024 };

/* Whether the rest of the incoming body may be read and dropped. */
static inline bool http_drainable(const struct http_exchange *x)
{
    return x->in_kind == HTTP1_BODY_CHUNKED ||
           (x->in_kind == HTTP1_BODY_LENGTH && x->in_left <= HTTP_DRAIN_MAX);
}

struct http_exchange *http_exchange_new(struct http *http);
void http_exchange_free(struct http_exchange *x); /* NULL is allowed */

#endif
