/* json: writes JSON (RFC 8259) into a buf. Reading is jansson's work.
 * Commas are put by the writer: begin, then members or elements in order, then end. */
#ifndef DURE_BASE_JSON_H
#define DURE_BASE_JSON_H

#include "base/buf.h"

enum { JSON_DEPTH_MAX = 32 };

struct json {
    struct buf *out; /* failure is out->failed */
    int depth;
    bool has_item[JSON_DEPTH_MAX];
};

/* Writes to `out`, which must outlive the writer. */
void json_init(struct json *json, struct buf *out);

/* `key` names a member of an object; NULL for an element of an array or the document itself. */
void json_object(struct json *json, const char *key);
void json_object_end(struct json *json);
void json_array(struct json *json, const char *key);
void json_array_end(struct json *json);
void json_str(struct json *json, const char *key, struct bytes value);
void json_cstr(struct json *json, const char *key, const char *value); /* NULL: null */
void json_u64(struct json *json, const char *key, uint64_t value);
void json_i64(struct json *json, const char *key, int64_t value);
void json_double(struct json *json, const char *key, double value); /* not finite: null */
void json_bool(struct json *json, const char *key, bool value);
void json_null(struct json *json, const char *key);

/* Text that is a whole JSON value already. */
void json_raw(struct json *json, const char *key, struct bytes value);

/* Appends `text` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, so that
 * the output is always valid. */
void json_escape(struct buf *out, struct bytes text);

#endif
