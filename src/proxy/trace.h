/* trace: W3C Trace Context (https://www.w3.org/TR/trace-context/, level 2). A hop continues the
 * caller's trace with a span of its own, or starts a new one. Pure; randomness is handed in. */
#ifndef DURE_PROXY_TRACE_H
#define DURE_PROXY_TRACE_H

#include "base/bytes.h"

enum { TRACEPARENT_LEN = 55, TRACESTATE_MAX = 512, TRACESTATE_MEMBERS_MAX = 32 };

enum { TRACE_SAMPLED = 1, TRACE_RANDOM = 2 };

struct trace {
    uint8_t trace_id[16];
    uint8_t span_id[8];   /* this hop's span: the parent that the next hop sees */
    uint8_t parent_id[8]; /* the caller's span; all zero when the trace starts here */
    uint8_t flags;
};

/* Reads a traceparent into trace_id, parent_id and flags. ERR_SYNTAX when it is not a valid one
 * (section 3.2): upper case, ids of zeros, version ff; a higher version is read as far as known. */
int trace_parse(struct bytes traceparent, struct trace *ret_trace);

/* Starts a new, sampled trace; random: 24 bytes. */
void trace_start(struct trace *trace, const uint8_t random[24]);

/* Gives a trace that was read its own span; random: 8 bytes. */
void trace_continue(struct trace *trace, const uint8_t random[8]);

/* "00-TRACEID-SPANID-FLAGS", TRACEPARENT_LEN bytes, no NUL. */
void trace_format(const struct trace *trace, char *ret_text);

/* Whether a whole tracestate may be passed on: keys and values are legal, not too many, no key
 * twice (section 3.3). An invalid one is dropped; the traceparent stays. */
bool tracestate_valid(struct bytes tracestate);

#endif
