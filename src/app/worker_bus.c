/* The bus of a worker: the one of this program, or a NATS cluster. */
#include "app/worker.h"

#include "run/parent.h"

#include <stdio.h>
#include <stdlib.h>

enum { FILE_MAX_BYTES = 64 * 1024, PATIENCE_MS = 2000, PATIENCE_AGAIN_MS = 10000 };

/* ---- of this program ------------------------------------------------------------------------- */

static int open_streams(struct worker *worker, struct error *error)
{
    struct streams_options streams = {
        .dir = worker->paths.store, .log = &worker->log, .scrub_bytes_per_second = 4 << 20};
    struct jetstream_options jetstream = {.log = &worker->log};
    int err = streams_open(worker->io, worker->bus, &streams, &worker->streams, error);
    if (err) return err;
    return jetstream_open(worker->io, worker->bus, worker->streams, &jetstream, &worker->jetstream,
                          error);
}

static void put_escaped(struct buf *out, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (strchr("@:/,%", c))
            buf_append_format(out, "%%%02X", (unsigned char)c);
        else
            buf_append_char(out, c);
    }
}

/* With who they are, where the configuration says so. */
static int say_services_url(struct worker *worker, const struct manifest_bus *bus,
                            const struct io_addr *addr)
{
    char addr_text[IO_ADDR_TEXT];
    struct buf out;
    buf_init(&out, sizeof worker->bus_url - 1);
    buf_append_str(&out, "nats://");
    if (bus->auth.given && bus->auth.services_index != SIZE_MAX) {
        const struct manifest_bus_user *user = &bus->auth.users[bus->auth.services_index];
        put_escaped(&out, user->user);
        buf_append_char(&out, ':');
        put_escaped(&out, user->password);
        buf_append_char(&out, '@');
    }
    buf_append(&out, bytes_make(addr_text, io_addr_format(addr, addr_text, sizeof addr_text)));
    snprintf(worker->bus_url, sizeof worker->bus_url, "%.*s", BYTES_ARG(buf_bytes(&out)));
    int err = out.failed ? ERR_TOO_BIG : 0;
    buf_release(&out);
    return err;
}

static int open_server(struct worker *worker, const struct manifest *manifest, struct error *error)
{
    struct io_addr addr;
    struct bus_setup_options setup = {.config = &manifest->system->bus,
                                      .bus = worker->bus,
                                      .name = manifest->system->name.data,
                                      .base = worker->paths.dir,
                                      .data = worker->paths.store};
    int err = bus_setup_open(&worker->bus_setup, worker->io, &worker->log, &setup, error);
    if (err) return err;
    err = bus_server_adopt(worker->bus_setup.server, HANDOVER_BUS, &addr);
    if (!err) err = say_services_url(worker, &manifest->system->bus, &addr);
    if (err) return error_set(error, err, "cannot open the bus: %s", err_text(err));
    err = bus_setup_listen(&worker->bus_setup, &setup, error);
    struct monitor_account own = {worker->bus, worker->streams, worker->jetstream};
    return err ? err
               : bus_setup_monitor(&worker->bus_setup, &setup, &worker->http, &own,
                                   &worker->monitor, error);
}

static int open_embedded(struct worker *worker, const struct manifest *manifest,
                         struct error *error)
{
    struct bus_options bus = {.max_payload = (size_t)manifest->system->bus.max_payload};
    int err = bus_new(worker->io, &bus, &worker->log, &worker->bus);
    if (err) return error_set(error, err, "cannot open the bus: %s", err_text(err));
    err = open_streams(worker, error);
    if (!err) err = open_server(worker, manifest, error);
    if (err) return err;
    err = messaging_embed(worker->io, worker->bus, worker->streams, &worker->messaging);
    return err ? error_set(error, err, "cannot open the bus: %s", err_text(err)) : 0;
}

/* ---- a cluster ------------------------------------------------------------------------------- */

/* The whole of a file of text, ended by NUL, in a buffer that is initialised. */
static int read_text(struct worker *worker, const char *path, struct buf *text, struct error *error)
{
    struct io_file file;
    char *room = buf_reserve(text, FILE_MAX_BYTES);
    int err = room ? io_file_open(worker->io, &file, path, IO_READ) : ERR_NOMEM;
    int64_t len = err;
    if (!err) {
        len = io_file_read(&file, room, FILE_MAX_BYTES - 1, 0);
        io_file_close(&file);
    }
    if (len < 0)
        return error_set(error, (int)len, "cannot read the credentials %s: %s", path,
                         err_text((int)len));
    room[len] = '\0';
    buf_commit(text, (size_t)len + 1);
    return 0;
}

