#include "sdk/src/tenant.h"

#include "sdk/src/buslink.h"
#include "sdk/src/ctx.h"
#include "sdk/src/logger.h"
#include "sdk/src/ping.h"
#include "sdk/src/serve.h"
#include "sdk/src/worker.h"

#include <dlfcn.h>
#include <stdlib.h>

/* An exit hook's time: less than what the host waits for it. */
#define TENANT_EXIT_NS (4000 * UINT64_C(1000000))

/* ---- environment -------------------------------------------------------------------------- */

static const char *variable(char *const *env, const char *name)
{
    size_t len = strlen(name);
    for (; env && *env; env++)
        if (strncmp(*env, name, len) == 0 && (*env)[len] == '=') return *env + len + 1;
    return NULL;
}

/* What belongs to one service and is never its neighbour's. */
static bool is_identity(const char *name)
{
    static const char *const names[] = {
        "PORT",         "DATABASE_URL", "DURE_SERVICE",      "DURE_INSTANCE",
        "DURE_VERSION", "DURE_DATA",    "DURE_HOST_MODULES", "OTEL_SERVICE_NAME"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0) return true;
    return false;
}

const char *tenant_env(const struct tenant *tenant, const char *name)
{
    const char *value = variable(tenant->env, name);
    if (value || (tenant->env_only && is_identity(name))) return value;
    return getenv(name);
}

/* ---- life --------------------------------------------------------------------------------- */

static void subscription_free(struct subscription *subscription)
{
    list_remove(&subscription->link);
    buslink_route_remove(subscription->tenant->host->bus, &subscription->route);
    free(subscription->subject);
    free(subscription->group);
    free(subscription);
}

void tenant_free(struct tenant *tenant)
{
    if (!tenant) return;
    serve_close(tenant);
    serve_abort(tenant);
    LIST_EACH(&tenant->subscriptions, struct subscription, link, subscription)
        subscription_free(subscription);
    LIST_EACH(&tenant->intervals, struct interval, link, interval) {
        loop_timer_cancel(&tenant->host->loop, &interval->timer);
        list_remove(&interval->link);
        free(interval);
    }
    worker_free_all(tenant);
    router_release(&tenant->router);
    for (char **at = tenant->env; at && *at; at++) free(*at);
    free(tenant->env);
    free(tenant->name);
    if (tenant->object) dlclose(tenant->object);
    list_remove(&tenant->link);
    free(tenant);
}

int tenant_add(struct host *host, const struct dure_module *module, void *object, const char *name,
               char **env, bool env_only, struct tenant **ret_tenant)
{
    struct tenant *tenant = calloc(1, sizeof *tenant);
    if (!tenant) return ERR_NOMEM;
    tenant->host = host;
    tenant->module = module;
    tenant->object = object;
    tenant->env = env;
    tenant->env_only = env_only;
    tenant->listener.fd = -1;
    list_init(&tenant->link);
    list_init(&tenant->subscriptions);
    list_init(&tenant->intervals);
    list_init(&tenant->workers);
    list_init(&tenant->runs);
    list_init(&tenant->conns);
    if (!name) name = tenant_env(tenant, "DURE_SERVICE");
    tenant->name = strdup(name && *name ? name : module->name);
    if (!tenant->name) {
        tenant_free(tenant);
        return ERR_NOMEM;
    }
    list_push(&host->tenants, &tenant->link);
    *ret_tenant = tenant;
    return 0;
}

struct tenant *tenant_find(struct host *host, const char *name)
{
    LIST_EACH(&host->tenants, struct tenant, link, tenant) {
        bool answers = tenant->state == TENANT_UP || tenant->state == TENANT_STOPPING;
        if (answers && strcmp(tenant->name, name) == 0) return tenant;
    }
    return NULL;
}

/* ---- intervals ---------------------------------------------------------------------------- */

static void interval_arm(struct interval *interval)
{
    struct tenant *tenant = interval->tenant;
    if (tenant->state == TENANT_UP)
        loop_timer_in_ms(&tenant->host->loop, &interval->timer, interval->interval_ms);
}

static void interval_returned(struct dure_ctx *ctx, int err)
{
    struct interval *interval = ctx->finished_argument;
    if (err)
        LOGGER(ctx->tenant->host, ctx->tenant, DURE_WARN, "interval_failed",
               DURE_S("error", dure_error_name(err)));
    interval_arm(interval);
}

