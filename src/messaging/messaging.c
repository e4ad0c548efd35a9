#include "messaging/engine.h"

#include <stdlib.h>

struct messaging_subscription {
    struct messaging *messaging;
    void *of_engine;
};

void messaging_close(struct messaging *messaging, void (*done)(void *context), void *context)
{
    if (messaging)
        messaging->engine->close(messaging, done, context);
    else if (done)
        done(context);
}

void messaging_free(struct messaging *messaging)
{
    if (messaging) messaging->engine->free(messaging);
}

void messaging_when_ready(struct messaging *messaging, void (*ready)(void *context), void *context)
{
    messaging->engine->when_ready(messaging, ready, context);
}

struct messaging_status messaging_status(struct messaging *messaging)
{
    struct messaging_status status = {0};
    messaging->engine->status(messaging, &status);
    return status;
}

int messaging_publish(struct messaging *messaging, struct message *message)
{
    return messaging->engine->publish(messaging, message);
}

int messaging_subscribe(struct messaging *messaging, struct bytes pattern, struct bytes queue,
                        bus_message_fn *deliver, void *context, struct messaging_subscription **ret)
{
    struct messaging_subscription *subscription = malloc(sizeof *subscription);
    if (!subscription) return ERR_NOMEM;
    subscription->messaging = messaging;
    int err = messaging->engine->subscribe(messaging, pattern, queue, deliver, context,
                                           &subscription->of_engine);
    if (err)
        free(subscription);
    else
        *ret = subscription;
    return err;
}

void messaging_unsubscribe(struct messaging_subscription *subscription)
{
    if (!subscription) return;
    subscription->messaging->engine->unsubscribe(subscription->of_engine);
    free(subscription);
}

int messaging_ask(struct messaging *messaging, struct messaging_request *request,
                  struct message *message, uint32_t timeout_ms,
                  void (*done)(struct messaging_request *request, int result,
                               struct message *reply))
{
    *request = (struct messaging_request){.done = done};
    int err = messaging->engine->ask(messaging, request, message, timeout_ms);
    if (!err) request->messaging = messaging;
    return err;
}

void messaging_request_cancel(struct messaging_request *request)
{
    if (request->messaging) request->messaging->engine->request_cancel(request);
    request->messaging = NULL;
}

int messaging_store(struct messaging *messaging, struct messaging_store *store,
                    struct message *message, uint32_t timeout_ms,
                    void (*done)(struct messaging_store *store, int result))
{
    *store = (struct messaging_store){.done = done};
    int err = messaging->engine->store(messaging, store, message, timeout_ms);
    if (!err) store->messaging = messaging;
    return err;
}

void messaging_store_cancel(struct messaging_store *store)
{
    if (store->messaging) store->messaging->engine->store_cancel(store);
    store->messaging = NULL;
}

int messaging_keep_stream(struct messaging *messaging, struct messaging_setup *setup,
                          const struct messaging_stream *stream,
                          void (*done)(struct messaging_setup *setup, int result,
                                       const struct error *error))
{
    *setup = (struct messaging_setup){.done = done};
    int err = messaging->engine->keep_stream(messaging, setup, stream);
    if (!err) setup->messaging = messaging;
    return err;
}

void messaging_setup_cancel(struct messaging_setup *setup)
{
    if (setup->messaging) setup->messaging->engine->setup_cancel(setup);
    setup->messaging = NULL;
}
