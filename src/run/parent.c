#include "run/parent.h"

#include "run/child.h"
#include "run/control.h"
#include "run/unit.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>

enum {
    LISTENER_COUNT = HANDOVER_END - HANDOVER_GATEWAY,
    CHILDREN_MAX = 4096,
    GRACE_DEFAULT_MS = 10000,
    WORKER_BACKOFF_MIN_MS = 10,
    WORKER_BACKOFF_MAX_MS = 1000,
    WORKER_STABLE_MS = 2000,
};

struct parent {
    struct io *io;
    struct parent_options options;
    struct io_listener listeners[LISTENER_COUNT];
    int listening;

    struct unit unit; /* the worker's */
    struct io_timer unit_timer;
    struct io_process worker;
    bool worker_alive;
    struct control control;
    bool control_open;
    struct output_file *worker_file; /* what the worker prints, besides its events */
    struct output worker_out, worker_err;
    int worker_outputs;

    json_t *kept;         /* the worker's note to the next worker; NULL: none */
    struct list children; /* with those whose output has not ended yet */
    size_t child_count;
    bool stopping, killing, ended;
    struct io_timer grace_timer;
    struct io_task end_task;
};

static void worker_step(struct parent *parent, enum unit_event event);

/* ---- the end ---- */

static void end_run(struct io_task *task)
{
    struct parent *parent = CONTAINER_OF(task, struct parent, end_task);
    parent->options.ended(parent->options.context, 0);
}

static bool is_open(const struct parent *parent, int i)
{
    return !(parent->options.without & 1U << (HANDOVER_GATEWAY + i));
}

static void close_listeners(struct parent *parent)
{
    while (parent->listening) {
        int i = LISTENER_COUNT - parent->listening--;
        if (is_open(parent, i)) io_listener_close(&parent->listeners[i]);
    }
}

/* Ends when nothing is left that could still call back. */
static void end_if_done(struct parent *parent)
{
    if (!parent->stopping || parent->ended || parent->worker_alive || parent->control_open) return;
    if (parent->child_count || parent->worker_outputs || parent->unit.wanted) return;
    parent->ended = true;
    io_timer_cancel(parent->io, &parent->unit_timer);
    io_timer_cancel(parent->io, &parent->grace_timer);
    close_listeners(parent);
    io_post(parent->io, &parent->end_task);
}

static void signal_children(struct parent *parent, int signal)
{
    LIST_EACH(&parent->children, struct child, link, child) {
        int err = child->exited ? 0 : io_kill(&child->process, signal);
        if (err && err != ERR_NOT_FOUND)
            LOG(parent->options.log, LOG_ERROR, "kill_failed", LOG_S("id", child->id),
                LOG_ERR(err));
    }
}

static void grace_over(struct io_timer *timer)
{
    struct parent *parent = CONTAINER_OF(timer, struct parent, grace_timer);
    signal_children(parent, SIGKILL);
    if (parent->worker_alive) io_kill(&parent->worker, SIGKILL);
}

/* ---- messages from the worker ---- */

static void tell(struct parent *parent, json_t *object)
{
    int err = control_send(&parent->control, object);
    if (err && err != ERR_CLOSED)
        LOG(parent->options.log, LOG_ERROR, "control_send_failed", LOG_ERR(err));
}

static void child_exited(struct child *child)
{
    struct parent *parent = child->owner;
    if (parent->control_open)
        tell(parent,
             json_pack("{s:s, s:s, s:i}", "op", "exit", "id", child->id, "status", child->status));
}

static void child_gone(struct child *child)
{
    struct parent *parent = child->owner;
    parent->child_count--;
    list_remove(&child->link);
    child_free(child);
    end_if_done(parent);
}

/* The log file of a service, shared by all its children that still write to it. */
static int file_for(struct parent *parent, const char *service, struct output_file **ret_file)
{
    LIST_EACH(&parent->children, struct child, link, child) {
        struct output_file *file = child->out.file;
        if (!bytes_eq(bytes_str(file->service), bytes_str(service))) continue;
        *ret_file = output_file_ref(file);
        return 0;
    }
    return output_file_open(parent->io, parent->options.logs, service, ret_file);
}

