/* server: a listener and its HTTP/1.1 connections. Keeps connections alive, answers pipelined
 * requests in order (one in flight at a time), sends 100 Continue when the handler first asks for
 * the body, keeps the limits, and answers what is not HTTP with a problem document that says why.
 * The owner sees one call for each request; all else is in exchange.h. */
#ifndef DURE_HTTP_SERVER_H
#define DURE_HTTP_SERVER_H

#include "http/exchange.h"

struct http_server;

struct http_server_options {
    /* The head of a request has arrived. Sets x->closed and x->context, and answers now or later.
     * CONNECT does not get here (501). */
    void (*request)(struct http_exchange *x);
    void *context; /* http_server_context() */

    uint64_t body_max;        /* 0: 1 GiB; more is answered 413 */
    uint32_t connections_max; /* 0: 10,000; more wait in the kernel's queue */

    /* A client that ends its direction while it waits for an answer has left: the exchange is
     * broken off. Otherwise it may have done so because it has nothing more to say, and is
     * answered. */
    bool eof_ends;

    /* milliseconds; 0: the default */
    uint32_t head_timeout_ms;  /* from a request's first byte to the end of its head; 10 s -> 408 */
    uint32_t body_timeout_ms;  /* between two pieces of a body that is being waited for; 30 s */
    uint32_t write_timeout_ms; /* for one piece to get into the kernel; 30 s -> broken off */
    uint32_t idle_timeout_ms;  /* between requests; 5 min */
    uint32_t linger_ms;        /* a connection closed by us stays to let the answer through; 2 s */
};

/* Listens. `options` is copied. */
int http_server_open(struct http *http, const struct io_addr *addr,
                     const struct http_server_options *options, struct http_server **ret_server);

/* The same on a listening socket that another process made. */
int http_server_adopt(struct http *http, int fd, const struct http_server_options *options,
                      struct http_server **ret_server);

/* Ends it gracefully: accepts no more, closes idle connections, lets exchanges end (their answers
 * say Connection: close), and breaks off what is left after grace_ms. Then `closed` runs (may be
 * NULL) and the server is freed. A second call may shorten the grace. */
void http_server_close(struct http_server *server, uint32_t grace_ms,
                       void (*closed)(void *context));

const struct io_addr *http_server_addr(const struct http_server *server);
const struct io_listener *http_server_listener(const struct http_server *server);
void *http_server_context(const struct http_server *server);
size_t http_server_connections(const struct http_server *server);

/* ---- of an exchange on the server's side --------------------------------------------------- */

struct http_server *http_exchange_server(const struct http_exchange *x);

/* The client's address; ERR_UNSUPPORTED for an unnamed Unix socket. */
int http_exchange_peer(const struct http_exchange *x, struct io_addr *ret_addr);

/* A whole answer in one call, with Date; fields that were added to x->out after http_head_response
 * of the same status stay. The body is copied if need be. */
void http_respond(struct http_exchange *x, int status, struct bytes content_type,
                  struct bytes body);

/* The same with a problem document (RFC 9457, application/problem+json). `title` NULL: the status's
 * usual phrase. `detail` and `trace` (a trace id as text) are left out when empty. */
void http_problem(struct http_exchange *x, int status, const char *title, struct bytes detail,
                  struct bytes trace);

/* Answers a read that brought an error: 400 with the exact reason, 413 or 408. If the answer has
 * begun already the exchange is broken off. */
void http_refuse(struct http_exchange *x, int error, struct bytes trace);

#endif
