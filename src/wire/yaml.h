/* yaml: documents that people write, bound to structs by a table. Pure: bytes in, values out.
 *
 * The table (struct yaml_schema) is the only description of a document: it binds, it checks, and
 * the manual is printed from it. All mistakes of a file are reported at once, each with its place,
 * what was found, what was expected and what to do.
 *
 * The dialect is YAML 1.2 (JSON schema sense), one document per file:
 *   - a scalar is what the table says: `no`, `on`, `1.10` are strings where a string is wanted; a
 *     boolean is only `true` or `false`; `null`, `~` and nothing at all are "left out".
 *   - unknown and repeated keys are mistakes; tags are not known.
 *   - anchors and aliases work, but what they expand to counts against YAML_NODES_MAX.
 *
 * Everything returned lives in the caller's arena. Strings are ended by a NUL that is not counted,
 * contain none, and are views of the arena, not of the input. Failure of the arena is reported. */
#ifndef DURE_WIRE_YAML_H
#define DURE_WIRE_YAML_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/errors.h"

enum {
    YAML_SIZE_MAX = 1024 * 1024, /* bytes of a document */
    YAML_NODES_MAX = 50000,      /* values in it, aliases expanded */
    YAML_DEPTH_MAX = 32          /* how deep lists and mappings may be nested */
};

/* What a field is, and the C type of its member at `at`:
 *   YAML_STRING    struct bytes; left out: {"", 0}
 *   YAML_INT       uint32_t within min..max
 *   YAML_BOOL      bool
 *   YAML_DURATION  uint32_t, milliseconds within min..max; written 250ms, 15s, 5m, 1h
 *   YAML_BYTES     uint64_t, bytes within min..max; written 512, 64KiB, 1MiB, 2GiB, 10kB, 1MB
 *   YAML_ENUM      int, the index into `names`
 *   YAML_STRINGS   struct bytes *, and their number, size_t, at `count_at`
 *   YAML_MAP       struct yaml_pair *, and their number, size_t, at `count_at`
 *   YAML_STRUCT    the struct of `schema`, embedded
 *   YAML_STRUCTS   pointer to an array of the struct of `schema`; number, size_t, at `count_at` */
enum yaml_type {
    YAML_STRING,
    YAML_INT,
    YAML_BOOL,
    YAML_DURATION,
    YAML_BYTES,
    YAML_ENUM,
    YAML_STRINGS,
    YAML_MAP,
    YAML_STRUCT,
    YAML_STRUCTS
};

struct yaml_pair {
    struct bytes key, value;
};

/* A further demand on a value: on a string, on each string of a list, on each key of a map. Fills
 * message and remedy of `error` and returns false when it is not met; the place is put by yaml. */
typedef bool yaml_check(struct bytes value, struct error *error);

struct yaml_field {
    const char *key; /* NULL ends the table */
    enum yaml_type type;
    size_t at, count_at; /* offsetof */
    bool required;
    /* Of the fields of one struct with the same number, not 0, exactly one must be given. */
    int one_of;
    const char *fallback; /* the default as one would write it; scalars only; NULL: none */
    /* YAML_INT, YAML_DURATION, YAML_BYTES: the range, max 0: the type's. Lists and maps: at most
     * `max` elements; 0: any number. */
    uint64_t min, max;
    const char *const *names;         /* YAML_ENUM: ended by NULL */
    const struct yaml_schema *schema; /* YAML_STRUCT, YAML_STRUCTS */
    yaml_check *check;
    const char *example; /* how one would write it, for remedies and the manual */
    const char *doc;     /* the meaning, for the manual: one or more sentences */
};

struct yaml_schema {
    const char *name; /* for a person: "a route", "the gateway" */
    size_t size;      /* sizeof the struct */
    const struct yaml_field *fields;
    /* The key that a scalar in the mapping's place is the value of; NULL: it must be a mapping. */
    const char *shorthand;
};

/* Where the values of one bound document stand: asked by the address of the member that received
 * the value, so that the structs hold plain values. Elements of a list of strings, the values of
 * a map (by the address of its pair's `key`) and embedded structs are known too. An embedded
 * struct has the address of its first member: one whose presence matters starts with a member
 * that is no field. */
struct yaml_source;

/* Binds `text`, called `name` in errors, to a new struct of `schema` in `arena`. Mistakes are added
 * to `errors`; on any, the error of the first is returned and *ret_value is what could be bound
 * (fields with a mistake have their default), or NULL when the text is no mapping at all.
 * ERR_SYNTAX, ERR_INVALID, ERR_TOO_BIG, ERR_NOMEM. */
int yaml_bind(const struct yaml_schema *schema, struct bytes text, const char *name,
              struct arena *arena, struct errors *errors, void **ret_value,
              const struct yaml_source **ret_source);

/* Whether the member was written in the document (not left out, not filled by its default). */
bool yaml_given(const struct yaml_source *source, const void *member);

/* Whether two values of the schema's struct say the same, key by key, in the same order. */
bool yaml_same(const struct yaml_schema *schema, const void *a, const void *b);

/* The document's name, as it stands in errors. */
const char *yaml_source_name(const struct yaml_source *source);

/* A new error at the place of `member`, or of the file when it was not given: to be filled with
 * error_set and error_remedy. */
struct error *yaml_error(const struct yaml_source *source, const void *member,
                         struct errors *errors);

/* The beginning of a text that a stranger wrote, fit for a message: at most 64 bytes, cut between
 * characters and before the first control character (what would end the line or steer a terminal).
 */
struct bytes yaml_shown(struct bytes text);

/* The scalars alone, for the command line: "15s" to milliseconds, "1MiB" to bytes. ERR_SYNTAX,
 * ERR_TOO_BIG. */
int yaml_duration_parse(struct bytes text, uint32_t *ret_ms);
int yaml_bytes_parse(struct bytes text, uint64_t *ret_bytes);

/* Appends the manual of the schema in Markdown: one table for it and one for each struct in it. */
void yaml_manual(const struct yaml_schema *schema, struct buf *out);

#endif
