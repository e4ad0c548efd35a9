/* Who we are: what CONNECT says so that the server lets us in, and the certificates. */
#include "client/client_impl.h"

static void write_text(struct jsonw *json, const char *key, const char *text)
{
    if (text && *text) jsonw_cstr(json, key, text);
}

static void write_keys(const struct client *client, struct jsonw *json)
{
    const struct nats_creds *creds = &client->creds;
    struct nkey public_key;
    char text[NKEY_TEXT + 1], signature[NATS_SIGNATURE_TEXT + 1];
    if (!client->options.identity.creds) return;
    if (creds->jwt.len) jsonw_str(json, "jwt", creds->jwt);
    if (nkey_public(&creds->key, &public_key) != 0) {
        json->out->failed = true;
        return;
    }
    nkey_write(&public_key, text);
    jsonw_cstr(json, "nkey", text);
    if (!client->info.nonce[0]) return; /* the server asks for no proof */
    if (nats_creds_sign(creds, bytes_str(client->info.nonce), signature) != 0)
        json->out->failed = true;
    else
        jsonw_cstr(json, "sig", signature);
}

void client_write_identity(const struct client *client, struct jsonw *json)
{
    const struct server *server = servers_current(&client->servers);
    const struct client_identity *identity = &client->options.identity;
    if (server->user[0] && !server->password[0]) {
        jsonw_cstr(json, "auth_token", server->user);
    } else if (server->user[0]) {
        jsonw_cstr(json, "user", server->user);
        jsonw_cstr(json, "pass", server->password);
    } else {
        write_text(json, "user", identity->user);
        write_text(json, "pass", identity->password);
        write_text(json, "auth_token", identity->token);
    }
    write_keys(client, json);
}

int client_read_creds(struct client *client, struct error *error)
{
    const char *text = client->options.identity.creds;
    if (!text || nats_creds_parse(bytes_str(text), &client->creds) == 0) return 0;
    error_set(error, ERR_INVALID, "the credentials hold no seed of a user");
    error_remedy(error, "Give a file as nsc writes it: *.creds, or *.nk with a seed SU...");
    return ERR_INVALID;
}

int client_read_tls(struct client *client, const struct client_tls *tls, struct error *error)
{
    struct io_tls_certificate own = {tls ? tls->cert : NULL, tls ? tls->key : NULL};
    const struct io_tls_options options = {
        .certificates = &own,
        .certificate_count = own.certificate_file ? 1 : 0,
        .ca_file = tls ? tls->ca : NULL,
    };
    return io_tls_context_new(client->io, &options, &client->tls, error);
}
