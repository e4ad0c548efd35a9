#include "bus/auth.h"

#include "base/base64.h"
#include "bus/subject.h"

#include <stdlib.h>

enum { USERS_MAX = 1 << 20, TIMEOUT_MS = 2000 };

/* ---- making --------------------------------------------------------------------------------- */

/* NULL for an empty text, and without memory. */
static char *copy(struct bytes text)
{
    return text.len ? strndup(text.data, text.len) : NULL;
}

static bool lists_are_valid(const struct bytes *rules, size_t count, bool queues)
{
    for (size_t i = 0; i < count; i++) {
        struct bytes queue = rules[i], pattern = bytes_cut(&queue, ' ');
        if (!subject_is_pattern(pattern)) return false;
        if (queue.data && (!queues || !bytes_trim(queue).len)) return false;
    }
    return true;
}

bool auth_rules_are_valid(const struct nats_permissions *rules)
{
    const struct nats_subjects *publish = &rules->publish, *subscribe = &rules->subscribe;
    return lists_are_valid(publish->allow, publish->allow_count, false) &&
           lists_are_valid(publish->deny, publish->deny_count, false) &&
           lists_are_valid(subscribe->allow, subscribe->allow_count, true) &&
           lists_are_valid(subscribe->deny, subscribe->deny_count, true);
}

static int add_user(struct bus_auth *auth, const struct bus_user *from, struct error *error)
{
    struct auth_user *user = &auth->users[auth->user_count++];
    struct bytes key = from->nkey.len ? from->nkey : from->name;
    if (from->nkey.len && !nkey_is(from->nkey, NKEY_USER))
        return error_set(error, ERR_INVALID, "`%.*s` is no public nkey of a user",
                         BYTES_ARG(from->nkey));
    if (!key.len) return error_set(error, ERR_INVALID, "a user has neither a name nor an nkey");
    if (from->permissions && !auth_rules_are_valid(from->permissions))
        return error_set(error, ERR_INVALID, "a permission of `%.*s` is no subject",
                         BYTES_ARG(key));
    user->name = copy(from->name);
    user->password = copy(from->password);
    user->nkey = copy(from->nkey);
    user->bus = from->bus;
    if (!(from->nkey.len ? user->nkey : user->name) || (from->password.len && !user->password))
        return ERR_NOMEM;
    int r = from->permissions ? permissions_new(from->permissions, &user->permissions) : 0;
    void *before = NULL;
    if (!r && from->nkey.len) r = map_put(&auth->by_nkey, bytes_str(user->nkey), user, &before);
    if (!r && !from->nkey.len) r = map_put(&auth->by_name, bytes_str(user->name), user, &before);
    if (r) return r;
    return before ? error_set(error, ERR_INVALID, "there are two users `%.*s`", BYTES_ARG(key)) : 0;
}

static int add_users(struct bus_auth *auth, const struct bus_auth_options *options,
                     struct error *error)
{
    auth->users = calloc(options->user_count + 1, sizeof *auth->users);
    if (!auth->users) return ERR_NOMEM;
    int r = 0;
    for (size_t i = 0; i < options->user_count && !r; i++)
        r = add_user(auth, &options->users[i], error);
    if (r || !options->no_auth_user.len) return r;
    auth->anybody = map_get(&auth->by_name, options->no_auth_user);
    if (!auth->anybody) auth->anybody = map_get(&auth->by_nkey, options->no_auth_user);
    return auth->anybody ? 0
                         : error_set(error, ERR_INVALID, "`%.*s` is no user",
                                     BYTES_ARG(options->no_auth_user));
}

int bus_auth_new(const struct bus_auth_options *options, struct bus_auth **ret_auth,
                 struct error *error)
{
    struct bus_auth *auth = calloc(1, sizeof *auth);
    if (!auth) return ERR_NOMEM;
    auth->timeout_ms = options->timeout_ms ? options->timeout_ms : TIMEOUT_MS;
    map_init(&auth->by_name, USERS_MAX);
    map_init(&auth->by_nkey, USERS_MAX);
    auth->token = copy(options->token);
    int r = options->token.len && !auth->token ? ERR_NOMEM : add_users(auth, options, error);
    for (size_t i = 0; i < options->operator_count && !r; i++)
        r = auth_add_operator(auth, options->operators[i], error);
    for (size_t i = 0; i < options->account_count && !r; i++)
        r = auth_add_account(auth, &options->accounts[i], error);
    if (r) {
        bus_auth_free(auth);
        return r;
    }
    *ret_auth = auth;
    return 0;
}

static void free_secret(char *secret)
{
    if (secret) explicit_bzero(secret, strlen(secret));
    free(secret);
}

