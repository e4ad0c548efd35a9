#include "stream/consumer_state.h"

#include "base/err.h"
#include "base/le.h"

#include <endian.h>
#include <stdlib.h>

static void put64(struct buf *out, uint64_t value)
{
    value = htole64(value);
    buf_append(out, bytes_make(&value, sizeof value));
}

void consumer_record_encode(const struct consumer_record *record,
                            char ret_bytes[CONSUMER_RECORD_SIZE])
{
    uint32_t attempt = htole32(record->attempt);
    uint64_t seq = htole64(record->seq);
    memset(ret_bytes, 0, CONSUMER_RECORD_SIZE);
    ret_bytes[0] = (char)record->kind;
    memcpy(ret_bytes + 4, &attempt, sizeof attempt);
    memcpy(ret_bytes + 8, &seq, sizeof seq);
}

int consumer_record_decode(struct bytes bytes, struct consumer_record *ret_record)
{
    if (bytes.len != CONSUMER_RECORD_SIZE) return ERR_CORRUPT;
    unsigned kind = (unsigned char)bytes.data[0];
    if (kind < CONSUMER_RECORD_START || kind > CONSUMER_RECORD_SETTLE) return ERR_CORRUPT;
    uint32_t attempt;
    memcpy(&attempt, bytes.data + 4, sizeof attempt);
    *ret_record = (struct consumer_record){
        .kind = (enum consumer_record_kind)kind,
        .attempt = le32toh(attempt),
        .seq = le_get64(bytes.data + 8),
    };
    return 0;
}

void consumer_state_init(struct consumer_state *state)
{
    *state = (struct consumer_state){0};
    map_init(&state->pending, SIZE_MAX);
    list_init(&state->order);
}

void consumer_state_release(struct consumer_state *state)
{
    LIST_EACH(&state->order, struct consumer_pending, link, pending) {
        free(pending->reason);
        free(pending);
    }
    map_release(&state->pending);
}

struct consumer_pending *consumer_state_find(const struct consumer_state *state, uint64_t seq)
{
    return map_get(&state->pending, bytes_make(&seq, sizeof seq));
}

struct consumer_pending *consumer_state_claim(struct consumer_state *state, uint64_t seq)
{
    struct consumer_pending *pending = consumer_state_find(state, seq);
    if (pending) return pending;
    pending = calloc(1, sizeof *pending);
    if (!pending) return NULL;
    pending->seq = seq;
    list_init(&pending->link);
    list_init(&pending->due);
    if (map_put(&state->pending, bytes_make(&pending->seq, sizeof seq), pending, NULL) < 0) {
        free(pending);
        return NULL;
    }
    /* Nearly always the newest. */
    struct list *place = &state->order;
    while (place->prev != &state->order &&
           CONTAINER_OF(place->prev, struct consumer_pending, link)->seq > seq) {
        place = place->prev;
    }
    list_insert_before(place, &pending->link);
    return pending;
}

void consumer_state_drop(struct consumer_state *state, struct consumer_pending *pending)
{
    map_remove(&state->pending, bytes_make(&pending->seq, sizeof pending->seq));
    list_remove(&pending->link);
    list_remove(&pending->due);
    free(pending->reason);
    free(pending);
}

int consumer_state_apply(struct consumer_state *state, const struct consumer_record *record)
{
    struct consumer_pending *pending;
    switch (record->kind) {
    case CONSUMER_RECORD_START:
        if (!state->started) state->next_seq = record->seq;
        state->started = true;
        return 0;
    case CONSUMER_RECORD_DELIVER:
        pending = consumer_state_claim(state, record->seq);
        if (!pending) return ERR_NOMEM;
        if (record->attempt > pending->attempt) pending->attempt = record->attempt;
        if (record->seq >= state->next_seq) state->next_seq = record->seq + 1;
        state->consumer_seq++;
        return 0;
    case CONSUMER_RECORD_SETTLE:
        pending = consumer_state_find(state, record->seq);
        if (pending) consumer_state_drop(state, pending);
        return 0;
    }
    return ERR_CORRUPT;
}

uint64_t consumer_state_floor(const struct consumer_state *state)
{
    if (!list_empty(&state->order)) {
        return CONTAINER_OF(state->order.next, struct consumer_pending, link)->seq - 1;
    }
    return state->next_seq ? state->next_seq - 1 : 0;
}

void consumer_state_encode(const struct consumer_state *state, struct buf *out)
{
    put64(out, state->next_seq);
    put64(out, state->consumer_seq);
    put64(out, state->pending.count);
    LIST_EACH(&state->order, struct consumer_pending, link, pending) {
        put64(out, pending->seq);
        put64(out, pending->attempt);
    }
}

int consumer_state_decode(struct consumer_state *state, struct bytes bytes)
{
    if (bytes.len < 24 || (bytes.len - 24) % 16 != 0) return ERR_CORRUPT;
    uint64_t count = le_get64(bytes.data + 16);
    if (count != (bytes.len - 24) / 16) return ERR_CORRUPT;
    state->next_seq = le_get64(bytes.data);
    state->consumer_seq = le_get64(bytes.data + 8);
    state->started = true;
    for (size_t at = 24; at < bytes.len; at += 16) {
        struct consumer_pending *pending = consumer_state_claim(state, le_get64(bytes.data + at));
        if (!pending) return ERR_NOMEM;
        pending->attempt = (uint32_t)le_get64(bytes.data + at + 8);
    }
    return 0;
}
