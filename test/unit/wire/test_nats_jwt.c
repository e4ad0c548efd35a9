#include "wire/nats_jwt.h"

#include "jwt_make.h"

static struct test_key operator_key, account_key, user_key;
static struct arena arena;

static int setup(void **state)
{
    operator_key = test_key_make(NKEY_OPERATOR, 1);
    account_key = test_key_make(NKEY_ACCOUNT, 2);
    user_key = test_key_make(NKEY_USER, 3);
    return 0;
}

static int parse(char *token, struct nats_jwt *ret_jwt)
{
    arena_init(&arena, 1 << 20);
    int r = nats_jwt_parse(bytes_str(token), &arena, ret_jwt);
    free(token);
    return r;
}

static void check(const struct test_key *issuer, const struct test_key *subject, const char *more,
                  const char *nats, int want)
{
    struct nats_jwt jwt;
    assert_int_equal(parse(test_jwt(issuer, subject, more, nats), &jwt), want);
    arena_release(&arena);
}

static void test_user(void **state)
{
    struct nats_jwt jwt;
    char *token = test_jwt(
        &account_key, &user_key, ",\"exp\":2000000000,\"nbf\":5",
        "\"type\":\"user\",\"pub\":{\"allow\":[\"a.>\",\"b\"],\"deny\":[\"a.x\"]},\"sub\":{},"
        "\"resp\":{\"max\":3,\"ttl\":5000000000},\"subs\":10,\"data\":-1,\"payload\":100,"
        "\"bearer_token\":true,\"allowed_connection_types\":[\"STANDARD\"],"
        "\"src\":[\"10.0.0.0/8\"],\"times\":[{\"start\":\"08:30:00\",\"end\":\"17:00:01\"}],"
        "\"times_location\":\"Europe/Berlin\",\"issuer_account\":\"AX\",\"unknown\":[1]");
    assert_int_equal(parse(token, &jwt), 0);
    assert_int_equal(jwt.type, NATS_JWT_USER);
    assert_true(bytes_eq(jwt.subject, bytes_str(user_key.text)));
    assert_true(bytes_eq(jwt.issuer, bytes_str(account_key.text)));
    assert_true(bytes_eq(jwt.issuer_account, BYTES("AX")));
    assert_int_equal(jwt.expires, 2000000000);
    assert_int_equal(jwt.not_before, 5);
    assert_int_equal(jwt.issued_at, 1600000000);
    const struct nats_permissions *p = &jwt.user.permissions;
    assert_int_equal(p->publish.allow_count, 2);
    assert_true(p->publish.allow_given && !p->subscribe.allow_given);
    assert_true(bytes_eq(p->publish.deny[0], BYTES("a.x")));
    assert_true(p->responses);
    assert_int_equal(p->max_responses, 3);
    assert_int_equal(p->response_ttl_ms, 5000);
    assert_int_equal(jwt.user.limits.subscriptions, 10);
    assert_int_equal(jwt.user.limits.payload, 100);
    assert_true(jwt.user.bearer_token);
    assert_int_equal(jwt.user.times[0].start_s, 8 * 3600 + 30 * 60);
    assert_int_equal(jwt.user.times[0].end_s, 17 * 3600 + 1);
    assert_true(bytes_eq(jwt.user.sources[0], BYTES("10.0.0.0/8")));
    assert_true(bytes_eq(jwt.user.connection_types[0], BYTES("STANDARD")));
    arena_release(&arena);
}

