/* What both engines share, and the way from io.h into the engine's table. */
#include "io/io.h"

#include <assert.h>

#include "io/level.h"
#include "io/ops.h"

enum { NS_PER_MS = 1000000 };

/* ---- the base ---------------------------------------------------------------------------- */

void io_base_init(struct io *io, const struct io_ops *ops, uint64_t now_ns, uint64_t wall_ns)
{
    io->ops = ops;
    io->now_ns = now_ns;
    io->wall_ns = wall_ns;
    io->stop = io->dead = false;
    io->clear = NULL;
    io->clear_users = 0;
    wheel_init(&io->wheel, now_ns / NS_PER_MS);
    list_init(&io->tasks);
    list_init(&io->deferred);
}

void io_set_clock(struct io *io, uint64_t now_ns, uint64_t wall_ns)
{
    if (now_ns > io->now_ns) io->now_ns = now_ns;
    io->wall_ns = wall_ns;
}

int io_run_timers(struct io *io)
{
    int ran = 0;
    wheel_advance(&io->wheel, io->now_ns / NS_PER_MS);
    for (struct io_timer *timer; (timer = wheel_pop(&io->wheel)); ran++) timer->done(timer);
    return ran;
}

/* The list is emptied first: what its tasks add waits for the next time. A host that crashes in one
 * of them forgets the others. */
static int run_tasks(struct io *io, struct list *tasks)
{
    int ran = 0;
    struct list now;
    list_init(&now);
    list_splice(&now, tasks);
    for (struct list *link; (link = list_pop(&now));) {
        struct io_task *task = CONTAINER_OF(link, struct io_task, link);
        if (io->dead) continue;
        task->run(task);
        ran++;
    }
    return ran;
}

int io_run_tasks(struct io *io)
{
    return run_tasks(io, &io->tasks);
}

int io_run_deferred(struct io *io)
{
    return run_tasks(io, &io->deferred);
}

uint64_t io_next_due_ns(const struct io *io)
{
    if (!list_empty(&io->tasks) || !list_empty(&io->deferred)) return io->now_ns;
    uint64_t next_ms = wheel_next_ms(&io->wheel);
    return next_ms > UINT64_MAX / NS_PER_MS ? UINT64_MAX : next_ms * NS_PER_MS;
}

/* ---- the loop ---------------------------------------------------------------------------- */

void io_free(struct io *io)
{
    if (io) io->ops->free(io);
}

int io_run(struct io *io)
{
    int result = 0;
    while (!io->stop && result >= 0) result = io->ops->turn(io, -1);
    io->stop = false;
    return result < 0 ? result : 0;
}

void io_stop(struct io *io)
{
    io->stop = true;
}

int io_turn(struct io *io, int max_wait_ms)
{
    return io->ops->turn(io, max_wait_ms);
}

uint64_t io_now_ns(const struct io *io)
{
    return io->now_ns;
}

uint64_t io_wall_ns(const struct io *io)
{
    return io->wall_ns;
}

void io_random(struct io *io, void *ret_bytes, size_t len)
{
    io->ops->random(io, ret_bytes, len);
}

uint64_t io_random_u64(struct io *io)
{
    uint64_t value;
    io->ops->random(io, &value, sizeof value);
    return value;
}

void io_usage(struct io *io, struct io_usage *ret_usage)
{
    *ret_usage = (struct io_usage){.cores = 1};
    if (io->ops->usage) io->ops->usage(ret_usage);
}

/* ---- timers and tasks -------------------------------------------------------------------- */

void io_timer_init(struct io_timer *timer, void (*done)(struct io_timer *timer))
{
    *timer = (struct io_timer){.done = done};
    list_init(&timer->link);
}

/* Rounded up to a whole tick, so that it never fires early; a delay of 0 is due in the next turn.
 */
void io_timer_set(struct io *io, struct io_timer *timer, uint64_t delay_ms)
{
    const uint64_t longest_ms = UINT64_MAX / NS_PER_MS / 2;
    if (io->dead) return;
    if (delay_ms > longest_ms) delay_ms = longest_ms;
    uint64_t now_ms = io->now_ns / NS_PER_MS;
    if (delay_ms && io->now_ns % NS_PER_MS) now_ms++;
    wheel_set(&io->wheel, timer, now_ms + delay_ms);
}

void io_timer_cancel(struct io *io, struct io_timer *timer)
{
    wheel_cancel(&io->wheel, timer);
}

void io_task_init(struct io_task *task, void (*run)(struct io_task *task))
{
    task->run = run;
    list_init(&task->link);
}

void io_post(struct io *io, struct io_task *task)
{
    if (!io->dead && !list_linked(&task->link)) list_push(&io->tasks, &task->link);
}

