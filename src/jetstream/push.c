#include "jetstream/push.h"

#include "jetstream/pull_request.h"

#include <stdio.h>
#include <stdlib.h>

/* As the reference server: the window begins small and doubles with every confirmation. */
enum { FLOW_MAX = 32 << 20, FLOW_FIRST = FLOW_MAX / 16, FLOW_ID = 8, BURST = 1 << 20 };

static const uint64_t millisecond_ns = 1000000, second_ns = 1000000000;

static struct push *of(const struct consumer_outlet *outlet)
{
    return CONTAINER_OF(outlet, struct push, base.outlet);
}

static const struct consumer_config *config_of(const struct push *push)
{
    return consumer_config(push->base.consumer);
}

static struct bytes subject_of(const struct push *push)
{
    return bytes_str(config_of(push)->deliver_subject);
}

static struct io *io_of(const struct push *push)
{
    return push->base.deliveries->io;
}

static bool is_bound(const struct push *push)
{
    struct bytes group = bytes_str(config_of(push)->deliver_group);
    return bus_inbox_is_bound(push->base.deliveries->bus, subject_of(push), group);
}

/* ---- heartbeats ---- */

static void set_beat(struct push *push)
{
    int64_t every = config_of(push)->idle_heartbeat_ns;
    if (every <= 0) return;
    uint64_t now = io_now_ns(io_of(push)), due = push->sent_ns + (uint64_t)every;
    io_timer_set(io_of(push), &push->beat, due > now ? (due - now) / millisecond_ns + 1 : 0);
}

static void beat(struct io_timer *timer)
{
    struct push *push = CONTAINER_OF(timer, struct push, beat);
    uint64_t now = io_now_ns(io_of(push));
    uint64_t every = (uint64_t)config_of(push)->idle_heartbeat_ns;
    if (now - push->sent_ns >= every) {
        bool stalled = push->flow_bytes > push->flow_window && push->flow_reply[0];
        if (is_bound(push)) {
            outlet_heartbeat(&push->base, subject_of(push), stalled ? push->flow_reply : NULL);
        }
        push->sent_ns = now;
    }
    set_beat(push);
}

/* ---- flow control ---- */

static bool is_stalled(const struct push *push)
{
    return config_of(push)->flow_control && push->flow_bytes > push->flow_window;
}

static void ask_flow(struct push *push)
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const struct consumer_config *config = config_of(push);
    uint8_t random[FLOW_ID];
    char id[FLOW_ID + 1] = {0};
    io_random(io_of(push), random, sizeof random);
    for (size_t i = 0; i < FLOW_ID; i++) id[i] = letters[random[i] % (sizeof letters - 1)];
    snprintf(push->flow_reply, push->flow_size, "$JS.FC.%s.%s.%s",
             stream_config(consumer_stream(push->base.consumer))->name, config->name, id);
    push->flow_asked = push->flow_bytes;
    outlet_status(&push->base, subject_of(push), bytes_str(push->flow_reply), 100,
                  "FlowControl Request", NULL);
}

static void count_flow(struct push *push, size_t size)
{
    if (!config_of(push)->flow_control) return;
    push->flow_bytes += size;
    if (!push->flow_reply[0]) {
        if (push->flow_bytes > push->flow_window / 2) ask_flow(push);
    } else if (push->flow_bytes - push->flow_asked >= push->flow_window) {
        push->flow_asked += size;
    }
}

static void flow(struct outlet *outlet, struct bytes subject)
{
    struct push *push = CONTAINER_OF(outlet, struct push, base);
    if (!push->flow_reply[0] || !bytes_eq(subject, bytes_str(push->flow_reply))) return;
    push->flow_reply[0] = '\0';
    push->flow_bytes -= push->flow_asked < push->flow_bytes ? push->flow_asked : push->flow_bytes;
    push->flow_asked = 0;
    push->flow_window = push->flow_window * 2 < FLOW_MAX ? push->flow_window * 2 : FLOW_MAX;
    consumer_wake(outlet->consumer);
}

/* ---- the rate ---- */

/* What may go at once after a pause: as much as the largest message. */
static double burst_of(const struct push *push)
{
    int64_t most = stream_config(consumer_stream(push->base.consumer))->max_msg_size;
    return most > 0 ? (double)most : BURST;
}

