#include "run/supervisor.h"

#include "base/map.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct process_set {
    struct process_world *world;
    char name[64]; /* of the host service */
    uint64_t fingerprint;
    uint32_t generation;
    uint32_t scale; /* how many processes the deployment wants that is under way, or counts */
    bool fresh;     /* started by the deployment that is under way */
    bool leaving;   /* not in the deployment that is under way; stays until that is healthy */
    struct list processes, link;
};

struct supervisor {
    struct supervisor_options options;
    struct process_world world;
    struct list sets;
    struct list retired; /* processes on their way out */
    size_t set_count;
    uint32_t generation;
    struct deployment *current, *next; /* next: under way */
    struct io_timer deploy_timer;
    void (*done)(void *context, int result, const struct error *error);
    void *done_context;
    struct io_task settle; /* something has changed: is the deployment under way at its end? */
    bool stopping;
};

/* ---- sets ---- */

static struct process_set *set_find(struct supervisor *supervisor, struct bytes name,
                                    uint64_t fingerprint)
{
    LIST_EACH(&supervisor->sets, struct process_set, link, set)
        if (set->fingerprint == fingerprint && bytes_eq(bytes_str(set->name), name)) return set;
    return NULL;
}

static struct process_set *set_new(struct supervisor *supervisor, struct bytes name,
                                   uint64_t fingerprint, uint32_t generation)
{
    if (supervisor->set_count >= SUPERVISOR_SETS_MAX) return NULL;
    struct process_set *set = calloc(1, sizeof *set);
    if (!set) return NULL;
    snprintf(set->name, sizeof set->name, "%.*s", BYTES_ARG(name));
    set->fingerprint = fingerprint;
    set->generation = generation;
    set->world = &supervisor->world;
    list_init(&set->processes);
    list_push(&supervisor->sets, &set->link);
    supervisor->set_count++;
    return set;
}

static void set_remove(struct supervisor *supervisor, struct process_set *set)
{
    list_remove(&set->link);
    supervisor->set_count--;
    free(set);
}

static void retire(struct supervisor *supervisor, struct process *process)
{
    list_remove(&process->link);
    list_push(&supervisor->retired, &process->link);
    process_retire(process, SUPERVISOR_DRAIN_MS);
}

static void set_retire(struct supervisor *supervisor, struct process_set *set)
{
    LIST_EACH(&set->processes, struct process, link, process) retire(supervisor, process);
    set_remove(supervisor, set);
}

static bool index_taken(const struct process_set *set, uint32_t index)
{
    LIST_EACH(&set->processes, struct process, link, process)
        if (process->index == index) return true;
    return false;
}

/* Whether a process that runs, or is on its way out, has stores open that this one wants alone. */
static bool is_excluded(const struct supervisor *supervisor, const struct process *process)
{
    LIST_EACH(&supervisor->sets, struct process_set, link, set)
        LIST_EACH(&set->processes, struct process, link, other)
            if (other != process && !process_is_held(other) && process_excludes(process, other))
                return true;
    LIST_EACH(&supervisor->retired, struct process, link, other)
        if (process_excludes(process, other)) return true;
    return false;
}

/* Starts what had to wait and need not any more. */
static void start_held(struct supervisor *supervisor)
{
    LIST_EACH(&supervisor->sets, struct process_set, link, set)
        LIST_EACH(&set->processes, struct process, link, process)
            if (!set->leaving && process_is_held(process) && !is_excluded(supervisor, process))
                process_start(process);
}

/* Makes what is missing of `scale` processes; start_held starts them. What is too many stays, until
 * set_shrink. */
static int set_grow(struct supervisor *supervisor, struct process_set *set,
                    struct deployment *deployment, size_t host, uint32_t scale)
{
    set->scale = scale;
    LIST_EACH(&set->processes, struct process, link, process) process_redeploy(process, deployment);
    for (uint32_t index = 0; index < scale; index++) {
        if (index_taken(set, index)) continue;
        struct process *process = process_new(&supervisor->world, deployment, host,
                                              set->fingerprint, set->generation, index);
        if (!process) return ERR_NOMEM;
        list_push(&set->processes, &process->link);
    }
    return 0;
}

static void set_shrink(struct supervisor *supervisor, struct process_set *set)
{
    LIST_EACH(&set->processes, struct process, link, process)
        if (process->index >= set->scale) retire(supervisor, process);
}

