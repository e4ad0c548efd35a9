/* libnats against a server: one line for each thing that can be seen, in the same words for every
 * server.  cc jetstream.c -lnats; ./a.out nats://127.0.0.1:4222 */
#include <nats/nats.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static natsConnection *nc;
static jsCtx *js;
static jsErrCode code;

static void must(natsStatus status, const char *what)
{
    if (status == NATS_OK) return;
    printf("%s: %s %d\n", what, natsStatus_GetText(status), (int)code);
    fflush(stdout);
    exit(1);
}

static void fails(const char *what, natsStatus status)
{
    printf("%s: %s %d\n", what, natsStatus_GetText(status), (int)code);
    code = 0;
}

static void say_message(natsMsg *message)
{
    jsMsgMetaData *meta;
    must(natsMsg_GetMetaData(&meta, message), "metadata");
    printf("%llu %llu %llu %llu %s %.*s\n", (unsigned long long)meta->Sequence.Stream,
           (unsigned long long)meta->Sequence.Consumer, (unsigned long long)meta->NumDelivered,
           (unsigned long long)meta->NumPending, natsMsg_GetSubject(message),
           natsMsg_GetDataLength(message), natsMsg_GetData(message));
    jsMsgMetaData_Destroy(meta);
}

static void publish(const char *subject, const char *text, const char *id)
{
    jsPubAck *ack;
    jsPubOptions options;
    jsPubOptions_Init(&options);
    options.MsgId = id;
    must(js_Publish(&ack, js, subject, text, (int)strlen(text), &options, &code), "publish");
    printf("%s %llu %d\n", ack->Stream, (unsigned long long)ack->Sequence, ack->Duplicate);
    jsPubAck_Destroy(ack);
}

static natsStatus add_stream(const char *name, const char *subject, int64_t max_msgs)
{
    jsStreamConfig config;
    jsStreamInfo *info = NULL;
    jsStreamConfig_Init(&config);
    config.Name = name;
    config.Subjects = &subject;
    config.SubjectsLen = 1;
    config.MaxMsgs = max_msgs;
    config.AllowDirect = true;
    natsStatus status = js_AddStream(&info, js, &config, NULL, &code);
    if (status == NATS_OK) {
        printf("%s %s %lld %lld %d %d\n", info->Config->Name, info->Config->Subjects[0],
               (long long)info->Config->MaxMsgs, (long long)info->Config->Duplicates,
               (int)info->Config->Storage, (int)info->Config->AllowDirect);
        jsStreamInfo_Destroy(info);
    }
    return status;
}

static void streams(void)
{
    jsStreamInfo *info;
    natsMsg *message;
    jsOptions options;
    jsPubOptions expect;
    printf("== streams\n");
    must(add_stream("A", "a.>", 100), "add");
    fails("different", add_stream("A", "b", 100));
    fails("overlap", add_stream("B", "a.x", -1));
    fails("missing", js_GetStreamInfo(&info, js, "NOPE", NULL, &code));
    printf("== publish\n");
    publish("a.1", "one", "1");
    publish("a.2", "two", "2");
    publish("a.1", "three", NULL);
    publish("a.1", "one", "1");
    jsPubOptions_Init(&expect);
    expect.ExpectLastSeq = 1;
    fails("sequence", js_Publish(NULL, js, "a.1", "x", 1, &expect, &code));
    jsPubOptions_Init(&expect);
    expect.ExpectStream = "Z";
    fails("stream", js_Publish(NULL, js, "a.1", "x", 1, &expect, &code));
    fails("nobody", js_Publish(NULL, js, "nobody.there", "x", 1, NULL, &code));
    must(js_GetMsg(&message, js, "A", 2, NULL, &code), "get");
    printf("%s %llu %s\n", natsMsg_GetSubject(message),
           (unsigned long long)natsMsg_GetSequence(message), natsMsg_GetData(message));
    natsMsg_Destroy(message);
    must(js_GetLastMsg(&message, js, "A", "a.1", NULL, &code), "get last");
    printf("%llu\n", (unsigned long long)natsMsg_GetSequence(message));
    natsMsg_Destroy(message);
    jsDirectGetMsgOptions direct;
    jsDirectGetMsgOptions_Init(&direct);
    direct.LastBySubject = "a.2";
    must(js_DirectGetMsg(&message, js, "A", NULL, &direct), "direct get");
    printf("%s %s\n", natsMsg_GetSubject(message), natsMsg_GetData(message));
    natsMsg_Destroy(message);
    fails("no message", js_GetMsg(&message, js, "A", 99, NULL, &code));
    must(js_DeleteMsg(js, "A", 1, NULL, &code), "delete");
    jsOptions_Init(&options);
    options.Stream.Purge.Subject = "a.2";
    must(js_PurgeStream(js, "A", &options, &code), "purge");
    jsOptions_Init(&options);
    options.Stream.Info.DeletedDetails = true;
    must(js_GetStreamInfo(&info, js, "A", &options, &code), "info");
    printf("%llu %llu %llu\n", (unsigned long long)info->State.Msgs,
           (unsigned long long)info->State.FirstSeq, (unsigned long long)info->State.LastSeq);
    jsStreamInfo_Destroy(info);
}

