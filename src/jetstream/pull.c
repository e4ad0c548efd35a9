#include "jetstream/pull.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static const uint64_t millisecond_ns = 1000000;

static struct pull *of(const struct consumer_outlet *outlet)
{
    return CONTAINER_OF(outlet, struct pull, base.outlet);
}

static struct bytes reply_of(const struct pull_request *request)
{
    return bytes_make(request->reply, request->reply_len);
}

static uint64_t now_ns(const struct pull *pull)
{
    return io_now_ns(pull->base.deliveries->io);
}

/* ---- leaving the queue ---- */

static void drop(struct pull *pull, struct pull_request *request)
{
    if (pull->chosen == request) pull->chosen = NULL;
    list_remove(&request->link);
    pull->waiting_count--;
    free(request);
}

static void say(struct pull *pull, const struct pull_request *request, int code, const char *text)
{
    pull->told++;
    outlet_status(&pull->base, reply_of(request), BYTES(""), code, text, NULL);
}

/* With what the client did not get. */
static void say_rest(struct pull *pull, const struct pull_request *request, int code,
                     const char *text)
{
    char lines[128];
    pull->told++;
    snprintf(lines, sizeof lines,
             "Nats-Pending-Messages: %" PRId64 "\r\nNats-Pending-Bytes: %" PRId64 "\r\n",
             request->batch, request->bytes);
    outlet_status(&pull->base, reply_of(request), BYTES(""), code, text, lines);
}

static bool listens(struct pull *pull, const struct pull_request *request)
{
    struct bus_inbox inbox;
    return bus_inbox_find(pull->base.deliveries->bus, reply_of(request), &inbox);
}

static bool has_expired(const struct pull *pull, const struct pull_request *request)
{
    return request->expires_at_ns && request->expires_at_ns <= now_ns(pull);
}

/* ---- time ---- */

static void earlier(uint64_t *next, uint64_t at_ns)
{
    if (at_ns && (!*next || at_ns < *next)) *next = at_ns;
}

static void set_timer(struct pull *pull)
{
    uint64_t next = pull_group_deadline(pull), now = now_ns(pull);
    LIST_EACH(&pull->waiting, struct pull_request, link, request) {
        earlier(&next, request->expires_at_ns);
        earlier(&next, request->heartbeat_at_ns);
    }
    if (next == 0) {
        io_timer_cancel(pull->base.deliveries->io, &pull->timer);
        return;
    }
    uint64_t wait_ms = next > now ? (next - now + millisecond_ns - 1) / millisecond_ns : 0;
    io_timer_set(pull->base.deliveries->io, &pull->timer, wait_ms);
}

/* Ends what has expired, and what nobody listens to any more. Returns how many went. */
static size_t sweep(struct pull *pull)
{
    size_t before = pull->waiting_count;
    LIST_EACH(&pull->waiting, struct pull_request, link, request) {
        if (has_expired(pull, request)) {
            say_rest(pull, request, 408, "Request Timeout");
            drop(pull, request);
        } else if (!listens(pull, request)) {
            drop(pull, request);
        }
    }
    return before - pull->waiting_count;
}

static void beat(struct pull *pull)
{
    uint64_t now = now_ns(pull);
    LIST_EACH(&pull->waiting, struct pull_request, link, request) {
        if (!request->heartbeat_at_ns || request->heartbeat_at_ns > now) continue;
        outlet_heartbeat(&pull->base, reply_of(request), NULL);
        request->heartbeat_at_ns = now + (uint64_t)request->heartbeat_ns;
    }
}

static void timer_done(struct io_timer *timer)
{
    struct pull *pull = CONTAINER_OF(timer, struct pull, timer);
    (void)sweep(pull);
    beat(pull);
    pull_group_expire(pull);
    set_timer(pull);
    if (!list_empty(&pull->waiting)) consumer_wake(pull->base.consumer);
}

/* ---- entering the queue ---- */

/* "500ms", "1.5s", "2m0s": as Go writes durations, to the millisecond. */
static void put_duration(char *text, size_t size, int64_t ns)
{
    int64_t ms = ns / 1000000;
    double seconds = (double)ms / 1000;
    int64_t minutes = ns / INT64_C(60000000000);
    if (ns < INT64_C(1000000000)) {
        snprintf(text, size, "%" PRId64 "ms", ms);
    } else if (minutes == 0) {
        snprintf(text, size, "%gs", seconds);
    } else if (minutes < 60) {
        snprintf(text, size, "%" PRId64 "m%gs", minutes, seconds - (double)minutes * 60);
    } else {
        snprintf(text, size, "%" PRId64 "h%" PRId64 "m%gs", minutes / 60, minutes % 60,
                 seconds - (double)minutes * 60);
    }
}

