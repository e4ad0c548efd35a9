/* manifest: what the people of a system write down about it. `dure.yaml` names the system, its
 * services and the ways in; each service's folder has its own `service.yaml`. The keys, defaults
 * and meanings are the tables in manifest_schema.c, from which doc/manifest.md is printed.
 *
 * Pure: the caller reads the files (run/load.h does) and hands over bytes. Life of a manifest:
 *
 *     manifest_system_parse   dure.yaml                    -> struct manifest_system
 *     manifest_service_parse  each service.yaml            -> struct manifest_service
 *     manifest_check          all of them together         -> the indices between them are set
 *
 * Everything lives in one arena and does not change afterwards. The parsed structs must not be
 * copied: places of values are known by their members' addresses. Strings are ended by NUL; one
 * that was left out has len 0. All limits and times have their defaults filled in. */
#ifndef DURE_WIRE_MANIFEST_H
#define DURE_WIRE_MANIFEST_H

#include "wire/manifest_bus.h"

enum {
    MANIFEST_SERVICES_MAX = 256,
    MANIFEST_SCALE_MAX = 64,
    MANIFEST_ROUTES_MAX = 4096,
    MANIFEST_WORDS_MAX = 256 /* words of a command */
};

/* ---- versions ---------------------------------------------------------------------------- */

/* vMAJOR_DATE-FIX (v1_20261121-2) or MAJOR.MINOR.PATCH (1.4.2). A change in the last part must be
 * compatible, a change in the first two may not be. */
enum manifest_version_form { MANIFEST_VERSION_DATED, MANIFEST_VERSION_SEMANTIC };

struct manifest_version {
    enum manifest_version_form form;
    uint32_t major;
    uint32_t minor; /* the date as YYYYMMDD, or MINOR */
    uint32_t fix;   /* FIX or PATCH */
};

/* ERR_SYNTAX, with a message and a remedy in `error` (may be NULL). */
int manifest_version_parse(struct bytes text, struct manifest_version *ret_version,
                           struct error *error);

/* Negative, 0, positive. Dated versions come before semantic ones. */
int manifest_version_compare(const struct manifest_version *a, const struct manifest_version *b);

/* Whether a user of `from` can be given `to`: they differ in the last part at most, and `to` is
 * not older. */
bool manifest_version_compatible(const struct manifest_version *from,
                                 const struct manifest_version *to);

/* ---- commands ---------------------------------------------------------------------------- */

/* Words as a shell would make them from 'single' and "double" quotes and backslashes; nothing is
 * expanded, and what only a shell could do (| ; & < > ` $ * ? and so on, unquoted) is refused. */
struct manifest_command {
    struct bytes text;
    const char *const *argv; /* ended by NULL; NULL when the command was left out */
    size_t argc;
};

/* Splits `text` into words in `arena`. ERR_SYNTAX, ERR_TOO_BIG, ERR_NOMEM, with message and remedy
 * in `error` (may be NULL). An empty command is ERR_SYNTAX. */
int manifest_command_parse(struct bytes text, struct arena *arena,
                           struct manifest_command *ret_command, struct error *error);

/* ---- service.yaml ------------------------------------------------------------------------ */

enum manifest_health_kind {
    MANIFEST_HEALTH_TCP,  /* $PORT accepts connections; also when `health` is left out */
    MANIFEST_HEALTH_HTTP, /* GET `path` on $PORT is answered with 2xx */
    MANIFEST_HEALTH_BUS   /* it answers pings on the bus */
};

struct manifest_health {
    enum manifest_health_kind kind;
    struct bytes path; /* MANIFEST_HEALTH_HTTP */
    bool tcp, bus;     /* as written; read `kind` */
    uint32_t interval_ms, timeout_ms;
    uint32_t failures, successes; /* in a row, to leave and to return */
};

/* A durable event that it wants, delivered as POST to `path`. */
struct manifest_subscription {
    struct bytes subject, path;
    uint32_t attempts;   /* deliveries before the dead-letter stream */
    uint32_t timeout_ms; /* of one delivery */
};

/* A request on the bus that it answers: POST to `path`, the response's body is the reply. */
struct manifest_answer {
    struct bytes subject, path;
    uint32_t timeout_ms;
};

struct manifest_stop {
    uint32_t grace_ms; /* from SIGTERM to SIGKILL */
};

