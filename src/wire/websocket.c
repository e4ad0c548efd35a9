#include "wire/websocket.h"

#include <assert.h>
#include <openssl/evp.h>

enum { FINAL = 0x80, RESERVED = 0x70, OPCODE = 0x0f, MASKED = 0x80, LENGTH = 0x7f };
enum { LENGTH_16 = 126, LENGTH_64 = 127 };

static bool is_control(enum ws_opcode opcode)
{
    return opcode & 8;
}

/* ---- writing ----------------------------------------------------------------------------- */

size_t ws_head(char to[WS_HEAD_MAX], enum ws_opcode opcode, bool final, uint64_t len,
               const uint8_t mask[4])
{
    int width = len > UINT16_MAX ? 8 : len >= LENGTH_16 ? 2 : 0;
    uint8_t first = width == 8 ? LENGTH_64 : width == 2 ? LENGTH_16 : (uint8_t)len;
    size_t at = 2;
    to[0] = (char)((final ? FINAL : 0) | opcode);
    to[1] = (char)((mask ? MASKED : 0) | first);
    for (int i = width - 1; i >= 0; i--) to[at++] = (char)(len >> (8 * i));
    if (!mask) return at;
    memcpy(to + at, mask, 4);
    return at + 4;
}

/* Eight bytes at a time; the mask is turned to where the data begins. */
void ws_mask(char *data, size_t len, const uint8_t mask[4], uint64_t offset)
{
    uint8_t turned[8];
    uint64_t wide, word;
    size_t at = 0;
    for (size_t i = 0; i < sizeof turned; i++) turned[i] = mask[(offset + i) % 4];
    memcpy(&wide, turned, sizeof wide);
    for (; at + sizeof word <= len; at += sizeof word) {
        memcpy(&word, data + at, sizeof word);
        word ^= wide;
        memcpy(data + at, &word, sizeof word);
    }
    for (; at < len; at++) data[at] = (char)(data[at] ^ turned[at % 8]);
}

size_t ws_close(char to[WS_CLOSE_MAX], int code, struct bytes reason)
{
    reason = bytes_head(reason, WS_CONTROL_MAX - 2);
    size_t len = code == WS_CODE_NONE ? 0 : 2 + reason.len;
    size_t at = ws_head(to, WS_CLOSE, true, len, NULL);
    if (!len) return at;
    to[at++] = (char)(code >> 8);
    to[at++] = (char)code;
    if (reason.len) memcpy(to + at, reason.data, reason.len);
    return at + reason.len;
}

/* ---- reading ----------------------------------------------------------------------------- */

void ws_reader_init(struct ws_reader *reader, enum ws_side side, uint64_t max_message)
{
    *reader = (struct ws_reader){.side = side, .max_message = max_message};
}

static int fail(struct ws_reader *reader, int err, enum ws_code code)
{
    reader->close_code = code;
    reader->closed = true;
    return err;
}

static int break_off(struct ws_reader *reader)
{
    return fail(reader, ERR_PROTOCOL, WS_CODE_PROTOCOL);
}

static bool opcode_known(uint8_t opcode)
{
    return opcode <= WS_BINARY || (opcode >= WS_CLOSE && opcode <= WS_PONG);
}

/* What the first two bytes say about the length of the head. */
static size_t head_size(const struct ws_reader *reader)
{
    if (reader->head_len < 2) return 2;
    uint8_t second = (uint8_t)reader->head[1], length = second & LENGTH;
    size_t extended = length == LENGTH_64 ? 8 : length == LENGTH_16 ? 2 : 0;
    return 2 + extended + (second & MASKED ? 4 : 0);
}

/* The first two bytes are enough to refuse most of what is wrong. */
static int check_start(struct ws_reader *reader)
{
    uint8_t first = (uint8_t)reader->head[0], second = (uint8_t)reader->head[1];
    uint8_t opcode = first & OPCODE;
    bool final = first & FINAL, masked = second & MASKED;
    if (first & RESERVED || !opcode_known(opcode)) return break_off(reader);
    if (masked != (reader->side == WS_SERVER)) return break_off(reader);
    if (is_control(opcode)) {
        if (!final || (second & LENGTH) > WS_CONTROL_MAX) return break_off(reader);
    } else if ((opcode == WS_CONTINUATION) != reader->in_message) {
        return break_off(reader);
    }
    reader->opcode = opcode;
    reader->final = final;
    reader->masked = masked;
    return 0;
}

static uint64_t read_length(const struct ws_reader *reader, size_t *at)
{
    uint8_t length = (uint8_t)reader->head[1] & LENGTH;
    if (length < LENGTH_16) return length;
    uint64_t value = 0;
    for (size_t end = *at + (length == LENGTH_64 ? 8 : 2); *at < end; ++*at)
        value = value << 8 | (uint8_t)reader->head[*at];
    return value;
}

