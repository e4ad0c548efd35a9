/* The consumers of a stream: made, found, opened with it and closed with it. */
#include "stream/consumer_impl.h"
#include "stream/streams_impl.h"

#include "store/wal.h"
#include "stream/stream_config.h"
#include "stream/stream_folder.h"

#include <stdio.h>
#include <stdlib.h>

enum { FIRST_ROOM = 8 };

/* ---- the set, in the order of names ---- */

/* The place of the name, or where it belongs. */
static size_t place_of(const struct consumer_set *set, struct bytes name, bool *ret_there)
{
    size_t low = 0, high = set->count;
    *ret_there = false;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = bytes_cmp(bytes_str(set->at[middle]->name), name);
        if (order == 0) *ret_there = true;
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct consumer *consumers_find(struct stream *stream, struct bytes name)
{
    bool there;
    size_t at = place_of(&stream->consumers, name, &there);
    return there ? stream->consumers.at[at] : NULL;
}

size_t consumers_count(const struct stream *stream)
{
    return stream->consumers.count;
}

struct consumer *consumers_at(const struct stream *stream, size_t index)
{
    return index < stream->consumers.count ? stream->consumers.at[index] : NULL;
}

static int reserve(struct consumer_set *set)
{
    if (set->count < set->room) return 0;
    size_t room = set->room ? set->room * 2 : FIRST_ROOM;
    struct consumer **bigger = realloc(set->at, room * sizeof(struct consumer *));
    if (!bigger) return ERR_NOMEM;
    set->at = bigger;
    set->room = room;
    return 0;
}

/* There is room. */
static void insert(struct consumer_set *set, struct consumer *consumer)
{
    bool there;
    size_t at = place_of(set, bytes_str(consumer->name), &there);
    memmove(set->at + at + 1, set->at + at, (set->count - at) * sizeof(struct consumer *));
    set->at[at] = consumer;
    set->count++;
}

void consumers_forget(struct consumer *consumer)
{
    bool there;
    struct consumer_set *set = &consumer->stream->consumers;
    size_t at = place_of(set, bytes_str(consumer->name), &there);
    if (!there || set->at[at] != consumer) return;
    set->count--;
    memmove(set->at + at, set->at + at + 1, (set->count - at) * sizeof(struct consumer *));
}

/* ---- making ---- */

/* In a work queue each message has one consumer. */
static int check_others(const struct stream *stream, const struct consumer_config *config,
                        struct api_error *refusal)
{
    const struct consumer_set *set = &stream->consumers;
    if (stream->config->retention != STREAM_RETENTION_WORKQUEUE) return 0;
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(set->at[i]->name, config->name) == 0) continue;
        if (config->filter_count == 0) {
            return api_error_fail(refusal, ERR_CONFLICT, API_WORKQUEUE_UNFILTERED, NULL);
        }
        if (consumer_config_overlaps(set->at[i]->config, config)) {
            return api_error_fail(refusal, ERR_CONFLICT, API_WORKQUEUE_NOT_UNIQUE, NULL);
        }
    }
    return 0;
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* What the filters before have let pass since the last delivery, those of now may want. */
static void look_again(struct consumer *consumer)
{
    struct consumer_state *state = &consumer->state;
    uint64_t seq = state->seen_seq;
    if (seq < consumer->looked_seq) seq = consumer->looked_seq;
    if (seq >= state->last_until && seq + 1 < state->next_seq) state->next_seq = seq + 1;
}

/* Owns `config` (complete). */
static int update(struct consumer *consumer, struct consumer_config *config,
                  struct api_error *refusal)
{
    int r = consumer_config_may_become(consumer->config, config, refusal);
    if (r == 0) r = check_others(consumer->stream, config, refusal);
    if (r == 0 && !same_text(consumer->config->deliver_subject, config->deliver_subject) &&
        consumer_info(consumer).push_bound) {
        r = api_error_fail(refusal, ERR_CONFLICT, API_CONSUMER_NAME_IN_USE, NULL);
    }
    if (r < 0) {
        free(config);
        return r;
    }
    consumer_retime(consumer, config);
    r = consumer_take_config(consumer, config);
    if (r == 0) look_again(consumer);
    if (r == 0) r = consumer_recount(consumer);
    if (r < 0) return api_error_of(refusal, r);
    consumer_write_config(consumer);
    stream_interest_changed(consumer->stream);
    if (consumer->outlet && consumer->outlet->updated) consumer->outlet->updated(consumer->outlet);
    consumer_post(consumer);
    return 0;
}

