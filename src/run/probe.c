#include "run/probe.h"

#include <assert.h>
#include <stdio.h>

enum { SUBJECT_MAX = 256, REASON_MAX = 160 };

static void timed_out(struct io_timer *timer);

void probe_init(struct probe *probe, struct http *http, struct messaging *messaging)
{
    *probe = (struct probe){.http = http, .messaging = messaging};
    io_timer_init(&probe->timer, timed_out);
}

void probe_cancel(struct probe *probe)
{
    if (!probe->busy) return;
    probe->busy = false;
    io_timer_cancel(probe->http->io, &probe->timer);
    if (probe->asking) messaging_request_cancel(&probe->request);
    probe->asking = false;
    if (probe->exchange) probe->exchange->closed = NULL;
    probe->exchange = NULL;
    struct http_client *client = probe->client;
    probe->client = NULL;
    http_client_close(client);
}

static void finish(struct probe *probe, bool success, const char *reason)
{
    probe_cancel(probe);
    probe->done(probe, success, reason);
}

static void timed_out(struct io_timer *timer)
{
    struct probe *probe = CONTAINER_OF(timer, struct probe, timer);
    char reason[REASON_MAX];
    snprintf(reason, sizeof reason, "no answer within %u ms", probe->service->health.timeout_ms);
    finish(probe, false, reason);
}

static void exchange_closed(struct http_exchange *x, int result)
{
    struct probe *probe = x->context;
    probe->exchange = NULL;
    char reason[REASON_MAX];
    snprintf(reason, sizeof reason, "GET %s: %s", probe->service->health.path.data,
             err_text(result));
    finish(probe, false, reason);
}

static void response(struct http_exchange *x)
{
    struct probe *probe = x->context;
    int status = x->in.status;
    char reason[REASON_MAX];
    snprintf(reason, sizeof reason, "GET %s: status %d", probe->service->health.path.data, status);
    finish(probe, status >= 200 && status < 300, reason);
}

static void send_get(struct probe *probe)
{
    struct http_exchange *x = http_client_begin(probe->client, response);
    if (!x) {
        finish(probe, false, err_text(ERR_NOMEM));
        return;
    }
    probe->exchange = x;
    x->context = probe;
    x->closed = exchange_closed;
    http_head_request(&x->out, BYTES("GET"), probe->service->health.path);
    http_head_add(&x->out, BYTES("Host"), probe->service->name);
    http_head_add(&x->out, BYTES("User-Agent"), BYTES("dure-health"));
    int err = http_send_head(x, 0);
    if (err) finish(probe, false, err_text(err));
}

static void connected(struct http_client *client, int result)
{
    struct probe *probe = http_client_context(client);
    char reason[REASON_MAX];
    if (result) {
        snprintf(reason, sizeof reason, "connect: %s", err_text(result));
        finish(probe, false, reason);
    } else if (probe->service->health.kind == MANIFEST_HEALTH_TCP) {
        finish(probe, true, "");
    } else {
        send_get(probe);
    }
}

static void answered(struct messaging_request *request, int result, struct message *reply)
{
    struct probe *probe = CONTAINER_OF(request, struct probe, request);
    probe->asking = false;
    char reason[REASON_MAX];
    snprintf(reason, sizeof reason, "ping on the bus: %s", err_text(result));
    finish(probe, result == 0, reason);
}

static int ask(struct probe *probe, const char *instance)
{
    char subject[SUBJECT_MAX];
    int len =
        snprintf(subject, sizeof subject, "$SRV.PING.%s.%s", probe->service->name.data, instance);
    struct message message =
        message_borrow(bytes_make(subject, (size_t)len), BYTES(""), BYTES(""), BYTES(""));
    int err = messaging_ask(probe->messaging, &probe->request, &message,
                            probe->service->health.timeout_ms, answered);
    probe->asking = !err;
    message_done(&message);
    return err;
}

static int connect_to(struct probe *probe, const struct io_addr *addr)
{
    static const struct http_client_options options = {0}; /* the probe has a timer of its own */
    int err = http_client_new(probe->http, &options, probe, &probe->client);
    if (!err) http_client_connect(probe->client, addr, connected);
    return err;
}

void probe_start(struct probe *probe, const struct manifest_service *service, const char *instance,
                 const struct io_addr *addr,
                 void (*done)(struct probe *probe, bool success, const char *reason))
{
    assert(!probe->busy);
    probe->done = done;
    probe->service = service;
    probe->busy = true;
    int err = service->health.kind == MANIFEST_HEALTH_BUS ? ask(probe, instance)
                                                          : connect_to(probe, addr);
    /* A probe that could not be made says nothing about the instance: the timer reports it as one
     * that had no answer. */
    io_timer_set(probe->http->io, &probe->timer, err ? 1 : service->health.timeout_ms);
}
