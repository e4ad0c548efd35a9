#include "stream/consumer_state.h"

#include "base/varint.h"

#include <stdlib.h>

void consumer_state_init(struct consumer_state *state, bool keeps)
{
    *state = (struct consumer_state){.keeps = keeps};
    consumer_pending_init(&state->pending);
    list_init(&state->graves);
    list_init(&state->kept);
    map_init(&state->graves_by_seq, SIZE_MAX);
}

void consumer_state_release(struct consumer_state *state)
{
    list_splice(&state->graves, &state->kept);
    for (struct list *link; (link = list_pop(&state->graves));) {
        free(CONTAINER_OF(link, struct consumer_grave, link));
    }
    map_release(&state->graves_by_seq);
    consumer_pending_release(&state->pending);
}

void consumer_state_start(struct consumer_state *state, uint64_t next_seq, uint64_t last_until)
{
    consumer_pending_clear(&state->pending);
    state->started = true;
    state->next_seq = next_seq;
    state->last_until = last_until;
    state->floor_consumer_seq = state->consumer_seq;
    state->floor_seq = state->seen_seq = next_seq ? next_seq - 1 : 0;
}

int consumer_state_deliver(struct consumer_state *state, uint64_t seq, uint64_t due_ns)
{
    if (state->keeps) {
        struct pending *one = consumer_pending_add(&state->pending, seq, state->consumer_seq + 1);
        if (!one) return ERR_NOMEM;
        one->due_ns = due_ns;
    }
    state->consumer_seq++;
    state->next_seq = seq + 1;
    state->seen_seq = seq;
    if (!state->keeps) {
        state->floor_consumer_seq = state->consumer_seq;
        state->floor_seq = seq;
    }
    return 0;
}

void consumer_state_redeliver(struct consumer_state *state, struct pending *one, uint32_t attempts,
                              uint64_t consumer_seq, uint64_t due_ns)
{
    consumer_pending_attempts(&state->pending, one, attempts);
    one->due_ns = due_ns;
    one->place = PENDING_OUT;
    if (state->consumer_seq < consumer_seq) state->consumer_seq = consumer_seq;
}

void consumer_state_settle(struct consumer_state *state, struct pending *one)
{
    bool oldest = one == consumer_pending_first(&state->pending);
    consumer_pending_remove(&state->pending, one);
    const struct pending *first = consumer_pending_first(&state->pending);
    if (!first) {
        state->floor_consumer_seq = state->consumer_seq;
        state->floor_seq = state->seen_seq;
    } else if (oldest) {
        state->floor_consumer_seq = first->consumer_seq - 1;
        state->floor_seq = first->seq - 1;
    }
}

bool consumer_state_skip(struct consumer_state *state, uint64_t seq)
{
    const struct pending *first = consumer_pending_first(&state->pending);
    uint64_t seen = state->seen_seq, floor = state->floor_seq;
    if (state->seen_seq + 1 < seq) state->seen_seq = seq - 1;
    uint64_t reached = first && first->seq < seq ? first->seq - 1 : seq - 1;
    if (!first) reached = state->seen_seq;
    if (state->floor_seq < reached) state->floor_seq = reached;
    return state->seen_seq != seen || state->floor_seq != floor;
}

/* ---- graves ---- */

static struct consumer_grave *dig(struct consumer_state *state, uint64_t seq, uint32_t attempts,
                                  bool exceeded, struct bytes reason)
{
    if (reason.len > CONSUMER_REASON_MAX) reason.len = CONSUMER_REASON_MAX;
    struct consumer_grave *grave = malloc(sizeof *grave + reason.len);
    if (!grave) return NULL;
    *grave = (struct consumer_grave){
        .seq = seq, .attempts = attempts, .exceeded = exceeded, .reason_len = reason.len};
    if (reason.len) memcpy(grave->reason, reason.data, reason.len);
    struct bytes key = bytes_make(&grave->seq, sizeof grave->seq);
    if (map_put(&state->graves_by_seq, key, grave, NULL) < 0) {
        free(grave);
        return NULL;
    }
    list_init(&grave->link);
    list_push(&state->graves, &grave->link);
    state->grave_count++;
    return grave;
}

