/* tls_impl: the inside of TLS. Private to src/io: tls.c (streams), tls_context.c (certificates,
 * trust, policy), tls_pem.c (files), tls_session.c (what a client resumes), tls_problem.c (why),
 * tls_info.c (what the owner asks). */
#ifndef DURE_IO_TLS_IMPL_H
#define DURE_IO_TLS_IMPL_H

#include <openssl/ssl.h>

#include "base/buf.h"
#include "io/filter.h"
#include "io/tls.h"

/* ---- tls_pem.c: what the files say ------------------------------------------------------- */

struct tls_identity {
    X509 *leaf;
    STACK_OF(X509) * chain; /* without the leaf */
    EVP_PKEY *key;
};

/* On an error nothing is held. */
int tls_identity_load(struct io *io, const struct io_tls_certificate *files,
                      struct tls_identity *ret_identity, struct error *error);
void tls_identity_release(struct tls_identity *identity);

/* All certificates of a file, at least one. */
int tls_certificates_load(struct io *io, const char *path, STACK_OF(X509) * *ret_certificates,
                          struct error *error);

/* ---- tls_session.c: a client's sessions, by the name of the server ------------------------- */

enum { TLS_SESSIONS_MAX = 16 };

struct tls_sessions {
    struct tls_session {
        char host[256];
        SSL_SESSION *session;
    } * slots; /* NULL: none was kept yet */
    unsigned next;
};

void tls_sessions_release(struct tls_sessions *sessions);

/* Takes over the session. */
void tls_sessions_keep(struct tls_sessions *sessions, const char *host, SSL_SESSION *session);

/* NULL: none. The session stays the table's. */
SSL_SESSION *tls_sessions_find(const struct tls_sessions *sessions, const char *host);

/* ---- tls_context.c ------------------------------------------------------------------------- */

struct io_tls_context {
    struct io *io;
    unsigned refs;
    SSL_CTX *ssl;
    BIO_METHOD *bio; /* between OpenSSL and the stream; see tls.c */
    bool server;
    struct tls_identity *identities;
    size_t identity_count;
    struct tls_sessions sessions;
    char alpn[IO_TLS_ALPN_MAX * 256]; /* as on the wire: a length byte before each */
    size_t alpn_len;
};

/* ---- tls.c --------------------------------------------------------------------------------- */

struct tls {
    struct io_filter filter;
    struct io_tls_context *context;
    SSL *ssl;
    char *host;        /* a client's: what it resumes sessions by; NULL: nothing */
    struct buf in;     /* came in and was not decrypted yet */
    struct bytes feed; /* what OpenSSL reads from now: all of `in`, or of the scratch buffer */
    struct buf out;    /* encrypted, to be sent next */
    struct buf flight; /* being sent */
    struct iovec flight_piece;
    struct io_task wake; /* something can be answered without waiting */
    io_stream_done *started;
    int error;        /* what broke it; 0: whole */
    bool established; /* the handshake is over */
    bool cut;         /* no more bytes come from below */
    bool finish;      /* FIN is to be sent behind what is in `out` */
    char *problem;    /* for a person; NULL: none */
};

BIO_METHOD *tls_bio_method(void);

/* NULL: the stream is in clear text. */
struct tls *tls_of(const struct io_stream *stream);

/* ---- tls_problem.c ------------------------------------------------------------------------- */

/* What went wrong in OpenSSL just now, as one of enum err; clears its queue of errors. The text is
 * written to `text`. ssl may be NULL. */
int tls_problem_read(const SSL *ssl, char *text, size_t size);

#endif
