#include "client/client_impl.h"

#include "base/jsonw.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CONNECT_TIMEOUT_MS = 3000,
    PING_INTERVAL_MS = 5000,
    BACKOFF_MIN_MS = 50,
    BACKOFF_MAX_MS = 2000,
    PENDING_MAX = 64 << 20,
    UNACKNOWLEDGED_MAX = 65536,
    UNACKNOWLEDGED_BYTES_MAX = 64 << 20,
    REQUESTS_MAX = 65536,
    SUBSCRIPTIONS_MAX = 65536,
    ARENA_MAX = 256 << 10,
    HEADERS_MAX = 128 << 10,
    FLUSH_MS = 1000,
    RESOLVING_AGAIN_MS = 100
};

static void connect_next(struct client *client);

/* ---- up and down ----------------------------------------------------------------------------- */

static void set_reason(struct client *client, const char *reason)
{
    snprintf(client->reason, sizeof client->reason, "%s", reason);
}

static void tell_watches(struct client *client, bool up)
{
    client->since_ns = io_now_ns(client->io);
    LIST_EACH(&client->watches, struct client_watch, link, watch) watch->changed(watch, up);
}

static void stream_closed(struct io_stream *stream)
{
    struct client *client = CONTAINER_OF(stream, struct client, stream);
    client->stream_closing = false;
    if (client->closing)
        client_finish(client);
    else
        io_timer_set(client->io, &client->timer, client->wait_ms);
}

static void close_stream(struct client *client)
{
    client->stream_open = false;
    client->stream_closing = true;
    io_close(&client->stream, stream_closed);
}

void client_lose(struct client *client, const char *reason)
{
    bool was_up = client->state == CLIENT_UP;
    /* What the server said before it closed is the better reason. */
    if (was_up || client->state < CLIENT_GREETING || !client->reason[0]) set_reason(client, reason);
    if (was_up || client->servers.failures == 0)
        LOG(client->log, LOG_WARN, "bus_lost", LOG_S("server", client->server_text),
            LOG_S("reason", client->reason));
    if (was_up)
        client->metrics.disconnects++;
    else
        client->metrics.connect_failures++;
    client->state = CLIENT_DOWN;
    client->wait_ms = servers_next(&client->servers, io_random_u64(client->io));
    client_link_reset(client);
    io_timer_cancel(client->io, &client->timer);
    if (client->stream_open)
        close_stream(client);
    else if (!client->stream_closing)
        io_timer_set(client->io, &client->timer, client->wait_ms);
    if (!was_up) return;
    client_fail_requests(client, ERR_RESET);
    tell_watches(client, false);
}

void client_came_up(struct client *client)
{
    client->state = CLIENT_UP;
    client->metrics.connects++;
    servers_up(&client->servers);
    set_reason(client, "");
    io_timer_set(client->io, &client->timer, client->options.ping_interval_ms);
    LOG(client->log, client->metrics.connects > 1 ? LOG_WARN : LOG_INFO, "bus_connected",
        LOG_S("server", client->server_text), LOG_S("cluster", client->info.cluster),
        LOG_U("times", client->metrics.connects));
    if (client->draining) {
        client_put_ping(client);
        client->drain_mark = client->pings;
    }
    client_resend_durables(client);
    tell_watches(client, true);
}

/* ---- joining --------------------------------------------------------------------------------- */

static void put_connect(struct client *client)
{
    struct jsonw json;
    struct buf *text = &client->scratch;
    buf_clear(text);
    jsonw_init(&json, text);
    jsonw_object(&json, NULL);
    jsonw_bool(&json, "verbose", false);
    jsonw_bool(&json, "pedantic", false);
    jsonw_bool(&json, "tls_required", io_tls_used(&client->stream));
    jsonw_bool(&json, "headers", true);
    jsonw_bool(&json, "no_responders", true);
    jsonw_bool(&json, "echo", true);
    jsonw_i64(&json, "protocol", 1);
    jsonw_cstr(&json, "lang", "c");
    jsonw_cstr(&json, "version", "1");
    jsonw_cstr(&json, "name", client->options.name);
    client_write_identity(client, &json);
    jsonw_object_end(&json);
    if (text->failed) client->out.failed = true;
    nats_put_connect(&client->out, buf_bytes(text));
}

