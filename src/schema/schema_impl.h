/* What a compiled schema is made of: a node for each schema in the document, in one arena. */
#ifndef DURE_SCHEMA_SCHEMA_IMPL_H
#define DURE_SCHEMA_SCHEMA_IMPL_H

#define PCRE2_CODE_UNIT_WIDTH 8

#include "base/arena.h"
#include "base/map.h"
#include "schema/schema.h"

#include <pcre2.h>

struct schema_pattern {
    const char *text;
    pcre2_code *code;
    struct schema_pattern *next; /* of all of the schema */
};

struct schema_node;

struct schema_nodes {
    struct schema_node **list;
    size_t count;
};

/* By name, sorted. */
struct schema_member {
    struct bytes name;
    struct schema_node *node;
};

struct schema_members {
    struct schema_member *list;
    size_t count;
};

struct schema_match {
    struct schema_pattern *pattern;
    struct schema_node *node;
};

struct schema_matches {
    struct schema_match *list;
    size_t count;
};

struct schema_range {
    uint64_t min, max; /* max UINT64_MAX: none */
};

/* One schema. What it does not say is zero, NULL or the widest range. */
struct schema_node {
    const json_t *json;
    const char *reference; /* $ref, until it is resolved */
    struct schema_node *ref;
    unsigned types; /* 0: any */
    bool nothing;   /* the schema `false` */
    bool unique;
    enum { NODE_NEW, NODE_ENTERED, NODE_LEFT } walk; /* of the search for circles */
    const json_t *constant, *choices;
    const json_t *minimum, *maximum, *exclusive_minimum, *exclusive_maximum, *multiple_of;
    const json_t *required, *dependent_required;
    struct schema_range length, items_count, contains_count, members_count;
    struct schema_pattern *pattern;
    struct schema_members properties, dependent;
    struct schema_matches patterns;
    struct schema_node *additional, *names, *unevaluated_members;
    struct schema_nodes prefix;
    struct schema_node *items, *contains, *unevaluated_items;
    struct schema_nodes all, any, one;
    struct schema_node *excluded, *condition, *then, *otherwise; /* not, if, then, else */
    struct schema_members definitions;
    struct schema_node *next; /* of all, in the order in which they were made */
};

struct schema {
    struct arena arena;
    json_t *json;
    struct schema_node *root, *first, **last;
    struct schema_pattern *patterns;
    struct map nodes;   /* the address of the json_t -> struct schema_node */
    struct map anchors; /* name -> struct schema_node */
};

/* ---- compile.c ---- */

/* The node of a schema, made if it is not there. */
int schema_compile(struct schema *schema, json_t *json, const struct schema_place *place, char *why,
                   struct schema_node **ret_node);

/* ---- reference.c ---- */

/* Resolves all $ref, and refuses those that come back to where they began without a step into the
 * document. */
int schema_resolve(struct schema *schema, const struct schema_place *place, char *why);

/* ---- pattern.c ---- */

/* A new pattern of the schema. 0, ERR_INVALID with why, ERR_NOMEM. */
int schema_pattern_new(struct schema *schema, const char *text, const struct schema_place *place,
                       char *why, struct schema_pattern **ret_pattern);
void schema_patterns_free(struct schema_pattern *patterns);

/* 1, 0, or ERR_TOO_BIG: it takes too long to find out. */
int schema_pattern_matches(const struct schema_pattern *pattern, struct bytes text);

/* ---- check*.c ---- */

enum { CHECK_STEPS_MAX = 1000000, CHECK_DEPTH_MAX = 1000 };

/* One document against the schema. */
struct check {
    char *why;      /* NULL: what is wrong is of no interest now */
    unsigned depth; /* of schemas in schemas */
    unsigned steps;
    int failure; /* why the answer is worthless, or 0 */
};

/* Which members or items of a value some schema has looked at, for unevaluated...; by their place
 * in the iteration. */
struct seen {
    bool *marks;
    size_t count;
};

/* Each: 0, or ERR_INVALID and why. `seen` NULL: nobody asks. */
int check_node(struct check *check, const struct schema_node *node, const json_t *value,
               const struct schema_place *place, struct seen *seen);
int check_object(struct check *check, const struct schema_node *node, const json_t *value,
                 const struct schema_place *place, struct seen *seen);
int check_array(struct check *check, const struct schema_node *node, const json_t *value,
                const struct schema_place *place, struct seen *seen);

/* Another schema of the same value. What it has seen counts only when the value is valid by it.
 * `loud`: say why it is not. */
int check_part(struct check *check, const struct schema_node *node, const json_t *value,
               const struct schema_place *place, struct seen *seen, bool loud);

/* `what` is counted: "items". */
int check_range(struct check *check, const struct schema_range *range, uint64_t count,
                const char *what, const struct schema_place *place);

/* Counts a step; false, and a failure, when there were too many. */
bool check_step(struct check *check, unsigned steps);

/* schema_place_wrong for those who want to know. */
#define CHECK_WRONG(check, place, ...) schema_place_wrong(place, (check)->why, __VA_ARGS__)

#endif
