/* puback: what a stream says to a publication, and what the errors of JetStream mean to us. */
#ifndef DURE_SDK_PUBACK_H
#define DURE_SDK_PUBACK_H

#include "sdk/src/ctx.h"

#include "wire/puback.h"

/* Fills both; the texts of *ret_stored are those of *ret_ack. False (and its error is
 * DURE_ENOSTREAM): no stream has said this. */
bool puback_take(struct bytes body, struct puback *ret_ack, struct dure_stored *ret_stored);

/* What an error of JetStream is to our callers: "code" is like HTTP's, "err_code" JetStream's. */
int api_error_meaning(int code, int err_code);

#endif
