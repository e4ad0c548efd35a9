/* Listeners, connecting, and the faults of the network. */
#include "io/sim_end.h"

enum { FIRST_RETRY_MS = 1000 /* of a SYN; doubles */, PORT_MIN = 32768, PORT_MAX = 60999 };

struct sim_listener {
    struct list link; /* in sim_io.listeners */
    struct sim_io *io;
    struct io_listener *listener; /* NULL: closed inside `accepted` */
    struct io_addr addr;
    struct list backlog; /* of struct sim_end */
    int backlog_max;
    bool paused, reuse_port, in_accepted;
    struct sim_end *offered; /* inside `accepted`, until it is taken */
    struct sim_ready ready;
};

/* ---- addresses --------------------------------------------------------------------------- */

static const uint8_t none[16], loopback6[16] = {[15] = 1};

static bool is_any(const struct io_addr *addr)
{
    return memcmp(addr->ip, none, addr->family == IO_IPV4 ? 4 : 16) == 0;
}

static bool is_loopback(const struct io_addr *addr)
{
    return addr->family == IO_IPV4 ? addr->ip[0] == 127 : memcmp(addr->ip, loopback6, 16) == 0;
}

/* The number of the host that has this address, 0 for none; loopback is not looked at. */
static uint32_t host_number(const struct io_addr *addr)
{
    static const uint8_t prefix4[3] = {10}, prefix6[15] = {0xfd};
    if (addr->family == IO_IPV4) return memcmp(addr->ip, prefix4, 3) == 0 ? addr->ip[3] : 0;
    return memcmp(addr->ip, prefix6, 15) == 0 ? addr->ip[15] : 0;
}

static struct sim_host *find_host(struct sim_host *from, const struct io_addr *addr)
{
    if (addr->family == IO_UNIX || is_any(addr) || is_loopback(addr)) return from;
    uint32_t number = host_number(addr);
    LIST_EACH(&from->sim->hosts, struct sim_host, link, host)
        if (host->number == number) return host;
    return NULL;
}

static bool same_ip(const struct io_addr *a, const struct io_addr *b)
{
    return a->family == b->family && memcmp(a->ip, b->ip, a->family == IO_IPV4 ? 4 : 16) == 0;
}

/* The address from which a host speaks to another one. */
static struct io_addr source_addr(struct sim_host *from, const struct io_addr *target)
{
    struct io_addr addr = {.family = target->family};
    if (target->family == IO_UNIX) return addr;
    addr.port = (uint16_t)from->port_next++;
    if (from->port_next > PORT_MAX) from->port_next = PORT_MIN;
    if (is_loopback(target) || is_any(target))
        memcpy(addr.ip, target->family == IO_IPV4 ? (const uint8_t[16]){127, 0, 0, 1} : loopback6,
               16);
    else if (target->family == IO_IPV4)
        memcpy(addr.ip, (const uint8_t[16]){10, 0, 0, (uint8_t)from->number}, 16);
    else
        memcpy(addr.ip, (const uint8_t[16]){0xfd, [15] = (uint8_t)from->number}, 16);
    return addr;
}

/* ---- listeners --------------------------------------------------------------------------- */

static bool answers(const struct sim_listener *listener, const struct io_addr *addr)
{
    const struct io_addr *own = &listener->addr;
    if (!listener->listener || own->family != addr->family) return false;
    if (own->family == IO_UNIX) return strcmp(own->path, addr->path) == 0;
    return own->port == addr->port && (is_any(own) || is_any(addr) || same_ip(own, addr));
}

/* Of several that share the port, any. */
static struct sim_listener *find_listener(struct sim_host *host, const struct io_addr *addr)
{
    struct sim_listener *found = NULL;
    uint64_t count = 0;
    LIST_EACH(&host->io->listeners, struct sim_listener, link, listener) {
        if (!answers(listener, addr)) continue;
        count++;
        if (count == 1 || sim_prng_below(&host->sim->prng, count) == 0) found = listener;
    }
    return found;
}

static int backlog_count(const struct sim_listener *listener)
{
    int count = 0;
    for (struct list *link = listener->backlog.next; link != &listener->backlog; link = link->next)
        count++;
    return count;
}

static void listener_free(struct sim_listener *listener)
{
    list_remove(&listener->link);
    list_remove(&listener->ready.link);
    free(listener);
}

static void hang_up_unaccepted(struct sim_end *end)
{
    end->io = NULL;
    sim_end_hang_up(end);
    sim_end_send_reset(end->peer);
    sim_connection_settle(end->connection);
}

/* Hands each waiting connection to `accepted`, in which the listener may be closed and the host may
 * crash; either leaves the memory to us. */
static void accept_step(struct sim_ready *ready)
{
    struct sim_listener *own = CONTAINER_OF(ready, struct sim_listener, ready);
    struct sim_io *io = own->io;
    own->in_accepted = true;
    while (own->listener && !own->paused && !list_empty(&own->backlog)) {
        struct list *link = list_pop(&own->backlog);
        own->offered = CONTAINER_OF(link, struct sim_end, backlog);
        own->listener->accepted(own->listener);
        if (own->offered && !io->io.dead) hang_up_unaccepted(own->offered);
        own->offered = NULL;
    }
    own->in_accepted = false;
    if (!own->listener) listener_free(own);
}

