/* A bus's own configuration: read without harm, every mistake with its place, and the same twice.
 */
#include "wire/manifest_bus.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct errors errors;
    struct manifest_bus *one, *two;
    arena_init(&arena, 64 << 20);
    errors_init(&errors, &arena);
    int r = manifest_bus_parse(bytes_make(data, size), "bus.yaml", &arena, &errors, &one);
    if ((r == 0) != (errors_total(&errors) == 0)) abort();
    if (r == 0) {
        if (manifest_bus_parse(bytes_make(data, size), "bus.yaml", &arena, &errors, &two)) abort();
        if (!yaml_same(&manifest_bus_schema, one, two)) abort();
    }
    arena_release(&arena);
    return 0;
}
