#include "stream/kv.h"

#include "stream/stream_impl.h"
#include "bus/subject.h"
#include "wire/nats.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    BUCKET_MAX = 64,
    HISTORY_MAX = 64,
    MAX_BYTES = 64 << 20,
    MAX_VALUE_BYTES = 1 << 20,
    SUBJECT_ROOM = STREAM_SUBJECT_MAX + 1,
};

/* The last value of one key; key and value stand behind the struct. */
struct item {
    struct kv_entry entry;
};

struct kv_watch {
    struct kv *kv;
    kv_changed *changed;
    void *context;
    char *pattern;
    bool live; /* has had its initial values */
    bool dead;
    struct list link;
};

struct kv {
    struct io *io;
    struct stream *stream;
    char prefix[BUCKET_MAX + 8]; /* "$KV.BUCKET." */
    struct map items;            /* of struct item, by key */
    struct list watches;
    struct stream_observer observer;
    struct io_task begin_task; /* gives new watches their initial values */
    bool calling;              /* watches are being told */
};

/* ---- the projection ---- */

static enum kv_operation operation_of(struct bytes headers)
{
    struct bytes value;
    if (headers.len == 0 || nats_headers_get(headers, BYTES("KV-Operation"), &value) < 0) {
        return KV_PUT;
    }
    if (bytes_eq(value, BYTES("DEL"))) return KV_DELETE;
    return bytes_eq(value, BYTES("PURGE")) ? KV_PURGE : KV_PUT;
}

static struct kv_entry entry_of(const struct kv *kv, const struct stream_message *message)
{
    return (struct kv_entry){
        .key = bytes_skip(message->message.subject, bytes_str(kv->prefix).len),
        .value = message->message.payload,
        .revision = message->seq,
        .time_ns = message->time_ns,
        .operation = operation_of(message->message.headers),
    };
}

static void forget(struct kv *kv, struct bytes key)
{
    free(map_remove(&kv->items, key));
}

static int remember(struct kv *kv, const struct kv_entry *entry)
{
    struct item *item = malloc(sizeof *item + entry->key.len + entry->value.len);
    if (!item) return ERR_NOMEM;
    char *at = (char *)(item + 1);
    memcpy(at, entry->key.data, entry->key.len);
    if (entry->value.len) memcpy(at + entry->key.len, entry->value.data, entry->value.len);
    item->entry = *entry;
    item->entry.key.data = at;
    item->entry.value.data = at + entry->key.len;
    void *old;
    int r = map_put(&kv->items, item->entry.key, item, &old);
    free(r < 0 ? item : old);
    return r;
}

static int project(struct kv *kv, const struct kv_entry *entry)
{
    if (entry->operation == KV_PUT) return remember(kv, entry);
    forget(kv, entry->key);
    return 0;
}

static int load_one(void *context, const struct stream_message *message)
{
    struct kv *kv = context;
    if (!bytes_starts(message->message.subject, bytes_str(kv->prefix))) return 0;
    struct kv_entry entry = entry_of(kv, message);
    return project(kv, &entry);
}

/* ---- watches ---- */

static bool wants(const struct kv_watch *watch, struct bytes key)
{
    if (watch->dead) return false;
    return watch->pattern[0] == '\0' || subject_matches(bytes_str(watch->pattern), key);
}

static void watch_free(struct kv_watch *watch)
{
    list_remove(&watch->link);
    free(watch->pattern);
    free(watch);
}

static void begin_calling(struct kv *kv)
{
    kv->calling = true;
}

/* Watches that ended while they were being told go now. */
static void end_calling(struct kv *kv)
{
    kv->calling = false;
    LIST_EACH(&kv->watches, struct kv_watch, link, watch) {
        if (watch->dead) watch_free(watch);
    }
}

static int by_revision(const void *a, const void *b)
{
    const struct kv_entry *left = *(const struct kv_entry *const *)a;
    const struct kv_entry *right = *(const struct kv_entry *const *)b;
    return left->revision < right->revision ? -1 : left->revision > right->revision;
}

/* Every entry, in the order of the revisions; NULL: no memory. */
static const struct kv_entry **sorted(const struct kv *kv, size_t *ret_count)
{
    const struct kv_entry **entries = malloc((kv->items.count + 1) * sizeof *entries);
    if (!entries) return NULL;
    size_t cursor = 0, count = 0;
    for (struct item *item; (item = map_next(&kv->items, &cursor));) {
        entries[count++] = &item->entry;
    }
    qsort(entries, count, sizeof *entries, by_revision);
    *ret_count = count;
    return entries;
}

static void begin_watch(struct kv_watch *watch, const struct kv_entry *const *entries, size_t count)
{
    watch->live = true;
    for (size_t i = 0; i < count; i++) {
        if (wants(watch, entries[i]->key)) watch->changed(watch->context, entries[i]);
    }
    if (!watch->dead) watch->changed(watch->context, NULL);
}

