#include "io/sim_dir.h"

#include "base/err.h"
#include "io/sim_memory.h"

/* In this directory the name now means this node (NULL: nothing). */
struct edit {
    struct sim_node *dir, *node;
    char *name;
};

/* One or two edits that happen together or not at all. */
struct change {
    struct list link;
    struct edit edits[2];
    int count;
    bool chosen; /* by the sync or the crash that is going on, to become durable */
};

/* ---- nodes and names --------------------------------------------------------------------- */

void sim_node_ref(struct sim_node *node)
{
    if (node) node->refs++;
}

static void names_release(struct sim_names *names)
{
    struct sim_names old = *names;
    *names = (struct sim_names){0};
    for (size_t i = 0; i < old.count; i++) {
        free(old.items[i].text);
        sim_node_unref(old.items[i].node);
    }
    free(old.items);
}

void sim_node_unref(struct sim_node *node)
{
    if (!node || --node->refs) return;
    list_remove(&node->link);
    names_release(&node->cached);
    names_release(&node->durable);
    sim_content_release(&node->content);
    free(node);
}

static struct sim_node *node_new(struct sim_tree *tree, bool is_dir)
{
    struct sim_node *node = sim_alloc(1, sizeof *node);
    node->is_dir = is_dir;
    sim_content_init(&node->content);
    list_push(&tree->nodes, &node->link);
    return node;
}

/* The place of the name, or where it belongs. */
static size_t names_find(const struct sim_names *names, const char *text, bool *ret_found)
{
    size_t low = 0, high = names->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(names->items[middle].text, text) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_found = low < names->count && strcmp(names->items[low].text, text) == 0;
    return low;
}

static struct sim_node *names_get(const struct sim_names *names, const char *text)
{
    bool found;
    size_t at = names_find(names, text, &found);
    return found ? names->items[at].node : NULL;
}

static void names_set(struct sim_names *names, const char *text, struct sim_node *node)
{
    bool found;
    size_t at = names_find(names, text, &found);
    struct sim_node *old = found ? names->items[at].node : NULL;
    sim_node_ref(node);
    if (found && node) {
        names->items[at].node = node;
    } else if (found) {
        free(names->items[at].text);
        memmove(names->items + at, names->items + at + 1,
                (--names->count - at) * sizeof(struct sim_name));
    } else if (node) {
        if (names->count == names->size) {
            names->size = names->size ? names->size * 2 : 8;
            names->items = sim_realloc(names->items, names->size, sizeof(struct sim_name));
        }
        memmove(names->items + at + 1, names->items + at,
                (names->count++ - at) * sizeof(struct sim_name));
        names->items[at] = (struct sim_name){sim_strdup(text), node};
    }
    sim_node_unref(old);
}

/* ---- changes ----------------------------------------------------------------------------- */

static void change_free(struct change *change)
{
    list_remove(&change->link);
    for (int i = 0; i < change->count; i++) {
        sim_node_unref(change->edits[i].dir);
        sim_node_unref(change->edits[i].node);
        free(change->edits[i].name);
    }
    free(change);
}

static struct change *change_new(struct sim_tree *tree)
{
    struct change *change = sim_alloc(1, sizeof *change);
    list_push(&tree->changes, &change->link);
    return change;
}

/* Takes effect in the cache at once. */
static void change_add(struct change *change, struct sim_node *dir, const char *name,
                       struct sim_node *node)
{
    sim_node_ref(dir);
    sim_node_ref(node);
    change->edits[change->count++] = (struct edit){dir, node, sim_strdup(name)};
    names_set(&dir->cached, name, node);
}

static void change_persist(struct change *change)
{
    for (int i = 0; i < change->count; i++)
        names_set(&change->edits[i].dir->durable, change->edits[i].name, change->edits[i].node);
}

static bool change_touches(const struct change *change, const struct sim_node *dir)
{
    for (int i = 0; i < change->count; i++)
        if (change->edits[i].dir == dir) return true;
    return false;
}

static bool change_overlaps(const struct change *a, const struct change *b)
{
    for (int i = 0; i < a->count; i++)
        for (int j = 0; j < b->count; j++)
            if (a->edits[i].dir == b->edits[j].dir &&
                strcmp(a->edits[i].name, b->edits[j].name) == 0)
                return true;
    return false;
}

/* ---- the tree ---------------------------------------------------------------------------- */

void sim_tree_init(struct sim_tree *tree)
{
    list_init(&tree->nodes);
    list_init(&tree->changes);
    tree->root = node_new(tree, true);
    sim_node_ref(tree->root);
}

/* Forgetting names frees nodes, also ones further on in the list: so all are held meanwhile. */
static void hold_nodes(struct sim_tree *tree)
{
    LIST_EACH(&tree->nodes, struct sim_node, link, node) sim_node_ref(node);
}

