#include "app/self.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int self_program(char *ret_path)
{
    ssize_t len = readlink("/proc/self/exe", ret_path, PATH_MAX - 1);
    if (len < 0) return err_from_errno(errno);
    ret_path[len] = 0;
    return 0;
}

/* Removes the last element of a path; false when there is none. */
static bool go_up(char *path)
{
    char *slash = strrchr(path, '/');
    if (!slash || slash == path) return false;
    *slash = 0;
    return true;
}

static bool has_header(struct io *io, const char *dir)
{
    char header[PATH_MAX + sizeof "/dure/dure.h"];
    uint64_t size, mtime_ns;
    snprintf(header, sizeof header, "%s/dure/dure.h", dir);
    return io_stat(io, header, &size, &mtime_ns, NULL) == 0;
}

int self_include_dir(struct io *io, char *ret_path)
{
    /* PREFIX/bin/dure; SOURCE/BUILD/src/app/dure, where it is the fourth folder up. */
    static const struct {
        int up;
        const char *folder;
    } places[] = {{2, "include"}, {4, "sdk/include"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        char dir[PATH_MAX];
        int err = self_program(dir);
        if (err) return err;
        int up = 0;
        while (up < places[i].up && go_up(dir)) up++;
        if (up < places[i].up) continue;
        int len = snprintf(ret_path, PATH_MAX, "%s/%s", dir, places[i].folder);
        if (len < PATH_MAX && has_header(io, ret_path)) return 0;
    }
    return ERR_NOT_FOUND;
}
