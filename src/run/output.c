#include "run/output.h"

#include "base/jsonw.h"
#include "base/timestamp.h"

#include <stdio.h>
#include <stdlib.h>

static int reopen(struct output_file *file)
{
    int err = io_file_open(file->io, &file->file, file->path, IO_WRITE | IO_CREATE);
    if (err) return err;
    int64_t size = io_file_size(&file->file);
    file->open = true;
    file->size = size > 0 ? (uint64_t)size : 0;
    return 0;
}

int output_file_open(struct io *io, const char *logs, const char *service,
                     struct output_file **ret_file)
{
    struct output_file *file = calloc(1, sizeof *file);
    if (!file) return ERR_NOMEM;
    file->io = io;
    file->users = 1;
    int path = snprintf(file->path, sizeof file->path, "%s/%s.log", logs, service);
    int name = snprintf(file->service, sizeof file->service, "%s", service);
    bool fits = path < (int)sizeof file->path - 2 && name < (int)sizeof file->service;
    int err = fits ? reopen(file) : ERR_TOO_BIG;
    if (err)
        free(file);
    else
        *ret_file = file;
    return err;
}

struct output_file *output_file_ref(struct output_file *file)
{
    file->users++;
    return file;
}

void output_file_unref(struct output_file *file)
{
    if (!file || --file->users) return;
    if (file->open) io_file_close(&file->file);
    free(file);
}

static void rotate(struct output_file *file)
{
    char older[sizeof file->path + 2];
    snprintf(older, sizeof older, "%s.1", file->path);
    io_file_close(&file->file);
    file->open = false;
    int err = io_rename(file->io, file->path, older);
    if (!err) err = reopen(file);
    if (err) file->dropped++;
}

void output_file_write(struct output_file *file, const char *instance, const char *stream,
                       struct bytes line)
{
    if (file->open && file->size >= OUTPUT_FILE_MAX) rotate(file);
    if (!file->open && reopen(file) != 0) {
        file->dropped++;
        return;
    }
    char time[TIMESTAMP_TEXT];
    timestamp_format(io_wall_ns(file->io), time);
    struct buf text;
    buf_init(&text, 8 * OUTPUT_LINE_MAX);
    struct jsonw json;
    jsonw_init(&json, &text);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "time", time);
    jsonw_cstr(&json, "service", file->service);
    jsonw_cstr(&json, "instance", instance);
    jsonw_cstr(&json, "stream", stream);
    jsonw_str(&json, "line", line);
    jsonw_object_end(&json);
    buf_append_char(&text, '\n');
    struct iovec iov = {text.data, buf_len(&text)};
    if (text.failed || io_file_write(&file->file, &iov, 1, file->size) != 0)
        file->dropped++;
    else
        file->size += iov.iov_len;
    buf_release(&text);
}

static void line_done(struct output *output)
{
    struct bytes line = buf_bytes(&output->line);
    if (line.len && line.data[line.len - 1] == '\r') line.len--;
    output_file_write(output->file, output->instance, output->name, line);
    buf_clear(&output->line);
    output->cutting = false;
}

static void take(struct output *output, struct bytes part)
{
    if (output->cutting) return;
    size_t room = OUTPUT_LINE_MAX - buf_len(&output->line);
    buf_append(&output->line, bytes_head(part, room));
    if (part.len <= room) return;
    output->cutting = true;
    buf_append(&output->line, BYTES("..."));
}

static void ended(struct io_stream *stream)
{
    struct output *output = CONTAINER_OF(stream, struct output, stream);
    buf_release(&output->line);
    output_file_unref(output->file);
    output->ended(output);
}

static void received(struct io_stream *stream, int result)
{
    struct output *output = CONTAINER_OF(stream, struct output, stream);
    if (result <= 0) {
        if (buf_len(&output->line)) line_done(output);
        io_close(stream, ended);
        return;
    }
    struct bytes rest = bytes_make(io_recv_data(stream), (size_t)result);
    while (rest.len) {
        size_t len = bytes_find(rest, '\n');
        take(output, bytes_head(rest, len));
        if (len == rest.len) break;
        line_done(output);
        rest = bytes_skip(rest, len + 1);
    }
    io_recv(stream, NULL, 0, received);
}

void output_start(struct output *output, struct output_file *file, const char *instance,
                  const char *name, void (*ended_done)(struct output *output))
{
    output->file = output_file_ref(file);
    output->instance = instance;
    output->name = name;
    output->cutting = false;
    output->ended = ended_done;
    buf_init(&output->line, OUTPUT_LINE_MAX + 8);
    io_recv(&output->stream, NULL, 0, received);
}
