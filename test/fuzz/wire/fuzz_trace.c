#include <assert.h>

#include "wire/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The input's lines are header values: those of traceparent begin with 'p', of tracestate with 's'.
 */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t random[TRACE_RANDOM] = {1, 2, 3};
    struct bytes rest = bytes_make(data, size);
    struct trace_intake intake;
    struct trace trace;
    trace_intake_init(&intake);
    while (rest.data) {
        struct bytes line = bytes_cut(&rest, '\n');
        struct trace_parent parent, again;
        char text[TRACE_PARENT_TEXT];
        if (line.len == 0) continue;
        struct bytes value = bytes_skip(line, 1);
        if (line.data[0] == 's') trace_intake_state(&intake, value);
        if (line.data[0] != 'p') continue;
        trace_intake_parent(&intake, value);
        if (trace_parent_parse(value, &parent) != 0) continue;
        trace_parent_format(&parent, text);
        assert(trace_parent_parse(bytes_make(text, sizeof text), &again) == 0);
        assert(memcmp(&parent.trace, &again.trace, sizeof again.trace) == 0);
        assert(memcmp(&parent.span, &again.span, sizeof again.span) == 0);
        assert(memcmp(text + 3, value.data + 3, 49) == 0);
    }
    bool continued = trace_intake_finish(&intake, random, &trace);
    assert(!trace_id_is_zero(&trace.id) && !span_id_is_zero(&trace.span));
    struct bytes state = trace_intake_state_out(&intake);
    assert(state.len <= TRACE_STATE_MAX && (continued || state.len == 0));
    /* What we send is what we take. */
    struct trace_intake next;
    trace_intake_init(&next);
    trace_intake_parent(&next, BYTES("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
    trace_intake_state(&next, state);
    assert(bytes_eq(trace_intake_state_out(&next), state));
    return 0;
}
