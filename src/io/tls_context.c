#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdlib.h>

#include "io/ops.h"
#include "io/tls_impl.h"

/* A connection's own share of what a context says is in tls.c; here is what holds for all. */

static int openssl_problem(struct error *error, const char *what)
{
    char text[160];
    int code = tls_problem_read(NULL, text, sizeof text);
    return error_set(error, code == ERR_NOMEM ? code : ERR_INVALID, "%s: %s", what, text);
}

/* ---- certificates -------------------------------------------------------------------------- */

/* SNI: the first certificate that is made out to the name the client asks for. */
static int choose_certificate(SSL *ssl, void *arg)
{
    struct io_tls_context *context = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    for (size_t i = 0; name && i < context->identity_count; i++) {
        struct tls_identity *identity = &context->identities[i];
        if (X509_check_host(identity->leaf, name, 0, 0, NULL) != 1) continue;
        if (i == 0) return 1;
        return SSL_use_cert_and_key(ssl, identity->leaf, identity->key, identity->chain, 1);
    }
    return 1;
}

static int load_certificates(struct io_tls_context *context, const struct io_tls_options *options,
                             struct error *error)
{
    if (options->server && !options->certificate_count)
        return error_set(error, ERR_INVALID, "a TLS server needs a certificate and its key");
    if (options->certificate_count > IO_TLS_CERTIFICATES_MAX)
        return error_set(error, ERR_TOO_BIG, "at most %d certificates", IO_TLS_CERTIFICATES_MAX);
    if (!options->certificate_count) return 0;
    context->identities = calloc(options->certificate_count, sizeof *context->identities);
    if (!context->identities) return error_set(error, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    for (size_t i = 0; i < options->certificate_count; i++) {
        int err = tls_identity_load(context->io, &options->certificates[i], &context->identities[i],
                                    error);
        if (err) return err;
        context->identity_count++;
    }
    struct tls_identity *first = &context->identities[0];
    if (!SSL_CTX_use_cert_and_key(context->ssl, first->leaf, first->key, first->chain, 1)) {
        error_at(error, options->certificates[0].certificate_file, 0, 0);
        return openssl_problem(error, "cannot be used");
    }
    if (options->server) SSL_CTX_set_cert_cb(context->ssl, choose_certificate, context);
    return 0;
}

/* ---- trust --------------------------------------------------------------------------------- */

static int trust(struct io_tls_context *context, const char *path, struct error *error)
{
    STACK_OF(X509) * authorities;
    int err = tls_certificates_load(context->io, path, &authorities, error);
    if (err) return err;
    X509_STORE *store = SSL_CTX_get_cert_store(context->ssl);
    for (int i = 0; !err && i < sk_X509_num(authorities); i++) {
        X509 *authority = sk_X509_value(authorities, i);
        if (!X509_STORE_add_cert(store, authority) ||
            (context->server && !SSL_CTX_add_client_CA(context->ssl, authority)))
            err = openssl_problem(error, "cannot be used");
    }
    if (err) error_at(error, path, 0, 0);
    sk_X509_pop_free(authorities, X509_free);
    return err;
}

static int set_verification(struct io_tls_context *context, const struct io_tls_options *options,
                            struct error *error)
{
    enum io_tls_verify verify = options->verify;
    if (verify == IO_TLS_VERIFY_DEFAULT)
        verify = options->server ? IO_TLS_VERIFY_NONE : IO_TLS_VERIFY_REQUIRED;
    int mode = SSL_VERIFY_PEER;
    if (verify == IO_TLS_VERIFY_NONE) mode = SSL_VERIFY_NONE;
    if (verify == IO_TLS_VERIFY_REQUIRED && options->server)
        mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
    SSL_CTX_set_verify(context->ssl, mode, NULL);
    if (options->ca_file) return trust(context, options->ca_file, error);
    if (verify == IO_TLS_VERIFY_NONE) return 0;
    if (options->server) {
        error_remedy(error, "Name the file with the certificate of who signs clients'.");
        return error_set(error, ERR_INVALID,
                         "certificates of clients are to be verified, "
                         "but nobody is trusted to sign them");
    }
    if (SSL_CTX_set_default_verify_paths(context->ssl)) return 0;
    return openssl_problem(error, "the system's certificates");
}

/* ---- ALPN ---------------------------------------------------------------------------------- */

static int choose_protocol(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                           const unsigned char *offered, unsigned offered_len, void *arg)
{
    struct io_tls_context *context = arg;
    unsigned char *chosen;
    int result = SSL_select_next_proto(&chosen, ret_len, (unsigned char *)context->alpn,
                                       (unsigned)context->alpn_len, offered, offered_len);
    if (result != OPENSSL_NPN_NEGOTIATED) return SSL_TLSEXT_ERR_NOACK;
    *ret = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static int set_alpn(struct io_tls_context *context, const char *const *names, struct error *error)
{
    if (!names || !names[0]) return 0;
    for (size_t i = 0; names[i]; i++) {
        size_t len = strlen(names[i]);
        if (!len || len > 255 || i >= IO_TLS_ALPN_MAX)
            return error_set(error, ERR_INVALID, "'%s' cannot be offered by ALPN", names[i]);
        context->alpn[context->alpn_len] = (char)len;
        memcpy(context->alpn + context->alpn_len + 1, names[i], len);
        context->alpn_len += 1 + len;
    }
    if (context->server)
        SSL_CTX_set_alpn_select_cb(context->ssl, choose_protocol, context);
    else if (SSL_CTX_set_alpn_protos(context->ssl, (unsigned char *)context->alpn,
                                     (unsigned)context->alpn_len))
        return error_set(error, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    return 0;
}

/* ---- sessions ------------------------------------------------------------------------------ */

static int new_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *tls = SSL_get_app_data(ssl);
    if (!tls || !tls->host) return 0;
    tls_sessions_keep(&tls->context->sessions, tls->host, session);
    return 1;
}

/* A server keeps nothing: what a client may resume with is in the ticket. One ticket is enough for
 * a client that keeps one session per server. */
static void set_sessions(struct io_tls_context *context, bool resumption)
{
    static const unsigned char name[] = "dure";
    SSL_CTX_set_session_id_context(context->ssl, name, sizeof name - 1);
    SSL_CTX_set_num_tickets(context->ssl, resumption);
    if (!resumption) SSL_CTX_set_options(context->ssl, SSL_OP_NO_TICKET);
    if (context->server || !resumption) {
        SSL_CTX_set_session_cache_mode(context->ssl, SSL_SESS_CACHE_OFF);
        return;
    }
    SSL_CTX_set_session_cache_mode(context->ssl,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context->ssl, new_session);
}

/* ---- policy -------------------------------------------------------------------------------- */

static int set_policy(SSL_CTX *ssl, const struct io_tls_options *options, struct error *error)
{
    int lowest = options->tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION;
    SSL_CTX_set_options(ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ssl, SSL_MODE_RELEASE_BUFFERS);
    if (!SSL_CTX_set_min_proto_version(ssl, lowest)) return openssl_problem(error, "TLS version");
    if (options->ciphers && !SSL_CTX_set_cipher_list(ssl, options->ciphers))
        return openssl_problem(error, "ciphers");
    if (options->cipher_suites && !SSL_CTX_set_ciphersuites(ssl, options->cipher_suites))
        return openssl_problem(error, "cipher suites");
    if (options->groups && !SSL_CTX_set1_groups_list(ssl, options->groups))
        return openssl_problem(error, "groups");
    return 0;
}

/* ---- life ---------------------------------------------------------------------------------- */

static int set_up(struct io_tls_context *context, const struct io_tls_options *options,
                  struct error *error)
{
    ERR_clear_error();
    context->ssl = SSL_CTX_new(options->server ? TLS_server_method() : TLS_client_method());
    context->bio = tls_bio_method();
    if (!context->ssl || !context->bio)
        return error_set(error, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    int err = set_policy(context->ssl, options, error);
    if (!err) err = load_certificates(context, options, error);
    if (!err) err = set_verification(context, options, error);
    if (!err) err = set_alpn(context, options->alpn, error);
    if (!err) set_sessions(context, !options->no_resumption);
    return err;
}

int io_tls_context_new(struct io *io, const struct io_tls_options *options,
                       struct io_tls_context **ret_context, struct error *error)
{
    struct io_tls_context *context = calloc(1, sizeof *context);
    if (!context) return error_set(error, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    context->io = io;
    context->refs = 1;
    context->server = options->server;
    int err = set_up(context, options, error);
    if (err)
        io_tls_context_unref(context);
    else
        *ret_context = context;
    return err;
}

struct io_tls_context *io_tls_context_ref(struct io_tls_context *context)
{
    context->refs++;
    return context;
}

void io_tls_context_unref(struct io_tls_context *context)
{
    if (!context || --context->refs) return;
    tls_sessions_release(&context->sessions);
    for (size_t i = 0; i < context->identity_count; i++)
        tls_identity_release(&context->identities[i]);
    free(context->identities);
    SSL_CTX_free(context->ssl);
    BIO_meth_free(context->bio);
    free(context);
}

int64_t io_tls_context_expiry(const struct io_tls_context *context)
{
    struct tm end = {0};
    if (!context->identity_count) return INT64_MAX;
    if (!ASN1_TIME_to_tm(X509_get0_notAfter(context->identities[0].leaf), &end)) return 0;
    return timegm(&end);
}
