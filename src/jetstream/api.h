/* api: one request to the JetStream API, from its message to its answer.
 *
 * Each kind of request is one row of a table (api_table.c): the subject behind "$JS.API.", the type
 * of the answer, and the function that does it. That function gets a `struct api_call` and ends it
 * exactly once, at once or later, with api_end() after having written the answer, or with
 * api_fail(). What the call needs while it waits stands in the call itself. */
#ifndef DURE_JETSTREAM_API_H
#define DURE_JETSTREAM_API_H

#include "base/jsonw.h"
#include "jetstream/jetstream.h"
#include "stream/api_error.h"
#include "stream/consumer.h"

#include <jansson.h>

struct api_call;

enum api_body {
    API_BODY_NONE,  /* there must be none, or an empty object */
    API_BODY_MAYBE, /* an object; what is none is passed over */
    API_BODY_OBJECT /* an object; nothing at all is an empty one */
};

struct api_request {
    const char *subject; /* behind "$JS.API." */
    unsigned min, max;   /* tokens behind it; others are passed over without an answer */
    enum api_body body;
    bool changes;      /* runs alone */
    const char *type;  /* of the answer, behind "io.nats.jetstream.api.v1." */
    const char *extra; /* members, of value 0 or [], that an error's answer has too; or NULL */
    void (*run)(struct api_call *call);
};

extern const struct api_request api_requests[];
extern const size_t api_request_count;

struct api_call {
    struct jetstream *js;
    const struct api_request *request;
    struct message *message;

    /* From the subject: what stands where the table says; empty when it is not there. */
    struct bytes stream_name, consumer_name;
    struct bytes rest; /* the tokens behind both */

    json_t *body; /* an object, never NULL */

    struct buf text; /* the answer */
    struct jsonw json;

    /* What a request may wait for. */
    struct stream_op op;
    struct stream_get get;
    struct stream *stream;
    bool made; /* by this call */
    struct consumer_wait wait;
    struct consumer *consumer;

    struct list link;
};

/* A call for the message; NULL when the subject has too few or too many tokens, or without memory.
 */
struct api_call *api_call_new(struct jetstream *js, const struct api_request *request,
                              struct message *message);
void api_call_free(struct api_call *call);

/* Whether the level of the API that a request's header asks for is there. */
bool api_level_is_there(struct bytes headers);

/* Reads the body and runs the request. */
void api_call_run(struct api_call *call);

/* Begins the answer: {"type":.. */
void api_begin(struct api_call *call);

/* Ends the answer that was begun, sends it and frees the call. */
void api_end(struct api_call *call);

/* Answers with an error and frees the call. `format` as in api_error_set. */
void api_fail(struct api_call *call, enum api_error_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void api_fail_error(struct api_call *call, const struct api_error *error);

/* The same for a change that a stream or a consumer did not make: its words, or, where it had none,
 * those for the error. */
void api_fail_result(struct api_call *call, int result, const struct api_error *refusal);

/* {"type":..,"success":true} */
void api_succeed(struct api_call *call);

/* ---- what requests ask in common; each fails the call itself and returns NULL or false ---- */

/* The stream that the subject names. */
struct stream *api_stream(struct api_call *call);

/* Members of the body; a member that is missing is 0, false, "" or NULL. A wrong type fails the
 * call. */
bool api_get_u64(struct api_call *call, const char *key, uint64_t *ret);
bool api_get_i64(struct api_call *call, const char *key, int64_t *ret);
bool api_get_bool(struct api_call *call, const char *key, bool *ret);
bool api_get_string(struct api_call *call, const char *key, struct bytes *ret);

/* A time; *ret_given tells whether there is one that is not the zero time. */
bool api_get_time(struct api_call *call, const char *key, bool *ret_given, uint64_t *ret_ns);

/* Where a page begins, for the requests that give lists. */
bool api_get_offset(struct api_call *call, size_t *ret_offset);

/* "total", "offset", "limit" */
void api_put_page(struct api_call *call, size_t total, size_t offset, size_t limit);

/* RFC 3339 with nanoseconds, as Go writes it. */
void api_put_time(struct jsonw *json, const char *key, uint64_t wall_ns);

#endif
