/* manifest_bus: what a configuration says of the message bus: `bus:` in dure.yaml, or a file of its
 * own for `dure bus --config`. The same keys in both. Pure; see wire/manifest.h. */
#ifndef DURE_WIRE_MANIFEST_BUS_H
#define DURE_WIRE_MANIFEST_BUS_H

#include "wire/nats_permissions.h"
#include "wire/yaml.h"

enum { MANIFEST_BUS_USERS_MAX = 65536, MANIFEST_BUS_ACCOUNTS_MAX = 1024 };

struct manifest_bus_limits {
    uint32_t connections;
    uint32_t subscriptions; /* of one connection */
    uint64_t pending;       /* bytes that wait for one client */
    uint64_t control_line;  /* bytes of an operation without its payload */
};

struct manifest_bus_ping {
    uint32_t interval_ms;
    uint32_t unanswered;
};

struct manifest_bus_lame_duck {
    uint32_t grace_ms, duration_ms;
};

/* As bus_tls_options says. */
struct manifest_bus_tls {
    bool given;
    struct bytes certificate, key, ca;
    int clients; /* enum manifest_bus_tls_clients */
    int first;   /* enum manifest_bus_tls_first */
    uint32_t first_wait_ms, timeout_ms;
    bool optional, only_13;
    struct bytes ciphers, cipher_suites, groups;
};

enum manifest_bus_tls_clients {
    MANIFEST_BUS_TLS_ANY,    /* no certificate is asked for */
    MANIFEST_BUS_TLS_VERIFY, /* they must show a good one */
    MANIFEST_BUS_TLS_MAP     /* and a name in it says which user they are */
};

enum manifest_bus_tls_first {
    MANIFEST_BUS_TLS_INFO,
    MANIFEST_BUS_TLS_HANDSHAKE,
    MANIFEST_BUS_TLS_EITHER
};

/* As bus_websocket_options says. */
struct manifest_bus_websocket {
    bool given;
    struct bytes listen;
    bool clear_text, same_origin;
    struct bytes *origins;
    size_t origin_count;
};

enum manifest_bus_unix_for {
    MANIFEST_BUS_UNIX_OWNER,
    MANIFEST_BUS_UNIX_GROUP,
    MANIFEST_BUS_UNIX_EVERYBODY
};

struct manifest_bus_responses {
    bool given;
    uint32_t max;    /* answers to one request; 0: any number */
    uint32_t ttl_ms; /* how long; 0: for ever */
};

struct manifest_bus_permissions {
    bool given;
    struct nats_subjects publish, subscribe;
    struct manifest_bus_responses responses;

    /* set by the check */
    struct nats_permissions rules;
};

struct manifest_bus_user {
    struct bytes user, password, nkey;
    struct bytes account; /* len 0: the default one */
    struct manifest_bus_permissions permissions;

    /* set by the check */
    size_t account_index; /* in `accounts`; SIZE_MAX: the default one */
};

struct manifest_bus_auth {
    bool given;
    struct bytes token;
    struct bytes no_auth_user;
    struct bytes services; /* the user that the system's services come as; len 0: nobody */
    uint32_t timeout_ms;
    struct manifest_bus_permissions default_permissions;
    struct manifest_bus_user *users;
    size_t user_count;
    size_t services_index; /* set by the check: in `users`; SIZE_MAX: none */
    struct bytes *operators;
    size_t operator_count;
};

struct manifest_bus_account {
    struct bytes name;
    struct bytes jwt; /* len 0: its users are in `auth.users` */
    bool jetstream;
};

struct manifest_bus {
    const struct yaml_source *source; /* of a file of its own; else of dure.yaml */
    struct bytes listen;
    struct bytes unix_socket;
    int unix_for; /* enum manifest_bus_unix_for */
    struct manifest_bus_websocket websocket;
    struct bytes http; /* monitoring; len 0: none */
    struct bytes name;
    struct bytes data; /* a file of its own only: where streams are kept; len 0: nowhere */
    uint64_t max_payload;
    /* a NATS cluster instead; url empty: none */
    struct bytes url, user, password, token, creds, ca, cert, key;
    uint32_t replicas; /* 0: as many as make sense */
    struct bytes *advertise;
    size_t advertise_count;
    struct manifest_bus_limits limits;
    struct manifest_bus_ping ping;
    uint32_t write_deadline_ms;
    struct manifest_bus_lame_duck lame_duck;
    struct manifest_bus_tls tls;
    struct manifest_bus_auth auth;
    struct manifest_bus_account *accounts;
    size_t account_count;
};

/* A file of its own. As manifest_system_parse. */
int manifest_bus_parse(struct bytes text, const char *name, struct arena *arena,
                       struct errors *errors, struct manifest_bus **ret_bus);

/* What the table cannot say, of a bus that was bound; `source` is the document's. */
void manifest_bus_check(struct manifest_bus *bus, const struct yaml_source *source,
                        struct errors *errors);

/* The tables, for the manual. */
extern const struct yaml_schema manifest_bus_schema;

#endif
