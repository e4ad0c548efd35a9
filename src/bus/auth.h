/* auth: the inside of bus_auth.h: who is it that says this CONNECT? Pure; what takes long (bcrypt)
 * is left to the caller (auth_password.h). */
#ifndef DURE_BUS_AUTH_H
#define DURE_BUS_AUTH_H

#include "base/map.h"
#include "bus/bus_auth.h"
#include "bus/permissions.h"
#include "wire/nats.h"
#include "wire/nats_jwt.h"

struct auth_user {
    char *name, *password, *nkey; /* NULL: has none */
    struct permissions *permissions;
    struct bus *bus;
};

struct auth_account {
    struct arena arena;
    struct nats_jwt jwt;
    struct bus *bus;
};

struct bus_auth {
    uint32_t timeout_ms;
    char *token;
    struct auth_user *users;
    size_t user_count;
    struct map by_name, by_nkey; /* of struct auth_user */
    const struct auth_user *anybody;

    char (*operators)[NKEY_TEXT + 1]; /* whom we trust: operators' keys, and those that sign for
                                         them */
    size_t operator_count, operator_size;
    struct auth_account *accounts;
    size_t account_count;
};

/* What is known of a connection, besides what it says. */
struct auth_request {
    const struct nats_connect *connect;
    struct bytes nonce;         /* what its INFO said */
    struct bytes proven;        /* the user that its certificate is made out to; empty: none */
    struct bytes transport;     /* "STANDARD" or "WEBSOCKET" */
    const struct io_addr *peer; /* NULL: not known */
    int64_t now_s;              /* seconds since 1970 */
};

/* Whom a connection is taken for. */
struct auth_identity {
    struct bus *bus;                 /* NULL: the server's own */
    struct permissions *permissions; /* counted by the user; NULL: everything */
    bool own_permissions;            /* counted for this identity */
    char user[NATS_NAME_MAX];
    int64_t max_subscriptions, max_payload, max_connections; /* < 0: no limit of its own */
    int64_t expires_s;                                       /* 0: never */
};

enum auth_verdict {
    AUTH_DENIED,
    AUTH_ACCEPTED,
    AUTH_IF_HASH /* accepted when the secret that was said has this bcrypt hash */
};

enum auth_verdict auth_judge(const struct bus_auth *auth, const struct auth_request *request,
                             struct auth_identity *ret_identity, const char **ret_hash);

void auth_identity_release(struct auth_identity *identity);

/* Whether INFO must bring a nonce; whether somebody may come in without a word. */
bool auth_needs_nonce(const struct bus_auth *auth);
bool auth_has_anybody(const struct bus_auth *auth);

/* Whether there is a user of that name, for names in certificates. */
bool auth_knows(const struct bus_auth *auth, struct bytes name);

/* Whether all patterns of the rules are valid. */
bool auth_rules_are_valid(const struct nats_permissions *rules);

/* Whether `signature` (base64 of either alphabet) is the nonce's, by that public key. */
bool auth_signed(struct bytes key, struct bytes nonce, struct bytes signature);

/* ---- auth_jwt.c ---- */

int auth_add_operator(struct bus_auth *auth, struct bytes text, struct error *error);
int auth_add_account(struct bus_auth *auth, const struct bus_jwt_account *from,
                     struct error *error);
enum auth_verdict auth_judge_jwt(const struct bus_auth *auth, const struct auth_request *request,
                                 struct auth_identity *ret_identity);
void auth_jwt_release(struct bus_auth *auth);

/* ---- auth_template.c ---- */

/* Replaces what subjects of a scoped signing key say of the user; the lists become new ones in the
 * arena. False: they ask for something that is not known, or that would not be a plain subject. */
bool auth_expand(struct nats_permissions *permissions, const struct nats_jwt *user,
                 const struct nats_jwt *account, struct arena *arena);

#endif
