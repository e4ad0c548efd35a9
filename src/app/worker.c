#include "app/worker.h"

#include "app/admin.h"
#include "app/cli.h"
#include "app/configure.h"
#include "app/drain.h"
#include "run/parent.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern char **environ;

enum {
    TABLE_DELAY_MS = 100,
    PROXY_GRACE_MS = 2000,
    MANIFEST_ERRORS_MAX = 1024 * 1024,
    TEXT_MAX = 256 * 1024,
};

/* ---- what people see ---- */

void worker_say(struct worker *worker, const char *text)
{
    control_send(&worker->control, json_pack("{s:s, s:s}", "op", "say", "text", text));
}

static void show_table(struct io_timer *timer)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, table_due);
    struct buf json, text;
    buf_init(&json, TEXT_MAX);
    buf_init(&text, TEXT_MAX);
    status_write(&worker->status, &json);
    int err = status_table(buf_bytes(&json), worker->columns, true, &text);
    buf_append_char(&text, '\0');
    if (!err && !text.failed)
        control_send(&worker->control, json_pack("{s:s, s:s}", "op", "table", "text", text.data));
    buf_release(&json);
    buf_release(&text);
}

static void status_changed(void *context)
{
    struct worker *worker = context;
    if (worker->columns && !worker->table_due.armed)
        io_timer_set(worker->io, &worker->table_due, TABLE_DELAY_MS);
}

static void tick(struct io_timer *timer)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, tick);
    status_tick(&worker->status, io_now_ns(worker->io));
    status_changed(worker);
    io_timer_set(worker->io, timer, STATUS_WINDOW_MS);
}

/* ---- the data plane's configuration ---- */

static void compile(struct io_task *task)
{
    struct worker *worker = CONTAINER_OF(task, struct worker, compile);
    struct deployment *deployment = supervisor_deployment(worker->supervisor);
    struct snapshot *snapshot = NULL;
    struct error error = {0};
    if (!deployment) return;
    int err = configure_snapshot(&deployment->manifest, worker->registry, &snapshot, &error);
    if (!err) err = proxy_apply(worker->proxy, snapshot);
    if (err)
        LOG(&worker->log, LOG_ERROR, "snapshot_refused", LOG_ERR(err),
            LOG_S("reason", error.message));
    snapshot_unref(snapshot);
}

static void instance_changed(struct registry_watch *watch, const struct instance *before,
                             const struct instance *after)
{
    struct worker *worker = CONTAINER_OF(watch, struct worker, registry_watch);
    io_post(worker->io, &worker->compile);
    if (worker->columns || !after || after->health != INSTANCE_UP) return;
    if (before && before->health == INSTANCE_UP) return;
    char line[512];
    snprintf(line, sizeof line, "%s %s is up (%s)", after->service, after->version, after->id);
    worker_say(worker, line);
}

static void incomplete(void *context, const char *reason)
{
    worker_say(context, reason);
}

static void accepted(void *context, struct deployment *deployment)
{
    struct worker *worker = context;
    /* A new worker goes on with what was deployed, not with what somebody is editing. */
    control_send(&worker->control,
                 json_pack("{s:s, s:O}", "op", "keep", "what", deployment->texts));
    bridge_configure(worker->bridge, &deployment->manifest);
    io_post(worker->io, &worker->compile);
}

/* ---- deploying ---- */

static void answer_mistakes(struct http_exchange *x, const struct errors *errors)
{
    struct buf text;
    buf_init(&text, MANIFEST_ERRORS_MAX);
    errors_format(errors, &text);
    http_problem(x, ADMIN_MISTAKES, "The manifests have mistakes; nothing was changed",
                 buf_bytes(&text), BYTES(""));
    buf_release(&text);
}

static void applying_closed(struct http_exchange *x, int result)
{
    struct worker *worker = x->context;
    worker->applying = NULL;
}

/* Everything is in force, the durable subjects too. */
static void answer_deployed(void *context)
{
    struct worker *worker = context;
    struct http_exchange *x = worker->applying;
    if (!x) return;
    worker->applying = NULL;
    x->closed = NULL;
    http_respond(x, 200, BYTES("application/json"), BYTES("{\"deployed\":true}"));
}

