#include "wire/nats_creds.h"

#include "jwt_make.h"

#define SEED "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY"
#define KEY_BLOCK "-----BEGIN USER NKEY SEED-----\n" SEED "\n------END USER NKEY SEED------\n"
#define FILE_TEXT                                                                                 \
    "-----BEGIN NATS USER JWT-----\neyJ0.eyJ1.c2ln\n------END NATS USER JWT------\n\n"            \
    "************************* IMPORTANT *************************\nkeep it secret\n\n" KEY_BLOCK \
    "\n*************\n"

static void accept(const char *text, const char *jwt)
{
    struct nats_creds creds;
    assert_int_equal(nats_creds_parse(bytes_str(text), &creds), 0);
    assert_true(bytes_eq(creds.jwt, bytes_str(jwt)));
    assert_true(bytes_eq(creds.seed, BYTES(SEED)));
    assert_int_equal(creds.key.kind, NKEY_USER);
}

static void refuse(const char *text)
{
    struct nats_creds creds;
    assert_int_equal(nats_creds_parse(bytes_str(text), &creds), ERR_SYNTAX);
}

static void test_accept(void **state)
{
    accept(FILE_TEXT, "eyJ0.eyJ1.c2ln");
    accept(KEY_BLOCK, "");
    accept(SEED, "");
    accept("\n  " SEED " \r\n", "");
    accept("---x\r\neyJ\r\n---y\r\n---\r\n" SEED "\r\n---", "eyJ");
}

static void test_refuse(void **state)
{
    struct test_key account = test_key_make(NKEY_ACCOUNT, 1);
    refuse("");
    refuse("\n\n");
    refuse("x");
    refuse(account.seed_text);
    refuse("-----BEGIN NATS USER JWT-----\neyJ\n------END NATS USER JWT------\n");
    refuse("-----BEGIN NATS USER JWT-----\n------END NATS USER JWT------\n" KEY_BLOCK);
    refuse("---\neyJ\neyJ\n---\n" KEY_BLOCK);
    refuse("---\neyJ\n---\n---\neyJ\n---\n" KEY_BLOCK);
}

/* Cut anywhere it is either whole already or refused, and nothing behind its end is read. */
static void test_cut(void **state)
{
    for (size_t len = 0; len < strlen(FILE_TEXT); len++) {
        char *copy = malloc(len + 1);
        struct nats_creds creds;
        memcpy(copy, FILE_TEXT, len);
        int r = nats_creds_parse(bytes_make(copy, len), &creds);
        assert_true(r == ERR_SYNTAX || (r == 0 && bytes_eq(creds.seed, BYTES(SEED))));
        free(copy);
    }
}

static void test_sign_nonce(void **state)
{
    struct nats_creds creds;
    struct nkey key;
    char text[NATS_SIGNATURE_TEXT + 1];
    uint8_t signature[NKEY_SIGNATURE];
    size_t len;
    assert_int_equal(nats_creds_parse(BYTES(SEED), &creds), 0);
    assert_int_equal(nats_creds_sign(&creds, BYTES("abc"), text), 0);
    assert_int_equal(strlen(text), NATS_SIGNATURE_TEXT);
    assert_int_equal(base64_decode(bytes_str(text), signature, sizeof signature, &len), 0);
    assert_int_equal(nkey_public(&creds.key, &key), 0);
    assert_true(nkey_verify(&key, BYTES("abc"), signature));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accept),
        cmocka_unit_test(test_refuse),
        cmocka_unit_test(test_cut),
        cmocka_unit_test(test_sign_nonce),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