static struct child *child_find(struct parent *parent, const char *id)
{
    LIST_EACH(&parent->children, struct child, link, child)
        if (!child->exited && bytes_eq(bytes_str(child->id), bytes_str(id))) return child;
    return NULL;
}

static int spawn_child(struct parent *parent, json_t *request, struct child **ret_child,
                       struct error *error)
{
    const char *id = json_string_value(json_object_get(request, "id"));
    const char *service = json_string_value(json_object_get(request, "log"));
    if (!id || !service) return error_set(error, ERR_INVALID, "a spawn needs id and log");
    if (parent->stopping) return error_set(error, ERR_CANCELLED, "dure is stopping");
    if (child_find(parent, id)) return error_set(error, ERR_EXISTS, "process %s runs already", id);
    if (parent->child_count >= CHILDREN_MAX)
        return error_set(error, ERR_FULL, "%d processes run already, which is the limit",
                         CHILDREN_MAX);
    struct output_file *file = NULL;
    int err = file_for(parent, service, &file);
    if (err)
        return error_set(error, err, "cannot open the log file of %s: %s", service, err_text(err));
    err = child_new(parent->io, request, file, parent, child_exited, child_gone, ret_child, error);
    output_file_unref(file); /* the child's outputs hold it now */
    return err;
}

static void on_spawn(struct parent *parent, json_t *request)
{
    struct child *child = NULL;
    struct error error = {0};
    json_t *id = json_object_get(request, "id");
    if (spawn_child(parent, request, &child, &error) != 0) {
        tell(parent, json_pack("{s:s, s:O?, s:i, s:s}", "op", "exit", "id", id, "status", -1,
                               "error", error.message));
        return;
    }
    assert(child);
    parent->child_count++;
    list_push(&parent->children, &child->link);
    tell(parent,
         json_pack("{s:s, s:s, s:i}", "op", "spawned", "id", child->id, "pid", child->process.pid));
}

static void on_kill(struct parent *parent, json_t *request)
{
    const char *id = json_string_value(json_object_get(request, "id"));
    struct child *child = id ? child_find(parent, id) : NULL;
    int signal = (int)json_integer_value(json_object_get(request, "signal"));
    /* Gone already: its exit is on the way to the worker. */
    int err = child ? io_kill(&child->process, signal) : 0;
    if (err && err != ERR_NOT_FOUND)
        LOG(parent->options.log, LOG_ERROR, "kill_failed", LOG_S("id", id), LOG_ERR(err));
}

static void on_keep(struct parent *parent, json_t *what)
{
    json_decref(parent->kept);
    parent->kept = json_incref(what);
}

static void on_message(struct control *control, const char *op, json_t *object)
{
    struct parent *parent = control->owner;
    const struct parent_options *options = &parent->options;
    const char *text = json_string_value(json_object_get(object, "text"));
    struct bytes name = bytes_str(op);
    if (bytes_eq(name, BYTES("spawn")))
        on_spawn(parent, object);
    else if (bytes_eq(name, BYTES("kill")))
        on_kill(parent, object);
    else if (bytes_eq(name, BYTES("say")) && text)
        options->say(options->context, text);
    else if (bytes_eq(name, BYTES("table")) && text)
        options->table(options->context, text);
    else if (bytes_eq(name, BYTES("ready")))
        options->ready(options->context);
    else if (bytes_eq(name, BYTES("keep")))
        on_keep(parent, json_object_get(object, "what"));
    else if (bytes_eq(name, BYTES("stop")))
        parent_stop(parent);
    else
        LOG(options->log, LOG_ERROR, "control_unknown_message", LOG_S("op", op));
}

/* ---- the worker ---- */

/* A worker counts as gone when its process has exited, its channel is closed and what it printed
 * has been read. */
static void worker_gone(struct parent *parent)
{
    if (parent->worker_alive || parent->control_open || parent->worker_outputs) return;
    if (parent->stopping) {
        /* It stopped the children before it ended, or died: what is left is ours to end. */
        signal_children(parent, SIGTERM);
        io_timer_set(parent->io, &parent->grace_timer, parent->options.grace_ms);
    }
    worker_step(parent, UNIT_EXIT);
    end_if_done(parent);
}

