/* A host's loop: turns, the pool's threads, and the table that io.c calls through. */
#include "io/sim_world.h"

enum { QUIET_ROUNDS = 8 /* as often does a turn look for more before its deferred tasks */ };

/* ---- turns ------------------------------------------------------------------------------- */

void sim_io_ready(struct sim_io *io, struct sim_ready *ready)
{
    if (list_linked(&ready->link)) return;
    if (sim_prng_next(&io->host->sim->prng) & 1)
        list_push(&io->ready, &ready->link);
    else
        list_push_front(&io->ready, &ready->link);
}

static int run_ready(struct sim_io *io)
{
    int ran = 0;
    struct list now;
    list_init(&now);
    list_splice(&now, &io->ready);
    for (struct list *link; (link = list_pop(&now));) {
        struct sim_ready *ready = CONTAINER_OF(link, struct sim_ready, link);
        if (io->io.dead) continue;
        ready->run(ready);
        ran++;
    }
    return ran;
}

static int run_done_jobs(struct sim_io *io)
{
    int ran = 0;
    struct list now;
    list_init(&now);
    list_splice(&now, &io->done);
    for (struct list *link; (link = list_pop(&now));) {
        struct io_job *job = CONTAINER_OF(link, struct io_job, link);
        if (io->io.dead) continue;
        job->done(job);
        ran++;
    }
    return ran;
}

static void turn(struct sim_event *event)
{
    struct sim_io *io = CONTAINER_OF(event, struct sim_io, turn);
    io->in_turn = true;
    int ran = io_run_timers(&io->io), more = 1;
    if (!io->io.dead) ran += run_ready(io); /* once: a stream gets one receive per turn */
    for (int round = 0; more && round < QUIET_ROUNDS; round++) {
        more = 0;
        if (!io->io.dead) more += run_done_jobs(io);
        if (!io->io.dead) more += io_run_tasks(&io->io);
        ran += more;
    }
    if (!io->io.dead) ran += io_run_deferred(&io->io);
    io->in_turn = false;
    io->ran += (uint64_t)ran;
    sim_note(io->host->sim, (uint64_t)ran);
}

/* A loop that blocked in a file operation is late by what that cost. */
void sim_io_arm(struct sim_io *io)
{
    struct sim *sim = io->host->sim;
    uint64_t base_ns = io->host->mono_base_ns, due_ns = io_next_due_ns(&io->io);
    if (!list_empty(&io->ready) || !list_empty(&io->done)) due_ns = io->io.now_ns;
    if (due_ns == UINT64_MAX) return;
    due_ns = due_ns > base_ns + sim->now_ns ? due_ns - base_ns : sim->now_ns;
    if (sim_event_waits(&io->turn) && io->turn_due_ns <= due_ns) return;
    io->turn_due_ns = due_ns;
    uint64_t late_ns = sim_prng_exponential(&sim->prng, sim->options.turn_us * NS_PER_US);
    if (sim_prng_chance(&sim->prng, sim->options.stall_chance))
        late_ns += sim_prng_below(&sim->prng, sim->options.stall_ms * NS_PER_MS);
    late_ns += io->cost_ns;
    io->cost_ns = 0;
    sim_event_set(sim, &io->turn, due_ns + late_ns);
}

/* Runs the world until this loop has had a turn or the time is over. Who waits for ever while
 * nothing is left that could happen gets ERR_CANCELLED. */
static int loop_turn(struct io *base, int max_wait_ms)
{
    struct sim_io *io = sim_io_of(base);
    struct sim *sim = io->host->sim;
    assert(!io->in_turn);
    /* Time passes even for a caller who does not want to wait, or it would ask for ever. */
    uint64_t wait_ns =
        max_wait_ms > 0 ? (uint64_t)max_wait_ms * NS_PER_MS : sim->options.turn_us * NS_PER_US + 1;
    uint64_t end_ns = max_wait_ms < 0 ? UINT64_MAX : sim->now_ns + wait_ns, ran = io->ran;
    while (io->ran == ran && !base->dead && !base->stop) {
        if (sim_step_before(sim, end_ns)) continue;
        if (max_wait_ms < 0) return ERR_CANCELLED;
        sim_move_time(sim, end_ns);
        return 0;
    }
    return base->dead ? ERR_CLOSED : (int)(io->ran - ran);
}

