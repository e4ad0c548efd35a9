/* io: the only door to the kernel. One loop per thread; sockets, timers, files, child processes,
 * signals, the clock and randomness. What is behind the door is chosen where the loop is made:
 * io_new() (io/epoll.c: the machine) or sim_host_io() (io/sim.h: a simulated host, deterministic
 * from a seed). Nothing above can tell the two apart.
 *
 * How operations work
 *   - An operation's state lives in its owner (a stream, a timer, a job embedded in a bigger
 *     struct), so submitting never allocates and cannot fail for lack of memory.
 *   - Its completion runs from the loop, never inside the call that submitted it, so a caller's
 *     state is always settled before anything comes back.
 *   - Try-first: a send is tried at once, a receive when its turn comes; the kernel is asked to
 *     watch only when it said "not now". Watching is edge-triggered and set up once per stream.
 *   - Close is final and asynchronous: whatever is in flight completes with ERR_CLOSED first, then
 *     `closed` runs, and only then may the owner free the memory. ERR_CLOSED comes from nothing
 *     else, so it is never an occasion to close.
 *
 * Every struct here is owned by the caller and must not move while it is in use. Fields marked
 * private belong to the engine. Nothing here is thread-safe except what io_job says of itself.
 * Integers returned are 0 or a count, or a negative `enum err`. */
#ifndef DURE_IO_IO_H
#define DURE_IO_IO_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/list.h"

#include <sys/uio.h>

struct io;
struct io_filter;
struct io_listener;
struct io_stream;
struct io_timer;

/* ---- the loop ---------------------------------------------------------------------------- */

struct io_options {
    size_t scratch_size; /* bytes of the loop's shared receive buffer; 0: 256 KiB */
    int threads;         /* threads for jobs; 0: 6 */
};

/* A loop on this machine (epoll). NULL options: the defaults. From the first loop on the process
 * ignores SIGPIPE (unless it handles it): a broken pipe is ERR_RESET. */
int io_new(const struct io_options *options, struct io **ret_io);

/* Everything that used the loop must be closed. NULL is allowed. */
void io_free(struct io *io);

/* Runs until io_stop(). */
int io_run(struct io *io);

/* Makes io_run return after the turn at hand. */
void io_stop(struct io *io);

/* One turn: waits at most max_wait_ms (-1: until something happens) and runs what is due. Returns
 * how many completions ran. For tests and for command line tools. */
int io_turn(struct io *io, int max_wait_ms);

/* ---- clock and randomness ---------------------------------------------------------------- */

/* Monotonic nanoseconds, read once per turn. */
uint64_t io_now_ns(const struct io *io);

/* Nanoseconds since 1970-01-01 UTC, read once per turn. */
uint64_t io_wall_ns(const struct io *io);

/* Fills with unpredictable bytes (simulated: from the seed). */
void io_random(struct io *io, void *ret_bytes, size_t len);
uint64_t io_random_u64(struct io *io);

/* ---- this process ------------------------------------------------------------------------ */

struct io_usage {
    uint64_t cpu_ns; /* user and system time, all threads, since it began */
    uint64_t resident_bytes;
    unsigned cores; /* of the machine */
};

/* Simulated: nothing is used. */
void io_usage(struct io *io, struct io_usage *ret_usage);

/* ---- timers and tasks -------------------------------------------------------------------- */

/* One shot. A timing wheel: setting and cancelling cost the same for one as for a million. */
struct io_timer {
    void (*done)(struct io_timer *timer);
    struct list link;     /* private */
    uint64_t deadline_ms; /* private */
    bool armed;
};

void io_timer_init(struct io_timer *timer, void (*done)(struct io_timer *timer));

/* Fires once, no earlier than after delay_ms. A timer that is armed is moved. */
void io_timer_set(struct io *io, struct io_timer *timer, uint64_t delay_ms);

/* After this `done` will not run. Harmless when it is not armed. */
void io_timer_cancel(struct io *io, struct io_timer *timer);

/* A call that is made later. */
struct io_task {
    void (*run)(struct io_task *task);
    struct list link; /* private */
};

void io_task_init(struct io_task *task, void (*run)(struct io_task *task));

/* Runs the task from the loop, behind what is due already. Posting a posted task does nothing. */
void io_post(struct io *io, struct io_task *task);

/* Runs the task at the end of this turn, when everything that was due has run and before the loop
 * waits: the place to write out what a turn has gathered. */
void io_defer(struct io *io, struct io_task *task);

void io_task_cancel(struct io *io, struct io_task *task);

