#include "run/process.h"

#include "run/port.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

enum {
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 10000,
    STABLE_MS = 3000, /* what lives for so long was killed, not born dead: no growing waits */
    DEPLOY_INTERVAL_MS = 1000,
    DEPLOY_MS = 30000,
    START_MS = 60000,
    PATH_TEXT_MAX = 4096,
};

static const struct manifest_service *service_of(const struct process *process, size_t index)
{
    return process->deployment->manifest.services[index];
}

static uint64_t now_ms(const struct process *process)
{
    return io_now_ns(process->world->io) / 1000000;
}

static void changed(struct process *process)
{
    process->world->changed(process->world->owner, process);
}

/* ---- the registry's entry of a seat ---- */

static enum instance_health seat_health(const struct process_seat *seat)
{
    static const enum instance_health map[] = {
        [HEALTH_STARTING] = INSTANCE_STARTING,
        [HEALTH_UP] = INSTANCE_UP,
        [HEALTH_DOWN] = INSTANCE_DOWN,
    };
    return seat->process->retiring ? INSTANCE_DRAINING : map[seat->health.state];
}

static void publish(struct process_seat *seat)
{
    struct process *process = seat->process;
    const struct manifest_service *service = service_of(process, seat->seat.service);
    struct instance instance = {
        .addr = seat->addr,
        .health = seat_health(seat),
        .pid = process->pid,
        .restarts = process->unit.restarts,
        .since_wall_ns = seat->since_wall_ns,
    };
    snprintf(instance.id, sizeof instance.id, "%s", seat->seat.instance);
    snprintf(instance.service, sizeof instance.service, "%s", service->name.data);
    snprintf(instance.version, sizeof instance.version, "%s", service->version_text.data);
    snprintf(instance.process, sizeof instance.process, "%s",
             service_of(process, process->host)->name.data);
    int err = registry_put(process->world->registry, &instance);
    if (err)
        LOG(process->world->log, LOG_ERROR, "registry_put_failed", LOG_S("instance", instance.id),
            LOG_ERR(err));
}

static void withdraw(struct process_seat *seat)
{
    int err = registry_remove(seat->process->world->registry, bytes_str(seat->seat.instance));
    if (err)
        LOG(seat->process->world->log, LOG_ERROR, "registry_remove_failed",
            LOG_S("instance", seat->seat.instance), LOG_ERR(err));
}

/* ---- health ---- */

static void tell_kill(const struct process *process, int signal)
{
    int err = control_send(process->world->control, json_pack("{s:s, s:s, s:i}", "op", "kill", "id",
                                                              process->id, "signal", signal));
    if (err)
        LOG(process->world->log, LOG_ERROR, "kill_not_sent", LOG_S("process", process->id),
            LOG_ERR(err));
}

static void probe_done(struct probe *probe, bool success, const char *reason)
{
    struct process_seat *seat = CONTAINER_OF(probe, struct process_seat, probe);
    struct process *process = seat->process;
    const struct process_world *world = process->world;
    snprintf(seat->reason, sizeof seat->reason, "%s", success ? "" : reason);
    struct health_update update = health_step(&seat->health, success, now_ms(process));
    io_timer_set(world->io, &seat->probe_timer, update.next_ms);
    if (update.restart && !process->retiring) {
        LOG(world->log, LOG_WARN, "unhealthy_killed", LOG_S("instance", seat->seat.instance),
            LOG_S("reason", seat->reason));
        tell_kill(process, SIGKILL);
    }
    if (!update.changed) return;
    seat->since_wall_ns = io_wall_ns(world->io);
    LOG(world->log, seat->health.state == HEALTH_UP ? LOG_INFO : LOG_WARN, "health_changed",
        LOG_S("instance", seat->seat.instance),
        LOG_S("health", health_state_name(seat->health.state)), LOG_S("reason", seat->reason));
    publish(seat);
    changed(process);
}

static void probe_due(struct io_timer *timer)
{
    struct process_seat *seat = CONTAINER_OF(timer, struct process_seat, probe_timer);
    const struct manifest_service *service = service_of(seat->process, seat->seat.service);
    probe_start(&seat->probe, service, seat->seat.instance, &seat->addr, probe_done);
}

static struct health_policy policy_of(const struct manifest_service *service)
{
    const struct manifest_health *health = &service->health;
    uint32_t deploy =
        health->interval_ms < DEPLOY_INTERVAL_MS ? health->interval_ms : DEPLOY_INTERVAL_MS;
    return (struct health_policy){
        .interval_ms = health->interval_ms,
        .deploy_interval_ms = deploy,
        .deploy_ms = DEPLOY_MS,
        .start_ms = START_MS,
        .failures = health->failures,
        .successes = health->successes,
    };
}

