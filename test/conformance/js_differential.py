#!/usr/bin/env python3
"""The same random JetStream script to the bus and to nats-servers; says where it answers as none of them does.

    test/conformance/js_differential.py [--scripts 100] [--seed 1] [--bus PROGRAM] [--nats PROGRAM,PROGRAM]
                                        [--lanes 8] [--shards 1] [--verbose]

Every second seed is a script of what nats-server 2.9 knows, in which each answer must be that of one of the servers
(between 2.9 and 2.15 checks were added, codes and texts changed); the others use everything, and are compared with
the newer servers alone. Scripts are played side by side in accounts of their own (lanes), on several sets of servers
(shards). One that differs is played again with more patience, because deliveries come in their own time; in the end by
itself, when nothing else is played: what does not differ then is told by its seed, and not counted. Scripts with short
times are kept clear of them (js_clock.py).

What may differ, and why:
  - times and what is drawn by lot: only whether they are there is compared;
  - the cluster's name of the server; what a server adds to a stream's metadata (_nats.level, _dure.fsync);
  - the level of the API, and how many requests an account has made; null for an empty list;
  - how it goes on behind "invalid JSON" and "stream transform": the words of a parser;
  - in scripts with mirrors and sources: theirs counts the consumers with which it follows the origin; how it stands
    before it has heard of it, and that it is not there (told when theirs has looked again); what stands behind stream
    and sequence in Nats-Stream-Source, and so the bytes of messages;
  - the stream DEAD in lists: our dead letters; JS_SRC_ and JS_MIRROR_: with these the reference follows origins;
  - a 503 where nats-server 2.9 says nothing (a consumer that is not there, direct get not allowed);
  - how far a consumer has looked that has delivered nothing (stream_seq beside consumer_seq 0): the reference
    moves it when it happens to look;
  - first_seq of a stream that never held a message, after a purge: 0, theirs 1;
  - deleted [0] of a stream without messages: no message has the sequence 0;
  - the state in the answer to an update: what the change removes may go a moment later; in that to a new mirror: what
    it has copied until it is durable; how far a push consumer is in the answer to its creation or change: likewise;
  - that a push consumer is bound in the answer to its change: the reference looks a moment later;
  - what nats-server does otherwise, and is recognised one by one (js_known.py; doc/bus.md says it to users);
  - members that nats-server 2.9 does not know, and those of later levels with their defaults (js_compare.py).
Not asked:
  - for other filters of a push consumer: what they let through the reference delivers with the next message;
  - for copies of a stream that keeps by interest or is a work queue: the reference lets go of what was copied in its own
    time, and takes out of a work queue what is copied and no consumer wants; here it keeps it;
  - for consumers of a stream by interest, of a work queue, of M that begin beyond its end: it keeps what is before that;
  - for delete markers in a stream with a subject transform or a largest size of messages: both are put to the marker there;
  - for a stream of ">" without acks: what is asked of the API is captured there;
  - for an origin that is made after its mirror, or again: the reference looks for it only in some seconds;
  - for copies of a stream whose consumers have a largest max_ack_pending: the reference's own does not keep to it;
  - for limits in bytes where a stream republishes into another: times go along as text, longer or shorter;
  - for a short max_age in an update of a stream with delete markers: the reference looks for what is too old only when
    that time has passed again;
  - for a batch below 0: malformed here, an empty batch there;
  - for the last of each subject up to a sequence that was not given out yet: 404 there, when it is in files;
  - for the last of all after some have outlived their TTL: 404 there.
Where nats-servers differ from each other, or one from itself when the script is played again, a difference is told, but
not counted as ours; so is one after which a script cannot go on (js_known.ends). Everything else must be the same: codes,
texts, sequences, counts, sizes, order. A difference names its script's seed:
--seed N --scripts 1 --verbose shows every step of it."""

import argparse
import collections
import concurrent.futures
import json
import multiprocessing
import os
import sys
import tempfile
import time

import js_clock
import js_compare
import js_known
import js_script
import js_sides
from js_sides import Closed

