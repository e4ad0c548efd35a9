#include "sdk/src/puback.h"

int api_error_meaning(int code, int err_code)
{
    switch (err_code) {
    case 10058: /* stream name in use */
    case 10013: /* consumer name in use */
    case 10148: return DURE_EEXISTS;
    case 10070: /* wrong last message id */
    case 10071:
    case 10164: /* wrong last sequence */ return DURE_ECONFLICT;
    case 10054: /* message too large */
    case 10097: return DURE_ETOOBIG;
    case 10002: /* limits of the account */
    case 10023:
    case 10026:
    case 10027:
    case 10028:
    case 10047:
    case 10077: return DURE_EFULL;
    case 10039: /* JetStream not enabled */
    case 10076:
    case 10035: return DURE_ENOSTREAM;
    case 10052: return DURE_EINVALID;
    default: break;
    }
    switch (code) {
    case 400: return DURE_EINVALID;
    case 401:
    case 403: return DURE_EDENIED;
    case 404: return DURE_ENOTFOUND;
    default: return DURE_EREMOTE;
    }
}

bool puback_take(struct bytes body, struct puback *ret_ack, struct dure_stored *ret_stored)
{
    bool is_one = puback_parse(body, ret_ack) == 0;
    int refused = ret_ack->code ? api_error_meaning(ret_ack->code, ret_ack->err_code) : 0;
    *ret_stored = (struct dure_stored){.err = is_one ? refused : DURE_ENOSTREAM,
                                       .stream = ret_ack->stream,
                                       .sequence = ret_ack->seq,
                                       .duplicate = ret_ack->duplicate,
                                       .reason = ret_ack->description,
                                       .code = ret_ack->err_code};
    return is_one;
}
