/* paths: where a running system keeps what, below its folder. */
#ifndef DURE_APP_PATHS_H
#define DURE_APP_PATHS_H

#include <limits.h>

struct paths {
    char dir[PATH_MAX];    /* absolute; holds dure.yaml */
    char state[PATH_MAX];  /* DIR/.dure */
    char logs[PATH_MAX];   /* .../log */
    char store[PATH_MAX];  /* .../store */
    char data[PATH_MAX];   /* .../data */
    char admin[108];       /* .../admin.sock; fits a Unix address */
    char access[PATH_MAX]; /* .../log/access.jsonl */
};

/* `dir` is absolute. ERR_TOO_BIG when it is too long for a Unix socket below it. */
int paths_init(struct paths *paths, const char *dir);

/* Of the system that a command is about: `dir`, or the current folder when NULL. Returns an exit
 * code; on any but EXIT_OK stderr has the reason. */
int paths_find(const char *dir, struct paths *ret_paths);

#endif
