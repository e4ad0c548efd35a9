#include "run/child.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHILD_STRINGS_MAX = 4096 };

/* The strings of a JSON array as a NULL-terminated vector that borrows them; NULL when it is not an
 * array of strings, or too long. The caller frees the vector. */
static const char **strings_of(json_t *array)
{
    size_t count = json_array_size(array);
    if (!json_is_array(array) || count > CHILD_STRINGS_MAX) return NULL;
    const char **strings = calloc(count + 1, sizeof *strings);
    for (size_t i = 0; strings && i < count; i++) {
        strings[i] = json_string_value(json_array_get(array, i));
        if (strings[i]) continue;
        free(strings);
        return NULL;
    }
    return strings;
}

static void finish(struct child *child)
{
    if (child->exited && !child->open_outputs) child->gone(child);
}

static void output_ended(struct output *output)
{
    bool is_out = output->name[0] == 'o';
    struct child *child =
        is_out ? CONTAINER_OF(output, struct child, out) : CONTAINER_OF(output, struct child, err);
    child->open_outputs--;
    finish(child);
}

static void exited(struct io_process *process, int status)
{
    struct child *child = CONTAINER_OF(process, struct child, process);
    child->exited = true;
    child->status = status;
    /* What it left behind in its group would hold its port, its files and its output. */
    io_kill(process, SIGKILL);
    io_process_release(process);
    child->exit(child);
    finish(child);
}

static int spawn(struct io *io, struct child *child, json_t *request, struct error *error)
{
    const char **argv = strings_of(json_object_get(request, "argv"));
    const char **envp = strings_of(json_object_get(request, "env"));
    struct io_spawn_options options = {
        .argv = argv,
        .envp = envp,
        .dir = json_string_value(json_object_get(request, "dir")),
        .out = &child->out.stream,
        .err = &child->err.stream,
        .die_signal = SIGKILL,
    };
    int err =
        argv && argv[0] && envp
            ? io_spawn(io, &child->process, &options, exited, error)
            : error_set(error, ERR_INVALID, "a command needs argv and env as lists of strings");
    free(argv);
    free(envp);
    return err;
}

int child_new(struct io *io, json_t *request, struct output_file *file, void *owner,
              void (*exit_done)(struct child *child), void (*gone_done)(struct child *child),
              struct child **ret_child, struct error *error)
{
    struct child *child = calloc(1, sizeof *child);
    if (!child) return error_set(error, ERR_NOMEM, "out of memory for one more process");
    child->owner = owner;
    child->exit = exit_done;
    child->gone = gone_done;
    list_init(&child->link);
    const char *id = json_string_value(json_object_get(request, "id"));
    int len = snprintf(child->id, sizeof child->id, "%s", id ? id : "");
    int err = len > 0 && len < (int)sizeof child->id
                  ? spawn(io, child, request, error)
                  : error_set(error, ERR_INVALID, "a process needs an id of 1 to 127 bytes");
    if (err) {
        free(child);
        return err;
    }
    child->tag = json_incref(json_object_get(request, "tag"));
    child->open_outputs = 2;
    output_start(&child->out, file, child->id, "out", output_ended);
    output_start(&child->err, file, child->id, "err", output_ended);
    *ret_child = child;
    return 0;
}

void child_free(struct child *child)
{
    if (!child) return;
    json_decref(child->tag);
    free(child);
}
