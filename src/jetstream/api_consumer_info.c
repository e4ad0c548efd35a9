#include "jetstream/api_requests.h"
#include "jetstream/consumer_info.h"
#include "jetstream/jetstream_impl.h"

enum { NAMES_LIMIT = 1024, LIST_LIMIT = 256 };

struct consumer *api_consumer(struct api_call *call)
{
    struct stream *stream = api_stream(call);
    if (!stream) return NULL;
    struct consumer *consumer = consumers_find(stream, call->consumer_name);
    if (!consumer) api_fail(call, API_CONSUMER_NOT_FOUND, NULL);
    return consumer;
}

void api_consumer_answer(struct api_call *call, const struct consumer *consumer)
{
    api_begin(call);
    if (consumer_info_encode(consumer, io_wall_ns(call->js->io), &call->json))
        api_fail(call, API_INSUFFICIENT_RESOURCES, NULL);
    else
        api_end(call);
}

void api_consumer_info(struct api_call *call)
{
    struct consumer *consumer = api_consumer(call);
    if (consumer) api_consumer_answer(call, consumer);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static int put_name(struct api_call *call, const struct consumer *consumer)
{
    jsonw_cstr(&call->json, NULL, consumer_config(consumer)->name);
    return 0;
}

static int put_info(struct api_call *call, const struct consumer *consumer)
{
    jsonw_object(&call->json, NULL);
    int r = consumer_info_encode(consumer, io_wall_ns(call->js->io), &call->json);
    jsonw_object_end(&call->json);
    return r;
}

static void list_consumers(struct api_call *call, size_t limit,
                           int (*put)(struct api_call *call, const struct consumer *consumer))
{
    size_t offset;
    if (!api_get_offset(call, &offset)) return;
    struct stream *stream = api_stream(call);
    if (!stream) return;
    size_t count = consumers_count(stream);
    if (offset > count) offset = count;
    api_begin(call);
    api_put_page(call, count, offset, limit);
    jsonw_array(&call->json, "consumers");
    int r = 0;
    for (size_t i = offset; r == 0 && i < count && i - offset < limit; i++)
        r = put(call, consumers_at(stream, i));
    jsonw_array_end(&call->json);
    if (r < 0)
        api_fail(call, API_INSUFFICIENT_RESOURCES, NULL);
    else
        api_end(call);
}

void api_consumer_names(struct api_call *call)
{
    list_consumers(call, NAMES_LIMIT, put_name);
}

void api_consumer_list(struct api_call *call)
{
    list_consumers(call, LIST_LIMIT, put_info);
}