/* What only a new consumer of a work queue must be: the rest of it can not be changed. */
static int check_work_queue(const struct stream *stream, const struct consumer_config *config,
                            struct api_error *refusal)
{
    if (stream->config->retention != STREAM_RETENTION_WORKQUEUE || config->direct) return 0;
    if (config->ack_policy != CONSUMER_ACK_EXPLICIT) {
        return api_error_fail(refusal, ERR_INVALID, API_WORKQUEUE_ACK, NULL);
    }
    if (config->deliver_policy != CONSUMER_DELIVER_ALL) {
        return api_error_fail(refusal, ERR_INVALID, API_WORKQUEUE_DELIVER_ALL, NULL);
    }
    return check_others(stream, config, refusal);
}

/* Owns `config` (complete). */
static int make(struct streams *streams, struct stream *stream, struct consumer_config *config,
                struct consumer **ret_consumer, struct api_error *refusal)
{
    struct error error = {0};
    char folder[STREAM_FOLDER];
    int64_t most = streams_limits_consumers(streams, stream->config);
    int r = 0;
    if (most > 0 && stream->consumers.count >= (uint64_t)most) {
        r = api_error_fail(refusal, ERR_FULL, API_MAX_CONSUMERS, NULL);
    }
    if (r == 0) r = check_work_queue(stream, config, refusal);
    if (r == 0 && reserve(&stream->consumers) < 0) r = api_error_of(refusal, ERR_NOMEM);
    if (r == 0) {
        stream_folder_name(stream->host->io, config->name, folder);
        r = consumer_make(streams, stream, folder, config, ret_consumer, &error);
        if (r < 0) api_error_fail(refusal, r, API_CONSUMER_STORE, "%s", error.message);
    }
    free(config);
    if (r < 0) return r;
    insert(&stream->consumers, *ret_consumer);
    struct consumer_port *port = *stream->host->consumer_port;
    if (port) port->opened(port, *ret_consumer);
    return 0;
}

/* An update that does not say how long it may be unused makes nobody mortal who was not, also when
 * it leaves durable_name out, and nobody immortal. */
static void keep_mortality(const struct stream *stream, const struct consumer_config *was,
                           const struct consumer_config *asked, struct consumer_config *full)
{
    if (asked->inactive_threshold_ns > 0 || stream->config->consumer_inactive_threshold_ns > 0)
        return;
    bool mortal = !was->durable && was->inactive_threshold_ns > 0;
    full->inactive_threshold_ns = mortal ? CONSUMER_INACTIVE_NS : 0;
}

int consumers_add(struct streams *streams, struct stream *stream,
                  const struct consumer_config *config, enum consumer_action action,
                  struct consumer **ret_consumer, struct api_error *refusal)
{
    struct consumer *consumer = consumers_find(stream, bytes_str(config->name));
    int r = consumer_config_check(config, stream->config, refusal);
    if (r < 0) return r;
    if (!consumer && action == CONSUMER_UPDATE) {
        return api_error_fail(refusal, ERR_NOT_FOUND, API_CONSUMER_DOES_NOT_EXIST, NULL);
    }
    struct consumer_config *full = consumer_config_copy(config, stream->config);
    if (!full) return api_error_of(refusal, ERR_NOMEM);
    if (!consumer) return make(streams, stream, full, ret_consumer, refusal);
    *ret_consumer = consumer;
    keep_mortality(stream, consumer->config, config, full);
    if (consumer_config_equal(consumer->config, full)) {
        free(full);
        return 0;
    }
    if (action == CONSUMER_MAKE) {
        free(full);
        return api_error_fail(refusal, ERR_EXISTS, API_CONSUMER_EXISTS, NULL);
    }
    return update(consumer, full, refusal);
}

static bool exceeds(const struct consumer_config *config, const struct stream_config *limits)
{
    int64_t inactive = limits->consumer_inactive_threshold_ns;
    int64_t pending = limits->consumer_max_ack_pending;
    return (inactive > 0 && config->inactive_threshold_ns > inactive) ||
           (pending > 0 && config->max_ack_pending > pending);
}

int consumers_keep_to(const struct stream *stream, const struct stream_config *limits,
                      struct api_error *refusal)
{
    const struct stream_config *now = stream->config;
    const struct consumer_set *set = &stream->consumers;
    char names[160] = ""; /* a text is cut there anyhow */
    size_t len = 0;
    if (now->consumer_inactive_threshold_ns == limits->consumer_inactive_threshold_ns &&
        now->consumer_max_ack_pending == limits->consumer_max_ack_pending) {
        return 0;
    }
    for (size_t i = 0; i < set->count && len < sizeof names; i++) {
        if (!exceeds(set->at[i]->config, limits)) continue;
        len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", len ? ", " : "",
                                set->at[i]->name);
    }
    if (len == 0) return 0;
    return api_error_fail(refusal, ERR_CONFLICT, API_STREAM_UPDATE,
                          "change to limits violates consumers: %s", names);
}

