#include "io/sim_content.h"

#include "io/sim_memory.h"

enum { SECTORS = SIM_PAGE / SIM_SECTOR };

/* What becomes of a dirty sector when a sync or the power fails. */
enum fate { FATE_DURABLE, FATE_LOST, FATE_GHOST, FATE_COUNT };

void sim_content_init(struct sim_content *content)
{
    *content = (struct sim_content){0};
}

void sim_content_release(struct sim_content *content)
{
    for (size_t i = 0; i < content->page_count; i++) {
        free(content->pages[i].cached);
        free(content->pages[i].durable);
    }
    free(content->pages);
    sim_content_init(content);
}

static struct sim_page *page_at(struct sim_content *content, size_t number)
{
    if (number >= content->page_count) {
        size_t count = content->page_count ? content->page_count * 2 : 4;
        if (count <= number) count = number + 1;
        content->pages = sim_realloc(content->pages, count, sizeof(struct sim_page));
        memset(content->pages + content->page_count, 0,
               (count - content->page_count) * sizeof(struct sim_page));
        content->page_count = count;
    }
    return &content->pages[number];
}

/* The page's cached version, made when there is none. */
static uint8_t *page_cache(struct sim_page *page)
{
    if (!page->cached) {
        page->cached = sim_alloc(1, SIM_PAGE);
        if (page->durable) memcpy(page->cached, page->durable, SIM_PAGE);
    }
    return page->cached;
}

static void sector_persist(struct sim_page *page, int sector)
{
    if (!page->durable) page->durable = sim_alloc(1, SIM_PAGE);
    memcpy(page->durable + sector * SIM_SECTOR, page->cached + sector * SIM_SECTOR, SIM_SECTOR);
}

static void sector_forget(struct sim_page *page, int sector)
{
    uint8_t *cached = page->cached + sector * SIM_SECTOR;
    if (page->durable)
        memcpy(cached, page->durable + sector * SIM_SECTOR, SIM_SECTOR);
    else
        memset(cached, 0, SIM_SECTOR);
}

/* The sectors that the bytes from .. to - 1 of a page touch. */
static uint8_t sector_mask(size_t from, size_t to)
{
    size_t first = from / SIM_SECTOR, last = (to - 1) / SIM_SECTOR;
    return (uint8_t)((0xffu << first) & (0xffu >> (SECTORS - 1 - last)));
}

/* Makes bytes of a page ready to be changed; returns where they are. Sectors that are dirty already
 * may have been written back in the meantime. */
static uint8_t *page_touch(struct sim_content *content, struct sim_prng *prng, size_t number,
                           size_t from, size_t to)
{
    struct sim_page *page = page_at(content, number);
    uint8_t *cached = page_cache(page), touched = sector_mask(from, to);
    uint8_t again = page->dirty & touched;
    for (int sector = 0; again; sector++, again >>= 1)
        if (again & 1 && sim_prng_next(prng) % 4 == 0) sector_persist(page, sector);
    page->dirty |= touched;
    page->ghost &= (uint8_t)~touched;
    if (content->dirty_from == content->dirty_to) {
        content->dirty_from = number;
        content->dirty_to = number + 1;
    }
    if (number < content->dirty_from) content->dirty_from = number;
    if (number >= content->dirty_to) content->dirty_to = number + 1;
    return cached + from;
}

size_t sim_content_read(const struct sim_content *content, void *buf, size_t size, uint64_t offset)
{
    if (offset >= content->cached_size) return 0;
    if (size > content->cached_size - offset) size = (size_t)(content->cached_size - offset);
    for (size_t done = 0, count; done < size; done += count) {
        size_t number = (size_t)((offset + done) / SIM_PAGE), at = (offset + done) % SIM_PAGE;
        count = SIM_PAGE - at < size - done ? SIM_PAGE - at : size - done;
        const struct sim_page *page = number < content->page_count ? &content->pages[number] : NULL;
        const uint8_t *from = page ? (page->cached ? page->cached : page->durable) : NULL;
        if (from)
            memcpy((char *)buf + done, from + at, count);
        else
            memset((char *)buf + done, 0, count);
    }
    return size;
}