/* ---- addresses --------------------------------------------------------------------------- */

enum io_family { IO_IPV4, IO_IPV6, IO_UNIX };

struct io_addr {
    enum io_family family;
    uint16_t port;
    uint8_t ip[16]; /* network order; the first 4 for IPv4 */
    char path[108]; /* IO_UNIX: ended by NUL */
};

/* "127.0.0.1:80", "[::1]:80", "localhost:80" (127.0.0.1), ":80" (all IPv4 addresses),
 * "unix:/path". ERR_SYNTAX, ERR_TOO_BIG. No name service is asked. */
int io_addr_parse(struct bytes text, struct io_addr *ret_addr);

/* The same notation; returns the length. `text` should hold IO_ADDR_TEXT bytes. */
enum { IO_ADDR_TEXT = 128 };
size_t io_addr_format(const struct io_addr *addr, char *text, size_t size);

/* ---- streams ----------------------------------------------------------------------------- */

typedef void io_stream_done(struct io_stream *stream, int result);

/* A connected byte stream: TCP, Unix socket, or the end of a pipe. At most one receive and one
 * send are in flight at a time (asserted). TCP streams have Nagle's algorithm off. */
struct io_stream {
    struct io *io;

    /* private from here on */
    int fd;
    uint32_t flags;
    void *sim;
    io_stream_done *connect_done, *recv_done, *send_done;
    void (*closed)(struct io_stream *stream);
    char *recv_buf;
    size_t recv_size;
    const struct iovec *send_iov;
    int send_count, send_index;
    size_t send_offset, send_total;
    int recv_result, send_result;
    struct list recv_link, send_link, close_link;
    char *recv_data;
    struct io_filter *filter; /* what changes the bytes on the way (io/filter.h); NULL: nothing */
};

/* Connects; done(stream, 0 or error). On an error the stream still wants io_close. */
void io_connect(struct io *io, struct io_stream *stream, const struct io_addr *addr,
                io_stream_done *done);

/* Takes over a file descriptor (socket or pipe end); it becomes non-blocking. */
int io_stream_adopt(struct io *io, struct io_stream *stream, int fd);

/* Receives what there is: done(stream, n > 0), 0 at the end of the stream, or an error. With
 * buf NULL the bytes come in the loop's scratch buffer: io_recv_data() inside `done`, and they are
 * gone when `done` returns. So a stream that waits holds no memory. `size` is then a limit, 0 for
 * as much as the scratch buffer holds. A stream gets one receive per turn of the loop. */
void io_recv(struct io_stream *stream, char *buf, size_t size, io_stream_done *done);

/* Where the bytes of the receive that is completing are. Those of the scratch buffer have
 * IO_RECV_ROOM bytes in front of them that `done` may write to: who has kept the beginning of
 * something puts it there, and has it in one piece with the rest. */
enum { IO_RECV_ROOM = 64 << 10 };
static inline char *io_recv_data(const struct io_stream *stream)
{
    return stream->recv_data;
}

/* Takes back a receive that is in flight: its `done` will not run. For handing a waiting stream on.
 */
void io_recv_cancel(struct io_stream *stream);

/* Sends all of it: done(stream, number of bytes) or an error. The iovecs and what they point to
 * must stay as they are until then. At most IO_SEND_IOV of them. */
enum { IO_SEND_IOV = 128 };
void io_send(struct io_stream *stream, const struct iovec *iov, int count, io_stream_done *done);

/* After io_send, whether the engine has taken all of it already, so that the bytes may go before
 * `done` runs. If not, the caller may point an iovec's base to another copy of the same bytes at
 * any time until `done`: this is how what lies in the scratch buffer is sent without copying it
 * first. */
bool io_send_taken(const struct io_stream *stream);

/* How many bytes of the send in flight the engine has taken: whether a slow peer takes any. */
size_t io_send_progress(const struct io_stream *stream);

/* A copy of these bytes in memory that sockets send from without copying it: for what many streams
 * (eight and more, or it is slower) are to send, some 32 KiB and more. Read-only. An iovec of
 * io_send must not begin in one block and end outside. NULL: there is no room (1 MiB for a block,
 * some thousand blocks), or the engine has no such memory; other memory does the same. Freed with
 * the same `len` when no send needs it any more. */
const char *io_shared_new(struct io *io, const void *data, size_t len);
void io_shared_free(struct io *io, const char *data, size_t len);

/* Ends the sending direction (FIN), after a send that has completed. */
void io_shutdown(struct io_stream *stream);

