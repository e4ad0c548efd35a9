#include "wire/nats_creds.h"

#include "base/base64.h"

static struct bytes trim_line(struct bytes line)
{
    if (bytes_ends(line, BYTES("\r"))) line.len--;
    return bytes_trim(line);
}

/* A line that begins with three dashes at least; clients take any number of them. */
static bool is_rule(struct bytes line)
{
    return bytes_starts(line, BYTES("---"));
}

/* The next block: the lines between two rules, of which one has text. Returns false at the end; an
 * unended or empty block gives an empty view. */
static bool next_block(struct bytes *rest, struct bytes *ret_body)
{
    struct bytes body = {0};
    bool inside = false;
    *ret_body = body;
    while (rest->data) {
        struct bytes line = trim_line(bytes_cut(rest, '\n'));
        if (is_rule(line) && !inside) {
            inside = true;
        } else if (is_rule(line)) {
            *ret_body = body;
            return true;
        } else if (inside && line.len) {
            if (body.len) return true; /* two lines of text */
            body = line;
        }
    }
    return inside;
}

static bool parse_seed(struct bytes text, struct nats_creds *creds)
{
    creds->seed = text;
    return nkey_parse_seed(text, &creds->key) == 0 && creds->key.kind == NKEY_USER;
}

int nats_creds_parse(struct bytes text, struct nats_creds *ret_creds)
{
    struct bytes rest = text, body;
    *ret_creds = (struct nats_creds){0};
    bool has_blocks = false;
    while (next_block(&rest, &body)) {
        has_blocks = true;
        if (!body.len) return ERR_SYNTAX;
        if (!ret_creds->jwt.len && bytes_starts(body, BYTES("ey")))
            ret_creds->jwt = body;
        else
            return parse_seed(body, ret_creds) ? 0 : ERR_SYNTAX;
    }
    if (has_blocks) return ERR_SYNTAX;
    rest = text;
    while (rest.data) {
        struct bytes line = trim_line(bytes_cut(&rest, '\n'));
        if (line.len) return parse_seed(line, ret_creds) ? 0 : ERR_SYNTAX;
    }
    return ERR_SYNTAX;
}

int nats_creds_sign(const struct nats_creds *creds, struct bytes nonce,
                    char ret_text[NATS_SIGNATURE_TEXT + 1])
{
    uint8_t signature[NKEY_SIGNATURE];
    struct buf out;
    int r = nkey_sign(&creds->key, nonce, signature);
    if (r) return r;
    buf_init(&out, NATS_SIGNATURE_TEXT);
    base64url_append(&out, bytes_make(signature, sizeof signature), false);
    if (!out.failed) memcpy(ret_text, buf_bytes(&out).data, NATS_SIGNATURE_TEXT);
    ret_text[NATS_SIGNATURE_TEXT] = '\0';
    r = out.failed ? ERR_NOMEM : 0;
    buf_release(&out);
    return r;
}