void consumers_set_port(struct streams *streams, struct consumer_port *port)
{
    struct stream *stream;
    size_t cursor = 0;
    *streams_consumer_port(streams) = port;
    while (port && (stream = streams_next(streams, &cursor))) {
        for (size_t i = 0; i < stream->consumers.count; i++) {
            struct consumer *consumer = stream->consumers.at[i];
            if (!consumer->outlet) port->opened(port, consumer);
        }
    }
}

/* ---- with the stream ---- */

struct opening {
    struct streams *streams;
    struct stream *stream;
    struct error *error;
};

static void dropped(void *context, int result)
{
    struct stream *stream = context;
    if (result == 0) return;
    LOG(stream->host->log, LOG_ERROR, "consumer_remove_failed", LOG_S("stream", stream->name),
        LOG_ERR(result));
}

/* It was being made when the process ended, or being removed. */
static int drop(struct stream *stream, const char *folder)
{
    char dir[CONSUMER_PATH];
    struct bytes name;
    if (!stream_folder_parse(folder, &name)) return 0; /* not ours */
    int n = snprintf(dir, sizeof dir, "%s/" STREAM_CONSUMERS "/%s", stream->dir, folder);
    return n < (int)sizeof dir ? wal_remove(stream->host->wal, dir, dropped, stream) : ERR_TOO_BIG;
}

/* Of two with one name the older was on its way out. */
static int keep_newer(struct stream *stream, struct consumer *old, struct consumer *new)
{
    char folder[CONSUMER_PATH];
    struct consumer *one = old->created_ns < new->created_ns ? old : new;
    snprintf(folder, sizeof folder, "%s", strrchr(one->dir, '/') + 1);
    if (one == old) {
        consumers_forget(old);
        insert(&stream->consumers, new);
    }
    stream_unobserve(&one->observer);
    stream_detach(&one->interest, false);
    one->metrics->consumers--;
    one->metrics->ack_pending -= one->state.pending.count;
    consumer_free(one);
    return drop(stream, folder);
}

static int open_one(void *context, const char *folder)
{
    struct opening *opening = context;
    struct stream *stream = opening->stream;
    struct consumer *consumer;
    int r = reserve(&stream->consumers);
    if (r == 0) {
        r = consumer_make(opening->streams, stream, folder, NULL, &consumer, opening->error);
    }
    if (r == ERR_NOT_FOUND) { /* nobody was told of it */
        if (opening->error) *opening->error = (struct error){0};
        return drop(stream, folder);
    }
    if (r < 0) return r;
    struct consumer *other = consumers_find(stream, bytes_str(consumer->name));
    if (other) return keep_newer(stream, other, consumer);
    insert(&stream->consumers, consumer);
    return 0;
}

int consumers_open_all(struct streams *streams, struct stream *stream, struct error *error)
{
    char dir[CONSUMER_PATH];
    struct opening opening = {streams, stream, error};
    int n = snprintf(dir, sizeof dir, "%s/" STREAM_CONSUMERS, stream->dir);
    if (n >= (int)sizeof dir) return ERR_TOO_BIG;
    int r = io_list_dir(stream->host->io, dir, open_one, &opening);
    return r == ERR_NOT_FOUND ? 0 : r;
}

void consumers_gone(struct stream *stream)
{
    struct consumer_set *set = &stream->consumers;
    void (*gone)(void *) = set->gone;
    if (!gone || set->count || !list_empty(&set->going)) return;
    set->gone = NULL;
    gone(set->gone_context);
}

bool consumers_are_there(const struct stream *stream)
{
    return stream->consumers.count || !list_empty(&stream->consumers.going);
}

void consumers_close_all(struct stream *stream, bool destroy, void (*done)(void *context),
                         void *context)
{
    struct consumer_set *set = &stream->consumers;
    while (set->count) {
        struct consumer *consumer = set->at[set->count - 1];
        consumer->destroying = destroy;
        consumer_shut(consumer, NULL, NULL);
    }
    set->gone = done;
    set->gone_context = context;
    consumers_gone(stream);
}

void consumers_free_all(struct stream *stream)
{
    struct consumer_set *set = &stream->consumers;
    while (set->count) consumer_free(set->at[--set->count]);
    for (struct list *link; (link = list_pop(&set->going));) {
        consumer_free(CONTAINER_OF(link, struct consumer, going));
    }
    free(set->at);
    set->at = NULL;
    set->room = 0;
}
