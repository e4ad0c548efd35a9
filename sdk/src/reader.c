/* A reader: an ephemeral consumer without acknowledgements, and the care that its messages come in
 * order, each once (ADR-17). The consumer's own count has no gaps; when there is one, or the server
 * has forgotten the consumer, a new one begins behind the last message that came. */
#include "sdk/src/api.h"
#include "sdk/src/message.h"
#include "sdk/src/puller.h"

#include "base/timestamp.h"

#include <stdlib.h>

enum { READER_AHEAD = 256, READER_IDLE_S = 60 };

struct dure_reader {
    struct ctx_resource resource;
    struct dure_ctx *ctx;
    struct dure_reader_options options;
    char *stream, *filter;
    struct puller puller;
    bool running; /* the puller */
    struct message_queue queue;
    char consumer[256];
    uint64_t expected;      /* count of the consumer's next message */
    uint64_t last_sequence; /* in the stream, of the last message that came */
    bool broken;            /* a new consumer is needed */
    uint64_t initial, pending;
};

/* ---- the consumer ------------------------------------------------------------------------- */

static void put_start(const struct dure_reader *reader, json_t *config)
{
    static const char *const policies[] = {
        [DURE_FROM_FIRST] = "all",
        [DURE_FROM_LAST] = "last",
        [DURE_FROM_LAST_PER_SUBJECT] = "last_per_subject",
        [DURE_FROM_NEW] = "new",
        [DURE_FROM_SEQUENCE] = "by_start_sequence",
        [DURE_FROM_TIME] = "by_start_time",
    };
    enum dure_from from = reader->last_sequence ? DURE_FROM_SEQUENCE : reader->options.from;
    uint64_t sequence =
        reader->last_sequence ? reader->last_sequence + 1 : reader->options.sequence;
    json_object_set_new(config, "deliver_policy", json_string(policies[from]));
    if (from == DURE_FROM_SEQUENCE)
        json_object_set_new(config, "opt_start_seq",
                            json_integer((json_int_t)(sequence ? sequence : 1)));
    if (from == DURE_FROM_TIME) {
        char time[TIMESTAMP_TEXT];
        timestamp_format_ns(reader->options.time_ns, time);
        json_object_set_new(config, "opt_start_time", json_string(time));
    }
}

static json_t *describe(const struct dure_reader *reader)
{
    json_t *config = json_object();
    put_start(reader, config);
    json_object_set_new(config, "ack_policy", json_string("none"));
    json_object_set_new(config, "max_deliver", json_integer(1));
    json_object_set_new(config, "mem_storage", json_true());
    json_object_set_new(config, "num_replicas", json_integer(1));
    json_object_set_new(config, "inactive_threshold",
                        json_integer(READER_IDLE_S * (json_int_t)1000000000));
    if (reader->options.headers_only) json_object_set_new(config, "headers_only", json_true());
    const char *filter = reader->filter;
    if (!filter && reader->options.from == DURE_FROM_LAST_PER_SUBJECT) filter = ">";
    if (filter) json_object_set_new(config, "filter_subject", json_string(filter));
    json_t *request = json_object();
    json_object_set_new(request, "stream_name", json_string(reader->stream));
    json_object_set_new(request, "config", config);
    return request;
}

static int create(struct dure_reader *reader)
{
    char what[300];
    json_t *answer;
    snprintf(what, sizeof what, "CONSUMER.CREATE.%s", reader->stream);
    int err = api_request(reader->ctx, what, describe(reader), 0, &answer);
    if (err) return err;
    const char *name = api_text(answer, "name");
    snprintf(reader->consumer, sizeof reader->consumer, "%s", name);
    reader->pending = api_u64(answer, "num_pending");
    json_decref(answer);
    reader->expected = 1;
    reader->broken = false;
    err = api_name_valid(reader->consumer) ? 0 : DURE_EPROTOCOL;
    reader->puller.ahead = reader->options.ahead;
    if (!err)
        err = puller_start(&reader->puller, reader->ctx->tenant->host->bus, reader->stream,
                           reader->consumer);
    reader->running = !err;
    reader->puller.held = reader->queue.count;
    return err;
}

