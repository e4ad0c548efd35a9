/* session: one client's connection. Bytes are read into the loop's scratch buffer and decoded where
 * they are; only an operation that is not yet whole is kept (`partial`). So a session that waits
 * holds this struct and nothing else.
 *
 *                session_begin       session_end            all is sent            EOF or time
 *     OPENING ----------> OPEN -----------> DRAINING ---------------> LINGERING --------> CLOSING
 *        '------------------'-- EOF with nothing to send, or an error of the stream --------'
 *
 * OPENING is what bus/opening.h does: the client hears and is heard afterwards only.
 * DRAINING sends what waits, an -ERR last. LINGERING has sent its FIN and reads until the client
 * does so too, because closing with unread bytes would make the kernel take the -ERR back.
 *
 * Owned by the server; freed when its stream has closed. */
#ifndef DURE_BUS_SESSION_H
#define DURE_BUS_SESSION_H

#include "bus/core.h"
#include "bus/responses.h"

enum session_state {
    SESSION_OPENING,
    SESSION_OPEN,
    SESSION_DRAINING,
    SESSION_LINGERING,
    SESSION_CLOSING
};

struct opening;

struct session {
    struct io_stream stream;
    struct bus_server *server;
    struct bus *bus; /* its account; NULL: it has not yet said who it is */
    struct bus_listener *listener;
    struct list link;          /* of the server's sessions */
    struct list dirty;         /* waits for the flush */
    struct list borrowing;     /* points into what is being decoded */
    struct list stalled;       /* waits to be read from again */
    struct list sending;       /* has not yet taken what was sent */
    uint64_t sending_since_ms; /* since when it has taken nothing */
    size_t sending_progress;
    struct opening *opening; /* NULL: it has begun */
    struct outbox out;
    struct buf partial;       /* the start of an operation that is not yet whole */
    size_t need;              /* bytes of it that are needed at least */
    struct map subscriptions; /* sid -> struct client_subscription */
    struct io_timer timer;    /* the next ping; the end of waiting for CONNECT, of lingering */
    uint64_t expires_ms;      /* of the loop's clock: when its token ends; 0: never */
    uint64_t id;
    size_t max_payload;
    unsigned max_subscriptions;
    enum session_state state;
    unsigned pings; /* not answered */
    bool is_local;  /* over a Unix socket */
    bool refused;   /* one connection too many: is told so */
    bool receiving; /* a receive is in flight */
    bool heard;     /* something came since the last ping */
    bool congested; /* more than half of max_pending waits */
    bool stall;     /* published to a congested session: pause reading */

    struct connecting *connecting;   /* its password is being looked at: nothing else is done */
    struct permissions *permissions; /* counted; NULL: it may do everything */
    struct responses *responses;     /* NULL: it may not answer where it may not publish */
    char nonce[16];                  /* what INFO asked it to sign */
    char *user;                      /* NULL: none */

    /* for people: bus_report.h */
    struct bus_traffic traffic;
    uint64_t sent_messages;       /* of traffic.out_messages, when something was sent last */
    uint64_t began_ns, active_ns; /* wall clock */
    uint64_t pinged_ns, rtt_ns;   /* of the loop's clock: the last PING; 0: answered */
    uint8_t peer_ip[16];          /* where it comes from; not of a Unix socket */
    uint16_t peer_port;
    bool peer_is_ipv6;
    size_t ended_subscriptions;
    const char *reason; /* why it ends; NULL: the client wanted it */
    char *about;        /* name, lang and version; NULL: it has told none */

    /* what CONNECT said */
    bool verbose, pedantic, echo, headers, no_responders;
    int protocol;
    bool connected; /* CONNECT was accepted */
    bool told;      /* and INFO has said into which account */
};

struct client_subscription {
    struct subscription subscription;
    struct list link; /* of server->finished */
    char text[];      /* sid, queue */
};

/* ---- session.c ---- */

/* Inside io_listener's `accepted`: makes the new connection a session. */
void session_accept(struct bus_listener *listener);

/* The connection is ready for the protocol: says INFO (unless that was said before), takes the
 * client's first bytes, and listens. */
void session_begin(struct session *session, bool say_info, struct bytes first);

/* Whether TLS may be, or is, on this connection. */
bool session_may_encrypt(const struct session *session);

/* Makes it a client of that account, or of none; its subscriptions in another are gone. */
void session_bind(struct session *session, struct bus *bus);

/* Begins to close it at once; it goes when its stream has closed. */
void session_close(struct session *session);

/* Frees it without I/O. */
void session_free(struct session *session);

/* Says -ERR 'text' (NULL: nothing), and goes when that is sent. */
void session_end(struct session *session, const char *text);

/* Puts bytes into the outbox. */
void session_say(struct session *session, struct bytes text);
void session_say_err(struct session *session, const char *text);
void session_say_info(struct session *session);

/* Appends the INFO of this session. */
void session_put_info(struct session *session, struct buf *out);

/* The client has answered a PING. */
void session_ponged(struct session *session);

/* Sets the timer that pings, and ends those whose time is over. */
void session_set_timer(struct session *session);

/* Everything has been sent: says so, and waits until the client has read it. */
void session_linger(struct session *session);

/* ---- session_receive.c ---- */

/* Listens for the next bytes; once, and not while it listens already. */
void session_receive(struct session *session);

/* Takes bytes of the client's, and listens for more unless it is to wait. */
void session_take(struct session *session, struct bytes bytes);

/* Goes on with what came behind the CONNECT whose password was looked at. */
void session_continue(struct session *session);

/* ---- session_send.c ---- */

/* It has something to send at the end of the turn. */
void session_mark_dirty(struct session *session);

/* What was lent while it was decoded goes: sends from it, and copies what could not be sent. */
void sessions_settle(struct bus_server *server);

/* Tasks of the server: sends what a turn has gathered; reads again from those that were stalled. */
void sessions_flush(struct io_task *task);
void sessions_resume(struct io_timer *timer);

/* Cuts those that have not taken what was sent to them for too long. */
void sessions_write_deadline(struct io_timer *timer);

/* ---- connect.c ---- */

/* A new connection: binds it, or makes the nonce that it is to sign. ERR_NOMEM. */
int session_greet(struct session *session);

/* Does what CONNECT says; may take until session_continue(). */
void session_connect(struct session *session, struct bytes json);

/* The session is not bound and says something else than CONNECT: whether it may, as nobody. */
bool session_enter_unasked(struct session *session);

/* Ends it for having the wrong credentials. */
void session_refuse(struct session *session, const char *user);

void session_forget_permissions(struct session *session);

/* Forgets a CONNECT that is being looked at. */
void session_connect_cancel(struct session *session);

/* ---- commands.c ---- */

/* Does what one operation of the client asks for. */
void session_command(struct session *session, const struct nats_frame *frame);

/* Whether messages like this one, of its client, may be published as a run. */
bool session_takes_runs(const struct session *session, const struct nats_frame *frame);

/* Publishes `count` messages that follow each other every `size` bytes; `frame` is the first. */
void session_publish_run(struct session *session, const struct nats_frame *frame, size_t size,
                         size_t count);

/* Removes the subscriptions that have had their last message. */
void sessions_reap(struct bus_server *server);

/* Removes all subscriptions of a session. */
void session_forget_subscriptions(struct session *session);

#endif