static void watch_health(struct process_seat *seat)
{
    struct process *process = seat->process;
    struct health_policy policy = policy_of(service_of(process, seat->seat.service));
    uint32_t wait_ms = health_init(&seat->health, &policy, now_ms(process));
    seat->since_wall_ns = io_wall_ns(process->world->io);
    io_timer_set(process->world->io, &seat->probe_timer, wait_ms);
}

static void unwatch_health(struct process_seat *seat)
{
    probe_cancel(&seat->probe);
    io_timer_cancel(seat->process->world->io, &seat->probe_timer);
}

/* ---- starting and stopping ---- */

static int make_data_dirs(struct process *process)
{
    for (size_t i = 0; i < process->seat_count; i++) {
        char dir[PATH_TEXT_MAX];
        spec_data_dir(&process->world->surroundings,
                      service_of(process, process->seats[i].seat.service)->name, dir, sizeof dir);
        int err = io_mkdir(process->world->io, dir);
        if (err) return err;
    }
    return 0;
}

static int give_ports(struct process *process)
{
    for (size_t i = 0; i < process->seat_count; i++) {
        struct process_seat *seat = &process->seats[i];
        int err = port_find(process->world->io, &seat->seat.port);
        if (err) return err;
        seat->addr =
            (struct io_addr){.family = IO_IPV4, .ip = {127, 0, 0, 1}, .port = seat->seat.port};
    }
    return 0;
}

static json_t *spawn_message(struct process *process)
{
    struct seat *seats = calloc(process->seat_count, sizeof *seats);
    if (!seats) return NULL;
    for (size_t i = 0; i < process->seat_count; i++) seats[i] = process->seats[i].seat;
    json_t *message =
        spec_spawn_message(process->deployment, process->host, &process->world->surroundings,
                           process->id, seats, process->seat_count);
    free(seats);
    if (message) json_object_set_new(message, "tag", process_tag(process));
    return message;
}

static int spawn(struct process *process)
{
    int err = make_data_dirs(process);
    if (!err) err = give_ports(process);
    if (!err) err = control_send(process->world->control, spawn_message(process));
    if (err) return err;
    for (size_t i = 0; i < process->seat_count; i++) {
        watch_health(&process->seats[i]);
        publish(&process->seats[i]);
    }
    return 0;
}

static void note_end(struct process *process, const char *reason)
{
    snprintf(process->reason, sizeof process->reason, "%s", reason);
    process->pid = 0;
    for (size_t i = 0; i < process->seat_count; i++) unwatch_health(&process->seats[i]);
}

static void process_step(struct process *process, enum unit_event event)
{
    const struct process_world *world = process->world;
    struct unit_update update = unit_step(&process->unit, event);
    if (update.timer_ms) io_timer_set(world->io, &process->unit_timer, update.timer_ms);
    if (update.signal) tell_kill(process, update.signal);
    int err = update.spawn ? spawn(process) : 0;
    if (err) {
        LOG(world->log, LOG_ERROR, "spawn_failed", LOG_S("process", process->id), LOG_ERR(err));
        note_end(process, err_text(err));
        process_step(process, UNIT_EXIT);
    }
}

static void unit_timer_done(struct io_timer *timer)
{
    process_step(CONTAINER_OF(timer, struct process, unit_timer), UNIT_TIMER);
}

static void free_if_down(struct process *process)
{
    if (!process->retiring || process->unit.state != UNIT_DOWN) return;
    for (size_t i = 0; i < process->seat_count; i++) withdraw(&process->seats[i]);
    process->world->gone(process->world->owner, process);
}

static void stop_draining(struct process *process)
{
    io_timer_cancel(process->world->io, &process->drain_timer);
    io_task_cancel(process->world->io, &process->drain_task);
    registry_unwatch(&process->watch);
    for (size_t i = 0; i < process->seat_count; i++) {
        struct process_seat *seat = &process->seats[i];
        if (seat->drain_token)
            process->world->drain.cancel(process->world->drain.context, seat->drain_token);
        seat->drain_token = NULL;
    }
}

static void stop(struct process *process)
{
    stop_draining(process);
    process_step(process, UNIT_WANT_DOWN);
    free_if_down(process);
}

void process_start(struct process *process)
{
    process_step(process, UNIT_WANT_UP);
}

void process_spawned(struct process *process, int pid)
{
    process->pid = pid;
    for (size_t i = 0; i < process->seat_count; i++) publish(&process->seats[i]);
    changed(process);
}

static void describe_exit(int status, const char *error, char *text, size_t size)
{
    if (error)
        snprintf(text, size, "%s", error);
    else if (status >= 0 && WIFSIGNALED(status))
        snprintf(text, size, "killed by signal %d", WTERMSIG(status));
    else if (status >= 0 && WIFEXITED(status))
        snprintf(text, size, "exited with status %d", WEXITSTATUS(status));
    else
        snprintf(text, size, "ended");
}

