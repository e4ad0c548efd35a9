/* websocket: the frames of the WebSocket protocol (RFC 6455), without extensions, and the answer to
 * its opening handshake. Pure.
 *
 * A reader takes a connection's bytes as they come and takes them apart where they lie: it unmasks
 * in place and hands out views. Frames may be of any size; a piece of data is what has arrived of
 * one, so nothing is gathered but the heads of frames and the content of control frames, which are
 * small.
 *
 *     while ((r = ws_read(&reader, &in, &event)) > 0) ... event ...
 *     r == 0: all bytes are taken; r < 0: close with reader.close_code */
#ifndef DURE_WIRE_WEBSOCKET_H
#define DURE_WIRE_WEBSOCKET_H

#include "base/bytes.h"
#include "base/err.h"

enum ws_opcode {
    WS_CONTINUATION = 0,
    WS_TEXT = 1,
    WS_BINARY = 2,
    WS_CLOSE = 8,
    WS_PING = 9,
    WS_PONG = 10
};

/* Status codes of a close (RFC 6455 section 7.4.1). */
enum ws_code {
    WS_CODE_NORMAL = 1000,
    WS_CODE_GOING_AWAY = 1001,
    WS_CODE_PROTOCOL = 1002,
    WS_CODE_NONE = 1005, /* none was sent; is never sent itself */
    WS_CODE_TOO_BIG = 1009
};

enum { WS_HEAD_MAX = 14, WS_CONTROL_MAX = 125 };

/* ---- writing ----------------------------------------------------------------------------- */

/* Writes the head of a frame with `len` bytes. mask NULL: of a server, not masked. Returns its
 * length. */
size_t ws_head(char to[WS_HEAD_MAX], enum ws_opcode opcode, bool final, uint64_t len,
               const uint8_t mask[4]);

/* Masks or unmasks bytes that stand at `offset` in their frame. */
void ws_mask(char *data, size_t len, const uint8_t mask[4], uint64_t offset);

/* A whole frame of a server with the code and the reason (cut at 123 bytes); WS_CODE_NONE: without
 * both. Returns its length. */
enum { WS_CLOSE_MAX = 2 + WS_CONTROL_MAX };
size_t ws_close(char to[WS_CLOSE_MAX], int code, struct bytes reason);

/* ---- reading ----------------------------------------------------------------------------- */

enum ws_side { WS_SERVER, WS_CLIENT };

enum ws_event_kind {
    WS_EVENT_DATA, /* a piece of a message; `end`: its last one (which may be empty) */
    WS_EVENT_PING, /* to be answered with a pong that has the same data */
    WS_EVENT_PONG,
    WS_EVENT_CLOSE /* to be answered with a close, unless that was sent; nothing comes behind */
};

struct ws_event {
    enum ws_event_kind kind;
    bool text; /* of DATA: the message was sent as text (which is not checked to be UTF-8) */
    bool end;
    char *data; /* in the bytes that were read, or in the reader (control frames) */
    size_t len;
    int code; /* of CLOSE; WS_CODE_NONE: none */
};

struct ws_reader {
    enum ws_side side;
    uint64_t max_message; /* bytes */
    int close_code;       /* after a negative result */

    /* private */
    bool in_message, is_text, closed;
    bool in_frame, final, masked;
    enum ws_opcode opcode;
    uint8_t mask[4];
    uint64_t left, offset, message; /* bytes: still to come, seen of the frame; of the message */
    size_t head_len;
    char head[WS_HEAD_MAX];
    char control[WS_CONTROL_MAX];
};

/* The side that reads: a server wants masked frames, a client none that are. */
void ws_reader_init(struct ws_reader *reader, enum ws_side side, uint64_t max_message);

/* Takes bytes from the front of `in` (changing them) until something has happened: 1 and the event,
 * whose data is good until the next call; 0 when all are taken; ERR_PROTOCOL, ERR_TOO_BIG. */
int ws_read(struct ws_reader *reader, struct bytes *in, struct ws_event *ret_event);

/* ---- the opening handshake ----------------------------------------------------------------- */

enum { WS_ACCEPT_LEN = 28 };

/* Whether this is what a client may send as Sec-WebSocket-Key: 16 bytes in base64. */
bool ws_key_valid(struct bytes key);

/* The value of Sec-WebSocket-Accept for a key (section 4.2.2), ended by NUL. */
void ws_accept(struct bytes key, char to[WS_ACCEPT_LEN + 1]);

#endif
