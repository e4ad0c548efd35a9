/* sim_content: what is in one simulated file. Pages are allocated when they are touched; a page has
 * a durable version (on the disk) and, when that differs, a cached one (what the program sees).
 * Each sector of a cached page is dirty (the next sync writes it), or a ghost (a failed sync has
 * given it up: it reads well until the power fails, and is then as it was), or as on the disk.
 * Invariant: bytes behind cached_size read as zero in the cached version. */
#ifndef DURE_IO_SIM_CONTENT_H
#define DURE_IO_SIM_CONTENT_H

#include "io/sim_prng.h"

enum { SIM_SECTOR = 512, SIM_PAGE = 4096 };

struct sim_page {
    uint8_t *cached;      /* NULL: as durable */
    uint8_t *durable;     /* NULL: zeros */
    uint8_t dirty, ghost; /* one bit for each sector */
};

struct sim_content {
    struct sim_page *pages;
    size_t page_count;
    size_t dirty_from, dirty_to; /* pages outside are clean */
    uint64_t cached_size, durable_size;
};

void sim_content_init(struct sim_content *content);
void sim_content_release(struct sim_content *content);

/* Copies what is there, up to the end; returns how much. */
size_t sim_content_read(const struct sim_content *content, void *buf, size_t size, uint64_t offset);

/* A dirty sector that is overwritten may have reached the disk before, in its older version. */
void sim_content_write(struct sim_content *content, struct sim_prng *prng, const void *data,
                       size_t len, uint64_t offset);

/* Cuts, or grows with zeros. */
void sim_content_resize(struct sim_content *content, struct sim_prng *prng, uint64_t size);

/* All of it becomes durable. */
void sim_content_sync(struct sim_content *content);

/* The sectors that these bytes touch become durable, and the size if they need it. */
void sim_content_sync_range(struct sim_content *content, uint64_t from, uint64_t to);

/* Each dirty sector becomes durable, a ghost, or is forgotten. */
void sim_content_fail_sync(struct sim_content *content, struct sim_prng *prng);

/* The power fails: see sim.h. */
void sim_content_crash(struct sim_content *content, struct sim_prng *prng);

/* Flips bits in all versions; false when there is no such byte. */
bool sim_content_flip(struct sim_content *content, uint64_t offset, uint8_t mask);

#endif
