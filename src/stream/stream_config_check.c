/* What a configuration may say, in the words of JetStream. */
#include "stream/stream_config.h"

#include "bus/subject.h"
#include "stream/stream_mapper.h"
#include "stream/stream_schema.h"

enum { DESCRIPTION_MAX = 4096, METADATA_MAX = 128 << 10 };

static const int64_t shortest_ns = INT64_C(100000000), second_ns = INT64_C(1000000000);

#define FAIL(kind, ...) api_error_fail(refusal, ERR_INVALID, kind, __VA_ARGS__)
#define INVALID(...) FAIL(API_STREAM_INVALID_CONFIG, __VA_ARGS__)

static const char *or_all(const char *pattern)
{
    return pattern && *pattern ? pattern : ">";
}

/* ---- subjects ---- */

static int check_subject(const struct stream_config *config, size_t i, struct api_error *refusal)
{
    struct bytes subject = bytes_str(config->subjects[i]);
    if (subject.len > STREAM_SUBJECT_MAX || !subject_is_pattern(subject)) {
        return INVALID("invalid subject");
    }
    for (size_t j = 0; j < i; j++) {
        struct bytes other = bytes_str(config->subjects[j]);
        /* Patterns that only have some subjects in common (a.*, *.b) are two people's wishes; one
         * within another is a mistake. */
        if (!subject_contains(subject, other) && !subject_contains(other, subject)) continue;
        return INVALID("subject \"%.80s\" overlaps with \"%.80s\"", config->subjects[j],
                       config->subjects[i]);
    }
    if (config->no_ack) return 0;
    if (bytes_eq(subject, BYTES(">"))) {
        return INVALID("capturing all subjects requires no-ack to be true");
    }
    /* Patterns that begin with a wildcard do not take what is the server's own: see streams.c. */
    if (bytes_starts(subject, BYTES("$JS.")) && !subject_contains(BYTES("$JS.EVENT.>"), subject)) {
        return INVALID("subjects that overlap with jetstream api require no-ack to be true");
    }
    if (bytes_starts(subject, BYTES("$SYS.")) &&
        !subject_contains(BYTES("$SYS.ACCOUNT.>"), subject)) {
        return INVALID("subjects that overlap with system api require no-ack to be true");
    }
    return 0;
}

static int check_subjects(const struct stream_config *config, struct api_error *refusal)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < config->subject_count; i++) {
        r = check_subject(config, i, refusal);
    }
    return r;
}

/* ---- limits ---- */

static int check_times(const struct stream_config *config, struct api_error *refusal)
{
    int64_t age = config->max_age_ns, window = config->duplicate_window_ns;
    if (age < 0) return INVALID("max age can not be negative");
    if (age > 0 && age < shortest_ns) return INVALID("max age needs to be >= 100ms");
    if (window < 0) return INVALID("duplicates window can not be negative");
    if (age > 0 && window > age) return INVALID("duplicates window can not be larger then max age");
    if (window > 0 && window < shortest_ns)
        return INVALID("duplicates window needs to be >= 100ms");
    return 0;
}

static int check_markers(const struct stream_config *config, struct api_error *refusal)
{
    int64_t marker = config->subject_delete_marker_ttl_ns;
    if (marker < 0) return INVALID("subject delete marker TTL must not be negative");
    if (marker > 0 && marker < second_ns) {
        return INVALID("subject delete marker TTL must be at least 1 second");
    }
    return 0;
}

static int check_limits(const struct stream_config *config, struct api_error *refusal)
{
    if (config->num_replicas > STREAM_REPLICAS_MAX) {
        return INVALID("maximum replicas is %d", STREAM_REPLICAS_MAX);
    }
    int r = check_times(config, refusal);
    if (r < 0) return r;
    if (config->deny_purge && config->allow_rollup) {
        return INVALID("roll-ups require the purge permission");
    }
    if (config->discard_new_per_subject && config->discard != STREAM_DISCARD_NEW) {
        return INVALID("discard new per subject requires discard new policy to be set");
    }
    if (config->discard_new_per_subject && config->max_msgs_per_subject <= 0) {
        return INVALID("discard new per subject requires max msgs per subject > 0");
    }
    if (config->consumer_inactive_threshold_ns < 0 || config->consumer_max_ack_pending < -1) {
        return INVALID("consumer limits can not be negative");
    }
    return check_markers(config, refusal);
}

static int check_texts(const struct stream_config *config, struct api_error *refusal)
{
    if (bytes_str(config->description).len > DESCRIPTION_MAX) {
        return INVALID("stream description is too long, maximum allowed is %d", DESCRIPTION_MAX);
    }
    size_t size = 0;
    for (size_t i = 0; i < config->metadata_count; i++) {
        size += strlen(config->metadata[i].key) + bytes_str(config->metadata[i].value).len;
    }
    if (size > METADATA_MAX) {
        return INVALID("stream metadata exceeds maximum size of %d bytes", METADATA_MAX);
    }
    return 0;
}

