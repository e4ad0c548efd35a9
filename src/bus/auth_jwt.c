/* Users that come with a token: an operator that is trusted has signed the account's, the account
 * (or a key that signs for it) the user's, and the user the nonce. */
#include "bus/auth.h"

#include <arpa/inet.h>
#include <stdlib.h>

enum { ACCOUNT_ARENA = 4 << 20, USER_ARENA = 1 << 20, DAY_S = 86400 };

/* ---- what a configuration brings ------------------------------------------------------------ */

static int trust(struct bus_auth *auth, struct bytes key, struct error *error)
{
    if (!nkey_is(key, NKEY_OPERATOR))
        return error_set(error, ERR_INVALID, "`%.*s` is no public nkey of an operator",
                         BYTES_ARG(bytes_head(key, NKEY_TEXT)));
    if (auth->operator_count == auth->operator_size) {
        size_t size = auth->operator_size ? auth->operator_size * 2 : 4;
        void *bigger = realloc(auth->operators, size * sizeof *auth->operators);
        if (!bigger) return ERR_NOMEM;
        auth->operators = bigger;
        auth->operator_size = size;
    }
    char *place = auth->operators[auth->operator_count++];
    memcpy(place, key.data, NKEY_TEXT);
    place[NKEY_TEXT] = '\0';
    return 0;
}

int auth_add_operator(struct bus_auth *auth, struct bytes text, struct error *error)
{
    if (!bytes_starts(text, BYTES("ey"))) return trust(auth, text, error);
    struct arena arena;
    struct nats_jwt jwt;
    arena_init(&arena, ACCOUNT_ARENA);
    int r = nats_jwt_parse(text, &arena, &jwt);
    if (r || jwt.type != NATS_JWT_OPERATOR)
        r = error_set(error, ERR_INVALID, "the operator's JWT is not good: %s",
                      r ? err_text(r) : "it is of somebody else");
    if (!r) r = trust(auth, jwt.subject, error);
    for (size_t i = 0; i < jwt.signer_count && !r; i++) r = trust(auth, jwt.signers[i].key, error);
    arena_release(&arena);
    return r;
}

static bool is_trusted(const struct bus_auth *auth, struct bytes key)
{
    for (size_t i = 0; i < auth->operator_count; i++)
        if (bytes_eq(bytes_str(auth->operators[i]), key)) return true;
    return false;
}

int auth_add_account(struct bus_auth *auth, const struct bus_jwt_account *from, struct error *error)
{
    size_t count = auth->account_count;
    struct auth_account *accounts = realloc(auth->accounts, (count + 1) * sizeof *accounts);
    if (!accounts) return ERR_NOMEM;
    auth->accounts = accounts;
    struct auth_account *account = &accounts[count];
    *account = (struct auth_account){.bus = from->bus};
    arena_init(&account->arena, ACCOUNT_ARENA);
    auth->account_count++;
    int r = nats_jwt_parse(from->jwt, &account->arena, &account->jwt);
    if (r) return error_set(error, ERR_INVALID, "an account's JWT is not good: %s", err_text(r));
    if (account->jwt.type != NATS_JWT_ACCOUNT || !is_trusted(auth, account->jwt.issuer))
        return error_set(error, ERR_INVALID,
                         "the JWT of account `%.*s` is not signed by an operator that is trusted",
                         BYTES_ARG(account->jwt.subject));
    if (!auth_rules_are_valid(&account->jwt.user.permissions))
        return error_set(error, ERR_INVALID, "a default permission of account `%.*s` is no subject",
                         BYTES_ARG(account->jwt.subject));
    return 0;
}

void auth_jwt_release(struct bus_auth *auth)
{
    for (size_t i = 0; i < auth->account_count; i++) arena_release(&auth->accounts[i].arena);
    free(auth->accounts);
    free(auth->operators);
}

int bus_auth_storage(const struct bus_auth *auth, const struct bus *bus,
                     struct bus_storage_limits *ret_limits)
{
    for (size_t i = 0; i < auth->account_count; i++) {
        const struct nats_jwt_limits *limits = &auth->accounts[i].jwt.limits;
        if (auth->accounts[i].bus != bus) continue;
        *ret_limits = (struct bus_storage_limits){limits->memory_storage, limits->disk_storage,
                                                  limits->streams, limits->consumers};
        return 0;
    }
    return ERR_NOT_FOUND;
}

/* ---- a user's token ------------------------------------------------------------------------- */

static const struct auth_account *find_account(const struct bus_auth *auth, struct bytes key)
{
    for (size_t i = 0; i < auth->account_count; i++)
        if (bytes_eq(auth->accounts[i].jwt.subject, key)) return &auth->accounts[i];
    return NULL;
}

static bool is_in_time(const struct nats_jwt *jwt, int64_t now_s)
{
    return (!jwt->expires || jwt->expires > now_s) &&
           (!jwt->not_before || jwt->not_before <= now_s);
}

static bool is_revoked(const struct nats_jwt *account, const struct nats_jwt *user)
{
    for (size_t i = 0; i < account->revocation_count; i++) {
        const struct nats_jwt_revocation *revocation = &account->revocations[i];
        if (user->issued_at <= revocation->at &&
            (bytes_eq(revocation->user, BYTES("*")) || bytes_eq(revocation->user, user->subject)))
            return true;
    }
    return false;
}

