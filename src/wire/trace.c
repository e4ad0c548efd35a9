#include "wire/trace.h"

enum {
    KEY_MAX = 256,
    VALUE_MAX = 256,
    TRACE_ID_TEXT = 32,
    SPAN_ID_TEXT = 16,
};

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Exactly 2 * len lower-case digits. */
static bool from_hex(const char *text, uint8_t *ret_bytes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        ret_bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t len)
{
    uint8_t any = 0;
    for (size_t i = 0; i < len; i++) any |= bytes[i];
    return any == 0;
}

bool trace_id_is_zero(const struct trace_id *id)
{
    return is_zero(id->bytes, sizeof id->bytes);
}

bool span_id_is_zero(const struct span_id *id)
{
    return is_zero(id->bytes, sizeof id->bytes);
}

void trace_id_format(const struct trace_id *id, char *ret_text)
{
    bytes_hex(bytes_make(id->bytes, sizeof id->bytes), ret_text);
}

void span_id_format(const struct span_id *id, char *ret_text)
{
    bytes_hex(bytes_make(id->bytes, sizeof id->bytes), ret_text);
}

int trace_id_parse(struct bytes text, struct trace_id *ret_id)
{
    struct trace_id id;
    if (text.len != TRACE_ID_TEXT || !from_hex(text.data, id.bytes, sizeof id.bytes) ||
        trace_id_is_zero(&id))
        return ERR_SYNTAX;
    *ret_id = id;
    return 0;
}

int span_id_parse(struct bytes text, struct span_id *ret_id)
{
    struct span_id id;
    if (text.len != SPAN_ID_TEXT || !from_hex(text.data, id.bytes, sizeof id.bytes) ||
        span_id_is_zero(&id))
        return ERR_SYNTAX;
    *ret_id = id;
    return 0;
}

int trace_parent_parse(struct bytes text, struct trace_parent *ret_parent)
{
    struct trace_parent parent;
    uint8_t version;
    if (text.len < TRACE_PARENT_TEXT || text.data[2] != '-' || text.data[35] != '-' ||
        text.data[52] != '-')
        return ERR_SYNTAX;
    if (!from_hex(text.data, &version, 1) || version == 0xff) return ERR_SYNTAX;
    if (text.len > TRACE_PARENT_TEXT && (version == 0 || text.data[TRACE_PARENT_TEXT] != '-'))
        return ERR_SYNTAX;
    if (trace_id_parse(bytes_make(text.data + 3, TRACE_ID_TEXT), &parent.trace) != 0 ||
        span_id_parse(bytes_make(text.data + 36, SPAN_ID_TEXT), &parent.span) != 0 ||
        !from_hex(text.data + 53, &parent.flags, 1))
        return ERR_SYNTAX;
    *ret_parent = parent;
    return 0;
}

void trace_parent_format(const struct trace_parent *parent, char *ret_text)
{
    /* Flags without a meaning are sent as zero (section 3.2.2.5). */
    uint8_t flags = parent->flags & (TRACE_FLAG_SAMPLED | TRACE_FLAG_RANDOM);
    ret_text[0] = ret_text[1] = '0';
    ret_text[2] = '-';
    trace_id_format(&parent->trace, ret_text + 3);
    ret_text[35] = '-';
    span_id_format(&parent->span, ret_text + 36);
    ret_text[52] = '-';
    bytes_hex(bytes_make(&flags, 1), ret_text + 53);
}

void trace_format(const struct trace *trace, char *ret_text)
{
    struct trace_parent parent = {trace->id, trace->span, trace->flags};
    trace_parent_format(&parent, ret_text);
}

/* An id from random bytes; all zero is not an id. */
static void make_id(uint8_t *id, const uint8_t *random, size_t len)
{
    memcpy(id, random, len);
    if (is_zero(id, len)) id[len - 1] = 1;
}

