/* File operations of a simulated host: faults, costs, and the crash points. Each operation asks
 * `begin` first what is to become of it. One in which the power fails or the process dies takes the
 * whole of its effect or a part, in the cache; what of that is on the disk then is decided as at
 * every crash, and stays in the cache behind a kill. */
#include "io/sim_world.h"

#include "base/map.h"
#include "io/sim_dir.h"

/* What the program has open. */
struct sim_open {
    struct list link; /* in sim_io.opens */
    struct sim_node *node;
    int flags;
};

struct sim_disk {
    struct sim_host *host;
    struct sim_tree tree;
    uint64_t limit;                    /* UINT64_MAX: what the world's options say */
    uint64_t fail_after[SIM_DISK_OPS]; /* so many more succeed; UINT64_MAX: all */
    uint64_t refuse_after;             /* of the writes through the cache */
};

/* What becomes of an operation. */
enum turn { TURN_WORKS, TURN_FAILS, TURN_CRASHES, TURN_DEAD };

static const char *const op_names[SIM_DISK_OPS] = {"read", "write", "sync", "name"};

/* ---- the beginning and the end of an operation ------------------------------------------- */

static struct sim_disk *disk_of(struct io *io)
{
    return sim_io_of(io)->host->disk;
}

static struct sim_prng *prng_of(struct sim_disk *disk)
{
    return &disk->host->sim->prng;
}

static uint64_t cost_ns(struct sim *sim, enum sim_disk_op op, uint64_t bytes)
{
    const struct sim_options *options = &sim->options;
    bool syncs = op == SIM_DISK_SYNC;
    uint64_t mean_us = syncs ? options->disk_sync_us : options->disk_op_us;
    uint64_t cost = sim_prng_exponential(&sim->prng, mean_us * NS_PER_US);
    if (options->disk_bandwidth) cost += bytes * 1000000000 / options->disk_bandwidth;
    return cost;
}

static bool fails(struct sim_disk *disk, enum sim_disk_op op)
{
    const struct sim_options *options = &disk->host->sim->options;
    uint32_t chance[SIM_DISK_OPS] = {
        [SIM_DISK_READ] = options->read_fail_chance,
        [SIM_DISK_WRITE] = options->write_fail_chance,
        [SIM_DISK_SYNC] = options->sync_fail_chance,
    };
    if (disk->fail_after[op] != UINT64_MAX && disk->fail_after[op]-- == 0) return true;
    return sim_prng_chance(prng_of(disk), chance[op]);
}

static enum turn begin(struct io *base, enum sim_disk_op op, uint64_t bytes)
{
    struct sim_io *io = sim_io_of(base);
    struct sim_host *host = io->host;
    if (base->dead) return TURN_DEAD;
    if (io->running) sim_doubt_settle(&io->running->doubt);
    io->cost_ns += cost_ns(host->sim, op, bytes);
    enum turn turn = fails(host->disk, op) ? TURN_FAILS : TURN_WORKS;
    if (host->file_operations++ >= host->crash_at) turn = TURN_CRASHES;
    sim_note(host->sim, (uint64_t)op << 32 | (uint64_t)turn << 40 | host->number);
    static const char *const ends[] = {"", " fails", " crashes", ""};
    if (op != SIM_DISK_READ)
        sim_trace(host->sim, "%s file operation %llu: %s %llu%s", host->name,
                  (unsigned long long)host->file_operations - 1, op_names[op],
                  (unsigned long long)bytes, ends[turn]);
    return turn;
}

/* Whether an operation that works, fails or crashes has its effect. */
static bool takes_effect(struct sim_disk *disk, enum turn turn)
{
    return turn == TURN_WORKS || (turn == TURN_CRASHES && sim_prng_next(prng_of(disk)) & 1);
}

static int end(struct io *io, enum turn turn, int result)
{
    struct sim_host *host = sim_io_of(io)->host;
    if (turn == TURN_CRASHES && host->kills) sim_host_kill(host);
    if (turn == TURN_CRASHES && !host->kills) sim_host_crash(host);
    return turn == TURN_WORKS ? result : ERR_IO;
}

/* ---- space ------------------------------------------------------------------------------- */

static uint64_t in_sectors(uint64_t size)
{
    return (size + SIM_SECTOR - 1) / SIM_SECTOR * SIM_SECTOR;
}

