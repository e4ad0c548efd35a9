/* sim_dir: the names on one simulated disk. A directory has cached names, which the program sees,
 * and durable ones. A change of names waits in the tree's list until a directory that it touches is
 * synced; when the power fails each waiting change survives or not, but a change of a name never
 * without the changes of the same name before it. A node lives while a name, a waiting change or an
 * open file holds it. */
#ifndef DURE_IO_SIM_DIR_H
#define DURE_IO_SIM_DIR_H

#include "base/bytes.h"
#include "base/list.h"
#include "io/sim_content.h"

enum { SIM_NAME_MAX = 255 };

struct sim_node;

struct sim_name {
    char *text;
    struct sim_node *node;
};

/* Sorted by the bytes of the names. */
struct sim_names {
    struct sim_name *items;
    size_t count, size;
};

struct sim_node {
    struct list link; /* in tree->nodes, in the order they were made */
    int refs;
    bool is_dir;
    uint64_t mtime_ns;
    struct sim_content content;       /* of a file */
    struct sim_names cached, durable; /* of a directory */
};

struct sim_tree {
    struct list nodes;
    struct list changes; /* of struct change: waiting, oldest first */
    struct sim_node *root;
};

/* Where a path leads: the directory that has, or would have, the last name of it. */
struct sim_place {
    struct sim_node *dir;  /* NULL: the path is the root itself */
    struct sim_node *node; /* NULL: nothing has that name yet */
    char name[SIM_NAME_MAX + 1];
};

void sim_tree_init(struct sim_tree *tree);
void sim_tree_release(struct sim_tree *tree);

/* ERR_NOT_FOUND when a directory on the way is missing, ERR_TOO_BIG, ERR_INVALID for "..". When
 * `avoid` (may be NULL) is on the way: ERR_INVALID. */
int sim_tree_find(const struct sim_tree *tree, const char *path, const struct sim_node *avoid,
                  struct sim_place *ret_place);

/* A new file or directory at a place that has none. */
struct sim_node *sim_tree_make(struct sim_tree *tree, const struct sim_place *place, bool is_dir);

void sim_tree_remove(struct sim_tree *tree, const struct sim_place *place);

/* Replaces what is at `to`. */
void sim_tree_rename(struct sim_tree *tree, const struct sim_place *from,
                     const struct sim_place *to);

/* Changes that touch this directory become durable. */
void sim_tree_sync(struct sim_tree *tree, struct sim_node *dir);

/* The power fails, for names and for contents. No file is open. */
void sim_tree_crash(struct sim_tree *tree, struct sim_prng *prng);

void sim_node_ref(struct sim_node *node);
void sim_node_unref(struct sim_node *node);

#endif
