/* secure: what needs cryptography: TLS, signatures of keys, digests of objects. A port, because a
 * service that is linked with libdure.a may go without OpenSSL; libdure.so and dure have it
 * (secure_openssl.c). Everything here works on bytes; the sockets are buslink's. */
#ifndef DURE_SDK_SECURE_H
#define DURE_SDK_SECURE_H

#include "wire/nats.h"

struct secure_session;
struct secure_digest;

enum { SECURE_WHY = 160, SECURE_SHA256 = 32 };

struct secure_files {
    const char *ca, *cert, *key; /* PEM; NULL: the system's, none, none */
};

struct secure {
    /* One client's side of a TLS connection to `host` (checked against the certificate). `ret_why`
     * says what is wrong with the files. ERR_INVALID, ERR_NOMEM. */
    int (*session_new)(const struct secure_files *files, const char *host,
                       struct secure_session **ret_session, char ret_why[SECURE_WHY]);
    void (*session_free)(struct secure_session *session);

    /* Moves on as far as it can: takes what came from the wire and what is to be said, and appends
     * what came plain and what is to be sent. ERR_PROTOCOL and ret_why. */
    int (*step)(struct secure_session *session, struct buf *wire_in, struct buf *plain_in,
                struct buf *plain_out, struct buf *wire_out, char ret_why[SECURE_WHY]);

    /* Answers the server's nonce with a file of credentials: fills nkey, signature and jwt of
     * `ret_connect`, whose jwt points into `creds`. ERR_SYNTAX: not such a file; ERR_NOMEM. */
    int (*prove)(struct bytes creds, struct bytes nonce, struct nats_connect *ret_connect);

    /* SHA-256 (FIPS 180-4), piece by piece. new: NULL: no memory; end also frees. */
    struct secure_digest *(*digest_new)(void);
    void (*digest_add)(struct secure_digest *digest, struct bytes bytes);
    void (*digest_end)(struct secure_digest *digest, uint8_t ret_hash[SECURE_SHA256]);
};

/* NULL address when it is not linked in. */
extern const struct secure dure_secure __attribute__((weak, visibility("default")));

#endif
