/* Who may come in, and what it may do, as clients see it. */
#include "bus_test.h"

#include "wire/jwt_make.h"

#include <crypt.h>

#define DENIED "-ERR 'Authorization Violation'\r\n"

static struct test_key operator_key, signing_key, account_key, user_key, other_key;

static int setup(void **state)
{
    operator_key = test_key_make(NKEY_OPERATOR, 1);
    account_key = test_key_make(NKEY_ACCOUNT, 2);
    signing_key = test_key_make(NKEY_ACCOUNT, 3);
    user_key = test_key_make(NKEY_USER, 4);
    other_key = test_key_make(NKEY_USER, 5);
    return 0;
}

static struct bus_auth *make_auth(const struct bus_auth_options *options)
{
    struct bus_auth *auth;
    struct error error = {0};
    if (bus_auth_new(options, &auth, &error)) fail_msg("%s", error.message);
    return auth;
}

static void start_for_users(struct test_bus *t, const struct bus_user *users, size_t count)
{
    start_with_auth(t, NULL,
                    make_auth(&(struct bus_auth_options){.users = users, .user_count = count}));
}

static void accepted(struct test_bus *t, const char *connect_json)
{
    struct client c;
    open_client(t, &c, connect_json);
    say(&c, "SUB a 1\r\nPUB a 1\r\nx\r\n");
    expect_all(&c, "MSG a 1 1\r\nx\r\n");
    close_client(&c);
}

static void denied(struct test_bus *t, const char *connect_json)
{
    struct client c;
    open_client(t, &c, connect_json);
    expect_end(&c, DENIED);
    close_client(&c);
}

static void test_token(void **state)
{
    struct test_bus t;
    struct client c;
    start_with_auth(&t, NULL, make_auth(&(struct bus_auth_options){.token = BYTES("s3cret")}));
    accepted(&t, "{\"verbose\":false,\"auth_token\":\"s3cret\"}");
    denied(&t, "{\"verbose\":false,\"auth_token\":\"s3creT\"}");
    denied(&t, "{\"verbose\":false,\"auth_token\":\"\"}");
    denied(&t, "{\"verbose\":false,\"user\":\"s3cret\"}");
    denied(&t, "{\"verbose\":false}");
    assert_int_equal(bus_server_metrics(t.server)->auth_failures, 4);

    /* Nothing else may be said before CONNECT, not even what is no operation. */
    const char *const early[] = {"PING\r\n", "P", "SUB a 1\r\n", "XYZ\r\n", "\r\n"};
    for (size_t i = 0; i < sizeof early / sizeof *early; i++) {
        open_client(&t, &c, NULL);
        assert_non_null(strstr(c.info, "\"auth_required\":true"));
        assert_null(strstr(c.info, "nonce"));
        say(&c, early[i]);
        expect_end(&c, DENIED);
        close_client(&c);
    }
    stop(&t);
}

static void test_user(void **state)
{
    struct test_bus t;
    const struct bus_user users[] = {
        {.name = BYTES("alice"), .password = BYTES("pw")},
        {.name = BYTES("certified")},
    };
    start_for_users(&t, users, 2);
    accepted(&t, "{\"verbose\":false,\"user\":\"alice\",\"pass\":\"pw\"}");
    denied(&t, "{\"verbose\":false,\"user\":\"alice\",\"pass\":\"pW\"}");
    denied(&t, "{\"verbose\":false,\"user\":\"alice\"}");
    denied(&t, "{\"verbose\":false,\"user\":\"bob\",\"pass\":\"pw\"}");
    denied(&t, "{\"verbose\":false,\"user\":\"certified\"}");
    denied(&t, "{\"verbose\":false,\"user\":\"certified\",\"pass\":\"\"}");
    stop(&t);
}

