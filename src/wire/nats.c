/* One pass over a control line: the arguments are found eight bytes at a time, and where they stand
 * tells afterwards whether the line was written canonically. A payload is not looked at at all,
 * except for the CRLF behind it. */
#include "wire/nats.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

enum { ARGUMENTS_MAX = 5, DIGITS_MAX = 9 };

struct verb {
    char name[8];
    uint8_t len;
    uint8_t op;
    uint8_t sides; /* bit for each enum nats_side that takes it */
};

enum { SERVER = 1 << NATS_SERVER, CLIENT = 1 << NATS_CLIENT, BOTH = SERVER | CLIENT };

/* Servers pass over INFO and +OK, which a client may send to a peer that it takes for a server. */
static const struct verb verbs[] = {
    {"pub", 3, NATS_PUB, SERVER},
    {"hpub", 4, NATS_HPUB, SERVER},
    {"msg", 3, NATS_MSG, CLIENT},
    {"hmsg", 4, NATS_HMSG, CLIENT},
    {"sub", 3, NATS_SUB, SERVER},
    {"unsub", 5, NATS_UNSUB, SERVER},
    {"ping", 4, NATS_PING, BOTH},
    {"pong", 4, NATS_PONG, BOTH},
    {"connect", 7, NATS_CONNECT, SERVER},
    {"info", 4, NATS_INFO, BOTH},
    {"+ok", 3, NATS_OK, BOTH},
    {"-err", 4, NATS_ERR, BOTH},
};

/* The arguments of one control line. */
struct line {
    struct bytes argument[ARGUMENTS_MAX];
    unsigned count;
    const char *end; /* behind the LF */
};

static int64_t fault(struct nats_decoder *decoder, enum nats_fault which)
{
    decoder->fault = which;
    return which == NATS_FAULT_LINE || which == NATS_FAULT_PAYLOAD ? ERR_TOO_BIG : ERR_PROTOCOL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The first byte below '!' (a blank, a line's end, a control character), or `end`. Eight bytes at
 * a time: subtracting 0x21 from each sets the high bit of those below it (and perhaps of later
 * ones, by the borrow, which does not matter to the first). */
static const char *token_end(const char *p, const char *end)
{
#ifdef __SSE2__
    /* Sixteen at a time: the lesser of each byte and a blank is the byte itself. */
    const __m128i blank = _mm_set1_epi8(' ');
    while (end - p >= 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)p);
        int found = _mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(bytes, blank), bytes));
        if (found) return p + __builtin_ctz((unsigned)found);
        p += 16;
    }
#endif
    const uint64_t low = 0x2121212121212121u, high = 0x8080808080808080u;
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        uint64_t found = (word - low) & ~word & high;
        if (found) return p + (__builtin_ctzll(found) >> 3);
        p += 8;
    }
    while (p < end && (unsigned char)*p > ' ') p++;
    return p;
}

/* Splits the line that starts at `p` (behind the verb). 1: whole; 0: its end is not there yet; or a
 * fault. A CR counts as the end of the line only with its LF. */
static int64_t line_parse(struct nats_decoder *decoder, const char *p, const char *end,
                          struct line *line)
{
    const char *start = p; /* the blank behind the verb does not count */
    line->count = 0;
    for (;;) {
        while (p < end && is_blank(*p)) p++;
        const char *token = p;
        p = token_end(p, end);
        if ((size_t)(p - start) > decoder->max_line + 1) return fault(decoder, NATS_FAULT_LINE);
        if (p == end) return 0;
        if (p > token) {
            if (line->count == ARGUMENTS_MAX) return fault(decoder, NATS_FAULT_ARGUMENTS);
            line->argument[line->count++] = bytes_make(token, (size_t)(p - token));
        }
        if (is_blank(*p)) continue;
        if (*p == '\r' && ++p == end) return 0;
        if (*p != '\n') return fault(decoder, NATS_FAULT_ARGUMENTS);
        line->end = p + 1;
        return 1;
    }
}

/* At most nine digits, so that any sum of two fits 32 bits. */
static bool parse_size(struct bytes text, size_t *ret)
{
    size_t value = 0;
    if (!text.len || text.len > DIGITS_MAX) return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(text.data[i] - '0');
        if (digit > 9) return false;
        value = value * 10 + digit;
    }
    *ret = value;
    return true;
}

/* Whether all from the first argument to the end of the line is as an encoder writes it. */
static bool line_is_canonical(const struct line *line)
{
    const struct bytes *last = &line->argument[line->count - 1];
    for (const struct bytes *a = line->argument; a < last; a++)
        if (a->data + a->len + 1 != a[1].data || a->data[a->len] != ' ') return false;
    for (const struct bytes *a = last; a >= line->argument && a > last - 2; a--)
        if (a->data[0] == '0' && a->len > 1) return false;
    return last->data + last->len + 2 == line->end;
}

