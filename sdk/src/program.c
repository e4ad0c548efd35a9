/* The two ways to run: one module as a program of its own, and several loaded from shared objects.
 */
#include "sdk/src/logger.h"
#include "sdk/src/serve.h"
#include "sdk/src/tenant.h"

#include <dlfcn.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

/* What is to be loaded. */
struct listing {
    char *name; /* NULL: the module's own */
    char *path;
    int port;
    char **env;
    bool own_env; /* came from $DURE_HOST_MODULES */
    bool alone;   /* may be called what $DURE_SERVICE says */
};

static const char *listen_address(void)
{
    const char *host = getenv("HOST");
    return host && *host ? host : "127.0.0.1";
}

/* $PORT, or 0: any. -1: not a port. */
static int first_port(void)
{
    const char *text = getenv("PORT");
    uint64_t port = 0;
    if (text && *text && bytes_to_u64(bytes_str(text), 65535, &port) != 0) return -1;
    return (int)port;
}

static int fail(struct host *host, const char *what, const char *which, const char *why)
{
    if (host->logger)
        LOGGER(host, NULL, DURE_ERROR, what, DURE_S("which", which), DURE_S("error", why));
    return 1;
}

static bool module_fits(const struct dure_module *module)
{
    return module && module->abi == DURE_ABI && module->size >= sizeof *module && module->name &&
           *module->name && module->init;
}

static int start_host(struct host *host)
{
    struct bus_settings settings;
    bus_settings_read(&settings);
    int err = host_init(host, &settings);
    return err ? fail(host, "cannot_start", "host", err_text(err)) : 0;
}

/* ---- one module --------------------------------------------------------------------------- */

int dure_main(const struct dure_module *module, int argc, char **argv)
{
    struct host host;
    struct tenant *tenant = NULL;
    int code = start_host(&host);
    if (code) return code;
    if (argc > 0) host.args = argv;
    int port = first_port();
    if (!module_fits(module)) code = fail(&host, "cannot_start", "module", "built for another SDK");
    if (!code && port < 0) code = fail(&host, "cannot_start", "PORT", "not a port");
    int err = code ? 0 : tenant_add(&host, module, NULL, NULL, NULL, false, &tenant);
    if (!code && !err) err = serve_bind(tenant, listen_address(), port);
    if (err) code = fail(&host, "cannot_listen", "PORT", err_text(err));
    if (!code) code = host_run(&host);
    host_release(&host);
    return code;
}

/* ---- several ------------------------------------------------------------------------------ */

static void listing_release(struct listing *listing)
{
    for (char **at = listing->env; at && *at; at++) free(*at);
    free(listing->env);
    free(listing->name);
    free(listing->path);
}

/* {"KEY": "value"} as "KEY=value", NULL-ended; NULL: no memory, or not such an object. */
static char **read_env(json_t *object)
{
    if (object && !json_is_object(object)) return NULL;
    char **env = calloc(json_object_size(object) + 1, sizeof *env);
    const char *key;
    json_t *value;
    size_t count = 0;
    json_object_foreach(object, key, value)
    {
        if (env && json_is_string(value) &&
            asprintf(&env[count], "%s=%s", key, json_string_value(value)) >= 0)
            count++;
    }
    return env;
}

static int read_listing(json_t *entry, struct listing *listing)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    const char *path = json_string_value(json_object_get(entry, "module"));
    json_t *port = json_object_get(entry, "port");
    if (!name || !path || (port && !json_is_integer(port))) return ERR_INVALID;
    if (json_integer_value(port) < 0 || json_integer_value(port) > 65535) return ERR_INVALID;
    listing->port = (int)json_integer_value(port);
    listing->own_env = true;
    listing->name = strdup(name);
    listing->path = strdup(path);
    listing->env = read_env(json_object_get(entry, "env"));
    return listing->name && listing->path && listing->env ? 0 : ERR_INVALID;
}

/* From $DURE_HOST_MODULES. How many, or a negative enum err. */
static int read_modules(const char *text, struct listing listings[DURE_MAX_MODULES])
{
    json_t *array = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    size_t count = json_array_size(array), i;
    int err = count && count <= DURE_MAX_MODULES ? 0 : ERR_INVALID;
    for (i = 0; !err && i < count; i++) err = read_listing(json_array_get(array, i), &listings[i]);
    json_decref(array);
    return err ? err : (int)count;
}

/* From the command line. */
static int read_arguments(int argc, char **argv, struct listing listings[DURE_MAX_MODULES])
{
    int port = first_port(), count = argc - 1;
    if (port < 0 || count > DURE_MAX_MODULES) return ERR_INVALID;
    for (int i = 0; i < count; i++) {
        listings[i].path = strdup(argv[i + 1]);
        listings[i].port = port ? port + i : 0;
        listings[i].alone = count == 1;
        if (!listings[i].path) return ERR_NOMEM;
    }
    return count;
}

/* A path without a slash would be looked for in the system's library folders. */
static void *open_object(const char *path)
{
    char here[4096];
    if (strchr(path, '/')) return dlopen(path, RTLD_NOW | RTLD_LOCAL);
    snprintf(here, sizeof here, "./%s", path);
    return dlopen(here, RTLD_NOW | RTLD_LOCAL);
}

/* Loads one; what goes wrong is reported, and the others go on. */
static void load(struct host *host, struct listing *listing)
{
    struct tenant *tenant = NULL;
    void *object = open_object(listing->path);
    if (!object) {
        fail(host, "cannot_load", listing->path, dlerror());
        return;
    }
    const struct dure_module *module = dlsym(object, "dure_module_entry");
    if (!module_fits(module)) {
        fail(host, "cannot_load", listing->path,
             module ? "built for another SDK" : "has no dure_module_entry");
        dlclose(object);
        return;
    }
    char **env = listing->env;
    listing->env = NULL;
    const char *name = listing->name || listing->alone ? listing->name : module->name;
    int err = tenant_add(host, module, object, name, env, listing->own_env, &tenant);
    if (!err) err = serve_bind(tenant, listen_address(), listing->port);
    if (!err) return;
    fail(host, "cannot_listen", listing->path, err_text(err));
    tenant_free(tenant);
}

int dure_host_main(int argc, char **argv)
{
    struct listing listings[DURE_MAX_MODULES] = {{0}};
    struct host host;
    const char *modules = getenv("DURE_HOST_MODULES");
    int code = start_host(&host);
    if (code) return code;
    int count = argc > 1              ? read_arguments(argc, argv, listings)
                : modules && *modules ? read_modules(modules, listings)
                                      : 0;
    if (count < 0) code = fail(&host, "cannot_start", "DURE_HOST_MODULES", err_text(count));
    if (count == 0) code = fail(&host, "cannot_start", "modules", "none was given");
    for (int i = 0; i < count; i++) load(&host, &listings[i]);
    for (size_t i = 0; i < DURE_MAX_MODULES; i++) listing_release(&listings[i]);
    if (!code) code = host_run(&host);
    host_release(&host);
    return code;
}
