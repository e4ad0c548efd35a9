/* Who may talk to whom over TLS, what is agreed on, and what is said when it fails. What flows
 * through an encrypted stream: test_tls. */
#include "tls_harness.h"

static struct io_tls_context *usual_client(void)
{
    return make_context(false, -1, AUTHORITY, IO_TLS_VERIFY_DEFAULT, NULL);
}

static struct io_tls_context *usual_server(void)
{
    return make_context(true, BUS, -1, IO_TLS_VERIFY_DEFAULT, NULL);
}

static struct io_tls_context *server_that_asks(enum io_tls_verify verify)
{
    return make_context(true, BUS, AUTHORITY, verify, NULL);
}

/* ---- the server's certificate -------------------------------------------------------------- */

static void refused(struct io_tls_context *ours, enum who server_is, const char *host,
                    const char *problem)
{
    shake(ours, make_context(true, server_is, -1, IO_TLS_VERIFY_DEFAULT, NULL), host);
    assert_int_equal(client.start_result, ERR_DENIED);
    if (!strstr(io_tls_problem(&client.stream), problem))
        fail_msg("\"%s\" is not \"%s\"", io_tls_problem(&client.stream), problem);
    assert_int_equal(server.start_result, ERR_DENIED); /* the alert arrives */
    assert_non_null(strstr(io_tls_problem(&server.stream), "the peer says: "));
    close_ends();
}

static void accepted(struct io_tls_context *ours, enum who server_is, const char *host)
{
    shake(ours, make_context(true, server_is, -1, IO_TLS_VERIFY_DEFAULT, NULL), host);
    if (client.start_result) fail_msg("%s", io_tls_problem(&client.stream));
    assert_int_equal(server.start_result, 0);
    close_ends();
}

static void test_servers_certificate(void **state)
{
    accepted(usual_client(), BUS, "bus.example");
    accepted(usual_client(), BUS, "BUS.example");
    accepted(usual_client(), BUS, "127.0.0.1");
    accepted(usual_client(), BUS, NULL);
    accepted(usual_client(), BELOW, "bus.example"); /* with the one between in its chain */
    accepted(usual_client(), WILD, "a.wild.example");
    refused(usual_client(), WILD, "wild.example", "hostname mismatch");
    refused(usual_client(), WILD, "a.b.wild.example", "hostname mismatch");
    refused(usual_client(), BUS, "other.example", "hostname mismatch");
    refused(usual_client(), BUS, "127.0.0.2", "IP address mismatch");
    refused(usual_client(), EXPIRED, "bus.example", "certificate has expired");
    refused(usual_client(), FUTURE, "bus.example", "certificate is not yet valid");
    refused(make_context(false, -1, STRANGER, IO_TLS_VERIFY_DEFAULT, NULL), BUS, "bus.example",
            "unable to get local issuer certificate");
    refused(usual_client(), STRANGER, NULL, "self-signed certificate");
}

static void test_anybody_will_do(void **state)
{
    struct io_tls_info info;
    shake(make_context(false, -1, -1, IO_TLS_VERIFY_NONE, NULL),
          make_context(true, EXPIRED, -1, IO_TLS_VERIFY_DEFAULT, NULL), "whoever.example");
    assert_int_equal(client.start_result, 0);
    assert_int_equal(io_tls_info(&client.stream, &info), 0);
    assert_false(info.peer_verified);
    close_ends();
}

/* ---- the client's certificate -------------------------------------------------------------- */

/* With TLS 1.3 the client hears of the refusal behind its own end of the handshake. */
static void client_result(int who, enum io_tls_verify verify, int expected, const char *problem)
{
    shake(make_context(false, who, AUTHORITY, IO_TLS_VERIFY_DEFAULT, NULL),
          server_that_asks(verify), "bus.example");
    assert_int_equal(server.start_result, expected);
    if (problem) {
        assert_non_null(strstr(io_tls_problem(&server.stream), problem));
        receive(&client);
        assert_int_equal(client.recv_result, ERR_DENIED);
    }
    close_ends();
}