/* Closes; see above. `closed` may be NULL only when nothing is in flight and the owner will not
 * touch the stream again before the loop has turned. Closing twice is an error (asserted). */
void io_close(struct io_stream *stream, void (*closed)(struct io_stream *stream));

/* Frees what stands in the stream (io/filter.h) without any I/O: for the stream of a simulated host
 * that has crashed, on which `closed` will not run. Harmless otherwise. */
void io_stream_forget(struct io_stream *stream);

/* The address of the other side; ERR_UNSUPPORTED for pipes and unnamed sockets. */
int io_stream_peer(const struct io_stream *stream, struct io_addr *ret_addr);

/* ---- listeners --------------------------------------------------------------------------- */

struct io_listener {
    struct io *io;
    struct io_addr addr; /* the real one: port 0 has become the port that was given */

    /* private from here on */
    int fd;
    uint32_t flags;
    void *sim;
    void (*accepted)(struct io_listener *listener);
    struct list link;
};

struct io_listen_options {
    int backlog;        /* 0: 1024 */
    unsigned unix_mode; /* permissions of a Unix socket's file; 0: 0600 */
    bool reuse_port;    /* several loops share the port */
};

/* Listens. `accepted` runs once for each connection and must take it with io_accept before it
 * returns; one that is not taken is closed. A stale Unix socket file is replaced, a live one is
 * ERR_IN_USE, a file that is no socket ERR_EXISTS. options may be NULL. When the process runs out
 * of descriptors or memory, connections wait in the kernel's queue and are tried again after
 * 100 ms. */
int io_listen(struct io *io, struct io_listener *listener, const struct io_addr *addr,
              const struct io_listen_options *options,
              void (*accepted)(struct io_listener *listener));

/* Takes over a listening socket that another process made. */
int io_listener_adopt(struct io *io, struct io_listener *listener, int fd,
                      void (*accepted)(struct io_listener *listener));

/* Its file descriptor, to be handed to a child; -1 when there is none (simulated). */
int io_listener_fd(const struct io_listener *listener);

/* Inside `accepted`: makes `stream` the new connection. */
void io_accept(struct io_listener *listener, struct io_stream *stream);

/* While paused, connections wait in the kernel's queue. */
void io_listener_pause(struct io_listener *listener, bool pause);

/* Stops at once; `accepted` will not run again. Removes a Unix socket's file only if this process
 * made it (not after adopt). */
void io_listener_close(struct io_listener *listener);

/* ---- jobs: what blocks ------------------------------------------------------------------- */

/* Work that may block (fdatasync, opening files): `run` on a thread of the pool, then `done` on
 * the loop. `run` may use the file functions below and its own data, nothing else of the loop.
 * Simulated: `run` happens in one piece at some later virtual time. */
struct io_job {
    void (*run)(struct io_job *job);
    void (*done)(struct io_job *job);
    struct list link; /* private */
    struct io *io;    /* private */
};

void io_job_submit(struct io *io, struct io_job *job);

/* ---- files: these block; call them at start-up, in jobs, or in command line tools --------- */

struct io_file {
    struct io *io;
    int fd;      /* private */
    void *sim;   /* private */
    bool direct; /* private */
};

enum io_open_flags {
    IO_READ = 1,
    IO_WRITE = 2,
    IO_CREATE = 4,
    IO_EXCLUSIVE = 8,
    IO_TRUNCATE = 16,
    IO_DIRECT = 32, /* reads and writes past the cache where the file system can: memory, length and
                     * offset of each are multiples of IO_ALIGN then (asserted) */
};

enum { IO_ALIGN = 4096 };

int io_file_open(struct io *io, struct io_file *file, const char *path, int flags);
void io_file_close(struct io_file *file);
int64_t io_file_size(struct io_file *file);

/* Reads up to size bytes at offset; less only at the end of the file. Returns how many. */
int64_t io_file_read(struct io_file *file, void *buf, size_t size, uint64_t offset);

/* Writes all of it at offset, or fails; after a failure any part may have been written. */
int io_file_write(struct io_file *file, const struct iovec *iov, int count, uint64_t offset);

/* When this returns 0, all that was written is on the disk (fdatasync). After an error nothing can
 * be said of any write since the last success. */
int io_file_sync(struct io_file *file);

/* One write that is on the disk when this returns 0 (and nothing else: what was written before
 * still wants its sync). One trip to the disk where the space was allocated and written before.
 * After a failure any part may have been written, durably or not. */
int io_file_write_durable(struct io_file *file, const void *data, size_t len, uint64_t offset);
int io_file_truncate(struct io_file *file, uint64_t size);

