/* dure.h: write a service in C. Streams, queues and clients: bus.h; values by key: kv.h; files:
 * object.h (all three come with this one).
 *
 * A whole service:
 *
 *     #include <dure/dure.h>
 *
 *     static int show(struct dure_ctx *ctx)
 *     {
 *         struct dure_answer price;
 *         int err = dure_ask(ctx, "price.get", dure_param(ctx, "id"), 0, &price);
 *         if (err) return err;
 *         struct dure_json *item = dure_json_object(ctx);
 *         dure_json_set_string(item, "id", dure_param(ctx, "id"));
 *         dure_json_set_string(item, "price", price.body);
 *         return dure_reply_json(ctx, 200, item);
 *     }
 *
 *     static int start(struct dure_ctx *ctx)
 *     {
 *         return dure_route(ctx, "GET", "/items/{id}", show);
 *     }
 *
 *     DURE_MODULE("catalog", start, NULL)
 *
 * The same source is a module (a shared object that `dure host` loads, alone or beside others):
 *
 *     cc -shared -fPIC -fvisibility=hidden -o catalog.so catalog.c
 *
 * and a program of its own:
 *
 *     cc -DDURE_STANDALONE -o catalog catalog.c -ldure
 *
 * How it runs
 *   - One thread, one loop. Each request, message and hook runs on a fiber: a stack of its own that
 *     is put aside while it waits. A handler reads straight down; only the functions marked
 *     [waits] suspend it, and between two of those nothing else of the process runs. There are no
 *     locks and no callbacks. What blocks in the kernel (a slow disk, a library's own sockets)
 *     stops the whole process for that long: hand it to dure_blocking().
 *   - Every handler has a deadline: what is left of its caller's (header Dure-Deadline-Ms), or
 *     DURE_DEFAULT_TIMEOUT_MS. It is handed on to whatever the handler asks. When the deadline
 *     passes, a [waits] function returns DURE_ETIMEOUT; when the caller has gone (it closed the
 *     connection, or gave up asking) it returns DURE_ECANCELLED, and so does every later one. A
 *     handler lets go of what it holds and returns that error. exit hooks and handlers that have
 *     already replied are not cancelled by their caller.
 *   - A handler must be idempotent: a request whose connection broke is sent again until its
 *     deadline, so the same request may arrive twice. dure_request_id() is the same both times.
 *   - Trace context (W3C traceparent, tracestate) passes on by itself, through HTTP, the bus and
 *     calls inside the process.
 *   - Nothing a peer does ends the process. Every error is one of enum dure_error.
 *   - Modules in one process reach each other without a socket: dure_call and dure_ask to a module
 *     that is loaded here run its handler on a new fiber, with the same rules for deadline,
 *     cancellation and trace. Everything else goes over $DURE_HTTP or the bus.
 *
 * Memory: what a function returns belongs to the ctx it was given and lives until that handler (or
 * hook) returns: strings, answers, JSON, pendings. What must live longer, copy. What init wants to
 * keep for the module's life is the module's own memory, reached through dure_set_state().
 *
 * Strings are UTF-8 and end with NUL. A body is bytes with a length, and has a NUL behind it that
 * is not counted, so that a text can be used as a string.
 *
 * Environment a service reads: PORT (0: any), HOST (127.0.0.1), NATS_URL (nats://host:port,
 * nats://user:password@host:port, tls://host:port, unix:/path, or several separated by commas;
 * without it the bus is unavailable and everything else works) and who we are there (bus.h),
 * DURE_HTTP (http://host:port, the road to other services), DURE_SERVICE (name, default: the
 * module's), DURE_INSTANCE, DURE_GRACE_MS (how long SIGTERM lets handlers finish, 10000), DURE_LOG
 * (debug, info, warn, error; default info), and the limits below.
 *
 * SIGTERM and SIGINT stop gracefully: no more connections and messages are taken, handlers in
 * flight finish within the grace, exit hooks run, what was published is flushed, exit code 0. */
#ifndef DURE_DURE_H
#define DURE_DURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DURE_EXPORT __attribute__((__visibility__("default")))
#define DURE_PRINTF(text, first) __attribute__((__format__(__printf__, text, first)))

/* ---- errors ------------------------------------------------------------------------------- */

