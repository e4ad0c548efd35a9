/* What the tests of telemetry share: spans read back as JSON. */
#ifndef DURE_TEST_TRACES_H
#define DURE_TEST_TRACES_H

#include "telemetry/span.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static inline struct trace_id trace_number(unsigned number)
{
    struct trace_id id = {{1}};
    memcpy(id.bytes + 8, &number, sizeof number);
    return id;
}

/* The traces as `dure trace` gets them; the caller's. */
static inline json_t *read_traces(const struct spans *spans, size_t limit,
                                  const struct trace_id *only)
{
    struct buf text;
    struct jsonw json;
    buf_init(&text, 64 << 20);
    jsonw_init(&json, &text);
    jsonw_array(&json, NULL);
    spans_write_traces(spans, limit, only, &json);
    jsonw_array_end(&json);
    assert_false(text.failed);
    json_error_t error;
    json_t *traces = json_loadb(text.data, buf_len(&text), 0, &error);
    if (!traces) fail_msg("%s in %.*s", error.text, BYTES_ARG(buf_bytes(&text)));
    buf_release(&text);
    return traces;
}

static inline json_t *span_at(json_t *traces, size_t trace, size_t span)
{
    return json_array_get(json_object_get(json_array_get(traces, trace), "spans"), span);
}

static inline const char *text_at(json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text ? text : "(none)";
}

static inline json_int_t number_at(json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

#endif