static uint64_t used(const struct sim_disk *disk)
{
    uint64_t sum = 0;
    LIST_EACH(&disk->tree.nodes, struct sim_node, link, node)
        sum += in_sectors(node->content.cached_size);
    return sum;
}

static uint64_t limit(const struct sim_disk *disk)
{
    return disk->limit != UINT64_MAX ? disk->limit : disk->host->sim->options.disk_size;
}

/* The greatest size, up to the wanted one, that the file can have. */
static uint64_t size_that_fits(const struct sim_disk *disk, const struct sim_node *node,
                               uint64_t wanted)
{
    uint64_t now = in_sectors(node->content.cached_size);
    if (in_sectors(wanted) <= now) return wanted;
    uint64_t full = limit(disk), taken = used(disk);
    uint64_t most = now + (full > taken ? (full - taken) / SIM_SECTOR * SIM_SECTOR : 0);
    return wanted < most ? wanted : most;
}

/* ---- files ------------------------------------------------------------------------------- */

static struct sim_open *open_of(const struct io_file *file)
{
    return file->sim;
}

static void touch(struct sim_disk *disk, struct sim_node *node)
{
    node->mtime_ns = disk->host->io->io.wall_ns;
}

/* Finds or makes the node that an open wants. */
static int open_node(struct sim_disk *disk, struct sim_place *place, int flags)
{
    if (!place->dir) return ERR_IO; /* the root */
    if (!place->node && !(flags & IO_CREATE)) return ERR_NOT_FOUND;
    if (place->node && flags & IO_CREATE && flags & IO_EXCLUSIVE) return ERR_EXISTS;
    if (place->node && place->node->is_dir) return ERR_IO;
    if (!place->node) {
        place->node = sim_tree_make(&disk->tree, place, false);
        touch(disk, place->node);
    } else if (flags & IO_TRUNCATE) {
        sim_content_resize(&place->node->content, prng_of(disk), 0);
        touch(disk, place->node);
    }
    return 0;
}

int sim_file_open(struct io_file *file, const char *path, int flags)
{
    struct sim_io *io = sim_io_of(file->io);
    bool changes = flags & (IO_CREATE | IO_TRUNCATE);
    if (!(flags & (IO_READ | IO_WRITE))) return ERR_INVALID;
    enum turn turn = begin(file->io, changes ? SIM_DISK_NAME : SIM_DISK_READ, 0);
    if (turn == TURN_DEAD) return ERR_IO;
    struct sim_disk *disk = io->host->disk;
    struct sim_place place;
    int result = sim_tree_find(&disk->tree, path, NULL, &place);
    if (result == 0 && takes_effect(disk, turn)) result = open_node(disk, &place, flags);
    sim_note(io->host->sim, (uint64_t)result);
    result = end(file->io, turn, result);
    if (result < 0) return result;
    struct sim_open *open = sim_alloc(1, sizeof *open);
    *open = (struct sim_open){.node = place.node, .flags = flags};
    sim_node_ref(open->node);
    list_push(&io->opens, &open->link);
    file->sim = open;
    return 0;
}

static void open_free(struct sim_open *open)
{
    list_remove(&open->link);
    sim_node_unref(open->node);
    free(open);
}

void sim_file_close(struct io_file *file)
{
    if (file->io->dead || !file->sim) return;
    open_free(file->sim);
    file->sim = NULL;
}

void sim_disk_close_all(struct sim_io *io)
{
    LIST_EACH(&io->opens, struct sim_open, link, open) open_free(open);
}

int64_t sim_file_size(struct io_file *file)
{
    if (file->io->dead) return ERR_IO;
    return (int64_t)open_of(file)->node->content.cached_size;
}

int64_t sim_file_read(struct io_file *file, void *buf, size_t size, uint64_t offset)
{
    enum turn turn = begin(file->io, SIM_DISK_READ, 0);
    if (turn == TURN_DEAD) return ERR_IO;
    if (!(open_of(file)->flags & IO_READ)) return end(file->io, turn, ERR_CLOSED);
    size_t got = sim_content_read(&open_of(file)->node->content, buf, size, offset);
    sim_note(sim_io_of(file->io)->host->sim, got);
    int result = end(file->io, turn, 0);
    return result < 0 ? result : (int64_t)got;
}