static void control_closed(struct control *control, int err)
{
    struct parent *parent = control->owner;
    parent->control_open = false;
    /* A worker that cannot be talked to is of no use, whatever it still does; but one that stops
     * closes its channel last, and is left to end by itself. */
    if (parent->worker_alive && !parent->stopping) io_kill(&parent->worker, SIGKILL);
    if (parent->worker_alive && parent->stopping)
        io_timer_set(parent->io, &parent->grace_timer, parent->options.grace_ms);
    worker_gone(parent);
}

static void worker_exited(struct io_process *process, int status)
{
    struct parent *parent = CONTAINER_OF(process, struct parent, worker);
    LOG(parent->options.log, parent->stopping ? LOG_INFO : LOG_ERROR, "worker_exited",
        LOG_I("status", status));
    io_process_release(process);
    parent->worker_alive = false;
    if (parent->control_open) control_close(&parent->control);
    worker_gone(parent);
}

static void worker_output_ended(struct output *output)
{
    struct parent *parent = output->name[0] == 'o'
                                ? CONTAINER_OF(output, struct parent, worker_out)
                                : CONTAINER_OF(output, struct parent, worker_err);
    parent->worker_outputs--;
    worker_gone(parent);
}

static void say_hello(struct parent *parent)
{
    json_t *children = json_array();
    LIST_EACH(&parent->children, struct child, link, child)
        if (!child->exited)
            json_array_append_new(children, json_pack("{s:s, s:i, s:O?}", "id", child->id, "pid",
                                                      child->process.pid, "tag", child->tag));
    tell(parent, json_pack("{s:s, s:o, s:i, s:O*}", "op", "hello", "children", children, "columns",
                           parent->options.columns, "kept", parent->kept));
}

static int spawn_worker(struct parent *parent, struct error *error)
{
    int pair[2];
    int err = io_socket_pair(pair);
    if (err) return error_set(error, err, "cannot make the worker's channel: %s", err_text(err));
    struct io_fd_map fds[HANDOVER_END - HANDOVER_CONTROL] = {{pair[1], HANDOVER_CONTROL}};
    size_t fd_count = 1;
    for (int i = 0; i < LISTENER_COUNT; i++)
        if (is_open(parent, i))
            fds[fd_count++] =
                (struct io_fd_map){io_listener_fd(&parent->listeners[i]), HANDOVER_GATEWAY + i};
    struct io_spawn_options spawn = {
        .argv = parent->options.worker_argv,
        .envp = parent->options.worker_envp,
        .out = &parent->worker_out.stream,
        .err = &parent->worker_err.stream,
        .fds = fds,
        .fd_count = fd_count,
        .die_signal = SIGKILL,
    };
    err = io_spawn(parent->io, &parent->worker, &spawn, worker_exited, error);
    io_fd_close(pair[1]);
    if (err) {
        io_fd_close(pair[0]);
        return err;
    }
    parent->worker_alive = true;
    parent->worker_outputs = 2;
    output_start(&parent->worker_out, parent->worker_file, "worker", "out", worker_output_ended);
    output_start(&parent->worker_err, parent->worker_file, "worker", "err", worker_output_ended);
    err = control_open(&parent->control, parent->io, pair[0], parent, on_message, control_closed);
    if (err) {
        io_fd_close(pair[0]);
        io_kill(&parent->worker, SIGKILL); /* its exit is a failed start like any other */
        return 0;
    }
    parent->control_open = true;
    say_hello(parent);
    return 0;
}

static void worker_step(struct parent *parent, enum unit_event event)
{
    struct unit_update update = unit_step(&parent->unit, event);
    if (update.timer_ms) io_timer_set(parent->io, &parent->unit_timer, update.timer_ms);
    if (update.signal && parent->control_open) tell(parent, json_pack("{s:s}", "op", "stop"));
    struct error error = {0};
    if (update.spawn && spawn_worker(parent, &error) != 0) {
        LOG(parent->options.log, LOG_ERROR, "worker_start_failed", LOG_S("reason", error.message));
        worker_step(parent, UNIT_EXIT);
    }
}