static void loop_random(struct io *io, void *ret_bytes, size_t len)
{
    sim_prng_fill(&sim_io_of(io)->host->sim->prng, ret_bytes, len);
}

/* The program has ended in good order; the world owns the memory. */
static void loop_free(struct io *io)
{
    sim_host_kill(sim_io_of(io)->host);
}

/* ---- jobs -------------------------------------------------------------------------------- */

static void thread_take(struct sim_thread *thread)
{
    struct sim_io *io = thread->io;
    struct sim *sim = io->host->sim;
    struct list *link = thread->job ? NULL : list_pop(&io->jobs);
    if (!link) return;
    thread->job = CONTAINER_OF(link, struct io_job, link);
    thread->ran = false;
    uint64_t delay_ns = sim_prng_exponential(&sim->prng, sim->options.turn_us * NS_PER_US);
    sim_event_set(sim, &thread->event, sim->now_ns + delay_ns);
}

/* First the job runs, in one piece; then time passes for what its operations cost, in which the
 * host may still crash; then it is done. */
static void thread_step(struct sim_event *event)
{
    struct sim_thread *thread = CONTAINER_OF(event, struct sim_thread, event);
    struct sim_io *io = thread->io;
    struct io_job *job = thread->job;
    if (!thread->ran) {
        uint64_t loop_cost_ns = io->cost_ns;
        io->cost_ns = 0;
        thread->ran = true;
        io->running = thread;
        job->run(job);
        io->running = NULL;
        if (io->io.dead) return;
        sim_event_set(io->host->sim, event, io->host->sim->now_ns + io->cost_ns);
        io->cost_ns = loop_cost_ns;
        return;
    }
    sim_doubt_settle(&thread->doubt);
    thread->job = NULL;
    list_push(&io->done, &job->link);
    thread_take(thread);
}

static void job_submit(struct io *base, struct io_job *job)
{
    struct sim_io *io = sim_io_of(base);
    list_init(&job->link);
    list_push(&io->jobs, &job->link);
    for (int i = 0; i < SIM_THREADS; i++) thread_take(&io->threads[i]);
}

/* ---- what a simulated host does not have ------------------------------------------------- */

static int no_stream_adopt(struct io_stream *stream, int fd)
{
    return ERR_UNSUPPORTED;
}

static int no_listener_adopt(struct io_listener *listener, int fd)
{
    return ERR_UNSUPPORTED;
}

static int no_listener_fd(const struct io_listener *listener)
{
    return -1;
}

static int no_spawn(struct io_process *process, const struct io_spawn_options *options,
                    struct error *error)
{
    return error_set(error, ERR_UNSUPPORTED, "a simulated host runs no processes");
}

static int no_process_watch(struct io_process *process, int pid)
{
    return ERR_UNSUPPORTED;
}

static int no_kill(struct io_process *process, int signal)
{
    return ERR_UNSUPPORTED;
}

static void no_process_release(struct io_process *process)
{
}

static int no_signal_watch(struct io *io, struct io_signal *watch)
{
    return ERR_UNSUPPORTED;
}

static void no_signal_release(struct io *io, struct io_signal *watch)
{
}

/* ---- what a dead host does: nothing ------------------------------------------------------ */

static void dead_free(struct io *io)
{
}

static int dead_turn(struct io *io, int max_wait_ms)
{
    return ERR_CLOSED;
}

static void dead_connect(struct io_stream *stream, const struct io_addr *addr)
{
}

static void dead_stream(struct io_stream *stream)
{
}

static int dead_stream_peer(const struct io_stream *stream, struct io_addr *ret_addr)
{
    return ERR_CLOSED;
}

static int dead_listen(struct io_listener *listener, const struct io_listen_options *options)
{
    return ERR_CLOSED;
}

