/* CONNECT and INFO: the two operations whose argument is a JSON object. */
#include "wire/nats.h"

#include "base/jsonw.h"

#include <jansson.h>

/* A member that is left out or null keeps what `ret` holds. */
static int get_bool(const json_t *object, const char *key, bool *ret)
{
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) return 0;
    if (!json_is_boolean(value)) return ERR_SYNTAX;
    *ret = json_is_true(value);
    return 0;
}

static int get_u64(const json_t *object, const char *key, uint64_t max, uint64_t *ret)
{
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) return 0;
    if (!json_is_integer(value)) return ERR_SYNTAX;
    json_int_t number = json_integer_value(value);
    if (number < 0 || (uint64_t)number > max) return ERR_SYNTAX;
    *ret = (uint64_t)number;
    return 0;
}

/* whole: what does not fit is ERR_TOO_BIG; otherwise it is cut. */
static int get_text(const json_t *object, const char *key, bool whole, char *ret, size_t size)
{
    const json_t *value = json_object_get(object, key);
    if (!value || json_is_null(value)) return 0;
    if (!json_is_string(value)) return ERR_SYNTAX;
    size_t len = json_string_length(value);
    if (len >= size && whole) return ERR_TOO_BIG;
    if (len >= size) len = size - 1;
    memcpy(ret, json_string_value(value), len);
    ret[len] = '\0';
    return 0;
}

/* A token has only letters that JSON leaves as they are, so it is found again in the text itself;
 * clients that read it from a file hand on the line's end behind it. What has other letters is no
 * token: as if there were none. */
static int get_jwt(const json_t *object, struct bytes text, struct bytes *ret)
{
    const json_t *value = json_object_get(object, "jwt");
    if (!value || json_is_null(value)) return 0;
    if (!json_is_string(value)) return ERR_SYNTAX;
    struct bytes token =
        bytes_trim(bytes_make(json_string_value(value), json_string_length(value)));
    while (bytes_ends(token, BYTES("\n")) || bytes_ends(token, BYTES("\r"))) token.len--;
    const char *at = memmem(text.data, text.len, token.data, token.len);
    *ret = at ? bytes_make(at, token.len) : (struct bytes){0};
    return 0;
}

static json_t *load(struct bytes text)
{
    json_t *object = json_loadb(text.data, text.len, 0, NULL);
    if (json_is_object(object)) return object;
    json_decref(object);
    return NULL;
}

void nats_connect_init(struct nats_connect *ret_connect)
{
    *ret_connect = (struct nats_connect){.verbose = true, .pedantic = true, .echo = true};
}

int nats_connect_parse(struct bytes json, struct nats_connect *connect)
{
    const struct {
        const char *key;
        bool *value;
    } flags[] = {
        {"verbose", &connect->verbose},
        {"pedantic", &connect->pedantic},
        {"echo", &connect->echo},
        {"headers", &connect->headers},
        {"no_responders", &connect->no_responders},
        {"tls_required", &connect->tls_required},
    };
    const struct {
        const char *key;
        char *value;
        size_t size;
        bool whole;
    } texts[] = {
        {"name", connect->name, sizeof connect->name, false},
        {"lang", connect->lang, sizeof connect->lang, false},
        {"version", connect->version, sizeof connect->version, false},
        {"user", connect->user, sizeof connect->user, true},
        {"pass", connect->pass, sizeof connect->pass, true},
        {"auth_token", connect->token, sizeof connect->token, true},
        {"nkey", connect->nkey, sizeof connect->nkey, true},
        {"sig", connect->signature, sizeof connect->signature, true},
    };

    json_t *object = load(json);
    if (!object) return ERR_SYNTAX;
    int r = 0;
    for (size_t i = 0; i < sizeof flags / sizeof *flags && !r; i++)
        r = get_bool(object, flags[i].key, flags[i].value);
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !r; i++)
        r = get_text(object, texts[i].key, texts[i].whole, texts[i].value, texts[i].size);
    if (!r) r = get_jwt(object, json, &connect->jwt);
    const json_t *protocol = json_object_get(object, "protocol");
    if (!r && protocol && !json_is_null(protocol)) {
        json_int_t number = json_integer_value(protocol);
        if (!json_is_integer(protocol)) r = ERR_SYNTAX;
        connect->protocol = number < -1 ? -1 : number > 1000 ? 1000 : (int)number;
    }
    json_decref(object);
    return r;
}

static void write_text(struct jsonw *json, const char *key, const char *text)
{
    if (*text) jsonw_cstr(json, key, text);
}

void nats_connect_write(struct buf *out, const struct nats_connect *connect)
{
    struct jsonw json;
    jsonw_init(&json, out);
    jsonw_object(&json, NULL);
    jsonw_bool(&json, "verbose", connect->verbose);
    jsonw_bool(&json, "pedantic", connect->pedantic);
    jsonw_bool(&json, "tls_required", connect->tls_required);
    jsonw_bool(&json, "echo", connect->echo);
    jsonw_bool(&json, "headers", connect->headers);
    jsonw_bool(&json, "no_responders", connect->no_responders);
    jsonw_i64(&json, "protocol", connect->protocol);
    write_text(&json, "name", connect->name);
    write_text(&json, "lang", connect->lang);
    write_text(&json, "version", connect->version);
    write_text(&json, "user", connect->user);
    write_text(&json, "pass", connect->pass);
    write_text(&json, "auth_token", connect->token);
    write_text(&json, "nkey", connect->nkey);
    write_text(&json, "sig", connect->signature);
    if (connect->jwt.len) jsonw_str(&json, "jwt", connect->jwt);
    jsonw_object_end(&json);
}

