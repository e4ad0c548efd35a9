/* All files together: names that must exist, and what only one may have. A service whose file could
 * not be read is NULL here; since any unknown name may be its, unknown names are then not reported.
 */
#include "wire/manifest.h"

#include "wire/manifest_value.h"

struct checker {
    struct manifest *manifest;
    struct errors *errors;
    bool names_known; /* every service could be read, with its name */
};

static struct manifest_service *service_at(const struct checker *checker, size_t index)
{
    return checker->manifest->services[index];
}

static struct manifest_deployment *deployment_at(const struct checker *checker, size_t index)
{
    return &checker->manifest->system->deployments[index];
}

size_t manifest_find(const struct manifest *manifest, struct bytes name)
{
    for (size_t i = 0; i < manifest->service_count; i++)
        if (manifest->services[i] && name.len && bytes_eq(manifest->services[i]->name, name))
            return i;
    return SIZE_MAX;
}

/* The index of the service that `name` (a member of `source`'s document) names. Reports and
 * returns SIZE_MAX when there is none. */
static size_t resolve(struct checker *checker, const struct yaml_source *source,
                      const struct bytes *name)
{
    const struct manifest *manifest = checker->manifest;
    size_t index = manifest_find(manifest, *name);
    if (index != SIZE_MAX || !name->len || !checker->names_known) return index;
    const char *names[MANIFEST_SERVICES_MAX];
    for (size_t i = 0; i < manifest->service_count; i++)
        names[i] = manifest->services[i]->name.data;
    const char *near = bytes_nearest(*name, names, manifest->service_count);
    struct error *error = yaml_error(source, name, checker->errors);
    error_set(error, ERR_NOT_FOUND, "no service of this system is called `%.*s`", BYTES_ARG(*name));
    if (near)
        error_remedy(error, "Did you mean `%s`?", near);
    else
        error_remedy(error, "Add its folder under `services` in dure.yaml, or correct the name.");
    return SIZE_MAX;
}

/* ---- names ---- */

static void check_name(struct checker *checker, size_t index)
{
    const struct manifest_service *service = service_at(checker, index);
    const struct manifest_deployment *deployment = deployment_at(checker, index);
    if (!service->name.len) return;
    if (deployment->name.len && !bytes_eq(deployment->name, service->name)) {
        struct error *error =
            yaml_error(checker->manifest->system->source, &deployment->name, checker->errors);
        error_set(error, ERR_INVALID,
                  "the service in `%.*s` is called `%.*s` by its service.yaml, "
                  "not `%.*s`",
                  BYTES_ARG(deployment->path), BYTES_ARG(service->name),
                  BYTES_ARG(deployment->name));
        error_remedy(error, "Write `name: %.*s` here, or leave it out.", BYTES_ARG(service->name));
    }
    size_t first = manifest_find(checker->manifest, service->name);
    /* One folder listed twice has been reported as that. */
    bool same = manifest_same_folder(deployment->path, deployment_at(checker, first)->path);
    if (first == index || same) return;
    const struct manifest_service *other = service_at(checker, first);
    struct error *error = yaml_error(service->source, &service->name, checker->errors);
    error_set(error, ERR_EXISTS, "another service is called `%.*s` too: %s",
              BYTES_ARG(service->name), yaml_source_name(other->source));
    error_remedy(error, "Give one of them another name.");
}

static void check_needs(struct checker *checker, const struct manifest_service *service)
{
    for (size_t i = 0; i < service->need_count; i++)
        resolve(checker, service->source, &service->needs[i]);
}

static void check_routes(struct checker *checker)
{
    struct manifest_system *system = checker->manifest->system;
    for (size_t i = 0; i < system->gateway.route_count; i++) {
        struct manifest_route *route = &system->gateway.routes[i];
        route->service = resolve(checker, system->source, &route->to);
    }
}

/* ---- placement ---- */

