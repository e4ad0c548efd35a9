/* puller: asks a pull consumer for messages, so that always about `ahead` are asked for or wait
 * here, and gives them to its owner. On a new connection it asks again. Shared by readers, pulls
 * and workers. Embedded in its owner. */
#ifndef DURE_SDK_PULLER_H
#define DURE_SDK_PULLER_H

#include "sdk/src/buslink.h"

enum { PULLER_SUBJECT = 600 };

struct puller {
    struct buslink *bus;
    struct bus_route route;
    char inbox[BUSLINK_INBOX_TEXT];
    char subject[PULLER_SUBJECT]; /* $JS.API.CONSUMER.MSG.NEXT.STREAM.CONSUMER */
    size_t ahead;                 /* how many to hold and ask for together; 0: ask for none */
    size_t asked;                 /* of the server, and not come yet */
    size_t held;                  /* at the owner */
    bool over;                    /* lost() was called */
    bool fragile; /* the consumer does not outlive a server: lost with the connection */
    uint64_t heard_ns;
    struct loop_timer timer;
    /* A message; its owner counts it in `held` by itself. */
    void (*message)(struct puller *puller, const struct nats_frame *frame);
    /* The consumer is gone (DURE_ENOTFOUND), refuses (DURE_EINVALID: text), or is not heard of
     * (DURE_ETIMEOUT). Nothing comes any more until it is started anew. */
    void (*lost)(struct puller *puller, int err, struct bytes text);
};

/* 0, DURE_EUNREACHABLE, DURE_ENOMEM, DURE_EFULL, DURE_EINVALID (names too long). */
int puller_start(struct puller *puller, struct buslink *bus, const char *stream,
                 const char *consumer);
void puller_stop(struct puller *puller);

/* `held` or `ahead` has changed: asks for more if there is room. */
void puller_fill(struct puller *puller);

#endif