static void pull(void)
{
    natsSubscription *sub;
    natsMsgList list;
    jsConsumerInfo *info;
    jsSubOptions options;
    printf("== pull\n");
    must(add_stream("P", "p.*", -1), "add");
    for (int i = 1; i <= 6; i++) {
        char text[8];
        snprintf(text, sizeof text, "m%d", i);
        publish(i % 2 ? "p.1" : "p.0", text, NULL);
    }
    jsSubOptions_Init(&options);
    options.Stream = "P";
    options.Config.AckWait = 1000000000;
    must(js_PullSubscribe(&sub, js, "p.*", "d", NULL, &options, &code), "pull subscribe");
    must(natsSubscription_Fetch(&list, sub, 4, 2000, &code), "fetch");
    for (int i = 0; i < list.Count; i++) say_message(list.Msgs[i]);
    must(natsMsg_AckSync(list.Msgs[0], NULL, &code), "ack");
    must(natsMsg_Nak(list.Msgs[1], NULL), "nak");
    must(natsMsg_Term(list.Msgs[2], NULL), "term");
    must(natsMsg_InProgress(list.Msgs[3], NULL), "in progress");
    natsMsgList_Destroy(&list);
    nats_Sleep(300);
    must(natsSubscription_Fetch(&list, sub, 3, 2000, &code), "fetch");
    for (int i = 0; i < list.Count; i++) {
        say_message(list.Msgs[i]);
        must(natsMsg_AckSync(list.Msgs[i], NULL, &code), "ack");
    }
    natsMsgList_Destroy(&list);
    nats_Sleep(1000);
    must(natsSubscription_Fetch(&list, sub, 1, 2000, &code), "fetch");
    say_message(list.Msgs[0]);
    must(natsMsg_AckSync(list.Msgs[0], NULL, &code), "ack");
    natsMsgList_Destroy(&list);
    fails("empty", natsSubscription_Fetch(&list, sub, 1, 200, &code));
    must(js_GetConsumerInfo(&info, js, "P", "d", NULL, &code), "info");
    printf("%llu %lld %llu\n", (unsigned long long)info->NumPending, (long long)info->NumAckPending,
           (unsigned long long)info->AckFloor.Stream);
    jsConsumerInfo_Destroy(info);
    natsSubscription_Destroy(sub);
    fails("delete", js_DeleteConsumer(js, "P", "d", NULL, &code));
    fails("deleted", js_GetConsumerInfo(&info, js, "P", "d", NULL, &code));
}

static void push(void)
{
    natsSubscription *sub;
    natsMsg *message;
    jsSubOptions options;
    printf("== push\n");
    jsSubOptions_Init(&options);
    options.Stream = "P";
    options.Config.FlowControl = true;
    options.Config.Heartbeat = 1000000000;
    must(js_SubscribeSync(&sub, js, "p.1", NULL, &options, &code), "subscribe");
    for (int i = 0; i < 3; i++) {
        must(natsSubscription_NextMsg(&message, sub, 2000), "next");
        say_message(message);
        must(natsMsg_AckSync(message, NULL, &code), "ack");
        natsMsg_Destroy(message);
    }
    natsSubscription_Unsubscribe(sub);
    natsSubscription_Destroy(sub);
    jsSubOptions_Init(&options);
    options.Stream = "P";
    options.Queue = "workers";
    must(js_SubscribeSync(&sub, js, "p.0", NULL, &options, &code), "queue subscribe");
    must(natsSubscription_NextMsg(&message, sub, 2000), "next");
    say_message(message);
    natsMsg_Destroy(message);
    natsSubscription_Unsubscribe(sub);
    natsSubscription_Destroy(sub);
    jsSubOptions_Init(&options);
    options.Stream = "P";
    options.Ordered = true;
    must(js_SubscribeSync(&sub, js, "p.*", NULL, &options, &code), "ordered");
    for (int i = 0; i < 6; i++) {
        must(natsSubscription_NextMsg(&message, sub, 2000), "next");
        say_message(message);
        natsMsg_Destroy(message);
    }
    natsSubscription_Unsubscribe(sub);
    natsSubscription_Destroy(sub);
}

