#include "client/puback.h"

#include <jansson.h>
#include <stdio.h>

int puback_error(int code, int err_code)
{
    switch (err_code) {
    case 10071: /* wrong last sequence */
    case 10070: /* wrong last message id */
    case 10164: return ERR_CONFLICT;
    case 10054: /* message larger than the stream's limit */
    case 10097: return ERR_TOO_BIG;
    case 10077: return ERR_FULL; /* a limit of the stream */
    case 10058:                  /* stream name in use */
    case 10013:                  /* consumer name in use */
    case 10148: return ERR_EXISTS;
    case 10065: return ERR_CONFLICT; /* subjects overlap */
    case 10047: return ERR_NO_SPACE;
    case 10008: return ERR_UNAVAILABLE;
    default: break;
    }
    switch (code) {
    case 400: return ERR_INVALID;
    case 403: return ERR_DENIED;
    case 404: return ERR_NOT_FOUND;
    case 408: return ERR_TIMEOUT;
    case 503: return ERR_UNAVAILABLE;
    default: return ERR_IO;
    }
}

static int take_refusal(const json_t *error, struct puback *ack)
{
    const char *text = json_string_value(json_object_get(error, "description"));
    ack->code = (int)json_integer_value(json_object_get(error, "code"));
    ack->err_code = (int)json_integer_value(json_object_get(error, "err_code"));
    if (!ack->code) ack->code = 500;
    snprintf(ack->description, sizeof ack->description, "%s", text ? text : "");
    return puback_error(ack->code, ack->err_code);
}

int puback_parse(struct bytes text, struct puback *ret_ack)
{
    *ret_ack = (struct puback){0};
    json_t *object = json_loadb(text.data, text.len, 0, NULL);
    const json_t *error = json_object_get(object, "error");
    const char *stream = json_string_value(json_object_get(object, "stream"));
    json_int_t seq = json_integer_value(json_object_get(object, "seq"));
    int err = 0;
    if (stream) snprintf(ret_ack->stream, sizeof ret_ack->stream, "%s", stream);
    if (error) {
        err = take_refusal(error, ret_ack);
    } else if (stream && seq > 0) {
        ret_ack->seq = (uint64_t)seq;
        ret_ack->duplicate = json_is_true(json_object_get(object, "duplicate"));
    } else {
        err = ERR_PROTOCOL;
    }
    json_decref(object);
    return err;
}
