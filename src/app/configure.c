#include "app/configure.h"

#include "gateway/gateway.h"
#include "registry/endpoints.h"

enum { ERRORS_ARENA_MAX = 256 * 1024 };

static bool is_known(const void *context, struct bytes service)
{
    return manifest_find(context, service) != SIZE_MAX;
}

static int fill(struct snapshot_builder *builder, const struct manifest *manifest,
                const struct registry *registry, struct error *error)
{
    struct arena arena;
    struct errors errors;
    arena_init(&arena, ERRORS_ARENA_MAX);
    errors_init(&errors, &arena);
    int err = gateway_add_manifest(builder, manifest, &errors);
    if (err && error && errors.count) *error = errors.items[0];
    arena_release(&arena);
    return err ? err : registry_add_endpoints(registry, builder, is_known, manifest, error);
}

int configure_snapshot(const struct manifest *manifest, const struct registry *registry,
                       struct snapshot **ret_snapshot, struct error *error)
{
    struct snapshot_builder *builder = NULL;
    int err = snapshot_builder_new(&builder);
    if (err) return error_set(error, err, "%s", err_text(err));
    err = fill(builder, manifest, registry, error);
    if (!err) err = snapshot_build(builder, ret_snapshot, error);
    snapshot_builder_free(builder);
    return err;
}
