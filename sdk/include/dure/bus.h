/* bus.h: the bus in full: subjects, streams, queues. Part of dure.h, which says what holds for
 * all of it (fibers, [waits], memory, errors). What is here speaks NATS and JetStream, so the other
 * side is `dure` or a NATS server, and neither can be told from the other.
 *
 *   to everyone who listens now          dure_publish, dure_send; dure_subscribe, dure_on
 *   to one who answers                   dure_ask; dure_on
 *   for good (a stream keeps it)         dure_tell, dure_tell_all, dure_publisher_*
 *   a stream, from somewhere on          dure_reader_*
 *   a queue: each message done once      dure_work (handlers), dure_pull_* (by hand)
 *   values by key; files                 kv.h; object.h
 *
 * A service that works on a queue, and a program that gives it work:
 *
 *     static int bill(struct dure_ctx *ctx)
 *     {
 *         return charge(dure_body(ctx, NULL)); // 0: done; an error: again, later
 *     }
 *
 *     static int start(struct dure_ctx *ctx)
 *     {
 *         const struct dure_worker billing = {
 *             .stream = "ORDERS", .consumer = "billing", .filter = "orders.new", .handler = bill};
 *         return dure_work(ctx, &billing);
 *     }
 *
 *     static int order(struct dure_ctx *ctx)
 *     {
 *         return dure_tell(ctx, "orders.new", "order-7", "{\"id\":7}", 0);
 *     }
 *
 *     int main(void)
 *     {
 *         return dure_run(NULL, order, NULL) != 0;
 *     }
 *
 * The connection is the process's: $NATS_URL names one server or several ("nats://a:4222,tls://b,
 * unix:/run/bus"), tried in turn, for as long as the process lives, and behind them the others of
 * their cluster, of which a server tells. After it was lost subscriptions
 * are there again, what was not acknowledged is sent again under its message id, and readers and
 * pulls go on behind the last message that they gave.
 *
 * Who we are: in the URL (nats://user:password@host, nats://token@host), or $NATS_USER and
 * $NATS_PASSWORD, $NATS_TOKEN, $NATS_CREDS (a file with a user's JWT and seed), $NATS_NKEY (a file
 * with a seed). TLS (tls://, or when the server asks for it): $NATS_CA, $NATS_CERT, $NATS_KEY are
 * PEM files; without $NATS_CA the system's authorities count.
 *
 * Whatever is opened here (subscription, reader, pull, publisher, watch) belongs to the ctx that
 * opened it: close it, or it is closed when the handler returns. */
#ifndef DURE_BUS_H
#define DURE_BUS_H

#include "dure/dure.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    DURE_MAX_OPEN = 1024,            /* subscriptions, readers and pulls open at once; FULL */
    DURE_MAX_QUEUED = 65536,         /* messages of one subscription that nobody took yet, and */
    DURE_MAX_QUEUED_BYTES = 32 << 20 /* their bytes; more are dropped and counted */
};

/* ---- a program that is only a client ------------------------------------------------------ */

/* What is left zero comes from the environment. */
struct dure_run_options {
    const char *name; /* how the server lists this connection; NULL: "dure" */
    const char *urls; /* NULL: $NATS_URL, else nats://127.0.0.1:4222 */
    const char *user, *password, *token;
    const char *creds, *nkey;    /* files */
    const char *ca, *cert, *key; /* PEM files */
    bool tls_first;              /* the handshake comes before the server's INFO */
    int64_t timeout_ms;          /* of all of `work`; 0: none */
    int64_t request_ms;          /* of what is asked without a time; 0: DURE_TIMEOUT_MS */
};

/* Runs `work` and returns what it returned: for programs that are no services. They read straight
 * down and may block between two [waits] functions. SIGINT and SIGTERM make every wait return
 * DURE_ECLOSED; a second one ends the process. dure_argument() is `argument`. Not from inside of a
 * handler, and one at a time. INVALID (urls), NOMEM. */