static void interval_fire(struct loop_timer *timer)
{
    struct interval *interval = CONTAINER_OF(timer, struct interval, timer);
    struct dure_ctx *ctx = ctx_new(interval->tenant, CTX_INTERVAL, interval->handler);
    if (!ctx) {
        interval_arm(interval);
        return;
    }
    ctx_set_deadline(ctx, NULL);
    ctx->span_name = "interval";
    ctx->span_kind = "internal";
    ctx->finished = interval_returned;
    ctx->finished_argument = interval;
    ctx_start(ctx);
}

int dure_every(struct dure_ctx *ctx, int64_t interval_ms, dure_handler *handler)
{
    enum { INTERVALS_MAX = 64 };
    struct tenant *tenant = ctx->tenant;
    size_t count = 0;
    if (tenant->state != TENANT_STARTING) return DURE_ECLOSED;
    if (interval_ms < 1 || !handler) return DURE_EINVALID;
    LIST_EACH(&tenant->intervals, struct interval, link, each) count += each->interval_ms > 0;
    if (count >= INTERVALS_MAX) return DURE_EFULL;
    struct interval *interval = calloc(1, sizeof *interval);
    if (!interval) return DURE_ENOMEM;
    interval->tenant = tenant;
    interval->handler = handler;
    interval->interval_ms = (uint64_t)interval_ms;
    interval->timer.fire = interval_fire;
    list_init(&interval->link);
    list_push(&tenant->intervals, &interval->link);
    return 0;
}

/* ---- registering -------------------------------------------------------------------------- */

int dure_route(struct dure_ctx *ctx, const char *method, const char *pattern, dure_handler *handler)
{
    if (ctx->tenant->state != TENANT_STARTING) return DURE_ECLOSED;
    return router_add(&ctx->tenant->router, method, pattern, handler);
}

int dure_on_group(struct dure_ctx *ctx, const char *subject, const char *group,
                  dure_handler *handler)
{
    struct tenant *tenant = ctx->tenant;
    struct host *host = tenant->host;
    if (tenant->state != TENANT_STARTING) return DURE_ECLOSED;
    if (!handler || !busname_valid(subject, true)) return DURE_EINVALID;
    if (group && !busname_valid(group, false)) return DURE_EINVALID;
    if (host->subscription_count >= DURE_MAX_SUBSCRIPTIONS) return DURE_EFULL;
    struct subscription *subscription = calloc(1, sizeof *subscription);
    if (!subscription) return DURE_ENOMEM;
    list_init(&subscription->link);
    list_init(&subscription->route.link);
    subscription->tenant = tenant;
    subscription->handler = handler;
    subscription->subject = strdup(subject);
    subscription->group = group ? strdup(group) : NULL;
    host->subscription_count++;
    if (!subscription->subject || (group && !subscription->group)) {
        subscription_free(subscription);
        return DURE_ENOMEM;
    }
    list_push(&tenant->subscriptions, &subscription->link);
    return 0;
}

int dure_on(struct dure_ctx *ctx, const char *subject, dure_handler *handler)
{
    return dure_on_group(ctx, subject, ctx->tenant->name, handler);
}

/* ---- starting and stopping ---------------------------------------------------------------- */

static void open_for_all(struct tenant *tenant)
{
    struct host *host = tenant->host;
    tenant->state = TENANT_UP;
    serve_open(tenant);
    LIST_EACH(&tenant->subscriptions, struct subscription, link, subscription)
        buslink_subscribe(host->bus, subscription);
    LIST_EACH(&tenant->intervals, struct interval, link, interval) interval_arm(interval);
    worker_start_all(tenant);
    LOGGER(host, tenant, DURE_INFO, "started", DURE_I("port", tenant->port));
}

static void init_returned(struct dure_ctx *ctx, int err)
{
    struct tenant *tenant = ctx->tenant;
    if (tenant->state == TENANT_STARTING && !err) {
        open_for_all(tenant);
    } else if (!err) { /* told to stop in the meantime: its exit hook is due */
        tenant->state = TENANT_STOPPING;
    } else if (tenant->state == TENANT_STARTING) {
        tenant->state = TENANT_FAILED;
        serve_close(tenant);
        LOGGER(tenant->host, tenant, DURE_ERROR, "init_failed",
               DURE_S("error", dure_error_name(err)));
    }
    host_progress(tenant->host);
}