void bus_auth_free(struct bus_auth *auth)
{
    if (!auth) return;
    for (size_t i = 0; i < auth->user_count; i++) {
        free(auth->users[i].name);
        free_secret(auth->users[i].password);
        free(auth->users[i].nkey);
        permissions_unref(auth->users[i].permissions);
    }
    free(auth->users);
    free_secret(auth->token);
    map_release(&auth->by_name);
    map_release(&auth->by_nkey);
    auth_jwt_release(auth);
    free(auth);
}

/* ---- judging -------------------------------------------------------------------------------- */

static bool is_hash(const char *secret)
{
    return bytes_starts(bytes_str(secret), BYTES("$2"));
}

/* Takes as long for every wrong secret of the same length. */
static bool same_secret(const char *secret, const char *said)
{
    size_t len = strlen(said);
    unsigned char difference = strlen(secret) != len;
    for (size_t i = 0; i < len; i++)
        difference |= (unsigned char)(said[i] ^ secret[difference ? 0 : i]);
    return !difference;
}

static enum auth_verdict judge_secret(const char *secret, const char *said, const char **ret_hash)
{
    if (!secret) return AUTH_DENIED; /* is known by a certificate alone */
    if (!is_hash(secret)) return same_secret(secret, said) ? AUTH_ACCEPTED : AUTH_DENIED;
    *ret_hash = secret;
    return AUTH_IF_HASH;
}

bool auth_signed(struct bytes key, struct bytes nonce, struct bytes signature)
{
    struct nkey public_key;
    uint8_t raw[NKEY_SIGNATURE];
    size_t len;
    if (nkey_parse(key, &public_key) || !nonce.len) return false;
    if (base64_decode(signature, raw, sizeof raw, &len) || len != sizeof raw) return false;
    return nkey_verify(&public_key, nonce, raw);
}

static void take_user(struct auth_identity *identity, const struct auth_user *user)
{
    struct bytes name = bytes_str(user->nkey ? user->nkey : user->name);
    if (name.len >= sizeof identity->user) name.len = sizeof identity->user - 1;
    memcpy(identity->user, name.data, name.len);
    identity->user[name.len] = '\0';
    identity->bus = user->bus;
    identity->permissions = user->permissions;
}

static enum auth_verdict judge_name(const struct bus_auth *auth, struct bytes name, bool proven,
                                    const char *password, struct auth_identity *ret_identity,
                                    const char **ret_hash)
{
    const struct auth_user *user = map_get(&auth->by_name, name);
    if (!user) return AUTH_DENIED;
    take_user(ret_identity, user);
    return proven ? AUTH_ACCEPTED : judge_secret(user->password, password, ret_hash);
}

static enum auth_verdict judge_nkey(const struct bus_auth *auth, const struct auth_request *request,
                                    struct auth_identity *ret_identity)
{
    const struct nats_connect *connect = request->connect;
    const struct auth_user *user = map_get(&auth->by_nkey, bytes_str(connect->nkey));
    if (!user ||
        !auth_signed(bytes_str(connect->nkey), request->nonce, bytes_str(connect->signature)))
        return AUTH_DENIED;
    take_user(ret_identity, user);
    return AUTH_ACCEPTED;
}

enum auth_verdict auth_judge(const struct bus_auth *auth, const struct auth_request *request,
                             struct auth_identity *ret_identity, const char **ret_hash)
{
    const struct nats_connect *connect = request->connect;
    *ret_identity =
        (struct auth_identity){.max_subscriptions = -1, .max_payload = -1, .max_connections = -1};
    if (connect->jwt.len && auth->operator_count)
        return auth_judge_jwt(auth, request, ret_identity);
    if (request->proven.len)
        return judge_name(auth, request->proven, true, "", ret_identity, ret_hash);
    if (*connect->nkey) return judge_nkey(auth, request, ret_identity);
    if (*connect->user)
        return judge_name(auth, bytes_str(connect->user), false, connect->pass, ret_identity,
                          ret_hash);
    if (*connect->token && auth->token) return judge_secret(auth->token, connect->token, ret_hash);
    if (*connect->token || *connect->pass || connect->jwt.len || !auth->anybody) return AUTH_DENIED;
    take_user(ret_identity, auth->anybody);
    return AUTH_ACCEPTED;
}

void auth_identity_release(struct auth_identity *identity)
{
    if (identity->own_permissions) permissions_unref(identity->permissions);
    identity->permissions = NULL;
    identity->own_permissions = false;
}

bool auth_needs_nonce(const struct bus_auth *auth)
{
    return auth->by_nkey.count || auth->operator_count;
}

bool auth_has_anybody(const struct bus_auth *auth)
{
    return auth->anybody;
}

bool auth_knows(const struct bus_auth *auth, struct bytes name)
{
    return map_get(&auth->by_name, name);
}
