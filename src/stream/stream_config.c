#include "stream/stream_config.h"

#include "base/jsonw.h"
#include "bus/subject.h"

#include <jansson.h>
#include <stdlib.h>

static const int64_t duplicate_window_default_ns = INT64_C(120000000000);

bool stream_name_valid(const char *name)
{
    size_t len = name ? strlen(name) : 0;
    if (len == 0 || len > STREAM_NAME_MAX) return false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        if (c <= ' ' || c >= 127 || strchr(".*>/\\", c)) return false;
    }
    return true;
}

int stream_config_check(const struct stream_config *config, struct error *error)
{
    if (!stream_name_valid(config->name)) {
        return error_set(error, ERR_INVALID,
                         "stream name is required and can not contain '.', '*', '>', '\\', '/'");
    }
    if (config->subject_count > STREAM_SUBJECTS_MAX) {
        return error_set(error, ERR_INVALID, "a stream has at most %d subjects",
                         STREAM_SUBJECTS_MAX);
    }
    for (size_t i = 0; i < config->subject_count; i++) {
        struct bytes subject = bytes_str(config->subjects[i]);
        if (subject.len > STREAM_SUBJECT_MAX || !subject_is_pattern(subject)) {
            return error_set(error, ERR_INVALID, "invalid subject '%.100s'", config->subjects[i]);
        }
        for (size_t j = 0; j < i; j++) {
            /* Patterns that only have some subjects in common (a.*, *.b) are two people's wishes;
             * one within another is a mistake. */
            struct bytes other = bytes_str(config->subjects[j]);
            if (!subject_contains(subject, other) && !subject_contains(other, subject)) continue;
            return error_set(error, ERR_INVALID, "subject '%.100s' overlaps with '%.100s'",
                             config->subjects[i], config->subjects[j]);
        }
    }
    if (config->max_age_ns > 0 && config->duplicate_window_ns > config->max_age_ns) {
        return error_set(error, ERR_INVALID, "duplicates window can not be larger then max age");
    }
    return 0;
}

/* The strings and the array of subjects follow the struct. */
struct stream_config *stream_config_copy(const struct stream_config *config)
{
    size_t count = config->subject_count ? config->subject_count : 1;
    const char *const *subjects = config->subject_count ? config->subjects : &config->name;
    size_t size = sizeof *config + count * sizeof *subjects + strlen(config->name) + 1;
    for (size_t i = 0; i < count; i++) size += strlen(subjects[i]) + 1;
    struct stream_config *copy = malloc(size);
    if (!copy) return NULL;
    *copy = *config;
    const char **array = (const char **)(copy + 1);
    char *at = (char *)(array + count);
    size_t len = strlen(config->name) + 1;
    copy->name = memcpy(at, config->name, len);
    at += len;
    for (size_t i = 0; i < count; i++) {
        len = strlen(subjects[i]) + 1;
        array[i] = memcpy(at, subjects[i], len);
        at += len;
    }
    copy->subjects = array;
    copy->subject_count = count;
    int64_t *limits[] = {&copy->max_msgs, &copy->max_bytes, &copy->max_msgs_per_subject,
                         &copy->max_msg_size};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        if (*limits[i] <= 0) *limits[i] = -1;
    }
    if (copy->max_age_ns < 0) copy->max_age_ns = 0;
    if (copy->duplicate_window_ns <= 0) {
        copy->duplicate_window_ns = duplicate_window_default_ns;
        if (copy->max_age_ns > 0 && copy->max_age_ns < copy->duplicate_window_ns) {
            copy->duplicate_window_ns = copy->max_age_ns;
        }
    }
    return copy;
}

bool stream_config_equal(const struct stream_config *a, const struct stream_config *b)
{
    if (strcmp(a->name, b->name) != 0 || a->subject_count != b->subject_count) return false;
    for (size_t i = 0; i < a->subject_count; i++) {
        if (strcmp(a->subjects[i], b->subjects[i]) != 0) return false;
    }
    return a->max_msgs == b->max_msgs && a->max_bytes == b->max_bytes &&
           a->max_msgs_per_subject == b->max_msgs_per_subject &&
           a->max_msg_size == b->max_msg_size && a->max_age_ns == b->max_age_ns &&
           a->duplicate_window_ns == b->duplicate_window_ns && a->discard == b->discard &&
           a->sync == b->sync && a->allow_rollup == b->allow_rollup &&
           a->deny_delete == b->deny_delete && a->deny_purge == b->deny_purge;
}

