#include "base/bytes.h"

#include "base/err.h"

static unsigned char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : (unsigned char)c;
}

bool bytes_eq_nocase(struct bytes a, struct bytes b)
{
    if (a.len != b.len) return false;
    for (size_t i = 0; i < a.len; i++)
        if (lower(a.data[i]) != lower(b.data[i])) return false;
    return true;
}

int bytes_cmp(struct bytes a, struct bytes b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    if (order) return order;
    return (a.len > b.len) - (a.len < b.len);
}

size_t bytes_utf8_len(struct bytes text)
{
    const unsigned char *s = (const unsigned char *)text.data;
    size_t len;
    unsigned low = 0x80, high = 0xBF;
    if (!text.len) return 0;
    if (s[0] < 0x80) return 1;
    if (s[0] >= 0xC2 && s[0] <= 0xDF)
        len = 2;
    else if (s[0] >= 0xE0 && s[0] <= 0xEF)
        len = 3;
    else if (s[0] >= 0xF0 && s[0] <= 0xF4)
        len = 4;
    else
        return 0;
    if (s[0] == 0xE0) low = 0xA0;
    if (s[0] == 0xED) high = 0x9F;
    if (s[0] == 0xF0) low = 0x90;
    if (s[0] == 0xF4) high = 0x8F;
    if (text.len < len || s[1] < low || s[1] > high) return 0;
    for (size_t i = 2; i < len; i++)
        if (s[i] < 0x80 || s[i] > 0xBF) return 0;
    return len;
}

size_t bytes_find(struct bytes b, char c)
{
    const char *at = b.len ? memchr(b.data, c, b.len) : NULL;
    return at ? (size_t)(at - b.data) : b.len;
}

struct bytes bytes_cut(struct bytes *rest, char c)
{
    size_t at = bytes_find(*rest, c);
    struct bytes part = bytes_head(*rest, at);
    *rest = at < rest->len ? bytes_skip(*rest, at + 1) : (struct bytes){NULL, 0};
    return part;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct bytes bytes_trim(struct bytes b)
{
    while (b.len && is_blank(b.data[0])) b = bytes_skip(b, 1);
    while (b.len && is_blank(b.data[b.len - 1])) b.len--;
    return b;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    unsigned char l = lower(c);
    return l >= 'a' && l <= 'f' ? l - 'a' + 10 : 16;
}

static int to_u64(struct bytes b, unsigned base, uint64_t max, uint64_t *ret)
{
    if (!b.len) return ERR_SYNTAX;
    uint64_t value = 0;
    bool too_big = false;
    for (size_t i = 0; i < b.len; i++) {
        unsigned digit = (unsigned)hex_digit(b.data[i]);
        if (digit >= base) return ERR_SYNTAX;
        if (value > (max - (digit > max ? max : digit)) / base || digit > max) too_big = true;
        if (!too_big) value = value * base + digit;
    }
    if (too_big) return ERR_TOO_BIG;
    *ret = value;
    return 0;
}

int bytes_to_u64(struct bytes b, uint64_t max, uint64_t *ret)
{
    uint64_t value = 0;
    size_t at = 0;
    /* As many digits as cannot overflow: what nearly all numbers have. */
    if (b.len > 0 && b.len <= 19) {
        for (; at < b.len && b.data[at] >= '0' && b.data[at] <= '9'; at++)
            value = value * 10 + (uint64_t)(b.data[at] - '0');
        if (at == b.len && value <= max) {
            *ret = value;
            return 0;
        }
    }
    return to_u64(b, 10, max, ret);
}

int bytes_to_u64_hex(struct bytes b, uint64_t max, uint64_t *ret)
{
    return to_u64(b, 16, max, ret);
}

void bytes_hex(struct bytes b, char *ret_digits)
{
    static const char digits[16] = "0123456789abcdef";
    for (size_t i = 0; i < b.len; i++) {
        unsigned char byte = (unsigned char)b.data[i];
        ret_digits[2 * i] = digits[byte >> 4];
        ret_digits[2 * i + 1] = digits[byte & 15];
    }
}

enum { DISTANCE_WORD_MAX = 64 };

static size_t smallest(size_t a, size_t b, size_t c)
{
    if (b < a) a = b;
    return c < a ? c : a;
}

/* Optimal string alignment: the dynamic program over prefixes, three rows of it. */
size_t bytes_distance(struct bytes a, struct bytes b, size_t max)
{
    if (a.len > DISTANCE_WORD_MAX || b.len > DISTANCE_WORD_MAX) return bytes_eq(a, b) ? 0 : max + 1;
    size_t rows[3][DISTANCE_WORD_MAX + 1];
    for (size_t j = 0; j <= b.len; j++) rows[0][j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            bool same = a.data[i - 1] == b.data[j - 1];
            row[j] = smallest(above[j] + 1, row[j - 1] + 1, above[j - 1] + !same);
            bool swapped =
                i > 1 && j > 1 && a.data[i - 1] == b.data[j - 2] && a.data[i - 2] == b.data[j - 1];
            if (swapped && above2[j - 2] + 1 < row[j]) row[j] = above2[j - 2] + 1;
        }
    }
    size_t distance = rows[a.len % 3][b.len];
    return distance > max ? max + 1 : distance;
}

const char *bytes_nearest(struct bytes word, const char *const *candidates, size_t count)
{
    size_t max = word.len / 3 + 1, best_distance = max + 1;
    const char *best = NULL;
    for (size_t i = 0; i < count; i++) {
        size_t distance = bytes_distance(word, bytes_str(candidates[i]), max);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidates[i];
        }
    }
    return best;
}
