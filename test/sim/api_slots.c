#include "api_slots.h"

#include "runner.h"
#include "stream/consumer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct api_slots_seen api_slots_seen;

/* The body of what makes or updates slot `number` with this value. */
static void slot_body(int number, uint64_t value, char body[API_SLOT_BODY])
{
    if (number == 0) {
        snprintf(body, API_SLOT_BODY,
                 "{\"name\":\"S\",\"subjects\":[\"s.>\"],\"description\":\"%" PRIu64
                 "\",\"duplicate_window\":600000000000}",
                 value);
    } else if (number < 3) {
        snprintf(body, API_SLOT_BODY,
                 "{\"name\":\"X%d\",\"subjects\":[\"x%d.>\"],\"description\":\"%" PRIu64 "\"}",
                 number, number, value);
    } else {
        snprintf(body, API_SLOT_BODY,
                 "{\"stream_name\":\"S\",\"config\":{\"durable_name\":\"E%d\",\"name\":\"E%d\","
                 "\"ack_policy\":\"explicit\",\"description\":\"%" PRIu64 "\"}}",
                 number, number, value);
    }
}

void api_slots_init(struct api_slots *slots, char body[API_SLOT_BODY])
{
    *slots = (struct api_slots){.slots[0].exists = true};
    slot_body(0, 0, body);
}

struct api_slot *api_slots_change(struct api_slots *slots, struct sim *sim,
                                  char subject[API_SLOT_SUBJECT], char body[API_SLOT_BODY])
{
    int number = (int)sim_random_below(sim, API_SLOTS);
    struct api_slot *slot = &slots->slots[number];
    if (slot->busy || slot->maybe) return NULL;
    body[0] = 0;
    bool removes = number && slot->exists && sim_random_below(sim, 2);
    slot->next_exists = !removes;
    slot->next_value = ++slots->values;
    if (removes) {
        snprintf(subject, API_SLOT_SUBJECT,
                 number < 3 ? "$JS.API.STREAM.DELETE.X%d" : "$JS.API.CONSUMER.DELETE.S.E%d",
                 number);
    } else {
        slot_body(number, slot->next_value, body);
        if (number == 0) {
            snprintf(subject, API_SLOT_SUBJECT, "$JS.API.STREAM.UPDATE.S");
        } else {
            snprintf(subject, API_SLOT_SUBJECT,
                     number >= 3    ? "$JS.API.CONSUMER.CREATE.S.E%d"
                     : slot->exists ? "$JS.API.STREAM.UPDATE.X%d"
                                    : "$JS.API.STREAM.CREATE.X%d",
                     number);
        }
    }
    slot->busy = true;
    return slot;
}

void api_slot_answered(struct api_slot *slot, int result)
{
    bool looked = slot->looked;
    slot->busy = slot->looked = false;
    if (looked) return;
    slot->maybe = result != 0;
    if (result) return;
    slot->exists = slot->next_exists;
    slot->value = slot->next_value;
    api_slots_seen.changes++;
}

void api_slot_not_asked(struct api_slot *slot)
{
    slot->busy = false;
}

static bool find_slot(struct streams *streams, int number, uint64_t *ret_value)
{
    char name[16];
    const char *text;
    struct stream *stream = streams_find(streams, BYTES("S"));
    if (number == 0) {
        text = stream_config(stream)->description;
    } else if (number < 3) {
        snprintf(name, sizeof name, "X%d", number);
        stream = streams_find(streams, bytes_str(name));
        if (!stream) return false;
        text = stream_config(stream)->description;
    } else {
        snprintf(name, sizeof name, "E%d", number);
        struct consumer *consumer = consumers_find(stream, bytes_str(name));
        if (!consumer) return false;
        text = consumer_config(consumer)->description;
    }
    *ret_value = text ? strtoull(text, NULL, 10) : 0;
    return true;
}

void api_slots_check(struct api_slots *slots, struct streams *streams)
{
    for (int i = 0; i < API_SLOTS; i++) {
        struct api_slot *slot = &slots->slots[i];
        uint64_t value = 0;
        bool exists = find_slot(streams, i, &value);
        bool last = exists == slot->exists && (!exists || value == slot->value);
        bool next = exists == slot->next_exists && (!exists || value == slot->next_value);
        CHECK(last || ((slot->busy || slot->maybe) && next),
              "slot %d: there %d %" PRIu64 ", known %d %" PRIu64 ", asked for %d %" PRIu64, i,
              exists, value, slot->exists, slot->value, slot->next_exists, slot->next_value);
        api_slots_seen.maybes += !last;
        slot->exists = exists;
        slot->value = value;
        slot->maybe = false;
        slot->looked = slot->busy;
    }
}
