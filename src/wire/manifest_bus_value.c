/* What a single value of the bus's configuration must look like. */
#include "wire/http1.h"
#include "wire/manifest_value.h"
#include "wire/nkey.h"

#define SHOWN(value) BYTES_ARG(yaml_shown(value))

enum { ACCOUNT_MAX = 56, SOCKET_MAX = 107, ENDPOINT_MAX = 63 };

static bool refuse(struct error *error, const char *remedy)
{
    error_remedy(error, "%s", remedy);
    return false;
}

/* ---- subjects ---- */

/* Permissions may speak of any subject, also of those that belong to the bus. */
static const char *pattern_mistake(struct bytes value)
{
    if (!value.len) return "it is empty";
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.data[i] <= ' ' || value.data[i] == 0x7f)
            return "it has white space or a control character";
    for (struct bytes rest = value; rest.data;) {
        struct bytes token = bytes_cut(&rest, '.');
        if (!token.len) return "one of the parts between its dots is empty";
        if (bytes_eq(token, BYTES(">")) && rest.data) return "`>` can only be its last part";
    }
    return NULL;
}

static bool judge_pattern(struct bytes value, const char *mistake, struct error *error)
{
    if (!mistake) return true;
    error_set(error, ERR_INVALID, "`%.*s` is no subject: %s", SHOWN(value), mistake);
    return refuse(error, "Write words with dots between them, such as `order.placed`, `order.*` "
                         "(one part) or `order.>` (all below).");
}

bool manifest_check_pattern(struct bytes value, struct error *error)
{
    return judge_pattern(value, pattern_mistake(value), error);
}

bool manifest_check_subscription(struct bytes value, struct error *error)
{
    struct bytes queue = value, pattern = bytes_cut(&queue, ' ');
    if (!queue.data) return manifest_check_pattern(value, error);
    queue = bytes_trim(queue);
    const char *mistake = pattern_mistake(pattern);
    if (!mistake && pattern_mistake(queue)) mistake = "behind the blank there is no queue group";
    return judge_pattern(value, mistake, error);
}

/* ---- keys and tokens ---- */

static bool check_key(struct bytes value, enum nkey_kind kind, const char *letter,
                      const char *whose, struct error *error)
{
    if (nkey_is(value, kind)) return true;
    struct nkey seed;
    if (nkey_parse_seed(value, &seed) == 0) {
        error_set(error, ERR_INVALID, "this is a seed, which is secret, and no public key");
        return refuse(error, "Write the public key (`nk -inkey FILE -pubout` shows it), and keep "
                             "the seed with the client.");
    }
    error_set(error, ERR_INVALID, "`%.*s` is no public nkey of %s", SHOWN(value), whose);
    error_remedy(error, "It has %d letters and digits and begins with `%s`; copy it whole.",
                 NKEY_TEXT, letter);
    return false;
}

bool manifest_check_user_key(struct bytes value, struct error *error)
{
    return check_key(value, NKEY_USER, "U", "a user", error);
}

bool manifest_check_jwt(struct bytes value, struct error *error)
{
    unsigned dots = 0;
    for (size_t i = 0; i < value.len; i++) dots += value.data[i] == '.';
    if (bytes_starts(value, BYTES("ey")) && dots == 2) return true;
    error_set(error, ERR_INVALID, "`%.*s` is no JWT", SHOWN(value));
    return refuse(error, "It begins with `ey` and has three parts with dots between them; copy it "
                         "whole, without the lines of dashes.");
}

bool manifest_check_operator(struct bytes value, struct error *error)
{
    if (bytes_starts(value, BYTES("ey"))) return manifest_check_jwt(value, error);
    return check_key(value, NKEY_OPERATOR, "O", "an operator", error);
}

/* ---- names and addresses ---- */

/* It becomes the name of a folder, too. */
bool manifest_check_account(struct bytes value, struct error *error)
{
    bool valid = value.len > 0 && value.len <= ACCOUNT_MAX;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.data[i];
        valid = valid && ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                          (c >= '0' && c <= '9') || c == '-' || c == '_');
    }
    if (valid) return true;
    error_set(error, ERR_INVALID, "`%.*s` is no name of an account", SHOWN(value));
    return refuse(error, "It has 1 to 56 letters, digits, `-` and `_`.");
}

bool manifest_check_socket(struct bytes value, struct error *error)
{
    if (bytes_starts(value, BYTES("unix:"))) {
        error_set(error, ERR_INVALID, "`%.*s` is more than the path of a socket", SHOWN(value));
        return refuse(error, "Leave `unix:` out: the key says it already.");
    }
    if (value.len > 0 && value.len <= SOCKET_MAX) return true;
    error_set(error, ERR_INVALID, "a socket's path has 1 to 107 bytes, this one %zu", value.len);
    return refuse(error, "Use a shorter path.");
}

/* scheme://host[:port], as browsers write it. */
bool manifest_check_origin(struct bytes value, struct error *error)
{
    size_t scheme = bytes_starts(value, BYTES("https://")) ? 8 : 7;
    struct bytes host = bytes_skip(value, scheme);
    bool good = scheme == 8 || bytes_starts(value, BYTES("http://"));
    if (good && host.len && http1_host_valid(host)) return true;
    error_set(error, ERR_INVALID, "`%.*s` is no origin of a page", SHOWN(value));
    return refuse(error, "Write it as https://host or https://host:port, with nothing behind.");
}

bool manifest_check_endpoint(struct bytes value, struct error *error)
{
    uint64_t port;
    size_t at = value.len;
    while (at > 0 && value.data[at - 1] != ':') at--;
    if (at > 1 && value.len <= ENDPOINT_MAX &&
        bytes_to_u64(bytes_skip(value, at), UINT16_MAX, &port) == 0 && port)
        return true;
    error_set(error, ERR_INVALID, "`%.*s` is no address that a client can come back to",
              SHOWN(value));
    return refuse(error, "Write HOST:PORT, such as `bus.example.org:4222`.");
}
