#include "io/epoll.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { NS_PER_MS = 1000000, SCRATCH_SIZE = 256 * 1024, THREADS = 6, ROUNDS_MAX = 16 };

int epoll_add(struct epoll *epoll, int fd, uint32_t events, void *owner, enum epoll_kind kind)
{
    assert(((uintptr_t)owner & EPOLL_KIND_MASK) == 0);
    struct epoll_event event = {.events = events, .data.u64 = (uintptr_t)owner | kind};
    return epoll_ctl(epoll->fd, EPOLL_CTL_ADD, fd, &event) ? err_from_errno(errno) : 0;
}

void epoll_close(struct epoll *epoll, int fd)
{
    if (fd < 0) return;
    epoll_ctl(epoll->fd, EPOLL_CTL_DEL, fd, NULL);
    close(fd);
}

static uint64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000 * NS_PER_MS + (uint64_t)now.tv_nsec;
}

/* Only notes: runs nobody's code (see the head of epoll.h). */
static void note(struct epoll *epoll, const struct epoll_event *event)
{
    enum epoll_kind kind = (enum epoll_kind)(event->data.u64 & EPOLL_KIND_MASK);
    void *owner = (char *)event->data.ptr - kind;
    switch (kind) {
    case EPOLL_STREAM: epoll_stream_note(epoll, owner, event->events); break;
    case EPOLL_LISTENER: epoll_listener_note(epoll, owner); break;
    case EPOLL_PROCESS: {
        struct io_process *process = owner;
        if (!list_linked(&process->link)) list_push(&epoll->processes, &process->link);
        break;
    }
    case EPOLL_JOBS: epoll->jobs_done = true; break;
    case EPOLL_SIGNALS: epoll->signals_pending = true; break;
    case EPOLL_KIND_MASK: assert(!"an event of no kind");
    }
}

static bool has_work(const struct epoll *epoll)
{
    return !list_empty(&epoll->recvs) || !list_empty(&epoll->sends) ||
           !list_empty(&epoll->closing) || !list_empty(&epoll->listeners) ||
           !list_empty(&epoll->processes) || epoll->jobs_done || epoll->signals_pending;
}

/* The clock is read again: the turn that ends here may have taken a while. Rounded up, so that the
 * loop does not wake before a timer is due. */
