/* sim: a world of hosts with a network and disks, deterministic from one seed. Each host gives a
 * `struct io` behind the same interface as the machine's (io/io.h), so real services run in it.
 *
 * Time is virtual: it stands still while something runs and jumps to the next event. Every choice
 * (latencies, where a receive is cut, what a crash leaves of unsynced writes) comes from one
 * generator of the seed, and nothing is ordered by addresses or hashes, so the same seed gives the
 * same run; sim_fingerprint() proves it.
 *
 * Who owns what: the world owns hosts, disks, connections and every `struct io`, those of crashed
 * hosts too, until sim_free(). The program under test owns what io.h says it owns.
 *
 * Crashes. A host crashes between two events (sim_host_crash), from within any call of the program,
 * or inside a file operation (sim_host_crash_after, sim_host_kill_after). From then on its `struct
 * io` is dead: it keeps no pointer to anything of the program's, runs nothing of the program any
 * more, neither jobs nor completions nor `closed`, and every io_* call on it, or on a stream, file
 * or listener of it, is a harmless no-op (ERR_CLOSED, or ERR_IO from a file). What the program had
 * allocated is still there: the harness frees it, as soon as sim_step() has returned, with a
 * function of the program that needs no completion, then calls sim_host_restart() and starts the
 * program again on the disk that survived. So a program fit for simulation has, beside its
 * asynchronous x_close(), an x_free() that may be called at any time once its io is dead. All of it
 * before sim_free().
 *
 *     struct sim *sim = sim_new(seed, NULL);
 *     struct sim_host *host = sim_host_new(sim, "a");
 *     struct store *store = store_new(sim_host_io(host), ...);
 *     sim_host_crash_after(host, sim_random_below(sim, 50));
 *     while (!sim_host_crashed(host) && sim_step(sim)) check(store);
 *     store_free(store);
 *     store = store_new(sim_host_restart(host), ...);
 */
#ifndef DURE_IO_SIM_H
#define DURE_IO_SIM_H

#include "io/io.h"

struct sim;
struct sim_host;

/* What the world is like. All of it can be changed while the world runs (sim_options_of). A chance
 * is in a million; 0 is never. */
struct sim_options {
    /* network, between hosts; within a host nothing is lost and latency is microseconds */
    uint64_t latency_min_us, latency_mean_us; /* one way; above the minimum exponential */
    uint64_t bandwidth;                       /* bytes per second of a connection; 0: no limit */
    uint32_t window_min, window_max;          /* bytes under way in one direction, per connection */
    uint32_t reset_chance;                    /* per segment: the connection is lost */
    uint64_t connect_timeout_ms;              /* nothing answers: ERR_TIMEOUT */
    uint64_t send_timeout_ms;                 /* sent bytes stay unacknowledged: ERR_TIMEOUT */
    /* disks */
    uint64_t disk_size;                /* bytes; beyond it ERR_NO_SPACE */
    uint64_t disk_op_us, disk_sync_us; /* mean cost of an operation and of a sync */
    uint64_t disk_bandwidth;           /* bytes per second written; 0: no limit */
    uint32_t read_fail_chance, write_fail_chance, sync_fail_chance; /* per operation: ERR_IO */
    /* hosts */
    uint64_t wall_skew_ms; /* wall clocks are wrong by up to so much */
    uint64_t turn_us;      /* mean delay until a loop takes its turn */
    uint32_t stall_chance; /* per turn: the loop is late ... */
    uint64_t stall_ms;     /* ... by up to so much */
    /* What happens, line by line, for a person; NULL: nobody reads it. */
    void (*trace)(void *context, const char *line);
    void *trace_context;
};

/* A calm world: a local network, working disks of 1 GiB, no faults. */
void sim_options_init(struct sim_options *options);

/* ---- the world --------------------------------------------------------------------------- */

/* options may be NULL (calm). Aborts when memory is short: there is no simulation without. */
struct sim *sim_new(uint64_t seed, const struct sim_options *options);

/* Frees the world with all hosts, disks and loops. NULL is allowed. */
void sim_free(struct sim *sim);

struct sim_options *sim_options_of(struct sim *sim);

/* Runs the next event: one turn of one loop, one job, the arrival of a segment ... False when
 * nothing is left to happen. */
bool sim_step(struct sim *sim);

/* Runs everything that happens in the next `ms`, and moves the time there. */
void sim_run_ms(struct sim *sim, uint64_t ms);

/* Steps until `done(context)` is true (looked at after every event) or `ms` have passed or nothing
 * is left to happen. Returns what `done` says then. */
bool sim_run_until(struct sim *sim, uint64_t ms, bool (*done)(void *context), void *context);

/* Nanoseconds since the world began. */
uint64_t sim_now_ns(const struct sim *sim);

/* Runs `run(context)` as an event of its own, for the harness's faults and checks. */
void sim_at(struct sim *sim, uint64_t delay_ms, void (*run)(void *context), void *context);

/* Choices of the harness, from the same seed. */
uint64_t sim_random_u64(struct sim *sim);
uint64_t sim_random_below(struct sim *sim, uint64_t bound); /* 0 .. bound - 1; 0 for 0 */
bool sim_random_chance(struct sim *sim, uint32_t in_a_million);

