/* trie: which patterns match a subject. A tree of tokens whose literal branches are kept in one
 * hash table for the whole tree, so a step down costs the same whatever the number of siblings.
 * A pattern without wildcards is one step by itself: a million of them cost one look into memory.
 * Pure; owns its nodes, but not the entries, which are embedded in the subscriptions. */
#ifndef DURE_BUS_TRIE_H
#define DURE_BUS_TRIE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/list.h"

struct trie_node;

struct trie_entry {
    struct list link;       /* private */
    struct trie_node *node; /* private; NULL: in no trie */
};

struct trie {
    struct trie_node **table; /* the literal nodes; open addressing */
    size_t count, size;       /* of the table; size is 0 or a power of two */
    size_t nodes;             /* all nodes but the root */
    uint64_t next_id;
    struct trie_node *root;  /* of patterns with wildcards, and of those that begin with '$' */
    struct trie_node *whole; /* its children are whole subjects: the other patterns */
};

void trie_init(struct trie *trie);

/* The trie must be empty of entries, or they are forgotten. */
void trie_release(struct trie *trie);

/* Adds an entry under a valid pattern (subject_is_pattern). ERR_NOMEM: nothing has changed. */
int trie_insert(struct trie *trie, struct bytes pattern, struct trie_entry *entry);

/* Removes it, and the nodes that nothing needs any more. Harmless when it is in no trie. */
void trie_remove(struct trie *trie, struct trie_entry *entry);

/* Calls `each` for every entry whose pattern matches. The subject's tokens are taken as they are (a
 * "*" in it is no wildcard); none may be empty. The trie must not change during the walk. */
void trie_match(const struct trie *trie, struct bytes subject,
                void (*each)(void *context, struct trie_entry *entry), void *context);

/* Calls `each` for every entry, in no order. The trie must not change during the walk. */
void trie_each(const struct trie *trie, void (*each)(void *context, struct trie_entry *entry),
               void *context);

/* Appends the pattern under which the entry stands. */
void trie_pattern(const struct trie_entry *entry, struct buf *out);

/* Whether the entry's pattern has no wildcard. */
bool trie_is_literal(const struct trie_entry *entry);

/* Whether some entry's pattern matches a subject that begins with these tokens and goes on. The
 * first of them must begin with '$'. */
bool trie_reaches(const struct trie *trie, struct bytes tokens);

#endif