/* What follows a line that announces a payload. Fills headers and payload; 1 when all is there. */
static int64_t payload_parse(struct nats_decoder *decoder, struct bytes in, const char *start,
                             size_t header_size, size_t size, struct nats_frame *ret_frame)
{
    if (header_size > size) return fault(decoder, NATS_FAULT_ARGUMENTS);
    if (size > decoder->max_payload) return fault(decoder, NATS_FAULT_PAYLOAD);
    size_t have = (size_t)(in.data + in.len - start);
    if (have < size + 2) {
        if (have > size && start[size] != '\r') return fault(decoder, NATS_FAULT_OPERATION);
        decoder->need = (size_t)(start - in.data) + size + 2;
        return 0;
    }
    if (start[size] != '\r' || start[size + 1] != '\n') return fault(decoder, NATS_FAULT_OPERATION);
    ret_frame->headers = bytes_make(start, header_size);
    ret_frame->payload = bytes_make(start + header_size, size - header_size);
    return start + size + 2 - in.data;
}

/* PUB subject [reply] size; HPUB subject [reply] header-size size; MSG and HMSG with a sid behind
 * the subject. */
static int64_t message_parse(struct nats_decoder *decoder, struct bytes in, size_t verb_len,
                             struct nats_frame *ret_frame)
{
    enum nats_op op = ret_frame->op;
    unsigned sizes = op == NATS_HPUB || op == NATS_HMSG ? 2 : 1;
    unsigned names = op == NATS_MSG || op == NATS_HMSG ? 2 : 1;
    struct line line;
    int64_t r = line_parse(decoder, in.data + verb_len, in.data + in.len, &line);
    if (r <= 0) return r;

    size_t header_size = 0, size;
    if (line.count < names + sizes || line.count > names + 1 + sizes)
        return fault(decoder, NATS_FAULT_ARGUMENTS);
    const struct bytes *last = &line.argument[line.count - 1];
    if (!parse_size(*last, &size) || (sizes == 2 && !parse_size(last[-1], &header_size)))
        return fault(decoder, NATS_FAULT_ARGUMENTS);
    r = payload_parse(decoder, in, line.end, header_size, size, ret_frame);
    if (r <= 0) return r;

    ret_frame->subject = line.argument[0];
    if (names == 2) ret_frame->sid = line.argument[1];
    if (line.count > names + sizes) ret_frame->reply = line.argument[names];
    if (names == 1 && line_is_canonical(&line)) {
        const char *tail = ret_frame->subject.data + ret_frame->subject.len;
        ret_frame->tail = bytes_make(tail, (size_t)(in.data + r - tail));
    }
    return r;
}

/* What nearly every message is: "PUB subject size", written canonically and whole. 0: something
 * else or not, to be looked at with care. */
static int64_t plain_pub_parse(const struct nats_decoder *decoder, struct bytes in,
                               struct nats_frame *ret_frame)
{
    const char *subject = in.data + 4, *end = in.data + in.len;
    const char *tail = token_end(subject, end), *p = tail + 1;
    size_t size = 0;
    if (tail == subject || end - tail < 5 || *tail != ' ' || (*p == '0' && p[1] != '\r')) return 0;
    const char *digits = p;
    for (; p < end && (unsigned)(*p - '0') <= 9 && p - digits < DIGITS_MAX; p++)
        size = size * 10 + (unsigned)(*p - '0');
    if (p == digits || end - p < 2 || p[0] != '\r' || p[1] != '\n') return 0;
    p += 2;
    if (size > decoder->max_payload || (size_t)(p - subject) > decoder->max_line ||
        (size_t)(end - p) < size + 2 || p[size] != '\r' || p[size + 1] != '\n')
        return 0;
    ret_frame->subject = bytes_make(subject, (size_t)(tail - subject));
    ret_frame->payload = bytes_make(p, size);
    ret_frame->tail = bytes_make(tail, (size_t)(p + size + 2 - tail));
    return p + size + 2 - in.data;
}

static int64_t subscription_parse(struct nats_decoder *decoder, struct bytes in, size_t verb_len,
                                  struct nats_frame *ret_frame)
{
    struct line line;
    int64_t r = line_parse(decoder, in.data + verb_len, in.data + in.len, &line);
    if (r <= 0) return r;
    if (ret_frame->op == NATS_SUB) {
        if (line.count < 2 || line.count > 3) return fault(decoder, NATS_FAULT_ARGUMENTS);
        ret_frame->subject = line.argument[0];
        if (line.count == 3) ret_frame->queue = line.argument[1];
        ret_frame->sid = line.argument[line.count - 1];
    } else {
        size_t max;
        if (line.count < 1 || line.count > 2) return fault(decoder, NATS_FAULT_ARGUMENTS);
        ret_frame->sid = line.argument[0];
        /* What is no number means "at once", as in the reference server. */
        if (line.count == 2 && parse_size(line.argument[1], &max)) ret_frame->max = max;
    }
    return line.end - in.data;
}

/* Verbs with a text up to the end of the line, or with nothing (then what stands there is passed
 * over). */
