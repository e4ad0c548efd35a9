/* The YAML reader, both tables, and the checks across files. The input is a dure.yaml and, behind
 * NUL bytes, service.yaml files. A fault must be said, and what is fine can be described. */
#include <assert.h>

#include "wire/manifest.h"

enum { SERVICES = 4, ARENA_MAX = 64 * 1024 * 1024 };

static void check(struct manifest *manifest, struct errors *errors)
{
    if (!manifest->system) return;
    if (manifest->service_count > manifest->system->deployment_count)
        manifest->service_count = manifest->system->deployment_count;
    /* A manifest has as many services as deployments. */
    static struct manifest_service *all[MANIFEST_SERVICES_MAX];
    memset(all, 0, sizeof all);
    memcpy(all, manifest->services, manifest->service_count * sizeof *all);
    bool whole = manifest->service_count == manifest->system->deployment_count;
    manifest->services = all;
    manifest->service_count = manifest->system->deployment_count;
    manifest_check(manifest, errors);
    uint64_t fingerprint;
    if (!whole || errors_total(errors)) return;
    for (size_t i = 0; i < manifest->service_count; i++) {
        assert(manifest->services[i]->name.len);
        assert(manifest->system->deployments[i].host < manifest->service_count);
        assert(manifest_service_fingerprint(manifest, i, &fingerprint) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = bytes_make(data, size);
    struct arena arena;
    struct errors errors;
    struct manifest_service *services[SERVICES] = {NULL};
    struct manifest manifest = {.services = services};
    arena_init(&arena, ARENA_MAX);
    errors_init(&errors, &arena);
    int err =
        manifest_system_parse(bytes_cut(&rest, 0), "dure.yaml", &arena, &errors, &manifest.system);
    assert((err == 0) == (errors_total(&errors) == 0));
    assert(err || manifest.system);
    for (size_t i = 0; i < SERVICES && rest.data; i++) {
        size_t before = errors_total(&errors);
        err = manifest_service_parse(bytes_cut(&rest, 0), "service.yaml", &arena, &errors,
                                     &services[i]);
        assert((err == 0) == (errors_total(&errors) == before));
        manifest.service_count = i + 1;
    }
    check(&manifest, &errors);
    struct buf out;
    buf_init(&out, 1024 * 1024);
    errors_sort(&errors);
    errors_format(&errors, &out);
    for (size_t i = 0; i < errors.count; i++)
        assert(errors.items[i].code < 0 && errors.items[i].message[0]);
    buf_release(&out);
    arena_release(&arena);
    return 0;
}
