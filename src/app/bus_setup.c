#include "app/bus_setup.h"

#include "bus/bus_tls.h"
#include "bus/bus_websocket.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

const char *bus_setup_path(const char *base, struct bytes name, char *path)
{
    if (!name.len) return NULL;
    bool absolute = name.data[0] == '/' || !base || !*base;
    snprintf(path, PATH_MAX, "%s%s%.*s", absolute ? "" : base, absolute ? "" : "/",
             BYTES_ARG(name));
    return path;
}

static const char *text_or_null(struct bytes text)
{
    return text.len ? text.data : NULL;
}

/* ---- the server ----------------------------------------------------------------------------- */

static int make_server(struct bus_setup *setup, const struct bus_setup_options *options)
{
    const struct manifest_bus *config = options->config;
    struct bus_server_options server = {
        .name = config->name.len ? config->name.data : options->name,
        .max_payload = (size_t)config->max_payload,
        .max_pending = (size_t)config->limits.pending,
        .max_control_line = (size_t)config->limits.control_line,
        .max_connections = config->limits.connections,
        .max_subscriptions = config->limits.subscriptions,
        .ping_interval_ms = config->ping.interval_ms,
        .max_pings = config->ping.unanswered,
        .write_deadline_ms = config->write_deadline_ms,
        .advertise = config->advertise,
        .advertise_count = config->advertise_count,
        .jetstream = options->data != NULL,
    };
    return bus_server_new(setup->io, &server, options->bus, setup->log, &setup->server);
}

int bus_setup_use_tls(struct bus_setup *setup, const struct bus_setup_options *options,
                      struct error *error)
{
    static const enum bus_tls_first first[] = {
        [MANIFEST_BUS_TLS_INFO] = BUS_TLS_INFO_FIRST,
        [MANIFEST_BUS_TLS_HANDSHAKE] = BUS_TLS_HANDSHAKE_FIRST,
        [MANIFEST_BUS_TLS_EITHER] = BUS_TLS_EITHER,
    };
    const struct manifest_bus_tls *config = &options->config->tls;
    char certificate[PATH_MAX], key[PATH_MAX], ca[PATH_MAX];
    if (!config->given) return 0;
    struct bus_tls_options tls = {
        .certificate_file = bus_setup_path(options->base, config->certificate, certificate),
        .key_file = bus_setup_path(options->base, config->key, key),
        .ca_file = bus_setup_path(options->base, config->ca, ca),
        .verify = config->clients == MANIFEST_BUS_TLS_VERIFY,
        .verify_and_map = config->clients == MANIFEST_BUS_TLS_MAP,
        .optional = config->optional,
        .first = first[config->first],
        .first_ms = config->first_wait_ms,
        .timeout_ms = config->timeout_ms,
        .tls13_only = config->only_13,
        .ciphers = text_or_null(config->ciphers),
        .cipher_suites = text_or_null(config->cipher_suites),
        .groups = text_or_null(config->groups),
    };
    return bus_server_use_tls(setup->server, &tls, error);
}

/* ---- who may come in ------------------------------------------------------------------------ */

static void fill_user(const struct bus_setup *setup, const struct manifest_bus *config,
                      const struct manifest_bus_user *from, struct bus_user *user)
{
    const struct manifest_bus_permissions *permissions = &from->permissions;
    if (!permissions->given) permissions = &config->auth.default_permissions;
    *user = (struct bus_user){.name = from->user, .password = from->password, .nkey = from->nkey};
    if (permissions->given) user->permissions = &permissions->rules;
    if (from->account_index != SIZE_MAX) user->bus = setup->accounts[from->account_index].bus;
}

/* What the accounts' tokens say of JetStream. */
static void limit_accounts(struct bus_setup *setup, const struct bus_auth *auth)
{
    struct bus_storage_limits limits;
    for (size_t i = 0; i < setup->account_count; i++) {
        struct streams *streams = setup->accounts[i].streams;
        if (!streams || bus_auth_storage(auth, setup->accounts[i].bus, &limits)) continue;
        streams_set_limits(streams, &(struct streams_limits){.memory_bytes = limits.memory_bytes,
                                                             .disk_bytes = limits.disk_bytes,
                                                             .streams = limits.streams,
                                                             .consumers = limits.consumers});
    }
}

