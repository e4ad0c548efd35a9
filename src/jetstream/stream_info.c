#include "jetstream/stream_info.h"

#include "jetstream/api.h"
#include "stream/consumer.h"
#include "jetstream/versions.h"
#include "stream/stream_config.h"
#include "stream/streams.h"

#include <stdlib.h>

static int count_one(void *context, const struct stream_subject_info *info)
{
    size_t *count = context;
    ++*count;
    return 0;
}

size_t stream_info_count_subjects(const struct stream *stream, struct bytes pattern)
{
    size_t count = 0;
    stream_subjects(stream, pattern, count_one, &count);
    return count;
}

/* ---- subjects -------------------------------------------------------------------------------- */

struct subjects {
    struct stream_subject_info *list;
    size_t count;
};

static int gather(void *context, const struct stream_subject_info *info)
{
    struct subjects *subjects = context;
    subjects->list[subjects->count++] = *info;
    return 0;
}

static int by_subject(const void *a, const void *b)
{
    const struct stream_subject_info *left = a, *right = b;
    return bytes_cmp(left->subject, right->subject);
}

/* The writer takes a key as a C string. */
static void put_count(struct jsonw *json, const struct stream_subject_info *info)
{
    char key[STREAM_SUBJECT_MAX + 1];
    struct bytes subject = bytes_head(info->subject, STREAM_SUBJECT_MAX);
    memcpy(key, subject.data, subject.len);
    key[subject.len] = '\0';
    jsonw_u64(json, key, info->count);
}

/* Sorted, so that pages fit together. */
static int put_subjects(struct stream *stream, const struct stream_info_wants *wants,
                        struct jsonw *json)
{
    size_t total = stream_info_count_subjects(stream, wants->subjects);
    if (total <= wants->subjects_offset) return 0;
    struct subjects subjects = {.list = malloc(total * sizeof *subjects.list)};
    if (!subjects.list) return ERR_NOMEM;
    stream_subjects(stream, wants->subjects, gather, &subjects);
    qsort(subjects.list, subjects.count, sizeof *subjects.list, by_subject);
    size_t end = wants->subjects_offset + STREAM_INFO_SUBJECTS_MAX;
    if (end > subjects.count) end = subjects.count;
    jsonw_object(json, "subjects");
    for (size_t i = wants->subjects_offset; i < end; i++) put_count(json, &subjects.list[i]);
    jsonw_object_end(json);
    free(subjects.list);
    return 0;
}

/* ---- state ----------------------------------------------------------------------------------- */

static int put_gap(void *context, uint64_t first, uint64_t count)
{
    struct jsonw *json = context;
    for (uint64_t i = 0; i < count && !json->out->failed; i++) jsonw_u64(json, NULL, first + i);
    return json->out->failed ? ERR_NOMEM : 0;
}

static int put_state(struct stream *stream, const struct stream_info_wants *wants,
                     struct jsonw *json)
{
    struct stream_state state = stream_state(stream);
    int r = 0;
    jsonw_object(json, "state");
    jsonw_u64(json, "messages", state.messages);
    jsonw_u64(json, "bytes", state.bytes);
    jsonw_u64(json, "first_seq", state.first_seq);
    api_put_time(json, "first_ts", state.messages ? state.first_time_ns : 0);
    jsonw_u64(json, "last_seq", state.last_seq);
    api_put_time(json, "last_ts", state.last_time_ns);
    if (state.subjects) jsonw_u64(json, "num_subjects", state.subjects);
    if (wants && wants->subjects.len) r = put_subjects(stream, wants, json);
    if (state.deleted) jsonw_u64(json, "num_deleted", state.deleted);
    if (r == 0 && wants && wants->deleted && state.deleted) {
        jsonw_array(json, "deleted");
        r = stream_gaps(stream, put_gap, json);
        jsonw_array_end(json);
    }
    jsonw_u64(json, "consumer_count", consumers_count(stream));
    jsonw_object_end(json);
    return r;
}

static bool put_config(struct stream *stream, struct jsonw *json)
{
    struct stream_config config = *stream_config(stream);
    bool level = config.allow_msg_ttl || config.subject_delete_marker_ttl_ns;
    struct stream_pair *pairs =
        versions_add(config.metadata, config.metadata_count, level, &config.metadata_count);
    if (!pairs) return false;
    struct buf text;
    config.metadata = pairs;
    buf_init(&text, json->out->max);
    stream_config_encode(&config, &text);
    jsonw_raw(json, "config", buf_bytes(&text));
    bool whole = !text.failed;
    buf_release(&text);
    free(pairs);
    return whole;
}

/* ---- mirrors and sources ---------------------------------------------------------------------
 */

static void put_origin(struct jsonw *json, const char *key, const struct streams_origin *origin)
{
    const struct stream_source *source = origin->source;
    jsonw_object(json, key);
    jsonw_cstr(json, "name", source->name);
    jsonw_u64(json, "lag", origin->lag);
    jsonw_i64(json, "active", origin->active_ns);
    if (!origin->there) {
        const struct api_error missing = {.kind = API_STREAM_NOT_FOUND};
        api_error_encode(&missing, json);
    }
    if (source->filter && *source->filter) jsonw_cstr(json, "filter_subject", source->filter);
    if (source->transform_count) jsonw_array(json, "subject_transforms");
    for (size_t i = 0; i < source->transform_count; i++) {
        const struct stream_transform *transform = &source->transforms[i];
        jsonw_object(json, NULL);
        jsonw_cstr(json, "src", transform->src ? transform->src : "");
        jsonw_cstr(json, "dest", transform->dest ? transform->dest : "");
        jsonw_object_end(json);
    }
    if (source->transform_count) jsonw_array_end(json);
    jsonw_object_end(json);
}

static void put_origins(struct stream *stream, struct jsonw *json)
{
    struct streams_origin origin;
    size_t count = stream_config(stream)->source_count;
    if (stream_config(stream)->mirror && streams_origin(stream, 0, &origin)) {
        put_origin(json, "mirror", &origin);
    }
    if (count == 0) return;
    jsonw_array(json, "sources");
    for (size_t i = 0; i < count && streams_origin(stream, i, &origin); i++) {
        put_origin(json, NULL, &origin);
    }
    jsonw_array_end(json);
}

int stream_info_encode(struct stream *stream, const struct stream_info_wants *wants,
                       uint64_t now_ns, struct jsonw *json)
{
    if (!put_config(stream, json)) return ERR_NOMEM;
    api_put_time(json, "created", stream_created_ns(stream));
    int r = put_state(stream, wants, json);
    put_origins(stream, json);
    api_put_time(json, "ts", now_ns);
    return r;
}

int stream_info_encode_backup(struct stream *stream, struct jsonw *json)
{
    return put_config(stream, json) ? put_state(stream, NULL, json) : ERR_NOMEM;
}