static int get_urls(const json_t *object, const char *key, char ret[][NATS_NAME_MAX],
                    unsigned *ret_count)
{
    const json_t *urls = json_object_get(object, key);
    if (!urls || json_is_null(urls)) return 0;
    if (!json_is_array(urls)) return ERR_SYNTAX;
    for (size_t i = 0; i < json_array_size(urls) && *ret_count < NATS_URLS_MAX; i++) {
        const json_t *url = json_array_get(urls, i);
        if (!json_is_string(url)) return ERR_SYNTAX;
        size_t len = json_string_length(url);
        if (len >= NATS_NAME_MAX) continue; /* half a name is no name */
        memcpy(ret[(*ret_count)++], json_string_value(url), len + 1);
    }
    return 0;
}

int nats_info_parse(struct bytes text, struct nats_info *ret_info)
{
    *ret_info = (struct nats_info){.max_payload = NATS_PAYLOAD_MAX};
    struct nats_info *info = ret_info;
    const struct {
        const char *key;
        char *value;
    } texts[] = {{"server_id", info->server_id},
                 {"server_name", info->server_name},
                 {"version", info->version},
                 {"host", info->host},
                 {"client_ip", info->client_ip},
                 {"nonce", info->nonce},
                 {"remote_account", info->remote_account},
                 {"cluster", info->cluster},
                 {"domain", info->domain}};
    const struct {
        const char *key;
        bool *value;
    } flags[] = {{"headers", &info->headers},
                 {"jetstream", &info->jetstream},
                 {"auth_required", &info->auth_required},
                 {"tls_required", &info->tls_required},
                 {"tls_available", &info->tls_available},
                 {"tls_verify", &info->tls_verify},
                 {"connect_info", &info->connect_info},
                 {"ldm", &info->lame_duck}};

    json_t *object = load(text);
    if (!object) return ERR_SYNTAX;
    uint64_t port = 0, proto = 0;
    int r = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts && !r; i++)
        r = get_text(object, texts[i].key, false, texts[i].value, NATS_NAME_MAX);
    for (size_t i = 0; i < sizeof flags / sizeof *flags && !r; i++)
        r = get_bool(object, flags[i].key, flags[i].value);
    if (!r) r = get_u64(object, "port", UINT16_MAX, &port);
    if (!r) r = get_u64(object, "proto", 1000, &proto);
    if (!r) r = get_u64(object, "max_payload", INT64_MAX, &info->max_payload);
    if (!r) r = get_u64(object, "client_id", INT64_MAX, &info->client_id);
    if (!r) r = get_urls(object, "connect_urls", info->connect_urls, &info->connect_url_count);
    if (!r)
        r = get_urls(object, "ws_connect_urls", info->ws_connect_urls, &info->ws_connect_url_count);
    info->port = (uint16_t)port;
    info->proto = (int)proto;
    json_decref(object);
    return r;
}

static void write_flag(struct jsonw *json, const char *key, bool value)
{
    if (value) jsonw_bool(json, key, true);
}

static void write_urls(struct jsonw *json, const char *key, const char urls[][NATS_NAME_MAX],
                       unsigned count)
{
    if (!count) return;
    jsonw_array(json, key);
    for (unsigned i = 0; i < count; i++) jsonw_cstr(json, NULL, urls[i]);
    jsonw_array_end(json);
}

void nats_info_write(struct buf *out, const struct nats_info *info)
{
    struct jsonw json;
    jsonw_init(&json, out);
    jsonw_object(&json, NULL);
    jsonw_cstr(&json, "server_id", info->server_id);
    jsonw_cstr(&json, "server_name", info->server_name);
    jsonw_cstr(&json, "version", info->version);
    jsonw_i64(&json, "proto", info->proto);
    jsonw_cstr(&json, "host", info->host);
    jsonw_u64(&json, "port", info->port);
    jsonw_bool(&json, "headers", info->headers);
    jsonw_u64(&json, "max_payload", info->max_payload);
    jsonw_bool(&json, "jetstream", info->jetstream);
    jsonw_u64(&json, "client_id", info->client_id);
    write_text(&json, "client_ip", info->client_ip);
    write_text(&json, "cluster", info->cluster);
    write_text(&json, "domain", info->domain);
    write_text(&json, "nonce", info->nonce);
    write_flag(&json, "auth_required", info->auth_required);
    write_flag(&json, "tls_required", info->tls_required);
    write_flag(&json, "tls_available", info->tls_available);
    write_flag(&json, "tls_verify", info->tls_verify);
    write_flag(&json, "ldm", info->lame_duck);
    write_flag(&json, "connect_info", info->connect_info);
    write_text(&json, "remote_account", info->remote_account);
    write_urls(&json, "connect_urls", info->connect_urls, info->connect_url_count);
    write_urls(&json, "ws_connect_urls", info->ws_connect_urls, info->ws_connect_url_count);
    jsonw_object_end(&json);
}