/* ---- mappings of subjects ---- */

static int check_mapping(const struct stream_transform *transform, enum api_error_kind kind,
                         struct api_error *refusal)
{
    struct stream_mapper *mapper;
    const char *why = err_text(ERR_NOMEM);
    int r = stream_mapper_new(bytes_str(transform->src), bytes_str(transform->dest), &mapper, &why);
    if (r < 0) return api_error_fail(refusal, r, kind, "%s", why);
    stream_mapper_free(mapper);
    return 0;
}

static int check_source_mappings(const struct stream_source *source, enum api_error_kind kind,
                                 struct api_error *refusal)
{
    int r = 0;
    for (size_t i = 0; r == 0 && i < source->transform_count; i++) {
        r = check_mapping(&source->transforms[i], kind, refusal);
    }
    return r;
}

static int check_transform(const struct stream_config *config, struct api_error *refusal)
{
    if (!config->transform) return 0;
    return check_mapping(config->transform, API_TRANSFORM_DESTINATION, refusal);
}

/* ---- republish ---- */

static int bad_republish(const struct stream_transform *republish, struct api_error *refusal)
{
    return INVALID("stream configuration for republish with transform from '%.100s' to '%.100s' "
                   "not valid",
                   or_all(republish->src), republish->dest);
}

static int check_republish(const struct stream_config *config, struct api_error *refusal)
{
    if (!config->republish) return 0;
    struct bytes src = bytes_str(or_all(config->republish->src));
    struct bytes dest = bytes_str(config->republish->dest);
    if (!subject_is_pattern(src) || dest.len == 0) {
        return INVALID("stream configuration for republish with invalid source or destination");
    }
    bool cycle = config->subject_count == 0 && !config->source_count && !config->mirror &&
                 subject_overlaps(dest, bytes_str(config->name));
    for (size_t i = 0; i < config->subject_count; i++) {
        cycle = cycle || subject_overlaps(dest, bytes_str(config->subjects[i]));
    }
    if (cycle) return INVALID("stream configuration for republish destination forms a cycle");
    int r = check_mapping(config->republish, API_STREAM_INVALID_CONFIG, refusal);
    return r == ERR_INVALID ? bad_republish(config->republish, refusal) : r;
}

/* ---- mirrors and sources ---- */

static int check_source(const struct stream_source *source, bool mirror, struct api_error *refusal)
{
    bool filtered = source->filter && *source->filter;
    if (!stream_name_valid(source->name))
        return FAIL(mirror ? API_MIRROR_NAME : API_SOURCE_NAME, NULL);
    if (mirror && source->start_seq && source->start_time_ns) {
        return FAIL(API_MIRROR_SEQ_AND_TIME, NULL);
    }
    if (filtered && source->transform_count) {
        return FAIL(mirror ? API_MIRROR_FILTERS : API_SOURCE_FILTERS, NULL);
    }
    if (filtered && !subject_is_pattern(bytes_str(source->filter))) {
        return FAIL(mirror ? API_MIRROR_FILTER_INVALID : API_SOURCE_FILTER_INVALID,
                    "invalid filter subject '%.100s'", source->filter);
    }
    for (size_t i = 0; i < source->transform_count; i++) {
        struct bytes src = bytes_str(or_all(source->transforms[i].src));
        if (!subject_is_pattern(src)) {
            return FAIL(mirror ? API_MIRROR_FILTER_INVALID : API_SOURCE_FILTER_INVALID,
                        "invalid source subject '%.100s'", src.data);
        }
        for (size_t j = 0; j < i; j++) {
            if (!subject_overlaps(src, bytes_str(or_all(source->transforms[j].src)))) continue;
            return FAIL(mirror ? API_MIRROR_FILTERS_OVERLAP : API_SOURCE_FILTERS_OVERLAP, NULL);
        }
    }
    return 0;
}

static bool same_source(const struct stream_source *a, const struct stream_source *b)
{
    if (strcmp(a->name, b->name) != 0 || a->transform_count != b->transform_count) return false;
    if (!bytes_eq(bytes_str(or_all(a->filter)), bytes_str(or_all(b->filter)))) return false;
    for (size_t i = 0; i < a->transform_count; i++) {
        struct bytes src = bytes_str(or_all(a->transforms[i].src));
        if (!bytes_eq(src, bytes_str(or_all(b->transforms[i].src)))) return false;
        if (!bytes_eq(bytes_str(a->transforms[i].dest), bytes_str(b->transforms[i].dest))) {
            return false;
        }
    }
    return true;
}

