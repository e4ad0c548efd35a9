#include "bus/outbox.h"

#include "io/io.h"

#include <assert.h>
#include <stdlib.h>

/* The first text of an empty outbox gets a small chunk: an answer to one client should not cost
 * 16 KiB, and a message to ten thousand not 160 MiB. What comes on top gets large ones. */
enum {
    SMALL = 1024,
    LARGE = 16384,
    PIECES = IO_SEND_IOV,
    SMALL_KEEP = 1024,
    LARGE_KEEP = 256,
    BATCH_KEEP = 512,
    LITTLE = 4 /* the part of what was lent, 1 / LITTLE, below which a copy is made for one alone */
};

struct outbox_chunk {
    struct outbox_chunk *next; /* in the pool */
    uint32_t refs;             /* pieces in it, and one while it is filled */
    uint32_t used, size;
    char data[];
};

/* What a piece's bytes belong to; at least one of them is NULL, both while they are lent. */
struct owner {
    struct outbox_chunk *chunk;
    struct message *message;
};

struct outbox_batch {
    struct outbox_batch *next;
    int count;
    size_t size; /* bytes */
    struct iovec pieces[PIECES];
    struct owner owners[PIECES];
};

_Static_assert(OUTBOX_TEXT_MAX <= LARGE - sizeof(struct outbox_chunk), "a text fits a chunk");

static struct outbox_chunk *chunk_take(struct outbox_pool *pool, size_t len, bool small)
{
    small = small && len <= SMALL - sizeof(struct outbox_chunk);
    struct outbox_chunk **list = small ? &pool->small : &pool->large;
    struct outbox_chunk *chunk = *list;
    if (chunk) {
        *list = chunk->next;
        *(small ? &pool->small_count : &pool->large_count) -= 1;
    } else {
        size_t size = small ? SMALL : LARGE;
        chunk = malloc(size);
        if (!chunk) return NULL;
        chunk->size = (uint32_t)(size - sizeof *chunk);
    }
    chunk->next = NULL;
    chunk->refs = 1;
    chunk->used = 0;
    return chunk;
}

static void chunk_unref(struct outbox_pool *pool, struct outbox_chunk *chunk)
{
    if (!chunk || --chunk->refs) return;
    bool small = chunk->size < LARGE / 2;
    unsigned *count = small ? &pool->small_count : &pool->large_count;
    if (*count >= (small ? SMALL_KEEP : LARGE_KEEP)) {
        free(chunk);
        return;
    }
    struct outbox_chunk **list = small ? &pool->small : &pool->large;
    chunk->next = *list;
    *list = chunk;
    ++*count;
}

static struct outbox_batch *batch_take(struct outbox_pool *pool)
{
    struct outbox_batch *batch = pool->batches;
    if (batch) {
        pool->batches = batch->next;
        pool->batch_count--;
    } else {
        batch = malloc(sizeof *batch);
        if (!batch) return NULL;
    }
    batch->next = NULL;
    batch->count = 0;
    batch->size = 0;
    return batch;
}

static void batch_give(struct outbox *outbox, struct outbox_batch *batch)
{
    struct outbox_pool *pool = outbox->pool;
    for (int i = 0; i < batch->count; i++) {
        chunk_unref(pool, batch->owners[i].chunk);
        message_unref(batch->owners[i].message);
    }
    outbox->pending -= batch->size;
    pool->pending -= batch->size;
    if (pool->batch_count >= BATCH_KEEP) {
        free(batch);
        return;
    }
    batch->next = pool->batches;
    pool->batches = batch;
    pool->batch_count++;
}

/* A batch that is not in flight and has room for a text and a body. */
static struct outbox_batch *open_batch(struct outbox *outbox)
{
    struct outbox_batch *last = outbox->last;
    bool flying = outbox->in_flight && last == outbox->first;
    if (last && !flying && last->count + 2 <= PIECES) return last;
    struct outbox_batch *batch = batch_take(outbox->pool);
    if (!batch) return NULL;
    if (last)
        last->next = batch;
    else
        outbox->first = batch;
    return outbox->last = batch;
}

static void count_bytes(struct outbox *outbox, size_t len)
{
    outbox->last->size += len;
    outbox->pending += len;
    outbox->pool->pending += len;
}

/* Drops the batches behind `last` (NULL: all). */
static void drop_behind(struct outbox *outbox, struct outbox_batch *last)
{
    struct outbox_batch *batch = last ? last->next : outbox->first;
    while (batch) {
        struct outbox_batch *next = batch->next;
        batch_give(outbox, batch);
        batch = next;
    }
    if (last)
        last->next = NULL;
    else
        outbox->first = NULL;
    outbox->last = last;
    chunk_unref(outbox->pool, outbox->fill);
    outbox->fill = NULL;
}

void outbox_pool_init(struct outbox_pool *pool)
{
    *pool = (struct outbox_pool){0};
}