/* "192.0.2.0/24", or an address alone. */
static bool source_matches(struct bytes source, const struct io_addr *peer)
{
    struct bytes bits_text = source, ip = bytes_cut(&bits_text, '/');
    char text[INET6_ADDRSTRLEN] = "";
    uint8_t want[16];
    int family = peer->family == IO_IPV4 ? AF_INET : AF_INET6;
    uint64_t bits = family == AF_INET ? 32 : 128;
    if (peer->family == IO_UNIX || ip.len >= sizeof text) return false;
    memcpy(text, ip.data, ip.len);
    if (inet_pton(family, text, want) != 1) return false;
    if (bits_text.data && bytes_to_u64(bits_text, bits, &bits)) return false;
    for (uint64_t i = 0; i < bits; i++)
        if ((want[i / 8] ^ peer->ip[i / 8]) & 0x80 >> i % 8) return false;
    return true;
}

static bool comes_from(const struct nats_jwt_user *user, const struct io_addr *peer)
{
    for (size_t i = 0; i < user->source_count; i++)
        if (peer && source_matches(user->sources[i], peer)) return true;
    return !user->source_count;
}

/* Times of day are those of UTC; in another zone nobody comes in, which is the safe mistake. */
static bool comes_at(const struct nats_jwt_user *user, int64_t now_s)
{
    struct bytes zone = user->times_location;
    if (!user->time_count) return true;
    if (zone.len && !bytes_eq(zone, BYTES("UTC"))) return false;
    uint32_t at = (uint32_t)(now_s % DAY_S);
    for (size_t i = 0; i < user->time_count; i++) {
        uint32_t start = user->times[i].start_s, end = user->times[i].end_s;
        if (start <= end ? at >= start && at < end : at >= start || at < end) return true;
    }
    return false;
}

static bool comes_by(const struct nats_jwt_user *user, struct bytes transport)
{
    for (size_t i = 0; i < user->connection_type_count; i++)
        if (bytes_eq_nocase(user->connection_types[i], transport)) return true;
    return !user->connection_type_count;
}

static bool has_permissions(const struct nats_permissions *permissions)
{
    const struct nats_subjects *publish = &permissions->publish;
    const struct nats_subjects *subscribe = &permissions->subscribe;
    return publish->allow_given || publish->deny_count || subscribe->allow_given ||
           subscribe->deny_count || permissions->responses;
}

/* What the user may do: what its scoped signing key says, or its token, or else its account. */
static const struct nats_jwt_user *rights_of(const struct auth_account *account,
                                             const struct nats_jwt *user)
{
    if (!bytes_eq(user->issuer, account->jwt.subject)) {
        const struct nats_jwt_signer *signer = nats_jwt_signer(&account->jwt, user->issuer);
        if (!signer) return NULL;
        if (signer->scoped) return has_permissions(&user->user.permissions) ? NULL : &signer->user;
    }
    return &user->user;
}

/* Of two limits; < 0: none. */
static int64_t lesser(int64_t a, int64_t b)
{
    if (a < 0 || b < 0) return a < 0 ? b : a;
    return a < b ? a : b;
}

static enum auth_verdict accept_user(const struct auth_account *account,
                                     const struct nats_jwt *user,
                                     const struct nats_jwt_user *rights, struct arena *arena,
                                     struct auth_identity *identity)
{
    struct nats_permissions permissions = rights->permissions;
    if (!has_permissions(&permissions)) permissions = account->jwt.user.permissions;
    if (has_permissions(&permissions)) {
        bool scoped = rights != &user->user;
        if ((scoped && !auth_expand(&permissions, user, &account->jwt, arena)) ||
            !auth_rules_are_valid(&permissions) ||
            permissions_new(&permissions, &identity->permissions))
            return AUTH_DENIED;
        identity->own_permissions = true;
    }
    struct bytes name = user->subject; /* an nkey: it fits */
    memcpy(identity->user, name.data, name.len);
    identity->user[name.len] = '\0';
    identity->bus = account->bus;
    identity->max_subscriptions =
        lesser(rights->limits.subscriptions, account->jwt.limits.subscriptions);
    identity->max_payload = lesser(rights->limits.payload, account->jwt.limits.payload);
    identity->max_connections = account->jwt.limits.connections;
    identity->expires_s = user->expires;
    if (account->jwt.expires && (!user->expires || account->jwt.expires < user->expires))
        identity->expires_s = account->jwt.expires;
    return AUTH_ACCEPTED;
}

static enum auth_verdict judge_token(const struct bus_auth *auth,
                                     const struct auth_request *request,
                                     const struct nats_jwt *user, struct arena *arena,
                                     struct auth_identity *identity)
{
    struct bytes owner = user->issuer_account.len ? user->issuer_account : user->issuer;
    const struct auth_account *account = find_account(auth, owner);
    if (!account || user->type != NATS_JWT_USER) return AUTH_DENIED;
    const struct nats_jwt_user *rights = rights_of(account, user);
    if (!rights || is_revoked(&account->jwt, user)) return AUTH_DENIED;
    if (!is_in_time(user, request->now_s) || !is_in_time(&account->jwt, request->now_s))
        return AUTH_DENIED;
    if (!rights->bearer_token &&
        !auth_signed(user->subject, request->nonce, bytes_str(request->connect->signature)))
        return AUTH_DENIED;
    if (!comes_from(rights, request->peer) || !comes_at(rights, request->now_s) ||
        !comes_by(rights, request->transport))
        return AUTH_DENIED;
    return accept_user(account, user, rights, arena, identity);
}

enum auth_verdict auth_judge_jwt(const struct bus_auth *auth, const struct auth_request *request,
                                 struct auth_identity *ret_identity)
{
    struct arena arena;
    struct nats_jwt user;
    arena_init(&arena, USER_ARENA);
    enum auth_verdict verdict = AUTH_DENIED;
    if (nats_jwt_parse(request->connect->jwt, &arena, &user) == 0)
        verdict = judge_token(auth, request, &user, &arena, ret_identity);
    arena_release(&arena);
    return verdict;
}
