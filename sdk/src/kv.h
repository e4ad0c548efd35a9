/* kv: what the two files of key-value share: how a bucket lies on a stream (ADR-8). */
#ifndef DURE_SDK_KV_H
#define DURE_SDK_KV_H

#include "sdk/src/ctx.h"

/* "KV_" and a bucket's name; "$KV.", that name, a dot and a key. */
enum { KV_NAME_MAX = 200, KV_STREAM = KV_NAME_MAX + 8, KV_SUBJECT = 1100 };

bool bucket_name_valid(const char *bucket);

/* `err`, in words of buckets: what is no stream to the server is no bucket to our callers. */
int bucket_failed(struct dure_ctx *ctx, int err);
bool kv_key_valid(const char *key, bool wildcards);

/* Into a buffer of KV_SUBJECT bytes; both are valid. */
void kv_subject(const char *bucket, const char *key, char ret_subject[KV_SUBJECT]);

/* Reads an entry out of a stored message; its texts are the message's. */
void kv_entry_take(const char *bucket, const struct dure_message *message,
                   struct dure_kv_entry *ret_entry);

#endif
