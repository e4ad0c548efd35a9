// @nats-io/jetstream, kv, obj and services against a server: one line for each thing that can be
// seen, in the same words for every server.
import { connect } from "@nats-io/transport-node";
import { headers, nanos, deferred } from "@nats-io/nats-core";
import { jetstream, jetstreamManager, AckPolicy, DeliverPolicy, RetentionPolicy } from "@nats-io/jetstream";
import { Kvm } from "@nats-io/kv";
import { Objm } from "@nats-io/obj";
import { Svcm } from "@nats-io/services";

const nc = await connect({ servers: process.argv[2] });
const jsm = await jetstreamManager(nc);
const js = jetstream(nc);
const say = (...words) => console.log(words.map((w) => (typeof w === "string" ? w : JSON.stringify(w))).join(" "));
const section = (name) => say("==", name);
const fails = async (what, f) => {
  try {
    say(what, "worked", await f());
  } catch (err) {
    say(what, err.code ?? "", err.status ?? "", err.message.replace(/\$JS\S*/, "SUBJECT"));
  }
};
const drain = async (iterator, count) => {
  const all = [];
  for await (const m of iterator) {
    all.push(m);
    if (all.length === count) break;
  }
  return all;
};
const sleep = (ms) => new Promise((r) => setTimeout(r, ms));

section("streams");
const info = await jsm.streams.add({ name: "A", subjects: ["a.>"], max_msgs_per_subject: 10, allow_direct: true });
say(info.config.name, info.config.retention, info.config.storage, info.config.max_msgs, info.config.duplicate_window, info.state.first_seq, info.state.last_seq);
await fails("again with another configuration", () => jsm.streams.add({ name: "A", subjects: ["b"] }));
await fails("overlap", () => jsm.streams.add({ name: "B", subjects: ["a.x"] }));
await fails("missing", () => jsm.streams.info("NOPE"));
await fails("bad name", () => jsm.streams.add({ name: "a.b" }));
const updated = await jsm.streams.update("A", { max_msgs: 100, description: "words" });
say(updated.config.max_msgs, updated.config.description);
say(await jsm.streams.find("a.b.c"));
say(await jsm.streams.names("a.b").next());
say((await jsm.streams.list().next()).map((s) => s.config.name));

section("publish");
const h = headers();
h.set("Key", "value");
say(await js.publish("a.1", "one"), await js.publish("a.2", "two", { headers: h }));
say(await js.publish("a.1", "three", { msgID: "x" }), await js.publish("a.1", "three", { msgID: "x" }));
say(await js.publish("a.3", "four", { expect: { lastSequence: 3, streamName: "A" } }));
await fails("wrong sequence", () => js.publish("a.3", "", { expect: { lastSequence: 1 } }));
await fails("wrong subject sequence", () => js.publish("a.3", "", { expect: { lastSubjectSequence: 1 } }));
await fails("wrong stream", () => js.publish("a.3", "", { expect: { streamName: "Z" } }));
await fails("wrong id", () => js.publish("a.3", "", { expect: { lastMsgID: "Z" } }));
await fails("no stream", () => js.publish("nobody.there", ""));
const state = (await jsm.streams.info("A", { subjects_filter: ">" })).state;
say(state.messages, state.num_subjects, state.subjects);

section("messages");
const m2 = await jsm.streams.getMessage("A", { seq: 2 });
say(m2.subject, m2.seq, m2.string(), m2.header.get("Key"));
say((await jsm.streams.getMessage("A", { last_by_subj: "a.1" })).seq);
say((await jsm.streams.getMessage("A", { seq: 99 })) === null);
const d = await jsm.direct.getMessage("A", { last_by_subj: "a.2" });
say(d.subject, d.seq, d.string(), d.header.get("Key"), d.header.get("Nats-Stream"));
say((await jsm.direct.getMessage("A", { seq: 99 })) === null);
say(await jsm.streams.deleteMessage("A", 1));
await fails("delete again", () => jsm.streams.deleteMessage("A", 1));
say(await jsm.streams.purge("A", { filter: "a.2" }));
say((await jsm.streams.info("A", { deleted_details: true })).state.deleted);