static void let_nodes_go(struct sim_tree *tree)
{
    struct list held;
    list_init(&held);
    list_splice(&held, &tree->nodes);
    for (struct list *link; (link = list_pop(&held));) {
        list_push(&tree->nodes, link);
        sim_node_unref(CONTAINER_OF(link, struct sim_node, link));
    }
}

void sim_tree_release(struct sim_tree *tree)
{
    LIST_EACH(&tree->changes, struct change, link, change) change_free(change);
    hold_nodes(tree);
    LIST_EACH(&tree->nodes, struct sim_node, link, node) {
        names_release(&node->cached);
        names_release(&node->durable);
    }
    sim_node_unref(tree->root);
    let_nodes_go(tree);
    assert(list_empty(&tree->nodes));
}

int sim_tree_find(const struct sim_tree *tree, const char *path, const struct sim_node *avoid,
                  struct sim_place *ret_place)
{
    struct bytes rest = bytes_str(path);
    *ret_place = (struct sim_place){.node = tree->root};
    while (rest.len) {
        struct bytes part = bytes_cut(&rest, '/');
        if (!part.len || bytes_eq(part, BYTES("."))) continue;
        if (bytes_eq(part, BYTES(".."))) return ERR_INVALID;
        if (part.len > SIM_NAME_MAX) return ERR_TOO_BIG;
        struct sim_node *dir = ret_place->node;
        if (!dir || !dir->is_dir) return ERR_NOT_FOUND;
        if (dir == avoid) return ERR_INVALID;
        ret_place->dir = dir;
        memcpy(ret_place->name, part.data, part.len);
        ret_place->name[part.len] = '\0';
        ret_place->node = names_get(&dir->cached, ret_place->name);
    }
    return 0;
}

struct sim_node *sim_tree_make(struct sim_tree *tree, const struct sim_place *place, bool is_dir)
{
    struct sim_node *node = node_new(tree, is_dir);
    change_add(change_new(tree), place->dir, place->name, node);
    return node;
}

void sim_tree_remove(struct sim_tree *tree, const struct sim_place *place)
{
    change_add(change_new(tree), place->dir, place->name, NULL);
}

void sim_tree_rename(struct sim_tree *tree, const struct sim_place *from,
                     const struct sim_place *to)
{
    struct change *change = change_new(tree);
    change_add(change, to->dir, to->name, from->node);
    change_add(change, from->dir, from->name, NULL);
}

static bool overlaps_later(const struct sim_tree *tree, const struct change *change)
{
    for (struct list *link = change->link.next; link != &tree->changes; link = link->next) {
        const struct change *later = CONTAINER_OF(link, struct change, link);
        if (later->chosen && change_overlaps(change, later)) return true;
    }
    return false;
}

/* What touches the directory, and from the newest to the oldest all that those build upon. */
void sim_tree_sync(struct sim_tree *tree, struct sim_node *dir)
{
    for (struct list *link = tree->changes.prev; link != &tree->changes; link = link->prev) {
        struct change *change = CONTAINER_OF(link, struct change, link);
        change->chosen = change_touches(change, dir) || overlaps_later(tree, change);
    }
    LIST_EACH(&tree->changes, struct change, link, change) {
        if (!change->chosen) continue;
        change_persist(change);
        change_free(change);
    }
}

static bool survives(const struct sim_tree *tree, const struct change *change,
                     struct sim_prng *prng, uint64_t pattern)
{
    for (struct list *link = tree->changes.next; link != &change->link; link = link->next) {
        const struct change *earlier = CONTAINER_OF(link, struct change, link);
        if (!earlier->chosen && (pattern == 2 || change_overlaps(earlier, change))) return false;
    }
    return pattern == 1 || (pattern > 1 && sim_prng_next(prng) & 1);
}

/* Pattern 0: none survives, 1: all, 2: the first few, else: any. */
static void crash_names(struct sim_tree *tree, struct sim_prng *prng)
{
    if (list_empty(&tree->changes)) return;
    uint64_t pattern = sim_prng_below(prng, 5);
    LIST_EACH(&tree->changes, struct change, link, change) {
        change->chosen = survives(tree, change, prng, pattern);
        if (change->chosen) change_persist(change);
    }
    LIST_EACH(&tree->changes, struct change, link, change) change_free(change);
}

static void names_copy(struct sim_names *to, const struct sim_names *from)
{
    names_release(to);
    for (size_t i = 0; i < from->count; i++)
        names_set(to, from->items[i].text, from->items[i].node);
}

void sim_tree_crash(struct sim_tree *tree, struct sim_prng *prng)
{
    crash_names(tree, prng);
    hold_nodes(tree);
    LIST_EACH(&tree->nodes, struct sim_node, link, node) {
        if (node->is_dir)
            names_copy(&node->cached, &node->durable);
        else
            sim_content_crash(&node->content, prng);
    }
    let_nodes_go(tree);
}
