#include "runner.h"

#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { TWICE_EVERY = 64, LISTED_MAX = 1024, FINISH_FROM = 100 };

struct settings {
    uint64_t seeds, start, seed;
    bool has_seeds, has_seed, list;
};

/* What is running now, for the message of whatever goes wrong. */
static const char *program, *scenario_name;
static uint64_t current_seed;
static bool verbose, finishing;

static void print_how_to_repeat(void)
{
    if (finishing) {
        fprintf(stderr, "%s: scenario %s: all seeds together have not shown this\n", program,
                scenario_name);
        return;
    }
    fprintf(stderr,
            "%s: scenario %s failed with seed %" PRIu64 "; again: %s --seed %" PRIu64
            " --verbose %s\n",
            program, scenario_name, current_seed, program, current_seed, scenario_name);
}

_Noreturn void runner_fail(const char *file, int line, const char *condition, const char *format,
                           ...)
{
    fprintf(stderr, "%s:%d: %s:", file, line, condition);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    print_how_to_repeat();
    fflush(NULL);
    _exit(1);
}

void runner_say(const char *format, ...)
{
    if (!verbose) return;
    va_list arguments;
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

/* An assert or a sanitizer's abort: the process is lost, the message is what matters. */
static void fatal_signal(int number)
{
    print_how_to_repeat();
    signal(number, SIG_DFL);
    raise(number);
}

static void print_line(void *context, const char *line)
{
    printf("%s\n", line);
}

static uint64_t run_once(const struct runner_scenario *scenario, uint64_t seed)
{
    struct sim_options options;
    sim_options_init(&options);
    if (scenario->options) scenario->options(&options, seed);
    if (verbose) options.trace = print_line;
    current_seed = seed;
    scenario_name = scenario->name;
    struct sim *sim = sim_new(seed, &options);
    scenario->run(sim, seed);
    uint64_t fingerprint = sim_fingerprint(sim);
    sim_free(sim);
    return fingerprint;
}

static void run_twice(const struct runner_scenario *scenario, uint64_t seed)
{
    uint64_t first = run_once(scenario, seed), second = run_once(scenario, seed);
    CHECK(first == second, "two runs differ: %016" PRIx64 " and %016" PRIx64, first, second);
}

static bool number(const char *text, uint64_t *ret)
{
    return text && bytes_to_u64(bytes_str(text), UINT64_MAX, ret) == 0;
}

/* The permanent seeds of a scenario; none when it has no list. */
static size_t read_list(const char *name, uint64_t *ret_seeds)
{
    const char *dir = getenv("DURE_SIM_SEEDS_DIR");
    char path[512], line[256];
    snprintf(path, sizeof path, "%s/%s.txt", dir ? dir : "test/sim/seeds", name);
    FILE *file = fopen(path, "r");
    size_t count = 0;
    while (file && fgets(line, sizeof line, file)) {
        struct bytes rest = bytes_make(line, strcspn(line, "#\n"));
        struct bytes text = bytes_trim(rest);
        if (!text.len) continue;
        if (count == LISTED_MAX || bytes_to_u64(text, UINT64_MAX, &ret_seeds[count]) < 0) {
            fprintf(stderr, "%s: not a seed, or too many: %s", path, line);
            exit(1);
        }
        count++;
    }
    if (file) fclose(file);
    return count;
}

/* Of the processor: the machine may have other things to do. */
static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void run_scenario(const struct runner_scenario *scenario, const struct settings *settings)
{
    static uint64_t listed[LISTED_MAX];
    double began = seconds();
    if (settings->has_seed) {
        run_twice(scenario, settings->seed);
        printf("%-32s seed %" PRIu64 " passed twice\n", scenario->name, settings->seed);
        return;
    }
    size_t listed_count = read_list(scenario->name, listed);
    for (size_t i = 0; i < listed_count; i++) run_twice(scenario, listed[i]);
    uint64_t seeds = scenario->seeds ? scenario->seeds : 1000;
    if (settings->has_seeds) seeds = settings->seeds;
    for (uint64_t i = 0; i < seeds; i++) {
        if (scenario->twice || i % TWICE_EVERY == 0)
            run_twice(scenario, settings->start + i);
        else
            run_once(scenario, settings->start + i);
    }
    finishing = true;
    if (scenario->finish && seeds >= FINISH_FROM) scenario->finish();
    finishing = false;
    double took = seconds() - began;
    printf("%-32s %7" PRIu64 " seeds, %zu permanent, %7.2f s, %.3f ms each\n", scenario->name,
           seeds, listed_count, took, took * 1e3 / (double)(seeds + listed_count + 1));
    fflush(stdout);
}

static _Noreturn void usage(void)
{
    fprintf(stderr,
            "usage: %s [--seeds N] [--start S] [--seed X] [--verbose] [--list] [SCENARIO ...]\n",
            program);
    exit(2);
}

/* Returns where the names of scenarios begin. */
static int parse(int argc, char **argv, struct settings *ret)
{
    *ret = (struct settings){.start = 1};
    ret->has_seeds = number(getenv("DURE_SIM_SEEDS"), &ret->seeds);
    int i = 1;
    for (; i < argc && argv[i][0] == '-'; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--verbose") == 0) {
            verbose = true;
            continue;
        }
        if (strcmp(argv[i], "--list") == 0) {
            ret->list = true;
            continue;
        }
        if (strcmp(argv[i], "--seeds") == 0 && number(value, &ret->seeds))
            ret->has_seeds = true;
        else if (strcmp(argv[i], "--seed") == 0 && number(value, &ret->seed))
            ret->has_seed = true;
        else if (strcmp(argv[i], "--start") != 0 || !number(value, &ret->start))
            usage();
        i++;
    }
    return i;
}

static bool wanted(const char *name, int argc, char **argv, int first)
{
    for (int i = first; i < argc; i++)
        if (strcmp(argv[i], name) == 0) return true;
    return first >= argc;
}

/* Each world takes and gives back the same large pieces; the kernel would zero them each time. */
static void keep_memory(void)
{
    mallopt(M_MMAP_THRESHOLD, 64 << 20);
    mallopt(M_TRIM_THRESHOLD, 256 << 20);
    mallopt(M_TOP_PAD, 1 << 20);
}

int runner_main(int argc, char **argv, const struct runner_scenario *scenarios, size_t count)
{
    program = argv[0];
    keep_memory();
    struct settings settings;
    int first = parse(argc, argv, &settings), ran = 0;
    signal(SIGABRT, fatal_signal);
    signal(SIGFPE, fatal_signal);
    for (size_t i = 0; i < count; i++) {
        if (!wanted(scenarios[i].name, argc, argv, first)) continue;
        if (settings.list) {
            printf("%s\n", scenarios[i].name);
        } else {
            run_scenario(&scenarios[i], &settings);
        }
        ran++;
    }
    if (!ran) {
        fprintf(stderr, "%s: no such scenario; there are:", program);
        for (size_t i = 0; i < count; i++) fprintf(stderr, " %s", scenarios[i].name);
        fprintf(stderr, "\n");
    }
    return ran ? 0 : 2;
}