/* Makes the file at least `size` long with its blocks allocated and zero. */
int io_file_allocate(struct io_file *file, uint64_t size);

int io_rename(struct io *io, const char *from, const char *to);

/* Removes the name. A large file whose last name it was gives its room back piece by piece, so that
 * other writers do not wait for it: who has it open may find it cut short. */
int io_unlink(struct io *io, const char *path);

/* 0 also when it exists already; mode 0700. */
int io_mkdir(struct io *io, const char *path);

/* Removes an empty directory. ERR_NOT_FOUND; anything else when it is not empty. */
int io_rmdir(struct io *io, const char *path);

/* Makes names that were created, renamed or removed in the directory durable (fsync). */
int io_sync_dir(struct io *io, const char *path);

/* Opens the directory so that no other process can, until `ret_lock` is closed or this process
 * ends: ERR_IN_USE. (Simulated: a host has one process; nothing is ever in use.) */
int io_lock_dir(struct io *io, const char *path, struct io_file *ret_lock);

/* Calls `each` for every name in the directory, in order of the bytes, without "." and "..";
 * `each` returns 0 to go on, or an error that ends the walk and is returned. */
int io_list_dir(struct io *io, const char *path, int (*each)(void *context, const char *name),
                void *context);

/* Modification time (wall ns) and size of a path. ret_is_dir may be NULL. */
int io_stat(struct io *io, const char *path, uint64_t *ret_size, uint64_t *ret_mtime_ns,
            bool *ret_is_dir);

/* Bytes that can still be written on the file system of `path`. */
int io_disk_free(struct io *io, const char *path, uint64_t *ret_bytes);

/* ---- child processes --------------------------------------------------------------------- */

struct io_process {
    struct io *io;
    int pid;
    void (*exited)(struct io_process *process, int status); /* status as of waitpid(2) */

    /* private from here on */
    int pidfd;
    struct list link;
};

struct io_fd_map {
    int parent, child; /* the child sees the parent's descriptor `parent` as `child` */
};

struct io_spawn_options {
    const char *const *argv; /* argv[0] is looked up in PATH of envp when it has no slash; with
                              * one, and in relative elements of PATH, it is relative to `dir` */
    const char *const *envp;
    const char *dir;             /* working directory; NULL: as the parent */
    struct io_stream *out, *err; /* where not NULL: become the ends of pipes from stdout, stderr;
                                  * the same stream twice: of one pipe from both */
    const struct io_fd_map *fds; /* besides 0 (/dev/null), 1 and 2; all others are closed */
    size_t fd_count;
    int die_signal; /* sent to the child when this thread's process dies; 0: none */
};

/* Starts a process in a process group of its own, with no signal blocked or ignored. Waits until it
 * executes (about a millisecond). A program that cannot be executed is an error here (not an exit
 * later); `error` then says which program and why, and `out` and `err` are not open. At most 64
 * `fds`, with child numbers up to 4096. */
int io_spawn(struct io *io, struct io_process *process, const struct io_spawn_options *options,
             void (*exited)(struct io_process *process, int status), struct error *error);

/* Watches a process that is not our child (or one that an earlier image of us started): `exited`
 * comes with status -1 when its status cannot be had. ERR_NOT_FOUND when there is none. */
int io_process_watch(struct io *io, struct io_process *process, int pid,
                     void (*exited)(struct io_process *process, int status));

/* Signals the whole group (of a watched process that leads none: the process). ERR_NOT_FOUND when
 * it is gone. Of our own child the group may still be signalled inside `exited`, which is the
 * moment to end what it left behind. */
int io_kill(struct io_process *process, int signal);

/* Stops watching; the process goes on (a child of ours then stays a zombie after its end, until we
 * end). Harmless when it has exited. */
void io_process_release(struct io_process *process);

/* A connected pair of Unix sockets: one to adopt as a stream, one for a child. */
int io_socket_pair(int ret_fds[2]);

/* Closes a descriptor that no stream or listener has taken over. */
void io_fd_close(int fd);

/* ---- signals ----------------------------------------------------------------------------- */

struct io_signal {
    void (*arrived)(struct io_signal *watch);
    int signal;
    struct list link; /* private */
};

/* From now on the signal no longer has its default effect; `arrived` runs from the loop. Several
 * that come at once may be one call. One loop of a process at most watches signals. */
int io_signal_watch(struct io *io, struct io_signal *watch, int signal,
                    void (*arrived)(struct io_signal *watch));
void io_signal_release(struct io *io, struct io_signal *watch);

#endif
