#include "jetstream/api_requests.h"
#include "jetstream/jetstream_impl.h"
#include "jetstream/stream_info.h"
#include "jetstream/stream_origins.h"
#include "stream/consumer.h"
#include "stream/stream_config.h"

#include <inttypes.h>
#include <stdlib.h>

static bool is_named(struct api_call *call, struct bytes name)
{
    if (bytes_eq(name, call->stream_name)) return true;
    api_fail(call, API_STREAM_MISMATCH, NULL);
    return false;
}

static void fail_sealed(struct api_call *call)
{
    api_fail(call, API_STREAM_INVALID_CONFIG, "stream configuration for create can not be sealed");
}

/* The configuration of the body, checked; the caller frees it. NULL: the call has been failed. That
 * a stream can not be made sealed is said before all else that is wrong with what it is to be. */
static struct stream_config *read_config(struct api_call *call, bool create)
{
    struct api_error refusal = {0};
    struct stream_config *config = NULL;
    int r = stream_config_decode(call->message->payload, &config, &refusal);
    if (r == 0 && stream_subjects_distinct(config, &refusal) &&
        stream_origins_fit(call->js->streams, config, &refusal))
        return config;
    free(config);
    bool readable = refusal.kind != API_INVALID_JSON;
    if (!create && refusal.kind == API_REPLICAS_UNSUPPORTED) {
        struct bytes name = bytes_str(json_string_value(json_object_get(call->body, "name")));
        if (bytes_eq(name, call->stream_name) && !api_stream(call)) return NULL;
    }
    if (create && readable && json_is_true(json_object_get(call->body, "sealed"))) {
        fail_sealed(call);
    } else {
        api_fail_result(call, r, &refusal);
    }
    return NULL;
}

/* A mirror answers direct gets when its origin does. */
static void inherit(struct streams *streams, struct stream_config *config)
{
    struct stream *origin =
        config->mirror ? streams_find(streams, bytes_str(config->mirror->name)) : NULL;
    if (origin) config->mirror_direct = stream_config(origin)->allow_direct;
}

static void answer_info(struct api_call *call, struct stream *stream, bool made)
{
    api_begin(call);
    if (stream_info_encode(stream, NULL, io_wall_ns(call->js->io), &call->json)) {
        api_fail(call, API_INSUFFICIENT_RESOURCES, NULL);
        return;
    }
    if (made) jsonw_bool(&call->json, "did_create", true);
    api_end(call);
}

/* ---- create ---------------------------------------------------------------------------------- */

static bool may_be_made(struct api_call *call, const struct stream_config *config)
{
    if (config->sealed) {
        fail_sealed(call);
        return false;
    }
    if (config->mirror_direct && !config->mirror) {
        api_fail(call, API_STREAM_INVALID_CONFIG,
                 "stream has no mirror but does have mirror direct");
        return false;
    }
    if (config->num_replicas > 1) {
        api_fail(call, API_REPLICAS_UNSUPPORTED, NULL);
        return false;
    }
    return true;
}

/* What the disk refuses is not there. */
static void made(struct stream_op *op, int result)
{
    struct api_call *call = CONTAINER_OF(op, struct api_call, op);
    struct streams *streams = call->js->streams;
    if (result < 0) {
        bool there = streams_find(streams, call->stream_name) == call->stream;
        if (call->made && there) streams_remove(streams, call->stream, NULL, NULL);
        api_fail_result(call, result, &op->refusal);
        return;
    }
    if (call->made) advisory_stream(&call->js->advisories, ADVISORY_CREATE, call->stream_name);
    answer_info(call, call->stream, true);
}

void api_stream_create(struct api_call *call)
{
    struct jetstream *js = call->js;
    struct bytes name;
    if (!api_get_string(call, "name", &name) || !is_named(call, name)) return;
    if (bytes_find(name, '/') < name.len || bytes_find(name, '\\') < name.len) {
        api_fail(call, API_STREAM_NAME_PATH, NULL);
        return;
    }
    struct stream_config *config = read_config(call, true);
    if (!config) return;
    struct stream *stream;
    struct api_error refusal = {0};
    if (may_be_made(call, config)) {
        inherit(js->streams, config);
        bool there = streams_find(js->streams, bytes_str(config->name)) != NULL;
        int r = streams_add(js->streams, config, &stream, &refusal);
        call->made = !there;
        call->stream = stream;
        if (r < 0)
            api_fail_result(call, r, &refusal);
        else
            stream_when_durable(stream, &call->op, made);
    }
    free(config);
}

/* ---- update ---------------------------------------------------------------------------------- */

static void updated(struct stream_op *op, int result)
{
    struct api_call *call = CONTAINER_OF(op, struct api_call, op);
    if (result < 0) {
        api_fail_result(call, result, &op->refusal);
        return;
    }
    advisory_stream(&call->js->advisories, ADVISORY_MODIFY, call->stream_name);
    answer_info(call, call->stream, false);
}

/* What is wrong with the configuration by itself is said first, then whose it is; how many copies
 * there are to be is asked only of a stream that is there. */
void api_stream_update(struct api_call *call)
{
    struct stream_config *config = read_config(call, false);
    if (!config) return;
    if (is_named(call, bytes_str(config->name))) {
        struct stream *stream = api_stream(call);
        if (stream) {
            call->stream = stream;
            inherit(call->js->streams, config);
            stream_update(stream, &call->op, config, updated);
        }
    }
    free(config);
}

/* ---- purge ----------------------------------------------------------------------------------- */

static void purged(struct stream_op *op, int result)
{
    struct api_call *call = CONTAINER_OF(op, struct api_call, op);
    if (result < 0) {
        api_fail_result(call, result, &op->refusal);
        return;
    }
    api_begin(call);
    jsonw_bool(&call->json, "success", true);
    jsonw_u64(&call->json, "purged", op->purged);
    api_end(call);
}

void api_stream_purge(struct api_call *call)
{
    struct bytes filter;
    uint64_t seq, keep;
    if (!api_get_string(call, "filter", &filter)) return;
    if (!api_get_u64(call, "seq", &seq) || !api_get_u64(call, "keep", &keep)) return;
    if (seq && keep) {
        api_fail(call, API_BAD_REQUEST, NULL);
        return;
    }
    struct stream *stream = api_stream(call);
    if (!stream) return;
    call->stream = stream;
    stream_purge(stream, &call->op, filter, seq, keep, purged);
}

/* ---- delete ---------------------------------------------------------------------------------- */

static void removed(void *context, int result)
{
    struct api_call *call = context;
    if (result < 0) {
        api_fail(call, API_STREAM_DELETE, "%s", err_text(result));
        return;
    }
    advisory_stream(&call->js->advisories, ADVISORY_DELETE, call->stream_name);
    api_succeed(call);
}

void api_stream_delete(struct api_call *call)
{
    struct stream *stream = api_stream(call);
    if (!stream) return;
    streams_remove(call->js->streams, stream, removed, call);
}
