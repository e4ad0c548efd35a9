import io.nats.client.*;
import io.nats.client.api.*;
import io.nats.client.impl.*;
import io.nats.service.*;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.*;

/** jnats against a server: one line for each thing that can be seen, in the same words for every server. */
public class Main {
    interface Call {
        Object run() throws Exception;
    }

    static void say(Object... words) {
        StringJoiner line = new StringJoiner(" ");
        for (Object word : words) line.add(String.valueOf(word));
        System.out.println(line);
    }

    static void fails(String what, Call call) {
        try {
            say(what, "worked", call.run());
        } catch (JetStreamApiException e) {
            say(what, e.getErrorCode(), e.getApiErrorCode(), e.getErrorDescription());
        } catch (Exception e) {
            say(what, e.getClass().getSimpleName());
        }
    }

    static String describe(Message m) {
        NatsJetStreamMetaData d = m.metaData();
        return d.streamSequence() + " " + d.consumerSequence() + " " + d.deliveredCount() + " " + d.pendingCount() + " "
            + m.getSubject() + " " + new String(m.getData());
    }

    static byte[] bytes(String text) {
        return text.getBytes();
    }

    static void streams(JetStreamManagement jsm, JetStream js) throws Exception {
        say("== streams");
        StreamInfo info = jsm.addStream(StreamConfiguration.builder().name("A").subjects("a.>").maxMessages(100)
            .allowDirect(true).build());
        StreamConfiguration c = info.getConfiguration();
        say(c.getName(), c.getRetentionPolicy(), c.getStorageType(), c.getMaxMsgs(), c.getDuplicateWindow());
        fails("different", () -> jsm.addStream(StreamConfiguration.builder().name("A").subjects("b").build()));
        fails("overlap", () -> jsm.addStream(StreamConfiguration.builder().name("B").subjects("a.x").build()));
        fails("missing", () -> jsm.getStreamInfo("NOPE"));
        say(jsm.updateStream(StreamConfiguration.builder(c).description("words").build()).getConfiguration()
            .getDescription());
        say(jsm.getStreamNames(), jsm.getStreamNames("a.b"), jsm.getStreams().size());

        say("== publish");
        for (int i = 0; i < 4; i++) {
            PublishAck ack = js.publish("a." + i % 2, bytes("m" + i),
                PublishOptions.builder().messageId("id" + i).build());
            say(ack.getStream(), ack.getSeqno(), ack.isDuplicate());
        }
        say(js.publish("a.0", bytes("m0"), PublishOptions.builder().messageId("id0").build()).isDuplicate());
        fails("sequence", () -> js.publish("a.0", null, PublishOptions.builder().expectedLastSequence(1).build()));
        fails("stream", () -> js.publish("a.0", null, PublishOptions.builder().expectedStream("Z").build()));
        fails("id", () -> js.publish("a.0", null, PublishOptions.builder().expectedLastMsgId("Z").build()));
        MessageInfo m = jsm.getMessage("A", 2);
        say(m.getSubject(), m.getSeq(), new String(m.getData()), m.getHeaders().getFirst("Nats-Msg-Id"));
        say(jsm.getLastMessage("A", "a.0").getSeq(), jsm.getNextMessage("A", 2, "a.0").getSeq());
        fails("no message", () -> jsm.getMessage("A", 99));
        say(jsm.deleteMessage("A", 1), jsm.purgeStream("A", PurgeOptions.subject("a.1")).getPurged());
        StreamState state = jsm.getStreamInfo("A", StreamInfoOptions.builder().deletedDetails().allSubjects().build())
            .getStreamState();
        say(state.getMsgCount(), state.getFirstSequence(), state.getLastSequence(), state.getSubjects());
    }

