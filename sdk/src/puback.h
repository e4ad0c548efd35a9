/* puback: what a stream says to a publication (ADR-1), and what its errors mean to us. */
#ifndef DURE_SDK_PUBACK_H
#define DURE_SDK_PUBACK_H

#include "sdk/src/ctx.h"

enum { PUBACK_STREAM = 256, PUBACK_REASON = 256 };

struct puback {
    int err, code; /* code: JetStream's err_code */
    uint64_t sequence;
    bool duplicate;
    char stream[PUBACK_STREAM], reason[PUBACK_REASON];
};

/* Never fails: an answer that is none of a stream is DURE_ENOSTREAM. */
void puback_parse(struct bytes body, struct puback *ret_puback);

/* What an error of JetStream is to our callers: "code" is like HTTP's, "err_code" JetStream's. */
int api_error_meaning(int code, int err_code);

#endif
