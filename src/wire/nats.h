/* nats: the NATS client protocol (docs.nats.io, "Client Protocol"; headers: ADR-4), as bytes.
 * Pure: no I/O, no state between calls, nothing allocated, except by the two readers of JSON.
 * Both sides: a server reads CONNECT, PUB, HPUB, SUB, UNSUB and writes INFO, MSG, HMSG, +OK, -ERR;
 * a client the other way round; both PING and PONG.
 *
 *     while ((n = nats_decode(&decoder, in, &frame)) > 0) {
 *         ... frame's views point into `in` ...
 *         in = bytes_skip(in, n);
 *     }
 *     n == 0: keep `in`, come back when decoder.need bytes of it are there; n < 0: decoder.fault.
 */
#ifndef DURE_WIRE_NATS_H
#define DURE_WIRE_NATS_H

#include "base/buf.h"
#include "base/err.h"

enum {
    NATS_LINE_MAX = 4096,       /* bytes of arguments behind a verb */
    NATS_INFO_MAX = 64 << 10,   /* the same for INFO: a cluster's list of URLs is long */
    NATS_PAYLOAD_MAX = 1 << 20, /* the usual max_payload: headers and body together */
    NATS_PAYLOAD_CAP = 64 << 20 /* no decoder takes more than this, whatever it is told */
};

/* ---- decoding ---------------------------------------------------------------------------- */

enum nats_op {
    NATS_CONNECT, /* text */
    NATS_PUB,     /* subject, reply, payload, tail */
    NATS_HPUB,    /* the same, and headers */
    NATS_SUB,     /* subject, queue, sid */
    NATS_UNSUB,   /* sid, max */
    NATS_PING,
    NATS_PONG,
    NATS_INFO, /* text */
    NATS_MSG,  /* subject, sid, reply, payload */
    NATS_HMSG, /* the same, and headers */
    NATS_OK,
    NATS_ERR /* text, without its quotes */
};

/* One operation. The views point into the bytes that were decoded; those that the operation does
 * not have (or leaves out: reply, queue) are empty. */
struct nats_frame {
    enum nats_op op;
    struct bytes subject, reply, queue, sid;
    struct bytes headers; /* the whole block, from "NATS/1.0" to its empty line */
    struct bytes payload;
    struct bytes text;
    struct bytes tail; /* PUB, HPUB: all behind the subject (" reply 5\r\nhello\r\n"), which is what
                          a MSG or HMSG repeats behind its sid; empty unless it was written exactly
                          as an encoder would (one space each, CRLF) */
    uint64_t max;      /* UNSUB: messages in total after which the subscription ends; 0: at once */
};

enum nats_side { NATS_SERVER, NATS_CLIENT };

/* Why decoding cannot go on. The connection has to be closed; when nats_fault_text() is not NULL, a
 * server says it first. */
enum nats_fault {
    NATS_FAULT_NONE,
    NATS_FAULT_OPERATION, /* a verb that this side does not take, or no CRLF behind a payload */
    NATS_FAULT_ARGUMENTS, /* too few, too many, not a number, header longer than the total */
    NATS_FAULT_LINE,      /* control line longer than the limit */
    NATS_FAULT_PAYLOAD    /* larger than max_payload */
};

struct nats_decoder {
    enum nats_side side;
    size_t max_line, max_payload;
    size_t need;           /* after 0 was returned: decode again when so many bytes are there */
    enum nats_fault fault; /* after a negative number was returned */
};

/* A decoder for the side that reads, with the limits above. */
void nats_decoder_init(struct nats_decoder *decoder, enum nats_side side);

/* Decodes the operation at the start of `in`. Returns how many bytes it took, 0 when it is not yet
 * whole, or ERR_PROTOCOL, ERR_TOO_BIG. What is wrong is told as soon as it is seen: an oversized
 * payload before its bytes, a bad verb before its line ends. A line may end with LF alone. */
int64_t nats_decode(struct nats_decoder *decoder, struct bytes in, struct nats_frame *ret_frame);

/* How many operations follow in `in`, behind the first `size` bytes (which are `frame`, a PUB with
 * a tail), that repeat its control line letter by letter and are whole: the same subject, the same
 * size, another payload. */
size_t nats_repeats(struct bytes in, const struct nats_frame *frame, size_t size);

/* "Unknown Protocol Operation" and so on; NULL when a server closes without a word. */
const char *nats_fault_text(enum nats_fault fault);

/* ---- encoding: each appends one operation; failure sticks in the buf ----------------------- */

void nats_put_connect(struct buf *out, struct bytes json);
void nats_put_info(struct buf *out, struct bytes json);
void nats_put_ping(struct buf *out);
void nats_put_pong(struct buf *out);
void nats_put_ok(struct buf *out);
void nats_put_err(struct buf *out, const char *text);

/* Empty queue: none. */
void nats_put_sub(struct buf *out, struct bytes subject, struct bytes queue, struct bytes sid);