static int check_listen(struct sim_io *io, const struct io_addr *addr, bool reuse_port)
{
    bool is_ip = addr->family != IO_UNIX;
    if (is_ip && find_host(io->host, addr) != io->host) return ERR_IO; /* EADDRNOTAVAIL */
    if (is_ip && !addr->port) return 0;
    LIST_EACH(&io->listeners, struct sim_listener, link, other)
        if (answers(other, addr) && !(reuse_port && other->reuse_port)) return ERR_IN_USE;
    return 0;
}

int sim_listen(struct io_listener *listener, const struct io_listen_options *options)
{
    struct sim_io *io = sim_io_of(listener->io);
    struct io_addr *addr = &listener->addr;
    int result = check_listen(io, addr, options->reuse_port);
    if (result < 0) return result;
    struct sim_prng *prng = &io->host->sim->prng;
    if (addr->family != IO_UNIX && !addr->port) {
        do addr->port = (uint16_t)sim_prng_between(prng, PORT_MIN, PORT_MAX);
        while (find_listener(io->host, addr));
    }
    struct sim_listener *own = sim_alloc(1, sizeof *own);
    *own = (struct sim_listener){.io = io,
                                 .listener = listener,
                                 .addr = *addr,
                                 .backlog_max = options->backlog,
                                 .reuse_port = options->reuse_port,
                                 .ready = {.run = accept_step}};
    list_init(&own->backlog);
    list_init(&own->ready.link);
    list_push(&io->listeners, &own->link);
    listener->sim = own;
    return 0;
}

void sim_accept(struct io_listener *listener, struct io_stream *stream)
{
    struct sim_listener *own = listener->sim;
    struct sim_end *end = own->offered;
    assert(end);
    own->offered = NULL;
    end->stream = stream;
    end->state = END_OPEN;
    stream->sim = end;
}

void sim_listener_pause(struct io_listener *listener, bool pause)
{
    struct sim_listener *own = listener->sim;
    own->paused = pause;
    if (!pause && !list_empty(&own->backlog)) sim_io_ready(own->io, &own->ready);
}

/* With the listener go the connections that nobody has accepted. */
static void listener_drop(struct sim_listener *own, bool power_failed)
{
    own->listener = NULL;
    for (struct list *link; (link = list_pop(&own->backlog));)
        if (!power_failed) hang_up_unaccepted(CONTAINER_OF(link, struct sim_end, backlog));
    if (own->in_accepted) {
        list_remove(&own->link);
        return;
    }
    listener_free(own);
}

void sim_listener_close(struct io_listener *listener)
{
    struct sim_listener *own = listener->sim;
    if (!own) return;
    listener->sim = NULL;
    listener_drop(own, false);
}

/* ---- connecting -------------------------------------------------------------------------- */

static void syn_answer(struct sim_end *end, int result, const struct sim_host *from)
{
    struct sim *sim = end->connection->sim;
    end->answer = result;
    end->answered = true;
    sim_event_set(sim, &end->syn, sim->now_ns + sim_latency_ns(from, end->host));
}

static void syn_retry(struct sim_end *end)
{
    struct sim *sim = end->connection->sim;
    uint64_t end_ns = end->began_ns + sim->options.connect_timeout_ms * NS_PER_MS;
    uint64_t next_ns = sim->now_ns + end->retry_ns;
    end->retry_ns *= 2;
    end->answer = ERR_TIMEOUT;
    end->answered = next_ns >= end_ns;
    sim_event_set(sim, &end->syn, end->answered ? end_ns : next_ns);
}

/* The SYN is there: the connection exists on that side from now on. */
static void syn_accept(struct sim_end *end, struct sim_listener *listener)
{
    struct sim_end *other = end->peer;
    sim_trace(end->connection->sim, "%s -> %s connection %llu: opens", end->host->name,
              listener->io->host->name, (unsigned long long)end->connection->number);
    sim_end_begin(other, listener->io, END_QUEUED);
    other->peer_addr = source_addr(end->host, &end->target);
    list_push(&listener->backlog, &other->backlog);
    if (!listener->paused) sim_io_ready(listener->io, &listener->ready);
    syn_answer(end, 0, other->host);
}

static void syn_arrives(struct sim_end *end)
{
    struct sim_host *from = end->host, *to = find_host(from, &end->target);
    if (!to) {
        syn_answer(end, ERR_UNREACHABLE, from);
        return;
    }
    if (!sim_reachable(from, to) || !sim_reachable(to, from)) {
        syn_retry(end);
        return;
    }
    struct sim_listener *listener = to->io->io.dead ? NULL : find_listener(to, &end->target);
    if (!listener)
        syn_answer(end, end->target.family == IO_UNIX ? ERR_NOT_FOUND : ERR_REFUSED, to);
    else if (backlog_count(listener) >= listener->backlog_max)
        syn_retry(end);
    else
        syn_accept(end, listener);
}

