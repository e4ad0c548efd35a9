/* deployment: one accepted set of manifests, immutable and counted. Processes keep the deployment
 * that they were started from until they are gone. */
#ifndef DURE_RUN_DEPLOYMENT_H
#define DURE_RUN_DEPLOYMENT_H

#include "io/io.h"
#include "wire/manifest.h"

#include <jansson.h>

struct deployment {
    struct manifest manifest; /* has passed manifest_check */
    char *dir;                /* absolute folder of dure.yaml */
    json_t *texts;            /* what was read: {path: text} */

    struct arena arena; /* private */
    unsigned refs;      /* private */
};

/* Reads, binds and checks the manifests below `dir`; BLOCKS. All mistakes go to `errors`. `texts`
 * NULL: the files as they are now; else the texts of an earlier deployment, whatever the files say
 * now. */
int deployment_load(struct io *io, const char *dir, json_t *texts, struct errors *errors,
                    struct deployment **ret_deployment);

struct deployment *deployment_ref(struct deployment *deployment);

/* NULL is allowed. */
void deployment_unref(struct deployment *deployment);

/* The absolute folder of services[index], in `arena`; NULL when that is full. */
const char *deployment_service_dir(const struct deployment *deployment, size_t index,
                                   struct arena *arena);

#endif
