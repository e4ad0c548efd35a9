"""The servers that a script is played to, and a client of each."""

import json
import os
import pathlib
import re
import select
import socket
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import js_compare  # noqa: E402
import js_script  # noqa: E402
from nats_wire import Closed, Wire  # noqa: E402

ASK_S = 5  # a server that owes an answer
STALL_S = 2  # one whose peers have given theirs
INBOX_SID, PUSH_SID, PULL_SID = 1, 2, 1000
PUSHED = ["_DELIVER.p1", "_DELIVER.p2", "_DELIVER.p3", "_REPUBLISHED.>"]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def version_of(program):
    text = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10).stdout
    return tuple(int(word) for word in re.search(r"v(\d+)\.(\d+)", text).groups())


class Server:
    """A program with an account for each lane, so that lanes do not see each other."""

    def __init__(self, program, folder, lanes, ours):
        self.program, self.port, self.ours = program, free_port(), ours
        self.old = not ours and version_of(program) < (2, 11)
        os.mkdir(folder)
        file = pathlib.Path(folder) / "config"
        file.write_text(self.our_config(lanes) if ours else self.their_config(lanes, folder))
        argv = [program, "-c", str(file)]
        if ours:
            argv = [program, "bus", "--config", str(file), "--listen", f"127.0.0.1:{self.port}", "--data", f"{folder}/data"]
        self.log = open(f"{folder}/log", "wb")
        self.process = subprocess.Popen(argv, stdout=self.log, stderr=self.log)

    @staticmethod
    def our_config(lanes):
        names = [f"w{i}" for i in range(lanes)]
        return json.dumps({"accounts": [{"name": name} for name in names],
                           "auth": {"users": [{"user": n, "password": n, "account": n} for n in names]}})

    def their_config(self, lanes, folder):
        # Not strict: members that are not known are passed over, as they are by us.
        strict = "" if self.old else ", strict: false"
        accounts = "\n".join(f"w{i}: {{jetstream: enabled, users: [{{user: w{i}, password: w{i}}}]}}" for i in range(lanes))
        return (f'listen: "127.0.0.1:{self.port}"\njetstream {{store_dir: "{folder}/js"{strict}}}\n'
                f"accounts {{\n{accounts}\n}}\n")

    def connect(self, lane):
        for _ in range(200):
            try:
                return Wire(self.port, user=f"w{lane}")
            except Closed:
                time.sleep(0.05)
        raise RuntimeError(f"{self.program} does not listen")

    def stop(self):
        self.process.terminate()
        self.process.wait(20)
        self.log.close()


class Side:
    """What one server has said to one script."""

    def __init__(self, server, lane):
        self.server, self.lane, self.wire = server, lane, None

    def begin(self):
        """Nothing is left of the script before."""
        self.end()
        self.wire = self.server.connect(self.lane)
        for name in self.wire.ask("$JS.API.STREAM.NAMES", None).get("streams") or []:
            self.wire.ask(f"$JS.API.STREAM.DELETE.{name}", None)
        self.count, self.frames = 0, {}
        self.wire.subscribe("_INBOX.d.*", INBOX_SID)
        for i, subject in enumerate(PUSHED):
            self.wire.subscribe(subject, PUSH_SID + i)

    def end(self):
        if self.wire:
            self.wire.close()
            self.wire = None

    def deliveries(self):
        """What can be acknowledged, in an order that does not depend on when it came."""
        return [frame.reply.decode() for key in sorted(self.frames) for frame in self.frames[key]
                if frame.reply.startswith(b"$JS.ACK.")]

    def start(self, step):
        """Sends what the step says; what comes back is kept below `key`."""
        self.count += 1
        asks = step.kind == "ask"
        inbox = f"_INBOX.d.{self.count}" if asks else f"_PULL.{self.count}"
        self.key = ("ask", self.count) if asks else ("sid", PULL_SID + self.count)
        subject = step.subject
        if step.kind == "ack":
            known = self.deliveries()
            if not known:
                self.key = None
                return
            subject = known[int(step.place * len(known))]
        head = "" if asks else f"SUB {inbox} {self.key[1]}\r\n"
        if step.headers:
            size = len(step.headers)
            head += f"HPUB {subject} {inbox} {size} {size + len(step.payload)}\r\n"
        else:
            head += f"PUB {subject} {inbox} {len(step.payload)}\r\n"
        self.wire.send(head.encode() + step.headers + step.payload + b"\r\n")

    def has_all(self, step):
        got = self.frames.get(self.key, ())
        if step.kind == "ask":
            return bool(got) and (not step.many or bool(got[-1].status))
        return len(got) >= step.batch or any(frame.status and frame.status[:3] != "100" for frame in got)

    def read(self):
        for frame in self.wire.frames(0.001):
            sid = int(frame.sid)
            key = ("ask", int(frame.subject.split(b".")[2])) if sid == INBOX_SID else ("sid", sid)
            self.frames.setdefault(key, []).append(frame)
            if frame.reply.startswith(b"$JS.FC."):
                self.wire.send(b"PUB %s 0\r\n\r\n" % frame.reply)

    def said(self, key):
        return js_compare.calm([js_compare.plain(frame) for frame in self.frames.get(key, ())])


def listen(sides, seconds, enough=lambda side: False):
    """Takes what comes to the sides, until each has enough or the time is over."""
    end = time.monotonic() + seconds
    while (left := [side for side in sides if not enough(side)]) and (rest := end - time.monotonic()) > 0:
        ready = select.select([side.wire.socket for side in left], [], [], rest)[0]
        for side in left:
            if side.wire.socket in ready:
                side.read()


def play(step, sides, silence_s):
    """What each side says to one step."""
    for side in sides:
        side.start(step)

    def done(side):
        return side.key is None or side.has_all(step)

    listen(sides, silence_s if js_script.may_be_silent(step) else ASK_S, done)
    current = [side for side in sides if not side.server.old]
    if any(map(done, current)):
        listen(current, STALL_S, done)  # one of them may have to wait for its disk
    return [side.said(side.key) for side in sides]


def all_keys(sides):
    """Whatever something has come for."""
    return sorted({key for side in sides for key in side.frames})