static void test_account(void **state)
{
    struct nats_jwt jwt;
    char nats[600];
    snprintf(nats, sizeof nats,
             "\"type\":\"account\",\"limits\":{\"subs\":-1,\"conn\":7,\"disk_storage\":1000},"
             "\"signing_keys\":[\"AKEY\",{\"kind\":\"user_scope\",\"key\":\"ASCOPED\","
             "\"template\":{\"pub\":{\"allow\":[\"q\"]},\"subs\":3}}],"
             "\"revocations\":{\"%s\":1700000000,\"*\":5}",
             user_key.text);
    assert_int_equal(parse(test_jwt(&operator_key, &account_key, "", nats), &jwt), 0);
    assert_int_equal(jwt.type, NATS_JWT_ACCOUNT);
    assert_int_equal(jwt.limits.connections, 7);
    assert_int_equal(jwt.limits.disk_storage, 1000);
    assert_int_equal(jwt.limits.memory_storage, 0);
    assert_non_null(nats_jwt_signer(&jwt, BYTES("AKEY")));
    const struct nats_jwt_signer *scoped = nats_jwt_signer(&jwt, BYTES("ASCOPED"));
    assert_true(scoped && scoped->scoped);
    assert_int_equal(scoped->user.limits.subscriptions, 3);
    assert_null(nats_jwt_signer(&jwt, BYTES("AOTHER")));
    assert_int_equal(jwt.revocation_count, 2);
    arena_release(&arena);
}

static void test_issuers(void **state)
{
    check(&operator_key, &operator_key, "", "\"type\":\"operator\"", 0);
    check(&account_key, &user_key, "", "\"type\":\"user\"", 0);
    check(&operator_key, &user_key, "", "\"type\":\"user\"", ERR_SYNTAX);
    check(&user_key, &user_key, "", "\"type\":\"user\"", ERR_SYNTAX);
    check(&account_key, &account_key, "", "\"type\":\"user\"", ERR_SYNTAX);
    check(&user_key, &account_key, "", "\"type\":\"account\"", ERR_SYNTAX);
    check(&account_key, &operator_key, "", "\"type\":\"operator\"", ERR_SYNTAX);
}

static void test_refused(void **state)
{
    const struct test_key *a = &account_key, *u = &user_key;
    check(a, u, "", "\"type\":\"generic\"", ERR_UNSUPPORTED);
    check(a, u, ",\"exp\":\"x\"", "\"type\":\"user\"", ERR_SYNTAX);
    check(a, u, ",\"name\":5", "\"type\":\"user\"", ERR_SYNTAX);
    check(a, u, "", "\"type\":\"user\",\"pub\":[]", ERR_SYNTAX);
    check(a, u, "", "\"type\":\"user\",\"pub\":{\"allow\":\"a\"}", ERR_SYNTAX);
    check(a, u, "", "\"type\":\"user\",\"pub\":{\"allow\":[1]}", ERR_SYNTAX);
    check(a, u, "", "\"type\":\"user\",\"bearer_token\":1", ERR_SYNTAX);
    check(a, u, "", "\"type\":\"user\",\"times\":[{\"start\":\"25:00:00\",\"end\":\"1:0:0\"}]",
          ERR_SYNTAX);
    check(a, u, "", "\"type\":\"user\",\"times\":[3]", ERR_SYNTAX);
}

/* Whatever single byte is changed, and wherever it is cut, the token is refused. */
static void test_damage(void **state)
{
    struct nats_jwt jwt;
    char *token = test_jwt(&account_key, &user_key, "", "\"type\":\"user\"");
    size_t len = strlen(token);
    for (size_t i = 0; i < len; i++) {
        char kept = token[i];
        token[i] = kept == 'A' ? 'B' : 'A';
        arena_init(&arena, 1 << 20);
        assert_true(nats_jwt_parse(bytes_make(token, len), &arena, &jwt) < 0);
        token[i] = kept;
        assert_true(nats_jwt_parse(bytes_make(token, i), &arena, &jwt) < 0);
        arena_release(&arena);
    }
    arena_init(&arena, 100);
    assert_int_equal(nats_jwt_parse(bytes_make(token, len), &arena, &jwt), ERR_NOMEM);
    arena_release(&arena);
    free(token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_user),    cmocka_unit_test(test_account),
        cmocka_unit_test(test_issuers), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
