#include "wire/yaml_tree.h"

#include <yaml.h>

#include "base/map.h"

enum { ANCHORS_MAX = 256, ITEMS_FIRST = 8 };

struct anchor {
    struct bytes name;
    struct yaml_node *node;
    bool open; /* its value is not whole yet, so nothing can stand for it */
};

struct tree {
    yaml_parser_t parser;
    yaml_event_t event; /* the one at hand */
    struct bytes text;
    const char *name;
    struct arena *arena;
    struct errors *errors;
    struct anchor anchors[ANCHORS_MAX];
    size_t anchor_count;
    size_t weight; /* nodes so far, aliases expanded */
};

static int fail(struct tree *tree, yaml_mark_t mark, int code, const char *message,
                const char *remedy)
{
    struct error *error = errors_add(tree->errors);
    error_set(error, code, "%s", message);
    error_at(error, tree->name, (int)mark.line + 1, (int)mark.column + 1);
    error_remedy(error, "%s", remedy);
    return code;
}

static int fail_nomem(struct tree *tree)
{
    struct error *error = errors_add(tree->errors);
    error_at(error, tree->name, 0, 0);
    return error_set(error, ERR_NOMEM, "out of memory while reading this file");
}

static int fail_syntax(struct tree *tree)
{
    const yaml_parser_t *parser = &tree->parser;
    if (parser->error == YAML_MEMORY_ERROR) return fail_nomem(tree);
    struct yaml_complaint complaint = {.problem = parser->problem,
                                       .line = (int)parser->problem_mark.line + 1,
                                       .column = (int)parser->problem_mark.column + 1,
                                       .text = tree->text};
    if (parser->context) {
        complaint.context_line = (int)parser->context_mark.line + 1;
        complaint.context_column = (int)parser->context_mark.column + 1;
    }
    struct error *error = errors_add(tree->errors);
    yaml_complain(&complaint, tree->name, error);
    return error->code;
}

/* Moves on to the next event. */
static int advance(struct tree *tree)
{
    yaml_event_delete(&tree->event);
    memset(&tree->event, 0, sizeof tree->event);
    return yaml_parser_parse(&tree->parser, &tree->event) ? 0 : fail_syntax(tree);
}

static int count_nodes(struct tree *tree, size_t weight)
{
    tree->weight += weight;
    if (tree->weight <= YAML_NODES_MAX) return 0;
    return fail(tree, tree->event.start_mark, ERR_TOO_BIG,
                "this file has more than 50000 values, counting what its aliases (*name) stand for",
                "Write out what you need instead of nesting aliases.");
}

static struct yaml_node *new_node(struct tree *tree, enum yaml_kind kind)
{
    struct yaml_node *node = arena_alloc(tree->arena, sizeof *node);
    if (!node) return NULL;
    node->kind = kind;
    node->line = (int)tree->event.start_mark.line + 1;
    node->column = (int)tree->event.start_mark.column + 1;
    node->weight = 1;
    return node;
}

static int add_anchor(struct tree *tree, const yaml_char_t *name, struct yaml_node *node)
{
    if (!name) return 0;
    if (tree->anchor_count == ANCHORS_MAX)
        return fail(tree, tree->event.start_mark, ERR_TOO_BIG,
                    "this file has more than 256 anchors (&name)", "Write the values out.");
    struct bytes copy = arena_bytes(tree->arena, bytes_str((const char *)name));
    if (copy.len == 0) return fail_nomem(tree);
    tree->anchors[tree->anchor_count++] = (struct anchor){copy, node, false};
    return 0;
}

static int fail_alias(struct tree *tree, struct bytes name)
{
    const char *names[ANCHORS_MAX];
    for (size_t i = 0; i < tree->anchor_count; i++) names[i] = tree->anchors[i].name.data;
    const char *near = bytes_nearest(name, names, tree->anchor_count);
    struct error *error = errors_add(tree->errors);
    error_set(error, ERR_INVALID,
              "the alias `*%.*s` stands for nothing: no value above it is "
              "anchored as `&%.*s`",
              BYTES_ARG(name), BYTES_ARG(name));
    error_at(error, tree->name, (int)tree->event.start_mark.line + 1,
             (int)tree->event.start_mark.column + 1);
    if (near)
        error_remedy(error, "Did you mean `*%s`?", near);
    else
        error_remedy(error,
                     "Put quotes around a text that starts with `*`, as in \"*.example.org\".");
    return ERR_INVALID;
}