# (how long silence is waited for, how long after each step, at the end): one after the other until nothing differs.
PATIENCE = [(0.02, 0, 0.03), (0.1, 0.02, 0.2), (0.3, 0.05, 0.4)]
# The same for scripts that are played in bursts (js_clock.py).
BURSTS = [(0.02, 0, 0.03), (0.08, 0.01, 0.2)]
AGAIN = 3  # how often the reference is asked whether it says the same again
ALONE = 3  # how often a script that differs is played alone
LATE = 2  # how often a script is played again because the machine was too slow for it

STALLED = "not when it is played alone"

# `theirs`: why it is none of ours, or "". `late`: it says nothing.
Difference = collections.namedtuple("Difference", "seed step found answers theirs late", defaults=["", False])


class Lane:
    """Plays one script at a time to an account of each server."""

    def __init__(self, servers, number, verbose=False):
        self.sides = [js_sides.Side(server, number) for server in servers]
        self.verbose = verbose

    def run(self, seed):
        """Plays the script until nothing differs; returns None, or the difference that remains."""
        found = None
        for patience in BURSTS if js_script.Script(seed).theme in js_clock.TIMES else PATIENCE:
            try:
                found = self.in_time(seed, patience)
            except Closed as error:
                found = Difference(seed, js_script.Step("ask", "connection"), f"closed: {error}", [])
            if not found:
                break
        if found and found.answers and not found.theirs:
            found = self.weigh(found, patience)
        for side in self.sides:
            side.end()
        return found

    def once(self, seed):
        """Plays the script with all patience, but only once."""
        patient = BURSTS if js_script.Script(seed).theme in js_clock.TIMES else PATIENCE
        try:
            return self.in_time(seed, patient[-1])
        finally:
            for side in self.sides:
                side.end()

    def in_time(self, seed, patience):
        for _ in range(LATE):
            found = self.play(seed, *patience)
            if not (found and found.late):
                break
        return found

    def weigh(self, found, patience):
        """Plays the script again: where nats-servers differ from each other, or one from itself, nobody can be the same."""
        script = js_script.Script(found.seed)
        for _ in range(AGAIN):
            where = js_compare.where_peers_differ(found.answers, script.unlike)
            if where == found.found.split(":")[0]:
                return found._replace(theirs="nats-servers differ from each other")
            again = self.in_time(found.seed, patience)
            if not again:
                return None
            if again.step.subject != found.step.subject:
                return again
            if js_compare.different(again.answers[-1], found.answers[-1], "", False, script.unlike):
                return found._replace(theirs="nats-server differs from itself")
        return found

    def play(self, seed, silence_s, pause_s, end_s):
        script = js_script.Script(seed)
        sides = [side for side in self.sides if not (script.newer and side.server.old)]
        old = [side.server.old for side in sides]
        for side in sides:
            side.begin()
        clock = js_clock.Clock(script, lambda seconds: js_sides.listen(sides, seconds))
        for step in script.steps():
            clock.before(step)
            if step.kind == "wait":
                continue
            replay_s = clock.replay_s(step)
            answers = js_sides.play(step, sides, max(silence_s, replay_s))
            if replay_s:
                js_sides.listen(sides, replay_s)
            elif pause_s:
                settles = script.theme == "origins" and step.subject.startswith("$JS.API.STREAM")
                js_sides.listen(sides, 10 * pause_s if settles else pause_s)
            script.saw(answers[0])
            found = js_compare.from_all(answers, old, script.unlike)
            if found and js_known.passes(script, step, answers):
                found = None
                script.passed.add(sides[0].key)
            self.tell(step, found, answers)
            if found and self.verbose:
                for key in js_sides.all_keys(sides):
                    print("   ", key, [[one["body"] for one in side.said(key)] for side in sides] if key[0] == "sid" else "")
            if found:
                return Difference(seed, step, found, answers, js_known.ends(script, step, answers), clock.is_late())
        return self.play_end(script, sides, old, max(end_s, 1 if script.replays else 0))

    def play_end(self, script, sides, old, end_s):
        """Pushes come in their own time, requests may stay: compared when nothing comes any more."""
        js_sides.listen(sides, end_s)
        for key in js_sides.all_keys(sides):
            if key in script.passed:
                continue
            answers = [side.said(key) for side in sides]
            found = js_compare.from_all(answers, old, script.unlike)
            if found:
                step = js_script.Step("late", f"{key[0]} {key[1]}")
                self.tell(step, found, answers)
                return Difference(script.seed, step, found, answers, js_known.ends(script, step, answers))
        return None

    def tell(self, step, found, answers):
        if not self.verbose:
            return
        print(f"{step}\n    ours   {json.dumps(answers[0])}")
        for answer in answers[1:] if found else []:
            print(f"    theirs {json.dumps(answer)}")


