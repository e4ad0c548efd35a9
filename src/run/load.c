#include "run/load.h"

#include <stdlib.h>

struct loader {
    struct io *io;
    const struct load_source *source;
    const char *dir;
    struct arena *arena;
    struct errors *errors;
    struct manifest *manifest;
};

static const char *join(struct arena *arena, const char *dir, struct bytes path)
{
    if (strcmp(dir, ".") == 0 || path.data[0] == '/') return arena_copy(arena, path);
    size_t len = strlen(dir);
    while (len > 1 && dir[len - 1] == '/') len--;
    return arena_format(arena, "%.*s%s%.*s", (int)len, dir, dir[len - 1] == '/' ? "" : "/",
                        BYTES_ARG(path));
}

int load_read_file(void *io, const char *path, char **ret_data, size_t *ret_len)
{
    struct io_file file;
    int err = io_file_open(io, &file, path, IO_READ);
    if (err) return err;
    int64_t size = io_file_size(&file);
    if (size > YAML_SIZE_MAX) size = ERR_TOO_BIG;
    char *data = size < 0 ? NULL : malloc((size_t)size + 1);
    int64_t len = size < 0 ? size : data ? io_file_read(&file, data, (size_t)size, 0) : ERR_NOMEM;
    io_file_close(&file);
    if (len < 0) {
        free(data);
        return (int)len;
    }
    *ret_data = data;
    *ret_len = (size_t)len;
    return 0;
}

static bool is_dir(struct io *io, const char *path)
{
    uint64_t size, mtime_ns;
    bool dir = false;
    return io_stat(io, path, &size, &mtime_ns, &dir) == 0 && dir;
}

/* ---- dure.yaml ---- */

static int fail_system(struct loader *loader, const char *path, int err)
{
    struct error *error = errors_add(loader->errors);
    error_at(error, path, 0, 0);
    if (err == ERR_TOO_BIG) {
        error_remedy(error, "Check that this is the right file.");
        return error_set(error, err, "this file is larger than %d bytes, the limit of a manifest",
                         YAML_SIZE_MAX);
    }
    if (err != ERR_NOT_FOUND) {
        error_remedy(error, "Check that it is a file, and its permissions.");
        return error_set(error, err, "the system's manifest cannot be read: %s", err_text(err));
    }
    if (!is_dir(loader->io, loader->dir)) {
        error_remedy(error, "Check the folder's name.");
        return error_set(error, err, "there is no folder `%s`", loader->dir);
    }
    error_remedy(error, "Change to the folder that holds dure.yaml, or name it: dure up DIR.");
    return error_set(error, err, "this file does not exist, so there is no system here");
}

static int read_system(struct loader *loader)
{
    const char *path = join(loader->arena, loader->dir, BYTES("dure.yaml"));
    if (!path) return ERR_NOMEM;
    char *data;
    size_t len;
    int err = loader->source->read(loader->source->context, path, &data, &len);
    if (err) return fail_system(loader, path, err);
    err = manifest_system_parse(bytes_make(data, len), path, loader->arena, loader->errors,
                                &loader->manifest->system);
    free(data);
    return err;
}

/* ---- service.yaml ---- */

/* At the place in dure.yaml that asks for it, except when the file itself is to be mended. */
static int fail_service(struct loader *loader, struct manifest_deployment *deployment,
                        const char *folder, const char *path, int err)
{
    const struct yaml_source *source = loader->manifest->system->source;
    struct error *error = yaml_error(source, &deployment->path, loader->errors);
    if (err == ERR_TOO_BIG) {
        error_at(error, path, 0, 0);
        error_remedy(error, "Check that this is the right file.");
        return error_set(error, err, "this file is larger than %d bytes, the limit of a manifest",
                         YAML_SIZE_MAX);
    }
    if (err == ERR_NOT_FOUND && !is_dir(loader->io, folder)) {
        error_remedy(error, "Correct the path (it is relative to dure.yaml), or make the folder.");
        return error_set(error, err, "there is no folder `%s`", folder);
    }
    if (err == ERR_NOT_FOUND) {
        error_remedy(error, "Write one that says at least `name`, `version` and `run`.");
        return error_set(error, err, "the folder `%s` has no service.yaml", folder);
    }
    error_remedy(error, "Check the permissions of the file.");
    return error_set(error, err, "`%s` cannot be read: %s", path, err_text(err));
}

static int read_service(struct loader *loader, size_t index)
{
    struct manifest_deployment *deployment = &loader->manifest->system->deployments[index];
    if (!deployment->path.len) return ERR_INVALID; /* reported where it was parsed */
    const char *folder = load_service_dir(loader->dir, loader->manifest, index, loader->arena);
    const char *path = folder ? join(loader->arena, folder, BYTES("service.yaml")) : NULL;
    if (!path) return ERR_NOMEM;
    char *data;
    size_t len;
    int err = loader->source->read(loader->source->context, path, &data, &len);
    if (err) return fail_service(loader, deployment, folder, path, err);
    err = manifest_service_parse(bytes_make(data, len), path, loader->arena, loader->errors,
                                 &loader->manifest->services[index]);
    free(data);
    return err;
}

static int read_services(struct loader *loader)
{
    struct manifest *manifest = loader->manifest;
    size_t count = manifest->system->deployment_count;
    manifest->services = arena_array(loader->arena, count, sizeof *manifest->services);
    if (!manifest->services) return ERR_NOMEM;
    manifest->service_count = count;
    for (size_t i = 0; i < count; i++)
        if (read_service(loader, i) == ERR_NOMEM) return ERR_NOMEM;
    manifest_check(manifest, loader->errors);
    return loader->arena->failed ? ERR_NOMEM : 0;
}

int load_system(struct io *io, const char *dir, struct arena *arena, struct errors *errors,
                struct manifest *ret_manifest)
{
    struct load_source files = {load_read_file, io};
    return load_system_from(io, &files, dir, arena, errors, ret_manifest);
}

int load_system_from(struct io *io, const struct load_source *source, const char *dir,
                     struct arena *arena, struct errors *errors, struct manifest *ret_manifest)
{
    size_t before = errors_total(errors);
    struct loader loader = {io, source, dir, arena, errors, ret_manifest};
    *ret_manifest = (struct manifest){0};
    int err = read_system(&loader);
    if (ret_manifest->system) err = read_services(&loader);
    if (err == ERR_NOMEM && errors_total(errors) == before)
        error_set(errors_add(errors), ERR_NOMEM, "out of memory while reading the manifests");
    errors_sort(errors);
    if (errors_total(errors) == before) return 0;
    return errors->count ? errors->items[0].code : ERR_NOMEM;
}

const char *load_service_dir(const char *dir, const struct manifest *manifest, size_t index,
                             struct arena *arena)
{
    return join(arena, dir, manifest->system->deployments[index].path);
}
