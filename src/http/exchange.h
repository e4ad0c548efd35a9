/* exchange: one request and its response, seen from either side. On the server's side the request
 * comes in and the response goes out; on the client's side it is the other way round. Everything
 * else is the same, so a proxy moves bytes between two exchanges with one piece of code.
 *
 * In:  `in` is the parsed head. The body is pulled: http_read() asks for the next piece, `done`
 *      brings it. A piece is a view that ends with `done`; what is not asked for stays with the
 *      connection, which stops receiving (back pressure).
 * Out: compose `out` (head.h), http_send_head(), then http_write() piece by piece, the next one
 *      after `done` of the one before (back pressure). The pieces need to stay only for the call:
 *      what the kernel does not take at once is copied. A head waits for the first piece (at most
 *      to the end of the loop's turn), so a small message is one system call.
 * End: `closed` runs exactly once, as the last thing: result 0 when the exchange is complete, or
 *      the error that broke it. It may come at any time, but never inside a call of this header;
 *      after it no other callback comes, whatever was asked for, and the exchange is gone.
 *
 * An exchange is complete: on the server's side when the kernel has the whole response; on the
 * client's side when the whole response has been handed out (if the request was not all sent by
 * then, the connection is not used again). */
#ifndef DURE_HTTP_EXCHANGE_H
#define DURE_HTTP_EXCHANGE_H

#include "http/head.h"
#include "http/http.h"
#include "wire/http1_chunked.h"

struct http_exchange;
struct http_conn;

enum { HTTP_MORE = 0, HTTP_LAST = 1 };

/* A piece of the body that comes in. result: HTTP_MORE (the piece is not empty, ask again),
 * HTTP_LAST (the body ends with this piece, which may be empty), or, on the server's side only, an
 * error that can still be answered: ERR_PROTOCOL (malformed), ERR_TOO_BIG (more than body_max),
 * ERR_TIMEOUT; see http_refuse(). On the client's side errors come through `closed`. */
typedef void http_read_done(struct http_exchange *x, int result, struct bytes piece);

/* The piece is on its way; the next one may be written. */
typedef void http_write_done(struct http_exchange *x);

struct http_exchange {
    struct http1_head in; /* server: the request, from the start; client: once `response` ran. Its
                             views are valid as long as the exchange is */
    struct http_head out; /* compose here */

    void *context; /* the owner's */
    void (*closed)(struct http_exchange *x,
                   int result); /* the owner's; NULL: nobody wants to know */

    struct http *http;
    uint64_t body_max;   /* of the body that comes in; may be changed before the first read */
    uint64_t received;   /* bytes of body handed out */
    uint64_t sent;       /* bytes of body taken by http_write */
    uint64_t started_ns; /* io_now_ns: first byte of the request here (server); begin (client) */
    bool received_any;   /* client: at least one byte of the response has come */
    bool received_all;   /* the incoming message is whole: a read would give an empty HTTP_LAST */
    bool last_given;     /* HTTP_LAST, or an error, has been handed out */
    bool head_sent;      /* http_send_head has been called */
    bool sent_last;      /* the outgoing message is whole */
    bool close;          /* may be set: the connection ends with this exchange */

    /* private from here on */
    struct http_conn *conn;
    void (*response)(struct http_exchange *x);
    http_read_done *read_done;
    http_write_done *write_done;
    struct list link;

    struct http1_parser parser;
    struct buf text; /* the received head */
    enum http1_method request_method;
    enum http1_body in_kind;
    uint64_t in_left;
    struct http1_chunked chunked;
    bool continued, draining;

    enum http1_body out_kind;
    uint64_t out_left;
    bool head_given;  /* the head is with the stream */
    bool last_due;    /* the send under way is the message's last */
    struct buf spill; /* what the kernel did not take at once */
    bool spilled;     /* the spill waits for the send under way */
    int iov_count;
    struct iovec iov[4];
    char chunk_head[HTTP1_CHUNK_HEAD_MAX];
};

#define HTTP_LENGTH_UNKNOWN UINT64_MAX

/* Fixes the head that was composed in x->out. `length`: of the body in bytes, or
 * HTTP_LENGTH_UNKNOWN (chunked; to an HTTP/1.0 client: until close). With length 0 the message ends
 * here, without a write; so it does where there cannot be a body (answer to HEAD, 204, 304: then
 * `length` is only announced). 0, or the error that stuck to x->out; nothing has been sent then and
 * another head can be composed. */
int http_send_head(struct http_exchange *x, uint64_t length);

/* Sends a piece (it may be empty); `last` ends the message, and only then. With `last` done may be
 * NULL. The pieces must add up to the length that was announced (asserted). */
void http_write(struct http_exchange *x, struct bytes piece, bool last, http_write_done *done);

/* Asks for the next piece; one read at a time, none after HTTP_LAST (asserted). */
void http_read(struct http_exchange *x, http_read_done *done);

/* How long the incoming body is, for handing on to http_send_head: its length, 0 for none, or
 * HTTP_LENGTH_UNKNOWN. For an answer to HEAD (and a 304) what it announces. */
uint64_t http_body_length(const struct http_exchange *x);

/* Breaks it off: the connection is closed at once, the peer sees a message that does not end.
 * `closed` comes later with ERR_CANCELLED. */
void http_abort(struct http_exchange *x);

#endif