    static void consumers(Connection nc, JetStreamManagement jsm, JetStream js) throws Exception {
        say("== pull");
        jsm.addStream(StreamConfiguration.builder().name("P").subjects("p.*").build());
        for (int i = 1; i <= 6; i++) js.publish("p." + i % 2, bytes("m" + i));
        ConsumerInfo info = jsm.addOrUpdateConsumer("P", ConsumerConfiguration.builder().durable("d")
            .ackPolicy(AckPolicy.Explicit).ackWait(1000).build());
        say(info.getName(), info.getNumPending(), info.getConsumerConfiguration().getAckWait(),
            info.getConsumerConfiguration().getMaxAckPending(), info.getConsumerConfiguration().getMaxPullWaiting());
        ConsumerContext context = nc.getConsumerContext("P", "d");
        List<Message> batch = fetch(context, 4);
        for (Message m : batch) say(describe(m));
        batch.get(0).ackSync(Duration.ofSeconds(1));
        batch.get(1).nak();
        batch.get(2).term();
        batch.get(3).inProgress();
        nc.flush(Duration.ofSeconds(1));
        Thread.sleep(300);
        for (Message m : fetch(context, 3)) {
            say(describe(m));
            m.ackSync(Duration.ofSeconds(1));
        }
        Thread.sleep(1000);
        Message late = context.next(1000);
        say(describe(late));
        late.ackSync(Duration.ofSeconds(1));
        say(context.next(1000));
        info = jsm.getConsumerInfo("P", "d");
        say(info.getNumPending(), info.getNumAckPending(), info.getAckFloor().getStreamSequence());
        fails("exists", () -> jsm.createConsumer("P", ConsumerConfiguration.builder().durable("d").build()));
        fails("update missing", () -> jsm.updateConsumer("P", ConsumerConfiguration.builder().durable("x").build()));
        say(jsm.deleteConsumer("P", "d"));
        fails("deleted", () -> jsm.getConsumerInfo("P", "d"));

        say("== consume");
        ConsumerContext all = nc.getStreamContext("P").createOrUpdateConsumer(ConsumerConfiguration.builder()
            .name("all").ackPolicy(AckPolicy.All).filterSubjects("p.0", "p.1").build());
        CountDownLatch done = new CountDownLatch(6);
        List<Long> seen = Collections.synchronizedList(new ArrayList<>());
        try (MessageConsumer consumer = all.consume(m -> {
            seen.add(m.metaData().streamSequence());
            if (m.metaData().pendingCount() == 0) m.ack();
            done.countDown();
        })) {
            done.await(5, TimeUnit.SECONDS);
            Thread.sleep(200);
        }
        say(seen, all.getConsumerInfo().getAckFloor().getStreamSequence());
        OrderedConsumerContext ordered = nc.getStreamContext("P").createOrderedConsumer(
            new OrderedConsumerConfiguration().deliverPolicy(DeliverPolicy.ByStartSequence).startSequence(4));
        for (int i = 0; i < 3; i++) say(ordered.next(1000).metaData().streamSequence());

        say("== push");
        JetStreamSubscription sub = js.subscribe("p.1", PushSubscribeOptions.builder().stream("P")
            .configuration(ConsumerConfiguration.builder().flowControl(1000).build()).build());
        for (int i = 0; i < 3; i++) {
            Message m = sub.nextMessage(Duration.ofSeconds(2));
            say(describe(m));
            m.ackSync(Duration.ofSeconds(1));
        }
        sub.unsubscribe();
        sub = js.subscribe("p.0", "workers", PushSubscribeOptions.builder().stream("P").durable("workers").build());
        say(describe(sub.nextMessage(Duration.ofSeconds(2))));
        sub.unsubscribe();
        sub = js.subscribe("p.*", PushSubscribeOptions.builder().stream("P").ordered(true).build());
        for (int i = 0; i < 6; i++) say(sub.nextMessage(Duration.ofSeconds(2)).metaData().streamSequence());
        sub.unsubscribe();
    }

    static List<Message> fetch(ConsumerContext context, int count) throws Exception {
        List<Message> all = new ArrayList<>();
        try (FetchConsumer consumer = context.fetch(FetchConsumeOptions.builder().maxMessages(count).expiresIn(2000).build())) {
            for (Message m = consumer.nextMessage(); m != null; m = consumer.nextMessage()) all.add(m);
        }
        return all;
    }