/* max 0: at once. */
void nats_put_unsub(struct buf *out, struct bytes sid, uint64_t max);

/* PUB, or HPUB when `headers` (a whole block) is not empty. Empty reply: none. */
void nats_put_pub(struct buf *out, struct bytes subject, struct bytes reply, struct bytes headers,
                  struct bytes payload);

/* MSG, or HMSG when `headers` is not empty. */
void nats_put_msg(struct buf *out, struct bytes subject, struct bytes sid, struct bytes reply,
                  struct bytes headers, struct bytes payload);

/* ---- headers ----------------------------------------------------------------------------- */

/* A walk over a block "NATS/1.0[ status[ description]]\r\n" (name ":" value CRLF)* CRLF. */
struct nats_headers {
    int status; /* 0: none */
    struct bytes description;
    struct bytes rest; /* private: what has not been walked yet */
};

/* Reads the first line. ERR_SYNTAX when it is none. */
int nats_headers_parse(struct bytes block, struct nats_headers *ret_headers);

/* The next header: 1 and its name and value (without surrounding blanks), 0 behind the last, or
 * ERR_SYNTAX. Names keep their case; one may come again. */
int nats_headers_next(struct nats_headers *headers, struct bytes *ret_name,
                      struct bytes *ret_value);

/* The first value of `name`, compared without case (ADR-4 keeps case, but intermediaries that speak
 * HTTP do not). ERR_NOT_FOUND; ERR_SYNTAX. An empty block has no headers. */
int nats_headers_get(struct bytes block, struct bytes name, struct bytes *ret_value);

/* Begins a block in `out`: status 0 for none, description may be NULL. Then add, then end. */
void nats_headers_begin(struct buf *out, int status, const char *description);

/* ERR_INVALID (and nothing is added) for a name or value that would break the block: an empty name,
 * CR or LF anywhere, a colon or a blank in the name. */
int nats_headers_add(struct buf *out, struct bytes name, struct bytes value);
void nats_headers_add_u64(struct buf *out, struct bytes name, uint64_t value); /* a valid name */
void nats_headers_end(struct buf *out);

/* ---- CONNECT and INFO ---------------------------------------------------------------------- */

enum { NATS_NAME_MAX = 64, NATS_CREDENTIAL_MAX = 256, NATS_URLS_MAX = 16 };

/* What a client says of itself. Texts are cut to their room (a credential that does not fit is
 * ERR_TOO_BIG instead). */
struct nats_connect {
    bool verbose, pedantic, echo, headers, no_responders, tls_required;
    int protocol;
    char name[NATS_NAME_MAX], lang[NATS_NAME_MAX], version[NATS_NAME_MAX];
    char user[NATS_CREDENTIAL_MAX], pass[NATS_CREDENTIAL_MAX], token[NATS_CREDENTIAL_MAX];
    char nkey[NATS_NAME_MAX];            /* a user's public key */
    char signature[NATS_CREDENTIAL_MAX]; /* of the nonce, base64 of either alphabet */
    struct bytes jwt;                    /* a view into what was parsed */
};

/* What holds when a member is left out or no CONNECT comes: verbose, pedantic and echo are true. */
void nats_connect_init(struct nats_connect *ret_connect);

/* Reads over what is there already, so that members left out keep their value. ERR_SYNTAX when it
 * is not a JSON object or a member has the wrong type; unknown members are passed over. */
int nats_connect_parse(struct bytes json, struct nats_connect *connect);

/* Appends the JSON of CONNECT; empty texts are left out. */
void nats_connect_write(struct buf *out, const struct nats_connect *connect);

struct nats_info {
    char server_id[NATS_NAME_MAX], server_name[NATS_NAME_MAX], version[NATS_NAME_MAX];
    char host[NATS_NAME_MAX], client_ip[NATS_NAME_MAX];
    uint16_t port;
    int proto;
    uint64_t max_payload, client_id;
    bool headers, jetstream, auth_required, lame_duck;
    bool tls_required, tls_available, tls_verify;
    char nonce[NATS_NAME_MAX];          /* to be signed by who has an nkey; empty: none */
    bool connect_info;                  /* the INFO that follows an accepted CONNECT ... */
    char remote_account[NATS_NAME_MAX]; /* ... and says whose the connection is */
    char cluster[NATS_NAME_MAX], domain[NATS_NAME_MAX];
    char connect_urls[NATS_URLS_MAX][NATS_NAME_MAX]; /* "host:port"; those beyond are left out */
    unsigned connect_url_count;
    char ws_connect_urls[NATS_URLS_MAX][NATS_NAME_MAX]; /* the same, for WebSocket */
    unsigned ws_connect_url_count;
};

/* ERR_SYNTAX as above. */
int nats_info_parse(struct bytes json, struct nats_info *ret_info);
void nats_info_write(struct buf *out, const struct nats_info *info);

#endif
