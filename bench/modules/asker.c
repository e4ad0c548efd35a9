/* asker: asks bench.price when it is told to, and says how long that took.
 *
 *     GET /ask?count=1000&at_once=1    -> {"count": 1000, "us": [12.1, ...]}
 *
 * A latency is that of one ask, with at_once=1, or of the round of `at_once` of them. */
#include <dure/dure.h>

#include <stdlib.h>

enum { AT_ONCE_MAX = 256, COUNT_MAX = 100000 };

static int ask_one(struct dure_ctx *ctx)
{
    struct dure_answer answer;
    int err = dure_ask(ctx, "bench.price", "0123456789abcdef", 0, &answer);
    return err || answer.len == 16 ? err : DURE_EPROTOCOL;
}

static int ask_round(struct dure_ctx *ctx, size_t at_once)
{
    struct dure_pending *pendings[AT_ONCE_MAX];
    for (size_t i = 0; i < at_once; i++)
        pendings[i] = dure_ask_start(ctx, "bench.price", "0123456789abcdef", 16, 0);
    return dure_all(ctx, pendings, at_once);
}

static size_t number(struct dure_ctx *ctx, const char *name, size_t max)
{
    const char *text = dure_query(ctx, name);
    size_t value = text ? strtoul(text, NULL, 10) : 1;
    return value < 1 ? 1 : value > max ? max : value;
}

static int ask(struct dure_ctx *ctx)
{
    size_t count = number(ctx, "count", COUNT_MAX), at_once = number(ctx, "at_once", AT_ONCE_MAX);
    struct dure_json *report = dure_json_object(ctx), *latencies = dure_json_array(ctx);
    for (size_t done = 0; done < count; done += at_once) {
        uint64_t start_ns = dure_now_ns();
        int err = at_once == 1 ? ask_one(ctx) : ask_round(ctx, at_once);
        if (err) return err;
        dure_json_set_number(latencies, NULL, (double)(dure_now_ns() - start_ns) / 1000);
    }
    dure_json_set_int(report, "count", (int64_t)count);
    dure_json_set(report, "us", latencies);
    return dure_reply_json(ctx, 200, report);
}

static int start(struct dure_ctx *ctx)
{
    return dure_route(ctx, "GET", "/ask", ask);
}

DURE_MODULE("asker", start, NULL)