static int64_t text_parse(struct nats_decoder *decoder, struct bytes in, size_t verb_len,
                          struct nats_frame *ret_frame)
{
    size_t max = ret_frame->op == NATS_INFO ? NATS_INFO_MAX : decoder->max_line;
    struct bytes text = bytes_skip(in, verb_len);
    if (text.len && is_blank(*text.data)) text = bytes_skip(text, 1);
    size_t end = bytes_find(bytes_head(text, max + 2), '\n');
    if (end > max + 1) return fault(decoder, NATS_FAULT_LINE);
    if (end == text.len) return 0;

    int64_t consumed = text.data + end + 1 - in.data;
    text.len = end;
    if (bytes_ends(text, BYTES("\r"))) text.len--;
    if (text.len > max) return fault(decoder, NATS_FAULT_LINE);
    text = bytes_trim(text);
    if (ret_frame->op == NATS_ERR && text.len >= 2 && text.data[0] == '\'' &&
        text.data[text.len - 1] == '\'')
        text = bytes_make(text.data + 1, text.len - 2);
    ret_frame->text = text;
    return consumed;
}

/* The verb at the start of `in`. NULL with *ret_partial when `in` ends within one. */
static const struct verb *find_verb(enum nats_side side, struct bytes in, bool *ret_partial)
{
    *ret_partial = false;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        const struct verb *verb = &verbs[i];
        if (!(verb->sides & (1u << side))) continue;
        size_t len = in.len < verb->len ? in.len : verb->len;
        if (!bytes_eq_nocase(bytes_head(in, len), bytes_make(verb->name, len))) continue;
        if (len == verb->len) return verb;
        *ret_partial = true;
    }
    return NULL;
}

/* Member by member: as one assignment it becomes `rep stos`, which alone was a tenth of the time
 * that a small message takes in a server. */
static void clear(struct nats_frame *frame)
{
    frame->op = NATS_PUB;
    frame->subject = (struct bytes){0};
    frame->reply = (struct bytes){0};
    frame->queue = (struct bytes){0};
    frame->sid = (struct bytes){0};
    frame->headers = (struct bytes){0};
    frame->payload = (struct bytes){0};
    frame->text = (struct bytes){0};
    frame->tail = (struct bytes){0};
    frame->max = 0;
}

void nats_decoder_init(struct nats_decoder *decoder, enum nats_side side)
{
    *decoder = (struct nats_decoder){
        .side = side, .max_line = NATS_LINE_MAX, .max_payload = NATS_PAYLOAD_MAX};
    if (side == NATS_CLIENT) decoder->max_payload = NATS_PAYLOAD_CAP;
}

int64_t nats_decode(struct nats_decoder *decoder, struct bytes in, struct nats_frame *ret_frame)
{
    clear(ret_frame);
    decoder->need = in.len + 1;
    if (!in.len) return 0;
    if (decoder->side == NATS_SERVER && in.len > 4 && memcmp(in.data, "PUB ", 4) == 0) {
        int64_t n = plain_pub_parse(decoder, in, ret_frame);
        return n ? n : message_parse(decoder, in, 3, ret_frame);
    }

    bool partial;
    const struct verb *verb = find_verb(decoder->side, in, &partial);
    if (!verb) return partial ? 0 : fault(decoder, NATS_FAULT_OPERATION);
    ret_frame->op = verb->op;
    bool has_arguments = verb->op == NATS_PUB || verb->op == NATS_HPUB || verb->op == NATS_MSG ||
                         verb->op == NATS_HMSG || verb->op == NATS_SUB || verb->op == NATS_UNSUB;
    if (!has_arguments) return text_parse(decoder, in, verb->len, ret_frame);
    if (in.len == verb->len) return 0;
    if (!is_blank(in.data[verb->len])) return fault(decoder, NATS_FAULT_OPERATION);
    if (verb->op == NATS_SUB || verb->op == NATS_UNSUB)
        return subscription_parse(decoder, in, verb->len, ret_frame);
    return message_parse(decoder, in, verb->len, ret_frame);
}

size_t nats_repeats(struct bytes in, const struct nats_frame *frame, size_t size)
{
    const char *first = in.data;
    size_t line = (size_t)(frame->payload.data - first), count = 0;
    for (size_t at = size; in.len - at >= size; at += size, count++) {
        if (memcmp(first, first + at, line) != 0) break;
        if (memcmp(first + at + size - 2, "\r\n", 2) != 0) break;
    }
    return count;
}

const char *nats_fault_text(enum nats_fault which)
{
    switch (which) {
    case NATS_FAULT_OPERATION: return "Unknown Protocol Operation";
    case NATS_FAULT_LINE: return "maximum control line exceeded";
    case NATS_FAULT_PAYLOAD: return "Maximum Payload Violation";
    case NATS_FAULT_ARGUMENTS:
    case NATS_FAULT_NONE: break;
    }
    return NULL;
}
