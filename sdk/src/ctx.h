/* ctx: one run of a handler or hook: the fiber it is on, what it answers, who waits for the answer,
 * until when, what it waits for itself, and the memory that goes with it. Made by whoever received
 * the request, started once, and freed by itself when the handler has returned. */
#ifndef DURE_SDK_CTX_H
#define DURE_SDK_CTX_H

#include "sdk/src/tenant.h"

#include "base/arena.h"
#include "base/buf.h"
#include "wire/trace.h"

enum ctx_kind { CTX_HOOK, CTX_INTERVAL, CTX_HTTP, CTX_MESSAGE };

struct header_field {
    const char *name, *value;
};

struct dure_headers {
    struct header_field *fields;
    size_t count, size;
};

/* The first value of that name, or NULL. */
const char *headers_find(const struct dure_headers *headers, const char *name);

/* Adds copies. 0, DURE_ENOMEM, DURE_EFULL. */
int headers_add(struct dure_headers *headers, struct arena *arena, struct bytes name,
                struct bytes value);

/* Whether they may be sent: a token, and a value without control characters. */
bool headers_field_valid(const char *name, const char *value);

/* Those that say where a message begins or ends, or that are written anyway. */
bool headers_is_framing(const char *name);

struct reply {
    int status;
    const char *content_type; /* NULL: no body */
    struct bytes body;
    const struct dure_headers *headers;
    const char *problem; /* of an error: what it says, for the bus's error header; or NULL */
};

/* Who waits for the answer; embedded in the HTTP connection, the bus message, the local ask. */
struct ctx_caller {
    /* Called once, unless ctx_abandon() came first; everything in `reply` is the ctx's. */
    void (*answer)(struct ctx_caller *caller, const struct reply *reply);
};

enum ctx_verdict { CTX_RETRY, CTX_RETRY_IN, CTX_GIVE_UP };

/* Something that a ctx has opened: closed at the latest when its handler has returned. */
struct ctx_resource {
    struct list link;
    void (*close)(struct ctx_resource *resource);
};

struct dure_ctx {
    struct tenant *tenant;
    struct list link; /* in tenant->runs */
    enum ctx_kind kind;
    dure_handler *handler;
    struct ctx_caller *caller; /* NULL: nobody, or gone */
    void (*finished)(struct dure_ctx *ctx,
                     int err); /* may be NULL; after the handler, before free */
    void *finished_argument;
    struct arena arena;

    /* the request */
    const char *method, *path, *subject;
    char *query; /* raw; NULL: none */
    struct dure_headers headers;
    struct buf body; /* a NUL stands behind its live bytes */
    struct route_param params[ROUTE_PARAMS_MAX];
    size_t param_count;
    const char *allow; /* of a 405 */
    const char *request_id;

    /* the reply */
    struct dure_headers reply_headers;
    bool replied;
    int replied_status;

    /* time and waiting */
    struct fiber *fiber;
    bool waiting;
    int stop; /* 0, or why every wait ends: DURE_ETIMEOUT, DURE_ECANCELLED, DURE_ECLOSED */
    uint64_t deadline_ns; /* 0: none */
    struct loop_timer deadline;
    struct loop_task start, resume;
    struct list pendings, resources;
    size_t pending_count;
    int depth; /* handlers of this process that wait for this one */

    /* trace */
    struct trace trace;
    const char *trace_state;
    bool report_span;
    const char *span_name, *span_kind;
    uint64_t started_wall_ns, started_ns;
    char trace_text[33], span_text[17], parent_text[TRACE_PARENT_TEXT + 1];

    const char *reason; /* why the last request failed, in the server's words; NULL: unknown */
    int reason_code;

    /* a stream's message: what it is, and what is to become of it when the handler fails */
    const struct dure_message *delivery;
    enum ctx_verdict verdict;
    int64_t verdict_delay_ms;
    const char *verdict_reason;

    struct json_root *json_roots; /* json.c */
    bool json_failed;
};

/* NULL: no memory. */
struct dure_ctx *ctx_new(struct tenant *tenant, enum ctx_kind kind, dure_handler *handler);

/* One that was never started. */
void ctx_free(struct dure_ctx *ctx);

/* Starts its handler from the loop, soon. When no fiber can be had, the caller is answered 503 and
 * `finished` gets DURE_EFULL. The ctx is not the caller's any more. */
void ctx_start(struct dure_ctx *ctx);

/* Ends it without running the handler, as if that had returned `err`. */
void ctx_refuse(struct dure_ctx *ctx, int err);

/* Its deadline: `remaining` is a Dure-Deadline-Ms header or NULL (then the default). */
void ctx_set_deadline(struct dure_ctx *ctx, const char *remaining);

/* The trace of a request that came with these headers (ctx->headers). */
void ctx_take_trace(struct dure_ctx *ctx);

/* Nobody waits for the answer any more: cancels the handler unless it has answered. */
void ctx_abandon(struct dure_ctx *ctx);

/* Ends every wait of the handler, now and later, with `err`. The first reason stays. */
void ctx_stop(struct dure_ctx *ctx, int err);

/* `close` will be called once, by ctx_disown()'s caller or at the end of the ctx. */
void ctx_own(struct dure_ctx *ctx, struct ctx_resource *resource,
             void (*close)(struct ctx_resource *resource));
void ctx_disown(struct ctx_resource *resource);

/* Notes why a request failed and returns `err`. The text is copied; NULL: nothing is known. */
int ctx_fail(struct dure_ctx *ctx, int err, int code, const char *reason);

/* On its fiber: puts it aside until ctx_wake() or ctx_stop(); returns ctx->stop. */
int ctx_wait(struct dure_ctx *ctx);

/* The same for what cannot be interrupted: ctx_stop() wakes it too, so the caller looks and waits
 * again. */
void ctx_wait_uninterrupted(struct dure_ctx *ctx);
void ctx_wake(struct dure_ctx *ctx);

/* Whether this is the handler that runs now: only then may it wait. */
bool ctx_is_current(const struct dure_ctx *ctx);

/* Looks at the clock and at what has been said: ctx->stop. */
int ctx_check(struct dure_ctx *ctx);

#endif
