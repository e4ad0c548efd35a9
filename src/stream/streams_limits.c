/* What all streams of an account may take together. How much they hold is summed up once in a turn
 * of the loop at most: what is published within the turn is added to that. */
#include "stream/consumer_impl.h"
#include "stream/streams_impl.h"

static bool in_memory(const struct stream_config *config)
{
    return config->storage == STREAM_STORAGE_MEMORY;
}

static int64_t limit_of(const struct streams *streams, const struct stream_config *config)
{
    return in_memory(config) ? streams->limits.memory_bytes : streams->limits.disk_bytes;
}

/* What the others have been promised. */
static uint64_t reserved(struct streams *streams, const struct stream_config *config)
{
    uint64_t sum = 0;
    size_t cursor = 0;
    for (struct stream *stream; (stream = map_next(&streams->streams, &cursor));) {
        if (strcmp(stream->name, config->name) == 0) continue;
        if (in_memory(stream->config) != in_memory(config)) continue;
        if (stream->config->max_bytes > 0) sum += (uint64_t)stream->config->max_bytes;
    }
    return sum;
}

int streams_limits_admit(struct streams *streams, const struct stream_config *config,
                         struct api_error *refusal)
{
    const struct streams_limits *limits = &streams->limits;
    if (limits->consumers > 0 && config->max_consumers > limits->consumers)
        return api_error_fail(refusal, ERR_FULL, API_MAX_CONSUMERS, NULL);
    int64_t most = limit_of(streams, config);
    uint64_t wanted = config->max_bytes > 0 ? (uint64_t)config->max_bytes : 1;
    if (most < 0 ||
        (wanted <= (uint64_t)most && reserved(streams, config) <= (uint64_t)most - wanted))
        return 0;
    return api_error_fail(refusal, ERR_FULL,
                          in_memory(config) ? API_MEMORY_EXCEEDED : API_STORAGE_EXCEEDED, NULL);
}

int64_t streams_limits_consumers(const struct streams *streams, const struct stream_config *config)
{
    int64_t most = streams->limits.consumers, own = config->max_consumers;
    return own <= 0 || (most > 0 && most < own) ? most : own;
}

static void sum_up(struct streams *streams)
{
    size_t cursor = 0;
    streams->used[0] = streams->used[1] = 0;
    streams->used_at_ns = io_now_ns(streams->io);
    for (struct stream *stream; (stream = map_next(&streams->streams, &cursor));)
        streams->used[in_memory(stream->config)] += stream->index.bytes + stream->pending_bytes;
}

static bool is_full(void *context, const struct stream *stream, uint64_t size)
{
    struct streams *streams = context;
    int64_t most = limit_of(streams, stream->config);
    if (most < 0) return false;
    if (streams->used_at_ns != io_now_ns(streams->io)) sum_up(streams);
    uint64_t *used = &streams->used[in_memory(stream->config)];
    if (*used + size > (uint64_t)most) return true;
    *used += size;
    return false;
}

void streams_set_limits(struct streams *streams, const struct streams_limits *limits)
{
    streams->limits = *limits;
    bool bytes = limits->memory_bytes >= 0 || limits->disk_bytes >= 0;
    streams->host.is_full = bytes ? is_full : NULL;
}

const struct streams_limits *streams_limits(const struct streams *streams)
{
    return &streams->limits;
}