static void free_chunks(struct outbox_chunk *chunk)
{
    while (chunk) {
        struct outbox_chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
}

void outbox_pool_release(struct outbox_pool *pool)
{
    free_chunks(pool->small);
    free_chunks(pool->large);
    while (pool->batches) {
        struct outbox_batch *next = pool->batches->next;
        free(pool->batches);
        pool->batches = next;
    }
    outbox_pool_init(pool);
}

void outbox_init(struct outbox *outbox, struct outbox_pool *pool)
{
    *outbox = (struct outbox){.pool = pool};
}

void outbox_release(struct outbox *outbox)
{
    assert(!outbox->in_flight);
    drop_behind(outbox, NULL);
}

char *outbox_reserve(struct outbox *outbox, size_t len)
{
    struct outbox_chunk *fill = outbox->fill;
    if (len > OUTBOX_TEXT_MAX || !open_batch(outbox)) return NULL;
    if (!fill || fill->size - fill->used < len) {
        fill = chunk_take(outbox->pool, len, outbox->pending == 0);
        if (!fill) return NULL;
        chunk_unref(outbox->pool, outbox->fill);
        outbox->fill = fill;
    }
    return fill->data + fill->used;
}

void outbox_commit(struct outbox *outbox, size_t len)
{
    struct outbox_chunk *fill = outbox->fill;
    struct outbox_batch *batch = outbox->last;
    char *text = fill->data + fill->used;
    assert(len <= fill->size - fill->used);
    fill->used += (uint32_t)len;
    count_bytes(outbox, len);
    struct iovec *before = batch->count ? &batch->pieces[batch->count - 1] : NULL;
    if (before && (char *)before->iov_base + before->iov_len == text) {
        before->iov_len += len;
        return;
    }
    batch->pieces[batch->count] = (struct iovec){text, len};
    batch->owners[batch->count++] = (struct owner){.chunk = fill};
    fill->refs++;
}

static void add_view(struct outbox *outbox, struct message *message, struct bytes view)
{
    struct outbox_batch *batch = outbox->last;
    assert(batch->count < PIECES);
    batch->pieces[batch->count] = (struct iovec){(char *)view.data, view.len};
    batch->owners[batch->count++] = (struct owner){.message = message};
    count_bytes(outbox, view.len);
}

void outbox_put_body(struct outbox *outbox, struct message *message, struct bytes body)
{
    assert(outbox->last->count && message->refs);
    add_view(outbox, message_ref(message), body);
}

void outbox_put_lent(struct outbox *outbox, struct bytes view)
{
    assert(outbox->last->count);
    add_view(outbox, NULL, view);
}

bool outbox_put_block(struct outbox *outbox, struct message *block)
{
    if (!open_batch(outbox)) return false;
    add_view(outbox, message_ref(block), block->payload);
    return true;
}

/* ---- keeping what was lent ---- */

static bool is_lent(const struct owner *owner)
{
    return !owner->chunk && !owner->message;
}

/* Where copies go: one piece behind the other, or (all) each at its place in the whole. */
struct keeping {
    struct message *block;
    const char *from; /* all: what the block is a copy of */
    size_t used;
};

static void keep_batch(struct outbox_batch *batch, struct keeping *keeping)
{
    for (int i = 0; i < batch->count; i++) {
        struct iovec *piece = &batch->pieces[i];
        if (!is_lent(&batch->owners[i])) continue;
        char *to = (char *)keeping->block->payload.data;
        if (keeping->from) {
            to += (char *)piece->iov_base - keeping->from;
        } else {
            to += keeping->used;
            memcpy(to, piece->iov_base, piece->iov_len);
            keeping->used += piece->iov_len;
        }
        piece->iov_base = to;
        batch->owners[i].message = message_ref(keeping->block);
    }
}

static size_t lent_bytes(const struct outbox_batch *batch)
{
    size_t sum = 0;
    for (; batch; batch = batch->next)
        for (int i = 0; i < batch->count; i++)
            if (is_lent(&batch->owners[i])) sum += batch->pieces[i].iov_len;
    return sum;
}

static struct message *copy_all(struct lender *lender)
{
    char *data;
    if (lender->copy) return lender->copy;
    lender->copy = message_block(lender->bytes.len, &data);
    if (lender->copy) memcpy(data, lender->bytes.data, lender->bytes.len);
    return lender->copy;
}

bool outbox_keep(struct outbox *outbox, struct lender *lender, bool taken)
{
    struct outbox_batch *first = outbox->first;
    struct keeping keeping = {0};
    char *data;
    if (first && taken) first = first->next;
    size_t len = lent_bytes(first);
    if (!len) return true;
    if (len < lender->bytes.len / LITTLE) {
        keeping.block = message_block(len, &data);
    } else {
        keeping.block = copy_all(lender);
        keeping.from = lender->bytes.data;
        if (keeping.block) message_ref(keeping.block);
    }
    if (!keeping.block) return false;
    for (struct outbox_batch *batch = first; batch; batch = batch->next)
        keep_batch(batch, &keeping);
    message_unref(keeping.block);
    return true;
}

void lender_end(struct lender *lender)
{
    message_unref(lender->copy);
    *lender = (struct lender){0};
}

const struct iovec *outbox_begin(struct outbox *outbox, int *ret_count)
{
    assert(!outbox->in_flight);
    if (!outbox->first || !outbox->first->count) return NULL;
    outbox->in_flight = true;
    *ret_count = outbox->first->count;
    return outbox->first->pieces;
}

void outbox_sent(struct outbox *outbox)
{
    struct outbox_batch *batch = outbox->first;
    assert(outbox->in_flight);
    outbox->in_flight = false;
    outbox->first = batch->next;
    if (!outbox->first) outbox->last = NULL;
    batch_give(outbox, batch);
    if (outbox->first) return;
    chunk_unref(outbox->pool, outbox->fill);
    outbox->fill = NULL;
}

void outbox_cut(struct outbox *outbox)
{
    drop_behind(outbox, outbox->in_flight ? outbox->first : NULL);
}
