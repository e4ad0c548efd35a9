/* What needs no loop: descriptors, and what this process uses. */
#include "io/epoll.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

int io_socket_pair(int ret_fds[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds) ? err_from_errno(errno) : 0;
}

void io_fd_close(int fd)
{
    if (fd >= 0) close(fd);
}

static uint64_t time_ns(struct timeval time)
{
    return ((uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_usec) * 1000;
}

/* The second number of statm is the resident set, in pages (proc(5)). */
static uint64_t resident_bytes(void)
{
    char text[128];
    uint64_t pages = 0;
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return 0;
    ssize_t len = read(fd, text, sizeof text);
    close(fd);
    struct bytes rest = bytes_make(text, len > 0 ? (size_t)len : 0);
    bytes_cut(&rest, ' ');
    if (bytes_to_u64(bytes_cut(&rest, ' '), UINT64_MAX, &pages)) return 0;
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void epoll_usage(struct io_usage *ret_usage)
{
    struct rusage usage = {0};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    getrusage(RUSAGE_SELF, &usage);
    ret_usage->cpu_ns = time_ns(usage.ru_utime) + time_ns(usage.ru_stime);
    ret_usage->resident_bytes = resident_bytes();
    if (cores > 0) ret_usage->cores = (unsigned)cores;
}