static void syn_step(struct sim_event *event)
{
    struct sim_end *end = CONTAINER_OF(event, struct sim_end, syn);
    if (!end->answered) {
        syn_arrives(end);
        return;
    }
    if (end->error) return; /* reset in the meantime */
    if (end->answer < 0) {
        sim_end_break(end, end->answer);
        return;
    }
    end->state = END_OPEN;
    sim_io_ready(end->io, &end->send_ready);
}

void sim_connect(struct io_stream *stream, const struct io_addr *addr)
{
    struct sim_io *io = sim_io_of(stream->io);
    struct sim *sim = io->host->sim;
    struct sim_end *end = &sim_connection_new(sim)->ends[0];
    sim_end_begin(end, io, END_CONNECTING);
    end->stream = stream;
    end->target = end->peer_addr = *addr;
    end->began_ns = sim->now_ns;
    end->retry_ns = (uint64_t)FIRST_RETRY_MS * NS_PER_MS;
    stream->sim = end;
    struct sim_host *to = find_host(io->host, addr);
    sim_event_init(&end->syn, syn_step);
    sim_event_set(sim, &end->syn, sim->now_ns + sim_latency_ns(io->host, to ? to : io->host));
}

int sim_stream_peer(const struct io_stream *stream, struct io_addr *ret_addr)
{
    const struct sim_end *end = stream->sim;
    if (!end) return ERR_CLOSED;
    if (end->peer_addr.family == IO_UNIX) return ERR_UNSUPPORTED;
    *ret_addr = end->peer_addr;
    return 0;
}

/* ---- life and death ---------------------------------------------------------------------- */

static void end_die(struct sim_end *end, bool power_failed)
{
    end->stream = NULL;
    end->io = NULL;
    list_remove(&end->recv_ready.link);
    list_remove(&end->send_ready.link);
    list_remove(&end->close_ready.link);
    if (power_failed)
        sim_end_silence(end);
    else if (end->state != END_CLOSED)
        sim_end_hang_up(end);
}

static void each_end(struct sim *sim, void (*visit)(struct sim_end *end))
{
    LIST_EACH(&sim->connections, struct sim_connection, link, connection)
        for (int i = 0; i < 2; i++)
            if (connection->ends[i].state != END_NONE) visit(&connection->ends[i]);
}

void sim_net_die(struct sim_io *io, bool power_failed)
{
    struct sim *sim = io->host->sim;
    LIST_EACH(&io->listeners, struct sim_listener, link, listener)
        listener_drop(listener, power_failed);
    LIST_EACH(&sim->connections, struct sim_connection, link, connection) {
        for (int i = 0; i < 2; i++) {
            struct sim_end *end = &connection->ends[i];
            bool is_here = end->host == io->host && end->state != END_NONE;
            if (is_here && (end->io == io || power_failed)) end_die(end, power_failed);
        }
        sim_connection_settle(connection);
    }
    each_end(sim, sim_end_probe);
}

void sim_net_resume(struct sim *sim)
{
    each_end(sim, sim_end_resume);
}

void sim_net_free(struct sim *sim)
{
    LIST_EACH(&sim->connections, struct sim_connection, link, connection)
        sim_connection_free(connection);
    LIST_EACH(&sim->hosts, struct sim_host, link, host)
        LIST_EACH(&host->io->listeners, struct sim_listener, link, listener)
            listener_free(listener);
}

/* ---- faults ------------------------------------------------------------------------------ */

void sim_cut(struct sim_host *from, struct sim_host *to, bool cut)
{
    uint64_t bit = 1ull << (to->number - 1);
    sim_trace(from->sim, "%s to %s: %s", from->name, to->name, cut ? "cut" : "healed");
    from->cut_to = cut ? from->cut_to | bit : from->cut_to & ~bit;
    each_end(from->sim, cut ? sim_end_probe : sim_end_resume);
}

void sim_partition(struct sim_host *a, struct sim_host *b, bool cut)
{
    sim_cut(a, b, cut);
    sim_cut(b, a, cut);
}

void sim_heal(struct sim *sim)
{
    sim_trace(sim, "all healed");
    LIST_EACH(&sim->hosts, struct sim_host, link, host) host->cut_to = 0;
    sim_net_resume(sim);
}

int sim_reset(struct sim_host *a, struct sim_host *b)
{
    int count = 0;
    LIST_EACH(&a->sim->connections, struct sim_connection, link, connection) {
        struct sim_end *x = &connection->ends[0], *y = &connection->ends[1];
        bool is_meant = (x->host == a && y->host == b) || (x->host == b && y->host == a);
        if (!is_meant || x->state == END_NONE || y->state == END_NONE) continue;
        sim_end_break(x, ERR_RESET);
        sim_end_break(y, ERR_RESET);
        sim_connection_settle(connection);
        count++;
    }
    return count;
}

size_t sim_connections(const struct sim *sim)
{
    return sim->connection_count;
}