/* Functions return 0 (or a count), or one of these, which are negative. A handler returns them too:
 * without a reply of its own, the error becomes one with this HTTP status.
 *   name          HTTP  text */
#define DURE_ERROR_TABLE(X)                                              \
    X(NOMEM, 503, "out of memory")                                       \
    X(INVALID, 400, "invalid value")                                     \
    X(TOOBIG, 413, "larger than its limit")                              \
    X(FULL, 503, "too much at once: a limit of this process is reached") \
    X(NOTFOUND, 404, "not found")                                        \
    X(EXISTS, 409, "exists already")                                     \
    X(CONFLICT, 409, "changed by somebody else in the meantime")         \
    X(DENIED, 403, "not permitted")                                      \
    X(TIMEOUT, 504, "no answer within its time")                         \
    X(CANCELLED, 503, "cancelled: nobody waits for the answer any more") \
    X(CLOSED, 503, "this process is stopping")                           \
    X(UNREACHABLE, 503, "no connection to the other side")               \
    X(NOBODY, 503, "nobody answers this subject or has this name")       \
    X(NOSTREAM, 503, "nobody stores this subject")                       \
    X(REMOTE, 502, "the other side answered with an error")              \
    X(PROTOCOL, 502, "the other side broke the protocol")                \
    X(IO, 500, "input/output error")                                     \
    X(UNSUPPORTED, 501, "not supported")                                 \
    X(INTERNAL, 500, "internal error")

enum dure_error_number {
    DURE_ERROR_NUMBER_OK = 0,
#define X(name, status, text) DURE_ERROR_NUMBER_##name,
    DURE_ERROR_TABLE(X)
#undef X
        DURE_ERROR_COUNT
};

enum dure_error {
    DURE_OK = 0,
#define X(name, status, text) DURE_E##name = -DURE_ERROR_NUMBER_##name,
    DURE_ERROR_TABLE(X)
#undef X
};

/* "NOTFOUND"; "OK" for 0 and counts, "UNKNOWN" outside the table. */
DURE_EXPORT const char *dure_error_name(int err);

/* "not found" */
DURE_EXPORT const char *dure_error_text(int err);

/* 404 */
DURE_EXPORT int dure_error_status(int err);

/* ---- limits ------------------------------------------------------------------------------- */

/* Each can be changed by an environment variable of the process: the name behind it. When a limit
 * is reached, the answer is the one that stands here; it is never to wait without end. */
enum {
    DURE_DEFAULT_TIMEOUT_MS = 15000, /* DURE_TIMEOUT_MS: of a handler whose caller says none */
    DURE_MAX_BODY = 1 << 20,         /* DURE_MAX_BODY: bytes of a request body; 413 */
    DURE_MAX_ANSWER = 8 << 20,       /* DURE_MAX_ANSWER: bytes of a reply taken or given; TOOBIG */
    DURE_MAX_FIBERS = 1024,        /* DURE_MAX_FIBERS: handlers at once; 503 on HTTP and bus, nak */
    DURE_MAX_CONNECTIONS = 4096,   /* DURE_MAX_CONNECTIONS: HTTP clients of all modules; closed */
    DURE_MAX_SUBSCRIPTIONS = 1024, /* of all modules; dure_on returns FULL */
    DURE_MAX_ROUTES = 256,         /* of one module; dure_route returns FULL */
    DURE_MAX_PENDING = 65536,      /* asks, tells and calls in flight; FULL */
    DURE_MAX_PENDING_EACH = 256,   /* the same, of one handler; FULL */
    DURE_MAX_MEMORY = 16 << 20,    /* DURE_MAX_MEMORY: dure_alloc and answers of one handler; NULL,
                                    * and NULL ever after: return DURE_ENOMEM */
    DURE_MAX_HEADER_BYTES = 65536, /* the head of an HTTP request; 431 */
    DURE_MAX_HEADERS = 100,        /* fields of a request, reply or message; 431, FULL */
    DURE_MAX_DEPTH = 32,           /* calls within calls inside this process; FULL */
    DURE_MAX_BUS_BUFFER = 8 << 20, /* bytes kept for the bus while it cannot take them; FULL */
    DURE_MAX_MODULES = 64,         /* in one process */
    DURE_STACK_BYTES = 256 << 10,  /* DURE_STACK_BYTES: of a fiber; below it is a guard page, so an
                                    * overflow is a SIGSEGV and not somebody else's memory */
};