    static void buckets(Connection nc) throws Exception {
        say("== key-value");
        nc.keyValueManagement().create(KeyValueConfiguration.builder().name("b").maxHistoryPerKey(3).build());
        KeyValue kv = nc.keyValue("b");
        say(kv.put("a", "1"), kv.put("b.c", "2"), kv.put("a", "3"));
        KeyValueEntry e = kv.get("a");
        say(e.getKey(), e.getValueAsString(), e.getRevision(), e.getOperation());
        say(kv.get("a", 1).getValueAsString(), kv.get("nothing"));
        fails("create", () -> kv.create("a", bytes("x")));
        say(kv.update("a", bytes("4"), 3));
        fails("update", () -> kv.update("a", bytes("5"), 3));
        kv.delete("b.c");
        say(kv.get("b.c"), kv.create("b.c", bytes("again")));
        List<String> keys = new ArrayList<>(kv.keys());
        Collections.sort(keys);
        say(keys);
        for (KeyValueEntry entry : kv.history("a")) say(entry.getRevision(), entry.getOperation());
        kv.purge("a");
        for (KeyValueEntry entry : kv.history("a")) say(entry.getRevision(), entry.getOperation());
        BlockingQueue<String> seen = new LinkedBlockingQueue<>();
        NatsKeyValueWatchSubscription watch = kv.watchAll(new KeyValueWatcher() {
            public void watch(KeyValueEntry entry) {
                seen.add(entry.getKey() + " " + entry.getOperation() + " " + entry.getDelta());
            }

            public void endOfData() {
                seen.add("end");
            }
        });
        for (int i = 0; i < 3; i++) say(seen.poll(2, TimeUnit.SECONDS));
        kv.put("live", "now");
        say(seen.poll(2, TimeUnit.SECONDS));
        watch.unsubscribe();
        KeyValueStatus status = kv.getStatus();
        say(status.getBucketName(), status.getEntryCount(), status.getMaxHistoryPerKey());
        nc.keyValueManagement().delete("b");

        say("== object store");
        nc.objectStoreManagement().create(ObjectStoreConfiguration.builder("o").build());
        ObjectStore os = nc.objectStore("o");
        byte[] data = new byte[300_000];
        for (int i = 0; i < data.length; i++) data[i] = (byte) (i * 7);
        ObjectInfo info = os.put("blob", new ByteArrayInputStream(data));
        say(info.getObjectName(), info.getSize(), info.getChunks(), info.getDigest());
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        os.get("blob", out);
        say(Arrays.equals(out.toByteArray(), data));
        os.put("small", bytes("hello"));
        say(os.getList().size(), os.delete("small").isDeleted(), os.getList().size());
        say(os.seal().isSealed());
        nc.objectStoreManagement().delete("o");
    }

    static void service(Connection nc) throws Exception {
        say("== service");
        Service service = Service.builder().connection(nc).name("calc").version("1.0.0").description("adds")
            .addServiceEndpoint(ServiceEndpoint.builder().endpointName("add").endpointSubject("add").handler(m -> {
                if (m.getData().length > 0) m.respond(nc, bytes("got " + new String(m.getData())));
                else m.respondStandardError(nc, "nothing to add", 400);
            }).build()).build();
        CompletableFuture<Boolean> stopped = service.startService();
        Thread.sleep(200);
        say(new String(nc.request("add", bytes("1"), Duration.ofSeconds(1)).getData()));
        say(nc.request("add", null, Duration.ofSeconds(1)).getHeaders().getFirst("Nats-Service-Error"));
        Discovery discovery = new Discovery(nc, 1000, 1);
        for (PingResponse r : discovery.ping()) say(r.getType(), r.getName(), r.getVersion());
        for (InfoResponse r : discovery.info()) say(r.getType(), r.getDescription(), r.getEndpoints().get(0).getSubject());
        for (StatsResponse r : discovery.stats())
            say(r.getType(), r.getEndpointStatsList().get(0).getNumRequests(), r.getEndpointStatsList().get(0).getNumErrors());
        service.stop();
        stopped.get(1, TimeUnit.SECONDS);
    }

    public static void main(String[] arguments) throws Exception {
        try (Connection nc = Nats.connect(arguments[0])) {
            JetStreamManagement jsm = nc.jetStreamManagement();
            JetStream js = nc.jetStream();
            streams(jsm, js);
            consumers(nc, jsm, js);
            buckets(nc);
            service(nc);
            say("== end");
            say(jsm.getAccountStatistics().getLimits().getMaxStreams(), jsm.deleteStream("A"), jsm.deleteStream("P"));
        }
    }
}
