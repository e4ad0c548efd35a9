/* What a consumer's configuration may say, in the words and the order of JetStream. */
#include "stream/consumer_config.h"

#include "bus/subject.h"
#include "stream/stream_config.h"

#include <stdlib.h>

enum { DESCRIPTION_MAX = 4096, METADATA_MAX = 128 << 10, GROUP_MAX = 16, REPLICAS_MAX = 5 };

static const int64_t millisecond_ns = 1000000;

#define FAIL(kind, ...) api_error_fail(refusal, ERR_INVALID, kind, __VA_ARGS__)

static bool is_set(const char *text)
{
    return text && *text;
}

/* ---- names and texts ---- */

static int check_names(const struct consumer_config *config, struct api_error *refusal)
{
    const char *name = config->name ? config->name : "";
    if (strlen(name) > STREAM_NAME_MAX) {
        return FAIL(API_CONSUMER_NAME_TOO_LONG, "%d", STREAM_NAME_MAX);
    }
    if (strpbrk(name, "/\\")) return FAIL(API_CONSUMER_NAME_PATH, NULL);
    if (!stream_name_valid(name)) return FAIL(API_DURABLE_NAME, NULL);
    if (config->description && strlen(config->description) > DESCRIPTION_MAX) {
        return FAIL(API_CONSUMER_DESCRIPTION, "%d", DESCRIPTION_MAX);
    }
    size_t size = 0;
    for (size_t i = 0; i < config->metadata_count; i++) {
        size += strlen(config->metadata[i].key) + strlen(config->metadata[i].value);
    }
    return size > METADATA_MAX ? FAIL(API_CONSUMER_METADATA, "128KB") : 0;
}

/* ---- how it is delivered ---- */

static int check_push(const struct consumer_config *config, const struct stream_config *stream,
                      struct api_error *refusal)
{
    struct bytes subject = bytes_str(config->deliver_subject);
    if (!subject_is_pattern(subject)) return FAIL(API_DELIVER_INVALID, NULL);
    if (!subject_is_literal(subject)) return FAIL(API_DELIVER_WILDCARD, NULL);
    if (stream_config_captures(stream, subject)) return FAIL(API_DELIVER_CYCLE, NULL);
    if (config->max_waiting != 0) return FAIL(API_PUSH_MAX_WAITING, NULL);
    int64_t pending = config->max_ack_pending;
    if (pending == 0) pending = stream->consumer_max_ack_pending;
    if (pending > 0 && config->ack_policy == CONSUMER_ACK_NONE) {
        return FAIL(API_MAX_ACK_PENDING_POLICY, NULL);
    }
    if (config->idle_heartbeat_ns > 0 && config->idle_heartbeat_ns < 100 * millisecond_ns) {
        return FAIL(API_HEARTBEAT_TOO_SMALL, NULL);
    }
    return 0;
}

static int check_pull(const struct consumer_config *config, const struct stream_config *stream,
                      struct api_error *refusal)
{
    if (config->ack_policy == CONSUMER_ACK_NONE &&
        stream->retention == STREAM_RETENTION_WORKQUEUE) {
        return FAIL(API_PULL_REQUIRES_ACK, NULL);
    }
    if (config->rate_limit_bps > 0) return FAIL(API_PULL_WITH_RATE_LIMIT, NULL);
    if (config->idle_heartbeat_ns > 0) return FAIL(API_HEARTBEAT_REQUIRES_PUSH, NULL);
    if (config->flow_control) return FAIL(API_FLOW_REQUIRES_PUSH, NULL);
    if (config->max_expires_ns != 0 && config->max_expires_ns < millisecond_ns) {
        return FAIL(API_MAX_EXPIRES_TOO_SMALL, NULL);
    }
    if (config->direct) return FAIL(API_DIRECT_REQUIRES_PUSH, NULL);
    return 0;
}

/* ---- what is delivered ---- */