section("pull consumer");
await jsm.streams.add({ name: "P", subjects: ["p.*"] });
for (let i = 1; i <= 6; i++) await js.publish("p." + (i % 2), "m" + i);
const ci = await jsm.consumers.add("P", { durable_name: "d", ack_policy: AckPolicy.Explicit, ack_wait: nanos(1000) });
say(ci.name, ci.num_pending, ci.config.ack_wait, ci.config.max_ack_pending, ci.config.max_waiting, ci.config.max_deliver, ci.delivered, ci.ack_floor);
const c = await js.consumers.get("P", "d");
let batch = await drain(await c.fetch({ max_messages: 4, expires: 2000 }), 4);
say(batch.map((m) => [m.seq, m.info.deliveryCount, m.info.streamSequence, m.info.deliverySequence, m.info.pending, m.subject, m.string()]));
batch[0].ack();
say(await batch[1].ackAck());
batch[2].nak();
batch[3].term("no");
await sleep(300);
batch = await drain(await c.fetch({ max_messages: 3, expires: 2000 }), 3);
say(batch.map((m) => [m.seq, m.info.deliveryCount, m.info.deliverySequence, m.redelivered]));
for (const m of batch) await m.ackAck();
say((await drain(await c.fetch({ max_messages: 1, expires: 1000 }), 1)).length);
let now = await c.info();
say(now.num_pending, now.num_ack_pending, now.num_redelivered, now.ack_floor.stream_seq, now.delivered.stream_seq);
await js.publish("p.1", "late");
const late = await c.next({ expires: 1000 });
late.nak(300);
const t = Date.now();
const back = await c.next({ expires: 2000 });
say(back.info.deliveryCount, Date.now() - t >= 250);
back.working();
await back.ackAck();
say(await c.next({ expires: 1000 }));
await fails("deleted", async () => {
  const it = await c.fetch({ max_messages: 1, expires: 3000 });
  setTimeout(() => jsm.consumers.delete("P", "d"), 200);
  return (await drain(it, 1)).length;
});
await fails("missing", () => js.consumers.get("P", "d"));

section("consume");
const filtered = await jsm.consumers.add("P", { durable_name: "f", ack_policy: AckPolicy.Explicit, filter_subject: "p.1" });
say(filtered.num_pending, filtered.config.filter_subject);
const consumer = await js.consumers.get("P", "f");
const seen = [];
const messages = await consumer.consume({ max_messages: 2 });
for await (const m of messages) {
  seen.push([m.seq, m.string(), m.info.pending]);
  m.ack();
  if (!m.info.pending) break;
}
say(seen);
await messages.close();
await sleep(100);
now = await jsm.consumers.info("P", "f");
say(now.num_pending, now.ack_floor.consumer_seq, now.ack_floor.stream_seq);

section("consumer errors");
const add = (cfg) => jsm.consumers.add("P", cfg);
await fails("last per subject", () => add({ name: "x", deliver_policy: DeliverPolicy.LastPerSubject }));
await fails("start sequence", () => add({ name: "x", deliver_policy: DeliverPolicy.StartSequence }));
await fails("backoff", () => add({ name: "x", ack_policy: AckPolicy.Explicit, backoff: [nanos(100), nanos(200)], max_deliver: 1 }));
await fails("ack policy", () => add({ durable_name: "f", ack_policy: AckPolicy.None, filter_subject: "p.1" }));
say((await jsm.consumers.update("P", "f", { description: "d" })).config.description);
await fails("workqueue", async () => {
  await jsm.streams.add({ name: "W", subjects: ["w"], retention: RetentionPolicy.Workqueue });
  await jsm.consumers.add("W", { durable_name: "one", ack_policy: AckPolicy.Explicit });
  await jsm.consumers.add("W", { durable_name: "two", ack_policy: AckPolicy.Explicit });
});
await js.publish("w", "job");
const job = await (await js.consumers.get("W", "one")).next({ expires: 1000 });
await job.ackAck();
await sleep(50);
say((await jsm.streams.info("W")).state.messages);
say((await jsm.consumers.list("P").next()).map((i) => i.name));

section("ordered");
const ordered = await js.consumers.get("P");
const order = [];
const oiter = await ordered.consume();
for await (const m of oiter) {
  order.push(m.seq);
  if (!m.info.pending) break;
}
say(order);
const start = await js.consumers.get("P", { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: 5 });
say((await drain(await start.fetch({ max_messages: 2, expires: 1000 }), 2)).map((m) => m.seq));