static void require_module(struct checker *checker, size_t placed, size_t index)
{
    const struct manifest_service *service = service_at(checker, index);
    if (!service || !service->run.text.len) return;
    const struct manifest_system *system = checker->manifest->system;
    struct error *error =
        yaml_error(system->source, &deployment_at(checker, placed)->in, checker->errors);
    error_set(error, ERR_INVALID, "`%.*s` is a program (`run`), and only modules can %s",
              BYTES_ARG(service->name),
              placed == index ? "be placed in another's process" : "have others in their process");
    error_remedy(error, "Remove `in`, so that each runs in a process of its own, or make it a "
                        "`module`.");
}

/* One step up; itself at the top and where the way is broken (which is reported elsewhere). */
static size_t host_of(const struct checker *checker, size_t index)
{
    size_t host = manifest_find(checker->manifest, deployment_at(checker, index)->in);
    return host == SIZE_MAX ? index : host;
}

/* Follows `in` to the service that runs in a process of its own. SIZE_MAX: it leads into a circle;
 * *ret_member is then one of its members, the same for every way into it. */
static size_t root_of(const struct checker *checker, size_t index, size_t *ret_member)
{
    size_t at = index;
    for (size_t i = 0; i <= checker->manifest->service_count; i++) {
        size_t host = host_of(checker, at);
        if (host == at && manifest_find(checker->manifest, deployment_at(checker, at)->in) != at)
            return at;
        at = host;
    }
    *ret_member = at;
    for (size_t next = host_of(checker, at); next != at; next = host_of(checker, next))
        if (next < *ret_member) *ret_member = next;
    return SIZE_MAX;
}

static void refuse_circle(struct checker *checker, size_t member)
{
    const struct manifest_system *system = checker->manifest->system;
    const struct manifest_deployment *deployment = deployment_at(checker, member);
    struct error *error = yaml_error(system->source, &deployment->in, checker->errors);
    struct bytes name = service_at(checker, member)->name;
    if (host_of(checker, member) == member)
        error_set(error, ERR_INVALID, "`%.*s` is placed in itself", BYTES_ARG(name));
    else
        error_set(error, ERR_INVALID,
                  "`%.*s` is placed in `%.*s`, which is itself placed, in the "
                  "end, in `%.*s`: none of them has a process",
                  BYTES_ARG(name), BYTES_ARG(deployment->in), BYTES_ARG(name));
    error_remedy(error, "Let one of them run alone: remove its `in`.");
}

static void check_placement(struct checker *checker, size_t index)
{
    const struct manifest_system *system = checker->manifest->system;
    struct manifest_deployment *deployment = deployment_at(checker, index);
    deployment->host = index;
    if (!deployment->in.len) return;
    size_t host = resolve(checker, system->source, &deployment->in), member = index;
    require_module(checker, index, index);
    if (host == SIZE_MAX) return;
    if (host != index) require_module(checker, index, host);
    size_t root = root_of(checker, index, &member);
    if (root != SIZE_MAX)
        deployment->host = root;
    else if (member == index)
        refuse_circle(checker, index);
}

/* ---- stores ---- */

static void check_store_owner(struct checker *checker, size_t index, const struct bytes *store)
{
    const struct manifest_service *service = service_at(checker, index);
    for (size_t i = 0; i < index; i++) {
        const struct manifest_service *other = service_at(checker, i);
        for (size_t j = 0; other && j < other->store_count; j++) {
            if (!bytes_eq(*store, other->stores[j])) continue;
            struct error *error = yaml_error(service->source, store, checker->errors);
            error_set(error, ERR_EXISTS,
                      "the store `%.*s` is owned by `%.*s` already, and a store "
                      "has one owner",
                      BYTES_ARG(*store), BYTES_ARG(other->name));
            error_remedy(error,
                         "Give it a name of its own; ask `%.*s` for its data by a call or "
                         "an event.",
                         BYTES_ARG(other->name));
            return;
        }
    }
}