static void test_clients_certificate(void **state)
{
    client_result(ALICE, IO_TLS_VERIFY_REQUIRED, 0, NULL);
    client_result(ALICE, IO_TLS_VERIFY_GIVEN, 0, NULL);
    client_result(-1, IO_TLS_VERIFY_GIVEN, 0, NULL);
    client_result(-1, IO_TLS_VERIFY_NONE, 0, NULL);
    client_result(FOREIGN, IO_TLS_VERIFY_NONE, 0, NULL);
    client_result(-1, IO_TLS_VERIFY_REQUIRED, ERR_DENIED, "has shown no certificate");
    client_result(FOREIGN, IO_TLS_VERIFY_REQUIRED, ERR_DENIED, "unable to get");
    client_result(FOREIGN, IO_TLS_VERIFY_GIVEN, ERR_DENIED, "unable to get");
    client_result(EXPIRED, IO_TLS_VERIFY_REQUIRED, ERR_DENIED, "has expired");
}

static int collect(void *context, enum io_tls_name_kind kind, struct bytes name)
{
    static const char letters[] = "EDUS";
    size_t len = strlen(context);
    snprintf((char *)context + len, 256 - len, "%c:%.*s ", letters[kind], BYTES_ARG(name));
    return 0;
}

static int stop_at_dns(void *context, enum io_tls_name_kind kind, struct bytes name)
{
    return kind == IO_TLS_NAME_DNS ? 7 : 0;
}

static void test_names_of_the_client(void **state)
{
    char names[256] = "";
    struct io_tls_info info;
    shake(make_context(false, ALICE, AUTHORITY, IO_TLS_VERIFY_DEFAULT, NULL),
          server_that_asks(IO_TLS_VERIFY_REQUIRED), "bus.example");
    assert_int_equal(io_tls_info(&server.stream, &info), 0);
    assert_true(info.peer_verified);
    assert_string_equal(info.server_name, "bus.example");
    assert_int_equal(io_tls_peer_names(&server.stream, collect, names), 0);
    assert_string_equal(names,
                        "E:alice@example.com D:alice.example U:urn:alice S:CN=alice,O=dure test ");
    assert_int_equal(io_tls_peer_names(&server.stream, stop_at_dns, NULL), 7);
    close_ends();
    shake(make_context(false, FOREIGN, AUTHORITY, IO_TLS_VERIFY_DEFAULT, NULL), usual_server(),
          "bus.example");
    assert_int_equal(io_tls_peer_names(&server.stream, collect, names), ERR_NOT_FOUND);
    close_ends();
}

/* ---- what is agreed on --------------------------------------------------------------------- */

static void agree(const char *const *ours, const char *const *theirs, struct bytes expected)
{
    struct io_tls_info info;
    shake(make_context(false, -1, AUTHORITY, 0, &(struct io_tls_options){.alpn = ours}),
          make_context(true, BUS, -1, 0, &(struct io_tls_options){.alpn = theirs}), "bus.example");
    assert_int_equal(client.start_result, 0);
    assert_int_equal(io_tls_info(&client.stream, &info), 0);
    assert_true(bytes_eq(info.alpn, expected));
    assert_int_equal(io_tls_info(&server.stream, &info), 0);
    assert_true(bytes_eq(info.alpn, expected));
    close_ends();
}

static void test_protocols(void **state)
{
    static const char *const both[] = {"http/1.1", "h2", NULL};
    static const char *const best_first[] = {"h2", "http/1.1", NULL};
    static const char *const other[] = {"nats", NULL};
    agree(both, best_first, BYTES("h2"));
    agree(other, best_first, BYTES(""));
    agree(NULL, best_first, BYTES(""));
    agree(both, NULL, BYTES(""));
}

