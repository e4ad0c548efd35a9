#!/usr/bin/env python3
"""The same random JetStream script to the bus and to nats-servers; says where it answers as none of them does.

    test/conformance/js_differential.py [--scripts 100] [--seed 1] [--bus PROGRAM] [--nats PROGRAM,PROGRAM] [--verbose]

With several nats-servers (an old and a new one: between 2.9 and 2.15 checks were added, codes and texts changed)
each answer must be that of one of them.

What may differ, and why:
  - times, the cluster's name of the server, and sizes in bytes of what is stored (not compared);
  - a 503 where nats-server 2.9 says nothing (a consumer that is not there, direct get not allowed);
  - what a server adds to a stream's metadata (_nats.level, _dure.fsync); null for an empty list; how it goes on
    behind "invalid JSON";
  - how far a consumer has looked that has delivered nothing (stream_seq beside consumer_seq 0);
  - first_seq of a stream that never held a message, after a purge: 0, theirs 1;
  - the state in the answer to an update: what the change removes may go a moment later;
  - push_bound of a consumer that is just made: the other server notices its listeners later;
  - members that the other server's version does not know (EXTRA).
Everything else must be the same: codes, texts, sequences, counts, order. A difference names its script's seed:
--seed N --scripts 1 --verbose shows every step of it."""

import argparse
import collections
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))
import js_script  # noqa: E402
from nats_wire import Closed, Wire  # noqa: E402

SILENCE_S = 0.02  # a script with a difference is run again with more patience
PATIENT_S = 0.4
PUSH_SID = 2
ASK_S = 3

# Not compared: they tell of time and place.
IGNORED = {"ts", "created", "first_ts", "last_ts", "last_active", "time", "cluster", "bytes"}

# Members that nats-server 2.9 does not know.
EXTRA = {"metadata", "name", "compression", "consumer_limits", "allow_msg_ttl", "subject_delete_marker_ttl", "first_seq",
         "subject_transform", "subject_transforms", "filter_subjects", "pause_until", "paused", "pause_remaining",
         "priority_groups", "priority_policy", "priority_timeout", "num_deleted_ranges", "allow_msg_counter",
         "allow_atomic", "allow_msg_schedules", "persist_mode", "mirror_direct", "discard_new_per_subject",
         "max_consumers", "sealed", "offset", "limit", "total"}