static void check_stores(struct checker *checker, size_t index)
{
    const struct manifest_service *service = service_at(checker, index);
    const struct manifest_system *system = checker->manifest->system;
    const struct manifest_deployment *host =
        deployment_at(checker, deployment_at(checker, index)->host);
    for (size_t i = 0; i < service->store_count; i++)
        check_store_owner(checker, index, &service->stores[i]);
    if (!service->store_count || service->share_stores || host->scale == 1) return;
    struct error *error = yaml_error(system->source, &host->scale, checker->errors);
    error_set(error, ERR_INVALID, "%u instances of `%.*s` would write the same store `%.*s`",
              host->scale, BYTES_ARG(service->name), BYTES_ARG(service->stores[0]));
    error_remedy(error, "Write `scale: 1`, or, if it opens its store in a way that several "
                        "processes can share, `share_stores: true` in its service.yaml.");
}

/* ---- subjects ---- */

static void refuse_answer(struct checker *checker, const struct manifest_service *service,
                          const struct manifest_answer *answer,
                          const struct manifest_service *other, struct bytes subject)
{
    struct error *error = yaml_error(service->source, &answer->subject, checker->errors);
    error_set(error, ERR_INVALID, "requests for `%.*s` are answered by `%.*s` already (`%.*s`)",
              BYTES_ARG(answer->subject), BYTES_ARG(other->name), BYTES_ARG(subject));
    error_remedy(error, "Keep one of the two, or choose another subject.");
}

/* A request for an event's subject would be answered by the stream's acknowledgement. */
static void refuse_event(struct checker *checker, const struct manifest_service *service,
                         const struct manifest_answer *answer, const struct manifest_service *other,
                         const char *key, struct bytes subject)
{
    struct error *error = yaml_error(service->source, &answer->subject, checker->errors);
    error_set(error, ERR_INVALID,
              "`%.*s` cannot be answered: `%.*s` %s `%.*s`, so it is a durable "
              "event, which the stream acknowledges itself",
              BYTES_ARG(answer->subject), BYTES_ARG(other->name), key, BYTES_ARG(subject));
    error_remedy(error, "Choose a subject for the request that no event has.");
}

static void check_answer(struct checker *checker, size_t index, size_t number)
{
    const struct manifest_service *service = service_at(checker, index);
    const struct manifest_answer *answer = &service->answers[number];
    for (size_t i = 0; i < checker->manifest->service_count && answer->subject.len; i++) {
        const struct manifest_service *other = service_at(checker, i);
        if (!other) continue;
        size_t until = i < index ? other->answer_count : i == index ? number : 0;
        for (size_t j = 0; j < until; j++) {
            struct bytes subject = other->answers[j].subject;
            if (subject.len && manifest_subjects_overlap(answer->subject, subject)) {
                refuse_answer(checker, service, answer, other, subject);
                return;
            }
        }
        for (size_t j = 0; j < other->publish_count; j++) {
            if (manifest_subjects_overlap(answer->subject, other->publishes[j])) {
                refuse_event(checker, service, answer, other, "publishes", other->publishes[j]);
                return;
            }
        }
        for (size_t j = 0; j < other->subscribe_count; j++) {
            struct bytes subject = other->subscribes[j].subject;
            if (subject.len && manifest_subjects_overlap(answer->subject, subject)) {
                refuse_event(checker, service, answer, other, "subscribes to", subject);
                return;
            }
        }
    }
}

/* ---- all ---- */

int manifest_check(struct manifest *manifest, struct errors *errors)
{
    size_t before = errors_total(errors);
    if (!manifest->system) return ERR_INVALID;
    struct checker checker = {manifest, errors, true};
    for (size_t i = 0; i < manifest->service_count; i++)
        checker.names_known &= manifest->services[i] && manifest->services[i]->name.len;
    check_routes(&checker);
    for (size_t i = 0; i < manifest->service_count; i++) check_placement(&checker, i);
    for (size_t i = 0; i < manifest->service_count; i++) {
        struct manifest_service *service = manifest->services[i];
        if (!service) continue;
        check_name(&checker, i);
        check_needs(&checker, service);
        check_stores(&checker, i);
        for (size_t j = 0; j < service->answer_count; j++) check_answer(&checker, i, j);
    }
    if (errors_total(errors) == before) return 0;
    return before < errors->count ? errors->items[before].code : ERR_INVALID;
}
