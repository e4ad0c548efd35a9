#include "wire/nkey.h"

#include <openssl/evp.h>

enum { PREFIX_SEED = 18 << 3, RAW_MAX = 2 + NKEY_SIZE + 2 };

/* The first five bits of a prefix are the letter in base32; the other three are 0. */
static const uint8_t prefixes[] = {
    [NKEY_ACCOUNT] = 0,        [NKEY_CLUSTER] = 2 << 3, [NKEY_SERVER] = 13 << 3,
    [NKEY_OPERATOR] = 14 << 3, [NKEY_USER] = 20 << 3,
};

/* CRC-16/XMODEM: polynomial 0x1021, from 0. */
static uint16_t checksum(const uint8_t *data, size_t len)
{
    uint32_t crc = 0;
    for (size_t i = 0; i < len; i++) {
        crc ^= (uint32_t)data[i] << 8;
        for (int bit = 0; bit < 8; bit++) crc = crc & 0x8000 ? crc << 1 ^ 0x1021 : crc << 1;
    }
    return (uint16_t)crc;
}

/* RFC 4648 section 6, without padding; what is left of the last character must be 0. */
static bool base32_decode(struct bytes text, uint8_t *ret, size_t size)
{
    uint32_t bits = 0;
    unsigned count = 0;
    size_t len = 0;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c >= 'A' && c <= 'Z')
            bits = bits << 5 | (uint32_t)(c - 'A');
        else if (c >= '2' && c <= '7')
            bits = bits << 5 | (uint32_t)(c - '2' + 26);
        else
            return false;
        count += 5;
        if (count < 8) continue;
        count -= 8;
        if (len == size) return false;
        ret[len++] = (uint8_t)(bits >> count);
    }
    return len == size && (bits & ((1u << count) - 1)) == 0;
}

static void base32_encode(const uint8_t *data, size_t len, char *ret_text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint32_t bits = 0;
    unsigned count = 0;
    for (size_t i = 0; i < len; i++) {
        bits = bits << 8 | data[i];
        count += 8;
        while (count >= 5) {
            count -= 5;
            *ret_text++ = letters[bits >> count & 31];
        }
    }
    if (count) *ret_text++ = letters[bits << (5 - count) & 31];
    *ret_text = '\0';
}

static bool find_kind(uint8_t prefix, enum nkey_kind *ret_kind)
{
    for (size_t i = 0; i < sizeof prefixes; i++) {
        if (prefixes[i] != prefix) continue;
        *ret_kind = (enum nkey_kind)i;
        return true;
    }
    return false;
}

/* `head` prefix bytes, the key, the check sum. */
static bool unwrap(struct bytes text, size_t head, uint8_t raw[RAW_MAX], struct nkey *ret_key)
{
    size_t len = head + NKEY_SIZE;
    if (!base32_decode(text, raw, len + 2)) return false;
    if (checksum(raw, len) != (raw[len] | raw[len + 1] << 8)) return false;
    memcpy(ret_key->bytes, raw + head, NKEY_SIZE);
    return true;
}

static void wrap(uint8_t *raw, size_t head, const struct nkey *key, char *ret_text)
{
    size_t len = head + NKEY_SIZE;
    memcpy(raw + head, key->bytes, NKEY_SIZE);
    uint16_t crc = checksum(raw, len);
    raw[len] = (uint8_t)crc;
    raw[len + 1] = (uint8_t)(crc >> 8);
    base32_encode(raw, len + 2, ret_text);
}

int nkey_parse(struct bytes text, struct nkey *ret_key)
{
    uint8_t raw[RAW_MAX];
    if (text.len != NKEY_TEXT || !unwrap(text, 1, raw, ret_key)) return ERR_SYNTAX;
    return find_kind(raw[0], &ret_key->kind) ? 0 : ERR_SYNTAX;
}

/* The prefix of a seed has the prefix of its kind behind its own five bits. */
int nkey_parse_seed(struct bytes text, struct nkey *ret_seed)
{
    uint8_t raw[RAW_MAX];
    if (text.len != NKEY_SEED_TEXT || !unwrap(text, 2, raw, ret_seed)) return ERR_SYNTAX;
    uint8_t kind = (uint8_t)((raw[0] & 7) << 5 | raw[1] >> 3);
    if ((raw[0] & 0xf8) != PREFIX_SEED || raw[1] & 7) return ERR_SYNTAX;
    return find_kind(kind, &ret_seed->kind) ? 0 : ERR_SYNTAX;
}

void nkey_write(const struct nkey *key, char ret_text[NKEY_TEXT + 1])
{
    uint8_t raw[RAW_MAX] = {prefixes[key->kind]};
    wrap(raw, 1, key, ret_text);
}

void nkey_write_seed(const struct nkey *seed, char ret_text[NKEY_SEED_TEXT + 1])
{
    uint8_t kind = prefixes[seed->kind];
    uint8_t raw[RAW_MAX] = {(uint8_t)(PREFIX_SEED | kind >> 5), (uint8_t)((kind & 31) << 3)};
    wrap(raw, 2, seed, ret_text);
    OPENSSL_cleanse(raw, sizeof raw);
}

bool nkey_is(struct bytes text, enum nkey_kind kind)
{
    struct nkey key;
    return nkey_parse(text, &key) == 0 && key.kind == kind;
}

/* ---- Ed25519 -------------------------------------------------------------------------------- */

int nkey_public(const struct nkey *seed, struct nkey *ret_key)
{
    size_t len = NKEY_SIZE;
    ret_key->kind = seed->kind;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed->bytes, NKEY_SIZE);
    bool done = key && EVP_PKEY_get_raw_public_key(key, ret_key->bytes, &len) == 1;
    EVP_PKEY_free(key);
    return done ? 0 : ERR_NOMEM;
}

int nkey_sign(const struct nkey *seed, struct bytes text, uint8_t ret_signature[NKEY_SIGNATURE])
{
    size_t len = NKEY_SIGNATURE;
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed->bytes, NKEY_SIZE);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done =
        key && context && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
        EVP_DigestSign(context, ret_signature, &len, (const uint8_t *)text.data, text.len) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return done ? 0 : ERR_NOMEM;
}

bool nkey_verify(const struct nkey *public_key, struct bytes text,
                 const uint8_t signature[NKEY_SIGNATURE])
{
    EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key->bytes, NKEY_SIZE);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = key && context && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
                EVP_DigestVerify(context, signature, NKEY_SIGNATURE, (const uint8_t *)text.data,
                                 text.len) == 1;
    EVP_MD_CTX_free(context);
    EVP_PKEY_free(key);
    return good;
}
