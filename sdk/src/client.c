/* The process's connection, as its handlers see it; and publishing without an answer. */
#include "sdk/src/buslink_parts.h"
#include "sdk/src/json.h"
#include "sdk/src/publication.h"

#include <stdio.h>

static struct buslink *bus_of(const struct dure_ctx *ctx)
{
    return ctx->tenant->host->bus;
}

/* ---- the connection ----------------------------------------------------------------------- */

/* Says which server was the last to fail, and why. */
static int unreachable(struct dure_ctx *ctx, const struct buslink *link)
{
    char text[BUS_TEXT + BUS_WHY + 32];
    size_t last = (link->server_at + link->server_count - 1) % link->server_count;
    snprintf(text, sizeof text, "%s: %s", link->servers[last].shown, link->why);
    return ctx_fail(ctx, link->denied ? DURE_EDENIED : DURE_EUNREACHABLE, 0, text);
}

int dure_connect(struct dure_ctx *ctx, int64_t timeout_ms)
{
    struct buslink *link = bus_of(ctx);
    if (timeout_ms < 0) return DURE_EINVALID;
    if (!link) return ctx_fail(ctx, DURE_EUNREACHABLE, 0, "NATS_URL is not set");
    struct await await;
    int err = 0;
    await_begin(&await, ctx, timeout_ms);
    list_push(&link->waiters, &await.link);
    while (!err && link->state != BUSLINK_UP && link->failures < link->server_count)
        err = await_turn(&await);
    await_end(&await);
    if (!err && link->state != BUSLINK_UP) err = unreachable(ctx, link);
    return err;
}

void dure_server(struct dure_ctx *ctx, struct dure_server *ret_server)
{
    const struct buslink *link = bus_of(ctx);
    *ret_server = (struct dure_server){.url = "", .name = "", .version = ""};
    if (!link || link->state != BUSLINK_UP) return;
    ret_server->connected = true;
    ret_server->url = arena_copy(&ctx->arena, bytes_str(link->servers[link->server_at].shown));
    ret_server->name = arena_copy(&ctx->arena, bytes_str(link->info.server_name));
    ret_server->version = arena_copy(&ctx->arena, bytes_str(link->info.version));
    ret_server->jetstream = link->info.jetstream;
    ret_server->max_payload = link->info.max_payload;
    ret_server->reconnects = link->connects - 1;
}

/* A lost connection takes with it what it had been given, so that a ping on the next proves nothing
 * about it. */
int dure_flush(struct dure_ctx *ctx, int64_t timeout_ms)
{
    struct buslink *link = bus_of(ctx);
    if (timeout_ms < 0) return DURE_EINVALID;
    if (!link) return DURE_EUNREACHABLE;
    int err = dure_connect(ctx, timeout_ms);
    if (err) return err;
    unsigned connects = link->connects;
    uint64_t mark = buslink_mark(link);
    struct await await;
    await_begin(&await, ctx, timeout_ms);
    list_push(&link->waiters, &await.link);
    while (!err && link->pongs < mark && link->connects == connects && link->state == BUSLINK_UP)
        err = await_turn(&await);
    await_end(&await);
    if (!err && (link->connects != connects || link->state != BUSLINK_UP))
        return ctx_fail(ctx, DURE_EUNREACHABLE, 0, link->why);
    if (!err && link->refused) err = ctx_fail(ctx, DURE_EDENIED, 0, link->refusal);
    link->refused = false;
    return err;
}

const char *dure_reason(struct dure_ctx *ctx)
{
    return ctx->reason ? ctx->reason : "";
}

int dure_reason_code(struct dure_ctx *ctx)
{
    return ctx->reason_code;
}

const char *dure_new_inbox(struct dure_ctx *ctx)
{
    char inbox[BUSLINK_INBOX_TEXT];
    struct buslink *link = bus_of(ctx);
    if (!link) return NULL;
    buslink_new_inbox(link, inbox);
    return arena_copy(&ctx->arena, bytes_str(inbox));
}

/* ---- memory of a loop --------------------------------------------------------------------- */

struct mark {
    struct arena arena;
    struct json_root *json_roots;
};

_Static_assert(sizeof(struct mark) <= sizeof(struct dure_mark), "a mark fits what users reserve");

void dure_mark(struct dure_ctx *ctx, struct dure_mark *ret_mark)
{
    const struct mark mark = {ctx->arena, ctx->json_roots};
    memcpy(ret_mark, &mark, sizeof mark);
}

void dure_forget(struct dure_ctx *ctx, const struct dure_mark *from)
{
    struct mark mark;
    memcpy(&mark, from, sizeof mark);
    json_release_to(ctx, mark.json_roots);
    ctx->reason = NULL;
    arena_rewind(&ctx->arena, &mark.arena);
}

/* ---- publishing --------------------------------------------------------------------------- */

bool publication_valid(const struct dure_publication *publication)
{
    if (!publication || !busname_valid(publication->subject, false)) return false;
    if (publication->reply && *publication->reply && !busname_valid(publication->reply, false))
        return false;
    if (publication->len && !publication->body) return false;
    if (publication->id && !headers_field_valid("Nats-Msg-Id", publication->id)) return false;
    for (const char *const *h = publication->headers; h && h[0]; h += 2)
        if (!headers_field_valid(h[0], h[1])) return false;
    return true;
}

void publication_put_headers(const struct dure_publication *publication, const char *id,
                             struct buf *headers)
{
    buf_clear(headers);
    if (!id && (!publication->headers || !publication->headers[0])) return;
    nats_headers_begin(headers, 0, NULL);
    if (id) nats_headers_add(headers, BYTES("Nats-Msg-Id"), bytes_str(id));
    for (const char *const *h = publication->headers; h && h[0]; h += 2)
        nats_headers_add(headers, bytes_str(h[0]), bytes_str(h[1]));
    nats_headers_end(headers);
}

int dure_send(struct dure_ctx *ctx, const struct dure_publication *publication)
{
    struct buslink *link = bus_of(ctx);
    if (!publication_valid(publication)) return DURE_EINVALID;
    if (!link) return DURE_EUNREACHABLE;
    int err = buslink_wait_room(link, ctx);
    if (err) return err;
    publication_put_headers(publication, publication->id, &link->headers);
    return buslink_put(link, publication->subject, publication->reply,
                       bytes_make(publication->body ? publication->body : "", publication->len));
}

int dure_ask_message(struct dure_ctx *ctx, const struct dure_publication *publication,
                     int64_t timeout_ms, struct dure_answer *ret_answer)
{
    if (!publication_valid(publication)) return DURE_EINVALID;
    return dure_wait(ctx, buslink_ask(ctx, publication, timeout_ms), ret_answer);
}