/* One that fails or crashes writes some first part of it. */
int sim_file_write(struct io_file *file, const struct iovec *iov, int count, uint64_t offset)
{
    uint64_t total = 0;
    for (int i = 0; i < count; i++) total += iov[i].iov_len;
    enum turn turn = begin(file->io, SIM_DISK_WRITE, total);
    if (turn == TURN_DEAD) return ERR_IO;
    if (!(open_of(file)->flags & IO_WRITE)) return end(file->io, turn, ERR_CLOSED);
    struct sim_disk *disk = disk_of(file->io);
    struct sim_node *node = open_of(file)->node;
    uint64_t fits = size_that_fits(disk, node, offset + total), left = total;
    if (fits < offset + total) left = fits > offset ? fits - offset : 0;
    int result = left < total ? ERR_NO_SPACE : 0;
    if (!file->direct && disk->refuse_after != UINT64_MAX && disk->refuse_after-- == 0) {
        result = ERR_NO_SPACE;
        left = sim_prng_below(prng_of(disk), left + 1);
    }
    if (turn != TURN_WORKS) left = sim_prng_below(prng_of(disk), left + 1);
    for (int i = 0; i < count && left; i++) {
        size_t part = iov[i].iov_len < left ? iov[i].iov_len : (size_t)left;
        sim_note(disk->host->sim, map_hash(bytes_make(iov[i].iov_base, part)));
        sim_content_write(&node->content, prng_of(disk), iov[i].iov_base, part, offset);
        offset += part;
        left -= part;
    }
    touch(disk, node);
    return end(file->io, turn, result);
}

int sim_file_sync(struct io_file *file)
{
    enum turn turn = begin(file->io, SIM_DISK_SYNC, 0);
    if (turn == TURN_DEAD) return ERR_IO;
    struct sim_disk *disk = disk_of(file->io);
    struct sim_content *content = &open_of(file)->node->content;
    if (turn == TURN_FAILS)
        sim_content_fail_sync(content, prng_of(disk));
    else if (takes_effect(disk, turn))
        sim_content_sync(content);
    return end(file->io, turn, 0);
}

void sim_doubt_drop(struct sim_doubt *doubt)
{
    sim_node_unref(doubt->node);
    doubt->node = NULL;
}

void sim_doubt_settle(struct sim_doubt *doubt)
{
    if (doubt->node) sim_content_sync_range(&doubt->node->content, doubt->from, doubt->to);
    sim_doubt_drop(doubt);
}

int sim_file_write_durable(struct io_file *file, const void *data, size_t len, uint64_t offset)
{
    struct iovec iov = {(void *)data, len};
    int result = sim_file_write(file, &iov, 1, offset);
    if (result < 0) return result;
    struct sim_io *io = sim_io_of(file->io);
    struct sim_doubt doubt = {open_of(file)->node, offset, offset + len};
    sim_node_ref(doubt.node);
    io->cost_ns += cost_ns(io->host->sim, SIM_DISK_SYNC, 0);
    if (io->running) {
        io->running->doubt = doubt;
    } else {
        sim_doubt_settle(&doubt);
    }
    return 0;
}

int sim_file_truncate(struct io_file *file, uint64_t size)
{
    enum turn turn = begin(file->io, SIM_DISK_WRITE, 0);
    if (turn == TURN_DEAD) return ERR_IO;
    if (!(open_of(file)->flags & IO_WRITE)) return end(file->io, turn, ERR_INVALID);
    struct sim_disk *disk = disk_of(file->io);
    struct sim_node *node = open_of(file)->node;
    if (size_that_fits(disk, node, size) < size) return end(file->io, turn, ERR_NO_SPACE);
    if (takes_effect(disk, turn)) sim_content_resize(&node->content, prng_of(disk), size);
    touch(disk, node);
    return end(file->io, turn, 0);
}

int sim_file_allocate(struct io_file *file, uint64_t size)
{
    enum turn turn = begin(file->io, SIM_DISK_WRITE, 0);
    if (turn == TURN_DEAD) return ERR_IO;
    if (!(open_of(file)->flags & IO_WRITE)) return end(file->io, turn, ERR_CLOSED);
    struct sim_disk *disk = disk_of(file->io);
    struct sim_node *node = open_of(file)->node;
    if (size <= node->content.cached_size) return end(file->io, turn, 0);
    if (size_that_fits(disk, node, size) < size) return end(file->io, turn, ERR_NO_SPACE);
    if (takes_effect(disk, turn)) sim_content_resize(&node->content, prng_of(disk), size);
    touch(disk, node);
    return end(file->io, turn, 0);
}

