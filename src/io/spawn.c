/* spawn: fork and exec. Everything that allocates happens before the fork; the child makes only
 * calls that are safe between fork and exec, and reports the first that fails through a pipe that
 * a successful exec closes. So epoll_fork returns when the program runs, or with the reason why it
 * does not. */
#include "io/epoll.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FDS_MAX = 64, CHILD_FD_MAX = 4096 };

enum stage { STAGE_PARENT, STAGE_FDS, STAGE_DIR, STAGE_EXEC };

struct report {
    enum stage stage;
    int errnum;
};

struct plan {
    const struct io_spawn_options *options;
    char *programs; /* paths to try in turn, each ended by NUL; an empty one ends */
    int out, err;   /* become 1 and 2; -1: inherited */
    int report_fd;
    pid_t parent;
    sigset_t signals; /* the parent's mask */
};

/* ---- in the child ------------------------------------------------------------------------ */

static _Noreturn void give_up(const struct plan *plan, enum stage stage, int errnum)
{
    struct report report = {stage, errnum};
    ssize_t wrote;
    do wrote = write(plan->report_fd, &report, sizeof report);
    while (wrote < 0 && errno == EINTR);
    _exit(127);
}

static void reset_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;
    sigemptyset(&none);
    for (int signal = 1; signal <= SIGRTMAX; signal++) sigaction(signal, &action, NULL);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Any child number may be a number that is in use here for something that is still needed. So all
 * sources first move above every child number; then everything is marked to be closed by exec; then
 * the copies are made at the child's numbers, which clears the mark of those alone. */
static int wire_fds(struct plan *plan)
{
    const struct io_spawn_options *options = plan->options;
    struct io_fd_map maps[FDS_MAX + 3];
    size_t count = 0;
    int above = 3;
    maps[count++] = (struct io_fd_map){open("/dev/null", O_RDWR | O_CLOEXEC), 0};
    if (plan->out >= 0) maps[count++] = (struct io_fd_map){plan->out, 1};
    if (plan->err >= 0) maps[count++] = (struct io_fd_map){plan->err, 2};
    for (size_t i = 0; i < options->fd_count; i++) {
        maps[count++] = options->fds[i];
        if (options->fds[i].child >= above) above = options->fds[i].child + 1;
    }
    int report_fd = fcntl(plan->report_fd, F_DUPFD_CLOEXEC, above);
    if (report_fd < 0) return errno;
    plan->report_fd = report_fd;
    for (size_t i = 0; i < count; i++) {
        maps[i].parent = fcntl(maps[i].parent, F_DUPFD_CLOEXEC, above);
        if (maps[i].parent < 0) return errno;
    }
    if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC)) return errno;
    for (size_t i = 0; i < count; i++)
        if (dup2(maps[i].parent, maps[i].child) < 0) return errno;
    return 0;
}

/* As execvp(3) does, a program that may not be executed is the answer only when no later folder has
 * one that may. */
static int execute(const struct plan *plan)
{
    int errnum = ENOENT;
    for (const char *path = plan->programs; *path; path += strlen(path) + 1) {
        execve(path, (char *const *)plan->options->argv, (char *const *)plan->options->envp);
        if (errno == EACCES)
            errnum = EACCES;
        else if (errno != ENOENT && errno != ENOTDIR)
            return errno;
    }
    return errnum;
}

static _Noreturn void child(struct plan *plan)
{
    const struct io_spawn_options *options = plan->options;
    setpgid(0, 0);
    reset_signals();
    if (options->die_signal) {
        prctl(PR_SET_PDEATHSIG, options->die_signal);
        if (getppid() != plan->parent) give_up(plan, STAGE_PARENT, ESRCH);
    }
    int errnum = wire_fds(plan);
    if (errnum) give_up(plan, STAGE_FDS, errnum);
    if (options->dir && chdir(options->dir)) give_up(plan, STAGE_DIR, errno);
    give_up(plan, STAGE_EXEC, execute(plan));
}

/* ---- in the parent ----------------------------------------------------------------------- */

static struct bytes search_path(const struct io_spawn_options *options)
{
    for (const char *const *env = options->envp; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0) return bytes_str(*env + 5);
    return BYTES("/usr/local/bin:/usr/bin:/bin");
}

/* The paths at which argv[0] may be: one, or one for each folder of PATH. */
static char *list_programs(const struct io_spawn_options *options)
{
    struct bytes name = bytes_str(options->argv[0]), rest = search_path(options);
    bool search = bytes_find(name, '/') == name.len;
    size_t folders = 1;
    for (size_t i = 0; i < rest.len; i++) folders += rest.data[i] == ':';
    char *programs = malloc(rest.len + folders * (name.len + 3) + 1), *at = programs;
    if (!programs) return NULL;
    if (!search) {
        memcpy(programs, name.data, name.len);
        at += name.len;
        *at++ = '\0';
        rest.data = NULL;
    }
    while (rest.data) {
        struct bytes folder = bytes_cut(&rest, ':');
        if (!folder.len) folder = BYTES("."); /* POSIX: an empty element is the working folder */
        memcpy(at, folder.data, folder.len);
        at += folder.len;
        *at++ = '/';
        memcpy(at, name.data, name.len);
        at += name.len;
        *at++ = '\0';
    }
    *at = '\0';
    return programs;
}