section("key-value");
const kv = await new Kvm(js).create("bucket", { history: 5 });
say(await kv.put("a", "1"), await kv.put("b.c", "2"), await kv.put("a", "3"));
let e = await kv.get("a");
say(e.key, e.string(), e.revision, e.operation);
say((await kv.get("a", { revision: 1 })).string(), await kv.get("nothing"));
await fails("create", () => kv.create("a", "x"));
say(await kv.update("a", "4", 3));
await fails("update", () => kv.update("a", "5", 3));
const watched = [];
const watch = await kv.watch();
for await (const entry of watch) {
  watched.push([entry.key, entry.string(), entry.revision, entry.operation, entry.delta]);
  if (entry.delta === 0) break;
}
say(watched);
await kv.delete("b.c");
e = await kv.get("b.c");
say(e.operation, e.revision);
say(await kv.create("b.c", "again"));
const keys = [];
for await (const k of await kv.keys()) keys.push(k);
say(keys.sort());
const history = [];
for await (const entry of await kv.history({ key: "a" })) history.push([entry.revision, entry.operation, entry.string()]);
say(history);
await kv.purge("a");
const after = [];
for await (const entry of await kv.history({ key: "a" })) after.push([entry.revision, entry.operation]);
say(after);
const status = await kv.status();
say(status.bucket, status.values, status.history);
const live = deferred();
const updates = await kv.watch({ key: "live.>", include: "updates" });
(async () => {
  for await (const entry of updates) live.resolve([entry.key, entry.string()]);
})();
await sleep(100);
await kv.put("live.x", "now");
say(await live);
await kv.destroy();
await fails("destroyed", () => jsm.streams.info("KV_bucket"));

section("object store");
const os = await new Objm(js).create("objects");
const blob = new Uint8Array(300_000).map((_, i) => (i * 7) & 255);
const put = await os.putBlob({ name: "blob", description: "some" }, blob);
say(put.name, put.size, put.chunks, put.digest);
const got = await os.getBlob("blob");
say(got.length, got.every((x, i) => x === ((i * 7) & 255)));
await os.putBlob({ name: "small" }, new TextEncoder().encode("hello"));
say((await os.list()).map((o) => [o.name, o.size]).sort());
say(await os.delete("small"));
say((await os.info("small")).deleted, await os.getBlob("small"));
say((await os.status()).size > 300_000);
await os.seal();
await fails("sealed", () => os.putBlob({ name: "no" }, new Uint8Array(1)));
await os.destroy();

section("services");
const svc = await new Svcm(nc).add({ name: "calc", version: "1.0.0", description: "adds", queue: "q" });
svc.addEndpoint("add", (err, m) => {
  if (m.data.length) m.respond("" + m.json().reduce((a, b) => a + b, 0));
  else m.respondError(400, "nothing to add");
});
say((await nc.request("add", "[1,2,3]")).string());
const bad = await nc.request("add");
say(bad.headers.get("Nats-Service-Error-Code"), bad.headers.get("Nats-Service-Error"));
const client = new Svcm(nc).client();
for await (const p of await client.ping("calc")) say(p.type, p.name, p.version);
for await (const i of await client.info("calc")) say(i.type, i.description, i.endpoints.map((x) => [x.name, x.subject, x.queue_group]));
for await (const s of await client.stats("calc")) say(s.type, s.endpoints.map((x) => [x.name, x.num_requests, x.num_errors]));
await svc.stop();

section("account");
const account = await jsm.getAccountInfo();
say(account.limits.max_streams, account.api.total > 50);

section("2.11");
await jsm.streams.add({ name: "T", subjects: ["t.*"], allow_direct: true, allow_msg_ttl: true });
for (let i = 0; i < 5; i++) await js.publish("t." + (i % 2), "m" + i);
say((await drain(await jsm.direct.getBatch("T", { seq: 2, batch: 3 }), 3)).map((m) => [m.seq, m.string()]));
say((await drain(await jsm.direct.getLastMessagesFor("T", { multi_last: ["t.*"] }), 2)).map((m) => m.seq));
await js.publish("t.ttl", "short", { ttl: "1s" });
say((await jsm.streams.info("T")).state.messages);
await sleep(2200);
say((await jsm.streams.info("T")).state.messages);
await jsm.consumers.add("T", { durable_name: "p", ack_policy: AckPolicy.Explicit });
const paused = await jsm.consumers.pause("T", "p", new Date(Date.now() + 60_000));
say(paused.paused, paused.pause_remaining > 0);
say(await (await js.consumers.get("T", "p")).next({ expires: 1000 }));
say((await jsm.consumers.resume("T", "p")).paused);
say((await (await js.consumers.get("T", "p")).next({ expires: 1000 })).seq);

section("end");
for (const name of ["A", "P", "W"]) say(await jsm.streams.delete(name));
await nc.close();
