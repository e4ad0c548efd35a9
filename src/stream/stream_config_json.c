/* A configuration as the JSON that JetStream's clients send and get. */
#include "stream/stream_config.h"

#include "stream/config_json.h"

#include <limits.h>
#include <stdlib.h>

#define KEY_SYNC "_dure.fsync"
#define KEY_SCHEMA "_dure.schema"

enum { DECODE_MAX = 4 << 20 }; /* memory while decoding */

/* The words of an enumeration, by its values. */
static const char *const retentions[] = {"limits", "interest", "workqueue", NULL};
static const char *const storages[] = {"file", "memory", NULL};
static const char *const discards[] = {"old", "new", NULL};
static const char *const compressions[] = {"none", "s2", NULL};
static const char *const syncs[] = {"each", "interval", "never", NULL};

/* ---- writing ---- */

static void put_transform(struct jsonw *json, const char *key,
                          const struct stream_transform *transform)
{
    jsonw_object(json, key);
    jsonw_cstr(json, "src", transform->src ? transform->src : "");
    jsonw_cstr(json, "dest", transform->dest ? transform->dest : "");
    jsonw_object_end(json);
}

static void put_source(struct jsonw *json, const char *key, const struct stream_source *source)
{
    jsonw_object(json, key);
    jsonw_cstr(json, "name", source->name);
    if (source->start_seq) jsonw_u64(json, "opt_start_seq", source->start_seq);
    config_put_time(json, "opt_start_time", source->start_time_ns);
    config_put_text(json, "filter_subject", source->filter);
    if (source->transform_count) {
        jsonw_array(json, "subject_transforms");
        for (size_t i = 0; i < source->transform_count; i++) {
            put_transform(json, NULL, &source->transforms[i]);
        }
        jsonw_array_end(json);
    }
    jsonw_object_end(json);
}

static void put_subjects(struct jsonw *json, const struct stream_config *config)
{
    if (config->subject_count == 0) return;
    jsonw_array(json, "subjects");
    for (size_t i = 0; i < config->subject_count; i++) jsonw_cstr(json, NULL, config->subjects[i]);
    jsonw_array_end(json);
}

static void put_limits(struct jsonw *json, const struct stream_config *config)
{
    jsonw_cstr(json, "retention", retentions[config->retention]);
    jsonw_i64(json, "max_consumers", config->max_consumers);
    jsonw_i64(json, "max_msgs", config->max_msgs);
    jsonw_i64(json, "max_bytes", config->max_bytes);
    jsonw_i64(json, "max_age", config->max_age_ns);
    jsonw_i64(json, "max_msgs_per_subject", config->max_msgs_per_subject);
    jsonw_i64(json, "max_msg_size", config->max_msg_size);
    jsonw_cstr(json, "discard", discards[config->discard]);
    jsonw_cstr(json, "storage", storages[config->storage]);
    jsonw_u64(json, "num_replicas", 1);
    if (config->no_ack) jsonw_bool(json, "no_ack", true);
    if (config->duplicate_window_ns) {
        jsonw_i64(json, "duplicate_window", config->duplicate_window_ns);
    }
}

static void put_origins(struct jsonw *json, const struct stream_config *config)
{
    if (config->placement) jsonw_raw(json, "placement", bytes_str(config->placement));
    if (config->mirror) put_source(json, "mirror", config->mirror);
    if (config->source_count) {
        jsonw_array(json, "sources");
        for (size_t i = 0; i < config->source_count; i++) {
            put_source(json, NULL, &config->sources[i]);
        }
        jsonw_array_end(json);
    }
    jsonw_cstr(json, "compression", compressions[config->compression]);
    if (config->first_seq) jsonw_u64(json, "first_seq", config->first_seq);
    if (config->transform) put_transform(json, "subject_transform", config->transform);
    if (!config->republish) return;
    jsonw_object(json, "republish");
    config_put_text(json, "src", config->republish->src);
    jsonw_cstr(json, "dest", config->republish->dest ? config->republish->dest : "");
    if (config->republish_headers_only) jsonw_bool(json, "headers_only", true);
    jsonw_object_end(json);
}

static void put_flags(struct jsonw *json, const struct stream_config *config)
{
    jsonw_bool(json, "allow_direct", config->allow_direct);
    jsonw_bool(json, "mirror_direct", config->mirror_direct);
    if (config->discard_new_per_subject) jsonw_bool(json, "discard_new_per_subject", true);
    jsonw_bool(json, "sealed", config->sealed);
    jsonw_bool(json, "deny_delete", config->deny_delete);
    jsonw_bool(json, "deny_purge", config->deny_purge);
    jsonw_bool(json, "allow_rollup_hdrs", config->allow_rollup);
    jsonw_object(json, "consumer_limits");
    if (config->consumer_inactive_threshold_ns) {
        jsonw_i64(json, "inactive_threshold", config->consumer_inactive_threshold_ns);
    }
    if (config->consumer_max_ack_pending) {
        jsonw_i64(json, "max_ack_pending", config->consumer_max_ack_pending);
    }
    jsonw_object_end(json);
    jsonw_bool(json, "allow_msg_ttl", config->allow_msg_ttl);
    if (config->subject_delete_marker_ttl_ns) {
        jsonw_i64(json, "subject_delete_marker_ttl", config->subject_delete_marker_ttl_ns);
    }
}