/* ---- the module --------------------------------------------------------------------------- */

/* Where a piece of work stands: whose it is (module), what it answers (request or message), until
 * when, and the memory that lives as long as it. Every hook and every handler gets one. */
struct dure_ctx;

/* A handler or hook: 0, or an enum dure_error. */
typedef int dure_handler(struct dure_ctx *ctx);

enum { DURE_ABI = 1 };

struct dure_module {
    uint32_t abi;       /* DURE_ABI, checked at loading */
    uint32_t size;      /* sizeof(struct dure_module), so that it may grow at its end */
    const char *name;   /* the service's name unless $DURE_SERVICE says another */
    dure_handler *init; /* registers routes and subjects, opens what the module needs. May wait. An
                         * error ends a program of its own, and refuses the module in a host */
    dure_handler *exit; /* after the last handler has returned; may be NULL. May wait. */
};

/* Defines the one symbol that a module exports. With DURE_STANDALONE also main(). */
#ifdef __cplusplus
#define DURE_MODULE_LINKAGE extern "C"
#else
#define DURE_MODULE_LINKAGE
#endif
#define DURE_MODULE(name, init, exit)                                                         \
    DURE_MODULE_LINKAGE DURE_EXPORT extern const struct dure_module dure_module_entry;        \
    const struct dure_module dure_module_entry = {DURE_ABI, sizeof(struct dure_module), name, \
                                                  init, exit};                                \
    DURE_MODULE_MAIN
#ifdef DURE_STANDALONE
#define DURE_MODULE_MAIN                                  \
    int main(int argc, char **argv)                       \
    {                                                     \
        return dure_main(&dure_module_entry, argc, argv); \
    }
#else
#define DURE_MODULE_MAIN
#endif

/* Runs one module as this program until SIGTERM; returns the exit code: 0 after a graceful stop, 1
 * when it could not start (the reason is on stderr). The arguments are the module's: dure_args().
 */
DURE_EXPORT int dure_main(const struct dure_module *module, int argc, char **argv);

/* `dure host A.so [B.so ...]`: loads modules and runs them as this program. argv[0] is the name for
 * messages. Without arguments the modules come from $DURE_HOST_MODULES, a JSON array of
 *     {"name": "order", "module": "/abs/order.so", "port": 1234, "env": {"KEY": "value"}}
 * With arguments they listen on PORT, PORT+1, ... (PORT 0: any) and have the process's environment;
 * DURE_SERVICE names one that is alone. A module that fails to load or to
 * start is reported and left out; the program fails when none is left. */
DURE_EXPORT int dure_host_main(int argc, char **argv);

/* ---- registering, in init ----------------------------------------------------------------- */

/* Answers `method` (NULL: any) on `pattern`: "/orders/{id}/lines/{line}"; "{name}" stands for one
 * segment, "{name...}" at the end for all that is left (may be empty). A literal segment is
 * preferred to a parameter. HEAD is answered by the GET handler. A path that is known with another
 * method is answered 405, an unknown one 404. /health (GET: 200 when up, 503 while stopping) is
 * there unless the module has its own. INVALID (pattern), EXISTS, FULL; CLOSED outside init. */
DURE_EXPORT int dure_route(struct dure_ctx *ctx, const char *method, const char *pattern,
                           dure_handler *handler);

/* Answers messages on `subject` (NATS wildcards: "order.*", "order.>"). The instances of a service
 * share them: each message goes to one (queue group = the service's name). The reply goes to the
 * asker. A message without an asker gets no reply; one that a JetStream push consumer delivered is
 * acknowledged when the handler returns 0, and handed back (nak) when it returns an error.
 * INVALID (subject), FULL; CLOSED outside init. */
DURE_EXPORT int dure_on(struct dure_ctx *ctx, const char *subject, dure_handler *handler);

/* The same with a queue group of your own; NULL: every instance gets every message. */
DURE_EXPORT int dure_on_group(struct dure_ctx *ctx, const char *subject, const char *group,
                              dure_handler *handler);

/* Runs `handler` every `interval_ms` (>= 1) after init, the next time `interval_ms` after the last
 * one returned, so never twice at once. FULL; CLOSED outside init. */
DURE_EXPORT int dure_every(struct dure_ctx *ctx, int64_t interval_ms, dure_handler *handler);