static void test_versions_and_ciphers(void **state)
{
    struct io_tls_info info;
    struct io_tls_options chosen = {.ciphers = "ECDHE-ECDSA-AES128-GCM-SHA256",
                                    .cipher_suites = "TLS_CHACHA20_POLY1305_SHA256",
                                    .groups = "X25519",
                                    .tls13_only = true};
    shake(make_context(false, -1, AUTHORITY, 0, &chosen), usual_server(), "bus.example");
    assert_int_equal(io_tls_info(&server.stream, &info), 0);
    assert_string_equal(info.version, "TLSv1.3");
    assert_string_equal(info.cipher, "TLS_CHACHA20_POLY1305_SHA256");
    close_ends();
    struct io_tls_options unlike = {.cipher_suites = "TLS_AES_128_GCM_SHA256", .tls13_only = true};
    shake(make_context(false, -1, AUTHORITY, 0, &chosen), make_context(true, BUS, -1, 0, &unlike),
          "bus.example");
    assert_int_equal(server.start_result, ERR_PROTOCOL);
    assert_int_equal(client.start_result, ERR_PROTOCOL);
    close_ends();
}

static void test_certificate_by_name(void **state)
{
    static const struct {
        const char *host;
        enum who shown;
    } cases[] = {{"bus.example", BUS}, {"x.wild.example", WILD}, {"alice.example", ALICE}};
    struct io_tls_certificate certificates[] = {{certificate_path[BUS], key_path[BUS]},
                                                {certificate_path[WILD], key_path[WILD]},
                                                {certificate_path[ALICE], key_path[ALICE]}};
    struct io_tls_options options = {.certificates = certificates, .certificate_count = 3};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        shake(usual_client(), make_context(true, -1, -1, 0, &options), cases[i].host);
        assert_int_equal(client.start_result, 0); /* made out to that name */
        close_ends();
    }
    shake(usual_client(), make_context(true, -1, -1, 0, &options), "127.0.0.1");
    assert_int_equal(client.start_result, 0); /* no name: the first */
    close_ends();
    shake(usual_client(), make_context(true, -1, -1, 0, &options), "unknown.example");
    assert_int_equal(client.start_result, ERR_DENIED);
    close_ends();
}

static bool resumed(struct io_tls_context *ours, struct io_tls_context *theirs, const char *host)
{
    struct io_tls_info info;
    shake(io_tls_context_ref(ours), io_tls_context_ref(theirs), host);
    assert_int_equal(client.start_result, 0);
    send_text(&server, "x"); /* the ticket comes before it */
    receive(&client);
    assert_int_equal(io_tls_info(&client.stream, &info), 0);
    assert_true(info.peer_verified);
    close_ends();
    return info.resumed;
}

static void test_sessions_are_resumed(void **state)
{
    struct io_tls_context *ours = usual_client(), *theirs = usual_server();
    struct io_tls_context *asking = server_that_asks(IO_TLS_VERIFY_REQUIRED);
    struct io_tls_context *alice = make_context(false, ALICE, AUTHORITY, 0, NULL);
    assert_false(resumed(ours, theirs, "bus.example"));
    assert_true(resumed(ours, theirs, "bus.example"));
    assert_true(resumed(ours, theirs, "bus.example"));
    assert_false(resumed(ours, theirs, "127.0.0.1")); /* another name, another session */
    assert_false(resumed(ours, theirs, NULL));
    assert_false(resumed(ours, theirs, NULL));
    assert_false(resumed(alice, asking, "bus.example"));
    assert_true(resumed(alice, asking, "bus.example"));
    char host[64];
    for (int i = 0; i < 40; i++) { /* more than are kept */
        snprintf(host, sizeof host, "h%d.wild.example", i);
        struct io_tls_context *wild = make_context(true, WILD, -1, 0, NULL);
        assert_false(resumed(ours, wild, host));
        io_tls_context_unref(wild);
    }
    io_tls_context_unref(ours);
    io_tls_context_unref(theirs);
    io_tls_context_unref(asking);
    io_tls_context_unref(alice);
}

/* ---- files --------------------------------------------------------------------------------- */

static void context_fails(const struct io_tls_options *options, int code, const char *file,
                          const char *message)
{
    struct io_tls_context *context = NULL;
    struct error error = {0};
    assert_int_equal(io_tls_context_new(io, options, &context, &error), code);
    assert_null(context);
    if (file) assert_string_equal(error.file, file);
    if (!strstr(error.message, message)) fail_msg("\"%s\" is not \"%s\"", error.message, message);
}

static const char *write_file(const char *name, const char *content)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder.path, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(content, file);
    fclose(file);
    return path;
}

