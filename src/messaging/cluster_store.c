/* Publishing what is to be stored. Whether a stream takes a subject is known of the streams that
 * this program keeps; of others the cluster is asked, and the answer remembered for a while. */
#include "messaging/cluster.h"

#include "bus/subject.h"

#include <stdio.h>
#include <stdlib.h>

enum { REMEMBER_MS = 5000 };

struct kept_subject {
    struct list link;
    const char *stream; /* behind the subject */
    char subject[];
};

struct asked_subject {
    uint64_t until_ns;
    bool stored;
    size_t len;
    char subject[];
};

/* ---- what is known --------------------------------------------------------------------------- */

static int learn(struct cluster *cluster, const char *stream, const char *subject)
{
    size_t len = strlen(subject) + 1, stream_len = strlen(stream) + 1;
    struct kept_subject *kept = malloc(sizeof *kept + len + stream_len);
    if (!kept) return ERR_NOMEM;
    memcpy(kept->subject, subject, len);
    memcpy(kept->subject + len, stream, stream_len);
    kept->stream = kept->subject + len;
    list_init(&kept->link);
    list_push(&cluster->kept, &kept->link);
    return 0;
}

static void forget_stream(struct cluster *cluster, const char *stream)
{
    LIST_EACH(&cluster->kept, struct kept_subject, link, kept) {
        if (stream && !bytes_eq(bytes_str(kept->stream), bytes_str(stream))) continue;
        list_remove(&kept->link);
        free(kept);
    }
}

static void forget_asked(struct cluster *cluster)
{
    size_t cursor = 0;
    for (void *asked; (asked = map_next(&cluster->asked, &cursor));) free(asked);
    map_release(&cluster->asked);
}

int cluster_learn_subjects(struct cluster *cluster, const struct messaging_stream *stream)
{
    forget_stream(cluster, stream->name);
    forget_asked(cluster);
    int err = 0;
    for (size_t i = 0; i < stream->subject_count && !err; i++)
        err = learn(cluster, stream->name, stream->subjects[i]);
    return err;
}

void cluster_forget_subjects(struct cluster *cluster)
{
    forget_stream(cluster, NULL);
    forget_asked(cluster);
}

static bool is_kept(const struct cluster *cluster, struct bytes subject)
{
    LIST_EACH(&cluster->kept, struct kept_subject, link, kept)
        if (subject_matches(bytes_str(kept->subject), subject)) return true;
    return false;
}

static const struct asked_subject *recall(struct cluster *cluster, struct bytes subject)
{
    struct asked_subject *asked = map_get(&cluster->asked, subject);
    if (!asked || asked->until_ns > io_now_ns(cluster->messaging.io)) return asked;
    free(map_remove(&cluster->asked, subject));
    return NULL;
}

static void remember(struct cluster *cluster, struct bytes subject, bool stored)
{
    if (cluster->asked.count == cluster->asked.max) forget_asked(cluster);
    struct asked_subject *asked = malloc(sizeof *asked + subject.len);
    void *old = NULL;
    if (!asked) return; /* it will be asked again */
    asked->until_ns = io_now_ns(cluster->messaging.io) + REMEMBER_MS * UINT64_C(1000000);
    asked->stored = stored;
    memcpy(asked->subject, subject.data, subject.len);
    if (map_put(&cluster->asked, bytes_make(asked->subject, subject.len), asked, &old) != 0)
        free(asked);
    free(old);
}

/* ---- storing --------------------------------------------------------------------------------- */

static void end(struct messaging_store *store, int result)
{
    message_unref(store->message);
    store->message = NULL;
    store->messaging = NULL;
    store->state = STORE_IDLE;
    store->done(store, result);
}

static void published(struct client_durable *durable, int result)
{
    struct messaging_store *store = CONTAINER_OF(durable, struct messaging_store, client);
    store->ack = durable->ack;
    end(store, result);
}

static int publish(struct cluster *cluster, struct messaging_store *store, struct message *message,
                   uint32_t timeout_ms)
{
    store->state = STORE_WAITS;
    return client_durable(cluster->client, &store->client, message, timeout_ms, published);
}

static void nowhere(struct io_task *task)
{
    end(CONTAINER_OF(task, struct messaging_store, task), ERR_NOT_FOUND);
}

static void looked_up(struct jsapi *api, int result, json_t *answer, const struct error *error)
{
    struct messaging_store *store = CONTAINER_OF(api, struct messaging_store, api);
    struct cluster *cluster = cluster_of(store->messaging);
    uint64_t now_ns = io_now_ns(store->messaging->io);
    if (!result) {
        bool stored = json_array_size(json_object_get(answer, "streams")) > 0;
        remember(cluster, store->message->subject, stored);
        if (!stored) result = ERR_NOT_FOUND;
    }
    if (!result && now_ns >= store->deadline_ns) result = ERR_TIMEOUT;
    if (!result)
        result = publish(cluster, store, store->message,
                         (uint32_t)((store->deadline_ns - now_ns) / 1000000) + 1);
    if (result) end(store, result);
}

static int look_up(struct cluster *cluster, struct messaging_store *store, struct message *message,
                   uint32_t timeout_ms)
{
    store->message = message_ref(message);
    json_t *body = json_pack("{s:s%}", "subject", message->subject.data, message->subject.len);
    if (!store->message || !body) {
        message_unref(store->message);
        json_decref(body);
        return ERR_NOMEM;
    }
    store->state = STORE_ASKS;
    store->deadline_ns = io_now_ns(cluster->messaging.io) + timeout_ms * UINT64_C(1000000);
    int err = jsapi_ask(cluster->client, &store->api, "STREAM.NAMES", body, timeout_ms, looked_up);
    if (err) message_unref(store->message);
    return err;
}

int cluster_store(struct messaging *messaging, struct messaging_store *store,
                  struct message *message, uint32_t timeout_ms)
{
    struct cluster *cluster = cluster_of(messaging);
    if (client_status(cluster->client).state != CLIENT_UP) return ERR_UNREACHABLE;
    if (is_kept(cluster, message->subject)) return publish(cluster, store, message, timeout_ms);
    const struct asked_subject *asked = recall(cluster, message->subject);
    if (!asked) return look_up(cluster, store, message, timeout_ms);
    if (asked->stored) return publish(cluster, store, message, timeout_ms);
    store->state = STORE_NOWHERE;
    io_task_init(&store->task, nowhere);
    io_post(messaging->io, &store->task);
    return 0;
}

void cluster_store_cancel(struct messaging_store *store)
{
    if (store->state == STORE_WAITS) client_durable_cancel(&store->client);
    if (store->state == STORE_ASKS) jsapi_cancel(&store->api);
    if (store->state == STORE_NOWHERE) io_task_cancel(store->messaging->io, &store->task);
    message_unref(store->message);
    store->message = NULL;
    store->state = STORE_IDLE;
}
