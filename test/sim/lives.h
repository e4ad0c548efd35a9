/* lives: streams on one simulated host that are opened, live and die again and again, on the disk
 * that each life leaves to the next. A scenario says what it has opened, what happens to it and
 * what must hold (struct lives_program), and embeds a struct lives as the first thing of its world:
 *
 *     struct world {
 *         struct lives lives;
 *         ...
 *     };
 *     static const struct lives_program program = {.open = open, .act = act, .started = check};
 *
 *     struct world *w = lives_new(sizeof *w, sim, &program);
 *     lives_crashes(&w->lives, &pace);
 *     lives_calm(&w->lives);
 *     lives_start(&w->lives);
 *     ... everything comes to its end ...
 *     lives_free(&w->lives);
 *
 * The segments and the log's files are small, so that they fill, are synced behind and are used
 * again within a seed. */
#ifndef DURE_TEST_SIM_LIVES_H
#define DURE_TEST_SIM_LIVES_H

#include "io/sim.h"
#include "stream/streams.h"

#define LIVES_DIR "/store"

struct lives;

struct lives_program {
    /* Before each try to open. May be NULL. */
    void (*prepare)(struct lives *lives);
    /* The streams are open: makes or finds what the scenario needs of them. Any error is taken for
     * one of the disk, but ERR_CORRUPT. */
    int (*open)(struct lives *lives);
    /* It has started: looks at what there is. May be NULL. */
    void (*started)(struct lives *lives);
    /* Something happens to it; then up to `steps` events less one, then `acted` unless it has died.
     * `acted` may be NULL. */
    void (*act)(struct lives *lives);
    void (*acted)(struct lives *lives);
    unsigned steps;
    /* Before the streams of a dead host are freed. May be NULL. */
    void (*drop)(struct lives *lives);
};

struct lives {
    struct sim *sim;
    struct sim_host *host;
    struct io *io; /* of this life, as the streams are */
    struct streams *streams;
    const struct lives_program *program;
};

/* The world around it, `size` bytes of zeros but for the lives, which it begins with. */
void *lives_new(size_t size, struct sim *sim, const struct lives_program *program);

/* Dies, and frees the world. */
void lives_free(struct lives *lives);

/* Opens, on a dead host anew; what fails or crashes on the way is tried again. */
void lives_start(struct lives *lives);

/* Starts the dead host alone: its disk can be looked at before anything is opened. */
void lives_restart(struct lives *lives);

/* That often something happens, unless it dies. */
void lives_act(struct lives *lives, uint64_t actions);

/* The power fails, or only the process dies; or it is dead already. */
void lives_end(struct lives *lives);

/* In every second life, the power will fail within one of the next `operations` on files. */
void lives_arm_crash(struct lives *lives, uint64_t operations);

/* One of the next `operations` of a kind will fail, or the disk is soon full, until
 * lives_end_of_trouble. A failure that has not come by then may come still. */
void lives_trouble(struct lives *lives, uint64_t operations);
void lives_end_of_trouble(struct lives *lives);

/* No fault any more, also none that was still to come. */
void lives_disarm(struct lives *lives);

/* And the host is dead. */
void lives_calm(struct lives *lives);

/* How a scenario goes. */
struct lives_pace {
    int lives;
    uint64_t crash_within;   /* operations on files */
    uint64_t actions;        /* fewer than so many in a life that ends in a crash */
    uint64_t fail_within;    /* operations of a kind */
    uint64_t calm, troubled; /* actions before there is trouble, and at most in it */
    uint64_t after;          /* and behind it */
    uint64_t rest_one_in;    /* lives: nothing happens for a while at the end; 0: none */
    uint64_t rest_ms;        /* at most */
};

/* Lives that end by power failures at any operation, and kills. */
void lives_crashes(struct lives *lives, const struct lives_pace *pace);

/* Lives in which operations fail and disks are full, each ended by a power failure or a kill. */
void lives_failures(struct lives *lives, const struct lives_pace *pace);

#endif
