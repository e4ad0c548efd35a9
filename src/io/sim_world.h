/* sim_world: what the parts of the simulation share. Private to src/io/sim*.c.
 *
 *   sim.c          the world: time, events, hosts
 *   sim_loop.c     a host's loop: turns, jobs, the table of operations
 *   sim_net.c      listeners and connecting; sim_end.c: the two ends of a connection
 *   sim_disk.c     file operations with their faults and crash points; sim_dir.c: names;
 *                  sim_content.c: what is in a file
 *   sim_prng.c     the choices */
#ifndef DURE_IO_SIM_WORLD_H
#define DURE_IO_SIM_WORLD_H

#include "io/ops.h"
#include "io/sim.h"
#include "io/sim_memory.h"
#include "io/sim_prng.h"

enum { NS_PER_US = 1000, NS_PER_MS = 1000000, SIM_HOSTS_MAX = 64, SIM_THREADS = 4 };

/* Something that happens at a time. Embedded in its owner; of two at the same time the one that was
 * scheduled first comes first. */
struct sim_event {
    uint64_t at_ns, order;
    size_t place; /* in the heap, from 1; 0: not scheduled */
    void (*run)(struct sim_event *event);
};

struct sim {
    struct sim_prng prng;
    struct sim_options options;
    uint64_t now_ns, order, event_count, fingerprint;
    struct sim_event **heap; /* heap[0] is the next */
    size_t heap_count, heap_size;
    struct list hosts; /* of struct sim_host, in the order they were made */
    uint32_t host_count;
    struct list connections;  /* of struct sim_connection, in the order they were made */
    uint64_t connection_made; /* their numbers */
    size_t connection_count;
    struct list dead;  /* of struct sim_io */
    struct list calls; /* of struct sim_call (sim_at) */
};

/* A completion that waits for the host's next turn. */
struct sim_ready {
    struct list link;
    void (*run)(struct sim_ready *ready);
};

/* The last thing a job did was a durable write: while the job still takes time, the write is under
 * way, and a power failure leaves any part of it. So of two jobs that write at the same time the
 * later write can be on the disk and the earlier one not. */
struct sim_doubt {
    struct sim_node *node; /* held; NULL: there is none */
    uint64_t from, to;
};

/* One of the pool's threads: it takes a job, runs it, and is busy for as long as that costs. */
struct sim_thread {
    struct sim_event event;
    struct sim_io *io;
    struct io_job *job; /* NULL: idle */
    bool ran;
    struct sim_doubt doubt;
};

/* One life of a host's program. */
struct sim_io {
    struct io io; /* first: a struct io * is a struct sim_io * */
    struct sim_host *host;
    struct list link; /* in sim->dead */
    struct sim_event turn;
    uint64_t turn_due_ns; /* what the turn was scheduled for */
    bool in_turn;
    uint64_t ran;          /* completions so far */
    uint64_t cost_ns;      /* of the file operations since it was last looked at */
    struct list ready;     /* of struct sim_ready */
    struct list jobs;      /* of struct io_job: waiting for a thread */
    struct list done;      /* of struct io_job: waiting for the turn */
    struct list opens;     /* of struct sim_open */
    struct list listeners; /* of struct sim_listener */
    struct sim_thread threads[SIM_THREADS];
    struct sim_thread *running; /* the one whose job runs at this moment; NULL: the loop */
};

struct sim_host {
    struct sim *sim;
    struct list link;
    uint32_t number; /* from 1: the last byte of its address */
    char name[32];
    struct sim_io *io; /* the living one, or the last that died */
    bool power;        /* false from a crash to the restart */
    uint64_t cut_to;   /* bit n - 1: nothing reaches host n */
    uint64_t mono_base_ns;
    int64_t wall_offset_ns;
    uint64_t file_operations, crash_at; /* crash_at: at that count; UINT64_MAX: never */
    bool kills;                         /* at crash_at only the process dies */
    struct sim_disk *disk;
    uint64_t port_next;
    char *scratch;
};

enum { SIM_SCRATCH_SIZE = 64 * 1024 };

void sim_event_init(struct sim_event *event, void (*run)(struct sim_event *event));

