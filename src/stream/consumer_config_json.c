/* A consumer's configuration as the JSON that JetStream's clients send and get. */
#include "stream/consumer_config.h"

#include "stream/config_json.h"

#include <stdlib.h>

enum { DECODE_MAX = 1 << 20 }; /* memory while decoding */

/* The words of an enumeration, by its values. */
static const char *const deliver_policies[] = {
    "all", "last", "new", "by_start_sequence", "by_start_time", "last_per_subject", NULL};
static const char *const ack_policies[] = {"none", "all", "explicit", NULL};
static const char *const replay_policies[] = {"instant", "original", NULL};
static const char *const priority_policies[] = {"none", "overflow", "pinned_client", "prioritized",
                                                NULL};

/* ---- writing ---- */

static void put_int(struct jsonw *json, const char *key, int64_t value)
{
    if (value) jsonw_i64(json, key, value);
}

static void put_true(struct jsonw *json, const char *key, bool value)
{
    if (value) jsonw_bool(json, key, true);
}

static void put_texts(struct jsonw *json, const char *key, const char *const *texts, size_t count)
{
    if (count == 0) return;
    jsonw_array(json, key);
    for (size_t i = 0; i < count; i++) jsonw_cstr(json, NULL, texts[i]);
    jsonw_array_end(json);
}

static void put_what(struct jsonw *json, const struct consumer_config *config)
{
    jsonw_cstr(json, "deliver_policy", deliver_policies[config->deliver_policy]);
    if (config->start_seq) jsonw_u64(json, "opt_start_seq", config->start_seq);
    config_put_time(json, "opt_start_time", (uint64_t)config->start_time_ns);
    jsonw_cstr(json, "ack_policy", ack_policies[config->ack_policy]);
    put_int(json, "ack_wait", config->ack_wait_ns);
    put_int(json, "max_deliver", config->max_deliver);
    if (config->backoff_count) {
        jsonw_array(json, "backoff");
        for (size_t i = 0; i < config->backoff_count; i++) {
            jsonw_i64(json, NULL, config->backoff_ns[i]);
        }
        jsonw_array_end(json);
    }
    if (config->filter_list) {
        put_texts(json, "filter_subjects", config->filters, config->filter_count);
    } else if (config->filter_count) {
        jsonw_cstr(json, "filter_subject", config->filters[0]);
    }
    jsonw_cstr(json, "replay_policy", replay_policies[config->replay_policy]);
}

static void put_how(struct jsonw *json, const struct consumer_config *config)
{
    if (config->rate_limit_bps) jsonw_u64(json, "rate_limit_bps", config->rate_limit_bps);
    config_put_text(json, "sample_freq", config->sample_freq);
    put_int(json, "max_waiting", config->max_waiting);
    put_int(json, "max_ack_pending", config->max_ack_pending);
    put_true(json, "flow_control", config->flow_control);
    put_true(json, "headers_only", config->headers_only);
    put_int(json, "max_batch", config->max_batch);
    put_int(json, "max_expires", config->max_expires_ns);
    put_int(json, "max_bytes", config->max_bytes);
    config_put_text(json, "deliver_subject", config->deliver_subject);
    config_put_text(json, "deliver_group", config->deliver_group);
    put_int(json, "idle_heartbeat", config->idle_heartbeat_ns);
    put_int(json, "inactive_threshold", config->inactive_threshold_ns);
    jsonw_i64(json, "num_replicas", config->replicas);
    put_true(json, "mem_storage", config->mem_storage);
    put_true(json, "direct", config->direct);
}

static void put_metadata(struct jsonw *json, const struct consumer_config *config)
{
    if (config->metadata_count == 0) return;
    jsonw_object(json, "metadata");
    for (size_t i = 0; i < config->metadata_count; i++) {
        jsonw_cstr(json, config->metadata[i].key, config->metadata[i].value);
    }
    jsonw_object_end(json);
}

void consumer_config_encode(const struct consumer_config *config, struct jsonw *json,
                            const char *key)
{
    jsonw_object(json, key);
    if (config->durable) jsonw_cstr(json, "durable_name", config->name);
    jsonw_cstr(json, "name", config->name);
    config_put_text(json, "description", config->description);
    put_what(json, config);
    put_how(json, config);
    put_metadata(json, config);
    config_put_time(json, "pause_until", (uint64_t)config->pause_until_ns);
    put_texts(json, "priority_groups", config->priority_groups, config->priority_group_count);
    if (config->priority_policy) {
        jsonw_cstr(json, "priority_policy", priority_policies[config->priority_policy]);
    }
    put_int(json, "priority_timeout", config->priority_timeout_ns);
    jsonw_object_end(json);
}

/* ---- reading ---- */

/* Below 0 is no limit, as when there is none. */
static int64_t get_limit(struct config_reader *reader, json_t *object, const char *key)
{
    int64_t value = config_int(reader, object, key);
    return value < 0 ? 0 : value;
}

static void get_backoff(struct config_reader *reader, json_t *object, struct consumer_config *ret)
{
    json_t *array;
    int64_t *times =
        config_array(reader, object, "backoff", sizeof *times, &array, &ret->backoff_count);
    for (size_t i = 0; i < ret->backoff_count; i++) {
        json_t *value = json_array_get(array, i);
        if (!json_is_integer(value)) config_wrong(reader, "backoff");
        times[i] = (int64_t)json_integer_value(value);
    }
    ret->backoff_ns = times;
}