/* ---- the module's own --------------------------------------------------------------------- */

/* One pointer of the module, for its state: set in init, read anywhere. */
DURE_EXPORT void dure_set_state(struct dure_ctx *ctx, void *state);
DURE_EXPORT void *dure_state(struct dure_ctx *ctx);

/* A variable of the module's environment, or NULL. In a host each module has its own environment;
 * getenv() would give the host's. */
DURE_EXPORT const char *dure_env(struct dure_ctx *ctx, const char *name);

/* The service's name; where it listens; the program's arguments ({NULL}-ended; none in a host). */
DURE_EXPORT const char *dure_service(struct dure_ctx *ctx);
DURE_EXPORT int dure_port(struct dure_ctx *ctx);
DURE_EXPORT char **dure_args(struct dure_ctx *ctx);

/* ---- the request or message at hand ------------------------------------------------------- */

/* "GET"; "" for a message. */
DURE_EXPORT const char *dure_method(struct dure_ctx *ctx);

/* The path without the query, percent-decoded, as it was sent otherwise; "" for a message. */
DURE_EXPORT const char *dure_path(struct dure_ctx *ctx);

/* The message's subject; "" for an HTTP request. */
DURE_EXPORT const char *dure_subject(struct dure_ctx *ctx);

/* What "{name}" of the pattern stood for, decoded; NULL when the pattern has no such name. For a
 * message, "1", "2" ... are what the wildcards of the subscription stood for. */
DURE_EXPORT const char *dure_param(struct dure_ctx *ctx, const char *name);

/* The first value of this name in the query string, decoded; NULL when there is none. */
DURE_EXPORT const char *dure_query(struct dure_ctx *ctx, const char *name);

/* A header field (any case), or NULL. Several of one name: the first. */
DURE_EXPORT const char *dure_header(struct dure_ctx *ctx, const char *name);

/* The body; never NULL. `ret_len` may be NULL. */
DURE_EXPORT const char *dure_body(struct dure_ctx *ctx, size_t *ret_len);

/* The body as JSON. DURE_EINVALID when it is not (return it: that is a 400), DURE_ENOMEM. */
struct dure_json;
DURE_EXPORT int dure_body_json(struct dure_ctx *ctx, struct dure_json **ret_json);

/* Whether an answer is expected: false for a message without an asker, in hooks, and once it is
 * given. */
DURE_EXPORT bool dure_wants_reply(struct dure_ctx *ctx);

/* The same for the same request when it is sent twice: header Nats-Msg-Id, Ce-Id, Idempotency-Key
 * or Dure-Request-Id, whichever comes first; otherwise a new one. Never NULL unless memory ran out.
 */
DURE_EXPORT const char *dure_request_id(struct dure_ctx *ctx);

/* ---- replying ----------------------------------------------------------------------------- */

/* Replies once, at once; the handler may work on after it. Status 200 to 599. On the bus a status
 * >= 400 is told with the headers Nats-Service-Error-Code and Nats-Service-Error. Replying to
 * nobody is allowed and does nothing. Return 0; DURE_EEXISTS when it was replied before;
 * DURE_ETOOBIG; DURE_ENOMEM (both then become the handler's 500 when it returns them).
 * A handler that returns 0 without a reply replies 204 (on the bus: empty). */
DURE_EXPORT int dure_reply(struct dure_ctx *ctx, int status, const char *content_type,
                           const void *body, size_t len);
DURE_EXPORT int dure_reply_text(struct dure_ctx *ctx, int status, const char *format, ...)
    DURE_PRINTF(3, 4);
DURE_EXPORT int dure_reply_json(struct dure_ctx *ctx, int status, const struct dure_json *json);

/* application/problem+json (RFC 9457) with this as its "detail". `return dure_reply_problem(...)`.
 */
DURE_EXPORT int dure_reply_problem(struct dure_ctx *ctx, int status, const char *format, ...)
    DURE_PRINTF(3, 4);

/* A field of the reply to come. INVALID (name, value, or one that frames the message, such as
 * Content-Length), FULL, EXISTS (already replied). */
DURE_EXPORT int dure_reply_header(struct dure_ctx *ctx, const char *name, const char *value);

/* ---- asking and telling ------------------------------------------------------------------- */

struct dure_headers; /* opaque */

