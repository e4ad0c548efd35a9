"""Random scripts for the JetStream API: what a client might ask for, sensible and not, from a seed."""

import json
import random

SECOND = 1_000_000_000
STREAMS = ["A", "B"]
CONSUMERS = ["c1", "c2"]
SUBJECTS = ["a.1", "a.2", "a.b.3", "b.1", "b.x.y"]
PATTERNS = ["a.*", "a.>", "b.1", "b.>", "a.b.*", ">", "*.1", "x.y"]


class Step:
    """One thing to do on both servers. `kind`: "ask" (one answer), "pull" (until the batch or a status), "tell"
    (no answer; acknowledgements of what was delivered are written by the runner)."""

    def __init__(self, kind, subject, payload=b"", headers=b"", batch=0, ack=None):
        self.kind, self.subject, self.payload, self.headers = kind, subject, payload, headers
        self.batch, self.ack = batch, ack

    def __str__(self):
        head = self.headers.replace(b"\r\n", b"|").decode(errors="replace")
        return f"{self.kind} {self.subject} {head} {self.payload.decode(errors='replace')} {self.ack or ''}".strip()


def may_be_silent(step):
    """Some servers do not answer these at all."""
    return ("DIRECT.GET" in step.subject or "a.b" in step.subject or "x" * 300 in step.subject
            or b"\x00" in step.payload)