def run_shard(arguments, seeds, way=Lane.run):
    """Plays the scripts of the seeds; returns the differences."""
    with tempfile.TemporaryDirectory(prefix="dure-differential-") as folder:
        servers = []
        try:
            for i, program in enumerate([arguments.bus, *arguments.nats.split(",")]):
                servers.append(js_sides.Server(program, f"{folder}/{i}", arguments.lanes, i == 0))
            free = [Lane(servers, number, arguments.verbose) for number in range(arguments.lanes)]

            def one(seed):
                lane = free.pop()
                try:
                    return way(lane, seed)
                finally:
                    free.append(lane)

            with concurrent.futures.ThreadPoolExecutor(arguments.lanes) as pool:
                return [found for found in pool.map(one, seeds) if found]
        finally:
            for server in servers:
                server.stop()


def shard_main(pair):
    return run_shard(*pair)


def kind_of(found):
    """Differences of one kind are told once: the step's verb, and where."""
    step = found.step
    words = step.subject.split(".")
    verb = ".".join(words[2:4] if step.subject.startswith("$JS.API") else ["publish"] if step.kind == "ask" else [step.kind])
    return f"{verb} {found.found.split(':')[0]} {found.theirs}"


def ours(differences):
    """Those that are not the reference's own."""
    return [found for found in differences if not found.theirs]


def report(scripts, differences):
    kinds = {}
    for found in differences:
        kinds.setdefault(kind_of(found), []).append(found)
    for kind, cases in sorted(kinds.items(), key=lambda item: -len(item[1])):
        first = cases[0]
        seeds = " ".join(str(case.seed) for case in cases[:10])
        print(f"{len(cases):5} x {kind}\n        seeds {seeds}\n        {first.step}\n        {first.found}")
        for name, answer in zip(["ours  ", "theirs", "theirs"], first.answers):
            print(f"        {name} {json.dumps(answer)[:700]}")
    stalled = [found.seed for found in differences if found.theirs == STALLED]
    theirs = len(differences) - len(ours(differences)) - len(stalled)
    print(f"{scripts} scripts, {len(ours(differences))} with a difference; {theirs} more in which the reference differs from "
          f"itself or in a known way, {len(stalled)} more that did not differ alone: {stalled}")


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scripts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seeds", type=lambda text: [int(word) for word in text.split(",")], help="instead of --scripts and --seed")
    parser.add_argument("--bus", default=os.environ.get("DURE_BUS_EXE", "dure"))
    parser.add_argument("--nats", default="/usr/sbin/nats-server")
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    return parser.parse_args(words)


def seeds_of(arguments):
    return arguments.seeds or range(arguments.seed, arguments.seed + arguments.scripts)


def run_all(arguments):
    seeds = seeds_of(arguments)
    if arguments.shards == 1:
        return run_shard(arguments, seeds)
    shares = [(arguments, seeds[i :: arguments.shards]) for i in range(arguments.shards)]
    with multiprocessing.Pool(arguments.shards) as pool:
        return [found for part in pool.map(shard_main, shares) for found in part]


def alone(arguments, found):
    """Plays the script by itself: what never differs then, the load of the other scripts (or of the machine) has made."""
    quiet = argparse.Namespace(**{**vars(arguments), "lanes": 1})
    again = run_shard(quiet, [found.seed] * ALONE, Lane.once)
    return found if again else found._replace(theirs=STALLED)


def run(arguments):
    """All scripts; returns the differences."""
    differences = run_all(arguments)
    if arguments.verbose:
        return differences
    return [found if found.theirs else alone(arguments, found) for found in differences]


def main():
    arguments = parse(None)
    if arguments.verbose:
        arguments.lanes = 1
    begun = time.monotonic()
    differences = run(arguments)
    report(len(seeds_of(arguments)), differences)
    print(f"{time.monotonic() - begun:.0f} s")
    return 1 if ours(differences) else 0


if __name__ == "__main__":
    sys.exit(main())
