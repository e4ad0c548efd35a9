/* jsonw: writes JSON (RFC 8259) into a buf. Reading is the work of jansson, which owns the names
 * that begin with json_. Commas are put by the writer: begin, then members or elements in order,
 * then end. */
#ifndef DURE_BASE_JSONW_H
#define DURE_BASE_JSONW_H

#include "base/buf.h"

enum { JSONW_DEPTH_MAX = 32 };

struct jsonw {
    struct buf *out; /* failure is out->failed */
    int depth;
    bool has_item[JSONW_DEPTH_MAX];
};

/* Writes to `out`, which must outlive the writer. */
void jsonw_init(struct jsonw *json, struct buf *out);

/* `key` names a member of an object; NULL for an element of an array or the document itself. */
void jsonw_object(struct jsonw *json, const char *key);
void jsonw_object_end(struct jsonw *json);
void jsonw_array(struct jsonw *json, const char *key);
void jsonw_array_end(struct jsonw *json);
void jsonw_str(struct jsonw *json, const char *key, struct bytes value);
void jsonw_cstr(struct jsonw *json, const char *key, const char *value);    /* NULL: null */
void jsonw_base64(struct jsonw *json, const char *key, struct bytes value); /* RFC 4648, padded */
void jsonw_u64(struct jsonw *json, const char *key, uint64_t value);
void jsonw_i64(struct jsonw *json, const char *key, int64_t value);
void jsonw_double(struct jsonw *json, const char *key, double value); /* not finite: null */
void jsonw_bool(struct jsonw *json, const char *key, bool value);
void jsonw_null(struct jsonw *json, const char *key);

/* Text that is a whole JSON value already. */
void jsonw_raw(struct jsonw *json, const char *key, struct bytes value);

/* Appends `text` as a JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD, so that
 * the output is always valid. */
void jsonw_escape(struct buf *out, struct bytes text);

#endif
