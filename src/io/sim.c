/* The world: virtual time, the queue of events, hosts that live and die. */
#include "io/sim.h"

#include <stdarg.h>
#include <stdio.h>

#include "io/sim_world.h"

enum { SIM_EPOCH_S = 1795219200 /* 2026-11-21 00:00 UTC, when every world begins */ };

struct sim_call {
    struct sim_event event;
    struct sim *sim;
    struct list link;
    void (*run)(void *context);
    void *context;
};

void sim_trace(struct sim *sim, const char *format, ...)
{
    if (!sim->options.trace) return;
    char line[512];
    int at = snprintf(line, sizeof line, "%10.6f ", (double)sim->now_ns / 1e9);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + at, sizeof line - (size_t)at, format, arguments);
    va_end(arguments);
    sim->options.trace(sim->options.trace_context, line);
}

/* ---- events: a binary heap by time and order --------------------------------------------- */

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void heap_put(struct sim *sim, size_t place, struct sim_event *event)
{
    sim->heap[place - 1] = event;
    event->place = place;
}

static void heap_rise(struct sim *sim, struct sim_event *event)
{
    size_t place = event->place;
    for (; place > 1 && before(event, sim->heap[place / 2 - 1]); place /= 2)
        heap_put(sim, place, sim->heap[place / 2 - 1]);
    heap_put(sim, place, event);
}

static void heap_sink(struct sim *sim, struct sim_event *event)
{
    size_t place = event->place;
    for (size_t child; (child = place * 2) <= sim->heap_count; place = child) {
        if (child < sim->heap_count && before(sim->heap[child], sim->heap[child - 1])) child++;
        if (!before(sim->heap[child - 1], event)) break;
        heap_put(sim, place, sim->heap[child - 1]);
    }
    heap_put(sim, place, event);
}

void sim_event_init(struct sim_event *event, void (*run)(struct sim_event *event))
{
    *event = (struct sim_event){.run = run};
}

void sim_event_cancel(struct sim *sim, struct sim_event *event)
{
    if (!event->place) return;
    struct sim_event *last = sim->heap[--sim->heap_count];
    if (last != event) {
        heap_put(sim, event->place, last);
        heap_rise(sim, last);
        heap_sink(sim, last);
    }
    event->place = 0;
}

void sim_event_set(struct sim *sim, struct sim_event *event, uint64_t at_ns)
{
    sim_event_cancel(sim, event);
    if (sim->heap_count == sim->heap_size) {
        sim->heap_size = sim->heap_size ? sim->heap_size * 2 : 64;
        sim->heap = sim_realloc(sim->heap, sim->heap_size, sizeof(struct sim_event *));
    }
    event->at_ns = at_ns > sim->now_ns ? at_ns : sim->now_ns;
    event->order = sim->order++;
    heap_put(sim, ++sim->heap_count, event);
    heap_rise(sim, event);
}

/* ---- time -------------------------------------------------------------------------------- */

static uint64_t wall_ns(const struct sim_host *host)
{
    return (uint64_t)((int64_t)SIM_EPOCH_S * 1000000000 + host->wall_offset_ns) + host->sim->now_ns;
}

void sim_move_time(struct sim *sim, uint64_t now_ns)
{
    sim->now_ns = now_ns;
    LIST_EACH(&sim->hosts, struct sim_host, link, host)
        if (!host->io->io.dead)
            io_set_clock(&host->io->io, host->mono_base_ns + now_ns, wall_ns(host));
}

/* The harness may have called into programs since the last event; what they posted or set is
 * looked up here, so nobody has to tell. */
static void arm_hosts(struct sim *sim)
{
    LIST_EACH(&sim->hosts, struct sim_host, link, host)
        if (!host->io->io.dead) sim_io_arm(host->io);
}

bool sim_step(struct sim *sim)
{
    arm_hosts(sim);
    if (!sim->heap_count) return false;
    struct sim_event *event = sim->heap[0];
    sim_event_cancel(sim, event);
    sim_move_time(sim, event->at_ns);
    sim->event_count++;
    sim_note(sim, event->at_ns);
    event->run(event);
    return true;
}