DURE_EXPORT int dure_run(const struct dure_run_options *options, dure_handler *work,
                         void *argument);
DURE_EXPORT void *dure_argument(struct dure_ctx *ctx);

/* [waits] Reads what a terminal, pipe or file has, at most `size` bytes, as read(2) does; waits
 * while there is nothing. How many; 0 at the end; TIMEOUT; IO; INVALID: not a descriptor. One at a
 * time. */
DURE_EXPORT int64_t dure_read(struct dure_ctx *ctx, int fd, void *buffer, size_t size,
                              int64_t timeout_ms);

/* [waits] Until there is a connection. UNREACHABLE: no server could be reached (each was tried
 * once), DENIED: none takes us, TIMEOUT. dure_reason() says which server and why. */
DURE_EXPORT int dure_connect(struct dure_ctx *ctx, int64_t timeout_ms);

/* What the connection is like now; texts live as long as ctx. Zeroed when there is none. */
struct dure_server {
    bool connected;
    const char *url; /* without credentials */
    const char *name, *version;
    bool jetstream; /* it says that it keeps streams */
    size_t max_payload;
    uint64_t reconnects;
};
DURE_EXPORT void dure_server(struct dure_ctx *ctx, struct dure_server *ret_server);

/* What happens to the connection. */
enum dure_bus_event {
    DURE_BUS_CONNECTED, /* also the first time */
    DURE_BUS_LOST,      /* another is looked for, until there is one */
    DURE_BUS_LAME_DUCK /* the server is about to close. If another is known the connection goes over
                        * to it by itself, before that: LOST and CONNECTED follow */
};
typedef void dure_bus_happened(void *argument, enum dure_bus_event event, const char *server);

/* Calls `happened` from now on, whenever something does, with the server's URL. It must not wait.
 * Each module has one, which the next call replaces; NULL: none. */
DURE_EXPORT void dure_on_bus_event(struct dure_ctx *ctx, dure_bus_happened *happened,
                                   void *argument);

/* [waits] Until the server has everything that was published before. TIMEOUT, UNREACHABLE. */
DURE_EXPORT int dure_flush(struct dure_ctx *ctx, int64_t timeout_ms);

/* Why the last function of this ctx failed, in the words of the server ("stream not found"), and
 * its number (JetStream's err_code, 10059); "" and 0 when it said nothing. */
DURE_EXPORT const char *dure_reason(struct dure_ctx *ctx);
DURE_EXPORT int dure_reason_code(struct dure_ctx *ctx);

/* Memory of a loop: everything that the ctx gave since dure_mark() is given back. Nothing that
 * was opened or started in between may still be open. */
struct dure_mark {
    void *private_[8];
};
DURE_EXPORT void dure_mark(struct dure_ctx *ctx, struct dure_mark *ret_mark);
DURE_EXPORT void dure_forget(struct dure_ctx *ctx, const struct dure_mark *mark);

/* ---- messages ----------------------------------------------------------------------------- */

/* One that has come. It and all that it points to live until the next is taken from the same
 * subscription, reader or pull, or that is closed. */
struct dure_message {
    const char *subject;
    const char *reply; /* where an answer goes; "": nowhere */
    const char *body;  /* a NUL stands behind it */
    size_t len;
    int status; /* of the header's first line: 0: none; 503: nobody was there to answer */
    const struct dure_headers *headers;
    /* From a stream, else zero: */
    const char *stream;
    const char *consumer;       /* of a pull or reader */
    uint64_t sequence;          /* in the stream, from 1 */
    uint64_t consumer_sequence; /* how many the consumer has delivered with this one */
    uint64_t deliveries;        /* of this message to this consumer, from 1 */
    uint64_t pending;           /* how many the consumer still has to deliver behind it */
    uint64_t time_ns;           /* when it was stored; since 1970-01-01 UTC */
};

/* A field's first value (any case), or NULL. */
DURE_EXPORT const char *dure_headers_find(const struct dure_headers *headers, const char *name);

