"""Random scripts for the JetStream API: what a client might ask for, sensible and not, from a seed.

Every script has two streams, A and B, and a theme that says what it does more often than others. What takes time
(ages, redeliveries, expiries) stands in scripts that wait once, long enough for all of it."""

import json
import random

import js_known
from js_script_consumers import Consumers
from js_script_streams import Streams
from js_step import PATTERNS, SUBJECTS, Step, may_be_silent  # noqa: F401

THEMES = ["mixed", "mixed", "mixed", "kv", "objects", "origins", "push", "short"]
REFUSED_FOR_LONG = (b"-NAK 1h", b'-NAK {"delay": 3600000000000}')
NEWER_THEMES = THEMES + ["groups", "ttl"]


class Script(Streams, Consumers):
    """`newer`: it uses what only newer servers know. `short`: it has times of less than a second, and waits for them."""

    def __init__(self, seed):
        self.seed, self.dice = seed, random.Random(seed)
        self.number = 0
        self.newer = seed % 2 == 1
        self.theme = self.one(*(NEWER_THEMES if self.newer else THEMES))
        self.short = self.theme == "short"
        self.last, self.filters = {}, {}
        self.buries = self.chance(0.5)
        self.no_ack, self.small = False, False
        self.origins = None
        self.queues, self.lasts, self.narrow, self.limited = set(), set(), set(), set()
        self.there, self.mirrored = set(), set()  # streams that were made; those of a mirror with mirror_direct
        self.gone = set()  # origins that were deleted, or not there when what copies them was made
        self.passed = set()  # what has differed in a known way, by the key of the answer
        self.refuses, self.dropped, self.replays = False, False, False
        self.republishes, self.sized = False, False  # into a stream; there is one with max_bytes
        self.filtered, self.deaf = {}, set()  # consumers' filters; whose filter was taken away (js_known.unheard)
        self.refiltered = set()  # those that have another filter than what is out had (js_known.let_go)
        self.paused = set()  # consumers
        self.rolled = set()  # streams in which a message has rolled up others (js_known.room_first)
        self.limits, self.turned = set(), set()  # streams by limits; which were, and are by interest now (js_known.kept)
        self.mirrors = self.chance(0.5)
        self.unlike = {"consumer_count", "consumers", "bytes"} if self.theme == "origins" else set()

    def steps(self):
        for step in self.all_steps():
            self.note(step)
            yield step

    def all_steps(self):
        yield from self.beginning()
        count = self.dice.randint(10, 40)
        pause = self.dice.randint(count // 2, count) if self.theme in ("short", "ttl") else -1
        for i in range(count):
            if i == pause:
                self.short = False
                yield Step("wait", "")
            yield self.step()

    def note(self, step):
        """What leads to differences that are known (js_known.py)."""
        words = step.subject.split(".")
        if step.kind == "ack" and step.payload.startswith(b"-NAK") and step.payload not in REFUSED_FOR_LONG:
            self.refuses = True
        if step.kind == "ack" and step.payload in REFUSED_FOR_LONG:
            self.unlike.add((js_known.PUT_OFF,))
        if step.subject.startswith("$JS.API.CONSUMER.") and "CREATE" in words[3:5]:
            at = words.index("CREATE")
            self.note_consumer(tuple(words[at + 1 : at + 3]), js_known.body_of(step).get("config"))
        if step.subject.startswith(("$JS.API.STREAM.CREATE.", "$JS.API.STREAM.UPDATE.")):
            config = js_known.body_of(step)
            if any(isinstance(config.get(limit), int) and config[limit] > 0 for limit in js_known.LIMITS):
                self.limited.add(words[-1])
        if step.subject.startswith("$JS.API.CONSUMER.PAUSE."):
            self.note_pause(tuple(words[4:6]), js_known.body_of(step).get("pause_until"))
        if step.subject.startswith(("$JS.API.CONSUMER.DELETE.", "$JS.API.STREAM.DELETE.")):
            self.note_delete(tuple(words[4:]))
        self.unlike |= {(js_known.EARLY, *consumer) for consumer in self.narrow if consumer[0] in self.limited}
        purged = words[-1] if step.subject.startswith("$JS.API.STREAM.PURGE.") else None
        if b"Nats-Rollup:" in step.headers:
            purged = words[0].upper()
            self.rolled.add(purged)
        if purged:
            self.dropped = self.dropped or self.refuses
            self.unlike.add((js_known.PURGED, purged))
            self.unlike |= {(js_known.FEWER, *consumer) for consumer in self.lasts if consumer[0] == purged}
            self.unlike |= {(js_known.FREED, *consumer) for consumer in self.narrow if consumer[0] == purged}

    def note_pause(self, consumer, until):
        """A consumer that goes on: see js_known.goes_on_later."""
        if isinstance(until, str) and until.startswith("2099"):
            self.paused.add(consumer)
        elif consumer in self.paused and (until is None or str(until).startswith("2020")):
            self.paused.remove(consumer)
            self.unlike.add((js_known.FREED, *consumer))

    def note_delete(self, what):
        """A stream, or a consumer of one."""
        for known in (self.deaf, self.refiltered, self.paused):
            known -= {one for one in known if one[: len(what)] == what}
        self.filtered = {one: filters for one, filters in self.filtered.items() if one[: len(what)] != what}
        if len(what) == 1:
            self.limits.discard(what[0])
            self.turned.discard(what[0])
            self.unlike.discard((js_known.TURNED, what[0]))

    def note_consumer(self, consumer, config):
        if not isinstance(config, dict):
            return
        self.replays = self.replays or config.get("replay_policy") == "original"
        if config.get("max_ack_pending", 1000) in range(10) and "deliver_subject" in config:
            self.narrow.add(consumer)
        if config.get("deliver_policy") == "last_per_subject":
            self.lasts.add(consumer)
        if config.get("opt_start_seq", 0) > self.last.get(consumer[0], 0) + 1:
            self.unlike.add((js_known.MORE, *consumer))

    def saw_consumer(self, body):
        """It was made, or changed."""
        consumer, config = (body["stream_name"], body["name"]), body["config"]
        self.note_pause(consumer, config.get("pause_until"))
        before = self.filtered.get(consumer)
        filters = self.filtered[consumer] = sorted(config.get("filter_subjects") or [config.get("filter_subject", "")])
        if before not in (None, filters) and body["num_ack_pending"] > 0:
            self.refiltered.add(consumer)
        if before not in (None, filters) and consumer in self.lasts:
            self.unlike.add((js_known.ELSEWHERE, *consumer))
        if filters != [""]:
            self.deaf.discard(consumer)
        elif before not in (None, filters):
            self.deaf.add(consumer)
            self.unlike.add((js_known.FREED, *consumer))

    def saw_stream(self, config):
        """It was made, or changed."""
        name = config["name"]
        origins = [config["mirror"]] if config.get("mirror") else config.get("sources") or []
        self.mirrored |= {origin["name"] for origin in origins if config.get("mirror_direct")}
        if config["retention"] == "limits":
            self.limits.add(name)
            self.turned.discard(name)
            self.unlike.discard((js_known.TURNED, name))
        elif name in self.limits:
            self.limits.remove(name)
            self.turned.add(name)
            self.unlike.add((js_known.TURNED, name))

    def saw(self, answers):
        """What came back: the last sequences of the streams, and which there are."""
        for body in [answer["body"] for answer in answers if isinstance(answer["body"], dict)]:
            kind = body.get("type", "")
            if kind.endswith("consumer_create_response") and "config" in body:
                self.saw_consumer(body)
            if kind.endswith(("stream_create_response", "stream_update_response")) and "config" in body:
                self.saw_stream(body["config"])
            if body.get("type", "").endswith("stream_create_response") and "config" in body:
                config = body["config"]
                self.there.add(config["name"])
                origins = [config["mirror"]] if config.get("mirror") else config.get("sources") or []
                self.gone |= {origin["name"] for origin in origins} - self.there
            if "seq" in body and "stream" in body and not body.get("duplicate"):
                self.last[body["stream"]] = max(body["seq"], self.last.get(body["stream"], 0))

    def beginning(self):
        for name in ("A", "B"):
            if self.chance(0.85) or self.theme == "origins":
                yield self.stream_create(name, sane=True)
            if self.chance(0.7):
                yield self.ask(f"$JS.API.CONSUMER.DURABLE.CREATE.{name}.c1", {
                    "stream_name": name, "config": {"durable_name": "c1", "ack_policy": "explicit"} | self.letters()})
        if self.theme == "origins":
            yield self.stream_create("M", sane=True)
        if self.theme == "push":
            yield self.push_create()
        if self.chance(0.2):
            yield self.ask("$JS.API.INFO")

    def letters(self):
        """In half of the scripts no consumer buries messages."""
        return {} if self.buries else {"metadata": {"dure.dead_letters": "off"}}

    def step(self):
        weights = {
            self.publish: 40, self.pull: 14, self.acknowledge: 12, self.consumer_create: 7, self.push_create: 2,
            self.ephemeral_create: 1, self.stream_info: 6, self.consumer_info: 5, self.message_get: 5, self.direct_get: 5,
            self.purge: 3, self.delete_message: 4, self.stream_update: 3, self.stream_create: 2, self.stream_delete: 1,
            self.consumer_delete: 1, self.names: 2, self.nonsense: 1, self.pull_long: 1,
        }
        if self.newer:
            weights |= {self.pause: 1, self.direct_many: 3, self.unpin: 1 if self.theme == "groups" else 0}
        if self.theme in ("kv", "objects"):
            weights |= {self.key_operation: 40, self.publish: 5, self.watch_create: 3, self.direct_get: 8}
        if self.theme == "push":
            weights |= {self.push_create: 8, self.acknowledge: 16}
        if self.theme in ("short", "groups"):
            weights |= {self.pull_long: 8}
        return self.dice.choices(list(weights), list(weights.values()))[0]()

    def chance(self, share):
        return self.dice.random() < share

    def one(self, *values):
        return self.dice.choice(values)

    def pick(self, config, options, share):
        """Adds some of the options: pairs of a name and what makes its value, or a triple with a share of its own."""
        for key, value, *own in options:
            if self.chance(own[0] if own else share):
                config[key] = value()

    def stream(self):
        if self.theme == "origins" and self.chance(0.3):
            return "M"
        return self.one("A", "A", "A", "B", "B", "NONE") if self.chance(0.9) else self.one("A", "a.b", "x" * 300)

    @staticmethod
    def ask(subject, body=None, **more):
        return Step("ask", subject, b"" if body is None else json.dumps(body).encode(), **more)

    # ---- what nobody should ask

    def nonsense(self):
        subject = self.one("STREAM.CREATE.A", "STREAM.INFO.A", "CONSUMER.CREATE.A", "STREAM.PURGE.A", "STREAM.MSG.GET.A",
                           "STREAM.NAMES", "STREAM.UPDATE.A", "STREAM.MSG.DELETE.A", "CONSUMER.CREATE.A.c1",
                           "CONSUMER.DURABLE.CREATE.A.c1", "CONSUMER.NAMES.A", "CONSUMER.LIST.A")
        return Step("ask", f"$JS.API.{subject}", self.one(
            b"{", b"[]", b'"x"', b'{"name": 5}', b'{"config": []}', b"\x00\xff", b'{"seq": "1"}', b'{"seq": -1}', b'{"offset": "x"}',
            b'{"name":"A","subjects":"a.>"}', b'{"name":"A","max_msgs":"7"}', b'{"config":{"ack_wait":"1s"}}',
            b'{"stream_name":"A","config":{"durable_name":"c1","max_deliver":"3"}}', b'{"filter": 3}', b'{"keep": true}'))