void trace_start(struct trace *trace, const uint8_t random[TRACE_RANDOM])
{
    *trace = (struct trace){.flags = TRACE_FLAG_SAMPLED | TRACE_FLAG_RANDOM};
    make_id(trace->id.bytes, random, sizeof trace->id.bytes);
    make_id(trace->span.bytes, random + 16, sizeof trace->span.bytes);
}

void trace_continue(struct trace *trace, const struct trace_parent *parent,
                    const uint8_t random[TRACE_RANDOM])
{
    *trace = (struct trace){.id = parent->trace, .parent = parent->span, .flags = parent->flags};
    make_id(trace->span.bytes, random + 16, sizeof trace->span.bytes);
}

void trace_child(struct trace *trace, const struct trace *above, const uint8_t random[8])
{
    struct trace child = {.id = above->id, .parent = above->span, .flags = above->flags};
    make_id(child.span.bytes, random, sizeof child.span.bytes);
    *trace = child;
}

/* ---- tracestate ---------------------------------------------------------------------------- */

static bool is_key_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '*' ||
           c == '/';
}

/* Level 2: a lower-case letter or digit, then up to 255 of a-z 0-9 _ - * / and at most one '@' that
 * parts tenant and system (tenant up to 241, system up to 14 characters). */
static bool key_valid(struct bytes key)
{
    if (key.len == 0 || key.len > KEY_MAX) return false;
    size_t at = bytes_find(key, '@');
    struct bytes system = bytes_skip(key, at + 1);
    if (at < key.len && (at == 0 || at > 241 || system.len == 0 || system.len > 14 ||
                         system.data[0] < 'a' || system.data[0] > 'z'))
        return false;
    for (size_t i = 0; i < key.len; i++)
        if (i != at && !is_key_char(key.data[i])) return false;
    char first = key.data[0];
    return (first >= 'a' && first <= 'z') || (first >= '0' && first <= '9');
}

static bool value_valid(struct bytes value)
{
    if (value.len == 0 || value.len > VALUE_MAX || value.data[value.len - 1] == ' ') return false;
    for (size_t i = 0; i < value.len; i++)
        if (value.data[i] < ' ' || value.data[i] > '~' || value.data[i] == ',' ||
            value.data[i] == '=')
            return false;
    return true;
}

/* A key that comes twice is passed on as it came: it is its owner who knows what it means. */
static bool add_member(struct trace_intake *intake, struct bytes member)
{
    size_t equals = bytes_find(member, '=');
    struct bytes key = bytes_head(member, equals);
    if (equals == member.len || !key_valid(key) || !value_valid(bytes_skip(member, equals + 1)))
        return false;
    size_t comma = intake->state_len ? 1 : 0;
    if (++intake->members > TRACE_STATE_MEMBERS_MAX ||
        intake->state_len + comma + member.len > TRACE_STATE_MAX)
        return false;
    if (comma) intake->state[intake->state_len++] = ',';
    memcpy(intake->state + intake->state_len, member.data, member.len);
    intake->state_len += member.len;
    return true;
}

void trace_intake_init(struct trace_intake *intake)
{
    memset(intake, 0, offsetof(struct trace_intake, state));
}

void trace_intake_parent(struct trace_intake *intake, struct bytes value)
{
    intake->parents++;
    intake->parent_valid = intake->parents == 1 && trace_parent_parse(value, &intake->parent) == 0;
}

void trace_intake_state(struct trace_intake *intake, struct bytes value)
{
    while (value.data && !intake->state_invalid) {
        struct bytes member = bytes_trim(bytes_cut(&value, ','));
        if (member.len && !add_member(intake, member)) intake->state_invalid = true;
    }
}

bool trace_intake_finish(struct trace_intake *intake, const uint8_t random[TRACE_RANDOM],
                         struct trace *ret_trace)
{
    if (intake->parent_valid)
        trace_continue(ret_trace, &intake->parent, random);
    else
        trace_start(ret_trace, random);
    return intake->parent_valid;
}

struct bytes trace_intake_state_out(const struct trace_intake *intake)
{
    if (!intake->parent_valid || intake->state_invalid) return BYTES("");
    return bytes_make(intake->state, intake->state_len);
}