struct consumer_grave *consumer_state_die(struct consumer_state *state, struct pending *one,
                                          bool exceeded, struct bytes reason)
{
    struct consumer_grave *grave = dig(state, one->seq, one->attempts, exceeded, reason);
    if (grave) consumer_state_settle(state, one);
    return grave;
}

struct consumer_grave *consumer_state_grave(const struct consumer_state *state, uint64_t seq)
{
    if (state->grave_count == 0 && state->kept_count == 0) return NULL;
    return map_get(&state->graves_by_seq, bytes_make(&seq, sizeof seq));
}

void consumer_state_bury(struct consumer_state *state, struct consumer_grave *grave)
{
    list_remove(&grave->link);
    (void)map_remove(&state->graves_by_seq, bytes_make(&grave->seq, sizeof grave->seq));
    if (grave->kept) {
        state->kept_count--;
    } else {
        state->grave_count--;
    }
    free(grave);
}

void consumer_state_keep(struct consumer_state *state, struct consumer_grave *grave)
{
    grave->busy = false;
    if (grave->kept) return;
    list_remove(&grave->link);
    list_push(&state->kept, &grave->link);
    grave->kept = true;
    state->grave_count--;
    state->kept_count++;
}

/* ---- the whole state ----
 * version:1 next_seq consumer_seq seen_seq last_until floor_consumer_seq floor_seq delivered_ns
 * settled_ns count (seq consumer_seq attempts due_ns naked)* count (seq attempts flags reason)*
 */

enum { STATE_VERSION = 1, GRAVE_EXCEEDED = 1, GRAVE_KEPT = 2 };

static void encode_grave(const struct consumer_grave *grave, struct buf *out)
{
    varint_put(out, grave->seq);
    varint_put(out, grave->attempts);
    buf_append_char(
        out, (char)((grave->exceeded ? GRAVE_EXCEEDED : 0) | (grave->kept ? GRAVE_KEPT : 0)));
    varint_put(out, grave->reason_len);
    buf_append(out, bytes_make(grave->reason, grave->reason_len));
}

void consumer_state_encode(const struct consumer_state *state, struct buf *out)
{
    const uint64_t numbers[] = {
        state->next_seq,     state->consumer_seq,       state->seen_seq,
        state->last_until,   state->floor_consumer_seq, state->floor_seq,
        state->delivered_ns, state->settled_ns,         state->pending.count};
    uint64_t seq = 0, consumer_seq = 0, due_ns = 0;
    buf_append_char(out, STATE_VERSION);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) varint_put(out, numbers[i]);
    const struct pending *one = consumer_pending_first(&state->pending);
    for (; one; one = consumer_pending_after(&state->pending, one)) {
        varint_put(out, one->seq - seq);
        varint_put(out, one->consumer_seq - consumer_seq);
        varint_put(out, one->attempts);
        varint_put_signed(out, (int64_t)(one->due_ns - due_ns));
        buf_append_char(out, one->place == PENDING_NAKED);
        seq = one->seq;
        consumer_seq = one->consumer_seq;
        due_ns = one->due_ns;
    }
    varint_put(out, state->grave_count + state->kept_count);
    LIST_EACH(&state->graves, struct consumer_grave, link, grave) encode_grave(grave, out);
    LIST_EACH(&state->kept, struct consumer_grave, link, grave) encode_grave(grave, out);
}