class Script:
    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.number = 0

    def steps(self):
        for name in STREAMS:
            if self.chance(0.85):
                yield self.stream_create(name, sane=True)
            if self.chance(0.7):
                yield self.ask(f"$JS.API.CONSUMER.DURABLE.CREATE.{name}.c1", {
                    "stream_name": name, "config": {"durable_name": "c1", "ack_policy": "explicit"}})
        for _ in range(self.dice.randint(10, 40)):
            yield self.step()

    def chance(self, share):
        return self.dice.random() < share

    def one(self, *values):
        return self.dice.choice(values)

    def stream(self):
        return self.one("A", "A", "A", "B", "B", "NONE") if self.chance(0.9) else self.one("A", "a.b", "x" * 300)

    def consumer(self):
        return self.one(*CONSUMERS, *CONSUMERS, "none")

    def step(self):
        return self.dice.choices(
            [self.publish, self.pull, self.acknowledge, self.consumer_create, self.push_create, self.stream_info, self.consumer_info,
             self.message_get, self.direct_get, self.purge, self.delete_message, self.stream_update,
             self.stream_create_again, self.stream_delete, self.consumer_delete, self.names, self.nonsense],
            [40, 14, 12, 8, 3, 6, 5, 5, 5, 3, 4, 3, 2, 1, 1, 2, 1])[0]()

    @staticmethod
    def ask(subject, body=None):
        return Step("ask", subject, b"" if body is None else json.dumps(body).encode())

    # ---- streams

    def stream_config(self, name, sane):
        patterns = {"A": ["a.>"], "B": ["b.>"]}.get(name, ["n.>"])
        config = {"name": name, "subjects": patterns, "storage": self.one("file", "file", "memory"),
                  "retention": self.one("limits", "limits", "limits", "interest", "workqueue")}
        options = {
            "max_msgs": lambda: self.one(-1, 3, 5), "max_bytes": lambda: self.one(-1, 600, 900),
            "max_msgs_per_subject": lambda: self.one(-1, 1, 2), "max_msg_size": lambda: self.one(-1, 20, 100),
            "discard": lambda: self.one("old", "new"), "allow_rollup_hdrs": lambda: self.one(True, False),
            "allow_direct": lambda: self.one(True, False), "deny_delete": lambda: True, "deny_purge": lambda: True,
            "max_age": lambda: 3600 * SECOND, "duplicate_window": lambda: 60 * SECOND,
            "max_consumers": lambda: self.one(-1, 1), "description": lambda: "words",
        }
        rare = {"deny_delete", "deny_purge", "max_consumers"}
        for key, value in options.items():
            if self.chance(0.05 if key in rare else 0.25):
                config[key] = value()
        if not sane:
            config.update(self.one({}, {"subjects": ["a..b"]}, {"subjects": self.one(["a.1", "b.1"], [">"], [""])},
                                   {"max_age": 5}, {"duplicate_window": 2 * SECOND, "max_age": SECOND},
                                   {"num_replicas": self.one(0, 3, 7)}, {"retention": "none"}, {"storage": "tape"},
                                   {"name": self.one("", "a b", "a.b", "Z")}, {"discard": "some"},
                                   {"subjects": None}, {"subjects": ["$JS.API.>"]}, {"max_msgs": -7}))
        return config

    def stream_create(self, name=None, sane=None):
        name = name or self.stream()
        return self.ask(f"$JS.API.STREAM.CREATE.{name}", self.stream_config(name, self.chance(0.7) if sane is None else sane))

    def stream_create_again(self):
        return self.stream_create()

    def stream_update(self):
        name = self.stream()
        return self.ask(f"$JS.API.STREAM.UPDATE.{name}", self.stream_config(name, self.chance(0.8)))

    def stream_delete(self):
        return self.ask(f"$JS.API.STREAM.DELETE.{self.stream()}")

    def stream_info(self):
        body = self.one(None, None, {"deleted_details": True}, {"subjects_filter": self.one(*PATTERNS)},
                        {"subjects_filter": ">", "deleted_details": True})
        return self.ask(f"$JS.API.STREAM.INFO.{self.stream()}", body)

    def names(self):
        subject = self.one("STREAM.NAMES", "STREAM.LIST", f"CONSUMER.NAMES.{self.stream()}",
                           f"CONSUMER.LIST.{self.stream()}")
        body = self.one(None, {"offset": 0}, {"offset": 1}, {"subject": self.one(*PATTERNS)})
        return self.ask(f"$JS.API.{subject}", body)

    def purge(self):
        body = self.one(None, {"keep": self.one(0, 1, 2)}, {"seq": self.one(1, 3, 6)},
                        {"filter": self.one(*PATTERNS)}, {"filter": "a.1", "keep": 1}, {"seq": 3, "keep": 1})
        return self.ask(f"$JS.API.STREAM.PURGE.{self.stream()}", body)

    # ---- messages

    def publish(self):
        self.number += 1
        subject = self.one(*SUBJECTS, *SUBJECTS, "n.1")
        body = b"m%d" % self.number + b"." * self.one(0, 0, 5, 30, 120)
        lines = []
        if self.chance(0.25):
            lines.append(f"Nats-Msg-Id: id{self.one(1, 2, 3, 4, self.number)}")
        if self.chance(0.1):
            lines.append(f"Nats-Expected-Last-Sequence: {self.one(0, 1, 2, 3, 5, 'x')}")
        if self.chance(0.1):
            lines.append(f"Nats-Expected-Last-Subject-Sequence: {self.one(0, 1, 2, 3, 5)}")
        if self.chance(0.05):
            lines.append(f"Nats-Expected-Stream: {self.one('A', 'B', 'C')}")
        if self.chance(0.05):
            lines.append(f"Nats-Expected-Last-Msg-Id: {self.one('id1', 'id2', 'id9')}")
        if self.chance(0.08):
            lines.append(f"Nats-Rollup: {self.one('sub', 'all')}")
        if self.chance(0.1):
            lines.append("Key: value")
        headers = ("NATS/1.0\r\n" + "".join(line + "\r\n" for line in lines) + "\r\n").encode() if lines else b""
        return Step("ask", subject, body, headers)

    def selector(self):
        return self.one({"seq": self.one(1, 2, 3, 5, 8, 20)}, {"last_by_subj": self.one(*SUBJECTS)},
                        {"seq": self.one(1, 2, 4), "next_by_subj": self.one(*SUBJECTS, *PATTERNS)},
                        {"next_by_subj": self.one(*SUBJECTS)}, {}, {"seq": 0}, {"seq": 1, "last_by_subj": "a.1"})

    def message_get(self):
        return self.ask(f"$JS.API.STREAM.MSG.GET.{self.stream()}", self.selector())

    def direct_get(self):
        if self.chance(0.3):
            return self.ask(f"$JS.API.DIRECT.GET.{self.stream()}.{self.one(*SUBJECTS)}")
        return self.ask(f"$JS.API.DIRECT.GET.{self.stream()}", self.selector())

    def delete_message(self):
        body = {"seq": self.one(0, 1, 2, 3, 4, 5, 9)}
        if self.chance(0.3):
            body["no_erase"] = True
        return self.ask(f"$JS.API.STREAM.MSG.DELETE.{self.stream()}", body)

    # ---- consumers

    def consumer_config(self, name):
        config = {"durable_name": name, "ack_policy": self.one("explicit", "explicit", "explicit", "all", "none"),
                  "deliver_policy": self.one("all", "all", "all", "last", "new", "last_per_subject"),
                  "replay_policy": "instant"}
        options = {
            "filter_subject": lambda: self.one(*PATTERNS, *SUBJECTS), "max_deliver": lambda: self.one(-1, 1, 2, 3),
            "max_ack_pending": lambda: self.one(1, 2, 5, 1000), "headers_only": lambda: True,
            "ack_wait": lambda: 3600 * SECOND, "description": lambda: "words", "max_waiting": lambda: self.one(1, 10),
            "max_batch": lambda: self.one(1, 3), "inactive_threshold": lambda: 3600 * SECOND,
            "opt_start_seq": lambda: self.one(1, 2, 4), "backoff": lambda: [3600 * SECOND, 7200 * SECOND],
            "max_expires": lambda: 3600 * SECOND, "max_bytes": lambda: self.one(100, 1000),
        }
        for key, value in options.items():
            if self.chance(0.3 if key == "filter_subject" else 0.1):
                config[key] = value()
        if config.get("opt_start_seq") and self.chance(0.9):
            config["deliver_policy"] = "by_start_sequence"
        if self.chance(0.06):
            config.update(self.one({"idle_heartbeat": SECOND}, {"flow_control": True}, {"deliver_group": "g"},
                                   {"ack_policy": "most"}, {"deliver_policy": "by_start_sequence"},
                                   {"opt_start_time": "2020-01-01T00:00:00Z"}, {"durable_name": "a b"},
                                   {"durable_name": None}, {"replay_policy": "fast"}, {"num_replicas": 3},
                                   {"sample_freq": self.one("50%", "x")}, {"rate_limit_bps": 1000}))
        return config

    def consumer_create(self):
        stream, name = self.stream(), self.one(*CONSUMERS)
        config = self.consumer_config(name)
        body = {"stream_name": stream if self.chance(0.97) else "OTHER", "config": config}
        filtered = config.get("filter_subject")
        form = self.one("durable", "durable", "named", "filter", "bare")
        if form == "durable":
            return self.ask(f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{name}", body)
        if form == "named" and not filtered:
            return self.ask(f"$JS.API.CONSUMER.CREATE.{stream}.{name}", body)
        if form == "filter" and filtered:
            return self.ask(f"$JS.API.CONSUMER.CREATE.{stream}.{name}.{filtered}", body)
        return self.ask(f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{name}", body)

    def push_create(self):
        stream, name = self.stream(), self.one("p1", "p2")
        config = self.consumer_config(name)
        for key in ("max_waiting", "max_batch", "max_expires", "max_bytes"):
            if self.chance(0.9):
                config.pop(key, None)
        config["deliver_subject"] = self.one(f"_DELIVER.{name}", f"_DELIVER.{name}", f"_NOBODY.{name}", "_DELIVER.*")
        if self.chance(0.2):
            config["idle_heartbeat"] = 3600 * SECOND
            config["flow_control"] = self.chance(0.5)
        return self.ask(f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{name}", {"stream_name": stream, "config": config})

    def consumer_info(self):
        return self.ask(f"$JS.API.CONSUMER.INFO.{self.stream()}.{self.consumer()}")

    def consumer_delete(self):
        return self.ask(f"$JS.API.CONSUMER.DELETE.{self.stream()}.{self.consumer()}")

    def pull(self):
        batch = self.one(1, 1, 2, 5)
        body = {"batch": batch, "no_wait": True}
        if self.chance(0.1):
            body["max_bytes"] = self.one(50, 200)
        payload = json.dumps(body).encode()
        if self.chance(0.05):
            payload, batch = self.one((b'{"batch":-1,"no_wait":true}', 1), (b"{", 1), (b'{"no_wait":true,"batch":0}', 1))
        return Step("pull", f"$JS.API.CONSUMER.MSG.NEXT.{self.stream()}.{self.consumer()}", payload, batch=batch)

    def acknowledge(self):
        ack = self.one(b"+ACK", b"+ACK", b"+ACK", b"", b"-NAK", b"+TERM", b"+WPI", b"+OK", b"what", b"+TERM because",
                       b'-NAK {"delay": 3600000000000}')
        return Step("ack", "", ack=(self.dice.random(), ack))

    # ---- what nobody should ask

    def nonsense(self):
        return Step("ask", f"$JS.API.{self.one('STREAM.CREATE.A', 'STREAM.INFO.A', 'CONSUMER.CREATE.A', 'STREAM.PURGE.A', 'STREAM.MSG.GET.A', 'STREAM.NAMES')}",
                    self.one(b"{", b"[]", b'"x"', b'{"name": 5}', b'{"config": []}', b"\x00\xff"))
