"""nats-py against a server: one line for each thing that can be seen, in the same words for every server."""

import asyncio
import json
import sys

import nats
import nats.errors
import nats.js.errors
import nats.micro
from nats.js import api


def say(*words):
    print(*(w if isinstance(w, str) else json.dumps(w, default=str) for w in words))


def section(name):
    say("==", name)


async def fails(what, call):
    try:
        say(what, "worked", await call)
    except (nats.js.errors.Error, nats.errors.Error) as error:
        known = [getattr(error, name, None) for name in ("code", "err_code", "description")]
        say(what, type(error).__name__, known)


def meta(m):
    d = m.metadata
    return [d.sequence.stream, d.sequence.consumer, d.num_delivered, d.num_pending, m.data.decode()]


async def streams(js):
    section("streams")
    info = await js.add_stream(name="A", subjects=["a.>"], max_msgs=100)
    c = info.config
    say(c.name, c.retention, c.storage, c.max_msgs, c.num_replicas, info.did_create)
    await fails("different", js.add_stream(name="A", subjects=["b"]))
    await fails("overlap", js.add_stream(name="B", subjects=["a.x"]))
    await fails("missing", js.stream_info("NOPE"))
    await fails("replicas", js.add_stream(name="R", num_replicas=3))
    say((await js.update_stream(name="A", subjects=["a.>"], max_msgs=50)).config.max_msgs)
    say(await js.find_stream_name_by_subject("a.q"))
    say([s.config.name for s in await js.streams_info()])

    section("publish")
    for i in range(5):
        ack = await js.publish(f"a.{i % 2}", f"m{i}".encode(), headers={"Nats-Msg-Id": f"id{i}"})
        say(ack.stream, ack.seq, ack.duplicate)
    ack = await js.publish("a.0", b"m0", headers={"Nats-Msg-Id": "id0"})
    say(ack.seq, ack.duplicate)
    expect = {"Nats-Expected-Last-Sequence": "3"}
    await fails("sequence", js.publish("a.0", b"", headers=expect))
    await fails("nobody", js.publish("nobody.there", b""))
    raw = await js.get_msg("A", 2)
    say(raw.subject, raw.seq, raw.data.decode(), raw.headers)
    say((await js.get_last_msg("A", "a.0")).seq)
    await fails("no message", js.get_msg("A", 99))
    say(await js.delete_msg("A", 1), (await js.stream_info("A")).state.messages)
    say(await js.purge_stream("A", subject="a.1"), (await js.stream_info("A")).state.messages)


async def consumers(nc, js):
    section("pull")
    await js.add_stream(name="P", subjects=["p.*"])
    for i in range(1, 7):
        await js.publish(f"p.{i % 2}", f"m{i}".encode())
    sub = await js.pull_subscribe("p.*", durable="d", config=api.ConsumerConfig(ack_wait=1))
    info = await sub.consumer_info()
    say(info.name, info.num_pending, info.config.ack_wait, info.config.max_ack_pending)
    batch = await sub.fetch(4, timeout=2)
    say([meta(m) for m in batch])
    await batch[0].ack_sync()
    await batch[1].nak()
    await batch[2].term()
    await batch[3].in_progress()
    await nc.flush()
    await asyncio.sleep(0.3)
    again = await sub.fetch(3, timeout=2)
    say(sorted(meta(m)[:3:2] for m in again))
    for m in again:
        await m.ack_sync()
    await asyncio.sleep(1)
    rest = await sub.fetch(5, timeout=1)
    say([meta(m)[::2] for m in rest])
    for m in rest:
        await m.ack_sync()
    await fails("empty", sub.fetch(1, timeout=0.3))
    info = await sub.consumer_info()
    say(info.num_pending, info.num_ack_pending, info.ack_floor.stream_seq)
    say(await js.delete_consumer("P", "d"))
    await fails("deleted", js.consumer_info("P", "d"))

    section("push")
    got = []
    sub = await js.subscribe("p.1", stream="P")
    for _ in range(3):
        m = await sub.next_msg(timeout=2)
        got.append(meta(m))
        await m.ack()
    say(got)
    await sub.unsubscribe()
    one = await js.subscribe("p.*", queue="workers", durable="workers", stream="P")
    two = await js.subscribe("p.*", queue="workers", durable="workers", stream="P")
    await asyncio.sleep(0.3)
    say(one.pending_msgs + two.pending_msgs)
    await one.unsubscribe()
    await two.unsubscribe()
    sub = await js.subscribe("p.*", ordered_consumer=True, stream="P")
    say([meta(await sub.next_msg(timeout=2))[:2] for _ in range(6)])
    await sub.unsubscribe()
    config = api.ConsumerConfig(deliver_policy=api.DeliverPolicy.LAST_PER_SUBJECT, headers_only=True)
    sub = await js.subscribe("p.*", config=config, stream="P")
    for _ in range(2):
        m = await sub.next_msg(timeout=2)
        say(m.metadata.sequence.stream, m.data.decode(), m.headers)
    await sub.unsubscribe()
    say(sorted(c.name for c in await js.consumers_info("P") if c.config.durable_name))


