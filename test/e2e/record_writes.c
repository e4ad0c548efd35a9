/* record_writes: preloaded into a program (LD_PRELOAD), writes down all that it does to the disk
 * and what it says to stdout, in order, into the file $RECORD_WRITES. test_store_power.py makes
 * from it what a power failure at any moment could have left.
 *
 * Only paths below $RECORD_BELOW are written down. What asks for durability has two events, before
 * and after: what was written before the first is on the disk after the second. Each event is the
 * struct below, then the path, the second path and the data. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
    OPENED = 1, /* file; path; offset 1: made by this, 2: cut to nothing */
    WROTE,      /* file, offset; data */
    RESIZED,    /* file, offset: its size now */
    GROWN,      /* file, offset: at least this large now */
    SYNC_BEGINS,
    SYNC_ENDS,
    DURABLE_BEGINS, /* file, offset; data */
    DURABLE_ENDS,
    DIR_SYNC_BEGINS, /* path */
    DIR_SYNC_ENDS,
    RENAMED, /* path, second path */
    REMOVED, /* path */
    MADE_DIR,
    SAID, /* data */
};

struct event {
    uint32_t kind, path_len, second_len, data_len;
    uint64_t number; /* pairs beginnings and ends */
    uint64_t file, offset;
};

enum { FDS = 4096, PATH = 512 };

#pragma GCC visibility push(default)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int out = -1;
static uint64_t next_number;
static const char *below;
static char dirs[FDS][PATH];
static uint64_t files[FDS]; /* inode; 0: not ours */

static int (*real_open)(const char *, int, ...);
static ssize_t (*real_write)(int, const void *, size_t);

__attribute__((constructor)) static void start(void)
{
    *(void **)&real_open = dlsym(RTLD_NEXT, "open64");
    *(void **)&real_write = dlsym(RTLD_NEXT, "write");
    below = getenv("RECORD_BELOW");
    const char *path = getenv("RECORD_WRITES");
    if (path) out = real_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

static void put(const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = real_write(out, at, len);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) abort();
        at += n;
        len -= (size_t)n;
    }
}

static uint64_t note(struct event event, const char *path, const char *second,
                     const struct iovec *iov, int count, size_t len)
{
    if (out < 0) return 0;
    int saved = errno;
    event.path_len = path ? (uint32_t)strlen(path) : 0;
    event.second_len = second ? (uint32_t)strlen(second) : 0;
    event.data_len = (uint32_t)len;
    pthread_mutex_lock(&lock);
    if (!event.number) event.number = ++next_number;
    put(&event, sizeof event);
    put(path, event.path_len);
    put(second, event.second_len);
    for (int i = 0; i < count && len > 0; i++) {
        size_t part = iov[i].iov_len < len ? iov[i].iov_len : len;
        put(iov[i].iov_base, part);
        len -= part;
    }
    pthread_mutex_unlock(&lock);
    errno = saved;
    return event.number;
}

static int ours(const char *path)
{
    return below && strncmp(path, below, strlen(below)) == 0;
}

static uint64_t file_of(int fd)
{
    return fd >= 0 && fd < FDS ? files[fd] : 0;
}

#define REAL(type, name, ...)         \
    static type (*real)(__VA_ARGS__); \
    if (!real) *(void **)&real = dlsym(RTLD_NEXT, name)

int open64(const char *path, int flags, ...);
int open64(const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    int mode = flags & O_CREAT ? va_arg(list, int) : 0;
    va_end(list);
    struct stat status;
    int was_there = ours(path) && stat(path, &status) == 0;
    int fd = real_open(path, flags, mode);
    if (fd < 0 || fd >= FDS || !ours(path) || fstat(fd, &status)) return fd;
    snprintf(dirs[fd], PATH, "%s", path);
    if (S_ISDIR(status.st_mode)) return fd;
    files[fd] = status.st_ino;
    uint64_t how = was_there ? flags & O_TRUNC ? 2 : 0 : 1;
    note((struct event){.kind = OPENED, .file = status.st_ino, .offset = how}, path, NULL, NULL, 0,
         0);
    return fd;
}

int close(int fd)
{
    REAL(int, "close", int);
    if (fd >= 0 && fd < FDS) files[fd] = 0;
    if (fd >= 0 && fd < FDS) dirs[fd][0] = '\0';
    return real(fd);
}

ssize_t write(int fd, const void *data, size_t len)
{
    ssize_t n = real_write(fd, data, len);
    struct iovec iov = {(void *)data, len};
    if (fd == STDOUT_FILENO && n > 0)
        note((struct event){.kind = SAID}, NULL, NULL, &iov, 1, (size_t)n);
    return n;
}