void io_defer(struct io *io, struct io_task *task)
{
    if (!io->dead && !list_linked(&task->link)) list_push(&io->deferred, &task->link);
}

void io_task_cancel(struct io *io, struct io_task *task)
{
    list_remove(&task->link);
}

/* ---- streams ----------------------------------------------------------------------------- */

void io_stream_reset(struct io *io, struct io_stream *stream)
{
    *stream = (struct io_stream){.io = io, .fd = -1};
    list_init(&stream->recv_link);
    list_init(&stream->send_link);
    list_init(&stream->close_link);
}

void io_connect(struct io *io, struct io_stream *stream, const struct io_addr *addr,
                io_stream_done *done)
{
    assert(done);
    io_stream_reset(io, stream);
    stream->connect_done = done;
    io->ops->connect(stream, addr);
}

int io_stream_adopt(struct io *io, struct io_stream *stream, int fd)
{
    io_stream_reset(io, stream);
    return io->ops->stream_adopt(stream, fd);
}

void io_recv(struct io_stream *stream, char *buf, size_t size, io_stream_done *done)
{
    assert(!(stream->flags & IO_STREAM_CLOSED));
    level_recv(stream, stream->filter, buf, size, done);
}

void io_recv_cancel(struct io_stream *stream)
{
    level_recv_cancel(stream, stream->filter);
}

void io_send(struct io_stream *stream, const struct iovec *iov, int count, io_stream_done *done)
{
    assert(!(stream->flags & IO_STREAM_CLOSED));
    level_send(stream, stream->filter, iov, count, done);
}

bool io_send_taken(const struct io_stream *stream)
{
    const struct io_filter *filter = stream->filter;
    if (filter) return filter->above.send_index == filter->above.send_count;
    return stream->send_index == stream->send_count;
}

static size_t progress(const struct iovec *iov, int index, size_t offset)
{
    for (int i = 0; i < index; i++) offset += iov[i].iov_len;
    return offset;
}

size_t io_send_progress(const struct io_stream *stream)
{
    const struct io_filter *filter = stream->filter;
    if (filter)
        return progress(filter->above.send_iov, filter->above.send_index,
                        filter->above.send_offset);
    return progress(stream->send_iov, stream->send_index, stream->send_offset);
}

const char *io_shared_new(struct io *io, const void *data, size_t len)
{
    assert(data && len);
    return io->ops->shared_new ? io->ops->shared_new(io, data, len) : NULL;
}

void io_shared_free(struct io *io, const char *data, size_t len)
{
    io->ops->shared_free(io, data, len);
}

void io_shutdown(struct io_stream *stream)
{
    assert(!(stream->flags & IO_STREAM_CLOSED));
    level_shutdown(stream, stream->filter);
}

void io_close(struct io_stream *stream, void (*closed)(struct io_stream *stream))
{
    assert(!(stream->flags & IO_STREAM_CLOSED));
    assert(closed || !stream->connect_done);
    stream->flags |= IO_STREAM_CLOSED;
    level_close(stream, stream->filter, closed);
}

int io_stream_peer(const struct io_stream *stream, struct io_addr *ret_addr)
{
    return stream->io->ops->stream_peer(stream, ret_addr);
}

/* ---- listeners --------------------------------------------------------------------------- */

static void listener_reset(struct io *io, struct io_listener *listener,
                           void (*accepted)(struct io_listener *listener))
{
    assert(accepted);
    *listener = (struct io_listener){.io = io, .fd = -1, .accepted = accepted};
    list_init(&listener->link);
}

int io_listen(struct io *io, struct io_listener *listener, const struct io_addr *addr,
              const struct io_listen_options *options,
              void (*accepted)(struct io_listener *listener))
{
    struct io_listen_options chosen = options ? *options : (struct io_listen_options){0};
    if (!chosen.backlog) chosen.backlog = 1024;
    if (!chosen.unix_mode) chosen.unix_mode = 0600;
    listener_reset(io, listener, accepted);
    listener->addr = *addr;
    return io->ops->listen(listener, &chosen);
}

int io_listener_adopt(struct io *io, struct io_listener *listener, int fd,
                      void (*accepted)(struct io_listener *listener))
{
    listener_reset(io, listener, accepted);
    return io->ops->listener_adopt(listener, fd);
}

int io_listener_fd(const struct io_listener *listener)
{
    return listener->io->ops->listener_fd(listener);
}

void io_accept(struct io_listener *listener, struct io_stream *stream)
{
    io_stream_reset(listener->io, stream);
    listener->io->ops->accept(listener, stream);
}

void io_listener_pause(struct io_listener *listener, bool pause)
{
    listener->io->ops->listener_pause(listener, pause);
}

void io_listener_close(struct io_listener *listener)
{
    listener->io->ops->listener_close(listener);
}