/* Whether all that could be started is healthy. */
static bool set_is_up(const struct process_set *set)
{
    LIST_EACH(&set->processes, struct process, link, process) {
        bool counts = process->index < set->scale && !process_is_held(process);
        if (counts && !process_is_up(process)) return false;
    }
    return true;
}

/* ---- a deployment ---- */

static void deploy_end(struct supervisor *supervisor, int result, const struct error *error)
{
    io_timer_cancel(supervisor->world.io, &supervisor->deploy_timer);
    LIST_EACH(&supervisor->sets, struct process_set, link, set) set->fresh = set->leaving = false;
    deployment_unref(supervisor->next);
    supervisor->next = NULL;
    void (*done)(void *context, int result, const struct error *error) = supervisor->done;
    supervisor->done = NULL;
    if (done) done(supervisor->done_context, result, error);
    supervisor->options.changed(supervisor->options.context);
}

static void accept_deployment(struct supervisor *supervisor, struct deployment *deployment)
{
    deployment_ref(deployment);
    deployment_unref(supervisor->current);
    supervisor->current = deployment;
    supervisor->options.accepted(supervisor->options.context, deployment);
}

/* Everything new is healthy: the data plane switches, the old goes. */
static void deploy_succeed(struct supervisor *supervisor)
{
    if (supervisor->current != supervisor->next) accept_deployment(supervisor, supervisor->next);
    LIST_EACH(&supervisor->sets, struct process_set, link, set) {
        if (set->leaving)
            set_retire(supervisor, set);
        else
            set_shrink(supervisor, set);
    }
    deploy_end(supervisor, 0, NULL);
}

/* What waits for stores gets them: the processes that have them open end behind their last request.
 * Their sets stay, for the case that the new ones fail. Requests wait in the data plane. */
static void hand_over(struct supervisor *supervisor, const struct process *heir)
{
    LIST_EACH(&supervisor->sets, struct process_set, link, set) {
        if (!set->leaving) continue;
        LIST_EACH(&set->processes, struct process, link, process)
            if (process_excludes(heir, process)) retire(supervisor, process);
    }
}

/* Hands over to all that are held; false: none is. */
static bool hand_over_to_held(struct supervisor *supervisor)
{
    bool any = false;
    LIST_EACH(&supervisor->sets, struct process_set, link, set) {
        if (set->leaving) continue;
        LIST_EACH(&set->processes, struct process, link, process) {
            if (!process_is_held(process)) continue;
            any = true;
            hand_over(supervisor, process);
        }
    }
    return any;
}

/* How long a deployment may take, for a person. */
static double timeout_s(const struct supervisor *supervisor)
{
    return supervisor->next->manifest.system->deploy_timeout_ms / 1e3;
}

/* A sentence about the first process that is not healthy. */
static void explain(struct supervisor *supervisor, struct error *error)
{
    LIST_EACH(&supervisor->sets, struct process_set, link, set) {
        if (set->leaving) continue;
        LIST_EACH(&set->processes, struct process, link, process) {
            for (size_t i = 0; i < process->seat_count && process->index < set->scale; i++) {
                const struct process_seat *seat = &process->seats[i];
                if (seat->health.state == HEALTH_UP && process->pid) continue;
                const char *reason = process->pid ? seat->reason : process->reason;
                error_set(error, ERR_TIMEOUT, "%s did not become healthy within %g s: %s",
                          seat->seat.instance, timeout_s(supervisor),
                          reason[0] ? reason : "it has not answered its health check");
                error_remedy(error, "read what it printed: dure logs %s", set->name);
                return;
            }
        }
    }
}

static void deploy_fail(struct supervisor *supervisor, const struct error *error)
{
    /* The first deployment has nothing to go back to. */
    bool first = supervisor->current == supervisor->next;
    LIST_EACH(&supervisor->sets, struct process_set, link, set) {
        if (set->fresh && !first) set_retire(supervisor, set);
    }
    if (!first) {
        const struct manifest *manifest = &supervisor->current->manifest;
        LIST_EACH(&supervisor->sets, struct process_set, link, set) {
            size_t host = manifest_find(manifest, bytes_str(set->name));
            int err = set_grow(supervisor, set, supervisor->current, host,
                               manifest->system->deployments[host].scale);
            set->leaving = false;
            set_shrink(supervisor, set);
            if (err) LOG(supervisor->world.log, LOG_ERROR, "scale_failed", LOG_ERR(err));
        }
    }
    deploy_end(supervisor, error->code, error);
    io_post(supervisor->world.io, &supervisor->settle);
}