/* Schedules the event, or moves it. */
void sim_event_set(struct sim *sim, struct sim_event *event, uint64_t at_ns);
void sim_event_cancel(struct sim *sim, struct sim_event *event);

static inline bool sim_event_waits(const struct sim_event *event)
{
    return event->place != 0;
}

static inline struct sim_io *sim_io_of(const struct io *io)
{
    return (struct sim_io *)io;
}

/* A line for a person who debugs; costs nothing when nobody reads. */
void sim_trace(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* sim_step, unless nothing happens until then. */
bool sim_step_before(struct sim *sim, uint64_t end_ns);

/* Nothing happens until then; every living loop's clock is set. */
void sim_move_time(struct sim *sim, uint64_t now_ns);

/* ---- the loop (sim_loop.c) --------------------------------------------------------------- */

struct sim_io *sim_io_new(struct sim_host *host);
void sim_io_free(struct sim_io *io);

/* Nothing of it runs any more; it keeps no pointer to the program's memory. */
void sim_io_die(struct sim_io *io);

/* Schedules the next turn when something is due. */
void sim_io_arm(struct sim_io *io);

/* Makes the completion run in the next turn, somewhere among the others. Harmless when it waits
 * already. */
void sim_io_ready(struct sim_io *io, struct sim_ready *ready);

/* ---- the disk (sim_disk.c) --------------------------------------------------------------- */

struct sim_disk *sim_disk_new(struct sim_host *host);
void sim_disk_free(struct sim_disk *disk);

/* Forgets what the program had open. */
void sim_disk_close_all(struct sim_io *io);

/* The write is on the disk; or nobody will ever know (the host is dead). */
void sim_doubt_settle(struct sim_doubt *doubt);
void sim_doubt_drop(struct sim_doubt *doubt);

/* What is left when the power has failed. */
void sim_disk_crash(struct sim_disk *disk);

int sim_file_open(struct io_file *file, const char *path, int flags);
void sim_file_close(struct io_file *file);
int64_t sim_file_size(struct io_file *file);
int64_t sim_file_read(struct io_file *file, void *buf, size_t size, uint64_t offset);
int sim_file_write(struct io_file *file, const struct iovec *iov, int count, uint64_t offset);
int sim_file_sync(struct io_file *file);
int sim_file_write_durable(struct io_file *file, const void *data, size_t len, uint64_t offset);
int sim_file_truncate(struct io_file *file, uint64_t size);
int sim_file_allocate(struct io_file *file, uint64_t size);
int sim_rename(struct io *io, const char *from, const char *to);
int sim_unlink(struct io *io, const char *path);
int sim_mkdir(struct io *io, const char *path);
int sim_rmdir(struct io *io, const char *path);
int sim_sync_dir(struct io *io, const char *path);
int sim_lock_dir(struct io_file *lock, const char *path);
int sim_list_dir(struct io *io, const char *path, int (*each)(void *context, const char *name),
                 void *context);
int sim_stat(struct io *io, const char *path, uint64_t *ret_size, uint64_t *ret_mtime_ns,
             bool *ret_is_dir);
int sim_disk_free_bytes(struct io *io, const char *path, uint64_t *ret_bytes);

/* ---- the network (sim_net.c) ------------------------------------------------------------- */

void sim_connect(struct io_stream *stream, const struct io_addr *addr);
void sim_recv(struct io_stream *stream);
void sim_recv_cancel(struct io_stream *stream);
void sim_send(struct io_stream *stream);
void sim_shutdown(struct io_stream *stream);
void sim_close(struct io_stream *stream);
int sim_stream_peer(const struct io_stream *stream, struct io_addr *ret_addr);
int sim_listen(struct io_listener *listener, const struct io_listen_options *options);
void sim_accept(struct io_listener *listener, struct io_stream *stream);
void sim_listener_pause(struct io_listener *listener, bool pause);
void sim_listener_close(struct io_listener *listener);

/* The process is gone: its listeners vanish; its connections are closed by the kernel, or, when the
 * power has failed, are silent from now on. */
void sim_net_die(struct sim_io *io, bool power_failed);

/* A host is back or a cut was healed: what was stuck moves on. */
void sim_net_resume(struct sim *sim);

void sim_net_free(struct sim *sim);

#endif
