/* Bodies on their way, piece by piece: the next piece is read when the one before has been taken by
 * the other side, so a slow reader slows its writer and memory stays constant.
 *
 * The request's body: what is read is written to `up` at once, and, while the request may be tried
 * again, kept in `replay` up to a limit. A piece that comes while nothing can be written (a new
 * attempt is still sending what was kept) goes into `replay` too and is written from there. */
#include "proxy/request.h"

bool relay_replayable(const struct request *r)
{
    return r->keep || (!r->reading && !r->down->received && !r->down->last_given);
}

static void written(struct http_exchange *up)
{
    struct request *r = up->context;
    r->writing = false;
    relay_request(r);
}

static void write_up(struct request *r, struct bytes piece, bool last)
{
    r->writing = !last;
    http_write(r->up, piece, last, last ? NULL : written);
}

/* Puts the piece into `replay`, if it must be or may be wanted again; whether it is there. */
static bool keep(struct request *r, struct bytes piece, bool must)
{
    size_t max = r->proxy->options.replay_max;
    bool fits = buf_len(&r->replay) + piece.len <= max;
    r->keep = r->keep && fits;
    if (!r->keep && r->replay_at == buf_len(&r->replay)) { /* written, and not wanted again */
        buf_clear(&r->replay);
        r->replay_at = 0;
    }
    if (!r->keep && !must) return false;
    buf_append(&r->replay, piece);
    if (r->replay.failed) r->keep = false;
    return !r->replay.failed;
}

static void piece_read(struct http_exchange *down, int result, struct bytes piece)
{
    struct request *r = down->context;
    r->reading = false;
    if (result < 0) {
        request_refuse(r, result);
        return;
    }
    if (r->state == REQUEST_ANSWERED || (r->state == REQUEST_RELAYING && !r->up)) return;
    bool between = r->state != REQUEST_CALLING && r->state != REQUEST_RELAYING; /* attempts */
    bool put_aside = between || r->writing || r->replay_at < buf_len(&r->replay);
    bool kept = keep(r, piece, put_aside);
    if (put_aside && !kept) request_fail(r, ERR_NOMEM);
    if (put_aside) return;
    if (kept) r->replay_at = buf_len(&r->replay);
    write_up(r, piece, result == HTTP_LAST);
}

void relay_request(struct request *r)
{
    if (!r->up || !r->down || r->writing || r->up->sent_last) return;
    size_t kept = buf_len(&r->replay);
    if (r->replay_at < kept) {
        struct bytes rest = bytes_skip(buf_bytes(&r->replay), r->replay_at);
        r->replay_at = kept;
        write_up(r, rest, r->down->last_given);
        if (!r->keep) { /* it was only put aside */
            buf_clear(&r->replay);
            r->replay_at = 0;
        }
    } else if (r->down->last_given) {
        write_up(r, BYTES(""), true);
    } else if (!r->reading) {
        r->reading = true;
        http_read(r->down, piece_read);
    }
}

static void piece_came(struct http_exchange *up, int result, struct bytes piece);

static void passed_on(struct http_exchange *down)
{
    struct request *r = down->context;
    if (r->up) http_read(r->up, piece_came);
}

static void piece_came(struct http_exchange *up, int result, struct bytes piece)
{
    struct request *r = up->context;
    bool last = result == HTTP_LAST;
    if (!r->down || r->down->sent_last) return;
    http_write(r->down, piece, last, last ? NULL : passed_on);
}

void relay_response(struct request *r)
{
    http_read(r->up, piece_came);
}
