/* shared: memory that sockets send from without copying it. It is a file in memory: sendfile()
 * hands its pages to a socket's queue instead of their bytes. A page in a queue must not change
 * until the peer has read it, and nobody tells when that is; so the pages of a block are never
 * used again: its room in the file becomes a hole, and the kernel frees each page behind the last
 * queue that holds it. The mapping is for who wants to read the bytes (TLS). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "io/epoll.h"

enum { SLOT_SIZE = 1 << 20, SLOTS = 2048, WORD = 64, PAGE = 4096 };

struct epoll_shared {
    int fd;
    char *base;
    uint64_t used[SLOTS / WORD]; /* a bit for each slot */
};

static const size_t total_size = (size_t)SLOTS * SLOT_SIZE;

static void shared_close(struct epoll_shared *shared)
{
    if (shared->base != MAP_FAILED) munmap(shared->base, total_size);
    if (shared->fd >= 0) close(shared->fd);
    free(shared);
}

/* NULL where the system allows no such file. */
static struct epoll_shared *shared_open(void)
{
    struct epoll_shared *shared = calloc(1, sizeof *shared);
    if (!shared) return NULL;
    shared->base = MAP_FAILED;
    shared->fd = memfd_create("shared", MFD_CLOEXEC);
    if (shared->fd >= 0 && !ftruncate(shared->fd, (off_t)total_size))
        shared->base = mmap(NULL, total_size, PROT_READ, MAP_SHARED | MAP_NORESERVE, shared->fd, 0);
    if (shared->base != MAP_FAILED) return shared;
    shared_close(shared);
    return NULL;
}

/* SLOTS: all are used. */
static size_t take_slot(struct epoll_shared *shared)
{
    for (size_t i = 0; i < SLOTS / WORD; i++) {
        if (shared->used[i] == UINT64_MAX) continue;
        unsigned bit = (unsigned)__builtin_ctzll(~shared->used[i]);
        shared->used[i] |= (uint64_t)1 << bit;
        return i * WORD + bit;
    }
    return SLOTS;
}

static void give_slot(struct epoll_shared *shared, size_t slot, size_t len)
{
    off_t size = (off_t)((len + PAGE - 1) / PAGE * PAGE);
    /* Where no hole can be made the slot is lost: what is in queues must not be overwritten. */
    if (!fallocate(shared->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                   (off_t)(slot * SLOT_SIZE), size))
        shared->used[slot / WORD] &= ~((uint64_t)1 << slot % WORD);
}

static bool write_all(int fd, const char *data, size_t len, size_t offset)
{
    while (len) {
        ssize_t wrote = pwrite(fd, data, len, (off_t)offset);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) return false;
        data += wrote;
        offset += (size_t)wrote;
        len -= (size_t)wrote;
    }
    return true;
}

const char *epoll_shared_new(struct io *io, const void *data, size_t len)
{
    struct epoll *epoll = epoll_of(io);
    if (len > SLOT_SIZE || epoll->no_shared) return NULL;
    if (!epoll->shared) epoll->shared = shared_open();
    epoll->no_shared = !epoll->shared;
    if (epoll->no_shared) return NULL;
    size_t slot = take_slot(epoll->shared);
    if (slot == SLOTS) return NULL;
    if (write_all(epoll->shared->fd, data, len, slot * SLOT_SIZE))
        return epoll->shared->base + slot * SLOT_SIZE;
    give_slot(epoll->shared, slot, len);
    return NULL;
}

void epoll_shared_free(struct io *io, const char *data, size_t len)
{
    struct epoll_shared *shared = epoll_of(io)->shared;
    give_slot(shared, (size_t)(data - shared->base) / SLOT_SIZE, len);
}

void epoll_shared_release(struct epoll *epoll)
{
    if (epoll->shared) shared_close(epoll->shared);
}

bool epoll_is_shared(const struct epoll *epoll, const void *data)
{
    const struct epoll_shared *shared = epoll->shared;
    return shared && (const char *)data >= shared->base &&
           (const char *)data < shared->base + total_size;
}

ssize_t epoll_send_shared(const struct epoll *epoll, int fd, const char *data, size_t len)
{
    off_t offset = data - epoll->shared->base;
    ssize_t wrote;
    do wrote = sendfile(fd, epoll->shared->fd, &offset, len);
    while (wrote < 0 && errno == EINTR);
    return wrote;
}
