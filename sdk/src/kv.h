/* kv: what the two files of key-value share: how a bucket lies on a stream (ADR-8). */
#ifndef DURE_SDK_KV_H
#define DURE_SDK_KV_H

#include "sdk/src/bucket.h"

/* "$KV.", a bucket's name, a dot and a key. */
enum { KV_SUBJECT = 1100 };

/* "KV_" and the name. */
void kv_stream(const char *bucket, char ret_stream[BUCKET_STREAM]);

bool kv_key_valid(const char *key, bool wildcards);

/* Into a buffer of KV_SUBJECT bytes; both are valid. */
void kv_subject(const char *bucket, const char *key, char ret_subject[KV_SUBJECT]);

/* Reads an entry out of a stored message; its texts are the message's. */
void kv_entry_take(const char *bucket, const struct dure_message *message,
                   struct dure_kv_entry *ret_entry);

#endif