static int check_mirror(const struct stream_config *config, struct api_error *refusal)
{
    if (config->first_seq) return FAIL(API_MIRROR_FIRST_SEQ, NULL);
    if (config->subject_count) return FAIL(API_MIRROR_WITH_SUBJECTS, NULL);
    if (config->source_count) return FAIL(API_MIRROR_WITH_SOURCES, NULL);
    if (config->subject_delete_marker_ttl_ns) {
        return INVALID("subject delete markers forbidden on mirrors");
    }
    if (config->transform) {
        return INVALID("stream mirrors can not have a subject transform of their own");
    }
    int r = check_source(config->mirror, true, refusal);
    return r < 0 ? r : check_source_mappings(config->mirror, API_MIRROR_TRANSFORM, refusal);
}

static int check_sources(const struct stream_config *config, struct api_error *refusal)
{
    if (config->mirror) return check_mirror(config, refusal);
    for (size_t i = 0; i < config->source_count; i++) {
        int r = check_source(&config->sources[i], false, refusal);
        if (r == 0) r = check_source_mappings(&config->sources[i], API_SOURCE_TRANSFORM, refusal);
        if (r < 0) return r;
        for (size_t j = 0; j < i; j++) {
            if (!same_source(&config->sources[i], &config->sources[j])) continue;
            return api_error_fail(refusal, ERR_INVALID, API_SOURCE_DUPLICATE, NULL);
        }
    }
    return 0;
}

static int check_schema(const struct stream_config *config, struct api_error *refusal)
{
    char why[STREAM_SCHEMA_TEXT];
    struct stream_schema *schema;
    if (!config->schema) return 0;
    int r = stream_schema_new(bytes_str(config->schema), &schema, why);
    if (r == 0) stream_schema_free(schema);
    return r < 0 ? INVALID("_dure.schema %s", r == ERR_NOMEM ? err_text(r) : why) : 0;
}

int stream_config_check(const struct stream_config *config, struct api_error *refusal)
{
    if (bytes_str(config->name).len > STREAM_NAME_MAX) {
        return INVALID("stream name is too long, maximum allowed is %d", STREAM_NAME_MAX);
    }
    if (!stream_name_valid(config->name)) {
        return INVALID("stream name is required and can not contain '.', '*', '>', '\\', '/'");
    }
    int r = check_texts(config, refusal);
    if (r == 0) r = check_limits(config, refusal);
    if (r == 0) r = check_sources(config, refusal);
    if (r == 0) r = check_subjects(config, refusal);
    if (r == 0) r = check_transform(config, refusal);
    if (r == 0) r = check_republish(config, refusal);
    if (r == 0) r = check_schema(config, refusal);
    if (r == 0 && config->num_replicas > 1) {
        r = api_error_fail(refusal, ERR_INVALID, API_REPLICAS_UNSUPPORTED, NULL);
    }
    return r;
}

/* ---- updates ---- */

static bool mirrors_alike(const struct stream_config *a, const struct stream_config *b)
{
    if (!a->mirror || !b->mirror) return a->mirror == b->mirror;
    return same_source(a->mirror, b->mirror) && a->mirror->start_seq == b->mirror->start_seq &&
           a->mirror->start_time_ns == b->mirror->start_time_ns;
}

int stream_config_may_become(const struct stream_config *from, const struct stream_config *to,
                             struct api_error *refusal)
{
    bool queue = from->retention == STREAM_RETENTION_WORKQUEUE ||
                 to->retention == STREAM_RETENTION_WORKQUEUE;
    if (strcmp(from->name, to->name) != 0) {
        return INVALID("stream configuration name must match original");
    }
    if (from->storage != to->storage) {
        return INVALID("stream configuration update can not change storage type");
    }
    if (from->retention != to->retention && queue) {
        return INVALID("stream configuration update can not change retention policy to/from "
                       "workqueue");
    }
    if (from->sealed && !to->sealed) {
        return INVALID("stream configuration update can not unseal a sealed stream");
    }
    if (from->deny_delete && !to->deny_delete) {
        return INVALID("stream configuration update can not cancel deny message deletes");
    }
    if (from->deny_purge && !to->deny_purge) {
        return INVALID("stream configuration update can not cancel deny purge");
    }
    if (!mirrors_alike(from, to)) {
        return api_error_fail(refusal, ERR_INVALID, API_MIRROR_NOT_UPDATABLE, NULL);
    }
    if (from->allow_msg_ttl && !to->allow_msg_ttl) {
        return INVALID("message TTL status can not be disabled");
    }
    if (from->sync != to->sync) {
        return INVALID("stream configuration update can not change _dure.fsync");
    }
    return 0;
}