static void deploy_timeout(struct io_timer *timer)
{
    struct supervisor *supervisor = CONTAINER_OF(timer, struct supervisor, deploy_timer);
    struct error error = {0};
    error_set(&error, ERR_TIMEOUT, "not everything was healthy within %g s", timeout_s(supervisor));
    explain(supervisor, &error);
    deploy_fail(supervisor, &error);
}

/* A new process that ends again and again, while all that it may need runs: waiting would not help.
 * (In the first deployment it would.) */
static bool is_hopeless(struct supervisor *supervisor, struct error *error)
{
    if (supervisor->current == supervisor->next) return false;
    LIST_EACH(&supervisor->sets, struct process_set, link, set) {
        if (!set->fresh) continue;
        LIST_EACH(&set->processes, struct process, link, process) {
            if (process->unit.failures < SUPERVISOR_EXITS_MAX) continue;
            error_set(error, ERR_UNAVAILABLE, "%s ended %d times in a row: %s", process->id,
                      SUPERVISOR_EXITS_MAX, process->reason);
            error_remedy(error, "read what it printed: dure logs %s", set->name);
            return true;
        }
    }
    return false;
}

/* A task of its own: what changes may change in the midst of a walk over sets and processes. */
static void settle(struct io_task *task)
{
    struct supervisor *supervisor = CONTAINER_OF(task, struct supervisor, settle);
    struct error error = {0};
    start_held(supervisor);
    if (!supervisor->next) return;
    if (is_hopeless(supervisor, &error)) {
        deploy_fail(supervisor, &error);
        return;
    }
    LIST_EACH(&supervisor->sets, struct process_set, link, set)
        if (!set->leaving && !set_is_up(set)) return;
    if (!hand_over_to_held(supervisor)) deploy_succeed(supervisor);
}

/* Makes the sets that `deployment` wants; others are leaving. */
static int want(struct supervisor *supervisor, struct deployment *deployment)
{
    const struct manifest *manifest = &deployment->manifest;
    LIST_EACH(&supervisor->sets, struct process_set, link, set) set->leaving = true;
    for (size_t i = 0; i < manifest->service_count; i++) {
        const struct manifest_deployment *wish = &manifest->system->deployments[i];
        if (wish->host != i) continue;
        uint64_t fingerprint;
        int err = manifest_service_fingerprint(manifest, i, &fingerprint);
        if (err) return err;
        struct bytes name = manifest->services[i]->name;
        struct process_set *set = set_find(supervisor, name, fingerprint);
        if (!set) {
            set = set_new(supervisor, name, fingerprint, supervisor->generation);
            if (!set) return ERR_NOMEM;
            set->fresh = true;
        }
        set->leaving = false;
        err = set_grow(supervisor, set, deployment, i, wish->scale);
        if (err) return err;
    }
    return 0;
}

int supervisor_apply(struct supervisor *supervisor, struct deployment *deployment,
                     void (*done)(void *context, int result, const struct error *error),
                     void *context)
{
    if (supervisor->next) return ERR_FULL;
    if (supervisor->stopping) return ERR_CLOSED;
    supervisor->next = deployment_ref(deployment);
    supervisor->done = done;
    supervisor->done_context = context;
    supervisor->generation++;
    if (!supervisor->current) accept_deployment(supervisor, deployment);
    io_timer_set(supervisor->world.io, &supervisor->deploy_timer,
                 deployment->manifest.system->deploy_timeout_ms);
    int err = want(supervisor, deployment);
    if (err) {
        struct error error = {0};
        error_set(&error, err, "cannot start the new processes: %s", err_text(err));
        deploy_fail(supervisor, &error);
        return 0;
    }
    start_held(supervisor);
    io_post(supervisor->world.io, &supervisor->settle);
    return 0;
}

bool supervisor_busy(const struct supervisor *supervisor)
{
    return supervisor->next != NULL;
}

struct deployment *supervisor_deployment(const struct supervisor *supervisor)
{
    return supervisor->current;
}

/* ---- taking over ---- */

static void kill_child(struct supervisor *supervisor, const char *id)
{
    control_send(supervisor->world.control,
                 json_pack("{s:s, s:s, s:i}", "op", "kill", "id", id, "signal", SIGKILL));
}

static uint64_t tag_fingerprint(json_t *tag)
{
    uint64_t fingerprint = 0;
    const char *text = json_string_value(json_object_get(tag, "fingerprint"));
    if (text && bytes_to_u64_hex(bytes_str(text), UINT64_MAX, &fingerprint) != 0) return 0;
    return fingerprint;
}