void process_exited(struct process *process, int status, const char *error)
{
    char reason[sizeof process->reason];
    describe_exit(status, error, reason, sizeof reason);
    note_end(process, reason);
    LOG(process->world->log, process->retiring ? LOG_INFO : LOG_WARN, "process_exited",
        LOG_S("process", process->id), LOG_S("reason", reason));
    process_step(process, UNIT_EXIT);
    if (!process->retiring && process->unit.state == UNIT_BACKOFF)
        for (size_t i = 0; i < process->seat_count; i++) {
            process->seats[i].health.state = HEALTH_STARTING;
            process->seats[i].since_wall_ns = io_wall_ns(process->world->io);
            publish(&process->seats[i]);
        }
    bool retiring = process->retiring;
    changed(process); /* may be the reason to give it up: then it is gone */
    if (retiring) stop(process);
}

/* ---- retiring ---- */

static void drain_over(struct io_timer *timer)
{
    stop(CONTAINER_OF(timer, struct process, drain_timer));
}

static void seat_drained(void *context)
{
    struct process_seat *seat = context;
    struct process *process = seat->process;
    seat->drain_token = NULL;
    seat->drained = true;
    for (size_t i = 0; i < process->seat_count; i++)
        if (!process->seats[i].drained) return;
    stop(process);
}

/* Nothing new is sent there any more: what is in flight now is the last. */
static void drain_due(struct io_task *task)
{
    struct process *process = CONTAINER_OF(task, struct process, drain_task);
    const struct drain_port *port = &process->world->drain;
    for (size_t i = 0; i < process->seat_count; i++) {
        struct process_seat *seat = &process->seats[i];
        seat->drain_token = port->drain(port->context, &seat->addr, seat_drained, seat);
    }
}

/* The data plane follows the registry: it has been told before this watch, which is younger than
 * its own, and what it does about it is posted before the task. */
static void registry_changed(struct registry_watch *watch, const struct instance *before,
                             const struct instance *after)
{
    struct process *process = CONTAINER_OF(watch, struct process, watch);
    for (size_t i = 0; i < process->seat_count; i++) {
        const struct instance *known =
            registry_find(process->world->registry, bytes_str(process->seats[i].seat.instance));
        if (!known || known->health != INSTANCE_DRAINING) return;
    }
    registry_unwatch(watch);
    io_post(process->world->io, &process->drain_task);
}

void process_retire(struct process *process, uint32_t drain_ms)
{
    if (process->retiring) return;
    const struct process_world *world = process->world;
    process->retiring = true;
    for (size_t i = 0; i < process->seat_count; i++) {
        unwatch_health(&process->seats[i]);
        publish(&process->seats[i]);
    }
    changed(process);
    if (!process->pid || !drain_ms) {
        stop(process);
        return;
    }
    io_timer_set(world->io, &process->drain_timer, drain_ms);
    registry_watch(world->registry, &process->watch, registry_changed);
}

/* ---- life ---- */

static void name_seat(struct process *process, struct process_seat *seat, size_t service)
{
    seat->process = process;
    seat->seat.service = service;
    /* Alone the instance is called as its process; a module in a host adds its own name. */
    if (service == process->host)
        snprintf(seat->seat.instance, sizeof seat->seat.instance, "%s", process->id);
    else
        snprintf(seat->seat.instance, sizeof seat->seat.instance, "%.80s.%.40s", process->id,
                 service_of(process, service)->name.data);
    probe_init(&seat->probe, process->world->http, process->world->messaging);
    io_timer_init(&seat->probe_timer, probe_due);
}

static int make_seats(struct process *process)
{
    const struct manifest *manifest = &process->deployment->manifest;
    process->seats = calloc(manifest->service_count, sizeof *process->seats);
    if (!process->seats) return ERR_NOMEM;
    name_seat(process, &process->seats[process->seat_count++], process->host);
    for (size_t i = 0; i < manifest->service_count; i++) {
        if (i == process->host || manifest->system->deployments[i].host != process->host) continue;
        name_seat(process, &process->seats[process->seat_count++], i);
    }
    return 0;
}

struct process *process_new(const struct process_world *world, struct deployment *deployment,
                            size_t host, uint64_t fingerprint, uint32_t generation, uint32_t index)
{
    struct process *process = calloc(1, sizeof *process);
    if (!process) return NULL;
    process->world = world;
    process->deployment = deployment_ref(deployment);
    process->host = host;
    process->fingerprint = fingerprint;
    process->generation = generation;
    process->index = index;
    const struct manifest_service *service = service_of(process, host);
    snprintf(process->id, sizeof process->id, "%s-%u-%u", service->name.data, generation, index);
    unit_init(&process->unit, service->stop.grace_ms ? service->stop.grace_ms : 1, BACKOFF_MIN_MS,
              BACKOFF_MAX_MS, STABLE_MS);
    io_timer_init(&process->unit_timer, unit_timer_done);
    io_timer_init(&process->drain_timer, drain_over);
    io_task_init(&process->drain_task, drain_due);
    list_init(&process->watch.link);
    list_init(&process->link);
    if (make_seats(process) != 0) {
        process_free(process);
        return NULL;
    }
    return process;
}

