/* yaml_tree: a document as a tree of nodes with places. Private to wire/yaml. The tree is made by
 * libyaml's event parser; aliases share their anchor's node, so it is a graph without cycles whose
 * expansion has at most YAML_NODES_MAX nodes and YAML_DEPTH_MAX floors. Lives in the arena. */
#ifndef DURE_WIRE_YAML_TREE_H
#define DURE_WIRE_YAML_TREE_H

#include "wire/yaml.h"

enum yaml_kind { YAML_KIND_SCALAR, YAML_KIND_LIST, YAML_KIND_MAPPING };

struct yaml_node {
    enum yaml_kind kind;
    bool quoted; /* a scalar that was not plain: always a string */
    int line, column;
    struct bytes text; /* of a scalar; ended by NUL */
    /* Elements of a list; key, value, key, value of a mapping. Keys are scalars, each there once.
     */
    struct yaml_node **items;
    size_t count; /* of items */
    size_t weight;
    int height;
};

/* Reads the one document in `text`. Repeated keys are reported and left out; anything worse is
 * reported and ends the reading. Returns 0 with the root, even when keys were repeated; or the
 * error. */
int yaml_tree_parse(struct bytes text, const char *name, struct arena *arena, struct errors *errors,
                    struct yaml_node **ret_root);

/* Whether the node says "left out": null, ~, or nothing, not quoted. */
bool yaml_node_is_null(const struct yaml_node *node);

/* What libyaml's parser or scanner says, put for a person. */
struct yaml_complaint {
    const char *problem;              /* libyaml's words; NULL: unknown */
    int line, column;                 /* where it was noticed */
    int context_line, context_column; /* where the thing began that it belongs to; 0: unknown */
    struct bytes text;                /* the whole document */
};

void yaml_complain(const struct yaml_complaint *complaint, const char *name, struct error *error);

/* Refuses what is no text: over the limit, empty, not UTF-8, control characters. */
int yaml_text_check(struct bytes text, const char *name, struct errors *errors);

#endif