void stream_config_encode(const struct stream_config *config, struct buf *out)
{
    struct jsonw json;
    jsonw_init(&json, out);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "name", config->name);
    jsonw_array(&json, "subjects");
    for (size_t i = 0; i < config->subject_count; i++) jsonw_cstr(&json, NULL, config->subjects[i]);
    jsonw_array_end(&json);
    jsonw_cstr(&json, "retention", "limits");
    jsonw_i64(&json, "max_msgs", config->max_msgs);
    jsonw_i64(&json, "max_bytes", config->max_bytes);
    jsonw_i64(&json, "max_msgs_per_subject", config->max_msgs_per_subject);
    jsonw_i64(&json, "max_msg_size", config->max_msg_size);
    jsonw_i64(&json, "max_age", config->max_age_ns);
    jsonw_i64(&json, "duplicate_window", config->duplicate_window_ns);
    jsonw_cstr(&json, "discard", config->discard == STREAM_DISCARD_NEW ? "new" : "old");
    jsonw_cstr(&json, "storage", "file");
    jsonw_u64(&json, "num_replicas", 1);
    jsonw_bool(&json, "allow_rollup_hdrs", config->allow_rollup);
    jsonw_bool(&json, "deny_delete", config->deny_delete);
    jsonw_bool(&json, "deny_purge", config->deny_purge);
    jsonw_u64(&json, "sync", config->sync);
    jsonw_object_end(&json);
}

static int64_t get_int(json_t *object, const char *key)
{
    return (int64_t)json_integer_value(json_object_get(object, key));
}

static int from_json(json_t *object, struct stream_config **ret_config)
{
    const char *subjects[STREAM_SUBJECTS_MAX];
    const char *discard = json_string_value(json_object_get(object, "discard"));
    json_t *array = json_object_get(object, "subjects");
    struct stream_config config = {
        .name = json_string_value(json_object_get(object, "name")),
        .subjects = subjects,
        .subject_count = json_array_size(array),
        .max_msgs = get_int(object, "max_msgs"),
        .max_bytes = get_int(object, "max_bytes"),
        .max_msgs_per_subject = get_int(object, "max_msgs_per_subject"),
        .max_msg_size = get_int(object, "max_msg_size"),
        .max_age_ns = get_int(object, "max_age"),
        .duplicate_window_ns = get_int(object, "duplicate_window"),
        .discard = discard && strcmp(discard, "new") == 0 ? STREAM_DISCARD_NEW : STREAM_DISCARD_OLD,
        .sync = (enum journal_sync)get_int(object, "sync"),
        .allow_rollup = json_is_true(json_object_get(object, "allow_rollup_hdrs")),
        .deny_delete = json_is_true(json_object_get(object, "deny_delete")),
        .deny_purge = json_is_true(json_object_get(object, "deny_purge")),
    };
    if (config.subject_count > STREAM_SUBJECTS_MAX || config.sync > JOURNAL_SYNC_NEVER) {
        return ERR_CORRUPT;
    }
    for (size_t i = 0; i < config.subject_count; i++) {
        subjects[i] = json_string_value(json_array_get(array, i));
        if (!subjects[i]) return ERR_CORRUPT;
    }
    if (stream_config_check(&config, NULL) < 0) return ERR_CORRUPT;
    *ret_config = stream_config_copy(&config);
    return *ret_config ? 0 : ERR_NOMEM;
}

int stream_config_decode(struct bytes json, struct stream_config **ret_config)
{
    json_t *object = json_loadb(json.data, json.len, JSON_REJECT_DUPLICATES, NULL);
    if (!object) return ERR_CORRUPT;
    int r = from_json(object, ret_config);
    json_decref(object);
    return r;
}

bool stream_config_captures(const struct stream_config *config, struct bytes subject)
{
    for (size_t i = 0; i < config->subject_count; i++) {
        if (subject_matches(bytes_str(config->subjects[i]), subject)) return true;
    }
    return false;
}

bool stream_config_overlaps(const struct stream_config *a, const struct stream_config *b)
{
    for (size_t i = 0; i < a->subject_count; i++) {
        for (size_t j = 0; j < b->subject_count; j++) {
            if (subject_overlaps(bytes_str(a->subjects[i]), bytes_str(b->subjects[j]))) return true;
        }
    }
    return false;
}
