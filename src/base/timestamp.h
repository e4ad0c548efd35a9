/* timestamp: a point in time as people and other programs read it. */
#ifndef DURE_BASE_TIMESTAMP_H
#define DURE_BASE_TIMESTAMP_H

#include <stdint.h>

enum { TIMESTAMP_TEXT = 32 };

/* RFC 3339 with milliseconds, UTC: "2026-11-21T12:00:00.000Z". */
void timestamp_format(uint64_t wall_ns, char ret_text[static TIMESTAMP_TEXT]);

#endif
