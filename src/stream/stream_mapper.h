/* stream_mapper: maps subjects to subjects, as NATS does (subject transforms, ADR-30): a source
 * pattern whose wildcards are numbered from 1, and a destination in which these stand for
 *
 *     $1  {{wildcard(1)}}                     the token
 *     {{partition(10,1,2)}}                   a number below 10, by the tokens' hash (FNV-1a);
 * without tokens: by the whole subject's
 *     {{splitfromleft(1,3)}} {{splitfromright(1,3)}}   the token, cut in two behind 3 letters
 *     {{slicefromleft(1,3)}} {{slicefromright(1,3)}}   the token, cut into pieces of 3 letters
 *     {{split(1,-)}}                          the token, cut at every "-"
 *     {{left(1,3)}} {{right(1,3)}}            its first or last 3 letters
 *
 * A ">" at the end of both takes over the rest. Letters' case does not matter in the functions'
 * names. Pure, but for its memory. */
#ifndef DURE_STREAM_STREAM_MAPPER_H
#define DURE_STREAM_STREAM_MAPPER_H

#include "base/bytes.h"
#include "base/err.h"

struct stream_mapper;

/* src empty: every subject. dest empty: what matches is left as it is. ERR_INVALID, and *ret_why
 * says it in a few words; ERR_NOMEM. */
int stream_mapper_new(struct bytes src, struct bytes dest, struct stream_mapper **ret_mapper,
                      const char **ret_why);

/* NULL is allowed. */
void stream_mapper_free(struct stream_mapper *mapper);

bool stream_mapper_matches(const struct stream_mapper *mapper, struct bytes subject);

/* Writes what the literal subject becomes into `out`, which holds `room` bytes. ERR_NOT_FOUND: it
 * does not match; ERR_TOO_BIG: no room; ERR_INVALID: it would be no subject. */
int stream_mapper_map(const struct stream_mapper *mapper, struct bytes subject, char *out,
                      size_t room, size_t *ret_len);

#endif
