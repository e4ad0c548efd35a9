/* sim_end: one end of a simulated connection, as the kernel of its host sees it. The program's
 * io_stream comes and goes; the end stays until both ends have nothing more to say.
 *
 *   CONNECTING -> OPEN ------------> CLOSED     by the program, or because its process was killed;
 *   QUEUED (in a listener) -> OPEN              the kernel still sends what it has accepted
 *   any -> SILENT                               the host lost its power
 *
 * `error` is apart from the state: an end that was reset or has timed out is open until the program
 * closes it. */
#ifndef DURE_IO_SIM_END_H
#define DURE_IO_SIM_END_H

#include "base/buf.h"
#include "io/sim_world.h"

enum sim_end_state { END_NONE, END_CONNECTING, END_QUEUED, END_OPEN, END_CLOSED, END_SILENT };

/* Something of the connection is on its way and may be held up by a cut. */
struct sim_transit {
    struct sim_event event;
    bool held;
    uint64_t held_since_ns;
};

struct sim_connection;

struct sim_end {
    struct sim_connection *connection;
    struct sim_end *peer;
    struct sim_host *host;
    struct sim_io *io;        /* NULL: no program has to do with it any more */
    struct io_stream *stream; /* NULL likewise, or not accepted yet */
    enum sim_end_state state;
    int error; /* what broke it; 0: whole */
    struct io_addr peer_addr;

    /* what has come in */
    struct buf arrived; /* and was not read yet */
    bool arrived_fin;

    /* what goes out */
    struct buf sent;                        /* accepted from the program, not arrived yet */
    struct sim_transit data;                /* the next segment */
    struct sim_transit ack;                 /* word of what the other program has read */
    uint64_t window, accepted, read, acked; /* bytes; accepted - acked <= window */
    bool unanswered;                        /* bytes have arrived, but word of that was cut off */
    bool fin, fin_arrived;

    struct sim_event reset; /* an RST is coming */

    /* while connecting */
    struct sim_event syn;
    struct io_addr target;
    uint64_t began_ns, retry_ns;
    int answer;
    bool answered;
    struct list backlog; /* in its listener, while queued */

    struct sim_ready recv_ready, send_ready, close_ready;
};

struct sim_connection {
    struct list link;
    struct sim *sim;
    uint64_t number;
    struct sim_end ends[2]; /* [0] has connected, [1] was accepted */
};

/* A connection of which nothing exists yet but the end that is going to connect. */
struct sim_connection *sim_connection_new(struct sim *sim);

/* The end comes to life on a host, with a window for each direction. */
void sim_end_begin(struct sim_end *end, struct sim_io *io, enum sim_end_state state);

/* Frees the connection when neither end has anything more to say. */
void sim_connection_settle(struct sim_connection *connection);
void sim_connection_free(struct sim_connection *connection);

/* What the kernel does when the program has closed, or is gone. */
void sim_end_hang_up(struct sim_end *end);

/* Reset or timed out: what was under way from here is lost, the program hears `error`. */
void sim_end_break(struct sim_end *end, int error);

/* The power has failed here. */
void sim_end_silence(struct sim_end *end);

/* Sends an RST to this end. */
void sim_end_send_reset(struct sim_end *end);

/* What a cut held up goes on. */
void sim_end_resume(struct sim_end *end);

/* A cut or a crash has just happened somewhere: one who waits for room is to notice in time. */
void sim_end_probe(struct sim_end *end);

/* Whether anything sent there arrives now. */
bool sim_reachable(const struct sim_host *from, const struct sim_host *to);

/* How long the next thing sent there takes. */
uint64_t sim_latency_ns(const struct sim_host *from, const struct sim_host *to);

#endif
