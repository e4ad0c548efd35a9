/* What a service's process is made of: its environment, and its description as stable text. */
#include "wire/manifest.h"

#include "base/jsonw.h"
#include "base/map.h"

enum { DESCRIPTION_MAX = 16 * 1024 * 1024 };

struct env {
    const struct yaml_pair *pairs;
    size_t count;
};

/* The strongest first. */
static void environments(const struct manifest *manifest, size_t index, struct env ret_envs[3])
{
    const struct manifest_deployment *deployment = &manifest->system->deployments[index];
    const struct manifest_service *service = manifest->services[index];
    ret_envs[0] = (struct env){deployment->env, deployment->env_count};
    ret_envs[1] = (struct env){service->env, service->env_count};
    ret_envs[2] = (struct env){manifest->system->env, manifest->system->env_count};
}

struct bytes manifest_env(const struct manifest *manifest, size_t index, struct bytes key)
{
    struct env envs[3];
    environments(manifest, index, envs);
    for (int i = 0; i < 3; i++)
        for (size_t j = 0; j < envs[i].count; j++)
            if (bytes_eq(envs[i].pairs[j].key, key)) return envs[i].pairs[j].value;
    return (struct bytes){NULL, 0};
}

/* Each time the smallest key behind the last one: quadratic, for a handful, and without memory. */
void manifest_env_each(const struct manifest *manifest, size_t index,
                       void (*each)(void *context, struct bytes key, struct bytes value),
                       void *context)
{
    struct env envs[3];
    environments(manifest, index, envs);
    struct bytes last = bytes_str("");
    for (;;) {
        const struct yaml_pair *next = NULL;
        for (int i = 0; i < 3; i++) {
            for (size_t j = 0; j < envs[i].count; j++) {
                const struct yaml_pair *pair = &envs[i].pairs[j];
                if (bytes_cmp(pair->key, last) <= 0) continue;
                if (!next || bytes_cmp(pair->key, next->key) < 0) next = pair;
            }
        }
        if (!next) return;
        each(context, next->key, next->value);
        last = next->key;
    }
}

static void put_variable(void *context, struct bytes key, struct bytes value)
{
    jsonw_str(context, key.data, value);
}

static void put_list(struct jsonw *json, const char *key, const struct bytes *items, size_t count)
{
    jsonw_array(json, key);
    for (size_t i = 0; i < count; i++) jsonw_str(json, NULL, items[i]);
    jsonw_array_end(json);
}

static void put_service(const struct manifest *manifest, size_t index, struct jsonw *json)
{
    const struct manifest_service *service = manifest->services[index];
    jsonw_object(json, NULL);
    jsonw_str(json, "name", service->name);
    jsonw_str(json, "version", service->version_text);
    jsonw_str(json, "folder", manifest->system->deployments[index].path);
    jsonw_array(json, "run");
    for (size_t i = 0; i < service->run.argc; i++) jsonw_cstr(json, NULL, service->run.argv[i]);
    jsonw_array_end(json);
    jsonw_str(json, "module", service->module);
    put_list(json, "stores", service->stores, service->store_count);
    jsonw_object(json, "env");
    manifest_env_each(manifest, index, put_variable, json);
    jsonw_object_end(json);
    jsonw_object_end(json);
}

void manifest_service_describe(const struct manifest *manifest, size_t index, struct buf *out)
{
    size_t host = manifest->system->deployments[index].host;
    struct jsonw json;
    jsonw_init(&json, out);
    jsonw_array(&json, NULL);
    put_service(manifest, host, &json);
    for (size_t i = 0; i < manifest->service_count; i++)
        if (i != host && manifest->system->deployments[i].host == host)
            put_service(manifest, i, &json);
    jsonw_array_end(&json);
}

int manifest_service_fingerprint(const struct manifest *manifest, size_t index,
                                 uint64_t *ret_fingerprint)
{
    struct buf text;
    buf_init(&text, DESCRIPTION_MAX);
    manifest_service_describe(manifest, index, &text);
    bool failed = text.failed;
    if (!failed) *ret_fingerprint = map_hash(buf_bytes(&text));
    buf_release(&text);
    return failed ? ERR_NOMEM : 0;
}