/* The head is whole: a frame begins. A length may not be written longer than it needs to be, nor
 * with its highest bit (section 5.2). */
static int begin_frame(struct ws_reader *reader)
{
    size_t at = 2;
    uint8_t length = (uint8_t)reader->head[1] & LENGTH;
    reader->left = read_length(reader, &at);
    reader->offset = 0;
    if (length == LENGTH_16 && reader->left < LENGTH_16) return break_off(reader);
    if (length == LENGTH_64 && (reader->left <= UINT16_MAX || reader->left >> 63))
        return break_off(reader);
    if (reader->masked) memcpy(reader->mask, reader->head + at, 4);
    reader->in_frame = true;
    reader->head_len = 0;
    if (is_control(reader->opcode)) return 0;
    if (!reader->in_message) {
        reader->in_message = true;
        reader->is_text = reader->opcode == WS_TEXT;
        reader->message = 0;
    }
    if (reader->left > reader->max_message - reader->message)
        return fail(reader, ERR_TOO_BIG, WS_CODE_TOO_BIG);
    reader->message += reader->left;
    return 0;
}

/* Takes bytes of a head; when it is whole the frame has begun. */
static int take_head(struct ws_reader *reader, struct bytes *in)
{
    while (in->len) {
        reader->head[reader->head_len++] = *in->data;
        *in = bytes_skip(*in, 1);
        int err = reader->head_len == 2 ? check_start(reader) : 0;
        if (err) return err;
        if (reader->head_len >= 2 && reader->head_len == head_size(reader))
            return begin_frame(reader);
    }
    return 0;
}

/* Codes that somebody may send (section 7.4). */
static bool code_valid(int code)
{
    if (code >= 3000 && code < 5000) return true;
    return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

static int end_control(struct ws_reader *reader, struct ws_event *event)
{
    size_t len = (size_t)reader->offset;
    *event = (struct ws_event){.data = reader->control, .len = len, .end = true};
    reader->in_frame = false;
    if (reader->opcode != WS_CLOSE) {
        event->kind = reader->opcode == WS_PING ? WS_EVENT_PING : WS_EVENT_PONG;
        return 1;
    }
    event->kind = WS_EVENT_CLOSE;
    event->code = WS_CODE_NONE;
    if (len == 1) return break_off(reader);
    if (len) {
        event->code = (uint8_t)reader->control[0] << 8 | (uint8_t)reader->control[1];
        if (!code_valid(event->code)) return break_off(reader);
        event->data += 2;
        event->len -= 2;
    }
    reader->closed = true;
    return 1;
}

/* Takes bytes of a frame; 1 when that makes an event. */
static int take_content(struct ws_reader *reader, struct bytes *in, struct ws_event *event)
{
    char *data = (char *)in->data;
    size_t len = in->len < reader->left ? in->len : (size_t)reader->left;
    if (reader->masked && len) ws_mask(data, len, reader->mask, reader->offset);
    *in = bytes_skip(*in, len);
    if (is_control(reader->opcode)) {
        if (len) memcpy(reader->control + reader->offset, data, len);
        reader->offset += len;
        reader->left -= len;
        return reader->left ? 0 : end_control(reader, event);
    }
    reader->offset += len;
    reader->left -= len;
    bool end = !reader->left && reader->final;
    if (!reader->left) reader->in_frame = false;
    if (end) reader->in_message = false;
    if (!len && !end) return 0;
    *event = (struct ws_event){
        .kind = WS_EVENT_DATA, .text = reader->is_text, .end = end, .data = data, .len = len};
    return 1;
}

int ws_read(struct ws_reader *reader, struct bytes *in, struct ws_event *ret_event)
{
    if (reader->close_code) return fail(reader, ERR_PROTOCOL, reader->close_code);
    while (!reader->closed && (in->len || (reader->in_frame && !reader->left))) {
        int r = reader->in_frame ? take_content(reader, in, ret_event) : take_head(reader, in);
        if (r) return r;
    }
    *in = bytes_skip(*in, in->len);
    return 0;
}

/* ---- the opening handshake ----------------------------------------------------------------- */

bool ws_key_valid(struct bytes key)
{
    unsigned char decoded[18];
    if (key.len != 24 || !bytes_ends(key, BYTES("==")) || key.data[21] == '=') return false;
    return EVP_DecodeBlock(decoded, (const unsigned char *)key.data, 24) == sizeof decoded;
}

void ws_accept(struct bytes key, char to[WS_ACCEPT_LEN + 1])
{
    static const char suffix[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[24 + sizeof suffix];
    unsigned char digest[20];
    assert(key.len == 24);
    memcpy(text, key.data, key.len);
    memcpy(text + key.len, suffix, sizeof suffix - 1);
    int made = EVP_Digest(text, key.len + sizeof suffix - 1, digest, NULL, EVP_sha1(), NULL);
    assert(made);
    EVP_EncodeBlock((unsigned char *)to, digest, sizeof digest);
}
