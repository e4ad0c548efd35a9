#include "registry/instance.h"

#include "base/jsonw.h"

#include <jansson.h>
#include <stdio.h>

static const char *const health_names[INSTANCE_HEALTH_COUNT] = {"starting", "up", "down",
                                                                "draining"};

const char *instance_health_name(enum instance_health health)
{
    return health_names[health];
}

void instance_encode(const struct instance *instance, struct buf *out)
{
    char address[IO_ADDR_TEXT];
    io_addr_format(&instance->addr, address, sizeof address);
    struct jsonw json;
    jsonw_init(&json, out);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "id", instance->id);
    jsonw_cstr(&json, "service", instance->service);
    jsonw_cstr(&json, "version", instance->version);
    jsonw_cstr(&json, "process", instance->process);
    jsonw_cstr(&json, "address", address);
    jsonw_cstr(&json, "health", health_names[instance->health]);
    jsonw_i64(&json, "pid", instance->pid);
    jsonw_u64(&json, "restarts", instance->restarts);
    jsonw_u64(&json, "since_ns", instance->since_wall_ns);
    jsonw_object_end(&json);
}

static bool take_string(json_t *object, const char *key, char *ret_text, size_t size)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text && snprintf(ret_text, size, "%s", text) < (int)size;
}

static bool take_health(json_t *object, enum instance_health *ret_health)
{
    struct bytes name = bytes_str(json_string_value(json_object_get(object, "health")));
    for (int i = 0; i < INSTANCE_HEALTH_COUNT; i++) {
        if (!bytes_eq(name, bytes_str(health_names[i]))) continue;
        *ret_health = (enum instance_health)i;
        return true;
    }
    return false;
}

int instance_decode(struct bytes text, struct instance *ret_instance)
{
    json_t *object = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    struct instance instance = {0};
    char address[IO_ADDR_TEXT];
    bool valid = take_string(object, "id", instance.id, sizeof instance.id) &&
                 take_string(object, "service", instance.service, sizeof instance.service) &&
                 take_string(object, "version", instance.version, sizeof instance.version) &&
                 take_string(object, "process", instance.process, sizeof instance.process) &&
                 take_string(object, "address", address, sizeof address) &&
                 take_health(object, &instance.health) &&
                 io_addr_parse(bytes_str(address), &instance.addr) == 0;
    instance.pid = (int)json_integer_value(json_object_get(object, "pid"));
    instance.restarts = (uint32_t)json_integer_value(json_object_get(object, "restarts"));
    instance.since_wall_ns = (uint64_t)json_integer_value(json_object_get(object, "since_ns"));
    json_decref(object);
    if (!valid) return ERR_SYNTAX;
    *ret_instance = instance;
    return 0;
}
