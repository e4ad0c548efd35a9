#include "bus/trie.h"

#include <assert.h>
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

struct trie_node {
    struct trie_node *parent;
    struct trie_node *star, *rest; /* the children "*" and ">" */
    struct list entries;
    uint64_t id; /* what the hashes of its children are seeded with */
    uint64_t hash;
    size_t literals; /* children in the table */
    size_t token_len;
    char token[];
};

enum { TABLE_MIN = 64 };

static bool is_token(struct bytes token, char c)
{
    return token.len == 1 && token.data[0] == c;
}

static uint64_t hash_of(const struct trie_node *parent, struct bytes token)
{
    return XXH3_64bits_withSeed(token.data, token.len, parent->id);
}

static struct trie_node *node_new(struct trie *trie, struct trie_node *parent, struct bytes token)
{
    struct trie_node *node = calloc(1, sizeof *node + token.len);
    if (!node) return NULL;
    node->parent = parent;
    node->id = trie->next_id++;
    node->token_len = token.len;
    if (token.len) memcpy(node->token, token.data, token.len);
    list_init(&node->entries);
    return node;
}

static struct trie_node *find(const struct trie *trie, const struct trie_node *parent,
                              struct bytes token)
{
    if (!parent->literals) return NULL;
    uint64_t hash = hash_of(parent, token);
    for (size_t i = hash & (trie->size - 1); trie->table[i]; i = (i + 1) & (trie->size - 1)) {
        struct trie_node *node = trie->table[i];
        if (node->hash == hash && node->parent == parent &&
            bytes_eq(bytes_make(node->token, node->token_len), token))
            return node;
    }
    return NULL;
}

static void table_put(struct trie *trie, struct trie_node *node)
{
    size_t i = node->hash & (trie->size - 1);
    while (trie->table[i]) i = (i + 1) & (trie->size - 1);
    trie->table[i] = node;
}

static int table_grow(struct trie *trie)
{
    if (trie->size && (trie->count + 1) * 4 <= trie->size * 3) return 0;
    size_t old_size = trie->size;
    struct trie_node **old = trie->table;
    size_t size = old_size ? old_size * 2 : TABLE_MIN;
    struct trie_node **table = calloc(size, sizeof *table);
    if (!table) return ERR_NOMEM;
    trie->table = table;
    trie->size = size;
    for (size_t i = 0; i < old_size; i++)
        if (old[i]) table_put(trie, old[i]);
    free(old);
    return 0;
}

/* Takes a node out and moves those behind it up, so that no search ends too early. */
static void table_remove(struct trie *trie, struct trie_node *node)
{
    size_t mask = trie->size - 1, hole = node->hash & mask;
    while (trie->table[hole] != node) hole = (hole + 1) & mask;
    for (size_t i = (hole + 1) & mask; trie->table[i]; i = (i + 1) & mask) {
        size_t home = trie->table[i]->hash & mask;
        if (((i - home) & mask) < ((i - hole) & mask)) continue;
        trie->table[hole] = trie->table[i];
        hole = i;
    }
    trie->table[hole] = NULL;
    trie->count--;
}

static struct trie_node *add_literal(struct trie *trie, struct trie_node *parent,
                                     struct bytes token)
{
    struct trie_node *node = find(trie, parent, token);
    if (node) return node;
    if (table_grow(trie)) return NULL;
    node = node_new(trie, parent, token);
    if (!node) return NULL;
    trie->nodes++;
    node->hash = hash_of(parent, token);
    parent->literals++;
    trie->count++;
    table_put(trie, node);
    return node;
}

static struct trie_node *add_child(struct trie *trie, struct trie_node *parent, struct bytes token)
{
    struct trie_node **special = NULL;
    if (is_token(token, '*')) special = &parent->star;
    if (is_token(token, '>')) special = &parent->rest;
    if (!special) return add_literal(trie, parent, token);
    if (*special) return *special;
    *special = node_new(trie, parent, token);
    trie->nodes += *special != NULL;
    return *special;
}

/* Frees the node and those above it as far as nothing needs them. */
static void prune(struct trie *trie, struct trie_node *node)
{
    while (node->parent && list_empty(&node->entries) && !node->literals && !node->star &&
           !node->rest) {
        struct trie_node *parent = node->parent;
        if (parent->star == node) {
            parent->star = NULL;
        } else if (parent->rest == node) {
            parent->rest = NULL;
        } else {
            table_remove(trie, node);
            parent->literals--;
        }
        trie->nodes--;
        free(node);
        node = parent;
    }
    if (trie->nodes) return;
    free(trie->table);
    free(trie->root);
    free(trie->whole);
    trie_init(trie);
}

/* With every token the walk splits in two at most, the literal child and "*"; the second of them
 * goes on in this loop. */
