#include "sdk/src/local.h"

#include "sdk/src/serve.h"

/* Lives in the asker's arena. The handler's ctx and this point to each other until the first of the
 * two is through. */
struct local_run {
    struct dure_pending pending;
    struct ctx_caller caller;
    struct dure_ctx *callee; /* NULL: has answered */
};

static void asker_gave_up(struct dure_pending *pending)
{
    struct local_run *run = (struct local_run *)pending;
    struct dure_ctx *callee = run->callee;
    run->callee = NULL;
    if (callee) ctx_abandon(callee);
}

/* The reply is in the callee's memory: what the asker keeps is copied. */
static void callee_answered(struct ctx_caller *caller, const struct reply *reply)
{
    struct local_run *run = CONTAINER_OF(caller, struct local_run, caller);
    struct arena *arena = &run->pending.ctx->arena;
    run->callee = NULL;
    struct dure_headers *headers = arena_alloc(arena, sizeof *headers);
    for (size_t i = 0; headers && i < reply->headers->count; i++)
        headers_add(headers, arena, bytes_str(reply->headers->fields[i].name),
                    bytes_str(reply->headers->fields[i].value));
    if (headers && reply->content_type)
        headers_add(headers, arena, BYTES("Content-Type"), bytes_str(reply->content_type));
    pending_answer(&run->pending, reply->status, headers, reply->body);
}

static int take_body(struct dure_ctx *callee, struct bytes body)
{
    buf_append(&callee->body, body);
    char *end = callee->body.failed ? NULL : buf_reserve(&callee->body, 1);
    if (!end) return body.len > callee->tenant->host->limits.body ? DURE_ETOOBIG : DURE_ENOMEM;
    *end = '\0';
    return 0;
}

/* A run of `callee`'s handler for `ctx`; the caller fills in the request and starts it. */
static struct local_run *prepare(struct dure_ctx *ctx, struct tenant *tenant, enum ctx_kind kind,
                                 struct bytes body, int64_t timeout_ms,
                                 struct dure_pending **ret_failed)
{
    if (ctx->depth >= DURE_MAX_DEPTH) {
        *ret_failed = pending_failed(DURE_EFULL);
        return NULL;
    }
    struct local_run *run =
        (struct local_run *)pending_new(ctx, sizeof *run, timeout_ms, asker_gave_up, ret_failed);
    if (!run) return NULL;
    struct dure_ctx *callee = ctx_new(tenant, kind, NULL);
    int err = callee ? take_body(callee, body) : DURE_ENOMEM;
    if (err) {
        ctx_free(callee);
        pending_fail(&run->pending, err);
        *ret_failed = &run->pending;
        return NULL;
    }
    run->caller.answer = callee_answered;
    run->callee = callee;
    callee->caller = &run->caller;
    callee->depth = ctx->depth + 1;
    callee->deadline_ns = run->pending.deadline_ns;
    uint8_t random[8];
    host_random(ctx->tenant->host, random, sizeof random);
    trace_child(&callee->trace, &ctx->trace, random);
    if (ctx->trace_state)
        callee->trace_state = arena_copy(&callee->arena, bytes_str(ctx->trace_state));
    callee->report_span = true;
    return run;
}

struct subscription *local_answers(struct host *host, const char *subject)
{
    LIST_EACH(&host->tenants, struct tenant, link, tenant) {
        if (tenant->state != TENANT_UP && tenant->state != TENANT_STOPPING) continue;
        LIST_EACH(&tenant->subscriptions, struct subscription, link, subscription)
            if (subscription->group && busname_matches(subscription->subject, subject))
                return subscription;
    }
    return NULL;
}

struct dure_pending *local_ask(struct dure_ctx *ctx, struct subscription *subscription,
                               const char *subject, struct bytes body, int64_t timeout_ms)
{
    struct dure_pending *failed;
    struct local_run *run =
        prepare(ctx, subscription->tenant, CTX_MESSAGE, body, timeout_ms, &failed);
    if (!run) return failed;
    struct dure_ctx *callee = run->callee;
    callee->handler = subscription->handler;
    const char *copy = arena_copy(&callee->arena, bytes_str(subject));
    tenant_route_message(callee, subscription->subject, copy ? copy : "");
    ctx_start(callee);
    return &run->pending;
}

struct dure_pending *local_call(struct dure_ctx *ctx, struct tenant *tenant,
                                const struct dure_call *call, const char *method, struct bytes body)
{
    struct dure_pending *failed;
    struct local_run *run = prepare(ctx, tenant, CTX_HTTP, body, call->timeout_ms, &failed);
    if (!run) return failed;
    struct dure_ctx *callee = run->callee;
    struct bytes target = bytes_str(call->path ? call->path : "/");
    struct bytes path = bytes_cut(&target, '?');
    for (const char *const *h = call->headers; h && h[0] && h[1]; h += 2)
        headers_add(&callee->headers, &callee->arena, bytes_str(h[0]), bytes_str(h[1]));
    const char *type = call->content_type ? call->content_type : "application/json";
    if (body.len)
        headers_add(&callee->headers, &callee->arena, BYTES("Content-Type"), bytes_str(type));
    callee->method = arena_copy(&callee->arena, bytes_str(method));
    callee->query = target.data ? arena_copy(&callee->arena, target) : NULL;
    if (callee->method) {
        serve_route(callee, path);
        ctx_start(callee);
        return &run->pending;
    }
    run->callee = NULL;
    ctx_free(callee);
    pending_fail(&run->pending, DURE_ENOMEM);
    return &run->pending;
}
