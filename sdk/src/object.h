/* object: what the files of the object store share: how a bucket lies on a stream (ADR-20). Chunks
 * are messages on $O.BUCKET.C.ID, an object's description is the last message on
 * $O.BUCKET.M.<base64url of its name>. */
#ifndef DURE_SDK_OBJECT_H
#define DURE_SDK_OBJECT_H

#include "sdk/src/bucket.h"

#include "base/buf.h"

enum { OBJECT_SUBJECT = 1100 + BUCKET_NAME_MAX, OBJECT_NAME_MAX = 700, OBJECT_DIGEST = 64 };

bool object_name_valid(const char *name);
void object_stream(const char *bucket, char ret_stream[BUCKET_STREAM]);
void object_chunk_subject(const char *bucket, const char *id, char ret_subject[OBJECT_SUBJECT]);
void object_meta_subject(const char *bucket, const char *name, char ret_subject[OBJECT_SUBJECT]);

/* "SHA-256=" and the base64url of it. */
void object_digest(const uint8_t hash[32], char ret_text[OBJECT_DIGEST]);

/* Reads a description; its texts are in `arena`. DURE_EPROTOCOL, DURE_ENOMEM. */
int object_take(struct arena *arena, const struct dure_message *message,
                struct dure_object *ret_object);

/* On a fiber. The description of an object, also of a deleted one. DURE_ENOTFOUND. */
int object_lookup(struct dure_ctx *ctx, const char *bucket, const char *name,
                  struct dure_object *ret_object);

/* On a fiber. Replaces a description. */
int object_describe(struct dure_ctx *ctx, const struct dure_object *object);

/* Takes the chunks of an id away, without waiting: what stays costs room and nothing else. */
void object_drop_chunks(struct dure_ctx *ctx, const char *bucket, const char *id);

#endif