static void say_entry(kvEntry *entry)
{
    printf("%s %s %llu %d\n", kvEntry_Key(entry),
           kvEntry_ValueString(entry) ? kvEntry_ValueString(entry) : "",
           (unsigned long long)kvEntry_Revision(entry), (int)kvEntry_Operation(entry));
    kvEntry_Destroy(entry);
}

static void key_value(void)
{
    kvStore *kv;
    kvConfig config;
    kvEntry *entry;
    kvWatcher *watcher;
    kvKeysList keys;
    kvEntryList history;
    uint64_t revision;
    printf("== key-value\n");
    kvConfig_Init(&config);
    config.Bucket = "b";
    config.History = 3;
    must(js_CreateKeyValue(&kv, js, &config), "create bucket");
    must(kvStore_PutString(&revision, kv, "a", "1"), "put");
    must(kvStore_PutString(&revision, kv, "b.c", "2"), "put");
    must(kvStore_PutString(&revision, kv, "a", "3"), "put");
    must(kvStore_Get(&entry, kv, "a"), "get");
    say_entry(entry);
    must(kvStore_GetRevision(&entry, kv, "a", 1), "get revision");
    say_entry(entry);
    fails("missing", kvStore_Get(&entry, kv, "nothing"));
    fails("create", kvStore_CreateString(&revision, kv, "a", "x"));
    must(kvStore_UpdateString(&revision, kv, "a", "4", 3), "update");
    fails("update", kvStore_UpdateString(&revision, kv, "a", "5", 3));
    must(kvStore_WatchAll(&watcher, kv, NULL), "watch");
    while (kvWatcher_Next(&entry, watcher, 2000) == NATS_OK && entry) say_entry(entry);
    must(kvStore_PutString(NULL, kv, "live", "now"), "put");
    must(kvWatcher_Next(&entry, watcher, 2000), "next");
    say_entry(entry);
    kvWatcher_Destroy(watcher);
    must(kvStore_Delete(kv, "b.c"), "delete");
    fails("deleted", kvStore_Get(&entry, kv, "b.c"));
    must(kvStore_CreateString(&revision, kv, "b.c", "again"), "create again");
    must(kvStore_Keys(&keys, kv, NULL), "keys");
    printf("%d keys\n", keys.Count);
    kvKeysList_Destroy(&keys);
    must(kvStore_Purge(kv, "a", NULL), "purge");
    must(kvStore_History(&history, kv, "a", NULL), "history");
    for (int i = 0; i < history.Count; i++)
        printf("%llu %d\n", (unsigned long long)kvEntry_Revision(history.Entries[i]),
               (int)kvEntry_Operation(history.Entries[i]));
    kvEntryList_Destroy(&history);
    kvStore_Destroy(kv);
    must(js_DeleteKeyValue(js, "b"), "delete bucket");
}

int main(int argc, char **argv)
{
    jsAccountInfo *account;
    must(natsConnection_ConnectTo(&nc, argv[1]), "connect");
    must(natsConnection_JetStream(&js, nc, NULL), "context");
    streams();
    pull();
    push();
    key_value();
    printf("== end\n");
    must(js_GetAccountInfo(&account, js, NULL, &code), "account");
    printf("%lld\n", (long long)account->Limits.MaxStreams);
    jsAccountInfo_Destroy(account);
    must(js_DeleteStream(js, "A", NULL, &code), "delete A");
    must(js_DeleteStream(js, "P", NULL, &code), "delete P");
    jsCtx_Destroy(js);
    natsConnection_Destroy(nc);
    nats_Close();
    return 0;
}
