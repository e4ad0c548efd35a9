/* A gateway's own file: what is read either compiles, and then every route can be reached, or its
 * mistakes are told. */
#include <assert.h>
#include <stddef.h>

#include "gateway/gateway_config.h"

enum { ARENA_MAX = 64 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct snapshot *snapshot, const struct gateway_config *config)
{
    size_t count;
    const struct route *routes = snapshot_routes(snapshot, &count);
    assert(count == config->route_count);
    for (size_t i = 0; i < count; i++) {
        assert(routes[i].cluster && routes[i].path.len && routes[i].path.data[0] == '/');
        struct bytes method = routes[i].method_count ? routes[i].methods[0] : BYTES("GET");
        struct bytes host = routes[i].host;
        if (host.len && host.data[0] == '*') continue; /* a label more would be needed */
        struct route_query query = {.host = host, .path = routes[i].path, .method = method};
        const struct route *found = snapshot_route(snapshot, &query);
        assert(found || routes[i].header_count);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct errors errors;
    struct gateway_config *config = NULL;
    struct snapshot *snapshot = NULL;
    arena_init(&arena, ARENA_MAX);
    errors_init(&errors, &arena);
    int err =
        gateway_config_parse(bytes_make(data, size), "gateway.yaml", &arena, &errors, &config);
    if (!err) err = gateway_config_compile(config, &errors, &snapshot);
    assert((err != 0) == (errors_total(&errors) != 0));
    assert((err != 0) == (snapshot == NULL));
    if (snapshot) check(snapshot, config);
    snapshot_unref(snapshot);
    arena_release(&arena);
    return 0;
}
