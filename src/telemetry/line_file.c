#include "telemetry/line_file.h"

#include <stdio.h>

enum { FLUSH_MS = 200, FLUSH_BYTES = 64 * 1024 };

static void flush(struct line_file *file);

/* On the pool's thread: owns everything of the file but `pending`. */
static int append(struct line_file *file)
{
    if (file->open && file->size >= LINE_FILE_MAX) {
        char older[sizeof file->path + 2];
        snprintf(older, sizeof older, "%s.1", file->path);
        io_file_close(&file->file);
        file->open = false;
        int err = io_rename(file->io, file->path, older);
        if (err) return err;
    }
    if (!file->open) {
        int err = io_file_open(file->io, &file->file, file->path, IO_WRITE | IO_CREATE);
        if (err) return err;
        int64_t size = io_file_size(&file->file);
        file->size = size > 0 ? (uint64_t)size : 0;
        file->open = true;
    }
    struct bytes bytes = buf_bytes(&file->writing);
    struct iovec iov = {(void *)bytes.data, bytes.len};
    int err = io_file_write(&file->file, &iov, 1, file->size);
    if (!err) file->size += bytes.len;
    return err;
}

static void run(struct io_job *job)
{
    struct line_file *file = CONTAINER_OF(job, struct line_file, job);
    file->result = append(file);
}

static void finish(struct line_file *file)
{
    io_timer_cancel(file->io, &file->timer);
    if (file->open) io_file_close(&file->file);
    buf_release(&file->pending);
    buf_release(&file->writing);
    if (file->closed) file->closed(file->context);
}

static uint64_t count_lines(struct bytes bytes)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < bytes.len; i++) lines += bytes.data[i] == '\n';
    return lines;
}

static void done(struct io_job *job)
{
    struct line_file *file = CONTAINER_OF(job, struct line_file, job);
    file->busy = false;
    if (file->result) file->dropped += count_lines(buf_bytes(&file->writing));
    buf_clear(&file->writing);
    if (buf_len(&file->pending))
        flush(file);
    else if (file->closing)
        finish(file);
}

static void flush(struct line_file *file)
{
    if (file->busy) return;
    struct buf full = file->pending;
    file->pending = file->writing;
    file->writing = full;
    file->busy = true;
    file->job = (struct io_job){.run = run, .done = done};
    io_job_submit(file->io, &file->job);
}

static void flush_due(struct io_timer *timer)
{
    struct line_file *file = CONTAINER_OF(timer, struct line_file, timer);
    if (buf_len(&file->pending)) flush(file);
}

int line_file_init(struct line_file *file, struct io *io, const char *path)
{
    *file = (struct line_file){.io = io};
    int len = snprintf(file->path, sizeof file->path, "%s", path);
    if (len >= (int)sizeof file->path - 2) return ERR_TOO_BIG;
    buf_init(&file->pending, LINE_FILE_PENDING_MAX);
    buf_init(&file->writing, LINE_FILE_PENDING_MAX);
    io_timer_init(&file->timer, flush_due);
    return 0;
}

void line_file_add(struct line_file *file, struct bytes line)
{
    if (file->closing || buf_len(&file->pending) + line.len > LINE_FILE_PENDING_MAX) {
        file->dropped++;
        return;
    }
    buf_append(&file->pending, line);
    if (file->pending.failed) { /* memory, not the limit: what was appended before is whole */
        file->pending.failed = false;
        file->dropped++;
    }
    if (buf_len(&file->pending) >= FLUSH_BYTES)
        flush(file);
    else if (!file->timer.armed)
        io_timer_set(file->io, &file->timer, FLUSH_MS);
}

void line_file_close(struct line_file *file, void (*closed)(void *context), void *context)
{
    file->closing = true;
    file->closed = closed;
    file->context = context;
    if (file->busy) return;
    if (buf_len(&file->pending))
        flush(file);
    else
        finish(file);
}