bool sim_step_before(struct sim *sim, uint64_t end_ns)
{
    arm_hosts(sim);
    return sim->heap_count && sim->heap[0]->at_ns <= end_ns && sim_step(sim);
}

void sim_run_ms(struct sim *sim, uint64_t ms)
{
    uint64_t end_ns = sim->now_ns + ms * NS_PER_MS;
    while (sim_step_before(sim, end_ns)) continue;
    sim_move_time(sim, end_ns);
}

bool sim_run_until(struct sim *sim, uint64_t ms, bool (*done)(void *context), void *context)
{
    uint64_t end_ns = sim->now_ns + ms * NS_PER_MS;
    while (!done(context))
        if (!sim_step_before(sim, end_ns)) return done(context);
    return true;
}

uint64_t sim_now_ns(const struct sim *sim)
{
    return sim->now_ns;
}

static void call_run(struct sim_event *event)
{
    struct sim_call *call = CONTAINER_OF(event, struct sim_call, event);
    void (*run)(void *context) = call->run;
    void *context = call->context;
    list_remove(&call->link);
    free(call);
    run(context);
}

void sim_at(struct sim *sim, uint64_t delay_ms, void (*run)(void *context), void *context)
{
    struct sim_call *call = sim_alloc(1, sizeof *call);
    *call = (struct sim_call){.sim = sim, .run = run, .context = context};
    sim_event_init(&call->event, call_run);
    list_push(&sim->calls, &call->link);
    sim_event_set(sim, &call->event, sim->now_ns + delay_ms * NS_PER_MS);
}

/* ---- choices and their record ------------------------------------------------------------ */

uint64_t sim_random_u64(struct sim *sim)
{
    return sim_prng_next(&sim->prng);
}

uint64_t sim_random_below(struct sim *sim, uint64_t bound)
{
    return sim_prng_below(&sim->prng, bound);
}

bool sim_random_chance(struct sim *sim, uint32_t in_a_million)
{
    return sim_prng_chance(&sim->prng, in_a_million);
}

void sim_note(struct sim *sim, uint64_t value)
{
    uint64_t mixed = (sim->fingerprint ^ value) * 0x9e3779b97f4a7c15u;
    sim->fingerprint = mixed ^ mixed >> 29;
}

/* The generator's state stands for every choice made so far. */
uint64_t sim_fingerprint(const struct sim *sim)
{
    uint64_t mixed = sim->fingerprint;
    for (int i = 0; i < 4; i++) {
        mixed = (mixed ^ sim->prng.state[i]) * 0x9e3779b97f4a7c15u;
        mixed ^= mixed >> 32;
    }
    return mixed;
}

uint64_t sim_events(const struct sim *sim)
{
    return sim->event_count;
}

/* ---- the world --------------------------------------------------------------------------- */

void sim_options_init(struct sim_options *options)
{
    *options = (struct sim_options){
        .latency_min_us = 50,
        .latency_mean_us = 200,
        .bandwidth = 100 * 1000 * 1000,
        .window_min = 1024,
        .window_max = 256 * 1024,
        .connect_timeout_ms = 127 * 1000, /* Linux: tcp_syn_retries 6 */
        .send_timeout_ms = 924 * 1000,    /* Linux: tcp_retries2 15 */
        .disk_size = 1u << 30,
        .disk_op_us = 5,
        .disk_sync_us = 500,
        .disk_bandwidth = 500 * 1000 * 1000,
        .turn_us = 10,
        .stall_ms = 100,
    };
}

struct sim *sim_new(uint64_t seed, const struct sim_options *options)
{
    struct sim *sim = sim_alloc(1, sizeof *sim);
    if (options)
        sim->options = *options;
    else
        sim_options_init(&sim->options);
    sim_prng_init(&sim->prng, seed);
    sim->fingerprint = seed;
    list_init(&sim->hosts);
    list_init(&sim->connections);
    list_init(&sim->dead);
    list_init(&sim->calls);
    return sim;
}

static void host_free(struct sim_host *host)
{
    sim_disk_close_all(host->io);
    if (!host->io->io.dead) sim_io_free(host->io);
    sim_disk_free(host->disk);
    free(host->scratch);
    free(host);
}