static void wrote(int fd, off_t offset, const struct iovec *iov, int count, ssize_t n)
{
    if (n <= 0 || !file_of(fd)) return;
    note((struct event){.kind = WROTE, .file = file_of(fd), .offset = (uint64_t)offset}, NULL, NULL,
         iov, count, (size_t)n);
}

ssize_t pwrite64(int fd, const void *data, size_t len, off_t offset);
ssize_t pwrite64(int fd, const void *data, size_t len, off_t offset)
{
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
    ssize_t n = real(fd, data, len, offset);
    struct iovec iov = {(void *)data, len};
    wrote(fd, offset, &iov, 1, n);
    return n;
}

ssize_t pwritev64(int fd, const struct iovec *iov, int count, off_t offset);
ssize_t pwritev64(int fd, const struct iovec *iov, int count, off_t offset)
{
    REAL(ssize_t, "pwritev64", int, const struct iovec *, int, off_t);
    ssize_t n = real(fd, iov, count, offset);
    wrote(fd, offset, iov, count, n);
    return n;
}

ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off_t offset, int flags);
ssize_t pwritev64v2(int fd, const struct iovec *iov, int count, off_t offset, int flags)
{
    REAL(ssize_t, "pwritev64v2", int, const struct iovec *, int, off_t, int);
    size_t len = 0;
    for (int i = 0; i < count; i++) len += iov[i].iov_len;
    if (!(flags & RWF_DSYNC)) {
        ssize_t cached = real(fd, iov, count, offset, flags);
        wrote(fd, offset, iov, count, cached);
        return cached;
    }
    struct event event = {.kind = DURABLE_BEGINS, .file = file_of(fd), .offset = (uint64_t)offset};
    if (event.file) event.number = note(event, NULL, NULL, iov, count, len);
    ssize_t n = real(fd, iov, count, offset, flags);
    event.kind = DURABLE_ENDS;
    if (event.file && n == (ssize_t)len) note(event, NULL, NULL, NULL, 0, 0);
    return n;
}

int ftruncate64(int fd, off_t size);
int ftruncate64(int fd, off_t size)
{
    REAL(int, "ftruncate64", int, off_t);
    int r = real(fd, size);
    const struct event event = {.kind = RESIZED, .file = file_of(fd), .offset = (uint64_t)size};
    if (r == 0 && event.file) note(event, NULL, NULL, NULL, 0, 0);
    return r;
}

int posix_fallocate64(int fd, off_t offset, off_t len);
int posix_fallocate64(int fd, off_t offset, off_t len)
{
    REAL(int, "posix_fallocate64", int, off_t, off_t);
    int r = real(fd, offset, len);
    const struct event event = {
        .kind = GROWN, .file = file_of(fd), .offset = (uint64_t)(offset + len)};
    if (r == 0 && event.file) note(event, NULL, NULL, NULL, 0, 0);
    return r;
}

static int sync_with(int (*real)(int), int fd)
{
    const char *dir = fd >= 0 && fd < FDS && dirs[fd][0] && !files[fd] ? dirs[fd] : NULL;
    struct event event = {.kind = dir ? DIR_SYNC_BEGINS : SYNC_BEGINS, .file = file_of(fd)};
    if (event.file || dir) event.number = note(event, dir, NULL, NULL, 0, 0);
    int r = real(fd);
    event.kind = dir ? DIR_SYNC_ENDS : SYNC_ENDS;
    if (r == 0 && (event.file || dir)) note(event, dir, NULL, NULL, 0, 0);
    return r;
}

int fdatasync(int fd)
{
    REAL(int, "fdatasync", int);
    return sync_with(real, fd);
}

int fsync(int fd)
{
    REAL(int, "fsync", int);
    return sync_with(real, fd);
}

int rename(const char *from, const char *to)
{
    REAL(int, "rename", const char *, const char *);
    int r = real(from, to);
    if (r == 0 && ours(to)) note((struct event){.kind = RENAMED}, from, to, NULL, 0, 0);
    return r;
}

int unlink(const char *path)
{
    REAL(int, "unlink", const char *);
    int r = real(path);
    if (r == 0 && ours(path)) note((struct event){.kind = REMOVED}, path, NULL, NULL, 0, 0);
    return r;
}

int mkdir(const char *path, mode_t mode)
{
    REAL(int, "mkdir", const char *, mode_t);
    int r = real(path, mode);
    if (r == 0 && ours(path)) note((struct event){.kind = MADE_DIR}, path, NULL, NULL, 0, 0);
    return r;
}
