/* head: a head that is being composed: start line, then fields, as text in one buf. Says nothing
 * about the body's framing or the connection: Content-Length, Transfer-Encoding, Connection and the
 * other hop-by-hop fields are the connection's business (http_send_head), so they cannot disagree
 * with what is sent.
 *
 * Failure sticks (a name or value with a character that it must not have, no memory, too long) and
 * is told by http_send_head. */
#ifndef DURE_HTTP_HEAD_H
#define DURE_HTTP_HEAD_H

#include "base/buf.h"
#include "wire/http1.h"

struct http_head {
    struct buf text;
    int error;                /* the first thing that went wrong; 0 */
    int status;               /* of a response; 0: a request */
    enum http1_method method; /* of a request */
};

/* Empties it and writes the start line. The target is written as it is: origin form, or whatever
 * the receiver wants. */
void http_head_request(struct http_head *head, struct bytes method, struct bytes target);
void http_head_response(struct http_head *head, int status);

void http_head_add(struct http_head *head, struct bytes name, struct bytes value);

/* One field of a parsed head, whatever it is; the caller decides. */
void http_head_copy(struct http_head *head, const struct http1_header *header);

/* All fields that may be forwarded: not the hop-by-hop ones (http1_hop_by_hop), and none of those
 * whose id is marked in `except` (bit 1 << id), which the caller adds in its own words. */
#define HTTP_EXCEPT(id) (UINT64_C(1) << HTTP1_NAME_##id)
void http_head_copy_all(struct http_head *head, const struct http1_head *from, uint64_t except);

#endif