/* Takes one process over if the deployment wants exactly this one. */
static bool adopt(struct supervisor *supervisor, struct deployment *deployment, int pid,
                  json_t *tag)
{
    const struct manifest *manifest = &deployment->manifest;
    struct bytes name = bytes_str(json_string_value(json_object_get(tag, "host")));
    uint32_t index = (uint32_t)json_integer_value(json_object_get(tag, "index"));
    uint32_t generation = (uint32_t)json_integer_value(json_object_get(tag, "generation"));
    uint64_t fingerprint = tag_fingerprint(tag), wanted;
    if (generation > supervisor->generation) supervisor->generation = generation;
    size_t host = manifest_find(manifest, name);
    if (host == SIZE_MAX || manifest->system->deployments[host].host != host) return false;
    if (manifest_service_fingerprint(manifest, host, &wanted) != 0 || wanted != fingerprint)
        return false;
    if (index >= manifest->system->deployments[host].scale) return false;
    struct process_set *set = set_find(supervisor, name, fingerprint);
    if (set && index_taken(set, index)) return false;
    if (!set) set = set_new(supervisor, name, fingerprint, generation);
    struct process *process =
        set ? process_new(&supervisor->world, deployment, host, fingerprint, generation, index)
            : NULL;
    if (!process) return false;
    list_push(&set->processes, &process->link);
    if (process_adopt(process, pid, tag) == 0) return true;
    process_free(process);
    return false;
}

struct stale {
    struct supervisor *supervisor;
    struct map *alive; /* instance ids */
    struct bytes *ids;
    size_t count;
};

static void find_stale(void *context, const struct instance *instance)
{
    struct stale *stale = context;
    struct bytes id = bytes_str(instance->id);
    if (!map_get(stale->alive, id)) stale->ids[stale->count++] = id;
}

/* Removes what the registry holds of instances that nobody runs any more. */
static void forget_the_dead(struct supervisor *supervisor)
{
    struct map alive;
    struct bytes ids[REGISTRY_MAX];
    map_init(&alive, REGISTRY_MAX);
    int err = 0;
    LIST_EACH(&supervisor->sets, struct process_set, link, set)
        LIST_EACH(&set->processes, struct process, link, process)
            for (size_t i = 0; i < process->seat_count && !err; i++)
                err = map_put(&alive, bytes_str(process->seats[i].seat.instance), process, NULL);
    struct stale stale = {supervisor, &alive, ids, 0};
    if (!err) registry_each(supervisor->world.registry, find_stale, &stale);
    for (size_t i = 0; i < stale.count && !err; i++)
        err = registry_remove(supervisor->world.registry, ids[i]);
    if (err) LOG(supervisor->world.log, LOG_ERROR, "registry_cleanup_failed", LOG_ERR(err));
    map_release(&alive);
}

void supervisor_adopt(struct supervisor *supervisor, struct deployment *deployment, json_t *hello)
{
    size_t i;
    json_t *child;
    unsigned adopted = 0;
    json_array_foreach(json_object_get(hello, "children"), i, child)
    {
        const char *id = json_string_value(json_object_get(child, "id"));
        int pid = (int)json_integer_value(json_object_get(child, "pid"));
        if (adopt(supervisor, deployment, pid, json_object_get(child, "tag"))) {
            adopted++;
            continue;
        }
        LOG(supervisor->world.log, LOG_INFO, "stale_process_killed", LOG_S("process", id));
        kill_child(supervisor, id);
    }
    forget_the_dead(supervisor);
    if (adopted) {
        LOG(supervisor->world.log, LOG_INFO, "processes_taken_over", LOG_U("count", adopted));
        accept_deployment(supervisor, deployment);
    }
}

/* ---- events ---- */

static struct process *find(struct supervisor *supervisor, const char *id)
{
    struct bytes name = bytes_str(id);
    LIST_EACH(&supervisor->sets, struct process_set, link, set)
        LIST_EACH(&set->processes, struct process, link, process)
            if (bytes_eq(bytes_str(process->id), name)) return process;
    LIST_EACH(&supervisor->retired, struct process, link, process)
        if (bytes_eq(bytes_str(process->id), name)) return process;
    return NULL;
}