static int decode_pending(struct consumer_state *state, struct varint_reader *in)
{
    uint64_t seq = 0, consumer_seq = 0, due_ns = 0;
    for (uint64_t count = varint_get(in); count && !in->failed; count--) {
        uint64_t step = varint_get(in);
        seq += step;
        consumer_seq += varint_get(in);
        uint64_t attempts = varint_get(in);
        due_ns += (uint64_t)varint_get_signed(in);
        bool naked = varint_get_byte(in);
        if (in->failed || step == 0 || attempts == 0 || attempts > UINT32_MAX) return ERR_CORRUPT;
        struct pending *one = consumer_pending_add(&state->pending, seq, consumer_seq);
        if (!one) return ERR_NOMEM;
        consumer_pending_attempts(&state->pending, one, (uint32_t)attempts);
        one->due_ns = due_ns;
        one->place = naked ? PENDING_NAKED : PENDING_OUT;
    }
    return in->failed ? ERR_CORRUPT : 0;
}

static int decode_graves(struct consumer_state *state, struct varint_reader *in)
{
    for (uint64_t count = varint_get(in); count && !in->failed; count--) {
        uint64_t seq = varint_get(in), attempts = varint_get(in);
        unsigned flags = varint_get_byte(in);
        struct bytes reason = varint_get_bytes(in, varint_get(in));
        if (in->failed || attempts > UINT32_MAX) return ERR_CORRUPT;
        struct consumer_grave *grave =
            dig(state, seq, (uint32_t)attempts, flags & GRAVE_EXCEEDED, reason);
        if (!grave) return ERR_NOMEM;
        if (flags & GRAVE_KEPT) consumer_state_keep(state, grave);
    }
    return in->failed ? ERR_CORRUPT : 0;
}

int consumer_state_decode(struct consumer_state *state, struct bytes bytes, struct bytes *ret_rest)
{
    struct varint_reader in = {.rest = bytes};
    if (varint_get_byte(&in) != STATE_VERSION) return ERR_CORRUPT;
    state->started = true;
    state->next_seq = varint_get(&in);
    state->consumer_seq = varint_get(&in);
    state->seen_seq = varint_get(&in);
    state->last_until = varint_get(&in);
    state->floor_consumer_seq = varint_get(&in);
    state->floor_seq = varint_get(&in);
    state->delivered_ns = varint_get(&in);
    state->settled_ns = varint_get(&in);
    int r = in.failed ? ERR_CORRUPT : decode_pending(state, &in);
    if (r == 0) r = decode_graves(state, &in);
    *ret_rest = in.rest;
    return r;
}

/* ---- records ---- */

/* No stream ever comes so far; beyond it counting on would begin anew. */
#define SEQ_MAX ((uint64_t)INT64_MAX)

/* The last step's numbers, which those of the next are relative to. */
struct replay {
    struct consumer_state *state;
    struct varint_reader in;
    uint64_t time_ns, seq, consumer_seq, due_ns;
};

static int apply_deliver(struct replay *r)
{
    struct consumer_state *state = r->state;
    r->seq += (uint64_t)varint_get_signed(&r->in);
    uint64_t count = varint_get(&r->in);
    r->consumer_seq += (uint64_t)varint_get_signed(&r->in);
    r->due_ns += (uint64_t)varint_get_signed(&r->in);
    if (r->in.failed || count == 0 || count > CONSUMER_RUN_MAX) return ERR_CORRUPT;
    if (r->seq == 0 || r->seq > SEQ_MAX) return ERR_CORRUPT;
    for (uint64_t i = 0; i < count; i++) {
        /* A snapshot knew of it already. */
        if (r->seq + i < state->next_seq) continue;
        state->consumer_seq = r->consumer_seq + i - 1;
        int err = consumer_state_deliver(state, r->seq + i, r->due_ns);
        if (err < 0) return err;
    }
    state->delivered_ns = r->time_ns;
    r->seq += count - 1;
    r->consumer_seq += count - 1;
    return 0;
}

static int apply_settle(struct replay *r)
{
    r->seq += (uint64_t)varint_get_signed(&r->in);
    uint64_t count = varint_get(&r->in);
    if (r->in.failed || count == 0 || count > CONSUMER_RUN_MAX) return ERR_CORRUPT;
    for (uint64_t i = 0; i < count; i++) {
        struct pending *one = consumer_pending_find(&r->state->pending, r->seq + i);
        if (one) consumer_state_settle(r->state, one);
    }
    r->state->settled_ns = r->time_ns;
    r->seq += count - 1;
    return 0;
}