/* ---- names ------------------------------------------------------------------------------- */

static int rename_node(struct sim_disk *disk, const char *from, const char *to)
{
    struct sim_place source, target;
    int result = sim_tree_find(&disk->tree, from, NULL, &source);
    if (result < 0) return result;
    if (!source.dir) return ERR_INVALID;
    if (!source.node) return ERR_NOT_FOUND;
    result = sim_tree_find(&disk->tree, to, source.node, &target);
    if (result < 0) return result;
    if (!target.dir) return ERR_INVALID;
    if (target.node == source.node) return 0;
    if (target.node && target.node->is_dir) return ERR_IO;
    if (target.node && source.node->is_dir) return ERR_NOT_FOUND; /* ENOTDIR */
    sim_tree_rename(&disk->tree, &source, &target);
    return 0;
}

int sim_rename(struct io *io, const char *from, const char *to)
{
    enum turn turn = begin(io, SIM_DISK_NAME, 0);
    if (turn == TURN_DEAD) return ERR_IO;
    struct sim_disk *disk = disk_of(io);
    return end(io, turn, takes_effect(disk, turn) ? rename_node(disk, from, to) : 0);
}

static int unlink_node(struct sim_disk *disk, const char *path)
{
    struct sim_place place;
    int result = sim_tree_find(&disk->tree, path, NULL, &place);
    if (result < 0) return result;
    if (!place.node) return ERR_NOT_FOUND;
    if (place.node->is_dir) return ERR_IO; /* EISDIR */
    sim_tree_remove(&disk->tree, &place);
    return 0;
}

int sim_unlink(struct io *io, const char *path)
{
    enum turn turn = begin(io, SIM_DISK_NAME, 0);
    if (turn == TURN_DEAD) return ERR_IO;
    struct sim_disk *disk = disk_of(io);
    return end(io, turn, takes_effect(disk, turn) ? unlink_node(disk, path) : 0);
}

static int make_dir(struct sim_disk *disk, const char *path)
{
    struct sim_place place;
    int result = sim_tree_find(&disk->tree, path, NULL, &place);
    if (result < 0) return result;
    if (place.node) return place.node->is_dir ? 0 : ERR_EXISTS;
    touch(disk, sim_tree_make(&disk->tree, &place, true));
    return 0;
}

int sim_mkdir(struct io *io, const char *path)
{
    enum turn turn = begin(io, SIM_DISK_NAME, 0);
    if (turn == TURN_DEAD) return ERR_IO;
    struct sim_disk *disk = disk_of(io);
    return end(io, turn, takes_effect(disk, turn) ? make_dir(disk, path) : 0);
}

static int remove_dir(struct sim_disk *disk, const char *path)
{
    struct sim_place place;
    int result = sim_tree_find(&disk->tree, path, NULL, &place);
    if (result < 0) return result;
    if (!place.node || !place.dir) return place.node ? ERR_IO : ERR_NOT_FOUND;
    if (!place.node->is_dir || place.node->cached.count > 0) return ERR_IO;
    sim_tree_remove(&disk->tree, &place);
    return 0;
}

int sim_rmdir(struct io *io, const char *path)
{
    enum turn turn = begin(io, SIM_DISK_NAME, 0);
    if (turn == TURN_DEAD) return ERR_IO;
    struct sim_disk *disk = disk_of(io);
    return end(io, turn, takes_effect(disk, turn) ? remove_dir(disk, path) : 0);
}

static int find_dir(struct sim_disk *disk, const char *path, struct sim_node **ret_dir)
{
    struct sim_place place;
    int result = sim_tree_find(&disk->tree, path, NULL, &place);
    if (result < 0) return result;
    if (!place.node || !place.node->is_dir) return ERR_NOT_FOUND;
    *ret_dir = place.node;
    return 0;
}

int sim_sync_dir(struct io *io, const char *path)
{
    enum turn turn = begin(io, SIM_DISK_NAME, 0);
    if (turn == TURN_DEAD) return ERR_IO;
    struct sim_disk *disk = disk_of(io);
    sim_io_of(io)->cost_ns += cost_ns(disk->host->sim, SIM_DISK_SYNC, 0);
    struct sim_node *dir;
    int result = find_dir(disk, path, &dir);
    if (result == 0 && takes_effect(disk, turn)) sim_tree_sync(&disk->tree, dir);
    return end(io, turn, result);
}