/* Whether the request keeps to what one may ask for; else it has been told. */
static bool is_allowed(struct pull *pull, const struct pull_request *request)
{
    const struct consumer_config *config = consumer_config(pull->base.consumer);
    char text[160], limit[32];
    int code = 409;
    const char *refusal = NULL;
    if (request->error[0]) {
        code = 400;
        snprintf(text, sizeof text, "Bad Request - %s", request->error);
    } else if (config->max_batch > 0 && request->batch > config->max_batch) {
        snprintf(text, sizeof text, "Exceeded MaxRequestBatch of %" PRId64, config->max_batch);
    } else if (config->max_expires_ns > 0 && request->expires_ns > config->max_expires_ns) {
        put_duration(limit, sizeof limit, config->max_expires_ns);
        snprintf(text, sizeof text, "Exceeded MaxRequestExpires of %s", limit);
    } else if (config->max_bytes > 0 && request->bytes > config->max_bytes) {
        snprintf(text, sizeof text, "Exceeded MaxRequestMaxBytes of %" PRId64, config->max_bytes);
    } else if ((refusal = pull_group_refuses(pull, request, &code))) {
        snprintf(text, sizeof text, "%s", refusal);
    } else {
        return true;
    }
    say(pull, request, code, text);
    return false;
}

/* Whether a request that will not wait has a reason to stay; else it has been told. */
static bool may_stay(struct pull *pull, const struct pull_request *request)
{
    uint64_t available = consumer_available(pull->base.consumer), asked = 0;
    if (!request->no_wait) return true;
    if (available > 0) {
        (void)sweep(pull);
        LIST_EACH(&pull->waiting, struct pull_request, link, other) asked += (uint64_t)other->batch;
    }
    if (available < asked) {
        say(pull, request, 408, "Requests Pending");
        return false;
    }
    bool comes = available > 0 && !consumer_is_paused(pull->base.consumer);
    if (comes || request->expires_ns) return true;
    say(pull, request, 404, "No Messages");
    return false;
}

static bool has_room(struct pull *pull, const struct pull_request *request)
{
    int64_t most = consumer_config(pull->base.consumer)->max_waiting;
    if (most <= 0 || pull->waiting_count < (uint64_t)most || sweep(pull) > 0) return true;
    say(pull, request, 409, "Exceeded MaxWaiting");
    return false;
}

static void admit(struct outlet *outlet, struct pull_request *request)
{
    struct pull *pull = CONTAINER_OF(outlet, struct pull, base);
    bool stays = is_allowed(pull, request);
    if (stays && request->is_over) {
        say_rest(pull, request, 408, "Request Timeout");
        stays = false;
    }
    stays = stays && may_stay(pull, request) && has_room(pull, request);
    if (!stays) {
        free(request);
        return;
    }
    uint64_t now = now_ns(pull);
    if (request->expires_ns) request->expires_at_ns = now + (uint64_t)request->expires_ns;
    if (request->heartbeat_ns > 0) {
        request->heartbeat_at_ns = now + (uint64_t)request->heartbeat_ns;
    }
    pull_group_enqueue(pull, request);
    pull->waiting_count++;
}

static void admitted(struct outlet *outlet)
{
    struct pull *pull = CONTAINER_OF(outlet, struct pull, base);
    set_timer(pull);
    if (!list_empty(&pull->waiting)) consumer_wake(outlet->consumer);
}

/* ---- delivering ---- */

/* Requests that do not wait have had all there is; one that would wait for a first message stays
 * until it has had it. */
static void end_one_shots(struct pull *pull)
{
    size_t before = pull->waiting_count;
    LIST_EACH(&pull->waiting, struct pull_request, link, request) {
        if (!request->no_wait || (request->delivered == 0 && request->expires_ns)) continue;
        say(pull, request, 404, "No Messages");
        drop(pull, request);
    }
    if (before != pull->waiting_count) set_timer(pull);
}

static bool wants(struct consumer_outlet *outlet)
{
    return !list_empty(&of(outlet)->waiting);
}

/* Whether the message is within the bytes that the request still may have. */
static bool fits(struct pull *pull, struct pull_request *request,
                 const struct stream_message *message)
{
    if (!request->has_bytes) return true;
    size_t size = outlet_size(&pull->base, message);
    if (size > (uint64_t)request->bytes) return false;
    request->bytes -= (int64_t)size;
    if (request->bytes == 0) request->batch = 1;
    return true;
}

