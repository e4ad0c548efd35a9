#include "bus/subject.h"
#include "jetstream/api_requests.h"
#include "jetstream/jetstream_impl.h"
#include "jetstream/stream_info.h"
#include "stream/stream_config.h"

#include <stdlib.h>

enum { NAMES_LIMIT = 1024, LIST_LIMIT = 256 };

void api_stream_info(struct api_call *call)
{
    struct stream_info_wants wants = {0};
    if (!api_get_bool(call, "deleted_details", &wants.deleted)) return;
    if (!api_get_string(call, "subjects_filter", &wants.subjects)) return;
    if (!api_get_offset(call, &wants.subjects_offset)) return;
    struct stream *stream = api_stream(call);
    if (!stream) return;
    size_t total = 0;
    if (wants.subjects.len && !subject_is_pattern(wants.subjects)) {
        wants.subjects.len = 0; /* matches nothing */
    } else if (wants.subjects.len) {
        total = stream_info_count_subjects(stream, wants.subjects);
    }
    api_begin(call);
    api_put_page(call, total, total ? wants.subjects_offset : 0,
                 total ? STREAM_INFO_SUBJECTS_MAX : 0);
    if (stream_info_encode(stream, &wants, io_wall_ns(call->js->io), &call->json)) {
        api_fail(call, API_INSUFFICIENT_RESOURCES, NULL);
        return;
    }
    api_end(call);
}

/* ---- lists ----------------------------------------------------------------------------------- */

static bool is_on(const struct stream *stream, struct bytes filter)
{
    const struct stream_config *config = stream_config(stream);
    if (!filter.len) return true;
    for (size_t i = 0; i < config->subject_count; i++) {
        if (subject_overlaps(filter, bytes_str(config->subjects[i]))) return true;
    }
    return false;
}

static int by_name(const void *a, const void *b)
{
    struct stream *const *left = a, *const *right = b;
    return strcmp(stream_config(*left)->name, stream_config(*right)->name);
}

/* The streams with a subject in common with the filter, by name; the caller frees the list. NULL:
 * no memory. */
static struct stream **find(struct streams *streams, struct bytes filter, size_t *ret_count)
{
    size_t cursor = 0, room = 1, count = 0;
    while (streams_next(streams, &cursor)) room++;
    struct stream **list = malloc(room * sizeof *list);
    if (!list) return NULL;
    cursor = 0;
    for (struct stream *stream; (stream = streams_next(streams, &cursor));) {
        if (is_on(stream, filter)) list[count++] = stream;
    }
    qsort(list, count, sizeof *list, by_name);
    *ret_count = count;
    return list;
}

static bool put_name(struct api_call *call, struct stream *stream)
{
    jsonw_cstr(&call->json, NULL, stream_config(stream)->name);
    return true;
}

static bool put_info(struct api_call *call, struct stream *stream)
{
    jsonw_object(&call->json, NULL);
    int r = stream_info_encode(stream, NULL, io_wall_ns(call->js->io), &call->json);
    jsonw_object_end(&call->json);
    return r == 0;
}

static void list_streams(struct api_call *call, size_t limit,
                         bool (*put)(struct api_call *call, struct stream *stream))
{
    size_t offset, count;
    struct bytes filter;
    if (!api_get_offset(call, &offset) || !api_get_string(call, "subject", &filter)) return;
    if (filter.len && !subject_is_pattern(filter)) filter = BYTES("$JS.API"); /* nobody's */
    struct stream **list = find(call->js->streams, filter, &count);
    if (!list) {
        api_fail(call, API_INSUFFICIENT_RESOURCES, NULL);
        return;
    }
    if (offset > count) offset = count;
    bool whole = true;
    api_begin(call);
    api_put_page(call, count, offset, limit);
    jsonw_array(&call->json, "streams");
    for (size_t i = offset; i < count && i - offset < limit && whole; i++)
        whole = put(call, list[i]);
    jsonw_array_end(&call->json);
    free(list);
    if (whole)
        api_end(call);
    else
        api_fail(call, API_INSUFFICIENT_RESOURCES, NULL);
}

void api_stream_names(struct api_call *call)
{
    list_streams(call, NAMES_LIMIT, put_name);
}

void api_stream_list(struct api_call *call)
{
    list_streams(call, LIST_LIMIT, put_info);
}
