#include "jetstream/consumer_info.h"

#include "jetstream/api.h"
#include "jetstream/versions.h"

#include <stdlib.h>

/* False: no memory. */
static bool put_config(const struct consumer *consumer, struct jsonw *json)
{
    struct consumer_config config = *consumer_config(consumer);
    bool level = config.pause_until_ns || config.priority_policy != CONSUMER_PRIORITY_NONE ||
                 config.priority_timeout_ns || config.priority_group_count;
    struct stream_pair *pairs =
        versions_add(config.metadata, config.metadata_count, level, &config.metadata_count);
    if (!pairs) return false;
    config.metadata = pairs;
    consumer_config_encode(&config, json, "config");
    free(pairs);
    return true;
}

static void put_place(struct jsonw *json, const char *key, const struct consumer_place *place)
{
    jsonw_object(json, key);
    jsonw_u64(json, "consumer_seq", place->consumer_seq);
    jsonw_u64(json, "stream_seq", place->stream_seq);
    if (place->active_ns) api_put_time(json, "last_active", place->active_ns);
    jsonw_object_end(json);
}

static void put_groups(struct jsonw *json, const struct consumer_config *config,
                       const struct consumer_info *info)
{
    if (!config->priority_group_count) return;
    jsonw_array(json, "priority_groups");
    jsonw_object(json, NULL);
    jsonw_cstr(json, "group", config->priority_groups[0]);
    if (info->groups[0].pinned_id[0])
        jsonw_cstr(json, "pinned_client_id", info->groups[0].pinned_id);
    api_put_time(json, "pinned_ts", info->groups[0].pinned_ns);
    jsonw_object_end(json);
    jsonw_array_end(json);
}

int consumer_info_encode(const struct consumer *consumer, uint64_t now_ns, struct jsonw *json)
{
    const struct consumer_config *config = consumer_config(consumer);
    struct consumer_info info = consumer_info(consumer);
    jsonw_cstr(json, "stream_name", stream_config(consumer_stream(consumer))->name);
    jsonw_cstr(json, "name", config->name);
    api_put_time(json, "created", info.created_ns);
    if (!put_config(consumer, json)) return ERR_NOMEM;
    put_place(json, "delivered", &info.delivered);
    put_place(json, "ack_floor", &info.ack_floor);
    jsonw_u64(json, "num_ack_pending", info.num_ack_pending);
    jsonw_u64(json, "num_redelivered", info.num_redelivered);
    jsonw_u64(json, "num_waiting", info.num_waiting);
    jsonw_u64(json, "num_pending", info.num_pending);
    if (info.push_bound) jsonw_bool(json, "push_bound", true);
    if (info.paused) jsonw_bool(json, "paused", true);
    if (info.paused) jsonw_i64(json, "pause_remaining", info.pause_remaining_ns);
    api_put_time(json, "ts", now_ns);
    put_groups(json, config, &info);
    return 0;
}
