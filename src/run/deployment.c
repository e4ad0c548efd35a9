#include "run/deployment.h"

#include "run/load.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int deployment_load(struct io *io, const char *dir, struct errors *errors,
                    struct deployment **ret_deployment)
{
    struct deployment *deployment = calloc(1, sizeof *deployment);
    if (!deployment) return ERR_NOMEM;
    deployment->refs = 1;
    deployment->dir = strdup(dir);
    arena_init(&deployment->arena, LOAD_ARENA_MAX);
    int err = deployment->dir
                  ? load_system(io, dir, &deployment->arena, errors, &deployment->manifest)
                  : ERR_NOMEM;
    if (err)
        deployment_unref(deployment);
    else
        *ret_deployment = deployment;
    return err;
}

struct deployment *deployment_ref(struct deployment *deployment)
{
    deployment->refs++;
    return deployment;
}

void deployment_unref(struct deployment *deployment)
{
    if (!deployment) return;
    assert(deployment->refs > 0);
    if (--deployment->refs) return;
    arena_release(&deployment->arena);
    free(deployment->dir);
    free(deployment);
}

const char *deployment_service_dir(const struct deployment *deployment, size_t index,
                                   struct arena *arena)
{
    return load_service_dir(deployment->dir, &deployment->manifest, index, arena);
}
