#include "bus/subject.h"

static bool is_token(struct bytes token, char c)
{
    return token.len == 1 && token.data[0] == c;
}

/* The token at the front of `rest`; after the last one rest->data is NULL. */
static struct bytes next_token(struct bytes *rest)
{
    return bytes_cut(rest, '.');
}

/* Calls for every token would cost more than the walk itself, so both checks are this one loop. */
static bool is_valid(struct bytes subject, bool literal)
{
    bool ended = false;
    if (!subject.len) return false;
    for (struct bytes rest = subject; rest.data;) {
        struct bytes token = next_token(&rest);
        if (!token.len || ended) return false;
        for (size_t i = 0; i < token.len; i++)
            if ((unsigned char)token.data[i] <= ' ' || token.data[i] == 0x7f) return false;
        if (literal && (is_token(token, '*') || is_token(token, '>'))) return false;
        ended = is_token(token, '>');
    }
    return true;
}

bool subject_is_pattern(struct bytes subject)
{
    return is_valid(subject, false);
}

bool subject_is_literal(struct bytes subject)
{
    return is_valid(subject, true);
}

bool subject_matches(struct bytes pattern, struct bytes subject)
{
    while (pattern.data && subject.data) {
        struct bytes want = next_token(&pattern);
        if (is_token(want, '>')) return true;
        struct bytes have = next_token(&subject);
        if (!is_token(want, '*') && !bytes_eq(want, have)) return false;
    }
    return !pattern.data && !subject.data;
}

bool subject_overlaps(struct bytes a, struct bytes b)
{
    while (a.data && b.data) {
        struct bytes x = next_token(&a), y = next_token(&b);
        if (is_token(x, '>') || is_token(y, '>')) return true;
        if (!is_token(x, '*') && !is_token(y, '*') && !bytes_eq(x, y)) return false;
    }
    return !a.data && !b.data;
}

bool subject_contains(struct bytes outer, struct bytes inner)
{
    while (outer.data && inner.data) {
        struct bytes x = next_token(&outer), y = next_token(&inner);
        if (is_token(x, '>')) return true;
        if (is_token(y, '>')) return false;
        if (!is_token(x, '*') && !bytes_eq(x, y)) return false;
    }
    return !outer.data && !inner.data;
}
