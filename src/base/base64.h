/* base64: bytes as text (RFC 4648), in the standard and in the URL alphabet. */
#ifndef DURE_BASE_BASE64_H
#define DURE_BASE_BASE64_H

#include "base/buf.h"

/* Appends `bytes` in the standard alphabet, padded (RFC 4648 section 4). */
void base64_append(struct buf *out, struct bytes bytes);

/* Appends `bytes` in the URL and file name alphabet (section 5), with or without padding. */
void base64url_append(struct buf *out, struct bytes bytes, bool padded);

/* Decodes text of either alphabet, with padding or without, into `ret`, which holds `size` bytes;
 * the length goes to *ret_len. ERR_SYNTAX: another character, or a length or last bits that no
 * encoder makes; ERR_TOO_BIG: does not fit. */
int base64_decode(struct bytes text, void *ret, size_t size, size_t *ret_len);

#endif