static void begin_watches(struct io_task *task)
{
    struct kv *kv = CONTAINER_OF(task, struct kv, begin_task);
    size_t count;
    const struct kv_entry **entries = sorted(kv, &count);
    if (!entries) {
        io_post(kv->io, &kv->begin_task); /* when there is memory again */
        return;
    }
    begin_calling(kv);
    LIST_EACH(&kv->watches, struct kv_watch, link, watch) {
        if (!watch->live && !watch->dead) begin_watch(watch, entries, count);
    }
    end_calling(kv);
    free(entries);
}

int kv_watch(struct kv *kv, struct bytes pattern, kv_changed *changed, void *context,
             struct kv_watch **ret_watch)
{
    if (pattern.len > 0 && !subject_is_pattern(pattern)) return ERR_INVALID;
    struct kv_watch *watch = calloc(1, sizeof *watch);
    if (watch) watch->pattern = strndup(pattern.len ? pattern.data : "", pattern.len);
    if (!watch || !watch->pattern) {
        free(watch);
        return ERR_NOMEM;
    }
    watch->kv = kv;
    watch->changed = changed;
    watch->context = context;
    list_init(&watch->link);
    list_push(&kv->watches, &watch->link);
    io_post(kv->io, &kv->begin_task);
    *ret_watch = watch;
    return 0;
}

void kv_unwatch(struct kv_watch *watch)
{
    if (!watch) return;
    watch->dead = true;
    if (!watch->kv->calling) watch_free(watch);
}

static void stored(struct stream_observer *observer, const struct stream_message *message)
{
    struct kv *kv = CONTAINER_OF(observer, struct kv, observer);
    if (!bytes_starts(message->message.subject, bytes_str(kv->prefix))) return;
    struct kv_entry entry = entry_of(kv, message);
    if (project(kv, &entry) < 0) {
        /* Better no value than an old one. */
        forget(kv, entry.key);
        LOG(kv->stream->host->log, LOG_ERROR, "kv_value_lost", LOG_B("key", entry.key));
    }
    begin_calling(kv);
    LIST_EACH(&kv->watches, struct kv_watch, link, watch) {
        if (watch->live && wants(watch, entry.key)) watch->changed(watch->context, &entry);
    }
    end_calling(kv);
}

/* A limit, its age or a purge has taken a message: if it was the last of its key, that has no value
 * any more. */
static void removed(struct stream_observer *observer, uint64_t seq, struct bytes subject)
{
    struct kv *kv = CONTAINER_OF(observer, struct kv, observer);
    struct bytes prefix = bytes_str(kv->prefix);
    if (!bytes_starts(subject, prefix)) return;
    struct bytes key = bytes_skip(subject, prefix.len);
    const struct item *item = map_get(&kv->items, key);
    if (item && item->entry.revision == seq) forget(kv, key);
}

/* ---- reading ---- */

struct stream *kv_stream(struct kv *kv)
{
    return kv->stream;
}

int kv_get(struct kv *kv, struct bytes key, struct kv_entry *ret_entry)
{
    const struct item *item = map_get(&kv->items, key);
    if (!item) return ERR_NOT_FOUND;
    *ret_entry = item->entry;
    return 0;
}

void kv_each(struct kv *kv, struct bytes pattern,
             void (*each)(void *context, const struct kv_entry *entry), void *context)
{
    size_t cursor = 0;
    for (struct item *item; (item = map_next(&kv->items, &cursor));) {
        if (pattern.len == 0 || subject_matches(pattern, item->entry.key)) {
            each(context, &item->entry);
        }
    }
}

size_t kv_count(const struct kv *kv)
{
    return kv->items.count;
}

/* ---- changes ---- */

static bool key_valid(struct bytes key)
{
    for (size_t i = 0; i < key.len; i++) {
        unsigned char c = (unsigned char)key.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == 0 || !strchr("-/_=.", c))) return false;
    }
    return subject_is_literal(key);
}

static void published(struct stream_op *stream_op, int result)
{
    struct kv_op *op = CONTAINER_OF(stream_op, struct kv_op, op);
    op->revision = result == 0 ? stream_op->seq : 0;
    op->done(op, op->creates && result == ERR_CONFLICT ? ERR_EXISTS : result);
}

struct change {
    struct bytes key, value, headers;
    bool creates, expects;
    uint64_t revision;
};

static void submit(struct kv *kv, struct kv_op *op, const struct change *change, kv_done *done)
{
    char subject[SUBJECT_ROOM];
    op->done = done;
    op->revision = 0;
    op->creates = change->creates;
    size_t prefix = strlen(kv->prefix);
    if (!key_valid(change->key) || change->key.len + prefix > STREAM_SUBJECT_MAX) {
        stream_refuse(kv->stream, &op->op, ERR_INVALID, published);
        return;
    }
    if (change->creates && map_get(&kv->items, change->key)) {
        stream_refuse(kv->stream, &op->op, ERR_EXISTS, published);
        return;
    }
    memcpy(subject, kv->prefix, prefix);
    memcpy(subject + prefix, change->key.data, change->key.len);
    struct bytes name = bytes_make(subject, prefix + change->key.len);
    struct stream_expect expect = {change->expects, change->revision};
    /* A marker may be the last: its revision is expected then. */
    if (change->creates) expect.last_subject_seq = stream_last_seq(kv->stream, name);
    struct message message = message_borrow(name, BYTES(""), change->headers, change->value);
    stream_publish(kv->stream, &op->op, &message, &expect, published);
    message_done(&message);
}

