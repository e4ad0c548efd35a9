/* Subjects of a scoped signing key may speak of the user that comes with it: {{name()}} and
 * {{subject()}} of its token, {{account-name()}} and {{account-subject()}} of its account's. */
#include "bus/auth.h"

enum { SUBJECT_MAX = 4096 };

struct expansion {
    const struct nats_jwt *user, *account;
    struct arena *arena;
    bool failed;
};

/* What a token says goes into a subject as it is, so it must not bring wildcards of its own. */
static bool is_plain(struct bytes value)
{
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.data[i] <= ' ' || value.data[i] == '*' || value.data[i] == '>')
            return false;
    return value.len > 0;
}

static struct bytes value_of(struct expansion *e, struct bytes function)
{
    struct bytes value = {0};
    if (bytes_eq(function, BYTES("name()"))) value = e->user->name;
    if (bytes_eq(function, BYTES("subject()"))) value = e->user->subject;
    if (bytes_eq(function, BYTES("account-name()"))) value = e->account->name;
    if (bytes_eq(function, BYTES("account-subject()"))) value = e->account->subject;
    if (!is_plain(value)) e->failed = true;
    return value;
}

static size_t find_pair(struct bytes text, char c)
{
    size_t at = 0;
    while (at + 1 < text.len && (text.data[at] != c || text.data[at + 1] != c)) at++;
    return at + 1 < text.len ? at : text.len;
}

static struct bytes expand(struct expansion *e, struct bytes text)
{
    struct buf out;
    buf_init(&out, SUBJECT_MAX);
    for (;;) {
        size_t at = find_pair(text, '{');
        buf_append(&out, bytes_head(text, at));
        if (at == text.len) break;
        text = bytes_skip(text, at + 2);
        size_t end = find_pair(text, '}');
        if (end == text.len) e->failed = true;
        buf_append(&out, value_of(e, bytes_trim(bytes_head(text, end))));
        text = bytes_skip(text, end + 2);
    }
    if (out.failed) e->failed = true;
    struct bytes expanded = arena_bytes(e->arena, buf_bytes(&out));
    buf_release(&out);
    return expanded;
}

static struct bytes *expand_list(struct expansion *e, const struct bytes *from, size_t count)
{
    struct bytes *list = arena_array(e->arena, count, sizeof *list);
    for (size_t i = 0; list && i < count; i++) list[i] = expand(e, from[i]);
    return list;
}

static void expand_subjects(struct expansion *e, struct nats_subjects *subjects)
{
    subjects->allow = expand_list(e, subjects->allow, subjects->allow_count);
    subjects->deny = expand_list(e, subjects->deny, subjects->deny_count);
}

bool auth_expand(struct nats_permissions *permissions, const struct nats_jwt *user,
                 const struct nats_jwt *account, struct arena *arena)
{
    struct expansion e = {user, account, arena, false};
    expand_subjects(&e, &permissions->publish);
    expand_subjects(&e, &permissions->subscribe);
    return !e.failed && !arena->failed;
}
