/* The parts of a client. Private to src/client. */
#ifndef DURE_CLIENT_CLIENT_IMPL_H
#define DURE_CLIENT_CLIENT_IMPL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/jsonw.h"
#include "base/map.h"
#include "client/client.h"
#include "client/servers.h"
#include "io/resolve.h"
#include "io/tls.h"
#include "wire/nats.h"
#include "wire/nats_creds.h"

enum {
    CLIENT_PINGS_MAX = 2,     /* without an answer: lost */
    CLIENT_FRAME_HEAD = 4608, /* more than the longest line before a payload */
    CLIENT_ID_TEXT = 32
};

struct client_subscription {
    struct client *client;
    struct list link;
    uint64_t sid;
    client_message_fn *deliver;
    void *context;
    size_t pattern_len, queue_len;
    char text[]; /* pattern, then queue */
};

/* What INFO said. */
struct client_info {
    char cluster[64], version[32], nonce[128];
    uint64_t max_payload;
    bool tls_required, lame_duck;
    size_t urls; /* in connect_urls */
};

struct client {
    struct io *io;
    struct log *log;
    struct client_options options; /* its texts are in the arena */
    struct arena arena;

    /* the connection */
    enum client_state state;
    struct servers servers;
    struct client_info info;
    struct nats_creds creds;    /* views of options.identity.creds */
    struct io_tls_context *tls; /* NULL: nothing is encrypted yet */
    bool always_tls;
    struct io_resolve resolve;
    struct io_stream stream;
    struct io_timer timer; /* DOWN: until the next attempt; UP: the next ping; else: patience */
    struct list watches;
    char server_text[CLIENT_SERVER_TEXT];
    char reason[CLIENT_REASON_TEXT];
    uint64_t since_ns;
    uint64_t pings, pongs;
    size_t next_addr; /* of resolve.addrs */
    bool resolving, stream_open, stream_closing;
    uint32_t wait_ms; /* before the next attempt, when the stream has closed */

    /* bytes */
    struct nats_decoder decoder;
    struct buf in, out, flight, scratch;
    struct iovec iov;
    struct io_task send_task;
    bool sending;
    unsigned generation; /* another one: what was being decoded is over */

    /* subscriptions */
    struct map by_sid;
    struct list subscriptions;
    uint64_t next_sid;

    /* requests and durable publishes, by the last token of their reply subject */
    char id[CLIENT_ID_TEXT];
    struct map requests, durables;
    struct list request_list;
    uint64_t next_number, next_inbox;

    struct list unsent, sent; /* durable publishes: to be sent (again); waiting for an answer */
    size_t durable_count, durable_bytes;
    struct io_timer durable_timer;

    /* the end */
    void (*drained)(void *context, int result);
    void *drain_context;
    struct io_timer drain_timer;
    uint64_t drain_mark; /* a ping's number; 0: not sent yet */
    bool draining, closing, flushing;
    struct io_task close_task;
    void (*closed)(void *context);
    void *closed_context;

    struct client_metrics metrics;
};

/* ---- client.c ---- */

/* Gives the connection up, and tries again later. Only from the loop. */
void client_lose(struct client *client, const char *reason);

/* The server has answered all of what makes a connection. */
void client_came_up(struct client *client);

/* INFO: begins to join, or learns. */
void client_take_info(struct client *client, struct bytes json);

/* Frees it if it is closing and nothing is left. */
void client_finish(struct client *client);

/* ---- client_identity.c ---- */

void client_write_identity(const struct client *client, struct jsonw *json);
int client_read_creds(struct client *client, struct error *error);

/* Makes the context; reads files. tls may be NULL. */
int client_read_tls(struct client *client, const struct client_tls *tls, struct error *error);

/* ---- client_link.c ---- */

void client_link_start(struct client *client); /* the stream is open: receives */
void client_link_reset(struct client *client); /* nothing of the old connection is left */
void client_send_task(struct io_task *task);
void client_send_soon(struct client *client);
void client_put_ping(struct client *client);

/* Room for a message of so many bytes in what waits to be sent. */
bool client_has_room(const struct client *client, size_t bytes);

/* 0, or why the message cannot be sent, whatever the state. */
int client_check(const struct client *client, const struct message *message);

/* ---- client_subscribe.c ---- */

void client_put_subscriptions(struct client *client);
void client_put_unsubscribes(struct client *client);
void client_deliver(struct client *client, const struct nats_frame *frame);
void client_subscriptions_release(struct client *client);

/* ---- client_request.c ---- */

/* An answer on our inbox. */
void client_answered(struct client *client, const struct nats_frame *frame);
void client_fail_requests(struct client *client, int result);
bool client_says_nobody(const struct nats_frame *frame);

/* ---- client_durable.c ---- */

void client_durable_answered(struct client *client, struct client_durable *durable,
                             const struct nats_frame *frame);
void client_send_durables(struct client *client);
void client_resend_durables(struct client *client); /* a new connection */
void client_fail_durables(struct client *client, int result);
void client_durable_timer(struct io_timer *timer);
void client_durables_release(struct client *client);

/* ---- client_drain.c ---- */

void client_drain_step(struct client *client);
void client_drain_timer(struct io_timer *timer);

#endif