static void applied(void *context, int result, const struct error *error)
{
    struct worker *worker = context;
    struct http_exchange *x = worker->applying;
    char text[1024] = "";
    if (result) error_format(error, text, sizeof text);
    LOG(&worker->log, result ? LOG_ERROR : LOG_INFO, result ? "deploy_failed" : "deployed",
        LOG_S("reason", text));
    if (!worker->columns) worker_say(worker, result ? text : "all services are up");
    if (!x) return;
    if (!result) {
        bridge_when_settled(worker->bridge, answer_deployed, worker);
        return;
    }
    worker->applying = NULL;
    x->closed = NULL;
    http_problem(x, 409, "The deployment failed; what ran before runs on", bytes_str(text),
                 BYTES(""));
}

/* A listening address belongs to the parent, and the bus's clients to its configuration: other ones
 * need a new start. */
static const char *moved_address(const struct manifest_system *before,
                                 const struct manifest_system *after)
{
    if (!bytes_eq(before->gateway.listen, after->gateway.listen)) return "gateway.listen";
    if (!bytes_eq(before->bus.listen, after->bus.listen)) return "bus.listen";
    if (!yaml_same(&manifest_bus_schema, &before->bus, &after->bus)) return "bus";
    if (!bytes_eq(before->internal.listen, after->internal.listen)) return "internal.listen";
    return NULL;
}

/* `texts`: of what was deployed before; NULL: the files as they are now. */
static int load(struct worker *worker, json_t *texts, struct http_exchange *x,
                struct deployment **ret_deployment)
{
    struct arena arena;
    struct errors errors;
    arena_init(&arena, MANIFEST_ERRORS_MAX);
    errors_init(&errors, &arena);
    int err = deployment_load(worker->io, worker->paths.dir, texts, &errors, ret_deployment);
    if (err && x) answer_mistakes(x, &errors);
    if (err && !x)
        LOG(&worker->log, LOG_ERROR, "manifests_have_mistakes",
            LOG_S("first", errors.count ? errors.items[0].message : err_text(err)));
    arena_release(&arena);
    return err;
}

void worker_apply(struct worker *worker, struct http_exchange *x)
{
    if (supervisor_busy(worker->supervisor) || worker->applying) {
        http_problem(x, 409, NULL, BYTES("a deployment is under way: try again when it is done"),
                     BYTES(""));
        return;
    }
    struct deployment *deployment = NULL;
    if (load(worker, NULL, x, &deployment) != 0) return;
    struct deployment *current = supervisor_deployment(worker->supervisor);
    const char *moved =
        current ? moved_address(current->manifest.system, deployment->manifest.system) : NULL;
    if (moved) {
        char text[160];
        snprintf(text, sizeof text,
                 "%s has changed, which needs a new start: dure down, then dure up", moved);
        http_problem(x, 409, NULL, bytes_str(text), BYTES(""));
        deployment_unref(deployment);
        return;
    }
    worker->applying = x;
    x->context = worker;
    x->closed = applying_closed;
    int err = supervisor_apply(worker->supervisor, deployment, applied, worker);
    deployment_unref(deployment);
    if (!err) return;
    worker->applying = NULL;
    x->closed = NULL;
    http_problem(x, err_http_status(err), NULL, bytes_str(err_text(err)), BYTES(""));
}

/* ---- the end: what stands on something is closed before it ---- */

static void next_step(void *context);

static void control_gone(struct worker *worker)
{
    io_stop(worker->io);
}

static void close_control(struct worker *worker)
{
    if (worker->control.open)
        control_close(&worker->control);
    else
        control_gone(worker);
}

static void next_step(void *context)
{
    struct worker *worker = context;
    switch (worker->steps++) {
    case 0: admin_close(worker, next_step); break;
    case 1:
        if (worker->proxy)
            proxy_close(worker->proxy, PROXY_GRACE_MS, next_step, worker);
        else
            next_step(worker);
        break;
    case 2: bridge_close(worker->bridge, next_step, worker); break;
    case 3: telemetry_close(worker->telemetry, next_step, worker); break;
    case 4:
        supervisor_free(worker->supervisor);
        registry_close(worker->registry);
        worker_close_bus(worker, 0, next_step);
        break;
    case 5:
    case 6:
    case 7:
    case 8:
    case 9: worker_close_bus(worker, worker->steps - 5, next_step); break;
    default: close_control(worker);
    }
}