static int check_filters(const struct consumer_config *config, struct api_error *refusal)
{
    if (config->both_filters) return FAIL(API_BOTH_FILTERS, NULL);
    for (size_t i = 0; i < config->filter_count; i++) {
        struct bytes filter = bytes_str(config->filters[i]);
        if (filter.len == 0) return FAIL(API_FILTER_EMPTY, NULL);
        if (filter.len > STREAM_SUBJECT_MAX || !subject_is_pattern(filter)) {
            return FAIL(API_STREAM_INVALID_CONFIG, "invalid subject");
        }
        for (size_t j = 0; j < i; j++) {
            struct bytes other = bytes_str(config->filters[j]);
            if (!subject_contains(filter, other) && !subject_contains(other, filter)) continue;
            return FAIL(API_FILTERS_OVERLAP, NULL);
        }
    }
    return 0;
}

#define BAD_START(policy, start)                                       \
    FAIL(API_DELIVER_POLICY,                                           \
         "consumer delivery policy is deliver %s, but optional start " \
         "%s is also set",                                             \
         policy, start)
#define NOT_SET(policy, field)                                                                     \
    FAIL(API_DELIVER_POLICY, "consumer delivery policy is deliver %s, but optional %s is not set", \
         policy, field)

static int check_start(const struct consumer_config *config, struct api_error *refusal)
{
    static const char *const names[] = {
        [CONSUMER_DELIVER_ALL] = "all",
        [CONSUMER_DELIVER_LAST] = "last",
        [CONSUMER_DELIVER_NEW] = "new",
        [CONSUMER_DELIVER_BY_START_SEQ] = "by start sequence",
        [CONSUMER_DELIVER_BY_START_TIME] = "by start time",
        [CONSUMER_DELIVER_LAST_PER_SUBJECT] = "last per subject",
    };
    const char *name = names[config->deliver_policy];
    bool by_seq = config->deliver_policy == CONSUMER_DELIVER_BY_START_SEQ;
    bool by_time = config->deliver_policy == CONSUMER_DELIVER_BY_START_TIME;
    if (by_seq && config->start_seq == 0) return NOT_SET(name, "start sequence");
    if (by_time && config->start_time_ns == 0) return NOT_SET(name, "start time");
    if (!by_seq && config->start_seq != 0) {
        return BAD_START(name, by_time ? "start sequence" : "sequence");
    }
    if (!by_time && config->start_time_ns != 0) return BAD_START(name, "time");
    if (config->deliver_policy == CONSUMER_DELIVER_LAST_PER_SUBJECT && config->filter_count == 0) {
        return NOT_SET(name, "filter subject");
    }
    return 0;
}

/* ---- how it is acknowledged ---- */

static int check_acks(const struct consumer_config *config, struct api_error *refusal)
{
    for (size_t i = 0; i < config->backoff_count; i++) {
        if (config->backoff_ns[i] < 0) return FAIL(API_BACKOFF_NEGATIVE, NULL);
    }
    if (config->ack_wait_ns < 0 && config->backoff_count == 0) {
        return FAIL(API_ACK_WAIT_NEGATIVE, NULL);
    }
    if (config->backoff_count && config->max_deliver > 0 &&
        config->backoff_count > (uint64_t)config->max_deliver) {
        return FAIL(API_BACKOFF_MAX_DELIVER, NULL);
    }
    return 0;
}

static int check_sampling(const struct consumer_config *config, struct api_error *refusal)
{
    if (!is_set(config->sample_freq)) return 0;
    struct bytes digits = bytes_str(config->sample_freq);
    uint64_t rate;
    if (bytes_ends(digits, BYTES("%"))) digits.len--;
    if (digits.len && bytes_to_u64(digits, INT32_MAX, &rate) == 0) return 0;
    return FAIL(API_SAMPLING, "strconv.Atoi: parsing \"%.*s\": invalid syntax", BYTES_ARG(digits));
}

