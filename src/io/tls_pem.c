#include <openssl/err.h>
#include <openssl/pem.h>

#include "io/tls_impl.h"

enum { FILE_MAX = 4 << 20 };

/* The whole file as OpenSSL reads it. */
static int open_file(struct io *io, const char *path, BIO **ret_bio, struct error *error)
{
    struct io_file file;
    struct buf content;
    buf_init(&content, FILE_MAX);
    int64_t got = io_file_open(io, &file, path, IO_READ);
    if (got == 0) {
        int64_t size = io_file_size(&file);
        char *to = size >= 0 ? buf_reserve(&content, (size_t)size + 1) : NULL;
        got = size < 0 ? size : to ? io_file_read(&file, to, (size_t)size, 0) : ERR_TOO_BIG;
        if (got > 0) buf_commit(&content, (size_t)got);
        io_file_close(&file);
    }
    *ret_bio = NULL;
    if (got >= 0) {
        struct bytes bytes = buf_bytes(&content);
        *ret_bio = BIO_new(BIO_s_mem());
        if (!*ret_bio || (bytes.len && BIO_write(*ret_bio, bytes.data, (int)bytes.len) < 0))
            got = ERR_NOMEM;
    }
    if (content.data) OPENSSL_cleanse(content.data, content.size); /* it may be a key */
    buf_release(&content);
    if (got >= 0) return 0;
    BIO_free(*ret_bio);
    error_at(error, path, 0, 0);
    return error_set(error, (int)got, "cannot be read: %s", err_text((int)got));
}

/* An encrypted key is refused instead of asking a terminal. */
static int no_password(char *buf, int size, int writing, void *context)
{
    *(bool *)context = true;
    return -1;
}

static int bad_file(const char *path, struct error *error, const char *what)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    int code =
        error_set(error, ERR_INVALID, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
    error_at(error, path, 0, 0);
    ERR_clear_error();
    return code;
}

/* Behind the last certificate OpenSSL complains that there is no more; anything else is a fault. */
static bool read_all(BIO *bio, STACK_OF(X509) * certificates)
{
    X509 *certificate;
    while ((certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        if (sk_X509_push(certificates, certificate) > 0) continue;
        X509_free(certificate);
        return false;
    }
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) return false;
    ERR_clear_error();
    return sk_X509_num(certificates) > 0;
}

int tls_certificates_load(struct io *io, const char *path, STACK_OF(X509) * *ret_certificates,
                          struct error *error)
{
    BIO *bio;
    int err = open_file(io, path, &bio, error);
    if (err) return err;
    STACK_OF(X509) *certificates = sk_X509_new_null();
    ERR_clear_error();
    if (!certificates) {
        err = error_set(error, ERR_NOMEM, "%s", err_text(ERR_NOMEM));
    } else if (!read_all(bio, certificates)) {
        sk_X509_pop_free(certificates, X509_free);
        err = bad_file(path, error, "holds no certificate in PEM form");
    } else {
        *ret_certificates = certificates;
    }
    BIO_free(bio);
    return err;
}

static int load_key(struct io *io, const char *path, EVP_PKEY **ret_key, struct error *error)
{
    BIO *bio;
    bool encrypted = false;
    int err = open_file(io, path, &bio, error);
    if (err) return err;
    ERR_clear_error();
    *ret_key = PEM_read_bio_PrivateKey(bio, NULL, no_password, &encrypted);
    BIO_free(bio);
    if (*ret_key) return 0;
    if (!encrypted) return bad_file(path, error, "holds no private key in PEM form");
    ERR_clear_error();
    return bad_file(path, error, "holds a private key that is encrypted");
}

int tls_identity_load(struct io *io, const struct io_tls_certificate *files,
                      struct tls_identity *ret_identity, struct error *error)
{
    struct tls_identity identity = {0};
    int err = tls_certificates_load(io, files->certificate_file, &identity.chain, error);
    if (err) return err;
    identity.leaf = sk_X509_shift(identity.chain);
    err = load_key(io, files->key_file, &identity.key, error);
    if (!err && !X509_check_private_key(identity.leaf, identity.key)) {
        ERR_clear_error();
        err = error_set(error, ERR_INVALID, "is not the key of the certificate in %s",
                        files->certificate_file);
        error_at(error, files->key_file, 0, 0);
    }
    if (err)
        tls_identity_release(&identity);
    else
        *ret_identity = identity;
    return err;
}

void tls_identity_release(struct tls_identity *identity)
{
    X509_free(identity->leaf);
    sk_X509_pop_free(identity->chain, X509_free);
    EVP_PKEY_free(identity->key);
    *identity = (struct tls_identity){0};
}
