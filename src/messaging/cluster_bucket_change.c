/* Changes of a bucket in a cluster: durable publishes, one at a time for each key. */
#include "messaging/cluster_bucket.h"

#include "wire/nats.h"

#include <stdio.h>

enum { KEY_MAX = 512, CHANGE_MS = 10000 };

void cluster_bucket_tell_stored(struct cluster_bucket *bucket, bool all)
{
    /* While a round tells the last values, they come in the order of their revisions, and what is
     * superseded by one that is still to come does not show yet. */
    if (!bucket->complete && !all) return;
    LIST_EACH(&bucket->stored, struct bucket_op, link, op) {
        if (!all && op->revision > bucket->seen) continue;
        list_remove(&op->link);
        io_post(bucket_io(bucket), &op->task);
    }
}

void cluster_bucket_let_go(struct cluster_bucket *bucket)
{
    LIST_EACH(&bucket->under_way, struct bucket_op, link, op) {
        list_remove(&op->link);
        op->bucket = NULL;
    }
    LIST_EACH(&bucket->waiting, struct bucket_op, link, op) {
        list_remove(&op->link);
        op->result = ERR_CLOSED;
        io_post(bucket_io(bucket), &op->task);
    }
    cluster_bucket_tell_stored(bucket, true);
}

static void op_end(struct io_task *task)
{
    struct bucket_op *op = CONTAINER_OF(task, struct bucket_op, task);
    message_unref(op->message);
    op->done(op, op->result);
}

static void start(struct cluster_bucket *bucket, struct bucket_op *op);

/* The oldest in the list that changes the same key; NULL: none. */
static struct bucket_op *find_same_key(struct list *list, const struct message *message)
{
    LIST_EACH(list, struct bucket_op, link, op)
        if (bytes_eq(op->message->subject, message->subject)) return op;
    return NULL;
}

static void published(struct client_durable *durable, int result)
{
    struct bucket_op *op = CONTAINER_OF(durable, struct bucket_op, client);
    struct cluster_bucket *bucket = op->bucket ? bucket_of(op->bucket) : NULL;
    struct bucket_op *next = bucket ? find_same_key(&bucket->waiting, op->message) : NULL;
    list_remove(&op->link);
    op->result = result;
    op->revision = result ? 0 : durable->ack.seq;
    if (next) {
        list_remove(&next->link);
        start(bucket, next);
    }
    if (!result && bucket && (!bucket->complete || op->revision > bucket->seen))
        list_push(&bucket->stored, &op->link);
    else
        io_post(op->io, &op->task); /* behind those that are told already */
}

/* One change of a key at a time: one that has to be sent again must not overtake a later one. */
static void start(struct cluster_bucket *bucket, struct bucket_op *op)
{
    op->result =
        client_durable(bucket->cluster->client, &op->client, op->message, CHANGE_MS, published);
    if (op->result)
        io_post(bucket_io(bucket), &op->task);
    else
        list_push(&bucket->under_way, &op->link);
}

static bool is_key(struct bytes key)
{
    if (!key.len || key.len > KEY_MAX || key.data[0] == '.' || key.data[key.len - 1] == '.')
        return false;
    for (size_t i = 0; i < key.len; i++) {
        char c = key.data[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    bytes_find(BYTES("-/_=."), c) < strlen("-/_=.");
        if (!good) return false;
    }
    return true;
}

/* What must be the key's last revision for a change that counts on it. 0 with a marker behind it:
 * the marker's. */
static uint64_t expected(const struct cluster_bucket *bucket, struct bytes key, uint64_t revision)
{
    const struct item *item = map_get(&bucket->items, key);
    return revision || !item || item->entry.operation == KV_PUT ? revision : item->entry.revision;
}

static void put_headers(struct cluster_bucket *bucket, struct buf *out, enum kv_operation operation,
                        struct bytes key, uint64_t revision)
{
    nats_headers_begin(out, 0, NULL);
    if (operation == KV_PURGE) {
        nats_headers_add(out, BYTES("KV-Operation"), BYTES("PURGE"));
        nats_headers_add(out, BYTES("Nats-Rollup"), BYTES("sub"));
    }
    if (revision != BUCKET_ANY_REVISION) {
        char text[24];
        int len = snprintf(text, sizeof text, "%llu",
                           (unsigned long long)expected(bucket, key, revision));
        nats_headers_add(out, BYTES("Nats-Expected-Last-Subject-Sequence"),
                         bytes_make(text, (size_t)len));
    }
    nats_headers_end(out);
}

void cluster_bucket_change(struct bucket *of, struct bucket_op *op, enum kv_operation operation,
                           struct bytes key, struct bytes value, uint64_t revision)
{
    struct cluster_bucket *bucket = bucket_of(of);
    char subject[BUCKET_NAME_MAX + KEY_MAX + 8];
    struct buf headers;
    struct message message = {0};
    io_task_init(&op->task, op_end);
    op->io = bucket_io(bucket);
    buf_init(&headers, BUCKET_HEADERS_MAX);
    op->result = is_key(key) ? 0 : ERR_INVALID;
    if (!op->result) {
        int len = snprintf(subject, sizeof subject, "$KV.%s.%.*s", bucket->name, BYTES_ARG(key));
        put_headers(bucket, &headers, operation, key, revision);
        message =
            message_borrow(bytes_make(subject, (size_t)len), BYTES(""), buf_bytes(&headers), value);
        op->message = headers.failed ? NULL : message_ref(&message);
        if (!op->message) op->result = ERR_NOMEM;
        message_done(&message);
    }
    buf_release(&headers);
    if (op->result)
        io_post(bucket_io(bucket), &op->task);
    else if (find_same_key(&bucket->under_way, op->message) ||
             find_same_key(&bucket->waiting, op->message))
        list_push(&bucket->waiting, &op->link);
    else
        start(bucket, op);
}
