#include "jwt_make.h"

static const char seed[] = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";
static const char public_key[] = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";

/* A pair of the reference's documentation. */
static void test_known_pair(void **state)
{
    struct nkey secret, key;
    char text[NKEY_SEED_TEXT + 1];
    assert_int_equal(nkey_parse_seed(bytes_str(seed), &secret), 0);
    assert_int_equal(secret.kind, NKEY_USER);
    assert_int_equal(nkey_public(&secret, &key), 0);
    nkey_write(&key, text);
    assert_string_equal(text, public_key);
    nkey_write_seed(&secret, text);
    assert_string_equal(text, seed);
    assert_int_equal(nkey_parse(bytes_str(public_key), &key), 0);
    assert_int_equal(key.kind, NKEY_USER);
}

static void test_kinds(void **state)
{
    static const char letters[] = {[NKEY_ACCOUNT] = 'A',
                                   [NKEY_CLUSTER] = 'C',
                                   [NKEY_SERVER] = 'N',
                                   [NKEY_OPERATOR] = 'O',
                                   [NKEY_USER] = 'U'};
    for (int kind = NKEY_ACCOUNT; kind <= NKEY_USER; kind++) {
        struct test_key made = test_key_make((enum nkey_kind)kind, 7);
        struct nkey back;
        assert_int_equal(made.text[0], letters[kind]);
        assert_int_equal(made.seed_text[0], 'S');
        assert_int_equal(made.seed_text[1], letters[kind]);
        assert_int_equal(nkey_parse(bytes_str(made.text), &back), 0);
        assert_int_equal(back.kind, kind);
        assert_int_equal(nkey_parse_seed(bytes_str(made.seed_text), &back), 0);
        assert_int_equal(back.kind, kind);
        assert_memory_equal(back.bytes, made.seed.bytes, NKEY_SIZE);
        assert_true(nkey_is(bytes_str(made.text), (enum nkey_kind)kind));
        assert_false(nkey_is(bytes_str(made.text), (enum nkey_kind)((kind + 1) % 5)));
    }
}

/* Any single character that is changed is found out, and so is every other length. */
static void test_damage(void **state)
{
    struct nkey key;
    char text[NKEY_SEED_TEXT + 2];
    for (size_t i = 0; i < NKEY_SEED_TEXT; i++) {
        for (const char *c = "AB7a1= \n"; *c; c++) {
            memcpy(text, seed, sizeof seed);
            if (text[i] == *c) continue;
            text[i] = *c;
            assert_int_equal(nkey_parse_seed(bytes_make(text, NKEY_SEED_TEXT), &key), ERR_SYNTAX);
            if (i >= NKEY_TEXT) continue;
            memcpy(text, public_key, sizeof public_key);
            if (text[i] == *c) continue;
            text[i] = *c;
            assert_int_equal(nkey_parse(bytes_make(text, NKEY_TEXT), &key), ERR_SYNTAX);
        }
    }
    for (size_t len = 0; len < NKEY_TEXT; len++)
        assert_int_equal(nkey_parse(bytes_make(public_key, len), &key), ERR_SYNTAX);
    assert_int_equal(nkey_parse(bytes_str(seed), &key), ERR_SYNTAX);
    assert_int_equal(nkey_parse_seed(bytes_str(public_key), &key), ERR_SYNTAX);
}

static void test_signature(void **state)
{
    struct test_key made = test_key_make(NKEY_USER, 3);
    struct nkey key;
    uint8_t signature[NKEY_SIGNATURE];
    assert_int_equal(nkey_public(&made.seed, &key), 0);
    assert_int_equal(nkey_sign(&made.seed, BYTES("nonce"), signature), 0);
    assert_true(nkey_verify(&key, BYTES("nonce"), signature));
    assert_false(nkey_verify(&key, BYTES("Nonce"), signature));
    signature[5] ^= 1;
    assert_false(nkey_verify(&key, BYTES("nonce"), signature));
    signature[5] ^= 1;
    key.bytes[0] ^= 1;
    assert_false(nkey_verify(&key, BYTES("nonce"), signature));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_pair),
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_damage),
        cmocka_unit_test(test_signature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
