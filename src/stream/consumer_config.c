#include "stream/consumer_config.h"

#include "base/pack.h"
#include "bus/subject.h"

#include <stdlib.h>

static const int64_t second_ns = INT64_C(1000000000);

enum {
    ACK_WAIT_S = 30,
    PINNED_S = 120,
    MAX_WAITING = 512,
    MAX_ACK_PENDING = 1000,
};

/* ---- copying ---- */

static const struct stream_pair *pack_pairs(struct pack *pack, const struct stream_pair *pairs,
                                            size_t count)
{
    if (count == 0) return NULL;
    struct stream_pair *array = pack_take(pack, count * sizeof *array);
    for (size_t i = 0; i < count; i++) {
        const char *key = pack_str(pack, pairs[i].key), *value = pack_str(pack, pairs[i].value);
        if (array) array[i] = (struct stream_pair){key, value ? value : ""};
    }
    return array;
}

static void pack_all(struct pack *pack, const struct consumer_config *config,
                     struct consumer_config *ret)
{
    *ret = *config;
    ret->name = pack_str(pack, config->name);
    ret->description = pack_str(pack, config->description);
    ret->filters = pack_strs(pack, config->filters, config->filter_count);
    ret->sample_freq = pack_str(pack, config->sample_freq);
    ret->priority_groups = pack_strs(pack, config->priority_groups, config->priority_group_count);
    ret->deliver_subject = pack_str(pack, config->deliver_subject);
    ret->deliver_group = pack_str(pack, config->deliver_group);
    ret->metadata = pack_pairs(pack, config->metadata, config->metadata_count);
    size_t size = config->backoff_count * sizeof *config->backoff_ns;
    int64_t *backoff = size ? pack_take(pack, size) : NULL;
    ret->backoff_ns = backoff ? memcpy(backoff, config->backoff_ns, size) : NULL;
}

static void fill_in_acks(struct consumer_config *config, const struct stream_config *stream)
{
    if (config->backoff_ns) config->ack_wait_ns = config->backoff_ns[0];
    if (config->max_deliver == 0) config->max_deliver = -1;
    if (config->max_ack_pending == 0 && stream) {
        config->max_ack_pending = stream->consumer_max_ack_pending;
    }
    if (config->ack_policy == CONSUMER_ACK_NONE) return;
    if (config->ack_wait_ns <= 0) config->ack_wait_ns = ACK_WAIT_S * second_ns;
    if (config->max_ack_pending == 0) config->max_ack_pending = MAX_ACK_PENDING;
}

static void fill_in(struct consumer_config *config, const struct stream_config *stream)
{
    fill_in_acks(config, stream);
    if (!config->deliver_subject && config->max_waiting == 0) config->max_waiting = MAX_WAITING;
    if (config->inactive_threshold_ns == 0 && stream) {
        config->inactive_threshold_ns = stream->consumer_inactive_threshold_ns;
    }
    if (config->inactive_threshold_ns == 0 && !config->durable) {
        config->inactive_threshold_ns = CONSUMER_INACTIVE_NS;
    }
    bool pins = config->priority_policy == CONSUMER_PRIORITY_PINNED_CLIENT;
    if (pins && config->priority_timeout_ns == 0) {
        config->priority_timeout_ns = PINNED_S * second_ns;
    }
}

struct consumer_config *consumer_config_copy(const struct consumer_config *config,
                                             const struct stream_config *stream)
{
    struct pack pack = {0};
    struct consumer_config scratch;
    (void)pack_take(&pack, sizeof *config);
    pack_all(&pack, config, &scratch);
    struct consumer_config *copy = malloc(pack.size);
    if (!copy) return NULL;
    pack = (struct pack){.at = (char *)copy};
    (void)pack_take(&pack, sizeof *config);
    pack_all(&pack, config, copy);
    fill_in(copy, stream);
    return copy;
}

/* ---- comparing ---- */

bool consumer_config_equal(const struct consumer_config *a, const struct consumer_config *b)
{
    struct buf x, y;
    struct jsonw json;
    buf_init(&x, SIZE_MAX);
    buf_init(&y, SIZE_MAX);
    jsonw_init(&json, &x);
    consumer_config_encode(a, &json, NULL);
    jsonw_init(&json, &y);
    consumer_config_encode(b, &json, NULL);
    bool equal = !x.failed && !y.failed && bytes_eq(buf_bytes(&x), buf_bytes(&y));
    buf_release(&x);
    buf_release(&y);
    return equal;
}

bool consumer_config_overlaps(const struct consumer_config *a, const struct consumer_config *b)
{
    if (a->filter_count == 0 || b->filter_count == 0) return true;
    for (size_t i = 0; i < a->filter_count; i++) {
        for (size_t j = 0; j < b->filter_count; j++) {
            if (subject_overlaps(bytes_str(a->filters[i]), bytes_str(b->filters[j]))) return true;
        }
    }
    return false;
}

const char *consumer_config_metadata(const struct consumer_config *config, const char *key)
{
    for (size_t i = 0; i < config->metadata_count; i++) {
        if (strcmp(config->metadata[i].key, key) == 0) return config->metadata[i].value;
    }
    return NULL;
}
