#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "io/tls_impl.h"

/* Alerts in which the peer refuses our certificate, or asks for one (RFC 8446 section 6.2). */
static bool refuses_certificate(int alert)
{
    switch (alert) {
    case SSL3_AD_NO_CERTIFICATE:
    case SSL3_AD_BAD_CERTIFICATE:
    case SSL3_AD_UNSUPPORTED_CERTIFICATE:
    case SSL3_AD_CERTIFICATE_REVOKED:
    case SSL3_AD_CERTIFICATE_EXPIRED:
    case SSL3_AD_CERTIFICATE_UNKNOWN:
    case TLS1_AD_UNKNOWN_CA:
    case TLS1_AD_ACCESS_DENIED:
    case TLS13_AD_CERTIFICATE_REQUIRED: return true;
    default: return false;
    }
}

static int alert_problem(int alert, char *text, size_t size)
{
    snprintf(text, size, "the peer says: %s", SSL_alert_desc_string_long(alert));
    return refuses_certificate(alert) ? ERR_DENIED : ERR_PROTOCOL;
}

int tls_problem_read(const SSL *ssl, char *text, size_t size)
{
    unsigned long code = ERR_peek_last_error();
    int reason = ERR_GET_REASON(code), result = ERR_PROTOCOL;
    long verified = ssl ? SSL_get_verify_result(ssl) : X509_V_OK;
    ERR_clear_error();
    if (ERR_GET_LIB(code) != ERR_LIB_SSL) {
        const char *what = ERR_reason_error_string(code);
        snprintf(text, size, "%s", what ? what : "not TLS");
        return reason == ERR_R_MALLOC_FAILURE ? ERR_NOMEM : result;
    }
    if (reason == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK) {
        snprintf(text, size, "the peer's certificate: %s", X509_verify_cert_error_string(verified));
        return ERR_DENIED;
    }
    if (reason == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE) {
        snprintf(text, size, "the peer has shown no certificate");
        return ERR_DENIED;
    }
    if (reason >= SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256)
        return alert_problem(reason - SSL_AD_REASON_OFFSET, text, size);
    if (reason == ERR_R_MALLOC_FAILURE) result = ERR_NOMEM;
    const char *what = ERR_reason_error_string(code);
    snprintf(text, size, "%s", what ? what : "not TLS");
    return result;
}
