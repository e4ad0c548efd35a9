/* puback: what JetStream answers to a publish: `{"stream":"S","seq":7}`, with "duplicate": true
 * when it had it already, or `{"error":{"code":..,"err_code":..,"description":".."}}`. Pure. */
#ifndef DURE_CLIENT_PUBACK_H
#define DURE_CLIENT_PUBACK_H

#include "base/bytes.h"
#include "base/err.h"

struct puback {
    char stream[256];
    uint64_t seq;
    bool duplicate;
    /* of a refusal; code 0: there was none */
    int code, err_code;
    char description[128];
};

/* 0: stored. ERR_PROTOCOL: the text is no answer of that kind. Else why it was refused, as
 * puback_error() says. */
int puback_parse(struct bytes text, struct puback *ret_ack);

/* The error for JetStream's (HTTP-like) code and its own err_code. */
int puback_error(int code, int err_code);

#endif
