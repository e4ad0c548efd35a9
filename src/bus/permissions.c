#include "bus/permissions.h"

#include "base/arena.h"
#include "base/map.h"
#include "bus/subject.h"

#include <assert.h>
#include <stdlib.h>

enum { CACHE_SLOTS = 64, CACHE_SUBJECT = 118, ARENA_MAX = 4 << 20 };

/* What the rules said of a literal subject. */
struct answer {
    uint8_t len; /* 0: free */
    bool allowed;
    char subject[CACHE_SUBJECT];
};

struct permissions {
    unsigned refs;
    struct arena arena;
    struct nats_permissions rules;
    struct answer *cache; /* made when it is first asked */
};

static void copy_list(struct arena *arena, const struct bytes *from, size_t count,
                      struct bytes **ret)
{
    *ret = arena_array(arena, count, sizeof **ret);
    for (size_t i = 0; *ret && i < count; i++) (*ret)[i] = arena_bytes(arena, from[i]);
}

static void copy_subjects(struct arena *arena, const struct nats_subjects *from,
                          struct nats_subjects *to)
{
    *to = *from;
    copy_list(arena, from->allow, from->allow_count, &to->allow);
    copy_list(arena, from->deny, from->deny_count, &to->deny);
}

int permissions_new(const struct nats_permissions *rules, struct permissions **ret_permissions)
{
    struct permissions *p = calloc(1, sizeof *p);
    if (!p) return ERR_NOMEM;
    p->refs = 1;
    arena_init(&p->arena, ARENA_MAX);
    p->rules = *rules;
    copy_subjects(&p->arena, &rules->publish, &p->rules.publish);
    copy_subjects(&p->arena, &rules->subscribe, &p->rules.subscribe);
    if (p->arena.failed) {
        permissions_unref(p);
        return ERR_NOMEM;
    }
    *ret_permissions = p;
    return 0;
}

struct permissions *permissions_ref(struct permissions *permissions)
{
    permissions->refs++;
    return permissions;
}

void permissions_unref(struct permissions *permissions)
{
    if (!permissions) return;
    assert(permissions->refs > 0);
    if (--permissions->refs) return;
    arena_release(&permissions->arena);
    free(permissions->cache);
    free(permissions);
}

const struct nats_permissions *permissions_rules(const struct permissions *permissions)
{
    return &permissions->rules;
}

/* ---- publishing ----------------------------------------------------------------------------- */

static bool matches_one(const struct bytes *patterns, size_t count, struct bytes subject)
{
    for (size_t i = 0; i < count; i++)
        if (subject_matches(patterns[i], subject)) return true;
    return false;
}

/* No rule matches such a subject; it goes nowhere, too. */
static bool has_empty_token(struct bytes subject)
{
    bool empty = false;
    for (struct bytes rest = subject; rest.data;) empty = !bytes_cut(&rest, '.').len || empty;
    return empty;
}

static bool judge(const struct nats_subjects *rules, struct bytes subject)
{
    if (has_empty_token(subject)) return !rules->allow_given;
    if (rules->allow_given && !matches_one(rules->allow, rules->allow_count, subject)) return false;
    return !matches_one(rules->deny, rules->deny_count, subject);
}

bool permissions_may_publish(struct permissions *permissions, struct bytes subject)
{
    const struct nats_subjects *rules = &permissions->rules.publish;
    if (!rules->allow_given && !rules->deny_count) return true;
    if (!permissions->cache) permissions->cache = calloc(CACHE_SLOTS, sizeof *permissions->cache);
    if (!permissions->cache || !subject.len || subject.len > CACHE_SUBJECT)
        return judge(rules, subject);
    struct answer *answer = &permissions->cache[map_hash(subject) % CACHE_SLOTS];
    if (!bytes_eq(bytes_make(answer->subject, answer->len), subject)) {
        answer->allowed = judge(rules, subject);
        answer->len = (uint8_t)subject.len;
        memcpy(answer->subject, subject.data, subject.len);
    }
    return answer->allowed;
}

/* ---- subscribing ---------------------------------------------------------------------------- */

/* A rule is a pattern, or "pattern queue"; the queue may have wildcards of its own. */
static struct bytes rule_split(struct bytes rule, struct bytes *ret_queue)
{
    struct bytes pattern = bytes_cut(&rule, ' ');
    *ret_queue = rule.data ? bytes_trim(rule) : (struct bytes){0};
    return pattern;
}

static bool queue_matches(struct bytes rule, struct bytes queue)
{
    return bytes_eq(rule, queue) || subject_matches(rule, queue);
}

/* Rules without a queue allow members of any queue too, unless there are rules for this pattern
 * that name queues: then only those. */
static bool allows(const struct nats_subjects *rules, struct bytes pattern, struct bytes queue)
{
    bool plain = false, named = false, member = false;
    for (size_t i = 0; i < rules->allow_count; i++) {
        struct bytes rule_queue, rule = rule_split(rules->allow[i], &rule_queue);
        if (!subject_contains(rule, pattern)) continue;
        if (!rule_queue.len) {
            plain = true;
        } else {
            named = true;
            member = member || queue_matches(rule_queue, queue);
        }
    }
    return queue.len && named ? member : plain;
}

static bool denies(const struct nats_subjects *rules, struct bytes pattern, struct bytes queue)
{
    for (size_t i = 0; i < rules->deny_count; i++) {
        struct bytes rule_queue, rule = rule_split(rules->deny[i], &rule_queue);
        if (!subject_contains(rule, pattern)) continue;
        if (!rule_queue.len || (queue.len && queue_matches(rule_queue, queue))) return true;
    }
    return false;
}

bool permissions_may_subscribe(const struct permissions *permissions, struct bytes pattern,
                               struct bytes queue)
{
    const struct nats_subjects *rules = &permissions->rules.subscribe;
    if (has_empty_token(pattern)) return !rules->allow_given;
    if (rules->allow_given && !allows(rules, pattern, queue)) return false;
    return !denies(rules, pattern, queue);
}

bool permissions_overlap_denied(const struct permissions *permissions, struct bytes pattern)
{
    const struct nats_subjects *rules = &permissions->rules.subscribe;
    for (size_t i = 0; i < rules->deny_count; i++) {
        struct bytes queue, rule = rule_split(rules->deny[i], &queue);
        if (!queue.len && subject_overlaps(rule, pattern)) return true;
    }
    return false;
}

bool permissions_may_receive(const struct permissions *permissions, struct bytes subject)
{
    const struct nats_subjects *rules = &permissions->rules.subscribe;
    for (size_t i = 0; i < rules->deny_count; i++) {
        struct bytes queue, rule = rule_split(rules->deny[i], &queue);
        if (!queue.len && subject_matches(rule, subject)) return false;
    }
    return true;
}