void sim_content_write(struct sim_content *content, struct sim_prng *prng, const void *data,
                       size_t len, uint64_t offset)
{
    for (size_t done = 0, count; done < len; done += count) {
        size_t number = (size_t)((offset + done) / SIM_PAGE), at = (offset + done) % SIM_PAGE;
        count = SIM_PAGE - at < len - done ? SIM_PAGE - at : len - done;
        uint8_t *to = page_touch(content, prng, number, at, at + count);
        memcpy(to, (const char *)data + done, count);
    }
    if (len && offset + len > content->cached_size) content->cached_size = offset + len;
}

void sim_content_resize(struct sim_content *content, struct sim_prng *prng, uint64_t size)
{
    for (uint64_t at = size; at < content->cached_size;) {
        size_t number = (size_t)(at / SIM_PAGE), from = at % SIM_PAGE;
        if (number >= content->page_count) break;
        struct sim_page *page = &content->pages[number];
        if (page->cached || page->durable)
            memset(page_touch(content, prng, number, from, SIM_PAGE), 0, SIM_PAGE - from);
        at += SIM_PAGE - from;
    }
    content->cached_size = size;
}

/* Pages that lie wholly behind the end. */
static void drop_tail(struct sim_content *content, uint64_t size)
{
    for (size_t i = (size_t)((size + SIM_PAGE - 1) / SIM_PAGE); i < content->page_count; i++) {
        free(content->pages[i].cached);
        free(content->pages[i].durable);
        content->pages[i] = (struct sim_page){0};
    }
}

void sim_content_sync(struct sim_content *content)
{
    for (size_t i = content->dirty_from; i < content->dirty_to; i++) {
        struct sim_page *page = &content->pages[i];
        if (!page->dirty) continue;
        if (!page->ghost) {
            free(page->durable);
            page->durable = page->cached;
            page->cached = NULL;
        } else {
            for (int sector = 0; sector < SECTORS; sector++)
                if (page->dirty >> sector & 1) sector_persist(page, sector);
        }
        page->dirty = 0;
    }
    content->dirty_from = content->dirty_to = 0;
    if (content->cached_size < content->durable_size) drop_tail(content, content->cached_size);
    content->durable_size = content->cached_size;
}

void sim_content_sync_range(struct sim_content *content, uint64_t from, uint64_t to)
{
    if (to > content->cached_size) to = content->cached_size;
    for (uint64_t at = from / SIM_SECTOR * SIM_SECTOR; at < to; at += SIM_SECTOR) {
        struct sim_page *page = page_at(content, (size_t)(at / SIM_PAGE));
        int sector = (int)(at % SIM_PAGE / SIM_SECTOR);
        if (!(page->dirty >> sector & 1)) continue;
        sector_persist(page, sector);
        page->dirty &= (uint8_t) ~(1u << sector);
    }
    if (to > content->durable_size) content->durable_size = to;
}

void sim_content_fail_sync(struct sim_content *content, struct sim_prng *prng)
{
    enum fate mode = (enum fate)sim_prng_below(prng, FATE_COUNT + 1); /* FATE_COUNT: a mixture */
    bool was_cut = content->cached_size < content->durable_size; /* the cut itself is not undone */
    for (size_t i = content->dirty_from; i < content->dirty_to; i++) {
        struct sim_page *page = &content->pages[i];
        for (int sector = 0; sector < SECTORS; sector++) {
            if (!(page->dirty >> sector & 1)) continue;
            enum fate fate =
                mode == FATE_COUNT ? (enum fate)sim_prng_below(prng, FATE_COUNT) : mode;
            if (fate == FATE_LOST && was_cut) fate = FATE_GHOST;
            if (fate == FATE_DURABLE) sector_persist(page, sector);
            if (fate == FATE_LOST) sector_forget(page, sector);
            if (fate == FATE_GHOST) page->ghost |= (uint8_t)(1u << sector);
        }
        page->dirty = 0;
    }
    content->dirty_from = content->dirty_to = 0;
    /* The size is metadata, which the journal writes. */
    if (content->cached_size > content->durable_size && sim_prng_next(prng) & 1)
        content->durable_size = content->cached_size;
}