/* Whether so many bytes may go now; else it wakes the consumer when they may. */
static bool within_rate(struct push *push, size_t size)
{
    double rate = (double)config_of(push)->rate_limit_bps / 8, burst = burst_of(push);
    if (rate <= 0) return true;
    uint64_t now = io_now_ns(io_of(push));
    push->rate_bytes += (double)(now - push->rate_ns) * rate / (double)second_ns;
    if (push->rate_bytes > burst) push->rate_bytes = burst;
    push->rate_ns = now;
    double needed = (double)size < burst ? (double)size : burst;
    if (push->rate_bytes >= needed) {
        push->rate_bytes -= needed;
        return true;
    }
    double wait_ms = (needed - push->rate_bytes) * 1000 / rate;
    io_timer_set(io_of(push), &push->rate, (uint64_t)wait_ms + 1);
    return false;
}

static void rate_due(struct io_timer *timer)
{
    consumer_wake(CONTAINER_OF(timer, struct push, rate)->base.consumer);
}

/* ---- delivering ---- */

static bool wants(struct consumer_outlet *outlet)
{
    const struct push *push = of(outlet);
    return is_bound(push) && !is_stalled(push);
}

static bool takes(struct consumer_outlet *outlet, const struct stream_message *message)
{
    struct push *push = of(outlet);
    const struct consumer_config *config = config_of(push);
    bool counts = config->rate_limit_bps || config->flow_control;
    size_t size = counts ? outlet_size(&push->base, message) : 0;
    if (!within_rate(push, size)) return false;
    push->flow_next = size;
    return bus_inbox_find(push->base.deliveries->bus, subject_of(push), &push->inbox);
}

static void deliver(struct consumer_outlet *outlet, const struct delivery *delivery)
{
    struct push *push = of(outlet);
    push->sent_ns = io_now_ns(io_of(push));
    (void)outlet_send(&push->base, &push->inbox, delivery, BYTES(""));
    count_flow(push, push->flow_next);
}

static void idle(struct consumer_outlet *outlet)
{
}

static void info(const struct consumer_outlet *outlet, struct consumer_info *ret_info)
{
    ret_info->push_bound = is_bound(of(outlet));
}

/* ---- interest ---- */

static void came(struct bus_watch *watch)
{
    struct push *push = CONTAINER_OF(watch, struct push, interest);
    outlet_touch(&push->base);
    consumer_wake(push->base.consumer);
}

static void follow(struct outlet *outlet)
{
    struct push *push = CONTAINER_OF(outlet, struct push, base);
    bus_unwatch_interest(&push->interest);
    /* Without memory the next look for interest is that of the consumer's own turn. */
    (void)bus_watch_interest(outlet->deliveries->bus, &push->interest, subject_of(push), came);
    set_beat(push);
    consumer_wake(outlet->consumer);
}

/* ---- life ---- */

static bool is_used(const struct outlet *outlet)
{
    return is_bound(CONTAINER_OF(outlet, struct push, base));
}

static void request(struct outlet *outlet, struct pull_request *asked)
{
    struct push *push = CONTAINER_OF(outlet, struct push, base);
    outlet_status(&push->base, bytes_make(asked->reply, asked->reply_len), BYTES(""), 409,
                  "Consumer is push based", NULL);
    free(asked);
}

static void end(struct outlet *outlet, enum consumer_end why)
{
    struct push *push = CONTAINER_OF(outlet, struct push, base);
    struct io *io = io_of(push);
    bus_unwatch_interest(&push->interest);
    io_timer_cancel(io, &push->beat);
    io_timer_cancel(io, &push->rate);
    free(push->flow_reply);
}

static const struct outlet_kind kind = {
    .is_used = is_used, .request = request, .updated = follow, .flow = flow, .end = end};

int push_open(struct deliveries *deliveries, struct consumer *consumer)
{
    struct push *push = calloc(1, sizeof *push);
    if (!push) return ERR_NOMEM;
    push->flow_size = 2 * STREAM_NAME_MAX + 32;
    push->flow_reply = calloc(1, push->flow_size);
    push->flow_window = FLOW_FIRST;
    push->rate_ns = push->sent_ns = io_now_ns(deliveries->io);
    push->rate_bytes = BURST;
    io_timer_init(&push->beat, beat);
    io_timer_init(&push->rate, rate_due);
    push->base.outlet = (struct consumer_outlet){
        .wants = wants, .takes = takes, .deliver = deliver, .idle = idle, .info = info};
    int r = push->flow_reply ? outlet_init(&push->base, &kind, deliveries, consumer) : ERR_NOMEM;
    if (r < 0) {
        free(push->flow_reply);
        free(push);
        return r;
    }
    follow(&push->base);
    return 0;
}
