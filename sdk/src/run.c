/* dure_run: a program that is only a client: one piece of work on a fiber, a connection to the bus,
 * nothing that listens. */
#include "sdk/src/ctx.h"
#include "sdk/src/logger.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#define RUN_URL "nats://127.0.0.1:4222"

/* A client holds whole listings. */
enum { RUN_MEMORY = 256 << 20 };

struct run {
    struct host host;
    struct dure_module module;
    int result;
};

static void returned(struct dure_ctx *ctx, int err)
{
    struct run *run = ctx->finished_argument;
    run->result = err;
    host_finish(&run->host);
}

static const char *first(const char *text, const char *fallback)
{
    return text && *text ? text : fallback;
}

/* What the caller says counts before the environment. Who brings one way to prove who we are does
 * not want another from there. */
static void settle(const struct dure_run_options *options, struct bus_settings *settings)
{
    bus_settings_read(settings);
    if (options->user || options->token || options->creds || options->nkey)
        settings->user = settings->password = settings->token = settings->creds = settings->nkey =
            NULL;
    settings->name = first(options->name, "dure");
    settings->urls = first(options->urls, first(settings->urls, RUN_URL));
    settings->user = first(options->user, settings->user);
    settings->password = first(options->password, settings->password);
    settings->token = first(options->token, settings->token);
    settings->creds = first(options->creds, settings->creds);
    settings->nkey = first(options->nkey, settings->nkey);
    settings->ca = first(options->ca, settings->ca);
    settings->cert = first(options->cert, settings->cert);
    settings->key = first(options->key, settings->key);
    settings->tls_first = options->tls_first;
}

static int start(struct run *run, const struct dure_run_options *options, dure_handler *work)
{
    struct host *host = &run->host;
    struct tenant *tenant;
    run->module = (struct dure_module){DURE_ABI, sizeof run->module, first(options->name, "dure"),
                                       work, NULL};
    int err = tenant_add(host, &run->module, NULL, run->module.name, NULL, false, &tenant);
    if (err) return DURE_ENOMEM;
    tenant->state = TENANT_UP;
    struct dure_ctx *ctx = ctx_new(tenant, CTX_HOOK, work);
    if (!ctx) return DURE_ENOMEM;
    if (options->timeout_ms)
        ctx->deadline_ns = loop_monotonic_ns() + (uint64_t)options->timeout_ms * UINT64_C(1000000);
    ctx->finished = returned;
    ctx->finished_argument = run;
    ctx_start(ctx);
    return 0;
}

static int run_host(struct run *run, const struct bus_settings *settings,
                    const struct dure_run_options *options, dure_handler *work, void *argument)
{
    struct host *host = &run->host;
    int err = host_init(host, settings);
    host->client = true;
    host->state = HOST_UP;
    host->argument = argument;
    if (host->limits.memory < RUN_MEMORY) host->limits.memory = RUN_MEMORY;
    if (options->request_ms) host->limits.timeout_ms = (uint64_t)options->request_ms;
    /* a client's person reads what it prints itself */
    if (host->logger && !getenv("DURE_LOG")) host->logger->level = DURE_ERROR;
    if (!err) err = start(run, options, work);
    if (!err) host_run(host);
    host_release(host);
    if (err) return err == ERR_INVALID ? DURE_EINVALID : DURE_ENOMEM;
    return run->result;
}

int dure_run(const struct dure_run_options *options, dure_handler *work, void *argument)
{
    static const struct dure_run_options defaults;
    struct bus_settings settings;
    sigset_t before;
    if (!options) options = &defaults;
    if (!work || options->timeout_ms < 0 || options->request_ms < 0) return DURE_EINVALID;
    struct run *run = calloc(1, sizeof *run);
    if (!run) return DURE_ENOMEM;
    settle(options, &settings);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    int err = run_host(run, &settings, options, work, argument);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    free(run);
    return err;
}

void *dure_argument(struct dure_ctx *ctx)
{
    return ctx->tenant->host->argument;
}