static void get_filters(struct config_reader *reader, json_t *object, struct consumer_config *ret)
{
    const char *filter = config_text(reader, object, "filter_subject");
    ret->filters = config_texts(reader, object, "filter_subjects", &ret->filter_count);
    ret->filter_list = ret->filter_count > 0;
    if (!filter) return;
    ret->both_filters = ret->filter_list;
    if (ret->filter_list) return;
    const char **one = arena_alloc(reader->arena, sizeof *one);
    if (!one) return;
    *one = filter;
    ret->filters = one;
    ret->filter_count = 1;
}

static void get_metadata(struct config_reader *reader, json_t *object, struct consumer_config *ret)
{
    json_t *metadata = config_member(reader, object, "metadata", JSON_OBJECT), *value;
    const char *key;
    size_t size = json_object_size(metadata);
    struct stream_pair *pairs = size ? arena_array(reader->arena, size, sizeof *pairs) : NULL;
    if (!pairs) return;
    json_object_foreach(metadata, key, value)
    {
        const char *text = json_string_value(value);
        if (!text) config_wrong(reader, "metadata");
        /* What a server of NATS says about itself is not the consumer's. */
        if (!*key || bytes_starts(bytes_str(key), BYTES("_nats."))) continue;
        pairs[ret->metadata_count++] = (struct stream_pair){key, text ? text : ""};
    }
    ret->metadata = pairs;
}

static void get_what(struct config_reader *reader, json_t *object, struct consumer_config *ret)
{
    const char *durable = config_text(reader, object, "durable_name");
    ret->name = config_text(reader, object, "name");
    ret->durable = durable != NULL;
    if (durable && ret->name && strcmp(durable, ret->name) != 0) {
        config_refuse(reader, ERR_INVALID, API_DURABLE_AND_NAME, NULL);
    }
    if (durable) ret->name = durable;
    ret->description = config_text(reader, object, "description");
    ret->deliver_policy = (enum consumer_deliver_policy)config_word(
        reader, object, "deliver_policy", deliver_policies);
    ret->start_seq = config_natural(reader, object, "opt_start_seq");
    ret->start_time_ns = (int64_t)config_time(reader, object, "opt_start_time");
    ret->ack_policy =
        (enum consumer_ack_policy)config_word(reader, object, "ack_policy", ack_policies);
    ret->ack_wait_ns = config_int(reader, object, "ack_wait");
    ret->max_deliver = config_int(reader, object, "max_deliver");
    ret->replay_policy =
        (enum consumer_replay_policy)config_word(reader, object, "replay_policy", replay_policies);
    get_backoff(reader, object, ret);
    get_filters(reader, object, ret);
}

static void get_how(struct config_reader *reader, json_t *object, struct consumer_config *ret)
{
    ret->rate_limit_bps = config_natural(reader, object, "rate_limit_bps");
    ret->sample_freq = config_text(reader, object, "sample_freq");
    ret->max_waiting = get_limit(reader, object, "max_waiting");
    ret->max_ack_pending = config_int(reader, object, "max_ack_pending");
    ret->flow_control = config_bool(reader, object, "flow_control");
    ret->headers_only = config_bool(reader, object, "headers_only");
    ret->max_batch = get_limit(reader, object, "max_batch");
    ret->max_expires_ns = config_int(reader, object, "max_expires");
    ret->max_bytes = config_int(reader, object, "max_bytes");
    ret->deliver_subject = config_text(reader, object, "deliver_subject");
    ret->deliver_group = config_text(reader, object, "deliver_group");
    ret->idle_heartbeat_ns = config_int(reader, object, "idle_heartbeat");
    ret->inactive_threshold_ns = config_int(reader, object, "inactive_threshold");
    ret->replicas = config_int(reader, object, "num_replicas");
    ret->mem_storage = config_bool(reader, object, "mem_storage");
    ret->direct = config_bool(reader, object, "direct");
    ret->pause_until_ns = (int64_t)config_time(reader, object, "pause_until");
    ret->priority_groups =
        config_texts(reader, object, "priority_groups", &ret->priority_group_count);
    ret->priority_policy = (enum consumer_priority_policy)config_word(
        reader, object, "priority_policy", priority_policies);
    ret->priority_timeout_ns = config_int(reader, object, "priority_timeout");
}

int consumer_config_read(struct json_t *object, struct arena *arena,
                         struct consumer_config *ret_config, struct api_error *refusal)
{
    struct config_reader reader = {.arena = arena, .refusal = refusal, .whose = "ConsumerConfig"};
    *ret_config = (struct consumer_config){0};
    get_what(&reader, object, ret_config);
    get_how(&reader, object, ret_config);
    get_metadata(&reader, object, ret_config);
    return config_end(&reader);
}

int consumer_config_decode(struct bytes json, struct consumer_config **ret_config)
{
    struct arena arena;
    struct consumer_config config;
    json_t *object = json_loadb(json.data, json.len, JSON_REJECT_DUPLICATES, NULL);
    if (!json_is_object(object)) {
        json_decref(object);
        return ERR_CORRUPT;
    }
    arena_init(&arena, DECODE_MAX);
    int r = consumer_config_read(object, &arena, &config, NULL);
    *ret_config = r == 0 && config.name ? consumer_config_copy(&config, NULL) : NULL;
    if (r < 0 && r != ERR_NOMEM) r = ERR_CORRUPT;
    if (r == 0 && !*ret_config) r = config.name ? ERR_NOMEM : ERR_CORRUPT;
    arena_release(&arena);
    json_decref(object);
    return r;
}
