#!/usr/bin/env python3
"""Kills the bus with -9 again and again under publish and consume, and counts what got lost.

    test/durability/run.py [--server dure|nats-server|PROGRAM] [--seconds 600] [--every 1] [--window 256]

One publisher keeps a window of messages with ids under way and sends again, with the same ids, what was not
acknowledged when the connection broke. One durable pull consumer acknowledges each message and waits until its
acknowledgement is confirmed. At the end the stream is read from the beginning:
  lost         acknowledged to the publisher, but not there
  twice        stored twice in spite of its id
  disorder     stored in another order than published
  again        delivered once more after its acknowledgement had been confirmed
  unconsumed   stored, but never delivered
Exit code 1 when any of them is not 0."""
import argparse
import json
import multiprocessing
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
from nats_wire import Closed, Wire  # noqa: E402

STREAM, CONSUMER = "DURABLE", "worker"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """The program under test; killed and started again on the same data and port."""

    def __init__(self, name, folder):
        self.port, self.folder, self.kills = free_port(), pathlib.Path(folder), 0
        if name == "nats-server" or name.endswith("/nats-server"):
            program = shutil.which(name) or "/usr/sbin/nats-server"
            self.argv = [program, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder / "js")]
        else:
            program = os.environ.get("DURE_EXE", "dure") if name == "dure" else name
            self.argv = [program, "bus", "--listen", f"127.0.0.1:{self.port}", "--data", str(self.folder / "data")]
        self.log = open(self.folder / "server.log", "ab")
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.argv, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)

    def kill(self):
        if self.process.poll() is not None:
            last = (self.folder / "server.log").read_text(errors="replace").splitlines()[-20:]
            raise RuntimeError("\n".join([f"the server ended by itself ({self.process.returncode}):", *last]))
        self.process.kill()
        self.process.wait()
        self.kills += 1

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Marks:
    """A set of small numbers, a byte each: there are many millions of them."""

    def __init__(self):
        self.bytes, self.count = bytearray(), 0

    def add(self, number):
        if number >= len(self.bytes):
            self.bytes.extend(bytes(number + (1 << 20) - len(self.bytes)))
        self.count += 1 - self.bytes[number]
        self.bytes[number] = 1

    def __contains__(self, number):
        return number < len(self.bytes) and self.bytes[number] == 1

    def __iter__(self):
        return (number for number, mark in enumerate(self.bytes) if mark)

    def __len__(self):
        return self.count


class Part:
    """A client in a process of its own that connects again until it is told to finish and has. What it
    knows at the end is brought back into this object."""

    def __init__(self, port):
        self.port = port

    def begin(self):
        self.finishing, self.count = multiprocessing.Event(), multiprocessing.Value("q", 0)
        self.told, tell = multiprocessing.Pipe(duplex=False)
        self.process = multiprocessing.Process(target=self.run, args=(tell,), daemon=True)
        self.process.start()
        tell.close()

    def run(self, tell):
        failure = None
        try:
            while not self.finished():
                try:
                    self.work(Wire(self.port))
                except Closed:
                    time.sleep(0.01)
        except Exception:  # what the test itself got wrong must not look like a pass
            failure = traceback.format_exc()
        tell.send((failure, self.knows()))

    def failed(self):
        return not self.process.is_alive() or self.told.poll()

    def end(self, seconds):
        self.finishing.set()
        if not self.told.poll(seconds):
            raise RuntimeError(f"{type(self).__name__} did not come to its end")
        failure, known = self.told.recv()
        self.process.join()
        if failure:
            raise RuntimeError(f"{type(self).__name__} failed:\n{failure}")
        self.__dict__.update(known)


