#include "wire/nats_jwt.h"

#include "base/base64.h"

#include <jansson.h>

enum { LIST_MAX = 4096, NS_PER_MS = 1000000 };

/* Reading goes on after a mistake; it is told at the end. */
struct reader {
    struct arena *arena;
    int err;
};

static void fail(struct reader *reader, int err)
{
    if (!reader->err) reader->err = err;
}

/* A member that is there and is not null. */
static const json_t *member(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static struct bytes get_text(struct reader *reader, const json_t *value)
{
    if (!value) return (struct bytes){0};
    if (!json_is_string(value)) {
        fail(reader, ERR_SYNTAX);
        return (struct bytes){0};
    }
    return arena_bytes(reader->arena,
                       bytes_make(json_string_value(value), json_string_length(value)));
}

static int64_t get_number(struct reader *reader, const json_t *object, const char *key,
                          int64_t fallback)
{
    const json_t *value = member(object, key);
    if (!value) return fallback;
    if (!json_is_integer(value)) fail(reader, ERR_SYNTAX);
    return json_integer_value(value);
}

static bool get_bool(struct reader *reader, const json_t *object, const char *key)
{
    const json_t *value = member(object, key);
    if (value && !json_is_boolean(value)) fail(reader, ERR_SYNTAX);
    return json_is_true(value);
}

static const json_t *get_object(struct reader *reader, const json_t *object, const char *key)
{
    const json_t *value = member(object, key);
    if (value && !json_is_object(value)) fail(reader, ERR_SYNTAX);
    return json_is_object(value) ? value : NULL;
}

/* An array of room for the elements of a JSON array; NULL for none. */
static void *get_array(struct reader *reader, const json_t *list, size_t size, size_t *ret_count)
{
    *ret_count = 0;
    if (!list) return NULL;
    size_t count = json_array_size(list);
    if (!json_is_array(list)) fail(reader, ERR_SYNTAX);
    if (count > LIST_MAX) fail(reader, ERR_TOO_BIG);
    if (!count || count > LIST_MAX) return NULL;
    void *array = arena_array(reader->arena, count, size);
    if (array) *ret_count = count;
    return array;
}

static struct bytes *get_texts(struct reader *reader, const json_t *list, size_t *ret_count)
{
    struct bytes *texts = get_array(reader, list, sizeof *texts, ret_count);
    for (size_t i = 0; i < *ret_count; i++) texts[i] = get_text(reader, json_array_get(list, i));
    return texts;
}

/* ---- what a user may do --------------------------------------------------------------------- */

static void read_subjects(struct reader *reader, const json_t *nats, const char *key,
                          struct nats_subjects *subjects)
{
    const json_t *object = get_object(reader, nats, key);
    subjects->allow = get_texts(reader, member(object, "allow"), &subjects->allow_count);
    subjects->deny = get_texts(reader, member(object, "deny"), &subjects->deny_count);
    subjects->allow_given = subjects->allow_count > 0;
}

static void read_permissions(struct reader *reader, const json_t *nats,
                             struct nats_permissions *permissions)
{
    read_subjects(reader, nats, "pub", &permissions->publish);
    read_subjects(reader, nats, "sub", &permissions->subscribe);
    const json_t *responses = get_object(reader, nats, "resp");
    if (!responses) return;
    int64_t ttl_ns = get_number(reader, responses, "ttl", -1);
    permissions->responses = true;
    permissions->max_responses = get_number(reader, responses, "max", -1);
    permissions->response_ttl_ms = ttl_ns > 0 ? ttl_ns / NS_PER_MS : -1;
    permissions->publish.allow_given = true;
}

static void read_limits(struct reader *reader, const json_t *nats, struct nats_jwt_limits *limits)
{
    limits->subscriptions = get_number(reader, nats, "subs", -1);
    limits->payload = get_number(reader, nats, "payload", -1);
    limits->connections = get_number(reader, nats, "conn", -1);
    limits->memory_storage = get_number(reader, nats, "mem_storage", 0);
    limits->disk_storage = get_number(reader, nats, "disk_storage", 0);
    limits->streams = get_number(reader, nats, "streams", 0);
    limits->consumers = get_number(reader, nats, "consumer", 0);
}

/* "15:04:05" */
static uint32_t read_time(struct reader *reader, const json_t *value)
{
    struct bytes rest = get_text(reader, value);
    uint64_t parts[3] = {0};
    static const uint64_t max[3] = {23, 59, 59};
    for (int i = 0; i < 3; i++)
        if (bytes_to_u64(bytes_cut(&rest, ':'), max[i], &parts[i])) fail(reader, ERR_SYNTAX);
    if (rest.data) fail(reader, ERR_SYNTAX);
    return (uint32_t)(parts[0] * 3600 + parts[1] * 60 + parts[2]);
}

static void read_user(struct reader *reader, const json_t *nats, struct nats_jwt_user *user)
{
    read_permissions(reader, nats, &user->permissions);
    read_limits(reader, nats, &user->limits);
    user->bearer_token = get_bool(reader, nats, "bearer_token");
    user->connection_types =
        get_texts(reader, member(nats, "allowed_connection_types"), &user->connection_type_count);
    user->sources = get_texts(reader, member(nats, "src"), &user->source_count);
    user->times_location = get_text(reader, member(nats, "times_location"));
    const json_t *times = member(nats, "times");
    user->times = get_array(reader, times, sizeof *user->times, &user->time_count);
    for (size_t i = 0; i < user->time_count; i++) {
        const json_t *range = json_array_get(times, i);
        user->times[i].start_s = read_time(reader, member(range, "start"));
        user->times[i].end_s = read_time(reader, member(range, "end"));
    }
}

/* ---- accounts and operators ----------------------------------------------------------------- */

/* A key alone, or {"kind":"user_scope","key":...,"template":{...}}. */
static void read_signer(struct reader *reader, const json_t *value, struct nats_jwt_signer *signer)
{
    if (json_is_string(value)) {
        signer->key = get_text(reader, value);
        return;
    }
    signer->key = get_text(reader, member(value, "key"));
    signer->scoped = true;
    read_user(reader, get_object(reader, value, "template"), &signer->user);
}

static void read_signers(struct reader *reader, const json_t *nats, struct nats_jwt *jwt)
{
    const json_t *keys = member(nats, "signing_keys");
    jwt->signers = get_array(reader, keys, sizeof *jwt->signers, &jwt->signer_count);
    for (size_t i = 0; i < jwt->signer_count; i++)
        read_signer(reader, json_array_get(keys, i), &jwt->signers[i]);
}

static void read_revocations(struct reader *reader, const json_t *nats, struct nats_jwt *jwt)
{
    const json_t *object = get_object(reader, nats, "revocations");
    size_t count = json_object_size(object);
    if (!count) return;
    jwt->revocations = arena_array(reader->arena, count, sizeof *jwt->revocations);
    if (!jwt->revocations) return;
    const char *user;
    json_t *at;
    json_object_foreach((json_t *)object, user, at)
    {
        if (!json_is_integer(at)) fail(reader, ERR_SYNTAX);
        jwt->revocations[jwt->revocation_count++] = (struct nats_jwt_revocation){
            arena_bytes(reader->arena, bytes_str(user)), json_integer_value(at)};
    }
}

static void read_nats(struct reader *reader, const json_t *nats, struct nats_jwt *jwt)
{
    struct bytes type = get_text(reader, member(nats, "type"));
    if (get_number(reader, nats, "version", 0) != 2) fail(reader, ERR_UNSUPPORTED);
    if (bytes_eq(type, BYTES("user"))) {
        jwt->type = NATS_JWT_USER;
        jwt->issuer_account = get_text(reader, member(nats, "issuer_account"));
        read_user(reader, nats, &jwt->user);
    } else if (bytes_eq(type, BYTES("account"))) {
        jwt->type = NATS_JWT_ACCOUNT;
        read_limits(reader, get_object(reader, nats, "limits"), &jwt->limits);
        read_signers(reader, nats, jwt);
        read_revocations(reader, nats, jwt);
        read_user(reader, get_object(reader, nats, "default_permissions"), &jwt->user);
    } else if (bytes_eq(type, BYTES("operator"))) {
        jwt->type = NATS_JWT_OPERATOR;
        read_signers(reader, nats, jwt);
    } else {
        fail(reader, ERR_UNSUPPORTED);
    }
}

static void read_claims(struct reader *reader, const json_t *claims, struct nats_jwt *jwt)
{
    jwt->subject = get_text(reader, member(claims, "sub"));
    jwt->issuer = get_text(reader, member(claims, "iss"));
    jwt->name = get_text(reader, member(claims, "name"));
    jwt->issued_at = get_number(reader, claims, "iat", 0);
    jwt->not_before = get_number(reader, claims, "nbf", 0);
    jwt->expires = get_number(reader, claims, "exp", 0);
    read_nats(reader, get_object(reader, claims, "nats"), jwt);
}

/* ---- the token ------------------------------------------------------------------------------ */

/* One part between dots, decoded as a JSON object; to be given back with json_decref. */
static json_t *decode_part(struct reader *reader, struct bytes part)
{
    size_t size = part.len / 4 * 3 + 3, len;
    char *json = arena_alloc(reader->arena, size);
    if (!json) return NULL;
    json_t *object = NULL;
    if (!base64_decode(part, json, size, &len)) object = json_loadb(json, len, 0, NULL);
    if (!json_is_object(object)) fail(reader, ERR_SYNTAX);
    return object;
}

static void check_header(struct reader *reader, struct bytes part)
{
    json_t *header = decode_part(reader, part);
    struct bytes algorithm = get_text(reader, member(header, "alg"));
    if (!bytes_eq(algorithm, BYTES("ed25519-nkey"))) fail(reader, ERR_UNSUPPORTED);
    json_decref(header);
}

static bool kinds_fit(const struct nats_jwt *jwt, enum nkey_kind issuer)
{
    switch (jwt->type) {
    case NATS_JWT_USER: return issuer == NKEY_ACCOUNT && nkey_is(jwt->subject, NKEY_USER);
    case NATS_JWT_ACCOUNT:
        /* An account may sign for itself, where no operator is asked. */
        return (issuer == NKEY_OPERATOR || issuer == NKEY_ACCOUNT) &&
               nkey_is(jwt->subject, NKEY_ACCOUNT);
    case NATS_JWT_OPERATOR: break;
    }
    return issuer == NKEY_OPERATOR && nkey_is(jwt->subject, NKEY_OPERATOR);
}

static int check_signature(const struct nats_jwt *jwt, struct bytes text, struct bytes signature)
{
    struct nkey issuer;
    uint8_t raw[NKEY_SIGNATURE];
    size_t len;
    if (nkey_parse(jwt->issuer, &issuer) || !kinds_fit(jwt, issuer.kind)) return ERR_SYNTAX;
    if (base64_decode(signature, raw, sizeof raw, &len) || len != sizeof raw) return ERR_SYNTAX;
    return nkey_verify(&issuer, text, raw) ? 0 : ERR_DENIED;
}

int nats_jwt_parse(struct bytes text, struct arena *arena, struct nats_jwt *ret_jwt)
{
    struct reader reader = {.arena = arena};
    *ret_jwt = (struct nats_jwt){0};
    if (text.len > NATS_JWT_MAX) return ERR_TOO_BIG;
    struct bytes rest = text;
    struct bytes header = bytes_cut(&rest, '.'), claims = bytes_cut(&rest, '.');
    if (!rest.data || bytes_find(rest, '.') < rest.len) return ERR_SYNTAX;
    check_header(&reader, header);
    if (reader.err) return reader.err;
    json_t *object = decode_part(&reader, claims);
    if (!reader.err) read_claims(&reader, object, ret_jwt);
    json_decref(object);
    if (arena->failed) return ERR_NOMEM;
    if (reader.err) return reader.err;
    return check_signature(ret_jwt, bytes_head(text, (size_t)(rest.data - text.data) - 1), rest);
}

const struct nats_jwt_signer *nats_jwt_signer(const struct nats_jwt *jwt, struct bytes key)
{
    for (size_t i = 0; i < jwt->signer_count; i++)
        if (bytes_eq(jwt->signers[i].key, key)) return &jwt->signers[i];
    return NULL;
}
