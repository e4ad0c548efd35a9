#include "client/jsapi.h"

#include <stdio.h>
#include <stdlib.h>

enum { SUBJECT_MAX = 1024 };

int jsapi_error(int code, int err_code)
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

static int read_error(struct jsapi *api, const json_t *refusal, struct error *error)
{
    int code = (int)json_integer_value(json_object_get(refusal, "code"));
    const char *text = json_string_value(json_object_get(refusal, "description"));
    api->err_code = (int)json_integer_value(json_object_get(refusal, "err_code"));
    return error_set(error, jsapi_error(code, api->err_code), "%s (%d)", text ? text : "refused",
                     api->err_code);
}

static void replied(struct client_request *request, int result, struct message *reply)
{
    struct jsapi *api = CONTAINER_OF(request, struct jsapi, request);
    struct error error = {0};
    json_t *answer = NULL;
    if (result == ERR_UNAVAILABLE)
        error_set(&error, result, "JetStream does not answer there");
    else if (result)
        error_set(&error, result, "%s", err_text(result));
    else if (!(answer = json_loadb(reply->payload.data, reply->payload.len, 0, NULL)))
        result = error_set(&error, ERR_PROTOCOL, "the answer is no JSON");
    const json_t *refusal = json_object_get(answer, "error");
    if (refusal) result = read_error(api, refusal, &error);
    api->done(api, result, result ? NULL : answer, &error);
    json_decref(answer);
}

int jsapi_ask(struct client *client, struct jsapi *api, const char *what, json_t *body,
              uint32_t timeout_ms,
              void (*done)(struct jsapi *api, int result, json_t *answer,
                           const struct error *error))
{
    char subject[SUBJECT_MAX];
    *api = (struct jsapi){.done = done};
    int len = snprintf(subject, sizeof subject, "$JS.API.%s", what);
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    bool failed = body && !text;
    json_decref(body);
    if (failed) return ERR_NOMEM;
    if ((size_t)len >= sizeof subject) {
        free(text);
        return ERR_TOO_BIG;
    }
    struct message message =
        message_borrow(bytes_make(subject, (size_t)len), BYTES(""), BYTES(""), bytes_str(text));
    int err = client_request(client, &api->request, &message, timeout_ms, replied);
    message_done(&message);
    free(text);
    return err;
}

int jsapi_puback(struct bytes text, struct puback *ret_ack)
{
    if (puback_parse(text, ret_ack) != 0) return ERR_PROTOCOL;
    return ret_ack->code ? jsapi_error(ret_ack->code, ret_ack->err_code) : 0;
}

void jsapi_cancel(struct jsapi *api)
{
    client_request_cancel(&api->request);
}

/* $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.<time>.<pending>, and with
 * <domain>.<account hash> before the stream and more behind. */
int jsapi_position(struct bytes reply, struct jsapi_position *ret_position)
{
    struct bytes tokens[13], rest = reply;
    size_t count = 0;
    while (rest.data && count < 13) tokens[count++] = bytes_cut(&rest, '.');
    if (count < 9 || count == 10 || !bytes_eq(tokens[0], BYTES("$JS")) ||
        !bytes_eq(tokens[1], BYTES("ACK")))
        return ERR_SYNTAX;
    const struct bytes *at = tokens + (count == 9 ? 2 : 4);
    uint64_t *const numbers[] = {&ret_position->delivered, &ret_position->stream_seq,
                                 &ret_position->consumer_seq, &ret_position->time_ns,
                                 &ret_position->pending};
    ret_position->stream = at[0];
    ret_position->consumer = at[1];
    for (size_t i = 0; i < 5; i++)
        if (bytes_to_u64(at[2 + i], UINT64_MAX, numbers[i]) != 0) return ERR_SYNTAX;
    return 0;
}