class Publisher(Part):
    def __init__(self, port, window):
        super().__init__(port)
        self.window, self.next, self.open = window, 0, {}
        self.acknowledged, self.refused = Marks(), 0

    def knows(self):
        return {"acknowledged": self.acknowledged, "refused": self.refused}

    def finished(self):
        return self.finishing.is_set() and not self.open

    @staticmethod
    def frame(number):
        head = f"NATS/1.0\r\nNats-Msg-Id: m{number}\r\n\r\n"
        body = f"{number:012d}" + "." * 116
        return f"HPUB durable.{number % 7} _INBOX.p.{number} {len(head)} {len(head) + len(body)}\r\n{head}{body}\r\n".encode()

    def work(self, wire):
        wire.subscribe("_INBOX.p.*")
        for number in sorted(self.open):
            wire.send(self.frame(number))
        heard = time.monotonic()
        while not self.finished():
            data = b""
            while len(self.open) < self.window and not self.finishing.is_set():
                self.open[self.next] = True
                data += self.frame(self.next)
                self.next += 1
            if data:
                wire.send(data)
            frames = wire.frames(0.5)
            if frames:
                heard = time.monotonic()
            elif time.monotonic() - heard > 4:
                raise Closed("no acknowledgements")
            for frame in frames:
                number = int(frame.subject.rsplit(b".", 1)[1])
                answer = {} if frame.status else json.loads(frame.payload)
                if "seq" not in answer or "error" in answer:
                    self.refused += 1
                    raise Closed(f"not stored: {frame.status or frame.payload}")
                self.acknowledged.add(number)
                self.open.pop(number, None)
            self.count.value = len(self.acknowledged)
        wire.close()


class Consumer(Part):
    def __init__(self, port):
        super().__init__(port)
        self.delivered, self.confirmed, self.asked = Marks(), Marks(), {}
        self.again, self.redelivered, self.idle, self.taken = 0, 0, False, 0

    def knows(self):
        return {name: getattr(self, name) for name in ("delivered", "confirmed", "again", "redelivered")}

    def finished(self):
        return self.finishing.is_set() and self.idle

    def work(self, wire):
        wire.ask(f"$JS.API.CONSUMER.DURABLE.CREATE.{STREAM}.{CONSUMER}", {
            "stream_name": STREAM, "config": {"durable_name": CONSUMER, "ack_policy": "explicit", "max_deliver": -1,
                                              "ack_wait": 3_000_000_000, "max_ack_pending": 2000}})
        wire.subscribe("_INBOX.c.*")
        self.asked.clear()
        while not self.finished():
            self.batch(wire)
        wire.close()

    def batch(self, wire):
        request = '{"batch":200,"expires":500000000}'
        wire.send(f"PUB $JS.API.CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER} _INBOX.c.pull {len(request)}\r\n{request}\r\n"
                  .encode())
        got, over = 0, False
        end = time.monotonic() + 3
        while (got < 200 and not over) or self.asked:
            if time.monotonic() > end:
                raise Closed("the batch does not end")
            acks = []
            for frame in wire.frames(0.5):
                if frame.subject.startswith(b"_INBOX.c.a"):
                    self.confirmed.add(self.asked.pop(frame.subject))
                elif frame.status:
                    if frame.status.startswith("503"):
                        raise Closed("the consumer is not there yet")
                    over = True
                else:
                    got += 1
                    acks.append(self.take(frame))
            if acks:
                wire.send(b"".join(acks))
        self.idle = got == 0
        self.count.value = len(self.confirmed)

    def take(self, frame):
        fields = frame.reply.split(b".")
        sequence = int(fields[5] if len(fields) == 9 else fields[7])
        attempt = int(fields[4] if len(fields) == 9 else fields[6])
        self.redelivered += attempt > 1
        self.again += sequence in self.confirmed
        self.delivered.add(sequence)
        self.taken += 1
        inbox = b"_INBOX.c.a%d" % self.taken
        self.asked[inbox] = sequence
        return b"PUB %s %s 4\r\n+ACK\r\n" % (frame.reply, inbox)