static int explain_exec(const struct io_spawn_options *options, int errnum, struct error *error)
{
    const char *program = options->argv[0];
    bool searched = !strchr(program, '/');
    struct bytes path = search_path(options);
    int err = err_from_errno(errnum);
    switch (errnum) {
    case ENOENT:
        if (searched) {
            error_set(error, err, "cannot run \"%s\": no such program in PATH (%.*s)", program,
                      BYTES_ARG(bytes_head(path, 160)));
            error_remedy(error, "Install it, correct the name, or give its path.");
        } else {
            error_set(error, err, "cannot run \"%s\": it or its interpreter does not exist",
                      program);
            error_remedy(error, "Correct the path, or the interpreter in its first line.");
        }
        return err;
    case EACCES:
        error_set(error, err, "cannot run \"%s\": it may not be executed", program);
        error_remedy(error, "Make it executable: chmod +x.");
        return err;
    case ENOEXEC:
        error_set(error, ERR_INVALID, "cannot run \"%s\": not a program for this machine", program);
        error_remedy(error, "A script needs a first line such as #!/bin/sh.");
        return ERR_INVALID;
    default:
        return error_set(error, err, "cannot run \"%s\": %s", program, strerrordesc_np(errnum));
    }
}

static int explain(const struct io_spawn_options *options, const struct report *report,
                   struct error *error)
{
    const char *reason = strerrordesc_np(report->errnum), *program = options->argv[0];
    int err = err_from_errno(report->errnum);
    switch (report->stage) {
    case STAGE_PARENT: return error_set(error, err, "cannot run \"%s\": its parent died", program);
    case STAGE_FDS:
        return error_set(error, err, "cannot hand descriptors to \"%s\": %s", program, reason);
    case STAGE_DIR:
        error_set(error, err, "cannot run \"%s\" in folder \"%s\": %s", program, options->dir,
                  reason);
        error_remedy(error, "Make the folder, or correct its name.");
        return err;
    case STAGE_EXEC: return explain_exec(options, report->errnum, error);
    }
    return ERR_IO;
}

static int check(const struct io_spawn_options *options, struct error *error)
{
    if (!options->argv || !options->argv[0] || !options->argv[0][0])
        return error_set(error, ERR_INVALID, "cannot run a program without a name");
    assert(options->envp);
    if (options->fd_count > FDS_MAX)
        return error_set(error, ERR_TOO_BIG, "cannot hand %zu descriptors to \"%s\": %d at most",
                         options->fd_count, options->argv[0], FDS_MAX);
    for (size_t i = 0; i < options->fd_count; i++)
        if (options->fds[i].child < 0 || options->fds[i].child > CHILD_FD_MAX)
            return error_set(error, ERR_INVALID, "descriptor %d of \"%s\" is not in 0 to %d",
                             options->fds[i].child, options->argv[0], CHILD_FD_MAX);
    return 0;
}

/* All signals are blocked around the fork, so that none of our handlers runs in the child. */
static pid_t fork_child(struct plan *plan)
{
    sigset_t all;
    sigfillset(&all);
    plan->parent = getpid();
    pthread_sigmask(SIG_SETMASK, &all, &plan->signals);
    pid_t pid = fork();
    if (pid == 0) child(plan);
    int errnum = errno;
    pthread_sigmask(SIG_SETMASK, &plan->signals, NULL);
    errno = errnum;
    return pid;
}

int epoll_fork(const struct io_spawn_options *options, int out, int err_fd, int *ret_pid,
               struct error *error)
{
    int pipe_fds[2];
    struct report report;
    ssize_t got;
    int err = check(options, error);
    if (err) return err;
    struct plan plan = {.options = options, .out = out, .err = err_fd};
    plan.programs = list_programs(options);
    if (!plan.programs) return error_set(error, ERR_NOMEM, "out of memory");
    if (pipe2(pipe_fds, O_CLOEXEC)) {
        err = errno;
        free(plan.programs);
        return error_set(error, err_from_errno(err), "cannot start \"%s\": %s", options->argv[0],
                         strerrordesc_np(err));
    }
    plan.report_fd = pipe_fds[1];
    pid_t pid = fork_child(&plan);
    if (pid < 0)
        err = error_set(error, err_from_errno(errno), "cannot start \"%s\": %s", options->argv[0],
                        strerrordesc_np(errno));
    close(pipe_fds[1]);
    free(plan.programs);
    if (pid > 0) {
        do got = read(pipe_fds[0], &report, sizeof report);
        while (got < 0 && errno == EINTR);
        if (got == sizeof report) {
            while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
            err = explain(options, &report, error);
        }
    }
    close(pipe_fds[0]);
    *ret_pid = pid;
    return err;
}