/* The hash is looked at on a thread; what comes behind CONNECT waits for it, in order. */
static void test_bcrypt(void **state)
{
    struct test_bus t;
    struct client c, d;
    struct crypt_data data = {0};
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    assert_non_null(crypt_gensalt_rn("$2b$", 4, "0123456789abcdef", 16, setting, sizeof setting));
    const char *hash = crypt_r("pw", setting, &data);
    assert_int_equal(hash[0], '$');
    struct bus_user user = {.name = BYTES("alice"), .password = bytes_str(hash)};
    start_with_auth(&t, NULL,
                    make_auth(&(struct bus_auth_options){
                        .users = &user, .user_count = 1, .token = bytes_str(hash)}));
    accepted(&t, "{\"verbose\":false,\"user\":\"alice\",\"pass\":\"pw\"}");
    accepted(&t, "{\"verbose\":false,\"auth_token\":\"pw\"}");
    denied(&t, "{\"verbose\":false,\"user\":\"alice\",\"pass\":\"wrong\"}");

    open_client(&t, &c, NULL);
    open_client(&t, &d, NULL);
    const char *connect = "CONNECT {\"verbose\":true,\"user\":\"alice\",\"pass\":\"pw\"}\r\n";
    char text[4096];
    size_t len =
        (size_t)snprintf(text, sizeof text, "%sSUB a 1\r\nPUB a 1\r\nx\r\nPING\r\nPU", connect);
    say_bytes(&d, connect, strlen(connect));
    say_bytes(&c, text, len);
    say(&c, "B a 1\r\ny\r\n");
    expect(&c, "+OK\r\n+OK\r\n+OK\r\nMSG a 1 1\r\nx\r\nPONG\r\n+OK\r\nMSG a 1 1\r\ny\r\n");
    expect(&d, "+OK\r\n");
    close_client(&d);

    /* Those who leave while they are looked at leave nothing behind, nor does the end. */
    for (int i = 0; i < 5; i++) {
        open_client(&t, &d, NULL);
        say(&d, connect);
        if (i == 4) break;
        close_client(&d);
    }
    stop(&t);
    close_client(&d);
    close_client(&c);
}

static void say_signed(struct client *c, const struct test_key *key, const char *nonce,
                       bool standard, const char *more)
{
    uint8_t signature[NKEY_SIGNATURE];
    struct buf out;
    buf_init(&out, 1 << 16);
    assert_int_equal(nkey_sign(&key->seed, bytes_str(nonce), signature), 0);
    buf_append_format(&out, "CONNECT {\"verbose\":false,%s,\"sig\":\"", more);
    if (standard)
        base64_append(&out, bytes_make(signature, sizeof signature));
    else
        base64url_append(&out, bytes_make(signature, sizeof signature), false);
    buf_append_str(&out, "\"}\r\n");
    say_bytes(c, buf_bytes(&out).data, buf_len(&out));
    buf_release(&out);
}

static void read_nonce(const struct client *c, char nonce[64])
{
    const char *at = strstr(c->info, "\"nonce\":\"");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "\"nonce\":\"%63[^\"]", nonce), 1);
    assert_int_equal(strlen(nonce), 15);
}

static void test_nkey(void **state)
{
    struct test_bus t;
    struct client c;
    char nonce[64], more[256], before[64] = "";
    struct bus_user user = {.nkey = bytes_str(user_key.text)};
    start_for_users(&t, &user, 1);
    for (int i = 0; i < 4; i++) {
        const struct test_key *key = i == 2 ? &other_key : &user_key;
        open_client(&t, &c, NULL);
        read_nonce(&c, nonce);
        assert_string_not_equal(nonce, before);
        snprintf(more, sizeof more, "\"nkey\":\"%s\"", i == 3 ? other_key.text : user_key.text);
        say_signed(&c, key, nonce, i == 0, more);
        if (i < 2)
            expect_all(&c, "");
        else
            expect_end(&c, DENIED);
        close_client(&c);
        snprintf(before, sizeof before, "%s", nonce);
    }
    snprintf(more, sizeof more, "{\"verbose\":false,\"nkey\":\"%s\"}", user_key.text);
    denied(&t, more);
    stop(&t);
}