static int make_auth(struct bus_setup *setup, const struct manifest_bus *config,
                     struct error *error)
{
    const struct manifest_bus_auth *auth = &config->auth;
    struct bus_auth *made;
    if (!auth->given) return 0;
    struct bus_user *users = calloc(auth->user_count + 1, sizeof *users);
    struct bus_jwt_account *accounts = calloc(config->account_count + 1, sizeof *accounts);
    size_t account_count = 0;
    for (size_t i = 0; users && i < auth->user_count; i++)
        fill_user(setup, config, &auth->users[i], &users[i]);
    for (size_t i = 0; accounts && i < config->account_count; i++)
        if (config->accounts[i].jwt.len)
            accounts[account_count++] =
                (struct bus_jwt_account){config->accounts[i].jwt, setup->accounts[i].bus};
    struct bus_auth_options options = {.token = auth->token,
                                       .users = users,
                                       .user_count = auth->user_count,
                                       .no_auth_user = auth->no_auth_user,
                                       .operators = auth->operators,
                                       .operator_count = auth->operator_count,
                                       .accounts = accounts,
                                       .account_count = account_count,
                                       .timeout_ms = auth->timeout_ms};
    int r = users && accounts ? bus_auth_new(&options, &made, error) : ERR_NOMEM;
    if (!r) limit_accounts(setup, made);
    if (!r) bus_server_set_auth(setup->server, made);
    free(users);
    free(accounts);
    return r;
}

/* ---- accounts ------------------------------------------------------------------------------- */

/* DATA/.accounts/NAME: no stream's folder begins with a dot. */
static int make_dir(struct io *io, const char *data, const char *name, char *ret_path)
{
    snprintf(ret_path, PATH_MAX, "%s/.accounts", data);
    int r = io_mkdir(io, data);
    if (!r) r = io_mkdir(io, ret_path);
    snprintf(ret_path, PATH_MAX, "%s/.accounts/%s", data, name);
    return r;
}

static int open_account(struct bus_setup *setup, const struct manifest_bus_account *config,
                        const struct bus_setup_options *options, struct error *error)
{
    struct bus_setup_account *account = &setup->accounts[setup->account_count++];
    struct bus_options bus = {.name = config->name.data,
                              .max_payload = (size_t)options->config->max_payload};
    struct jetstream_options jetstream = {.log = setup->log};
    char dir[PATH_MAX];
    int r = bus_new(setup->io, &bus, setup->log, &account->bus);
    if (r || !options->data) return r;
    if (!config->jetstream)
        return jetstream_open(setup->io, account->bus, NULL, &jetstream, &account->jetstream,
                              error);
    r = make_dir(setup->io, options->data, config->name.data, dir);
    if (r) return error_set(error, r, "cannot make the folder %s: %s", dir, err_text(r));
    struct streams_options streams = {
        .dir = dir, .log = setup->log, .scrub_bytes_per_second = 4 << 20};
    r = streams_open(setup->io, account->bus, &streams, &account->streams, error);
    if (r) return r;
    return jetstream_open(setup->io, account->bus, account->streams, &jetstream,
                          &account->jetstream, error);
}

static int open_accounts(struct bus_setup *setup, const struct bus_setup_options *options,
                         struct error *error)
{
    const struct manifest_bus *config = options->config;
    setup->accounts = calloc(config->account_count + 1, sizeof *setup->accounts);
    if (!setup->accounts) return ERR_NOMEM;
    int r = 0;
    for (size_t i = 0; i < config->account_count && !r; i++)
        r = open_account(setup, &config->accounts[i], options, error);
    return r;
}

int bus_setup_open(struct bus_setup *setup, struct io *io, struct log *log,
                   const struct bus_setup_options *options, struct error *error)
{
    *setup = (struct bus_setup){.io = io, .log = log};
    int r = open_accounts(setup, options, error);
    if (!r) r = make_server(setup, options);
    if (!r) r = bus_setup_use_tls(setup, options, error);
    if (!r) r = make_auth(setup, options->config, error);
    if (r && !error->code) error_set(error, r, "cannot open the bus: %s", err_text(r));
    return r;
}

/* ---- listening ------------------------------------------------------------------------------ */

