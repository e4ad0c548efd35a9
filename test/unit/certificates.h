/* certificates: authorities and certificates made at test time, so that none lies in the repository
 * and none expires there. Keys are of P-256. Aborts where OpenSSL fails. */
#ifndef DURE_TEST_CERTIFICATES_H
#define DURE_TEST_CERTIFICATES_H

#include <assert.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <stdio.h>

/* What a certificate says. */
struct certificate_spec {
    const char *common_name;
    const char *names;  /* subjectAltName: "DNS:bus.example,IP:127.0.0.1"; NULL: none */
    long from_s, for_s; /* seconds from now; for_s 0: a day */
    bool authority;
    const char *usage; /* extendedKeyUsage; NULL: none */
};

struct certificate {
    X509 *x509;
    EVP_PKEY *key;
};

static inline void certificate_extend(X509 *x509, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    assert(extension);
    int added = X509_add_ext(x509, extension, -1);
    assert(added);
    X509_EXTENSION_free(extension);
}

/* issuer NULL: signs itself. */
static inline struct certificate certificate_make(const struct certificate_spec *spec,
                                                  const struct certificate *issuer)
{
    static long serial;
    struct certificate made = {X509_new(), EVP_EC_gen("P-256")};
    assert(made.x509 && made.key);
    const struct certificate *signer = issuer ? issuer : &made;
    X509_set_version(made.x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(made.x509), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made.x509), spec->from_s - 60);
    X509_gmtime_adj(X509_getm_notAfter(made.x509),
                    spec->from_s + (spec->for_s ? spec->for_s : 24 * 3600));
    X509_NAME *name = X509_get_subject_name(made.x509);
    X509_NAME_add_entry_by_txt(name, "O", MBSTRING_UTF8, (const unsigned char *)"dure test", -1, -1,
                               0);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)spec->common_name,
                               -1, -1, 0);
    X509_set_issuer_name(made.x509, X509_get_subject_name(signer->x509));
    X509_set_pubkey(made.x509, made.key);
    certificate_extend(made.x509, signer->x509, NID_basic_constraints,
                       spec->authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
    if (spec->names) certificate_extend(made.x509, signer->x509, NID_subject_alt_name, spec->names);
    if (spec->usage) certificate_extend(made.x509, signer->x509, NID_ext_key_usage, spec->usage);
    int signed_bytes = X509_sign(made.x509, signer->key, EVP_sha256());
    assert(signed_bytes > 0);
    return made;
}

static inline void certificate_free(struct certificate *certificate)
{
    X509_free(certificate->x509);
    EVP_PKEY_free(certificate->key);
    *certificate = (struct certificate){0};
}

/* The certificate, and behind it those of `chain` (may be NULL), to one file. */
static inline void certificate_write(const struct certificate *certificate,
                                     const struct certificate *chain, const char *path)
{
    FILE *file = fopen(path, "w");
    assert(file);
    PEM_write_X509(file, certificate->x509);
    if (chain) PEM_write_X509(file, chain->x509);
    fclose(file);
}

static inline void certificate_write_key(const struct certificate *certificate, const char *path)
{
    FILE *file = fopen(path, "w");
    assert(file);
    PEM_write_PrivateKey(file, certificate->key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
}

#endif
