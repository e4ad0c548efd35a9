#include "base/arena.h"
#include "jetstream/api_requests.h"
#include "jetstream/jetstream_impl.h"
#include "jetstream/pull.h"

enum { NAME_LEN = 8, GROUP_NAME_MAX = 16, CONFIG_MAX = 1 << 20 };

/* ---- create: what is asked for ----------------------------------------------------------------
 */

/* How a request names its consumer. */
enum form {
    FORM_EPHEMERAL, /* CONSUMER.CREATE.S: the body names it, or nobody */
    FORM_NAMED,     /* CONSUMER.CREATE.S.C[.FILTER] */
    FORM_DURABLE,   /* CONSUMER.DURABLE.CREATE.S.C */
};

struct creation {
    enum form form;
    enum consumer_action action;
    struct arena arena; /* what the configuration's views are of, besides the body */
    struct consumer_config config;
    char made_name[NAME_LEN + 1];
    char name[STREAM_NAME_MAX + 1]; /* of the subject */
};

static bool read_action(struct api_call *call, enum consumer_action *ret)
{
    struct bytes action;
    if (!api_get_string(call, "action", &action)) return false;
    if (bytes_eq(action, BYTES("")))
        *ret = CONSUMER_MAKE_OR_UPDATE;
    else if (bytes_eq(action, BYTES("create")))
        *ret = CONSUMER_MAKE;
    else if (bytes_eq(action, BYTES("update")))
        *ret = CONSUMER_UPDATE;
    else {
        api_fail(call, API_INVALID_JSON, "unknown consumer action: \"%.*s\"", BYTES_ARG(action));
        return false;
    }
    return true;
}

static bool refuse(struct api_call *call, enum api_error_kind kind)
{
    api_fail(call, kind, NULL);
    return false;
}

static bool has(struct bytes text, char c)
{
    return bytes_find(text, c) < text.len;
}

static bool is_empty(const char *text)
{
    return !text || !*text;
}

/* A name for a consumer that was given none: letters and digits. */
static void make_name(struct io *io, char name[static NAME_LEN + 1])
{
    static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    unsigned char random[NAME_LEN];
    io_random(io, random, sizeof random);
    for (size_t i = 0; i < NAME_LEN; i++) name[i] = digits[random[i] % (sizeof digits - 1)];
    name[NAME_LEN] = '\0';
}

/* The name that the subject gives must be the one of the body. */
static bool name_it(struct api_call *call, struct creation *creation, const char *durable)
{
    struct consumer_config *config = &creation->config;
    struct bytes name = call->consumer_name;
    if (creation->form == FORM_EPHEMERAL) {
        if (!is_empty(durable)) return refuse(call, API_EPHEMERAL_WITH_DURABLE);
        if (!is_empty(config->name)) return true;
        make_name(call->js->io, creation->made_name);
        config->name = creation->made_name;
        return true;
    }
    if (has(name, '/') || has(name, '\\')) return refuse(call, API_CONSUMER_NAME_PATH);
    if (creation->form == FORM_DURABLE && is_empty(durable))
        return refuse(call, API_DURABLE_NOT_SET);
    if (!is_empty(durable) && !bytes_eq(bytes_str(durable), name))
        return refuse(call, API_DURABLE_MISMATCH);
    if (name.len > STREAM_NAME_MAX) {
        api_fail(call, API_CONSUMER_NAME_TOO_LONG, "%d", STREAM_NAME_MAX);
        return false;
    }
    memcpy(creation->name, name.data, name.len);
    creation->name[name.len] = '\0';
    config->name = creation->name;
    return true;
}

static bool filter_it(struct api_call *call, const struct creation *creation)
{
    const struct consumer_config *config = &creation->config;
    if (creation->form != FORM_NAMED || !call->rest.len) return true;
    if (config->filter_list && config->filter_count) return refuse(call, API_FILTERS_IN_SUBJECT);
    if (config->filter_count != 1 || !bytes_eq(bytes_str(config->filters[0]), call->rest))
        return refuse(call, API_FILTER_MISMATCH);
    return true;
}

static bool read_creation(struct api_call *call, struct creation *creation)
{
    struct bytes stream;
    struct api_error refusal = {0};
    json_t *config = json_object_get(call->body, "config");
    if (!api_get_string(call, "stream_name", &stream) || !read_action(call, &creation->action))
        return false;
    if (config && !json_is_object(config) && !json_is_null(config)) {
        api_fail(call, API_INVALID_JSON, "config must be an object");
        return false;
    }
    const char *durable = json_string_value(json_object_get(config, "durable_name"));
    if (creation->form == FORM_NAMED && !is_empty(durable) && bytes_eq(stream, call->stream_name) &&
        !bytes_eq(bytes_str(durable), call->consumer_name))
        return refuse(call, API_DURABLE_MISMATCH);
    int r = consumer_config_read(config, &creation->arena, &creation->config, &refusal);
    if (r < 0) {
        api_fail_result(call, r, &refusal);
        return false;
    }
    if (!bytes_eq(stream, call->stream_name)) return refuse(call, API_STREAM_MISMATCH);
    if (!name_it(call, creation, durable) || !filter_it(call, creation)) return false;
    if (creation->config.replicas > 1) return refuse(call, API_REPLICAS_UNSUPPORTED);
    return true;
}