static void unit_timer_done(struct io_timer *timer)
{
    struct parent *parent = CONTAINER_OF(timer, struct parent, unit_timer);
    /* A worker that is told to stop takes as long as its services take: the grace is theirs, and
     * whoever waits can ask again to kill. */
    if (parent->unit.state == UNIT_STOPPING) return;
    worker_step(parent, UNIT_TIMER);
}

/* ---- life ---- */

static void never_accepted(struct io_listener *listener)
{
    assert(!"the parent accepts no connection");
}

static void explain_listen(const struct io_addr *addr, int err, struct error *error)
{
    char text[IO_ADDR_TEXT];
    io_addr_format(addr, text, sizeof text);
    if (err == ERR_IN_USE && addr->family == IO_UNIX) {
        error_set(error, err, "this system is up already: somebody listens on %s", text);
        error_remedy(error, "see it with: dure status; end it with: dure down");
        return;
    }
    error_set(error, err, "cannot listen on %s: %s", text, err_text(err));
    if (err == ERR_IN_USE)
        error_remedy(error, "stop what uses it, or choose another address in dure.yaml");
}

/* The last first, which is the admin socket: whether this system is up already shows there. */
static int open_listeners(struct parent *parent, struct error *error)
{
    while (parent->listening < LISTENER_COUNT) {
        int i = LISTENER_COUNT - 1 - parent->listening;
        const struct io_addr *addr = &parent->options.listen[HANDOVER_GATEWAY + i];
        if (!is_open(parent, i)) {
            parent->listening++;
            continue;
        }
        int err = io_listen(parent->io, &parent->listeners[i], addr, NULL, never_accepted);
        if (err) {
            explain_listen(addr, err, error);
            close_listeners(parent);
            return err;
        }
        parent->listening++;
        io_listener_pause(&parent->listeners[i], true);
    }
    return 0;
}

int parent_new(struct io *io, const struct parent_options *options, struct parent **ret_parent,
               struct error *error)
{
    struct parent *parent = calloc(1, sizeof *parent);
    if (!parent) return error_set(error, ERR_NOMEM, "out of memory");
    parent->io = io;
    parent->options = *options;
    if (!parent->options.grace_ms) parent->options.grace_ms = GRACE_DEFAULT_MS;
    list_init(&parent->children);
    io_timer_init(&parent->unit_timer, unit_timer_done);
    io_timer_init(&parent->grace_timer, grace_over);
    io_task_init(&parent->end_task, end_run);
    unit_init(&parent->unit, parent->options.grace_ms, WORKER_BACKOFF_MIN_MS, WORKER_BACKOFF_MAX_MS,
              WORKER_STABLE_MS);
    int err = open_listeners(parent, error);
    if (!err) {
        err = output_file_open(io, options->logs, "dure", &parent->worker_file);
        if (err) error_set(error, err, "cannot write to %s: %s", options->logs, err_text(err));
    }
    if (err) {
        close_listeners(parent);
        free(parent);
        return err;
    }
    *ret_parent = parent;
    worker_step(parent, UNIT_WANT_UP);
    return 0;
}

const struct io_addr *parent_address(const struct parent *parent, enum handover_fd which)
{
    assert(which >= HANDOVER_GATEWAY && which < HANDOVER_END);
    return &parent->listeners[which - HANDOVER_GATEWAY].addr;
}

void parent_stop(struct parent *parent)
{
    if (parent->stopping) {
        signal_children(parent, SIGKILL);
        if (parent->worker_alive) io_kill(&parent->worker, SIGKILL);
        return;
    }
    parent->stopping = true;
    worker_step(parent, UNIT_WANT_DOWN);
    if (!parent->worker_alive) worker_gone(parent);
}

void parent_free(struct parent *parent)
{
    if (!parent) return;
    assert(parent->ended);
    output_file_unref(parent->worker_file);
    json_decref(parent->kept);
    free(parent);
}

void parent_set_columns(struct parent *parent, int columns)
{
    parent->options.columns = columns;
    if (parent->control_open)
        tell(parent, json_pack("{s:s, s:i}", "op", "columns", "columns", columns));
}

int parent_worker_pid(const struct parent *parent)
{
    return parent->worker_alive ? parent->worker.pid : 0;
}

unsigned parent_worker_restarts(const struct parent *parent)
{
    return parent->unit.restarts;
}