static void test_timeout(void **state)
{
    struct test_bus t;
    struct client c;
    start_with_auth(&t, NULL,
                    make_auth(&(struct bus_auth_options){.token = BYTES("x"), .timeout_ms = 30}));
    open_client(&t, &c, NULL);
    expect_end(&c, "-ERR 'Authentication Timeout'\r\n");
    close_client(&c);
    stop(&t);
}

static void test_no_auth_user(void **state)
{
    struct test_bus t;
    struct client c;
    const struct bus_user users[] = {
        {.name = BYTES("alice"), .password = BYTES("pw")},
        {.name = BYTES("guest"), .password = BYTES("never said")},
    };
    start_with_auth(&t, NULL,
                    make_auth(&(struct bus_auth_options){
                        .users = users, .user_count = 2, .no_auth_user = BYTES("guest")}));
    accepted(&t, "{\"verbose\":false}");
    accepted(&t, "{\"verbose\":false,\"user\":\"alice\",\"pass\":\"pw\"}");
    denied(&t, "{\"verbose\":false,\"user\":\"alice\",\"pass\":\"px\"}");
    denied(&t, "{\"verbose\":false,\"auth_token\":\"x\"}");
    open_client(&t, &c, NULL);
    assert_null(strstr(c.info, "auth_required"));
    say(&c, "SUB a 1\r\nPUB a 1\r\nx\r\n");
    expect_all(&c, "+OK\r\n+OK\r\nMSG a 1 1\r\nx\r\n");
    close_client(&c);
    stop(&t);
}

/* ---- permissions ---------------------------------------------------------------------------- */

#define AS(user)                                                                  \
    "{\"verbose\":false,\"headers\":true,\"no_responders\":true,\"user\":\"" user \
    "\",\"pass\":\"p\"}"

static void test_permissions(void **state)
{
    struct test_bus t;
    struct client c, all;
    struct bytes pub[] = {BYTES("ok.>")}, sub[] = {BYTES("ok.>"), BYTES("work v1")},
                 not_sub[] = {BYTES("ok.secret")};
    struct nats_permissions rules = {.publish = {pub, 1, NULL, 0, true},
                                     .subscribe = {sub, 2, not_sub, 1, true}};
    const struct bus_user users[] = {
        {.name = BYTES("alice"), .password = BYTES("p"), .permissions = &rules},
        {.name = BYTES("root"), .password = BYTES("p")},
    };
    start_for_users(&t, users, 2);
    open_client(&t, &c, AS("alice"));
    open_client(&t, &all, AS("root"));
    say(&c, "PUB no.x 1\r\nx\r\nSUB no.x 1\r\nSUB no.y q 2\r\nSUB ok.secret 3\r\nSUB > 4\r\n");
    expect_all(&c, "-ERR 'Permissions Violation for Publish to \"no.x\"'\r\n"
                   "-ERR 'Permissions Violation for Subscription to \"no.x\"'\r\n"
                   "-ERR 'Permissions Violation for Subscription to \"no.y\" using queue \"q\"'\r\n"
                   "-ERR 'Permissions Violation for Subscription to \"ok.secret\"'\r\n"
                   "-ERR 'Permissions Violation for Subscription to \">\"'\r\n");
    say(&c, "SUB work v1 5\r\nSUB work v2 6\r\n");
    expect_all(&c, "-ERR 'Permissions Violation for Subscription to \"work\" using queue "
                   "\"v2\"'\r\n");
    assert_int_equal(bus_server_metrics(t.server)->permission_violations, 6);

    /* What is denied is kept from a wildcard, again and again, and from a group's member. */
    say(&c, "SUB ok.* 7\r\nSUB ok.> q 8\r\n");
    expect_all(&c, "");
    for (int i = 0; i < 3; i++) say(&all, "PUB ok.secret 1\r\ns\r\nPUB ok.a 1\r\na\r\n");
    expect_all(&all, "");
    const char *both = "MSG ok.a 7 1\r\na\r\nMSG ok.a 8 1\r\na\r\n";
    for (int i = 0; i < 3; i++) expect(&c, both);
    expect_all(&c, "");
    close_client(&c);
    close_client(&all);
    stop(&t);
}

