/* nkey: Ed25519 keys as NATS writes them (github.com/nats-io/nkeys): a letter that says whose key
 * it is, the key, and a check sum, in base32. Pure. */
#ifndef DURE_WIRE_NKEY_H
#define DURE_WIRE_NKEY_H

#include "base/bytes.h"
#include "base/err.h"

enum nkey_kind {
    NKEY_ACCOUNT,  /* A... */
    NKEY_CLUSTER,  /* C... */
    NKEY_SERVER,   /* N... */
    NKEY_OPERATOR, /* O... */
    NKEY_USER      /* U... */
};

enum {
    NKEY_SIZE = 32,      /* bytes of a public key and of a seed */
    NKEY_TEXT = 56,      /* characters of a public key */
    NKEY_SEED_TEXT = 58, /* characters of a seed: "S", then the letter of its kind */
    NKEY_SIGNATURE = 64  /* bytes */
};

struct nkey {
    enum nkey_kind kind;
    uint8_t bytes[NKEY_SIZE]; /* the public key, or the seed that the private key is made from */
};

/* Reads a public key. ERR_SYNTAX: another length, character, kind or check sum. */
int nkey_parse(struct bytes text, struct nkey *ret_key);

/* The same of a seed, which is a secret. */
int nkey_parse_seed(struct bytes text, struct nkey *ret_seed);

/* Write NKEY_TEXT or NKEY_SEED_TEXT characters and a NUL. */
void nkey_write(const struct nkey *key, char ret_text[NKEY_TEXT + 1]);
void nkey_write_seed(const struct nkey *seed, char ret_text[NKEY_SEED_TEXT + 1]);

/* Whether the text is a good public key of that kind. */
bool nkey_is(struct bytes text, enum nkey_kind kind);

/* ---- Ed25519 (RFC 8032), by OpenSSL --------------------------------------------------------- */

/* The public key of a seed. ERR_NOMEM. */
int nkey_public(const struct nkey *seed, struct nkey *ret_key);

/* ERR_NOMEM. */
int nkey_sign(const struct nkey *seed, struct bytes text, uint8_t ret_signature[NKEY_SIGNATURE]);

/* Whether the owner of the public key has signed the text. */
bool nkey_verify(const struct nkey *key, struct bytes text,
                 const uint8_t signature[NKEY_SIGNATURE]);

#endif
