/* What is asked of an encrypted stream: what was agreed on, who the peer is, why it failed. */
#include <openssl/x509v3.h>

#include "io/tls_impl.h"

bool io_tls_used(const struct io_stream *stream)
{
    return tls_of(stream) != NULL;
}

const char *io_tls_problem(const struct io_stream *stream)
{
    const struct tls *tls = tls_of(stream);
    return tls && tls->problem ? tls->problem : "";
}

static bool peer_verified(const struct tls *tls)
{
    return SSL_get0_peer_certificate(tls->ssl) && SSL_get_verify_result(tls->ssl) == X509_V_OK;
}

int io_tls_info(const struct io_stream *stream, struct io_tls_info *ret_info)
{
    const struct tls *tls = tls_of(stream);
    if (!tls || !tls->established) return ERR_INVALID;
    const unsigned char *alpn = NULL;
    unsigned alpn_len = 0;
    SSL_get0_alpn_selected(tls->ssl, &alpn, &alpn_len);
    *ret_info = (struct io_tls_info){
        .version = SSL_get_version(tls->ssl),
        .cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(tls->ssl)),
        .server_name = SSL_get_servername(tls->ssl, TLSEXT_NAMETYPE_host_name),
        .alpn = bytes_make(alpn, alpn_len),
        .resumed = SSL_session_reused(tls->ssl),
        .peer_verified = peer_verified(tls),
    };
    return 0;
}

static int alternative_name(const GENERAL_NAME *name, enum io_tls_name_kind *ret_kind,
                            struct bytes *ret_text)
{
    int type;
    const ASN1_STRING *text = GENERAL_NAME_get0_value(name, &type);
    switch (type) {
    case GEN_EMAIL: *ret_kind = IO_TLS_NAME_EMAIL; break;
    case GEN_DNS: *ret_kind = IO_TLS_NAME_DNS; break;
    case GEN_URI: *ret_kind = IO_TLS_NAME_URI; break;
    default: return ERR_UNSUPPORTED;
    }
    *ret_text = bytes_make(ASN1_STRING_get0_data(text), (size_t)ASN1_STRING_length(text));
    return 0;
}

int io_tls_peer_names(const struct io_stream *stream,
                      int (*each)(void *context, enum io_tls_name_kind kind, struct bytes name),
                      void *context)
{
    const struct tls *tls = tls_of(stream);
    if (!tls || !tls->established || !peer_verified(tls)) return ERR_NOT_FOUND;
    X509 *peer = SSL_get0_peer_certificate(tls->ssl);
    GENERAL_NAMES *names = X509_get_ext_d2i(peer, NID_subject_alt_name, NULL, NULL);
    enum io_tls_name_kind kind;
    struct bytes text;
    int result = 0;
    for (int i = 0; !result && i < sk_GENERAL_NAME_num(names); i++)
        if (!alternative_name(sk_GENERAL_NAME_value(names, i), &kind, &text))
            result = each(context, kind, text);
    GENERAL_NAMES_free(names);
    BIO *bio = result ? NULL : BIO_new(BIO_s_mem());
    char *subject;
    if (bio && X509_NAME_print_ex(bio, X509_get_subject_name(peer), 0, XN_FLAG_RFC2253) >= 0) {
        long len = BIO_get_mem_data(bio, &subject);
        result = each(context, IO_TLS_NAME_SUBJECT, bytes_make(subject, (size_t)len));
    }
    BIO_free(bio);
    return result;
}

int io_tls_looks_like(struct bytes head)
{
    static const char handshake = 22, major = 3, newest_minor = 4;
    if (!head.len) return ERR_EOF;
    if (head.data[0] != handshake) return 0;
    if (head.len < 2) return ERR_EOF;
    if (head.data[1] != major) return 0;
    if (head.len < 3) return ERR_EOF;
    return head.data[2] >= 0 && head.data[2] <= newest_minor;
}