static void all_stopped(void *context)
{
    struct worker *worker = context;
    io_timer_cancel(worker->io, &worker->tick);
    io_timer_cancel(worker->io, &worker->table_due);
    registry_unwatch(&worker->registry_watch); /* its last news are of no use to the proxy */
    io_task_cancel(worker->io, &worker->compile);
    worker->columns = 0;
    next_step(worker);
}

void worker_ask_stop(struct worker *worker)
{
    control_send(&worker->control, json_pack("{s:s}", "op", "stop"));
}

/* ---- the beginning ---- */

static int open_proxy(struct worker *worker)
{
    int err =
        telemetry_new(worker->io, worker->messaging, worker->paths.access, &worker->telemetry);
    struct proxy_options options = {.access = telemetry_access, .context = worker->telemetry};
    if (!err) err = proxy_new(worker->io, &options, &worker->log, &worker->proxy);
    if (!err)
        err = proxy_adopt(worker->proxy, PROXY_EDGE, HANDOVER_GATEWAY, &worker->status.gateway);
    if (!err)
        err =
            proxy_adopt(worker->proxy, PROXY_INTERNAL, HANDOVER_INTERNAL, &worker->status.internal);
    if (!err) err = proxy_handle(worker->proxy, BYTES("/-/metrics"), admin_metrics, worker);
    return err;
}

static int open_bridge(struct worker *worker, const struct manifest *manifest)
{
    struct bridge_options options = {
        .io = worker->io,
        .http = &worker->http,
        .messaging = worker->messaging,
        .proxy = worker->proxy,
        .road = worker->status.internal,
        .max_payload = (size_t)manifest->system->bus.max_payload,
        .log = &worker->log,
        .incomplete = incomplete,
        .context = worker,
    };
    return bridge_new(&options, &worker->bridge);
}

static int open_supervisor(struct worker *worker)
{
    struct supervisor_options options = {
        .world =
            {
                .io = worker->io,
                .log = &worker->log,
                .control = &worker->control,
                .registry = worker->registry,
                .http = &worker->http,
                .messaging = worker->messaging,
                .surroundings =
                    {
                        .program = worker->program,
                        .state = worker->paths.state,
                        .environ = (const char *const *)environ,
                        .bus = worker->bus_url,
                        .bus_creds = worker->bus_creds[0] ? worker->bus_creds : NULL,
                        .bus_ca = worker->bus_ca[0] ? worker->bus_ca : NULL,
                        .internal = worker->status.internal,
                    },
                .drain = drain_port_of(worker->proxy),
            },
        .accepted = accepted,
        .changed = status_changed,
        .stopped = all_stopped,
        .context = worker,
    };
    worker->supervisor = supervisor_new(&options);
    worker->status.supervisor = worker->supervisor;
    worker->status.proxy = worker->proxy;
    worker->status.window_ns = io_now_ns(worker->io);
    registry_watch(worker->registry, &worker->registry_watch, instance_changed);
    return worker->supervisor ? 0 : ERR_NOMEM;
}

/* What needs the bus and the registry. */
static int open_parts(struct worker *worker, const struct manifest *manifest)
{
    int err = open_proxy(worker);
    if (!err) err = open_bridge(worker, manifest);
    if (!err) err = open_supervisor(worker);
    return err;
}

/* A worker that cannot begin says why and ends; the parent tries again. */
void worker_give_up(struct worker *worker, const struct error *error)
{
    char text[1024];
    error_format(error, text, sizeof text);
    LOG(&worker->log, LOG_ERROR, "worker_cannot_start", LOG_S("reason", text));
    worker_say(worker, text);
    worker->exit_code = EXIT_FAILED;
    close_control(worker);
}

static void take_message(struct worker *worker, const char *op, json_t *object)
{
    struct bytes name = bytes_str(op);
    if (bytes_eq(name, BYTES("columns"))) {
        worker->columns = (unsigned)json_integer_value(json_object_get(object, "columns"));
        status_changed(worker);
    } else if (bytes_eq(name, BYTES("stop"))) {
        supervisor_stop(worker->supervisor);
    } else {
        supervisor_message(worker->supervisor, op, object);
    }
}

