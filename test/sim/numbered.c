#include "numbered.h"

#include "runner.h"

#include <stdio.h>

enum { HEAD_MAX = NUMBERED_MAX - NUMBERED_FILL_MAX };

size_t numbered_body(uint32_t number, uint32_t fill_below, char body[NUMBERED_MAX])
{
    CHECK(fill_below >= 1 && fill_below <= NUMBERED_FILL_MAX, "%u", fill_below);
    size_t len = (size_t)snprintf(body, HEAD_MAX, "message %u ", number);
    size_t fill = number * 7919u % fill_below;
    memset(body + len, 'a' + (int)(number % 26), fill);
    return len + fill;
}

uint32_t numbered_read(struct bytes payload, uint32_t fill_below, uint32_t count)
{
    unsigned number = count;
    char text[HEAD_MAX] = {0}, body[NUMBERED_MAX];
    memcpy(text, payload.data, payload.len < HEAD_MAX - 1 ? payload.len : HEAD_MAX - 1);
    CHECK(sscanf(text, "message %u ", &number) == 1 && number < count, "content");
    size_t len = numbered_body(number, fill_below, body);
    CHECK(bytes_eq(payload, bytes_make(body, len)), "content of %u", number);
    return number;
}
