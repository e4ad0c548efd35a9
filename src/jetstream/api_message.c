#include "jetstream/api_requests.h"
#include "jetstream/lookup.h"

#include <inttypes.h>

static void got(struct stream_get *get, int result, const struct stream_message *message)
{
    struct api_call *call = CONTAINER_OF(get, struct api_call, get);
    if (result < 0) {
        api_fail(call, API_NO_MESSAGE, NULL);
        return;
    }
    bool no_headers = json_is_true(json_object_get(call->body, "no_hdr"));
    const struct message *m = &message->message;
    api_begin(call);
    jsonw_object(&call->json, "message");
    jsonw_str(&call->json, "subject", m->subject);
    jsonw_u64(&call->json, "seq", message->seq);
    if (m->headers.len && !no_headers) jsonw_base64(&call->json, "hdrs", m->headers);
    if (m->payload.len) jsonw_base64(&call->json, "data", m->payload);
    api_put_time(&call->json, "time", message->time_ns);
    jsonw_object_end(&call->json);
    api_end(call);
}

struct choice {
    uint64_t seq, start_ns;
    bool by_time, no_headers;
    struct bytes last, next;
};

static bool read_choice(struct api_call *call, struct choice *choice)
{
    uint64_t batch, max_bytes;
    if (!api_get_u64(call, "seq", &choice->seq)) return false;
    if (!api_get_string(call, "last_by_subj", &choice->last)) return false;
    if (!api_get_string(call, "next_by_subj", &choice->next)) return false;
    if (!api_get_time(call, "start_time", &choice->by_time, &choice->start_ns)) return false;
    if (!api_get_bool(call, "no_hdr", &choice->no_headers)) return false;
    if (!api_get_u64(call, "batch", &batch) || !api_get_u64(call, "max_bytes", &max_bytes))
        return false;
    bool nothing = !choice->seq && !choice->last.len && !choice->next.len && !choice->by_time;
    bool both = (choice->seq && choice->last.len) || (choice->seq && choice->by_time) ||
                (choice->by_time && choice->last.len) || (choice->last.len && choice->next.len);
    if (!batch && !max_bytes && !nothing && !both) return true;
    api_fail(call, API_BAD_REQUEST, NULL);
    return false;
}

/* The sequence of the message that is asked for; 0: there is none. */
static uint64_t choose(const struct stream *stream, const struct choice *choice)
{
    uint64_t seq = choice->by_time ? lookup_time(stream, choice->start_ns) : choice->seq;
    if (choice->last.len) return lookup_last(stream, choice->last);
    return choice->next.len ? lookup_next(stream, seq, choice->next) : seq;
}

void api_message_get(struct api_call *call)
{
    struct choice choice = {0};
    if (!read_choice(call, &choice)) return;
    struct stream *stream = api_stream(call);
    if (!stream) return;
    uint64_t seq = choose(stream, &choice);
    if (seq)
        stream_get(stream, &call->get, seq, got);
    else
        api_fail(call, API_NO_MESSAGE, NULL);
}

/* ---- delete ---------------------------------------------------------------------------------- */

/* What there is not is told as nats-server does, which says it differently of files and of memory,
 * and of what is within the stream and what is not. */
static void not_found(struct api_call *call)
{
    uint64_t seq = (uint64_t)json_integer_value(json_object_get(call->body, "seq"));
    struct stream_state state = stream_state(call->stream);
    bool file = stream_config(call->stream)->storage == STREAM_STORAGE_FILE;
    if (file && seq > state.last_seq)
        api_fail(call, API_MESSAGE_DELETE, "stream store EOF");
    else if (file && (seq == 0 || seq < state.first_seq))
        api_fail(call, API_MESSAGE_DELETE, "no message found");
    else
        api_fail(call, API_SEQUENCE_NOT_FOUND, "%" PRIu64, seq);
}

static void deleted(struct stream_op *op, int result)
{
    struct api_call *call = CONTAINER_OF(op, struct api_call, op);
    if (result == ERR_NOT_FOUND)
        not_found(call);
    else if (result < 0)
        api_fail_result(call, result, &op->refusal);
    else
        api_succeed(call);
}

void api_message_delete(struct api_call *call)
{
    uint64_t seq;
    if (!json_object_size(call->body)) {
        api_fail(call, API_BAD_REQUEST, NULL);
        return;
    }
    if (!api_get_u64(call, "seq", &seq)) return;
    struct stream *stream = api_stream(call);
    if (!stream) return;
    call->stream = stream;
    stream_delete(stream, &call->op, seq, deleted);
}
