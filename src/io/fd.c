#include "io/io.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

int io_socket_pair(int ret_fds[2])
{
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret_fds) ? err_from_errno(errno) : 0;
}

void io_fd_close(int fd)
{
    if (fd >= 0) close(fd);
}
