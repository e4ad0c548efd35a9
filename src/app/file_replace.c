#include "app/file_replace.h"

#include "app/cli.h"

#include <limits.h>
#include <stdio.h>

static void folder_of(const char *path, char ret_folder[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    int len = slash ? (int)(slash - path) : 0;
    snprintf(ret_folder, PATH_MAX, "%.*s", slash ? (len ? len : 1) : 1, slash ? path : ".");
}

int file_replace(const char *part, const char *path)
{
    char folder[PATH_MAX];
    struct io_file file;
    struct io *io = cli_io();
    int err = io_file_open(io, &file, part, IO_WRITE);
    if (!err) {
        err = io_file_sync(&file);
        io_file_close(&file);
    }
    folder_of(path, folder);
    if (!err) err = io_rename(io, part, path);
    if (!err) err = io_sync_dir(io, folder);
    io_free(io);
    return err;
}

void file_discard(const char *part)
{
    struct io *io = cli_io();
    io_unlink(io, part); /* it is in nobody's way */
    io_free(io);
}