static void put_metadata(struct jsonw *json, const struct stream_config *config)
{
    jsonw_object(json, "metadata");
    if (config->storage == STREAM_STORAGE_FILE) jsonw_cstr(json, KEY_SYNC, syncs[config->sync]);
    config_put_text(json, KEY_SCHEMA, config->schema);
    for (size_t i = 0; i < config->metadata_count; i++) {
        jsonw_cstr(json, config->metadata[i].key, config->metadata[i].value);
    }
    jsonw_object_end(json);
}

void stream_config_encode(const struct stream_config *config, struct buf *out)
{
    struct jsonw json;
    jsonw_init(&json, out);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "name", config->name);
    config_put_text(&json, "description", config->description);
    put_subjects(&json, config);
    put_limits(&json, config);
    put_origins(&json, config);
    put_flags(&json, config);
    put_metadata(&json, config);
    jsonw_object_end(&json);
}

/* ---- reading ---- */

static void get_transform(struct config_reader *reader, json_t *object,
                          struct stream_transform *ret)
{
    ret->src = config_text(reader, object, "src");
    ret->dest = config_text(reader, object, "dest");
}

static const struct stream_transform *get_one_transform(struct config_reader *reader,
                                                        json_t *object, const char *key)
{
    json_t *value = config_member(reader, object, key, JSON_OBJECT);
    if (!value) return NULL;
    struct stream_transform *transform = arena_alloc(reader->arena, sizeof *transform);
    if (!transform) return NULL;
    get_transform(reader, value, transform);
    bool empty = bytes_str(transform->src).len == 0 && bytes_str(transform->dest).len == 0;
    return empty ? NULL : transform;
}

static void get_source(struct config_reader *reader, json_t *object, const char *key,
                       struct stream_source *ret)
{
    json_t *array;
    if (!json_is_object(object)) config_wrong(reader, key);
    struct stream_transform *transforms = config_array(
        reader, object, "subject_transforms", sizeof *transforms, &array, &ret->transform_count);
    for (size_t i = 0; i < ret->transform_count; i++) {
        get_transform(reader, json_array_get(array, i), &transforms[i]);
    }
    ret->transforms = transforms;
    ret->name = config_text(reader, object, "name");
    ret->start_seq = config_natural(reader, object, "opt_start_seq");
    ret->start_time_ns = config_time(reader, object, "opt_start_time");
    ret->filter = config_text(reader, object, "filter_subject");
    if (config_member(reader, object, "external", JSON_OBJECT)) {
        config_refuse(reader, ERR_INVALID, API_STREAM_INVALID_CONFIG,
                      "streams of other accounts or domains can not be sourced");
    }
}

static void get_origins(struct config_reader *reader, json_t *object, struct stream_config *ret)
{
    json_t *array, *mirror = config_member(reader, object, "mirror", JSON_OBJECT);
    if (mirror) {
        struct stream_source *source = arena_alloc(reader->arena, sizeof *source);
        if (source) get_source(reader, mirror, "mirror", source);
        ret->mirror = source;
    }
    struct stream_source *sources =
        config_array(reader, object, "sources", sizeof *sources, &array, &ret->source_count);
    for (size_t i = 0; i < ret->source_count; i++) {
        get_source(reader, json_array_get(array, i), "sources", &sources[i]);
    }
    ret->sources = sources;
    json_t *republish = config_member(reader, object, "republish", JSON_OBJECT);
    ret->republish = get_one_transform(reader, object, "republish");
    if (republish) ret->republish_headers_only = config_bool(reader, republish, "headers_only");
    ret->transform = get_one_transform(reader, object, "subject_transform");
}

/* What a server tells about itself and the API. */
static bool is_told(const char *key)
{
    return strcmp(key, "_nats.level") == 0 || strcmp(key, "_nats.req.level") == 0 ||
           strcmp(key, "_nats.ver") == 0;
}

/* What is ours goes to its own place, what servers write there of themselves is left out. */
static void get_metadata(struct config_reader *reader, json_t *object, struct stream_config *ret)
{
    json_t *metadata = config_member(reader, object, "metadata", JSON_OBJECT), *value;
    const char *key;
    size_t size = json_object_size(metadata);
    if (size == 0) return;
    struct stream_pair *pairs = arena_array(reader->arena, size, sizeof *pairs);
    if (!pairs) return;
    json_object_foreach(metadata, key, value)
    {
        const char *text = json_string_value(value);
        if (!text) config_wrong(reader, key);
        if (strcmp(key, KEY_SYNC) == 0) {
            ret->sync = (enum journal_sync)config_word_of(reader, text, syncs);
        } else if (strcmp(key, KEY_SCHEMA) == 0) {
            ret->schema = text;
        } else if (*key && !is_told(key)) {
            pairs[ret->metadata_count++] = (struct stream_pair){key, text ? text : ""};
        }
    }
    ret->metadata = pairs;
}

