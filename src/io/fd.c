/* What needs no loop: descriptors, and what this process uses. */
#include "io/epoll.h"

#include <errno.h>
#include <stdio.h>
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
    unsigned long long size, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    if (fscanf(file, "%llu %llu", &size, &resident) != 2) resident = 0;
    fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
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