def different(ours, theirs, path=""):
    """The first place where two answers differ, or None."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        updated = str(ours.get("type", "")).endswith("stream_update_response")
        for key in sorted(set(ours) | set(theirs)):
            if key[:1] == "_" or (ours.get(key) in ([], None) and theirs.get(key) in ([], None)):
                continue
            if key == "push_bound" and key not in theirs:
                continue
            if key == "stream_seq" and ours.get("consumer_seq") == theirs.get("consumer_seq") == 0:
                continue
            if key == "first_seq" and (ours[key], theirs.get(key)) == (0, 1):
                continue
            if updated and key == "state":
                continue
            if key in IGNORED or (key in EXTRA and (key not in theirs or key not in ours)):
                continue
            if key not in ours or key not in theirs:
                where = "missing" if key not in ours else "unknown there"
                return f"{path}.{key}: {where} ({(theirs if key in theirs else ours)[key]!r})"
            found = different(ours[key], theirs[key], f"{path}.{key}")
            if found:
                return found
        return None
    for text in ("invalid JSON", "NATS/1.0 400 Bad Request - "):  # what follows are the words of a JSON parser
        if isinstance(ours, str) and isinstance(theirs, str) and ours.startswith(text) and theirs.startswith(text):
            return None
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, pair in enumerate(zip(ours, theirs)):
            found = different(*pair, f"{path}[{i}]")
            if found:
                return found
        return None
    return None if ours == theirs else f"{path}: {ours!r} instead of {theirs!r}"


def told_apart(ours, theirs):
    """nats-server 2.9 says nothing where we, as later ones, say that nobody answers."""
    return theirs == ["silence"] and len(ours) == 1 and ours[0] != "silence" and ours[0]["headers"] == ["NATS/1.0 503"]


def header_lines(headers):
    """The status line and the headers, without those that hold a time."""
    lines = headers.decode(errors="replace").split("\r\n")
    return [line for line in lines if line and not line.startswith(("Nats-Time-Stamp:", "Nats-Subject:", "Nats-Pending-Bytes:"))]


def plain(frame):
    """A frame as something that can be compared."""
    if frame is None:
        return "silence"
    try:
        body = json.loads(frame.payload) if frame.payload[:1] == b"{" else frame.payload.decode(errors="replace")
    except ValueError:
        body = frame.payload.decode(errors="replace")
    answer = {"headers": header_lines(frame.headers), "body": body}
    if frame.reply.startswith(b"$JS.ACK."):
        fields = frame.reply.decode().split(".")
        answer["subject"] = frame.subject.decode()
        answer["delivery"] = fields[2:7] + fields[8:]  # without the time
    return answer


class Side:
    """A server and what its client knows."""

    def __init__(self, name, argv, port):
        self.name, self.port = name, port
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.wire, self.count, self.deliveries, self.silence_s = None, 0, [], SILENCE_S
        self.connect()

    def connect(self):
        for _ in range(200):
            try:
                self.wire = Wire(self.port)
                self.wire.subscribe("_INBOX.d.*")
                self.wire.subscribe("_DELIVER.>", PUSH_SID)
                return
            except Closed:
                time.sleep(0.05)
        raise RuntimeError(f"{self.name} does not listen")

    def begin(self):
        """Nothing is left of the script before."""
        self.deliveries, self.pushed, self.pushes = [], [], False
        for name in self.wire.ask("$JS.API.STREAM.NAMES", None).get("streams") or []:
            self.wire.ask(f"$JS.API.STREAM.DELETE.{name}", None)

    def send(self, subject, headers, payload):
        self.count += 1
        inbox = f"_INBOX.d.{self.count}"
        if headers:
            line = f"HPUB {subject} {inbox} {len(headers)} {len(headers) + len(payload)}\r\n"
        else:
            line = f"PUB {subject} {inbox} {len(payload)}\r\n"
        self.wire.send(line.encode() + headers + payload + b"\r\n")
        return inbox.encode()

    def collect(self, inbox, most, timeout):
        """Frames until `most` have come or one that came to the inbox itself."""
        found, end = [], time.monotonic() + timeout
        while time.monotonic() < end and len(found) < most:
            for frame in self.wire.frames(max(end - time.monotonic(), 0.001)):
                if frame.sid == b"%d" % PUSH_SID:
                    self.pushed.append(plain(frame))
                    continue
                found.append(frame)
                if frame.subject == inbox:
                    return found
        return found

    def start(self, step):
        """Sends what the step says; `finish` gives the answer."""
        self.pushes |= b"deliver_subject" in step.payload
        if step.kind != "ack":
            self.inbox = self.send(step.subject, step.headers, step.payload)
            return
        place, ack = step.ack
        self.inbox = None
        if self.deliveries:
            self.inbox = self.send(self.deliveries[int(place * len(self.deliveries))], b"", ack)

    def finish(self, step):
        if not self.inbox:
            return []
        if step.kind == "ask":
            found = self.collect(self.inbox, 100, self.silence_s if js_script.may_be_silent(step) else ASK_S)
        elif step.kind == "pull":
            found = self.collect(self.inbox, step.batch, self.silence_s)
            self.deliveries += [frame.reply.decode() for frame in found if frame.reply]
        else:
            found = self.collect(self.inbox, 1, self.silence_s)
        return [plain(frame) for frame in found] or ["silence"]

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


def bus_argv(program, port, folder):
    return [program, "bus", "--listen", f"127.0.0.1:{port}", "--data", f"{folder}/data"]


def nats_argv(program, port, folder):
    return [program, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", f"{folder}/js"]


def start_sides(bus, nats, folder):
    """The bus first, then each nats-server."""
    sides = []
    for i, program in enumerate([bus, *nats]):
        port, own = free_port(), f"{folder}/{i}"
        os.mkdir(own)
        sides.append(Side(program, (nats_argv if i else bus_argv)(program, port, own), port))
    return sides


def run_script(seed, sides, verbose=False):
    """Runs one script; returns None, or (step, where they differ, both answers)."""
    found = try_script(seed, sides, SILENCE_S, verbose)
    return found and try_script(seed, sides, PATIENT_S, verbose)


def try_script(seed, sides, silence_s, verbose):
    for side in sides:
        side.silence_s = silence_s
        side.begin()
    for step in js_script.Script(seed).steps():
        for side in sides:
            side.start(step)
        answers = [side.finish(step) for side in sides]
        found = from_all(answers)
        if verbose:
            print(f"{step}\n    ours   {json.dumps(answers[0])}")
            for answer in answers[1:] if found else []:
                print(f"    theirs {json.dumps(answer)}")
        if found:
            return step, found, answers
    return what_was_pushed(sides)


def from_all(answers):
    """Where the first answer differs from the last one; None when it is the same as any of the others."""
    found = None
    for theirs in answers[1:]:
        found = None if told_apart(answers[0], theirs) else different(answers[0], theirs)
        if not found:
            return None
    return found


def what_was_pushed(sides):
    """Push consumers deliver in their own time: compared at the end, when nothing comes any more."""
    for side in sides:
        if side.pushes:
            side.collect(b"", 1, 5 * side.silence_s)
    answers = [sorted(side.pushed, key=lambda one: one.get("delivery", [""])[1:2]) for side in sides]
    found = from_all(answers)
    return (js_script.Step("pushed", "push"), found, answers) if found else None


def free_port():
    import socket
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def kind_of(step, found):
    """Differences of one kind are told once: the step's verb, and where."""
    words = step.subject.split(".")
    verb = ".".join(words[2:4] if step.subject.startswith("$JS.API") else ["publish"] if step.kind == "ask" else [step.kind])
    return f"{verb} {found.split(':')[0]}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scripts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bus", default=os.environ.get("DURE_BUS_EXE", "dure"))
    parser.add_argument("--nats", default="/usr/sbin/nats-server")
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    kinds = collections.OrderedDict()
    with tempfile.TemporaryDirectory(prefix="dure-differential-") as folder:
        sides = []
        try:
            sides = start_sides(arguments.bus, arguments.nats.split(","), folder)
            for seed in range(arguments.seed, arguments.seed + arguments.scripts):
                try:
                    bad = run_script(seed, sides, arguments.verbose)
                except Closed as error:
                    bad = js_script.Step("ask", "connection"), f"closed: {error}", None
                    for side in sides:
                        side.connect()
                if bad:
                    kinds.setdefault(kind_of(*bad[:2]), []).append((seed, *bad))
        finally:
            for side in sides:
                side.stop()
    failed = sum(map(len, kinds.values()))
    for kind, cases in sorted(kinds.items(), key=lambda item: -len(item[1])):
        seed, step, found, answers = cases[0]
        print(f"{len(cases):5} x {kind}\n        seed {seed}: {step}\n        {found}")
        for name, answer in zip(["ours  ", "theirs", "theirs"], answers or []):
            print(f"        {name} {json.dumps(answer)[:600]}")
    print(f"{arguments.scripts} scripts, {failed} with a difference")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
