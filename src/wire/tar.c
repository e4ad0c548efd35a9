#include "wire/tar.h"

#include <stdio.h>

/* Offsets in a header. */
enum {
    NAME = 0,
    NAME_LEN = 100,
    MODE = 100,
    OWNER = 108,
    GROUP = 116,
    SIZE = 124,
    MTIME = 136,
    CHECKSUM = 148,
    CHECKSUM_LEN = 8,
    TYPE = 156,
    MAGIC = 257,
    PREFIX = 345,
    PREFIX_LEN = 155,
    NUMBER_LEN = 12,
};

static const char magic[8] = {'u', 's', 't', 'a', 'r', '\0', '0', '0'};

static unsigned checksum(const char *header)
{
    unsigned sum = 0;
    for (int i = 0; i < TAR_BLOCK; i++) {
        bool own = i >= CHECKSUM && i < CHECKSUM + CHECKSUM_LEN;
        sum += own ? ' ' : (unsigned char)header[i];
    }
    return sum;
}

static int put_name(char *header, struct bytes name)
{
    if (name.len > NAME_LEN) {
        size_t least = name.len - NAME_LEN - 1; /* what has to go into the prefix */
        size_t slash = least + bytes_find(bytes_skip(name, least), '/');
        if (slash + 1 >= name.len || slash > PREFIX_LEN) return ERR_TOO_BIG;
        memcpy(header + PREFIX, name.data, slash);
        name = bytes_skip(name, slash + 1);
    }
    memcpy(header + NAME, name.data, name.len);
    return 0;
}

int tar_put(struct buf *out, const char *name, struct bytes content, uint64_t mtime_s)
{
    static const char zeros[TAR_BLOCK];
    char header[TAR_BLOCK] = {0}, number[32];
    int r = put_name(header, bytes_str(name));
    if (r < 0) return r;
    snprintf(header + MODE, 8, "%07o", 0600U);
    snprintf(header + OWNER, 8, "%07o", 0U);
    snprintf(header + GROUP, 8, "%07o", 0U);
    snprintf(number, sizeof number, "%011llo", (unsigned long long)content.len);
    memcpy(header + SIZE, number, NUMBER_LEN);
    snprintf(number, sizeof number, "%011llo", (unsigned long long)(mtime_s & 077777777777));
    memcpy(header + MTIME, number, NUMBER_LEN);
    header[TYPE] = '0';
    memcpy(header + MAGIC, magic, sizeof magic);
    snprintf(header + CHECKSUM, CHECKSUM_LEN, "%06o", checksum(header));
    header[CHECKSUM + 7] = ' ';
    buf_append(out, bytes_make(header, sizeof header));
    buf_append(out, content);
    buf_append(out, bytes_make(zeros, tar_room(content.len) - content.len));
    return 0;
}

void tar_put_end(struct buf *out)
{
    static const char zeros[2 * TAR_BLOCK];
    buf_append(out, bytes_make(zeros, sizeof zeros));
}

/* Octal digits up to a NUL or a blank. */
static bool octal(const char *at, size_t len, uint64_t *ret)
{
    uint64_t value = 0;
    size_t i = 0;
    for (; i < len && at[i] >= '0' && at[i] <= '7'; i++)
        value = value << 3 | (uint64_t)(at[i] - '0');
    *ret = value;
    return i > 0 && (i == len || at[i] == '\0' || at[i] == ' ');
}

int tar_read(struct bytes in, char ret_name[static TAR_NAME_MAX + 2], uint64_t *ret_size)
{
    static const char zeros[TAR_BLOCK];
    const char *header = in.data;
    uint64_t sum;
    if (in.len < TAR_BLOCK) return ERR_SYNTAX;
    if (memcmp(header, zeros, TAR_BLOCK) == 0) return 0;
    if (!octal(header + CHECKSUM, CHECKSUM_LEN, &sum) || sum != checksum(header)) return ERR_SYNTAX;
    if (!octal(header + SIZE, NUMBER_LEN, ret_size)) return ERR_SYNTAX;
    size_t prefix = strnlen(header + PREFIX, PREFIX_LEN), name = strnlen(header + NAME, NAME_LEN);
    size_t len = 0;
    if (prefix && memcmp(header + MAGIC, magic, 5) == 0) {
        memcpy(ret_name, header + PREFIX, prefix);
        ret_name[prefix] = '/';
        len = prefix + 1;
    }
    memcpy(ret_name + len, header + NAME, name);
    ret_name[len + name] = '\0';
    return 1;
}
