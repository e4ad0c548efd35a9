/* span: the last pieces of work that this node has seen, for `dure trace`. A ring of fixed size:
 * the newest replace the oldest. */
#ifndef DURE_TELEMETRY_SPAN_H
#define DURE_TELEMETRY_SPAN_H

#include "base/jsonw.h"
#include "wire/trace.h"

enum span_kind { SPAN_SERVER, SPAN_CLIENT, SPAN_ASK, SPAN_EVENT, SPAN_INTERNAL, SPAN_KIND_COUNT };

struct span {
    struct trace_id trace;
    struct span_id id, parent; /* parent zero: the first of its trace here */
    uint64_t start_wall_ns, duration_ns;
    enum span_kind kind;
    int status;        /* HTTP status; 0: has none */
    uint32_t attempts; /* more than 1: was retried */
    bool failed;
    char name[96];    /* "POST /orders", "payment.charge" */
    char service[64]; /* whose work it is */
    char instance[128];
    char error[48]; /* why it failed; "" */
};

struct spans;

/* Keeps the last `capacity` (at least 1). NULL: no memory. */
struct spans *spans_new(size_t capacity);
void spans_free(struct spans *spans);

/* Copies it in. Text that does not fit was cut by whoever filled it. */
void spans_add(struct spans *spans, const struct span *span);

uint64_t spans_added(const struct spans *spans);

/* Copies text into a span's field, cut to fit at a character's border. */
void span_text(char *ret_field, size_t size, struct bytes text);
#define SPAN_TEXT(field, text) span_text(field, sizeof(field), text)

/* Writes the last `limit` traces, the newest first, as elements of the array that is open in
 * `json`: {trace, start_ns, duration_us, spans: [{span, parent, name, service, ...}]}, spans by
 * start. `only` not NULL: just that trace. */
void spans_write_traces(const struct spans *spans, size_t limit, const struct trace_id *only,
                        struct jsonw *json);

#endif