static void match(const struct trie *trie, const struct trie_node *node, struct bytes subject,
                  void (*each)(void *context, struct trie_entry *entry), void *context)
{
    for (;;) {
        const struct trie_node *taken = subject.data ? node->rest : node;
        if (taken) {
            LIST_EACH(&taken->entries, struct trie_entry, link, entry) each(context, entry);
        }
        if (!subject.data) return;
        struct bytes token = bytes_cut(&subject, '.');
        const struct trie_node *literal = find(trie, node, token), *star = node->star;
        if (literal && star) match(trie, literal, subject, each, context);
        node = star ? star : literal;
        if (!node) return;
    }
}

static void free_special(struct trie_node *node)
{
    if (!node) return;
    free_special(node->star);
    free_special(node->rest);
    free(node);
}

void trie_init(struct trie *trie)
{
    *trie = (struct trie){0};
}

void trie_release(struct trie *trie)
{
    for (size_t i = 0; i < trie->size; i++) {
        if (!trie->table[i]) continue;
        free_special(trie->table[i]->star);
        free_special(trie->table[i]->rest);
        free(trie->table[i]);
    }
    free(trie->table);
    free_special(trie->root);
    free(trie->whole);
    trie_init(trie);
}

static bool has_wildcards(struct bytes pattern)
{
    for (struct bytes rest = pattern; rest.data;) {
        struct bytes token = bytes_cut(&rest, '.');
        if (is_token(token, '*') || is_token(token, '>')) return true;
    }
    return false;
}

/* The node of a pattern; NULL: out of memory. */
static struct trie_node *add_nodes(struct trie *trie, struct bytes pattern)
{
    bool whole = *pattern.data != '$' && !has_wildcards(pattern);
    struct trie_node **root = whole ? &trie->whole : &trie->root;
    if (!*root) *root = node_new(trie, NULL, (struct bytes){0});
    struct trie_node *node = *root;
    if (node && whole) node = add_literal(trie, node, pattern);
    for (struct bytes rest = pattern; node && !whole && rest.data;) {
        struct trie_node *child = add_child(trie, node, bytes_cut(&rest, '.'));
        if (!child) prune(trie, node);
        node = child;
    }
    return node;
}

int trie_insert(struct trie *trie, struct bytes pattern, struct trie_entry *entry)
{
    struct trie_node *node = add_nodes(trie, pattern);
    if (!node) return ERR_NOMEM;
    list_init(&entry->link);
    list_push(&node->entries, &entry->link);
    entry->node = node;
    return 0;
}

void trie_remove(struct trie *trie, struct trie_entry *entry)
{
    if (!entry->node) return;
    struct trie_node *node = entry->node;
    list_remove(&entry->link);
    entry->node = NULL;
    prune(trie, node);
}

void trie_match(const struct trie *trie, struct bytes subject,
                void (*each)(void *context, struct trie_entry *entry), void *context)
{
    const struct trie_node *whole = trie->whole ? find(trie, trie->whole, subject) : NULL;
    if (whole) {
        LIST_EACH(&whole->entries, struct trie_entry, link, entry) each(context, entry);
    }
    if (trie->root) match(trie, trie->root, subject, each, context);
}

static void each_entry(const struct trie_node *node,
                       void (*each)(void *context, struct trie_entry *entry), void *context)
{
    if (!node) return;
    LIST_EACH(&node->entries, struct trie_entry, link, entry) each(context, entry);
    each_entry(node->star, each, context);
    each_entry(node->rest, each, context);
}

void trie_each(const struct trie *trie, void (*each)(void *context, struct trie_entry *entry),
               void *context)
{
    each_entry(trie->root, each, context);
    for (size_t i = 0; i < trie->size; i++) each_entry(trie->table[i], each, context);
}

/* From the last token to the first. */
void trie_pattern(const struct trie_entry *entry, struct buf *out)
{
    size_t len = 0;
    for (const struct trie_node *node = entry->node; node->parent; node = node->parent)
        len += node->token_len + 1;
    char *room = buf_reserve(out, len);
    if (!room || !len) return;
    char *at = room + --len; /* no dot behind the last */
    buf_commit(out, len);
    for (const struct trie_node *node = entry->node; node->parent; node = node->parent) {
        if (at != room + len) *--at = '.';
        at -= node->token_len;
        memcpy(at, node->token, node->token_len);
    }
}

bool trie_is_literal(const struct trie_entry *entry)
{
    for (const struct trie_node *node = entry->node; node && node->parent; node = node->parent) {
        if (node == node->parent->star || node == node->parent->rest) return false;
    }
    return true;
}

static bool reaches(const struct trie *trie, const struct trie_node *node, struct bytes tokens)
{
    if (!node) return false;
    if (node->rest) return true;
    if (!tokens.data) return node->literals || node->star;
    struct bytes token = bytes_cut(&tokens, '.');
    return reaches(trie, find(trie, node, token), tokens) || reaches(trie, node->star, tokens);
}

bool trie_reaches(const struct trie *trie, struct bytes tokens)
{
    return reaches(trie, trie->root, tokens);
}