static void test_allow_responses(void **state)
{
    struct test_bus t;
    struct client c, all;
    struct nats_permissions rules = {
        .publish.allow_given = true, .responses = true, .max_responses = 1, .response_ttl_ms = -1};
    const struct bus_user users[] = {
        {.name = BYTES("worker"), .password = BYTES("p"), .permissions = &rules},
        {.name = BYTES("root"), .password = BYTES("p")},
    };
    start_for_users(&t, users, 2);
    open_client(&t, &c, AS("worker"));
    open_client(&t, &all, AS("root"));
    say(&c, "SUB q 1\r\nPUB r 1\r\nx\r\n");
    expect_all(&c, "-ERR 'Permissions Violation for Publish to \"r\"'\r\n");
    say(&all, "SUB r 1\r\nPUB q r 1\r\nx\r\n");
    expect_all(&all, "");
    say(&c, "PUB r 1\r\n1\r\nPUB r 1\r\n2\r\n");
    expect_all(&c, "MSG q 1 r 1\r\nx\r\n-ERR 'Permissions Violation for Publish to \"r\"'\r\n");
    expect_all(&all, "MSG r 1 1\r\n1\r\n");
    close_client(&c);
    close_client(&all);
    stop(&t);
}

/* ---- accounts ------------------------------------------------------------------------------- */

static void count_closed(void *context)
{
    ++*(int *)context;
}

static void test_isolation(void **state)
{
    struct test_bus t;
    struct client a, b, also_a;
    struct bus *other;
    struct io *io;
    int closed = 0;
    assert_int_equal(io_new(NULL, &io), 0);
    assert_int_equal(bus_new(io, &(struct bus_options){.name = "B"}, NULL, &other), 0);
    const struct bus_user users[] = {
        {.name = BYTES("a"), .password = BYTES("p")},
        {.name = BYTES("b"), .password = BYTES("p"), .bus = other},
    };
    start_for_users(&t, users, 2);
    open_client(&t, &a, AS("a"));
    open_client(&t, &also_a, AS("a"));
    open_client(&t, &b, AS("b"));
    say(&a, "SUB > 1\r\n");
    expect_all(&a, "");
    say(&b, "SUB > 1\r\nSUB r 2\r\nPUB x 1\r\nb\r\nPUB y r 0\r\n\r\n");
    expect_all(&b, "MSG x 1 1\r\nb\r\nMSG y 1 r 0\r\n\r\n");
    say(&also_a, "PUB x 1\r\na\r\n");
    expect_all(&also_a, "");
    expect_all(&a, "MSG x 1 1\r\na\r\n");
    expect_all(&b, "");
    assert_int_equal(bus_metrics(other)->messages_in, 2);
    assert_int_equal(bus_metrics(t.bus)->messages_in, 1);
    close_client(&a);
    close_client(&also_a);

    /* Who says CONNECT again is somebody else. */
    say(&b,
        "CONNECT {\"verbose\":false,\"user\":\"a\",\"pass\":\"p\"}\r\nPUB x 1\r\n1\r\nSUB x 7\r\n"
        "PUB x 1\r\n2\r\n");
    expect_all(&b, "MSG x 7 1\r\n2\r\n");
    close_client(&b);
    stop(&t);
    bus_close(other, count_closed, &closed);
    for (int i = 0; i < TURNS_MAX && !closed; i++) io_turn(io, 10);
    assert_int_equal(closed, 1);
    io_free(io);
}

/* The INFO behind the first PONG says where one came in. */
static void test_told(void **state)
{
    struct test_bus t;
    struct client c;
    start(&t, NULL);
    open_client(&t, &c, "{\"verbose\":false,\"protocol\":1}");
    say(&c, "PING\r\n");
    expect(&c, "PONG\r\nINFO {");
    client_wait(&c, 100);
    assert_non_null(memmem(c.data, c.len, "\"connect_info\":true", 19));
    assert_non_null(memmem(c.data, c.len, "\"remote_account\":\"$G\"", 21));
    c.len = 0;
    expect_all(&c, "");
    close_client(&c);
    stop(&t);
}