void worker_bus_is_open(struct worker *worker)
{
    struct deployment *deployment = worker->beginning;
    struct error error = {0};
    int err = open_parts(worker, &deployment->manifest);
    if (err) {
        error_set(&error, err, "cannot start: %s", err_text(err));
        worker_give_up(worker, &error);
        return;
    }
    supervisor_adopt(worker->supervisor, deployment, worker->hello);
    err = supervisor_apply(worker->supervisor, deployment, applied, worker);
    if (err) LOG(&worker->log, LOG_ERROR, "deploy_refused", LOG_ERR(err));
    control_send(&worker->control, json_pack("{s:s}", "op", "ready"));
    io_timer_set(worker->io, &worker->tick, STATUS_WINDOW_MS);
    status_changed(worker);
    deployment_unref(deployment);
    worker->beginning = NULL;
    size_t i;
    json_t *object;
    json_array_foreach(worker->early, i, object)
        take_message(worker, json_string_value(json_object_get(object, "op")), object);
    json_decref(worker->early);
    worker->early = NULL;
}

static void on_hello(struct worker *worker, json_t *hello)
{
    struct error error = {0};
    worker->columns = (unsigned)json_integer_value(json_object_get(hello, "columns"));
    worker->hello = json_incref(hello);
    worker->early = json_array();
    http_init(&worker->http, worker->io, &worker->log);
    if (load(worker, json_object_get(hello, "kept"), NULL, &worker->beginning) != 0) {
        error_set(&error, ERR_INVALID, "the manifests have mistakes");
        error_remedy(&error, "See them with: dure check %s", worker->paths.dir);
        worker_give_up(worker, &error);
        return;
    }
    /* The deployment goes when another one takes its place; its name stays. */
    snprintf(worker->status.system, sizeof worker->status.system, "%s",
             worker->beginning->manifest.system->name.data);
    int err = worker_open_bus(worker, &worker->beginning->manifest, &error);
    if (!err) {
        err = admin_open(worker, HANDOVER_ADMIN);
        if (err) error_set(&error, err, "cannot start: %s", err_text(err));
    }
    if (err) worker_give_up(worker, &error);
}

/* Nothing runs yet; the processes of an earlier worker are left to the parent. */
static void stop_early(struct worker *worker)
{
    io_timer_cancel(worker->io, &worker->patience);
    worker->columns = 0;
    next_step(worker);
}

static void on_message(struct control *control, const char *op, json_t *object)
{
    struct worker *worker = control->owner;
    struct bytes name = bytes_str(op);
    if (bytes_eq(name, BYTES("hello")) && !worker->greeted) {
        worker->greeted = true;
        on_hello(worker, object);
    } else if (worker->supervisor) {
        take_message(worker, op, object);
    } else if (bytes_eq(name, BYTES("stop"))) {
        stop_early(worker);
    } else {
        json_array_append(worker->early, object); /* when the bus is there */
    }
}

/* Without its parent a worker has nothing to do: another one will be there with the next parent. */
static void on_control_closed(struct control *control, int err)
{
    control_gone(control->owner);
}

/* ---- the process ---- */

static bool log_line(void *context, enum log_level level, struct bytes line)
{
    return fwrite(line.data, 1, line.len, stderr) == line.len && fflush(stderr) == 0;
}

static uint64_t log_time(void *context)
{
    const struct worker *worker = context;
    return io_wall_ns(worker->io);
}

int worker_main(int argc, char **argv)
{
    static struct worker worker;
    if (argc != 2) return cli_usage("worker", "is started by the parent only");
    worker.io = cli_io();
    worker.log = (struct log){LOG_INFO, log_line, log_time, &worker, 0};
    io_task_init(&worker.compile, compile);
    io_timer_init(&worker.tick, tick);
    io_timer_init(&worker.table_due, show_table);
    ssize_t len = readlink("/proc/self/exe", worker.program, sizeof worker.program - 1);
    if (len <= 0 || paths_init(&worker.paths, argv[1]) != 0) return EXIT_FAILED;
    int err = control_open(&worker.control, worker.io, HANDOVER_CONTROL, &worker, on_message,
                           on_control_closed);
    if (!err) err = io_run(worker.io);
    return err ? EXIT_FAILED : worker.exit_code;
}
