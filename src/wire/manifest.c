/* One file by itself: bound by its table, then what the table cannot say. */
#include "wire/manifest.h"

#include "wire/manifest_value.h"

/* ---- service.yaml ---- */

static void parse_command(struct manifest_service *service, struct manifest_command *command,
                          struct arena *arena, struct errors *errors)
{
    struct error wrong = {0};
    if (command->text.len == 0) return;
    int err = manifest_command_parse(command->text, arena, command, &wrong);
    if (!err) return;
    struct error *error = yaml_error(service->source, &command->text, errors);
    error_set(error, err, "%s", wrong.message);
    error_remedy(error, "%s", wrong.remedy);
}

static void refuse_false(struct manifest_service *service, const bool *kind, const char *key,
                         struct errors *errors)
{
    if (*kind || !yaml_given(service->source, kind)) return;
    struct error *error = yaml_error(service->source, kind, errors);
    error_set(error, ERR_INVALID, "`%s: false` says how health is not checked", key);
    error_remedy(error, "Say how it is: `path: /health`, `tcp: true` or `bus: true`.");
}

static void settle_health(struct manifest_service *service, struct errors *errors)
{
    struct manifest_health *health = &service->health;
    refuse_false(service, &health->tcp, "tcp", errors);
    refuse_false(service, &health->bus, "bus", errors);
    health->kind = health->path.len ? MANIFEST_HEALTH_HTTP
                   : health->bus    ? MANIFEST_HEALTH_BUS
                                    : MANIFEST_HEALTH_TCP;
}

/* Each text of a list once. */
static void refuse_repeated(const struct yaml_source *source, const char *key,
                            const struct bytes *items, size_t count, struct errors *errors)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (!bytes_eq(items[i], items[j])) continue;
            struct error *error = yaml_error(source, &items[i], errors);
            error_set(error, ERR_INVALID, "`%s` has `%.*s` twice", key, BYTES_ARG(items[i]));
            error_remedy(error, "Remove one of the two.");
            break;
        }
    }
}

static void check_needs(struct manifest_service *service, struct errors *errors)
{
    for (size_t i = 0; i < service->need_count; i++) {
        if (!bytes_eq(service->needs[i], service->name)) continue;
        struct error *error = yaml_error(service->source, &service->needs[i], errors);
        error_set(error, ERR_INVALID, "the service `%.*s` needs itself", BYTES_ARG(service->name));
        error_remedy(error, "Remove it from `needs`.");
    }
}

static void check_subscriptions(struct manifest_service *service, struct errors *errors)
{
    for (size_t i = 0; i < service->subscribe_count; i++) {
        const struct manifest_subscription *one = &service->subscribes[i];
        for (size_t j = 0; j < i && one->subject.len; j++) {
            const struct manifest_subscription *other = &service->subscribes[j];
            if (!bytes_eq(one->subject, other->subject) || !bytes_eq(one->path, other->path))
                continue;
            struct error *error = yaml_error(service->source, &one->subject, errors);
            error_set(
                error, ERR_INVALID,
                "`%.*s` is subscribed to twice with the same path: each event would come twice",
                BYTES_ARG(one->subject));
            error_remedy(error, "Remove one of the two.");
            break;
        }
    }
}

/* What `errors` has gained, as a number to return. */
static int first_code(const struct errors *errors, size_t before)
{
    if (errors_total(errors) == before) return 0;
    return before < errors->count ? errors->items[before].code : ERR_INVALID;
}

int manifest_service_parse(struct bytes text, const char *name, struct arena *arena,
                           struct errors *errors, struct manifest_service **ret_service)
{
    size_t before = errors_total(errors);
    const struct yaml_source *source;
    void *value;
    yaml_bind(&manifest_service_schema, text, name, arena, errors, &value, &source);
    struct manifest_service *service = *ret_service = value;
    if (!service) return first_code(errors, before);
    service->source = source;
    if (service->version_text.len)
        manifest_version_parse(service->version_text, &service->version, NULL);
    parse_command(service, &service->run, arena, errors);
    parse_command(service, &service->build, arena, errors);
    parse_command(service, &service->test, arena, errors);
    settle_health(service, errors);
    refuse_repeated(source, "needs", service->needs, service->need_count, errors);
    refuse_repeated(source, "stores", service->stores, service->store_count, errors);
    refuse_repeated(source, "publishes", service->publishes, service->publish_count, errors);
    check_needs(service, errors);
    check_subscriptions(service, errors);
    return first_code(errors, before);
}

/* ---- dure.yaml ---- */

static void check_listeners(const struct manifest_system *system, struct errors *errors)
{
    const struct {
        const char *owner;
        const struct bytes *listen;
    } all[] = {{"gateway", &system->gateway.listen},
               {"bus", &system->bus.listen},
               {"internal", &system->internal.listen}};
    for (size_t i = 1; i < sizeof all / sizeof all[0]; i++) {
        for (size_t j = 0; j < i; j++) {
            const struct bytes *listen = all[i].listen;
            if (!bytes_eq(*listen, *all[j].listen) || manifest_listen_port(*listen) == 0) continue;
            if (system->bus.url.len && (i == 1 || j == 1)) continue; /* it listens elsewhere */
            if (!yaml_given(system->source, listen)) listen = all[j].listen;
            struct error *error = yaml_error(system->source, listen, errors);
            error_set(error, ERR_INVALID, "`%s` and `%s` both listen on %.*s", all[j].owner,
                      all[i].owner, BYTES_ARG(*listen));
            error_remedy(error, "Give one of them another port.");
        }
    }
}

static struct bytes without_slash(struct bytes path)
{
    return path.len > 1 && bytes_ends(path, BYTES("/")) ? bytes_head(path, path.len - 1) : path;
}