/* ---- tokens --------------------------------------------------------------------------------- */

static void jwt_start(struct test_bus *t, const char *account_claims)
{
    char nats[2048];
    char *operator_jwt = test_jwt(&operator_key, &operator_key, "", "\"type\":\"operator\"");
    snprintf(nats, sizeof nats,
             "\"type\":\"account\",\"limits\":{\"conn\":2,\"disk_storage\":77,"
             "\"subs\":2,\"payload\":5},\"signing_keys\":["
             "\"%s\"]%s",
             signing_key.text, account_claims);
    char *account_jwt = test_jwt(&operator_key, &account_key, "", nats);
    struct bytes operators[] = {bytes_str(operator_jwt)};
    struct bus_jwt_account account = {.jwt = bytes_str(account_jwt)};
    struct bus_auth *auth = make_auth(&(struct bus_auth_options){
        .operators = operators, .operator_count = 1, .accounts = &account, .account_count = 1});
    struct bus_storage_limits limits;
    assert_int_equal(bus_auth_storage(auth, NULL, &limits), 0);
    assert_int_equal(limits.disk_bytes, 77);
    start_with_auth(t, NULL, auth);
    free(operator_jwt);
    free(account_jwt);
}

static void say_jwt(struct client *c, const struct test_key *issuer, const char *more,
                    const char *nats, const struct test_key *signer)
{
    char nonce[64], text[256];
    struct buf out;
    snprintf(text, sizeof text, "\"type\":\"user\"%s", nats);
    char *jwt = test_jwt(issuer, &user_key, more, text);
    buf_init(&out, 1 << 16);
    buf_append_format(&out, "\"jwt\":\"%s\"", jwt);
    buf_append_char(&out, '\0');
    read_nonce(c, nonce);
    say_signed(c, signer, nonce, false, buf_bytes(&out).data);
    buf_release(&out);
    free(jwt);
}

static void jwt_check(struct test_bus *t, const struct test_key *issuer, const char *more,
                      const char *nats, const struct test_key *signer, bool good)
{
    struct client c;
    open_client(t, &c, NULL);
    say_jwt(&c, issuer, more, nats, signer);
    if (good)
        expect_all(&c, "");
    else
        expect_end(&c, DENIED);
    close_client(&c);
    turn(t, 10);
}

static void test_jwt_user(void **state)
{
    struct test_bus t;
    const struct test_key *a = &account_key, *u = &user_key;
    char issuer[128];
    jwt_start(&t, "");
    jwt_check(&t, a, "", "", u, true);
    jwt_check(&t, a, "", "", &other_key, false);
    jwt_check(&t, a, "", ",\"bearer_token\":true", &other_key, true);
    jwt_check(&t, a, ",\"exp\":1600000001", "", u, false);
    jwt_check(&t, a, ",\"nbf\":99000000000", "", u, false);
    jwt_check(&t, a, ",\"exp\":99000000000", "", u, true);
    jwt_check(&t, &signing_key, "", "", u, false);
    snprintf(issuer, sizeof issuer, ",\"issuer_account\":\"%s\"", account_key.text);
    jwt_check(&t, &signing_key, "", issuer, u, true);
    jwt_check(&t, a, "", issuer, u, true);
    struct test_key stranger = test_key_make(NKEY_ACCOUNT, 9);
    jwt_check(&t, &stranger, "", "", u, false);
    jwt_check(&t, &stranger, "", issuer, u, false);
    jwt_check(&t, a, "", ",\"src\":[\"127.0.0.0/8\"]", u, true);
    jwt_check(&t, a, "", ",\"src\":[\"10.0.0.0/8\",\"::1\"]", u, false);
    jwt_check(&t, a, "", ",\"src\":[\"127.0.0.1/33\"]", u, false);
    jwt_check(&t, a, "", ",\"allowed_connection_types\":[\"STANDARD\"]", u, true);
    jwt_check(&t, a, "", ",\"allowed_connection_types\":[\"WEBSOCKET\"]", u, false);
    jwt_check(&t, a, "", ",\"times\":[{\"start\":\"00:00:00\",\"end\":\"23:59:59\"}]", u, true);
    jwt_check(&t, a, "", ",\"times\":[{\"start\":\"00:00:00\",\"end\":\"00:00:00\"}]", u, false);
    jwt_check(&t, a, "", ",\"pub\":{\"allow\":[\"a..b\"]}", u, false);
    stop(&t);
}

