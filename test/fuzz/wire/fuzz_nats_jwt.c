/* Claims that a good key has signed, whatever they say; and texts that are no tokens. */
#include "base/base64.h"
#include "wire/nats_jwt.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct nats_jwt jwt;
    struct buf token;
    uint8_t signature[NKEY_SIGNATURE] = {0};
    buf_init(&token, 1 << 20);
    base64url_append(&token, BYTES("{\"typ\":\"JWT\",\"alg\":\"ed25519-nkey\"}"), false);
    buf_append_char(&token, '.');
    base64url_append(&token, bytes_make(data, size), false);
    buf_append_char(&token, '.');
    base64url_append(&token, bytes_make(signature, sizeof signature), false);
    arena_init(&arena, 1 << 20);
    /* Nobody can sign with zeros: the claims are read, and then refused. */
    if (nats_jwt_parse(buf_bytes(&token), &arena, &jwt) >= 0) abort();
    if (nats_jwt_parse(bytes_make(data, size), &arena, &jwt) > 0) abort();
    arena_release(&arena);
    buf_release(&token);
    return 0;
}