static bool same_headers(const struct manifest_route *a, const struct manifest_route *b)
{
    if (a->header_count != b->header_count) return false;
    for (size_t i = 0; i < a->header_count; i++) {
        bool found = false;
        for (size_t j = 0; j < b->header_count && !found; j++)
            found = bytes_eq_nocase(a->headers[i].key, b->headers[j].key) &&
                    bytes_eq(a->headers[i].value, b->headers[j].value);
        if (!found) return false;
    }
    return true;
}

static bool share_method(const struct manifest_route *a, const struct manifest_route *b)
{
    if (a->method_count == 0 || b->method_count == 0) return a->method_count == b->method_count;
    for (size_t i = 0; i < a->method_count; i++)
        for (size_t j = 0; j < b->method_count; j++)
            if (bytes_eq(a->methods[i], b->methods[j])) return true;
    return false;
}

/* Whether neither is more specific and a request can match both. */
static bool same_requests(const struct manifest_route *a, const struct manifest_route *b)
{
    return bytes_eq(without_slash(a->path), without_slash(b->path)) &&
           bytes_eq_nocase(a->host, b->host) && share_method(a, b) && same_headers(a, b);
}

static void check_routes(const struct manifest_system *system, struct errors *errors)
{
    const struct manifest_gateway *gateway = &system->gateway;
    for (size_t i = 0; i < gateway->route_count; i++) {
        const struct manifest_route *one = &gateway->routes[i];
        refuse_repeated(system->source, "method", one->methods, one->method_count, errors);
        for (size_t j = 0; j < i && one->path.len; j++) {
            const struct manifest_route *other = &gateway->routes[j];
            if (!same_requests(one, other)) continue;
            struct error *error = yaml_error(system->source, &one->path, errors);
            error_set(error, ERR_INVALID,
                      "a route above matches the same requests for `%.*s` and goes to `%.*s`",
                      BYTES_ARG(one->path), BYTES_ARG(other->to));
            error_remedy(error, "Remove one of the two, or tell them apart by `host`, `method` or "
                                "`headers`.");
            break;
        }
    }
}

static void check_deployments(struct manifest_system *system, struct errors *errors)
{
    for (size_t i = 0; i < system->deployment_count; i++) {
        struct manifest_deployment *one = &system->deployments[i];
        one->host = i;
        if (bytes_eq(one->in, BYTES("alone"))) one->in = bytes_str("");
        for (size_t j = 0; j < i && one->path.len; j++) {
            if (!manifest_same_folder(one->path, system->deployments[j].path)) continue;
            struct error *error = yaml_error(system->source, &one->path, errors);
            error_set(error, ERR_INVALID, "the folder `%.*s` is listed twice",
                      BYTES_ARG(one->path));
            error_remedy(error, "Remove one of the two; `scale: 2` runs two instances.");
            break;
        }
        if (!one->in.len || one->scale == 1) continue;
        struct error *error = yaml_error(system->source, &one->scale, errors);
        error_set(error, ERR_INVALID,
                  "`scale: %u` has no meaning with `in: %.*s`: a placed module "
                  "has as many instances as its host",
                  one->scale, BYTES_ARG(one->in));
        error_remedy(error, "Remove `scale` here and set it for `%.*s`.", BYTES_ARG(one->in));
    }
}

static void refuse_bus_key(const struct manifest_system *system, const void *member,
                           const char *message, const char *remedy, struct errors *errors)
{
    struct error *error = yaml_error(system->source, member, errors);
    error_set(error, ERR_INVALID, "%s", message);
    error_remedy(error, "%s", remedy);
}

static void check_bus(const struct manifest_system *system, struct errors *errors)
{
    const struct manifest_bus *bus = &system->bus;
    const struct bytes *const of_cluster[] = {&bus->user, &bus->password, &bus->token, &bus->creds,
                                              &bus->ca,   &bus->cert,     &bus->key};
    for (size_t i = 0; !bus->url.len && i < sizeof of_cluster / sizeof *of_cluster; i++)
        if (of_cluster[i]->len)
            refuse_bus_key(system, of_cluster[i],
                           "this says how to come into a cluster, and no "
                           "cluster is named",
                           "Give its servers, for example `url: nats://a:4222`.", errors);
    if (bus->url.len && yaml_given(system->source, &bus->listen))
        refuse_bus_key(system, &bus->listen,
                       "`listen` has no meaning with `url`: the cluster's "
                       "servers listen",
                       "Remove one of the two.", errors);
    if (!bus->cert.len != !bus->key.len)
        refuse_bus_key(system, bus->cert.len ? &bus->cert : &bus->key,
                       "`cert` and `key` belong together", "Give both, or none.", errors);
}

static void check_bus_data(const struct manifest_system *system, struct errors *errors)
{
    if (!system->bus.data.len) return;
    struct error *error = yaml_error(system->source, &system->bus.data, errors);
    error_set(error, ERR_INVALID,
              "`data` is for a bus of its own: the streams of a system are "
              "kept in its `.dure` folder");
    error_remedy(error, "Remove it here.");
}

int manifest_system_parse(struct bytes text, const char *name, struct arena *arena,
                          struct errors *errors, struct manifest_system **ret_system)
{
    size_t before = errors_total(errors);
    const struct yaml_source *source;
    void *value;
    yaml_bind(&manifest_system_schema, text, name, arena, errors, &value, &source);
    struct manifest_system *system = *ret_system = value;
    if (!system) return first_code(errors, before);
    system->source = source;
    manifest_bus_check(&system->bus, source, errors);
    check_bus_data(system, errors);
    check_listeners(system, errors);
    check_bus(system, errors);
    check_routes(system, errors);
    check_deployments(system, errors);
    return first_code(errors, before);
}