static void join(struct client *client)
{
    client->state = CLIENT_JOINING;
    put_connect(client);
    client_put_subscriptions(client);
    client_put_ping(client);
}

static void secured(struct io_stream *stream, int result)
{
    struct client *client = CONTAINER_OF(stream, struct client, stream);
    if (!client->stream_open) return;
    if (result) {
        const char *problem = io_tls_problem(stream);
        client_lose(client, *problem ? problem : err_text(result));
        return;
    }
    client_link_start(client);
    join(client);
}

/* The server has said its INFO in clear text; from here on it is encrypted. */
static void secure(struct client *client)
{
    struct error error = {0};
    if (!client->tls && client_read_tls(client, NULL, &error) != 0) {
        client_lose(client, error.message);
        return;
    }
    const struct io_tls_start start = {client->tls, servers_current(&client->servers)->host};
    client->generation++; /* what follows INFO is of the handshake, and comes after we begin it */
    if (io_tls_start(&client->stream, &start, secured) != 0)
        client_lose(client, err_text(ERR_NOMEM));
}

static void copy_text(const json_t *object, const char *key, char *to, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));
    snprintf(to, size, "%s", text ? text : "");
}

static void learn(struct client *client, const json_t *urls)
{
    size_t i;
    json_t *url;
    client->info.urls = json_array_size(urls);
    if (!client->info.urls) return;
    servers_forget(&client->servers);
    json_array_foreach(urls, i, url)
        servers_learn(&client->servers, bytes_str(json_string_value(url)));
}

static int parse_info(struct client *client, struct bytes text)
{
    json_t *object = json_loadb(text.data, text.len, 0, NULL);
    if (!json_is_object(object)) {
        json_decref(object);
        return ERR_SYNTAX;
    }
    struct client_info *info = &client->info;
    copy_text(object, "cluster", info->cluster, sizeof info->cluster);
    copy_text(object, "version", info->version, sizeof info->version);
    copy_text(object, "nonce", info->nonce, sizeof info->nonce);
    json_int_t max = json_integer_value(json_object_get(object, "max_payload"));
    info->max_payload = max > 0 && max <= NATS_PAYLOAD_CAP ? (uint64_t)max : NATS_PAYLOAD_MAX;
    info->tls_required = json_is_true(json_object_get(object, "tls_required"));
    info->lame_duck = json_is_true(json_object_get(object, "ldm"));
    learn(client, json_object_get(object, "connect_urls"));
    json_decref(object);
    return 0;
}