/* ---- the power fails --------------------------------------------------------------------- */

enum pattern { PATTERN_NONE, PATTERN_ALL, PATTERN_PREFIX, PATTERN_FEW, PATTERN_HALF, PATTERN_MOST };

struct crash {
    struct sim_prng *prng;
    enum pattern pattern;
    uint64_t prefix_end; /* in bytes */
};

static bool survives(const struct crash *crash, uint64_t offset)
{
    switch (crash->pattern) {
    case PATTERN_NONE: return false;
    case PATTERN_ALL: return true;
    case PATTERN_PREFIX: return offset < crash->prefix_end;
    case PATTERN_FEW: return sim_prng_next(crash->prng) % 8 == 0;
    case PATTERN_HALF: return sim_prng_next(crash->prng) % 2 == 0;
    case PATTERN_MOST: return sim_prng_next(crash->prng) % 8 != 0;
    }
    return false;
}

static uint64_t surviving_size(const struct sim_content *content, const struct crash *crash)
{
    uint64_t low = content->durable_size, high = content->cached_size;
    if (low > high) low = content->cached_size, high = content->durable_size;
    if (crash->pattern == PATTERN_NONE) return content->durable_size;
    if (crash->pattern == PATTERN_ALL) return content->cached_size;
    switch (sim_prng_below(crash->prng, 3)) {
    case 0: return low;
    case 1: return high;
    default: return sim_prng_between(crash->prng, low, high);
    }
}

void sim_content_crash(struct sim_content *content, struct sim_prng *prng)
{
    if (content->dirty_from == content->dirty_to && content->cached_size == content->durable_size)
        goto drop_cache;
    struct crash crash = {prng, (enum pattern)sim_prng_below(prng, PATTERN_MOST + 1), 0};
    crash.prefix_end = sim_prng_between(prng, (uint64_t)content->dirty_from * SIM_PAGE,
                                        (uint64_t)content->dirty_to * SIM_PAGE);
    for (size_t i = content->dirty_from; i < content->dirty_to; i++) {
        struct sim_page *page = &content->pages[i];
        for (int sector = 0; sector < SECTORS; sector++)
            if (page->dirty >> sector & 1 &&
                survives(&crash, (uint64_t)i * SIM_PAGE + (uint64_t)sector * SIM_SECTOR))
                sector_persist(page, sector);
    }
    content->durable_size = surviving_size(content, &crash);
drop_cache:
    for (size_t i = 0; i < content->page_count; i++) {
        free(content->pages[i].cached);
        content->pages[i].cached = NULL;
        content->pages[i].dirty = content->pages[i].ghost = 0;
    }
    content->dirty_from = content->dirty_to = 0;
    uint64_t size = content->cached_size = content->durable_size;
    drop_tail(content, size);
    size_t last = (size_t)(size / SIM_PAGE), at = size % SIM_PAGE;
    if (at && last < content->page_count && content->pages[last].durable)
        memset(content->pages[last].durable + at, 0, SIM_PAGE - at);
}

bool sim_content_flip(struct sim_content *content, uint64_t offset, uint8_t mask)
{
    if (offset >= content->cached_size) return false;
    struct sim_page *page = page_at(content, (size_t)(offset / SIM_PAGE));
    if (!page->cached && !page->durable) page->durable = sim_alloc(1, SIM_PAGE);
    if (page->cached) page->cached[offset % SIM_PAGE] ^= mask;
    if (page->durable) page->durable[offset % SIM_PAGE] ^= mask;
    return true;
}
