/* ops: what an engine is made of. Private to src/io: io.c calls through this table, epoll.c (the
 * machine) and sim.c (the simulated host) fill it. What both have in common is in the base: the
 * clock's reading, timers, tasks, deferred tasks; an engine embeds `struct io` as its first member
 * and never looks at tasks or timers except through the functions at the end. */
#ifndef DURE_IO_OPS_H
#define DURE_IO_OPS_H

#include "io/io.h"
#include "io/wheel.h"

struct io_ops;

struct io {
    const struct io_ops *ops;
    uint64_t now_ns, wall_ns; /* read by the engine at the beginning of a turn, by io_set_clock */
    struct wheel wheel;
    struct list tasks;    /* of struct io_task: io_post */
    struct list deferred; /* of struct io_task: io_defer */
    bool stop;            /* io_stop: the engine's run loop ends after this turn */
    bool dead;            /* a crashed host's: nothing is set, posted or run any more */
    char *clear;          /* where TLS decrypts to (tls.c), behind IO_RECV_ROOM bytes; lives as long
                           * as a stream uses TLS */
    size_t clear_users;
};

/* io.c has checked the caller (asserts) and prepared the struct before it calls:
 *   - connect, adopt, accept, listen, spawn ...: the struct is reset (links initialised, fd -1).
 *     On an error of stream_adopt, listen, spawn ... nothing is open.
 *   - recv: recv_buf, recv_size, recv_done are set. In flight means recv_done is not NULL; the
 *     engine sets recv_data, clears recv_done, then calls it. The same holds for send_done and
 *     connect_done. send_iov, send_count, send_total are set, send_index and send_offset are 0.
 *   - recv_cancel: called only when a receive is in flight; recv_done is cleared afterwards.
 *   - close: `closed` and IO_STREAM_CLOSED are set. `closed` may be NULL only when nothing is in
 *     flight (asserted); the engine must then hold no pointer to the stream when close returns.
 *   - accept: called only inside `accepted`.
 * The owner may free or reuse a stream in `closed`, a listener after listener_close (also inside
 * `accepted`), a process in `exited`, a job in `done`, a task in `run`, a timer in `done`: after
 * the call the engine must not touch them. */
struct io_ops {
    void (*free)(struct io *io);
    int (*turn)(struct io *io, int max_wait_ms);
    void (*random)(struct io *io, void *ret_bytes, size_t len);

    void (*usage)(struct io_usage *ret_usage); /* NULL: nothing is used */

    void (*connect)(struct io_stream *stream, const struct io_addr *addr);
    int (*stream_adopt)(struct io_stream *stream, int fd);
    void (*recv)(struct io_stream *stream);
    void (*recv_cancel)(struct io_stream *stream);
    void (*send)(struct io_stream *stream);
    void (*shutdown)(struct io_stream *stream);

    /* NULL, both: the engine has no such memory. */
    const char *(*shared_new)(struct io *io, const void *data, size_t len);
    void (*shared_free)(struct io *io, const char *data, size_t len);

    void (*close)(struct io_stream *stream);
    int (*stream_peer)(const struct io_stream *stream, struct io_addr *ret_addr);

    int (*listen)(struct io_listener *listener, const struct io_listen_options *options);
    int (*listener_adopt)(struct io_listener *listener, int fd);
    int (*listener_fd)(const struct io_listener *listener);
    void (*accept)(struct io_listener *listener, struct io_stream *stream);
    void (*listener_pause)(struct io_listener *listener, bool pause);
    void (*listener_close)(struct io_listener *listener);

    void (*job_submit)(struct io *io, struct io_job *job);

    /* These may be called from a job's `run`, that is, from another thread. */
    int (*file_open)(struct io_file *file, const char *path, int flags);
    void (*file_close)(struct io_file *file);
    int64_t (*file_size)(struct io_file *file);
    int64_t (*file_read)(struct io_file *file, void *buf, size_t size, uint64_t offset);
    int (*file_write)(struct io_file *file, const struct iovec *iov, int count, uint64_t offset);
    int (*file_sync)(struct io_file *file);
    int (*file_write_durable)(struct io_file *file, const void *data, size_t len, uint64_t offset);
    int (*file_truncate)(struct io_file *file, uint64_t size);
    int (*file_allocate)(struct io_file *file, uint64_t size);
    int (*rename)(struct io *io, const char *from, const char *to);
    int (*unlink)(struct io *io, const char *path);
    int (*mkdir)(struct io *io, const char *path);
    int (*rmdir)(struct io *io, const char *path);
    int (*sync_dir)(struct io *io, const char *path);
    int (*lock_dir)(struct io_file *lock, const char *path);
    int (*list_dir)(struct io *io, const char *path, int (*each)(void *context, const char *name),
                    void *context);
    int (*stat)(struct io *io, const char *path, uint64_t *ret_size, uint64_t *ret_mtime_ns,
                bool *ret_is_dir);
    int (*disk_free)(struct io *io, const char *path, uint64_t *ret_bytes);

    int (*spawn)(struct io_process *process, const struct io_spawn_options *options,
                 struct error *error);
    int (*process_watch)(struct io_process *process, int pid);
    int (*kill)(struct io_process *process, int signal);
    void (*process_release)(struct io_process *process);
    int (*signal_watch)(struct io *io, struct io_signal *watch);
    void (*signal_release)(struct io *io, struct io_signal *watch);
};

/* Bits of io_stream.flags that both engines share; an engine's own begin at IO_STREAM_ENGINE. */
enum { IO_STREAM_CLOSED = 1, IO_STREAM_ENGINE = 1 << 8 };

/* ---- for engines ------------------------------------------------------------------------- */

void io_base_init(struct io *io, const struct io_ops *ops, uint64_t now_ns, uint64_t wall_ns);

/* The beginning of a turn: the clocks as they are now. now_ns never goes back. */
void io_set_clock(struct io *io, uint64_t now_ns, uint64_t wall_ns);

/* A stream that is not open: all zero, no descriptor, links in no list. */
void io_stream_reset(struct io *io, struct io_stream *stream);

/* Run the timers that are due at now_ns; the tasks that are posted at this moment (not those that
 * they post); the deferred tasks, likewise. Each returns how many it ran. A turn is: set the
 * clock, note what happened, timers, completions and tasks until quiet (bounded), deferred. */
int io_run_timers(struct io *io);
int io_run_tasks(struct io *io);
int io_run_deferred(struct io *io);

/* When the base next has something to run: now_ns or less when it is due now, UINT64_MAX when
 * never. With timers far away it may be earlier than the first of them (see wheel_next_ms). */
uint64_t io_next_due_ns(const struct io *io);

#endif
