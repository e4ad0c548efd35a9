/* What the tests of credentials share: keys from a number, and tokens made of given claims. */
#ifndef DURE_TEST_JWT_MAKE_H
#define DURE_TEST_JWT_MAKE_H

#include "base/base64.h"
#include "wire/nkey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

struct test_key {
    struct nkey seed;
    char text[NKEY_TEXT + 1], seed_text[NKEY_SEED_TEXT + 1];
};

static inline struct test_key test_key_make(enum nkey_kind kind, uint8_t number)
{
    struct test_key key = {.seed = {.kind = kind}};
    struct nkey public_key;
    memset(key.seed.bytes, number, sizeof key.seed.bytes);
    assert_int_equal(nkey_public(&key.seed, &public_key), 0);
    nkey_write(&public_key, key.text);
    nkey_write_seed(&key.seed, key.seed_text);
    return key;
}

/* Appends the signature of what `text` holds, in base64url. */
static inline void test_sign(const struct test_key *key, struct bytes text, struct buf *out)
{
    uint8_t signature[NKEY_SIGNATURE];
    assert_int_equal(nkey_sign(&key->seed, text, signature), 0);
    base64url_append(out, bytes_make(signature, sizeof signature), false);
}

/* A token about `subject`, signed by `issuer`; `more` are further claims (", \"exp\": 5"), `nats`
 * the inside of the object of that name. To be freed. */
static inline char *test_jwt(const struct test_key *issuer, const struct test_key *subject,
                             const char *more, const char *nats)
{
    struct buf claims, token;
    buf_init(&claims, 1 << 20);
    buf_init(&token, 1 << 20);
    buf_append_format(&claims,
                      "{\"jti\":\"X\",\"iat\":1600000000,\"iss\":\"%s\",\"sub\":\"%s\","
                      "\"name\":\"test\"%s,\"nats\":{%s,\"version\":2}}",
                      issuer->text, subject->text, more, nats);
    base64url_append(&token, BYTES("{\"typ\":\"JWT\",\"alg\":\"ed25519-nkey\"}"), false);
    buf_append_char(&token, '.');
    base64url_append(&token, buf_bytes(&claims), false);
    struct buf signature;
    buf_init(&signature, 1 << 10);
    test_sign(issuer, buf_bytes(&token), &signature);
    buf_append_char(&token, '.');
    buf_append(&token, buf_bytes(&signature));
    assert_false(token.failed || claims.failed);
    char *text = strndup(buf_bytes(&token).data, buf_len(&token));
    buf_release(&claims);
    buf_release(&token);
    buf_release(&signature);
    assert_non_null(text);
    return text;
}

#endif
