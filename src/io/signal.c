/* signal: signals as events, by a signalfd that all watches share. The signals are blocked in the
 * loop's thread and in those that it starts; one that a thread of somebody else does not block
 * would still have its default effect there. */
#include "io/epoll.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

static bool is_watched(struct epoll *epoll, int signal)
{
    LIST_EACH(&epoll->signals, struct io_signal, link, watch)
        if (watch->signal == signal) return true;
    return false;
}

/* Makes the signalfd report exactly the signals that are watched, and `also` (0: nothing). */
static int update(struct epoll *epoll, int also)
{
    sigset_t set;
    sigemptyset(&set);
    if (also) sigaddset(&set, also);
    LIST_EACH(&epoll->signals, struct io_signal, link, watch) sigaddset(&set, watch->signal);
    int fd = signalfd(epoll->signal_fd, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) return err_from_errno(errno);
    if (epoll->signal_fd >= 0) return 0;
    int err = epoll_add(epoll, fd, EPOLLIN | EPOLLET, epoll, EPOLL_SIGNALS);
    if (err)
        close(fd);
    else
        epoll->signal_fd = fd;
    return err;
}

static void set_blocked(int how, int signal)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    pthread_sigmask(how, &set, NULL);
}

int epoll_signal_watch(struct io *io, struct io_signal *watch)
{
    struct epoll *epoll = epoll_of(io);
    int signal = watch->signal;
    if (signal < 1 || signal > SIGRTMAX || signal == SIGKILL || signal == SIGSTOP)
        return ERR_INVALID;
    int err = update(epoll, signal);
    if (err) return err;
    set_blocked(SIG_BLOCK, signal);
    list_push(&epoll->signals, &watch->link);
    return 0;
}

void epoll_signal_release(struct io *io, struct io_signal *watch)
{
    struct epoll *epoll = epoll_of(io);
    if (!list_linked(&watch->link)) return;
    if (epoll->signal_next == &watch->link) epoll->signal_next = watch->link.next;
    list_remove(&watch->link);
    if (is_watched(epoll, watch->signal)) return;
    update(epoll, 0);
    set_blocked(SIG_UNBLOCK, watch->signal);
}

/* A call may release any watch, also the one that would be next: epoll_signal_release moves
 * signal_next on. */
static int deliver(struct epoll *epoll, uint64_t arrived)
{
    int ran = 0;
    epoll->signal_next = epoll->signals.next;
    while (epoll->signal_next != &epoll->signals) {
        struct io_signal *watch = CONTAINER_OF(epoll->signal_next, struct io_signal, link);
        epoll->signal_next = watch->link.next;
        if (!(arrived >> (watch->signal - 1) & 1)) continue;
        watch->arrived(watch);
        ran++;
    }
    return ran;
}

int epoll_run_signals(struct epoll *epoll)
{
    if (!epoll->signals_pending) return 0;
    epoll->signals_pending = false;
    struct signalfd_siginfo infos[8];
    uint64_t arrived = 0;
    ssize_t got;
    while ((got = read(epoll->signal_fd, infos, sizeof infos)) > 0)
        for (size_t i = 0; i < (size_t)got / sizeof infos[0]; i++)
            arrived |= 1ull << (infos[i].ssi_signo - 1);
    return arrived ? deliver(epoll, arrived) : 0;
}