static int read_alias(struct tree *tree, int depth, struct yaml_node **ret_node)
{
    struct bytes name = bytes_str((const char *)tree->event.data.alias.anchor);
    for (size_t i = tree->anchor_count; i-- > 0;) { /* the latest of a name is meant */
        if (!bytes_eq(tree->anchors[i].name, name)) continue;
        if (tree->anchors[i].open)
            return fail(tree, tree->event.start_mark, ERR_INVALID,
                        "this alias is inside the value that it stands for",
                        "Write out what is meant here.");
        *ret_node = tree->anchors[i].node;
        if (depth + (*ret_node)->height > YAML_DEPTH_MAX)
            return fail(tree, tree->event.start_mark, ERR_TOO_BIG,
                        "lists and mappings are nested more than 32 deep here",
                        "Write out what you need instead of nesting aliases.");
        return count_nodes(tree, (*ret_node)->weight);
    }
    return fail_alias(tree, name);
}

static int read_scalar(struct tree *tree, struct yaml_node **ret_node)
{
    const yaml_event_t *event = &tree->event;
    struct yaml_node *node = new_node(tree, YAML_KIND_SCALAR);
    if (!node) return fail_nomem(tree);
    if (memchr(event->data.scalar.value, 0, event->data.scalar.length))
        return fail(tree, event->start_mark, ERR_INVALID,
                    "this text contains a NUL character (\\0)",
                    "Remove it: no value of a manifest can hold one.");
    node->text = bytes_make(event->data.scalar.value, event->data.scalar.length);
    node->text = arena_bytes(tree->arena, node->text);
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    *ret_node = node;
    return add_anchor(tree, event->data.scalar.anchor, node);
}

static int add_item(struct tree *tree, struct yaml_node *node, size_t *size, struct yaml_node *item)
{
    if (node->count == *size) {
        size_t grown = *size ? *size * 2 : ITEMS_FIRST;
        struct yaml_node **items = arena_array(tree->arena, grown, sizeof *items);
        if (!items) return fail_nomem(tree);
        if (node->count) memcpy(items, node->items, node->count * sizeof *items);
        node->items = items;
        *size = grown;
    }
    node->items[node->count++] = item;
    node->weight += item->weight;
    if (item->height >= node->height) node->height = item->height + 1;
    return 0;
}

static int read_node(struct tree *tree, int depth, struct yaml_node **ret_node);

static int read_items(struct tree *tree, int depth, struct yaml_node *node, yaml_event_type_t end)
{
    size_t size = 0;
    int err = advance(tree);
    while (!err && tree->event.type != end) {
        struct yaml_node *item;
        bool is_key = node->kind == YAML_KIND_MAPPING && node->count % 2 == 0;
        yaml_mark_t mark = tree->event.start_mark;
        err = read_node(tree, depth, &item);
        if (!err && is_key && item->kind != YAML_KIND_SCALAR)
            err =
                fail(tree, mark, ERR_INVALID, "a key must be a word, but this is a list or mapping",
                     "If it is a value, put it behind its key: `key: [value]`.");
        if (!err) err = add_item(tree, node, &size, item);
        if (!err) err = advance(tree);
    }
    return err;
}

/* Takes repeated keys out. */
static int drop_repeated(struct tree *tree, struct yaml_node *mapping)
{
    struct map seen;
    map_init(&seen, YAML_NODES_MAX);
    size_t kept = 0;
    int err = 0;
    for (size_t i = 0; i < mapping->count && !err; i += 2) {
        struct yaml_node *key = mapping->items[i], *first = map_get(&seen, key->text);
        if (first) {
            struct error *error = errors_add(tree->errors);
            error_set(error, ERR_INVALID, "the key `%.*s` is there twice: it was given in line %d",
                      BYTES_ARG(yaml_shown(key->text)), first->line);
            error_at(error, tree->name, key->line, key->column);
            error_remedy(error, "Keep one of the two.");
            continue;
        }
        err = map_put(&seen, key->text, key, NULL);
        mapping->items[kept++] = key;
        mapping->items[kept++] = mapping->items[i + 1];
    }
    mapping->count = kept;
    map_release(&seen);
    return err ? fail_nomem(tree) : 0;
}