static int listen_unix(struct bus_setup *setup, const struct bus_setup_options *options,
                       struct error *error)
{
    static const unsigned modes[] = {[MANIFEST_BUS_UNIX_OWNER] = 0600,
                                     [MANIFEST_BUS_UNIX_GROUP] = 0660,
                                     [MANIFEST_BUS_UNIX_EVERYBODY] = 0666};
    struct io_addr addr = {.family = IO_UNIX};
    char buffer[PATH_MAX];
    const char *path = bus_setup_path(options->base, options->config->unix_socket, buffer);
    if (!path) return 0;
    if (strlen(path) >= sizeof addr.path)
        return error_set(error, ERR_TOO_BIG, "the socket's path %s is too long", path);
    memcpy(addr.path, path, strlen(path) + 1);
    int r = bus_server_listen_unix(setup->server, &addr, modes[options->config->unix_for]);
    return r ? error_set(error, r, "cannot listen on %s: %s", addr.path, err_text(r)) : 0;
}

static int listen_websocket(struct bus_setup *setup, const struct manifest_bus_websocket *config,
                            struct error *error)
{
    const char *origins[64 + 1] = {0};
    struct io_addr addr;
    if (!config->given) return 0;
    for (size_t i = 0; i < config->origin_count && i < 64; i++)
        origins[i] = config->origins[i].data;
    struct bus_websocket_options websocket = {.clear_text = config->clear_text,
                                              .same_origin = config->same_origin,
                                              .origins = config->origin_count ? origins : NULL};
    int r = io_addr_parse(config->listen, &addr);
    if (!r)
        r = bus_server_listen_websocket(setup->server, &addr, &websocket, &setup->websocket_addr);
    if (!r) return 0;
    return error_set(error, r, "cannot listen on %s: %s", config->listen.data, err_text(r));
}

int bus_setup_listen(struct bus_setup *setup, const struct bus_setup_options *options,
                     struct error *error)
{
    int r = listen_unix(setup, options, error);
    return r ? r : listen_websocket(setup, &options->config->websocket, error);
}

/* ---- monitoring ----------------------------------------------------------------------------- */

int bus_setup_monitor(struct bus_setup *setup, const struct bus_setup_options *options,
                      struct http *http, const struct monitor_account *own,
                      struct monitor **ret_monitor, struct error *error)
{
    struct bytes listen = options->config->http;
    struct io_addr addr;
    if (!listen.len) return 0;
    struct monitor_account *accounts = calloc(setup->account_count + 1, sizeof *accounts);
    if (!accounts) return error_set(error, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    accounts[0] = *own;
    for (size_t i = 0; i < setup->account_count; i++)
        accounts[1 + i] = (struct monitor_account){
            setup->accounts[i].bus, setup->accounts[i].streams, setup->accounts[i].jetstream};
    struct monitor_options monitor = {.server = setup->server,
                                      .accounts = accounts,
                                      .account_count = setup->account_count + 1,
                                      .store_dir = options->data};
    int r = io_addr_parse(listen, &addr);
    if (!r) r = monitor_open(http, &addr, &monitor, ret_monitor);
    free(accounts);
    return r ? error_set(error, r, "cannot listen on %s: %s", listen.data, err_text(r)) : 0;
}

/* ---- the end -------------------------------------------------------------------------------- */

static void bus_closed(void *context)
{
    struct bus_setup *setup = context;
    if (--setup->closing) return;
    free(setup->accounts);
    setup->accounts = NULL;
    setup->account_count = 0;
    setup->closed(setup->closed_context);
}

static void server_closed(void *context)
{
    struct bus_setup *setup = context;
    setup->closing = setup->account_count + 1;
    for (size_t i = 0; i < setup->account_count; i++)
        bus_close(setup->accounts[i].bus, bus_closed, setup);
    bus_closed(setup);
}

static void streams_closed(void *context)
{
    struct bus_setup *setup = context;
    if (--setup->closing == 0) bus_server_close(setup->server, server_closed, setup);
}

static void jetstreams_closed(void *context)
{
    struct bus_setup *setup = context;
    if (--setup->closing) return;
    setup->closing = setup->account_count + 1;
    for (size_t i = 0; i < setup->account_count; i++)
        streams_close(setup->accounts[i].streams, streams_closed, setup);
    streams_closed(setup);
}

void bus_setup_close(struct bus_setup *setup, void (*done)(void *context), void *context)
{
    setup->closed = done;
    setup->closed_context = context;
    setup->closing = setup->account_count + 1;
    for (size_t i = 0; i < setup->account_count; i++)
        jetstream_close(setup->accounts[i].jetstream, jetstreams_closed, setup);
    jetstreams_closed(setup);
}
