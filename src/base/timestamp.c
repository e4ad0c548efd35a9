#include "base/timestamp.h"

#include "base/err.h"

#include <stdio.h>
#include <time.h>

enum { NS_PER_SECOND = 1000000000 };

/* Writes up to the seconds, without an end; returns the length. */
static size_t put_seconds(uint64_t wall_ns, char text[static TIMESTAMP_TEXT])
{
    time_t seconds = (time_t)(wall_ns / NS_PER_SECOND);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    return strftime(text, TIMESTAMP_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
}

void timestamp_format(uint64_t wall_ns, char ret_text[static TIMESTAMP_TEXT])
{
    size_t len = put_seconds(wall_ns, ret_text);
    snprintf(ret_text + len, TIMESTAMP_TEXT - len, ".%03uZ", (unsigned)(wall_ns / 1000000 % 1000));
}

void timestamp_format_ns(uint64_t wall_ns, char ret_text[static TIMESTAMP_TEXT])
{
    if (wall_ns == 0) {
        snprintf(ret_text, TIMESTAMP_TEXT, "0001-01-01T00:00:00Z");
        return;
    }
    size_t len = put_seconds(wall_ns, ret_text);
    unsigned ns = (unsigned)(wall_ns % NS_PER_SECOND);
    if (ns) {
        len += (size_t)snprintf(ret_text + len, TIMESTAMP_TEXT - len, ".%09u", ns);
        while (ret_text[len - 1] == '0') len--;
    }
    ret_text[len++] = 'Z';
    ret_text[len] = '\0';
}

/* Takes exactly `digits` digits and the character `end` (0: none) off the front. */
static bool number(struct bytes *rest, size_t digits, char end, unsigned max, unsigned *ret)
{
    uint64_t value;
    if (rest->len < digits + (end != 0)) return false;
    if (bytes_to_u64(bytes_head(*rest, digits), max, &value)) return false;
    if (end && rest->data[digits] != end) return false;
    *ret = (unsigned)value;
    *rest = bytes_skip(*rest, digits + (end != 0));
    return true;
}

/* The digits behind the point; none without one. */
static bool fraction(struct bytes *rest, unsigned *ret_ns)
{
    *ret_ns = 0;
    if (rest->len == 0 || rest->data[0] != '.') return true;
    size_t at = 1;
    unsigned scale = NS_PER_SECOND / 10;
    for (; at < rest->len && rest->data[at] >= '0' && rest->data[at] <= '9'; at++) {
        *ret_ns += (unsigned)(rest->data[at] - '0') * scale;
        scale /= 10;
    }
    *rest = bytes_skip(*rest, at);
    return at > 1;
}

/* "Z" or "+hh:mm", at the end of the text. */
static bool offset(struct bytes rest, int64_t *ret_seconds)
{
    *ret_seconds = 0;
    if (rest.len == 1 && (rest.data[0] == 'Z' || rest.data[0] == 'z')) return true;
    if (rest.len != 6 || (rest.data[0] != '+' && rest.data[0] != '-')) return false;
    int sign = rest.data[0] == '-' ? -1 : 1;
    unsigned hours, minutes;
    rest = bytes_skip(rest, 1);
    if (!number(&rest, 2, ':', 23, &hours) || !number(&rest, 2, 0, 59, &minutes)) return false;
    *ret_seconds = sign * (int64_t)(hours * 3600 + minutes * 60);
    return true;
}

/* Days from 1970-01-01 in the proleptic Gregorian calendar: years begin in March, so that the leap
 * day is a year's last. */
static int64_t days_of(unsigned year, unsigned month, unsigned day)
{
    int64_t y = (int64_t)year - (month <= 2);
    int64_t of_year = (153 * ((int64_t)month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return y * 365 + y / 4 - y / 100 + y / 400 + of_year - 719468;
}

int timestamp_parse(struct bytes text, uint64_t *ret_wall_ns)
{
    unsigned year, month, day, hour, minute, second, ns;
    int64_t shift;
    if (!number(&text, 4, '-', 9999, &year) || !number(&text, 2, '-', 12, &month))
        return ERR_SYNTAX;
    if (!number(&text, 2, 0, 31, &day) || !month || !day || !text.len) return ERR_SYNTAX;
    if (text.data[0] != 'T' && text.data[0] != 't') return ERR_SYNTAX;
    text = bytes_skip(text, 1);
    if (!number(&text, 2, ':', 23, &hour) || !number(&text, 2, ':', 59, &minute)) return ERR_SYNTAX;
    if (!number(&text, 2, 0, 60, &second) || !fraction(&text, &ns)) return ERR_SYNTAX;
    if (!offset(text, &shift)) return ERR_SYNTAX;
    int64_t seconds =
        days_of(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - shift;
    if (year > 2553) return ERR_TOO_BIG;
    *ret_wall_ns = seconds < 0 ? 0 : (uint64_t)seconds * NS_PER_SECOND + ns;
    return 0;
}
