#include "sdk/src/json.h"

struct dure_json {
    struct dure_ctx *ctx;
    json_t *value;
    struct dure_json *next; /* in ctx->json_roots */
};

struct json_root {
    struct dure_json json;
};

/* Takes over the reference `value`. */
struct dure_json *json_hold(struct dure_ctx *ctx, json_t *value)
{
    struct json_root *root = value ? arena_alloc(&ctx->arena, sizeof *root) : NULL;
    if (!root) {
        json_decref(value);
        ctx->json_failed = true;
        return NULL;
    }
    root->json = (struct dure_json){ctx, value, (struct dure_json *)ctx->json_roots};
    ctx->json_roots = root;
    return &root->json;
}

void json_release_to(struct dure_ctx *ctx, struct json_root *roots)
{
    const struct dure_json *end = (const struct dure_json *)roots;
    for (struct dure_json *json = (struct dure_json *)ctx->json_roots; json != end;
         json = json->next)
        json_decref(json->value);
    ctx->json_roots = roots;
}

void json_release_all(struct dure_ctx *ctx)
{
    json_release_to(ctx, NULL);
}

/* ---- reading ------------------------------------------------------------------------------------
 */

static bool nests_too_deep(const char *text, size_t len)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\') i++;
            if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > JSON_NESTING_MAX) return true;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return false;
}

int json_read(struct dure_ctx *ctx, const char *text, size_t len, int invalid,
              struct dure_json **ret_json)
{
    *ret_json = NULL;
    if (nests_too_deep(text, len)) return invalid;
    json_error_t error;
    json_t *value = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &error);
    if (!value) return json_error_code(&error) == json_error_out_of_memory ? DURE_ENOMEM : invalid;
    *ret_json = json_hold(ctx, value);
    return *ret_json ? 0 : DURE_ENOMEM;
}

struct dure_json *dure_json_parse(struct dure_ctx *ctx, const char *text, size_t len)
{
    struct dure_json *json;
    return json_read(ctx, text, len, DURE_EINVALID, &json) ? NULL : json;
}

static const json_t *value_of(const struct dure_json *json)
{
    return json ? json->value : NULL;
}

static const json_t *member(const struct dure_json *json, const char *key)
{
    return json && key ? json_object_get(json->value, key) : NULL;
}

json_t *json_borrow(const struct dure_json *json)
{
    return json ? json_incref(json->value) : NULL;
}

static struct dure_json *borrow(const struct dure_json *json, const json_t *value)
{
    return value ? json_hold(json->ctx, json_incref((json_t *)value)) : NULL;
}

struct dure_json *dure_json_get(const struct dure_json *json, const char *key)
{
    return borrow(json, member(json, key));
}

struct dure_json *dure_json_at(const struct dure_json *json, size_t index)
{
    return borrow(json, json_array_get(value_of(json), index));
}

size_t dure_json_count(const struct dure_json *json)
{
    const json_t *value = value_of(json);
    return json_is_object(value) ? json_object_size(value) : json_array_size(value);
}

const char *dure_json_key(const struct dure_json *json, size_t index)
{
    if (!json || !json_is_object(json->value)) return NULL;
    void *at = json_object_iter(json->value);
    while (at && index--) at = json_object_iter_next(json->value, at);
    return at ? json_object_iter_key(at) : NULL;
}

static const char *to_string(const json_t *value, const char *fallback)
{
    return json_is_string(value) ? json_string_value(value) : fallback;
}

static int64_t to_int(const json_t *value, int64_t fallback)
{
    return json_is_integer(value) ? json_integer_value(value) : fallback;
}

static double to_number(const json_t *value, double fallback)
{
    return json_is_number(value) ? json_number_value(value) : fallback;
}

static bool to_bool(const json_t *value, bool fallback)
{
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

const char *dure_json_string(const struct dure_json *json, const char *fallback)
{
    return to_string(value_of(json), fallback);
}

int64_t dure_json_int(const struct dure_json *json, int64_t fallback)
{
    return to_int(value_of(json), fallback);
}

double dure_json_number(const struct dure_json *json, double fallback)
{
    return to_number(value_of(json), fallback);
}

bool dure_json_bool(const struct dure_json *json, bool fallback)
{
    return to_bool(value_of(json), fallback);
}

const char *dure_json_get_string(const struct dure_json *json, const char *key,
                                 const char *fallback)
{
    return to_string(member(json, key), fallback);
}

int64_t dure_json_get_int(const struct dure_json *json, const char *key, int64_t fallback)
{
    return to_int(member(json, key), fallback);
}

double dure_json_get_number(const struct dure_json *json, const char *key, double fallback)
{
    return to_number(member(json, key), fallback);
}

bool dure_json_get_bool(const struct dure_json *json, const char *key, bool fallback)
{
    return to_bool(member(json, key), fallback);
}

/* ---- building -----------------------------------------------------------------------------------
 */

struct dure_json *dure_json_object(struct dure_ctx *ctx)
{
    return json_hold(ctx, json_object());
}

struct dure_json *dure_json_array(struct dure_ctx *ctx)
{
    return json_hold(ctx, json_array());
}

/* Takes over the reference `value`; NULL is a failure that is remembered. */
static void put(struct dure_json *json, const char *key, json_t *value)
{
    if (!json) { /* could not be made: its ctx knows */
        json_decref(value);
        return;
    }
    int failed = key ? json_object_set_new(json->value, key, value)
                     : json_array_append_new(json->value, value);
    if (failed) json->ctx->json_failed = true;
}

void dure_json_set(struct dure_json *json, const char *key, const struct dure_json *value)
{
    put(json, key, value ? json_incref(value->value) : json_null());
}

void dure_json_set_string(struct dure_json *json, const char *key, const char *value)
{
    put(json, key, value ? json_string(value) : json_null());
}

void dure_json_set_int(struct dure_json *json, const char *key, int64_t value)
{
    put(json, key, json_integer(value));
}

void dure_json_set_number(struct dure_json *json, const char *key, double value)
{
    put(json, key, json_real(value));
}

void dure_json_set_bool(struct dure_json *json, const char *key, bool value)
{
    put(json, key, json_boolean(value));
}

void dure_json_set_null(struct dure_json *json, const char *key)
{
    put(json, key, json_null());
}

const char *dure_json_text(struct dure_ctx *ctx, const struct dure_json *json, size_t *ret_len)
{
    const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
    if (!json || ctx->json_failed) return NULL;
    size_t len = json_dumpb(json->value, NULL, 0, flags);
    char *text = len ? arena_alloc(&ctx->arena, len + 1) : NULL;
    if (!text || json_dumpb(json->value, text, len, flags) != len) return NULL;
    if (ret_len) *ret_len = len;
    return text;
}