/* Nobody waits for the answer. */
static void forget(struct dure_reader *reader)
{
    struct buslink *bus = reader->ctx->tenant->host->bus;
    char subject[PULLER_SUBJECT];
    if (!reader->running) return;
    puller_stop(&reader->puller);
    reader->running = false;
    snprintf(subject, sizeof subject, "$JS.API.CONSUMER.DELETE.%s.%s", reader->stream,
             reader->consumer);
    buslink_publish(bus, subject, BYTES("")); /* an old consumer goes by itself, only later */
}

static int recreate(struct dure_reader *reader)
{
    forget(reader);
    return create(reader);
}

/* ---- what comes --------------------------------------------------------------------------- */

static void breaks(struct dure_reader *reader)
{
    reader->broken = true;
    ctx_wake(reader->ctx);
}

static void came(struct puller *puller, const struct nats_frame *frame)
{
    struct dure_reader *reader = CONTAINER_OF(puller, struct dure_reader, puller);
    struct message *message = reader->broken ? NULL : message_new(frame);
    if (reader->broken) return;
    if (!message || message->public.consumer_sequence != reader->expected) {
        message_free(message);
        breaks(reader);
        return;
    }
    reader->expected++;
    reader->last_sequence = message->public.sequence;
    message_queue_push(&reader->queue, message);
    puller->held = reader->queue.count;
    ctx_wake(reader->ctx);
}

static void lost(struct puller *puller, int err, struct bytes text)
{
    breaks(CONTAINER_OF(puller, struct dure_reader, puller));
}

/* ---- life --------------------------------------------------------------------------------- */

static void release(struct ctx_resource *resource)
{
    struct dure_reader *reader = CONTAINER_OF(resource, struct dure_reader, resource);
    forget(reader);
    message_queue_release(&reader->queue);
    free(reader->stream);
    free(reader->filter);
    free(reader);
}

int dure_reader_open(struct dure_ctx *ctx, const struct dure_reader_options *options,
                     struct dure_reader **ret_reader)
{
    *ret_reader = NULL;
    if (!options || !api_name_valid(options->stream)) return DURE_EINVALID;
    if (options->filter && !busname_valid(options->filter, true)) return DURE_EINVALID;
    if (options->from > DURE_FROM_TIME || options->ahead > DURE_MAX_QUEUED) return DURE_EINVALID;
    struct dure_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return DURE_ENOMEM;
    reader->ctx = ctx;
    reader->options = *options;
    if (!options->ahead) reader->options.ahead = READER_AHEAD;
    message_queue_init(&reader->queue);
    reader->puller.message = came;
    reader->puller.lost = lost;
    reader->puller.fragile = true;
    reader->stream = strdup(options->stream);
    reader->filter = options->filter ? strdup(options->filter) : NULL;
    bool copied = reader->stream && (!options->filter || reader->filter);
    int err = copied ? create(reader) : DURE_ENOMEM;
    if (err) {
        release(&reader->resource);
        return err;
    }
    reader->initial = reader->pending;
    ctx_own(ctx, &reader->resource, release);
    *ret_reader = reader;
    return 0;
}

void dure_reader_close(struct dure_reader *reader)
{
    if (!reader) return;
    ctx_disown(&reader->resource);
    release(&reader->resource);
}

/* ---- using it ----------------------------------------------------------------------------- */

int dure_reader_next(struct dure_reader *reader, int64_t timeout_ms,
                     struct dure_message *ret_message)
{
    struct await await;
    int err = 0;
    *ret_message = (struct dure_message){.subject = "", .reply = "", .body = ""};
    if (timeout_ms < 0) return DURE_EINVALID;
    await_begin(&await, reader->ctx, timeout_ms);
    while (!err && !reader->queue.count)
        err = reader->broken ? recreate(reader) : await_turn(&await);
    await_end(&await);
    if (err && !reader->queue.count) return err;
    struct message *message = message_queue_take(&reader->queue);
    reader->puller.held = reader->queue.count;
    if (reader->running) puller_fill(&reader->puller);
    reader->pending = message->public.pending;
    *ret_message = message->public;
    ret_message->reply = "";
    return 0;
}

uint64_t dure_reader_initial(const struct dure_reader *reader)
{
    return reader->initial;
}

uint64_t dure_reader_pending(const struct dure_reader *reader)
{
    return reader->pending;
}
