/* CONNECT: who is it, may it come in, and into which account. Where nobody is asked who they are a
 * connection belongs to the server's own account from the start, and CONNECT only sets options. */
#include "bus/session.h"

#include "base/base64.h"
#include "bus/report.h"
#include "io/tls.h"

#include <stdio.h>
#include <stdlib.h>

enum { NONCE_BYTES = 11, NS_PER_MS = 1000000 };

/* A CONNECT whose password is being looked at. */
struct connecting {
    struct nats_connect connect;
    struct auth_identity identity;
    struct auth_password *password;
};

/* ---- refusing ------------------------------------------------------------------------------- */

static void peer_text(const struct session *session, char *text, size_t size)
{
    struct io_addr addr;
    *text = '\0';
    if (io_stream_peer(&session->stream, &addr) == 0) io_addr_format(&addr, text, size);
}

void session_refuse(struct session *session, const char *user)
{
    struct bus_server *server = session->server;
    char peer[IO_ADDR_TEXT];
    peer_text(session, peer, sizeof peer);
    server->metrics.auth_failures++;
    LOG(server->log, LOG_WARN, "bus_authentication_failed", LOG_U("client", session->id),
        LOG_S("address", peer), LOG_S("user", user));
    session_end(session, "Authorization Violation");
}

static void connecting_free(struct connecting *connecting)
{
    if (!connecting) return;
    auth_identity_release(&connecting->identity);
    explicit_bzero(&connecting->connect, sizeof connecting->connect);
    free(connecting);
}

void session_connect_cancel(struct session *session)
{
    if (!session->connecting) return;
    auth_password_cancel(session->connecting->password);
    connecting_free(session->connecting);
    session->connecting = NULL;
}

/* ---- accepting ------------------------------------------------------------------------------ */

/* As the reference server does, only who may come in is told what else is wrong. */
static void set_options(struct session *session, const struct nats_connect *connect)
{
    if (connect->protocol < 0 || connect->protocol > 1) {
        session_end(session, "invalid client protocol");
        return;
    }
    if (connect->no_responders && !connect->headers) {
        session_end(session, "no responders requires headers support");
        return;
    }
    session->verbose = connect->verbose;
    session->pedantic = connect->pedantic;
    session->echo = connect->echo;
    session->headers = connect->headers;
    session->no_responders = connect->no_responders;
    session->protocol = connect->protocol;
    session->connected = true;
    report_introduce(session, connect);
    if (session->verbose) session_say(session, BYTES("+OK\r\n"));
}

static int set_permissions(struct session *session, const struct auth_identity *identity)
{
    session_forget_permissions(session);
    if (!identity->permissions) return 0;
    const struct nats_permissions *rules = permissions_rules(identity->permissions);
    if (rules->responses) {
        session->responses = malloc(sizeof *session->responses);
        if (!session->responses) return ERR_NOMEM;
        responses_init(session->responses, rules->max_responses, rules->response_ttl_ms);
    }
    session->permissions = permissions_ref(identity->permissions);
    return 0;
}

void session_forget_permissions(struct session *session)
{
    permissions_unref(session->permissions);
    if (session->responses) responses_release(session->responses);
    free(session->responses);
    session->permissions = NULL;
    session->responses = NULL;
}

static void set_limits(struct session *session, const struct auth_identity *identity)
{
    struct bus_server *server = session->server;
    int64_t max = identity->max_subscriptions;
    session->max_subscriptions = server->options.max_subscriptions;
    if (max >= 0 && max < session->max_subscriptions) session->max_subscriptions = (unsigned)max;
    max = identity->max_payload;
    session->max_payload = server->options.max_payload;
    if (max >= 0 && (uint64_t)max < session->max_payload) session->max_payload = (size_t)max;
    session->expires_ms = 0;
    if (identity->expires_s)
        session->expires_ms = io_now_ns(server->io) / NS_PER_MS +
                              (uint64_t)identity->expires_s * 1000 -
                              io_wall_ns(server->io) / NS_PER_MS;
    session_set_timer(session);
}

/* Whoever says CONNECT again becomes somebody else, without the subscriptions it had. */
static void enter(struct session *session, const struct nats_connect *connect,
                  const struct auth_identity *identity)
{
    struct bus *bus = identity->bus ? identity->bus : session->server->bus;
    session_bind(session, NULL);
    if (identity->max_connections >= 0 && bus->session_count >= identity->max_connections) {
        session->server->metrics.refused++;
        session_end(session, "maximum account active connections exceeded");
        return;
    }
    if (set_permissions(session, identity)) {
        session_close(session);
        return;
    }
    session_bind(session, bus);
    free(session->user);
    session->user = *identity->user ? strdup(identity->user) : NULL;
    set_limits(session, identity);
    set_options(session, connect);
}

static void password_checked(void *context, bool fits)
{
    struct session *session = context;
    struct connecting *connecting = session->connecting;
    session->connecting = NULL;
    if (session->state == SESSION_OPEN) {
        if (fits)
            enter(session, &connecting->connect, &connecting->identity);
        else
            session_refuse(session, connecting->connect.user);
    }
    connecting_free(connecting);
    session_continue(session);
}

