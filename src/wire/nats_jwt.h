/* nats_jwt: the claims of NATS's JSON Web Tokens (github.com/nats-io/jwt, version 2): an operator
 * vouches for accounts, an account for its users, each with an nkey. Pure: reads, and checks a
 * token's own signature; whether its issuer may be trusted, and the time, are the caller's to judge
 * (bus/auth_jwt.c does). */
#ifndef DURE_WIRE_NATS_JWT_H
#define DURE_WIRE_NATS_JWT_H

#include "base/arena.h"
#include "wire/nats_permissions.h"
#include "wire/nkey.h"

enum nats_jwt_type { NATS_JWT_USER, NATS_JWT_ACCOUNT, NATS_JWT_OPERATOR };

/* Everything < 0: no limit. */
struct nats_jwt_limits {
    int64_t subscriptions;                                    /* of one connection */
    int64_t payload;                                          /* of one message */
    int64_t connections;                                      /* account */
    int64_t memory_storage, disk_storage, streams, consumers; /* account: JetStream */
};

/* A part of each day, in seconds from midnight; end < start: over midnight. */
struct nats_jwt_times {
    uint32_t start_s, end_s;
};

/* What a user may do; also the template of a scoped signing key. */
struct nats_jwt_user {
    struct nats_permissions permissions;
    struct nats_jwt_limits limits;
    bool bearer_token;              /* comes without proof that it has the key */
    struct bytes *connection_types; /* "STANDARD", "WEBSOCKET", ...; none: any */
    size_t connection_type_count;
    struct bytes *sources; /* "192.0.2.0/24"; none: any */
    size_t source_count;
    struct nats_jwt_times *times; /* none: always */
    size_t time_count;
    struct bytes times_location; /* name of a time zone; empty: UTC */
};

/* A key that signs in the place of an account's own. */
struct nats_jwt_signer {
    struct bytes key;
    bool scoped; /* its users have what `user` says, and nothing of their own */
    struct nats_jwt_user user;
};

/* Tokens of `user` ("*": of any) that were issued at this time or before are no longer good. */
struct nats_jwt_revocation {
    struct bytes user;
    int64_t at; /* seconds since 1970 */
};

/* The views live in the arena. */
struct nats_jwt {
    enum nats_jwt_type type;
    struct bytes subject; /* the nkey it is about, of the kind that its type says */
    struct bytes issuer;  /* the nkey that signed it: checked */
    struct bytes name;
    int64_t issued_at, not_before, expires; /* seconds since 1970; 0: not said */

    struct nats_jwt_user user;   /* of a user; of an account: what its users have by default */
    struct bytes issuer_account; /* user: its account, when that is not the issuer */

    struct nats_jwt_limits limits;   /* account */
    struct nats_jwt_signer *signers; /* account, operator */
    size_t signer_count;
    struct nats_jwt_revocation *revocations; /* account */
    size_t revocation_count;
};

enum { NATS_JWT_MAX = 256 << 10 };

/* Reads a token and checks that its issuer has signed it. ERR_SYNTAX: no token, or members of the
 * wrong type; ERR_UNSUPPORTED: another algorithm, type or version; ERR_DENIED: the signature is not
 * the issuer's; ERR_TOO_BIG, ERR_NOMEM. */
int nats_jwt_parse(struct bytes text, struct arena *arena, struct nats_jwt *ret_jwt);

/* The signer with that key, or NULL. */
const struct nats_jwt_signer *nats_jwt_signer(const struct nats_jwt *jwt, struct bytes key);

#endif
