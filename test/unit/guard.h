/* guard: copies of bytes that end exactly where readable memory ends, so that a parser which reads
 * one byte too many dies. */
#ifndef DURE_TEST_GUARD_H
#define DURE_TEST_GUARD_H

#include "base/bytes.h"

#include <assert.h>
#include <sys/mman.h>
#include <unistd.h>

struct guard {
    char *map, *end; /* `end`: the first byte that cannot be read */
    size_t size;     /* readable bytes */
};

static inline void guard_init(struct guard *guard, size_t size)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    guard->size = (size + page - 1) / page * page;
    guard->map =
        mmap(NULL, guard->size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(guard->map != MAP_FAILED);
    guard->end = guard->map + guard->size;
    assert(mprotect(guard->end, page, PROT_NONE) == 0);
}

static inline void guard_release(struct guard *guard)
{
    munmap(guard->map, guard->size + (size_t)sysconf(_SC_PAGESIZE));
}

/* A copy of `bytes` directly before the guard page; valid until the next call. */
static inline struct bytes guard_bytes(struct guard *guard, struct bytes bytes)
{
    assert(bytes.len <= guard->size);
    char *at = guard->end - bytes.len;
    if (bytes.len) memcpy(at, bytes.data, bytes.len);
    return bytes_make(at, bytes.len);
}

#endif