static void test_jwt_revoked(void **state)
{
    struct test_bus t;
    char revoked[128];
    snprintf(revoked, sizeof revoked, ",\"revocations\":{\"%s\":1600000000}", user_key.text);
    jwt_start(&t, revoked);
    jwt_check(&t, &account_key, "", "", &user_key, false);
    stop(&t);
    snprintf(revoked, sizeof revoked, ",\"revocations\":{\"%s\":1599999999}", user_key.text);
    jwt_start(&t, revoked);
    jwt_check(&t, &account_key, "", "", &user_key, true);
    stop(&t);
    jwt_start(&t, ",\"revocations\":{\"*\":1600000000}");
    jwt_check(&t, &account_key, "", "", &user_key, false);
    stop(&t);
}

static void test_jwt_rights(void **state)
{
    struct test_bus t;
    struct client c[3];
    jwt_start(&t, ",\"default_permissions\":{\"pub\":{\"deny\":[\"d\"]}}");
    for (int i = 0; i < 3; i++) {
        open_client(&t, &c[i], NULL);
        say_jwt(&c[i], &account_key, "",
                i ? "" : ",\"pub\":{\"allow\":[\"a\"]},\"subs\":1,\"payload\":3", &user_key);
        if (i < 2) expect_all(&c[i], "");
    }
    expect_end(&c[2], "-ERR 'maximum account active connections exceeded'\r\n");
    say(&c[1], "PUB d 0\r\n\r\nPUB a 0\r\n\r\n");
    expect_all(&c[1], "-ERR 'Permissions Violation for Publish to \"d\"'\r\n");
    say(&c[0], "PUB d 0\r\n\r\nSUB a 1\r\nSUB b 2\r\nPUB a 3\r\nabc\r\n");
    expect_all(&c[0], "-ERR 'Permissions Violation for Publish to \"d\"'\r\n"
                      "-ERR 'maximum subscriptions exceeded'\r\nMSG a 1 3\r\nabc\r\n");
    say(&c[0], "PUB a 4\r\n");
    expect_end(&c[0], "-ERR 'Maximum Payload Violation'\r\n");
    say(&c[1], "SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nPUB a 5\r\nabcde\r\n"); /* the account's */
    expect_all(&c[1], "-ERR 'maximum subscriptions exceeded'\r\nMSG a 1 5\r\nabcde\r\n");
    say(&c[1], "PUB a 6\r\n");
    expect_end(&c[1], "-ERR 'Maximum Payload Violation'\r\n");
    for (int i = 0; i < 3; i++) close_client(&c[i]);
    stop(&t);
}

/* A scoped key gives its users what its template says, with their names in it. */
static void test_jwt_template(void **state)
{
    struct test_bus t;
    struct client c;
    struct test_key scoped = test_key_make(NKEY_ACCOUNT, 8), bad = test_key_make(NKEY_ACCOUNT, 9);
    char claims[1024], issuer[128], own[256];
    snprintf(claims, sizeof claims,
             ",\"signing_keys\":[{\"kind\":\"user_scope\",\"key\":\"%s\",\"template\":{"
             "\"pub\":{\"allow\":[\"of.{{name()}}.>\",\"{{ account-name() }}.x\"]}}},"
             "{\"kind\":\"user_scope\",\"key\":\"%s\",\"template\":{"
             "\"pub\":{\"allow\":[\"of.{{tag(x)}}\"]}}}]",
             scoped.text, bad.text);
    jwt_start(&t, claims);
    snprintf(issuer, sizeof issuer, ",\"issuer_account\":\"%s\"", account_key.text);
    open_client(&t, &c, NULL);
    say_jwt(&c, &scoped, "", issuer, &user_key);
    say(&c, "PUB of.test.a 0\r\n\r\nPUB test.x 0\r\n\r\nPUB of.other.a 0\r\n\r\n");
    expect_all(&c, "-ERR 'Permissions Violation for Publish to \"of.other.a\"'\r\n");
    close_client(&c);
    turn(&t, 10);
    snprintf(own, sizeof own, "%s,\"pub\":{\"allow\":[\">\"]}", issuer);
    jwt_check(&t, &scoped, "", own, &user_key, false);
    jwt_check(&t, &bad, "", issuer, &user_key, false);
    stop(&t);
}

