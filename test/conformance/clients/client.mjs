// What a program does with @nats-io/transport-node. Prints one line for each thing that is right.
import { connect, headers } from "@nats-io/transport-node";

function expect(right, what) {
  if (!right) throw new Error("wrong: " + what);
  console.log(what);
}

// client.mjs URL [CA-FILE]: with a CA over TLS; a ws:// or wss:// URL over WebSocket.
async function open(url, ca) {
  if (!url.startsWith("ws")) return connect({ servers: url, ...(ca ? { tls: { caFile: ca } } : {}) });
  const { wsconnect } = await import("@nats-io/nats-core");
  globalThis.WebSocket ??= (await import("ws")).default;
  return wsconnect({ servers: url }); // its CA comes in NODE_EXTRA_CA_CERTS
}

const nc = await open(process.argv[2], process.argv[3]);
expect(nc.info.headers && nc.info.max_payload === 1048576, "connect");

const star = nc.subscribe("c.*.x", { max: 1 });
const rest = nc.subscribe("c.>", { max: 1 });
const none = nc.subscribe("c.*");
nc.publish("c.b.x", "hello");
for await (const m of star) expect(m.string() === "hello" && m.subject === "c.b.x", "wildcard *");
for await (const m of rest) expect(m.subject === "c.b.x", "wildcard >");
await nc.flush();
if (none.getReceived() !== 0) throw new Error("c.* got c.b.x");

const members = [0, 1, 2].map(() => nc.subscribe("q.work", { queue: "workers", callback: () => {} }));
for (let i = 0; i < 300; i++) nc.publish("q.work", "x");
await nc.flush();
const counts = members.map((m) => m.getReceived());
expect(counts.reduce((a, b) => a + b) === 300 && Math.max(...counts) <= 120, "queue group");

const h = headers();
h.append("Key", "a value");
h.append("Key", "another");
const withHeaders = nc.subscribe("h", { max: 1 });
nc.publish("h", "body", { headers: h });
for await (const m of withHeaders) {
  expect(m.headers.values("Key").join("|") === "a value|another" && m.string() === "body", "headers");
}

nc.subscribe("echo", { callback: (_, m) => m.respond(m.data) });
expect((await nc.request("echo", "ping")).string() === "ping", "request and reply");
const large = new Uint8Array(500000).fill(76);
const back = await nc.request("echo", large, { timeout: 5000 });
expect(Buffer.compare(back.data, large) === 0, "large payload");
const many = await Promise.all([...Array(1000).keys()].map((i) => nc.request("echo", String(i))));
expect(many.every((m, i) => m.string() === String(i)), "a thousand requests");

const error = await nc.request("nobody", "x").catch((e) => e);
expect(error.message.includes("no responders"), "no responders");

const three = nc.subscribe("u", { max: 3 });
for (let i = 0; i < 5; i++) nc.publish("u", "x");
let count = 0;
for await (const _ of three) count++;
expect(count === 3, "unsubscribe after three");

await nc.drain();