void supervisor_message(struct supervisor *supervisor, const char *op, json_t *object)
{
    const char *id = json_string_value(json_object_get(object, "id"));
    struct process *process = id ? find(supervisor, id) : NULL;
    if (!process) return; /* one that was killed because nobody wanted it */
    if (bytes_eq(bytes_str(op), BYTES("spawned")))
        process_spawned(process, (int)json_integer_value(json_object_get(object, "pid")));
    else
        process_exited(process, (int)json_integer_value(json_object_get(object, "status")),
                       json_string_value(json_object_get(object, "error")));
}

static void process_changed(void *owner, struct process *process)
{
    struct supervisor *supervisor = owner;
    io_post(supervisor->world.io, &supervisor->settle);
    supervisor->options.changed(supervisor->options.context);
}

static void stopped_if_empty(struct supervisor *supervisor)
{
    if (supervisor->stopping && list_empty(&supervisor->sets) && list_empty(&supervisor->retired))
        supervisor->options.stopped(supervisor->options.context);
}

static void process_gone(void *owner, struct process *process)
{
    struct supervisor *supervisor = owner;
    process_free(process);
    if (!supervisor->stopping) io_post(supervisor->world.io, &supervisor->settle);
    supervisor->options.changed(supervisor->options.context);
    stopped_if_empty(supervisor);
}

void supervisor_stop(struct supervisor *supervisor)
{
    if (supervisor->stopping) return;
    if (supervisor->next) {
        struct error error = {0};
        error_set(&error, ERR_CANCELLED, "dure is stopping");
        deploy_end(supervisor, ERR_CANCELLED, &error);
    }
    /* Not yet `stopping`: processes that are down already are gone inside the walk. */
    LIST_EACH(&supervisor->sets, struct process_set, link, set) set_retire(supervisor, set);
    supervisor->stopping = true;
    stopped_if_empty(supervisor);
}

/* ---- status ---- */

static void count_seat(const struct process *process, const struct process_seat *seat,
                       struct service_status *status)
{
    status->restarts += process->unit.restarts;
    if (seat->health.state == HEALTH_UP && process->pid) {
        status->up++;
        return;
    }
    status->health =
        process->pid ? health_state_name(seat->health.state) : unit_state_name(process->unit.state);
    status->reason = process->pid ? seat->reason : process->reason;
}

void supervisor_service_status(const struct supervisor *supervisor, size_t index,
                               struct service_status *ret_status)
{
    const struct manifest *manifest = &supervisor->current->manifest;
    const struct manifest_service *service = manifest->services[index];
    const struct manifest_deployment *deployment = &manifest->system->deployments[index];
    const struct manifest_service *host = manifest->services[deployment->host];
    *ret_status = (struct service_status){
        .name = service->name,
        .version = service->version_text,
        .placement = deployment->host == index ? BYTES("alone") : host->name,
        .wanted = manifest->system->deployments[deployment->host].scale,
        .health = "up",
        .reason = "",
    };
    LIST_EACH(&supervisor->sets, struct process_set, link, set)
        LIST_EACH(&set->processes, struct process, link, process)
            for (size_t i = 0; i < process->seat_count; i++) {
                const struct process_seat *seat = &process->seats[i];
                size_t seated = seat->seat.service;
                if (bytes_eq(process->deployment->manifest.services[seated]->name, service->name))
                    count_seat(process, seat, ret_status);
            }
    if (!ret_status->up && supervisor->stopping) ret_status->health = "stopping";
}

/* ---- life ---- */

struct supervisor *supervisor_new(const struct supervisor_options *options)
{
    struct supervisor *supervisor = calloc(1, sizeof *supervisor);
    if (!supervisor) return NULL;
    supervisor->options = *options;
    supervisor->world = options->world;
    supervisor->world.changed = process_changed;
    supervisor->world.gone = process_gone;
    supervisor->world.owner = supervisor;
    list_init(&supervisor->sets);
    list_init(&supervisor->retired);
    io_timer_init(&supervisor->deploy_timer, deploy_timeout);
    io_task_init(&supervisor->settle, settle);
    return supervisor;
}

void supervisor_free(struct supervisor *supervisor)
{
    if (!supervisor) return;
    io_timer_cancel(supervisor->world.io, &supervisor->deploy_timer);
    io_task_cancel(supervisor->world.io, &supervisor->settle);
    LIST_EACH(&supervisor->sets, struct process_set, link, set) {
        LIST_EACH(&set->processes, struct process, link, process) process_free(process);
        set_remove(supervisor, set);
    }
    LIST_EACH(&supervisor->retired, struct process, link, process) process_free(process);
    deployment_unref(supervisor->current);
    deployment_unref(supervisor->next);
    free(supervisor);
}
