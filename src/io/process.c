/* process: child processes and others, watched by pidfd. The pid of a child stays ours until we
 * have waited for it, and that happens after `exited`; so inside `exited` what is left of its group
 * may still be signalled, and never a stranger. */
#include "io/epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

static int watch(struct io_process *process, int pid)
{
    int fd = pidfd_open(pid, 0);
    if (fd < 0) return err_from_errno(errno);
    int err = epoll_add(epoll_of(process->io), fd, EPOLLIN, process, EPOLL_PROCESS);
    if (err) {
        close(fd);
        return err;
    }
    process->pidfd = fd;
    process->pid = pid;
    return 0;
}

int epoll_process_watch(struct io_process *process, int pid)
{
    if (pid <= 0) return ERR_INVALID;
    return watch(process, pid);
}

/* Makes `stream` the reading end of a new pipe; returns the writing end. */
static int open_pipe(struct io *io, struct io_stream *stream, int *ret_write_fd)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC)) return err_from_errno(errno);
    int err = io_stream_adopt(io, stream, fds[0]);
    if (err) {
        close(fds[0]);
        close(fds[1]);
        return err;
    }
    *ret_write_fd = fds[1];
    return 0;
}

static void close_pipe(struct io_stream *stream, int *write_fd)
{
    if (*write_fd < 0) return;
    close(*write_fd);
    *write_fd = -1;
    io_close(stream, NULL);
}

int epoll_spawn(struct io_process *process, const struct io_spawn_options *options,
                struct error *error)
{
    struct io *io = process->io;
    int out = -1, err_fd = -1, pid, err = 0;
    bool shared = options->err && options->err == options->out;
    if (options->out) err = open_pipe(io, options->out, &out);
    if (!err && options->err && !shared) err = open_pipe(io, options->err, &err_fd);
    if (err) {
        error_set(error, err, "cannot make the output pipe of \"%s\": %s", options->argv[0],
                  err_text(err));
        goto fail;
    }
    err = epoll_fork(options, out, shared ? out : err_fd, &pid, error);
    if (err) goto fail;
    err = watch(process, pid);
    if (err) {
        kill(-pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) continue;
        error_set(error, err, "cannot watch \"%s\": %s", options->argv[0], err_text(err));
        goto fail;
    }
    if (out >= 0) close(out);
    if (err_fd >= 0) close(err_fd);
    return 0;

fail:
    close_pipe(options->out, &out);
    close_pipe(options->err, &err_fd);
    return err;
}

/* As in waitpid(2), without taking the process away; -1 for one that is not our child. */
static int exit_status(int pidfd)
{
    siginfo_t info = {0};
    int returned;
    do returned = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG | WNOWAIT);
    while (returned < 0 && errno == EINTR);
    if (returned < 0 || !info.si_pid) return -1;
    if (info.si_code == CLD_EXITED) return W_EXITCODE(info.si_status, 0);
    return W_EXITCODE(0, info.si_status) | (info.si_code == CLD_DUMPED ? WCOREFLAG : 0);
}

/* The owner may free or start the process again in `exited`, so nothing of it is used after. */
int epoll_run_processes(struct epoll *epoll)
{
    int ran = 0;
    for (struct list *link; (link = list_pop(&epoll->processes)); ran++) {
        struct io_process *process = CONTAINER_OF(link, struct io_process, link);
        int pidfd = process->pidfd, status = exit_status(pidfd);
        process->pidfd = -1;
        epoll->exiting = status >= 0 ? process : NULL;
        process->exited(process, status);
        epoll->exiting = NULL;
        if (status >= 0) waitid(P_PIDFD, (id_t)pidfd, NULL, WEXITED | WNOHANG);
        epoll_close(epoll, pidfd);
    }
    return ran;
}

/* A process that leads no group, which one that we did not start may be, is signalled alone. */
int epoll_kill(struct io_process *process, int signal)
{
    bool exiting = epoll_of(process->io)->exiting == process;
    if (process->pidfd < 0 && !exiting) return ERR_NOT_FOUND;
    if (kill(-process->pid, signal) == 0) return 0;
    if (errno != ESRCH || process->pidfd < 0) return err_from_errno(errno);
    return pidfd_send_signal(process->pidfd, signal, NULL, 0) ? err_from_errno(errno) : 0;
}

void epoll_process_release(struct io_process *process)
{
    if (process->pidfd < 0) return;
    list_remove(&process->link);
    epoll_close(epoll_of(process->io), process->pidfd);
    process->pidfd = -1;
}
