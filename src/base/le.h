/* le: integers as little-endian bytes, as file formats hold them. No alignment is asked for. */
#ifndef DURE_BASE_LE_H
#define DURE_BASE_LE_H

#include <endian.h>
#include <stdint.h>
#include <string.h>

static inline void le_put32(char *at, uint32_t value)
{
    value = htole32(value);
    memcpy(at, &value, sizeof value);
}

static inline void le_put64(char *at, uint64_t value)
{
    value = htole64(value);
    memcpy(at, &value, sizeof value);
}

static inline uint32_t le_get32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return le32toh(value);
}

static inline uint64_t le_get64(const char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return le64toh(value);
}

#endif