static int wait_ms(const struct epoll *epoll, int max_wait_ms)
{
    if (has_work(epoll)) return 0;
    uint64_t due_ns = io_next_due_ns(&epoll->base);
    if (due_ns == UINT64_MAX || max_wait_ms == 0) return max_wait_ms;
    uint64_t now_ns = read_clock(CLOCK_MONOTONIC);
    if (due_ns <= now_ns) return 0;
    uint64_t until_ms = (due_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
    uint64_t limit_ms = max_wait_ms < 0 ? INT32_MAX : (uint64_t)max_wait_ms;
    return (int)(until_ms < limit_ms ? until_ms : limit_ms);
}

static int run_jobs(struct epoll *epoll)
{
    if (!epoll->jobs_done) return 0;
    epoll->jobs_done = false;
    return io_pool_run_done(epoll->pool);
}

/* Completions, tasks and closes until there are none; the deferred tasks when all else is quiet.
 * Bounded, so that tasks which post each other cannot keep the kernel's news out. Receives are not
 * in here: each stream gets one per turn. */
static int run_until_quiet(struct epoll *epoll)
{
    int ran = 0;
    for (int round = 0; round < ROUNDS_MAX; round++) {
        int now = io_run_tasks(&epoll->base);
        now += epoll_run_sends(epoll);
        now += epoll_run_closing(epoll);
        if (!now) now = io_run_deferred(&epoll->base);
        if (!now) return ran;
        ran += now;
    }
    return ran + io_run_deferred(&epoll->base);
}

static int turn(struct io *io, int max_wait_ms)
{
    struct epoll *epoll = epoll_of(io);
    int count = epoll_wait(epoll->fd, epoll->events, EPOLL_EVENTS_MAX, wait_ms(epoll, max_wait_ms));
    if (count < 0 && errno != EINTR) return err_from_errno(errno);
    io_set_clock(io, read_clock(CLOCK_MONOTONIC), read_clock(CLOCK_REALTIME));
    for (int i = 0; i < count; i++) note(epoll, &epoll->events[i]);

    int ran = io_run_timers(io);
    ran += epoll_run_listeners(epoll);
    ran += epoll_run_recvs(epoll);
    ran += run_jobs(epoll);
    ran += epoll_run_signals(epoll);
    ran += epoll_run_processes(epoll);
    return ran + run_until_quiet(epoll);
}

static void fill_random(void *ret_bytes, size_t len)
{
    for (char *at = ret_bytes; len;) {
        ssize_t got = getrandom(at, len, 0);
        assert(got > 0 || errno == EINTR);
        if (got < 0) continue;
        at += got;
        len -= (size_t)got;
    }
}

/* Small wishes come from a buffer, each byte once. */
static void take_random(struct io *io, void *ret_bytes, size_t len)
{
    struct epoll *epoll = epoll_of(io);
    if (len > EPOLL_RANDOM_SIZE / 4) {
        fill_random(ret_bytes, len);
        return;
    }
    if (epoll->random_left < len) {
        fill_random(epoll->random, EPOLL_RANDOM_SIZE);
        epoll->random_left = EPOLL_RANDOM_SIZE;
    }
    epoll->random_left -= len;
    memcpy(ret_bytes, epoll->random + epoll->random_left, len);
    explicit_bzero(epoll->random + epoll->random_left, len);
}

static void release(struct io *io)
{
    struct epoll *epoll = epoll_of(io);
    assert(list_empty(&epoll->closing) && list_empty(&epoll->sends) && list_empty(&epoll->recvs));
    io_pool_free(epoll->pool);
    if (epoll->signal_fd >= 0) close(epoll->signal_fd);
    if (epoll->jobs_fd >= 0) close(epoll->jobs_fd);
    if (epoll->fd >= 0) close(epoll->fd);
    explicit_bzero(epoll->random, sizeof epoll->random);
    epoll_shared_release(epoll);
    free(epoll->scratch);
    free(epoll);
}

static const struct io_ops ops = {
    .free = release,
    .turn = turn,
    .random = take_random,
    .usage = epoll_usage,
    .connect = epoll_connect,
    .stream_adopt = epoll_stream_adopt,
    .recv = epoll_recv,
    .recv_cancel = epoll_recv_cancel,
    .send = epoll_send,
    .shutdown = epoll_shutdown,
    .shared_new = epoll_shared_new,
    .shared_free = epoll_shared_free,
    .close = epoll_stream_close,
    .stream_peer = epoll_stream_peer,
    .listen = epoll_listen,
    .listener_adopt = epoll_listener_adopt,
    .listener_fd = epoll_listener_fd,
    .accept = epoll_accept,
    .listener_pause = epoll_listener_pause,
    .listener_close = epoll_listener_close,
    .job_submit = epoll_job_submit,
    .file_open = epoll_file_open,
    .file_close = epoll_file_close,
    .file_size = epoll_file_size,
    .file_read = epoll_file_read,
    .file_write = epoll_file_write,
    .file_sync = epoll_file_sync,
    .file_write_durable = epoll_file_write_durable,
    .file_truncate = epoll_file_truncate,
    .file_allocate = epoll_file_allocate,
    .rename = epoll_rename,
    .unlink = epoll_unlink,
    .mkdir = epoll_mkdir,
    .rmdir = epoll_rmdir,
    .sync_dir = epoll_sync_dir,
    .lock_dir = epoll_lock_dir,
    .list_dir = epoll_list_dir,
    .stat = epoll_stat,
    .disk_free = epoll_disk_free,
    .spawn = epoll_spawn,
    .process_watch = epoll_process_watch,
    .kill = epoll_kill,
    .process_release = epoll_process_release,
    .signal_watch = epoll_signal_watch,
    .signal_release = epoll_signal_release,
};

static void init(struct epoll *epoll, const struct io_options *options)
{
    io_base_init(&epoll->base, &ops, read_clock(CLOCK_MONOTONIC), read_clock(CLOCK_REALTIME));
    epoll->fd = epoll->jobs_fd = epoll->signal_fd = epoll->accepted_fd = -1;
    epoll->scratch_size = options->scratch_size ? options->scratch_size : SCRATCH_SIZE;
    list_init(&epoll->recvs);
    list_init(&epoll->sends);
    list_init(&epoll->closing);
    list_init(&epoll->listeners);
    list_init(&epoll->processes);
    list_init(&epoll->starved);
    list_init(&epoll->signals);
    epoll->signal_next = &epoll->signals;
    io_timer_init(&epoll->starved_timer, epoll_starved_done);
}

/* A pipe has no MSG_NOSIGNAL. A program that handles SIGPIPE itself keeps its handler. */
static void ignore_sigpipe(void)
{
    struct sigaction action;
    if (!sigaction(SIGPIPE, NULL, &action) && action.sa_handler == SIG_DFL) {
        action.sa_handler = SIG_IGN;
        sigaction(SIGPIPE, &action, NULL);
    }
}

int io_new(const struct io_options *options, struct io **ret_io)
{
    static const struct io_options defaults;
    if (!options) options = &defaults;
    struct epoll *epoll = calloc(1, sizeof *epoll);
    if (!epoll) return ERR_NOMEM;
    init(epoll, options);
    ignore_sigpipe();

    int err = ERR_NOMEM;
    epoll->scratch = malloc(IO_RECV_ROOM + epoll->scratch_size);
    if (!epoll->scratch) goto fail;
    epoll->fd = epoll_create1(EPOLL_CLOEXEC);
    epoll->jobs_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    err = epoll->fd < 0 || epoll->jobs_fd < 0 ? err_from_errno(errno) : 0;
    if (!err) err = epoll_add(epoll, epoll->jobs_fd, EPOLLIN | EPOLLET, epoll, EPOLL_JOBS);
    if (!err)
        err = io_pool_new(options->threads ? options->threads : THREADS, epoll->jobs_fd,
                          &epoll->pool);
    if (err) goto fail;
    *ret_io = &epoll->base;
    return 0;

fail:
    release(&epoll->base);
    return err;
}
