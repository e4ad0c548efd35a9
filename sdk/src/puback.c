#include "sdk/src/puback.h"

#include <jansson.h>
#include <stdio.h>

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

/* {"stream":"EVENTS","seq":5,"duplicate":true} or {"error":{"code":..,"err_code":..,...}}. */
void puback_parse(struct bytes body, struct puback *ret_puback)
{
    *ret_puback = (struct puback){.err = DURE_ENOSTREAM};
    json_t *json = json_loadb(body.data, body.len, JSON_REJECT_DUPLICATES, NULL);
    json_t *error = json_object_get(json, "error");
    const char *stream = json_string_value(json_object_get(json, "stream"));
    const char *reason = json_string_value(json_object_get(error, "description"));
    snprintf(ret_puback->stream, PUBACK_STREAM, "%s", stream ? stream : "");
    snprintf(ret_puback->reason, PUBACK_REASON, "%s", reason ? reason : "");
    if (error) {
        ret_puback->code = (int)json_integer_value(json_object_get(error, "err_code"));
        ret_puback->err = api_error_meaning((int)json_integer_value(json_object_get(error, "code")),
                                            ret_puback->code);
    } else if (stream) {
        ret_puback->err = 0;
        ret_puback->sequence = (uint64_t)json_integer_value(json_object_get(json, "seq"));
        ret_puback->duplicate = json_is_true(json_object_get(json, "duplicate"));
    }
    json_decref(json);
}