void client_take_info(struct client *client, struct bytes json)
{
    if (parse_info(client, json) != 0) {
        client_lose(client, "the server's INFO cannot be read");
        return;
    }
    if (client->info.lame_duck)
        LOG(client->log, LOG_INFO, "bus_server_leaves", LOG_S("server", client->server_text));
    if (client->state != CLIENT_GREETING || io_tls_used(&client->stream)) return;
    bool wants_tls =
        client->always_tls || client->info.tls_required || servers_current(&client->servers)->tls;
    if (wants_tls && !servers_current(&client->servers)->is_unix)
        secure(client);
    else
        join(client);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void connected(struct io_stream *stream, int result)
{
    struct client *client = CONTAINER_OF(stream, struct client, stream);
    if (!client->stream_open) return;
    if (result) {
        client_lose(client, err_text(result));
        return;
    }
    client->state = CLIENT_GREETING;
    client_link_start(client);
}

static void connect_to(struct client *client, const struct io_addr *addr)
{
    client->stream_open = true;
    io_connect(client->io, &client->stream, addr, connected);
}

static void resolved(struct io_resolve *resolve, int result)
{
    struct client *client = CONTAINER_OF(resolve, struct client, resolve);
    client->resolving = false;
    if (client->closing)
        client_finish(client);
    else if (client->state != CLIENT_CONNECTING || client->stream_open)
        return; /* it took longer than our patience */
    else if (result)
        client_lose(client, result == ERR_NOT_FOUND ? "there is no host of that name"
                                                    : "the name service does not answer");
    else
        connect_to(client, &resolve->addrs[client->next_addr++ % resolve->count]);
}

static void connect_next(struct client *client)
{
    const struct server *server = servers_current(&client->servers);
    if (client->resolving) { /* of an attempt that was given up */
        io_timer_set(client->io, &client->timer, RESOLVING_AGAIN_MS);
        return;
    }
    server_format(server, client->server_text, sizeof client->server_text);
    client->state = CLIENT_CONNECTING;
    io_timer_set(client->io, &client->timer, client->options.connect_timeout_ms);
    struct io_addr addr = {.family = IO_UNIX};
    if (server->is_unix) {
        snprintf(addr.path, sizeof addr.path, "%s", server->host);
        connect_to(client, &addr);
    } else if (io_addr_parse(bytes_str(client->server_text), &addr) == 0) {
        connect_to(client, &addr);
    } else {
        client->resolving = io_resolve(client->io, &client->resolve, bytes_str(server->host),
                                       server->port, resolved) == 0;
    }
}

static void timer_fired(struct io_timer *timer)
{
    struct client *client = CONTAINER_OF(timer, struct client, timer);
    if (client->closing) {
        client->flushing = false;
        client_finish(client);
    } else if (client->state == CLIENT_DOWN) {
        connect_next(client);
    } else if (client->state != CLIENT_UP) {
        client_lose(client, "no welcome in time");
    } else if (client->pings - client->pongs >= CLIENT_PINGS_MAX) {
        client_lose(client, "no answer to pings");
    } else {
        client_put_ping(client);
        io_timer_set(client->io, timer, client->options.ping_interval_ms);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

static const char *keep(struct client *client, const char *text)
{
    return text ? arena_copy(&client->arena, bytes_str(text)) : NULL;
}

#define FALLBACK(field, value) \
    if (!client->options.field) client->options.field = (value)

static void keep_options(struct client *client, const struct client_options *options)
{
    client->options = *options;
    struct client_identity *identity = &client->options.identity;
    client->options.name = keep(client, options->name ? options->name : "dure");
    identity->user = keep(client, identity->user);
    identity->password = keep(client, identity->password);
    identity->token = keep(client, identity->token);
    identity->creds = keep(client, identity->creds);
    FALLBACK(connect_timeout_ms, CONNECT_TIMEOUT_MS);
    FALLBACK(ping_interval_ms, PING_INTERVAL_MS);
    FALLBACK(backoff_min_ms, BACKOFF_MIN_MS);
    FALLBACK(backoff_max_ms, BACKOFF_MAX_MS);
    FALLBACK(max_pending, PENDING_MAX);
    FALLBACK(max_unacknowledged, UNACKNOWLEDGED_MAX);
    FALLBACK(max_unacknowledged_bytes, UNACKNOWLEDGED_BYTES_MAX);
    client->servers.backoff_min_ms = client->options.backoff_min_ms;
    client->servers.backoff_max_ms = client->options.backoff_max_ms;
}

static void close_task(struct io_task *task);

static void init(struct client *client)
{
    unsigned char random[11];
    list_init(&client->watches);
    list_init(&client->subscriptions);
    list_init(&client->request_list);
    list_init(&client->unsent);
    list_init(&client->sent);
    map_init(&client->by_sid, SUBSCRIPTIONS_MAX);
    map_init(&client->requests, REQUESTS_MAX);
    map_init(&client->durables, client->options.max_unacknowledged);
    buf_init(&client->in, NATS_PAYLOAD_CAP + NATS_INFO_MAX);
    buf_init(&client->out, client->options.max_pending + CLIENT_FRAME_HEAD);
    buf_init(&client->flight, client->options.max_pending + CLIENT_FRAME_HEAD);
    buf_init(&client->scratch, HEADERS_MAX);
    io_timer_init(&client->timer, timer_fired);
    io_timer_init(&client->durable_timer, client_durable_timer);
    io_timer_init(&client->drain_timer, client_drain_timer);
    io_task_init(&client->send_task, client_send_task);
    io_task_init(&client->close_task, close_task);
    io_random(client->io, random, sizeof random);
    bytes_hex(bytes_make(random, sizeof random), client->id);
    client->info.max_payload = NATS_PAYLOAD_MAX;
    set_reason(client, "not connected yet");
}

int client_new(struct io *io, const struct client_options *options, struct log *log,
               struct client **ret_client, struct error *error)
{
    struct client *client = calloc(1, sizeof *client);
    if (!client) return error_set(error, ERR_NOMEM, "out of memory");
    client->io = io;
    client->log = log;
    arena_init(&client->arena, ARENA_MAX);
    keep_options(client, options);
    init(client);
    int err = servers_parse(&client->servers, options->urls, error);
    if (!err && client->arena.failed) err = error_set(error, ERR_NOMEM, "out of memory");
    if (!err) err = client_read_creds(client, error);
    if (!err && options->tls) err = client_read_tls(client, options->tls, error);
    if (err) {
        client_free(client);
        return err;
    }
    client->always_tls = options->tls != NULL;
    servers_shuffle(&client->servers, io_random_u64(io));
    io_timer_set(io, &client->timer, 0);
    *ret_client = client;
    return 0;
}

void client_free(struct client *client)
{
    if (!client) return;
    client_subscriptions_release(client);
    client_durables_release(client);
    map_release(&client->requests);
    buf_release(&client->in);
    buf_release(&client->out);
    buf_release(&client->flight);
    buf_release(&client->scratch);
    io_stream_forget(&client->stream);
    io_tls_context_unref(client->tls);
    arena_release(&client->arena);
    free(client);
}

void client_finish(struct client *client)
{
    if (!client->closing) return;
    if (client->flushing && (client->sending || buf_len(&client->out))) return;
    client->flushing = false;
    if (client->stream_open) {
        client->state = CLIENT_DOWN;
        client_link_reset(client);
        close_stream(client);
        return;
    }
    if (client->stream_closing || client->resolving) return;
    io_timer_cancel(client->io, &client->timer);
    io_timer_cancel(client->io, &client->durable_timer);
    io_timer_cancel(client->io, &client->drain_timer);
    io_task_cancel(client->io, &client->send_task);
    void (*closed)(void *) = client->closed;
    void *context = client->closed_context;
    client_free(client);
    if (closed) closed(context);
}

static void close_task(struct io_task *task)
{
    struct client *client = CONTAINER_OF(task, struct client, close_task);
    client_fail_requests(client, ERR_CLOSED);
    client_fail_durables(client, ERR_CLOSED);
    client->flushing = client->state == CLIENT_UP;
    io_timer_set(client->io, &client->timer, FLUSH_MS);
    client_finish(client);
}

void client_close(struct client *client, void (*done)(void *context), void *context)
{
    if (!client) {
        if (done) done(context);
        return;
    }
    client->closing = true;
    client->closed = done;
    client->closed_context = context;
    client->drained = NULL;
    LIST_EACH(&client->watches, struct client_watch, link, watch) list_remove(&watch->link);
    io_post(client->io, &client->close_task);
}

/* ---- what is seen of it ---------------------------------------------------------------------- */

const char *client_state_name(enum client_state state)
{
    switch (state) {
    case CLIENT_UP: return "connected";
    case CLIENT_DOWN: return "not connected";
    default: return "connecting";
    }
}

struct client_status client_status(const struct client *client)
{
    const struct client_info *info = &client->info;
    return (struct client_status){
        .state = client->state,
        .server = client->server_text,
        .cluster = info->cluster,
        .version = info->version,
        .reason = client->reason,
        .servers = info->urls ? info->urls : 1,
        .connects = client->metrics.connects,
        .since_ns = client->since_ns,
        .unacknowledged = client->durable_count,
        .max_payload = info->max_payload,
    };
}

void client_watch(struct client *client, struct client_watch *watch,
                  void (*changed)(struct client_watch *watch, bool up))
{
    watch->changed = changed;
    list_push(&client->watches, &watch->link);
}

void client_unwatch(struct client_watch *watch)
{
    list_remove(&watch->link);
}

const struct client_metrics *client_metrics(struct client *client)
{
    struct client_metrics *metrics = &client->metrics;
    metrics->up = client->state == CLIENT_UP;
    metrics->subscriptions = client->by_sid.count;
    metrics->unacknowledged = client->durable_count;
    metrics->pending_bytes =
        buf_len(&client->out) + (client->sending ? buf_len(&client->flight) : 0);
    metrics->servers = client->servers.count;
    return metrics;
}

const struct metric client_metric_table[] = {
#define METRICS "client/metrics.def"
#define METRICS_OF struct client_metrics
#include "base/metric_rows.h"
};
const size_t client_metric_count = sizeof client_metric_table / sizeof *client_metric_table;