static void dead_accept(struct io_listener *listener, struct io_stream *stream)
{
}

static void dead_listener_pause(struct io_listener *listener, bool pause)
{
}

static void dead_listener_close(struct io_listener *listener)
{
}

static void dead_job_submit(struct io *io, struct io_job *job)
{
}

/* File operations ask for themselves whether the host lives. */
#define SHARED_OPS                                                                                \
    .random = loop_random, .stream_adopt = no_stream_adopt, .listener_adopt = no_listener_adopt,  \
    .listener_fd = no_listener_fd, .file_open = sim_file_open, .file_close = sim_file_close,      \
    .file_size = sim_file_size, .file_read = sim_file_read, .file_write = sim_file_write,         \
    .file_sync = sim_file_sync, .file_write_durable = sim_file_write_durable,                     \
    .file_truncate = sim_file_truncate, .file_allocate = sim_file_allocate, .rename = sim_rename, \
    .unlink = sim_unlink, .mkdir = sim_mkdir, .rmdir = sim_rmdir, .sync_dir = sim_sync_dir,       \
    .lock_dir = sim_lock_dir, .list_dir = sim_list_dir, .stat = sim_stat,                         \
    .disk_free = sim_disk_free_bytes, .spawn = no_spawn, .process_watch = no_process_watch,       \
    .kill = no_kill, .process_release = no_process_release, .signal_watch = no_signal_watch,      \
    .signal_release = no_signal_release

static const struct io_ops dead_ops = {
    .free = dead_free,
    .turn = dead_turn,
    .connect = dead_connect,
    .recv = dead_stream,
    .recv_cancel = dead_stream,
    .send = dead_stream,
    .shutdown = dead_stream,
    .close = dead_stream,
    .stream_peer = dead_stream_peer,
    .listen = dead_listen,
    .accept = dead_accept,
    .listener_pause = dead_listener_pause,
    .listener_close = dead_listener_close,
    .job_submit = dead_job_submit,
    SHARED_OPS,
};

static const struct io_ops sim_ops = {
    .free = loop_free,
    .turn = loop_turn,
    .connect = sim_connect,
    .recv = sim_recv,
    .recv_cancel = sim_recv_cancel,
    .send = sim_send,
    .shutdown = sim_shutdown,
    .close = sim_close,
    .stream_peer = sim_stream_peer,
    .listen = sim_listen,
    .accept = sim_accept,
    .listener_pause = sim_listener_pause,
    .listener_close = sim_listener_close,
    .job_submit = job_submit,
    SHARED_OPS,
};

/* ---- life and death ---------------------------------------------------------------------- */

struct sim_io *sim_io_new(struct sim_host *host)
{
    struct sim_io *io = sim_alloc(1, sizeof *io);
    io->io.ops = &sim_ops;
    io->host = host;
    sim_event_init(&io->turn, turn);
    list_init(&io->link);
    list_init(&io->ready);
    list_init(&io->jobs);
    list_init(&io->done);
    list_init(&io->opens);
    list_init(&io->listeners);
    for (int i = 0; i < SIM_THREADS; i++) {
        io->threads[i].io = io;
        sim_event_init(&io->threads[i].event, thread_step);
    }
    return io;
}

void sim_io_free(struct sim_io *io)
{
    free(io);
}

static void empty(struct list *list)
{
    while (list_pop(list)) continue;
}

/* Takes every link that is inside the program's structs out of the loop's lists, while they still
 * exist. */
void sim_io_die(struct sim_io *io)
{
    struct sim *sim = io->host->sim;
    io->io.dead = true;
    io->io.ops = &dead_ops;
    sim_event_cancel(sim, &io->turn);
    for (int i = 0; i < SIM_THREADS; i++) {
        sim_event_cancel(sim, &io->threads[i].event);
        sim_doubt_drop(&io->threads[i].doubt);
    }
    wheel_clear(&io->io.wheel);
    empty(&io->io.tasks);
    empty(&io->io.deferred);
    empty(&io->ready);
    empty(&io->jobs);
    empty(&io->done);
}