/* What came back. Zeroed when nothing did. */
struct dure_answer {
    int status;       /* HTTP status; on the bus 200, or what Nats-Service-Error-Code says */
    const char *body; /* never NULL after an answer; a NUL stands behind it */
    size_t len;
    const struct dure_headers *headers;
};

/* A header field of an answer, or NULL. */
DURE_EXPORT const char *dure_answer_header(const struct dure_answer *answer, const char *name);

/* The body as JSON; DURE_EPROTOCOL when it is not. */
DURE_EXPORT int dure_answer_json(struct dure_ctx *ctx, const struct dure_answer *answer,
                                 struct dure_json **ret_json);

/* For all that follows:
 *   timeout_ms  0: as long as the handler itself has; more than that is cut to it.
 *   returns     0: an answer with a status below 400. DURE_EREMOTE: an answer with another status,
 *               and `ret_answer` has it. Else no answer: TIMEOUT, CANCELLED, NOBODY, UNREACHABLE
 *               (until the deadline), TOOBIG, FULL, INVALID, PROTOCOL, NOMEM, CLOSED.
 *   ret_answer  may be NULL. */

/* [waits] Asks on the bus. The text form sends a string, as it is. */
DURE_EXPORT int dure_ask(struct dure_ctx *ctx, const char *subject, const char *text,
                         int64_t timeout_ms, struct dure_answer *ret_answer);
DURE_EXPORT int dure_ask_bytes(struct dure_ctx *ctx, const char *subject, const void *body,
                               size_t len, int64_t timeout_ms, struct dure_answer *ret_answer);
DURE_EXPORT int dure_ask_json(struct dure_ctx *ctx, const char *subject,
                              const struct dure_json *json, int64_t timeout_ms,
                              struct dure_answer *ret_answer);

/* [waits] Tells for good: 0 once the stream has it on disk. It is sent again until then, under one
 * Nats-Msg-Id, so that the stream keeps it once. `id`: that id, when the caller has a better one
 * (the order's number); NULL: a new one. DURE_ENOSTREAM: nobody stores this subject (declare it
 * under `publishes` in service.yaml). Always goes to the bus, also between modules. After
 * DURE_ETIMEOUT it may be stored or not. */
DURE_EXPORT int dure_tell(struct dure_ctx *ctx, const char *subject, const char *id,
                          const char *text, int64_t timeout_ms);
DURE_EXPORT int dure_tell_bytes(struct dure_ctx *ctx, const char *subject, const char *id,
                                const void *body, size_t len, int64_t timeout_ms);
DURE_EXPORT int dure_tell_json(struct dure_ctx *ctx, const char *subject, const char *id,
                               const struct dure_json *json, int64_t timeout_ms);

/* Publishes to whoever listens now, at most once, without waiting. UNREACHABLE when there is no
 * bus; FULL; INVALID; TOOBIG. Always goes to the bus. */
DURE_EXPORT int dure_publish(struct dure_ctx *ctx, const char *subject, const void *body,
                             size_t len);

/* An HTTP request to another service. What is left zero has a sane meaning. */
struct dure_call {
    const char *method;         /* NULL: GET without a body, POST with one */
    const char *service;        /* its name, as in the manifest */
    const char *path;           /* "/orders/7?full=1", percent-encoded where needed; NULL: "/" */
    const char *content_type;   /* NULL with a body: application/json */
    const char *const *headers; /* "Name", "value", ..., NULL */
    const void *body;
    size_t len;
    const struct dure_json *json; /* instead of body */
    int64_t timeout_ms;
    bool idempotent; /* may be sent again although the method (POST, PATCH) does not say so */
};

/* [waits] Calls. A request of an idempotent method (or marked so) whose connection was closed
 * before the first byte of its response is made once more. */
DURE_EXPORT int dure_call(struct dure_ctx *ctx, const struct dure_call *call,
                          struct dure_answer *ret_answer);

/* [waits] The two usual ones. */
DURE_EXPORT int dure_get(struct dure_ctx *ctx, const char *service, const char *path,
                         struct dure_answer *ret_answer);
DURE_EXPORT int dure_post(struct dure_ctx *ctx, const char *service, const char *path,
                          const struct dure_json *json, struct dure_answer *ret_answer);

/* ---- several at once ---------------------------------------------------------------------- */

