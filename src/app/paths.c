#include "app/paths.h"

#include "app/cli.h"
#include "base/err.h"
#include "io/io.h"

#include <stdio.h>
#include <string.h>

static void below(char *ret_path, const char *dir, const char *name)
{
    snprintf(ret_path, PATH_MAX, "%.3900s/%s", dir, name);
}

int paths_init(struct paths *paths, const char *dir)
{
    snprintf(paths->dir, sizeof paths->dir, "%s", dir);
    below(paths->state, dir, ".dure");
    below(paths->logs, paths->state, "log");
    below(paths->store, paths->state, "store");
    below(paths->data, paths->state, "data");
    below(paths->access, paths->logs, "access.jsonl");
    int len = snprintf(paths->admin, sizeof paths->admin, "%s/admin.sock", paths->state);
    return len < (int)sizeof paths->admin ? 0 : ERR_TOO_BIG;
}

int paths_find(const char *dir, struct paths *ret_paths)
{
    char path[PATH_MAX];
    struct error error = {0};
    int err = cli_system_dir(dir, path);
    if (!err) err = paths_init(ret_paths, path);
    if (!err) return EXIT_OK;
    error_set(&error, err, "the folder %s cannot be used: %s", dir ? dir : ".", err_text(err));
    return cli_fail(EXIT_FAILED, &error);
}
