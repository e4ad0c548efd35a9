/* A bucket in a cluster: its stream, and an ordered consumer that keeps a projection of the last
 * values. Whenever the order of what is delivered is in doubt (a gap, silence, another connection),
 * a new consumer tells the last value of every key again: what it does not tell is gone. */
#include "messaging/cluster_bucket.h"

#include "wire/nats.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    KEYS_MAX = 1 << 20,
    HEARTBEAT_MS = 2000,
    INACTIVE_MS = 30000, /* a consumer that nobody listens to */
    SILENCE_MS = 3 * HEARTBEAT_MS,
    TICK_MS = 500,
    WAITED_MAX = 20 /* ticks */
};

static const int64_t ms_ns = 1000000;

/* ---- the projection -------------------------------------------------------------------------- */

static void tell(struct cluster_bucket *bucket, const struct kv_entry *entry)
{
    if (bucket->bucket.changed && !bucket->bucket.opened)
        bucket->bucket.changed(bucket->bucket.changed_context, entry);
}

static struct item *item_new(const struct kv_entry *entry, uint64_t round)
{
    struct item *item = malloc(sizeof *item + entry->key.len + entry->value.len);
    if (!item) return NULL;
    item->entry = *entry;
    item->round = round;
    memcpy(item->bytes, entry->key.data, entry->key.len);
    if (entry->value.len) memcpy(item->bytes + entry->key.len, entry->value.data, entry->value.len);
    item->entry.key.data = item->bytes;
    item->entry.value.data = item->bytes + entry->key.len;
    return item;
}

/* False: no memory. */
static bool project(struct cluster_bucket *bucket, const struct kv_entry *entry)
{
    struct item *known = map_get(&bucket->items, entry->key);
    if (known && known->entry.revision == entry->revision) {
        known->round = bucket->round;
        return true;
    }
    bool had_value = known && known->entry.operation == KV_PUT;
    struct item *item = item_new(entry, bucket->round);
    void *old;
    if (!item || map_put(&bucket->items, item->entry.key, item, &old) != 0) {
        free(item);
        return false;
    }
    if (entry->operation == KV_PUT || had_value) tell(bucket, &item->entry);
    free(old);
    return true;
}

/* Everything was told: what was not is gone. */
static void sweep(struct cluster_bucket *bucket)
{
    for (size_t cursor = 0;;) {
        struct item *item = map_next(&bucket->items, &cursor);
        if (!item) return;
        if (item->round == bucket->round) continue;
        map_remove(&bucket->items, item->entry.key);
        bool had_value = item->entry.operation == KV_PUT;
        item->entry.operation = KV_DELETE;
        item->entry.value.len = 0;
        if (had_value) tell(bucket, &item->entry);
        free(item);
        cursor = 0;
    }
}

static void told_all(struct cluster_bucket *bucket)
{
    if (bucket->complete) return;
    bucket->complete = true;
    sweep(bucket);
    void (*opened)(void *context) = bucket->bucket.opened;
    bucket->bucket.opened = NULL;
    if (opened) opened(bucket->bucket.opened_context);
}

/* ---- following ------------------------------------------------------------------------------- */

static void again(struct cluster_bucket *bucket, uint64_t delay_ms)
{
    bucket->following = false;
    bucket->again_ns = io_now_ns(bucket_io(bucket)) + delay_ms * (uint64_t)ms_ns;
}

static enum kv_operation operation_of(struct bytes headers)
{
    struct bytes value;
    if (nats_headers_get(headers, BYTES("KV-Operation"), &value) != 0) return KV_PUT;
    if (bytes_eq(value, BYTES("DEL"))) return KV_DELETE;
    return bytes_eq(value, BYTES("PURGE")) ? KV_PURGE : KV_PUT;
}

static void take(struct cluster_bucket *bucket, const struct message *message,
                 const struct jsapi_position *at)
{
    const struct kv_entry entry = {
        .key = bytes_skip(message->subject, bucket->prefix_len),
        .value = message->payload,
        .revision = at->stream_seq,
        .time_ns = at->time_ns,
        .operation = operation_of(message->headers),
    };
    bool in_order = bucket->following && at->consumer_seq == bucket->next_seq;
    if (!in_order || !project(bucket, &entry)) {
        again(bucket, CLUSTER_AGAIN_MS);
        return;
    }
    bucket->next_seq++;
    bucket->seen = entry.revision;
    bucket->waited = 0;
    if (!at->pending) told_all(bucket);
    cluster_bucket_tell_stored(bucket, false);
}

