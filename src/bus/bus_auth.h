/* bus_auth: who may connect to a bus_server, and as whom. Made from a configuration, given to the
 * server. Users come with a token, a name and a password, an nkey, or a JWT that an account signed
 * which an operator signed. */
#ifndef DURE_BUS_BUS_AUTH_H
#define DURE_BUS_BUS_AUTH_H

#include "bus/bus.h"
#include "wire/nats_permissions.h"

struct bus_auth;

struct bus_user {
    struct bytes name, password; /* the password as it is, or its bcrypt hash ("$2b$...") */
    struct bytes nkey;           /* or the public key, instead of both */
    const struct nats_permissions *permissions; /* NULL: everything */
    struct bus *bus;                            /* the account; NULL: the server's own */
};

/* An account whose users come with JWTs (the "memory resolver"). */
struct bus_jwt_account {
    struct bytes jwt;
    struct bus *bus;
};

struct bus_auth_options {
    struct bytes token; /* as it is, or its bcrypt hash; empty: none */
    const struct bus_user *users;
    size_t user_count;
    struct bytes no_auth_user;     /* whom those are that come without anything; empty: nobody */
    const struct bytes *operators; /* public nkeys, or JWTs of operators */
    size_t operator_count;
    const struct bus_jwt_account *accounts;
    size_t account_count;
    uint32_t timeout_ms; /* for CONNECT; 0: 2 s */
};

/* Copies everything; the buses must outlive it. ERR_INVALID: a key, token or JWT that is none, a
 * no_auth_user that is no user; `error` says which. ERR_NOMEM. */
int bus_auth_new(const struct bus_auth_options *options, struct bus_auth **ret_auth,
                 struct error *error);

/* NULL is allowed. */
void bus_auth_free(struct bus_auth *auth);

/* What the account's JWT says it may keep in JetStream: < 0 without limit, 0 nothing. ERR_NOT_FOUND
 * when the bus is no account with a JWT. */
struct bus_storage_limits {
    int64_t memory_bytes, disk_bytes, streams, consumers;
};
int bus_auth_storage(const struct bus_auth *auth, const struct bus *bus,
                     struct bus_storage_limits *ret_limits);

#endif