/* Chooses the request that gets it. Those that cannot be served go; each is looked at once. */
static bool takes(struct consumer_outlet *outlet, const struct stream_message *message)
{
    struct pull *pull = of(outlet);
    uint64_t told = pull->told;
    pull->chosen = NULL;
    LIST_EACH(&pull->waiting, struct pull_request, link, request) {
        if (has_expired(pull, request)) {
            say_rest(pull, request, 408, "Request Timeout");
            drop(pull, request);
            continue;
        }
        if (!bus_inbox_find(pull->base.deliveries->bus, reply_of(request), &pull->inbox)) {
            drop(pull, request);
            continue;
        }
        enum pull_turn turn = pull_group_turn(pull, request);
        if (turn == PULL_SKIP) continue;
        if (turn == PULL_WRONG_PIN) {
            say(pull, request, 423, "Nats-Wrong-Pin-Id");
            drop(pull, request);
            continue;
        }
        if (!fits(pull, request, message)) {
            say_rest(pull, request, 409, "Message Size Exceeds MaxBytes");
            drop(pull, request);
            continue;
        }
        pull->chosen = request;
        /* What was said to others may have moved the route. */
        return told == pull->told ||
               bus_inbox_find(pull->base.deliveries->bus, reply_of(request), &pull->inbox);
    }
    end_one_shots(pull); /* there is something, but not for them */
    return false;
}

static void deliver(struct consumer_outlet *outlet, const struct delivery *delivery)
{
    struct pull *pull = of(outlet);
    struct pull_request *request = pull->chosen;
    struct bytes pin = request->has_group ? bytes_str(pull->pin.id) : BYTES("");
    (void)outlet_send(&pull->base, &pull->inbox, delivery, pin);
    request->delivered++;
    request->batch--;
    if (request->batch <= 0) {
        if (request->bytes > 0) say_rest(pull, request, 409, "Batch Completed");
        drop(pull, request);
        return;
    }
    if (request->heartbeat_ns > 0) {
        request->heartbeat_at_ns = now_ns(pull) + (uint64_t)request->heartbeat_ns;
    }
    /* It came with the message itself: idle is to say whether this was all. */
    if (request->no_wait && request->expires_ns) consumer_wake(pull->base.consumer);
    if (pull->waiting_count == 1) return;
    list_remove(&request->link);
    pull_group_enqueue(pull, request);
}

static void idle(struct consumer_outlet *outlet)
{
    end_one_shots(of(outlet));
}

static void info(const struct consumer_outlet *outlet, struct consumer_info *ret_info)
{
    const struct pull *pull = of(outlet);
    ret_info->num_waiting = pull->waiting_count;
    if (!pull->pin.id[0]) return;
    snprintf(ret_info->groups[0].pinned_id, sizeof ret_info->groups[0].pinned_id, "%s",
             pull->pin.id);
    ret_info->groups[0].pinned_ns = pull->pin.since_ns;
}

/* ---- life ---- */

static bool is_used(const struct outlet *outlet)
{
    struct pull *pull = CONTAINER_OF(outlet, struct pull, base);
    (void)sweep(pull);
    return pull->waiting_count > 0 || consumer_is_at_work(outlet->consumer);
}

static void flow(struct outlet *outlet, struct bytes subject)
{
}

static void end(struct outlet *outlet, enum consumer_end why)
{
    struct pull *pull = CONTAINER_OF(outlet, struct pull, base);
    struct io *io = outlet->deliveries->io;
    struct list *link;
    const char *text = why == CONSUMER_END_DESTROYED ? "Consumer Deleted" : "Server Shutdown";
    while ((link = list_pop(&pull->waiting))) {
        struct pull_request *waiting = CONTAINER_OF(link, struct pull_request, link);
        say(pull, waiting, 409, text);
        free(waiting);
    }
    io_timer_cancel(io, &pull->timer);
}

static const struct outlet_kind kind = {
    .is_used = is_used, .request = admit, .requested = admitted, .flow = flow, .end = end};

int pull_open(struct deliveries *deliveries, struct consumer *consumer)
{
    struct pull *pull = calloc(1, sizeof *pull);
    if (!pull) return ERR_NOMEM;
    list_init(&pull->waiting);
    io_timer_init(&pull->timer, timer_done);
    pull->base.outlet = (struct consumer_outlet){
        .wants = wants, .takes = takes, .deliver = deliver, .idle = idle, .info = info};
    int r = outlet_init(&pull->base, &kind, deliveries, consumer);
    if (r < 0) free(pull);
    return r;
}
