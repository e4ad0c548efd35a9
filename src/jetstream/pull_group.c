/* Priority groups (ADR-42): overflow (a request is served only when enough waits), a pinned client
 * (one gets everything as long as it keeps asking), priorities among requests. */
#include "jetstream/pull.h"

#include "jetstream/advisory.h"

#include <stdio.h>
#include <stdlib.h>

enum { PIN_LEN = 22 };

static const struct consumer_config *config_of(const struct pull *pull)
{
    return consumer_config(pull->base.consumer);
}

static bool has_group(const struct consumer_config *config, const char *group)
{
    for (size_t i = 0; i < config->priority_group_count; i++) {
        if (strcmp(config->priority_groups[i], group) == 0) return true;
    }
    return false;
}

static uint64_t now_ns(const struct pull *pull)
{
    return io_now_ns(pull->base.deliveries->io);
}

const char *pull_group_refuses(struct pull *pull, const struct pull_request *request, int *ret_code)
{
    const struct consumer_config *config = config_of(pull);
    enum consumer_priority_policy policy = config->priority_policy;
    *ret_code = 400;
    bool overflow = request->min_pending != 0 || request->min_ack_pending != 0;
    if (overflow && policy != CONSUMER_PRIORITY_OVERFLOW) {
        return "Bad Request - Not a Overflow Priority consumer";
    }
    if (request->id[0] && policy != CONSUMER_PRIORITY_PINNED_CLIENT) {
        return "Bad Request - Not a Pinned Client Priority consumer";
    }
    if (policy == CONSUMER_PRIORITY_NONE || !request->formal) return NULL;
    if (!request->has_group || !request->group[0]) return "Bad Request - Priority Group missing";
    if (!has_group(config, request->group)) return "Bad Request - Invalid Priority Group";
    if (!request->id[0] || !pull->pin.id[0]) return NULL;
    if (strcmp(request->id, pull->pin.id) == 0) {
        pull->pin.used_ns = now_ns(pull);
        return NULL;
    }
    *ret_code = 423;
    return "Nats-Wrong-Pin-Id";
}

/* ---- the pinned client ---- */

static void tell(struct pull *pull, const char *group, struct bytes id, const char *reason)
{
    struct consumer *consumer = pull->base.consumer;
    advisory_pinned(pull->base.deliveries->advisories,
                    bytes_str(stream_config(consumer_stream(consumer))->name),
                    bytes_str(consumer_config(consumer)->name), group, id, reason);
    pull->told++;
}

static void pin(struct pull *pull, struct pull_request *request)
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint8_t random[PIN_LEN];
    struct io *io = pull->base.deliveries->io;
    io_random(io, random, sizeof random);
    for (size_t i = 0; i < PIN_LEN; i++) {
        pull->pin.id[i] = letters[random[i] % (sizeof letters - 1)];
    }
    pull->pin.since_ns = io_wall_ns(io);
    pull->pin.used_ns = now_ns(pull);
    snprintf(request->id, sizeof request->id, "%s", pull->pin.id);
    tell(pull, request->group, bytes_str(pull->pin.id), "");
}

static void unpin(struct pull *pull, const char *group, const char *reason)
{
    pull->pin = (struct pin){0};
    tell(pull, group, BYTES(""), reason);
    consumer_wake(pull->base.consumer);
}

uint64_t pull_group_deadline(const struct pull *pull)
{
    int64_t timeout = config_of(pull)->priority_timeout_ns;
    return pull->pin.id[0] && timeout > 0 ? pull->pin.used_ns + (uint64_t)timeout : 0;
}

void pull_group_expire(struct pull *pull)
{
    uint64_t deadline = pull_group_deadline(pull);
    if (deadline && deadline <= now_ns(pull)) {
        unpin(pull, config_of(pull)->priority_groups[0], "timeout");
    }
}

int pull_unpin(struct consumer *consumer, struct bytes group)
{
    struct outlet *outlet = outlet_of(consumer);
    const struct consumer_config *config = consumer_config(consumer);
    if (!outlet || config->deliver_subject) return ERR_NOT_FOUND;
    for (size_t i = 0; i < config->priority_group_count; i++) {
        if (!bytes_eq(bytes_str(config->priority_groups[i]), group)) continue;
        unpin(CONTAINER_OF(outlet, struct pull, base), config->priority_groups[i], "admin");
        return 0;
    }
    return ERR_NOT_FOUND;
}

static enum pull_turn pinned_turn(struct pull *pull, struct pull_request *request)
{
    if (!pull->pin.id[0]) {
        if (request->has_group) pin(pull, request);
        return PULL_TAKE;
    }
    if (!request->id[0]) return PULL_SKIP;
    if (strcmp(request->id, pull->pin.id) != 0) return PULL_WRONG_PIN;
    pull->pin.used_ns = now_ns(pull);
    return PULL_TAKE;
}

/* ---- turns ---- */

static bool overflows(const struct pull *pull, const struct pull_request *request)
{
    if (request->min_pending <= 0 && request->min_ack_pending <= 0) return true;
    struct consumer_info info = consumer_info(pull->base.consumer);
    bool waits = request->min_pending > 0 && info.num_pending >= (uint64_t)request->min_pending;
    bool out =
        request->min_ack_pending > 0 && info.num_ack_pending >= (uint64_t)request->min_ack_pending;
    return waits || out;
}

enum pull_turn pull_group_turn(struct pull *pull, struct pull_request *request)
{
    switch (config_of(pull)->priority_policy) {
    case CONSUMER_PRIORITY_PINNED_CLIENT: return pinned_turn(pull, request);
    case CONSUMER_PRIORITY_OVERFLOW: return overflows(pull, request) ? PULL_TAKE : PULL_SKIP;
    case CONSUMER_PRIORITY_NONE:
    case CONSUMER_PRIORITY_PRIORITIZED: break;
    }
    return PULL_TAKE;
}

void pull_group_enqueue(struct pull *pull, struct pull_request *request)
{
    struct list *place = &pull->waiting;
    if (config_of(pull)->priority_policy == CONSUMER_PRIORITY_PRIORITIZED) {
        while (place->prev != &pull->waiting &&
               CONTAINER_OF(place->prev, struct pull_request, link)->priority > request->priority) {
            place = place->prev;
        }
    }
    list_insert_before(place, &request->link);
}
