#include "base/timestamp.h"

#include <stdio.h>
#include <time.h>

void timestamp_format(uint64_t wall_ns, char ret_text[static TIMESTAMP_TEXT])
{
    time_t seconds = (time_t)(wall_ns / 1000000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    size_t len = strftime(ret_text, TIMESTAMP_TEXT, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret_text + len, TIMESTAMP_TEXT - len, ".%03uZ", (unsigned)(wall_ns / 1000000 % 1000));
}