/* The field at `index`; false behind the last. */
DURE_EXPORT bool dure_headers_at(const struct dure_headers *headers, size_t index,
                                 const char **ret_name, const char **ret_value);

/* One to be sent. Only the subject is needed. */
struct dure_publication {
    const char *subject;
    const char *reply;
    const char *const *headers; /* "Name", "value", ..., NULL */
    const void *body;
    size_t len;
    const char *id; /* of a durable one: stored once under this id within the stream's window; NULL:
                     * a new one is made up */
};

/* [waits] Publishes to whoever listens now, at most once, with everything that a message can have.
 * Unlike dure_publish() it waits while DURE_MAX_BUS_BUFFER / 2 bytes are on their way. INVALID,
 * TOOBIG, UNREACHABLE, and the handler's deadline. */
DURE_EXPORT int dure_send(struct dure_ctx *ctx, const struct dure_publication *publication);

/* [waits] dure_ask() with headers. `publication->reply` is not used. */
DURE_EXPORT int dure_ask_message(struct dure_ctx *ctx, const struct dure_publication *publication,
                                 int64_t timeout_ms, struct dure_answer *ret_answer);

/* ---- durable ------------------------------------------------------------------------------ */

/* What became of a durable publication. */
struct dure_stored {
    int err; /* 0: it is on disk */
    const char *stream;
    uint64_t sequence;
    bool duplicate;     /* its id was there already; `sequence` is of the first */
    const char *reason; /* of an error: the server's words; never NULL */
    int code;           /* and its number (err_code); 0: none */
};

/* [waits] dure_tell() with headers and result (may be NULL). As there it is sent again until it is
 * acknowledged. NOSTREAM, CONFLICT (an expectation in the headers does not hold), TOOBIG, REMOTE.
 */
DURE_EXPORT int dure_tell_message(struct dure_ctx *ctx, const struct dure_publication *publication,
                                  int64_t timeout_ms, struct dure_stored *ret_stored);

/* [waits] Many at once: all are sent, in order, then all acknowledgements are waited for. 0 when
 * all are stored, else the first error in the array; results[i] (may be NULL) says what became of
 * each. */
DURE_EXPORT int dure_tell_all(struct dure_ctx *ctx, const struct dure_publication *publications,
                              size_t count, int64_t timeout_ms, struct dure_stored *results);

/* Many without an end, in bounded memory: at most `window` are under way. */
struct dure_publisher;
struct dure_publisher_options {
    size_t window;      /* messages without acknowledgement; 0: 256 */
    int64_t timeout_ms; /* of each; 0: DURE_DEFAULT_TIMEOUT_MS */
    bool no_id; /* no Nats-Msg-Id for those that have none: then they are not sent again after a
                 * lost connection, but fail with DURE_EUNREACHABLE (they may be stored or not) */
    /* Called once for each, in the order of the acknowledgements. Must not wait. May be NULL. */
    void (*stored)(void *argument, uint64_t tag, const struct dure_stored *stored);
    void *argument;
};
DURE_EXPORT int dure_publisher_open(struct dure_ctx *ctx,
                                    const struct dure_publisher_options *options,
                                    struct dure_publisher **ret_publisher);

/* [waits] While the window is full. Copies what it is given. `tag` is handed to `stored`. INVALID,
 * TOOBIG, NOMEM, CLOSED and so on; what happens to the message later is told to `stored`. */
DURE_EXPORT int dure_publisher_put(struct dure_publisher *publisher,
                                   const struct dure_publication *publication, uint64_t tag);

/* [waits] Until nothing is under way. The first error since the last flush, or 0. */
DURE_EXPORT int dure_publisher_flush(struct dure_publisher *publisher);

/* What is under way is given up and `stored` not called any more: flush first. NULL is allowed. */
DURE_EXPORT void dure_publisher_close(struct dure_publisher *publisher);