/* Heartbeats say how far we should be; flow control wants an answer. */
static void take_status(struct cluster_bucket *bucket, const struct message *message)
{
    struct bytes value;
    uint64_t last;
    if (message->reply.len) {
        struct message answer = message_borrow(message->reply, BYTES(""), BYTES(""), BYTES(""));
        (void)client_publish(bucket->cluster->client, &answer); /* else it asks again */
        message_done(&answer);
    }
    if (nats_headers_get(message->headers, BYTES("Nats-Last-Consumer"), &value) == 0 &&
        bytes_to_u64(value, UINT64_MAX, &last) == 0 && last + 1 != bucket->next_seq &&
        bucket->following)
        again(bucket, 0);
}

static void received(void *context, struct message *message)
{
    struct cluster_bucket *bucket = context;
    struct jsapi_position at;
    bucket->heard_ns = io_now_ns(bucket_io(bucket));
    if (jsapi_position(message->reply, &at) == 0)
        take(bucket, message, &at);
    else
        take_status(bucket, message);
}

static void consumer_made(struct jsapi *api, int result, json_t *answer, const struct error *error)
{
    struct cluster_bucket *bucket = CONTAINER_OF(api, struct cluster_bucket, api);
    bucket->asking = false;
    if (result) {
        if (!cluster_passes(result))
            LOG(bucket->cluster->log, LOG_ERROR, "bucket_not_followed",
                LOG_S("bucket", bucket->name), LOG_S("reason", error->message));
        again(bucket, CLUSTER_AGAIN_MS);
        return;
    }
    if (!json_integer_value(json_object_get(answer, "num_pending")) && bucket->next_seq == 1)
        told_all(bucket);
}

static json_t *ordered_consumer(const struct cluster_bucket *bucket, const char *inbox)
{
    char stream[BUCKET_NAME_MAX + 8], filter[BUCKET_NAME_MAX + 8];
    const json_int_t heartbeat_ns = HEARTBEAT_MS * ms_ns, inactive_ns = INACTIVE_MS * ms_ns;
    snprintf(stream, sizeof stream, "KV_%s", bucket->name);
    snprintf(filter, sizeof filter, "$KV.%s.>", bucket->name);
    return json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:s, s:i, s:b, s:I, s:b, s:i, s:I}}",
                     "stream_name", stream, "config", "deliver_policy", "last_per_subject",
                     "deliver_subject", inbox, "ack_policy", "none", "filter_subject", filter,
                     "replay_policy", "instant", "max_deliver", 1, "flow_control", 1,
                     "idle_heartbeat", heartbeat_ns, "mem_storage", 1, "num_replicas", 1,
                     "inactive_threshold", inactive_ns);
}

/* Deliveries may come before the answer to the request that makes the consumer. */
static void follow(struct cluster_bucket *bucket)
{
    char inbox[CLIENT_INBOX_TEXT], what[BUCKET_NAME_MAX + 32];
    struct client *client = bucket->cluster->client;
    client_unsubscribe(bucket->subscription);
    bucket->subscription = NULL;
    client_inbox(client, inbox);
    snprintf(what, sizeof what, "CONSUMER.CREATE.KV_%s", bucket->name);
    int err = client_subscribe(client, bytes_str(inbox), BYTES(""), received, bucket,
                               &bucket->subscription);
    if (!err)
        err = jsapi_ask(client, &bucket->api, what, ordered_consumer(bucket, inbox), CLUSTER_API_MS,
                        consumer_made);
    if (err) {
        again(bucket, CLUSTER_AGAIN_MS);
        return;
    }
    bucket->asking = bucket->following = true;
    bucket->complete = false;
    bucket->next_seq = 1;
    bucket->seen = 0;
    bucket->waited = 0;
    bucket->round++;
    bucket->heard_ns = io_now_ns(bucket_io(bucket));
}

static void tick(struct io_timer *timer)
{
    struct cluster_bucket *bucket = CONTAINER_OF(timer, struct cluster_bucket, timer);
    uint64_t now_ns = io_now_ns(bucket_io(bucket));
    if (bucket->following && !bucket->asking &&
        now_ns > bucket->heard_ns + SILENCE_MS * (uint64_t)ms_ns)
        again(bucket, 0);
    if (bucket->kept && !bucket->following && !bucket->asking && now_ns >= bucket->again_ns)
        follow(bucket);
    /* The stream is another one than it was: what was stored does not show any more. */
    if (bucket->following && bucket->complete && !list_empty(&bucket->stored) &&
        ++bucket->waited > WAITED_MAX)
        cluster_bucket_tell_stored(bucket, true);
    io_timer_set(bucket_io(bucket), timer, TICK_MS);
}

