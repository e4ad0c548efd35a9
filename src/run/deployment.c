#include "run/deployment.h"

#include "run/load.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Where a deployment's texts come from, and where they are kept. */
struct reading {
    struct io *io;
    json_t *given, *kept;
};

static int read_text(void *context, const char *path, char **ret_data, size_t *ret_len)
{
    struct reading *reading = context;
    json_t *text = json_object_get(reading->given, path);
    if (!reading->given) {
        int err = load_read_file(reading->io, path, ret_data, ret_len);
        if (err) return err;
    } else {
        *ret_len = json_string_length(text);
        *ret_data = text ? strndup(json_string_value(text), *ret_len) : NULL;
        if (!*ret_data) return text ? ERR_NOMEM : ERR_NOT_FOUND;
    }
    /* What is no text has mistakes, and is never deployed. */
    json_object_set_new(reading->kept, path, json_stringn(*ret_data, *ret_len));
    return 0;
}

int deployment_load(struct io *io, const char *dir, json_t *texts, struct errors *errors,
                    struct deployment **ret_deployment)
{
    struct deployment *deployment = calloc(1, sizeof *deployment);
    if (!deployment) return ERR_NOMEM;
    deployment->refs = 1;
    deployment->dir = strdup(dir);
    deployment->texts = json_object();
    arena_init(&deployment->arena, LOAD_ARENA_MAX);
    struct reading reading = {io, texts, deployment->texts};
    struct load_source source = {read_text, &reading};
    int err =
        deployment->dir && deployment->texts
            ? load_system_from(io, &source, dir, &deployment->arena, errors, &deployment->manifest)
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
    json_decref(deployment->texts);
    free(deployment);
}

const char *deployment_service_dir(const struct deployment *deployment, size_t index,
                                   struct arena *arena)
{
    return load_service_dir(deployment->dir, &deployment->manifest, index, arena);
}
