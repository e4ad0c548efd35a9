/* runner: the common main of simulation programs. A program defines its scenarios and ends with
 * RUNNER_MAIN; each scenario is run for many seeds, each time in a new world.
 *
 *     static void crash_and_recover(struct sim *sim, uint64_t seed)
 *     {
 *         struct sim_host *host = sim_host_new(sim, "a");
 *         ...
 *         CHECK(count == expected, "%zu records of %zu", count, expected);
 *     }
 *     RUNNER_MAIN({"crash_and_recover", crash_and_recover, .seeds = 2000})
 *
 * Command line: [--seeds N] [--start S] [--seed X] [--verbose] [--list] [SCENARIO ...]
 *   --seeds N    seeds for each scenario (default: what the scenario says)
 *   --start S    the first of them (default 1)
 *   --seed X     only this one, twice, comparing fingerprints
 *   --verbose    print every event (with --seed)
 *   --list       print the names of the scenarios
 * Before those the seeds of test/sim/seeds/SCENARIO.txt run: one number a line, # starts a comment.
 * A failed CHECK (or assert, or a crash) prints the seed and how to run it again, and the program
 * ends with 1. Every 64th seed is run twice and must have the same fingerprint.
 * The working environment: DURE_SIM_SEEDS_DIR is the folder of the seeds' lists (set by meson),
 * DURE_SIM_SEEDS overrides --seeds for all (as script/test does for a long run). */
#ifndef DURE_TEST_SIM_RUNNER_H
#define DURE_TEST_SIM_RUNNER_H

#include "io/sim.h"

struct runner_scenario {
    const char *name;
    /* Uses the world and frees everything of its own; the runner made the world and frees it. */
    void (*run)(struct sim *sim, uint64_t seed);
    /* Changes the calm world's options before it is made; may be NULL. */
    void (*options)(struct sim_options *options, uint64_t seed);
    /* Looks at what all seeds together have shown (static counters of the program), at the end of a
     * run of at least 100 seeds; may be NULL. */
    void (*finish)(void);
    uint64_t seeds; /* 0: 1000 */
    bool twice;     /* run every seed twice and compare, not only every 64th */
};

int runner_main(int argc, char **argv, const struct runner_scenario *scenarios, size_t count);

#define RUNNER_MAIN(...)                                                                   \
    int main(int argc, char **argv)                                                        \
    {                                                                                      \
        static const struct runner_scenario scenarios[] = {__VA_ARGS__};                   \
        return runner_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]); \
    }

/* Ends the program with the seed when `condition` is false. The rest is a printf format. */
#define CHECK(condition, ...)                                                           \
    do {                                                                                \
        if (!(condition)) runner_fail(__FILE__, __LINE__, #condition, " " __VA_ARGS__); \
    } while (0)

_Noreturn void runner_fail(const char *file, int line, const char *condition, const char *format,
                           ...) __attribute__((format(printf, 4, 5)));

/* Prints when --verbose is given. */
void runner_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