static void get_limits(struct config_reader *reader, json_t *object, struct stream_config *ret)
{
    ret->max_msgs = config_int(reader, object, "max_msgs");
    ret->max_bytes = config_int(reader, object, "max_bytes");
    ret->max_msgs_per_subject = config_int(reader, object, "max_msgs_per_subject");
    ret->max_msg_size = config_int(reader, object, "max_msg_size");
    ret->max_consumers = config_int(reader, object, "max_consumers");
    ret->max_age_ns = config_int(reader, object, "max_age");
    ret->duplicate_window_ns = config_int(reader, object, "duplicate_window");
    ret->first_seq = config_natural(reader, object, "first_seq");
    int64_t replicas = config_int(reader, object, "num_replicas");
    if (replicas < 0) config_refuse(reader, ERR_INVALID, API_REPLICAS_NEGATIVE, NULL);
    ret->num_replicas = replicas < UINT_MAX ? (unsigned)replicas : UINT_MAX;
    ret->subject_delete_marker_ttl_ns = config_int(reader, object, "subject_delete_marker_ttl");
    json_t *limits = config_member(reader, object, "consumer_limits", JSON_OBJECT);
    ret->consumer_inactive_threshold_ns = config_int(reader, limits, "inactive_threshold");
    ret->consumer_max_ack_pending = config_int(reader, limits, "max_ack_pending");
}

static void get_flags(struct config_reader *reader, json_t *object, struct stream_config *ret)
{
    ret->no_ack = config_bool(reader, object, "no_ack");
    ret->sealed = config_bool(reader, object, "sealed");
    ret->allow_rollup = config_bool(reader, object, "allow_rollup_hdrs");
    ret->deny_delete = config_bool(reader, object, "deny_delete");
    ret->deny_purge = config_bool(reader, object, "deny_purge");
    ret->allow_direct = config_bool(reader, object, "allow_direct");
    ret->mirror_direct = config_bool(reader, object, "mirror_direct");
    ret->allow_msg_ttl = config_bool(reader, object, "allow_msg_ttl");
    ret->discard_new_per_subject = config_bool(reader, object, "discard_new_per_subject");
}

/* What this server does not do is said, not forgotten. */
static void refuse_unknown(struct config_reader *reader, json_t *object)
{
    static const char *const features[] = {"allow_msg_counter", "allow_atomic", "allow_batched",
                                           "allow_msg_schedules"};
    for (size_t i = 0; i < sizeof features / sizeof features[0]; i++) {
        if (!config_bool(reader, object, features[i])) continue;
        config_refuse(reader, ERR_INVALID, API_STREAM_INVALID_CONFIG, "%s is not supported",
                      features[i]);
    }
}

static void read_config(struct config_reader *reader, json_t *object, struct stream_config *ret)
{
    ret->name = config_text(reader, object, "name");
    ret->description = config_text(reader, object, "description");
    ret->retention = (enum stream_retention)config_word(reader, object, "retention", retentions);
    ret->storage = (enum stream_storage)config_word(reader, object, "storage", storages);
    ret->discard = (enum stream_discard)config_word(reader, object, "discard", discards);
    ret->compression =
        (enum stream_compression)config_word(reader, object, "compression", compressions);
    ret->subjects = config_texts(reader, object, "subjects", &ret->subject_count);
    get_limits(reader, object, ret);
    get_flags(reader, object, ret);
    get_origins(reader, object, ret);
    get_metadata(reader, object, ret);
    refuse_unknown(reader, object);
}

static int from_json(json_t *object, struct stream_config **ret_config, struct api_error *refusal)
{
    struct stream_config config = {0};
    struct arena arena;
    struct config_reader reader = {.arena = &arena, .refusal = refusal, .whose = "StreamConfig"};
    json_t *placement = json_object_get(object, "placement");
    char *text = json_object_size(placement) ? json_dumps(placement, JSON_COMPACT) : NULL;
    arena_init(&arena, DECODE_MAX);
    read_config(&reader, object, &config);
    config.placement = text;
    int r = config_end(&reader);
    if (r == 0) r = stream_config_check(&config, refusal);
    if (r == 0) *ret_config = stream_config_copy(&config);
    if (r == 0 && !*ret_config) r = ERR_NOMEM;
    arena_release(&arena);
    free(text);
    return r;
}

int stream_config_decode(struct bytes json, struct stream_config **ret_config,
                         struct api_error *refusal)
{
    json_error_t error;
    json_t *object = json_loadb(json.data, json.len, JSON_REJECT_DUPLICATES, &error);
    if (!json_is_object(object)) {
        json_decref(object);
        return api_error_fail(refusal, ERR_SYNTAX, API_INVALID_JSON, "%s at offset %d",
                              object ? "not an object" : error.text, object ? 0 : error.position);
    }
    int r = from_json(object, ret_config, refusal);
    json_decref(object);
    return r;
}
