#include "http/http.h"

#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "http/conn.h"

enum {
    SPARE_MAX = 1024,     /* exchanges kept for later */
    TEXT_KEPT = 8 * 1024, /* a spare exchange's buffers keep this much memory */
    OUT_MAX = 128 * 1024, /* bytes of a head that we write */
    SPILL_MAX = 256 * 1024 * 1024,
};

const struct metric http_metric_table[] = {
#define METRICS "http/metrics.def"
#define METRICS_OF struct http_metrics
#include "base/metric_rows.h"
};
const size_t http_metric_count = sizeof http_metric_table / sizeof *http_metric_table;

void http_init(struct http *http, struct io *io, struct log *log)
{
    *http = (struct http){.io = io, .log = log, .date_second = UINT64_MAX};
    list_init(&http->spare);
}

static void exchange_destroy(struct http_exchange *x)
{
    buf_release(&x->text);
    buf_release(&x->out.text);
    buf_release(&x->spill);
    free(x);
}

void http_release(struct http *http)
{
    if (!http) return;
    assert(http->metrics.exchanges == 0);
    LIST_EACH(&http->spare, struct http_exchange, link, x) exchange_destroy(x);
    list_init(&http->spare);
    http->spare_count = 0;
}

struct bytes http_date(struct http *http)
{
    uint64_t second = io_wall_ns(http->io) / 1000000000;
    if (second != http->date_second) {
        time_t time = (time_t)second;
        struct tm utc;
        gmtime_r(&time, &utc);
        strftime(http->date, sizeof http->date, "%a, %d %b %Y %H:%M:%S GMT", &utc);
        http->date_second = second;
    }
    return bytes_str(http->date);
}

struct http_exchange *http_exchange_new(struct http *http)
{
    struct list *link = list_pop(&http->spare);
    struct http_exchange *x;
    if (link) {
        x = CONTAINER_OF(link, struct http_exchange, link);
        http->spare_count--;
    } else {
        x = malloc(sizeof *x);
        if (!x) return NULL;
        buf_init(&x->text, HTTP1_HEAD_MAX);
        buf_init(&x->out.text, OUT_MAX);
        buf_init(&x->spill, SPILL_MAX);
    }
    struct buf text = x->text, out = x->out.text, spill = x->spill;
    memset((char *)x + sizeof x->in, 0, sizeof *x - sizeof x->in);
    x->text = text;
    x->out.text = out;
    x->spill = spill;
    list_init(&x->link);
    x->http = http;
    x->started_ns = io_now_ns(http->io);
    http->metrics.exchanges++;
    return x;
}

/* Empties it; much memory is given back, so that one large message does not stay for ever. */
static void shrink(struct buf *buf)
{
    if (buf->size > TEXT_KEPT)
        buf_release(buf);
    else
        buf_clear(buf);
}

void http_exchange_free(struct http_exchange *x)
{
    if (!x) return;
    struct http *http = x->http;
    http->metrics.exchanges--;
    if (http->spare_count == SPARE_MAX) {
        exchange_destroy(x);
        return;
    }
    shrink(&x->text);
    shrink(&x->out.text);
    shrink(&x->spill);
    list_push_front(&http->spare, &x->link);
    http->spare_count++;
}
