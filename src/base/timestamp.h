/* timestamp: a point in time as people and other programs read it. */
#ifndef DURE_BASE_TIMESTAMP_H
#define DURE_BASE_TIMESTAMP_H

#include "base/bytes.h"

enum { TIMESTAMP_TEXT = 40 };

/* RFC 3339 with milliseconds, UTC: "2026-11-21T12:00:00.000Z". */
void timestamp_format(uint64_t wall_ns, char ret_text[static TIMESTAMP_TEXT]);

/* RFC 3339 with as many digits of the second as are needed, UTC, as Go writes it:
 * "2026-11-21T12:00:00.25Z"; 0, which is no time, becomes "0001-01-01T00:00:00Z". */
void timestamp_format_ns(uint64_t wall_ns, char ret_text[static TIMESTAMP_TEXT]);

/* Reads RFC 3339 with any offset. Digits beyond nanoseconds are passed over; a time before 1970 is
 * 0. ERR_SYNTAX; ERR_TOO_BIG beyond the year 2553. */
int timestamp_parse(struct bytes text, uint64_t *ret_wall_ns);

#endif
