#include "sdk/src/secure.h"

#include "base/err.h"
#include "wire/nats_creds.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

enum { STEP = 16 * 1024 };

struct secure_session {
    SSL_CTX *context;
    SSL *ssl; /* owns its two memory BIOs */
    BIO *in, *out;
};

static int explain(int err, const char *what, char ret_why[SECURE_WHY])
{
    unsigned long code = ERR_get_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    snprintf(ret_why, SECURE_WHY, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
    ERR_clear_error();
    return err;
}

/* ---- TLS ---------------------------------------------------------------------------------- */

static void session_free(struct secure_session *session)
{
    if (!session) return;
    SSL_free(session->ssl);
    SSL_CTX_free(session->context);
    free(session);
}

static int load(SSL_CTX *context, const struct secure_files *files, char ret_why[SECURE_WHY])
{
    int ok = files->ca ? SSL_CTX_load_verify_locations(context, files->ca, NULL)
                       : SSL_CTX_set_default_verify_paths(context);
    if (ok != 1) return explain(ERR_INVALID, "cannot read the authorities' file", ret_why);
    if (files->cert && SSL_CTX_use_certificate_chain_file(context, files->cert) != 1)
        return explain(ERR_INVALID, "cannot read the certificate's file", ret_why);
    if (files->key && SSL_CTX_use_PrivateKey_file(context, files->key, SSL_FILETYPE_PEM) != 1)
        return explain(ERR_INVALID, "cannot use the key's file", ret_why);
    return 0;
}

/* The name or address in the certificate must be the one that was asked for. */
static bool expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1) return true;
    ERR_clear_error();
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

static int session_new(const struct secure_files *files, const char *host,
                       struct secure_session **ret_session, char ret_why[SECURE_WHY])
{
    struct secure_session *session = calloc(1, sizeof *session);
    if (!session) return explain(ERR_NOMEM, "out of memory", ret_why);
    session->context = SSL_CTX_new(TLS_client_method());
    if (!session->context) {
        session_free(session);
        return explain(ERR_NOMEM, "out of memory", ret_why);
    }
    SSL_CTX_set_min_proto_version(session->context, TLS1_2_VERSION);
    SSL_CTX_set_verify(session->context, SSL_VERIFY_PEER, NULL);
    int err = load(session->context, files, ret_why);
    if (!err) {
        session->ssl = SSL_new(session->context);
        session->in = BIO_new(BIO_s_mem());
        session->out = BIO_new(BIO_s_mem());
        if (session->ssl && session->in && session->out) {
            SSL_set_bio(session->ssl, session->in, session->out);
            SSL_set_connect_state(session->ssl);
            if (!expect_host(session->ssl, host))
                err = explain(ERR_INVALID, "cannot check this name", ret_why);
        } else {
            BIO_free(session->in);
            BIO_free(session->out);
            err = explain(ERR_NOMEM, "out of memory", ret_why);
        }
    }
    if (err) {
        session_free(session);
        return err;
    }
    *ret_session = session;
    return 0;
}

/* 0: it only wants more bytes. */
static int judge(struct secure_session *session, int result, char ret_why[SECURE_WHY])
{
    int error = SSL_get_error(session->ssl, result);
    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return 0;
    if (error == SSL_ERROR_ZERO_RETURN) return explain(ERR_PROTOCOL, "closed", ret_why);
    long verified = SSL_get_verify_result(session->ssl);
    if (verified != X509_V_OK) {
        ERR_clear_error();
        snprintf(ret_why, SECURE_WHY, "the server's certificate: %s",
                 X509_verify_cert_error_string(verified));
        return ERR_PROTOCOL;
    }
    return explain(ERR_PROTOCOL, "TLS", ret_why);
}

static int read_plain(struct secure_session *session, struct buf *plain_in,
                      char ret_why[SECURE_WHY])
{
    for (;;) {
        char *room = buf_reserve(plain_in, STEP);
        if (!room) return explain(ERR_PROTOCOL, "too much at once", ret_why);
        int got = SSL_read(session->ssl, room, STEP);
        if (got <= 0) return judge(session, got, ret_why);
        buf_commit(plain_in, (size_t)got);
    }
}

static int write_plain(struct secure_session *session, struct buf *plain_out,
                       char ret_why[SECURE_WHY])
{
    while (SSL_is_init_finished(session->ssl) && buf_len(plain_out)) {
        struct bytes rest = bytes_head(buf_bytes(plain_out), STEP);
        int sent = SSL_write(session->ssl, rest.data, (int)rest.len);
        if (sent <= 0) return judge(session, sent, ret_why);
        buf_consume(plain_out, (size_t)sent);
    }
    return 0;
}

static int step(struct secure_session *session, struct buf *wire_in, struct buf *plain_in,
                struct buf *plain_out, struct buf *wire_out, char ret_why[SECURE_WHY])
{
    while (buf_len(wire_in)) {
        struct bytes rest = bytes_head(buf_bytes(wire_in), STEP);
        int took = BIO_write(session->in, rest.data, (int)rest.len);
        if (took <= 0) return explain(ERR_PROTOCOL, "out of memory", ret_why);
        buf_consume(wire_in, (size_t)took);
    }
    ERR_clear_error();
    int err = read_plain(session, plain_in, ret_why);
    if (!err) err = write_plain(session, plain_out, ret_why);
    for (;;) {
        char *room = buf_reserve(wire_out, STEP);
        int got = room ? BIO_read(session->out, room, STEP) : 0;
        if (got <= 0) break;
        buf_commit(wire_out, (size_t)got);
    }
    return err;
}

/* ---- keys --------------------------------------------------------------------------------- */

static int prove(struct bytes text, struct bytes nonce, struct nats_connect *ret_connect)
{
    struct nats_creds creds;
    struct nkey key;
    char name[NKEY_TEXT + 1];
    int err = nats_creds_parse(text, &creds);
    if (!err) err = nkey_public(&creds.key, &key);
    if (!err && nonce.len) err = nats_creds_sign(&creds, nonce, ret_connect->signature);
    explicit_bzero(&creds.key, sizeof creds.key);
    if (err) return err;
    nkey_write(&key, name);
    memcpy(ret_connect->nkey, name, sizeof name);
    ret_connect->jwt = creds.jwt;
    return 0;
}

_Static_assert((int)NATS_SIGNATURE_TEXT < (int)NATS_CREDENTIAL_MAX, "a signature fits");
_Static_assert((int)NKEY_TEXT < (int)NATS_NAME_MAX, "a key fits");

/* ---- digests ------------------------------------------------------------------------------ */

static struct secure_digest *digest_new(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1)
        return (struct secure_digest *)context;
    EVP_MD_CTX_free(context);
    return NULL;
}

static void digest_add(struct secure_digest *digest, struct bytes bytes)
{
    int ok = EVP_DigestUpdate((EVP_MD_CTX *)digest, bytes.data, bytes.len);
    assert(ok == 1); /* it takes no memory */
}

static void digest_end(struct secure_digest *digest, uint8_t ret_hash[SECURE_SHA256])
{
    int ok = EVP_DigestFinal_ex((EVP_MD_CTX *)digest, ret_hash, NULL);
    assert(ok == 1);
    EVP_MD_CTX_free((EVP_MD_CTX *)digest);
}

const struct secure dure_secure = {
    .session_new = session_new,
    .session_free = session_free,
    .step = step,
    .prove = prove,
    .digest_new = digest_new,
    .digest_add = digest_add,
    .digest_end = digest_end,
};