void kv_put(struct kv *kv, struct kv_op *op, struct bytes key, struct bytes value, kv_done *done)
{
    submit(kv, op, &(struct change){.key = key, .value = value}, done);
}

void kv_create(struct kv *kv, struct kv_op *op, struct bytes key, struct bytes value, kv_done *done)
{
    const struct change change = {.key = key, .value = value, .creates = true, .expects = true};
    submit(kv, op, &change, done);
}

void kv_update(struct kv *kv, struct kv_op *op, struct bytes key, struct bytes value,
               uint64_t revision, kv_done *done)
{
    const struct change change = {
        .key = key, .value = value, .expects = true, .revision = revision};
    submit(kv, op, &change, done);
}

void kv_delete(struct kv *kv, struct kv_op *op, struct bytes key, uint64_t revision, kv_done *done)
{
    const struct change change = {.key = key,
                                  .headers = BYTES("NATS/1.0\r\nKV-Operation: DEL\r\n\r\n"),
                                  .expects = revision != 0,
                                  .revision = revision};
    submit(kv, op, &change, done);
}

void kv_purge(struct kv *kv, struct kv_op *op, struct bytes key, kv_done *done)
{
    const struct change change = {
        .key = key,
        .headers = BYTES("NATS/1.0\r\nKV-Operation: PURGE\r\nNats-Rollup: sub\r\n\r\n")};
    submit(kv, op, &change, done);
}

/* ---- lifecycle ---- */

static bool bucket_valid(const char *name)
{
    size_t len = name ? strlen(name) : 0;
    if (len == 0 || len > BUCKET_MAX - 4) return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '_' && c != '-') return false;
    }
    return true;
}

/* The stream behind the bucket; one that exists takes over what is asked for now. */
static int open_stream(struct streams *streams, const struct kv_config *config,
                       struct stream **ret_stream, struct error *error)
{
    char name[BUCKET_MAX + 4], subject[BUCKET_MAX + 8];
    const char *subjects[] = {subject};
    snprintf(name, sizeof name, "KV_%s", config->bucket);
    snprintf(subject, sizeof subject, "$KV.%s.>", config->bucket);
    const struct stream_config stream = {
        .name = name,
        .subjects = subjects,
        .subject_count = 1,
        .max_msgs_per_subject = config->history ? config->history : 1,
        .max_bytes = (int64_t)(config->max_bytes ? config->max_bytes : MAX_BYTES),
        .max_msg_size = config->max_value_bytes ? config->max_value_bytes : MAX_VALUE_BYTES,
        .max_age_ns = (int64_t)config->ttl_ms * 1000000,
        .discard = STREAM_DISCARD_NEW,
        .allow_rollup = true,
        .deny_delete = true,
    };
    struct api_error refusal = {0};
    int r = streams_add(streams, &stream, ret_stream, &refusal);
    if (r == 0) return 0;
    if (r != ERR_EXISTS) return api_error_tell(&refusal, r, error);
    *ret_stream = streams_find(streams, bytes_str(name));
    stream_update(*ret_stream, NULL, &stream, NULL);
    return 0;
}

int kv_open(struct streams *streams, const struct kv_config *config, struct kv **ret_kv,
            struct error *error)
{
    if (!bucket_valid(config->bucket) || config->history > HISTORY_MAX) {
        return error_set(error, ERR_INVALID, "invalid bucket '%.100s' or history %u",
                         config->bucket ? config->bucket : "", config->history);
    }
    struct stream *stream;
    int r = open_stream(streams, config, &stream, error);
    if (r < 0) return r;
    struct kv *kv = calloc(1, sizeof *kv);
    if (!kv) return error_set(error, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    kv->io = stream->host->io;
    kv->stream = stream;
    kv->observer = (struct stream_observer){.stored = stored, .removed = removed};
    map_init(&kv->items, SIZE_MAX);
    list_init(&kv->watches);
    io_task_init(&kv->begin_task, begin_watches);
    snprintf(kv->prefix, sizeof kv->prefix, "$KV.%s.", config->bucket);
    stream_observe(stream, &kv->observer);
    r = stream_each(stream, load_one, kv);
    if (r < 0) {
        kv_close(kv);
        return error_set(error, r, "bucket %s: %s", config->bucket, err_text(r));
    }
    *ret_kv = kv;
    return 0;
}

void kv_close(struct kv *kv)
{
    if (!kv) return;
    io_task_cancel(kv->io, &kv->begin_task);
    stream_unobserve(&kv->observer);
    LIST_EACH(&kv->watches, struct kv_watch, link, watch) watch_free(watch);
    size_t cursor = 0;
    for (struct item *item; (item = map_next(&kv->items, &cursor));) free(item);
    map_release(&kv->items);
    free(kv);
}
