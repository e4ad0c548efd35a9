/* config_json: what the configurations of streams and consumers share as JSON: members that are
 * left out when they say nothing, and a reader that remembers its first mistake, after which what
 * it is asked for is no longer of use. */
#ifndef DURE_STREAM_CONFIG_JSON_H
#define DURE_STREAM_CONFIG_JSON_H

#include "base/arena.h"
#include "base/jsonw.h"
#include "stream/api_error.h"

#include <jansson.h>

/* ---- writing ---- */

void config_put_text(struct jsonw *json, const char *key, const char *value);     /* not NULL, "" */
void config_put_time(struct jsonw *json, const char *key, uint64_t time_wall_ns); /* not 0 */

/* ---- reading ---- */

struct config_reader {
    struct arena *arena;       /* of what is read; its strings are the JSON's own */
    struct api_error *refusal; /* may be NULL */
    const char *whose;         /* "StreamConfig" */
    int result;                /* of the first mistake */
};

/* A value that the member may not have. */
void config_wrong(struct config_reader *reader, const char *key);

/* A mistake of another kind, in its own words; `format` NULL: in those of its kind. */
void config_refuse(struct config_reader *reader, int err, enum api_error_kind kind,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Each: what stands for nothing when the member is left out or null. */
json_t *config_member(struct config_reader *reader, json_t *object, const char *key,
                      json_type type);
const char *config_text(struct config_reader *reader, json_t *object, const char *key); /* not "" */
int64_t config_int(struct config_reader *reader, json_t *object, const char *key);
uint64_t config_natural(struct config_reader *reader, json_t *object, const char *key);
bool config_bool(struct config_reader *reader, json_t *object, const char *key);
uint64_t config_time(struct config_reader *reader, json_t *object, const char *key);

/* The place of the member's word among `words`, which NULL ends. */
int config_word(struct config_reader *reader, json_t *object, const char *key,
                const char *const *words);
int config_word_of(struct config_reader *reader, const char *text, const char *const *words);

/* Room for the elements of an array, in the arena. */
void *config_array(struct config_reader *reader, json_t *object, const char *key, size_t size,
                   json_t **ret_array, size_t *ret_count);
const char *const *config_texts(struct config_reader *reader, json_t *object, const char *key,
                                size_t *ret_count);

/* The result; ERR_NOMEM also when the arena had no room. */
int config_end(struct config_reader *reader);

#endif
