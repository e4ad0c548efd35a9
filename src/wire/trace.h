/* trace: W3C Trace Context (https://www.w3.org/TR/trace-context/): which request a piece of work
 * belongs to. Pure: identifiers are made from random bytes that the caller brings. */
#ifndef DURE_WIRE_TRACE_H
#define DURE_WIRE_TRACE_H

#include "base/bytes.h"
#include "base/err.h"

enum {
    TRACE_PARENT_TEXT = 55, /* 00-<32 hex>-<16 hex>-<2 hex>, without a NUL */
    TRACE_STATE_MAX = 512,
    TRACE_STATE_MEMBERS_MAX = 32,
    TRACE_RANDOM = 24, /* bytes a new trace takes: trace id and span id */
    TRACE_FLAG_SAMPLED = 1,
    TRACE_FLAG_RANDOM = 2, /* level 2: the trace id's last 7 bytes are random */
};

struct trace_id {
    uint8_t bytes[16]; /* all zero: none */
};

struct span_id {
    uint8_t bytes[8]; /* all zero: none */
};

/* What traceparent says: this trace, and the span that made the call. */
struct trace_parent {
    struct trace_id trace;
    struct span_id span;
    uint8_t flags;
};

/* Where one piece of work stands: its own span, and the one above it. */
struct trace {
    struct trace_id id;
    struct span_id span;
    struct span_id parent; /* zero: this is the trace's first span here */
    uint8_t flags;
};

/* Parses traceparent: lower case only, no zero ids, version ff refused; of a version above 00 the
 * first 55 characters count if they end the value or are followed by '-'. 0 or ERR_SYNTAX. */
int trace_parent_parse(struct bytes text, struct trace_parent *ret_parent);

/* Writes TRACE_PARENT_TEXT characters, version 00, no NUL. */
void trace_parent_format(const struct trace_parent *parent, char *ret_text);

/* The same for the calls that this work makes: its span is their parent. */
void trace_format(const struct trace *trace, char *ret_text);

/* A new trace, sampled. */
void trace_start(struct trace *trace, const uint8_t random[TRACE_RANDOM]);

/* A span below `parent` in the same trace. Uses the last 8 of the random bytes. */
void trace_continue(struct trace *trace, const struct trace_parent *parent,
                    const uint8_t random[TRACE_RANDOM]);

/* A span below `above` (work within this process). */
void trace_child(struct trace *trace, const struct trace *above, const uint8_t random[8]);

bool trace_id_is_zero(const struct trace_id *id);
bool span_id_is_zero(const struct span_id *id);

/* 32 and 16 lower-case digits, no NUL; and back: 0 or ERR_SYNTAX (also for zero). */
void trace_id_format(const struct trace_id *id, char *ret_text);
void span_id_format(const struct span_id *id, char *ret_text);
int trace_id_parse(struct bytes text, struct trace_id *ret_id);
int span_id_parse(struct bytes text, struct span_id *ret_id);

/* What arrives with one request: hand it every traceparent and tracestate header in order, then
 * ask for the trace. Two traceparents restart the trace; an invalid tracestate is dropped whole and
 * the traceparent kept; without a valid traceparent tracestate does not count. */
struct trace_intake {
    struct trace_parent parent;
    unsigned parents; /* traceparent headers seen */
    bool parent_valid;
    bool state_invalid;
    unsigned members;
    size_t state_len;
    char state[TRACE_STATE_MAX];
};

void trace_intake_init(struct trace_intake *intake);
void trace_intake_parent(struct trace_intake *intake, struct bytes value);
void trace_intake_state(struct trace_intake *intake, struct bytes value);

/* The trace of this request: continued, or a new one. Returns whether it was continued. */
bool trace_intake_finish(struct trace_intake *intake, const uint8_t random[TRACE_RANDOM],
                         struct trace *ret_trace);

/* After finish: the tracestate to pass on; empty: send none. A view into the intake. */
struct bytes trace_intake_state_out(const struct trace_intake *intake);

#endif