json_t *process_tag(const struct process *process)
{
    char fingerprint[17];
    snprintf(fingerprint, sizeof fingerprint, "%016llx", (unsigned long long)process->fingerprint);
    json_t *ports = json_object();
    for (size_t i = 0; i < process->seat_count; i++) {
        const struct seat *seat = &process->seats[i].seat;
        json_object_set_new(ports, service_of(process, seat->service)->name.data,
                            json_integer(seat->port));
    }
    return json_pack("{s:s, s:s, s:i, s:i, s:o}", "host",
                     service_of(process, process->host)->name.data, "fingerprint", fingerprint,
                     "generation", (int)process->generation, "index", (int)process->index, "ports",
                     ports);
}

int process_adopt(struct process *process, int pid, json_t *tag)
{
    json_t *ports = json_object_get(tag, "ports");
    for (size_t i = 0; i < process->seat_count; i++) {
        struct process_seat *seat = &process->seats[i];
        const char *name = service_of(process, seat->seat.service)->name.data;
        json_int_t port = json_integer_value(json_object_get(ports, name));
        if (port <= 0 || port > UINT16_MAX) return ERR_INVALID;
        seat->seat.port = (uint16_t)port;
        seat->addr =
            (struct io_addr){.family = IO_IPV4, .ip = {127, 0, 0, 1}, .port = seat->seat.port};
    }
    process->pid = pid;
    struct unit_update update = unit_adopt(&process->unit);
    io_timer_set(process->world->io, &process->unit_timer, update.timer_ms);
    for (size_t i = 0; i < process->seat_count; i++) {
        struct process_seat *seat = &process->seats[i];
        const struct instance *known =
            registry_find(process->world->registry, bytes_str(seat->seat.instance));
        watch_health(seat);
        /* What was healthy for the last worker gets traffic at once; the first probe tells. */
        if (known && known->health == INSTANCE_UP)
            health_step(&seat->health, true, now_ms(process));
        publish(seat);
    }
    return 0;
}

void process_redeploy(struct process *process, struct deployment *deployment)
{
    const struct manifest *manifest = &deployment->manifest;
    /* Names stay, places in the manifest may not. Equal fingerprints: the same seats. */
    for (size_t i = 0; i < process->seat_count; i++) {
        struct process_seat *seat = &process->seats[i];
        bool probed = seat->probe.busy || seat->probe_timer.armed;
        probe_cancel(&seat->probe);
        seat->seat.service = manifest_find(manifest, service_of(process, seat->seat.service)->name);
        seat->health.policy = policy_of(manifest->services[seat->seat.service]);
        if (probed)
            io_timer_set(process->world->io, &seat->probe_timer,
                         seat->health.policy.deploy_interval_ms);
    }
    process->host = process->seats[0].seat.service;
    process->unit.grace_ms = manifest->services[process->host]->stop.grace_ms;
    deployment_ref(deployment);
    deployment_unref(process->deployment);
    process->deployment = deployment;
}

bool process_is_up(const struct process *process)
{
    for (size_t i = 0; i < process->seat_count; i++)
        if (process->seats[i].health.state != HEALTH_UP) return false;
    return process->pid != 0 && !process->retiring;
}

bool process_is_held(const struct process *process)
{
    return process->unit.state == UNIT_DOWN && !process->unit.wanted && !process->retiring;
}

static bool owns_alone(const struct manifest_service *service)
{
    return service->store_count > 0 && !service->share_stores;
}

bool process_excludes(const struct process *process, const struct process *other)
{
    for (size_t i = 0; i < process->seat_count; i++)
        for (size_t j = 0; j < other->seat_count; j++) {
            const struct manifest_service *a = service_of(process, process->seats[i].seat.service);
            const struct manifest_service *b = service_of(other, other->seats[j].seat.service);
            if (bytes_eq(a->name, b->name) && (owns_alone(a) || owns_alone(b))) return true;
        }
    return false;
}

void process_free(struct process *process)
{
    if (!process) return;
    for (size_t i = 0; i < process->seat_count; i++) unwatch_health(&process->seats[i]);
    stop_draining(process);
    io_timer_cancel(process->world->io, &process->unit_timer);
    list_remove(&process->link);
    deployment_unref(process->deployment);
    free(process->seats);
    free(process);
}
