/* puback: what a stream answers to a publication (ADR-1), and nothing else:
 * `{"stream":"S","seq":7}`, with "duplicate": true when it had it already, or
 * `{"error":{"code":..,"err_code":.., "description":".."}}`. Pure. It is read once for every
 * durable message, so this is not a reader of any JSON: the members above are taken as they stand,
 * all others are passed over (RFC 8259 is checked of them too), and nothing is allocated. */
#ifndef DURE_WIRE_PUBACK_H
#define DURE_WIRE_PUBACK_H

#include "base/bytes.h"
#include "base/err.h"

struct puback {
    char stream[256];
    uint64_t seq;
    bool duplicate;
    /* of a refusal; code 0: there was none */
    int code, err_code;
    char description[256]; /* cut between two characters where it is longer */
};

/* 0: it is stored (code 0, seq at least 1), or was refused (code as in HTTP; 500 when it has none).
 * ERR_SYNTAX: the text is no answer of a stream, and *ret_ack is zeroed. */
int puback_parse(struct bytes text, struct puback *ret_ack);

#endif