/* An ask, tell or call under way. Starting never waits and never returns NULL: what could not be
 * started is a pending that has failed. Arguments are copied. All are cancelled when their handler
 * returns. */
struct dure_pending;

DURE_EXPORT struct dure_pending *dure_ask_start(struct dure_ctx *ctx, const char *subject,
                                                const void *body, size_t len, int64_t timeout_ms);
DURE_EXPORT struct dure_pending *dure_tell_start(struct dure_ctx *ctx, const char *subject,
                                                 const char *id, const void *body, size_t len,
                                                 int64_t timeout_ms);
DURE_EXPORT struct dure_pending *dure_call_start(struct dure_ctx *ctx,
                                                 const struct dure_call *call);

/* Whether it is over; dure_wait then returns at once. */
DURE_EXPORT bool dure_done(const struct dure_pending *pending);

/* [waits] Its result; may be asked again. */
DURE_EXPORT int dure_wait(struct dure_ctx *ctx, struct dure_pending *pending,
                          struct dure_answer *ret_answer);

/* [waits] Until all are over. 0 when all succeeded, else the error of the first in the array that
 * failed. The answers: dure_wait() each. */
DURE_EXPORT int dure_all(struct dure_ctx *ctx, struct dure_pending *const *pendings, size_t count);

/* [waits] Until one succeeded; the others are cancelled. Its index; or, when all failed, the error
 * of the last in the array. With count 0: DURE_EINVALID. */
DURE_EXPORT int dure_race(struct dure_ctx *ctx, struct dure_pending *const *pendings, size_t count);

/* Its result becomes DURE_ECANCELLED, unless it has one. */
DURE_EXPORT void dure_cancel(struct dure_ctx *ctx, struct dure_pending *pending);

/* ---- time --------------------------------------------------------------------------------- */

/* [waits] 0, DURE_ETIMEOUT (the handler's deadline came first), DURE_ECANCELLED. */
DURE_EXPORT int dure_sleep(struct dure_ctx *ctx, int64_t delay_ms);

/* [waits] Runs `work` on a thread of a small pool, for what blocks in the kernel. Returns what it
 * returned. It is not interrupted: a deadline or a cancelled caller shows at the next wait. `work`
 * must call no dure_ function. FULL when too much is queued. */
DURE_EXPORT int dure_blocking(struct dure_ctx *ctx, int (*work)(void *argument), void *argument);

/* What is left of the handler's time; 0 when it is over. */
DURE_EXPORT int64_t dure_remaining_ms(struct dure_ctx *ctx);

/* Whether the caller has gone or the deadline has passed: for long loops that never wait. */
DURE_EXPORT bool dure_cancelled(struct dure_ctx *ctx);

/* Nanoseconds: since 1970-01-01 UTC, and monotonic. */
DURE_EXPORT uint64_t dure_wall_ns(void);
DURE_EXPORT uint64_t dure_now_ns(void);

/* ---- logging and tracing ------------------------------------------------------------------ */

enum dure_log_level { DURE_DEBUG, DURE_INFO, DURE_WARN, DURE_ERROR };

/* One value of an event. Use DURE_S, DURE_I, DURE_F. */
struct dure_field {
    const char *key; /* NULL ends the list */
    const char *text;
    int64_t integer;
    double number;
    char type; /* 's', 'i', 'f' */
};
#define DURE_S(key, value) ((struct dure_field){key, value, 0, 0, 's'})
#define DURE_I(key, value) ((struct dure_field){key, NULL, value, 0, 'i'})
#define DURE_F(key, value) ((struct dure_field){key, NULL, 0, value, 'f'})

/* Writes one JSON line to stderr: time, level, event, service, trace_id, span_id, and the fields:
 *     dure_log(ctx, DURE_INFO, "order_placed", DURE_S("order", id), DURE_I("total", total));
 * The event's name is constant; what varies is a field. A line that stderr does not take at once is
 * dropped and counted. */
#define dure_log(ctx, level, ...) \
    dure_log_fields(ctx, level, DURE_LOG_EVENT(__VA_ARGS__, ), DURE_LOG_LIST(__VA_ARGS__, ))
#define DURE_LOG_EVENT(event, ...) event
#define DURE_LOG_LIST(event, ...) ((const struct dure_field[]){__VA_ARGS__{0}})
DURE_EXPORT void dure_log_fields(struct dure_ctx *ctx, enum dure_log_level level, const char *event,
                                 const struct dure_field *fields);

