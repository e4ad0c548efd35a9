/* subject: names of the bus. Tokens split by '.', none of them empty; no white space. In a pattern
 * the token "*" stands for any one token and, as the last one, ">" for one or more. Pure. */
#ifndef DURE_BUS_SUBJECT_H
#define DURE_BUS_SUBJECT_H

#include "base/bytes.h"

/* Whether it can be subscribed to: tokens not empty, ">" only at the end. */
bool subject_is_pattern(struct bytes subject);

/* Whether it is a pattern without "*" and ">" tokens: what can be published to. */
bool subject_is_literal(struct bytes subject);

/* Whether the literal subject is among those that the pattern stands for. Both must be valid. */
bool subject_matches(struct bytes pattern, struct bytes subject);

/* Whether there is a subject that both patterns stand for (streams must not overlap). */
bool subject_overlaps(struct bytes a, struct bytes b);

/* Whether every subject that `inner` stands for is among those of `outer`. */
bool subject_contains(struct bytes outer, struct bytes inner);

#endif