static void test_files(void **state)
{
    struct io_tls_certificate pair = {certificate_path[BUS], key_path[BUS]};
    struct io_tls_options options = {.server = true};
    context_fails(&options, ERR_INVALID, NULL, "needs a certificate");
    options.certificates = &pair;
    options.certificate_count = 1;
    pair.key_file = key_path[ALICE];
    context_fails(&options, ERR_INVALID, key_path[ALICE], "is not the key of the certificate");
    pair.key_file = "/nowhere/x.key";
    context_fails(&options, ERR_NOT_FOUND, "/nowhere/x.key", "not found");
    pair.key_file = certificate_path[BUS];
    context_fails(&options, ERR_INVALID, certificate_path[BUS], "holds no private key");
    pair.key_file = key_path[BUS];
    pair.certificate_file = key_path[BUS];
    context_fails(&options, ERR_INVALID, key_path[BUS], "holds no certificate");
    pair.certificate_file = write_file("empty.pem", "");
    context_fails(&options, ERR_INVALID, pair.certificate_file, "holds no certificate");
    pair.certificate_file =
        write_file("bad.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    context_fails(&options, ERR_INVALID, pair.certificate_file, "holds no certificate");
    pair.certificate_file = folder.path;
    context_fails(&options, ERR_IO, folder.path, "cannot be read");
    pair.certificate_file = certificate_path[BUS];
    options.ca_file = "/nowhere/ca.pem";
    context_fails(&options, ERR_NOT_FOUND, "/nowhere/ca.pem", "not found");
    options.ca_file = NULL;
    options.verify = IO_TLS_VERIFY_REQUIRED;
    context_fails(&options, ERR_INVALID, NULL, "nobody is trusted");
    options.verify = IO_TLS_VERIFY_DEFAULT;
    options.ciphers = "NO-SUCH-CIPHER";
    context_fails(&options, ERR_INVALID, NULL, "no cipher match");
    options.ciphers = NULL;
    options.groups = "P-0";
    context_fails(&options, ERR_INVALID, NULL, "groups");
    options.groups = NULL;
    options.alpn = (const char *const[]){"", NULL};
    context_fails(&options, ERR_INVALID, NULL, "ALPN");
}

static void test_encrypted_key_is_not_asked_for(void **state)
{
    struct io_tls_certificate pair = {certificate_path[BUS], NULL};
    struct io_tls_options options = {.server = true, .certificates = &pair, .certificate_count = 1};
    char path[128];
    snprintf(path, sizeof path, "%s/encrypted.key", folder.path);
    FILE *in = fopen(key_path[BUS], "r"), *out = fopen(path, "w");
    EVP_PKEY *key = PEM_read_PrivateKey(in, NULL, NULL, NULL);
    assert_int_equal(PEM_write_PrivateKey(out, key, EVP_aes_128_cbc(),
                                          (const unsigned char *)"word", 4, NULL, NULL),
                     1);
    fclose(in);
    fclose(out);
    EVP_PKEY_free(key);
    pair.key_file = path;
    context_fails(&options, ERR_INVALID, path, "encrypted");
}

static void test_expiry_is_told(void **state)
{
    struct io_tls_context *context = usual_server();
    int64_t in_s = io_tls_context_expiry(context) - (int64_t)(io_wall_ns(io) / 1000000000);
    assert_in_range(in_s, 23 * 3600, 24 * 3600 + 60);
    io_tls_context_unref(context);
    context = usual_client();
    assert_true(io_tls_context_expiry(context) == INT64_MAX);
    io_tls_context_unref(context);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_servers_certificate),
        cmocka_unit_test(test_anybody_will_do),
        cmocka_unit_test(test_clients_certificate),
        cmocka_unit_test(test_names_of_the_client),
        cmocka_unit_test(test_protocols),
        cmocka_unit_test(test_versions_and_ciphers),
        cmocka_unit_test(test_certificate_by_name),
        cmocka_unit_test(test_sessions_are_resumed),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_encrypted_key_is_not_asked_for),
        cmocka_unit_test(test_expiry_is_told),
    };
    return cmocka_run_group_tests(tests, make_world, free_world);
}