static void check_password(struct session *session, const struct nats_connect *connect,
                           const struct auth_identity *identity, const char *hash)
{
    struct connecting *connecting = calloc(1, sizeof *connecting);
    if (connecting) {
        connecting->connect = *connect;
        connecting->connect.jwt = (struct bytes){0};
        connecting->identity = *identity;
        const char *said = *connect->user ? connect->pass : connect->token;
        connecting->password =
            auth_password_check(&session->server->passwords, said, hash, password_checked, session);
    }
    if (connecting && connecting->password) {
        session->connecting = connecting;
        return;
    }
    connecting_free(connecting);
    session_close(session);
}

/* A name in the certificate that is a user's. */
struct certificate {
    const struct bus_auth *auth;
    char user[NATS_CREDENTIAL_MAX];
};

static int look_at_name(void *context, enum io_tls_name_kind kind, struct bytes name)
{
    struct certificate *certificate = context;
    if (name.len >= sizeof certificate->user || !auth_knows(certificate->auth, name)) return 0;
    memcpy(certificate->user, name.data, name.len);
    certificate->user[name.len] = '\0';
    return 1;
}

/* Who maps certificates to users asks for nothing else. */
static bool is_mapped(const struct session *session)
{
    const struct bus_tls *tls = session->server->tls;
    return tls && tls->options.verify_and_map && !session->is_local;
}

static void judge(struct session *session, const struct nats_connect *connect)
{
    struct certificate certificate = {.auth = session->server->auth};
    if (is_mapped(session) &&
        io_tls_peer_names(&session->stream, look_at_name, &certificate) != 1) {
        session_refuse(session, connect->user);
        return;
    }
    struct io_addr peer;
    struct auth_identity identity;
    const char *hash = NULL;
    struct auth_request request = {
        .connect = connect,
        .nonce = bytes_str(session->nonce),
        .proven = bytes_str(certificate.user),
        .transport = session->listener->websocket ? BYTES("WEBSOCKET") : BYTES("STANDARD"),
        .peer = io_stream_peer(&session->stream, &peer) == 0 ? &peer : NULL,
        .now_s = (int64_t)(io_wall_ns(session->server->io) / 1000000000),
    };
    switch (auth_judge(session->server->auth, &request, &identity, &hash)) {
    case AUTH_DENIED: session_refuse(session, connect->user); break;
    case AUTH_ACCEPTED: enter(session, connect, &identity); break;
    case AUTH_IF_HASH: check_password(session, connect, &identity, hash); return;
    }
    auth_identity_release(&identity);
}

/* Whether it says nothing of who it is: of a session that has said it already, it changes options.
 */
static bool is_anonymous(const struct nats_connect *connect)
{
    return !*connect->user && !*connect->pass && !*connect->token && !*connect->nkey &&
           !connect->jwt.len;
}

void session_connect(struct session *session, struct bytes json)
{
    struct nats_connect connect;
    nats_connect_init(&connect);
    connect.verbose = session->verbose;
    connect.pedantic = session->pedantic;
    connect.echo = session->echo;
    connect.headers = session->headers;
    connect.no_responders = session->no_responders;
    connect.protocol = session->protocol;
    if (nats_connect_parse(json, &connect)) {
        session->server->metrics.protocol_errors++;
        session_end(session, NULL);
    } else if (session->server->auth && !(session->connected && is_anonymous(&connect))) {
        judge(session, &connect);
    } else {
        set_options(session, &connect);
    }
}

/* ---- beginning ------------------------------------------------------------------------------ */

/* Before anybody has said who they are: those who need not are taken for whom they will be. */
int session_greet(struct session *session)
{
    struct bus_server *server = session->server;
    session->max_subscriptions = server->options.max_subscriptions;
    session->max_payload = server->options.max_payload;
    if (!server->auth) {
        session_bind(session, server->bus);
        return 0;
    }
    if (!auth_needs_nonce(server->auth)) return 0;
    uint8_t random[NONCE_BYTES];
    struct buf text;
    io_random(server->io, random, sizeof random);
    buf_init(&text, sizeof session->nonce);
    base64url_append(&text, bytes_make(random, sizeof random), false);
    memcpy(session->nonce, buf_bytes(&text).data, buf_len(&text));
    int r = text.failed ? ERR_NOMEM : 0;
    buf_release(&text);
    return r;
}

/* One who says nothing of itself is somebody all the same, where the configuration says whom. */
bool session_enter_unasked(struct session *session)
{
    const struct bus_auth *auth = session->server->auth;
    if (!auth_has_anybody(auth)) return false;
    struct nats_connect connect;
    nats_connect_init(&connect);
    bool verbose = session->verbose;
    session->verbose = false;
    connect.verbose = false;
    judge(session, &connect);
    session->verbose = verbose;
    session->connected = false;
    return session->bus != NULL;
}
