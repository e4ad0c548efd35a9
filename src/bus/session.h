/* session: one client's connection. Bytes are read into the loop's scratch buffer and decoded where
 * they are; only an operation that is not yet whole is kept (`partial`). So a session that waits
 * holds this struct and nothing else.
 *
 *            SUB PUB ...          session_end              all is sent            EOF or time
 *     OPEN ---------------> OPEN -----------> DRAINING ---------------> LINGERING --------> CLOSING
 *      '------------- EOF with nothing to send, or an error of the stream -------------------'
 *
 * DRAINING sends what waits, an -ERR last. LINGERING has sent its FIN and reads until the client
 * does so too, because closing with unread bytes would make the kernel take the -ERR back.
 *
 * Owned by the server; freed when its stream has closed. */
#ifndef DURE_BUS_SESSION_H
#define DURE_BUS_SESSION_H

#include "bus/core.h"
#include "wire/nats.h"

enum session_state { SESSION_OPEN, SESSION_DRAINING, SESSION_LINGERING, SESSION_CLOSING };

struct session {
    struct io_stream stream;
    struct bus_server *server;
    struct bus *bus;     /* its account */
    struct list link;    /* of the server's sessions */
    struct list dirty;   /* waits for the flush */
    struct list stalled; /* waits to be read from again */
    struct outbox out;
    struct buf partial;       /* the start of an operation that is not yet whole */
    size_t need;              /* bytes of it that are needed at least */
    struct map subscriptions; /* sid -> struct client_subscription */
    struct io_timer timer;    /* the next ping; the end of lingering */
    uint64_t id;
    enum session_state state;
    unsigned pings; /* not answered */
    bool receiving; /* a receive is in flight */
    bool heard;     /* something came since the last ping */
    bool congested; /* more than half of max_pending waits */
    bool stall;     /* published to a congested session: pause reading */

    /* what CONNECT said */
    bool verbose, pedantic, echo, headers, no_responders;
    int protocol;
};

struct client_subscription {
    struct subscription subscription;
    struct list link; /* of server->finished */
    char text[];      /* sid, queue */
};

/* ---- session.c ---- */

/* Inside io_listener's `accepted`: makes the new connection a session. */
void session_accept(struct bus_listener *listener);

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

/* Tasks of the server: sends what a turn has gathered; reads again from those that were stalled. */
void sessions_flush(struct io_task *task);
void sessions_resume(struct io_timer *timer);

/* ---- commands.c ---- */

/* Does what one operation of the client asks for. */
void session_command(struct session *session, const struct nats_frame *frame);

/* Removes the subscriptions that have had their last message. */
void sessions_reap(struct bus_server *server);

/* Removes all subscriptions of a session. */
void session_forget_subscriptions(struct session *session);

#endif