async def buckets(js):
    section("key-value")
    kv = await js.create_key_value(bucket="b", history=3)
    say(await kv.put("a", b"1"), await kv.put("b.c", b"2"), await kv.put("a", b"3"))
    entry = await kv.get("a")
    say(entry.key, entry.value.decode(), entry.revision)
    say((await kv.get("a", revision=1)).value.decode())
    await fails("missing", kv.get("nothing"))
    await fails("create", kv.create("a", b"x"))
    say(await kv.update("a", b"4", last=3))
    await fails("update", kv.update("a", b"5", last=3))
    watcher = await kv.watchall()
    seen = []
    async for entry in watcher:
        if entry is None:
            break
        seen.append([entry.key, entry.value.decode(), entry.revision, entry.delta])
    say(seen)
    await kv.put("a", b"live")
    entry = await watcher.updates(timeout=2)
    say(entry.key, entry.value.decode(), entry.revision)
    await watcher.stop()
    say(await kv.delete("b.c"))
    await fails("deleted", kv.get("b.c"))
    say(await kv.create("b.c", b"again"))
    say(sorted(await kv.keys()))
    say([[e.revision, e.operation] for e in await kv.history("a")])
    await kv.purge("a")
    say([[e.revision, e.operation] for e in await kv.history("a")])
    status = await kv.status()
    say(status.bucket, status.values, status.history)
    say(await js.delete_key_value("b"))

    section("object store")
    store = await js.create_object_store("o")
    data = bytes(i * 7 & 255 for i in range(300_000))
    info = await store.put("blob", data)
    say(info.name, info.size, info.chunks, info.digest)
    say((await store.get("blob")).data == data)
    await store.put("small", b"hello")
    say(sorted([i.name, i.size] for i in await store.list()))
    await store.delete("small")
    await fails("deleted", store.get("small"))
    say((await store.status()).size > 300_000)
    await store.seal()
    await fails("sealed", store.put("no", b"x"))
    say(await js.delete_object_store("o"))


async def service(nc):
    section("service")

    async def add(request):
        if request.data:
            await request.respond(str(sum(json.loads(request.data))).encode())
        else:
            await request.respond_error("400", "nothing to add")

    svc = await nats.micro.add_service(nc, name="calc", version="1.0.0", description="adds")
    await svc.add_endpoint(name="add", handler=add)
    say((await nc.request("add", b"[1,2,3]")).data.decode())
    bad = await nc.request("add", b"")
    say(bad.headers)
    for verb in ("PING", "INFO", "STATS"):
        answer = json.loads((await nc.request(f"$SRV.{verb}.calc", b"")).data)
        ends = [[e["name"], e["subject"]] for e in answer.get("endpoints", [])]
        say(answer["type"], answer["name"], answer["version"], ends)
    await svc.stop()


async def main():
    nc = await nats.connect(sys.argv[1])
    js = nc.jetstream(timeout=5)
    await streams(js)
    await consumers(nc, js)
    await buckets(js)
    await service(nc)
    section("end")
    account = await js.account_info()
    say(account.limits.max_streams)
    for name in ("A", "P"):
        say(await js.delete_stream(name))
    await nc.close()


asyncio.run(main())
