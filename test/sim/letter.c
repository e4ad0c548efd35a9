#include "letter.h"

#include "runner.h"
#include "wire/nats.h"

#include <stdio.h>

static struct bytes header(const struct message *message, const char *name)
{
    struct bytes value = {0};
    CHECK(nats_headers_get(message->headers, bytes_str(name), &value) == 0, "no %s", name);
    return value;
}

uint64_t letter_number(const struct message *message, const char *name)
{
    uint64_t value;
    CHECK(bytes_to_u64(header(message, name), UINT64_MAX, &value) == 0, "%s", name);
    return value;
}

struct letter letter_read(const struct message *message)
{
    struct letter letter = {.stream = header(message, "Dure-Dead-Stream"),
                            .consumer = header(message, "Dure-Dead-Consumer"),
                            .subject = header(message, "Dure-Dead-Subject"),
                            .reason = header(message, "Dure-Dead-Reason"),
                            .seq = letter_number(message, "Dure-Dead-Sequence"),
                            .attempts = letter_number(message, "Dure-Dead-Attempts")};
    char text[128];
    int len = snprintf(text, sizeof text, "DEAD.%.*s.%.*s", BYTES_ARG(letter.stream),
                       BYTES_ARG(letter.consumer));
    CHECK(len < (int)sizeof text, "names");
    CHECK(bytes_eq(message->subject, bytes_make(text, (size_t)len)), "subject of a dead letter");
    (void)header(message, "Dure-Dead-Time");
    return letter;
}
