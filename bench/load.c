#include "load.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

void load_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s: ", program_invocation_short_name);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

unsigned long load_number(const char *name, const char *text, unsigned long min, unsigned long max)
{
    char *end;
    errno = 0;
    unsigned long value = strtoul(text, &end, 10);
    if (errno || end == text || *end || value < min || value > max)
        load_fail("--%s: '%s' is not a number from %lu to %lu", name, text, min, max);
    return value;
}

void *load_alloc(size_t size)
{
    void *memory = calloc(1, size);
    if (!memory) load_fail("no memory for %zu bytes", size);
    return memory;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t load_now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

int load_connect(unsigned port)
{
    struct sockaddr_in addr = {.sin_family = AF_INET,
                               .sin_port = htons((uint16_t)port),
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) load_fail("socket: %s", strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr))
        load_fail("cannot connect to port %u: %s", port, strerror(errno));
    return fd;
}

int load_connect_to(const char *address)
{
    if (address[0] != '/') return load_connect((unsigned)load_number("server", address, 1, 65535));
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    if (strlen(address) >= sizeof addr.sun_path) load_fail("%s: the path is too long", address);
    memcpy(addr.sun_path, address, strlen(address));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) load_fail("socket: %s", strerror(errno));
    if (connect(fd, (struct sockaddr *)&addr, sizeof addr))
        load_fail("cannot connect to %s: %s", address, strerror(errno));
    return fd;
}

void load_nonblock(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

/* ---- latencies --------------------------------------------------------------------------- */

/* The highest bit gives the octave, the next LATENCY_SUB_BITS bits the place in it. */
static size_t bucket_of(uint64_t ns)
{
    if (ns < 1u << LATENCY_SUB_BITS) return ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - LATENCY_SUB_BITS;
    return ((size_t)(shift + 1) << LATENCY_SUB_BITS) + (ns >> shift) - (1u << LATENCY_SUB_BITS);
}

static double bucket_middle_ns(size_t bucket)
{
    size_t octave = bucket >> LATENCY_SUB_BITS;
    double sub = (double)(bucket & ((1u << LATENCY_SUB_BITS) - 1));
    if (!octave) return sub;
    return (sub + 0.5 + (1u << LATENCY_SUB_BITS)) * (double)((uint64_t)1 << (octave - 1));
}

void latency_add(struct latency *latency, uint64_t ns)
{
    latency->count++;
    latency->buckets[bucket_of(ns)]++;
}

double latency_quantile_us(const struct latency *latency, double quantile)
{
    uint64_t rank = (uint64_t)(quantile * (double)latency->count), seen = 0;
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        seen += latency->buckets[i];
        if (seen > rank) return bucket_middle_ns(i) / 1000;
    }
    return 0;
}

/* ---- the measured window ----------------------------------------------------------------- */

void measure_pids(struct measure *measure, const char *list)
{
    char text[16];
    while (*list) {
        size_t len = strcspn(list, ",");
        if (len >= sizeof text || measure->pid_count == MEASURE_PIDS_MAX)
            load_fail("--pids: '%s' is not a list of up to %d process ids", list, MEASURE_PIDS_MAX);
        memcpy(text, list, len);
        text[len] = 0;
        measure->pids[measure->pid_count++] = (pid_t)load_number("pids", text, 1, 1ul << 22);
        list += len + (list[len] == ',');
    }
}

/* The first number of a file of /proc; 0 when the file is gone. */
static uint64_t first_number(const char *path)
{
    unsigned long long value = 0;
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    if (fscanf(file, "%llu", &value) != 1) value = 0;
    fclose(file);
    return value;
}

/* What all threads of a process have spent on a core. */
static uint64_t process_ns(pid_t pid)
{
    char path[320];
    uint64_t sum = 0;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = opendir(path);
    if (!tasks) load_fail("the measured process %d is gone", (int)pid);
    for (struct dirent *task; (task = readdir(tasks));) {
        if (task->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)pid, task->d_name);
        sum += first_number(path);
    }
    closedir(tasks);
    return sum;
}

/* What everything on this machine has spent, with what the hypervisor took away. */
static uint64_t machine_ns(void)
{
    unsigned long long user, nice, system, idle, wait, irq, soft, steal;
    FILE *file = fopen("/proc/stat", "re");
    if (!file) return 0;
    int found = fscanf(file, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system,
                       &idle, &wait, &irq, &soft, &steal);
    fclose(file);
    if (found != 8) return 0;
    uint64_t tick_ns = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
    return (user + nice + system + irq + soft + steal) * tick_ns;
}

static struct sample take_sample(const struct measure *measure, uint64_t operations)
{
    struct sample sample = {.operations = operations};
    for (unsigned i = 0; i < measure->pid_count; i++)
        sample.server_ns += process_ns(measure->pids[i]);
    sample.own_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    sample.machine_ns = machine_ns();
    sample.time_ns = load_now_ns();
    return sample;
}

void measure_start(struct measure *measure, double warmup_s, double seconds)
{
    measure->begin_ns = load_now_ns() + (uint64_t)(warmup_s * 1e9);
    measure->end_ns = measure->begin_ns + (uint64_t)(seconds * 1e9);
    measure->state = MEASURE_WARMUP;
}

bool measure_tick(struct measure *measure, uint64_t operations)
{
    uint64_t now = load_now_ns();
    if (measure->state == MEASURE_WARMUP && now >= measure->begin_ns) {
        measure->begin = take_sample(measure, operations);
        measure->state = MEASURE_OPEN;
    } else if (measure->state == MEASURE_OPEN && now >= measure->end_ns) {
        measure->end = take_sample(measure, operations);
        measure->state = MEASURE_OVER;
    }
    return measure->state != MEASURE_OVER;
}

int measure_report(const struct measure *measure)
{
    const struct sample *begin = &measure->begin, *end = &measure->end;
    double operations = (double)(end->operations - begin->operations);
    double elapsed = (double)(end->time_ns - begin->time_ns);
    double server = (double)(end->server_ns - begin->server_ns);
    double own = (double)(end->own_ns - begin->own_ns);
    double foreign = (double)(end->machine_ns - begin->machine_ns) - server - own;
    if (operations <= 0) load_fail("nothing was done in the measured time");
    printf("{\"operations\": %.0f, \"seconds\": %.3f, \"cpu_us\": %.4f, \"per_second\": %.0f, "
           "\"server_load\": %.3f, \"generator_load\": %.3f, \"foreign_load\": %.3f, "
           "\"p50_us\": %.1f, \"p99_us\": %.1f, \"errors\": %llu}\n",
           operations, elapsed / 1e9, server / operations / 1e3, operations / elapsed * 1e9,
           server / elapsed, own / elapsed, foreign > 0 ? foreign / elapsed : 0,
           latency_quantile_us(&measure->latency, 0.5),
           latency_quantile_us(&measure->latency, 0.99), (unsigned long long)measure->errors);
    return measure->errors ? 1 : 0;
}