void cluster_buckets_changed(struct cluster *cluster, bool up)
{
    LIST_EACH(&cluster->buckets, struct cluster_bucket, link, bucket) {
        again(bucket, 0);
        if (up) io_timer_set(cluster->messaging.io, &bucket->timer, 0);
    }
}

static void stream_kept(struct cluster_keep *keep, int result, const struct error *error)
{
    struct cluster_bucket *bucket = CONTAINER_OF(keep, struct cluster_bucket, keep);
    bucket->kept = true;
    /* One that may not be changed may still be followed. */
    if (result)
        LOG(bucket->cluster->log, LOG_ERROR, "bucket_not_kept", LOG_S("bucket", bucket->name),
            LOG_S("reason", error->message));
    again(bucket, 0);
    io_timer_set(bucket_io(bucket), &bucket->timer, 0);
}

/* ---- the port -------------------------------------------------------------------------------- */

static void close_it(struct bucket *of)
{
    struct cluster_bucket *bucket = bucket_of(of);
    cluster_bucket_let_go(bucket);
    cluster_keep_cancel(&bucket->keep);
    if (bucket->asking) jsapi_cancel(&bucket->api);
    client_unsubscribe(bucket->subscription);
    io_timer_cancel(bucket_io(bucket), &bucket->timer);
    size_t cursor = 0;
    for (void *item; (item = map_next(&bucket->items, &cursor));) free(item);
    map_release(&bucket->items);
    list_remove(&bucket->link);
    free(bucket);
}

static int get(struct bucket *of, struct bytes key, struct kv_entry *ret_entry)
{
    const struct item *item = map_get(&bucket_of(of)->items, key);
    if (!item || item->entry.operation != KV_PUT) return ERR_NOT_FOUND;
    *ret_entry = item->entry;
    return 0;
}

static void each_entry(struct bucket *of, void (*each)(void *context, const struct kv_entry *entry),
                       void *context)
{
    size_t cursor = 0;
    for (struct item *item; (item = map_next(&bucket_of(of)->items, &cursor));)
        if (item->entry.operation == KV_PUT) each(context, &item->entry);
}

static const struct bucket_engine engine = {close_it, get, each_entry, cluster_bucket_change};

static json_t *wanted_stream(const struct cluster_bucket *bucket,
                             const struct bucket_config *config)
{
    char subject[BUCKET_NAME_MAX + 8];
    snprintf(subject, sizeof subject, "$KV.%s.>", bucket->name);
    json_t *json =
        json_pack("{s:[s], s:s, s:s, s:i, s:s, s:b, s:b, s:b}", "subjects", subject, "retention",
                  "limits", "storage", "file", "max_msgs_per_subject", 1, "discard", "new",
                  "allow_rollup_hdrs", 1, "deny_delete", 1, "allow_direct", 1);
    if (json && config->max_value_bytes)
        json_object_set_new(json, "max_msg_size",
                            json_integer((json_int_t)config->max_value_bytes + BUCKET_HEADERS_MAX));
    return json;
}

int cluster_bucket_open(struct messaging *messaging, const struct bucket_config *config,
                        struct bucket **ret_bucket, struct error *error)
{
    struct cluster *cluster = cluster_of(messaging);
    if (strlen(config->bucket) >= BUCKET_NAME_MAX)
        return error_set(error, ERR_INVALID, "the bucket's name is too long");
    struct cluster_bucket *bucket = calloc(1, sizeof *bucket);
    if (!bucket) return error_set(error, ERR_NOMEM, "out of memory");
    bucket->bucket.engine = &engine;
    bucket->cluster = cluster;
    snprintf(bucket->name, sizeof bucket->name, "%s", config->bucket);
    bucket->prefix_len = strlen("$KV.") + strlen(bucket->name) + 1;
    map_init(&bucket->items, KEYS_MAX);
    list_init(&bucket->under_way);
    list_init(&bucket->waiting);
    list_init(&bucket->stored);
    list_init(&bucket->link);
    io_timer_init(&bucket->timer, tick);
    json_t *stream = wanted_stream(bucket, config);
    if (!stream) {
        free(bucket);
        return error_set(error, ERR_NOMEM, "out of memory");
    }
    char name[BUCKET_NAME_MAX + 8];
    snprintf(name, sizeof name, "KV_%s", bucket->name);
    list_push(&cluster->buckets, &bucket->link);
    cluster_keep(cluster, &bucket->keep, name, stream, stream_kept);
    io_timer_set(messaging->io, &bucket->timer, TICK_MS);
    *ret_bucket = &bucket->bucket;
    return 0;
}
