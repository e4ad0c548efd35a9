/* CONNECT against users, keys and a token; then what the user may do. The first line is the
 * CONNECT, each further one a subject, or "pattern queue". */
#include "bus/auth.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NKEY "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"
#define OPERATOR "OAJ67OIYRXESTC34BDGYYR52FWXAQYKFAETND2VGZWBG6O6J3ANTH2L3"

static struct bus_auth *make(void)
{
    static struct bytes allow[] = {BYTES("a.>"), BYTES("b q.*")}, deny[] = {BYTES("a.*.x")};
    static const struct nats_permissions rules = {.publish = {allow, 1, deny, 1, true},
                                                  .subscribe = {allow, 2, deny, 1, true}};
    static const struct bus_user users[] = {
        {.name = BYTES("u"), .password = BYTES("p"), .permissions = &rules},
        {.name = BYTES("h"), .password = BYTES("$2b$04$abcdefghijklmnopqrstuu")},
        {.nkey = BYTES(NKEY)},
    };
    static const struct bytes operators[] = {BYTES(OPERATOR)};
    struct bus_auth *auth = NULL;
    struct error error = {0};
    const struct bus_auth_options options = {.token = BYTES("t"),
                                             .users = users,
                                             .user_count = 3,
                                             .no_auth_user = BYTES("u"),
                                             .operators = operators,
                                             .operator_count = 1};
    if (bus_auth_new(&options, &auth, &error)) abort();
    return auth;
}

static void ask(struct permissions *permissions, struct bytes line)
{
    struct bytes queue = line, pattern = bytes_cut(&queue, ' ');
    bool first = permissions_may_publish(permissions, pattern);
    if (permissions_may_publish(permissions, pattern) != first) abort();
    bool wide = permissions_may_subscribe(permissions, pattern, (struct bytes){0});
    permissions_may_subscribe(permissions, pattern, queue);
    /* What may be subscribed to and overlaps nothing that is denied may be received. */
    if (wide && first && !permissions_overlap_denied(permissions, pattern) &&
        !permissions_may_receive(permissions, pattern))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct bus_auth *auth;
    struct bytes rest = bytes_make(data, size), json = bytes_cut(&rest, '\n');
    struct nats_connect connect;
    struct auth_identity identity;
    const char *hash = NULL;
    if (!auth) auth = make();
    nats_connect_init(&connect);
    if (nats_connect_parse(json, &connect)) return 0;
    const struct auth_request request = {.connect = &connect,
                                         .nonce = BYTES("123456789012345"),
                                         .transport = BYTES("STANDARD"),
                                         .now_s = 1700000000};
    enum auth_verdict verdict = auth_judge(auth, &request, &identity, &hash);
    if ((verdict == AUTH_IF_HASH) != (hash != NULL)) abort();
    if (verdict == AUTH_ACCEPTED && connect.jwt.len) abort(); /* nobody has signed anything */
    while (rest.data && identity.permissions) ask(identity.permissions, bytes_cut(&rest, '\n'));
    auth_identity_release(&identity);
    return 0;
}