int sim_lock_dir(struct io_file *lock, const char *path)
{
    return lock->io->dead ? ERR_IO : 0;
}

/* The names are copied first: `each` may change the directory. */
int sim_list_dir(struct io *io, const char *path, int (*each)(void *context, const char *name),
                 void *context)
{
    enum turn turn = begin(io, SIM_DISK_READ, 0);
    if (turn == TURN_DEAD) return ERR_IO;
    struct sim_node *dir;
    int result = end(io, turn, find_dir(disk_of(io), path, &dir));
    if (result < 0) return result;
    size_t count = dir->cached.count;
    char **names = sim_alloc(count, sizeof *names);
    for (size_t i = 0; i < count; i++) names[i] = sim_strdup(dir->cached.items[i].text);
    for (size_t i = 0; i < count; i++) {
        if (result == 0) result = each(context, names[i]);
        free(names[i]);
    }
    free(names);
    return result;
}

int sim_stat(struct io *io, const char *path, uint64_t *ret_size, uint64_t *ret_mtime_ns,
             bool *ret_is_dir)
{
    enum turn turn = begin(io, SIM_DISK_READ, 0);
    if (turn == TURN_DEAD) return ERR_IO;
    struct sim_place place;
    int result = end(io, turn, sim_tree_find(&disk_of(io)->tree, path, NULL, &place));
    if (result < 0) return result;
    if (!place.node) return ERR_NOT_FOUND;
    *ret_size = place.node->content.cached_size;
    *ret_mtime_ns = place.node->mtime_ns;
    if (ret_is_dir) *ret_is_dir = place.node->is_dir;
    return 0;
}

int sim_disk_free_bytes(struct io *io, const char *path, uint64_t *ret_bytes)
{
    enum turn turn = begin(io, SIM_DISK_READ, 0);
    if (turn == TURN_DEAD) return ERR_IO;
    struct sim_disk *disk = disk_of(io);
    struct sim_place place;
    int result = end(io, turn, sim_tree_find(&disk->tree, path, NULL, &place));
    if (result < 0) return result;
    if (!place.node) return ERR_NOT_FOUND;
    uint64_t full = limit(disk), taken = used(disk);
    *ret_bytes = full > taken ? full - taken : 0;
    return 0;
}

/* ---- the disk, for the world and the harness --------------------------------------------- */

struct sim_disk *sim_disk_new(struct sim_host *host)
{
    struct sim_disk *disk = sim_alloc(1, sizeof *disk);
    disk->host = host;
    disk->limit = disk->refuse_after = UINT64_MAX;
    for (int op = 0; op < SIM_DISK_OPS; op++) disk->fail_after[op] = UINT64_MAX;
    sim_tree_init(&disk->tree);
    return disk;
}

void sim_disk_free(struct sim_disk *disk)
{
    sim_tree_release(&disk->tree);
    free(disk);
}

void sim_disk_crash(struct sim_disk *disk)
{
    sim_tree_crash(&disk->tree, prng_of(disk));
}

void sim_disk_fail(struct sim_host *host, enum sim_disk_op op, uint64_t skip)
{
    host->disk->fail_after[op] = skip;
}

void sim_disk_refuse(struct sim_host *host, uint64_t skip)
{
    host->disk->refuse_after = skip;
}

void sim_disk_limit(struct sim_host *host, uint64_t bytes)
{
    host->disk->limit = bytes;
}

uint64_t sim_disk_used(const struct sim_host *host)
{
    return used(host->disk);
}

int sim_disk_flip(struct sim_host *host, const char *path, uint64_t offset, uint8_t mask)
{
    struct sim_place place;
    int result = sim_tree_find(&host->disk->tree, path, NULL, &place);
    if (result < 0) return result;
    if (!place.node || !sim_content_flip(&place.node->content, offset, mask)) return ERR_NOT_FOUND;
    sim_note(host->sim, offset << 8 | mask);
    return 0;
}

int64_t sim_disk_peek(struct sim_host *host, const char *path, void *buf, size_t size,
                      uint64_t offset)
{
    struct sim_place place;
    int result = sim_tree_find(&host->disk->tree, path, NULL, &place);
    if (result < 0) return result;
    if (!place.node || place.node->is_dir) return ERR_NOT_FOUND;
    return (int64_t)sim_content_read(&place.node->content, buf, size, offset);
}
