/* tls: TLS 1.2 and 1.3 (OpenSSL) in a stream that is open already, as server or as client.
 *
 * A stream becomes encrypted where it is: after io_tls_start() has completed, io_recv, io_send,
 * io_shutdown and io_close on the same struct io_stream carry the clear text, with the same
 * completions as before, and who uses the stream need not know. What was said on it before the
 * start was clear text; bytes of the handshake that were read along with that are handed over.
 *
 *     io_connect(io, &stream, &addr, connected);
 *     connected:  io_tls_start(&stream, &(struct io_tls_start){context, "bus.example"}, secured);
 *     secured:    result 0: io_send(&stream, ...) is encrypted;
 *                 else:     io_tls_problem(&stream) says why to a person; io_close(&stream, ...)
 *
 * What is particular to an encrypted stream
 *   - io_recv gives 0 only after the peer has said that this is the end (close_notify); without
 *     that word the end is ERR_RESET, because anybody on the way can cut a connection short.
 *   - ERR_PROTOCOL: what came is not TLS, or was changed on the way. ERR_DENIED: a certificate was
 *     refused, by us or by the peer.
 *   - io_shutdown says close_notify and ends the sending direction; receiving goes on. io_close
 *     says it too when the kernel takes it at once.
 *   - A stream that waits holds no buffers, only what OpenSSL keeps of a session (some KiB).
 *
 * Works on any stream of io: sockets, Unix sockets, and the simulated network. */
#ifndef DURE_IO_TLS_H
#define DURE_IO_TLS_H

#include "io/io.h"

/* ---- contexts: certificates, trust and policy ---------------------------------------------- */

struct io_tls_context;

/* A chain (the leaf first) and its private key, both PEM. */
struct io_tls_certificate {
    const char *certificate_file, *key_file;
};

enum io_tls_verify {
    IO_TLS_VERIFY_DEFAULT, /* a client requires a good certificate, a server asks for none */
    IO_TLS_VERIFY_NONE,    /* a client takes any certificate: the peer may be anybody */
    IO_TLS_VERIFY_GIVEN,   /* a server asks; a client that has none may come in, a bad one not */
    IO_TLS_VERIFY_REQUIRED /* a server refuses a client without a good certificate */
};

enum { IO_TLS_CERTIFICATES_MAX = 64, IO_TLS_ALPN_MAX = 8 };

struct io_tls_options {
    bool server; /* else of a client */

    /* A server needs at least one. It shows the first that is made out to the name the client asks
     * for (SNI), or else the first. A client shows its only one, if any, when it is asked. */
    const struct io_tls_certificate *certificates;
    size_t certificate_count;

    const char *ca_file; /* PEM: whose certificates are good; NULL: the system's (of a client) */
    enum io_tls_verify verify;

    /* Protocols, the best first, ended by NULL; NULL: ALPN is not used. A server chooses its best
     * one of those the client knows; when there is none, the connection goes on without. */
    const char *const *alpn;

    bool no_resumption;        /* no session tickets: each connection shakes hands in full */
    bool tls13_only;           /* else from TLS 1.2 on */
    const char *ciphers;       /* of TLS 1.2, as OpenSSL names them; NULL: its secure ones */
    const char *cipher_suites; /* of TLS 1.3; NULL: all */
    const char *groups;        /* key exchange; NULL: OpenSSL's */
};

/* Reads the files (blocking, through `io`: at the start of the program or in a job's place) and
 * checks that they fit together. The options' strings are not kept. ERR_NOMEM, or the error of a
 * file that cannot be read, ERR_INVALID for one that holds no certificate or key, a key of another
 * certificate, unknown ciphers: `error` names file and reason. */
int io_tls_context_new(struct io *io, const struct io_tls_options *options,
                       struct io_tls_context **ret_context, struct error *error);

/* A context is counted, by its owner and by each stream that uses it; so it can be replaced (new
 * certificates) while connections live on. It belongs to one loop. NULL is allowed for unref. */
struct io_tls_context *io_tls_context_ref(struct io_tls_context *context);
void io_tls_context_unref(struct io_tls_context *context);

/* When the certificate shown first (and so by default) expires: seconds since 1970. */
int64_t io_tls_context_expiry(const struct io_tls_context *context);

/* ---- streams ------------------------------------------------------------------------------- */

struct io_tls_start {
    struct io_tls_context *context;
    const char *host;   /* client: the name or IP address the server's certificate must be made out
                         * to (a name is also sent as SNI); NULL: any name, no SNI */
    struct bytes early; /* bytes of the peer's that were read already; copied */
};

/* Begins the handshake on an open stream that has nothing in flight. done(stream, 0), or an error
 * after which the stream wants io_close. Takes as long as the peer does: who is impatient closes.
 * ERR_NOMEM is returned (and nothing has begun). */
int io_tls_start(struct io_stream *stream, const struct io_tls_start *start, io_stream_done *done);

/* Whether io_tls_start was called on it. */
bool io_tls_used(const struct io_stream *stream);

/* Why the handshake or the connection failed, for a person: "certificate has expired". "" when it
 * did not. Good until the stream has closed. */
const char *io_tls_problem(const struct io_stream *stream);

struct io_tls_info {
    const char *version;     /* "TLSv1.3" */
    const char *cipher;      /* as standards name it: "TLS_AES_256_GCM_SHA384" */
    const char *server_name; /* SNI that the client sent; NULL: none */
    struct bytes alpn;       /* empty: none */
    bool resumed;            /* by a session ticket */
    bool peer_verified;      /* the peer has shown a good certificate */
};

/* After the handshake. The views are good until the stream has closed. ERR_INVALID when there was
 * none. */
int io_tls_info(const struct io_stream *stream, struct io_tls_info *ret_info);

enum io_tls_name_kind {
    IO_TLS_NAME_EMAIL,
    IO_TLS_NAME_DNS,
    IO_TLS_NAME_URI,
    IO_TLS_NAME_SUBJECT /* "CN=alice,OU=shop,O=example" (RFC 2253), the last */
};

/* Calls `each` for every name in the verified certificate of the peer; `each` returns 0 to go on,
 * or another value that ends the walk and is returned. ERR_NOT_FOUND when the peer has shown no
 * good certificate. */
int io_tls_peer_names(const struct io_stream *stream,
                      int (*each)(void *context, enum io_tls_name_kind kind, struct bytes name),
                      void *context);

/* Whether these first bytes of a connection are the start of a TLS handshake: 1 yes, 0 no,
 * ERR_EOF when more are needed to tell. For ports that speak both. */
int io_tls_looks_like(struct bytes head);

#endif