/* ---- subscriptions ------------------------------------------------------------------------ */

struct dure_subscription;

/* Messages to `subject` (wildcards) from now on; `group` NULL: all of them. INVALID, FULL. */
DURE_EXPORT int dure_subscribe(struct dure_ctx *ctx, const char *subject, const char *group,
                               struct dure_subscription **ret_subscription);

/* [waits] The next one. TIMEOUT: none came in timeout_ms (0: as long as the handler has). */
DURE_EXPORT int dure_next(struct dure_subscription *subscription, int64_t timeout_ms,
                          struct dure_message *ret_message);

/* How many were dropped because they were not taken in time. */
DURE_EXPORT uint64_t dure_dropped(const struct dure_subscription *subscription);

/* No more are taken, those that have come are still given; then dure_next() says CLOSED. [waits]
 * until the server knows. */
DURE_EXPORT int dure_drain(struct dure_subscription *subscription, int64_t timeout_ms);
DURE_EXPORT void dure_unsubscribe(struct dure_subscription *subscription);

/* A new subject that nobody else knows, for answers: "_INBOX.…". NULL: no memory. */
DURE_EXPORT const char *dure_new_inbox(struct dure_ctx *ctx);

/* ---- streams ------------------------------------------------------------------------------ */

/* [waits] One request to JetStream: `what` is behind "$JS.API.", such as "STREAM.INFO.ORDERS";
 * `request` its JSON or NULL. *ret_json (may be NULL) is the whole answer. Errors of the server:
 * NOTFOUND (404), EXISTS (a stream or consumer of this name with another configuration), CONFLICT
 * (wrong last sequence), DENIED, INVALID (400), FULL, REMOTE; dure_reason() has its words.
 * NOSTREAM: the server keeps no streams. */
DURE_EXPORT int dure_api(struct dure_ctx *ctx, const char *what, const struct dure_json *request,
                         int64_t timeout_ms, struct dure_json **ret_json);

/* [waits] One stored message: by its sequence, or (0) the last of `subject`. It lives as long as
 * ctx. NOTFOUND; as dure_api(). */
DURE_EXPORT int dure_stream_get(struct dure_ctx *ctx, const char *stream, uint64_t sequence,
                                const char *subject, struct dure_message *ret_message);

/* [waits] The first one at or behind `sequence` whose subject matches `pattern`. */
DURE_EXPORT int dure_stream_next(struct dure_ctx *ctx, const char *stream, uint64_t sequence,
                                 const char *pattern, struct dure_message *ret_message);

/* Where a reader begins. */
enum dure_from {
    DURE_FROM_FIRST,
    DURE_FROM_LAST,             /* the last message */
    DURE_FROM_LAST_PER_SUBJECT, /* the last of each subject */
    DURE_FROM_NEW,              /* what is stored from now on */
    DURE_FROM_SEQUENCE,
    DURE_FROM_TIME
};

/* Reads a stream in order, each message once, without leaving a trace in it. It begins again by
 * itself behind the last one given when the server forgot it. */
struct dure_reader;
struct dure_reader_options {
    const char *stream;
    const char *filter; /* a pattern; NULL: everything */
    enum dure_from from;
    uint64_t sequence; /* FROM_SEQUENCE */
    uint64_t time_ns;  /* FROM_TIME; since 1970-01-01 UTC */
    bool headers_only; /* bodies stay there; Nats-Msg-Size says how long each is */
    size_t ahead;      /* messages asked for before they are taken; 0: 256 */
};

/* [waits] NOTFOUND (stream); as dure_api(). */
DURE_EXPORT int dure_reader_open(struct dure_ctx *ctx, const struct dure_reader_options *options,
                                 struct dure_reader **ret_reader);

/* [waits] The next one. TIMEOUT; NOTFOUND: the stream is gone. */
DURE_EXPORT int dure_reader_next(struct dure_reader *reader, int64_t timeout_ms,
                                 struct dure_message *ret_message);