/* 32 and 16 lower-case hexadecimal digits; and the whole header for an own client. */
DURE_EXPORT const char *dure_trace_id(struct dure_ctx *ctx);
DURE_EXPORT const char *dure_span_id(struct dure_ctx *ctx);
DURE_EXPORT const char *dure_traceparent(struct dure_ctx *ctx);

/* ---- memory and ids ----------------------------------------------------------------------- */

/* Zeroed memory that lives as long as ctx. NULL past DURE_MAX_MEMORY. */
DURE_EXPORT void *dure_alloc(struct dure_ctx *ctx, size_t size);
DURE_EXPORT char *dure_copy(struct dure_ctx *ctx, const void *bytes,
                            size_t len); /* ends with NUL */
DURE_EXPORT char *dure_format(struct dure_ctx *ctx, const char *format, ...) DURE_PRINTF(2, 3);

/* A new unique name: 26 characters, digits and capital letters, sorted by time (ULID). */
DURE_EXPORT const char *dure_new_id(struct dure_ctx *ctx);

/* ---- JSON --------------------------------------------------------------------------------- */

/* Values belong to the ctx that parsed or made them. Reading never fails loudly: every function
 * takes NULL, and a value of another type counts as missing, so a chain needs one check at its end.
 * Building: an error (no memory, bytes that are not UTF-8) is kept and comes out of
 * dure_json_text() or dure_reply_json(). */
DURE_EXPORT struct dure_json *dure_json_parse(struct dure_ctx *ctx, const char *text, size_t len);

/* The member or element, or NULL. */
DURE_EXPORT struct dure_json *dure_json_get(const struct dure_json *json, const char *key);
DURE_EXPORT struct dure_json *dure_json_at(const struct dure_json *json, size_t index);

/* Members of an object, elements of an array; 0 for anything else. */
DURE_EXPORT size_t dure_json_count(const struct dure_json *json);

/* The name of the member at `index` (in the order of insertion), or NULL. */
DURE_EXPORT const char *dure_json_key(const struct dure_json *json, size_t index);

/* The value itself, or the fallback. dure_json_int takes whole numbers only, dure_json_number both.
 */
DURE_EXPORT const char *dure_json_string(const struct dure_json *json, const char *fallback);
DURE_EXPORT int64_t dure_json_int(const struct dure_json *json, int64_t fallback);
DURE_EXPORT double dure_json_number(const struct dure_json *json, double fallback);
DURE_EXPORT bool dure_json_bool(const struct dure_json *json, bool fallback);

/* The same of a member. */
DURE_EXPORT const char *dure_json_get_string(const struct dure_json *json, const char *key,
                                             const char *fallback);
DURE_EXPORT int64_t dure_json_get_int(const struct dure_json *json, const char *key,
                                      int64_t fallback);
DURE_EXPORT double dure_json_get_number(const struct dure_json *json, const char *key,
                                        double fallback);
DURE_EXPORT bool dure_json_get_bool(const struct dure_json *json, const char *key, bool fallback);

DURE_EXPORT struct dure_json *dure_json_object(struct dure_ctx *ctx);
DURE_EXPORT struct dure_json *dure_json_array(struct dure_ctx *ctx);

/* Sets a member of an object, or, with key NULL, adds an element to an array. A NULL string or
 * value is null. dure_json_set shares the value. */
DURE_EXPORT void dure_json_set(struct dure_json *json, const char *key,
                               const struct dure_json *value);
DURE_EXPORT void dure_json_set_string(struct dure_json *json, const char *key, const char *value);
DURE_EXPORT void dure_json_set_int(struct dure_json *json, const char *key, int64_t value);
DURE_EXPORT void dure_json_set_number(struct dure_json *json, const char *key, double value);
DURE_EXPORT void dure_json_set_bool(struct dure_json *json, const char *key, bool value);
DURE_EXPORT void dure_json_set_null(struct dure_json *json, const char *key);

/* The compact text, or NULL (see above). `ret_len` may be NULL. */
DURE_EXPORT const char *dure_json_text(struct dure_ctx *ctx, const struct dure_json *json,
                                       size_t *ret_len);

#ifdef __cplusplus
}
#endif

#include "dure/bus.h"
#include "dure/kv.h"
#include "dure/object.h"

#endif
