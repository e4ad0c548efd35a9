/* The registry under power failures.
 *
 * This is how a part of dure is proved. The world is simulated (io/sim.h): one seed decides every
 * latency, every crash, and what a crash leaves on the disk. The program is the real one: registry,
 * bucket, stream, journal. Beside it stands a model, here a list of all states that the changes
 * asked for so far go through. After each crash the program starts again on what the disk holds,
 * and must be in one of these states, and in none older than what a watcher was told: nobody has
 * seen a change that a crash could take back. */
#include "registry/registry.h"
#include "runner.h"

#include <stdio.h>
#include <string.h>

enum { IDS = 5, CHANGES_MAX = 400, LIVES = 6 };

/* Which instances there are: the pid of each, 0 when it is not there. */
struct state {
    int pids[IDS];
};

struct world {
    struct sim *sim;
    struct sim_host *host;
    struct streams *streams;
    struct messaging *messaging;
    struct registry *registry;
    struct registry_watch watch;
    struct state states[CHANGES_MAX + 1]; /* the first: how this life began */
    size_t asked, told;                   /* changes of this life; told <= asked */
    int last_pid;
    bool opened;
};

static size_t seen_taken_back, seen_kept; /* changes that nobody had been told of */

/* ---- the model ---- */

static void gather(void *context, const struct instance *instance)
{
    struct state *state = context;
    state->pids[instance->id[0] - 'a'] = instance->pid;
}

static struct state projection(const struct world *world)
{
    struct state state = {{0}};
    registry_each(world->registry, gather, &state);
    return state;
}

static bool same(const struct state *a, const struct state *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* Every change is told, in order, and shows when it is told. */
static void changed(struct registry_watch *watch, const struct instance *before,
                    const struct instance *after)
{
    struct world *world = CONTAINER_OF(watch, struct world, watch);
    CHECK(world->told < world->asked, "told of a change that nobody asked for");
    struct state now = projection(world);
    CHECK(same(&now, &world->states[++world->told]), "change %zu", world->told);
}

/* ---- what happens ---- */

static void change_something(struct world *world)
{
    int which = (int)sim_random_below(world->sim, IDS);
    struct state next = world->states[world->asked];
    struct instance instance = {.service = "s", .version = "1.0.0", .process = "s"};
    snprintf(instance.id, sizeof instance.id, "%c", 'a' + which);
    instance.addr = sim_host_addr(world->host, 80);
    bool remove = next.pids[which] && sim_random_below(world->sim, 3) == 0;
    instance.pid = next.pids[which] = remove ? 0 : ++world->last_pid;
    world->states[world->asked + 1] = next;
    int err = remove ? registry_remove(world->registry, bytes_str(instance.id))
                     : registry_put(world->registry, &instance);
    CHECK(!err, "%s", err_name(err));
    world->asked++;
}

/* Until it crashes, or has had enough changes. */
static void live(struct world *world)
{
    registry_watch(world->registry, &world->watch, changed);
    sim_host_crash_after(world->host, sim_random_below(world->sim, 300));
    while (world->asked < CHANGES_MAX && !sim_host_crashed(world->host)) {
        change_something(world);
        uint64_t steps = sim_random_below(world->sim, 8);
        while (steps-- && !sim_host_crashed(world->host)) sim_step(world->sim);
    }
    sim_host_crash(world->host);
}

static void registry_opened(void *context)
{
    ((struct world *)context)->opened = true;
}

static int open_on(struct world *world, struct io *io)
{
    const struct streams_options options = {.dir = "/store", .segment_bytes = 16384};
    struct error error = {0};
    int err = streams_open(io, NULL, &options, &world->streams, &error);
    if (!err) err = messaging_embed(io, NULL, world->streams, &world->messaging);
    world->opened = false;
    if (!err)
        err =
            registry_open(world->messaging, NULL, registry_opened, world, &world->registry, &error);
    while (!err && !world->opened && !sim_host_crashed(world->host)) sim_step(world->sim);
    CHECK(err != ERR_CORRUPT, "%s: %s", error.file, error.message);
    return err;
}

static void drop(struct world *world)
{
    registry_free(world->registry);
    messaging_free(world->messaging);
    streams_free(world->streams);
    world->registry = NULL;
    world->streams = NULL;
    world->messaging = NULL;
}

/* The power may fail again while it starts. */
static void start(struct world *world)
{
    for (int attempt = 0;; attempt++) {
        sim_host_crash(world->host);
        drop(world);
        struct io *io = sim_host_restart(world->host);
        sim_host_crash_after(world->host, sim_random_below(world->sim, 40));
        if (attempt > 2) sim_host_crash_never(world->host);
        if (open_on(world, io) == 0 && !sim_host_crashed(world->host)) break;
        CHECK(attempt < 4, "does not start");
    }
    sim_host_crash_never(world->host);
}

/* The state found is one that the changes went through, and holds all that was told. */
static void check_what_survived(struct world *world)
{
    struct state found = projection(world);
    size_t reached = world->asked;
    while (reached > world->told && !same(&found, &world->states[reached])) reached--;
    CHECK(same(&found, &world->states[reached]),
          "told of %zu changes of %zu, and not all are there", world->told, world->asked);
    seen_kept += reached - world->told;
    seen_taken_back += world->asked - reached;
    world->states[0] = found;
    world->asked = world->told = 0;
}

static void crash_anywhere(struct sim *sim, uint64_t seed)
{
    static struct world world;
    world = (struct world){.sim = sim, .host = sim_host_new(sim, "a")};
    for (int life = 0; life < LIVES; life++) {
        start(&world);
        check_what_survived(&world);
        live(&world);
    }
    start(&world);
    check_what_survived(&world);
    sim_host_crash(world.host);
    drop(&world);
}

/* Both ends of the promise are put to the test: changes under way survive, or do not. */
static void both_have_happened(void)
{
    CHECK(seen_kept > 0 && seen_taken_back > 0, "kept %zu, taken back %zu", seen_kept,
          seen_taken_back);
}

RUNNER_MAIN({"crash_anywhere", crash_anywhere, .finish = both_have_happened, .seeds = 300})