/* The servers with who we are in each URL, for services. */
static int make_services_url(struct worker *worker, const struct manifest_bus *bus)
{
    struct bytes rest = bus->url;
    struct buf out;
    buf_init(&out, sizeof worker->bus_url - 1);
    while (rest.data) {
        struct bytes url = bytes_trim(bytes_cut(&rest, ','));
        bool has_scheme = bytes_find(url, '/') < url.len;
        size_t scheme = !has_scheme ? 0 : bytes_find(url, '/') + 2;
        bool names_us = bytes_find(url, '@') < url.len;
        if (buf_len(&out)) buf_append_char(&out, ',');
        if (bytes_starts(url, BYTES("unix:"))) {
            buf_append(&out, url);
            continue;
        }
        buf_append(&out, has_scheme ? bytes_head(url, scheme) : BYTES("nats://"));
        if (!names_us && (bus->token.len || bus->user.len)) {
            put_escaped(&out, bus->token.len ? bus->token : bus->user);
            if (!bus->token.len) buf_append_char(&out, ':');
            if (!bus->token.len) put_escaped(&out, bus->password);
            buf_append_char(&out, '@');
        }
        buf_append(&out, bytes_skip(url, scheme));
    }
    int err = out.failed ? ERR_TOO_BIG : 0;
    snprintf(worker->bus_url, sizeof worker->bus_url, "%.*s", BYTES_ARG(buf_bytes(&out)));
    buf_release(&out);
    return err;
}

static const char *text_or_null(struct bytes text)
{
    return text.len ? text.data : NULL;
}

static int connect_cluster(struct worker *worker, const struct manifest_system *system,
                           const char *creds, const struct client_tls *tls, struct error *error)
{
    const struct manifest_bus *bus = &system->bus;
    const struct messaging_cluster_options options = {
        .client =
            {
                .urls = bus->url.data,
                .name = system->name.data,
                .identity = {text_or_null(bus->user), text_or_null(bus->password),
                             text_or_null(bus->token), creds},
                .tls = tls->ca || tls->cert ? tls : NULL,
            },
        .replicas = bus->replicas,
    };
    return messaging_connect(worker->io, &options, &worker->log, &worker->messaging, error);
}

static int open_cluster(struct worker *worker, const struct manifest *manifest, struct error *error)
{
    const struct manifest_bus *bus = &manifest->system->bus;
    const char *dir = worker->paths.dir;
    char cert[PATH_MAX], key[PATH_MAX];
    struct buf creds;
    const struct client_tls tls = {
        .ca = bus_setup_path(dir, bus->ca, worker->bus_ca),
        .cert = bus_setup_path(dir, bus->cert, cert),
        .key = bus_setup_path(dir, bus->key, key),
    };
    buf_init(&creds, FILE_MAX_BYTES);
    int err = make_services_url(worker, bus);
    if (err) error_set(error, err, "the URLs of the bus are too long");
    if (!err && bus_setup_path(dir, bus->creds, worker->bus_creds))
        err = read_text(worker, worker->bus_creds, &creds, error);
    if (!err)
        err = connect_cluster(worker, manifest->system, bus->creds.len ? creds.data : NULL, &tls,
                              error);
    buf_release(&creds);
    return err;
}

/* ---- waiting for it -------------------------------------------------------------------------- */

static void still_waiting(struct io_timer *timer)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, patience);
    struct messaging_status status = messaging_status(worker->messaging);
    char text[512];
    snprintf(text, sizeof text, "waiting for the bus (%s): %s", status.client.server,
             status.reachable ? "JetStream does not answer yet" : status.client.reason);
    worker_say(worker, text);
    io_timer_set(worker->io, timer, PATIENCE_AGAIN_MS);
}

/* Two systems in one account would take each other's instances and events for their own. */
static int claim(struct worker *worker, struct error *error)
{
    const char *system = worker->beginning->manifest.system->name.data;
    const char *owner = registry_owner(worker->registry);
    if (bytes_eq(bytes_str(owner), bytes_str(system))) return 0;
    if (!*owner) return registry_claim(worker->registry, system);
    error_set(error, ERR_CONFLICT, "the bus belongs to the system %s already", owner);
    error_remedy(error, "Give each system an account of its own. If it was renamed: delete the key "
                        "`system` of the bucket " REGISTRY_BUCKET ".");
    return ERR_CONFLICT;
}

static void registry_opened(void *context)
{
    struct worker *worker = context;
    io_timer_cancel(worker->io, &worker->patience);
    struct error error = {0};
    if (!messaging_status(worker->messaging).embedded && claim(worker, &error) != 0)
        worker_give_up(worker, &error);
    else
        worker_bus_is_open(worker);
}

static void bus_ready(void *context)
{
    struct worker *worker = context;
    struct error error = {0};
    int err = registry_open(worker->messaging, &worker->log, registry_opened, worker,
                            &worker->registry, &error);
    if (err) worker_give_up(worker, &error);
}

int worker_open_bus(struct worker *worker, const struct manifest *manifest, struct error *error)
{
    bool cluster = manifest->system->bus.url.len > 0;
    int err =
        cluster ? open_cluster(worker, manifest, error) : open_embedded(worker, manifest, error);
    if (err) return err;
    worker->status.messaging = worker->messaging;
    worker->status.bus = worker->bus_url;
    messaging_when_ready(worker->messaging, bus_ready, worker);
    io_timer_init(&worker->patience, still_waiting);
    if (cluster) io_timer_set(worker->io, &worker->patience, PATIENCE_MS);
    return 0;
}

void worker_close_bus(struct worker *worker, int step, void (*next)(void *context))
{
    switch (step) {
    case 0: monitor_close(worker->monitor, next, worker); break;
    case 1: jetstream_close(worker->jetstream, next, worker); break;
    case 2: messaging_close(worker->messaging, next, worker); break;
    case 3: streams_close(worker->streams, next, worker); break;
    case 4: bus_setup_close(&worker->bus_setup, next, worker); break;
    default: bus_close(worker->bus, next, worker); break;
    }
}
