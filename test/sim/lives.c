#include "lives.h"

#include "runner.h"

#include <stdlib.h>

enum { ATTEMPTS = 50, CRASHING_ATTEMPTS = 4 };

void *lives_new(size_t size, struct sim *sim, const struct lives_program *program)
{
    struct lives *lives = calloc(1, size);
    CHECK(lives, "memory");
    lives->sim = sim;
    lives->host = sim_host_new(sim, "bus");
    lives->io = sim_host_io(lives->host);
    lives->program = program;
    return lives;
}

/* Of a dead host. */
static void drop(struct lives *lives)
{
    if (lives->program->drop) lives->program->drop(lives);
    streams_free(lives->streams);
    lives->streams = NULL;
}

void lives_free(struct lives *lives)
{
    if (!sim_host_crashed(lives->host)) sim_host_crash(lives->host);
    drop(lives);
    free(lives);
}

void lives_restart(struct lives *lives)
{
    drop(lives);
    lives->io = sim_host_restart(lives->host);
}

static int start_once(struct lives *lives)
{
    const struct streams_options options = {.dir = LIVES_DIR,
                                            .segment_bytes = 4096,
                                            .log_file_min = 32 << 10,
                                            .log_file_max = 64 << 10};
    struct error error = {0};
    if (lives->program->prepare) lives->program->prepare(lives);
    int r = streams_open(lives->io, NULL, &options, &lives->streams, &error);
    CHECK(r != ERR_CORRUPT, "%s %s", error.file, error.message);
    if (r == 0) r = lives->program->open(lives);
    CHECK(r != ERR_CORRUPT, "what was acknowledged is damaged");
    return r;
}

void lives_start(struct lives *lives)
{
    for (int attempt = 0;; attempt++) {
        CHECK(attempt < ATTEMPTS, "does not start");
        if (sim_host_crashed(lives->host)) {
            lives_restart(lives);
            if (attempt >= CRASHING_ATTEMPTS) sim_host_crash_never(lives->host);
        }
        int r = start_once(lives);
        if (r == 0 && !sim_host_crashed(lives->host)) break;
        sim_host_crash(lives->host); /* half started: nobody stops it piece by piece */
    }
    if (lives->program->started) lives->program->started(lives);
}

void lives_act(struct lives *lives, uint64_t actions)
{
    const struct lives_program *program = lives->program;
    while (actions-- > 0 && !sim_host_crashed(lives->host)) {
        program->act(lives);
        uint64_t steps = sim_random_below(lives->sim, program->steps);
        while (steps-- > 0 && !sim_host_crashed(lives->host) && sim_step(lives->sim)) {
        }
        if (program->acted && !sim_host_crashed(lives->host)) program->acted(lives);
    }
}

void lives_end(struct lives *lives)
{
    if (sim_host_crashed(lives->host)) return;
    if (sim_random_below(lives->sim, 2)) {
        sim_host_crash(lives->host);
    } else {
        sim_host_kill(lives->host);
    }
}

void lives_arm_crash(struct lives *lives, uint64_t operations)
{
    if (sim_random_below(lives->sim, 2)) {
        sim_host_crash_after(lives->host, sim_random_below(lives->sim, operations));
    } else {
        sim_host_crash_never(lives->host);
    }
}

void lives_trouble(struct lives *lives, uint64_t operations)
{
    struct sim *sim = lives->sim;
    if (sim_random_below(sim, 2)) {
        enum sim_disk_op op = (enum sim_disk_op)(1 + sim_random_below(sim, SIM_DISK_OPS - 1));
        sim_disk_fail(lives->host, op, sim_random_below(sim, operations));
    } else {
        sim_disk_limit(lives->host, sim_disk_used(lives->host) + sim_random_below(sim, 20000));
    }
}

void lives_end_of_trouble(struct lives *lives)
{
    sim_disk_limit(lives->host, 1 << 30);
}

void lives_disarm(struct lives *lives)
{
    sim_host_crash_never(lives->host);
    for (int op = SIM_DISK_READ; op < SIM_DISK_OPS; op++) {
        sim_disk_fail(lives->host, (enum sim_disk_op)op, UINT64_MAX);
    }
    lives_end_of_trouble(lives);
}

void lives_calm(struct lives *lives)
{
    lives_disarm(lives);
    if (!sim_host_crashed(lives->host)) sim_host_crash(lives->host);
}

static void rest_and_end(struct lives *lives, const struct lives_pace *pace)
{
    bool rests = pace->rest_one_in && !sim_host_crashed(lives->host) &&
                 sim_random_below(lives->sim, pace->rest_one_in) + 1 == pace->rest_one_in;
    if (rests) sim_run_ms(lives->sim, sim_random_below(lives->sim, pace->rest_ms));
    lives_end(lives);
}

void lives_crashes(struct lives *lives, const struct lives_pace *pace)
{
    for (int life = 0; life < pace->lives; life++) {
        lives_arm_crash(lives, pace->crash_within);
        lives_start(lives);
        lives_act(lives, sim_random_below(lives->sim, pace->actions));
        rest_and_end(lives, pace);
    }
}

void lives_failures(struct lives *lives, const struct lives_pace *pace)
{
    for (int life = 0; life < pace->lives; life++) {
        lives_start(lives);
        lives_act(lives, pace->calm);
        lives_trouble(lives, pace->fail_within);
        lives_act(lives, sim_random_below(lives->sim, pace->troubled));
        lives_end_of_trouble(lives);
        lives_act(lives, pace->after);
        rest_and_end(lives, pace);
    }
}
