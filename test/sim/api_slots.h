/* api_slots: what the JetStream API makes, changes and removes, each with a number for its
 * description: stream S itself, which stays, the streams X1 and X2, and the consumers E3 to E5 of
 * S. What was answered is found again after every start of the server; of a change that was not
 * answered nobody knows whether it has happened. */
#ifndef DURE_TEST_SIM_API_SLOTS_H
#define DURE_TEST_SIM_API_SLOTS_H

#include "io/sim.h"
#include "stream/streams.h"

enum { API_SLOTS = 6, API_SLOT_SUBJECT = 64, API_SLOT_BODY = 400 };

/* Known: as it was when it was last answered. */
struct api_slot {
    bool exists, busy;
    bool maybe;     /* nobody knows whether the last change has happened */
    bool looked;    /* what is asked for has happened or never will: it was looked up */
    uint64_t value; /* of the description */
    bool next_exists;
    uint64_t next_value;
};

struct api_slots {
    struct api_slot slots[API_SLOTS];
    uint64_t values;
};

/* Of all seeds together. */
struct api_slots_seen {
    uint64_t changes, maybes;
};

extern struct api_slots_seen api_slots_seen;

/* S is about to be made, with this body; nothing else is there. */
void api_slots_init(struct api_slots *slots, char body[API_SLOT_BODY]);

/* One is to change: writes the request, which the caller sends and tells the answer of, or that it
 * could not be sent. NULL: the one that was chosen has changes that nobody knows the end of. */
struct api_slot *api_slots_change(struct api_slots *slots, struct sim *sim,
                                  char subject[API_SLOT_SUBJECT], char body[API_SLOT_BODY]);

/* The change has happened (0), or perhaps it has. */
void api_slot_answered(struct api_slot *slot, int result);
void api_slot_not_asked(struct api_slot *slot);

/* The server has just started: nothing of before is under way to it any more. */
void api_slots_check(struct api_slots *slots, struct streams *streams);

#endif