/* A hash of all that has happened and been chosen; equal runs have equal ones. */
uint64_t sim_fingerprint(const struct sim *sim);

/* Adds something of the harness's to the fingerprint. */
void sim_note(struct sim *sim, uint64_t value);

/* How many events have run. */
uint64_t sim_events(const struct sim *sim);

/* ---- hosts ------------------------------------------------------------------------------- */

/* A running host with an empty disk. The first has the address 10.0.0.1 (and fd00::1), the next
 * 10.0.0.2 ... Within a host 127.0.0.1 and ::1 also are itself. The name is copied. */
struct sim_host *sim_host_new(struct sim *sim, const char *name);

/* Its loop. io_run() and io_turn() on it run the world until that host stops or has had a turn. */
struct io *sim_host_io(const struct sim_host *host);

/* Its IPv4 address with this port. */
struct io_addr sim_host_addr(const struct sim_host *host, uint16_t port);
const char *sim_host_name(const struct sim_host *host);

/* The power fails: unsynced data may be lost, peers learn nothing. Harmless when it is down. */
void sim_host_crash(struct sim_host *host);

/* Only the process dies (kill -9): the kernel keeps all that was written and closes connections. */
void sim_host_kill(struct sim_host *host);

/* The power fails, or only the process dies, within one of the next file operations: 0 is the very
 * next. That operation may still have had its effect, a part of it, or none. Called again, the
 * later call counts. */
void sim_host_crash_after(struct sim_host *host, uint64_t file_operations);
void sim_host_kill_after(struct sim_host *host, uint64_t file_operations);
void sim_host_crash_never(struct sim_host *host);

/* True from a crash or kill to the restart. */
bool sim_host_crashed(const struct sim_host *host);

/* Starts a crashed host (asserted): a new loop, other clocks, the disk that survived. */
struct io *sim_host_restart(struct sim_host *host);

/* How many file operations it has made since it was made. */
uint64_t sim_host_file_operations(const struct sim_host *host);

/* Moves the host's wall clock, as an administrator or NTP does. */
void sim_host_set_wall(struct sim_host *host, int64_t by_ms);

/* ---- network ----------------------------------------------------------------------------- */

/* Nothing that `from` sends reaches `to` (one way) while cut. Bytes stay under way and arrive after
 * it is healed, unless send_timeout_ms passes first. */
void sim_cut(struct sim_host *from, struct sim_host *to, bool cut);

/* Both ways. */
void sim_partition(struct sim_host *a, struct sim_host *b, bool cut);

/* Heals every cut. */
void sim_heal(struct sim *sim);

/* Resets every connection between the two (a == b: within the host). Returns how many. */
int sim_reset(struct sim_host *a, struct sim_host *b);

/* Connections that are not wholly closed yet, for leak checks. */
size_t sim_connections(const struct sim *sim);

/* ---- disks ------------------------------------------------------------------------------- */

/* A file has a cached content, which the program sees, and a durable one. A sync copies the one to
 * the other. At a power failure each dirty sector of 512 bytes is on the disk or not, alone or in a
 * pattern (none, all, a prefix, a random share), in its last version or an older one; the size
 * lies between the durable and the cached one and what is missing reads as zeros. Names made,
 * renamed or removed since the last sync of their directory survive or not, each by itself, and a
 * rename is atomic. */

enum sim_disk_op { SIM_DISK_READ, SIM_DISK_WRITE, SIM_DISK_SYNC, SIM_DISK_NAME, SIM_DISK_OPS };

/* The operation of that kind after `skip` others (UINT64_MAX: none) fails once with ERR_IO. NAME:
 * open with create, rename, unlink, mkdir, and sync_dir. A write that fails may have written any
 * part. After a failed sync each dirty sector is durable, or is forgotten at once, or reads well
 * until the next crash though no later sync will write it (as Linux does). */
void sim_disk_fail(struct sim_host *host, enum sim_disk_op op, uint64_t skip);

/* The write through the cache after `skip` others fails once with ERR_NO_SPACE, though its blocks
 * were allocated, and leaves any first part of it: as where a block is copied when it is written.
 */
void sim_disk_refuse(struct sim_host *host, uint64_t skip);

/* From now on the disk holds so many bytes, file sizes rounded up to sectors. */
void sim_disk_limit(struct sim_host *host, uint64_t bytes);

/* Bytes used now. */
uint64_t sim_disk_used(const struct sim_host *host);

/* Bit rot: flips the bits of `mask` in one byte, on the disk and in the cache. ERR_NOT_FOUND when
 * there is no such file or byte. */
int sim_disk_flip(struct sim_host *host, const char *path, uint64_t offset, uint8_t mask);

/* For a harness that looks at a disk from outside, at any time and with no effect on the world: the
 * content of a file as the program would see it. Returns how many bytes, or ERR_NOT_FOUND. */
int64_t sim_disk_peek(struct sim_host *host, const char *path, void *buf, size_t size,
                      uint64_t offset);

#endif