void sim_free(struct sim *sim)
{
    if (!sim) return;
    sim_net_free(sim);
    LIST_EACH(&sim->hosts, struct sim_host, link, host) host_free(host);
    LIST_EACH(&sim->dead, struct sim_io, link, io) sim_io_free(io);
    LIST_EACH(&sim->calls, struct sim_call, link, call) free(call);
    free(sim->heap);
    free(sim);
}

struct sim_options *sim_options_of(struct sim *sim)
{
    return &sim->options;
}

/* ---- hosts ------------------------------------------------------------------------------- */

/* Clocks of a host that starts: the monotonic one counts from a boot some days ago, or the world's
 * time would be the same everywhere and nobody would notice a mix-up. */
static void start(struct sim_host *host)
{
    struct sim *sim = host->sim;
    uint64_t day_ns = 24ull * 3600 * 1000 * NS_PER_MS;
    int64_t skew_ns = (int64_t)(sim->options.wall_skew_ms * NS_PER_MS);
    host->mono_base_ns = sim_prng_below(&sim->prng, 100 * day_ns);
    if (skew_ns)
        host->wall_offset_ns = (int64_t)sim_prng_below(&sim->prng, 2 * (uint64_t)skew_ns) - skew_ns;
    host->power = true;
    host->crash_at = UINT64_MAX;
    host->io = sim_io_new(host);
    io_base_init(&host->io->io, host->io->io.ops, host->mono_base_ns + sim->now_ns, wall_ns(host));
}

struct sim_host *sim_host_new(struct sim *sim, const char *name)
{
    assert(sim->host_count < SIM_HOSTS_MAX);
    struct sim_host *host = sim_alloc(1, sizeof *host);
    host->sim = sim;
    host->number = ++sim->host_count;
    snprintf(host->name, sizeof host->name, "%s", name);
    host->port_next = 32768 + sim_prng_below(&sim->prng, 20000);
    host->scratch = sim_alloc(1, IO_RECV_ROOM + SIM_SCRATCH_SIZE);
    host->disk = sim_disk_new(host);
    list_push(&sim->hosts, &host->link);
    start(host);
    return host;
}

struct io *sim_host_io(const struct sim_host *host)
{
    return &host->io->io;
}

struct io_addr sim_host_addr(const struct sim_host *host, uint16_t port)
{
    return (struct io_addr){
        .family = IO_IPV4, .port = port, .ip = {10, 0, 0, (uint8_t)host->number}};
}

const char *sim_host_name(const struct sim_host *host)
{
    return host->name;
}

static void die(struct sim_host *host, bool power_fails)
{
    struct sim *sim = host->sim;
    if (host->io->io.dead) return;
    sim_trace(sim, "%s %s", host->name, power_fails ? "crashes" : "is killed");
    sim_note(sim, host->number);
    sim_io_die(host->io);
    sim_net_die(host->io, power_fails);
    sim_disk_close_all(host->io);
    if (power_fails) {
        host->power = false;
        sim_disk_crash(host->disk);
    }
    list_push(&sim->dead, &host->io->link);
}

void sim_host_crash(struct sim_host *host)
{
    die(host, true);
}

void sim_host_kill(struct sim_host *host)
{
    die(host, false);
}

void sim_host_crash_after(struct sim_host *host, uint64_t file_operations)
{
    host->crash_at = host->file_operations + file_operations;
    host->kills = false;
}

void sim_host_kill_after(struct sim_host *host, uint64_t file_operations)
{
    host->crash_at = host->file_operations + file_operations;
    host->kills = true;
}

void sim_host_crash_never(struct sim_host *host)
{
    host->crash_at = UINT64_MAX;
}

bool sim_host_crashed(const struct sim_host *host)
{
    return host->io->io.dead;
}

struct io *sim_host_restart(struct sim_host *host)
{
    assert(host->io->io.dead);
    sim_trace(host->sim, "%s restarts", host->name);
    start(host);
    sim_net_resume(host->sim);
    return &host->io->io;
}

uint64_t sim_host_file_operations(const struct sim_host *host)
{
    return host->file_operations;
}

void sim_host_set_wall(struct sim_host *host, int64_t by_ms)
{
    host->wall_offset_ns += by_ms * NS_PER_MS;
}
