/* http1_chunked: the chunked transfer coding (RFC 9112 section 7.1), decoded as it arrives. Data
 * comes out as views into the input. Extensions are checked and dropped; so are trailer fields. */
#ifndef DURE_WIRE_HTTP1_CHUNKED_H
#define DURE_WIRE_HTTP1_CHUNKED_H

#include "wire/http1.h"

enum {
    HTTP1_CHUNK_EXTENSION_MAX = 256, /* bytes of one chunk's extensions */
    HTTP1_TRAILER_MAX = 8 * 1024,
    HTTP1_TRAILER_FIELDS_MAX = 32,
    HTTP1_CHUNK_HEAD_MAX = 18, /* 16 digits, CRLF */
};

struct http1_chunked {
    uint64_t left;  /* of the chunk at hand */
    uint16_t count; /* digits, or bytes of an extension, or bytes of the trailer section */
    uint8_t fields; /* trailer fields so far */
    uint8_t state;  /* private: enum chunk_state */
    enum http1_error error;
};

enum http1_chunk {
    HTTP1_CHUNK_MORE, /* the input is used up */
    HTTP1_CHUNK_DATA, /* a piece of the body */
    HTTP1_CHUNK_END,  /* the body is complete; what is left in the input belongs to the next message
                       */
    HTTP1_CHUNK_ERROR /* see `error`; the input starts at the byte that is wrong */
};

void http1_chunked_init(struct http1_chunked *chunked);

/* Takes bytes off the front of `input` until there is something to say. Call it again until it
 * returns MORE, END or ERROR. `ret_piece` (never empty) is set for DATA. */
enum http1_chunk http1_chunked_next(struct http1_chunked *chunked, struct bytes *input,
                                    struct bytes *ret_piece);

/* Writes the line before a chunk of `size` > 0 bytes; returns its length. Behind the data comes
 * HTTP1_CHUNK_TAIL; behind the last chunk HTTP1_CHUNK_LAST. */
size_t http1_chunk_head(char ret_text[HTTP1_CHUNK_HEAD_MAX], uint64_t size);

#define HTTP1_CHUNK_TAIL "\r\n"
#define HTTP1_CHUNK_LAST "0\r\n\r\n"

#endif
