/* What a program does with Debian's libnats. Prints one line for each thing that is right. */
#include <nats/nats.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check(natsStatus status, const char *what)
{
    if (status == NATS_OK) return;
    fprintf(stderr, "%s: %s\n", what, natsStatus_GetText(status));
    exit(1);
}

static void expect(int right, const char *what)
{
    if (!right) fprintf(stderr, "wrong: %s\n", what);
    if (!right) exit(1);
    printf("%s\n", what);
}

static void answer(natsConnection *nc, natsSubscription *sub, natsMsg *msg, void *closure)
{
    natsConnection_Publish(nc, natsMsg_GetReply(msg), natsMsg_GetData(msg),
                           natsMsg_GetDataLength(msg));
    natsMsg_Destroy(msg);
}

static void wildcards(natsConnection *nc)
{
    natsSubscription *star, *rest, *none;
    natsMsg *msg = NULL;
    check(natsConnection_SubscribeSync(&star, nc, "c.*.x"), "subscribe");
    check(natsConnection_SubscribeSync(&rest, nc, "c.>"), "subscribe");
    check(natsConnection_SubscribeSync(&none, nc, "c.*"), "subscribe");
    check(natsConnection_PublishString(nc, "c.b.x", "hello"), "publish");
    check(natsSubscription_NextMsg(&msg, star, 2000), "next");
    expect(!strcmp(natsMsg_GetData(msg), "hello") && !strcmp(natsMsg_GetSubject(msg), "c.b.x"),
           "wildcard *");
    natsMsg_Destroy(msg);
    check(natsSubscription_NextMsg(&msg, rest, 2000), "next");
    natsMsg_Destroy(msg);
    expect(natsSubscription_NextMsg(&msg, none, 50) == NATS_TIMEOUT, "wildcard >");
    natsSubscription_Destroy(star);
    natsSubscription_Destroy(rest);
    natsSubscription_Destroy(none);
}

static void queues(natsConnection *nc)
{
    natsSubscription *member[3];
    int64_t total = 0;
    uint64_t most = 0;
    for (int i = 0; i < 3; i++)
        check(natsConnection_QueueSubscribeSync(&member[i], nc, "q.work", "workers"), "queue");
    for (int i = 0; i < 300; i++) check(natsConnection_PublishString(nc, "q.work", "x"), "publish");
    check(natsConnection_Flush(nc), "flush");
    for (int i = 0; i < 3; i++) {
        uint64_t count;
        check(natsSubscription_QueuedMsgs(member[i], &count), "count");
        total += (int64_t)count;
        if (count > most) most = count;
        natsSubscription_Destroy(member[i]);
    }
    expect(total == 300 && most <= 120, "queue group");
}

static void headers(natsConnection *nc)
{
    natsSubscription *sub;
    natsMsg *out, *in = NULL;
    const char *value = NULL;
    check(natsConnection_SubscribeSync(&sub, nc, "h"), "subscribe");
    check(natsMsg_Create(&out, "h", NULL, "body", 4), "create");
    check(natsMsgHeader_Set(out, "Key", "a value"), "header");
    check(natsConnection_PublishMsg(nc, out), "publish");
    check(natsSubscription_NextMsg(&in, sub, 2000), "next");
    check(natsMsgHeader_Get(in, "Key", &value), "get");
    expect(!strcmp(value, "a value") && natsMsg_GetDataLength(in) == 4, "headers");
    natsMsg_Destroy(out);
    natsMsg_Destroy(in);
    natsSubscription_Destroy(sub);
}

static void requests(natsConnection *nc)
{
    natsSubscription *sub;
    natsMsg *reply = NULL;
    char *large = malloc(500000);
    memset(large, 'L', 500000);
    check(natsConnection_Subscribe(&sub, nc, "echo", answer, NULL), "subscribe");
    check(natsConnection_RequestString(&reply, nc, "echo", "ping", 2000), "request");
    expect(!strcmp(natsMsg_GetData(reply), "ping"), "request and reply");
    natsMsg_Destroy(reply);
    check(natsConnection_Request(&reply, nc, "echo", large, 500000, 5000), "large request");
    expect(natsMsg_GetDataLength(reply) == 500000 && !memcmp(natsMsg_GetData(reply), large, 500000),
           "large payload");
    natsMsg_Destroy(reply);
    expect(natsConnection_RequestString(&reply, nc, "nobody", "x", 2000) == NATS_NO_RESPONDERS,
           "no responders");
    natsSubscription_Destroy(sub);
    free(large);
}

static void limits(natsConnection *nc)
{
    natsSubscription *sub;
    uint64_t count = 0;
    check(natsConnection_SubscribeSync(&sub, nc, "u"), "subscribe");
    check(natsSubscription_AutoUnsubscribe(sub, 3), "auto-unsubscribe");
    for (int i = 0; i < 5; i++) check(natsConnection_PublishString(nc, "u", "x"), "publish");
    check(natsConnection_Flush(nc), "flush");
    natsSubscription_QueuedMsgs(sub, &count);
    expect(count == 3, "unsubscribe after three");
    natsSubscription_Destroy(sub);
}

/* client URL [CA-FILE [CERTIFICATE-FILE KEY-FILE]]: with a CA over TLS. */
static natsConnection *open_connection(int argc, char **argv)
{
    natsConnection *nc = NULL;
    natsOptions *options;
    check(natsOptions_Create(&options), "options");
    check(natsOptions_SetURL(options, argv[1]), "URL");
    if (argc > 2) check(natsOptions_SetSecure(options, true), "TLS");
    if (argc > 2) check(natsOptions_LoadCATrustedCertificates(options, argv[2]), "CA");
    if (argc > 4)
        check(natsOptions_LoadCertificatesChain(options, argv[3], argv[4]), "certificate");
    check(natsConnection_Connect(&nc, options), "connect");
    natsOptions_Destroy(options);
    return nc;
}

int main(int argc, char **argv)
{
    natsConnection *nc = open_connection(argc, argv);
    expect(natsConnection_HasHeaderSupport(nc) == NATS_OK &&
               natsConnection_GetMaxPayload(nc) == 1048576,
           "connect");
    wildcards(nc);
    queues(nc);
    headers(nc);
    requests(nc);
    limits(nc);
    natsConnection_Destroy(nc);
    nats_Close();
    return 0;
}