static int no_hook(struct dure_ctx *ctx)
{
    return 0;
}

static struct dure_ctx *hook_new(struct tenant *tenant, dure_handler *hook,
                                 void (*returned)(struct dure_ctx *ctx, int err))
{
    struct dure_ctx *ctx = ctx_new(tenant, CTX_HOOK, hook ? hook : no_hook);
    if (ctx) ctx->finished = returned;
    return ctx;
}

void tenant_start(struct tenant *tenant)
{
    struct dure_ctx *ctx = hook_new(tenant, tenant->module->init, init_returned);
    if (!ctx) {
        tenant->state = TENANT_FAILED;
        return;
    }
    int err = ping_register(ctx);
    if (err)
        LOGGER(tenant->host, tenant, DURE_WARN, "no_ping", DURE_S("error", dure_error_name(err)));
    ctx_start(ctx);
}

void tenant_stop(struct tenant *tenant)
{
    serve_close(tenant);
    worker_stop_all(tenant);
    LIST_EACH(&tenant->intervals, struct interval, link, interval)
        loop_timer_cancel(&tenant->host->loop, &interval->timer);
    if (tenant->state == TENANT_UP) {
        tenant->state = TENANT_STOPPING;
    } else if (tenant->state == TENANT_STARTING) { /* its init is told to give up */
        tenant->state = TENANT_FAILED;
        LIST_EACH(&tenant->runs, struct dure_ctx, link, ctx) ctx_stop(ctx, DURE_ECLOSED);
    }
}

static void exit_returned(struct dure_ctx *ctx, int err)
{
    struct tenant *tenant = ctx->tenant;
    if (err)
        LOGGER(tenant->host, tenant, DURE_WARN, "exit_failed",
               DURE_S("error", dure_error_name(err)));
    tenant->host->exits_left--;
    host_progress(tenant->host);
}

void tenant_leave(struct tenant *tenant)
{
    if (tenant->state != TENANT_STOPPING) return;
    struct dure_ctx *ctx = hook_new(tenant, tenant->module->exit, exit_returned);
    if (!ctx) return;
    ctx->deadline_ns = loop_monotonic_ns() + TENANT_EXIT_NS;
    tenant->host->exits_left++;
    ctx_start(ctx);
}

/* ---- subjects ----------------------------------------------------------------------------- */

bool busname_valid(const char *subject, bool wildcards)
{
    if (!subject || !*subject || strlen(subject) > 1024) return false;
    struct bytes rest = bytes_str(subject);
    for (size_t i = 0; i < rest.len; i++)
        if ((unsigned char)rest.data[i] <= ' ' || rest.data[i] == 0x7F) return false;
    do {
        struct bytes token = bytes_cut(&rest, '.');
        if (!token.len) return false;
        bool wild = bytes_eq(token, BYTES("*")) || bytes_eq(token, BYTES(">"));
        if (wild && (!wildcards || (token.data[0] == '>' && rest.data))) return false;
    } while (rest.data);
    return true;
}

void tenant_route_message(struct dure_ctx *ctx, const char *pattern, const char *subject)
{
    static const char *const numbers[ROUTE_PARAMS_MAX] = {
        "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"};
    struct bytes left = bytes_str(pattern), right = bytes_str(subject);
    ctx->subject = subject;
    ctx->span_name = subject;
    ctx->span_kind = "server";
    while (left.data && right.data && ctx->param_count < ROUTE_PARAMS_MAX) {
        struct bytes whole = right, want = bytes_cut(&left, '.'), have = bytes_cut(&right, '.');
        bool rest = bytes_eq(want, BYTES(">"));
        if (!rest && !bytes_eq(want, BYTES("*"))) continue;
        const char *value = arena_copy(&ctx->arena, rest ? whole : have);
        ctx->params[ctx->param_count].name = numbers[ctx->param_count];
        ctx->params[ctx->param_count++].value = value ? value : "";
        if (rest) break;
    }
}

bool busname_matches(const char *pattern, const char *subject)
{
    struct bytes left = bytes_str(pattern), right = bytes_str(subject);
    while (left.data && right.data) {
        struct bytes want = bytes_cut(&left, '.'), have = bytes_cut(&right, '.');
        if (bytes_eq(want, BYTES(">"))) return true;
        if (!bytes_eq(want, BYTES("*")) && !bytes_eq(want, have)) return false;
    }
    return !left.data && !right.data;
}
