/* epoll: the engine for a real machine. Private to src/io.
 *
 * A turn: wait once; note what the kernel said; run timers, connections, receives, jobs, signals,
 * processes; then completions, tasks and closes until quiet; then the deferred tasks, whose
 * completions run too before the loop waits again. So a request and its answer cost one wait, one
 * receive and one send.
 *
 * Why no event ever reaches a dead owner: while the events of a wait are noted, no owner's code
 * runs, they only set flags and put links into lists; and when an owner's code closes something,
 * its descriptor leaves the epoll set and its links leave the lists at once. */
#ifndef DURE_IO_EPOLL_H
#define DURE_IO_EPOLL_H

#include <sys/epoll.h>
#include <sys/socket.h>

#include "io/ops.h"

struct epoll_shared;
struct io_pool;

enum { EPOLL_EVENTS_MAX = 256, EPOLL_RANDOM_SIZE = 4096 };

/* What an event is about, in the low bits of the pointer to its owner; of the loop itself for jobs
 * and signals. */
enum epoll_kind {
    EPOLL_STREAM,
    EPOLL_LISTENER,
    EPOLL_PROCESS,
    EPOLL_JOBS,
    EPOLL_SIGNALS,
    EPOLL_KIND_MASK = 7
};

struct epoll {
    struct io base;
    int fd;
    char *scratch; /* IO_RECV_ROOM bytes, then scratch_size */
    size_t scratch_size;

    /* What will run in this turn or the next. */
    struct list recvs;     /* streams: a receive is in flight and may succeed */
    struct list sends;     /* streams: a send or connect has ended or may go on */
    struct list closing;   /* streams: in-flight operations, then `closed`, are to be called */
    struct list listeners; /* may have connections */
    struct list processes; /* have exited */
    bool jobs_done, signals_pending;

    struct epoll_shared *shared; /* NULL: not yet used */
    bool no_shared;              /* there can be none */

    struct io_pool *pool;
    int jobs_fd; /* eventfd: the pool has finished jobs */

    struct io_listener *accepting; /* whose `accepted` runs now */
    int accepted_fd;               /* the connection offered to it; -1: taken */
    struct list starved;           /* listeners that wait for descriptors or memory */
    struct io_timer starved_timer;

    struct io_process *exiting; /* our child whose `exited` runs now: not yet waited for */

    int signal_fd; /* -1: nothing is watched */
    struct list signals;
    struct list *signal_next; /* the watch whose turn comes while signals are delivered */

    size_t random_left;
    char random[EPOLL_RANDOM_SIZE];
    struct epoll_event events[EPOLL_EVENTS_MAX];
};

static inline struct epoll *epoll_of(struct io *io)
{
    return CONTAINER_OF(io, struct epoll, base);
}

/* ---- epoll.c ----------------------------------------------------------------------------- */

int epoll_add(struct epoll *epoll, int fd, uint32_t events, void *owner, enum epoll_kind kind);

/* Takes fd out of the set and closes it. Closing alone is not enough: the set keeps an open file
 * for as long as any process, such as a child between fork and exec, holds it. */
void epoll_close(struct epoll *epoll, int fd);

/* ---- fd.c -------------------------------------------------------------------------------- */

void epoll_usage(struct io_usage *ret_usage);

/* ---- shared.c ---------------------------------------------------------------------------- */

const char *epoll_shared_new(struct io *io, const void *data, size_t len);
void epoll_shared_free(struct io *io, const char *data, size_t len);
void epoll_shared_release(struct epoll *epoll);

bool epoll_is_shared(const struct epoll *epoll, const void *data);

/* Sends some of a shared block, as send(2). */
ssize_t epoll_send_shared(const struct epoll *epoll, int fd, const char *data, size_t len);

/* ---- stream.c ---------------------------------------------------------------------------- */

void epoll_connect(struct io_stream *stream, const struct io_addr *addr);
int epoll_stream_adopt(struct io_stream *stream, int fd);
void epoll_recv(struct io_stream *stream);
void epoll_recv_cancel(struct io_stream *stream);
void epoll_send(struct io_stream *stream);
void epoll_shutdown(struct io_stream *stream);
void epoll_stream_close(struct io_stream *stream);
int epoll_stream_peer(const struct io_stream *stream, struct io_addr *ret_addr);

/* Makes `stream` the connected socket `fd`, which is non-blocking. */
void epoll_stream_open(struct io_stream *stream, int fd);

