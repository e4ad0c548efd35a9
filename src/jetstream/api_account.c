#include "jetstream/api_requests.h"
#include "jetstream/jetstream_impl.h"

struct usage {
    uint64_t memory, storage, reserved_memory, reserved_storage;
    size_t streams, consumers;
};

static struct usage usage_of(struct streams *streams)
{
    struct usage usage = {0};
    size_t cursor = 0;
    for (struct stream *stream; (stream = streams_next(streams, &cursor));) {
        const struct stream_config *config = stream_config(stream);
        struct stream_state state = stream_state(stream);
        uint64_t reserved = config->max_bytes > 0 ? (uint64_t)config->max_bytes : 0;
        bool memory = config->storage == STREAM_STORAGE_MEMORY;
        *(memory ? &usage.memory : &usage.storage) += state.bytes;
        *(memory ? &usage.reserved_memory : &usage.reserved_storage) += reserved;
        usage.streams++;
        usage.consumers += consumers_count(stream);
    }
    return usage;
}

static void put_count_limit(struct jsonw *json, const char *name, int64_t limit)
{
    jsonw_i64(json, name, limit > 0 ? limit : -1);
}

static void put_limits(struct jsonw *json, const struct streams_limits *limits)
{
    jsonw_object(json, "limits");
    jsonw_i64(json, "max_memory", limits->memory_bytes);
    jsonw_i64(json, "max_storage", limits->disk_bytes);
    put_count_limit(json, "max_streams", limits->streams);
    put_count_limit(json, "max_consumers", limits->consumers);
    jsonw_i64(json, "max_ack_pending", -1);
    jsonw_i64(json, "memory_max_stream_bytes", -1);
    jsonw_i64(json, "storage_max_stream_bytes", -1);
    jsonw_bool(json, "max_bytes_required", false);
    jsonw_object_end(json);
}

void api_account_info(struct api_call *call)
{
    struct jetstream *js = call->js;
    struct usage usage = usage_of(js->streams);
    api_begin(call);
    jsonw_u64(&call->json, "memory", usage.memory);
    jsonw_u64(&call->json, "storage", usage.storage);
    jsonw_u64(&call->json, "reserved_memory", usage.reserved_memory);
    jsonw_u64(&call->json, "reserved_storage", usage.reserved_storage);
    jsonw_u64(&call->json, "streams", usage.streams);
    jsonw_u64(&call->json, "consumers", usage.consumers);
    put_limits(&call->json, streams_limits(js->streams));
    jsonw_object(&call->json, "api");
    jsonw_i64(&call->json, "level", JETSTREAM_API_LEVEL);
    jsonw_u64(&call->json, "total", js->metrics.requests);
    jsonw_u64(&call->json, "errors", js->metrics.errors);
    jsonw_object_end(&call->json);
    api_end(call);
}

void api_needs_cluster(struct api_call *call)
{
    api_fail(call, API_CLUSTER_REQUIRED, NULL);
}