/* ---- create ---------------------------------------------------------------------------------- */

static void made(struct consumer_wait *wait, int result)
{
    struct api_call *call = CONTAINER_OF(wait, struct api_call, wait);
    struct consumer *consumer = call->consumer;
    if (result < 0) { /* what the disk refuses is not there */
        if (call->made && result != ERR_CLOSED) consumer_destroy(consumer, NULL, NULL);
        api_fail(call, API_CONSUMER_STORE, "%s", err_text(result));
        return;
    }
    if (call->made) {
        advisory_consumer(&call->js->advisories, ADVISORY_CREATE, call->stream_name,
                          bytes_str(consumer_config(consumer)->name));
    }
    api_consumer_answer(call, consumer);
}

static void make(struct api_call *call, struct creation *creation)
{
    struct jetstream *js = call->js;
    struct consumer_config *config = &creation->config;
    struct api_error refusal = {0};
    struct stream *stream = api_stream(call);
    if (!stream) return;
    struct consumer *before = consumers_find(stream, bytes_str(config->name));
    /* A pause is ended or prolonged by CONSUMER.PAUSE alone. */
    if (before) config->pause_until_ns = consumer_config(before)->pause_until_ns;
    int r = consumers_add(js->streams, stream, config, creation->action, &call->consumer, &refusal);
    if (r < 0) {
        api_fail_result(call, r, &refusal);
        return;
    }
    call->made = !before;
    bool in_memory = config->mem_storage || stream_config(stream)->storage == STREAM_STORAGE_MEMORY;
    if (in_memory)
        made(&call->wait, 0); /* before anything is delivered */
    else
        consumer_when_durable(call->consumer, &call->wait, made);
}

static void create(struct api_call *call, enum form form)
{
    struct creation creation = {.form = form};
    arena_init(&creation.arena, CONFIG_MAX);
    if (read_creation(call, &creation)) make(call, &creation);
    arena_release(&creation.arena);
}

void api_consumer_create(struct api_call *call)
{
    create(call, call->consumer_name.len ? FORM_NAMED : FORM_EPHEMERAL);
}

void api_consumer_create_durable(struct api_call *call)
{
    create(call, FORM_DURABLE);
}

/* ---- delete ---------------------------------------------------------------------------------- */

static void destroyed(void *context, int result)
{
    struct api_call *call = context;
    if (result < 0) {
        api_fail(call, API_CONSUMER_STORE, "%s", err_text(result));
        return;
    }
    advisory_consumer(&call->js->advisories, ADVISORY_DELETE, call->stream_name,
                      call->consumer_name);
    api_succeed(call);
}

void api_consumer_delete(struct api_call *call)
{
    struct consumer *consumer = api_consumer(call);
    if (consumer) consumer_destroy(consumer, destroyed, call);
}

/* ---- pause ----------------------------------------------------------------------------------- */

static void paused(struct consumer_wait *wait, int result)
{
    struct api_call *call = CONTAINER_OF(wait, struct api_call, wait);
    if (result < 0) {
        api_fail(call, API_CONSUMER_STORE, "%s", err_text(result));
        return;
    }
    struct consumer_info info = consumer_info(call->consumer);
    uint64_t until = (uint64_t)consumer_config(call->consumer)->pause_until_ns;
    advisory_pause(&call->js->advisories, call->stream_name, call->consumer_name, info.paused,
                   until);
    api_begin(call);
    jsonw_bool(&call->json, "paused", info.paused);
    api_put_time(&call->json, "pause_until", until);
    if (info.paused) jsonw_i64(&call->json, "pause_remaining", info.pause_remaining_ns);
    api_end(call);
}

void api_consumer_pause(struct api_call *call)
{
    bool given;
    uint64_t until;
    if (!api_get_time(call, "pause_until", &given, &until)) return;
    struct consumer *consumer = api_consumer(call);
    if (!consumer) return;
    call->consumer = consumer;
    int r = consumer_pause(consumer, given ? (int64_t)until : 0);
    if (r < 0)
        api_fail(call, API_CONSUMER_STORE, "%s", err_text(r));
    else
        consumer_when_durable(call->consumer, &call->wait, paused);
}

/* ---- unpin ----------------------------------------------------------------------------------- */

static bool is_group_name(struct bytes name)
{
    if (name.len > GROUP_NAME_MAX) return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && !strchr("-_/=", c)) return false;
    }
    return true;
}

void api_consumer_unpin(struct api_call *call)
{
    struct bytes group;
    if (!api_get_string(call, "group", &group)) return;
    if (!group.len) {
        api_fail(call, API_INVALID_JSON, "consumer group not specified");
        return;
    }
    if (!is_group_name(group)) {
        api_fail(call, API_GROUP_NAME, NULL);
        return;
    }
    struct consumer *consumer = api_consumer(call);
    if (!consumer) return;
    if (pull_unpin(consumer, group) < 0) {
        api_fail(call, API_PRIORITY_GROUP, NULL);
        return;
    }
    api_begin(call);
    api_end(call);
}
