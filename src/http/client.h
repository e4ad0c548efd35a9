/* client: one connection to one server, for one exchange after another. Pooling is the owner's
 * work; a connection that waits tells when the peer closes it, and holds no buffer.
 *
 *     http_client_new -> http_client_connect -> [ http_client_begin -> compose x->out,
 *     http_send_head, http_write ... -> response(x) -> http_read ... -> closed(x) ]* ->
 *     http_client_close */
#ifndef DURE_HTTP_CLIENT_H
#define DURE_HTTP_CLIENT_H

#include "http/exchange.h"

struct http_client;

/* Shared by many clients; must outlive them. Milliseconds; 0: the default. */
struct http_client_options {
    uint32_t connect_timeout_ms;  /* 5 s */
    uint32_t write_timeout_ms;    /* for one piece to get into the kernel; 30 s */
    uint32_t response_timeout_ms; /* from the whole request sent to the response's head; 60 s */
    uint32_t body_timeout_ms;     /* between two pieces that are being waited for; 60 s */
    uint64_t body_max;            /* 0: no limit */
};

/* A client that is not connected. */
int http_client_new(struct http *http, const struct http_client_options *options, void *context,
                    struct http_client **ret_client);

/* Connects; done(client, 0 or error), never inside the call. After an error it wants closing. */
void http_client_connect(struct http_client *client, const struct io_addr *addr,
                         void (*done)(struct http_client *client, int result));

/* Whether an exchange can be begun now: connected, none under way, the last one ended cleanly with
 * the connection kept, and the peer has sent neither its end nor a stray byte since. */
bool http_client_reusable(const struct http_client *client);

/* Calls `gone` once when the connection ends while no exchange is under way (the peer closed it or
 * sent something nobody asked for): take it out of the pool and close it. */
void http_client_watch(struct http_client *client, void (*gone)(struct http_client *client));

/* Begins an exchange; http_client_reusable() must be true (asserted). `response` runs when the
 * final head is in x->in (1xx are skipped). The owner sets x->context and x->closed. NULL: no
 * memory. */
struct http_exchange *http_client_begin(struct http_client *client,
                                        void (*response)(struct http_exchange *x));

/* For `closed`: whether the request failed in a way that says the server gave no answer at all: no
 * byte of a response came. (Whether it may be sent again is also a matter of its method.) */
bool http_exchange_unanswered(const struct http_exchange *x);

struct http_client *http_exchange_client(const struct http_exchange *x);
void *http_client_context(const struct http_client *client);
bool http_client_connected(const struct http_client *client);
uint64_t http_client_exchanges(const struct http_client *client); /* begun so far */

/* Closes and frees it; `closed` runs for an exchange under way (ERR_CANCELLED), from the loop.
 * NULL is allowed. The pointer is not valid any more. */
void http_client_close(struct http_client *client);

#endif