void epoll_stream_note(struct epoll *epoll, struct io_stream *stream, uint32_t events);
int epoll_run_recvs(struct epoll *epoll);
int epoll_run_sends(struct epoll *epoll);
int epoll_run_closing(struct epoll *epoll);

/* ---- listener.c -------------------------------------------------------------------------- */

int epoll_listen(struct io_listener *listener, const struct io_listen_options *options);
int epoll_listener_adopt(struct io_listener *listener, int fd);
int epoll_listener_fd(const struct io_listener *listener);
void epoll_accept(struct io_listener *listener, struct io_stream *stream);
void epoll_listener_pause(struct io_listener *listener, bool pause);
void epoll_listener_close(struct io_listener *listener);

void epoll_listener_note(struct epoll *epoll, struct io_listener *listener);
int epoll_run_listeners(struct epoll *epoll);
void epoll_starved_done(struct io_timer *timer);

/* ---- socket.c: addresses and options ----------------------------------------------------- */

socklen_t epoll_addr_to_sockaddr(const struct io_addr *addr, struct sockaddr_storage *ret);
int epoll_addr_from_sockaddr(const struct sockaddr_storage *from, socklen_t len,
                             struct io_addr *ret_addr);
bool epoll_addr_is_loopback(const struct io_addr *addr);

/* What every TCP socket gets; a listening one hands it on to its connections. */
void epoll_tune_tcp(int fd, const struct io_addr *peer);

/* Non-blocking, and not inherited by programs that are executed. */
int epoll_set_nonblocking(int fd);

/* ---- pool.c ------------------------------------------------------------------------------ */

/* Threads that run jobs. Writes to the eventfd `done_fd` when the first of a batch is finished. */
int io_pool_new(int threads, int done_fd, struct io_pool **ret_pool);

/* Nothing may be in flight (asserted). NULL is allowed. */
void io_pool_free(struct io_pool *pool);
void io_pool_submit(struct io_pool *pool, struct io_job *job);

/* Runs `done` of the jobs that are finished; returns how many. */
int io_pool_run_done(struct io_pool *pool);

void epoll_job_submit(struct io *io, struct io_job *job);

/* ---- file.c ------------------------------------------------------------------------------ */

int epoll_file_open(struct io_file *file, const char *path, int flags);
void epoll_file_close(struct io_file *file);
int64_t epoll_file_size(struct io_file *file);
int64_t epoll_file_read(struct io_file *file, void *buf, size_t size, uint64_t offset);
int epoll_file_write(struct io_file *file, const struct iovec *iov, int count, uint64_t offset);
int epoll_file_sync(struct io_file *file);
int epoll_file_write_durable(struct io_file *file, const void *data, size_t len, uint64_t offset);
int epoll_file_truncate(struct io_file *file, uint64_t size);
int epoll_file_allocate(struct io_file *file, uint64_t size);
int epoll_rename(struct io *io, const char *from, const char *to);
int epoll_unlink(struct io *io, const char *path);
int epoll_mkdir(struct io *io, const char *path);
int epoll_rmdir(struct io *io, const char *path);
int epoll_sync_dir(struct io *io, const char *path);
int epoll_lock_dir(struct io_file *lock, const char *path);
int epoll_list_dir(struct io *io, const char *path, int (*each)(void *context, const char *name),
                   void *context);
int epoll_stat(struct io *io, const char *path, uint64_t *ret_size, uint64_t *ret_mtime_ns,
               bool *ret_is_dir);
int epoll_disk_free(struct io *io, const char *path, uint64_t *ret_bytes);

/* ---- process.c, spawn.c ------------------------------------------------------------------ */

int epoll_spawn(struct io_process *process, const struct io_spawn_options *options,
                struct error *error);
int epoll_process_watch(struct io_process *process, int pid);
int epoll_kill(struct io_process *process, int signal);
void epoll_process_release(struct io_process *process);
int epoll_run_processes(struct epoll *epoll);

/* Forks and executes; the child runs when this returns 0. `out` and `err` are the descriptors that
 * become 1 and 2 (-1: inherited). */
int epoll_fork(const struct io_spawn_options *options, int out, int err, int *ret_pid,
               struct error *error);

/* ---- signal.c ---------------------------------------------------------------------------- */

int epoll_signal_watch(struct io *io, struct io_signal *watch);
void epoll_signal_release(struct io *io, struct io_signal *watch);
int epoll_run_signals(struct epoll *epoll);

#endif
