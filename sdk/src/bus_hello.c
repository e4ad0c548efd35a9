#include "sdk/src/bus_hello.h"

#include "sdk/src/secure.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { FILE_MAX = 64 * 1024 };

/* A whole small file. */
static int read_file(const char *path, struct buf *text, char ret_why[BUS_WHY])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), err = 0;
    ssize_t got = 1;
    if (fd < 0) err = err_from_errno(errno);
    while (!err && got > 0) {
        char *room = buf_reserve(text, 4096);
        got = room ? read(fd, room, 4096) : 0;
        if (!room) err = ERR_TOO_BIG;
        if (got > 0) buf_commit(text, (size_t)got);
        if (got < 0 && errno != EINTR) err = err_from_errno(errno);
        if (got < 0 && !err) got = 1;
    }
    if (fd >= 0) close(fd);
    if (err) snprintf(ret_why, BUS_WHY, "cannot read %.120s: %s", path, err_text(err));
    return err;
}

/* Proves who we are with a file of credentials, or of one seed. connect->jwt points into `text`. */
static int prove(struct nats_connect *connect, const struct bus_hello *hello, const char *path,
                 struct buf *text, char ret_why[BUS_WHY])
{
    if (!&dure_secure) {
        snprintf(ret_why, BUS_WHY, "this program was linked without OpenSSL: no keys, no TLS");
        return ERR_UNSUPPORTED;
    }
    int err = read_file(path, text, ret_why);
    if (err) return err;
    err = dure_secure.prove(buf_bytes(text), bytes_str(hello->info->nonce), connect);
    if (err == ERR_SYNTAX)
        snprintf(ret_why, BUS_WHY, "%.120s holds no credentials of a NATS user", path);
    return err;
}

static int put_text(char *ret, const char *text, char ret_why[BUS_WHY])
{
    if (!text) return 0;
    if (snprintf(ret, NATS_CREDENTIAL_MAX, "%s", text) < NATS_CREDENTIAL_MAX) return 0;
    snprintf(ret_why, BUS_WHY, "a user, password or token is too long");
    return ERR_TOO_BIG;
}

/* What stands in the URL counts before the settings. */
static int fill_credentials(struct nats_connect *connect, const struct bus_hello *hello,
                            struct buf *text, char ret_why[BUS_WHY])
{
    const struct bus_server *server = hello->server;
    const struct bus_settings *settings = hello->settings;
    bool in_url = server->token[0] || server->user[0];
    int err = put_text(connect->token, in_url ? server->token : settings->token, ret_why);
    if (!err) err = put_text(connect->user, in_url ? server->user : settings->user, ret_why);
    if (!err)
        err = put_text(connect->pass, in_url ? server->password : settings->password, ret_why);
    const char *file = settings->creds ? settings->creds : settings->nkey;
    if (err || in_url || !file) return err;
    return prove(connect, hello, file, text, ret_why);
}

int bus_hello_write(const struct bus_hello *hello, struct buf *out, char ret_why[BUS_WHY])
{
    struct nats_connect connect;
    struct buf text;
    nats_connect_init(&connect);
    connect.verbose = connect.pedantic = false;
    connect.headers = connect.no_responders = true;
    connect.tls_required = hello->tls;
    connect.protocol = 1;
    snprintf(connect.lang, sizeof connect.lang, "c");
    snprintf(connect.version, sizeof connect.version, "1");
    snprintf(connect.name, sizeof connect.name, "%.60s", hello->name);
    buf_init(&text, FILE_MAX);
    int err = fill_credentials(&connect, hello, &text, ret_why);
    if (!err) nats_connect_write(out, &connect);
    explicit_bzero(&connect, sizeof connect);
    if (text.data) explicit_bzero(text.data, text.size);
    buf_release(&text);
    return err;
}