struct manifest_service {
    const struct yaml_source *source;
    struct bytes name, version_text, owner;
    struct manifest_version version;
    struct manifest_command run; /* exactly one of run (argv is not NULL) */
    struct bytes module;         /* and module (len is not 0) */
    struct manifest_command build, test;
    struct manifest_health health;
    struct bytes *needs;
    size_t need_count;
    struct bytes *stores; /* files of SQLite databases, relative to its data folder */
    size_t store_count;
    bool share_stores; /* several instances may have them open at once */
    struct bytes *publishes;
    size_t publish_count;
    struct manifest_subscription *subscribes;
    size_t subscribe_count;
    struct manifest_answer *answers;
    size_t answer_count;
    struct yaml_pair *env;
    size_t env_count;
    struct manifest_stop stop;
};

static inline bool manifest_is_module(const struct manifest_service *service)
{
    return service->module.len > 0;
}

/* ---- dure.yaml --------------------------------------------------------------------------- */

/* One service of the system: where it is and how it is deployed here. */
struct manifest_deployment {
    struct bytes path;     /* its folder, relative to dure.yaml */
    struct bytes name;     /* optional; must equal service.yaml's */
    struct bytes in;       /* the service whose process it runs in; len 0: its own */
    uint32_t scale;        /* instances; for a placed module those of its host */
    struct yaml_pair *env; /* over the service's own and the system's */
    size_t env_count;

    /* set by manifest_check */
    size_t host; /* index of the service whose process it runs in; itself when alone */
};

struct manifest_route {
    struct bytes
        path; /* matched element-wise as a prefix: /orders matches /orders/7, not /orders2 */
    struct bytes host; /* len 0: any; "*.example.org" matches one more label or several */
    struct bytes *methods;
    size_t method_count;       /* 0: any */
    struct yaml_pair *headers; /* all must be there with this value */
    size_t header_count;
    struct bytes to;
    struct bytes rewrite; /* replaces the matched prefix; len 0: the path stays */
    uint32_t timeout_ms;  /* of a request with all its retries */
    uint32_t retries;

    /* set by manifest_check */
    size_t service; /* index */
};

struct manifest_gateway {
    struct bytes listen;
    struct manifest_route *routes;
    size_t route_count;
};

/* The road between services: $DURE_HTTP and $http_proxy. */
struct manifest_internal {
    struct bytes listen;
};

struct manifest_system {
    const struct yaml_source *source;
    struct bytes name;
    struct manifest_deployment *deployments; /* `services:` */
    size_t deployment_count;
    struct manifest_gateway gateway;
    struct manifest_bus bus;
    struct manifest_internal internal;
    struct yaml_pair *env; /* of every service */
    size_t env_count;
    uint32_t deploy_timeout_ms;
};

/* ---- all together ------------------------------------------------------------------------ */

struct manifest {
    struct manifest_system *system; /* NULL: could not be read */
    /* services[i] is the service.yaml of system->deployments[i]; NULL: could not be read. */
    struct manifest_service **services;
    size_t service_count; /* = system->deployment_count */
};

/* Both: the document is bound and checked by itself. Mistakes go to `errors`; returns 0, or the
 * error of the first. *ret is then what could be read, or NULL. `name` is the file's name for
 * errors. */
int manifest_system_parse(struct bytes text, const char *name, struct arena *arena,
                          struct errors *errors, struct manifest_system **ret_system);
int manifest_service_parse(struct bytes text, const char *name, struct arena *arena,
                           struct errors *errors, struct manifest_service **ret_service);

/* Checks what no file can know alone, and sets the indices between them. A service that is NULL
 * has been reported already; nothing that might be its is held against anybody. Returns 0, or the
 * error of the first mistake. */
int manifest_check(struct manifest *manifest, struct errors *errors);

/* The index of the service of that name, or SIZE_MAX. */
size_t manifest_find(const struct manifest *manifest, struct bytes name);

/* The value that `services[index]` sees for an environment variable set in the manifests: the
 * deployment's, else the service's, else the system's. NULL data: set by none. */
struct bytes manifest_env(const struct manifest *manifest, size_t index, struct bytes key);

/* Calls `each` once for each variable of services[index], as manifest_env resolves it, in the order
 * of the bytes of the keys. The manifest must have passed manifest_check. */
void manifest_env_each(const struct manifest *manifest, size_t index,
                       void (*each)(void *context, struct bytes key, struct bytes value),
                       void *context);

/* Appends, as text, everything that the process of services[index] is made of: command or module,
 * version, environment, stores, and the modules placed in it. Two manifests whose texts are equal
 * need no restart of that process. Health, scale, routes and subjects are not in it: they change
 * without a restart. For a placed module it is the text of its host. */
void manifest_service_describe(const struct manifest *manifest, size_t index, struct buf *out);

/* The hash of that text (XXH3); ERR_NOMEM. */
int manifest_service_fingerprint(const struct manifest *manifest, size_t index,
                                 uint64_t *ret_fingerprint);

/* The tables, for the manual. */
extern const struct yaml_schema manifest_system_schema, manifest_service_schema;

#endif
