/* letter: what a dead letter says of the message that it was. */
#ifndef DURE_TEST_SIM_LETTER_H
#define DURE_TEST_SIM_LETTER_H

#include "bus/message.h"

/* Points into the message. */
struct letter {
    struct bytes stream, consumer;
    struct bytes subject; /* the message's; the letter's own is DEAD.STREAM.CONSUMER */
    struct bytes reason;
    uint64_t seq, attempts;
};

/* CHECKs that it has all that a letter must have. */
struct letter letter_read(const struct message *message);

/* A header that it must have, of the message that it was. */
uint64_t letter_number(const struct message *message, const char *name);

#endif