/* ---- jobs and files ---------------------------------------------------------------------- */

void io_job_submit(struct io *io, struct io_job *job)
{
    assert(job->run && job->done);
    job->io = io;
    io->ops->job_submit(io, job);
}

int io_file_open(struct io *io, struct io_file *file, const char *path, int flags)
{
    *file = (struct io_file){.io = io, .fd = -1, .direct = flags & IO_DIRECT};
    return io->ops->file_open(file, path, flags);
}

void io_file_close(struct io_file *file)
{
    file->io->ops->file_close(file);
}

int64_t io_file_size(struct io_file *file)
{
    return file->io->ops->file_size(file);
}

static bool aligned(const struct io_file *file, const void *memory, size_t len, uint64_t offset)
{
    return !file->direct || ((uintptr_t)memory | len | offset) % IO_ALIGN == 0;
}

int64_t io_file_read(struct io_file *file, void *buf, size_t size, uint64_t offset)
{
    assert(aligned(file, buf, size, offset));
    return file->io->ops->file_read(file, buf, size, offset);
}

int io_file_write(struct io_file *file, const struct iovec *iov, int count, uint64_t offset)
{
    uint64_t at = offset;
    for (int i = 0; i < count; at += iov[i++].iov_len) {
        assert(aligned(file, iov[i].iov_base, iov[i].iov_len, at));
    }
    return file->io->ops->file_write(file, iov, count, offset);
}

int io_file_sync(struct io_file *file)
{
    return file->io->ops->file_sync(file);
}

int io_file_write_durable(struct io_file *file, const void *data, size_t len, uint64_t offset)
{
    assert(aligned(file, data, len, offset));
    return file->io->ops->file_write_durable(file, data, len, offset);
}

int io_file_truncate(struct io_file *file, uint64_t size)
{
    return file->io->ops->file_truncate(file, size);
}

int io_file_allocate(struct io_file *file, uint64_t size)
{
    return file->io->ops->file_allocate(file, size);
}

int io_rename(struct io *io, const char *from, const char *to)
{
    return io->ops->rename(io, from, to);
}

int io_unlink(struct io *io, const char *path)
{
    return io->ops->unlink(io, path);
}

int io_mkdir(struct io *io, const char *path)
{
    return io->ops->mkdir(io, path);
}

int io_rmdir(struct io *io, const char *path)
{
    return io->ops->rmdir(io, path);
}

int io_sync_dir(struct io *io, const char *path)
{
    return io->ops->sync_dir(io, path);
}

int io_lock_dir(struct io *io, const char *path, struct io_file *ret_lock)
{
    *ret_lock = (struct io_file){.io = io, .fd = -1};
    return io->ops->lock_dir(ret_lock, path);
}

int io_list_dir(struct io *io, const char *path, int (*each)(void *context, const char *name),
                void *context)
{
    return io->ops->list_dir(io, path, each, context);
}

int io_stat(struct io *io, const char *path, uint64_t *ret_size, uint64_t *ret_mtime_ns,
            bool *ret_is_dir)
{
    return io->ops->stat(io, path, ret_size, ret_mtime_ns, ret_is_dir);
}

int io_disk_free(struct io *io, const char *path, uint64_t *ret_bytes)
{
    return io->ops->disk_free(io, path, ret_bytes);
}

/* ---- processes and signals --------------------------------------------------------------- */

static void process_reset(struct io *io, struct io_process *process,
                          void (*exited)(struct io_process *process, int status))
{
    assert(exited);
    *process = (struct io_process){.io = io, .pid = -1, .pidfd = -1, .exited = exited};
    list_init(&process->link);
}

int io_spawn(struct io *io, struct io_process *process, const struct io_spawn_options *options,
             void (*exited)(struct io_process *process, int status), struct error *error)
{
    process_reset(io, process, exited);
    return io->ops->spawn(process, options, error);
}

int io_process_watch(struct io *io, struct io_process *process, int pid,
                     void (*exited)(struct io_process *process, int status))
{
    process_reset(io, process, exited);
    return io->ops->process_watch(process, pid);
}

int io_kill(struct io_process *process, int signal)
{
    return process->io->ops->kill(process, signal);
}

void io_process_release(struct io_process *process)
{
    process->io->ops->process_release(process);
}

int io_signal_watch(struct io *io, struct io_signal *watch, int signal,
                    void (*arrived)(struct io_signal *watch))
{
    assert(arrived);
    *watch = (struct io_signal){.arrived = arrived, .signal = signal};
    list_init(&watch->link);
    return io->ops->signal_watch(io, watch);
}

void io_signal_release(struct io *io, struct io_signal *watch)
{
    io->ops->signal_release(io, watch);
}
