/* nats_creds: the file that a NATS client proves with who it is: a user's JWT, and the seed of the
 * user's key, each between lines of dashes (nsc writes it, clients read it). Pure. */
#ifndef DURE_WIRE_NATS_CREDS_H
#define DURE_WIRE_NATS_CREDS_H

#include "wire/nkey.h"

struct nats_creds {
    struct bytes jwt;  /* empty: none, an nkey alone */
    struct bytes seed; /* as text */
    struct nkey key;   /* the seed, a secret */
};

/* The views point into `text`. A text without any line of dashes is taken for a seed alone, as nsc
 * writes to .nk files. ERR_SYNTAX: no seed of a user, or a JWT that is not ended. */
int nats_creds_parse(struct bytes text, struct nats_creds *ret_creds);

/* Answers a server's nonce: the signature in base64url without padding, and a NUL. ERR_NOMEM. */
enum { NATS_SIGNATURE_TEXT = 86 };
int nats_creds_sign(const struct nats_creds *creds, struct bytes nonce,
                    char ret_text[NATS_SIGNATURE_TEXT + 1]);

#endif