static void test_jwt_expires(void **state)
{
    struct test_bus t;
    struct client c;
    char more[64];
    jwt_start(&t, "");
    open_client(&t, &c, NULL);
    snprintf(more, sizeof more, ",\"exp\":%lld", (long long)(io_wall_ns(t.io) / 1000000000 + 2));
    say_jwt(&c, &account_key, more, "", &user_key);
    expect_all(&c, "");
    expect_end(&c, "-ERR 'User Authentication Expired'\r\n");
    assert_int_equal(bus_server_metrics(t.server)->expired, 1);
    close_client(&c);
    stop(&t);
}

/* ---- mistakes in a configuration ------------------------------------------------------------ */

static void refuse(const struct bus_auth_options *options, const char *what)
{
    struct bus_auth *auth;
    struct error error = {0};
    assert_int_equal(bus_auth_new(options, &auth, &error), ERR_INVALID);
    if (!strstr(error.message, what)) fail_msg("\"%s\" is not in \"%s\"", what, error.message);
}

static void test_mistakes(void **state)
{
    struct bus_user twice[] = {{.name = BYTES("a")}, {.name = BYTES("a")}};
    struct bus_user nobody = {0}, bad_key = {.nkey = BYTES("UABC")};
    struct bytes pattern = BYTES("a..b"), bad_operator = BYTES("OABC"), bad_jwt = BYTES("ey.ey.x");
    struct nats_permissions rules = {.publish = {&pattern, 1, NULL, 0, true}};
    struct bus_user ruled = {.name = BYTES("a"), .permissions = &rules};
    refuse(&(struct bus_auth_options){.users = twice, .user_count = 2}, "two users `a`");
    refuse(&(struct bus_auth_options){.users = &nobody, .user_count = 1}, "neither a name");
    refuse(&(struct bus_auth_options){.users = &bad_key, .user_count = 1}, "`UABC` is no public");
    refuse(&(struct bus_auth_options){.users = &ruled, .user_count = 1}, "no subject");
    refuse(&(struct bus_auth_options){.no_auth_user = BYTES("x")}, "`x` is no user");
    refuse(&(struct bus_auth_options){.operators = &bad_operator, .operator_count = 1}, "`OABC`");
    refuse(&(struct bus_auth_options){.operators = &bad_jwt, .operator_count = 1},
           "operator's JWT");
    char *jwt = test_jwt(&operator_key, &account_key, "", "\"type\":\"account\"");
    struct bus_jwt_account account = {.jwt = bytes_str(jwt)};
    refuse(&(struct bus_auth_options){.accounts = &account, .account_count = 1}, "not signed by");
    free(jwt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token),       cmocka_unit_test(test_user),
        cmocka_unit_test(test_bcrypt),      cmocka_unit_test(test_nkey),
        cmocka_unit_test(test_timeout),     cmocka_unit_test(test_no_auth_user),
        cmocka_unit_test(test_permissions), cmocka_unit_test(test_allow_responses),
        cmocka_unit_test(test_isolation),   cmocka_unit_test(test_told),
        cmocka_unit_test(test_jwt_user),    cmocka_unit_test(test_jwt_revoked),
        cmocka_unit_test(test_jwt_rights),  cmocka_unit_test(test_jwt_template),
        cmocka_unit_test(test_jwt_expires), cmocka_unit_test(test_mistakes),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
