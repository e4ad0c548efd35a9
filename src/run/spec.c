#include "run/spec.h"

#include <stdio.h>
#include <stdlib.h>

enum { PATH_TEXT_MAX = 4096, SPEC_ARENA_MAX = 4 * 1024 * 1024 };

void spec_data_dir(const struct surroundings *surroundings, struct bytes service, char *ret_text,
                   size_t size)
{
    snprintf(ret_text, size, "%s/data/%.*s", surroundings->state, BYTES_ARG(service));
}

/* An environment under construction: a JSON object, so that a later value replaces an earlier. */
static void set(json_t *env, const char *key, const char *value)
{
    json_object_set_new(env, key, json_string(value));
}

static void set_format(json_t *env, const char *key, const char *format, const char *a,
                       const char *b)
{
    char value[PATH_TEXT_MAX + 512];
    snprintf(value, sizeof value, format, a, b);
    set(env, key, value);
}

static void set_from_manifest(void *context, struct bytes key, struct bytes value)
{
    json_object_setn_new(context, key.data, key.len, json_stringn(value.data, value.len));
}

/* What a service is told, whatever it is written in. */
static void set_standard(json_t *env, const struct manifest_service *service,
                         const struct surroundings *around, const struct seat *seat)
{
    char internal[IO_ADDR_TEXT], port[8], data[PATH_TEXT_MAX];
    io_addr_format(&around->internal, internal, sizeof internal);
    snprintf(port, sizeof port, "%u", seat->port);
    spec_data_dir(around, service->name, data, sizeof data);
    set(env, "HOST", "127.0.0.1");
    set(env, "PORT", port);
    set(env, "NATS_URL", around->bus);
    if (around->bus_creds) set(env, "NATS_CREDS", around->bus_creds);
    if (around->bus_ca) set(env, "NATS_CA", around->bus_ca);
    set_format(env, "DURE_HTTP", "http://%s%s", internal, "");
    set_format(env, "DURE_BUS", "http://%s%s", internal, "/-/bus");
    set_format(env, "http_proxy", "http://%s@%s", service->name.data, internal);
    set(env, "no_proxy", "127.0.0.1,localhost");
    set(env, "OTEL_SERVICE_NAME", service->name.data);
    set_format(env, "OTEL_EXPORTER_OTLP_ENDPOINT", "http://%s%s", internal, "/-/otlp");
    set(env, "DURE_SERVICE", service->name.data);
    set(env, "DURE_VERSION", service->version_text.data);
    set(env, "DURE_INSTANCE", seat->instance);
    set(env, "DURE_DATA", data);
    if (service->store_count)
        set_format(env, "DATABASE_URL", "sqlite://%s/%s", data, service->stores[0].data);
}

static json_t *service_env(const struct deployment *deployment,
                           const struct surroundings *surroundings, const struct seat *seat)
{
    json_t *env = json_object();
    const struct manifest_service *service = deployment->manifest.services[seat->service];
    set_standard(env, service, surroundings, seat);
    manifest_env_each(&deployment->manifest, seat->service, set_from_manifest, env);
    return env;
}

/* DURE_HOST_MODULES: what `dure host` is to run, each module with its own environment. */
static char *host_modules(const struct deployment *deployment,
                          const struct surroundings *surroundings, const struct seat *seats,
                          size_t seat_count, struct arena *arena)
{
    json_t *modules = json_array();
    for (size_t i = 0; i < seat_count; i++) {
        const struct manifest_service *service = deployment->manifest.services[seats[i].service];
        const char *dir = deployment_service_dir(deployment, seats[i].service, arena);
        const char *path = arena_format(arena, "%s/%s", dir ? dir : "", service->module.data);
        json_t *env = service_env(deployment, surroundings, &seats[i]);
        json_array_append_new(modules,
                              json_pack("{s:s, s:s?, s:i, s:o}", "name", service->name.data,
                                        "module", path, "port", (int)seats[i].port, "env", env));
    }
    char *text = json_dumps(modules, JSON_COMPACT);
    json_decref(modules);
    return text;
}

/* {KEY: value} over what dure itself was given, as a list of "KEY=value". */
static json_t *environment_list(json_t *env, const char *const *inherited)
{
    json_t *list = json_array();
    for (; inherited && *inherited; inherited++) {
        struct bytes rest = bytes_str(*inherited);
        struct bytes key = bytes_cut(&rest, '=');
        if (!json_object_getn(env, key.data, key.len))
            json_array_append_new(list, json_string(*inherited));
    }
    const char *key;
    json_t *value;
    json_object_foreach(env, key, value)
        json_array_append_new(list, json_sprintf("%s=%s", key, json_string_value(value)));
    return list;
}

static json_t *command_words(const struct manifest_service *service,
                             const struct surroundings *surroundings)
{
    if (manifest_is_module(service)) return json_pack("[s, s]", surroundings->program, "host");
    json_t *words = json_array();
    for (size_t i = 0; i < service->run.argc; i++)
        json_array_append_new(words, json_string(service->run.argv[i]));
    return words;
}

json_t *spec_spawn_message(const struct deployment *deployment, size_t host,
                           const struct surroundings *surroundings, const char *id,
                           const struct seat *seats, size_t seat_count)
{
    const struct manifest_service *service = deployment->manifest.services[host];
    struct arena arena;
    arena_init(&arena, SPEC_ARENA_MAX);
    json_t *env = service_env(deployment, surroundings, &seats[0]);
    if (manifest_is_module(service)) {
        char *modules = host_modules(deployment, surroundings, seats, seat_count, &arena);
        set(env, "DURE_HOST_MODULES", modules ? modules : "");
        free(modules);
    }
    json_t *message = json_pack(
        "{s:s, s:s, s:o, s:o, s:s?, s:s}", "op", "spawn", "id", id, "argv",
        command_words(service, surroundings), "env", environment_list(env, surroundings->environ),
        "dir", deployment_service_dir(deployment, host, &arena), "log", service->name.data);
    json_decref(env);
    arena_release(&arena);
    return message;
}