static bool is_group(const char *name)
{
    if (strlen(name) > GROUP_MAX) return false;
    for (; *name; name++) {
        bool letter = (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z');
        if (!letter && !(*name >= '0' && *name <= '9') && !strchr("-_/=", *name)) return false;
    }
    return true;
}

static int check_groups(const struct consumer_config *config, struct api_error *refusal)
{
    if (config->priority_policy == CONSUMER_PRIORITY_NONE) {
        if (config->priority_group_count) return FAIL(API_GROUPS_WITHOUT_POLICY, NULL);
        if (config->priority_timeout_ns) return FAIL(API_PINNED_TTL_WITHOUT_POLICY, NULL);
        return 0;
    }
    if (is_set(config->deliver_subject)) return FAIL(API_PUSH_WITH_GROUPS, NULL);
    if (config->priority_group_count == 0) return FAIL(API_PRIORITY_WITHOUT_GROUP, NULL);
    for (size_t i = 0; i < config->priority_group_count; i++) {
        if (!*config->priority_groups[i]) return FAIL(API_GROUP_NAME_EMPTY, NULL);
        if (!is_group(config->priority_groups[i])) return FAIL(API_GROUP_NAME, NULL);
    }
    if (config->priority_group_count <= CONSUMER_GROUPS_MAX) return 0;
    return FAIL(API_CONSUMER_CREATE, "at most %d priority groups", CONSUMER_GROUPS_MAX);
}

/* ---- together ---- */

static int check_limits(const struct consumer_config *config, const struct stream_config *stream,
                        struct api_error *refusal)
{
    int64_t inactive = stream->consumer_inactive_threshold_ns;
    int64_t pending = stream->consumer_max_ack_pending;
    if (pending > 0 && config->max_ack_pending > pending) {
        return FAIL(API_MAX_ACK_PENDING_EXCESS, "%lld", (long long)pending);
    }
    if (inactive > 0 && config->inactive_threshold_ns > inactive) {
        return FAIL(API_INACTIVE_THRESHOLD_EXCESS, "%llds", (long long)(inactive / 1000000000));
    }
    return 0;
}

static int check_replicas(const struct consumer_config *config, struct api_error *refusal)
{
    if (config->replicas < 0) return FAIL(API_REPLICAS_NEGATIVE, NULL);
    return config->replicas > 1 ? FAIL(API_CONSUMER_REPLICAS, NULL) : 0;
}

int consumer_config_check(const struct consumer_config *config, const struct stream_config *stream,
                          struct api_error *refusal)
{
    bool push = is_set(config->deliver_subject);
    int r = check_replicas(config, refusal);
    if (r == 0) r = check_names(config, refusal);
    if (r == 0) r = check_acks(config, refusal);
    if (r == 0) {
        r = push ? check_push(config, stream, refusal) : check_pull(config, stream, refusal);
    }
    if (r == 0) r = check_limits(config, stream, refusal);
    if (r == 0) r = check_filters(config, refusal);
    if (r == 0) r = check_start(config, refusal);
    if (r == 0) r = check_sampling(config, refusal);
    if (r == 0 && config->flow_control && config->idle_heartbeat_ns <= 0) {
        r = FAIL(API_FLOW_NEEDS_HEARTBEAT, NULL);
    }
    if (r == 0) r = check_groups(config, refusal);
    return r;
}

/* ---- updates ---- */

int consumer_config_may_become(const struct consumer_config *from, const struct consumer_config *to,
                               struct api_error *refusal)
{
    bool was_push = is_set(from->deliver_subject), is_push = is_set(to->deliver_subject);
    const struct {
        bool changed;
        const char *text;
    } fixed[] = {
        {from->deliver_policy != to->deliver_policy, "deliver policy can not be updated"},
        {from->mem_storage != to->mem_storage, "storage type can not be updated"},
        {from->start_seq != to->start_seq, "start sequence can not be updated"},
        {from->start_time_ns != to->start_time_ns, "start time can not be updated"},
        {from->ack_policy != to->ack_policy, "ack policy can not be updated"},
        {from->replay_policy != to->replay_policy, "replay policy can not be updated"},
        {from->idle_heartbeat_ns != to->idle_heartbeat_ns, "heart beats can not be updated"},
        {from->flow_control != to->flow_control, "flow control can not be updated"},
        {!was_push && is_push, "can not update pull consumer to push based"},
        {was_push && !is_push, "can not update push consumer to pull based"},
        {from->max_waiting != to->max_waiting, "max waiting can not be updated"},
    };
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        if (fixed[i].changed) return FAIL(API_CONSUMER_CREATE, "%s", fixed[i].text);
    }
    return 0;
}