static int read_collection(struct tree *tree, int depth, struct yaml_node **ret_node)
{
    bool is_list = tree->event.type == YAML_SEQUENCE_START_EVENT;
    yaml_mark_t mark = tree->event.start_mark;
    if (depth == YAML_DEPTH_MAX)
        return fail(tree, mark, ERR_TOO_BIG, "lists and mappings are nested more than 32 deep here",
                    "A manifest needs 5 at most: check the brackets and the indentation.");
    struct yaml_node *node = new_node(tree, is_list ? YAML_KIND_LIST : YAML_KIND_MAPPING);
    if (!node) return fail_nomem(tree);
    size_t anchor = tree->anchor_count;
    int err = add_anchor(tree,
                         is_list ? tree->event.data.sequence_start.anchor
                                 : tree->event.data.mapping_start.anchor,
                         node);
    bool anchored = tree->anchor_count > anchor;
    if (anchored) tree->anchors[anchor].open = true;
    if (!err)
        err = read_items(tree, depth + 1, node,
                         is_list ? YAML_SEQUENCE_END_EVENT : YAML_MAPPING_END_EVENT);
    if (!err && !is_list) err = drop_repeated(tree, node);
    if (anchored) tree->anchors[anchor].open = false;
    *ret_node = node;
    return err;
}

static bool has_tag(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_SCALAR_EVENT: return event->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT: return event->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT: return event->data.mapping_start.tag;
    default: return false;
    }
}

/* The node that the event at hand begins; ends with its last event at hand. Recursion is bounded
 * by YAML_DEPTH_MAX. */
static int read_node(struct tree *tree, int depth, struct yaml_node **ret_node)
{
    if (has_tag(&tree->event))
        return fail(tree, tree->event.start_mark, ERR_UNSUPPORTED,
                    "tags (`!name`) mean nothing here: a value's type is known from its key",
                    "Remove it, or put quotes around a text that starts with `!`.");
    if (tree->event.type == YAML_ALIAS_EVENT) return read_alias(tree, depth, ret_node);
    int err = count_nodes(tree, 1);
    if (err) return err;
    if (tree->event.type == YAML_SCALAR_EVENT) return read_scalar(tree, ret_node);
    return read_collection(tree, depth, ret_node);
}

/* stream start, document start, the root, document end, stream end */
static int read_document(struct tree *tree, struct yaml_node **ret_root)
{
    int err = advance(tree);
    if (!err) err = advance(tree);
    if (err) return err;
    if (tree->event.type == YAML_STREAM_END_EVENT)
        return fail(tree, (yaml_mark_t){0}, ERR_INVALID,
                    "this file says nothing: it has only comments or white space",
                    "Write its keys and values, one `key: value` a line.");
    err = advance(tree);
    if (!err) err = read_node(tree, 0, ret_root);
    if (!err) err = advance(tree);
    if (!err) err = advance(tree);
    if (!err && tree->event.type != YAML_STREAM_END_EVENT)
        return fail(tree, tree->event.start_mark, ERR_INVALID,
                    "a second document begins here (`---`), but a manifest is one document",
                    "Move it to a file of its own, or remove the line `---`.");
    return err;
}

int yaml_tree_parse(struct bytes text, const char *name, struct arena *arena, struct errors *errors,
                    struct yaml_node **ret_root)
{
    int err = yaml_text_check(text, name, errors);
    if (err) return err;
    struct tree *tree = arena_alloc(arena, sizeof *tree);
    struct tree failed = {.name = name, .errors = errors};
    if (!tree || !yaml_parser_initialize(&tree->parser)) return fail_nomem(&failed);
    tree->text = text;
    tree->name = name;
    tree->arena = arena;
    tree->errors = errors;
    yaml_parser_set_encoding(&tree->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&tree->parser, (const unsigned char *)text.data, text.len);
    err = read_document(tree, ret_root);
    if (!err && arena->failed) err = fail_nomem(tree);
    yaml_event_delete(&tree->event);
    yaml_parser_delete(&tree->parser);
    return err;
}

bool yaml_node_is_null(const struct yaml_node *node)
{
    if (node->kind != YAML_KIND_SCALAR || node->quoted) return false;
    return node->text.len == 0 || bytes_eq(node->text, BYTES("~")) ||
           bytes_eq(node->text, BYTES("null"));
}