static int apply_redeliver(struct replay *r)
{
    r->seq += (uint64_t)varint_get_signed(&r->in);
    uint64_t attempts = varint_get(&r->in);
    r->consumer_seq += (uint64_t)varint_get_signed(&r->in);
    r->due_ns += (uint64_t)varint_get_signed(&r->in);
    if (r->in.failed || attempts == 0 || attempts > UINT32_MAX) return ERR_CORRUPT;
    struct pending *one = consumer_pending_find(&r->state->pending, r->seq);
    if (one) {
        consumer_state_redeliver(r->state, one, (uint32_t)attempts, r->consumer_seq, r->due_ns);
    }
    if (r->state->consumer_seq < r->consumer_seq) r->state->consumer_seq = r->consumer_seq;
    r->state->delivered_ns = r->time_ns;
    return 0;
}

static int apply_due(struct replay *r)
{
    r->seq += (uint64_t)varint_get_signed(&r->in);
    r->due_ns += (uint64_t)varint_get_signed(&r->in);
    bool naked = varint_get_byte(&r->in);
    struct pending *one = consumer_pending_find(&r->state->pending, r->seq);
    if (one) {
        one->due_ns = r->due_ns;
        one->place = naked ? PENDING_NAKED : PENDING_OUT;
    }
    return 0;
}

static int apply_die(struct replay *r)
{
    r->seq += (uint64_t)varint_get_signed(&r->in);
    bool exceeded = varint_get_byte(&r->in);
    struct bytes reason = varint_get_bytes(&r->in, varint_get(&r->in));
    if (r->in.failed) return ERR_CORRUPT;
    struct pending *one = consumer_pending_find(&r->state->pending, r->seq);
    if (one && !consumer_state_die(r->state, one, exceeded, reason)) return ERR_NOMEM;
    r->state->settled_ns = r->time_ns;
    return 0;
}

static int apply_step(struct replay *r, unsigned op)
{
    switch (op) {
    case CONSUMER_OP_START: {
        uint64_t next_seq = varint_get(&r->in), last_until = varint_get(&r->in);
        if (r->in.failed || next_seq > SEQ_MAX) return ERR_CORRUPT;
        consumer_state_start(r->state, next_seq, last_until);
        return 0;
    }
    case CONSUMER_OP_DELIVER: return apply_deliver(r);
    case CONSUMER_OP_REDELIVER: return apply_redeliver(r);
    case CONSUMER_OP_SETTLE: return apply_settle(r);
    case CONSUMER_OP_DUE: return apply_due(r);
    case CONSUMER_OP_DIE: return apply_die(r);
    case CONSUMER_OP_SKIP:
        r->seq += (uint64_t)varint_get_signed(&r->in);
        if (r->in.failed || r->seq == 0 || r->seq > SEQ_MAX) return ERR_CORRUPT;
        (void)consumer_state_skip(r->state, r->seq);
        return 0;
    case CONSUMER_OP_BURY:
    case CONSUMER_OP_KEEP: {
        r->seq += (uint64_t)varint_get_signed(&r->in);
        struct consumer_grave *grave = consumer_state_grave(r->state, r->seq);
        if (grave && op == CONSUMER_OP_BURY) consumer_state_bury(r->state, grave);
        if (grave && op == CONSUMER_OP_KEEP) consumer_state_keep(r->state, grave);
        return 0;
    }
    default: return ERR_CORRUPT;
    }
}

int consumer_state_apply(struct consumer_state *state, uint64_t time_ns, struct bytes steps)
{
    struct replay replay = {.state = state, .in = {.rest = steps}, .time_ns = time_ns};
    while (replay.in.rest.len > 0) {
        int r = apply_step(&replay, varint_get_byte(&replay.in));
        if (r == 0 && replay.in.failed) r = ERR_CORRUPT;
        if (r < 0) return r;
    }
    return 0;
}
