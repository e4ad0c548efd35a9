#include "bus/bus_tls.h"

#include "bus/core.h"
#include "io/tls.h"

#include <stdlib.h>

enum { DAY_S = 24 * 3600, WARN_DAYS = 14 };

static int make_context(struct io *io, const struct bus_tls_options *options,
                        struct io_tls_context **ret_context, struct error *error)
{
    struct io_tls_certificate certificate = {options->certificate_file, options->key_file};
    bool verify = options->verify || options->verify_and_map;
    struct io_tls_options wanted = {
        .server = true,
        .certificates = &certificate,
        .certificate_count = 1,
        .ca_file = options->ca_file,
        .verify = verify ? IO_TLS_VERIFY_REQUIRED : IO_TLS_VERIFY_NONE,
        .tls13_only = options->tls13_only,
        .ciphers = options->ciphers,
        .cipher_suites = options->cipher_suites,
        .groups = options->groups,
    };
    if (!options->certificate_file || !options->key_file)
        return error_set(error, ERR_INVALID, "TLS needs a certificate and its key");
    return io_tls_context_new(io, &wanted, ret_context, error);
}

/* Somebody should hear of it before all clients do. */
static void warn_of_expiry(struct bus_server *server, const struct io_tls_context *context)
{
    int64_t left_s =
        io_tls_context_expiry(context) - (int64_t)(io_wall_ns(server->io) / 1000000000);
    if (left_s < WARN_DAYS * DAY_S)
        LOG(server->log, LOG_WARN, "bus_certificate_expires", LOG_I("days", left_s / DAY_S));
}

int bus_server_use_tls(struct bus_server *server, const struct bus_tls_options *options,
                       struct error *error)
{
    struct io_tls_context *context = NULL;
    int r = make_context(server->io, options, &context, error);
    if (r) return r;
    if (!server->tls) server->tls = calloc(1, sizeof *server->tls);
    if (!server->tls) {
        io_tls_context_unref(context);
        return error_set(error, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    }
    warn_of_expiry(server, context);
    io_tls_context_unref(server->tls->context);
    server->tls->context = context;
    server->tls->options = *options;
    struct bus_tls_options *kept = &server->tls->options;
    kept->certificate_file = kept->key_file = kept->ca_file = NULL;
    kept->ciphers = kept->cipher_suites = kept->groups = NULL;
    if (!kept->first_ms) kept->first_ms = 50;
    if (!kept->timeout_ms) kept->timeout_ms = 2000;
    return 0;
}

void bus_tls_free(struct bus_tls *tls)
{
    if (!tls) return;
    io_tls_context_unref(tls->context);
    free(tls);
}