/* How many were there when the reader began, and how many of all it knows of are still to come. */
DURE_EXPORT uint64_t dure_reader_initial(const struct dure_reader *reader);
DURE_EXPORT uint64_t dure_reader_pending(const struct dure_reader *reader);
DURE_EXPORT void dure_reader_close(struct dure_reader *reader);

/* ---- queues: a stream's durable consumer -------------------------------------------------- */

/* A queue by hand: takes messages, each to be settled with one of the functions below. */
struct dure_pull;
struct dure_pull_options {
    const char *stream, *consumer;
    size_t
        ahead; /* messages asked for before they are taken; 0: none, only while one is waited for */
};

/* [waits] NOTFOUND: no such consumer; INVALID: a push consumer; as dure_api(). */
DURE_EXPORT int dure_pull_open(struct dure_ctx *ctx, const struct dure_pull_options *options,
                               struct dure_pull **ret_pull);

/* [waits] The next one. TIMEOUT; NOTFOUND: the consumer or its stream is gone. */
DURE_EXPORT int dure_pull_next(struct dure_pull *pull, int64_t timeout_ms,
                               struct dure_message *ret_message);

/* Those that were asked for and not taken are handed back. */
DURE_EXPORT void dure_pull_close(struct dure_pull *pull);

/* Settle a message of a pull: done; again after delay_ms (0: at once); not yet, the time begins
 * anew; never again: it goes to the dead letters with this reason (NULL: none). At most once; a
 * message that is not settled comes again. UNREACHABLE, FULL. */
DURE_EXPORT int dure_ack(struct dure_ctx *ctx, const struct dure_message *message);
DURE_EXPORT int dure_nak(struct dure_ctx *ctx, const struct dure_message *message,
                         int64_t delay_ms);
DURE_EXPORT int dure_working(struct dure_ctx *ctx, const struct dure_message *message);
DURE_EXPORT int dure_term(struct dure_ctx *ctx, const struct dure_message *message,
                          const char *reason);

/* [waits] dure_ack() until the server has confirmed it: the message does not come again. */
DURE_EXPORT int dure_ack_confirmed(struct dure_ctx *ctx, const struct dure_message *message,
                                   int64_t timeout_ms);

/* A queue by handlers. The consumer is made when it is not there; one that is there stays as it is.
 * While a handler runs its message is kept (+WPI); when it returns 0 the message is done, when it
 * returns an error it comes again after a pause that doubles from retry_ms to retry_max_ms, here or
 * at another instance, until max_deliver; then it goes to the dead letters. Stopping takes nothing
 * new, hands back what has not begun, and lets handlers finish. */
struct dure_worker {
    const char *stream, *consumer;
    const char *filter; /* a pattern; NULL: everything in the stream */
    dure_handler *handler;
    size_t concurrency;  /* handlers at once; 0: 16 */
    int64_t timeout_ms;  /* of a handler; 0: DURE_TIMEOUT_MS */
    int64_t ack_wait_ms; /* how long a dead worker's message is kept from others; 0: 30,000 */
    int max_deliver;     /* 0: 5; -1: without end */
    int64_t retry_ms, retry_max_ms; /* 0: 1,000 and 60,000 */
};

/* Begins when the module is up. INVALID, FULL, NOMEM; CLOSED outside init. */
DURE_EXPORT int dure_work(struct dure_ctx *ctx, const struct dure_worker *worker);

/* The message that this handler works on, when it came from a stream; else NULL. */
DURE_EXPORT const struct dure_message *dure_delivery(struct dure_ctx *ctx);

/* Says what is to become of it when the handler returns an error: never again (dead letters), or
 * again after this pause. Both return DURE_EREMOTE, for the handler to return. */
DURE_EXPORT int dure_give_up(struct dure_ctx *ctx, const char *reason);
DURE_EXPORT int dure_again(struct dure_ctx *ctx, int64_t delay_ms);

#ifdef __cplusplus
}
#endif

#endif