def read_stream(port):
    """(sequence, number) of every message that is stored, in order."""
    wire = Wire(port)
    info = wire.ask(f"$JS.API.STREAM.INFO.{STREAM}", None)
    left, stored = info["state"]["messages"], []
    wire.ask(f"$JS.API.CONSUMER.DURABLE.CREATE.{STREAM}.audit", {
        "stream_name": STREAM, "config": {"durable_name": "audit", "ack_policy": "none"}})
    wire.subscribe("_INBOX.v.*")
    while left > 0:
        request = json.dumps({"batch": min(left, 5000), "expires": 5_000_000_000})
        wire.send(f"PUB $JS.API.CONSUMER.MSG.NEXT.{STREAM}.audit _INBOX.v.1 {len(request)}\r\n{request}\r\n".encode())
        want, end = min(left, 5000), time.monotonic() + 20
        while want > 0:
            if time.monotonic() > end:
                raise RuntimeError(f"{left} messages of the stream cannot be read")
            for frame in wire.frames(1):
                if frame.reply:
                    fields = frame.reply.split(b".")
                    stored.append((int(fields[5] if len(fields) == 9 else fields[7]), int(frame.payload[:12])))
                    want, left = want - 1, left - 1
    wire.close()
    return stored


def make_stream(port):
    end = time.monotonic() + 20
    while True:
        try:
            wire = Wire(port)
            answer = wire.ask(f"$JS.API.STREAM.CREATE.{STREAM}", {
                "name": STREAM, "subjects": ["durable.>"], "retention": "limits", "storage": "file", "max_msgs": -1,
                "max_bytes": -1, "num_replicas": 1, "discard": "old", "duplicate_window": 600_000_000_000})
            wire.close()
            if "error" in answer:
                raise RuntimeError(answer["error"])
            return
        except Closed:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def judge(publisher, consumer, stored):
    numbers, there = [number for _, number in stored], Marks()
    for number in numbers:
        there.add(number)
    return {
        "lost": sum(1 for number in publisher.acknowledged if number not in there),
        "twice": len(numbers) - len(there),
        "disorder": sum(1 for a, b in zip(numbers, numbers[1:]) if b < a),
        "again": consumer.again,
        "unconsumed": sum(1 for sequence, _ in stored if sequence not in consumer.delivered),
    }


def run(arguments, folder):
    server = Server(arguments.server, folder)
    dice = random.Random(arguments.seed)
    try:
        make_stream(server.port)
        publisher, consumer = Publisher(server.port, arguments.window), Consumer(server.port)
        publisher.begin()
        consumer.begin()
        begin = shown = time.monotonic()
        while time.monotonic() - begin < arguments.seconds:
            time.sleep(arguments.every * dice.uniform(0.5, 1.5))
            server.kill()
            server.start()
            if publisher.failed() or consumer.failed():
                break
            if arguments.progress and time.monotonic() - shown > 5:
                shown = time.monotonic()
                print(f"{shown - begin:6.0f} s  {server.kills} kills  {publisher.count.value} acknowledged  "
                      f"{consumer.count.value} consumed", file=sys.stderr, flush=True)
        publisher.end(60)
        consumer.end(120)
        verdict = judge(publisher, consumer, read_stream(server.port))
    finally:
        if server.process.poll() is None:
            server.stop()
    result = {"server": arguments.server, "seconds": round(time.monotonic() - begin), "kills": server.kills,
              "acknowledged": len(publisher.acknowledged), "refused": publisher.refused,
              "consumed": len(consumer.confirmed), "redelivered": consumer.redelivered, **verdict}
    print(json.dumps(result))
    return 1 if any(verdict.values()) else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="dure", help="dure ($DURE_EXE), nats-server, or a program")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--every", type=float, default=1, help="seconds between two kills, half to one and a half")
    parser.add_argument("--window", type=int, default=256)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--progress", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="dure-durability-") as folder:
        return run(arguments, folder)


if __name__ == "__main__":
    sys.exit(main())
