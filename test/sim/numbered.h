/* numbered: messages that tell their number, each with a content of its own and a length of its
 * own: one that was cut, mixed up or never sent is noticed when it is read. */
#ifndef DURE_TEST_SIM_NUMBERED_H
#define DURE_TEST_SIM_NUMBERED_H

#include "base/bytes.h"

enum { NUMBERED_FILL_MAX = 368, NUMBERED_MAX = 32 + NUMBERED_FILL_MAX };

/* Writes the body of message `number`, its number and then fewer than `fill_below` bytes (1 to
 * NUMBERED_FILL_MAX), and gives the length. */
size_t numbered_body(uint32_t number, uint32_t fill_below, char body[NUMBERED_MAX]);

/* The number of the message with this payload, below `count`. CHECKs that it is the whole body. */
uint32_t numbered_read(struct bytes payload, uint32_t fill_below, uint32_t count);

#endif
