"""What a program does with nats-py. Prints one line for each thing that is right."""

import asyncio
import ssl
import sys

import nats
from nats.errors import NoRespondersError


def expect(right, what):
    if not right:
        raise SystemExit("wrong: " + what)
    print(what)


async def main():
    # client.py URL [CA-FILE [first]]: with a CA over TLS, `first` before INFO.
    options = {}
    if len(sys.argv) > 2:
        options["tls"] = ssl.create_default_context(cafile=sys.argv[2])
    if sys.argv[3:] == ["first"]:
        options["tls_handshake_first"] = True
    nc = await nats.connect(sys.argv[1], **options)
    expect(nc.max_payload == 1048576, "connect")

    star, rest, none = [await nc.subscribe(s) for s in ("c.*.x", "c.>", "c.*")]
    await nc.publish("c.b.x", b"hello")
    message = await star.next_msg(2)
    expect(message.data == b"hello" and message.subject == "c.b.x", "wildcard *")
    expect((await rest.next_msg(2)).subject == "c.b.x", "wildcard >")
    await nc.flush()
    if none.pending_msgs:
        raise SystemExit("c.* got c.b.x")

    members = [await nc.subscribe("q.work", queue="workers") for _ in range(3)]
    for _ in range(300):
        await nc.publish("q.work", b"x")
    await nc.flush()
    await asyncio.sleep(0.1)
    counts = [m.pending_msgs for m in members]
    expect(sum(counts) == 300 and max(counts) <= 120, "queue group")

    sub = await nc.subscribe("h")
    await nc.publish("h", b"body", headers={"Key": "a value"})
    message = await sub.next_msg(2)
    expect(message.headers == {"Key": "a value"} and message.data == b"body", "headers")

    async def answer(m):
        await m.respond(m.data)

    await nc.subscribe("echo", cb=answer)
    expect((await nc.request("echo", b"ping", timeout=2)).data == b"ping", "request and reply")
    large = b"L" * 500000
    expect((await nc.request("echo", large, timeout=5)).data == large, "large payload")
    replies = await asyncio.gather(*(nc.request("echo", b"%d" % i, timeout=5) for i in range(500)))
    expect([r.data for r in replies] == [b"%d" % i for i in range(500)], "many requests")
    try:
        await nc.request("nobody", b"x", timeout=2)
        raise SystemExit("somebody answered")
    except NoRespondersError:
        print("no responders")

    sub = await nc.subscribe("u")
    await sub.unsubscribe(limit=3)
    for _ in range(5):
        await nc.publish("u", b"x")
    await nc.flush()
    await asyncio.sleep(0.1)
    expect(sub.pending_msgs == 3, "unsubscribe after three")
    await nc.close()


asyncio.run(main())
