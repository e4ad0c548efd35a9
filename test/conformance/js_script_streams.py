"""What a script does with streams and their messages."""

import json

from js_step import HOUR, MILLISECOND, PATTERNS, SECOND, SUBJECTS, Step, header_block

KEYS = ["k1", "k2", "k.3"]


class Streams:
    # ---- streams

    def stream_config(self, name, sane):
        if name == "M":
            return self.origin_config()
        patterns = {"A": ["a.>"], "B": ["b.>"]}.get(name, ["n.>"])
        if self.chance(0.1):
            patterns = {"A": ["a.*", "a.b.*"], "B": ["b.1", "b.x.y"]}.get(name, ["n.1"])
        config = {"name": name, "subjects": patterns, "storage": self.one("file", "file", "memory"),
                  "retention": self.one("limits", "limits", "limits", "interest", "workqueue")}
        if self.theme == "origins":
            config["retention"] = "limits"
        if name == "A" and self.theme in ("kv", "objects"):
            return self.bucket_config()
        self.pick(config, [
            ("max_msgs", lambda: self.one(-1, 3, 5)), ("max_bytes", lambda: self.one(-1, 600, 900)),
            ("max_msgs_per_subject", lambda: self.one(-1, 1, 2)), ("max_msg_size", lambda: self.one(-1, 40, 100), 0.15),
            ("discard", lambda: self.one("old", "new")), ("allow_rollup_hdrs", lambda: self.one(True, True, False)),
            ("allow_direct", lambda: self.one(True, True, False)), ("deny_delete", lambda: True, 0.05),
            ("deny_purge", lambda: True, 0.05), ("max_age", lambda: HOUR), ("duplicate_window", lambda: 60 * SECOND),
            ("max_consumers", lambda: self.one(-1, 1), 0.05), ("description", lambda: "words", 0.1),
            ("no_ack", lambda: True, 0.02), ("discard_new_per_subject", lambda: True, 0.06), ("sealed", lambda: True, 0.01),
            ("republish", lambda: self.republish(patterns[0]), 0.08),
        ], 0.25)
        if self.republishes:
            config.pop("max_bytes", None)
        self.sized |= config.get("max_bytes", -1) > 0
        if self.short and self.chance(0.4):
            config["max_age"] = 900 * MILLISECOND
        if self.newer:
            self.add_newer(config)
        if not sane:
            config.update(self.wrong())
        if self.theme == "origins" and "max_ack_pending" in config.get("consumer_limits", ()):
            del config["consumer_limits"]  # the reference's own consumers do not keep to it: it copies nothing
        if "subject_delete_marker_ttl" in config:
            # The reference maps a marker as if a client had sent it, and refuses one that is larger than messages may be.
            config.pop("subject_transform", None)
            config.pop("max_msg_size", None)
        if config.get("subjects") == [">"]:
            config.pop("no_ack", None)  # the reference takes what is asked of the API itself, we do not (doc/bus.md)
        if config["retention"] != "limits":
            self.queues.add(name)
        self.no_ack |= "no_ack" in config
        self.small |= config.get("max_msg_size", -1) > 0
        return config

    def add_newer(self, config):
        self.pick(config, [
            ("metadata", lambda: {"who": "me"}), ("compression", lambda: self.one("none", "s2")),
            ("consumer_limits", lambda: self.one({"max_ack_pending": 3}, {"inactive_threshold": HOUR})),
            ("first_seq", lambda: self.one(1, 10)), ("allow_msg_ttl", lambda: True, 0.8 if self.theme == "ttl" else 0.1),
            ("subject_transform", lambda: self.one({"src": "a.*", "dest": "a.t.{{wildcard(1)}}"},
                                                   {"src": ">", "dest": "b.x.>"}, {"src": "b.*", "dest": "b.{{wildcard(2)}}"})),
        ], 0.07)
        if self.theme == "ttl" and self.chance(0.3):
            config["subject_delete_marker_ttl"] = self.one(2 * SECOND, HOUR)
            if self.chance(0.5):
                config["max_age"] = SECOND
                config.pop("duplicate_window", None)

    def republish(self, own):
        """Into another stream the time goes along, as text that is longer or shorter: the bytes of its messages differ, so
        that nothing there may be limited by them."""
        config = self.one({"src": ">", "dest": "_REPUBLISHED.>"}, {"src": "a.*", "dest": "_REPUBLISHED.{{wildcard(1)}}"},
                        {"src": ">", "dest": "_REPUBLISHED.>", "headers_only": True}, {"src": ">", "dest": own},
                        {"src": "", "dest": "_REPUBLISHED.all"}, {"src": ">", "dest": self.one("b.>", "a.r.>", "b.1")})
        if not config["dest"].startswith("_") and self.sized:
            config["dest"] = "_REPUBLISHED.>"
        if not config["dest"].startswith("_"):
            self.unlike.add("bytes")
            self.republishes = True
        return config

    def wrong(self):
        return self.one({}, {"subjects": ["a..b"]}, {"subjects": self.one(["a.1", "b.1"], [">"], [""], ["a.*", "a.1"])},
                        {"max_age": 5}, {"duplicate_window": 2 * SECOND, "max_age": SECOND}, {"max_age": -1},
                        {"num_replicas": self.one(0, 3, 7)}, {"retention": "none"}, {"storage": "tape"},
                        {"name": self.one("", "a b", "a.b", "Z")}, {"discard": "some"}, {"duplicate_window": 1},
                        {"subjects": None}, {"subjects": ["$JS.API.>"]}, {"max_msgs": -7}, {"subjects": "a.>"},
                        {"deny_purge": True, "allow_rollup_hdrs": True}, {"mirror": {"name": "B"}},
                        {"discard_new_per_subject": True}, {"max_msgs": "3"}, {"description": "d" * 5000})

    def origin_config(self):
        """A mirror of A, or a stream with A and B as sources."""
        if self.origins and self.chance(0.7):
            return dict(self.origins)
        config = {"name": "M", "storage": self.one("file", "memory")}
        origin = {"name": "A"}
        self.pick(origin, [("filter_subject", lambda: self.one("a.1", "a.*")), ("opt_start_seq", lambda: self.one(1, 2))], 0.2)
        if self.newer and "filter_subject" not in origin and self.chance(0.2):
            origin["subject_transforms"] = [{"src": "a.*", "dest": "m.{{wildcard(1)}}"}]
        if self.mirrors:
            config["mirror"] = origin
            self.pick(config, [("allow_direct", lambda: True), ("mirror_direct", lambda: True)], 0.3)
        else:
            config["sources"] = [origin] + ([{"name": "B"}] if self.chance(0.2) else [])
            self.pick(config, [("subjects", lambda: ["m.>"]), ("max_msgs", lambda: 4)], 0.3)
        self.origins = dict(config)
        return config

    def bucket_config(self):
        """As clients make a key-value bucket, or an object store."""
        config = {"name": "A", "subjects": ["a.>"], "discard": "new", "allow_rollup_hdrs": True, "allow_direct": self.chance(0.8),
                  "duplicate_window": 120 * SECOND, "storage": self.one("file", "memory"), "num_replicas": 1, "retention": "limits"}
        if self.theme == "kv":
            config |= {"max_msgs_per_subject": self.one(1, 1, 3), "deny_delete": True, "max_consumers": -1, "max_bytes": -1,
                       "max_msg_size": -1, "max_msgs": -1, "max_age": 0}
        return config

    def stream_create(self, name=None, sane=None):
        name = name or self.stream()
        config = self.stream_config(name, self.chance(0.7) if sane is None else sane)
        if name in self.gone:  # the reference looks for an origin that has come again only in some seconds
            return self.stream_info()
        return self.ask(f"$JS.API.STREAM.CREATE.{name}", config)

    def stream_update(self):
        name = self.stream()
        config = self.stream_config(name, self.chance(0.8))
        if "subject_delete_marker_ttl" in config and config.get("max_age") == SECOND:
            del config["max_age"]  # the reference looks for what is too old, and marks it, only a second later
        return self.ask(f"$JS.API.STREAM.UPDATE.{name}", config)

    def stream_delete(self):
        name = self.stream()
        self.last[name] = 0
        if self.theme == "origins" and name != "M":
            self.gone.add(name)
        return self.ask(f"$JS.API.STREAM.DELETE.{name}")

    def stream_info(self):
        body = self.one(None, None, {"deleted_details": True}, {"subjects_filter": self.one(*PATTERNS)},
                        {"subjects_filter": ">", "deleted_details": True}, {"subjects_filter": ">", "offset": 1})
        return self.ask(f"$JS.API.STREAM.INFO.{self.stream()}", body)

    def names(self):
        subject = self.one("STREAM.NAMES", "STREAM.LIST", f"CONSUMER.NAMES.{self.stream()}",
                           f"CONSUMER.LIST.{self.stream()}")
        body = self.one(None, {"offset": 0}, {"offset": 1}, {"subject": self.one(*PATTERNS)}, {"offset": 9})
        if self.buries and subject.startswith("STREAM") and body and body.get("offset"):
            body["offset"] = 0  # there may be a stream of dead letters
        return self.ask(f"$JS.API.{subject}", body)

    def purge(self):
        body = self.one(None, {"keep": self.one(0, 1, 2)}, {"seq": self.one(1, 3, 6)},
                        {"filter": self.one(*PATTERNS)}, {"filter": "a.1", "keep": 1}, {"seq": 3, "keep": 1},
                        {"filter": "a.1", "seq": 4})
        return self.ask(f"$JS.API.STREAM.PURGE.{self.stream()}", body)

    # ---- messages

    def publish(self):
        self.number += 1
        subject = self.one(*SUBJECTS, *SUBJECTS, "n.1")
        body = b"m%d" % self.number + b"." * self.one(0, 0, 5, 30, 120)
        lines = []
        for share, line in [
            (0.25, lambda: f"Nats-Msg-Id: id{self.one(1, 2, 3, 4, self.number)}"),
            (0.1, lambda: f"Nats-Expected-Last-Sequence: {self.one(0, 1, 2, 3, 5, 'x')}"),
            (0.1, lambda: f"Nats-Expected-Last-Subject-Sequence: {self.one(0, 1, 2, 3, 5)}"),
            (0.03, lambda: f"Nats-Expected-Last-Subject-Sequence-Subject: {self.one('a.1', 'a.>', 'b.*')}"),
            (0.05, lambda: f"Nats-Expected-Stream: {self.one('A', 'B', 'C')}"),
            (0.05, lambda: f"Nats-Expected-Last-Msg-Id: {self.one('id1', 'id2', 'id9')}"),
            (0.08, lambda: f"Nats-Rollup: {self.one('sub', 'all', 'sub', 'all', 'none')}"),
            (0.1, lambda: "Key: value"),
            (0.5 if self.theme == "ttl" else 0.01, lambda: f"Nats-TTL: {self.one('1', '1s', '1h', 'never', '0', 'x')}"),
        ]:
            if (self.newer or not line().startswith(("Nats-TTL", "Nats-Expected-Last-Subject-Sequence-Subject"))) and self.chance(share):
                lines.append(line())
        return Step("ask", subject, body, header_block(lines), quiet=self.no_ack)

    def key_operation(self):
        """What clients of a bucket do with a key; of an object store with its parts."""
        self.number += 1
        if self.theme == "objects":
            kind = self.one("a.C.x1", "a.C.x2", "a.M.n1", "a.M.n2")
            lines = ["Nats-Rollup: sub"] if kind[2] == "M" else []
            if self.chance(0.1):
                return self.ask("$JS.API.STREAM.PURGE.A", {"filter": kind})
            return Step("ask", kind, b"o%d" % self.number, header_block(lines))
        key = f"a.{self.one(*KEYS)}"
        lines = self.one([], [], [f"Nats-Expected-Last-Subject-Sequence: {self.one(0, 0, 1, 2, 3, 4)}"],
                         ["KV-Operation: DEL"], ["KV-Operation: PURGE", "Nats-Rollup: sub"])
        body = b"" if lines and lines[0].startswith("KV") else b"v%d" % self.number
        return Step("ask", key, body, header_block(lines))

    def selector(self):
        return self.one({"seq": self.one(1, 2, 3, 5, 8, 20)}, {"last_by_subj": self.one(*SUBJECTS)},
                        {"seq": self.one(1, 2, 4), "next_by_subj": self.one(*SUBJECTS, *PATTERNS)},
                        {"next_by_subj": self.one(*SUBJECTS)}, {}, {"seq": 0}, {"seq": 1, "last_by_subj": "a.1"},
                        {"last_by_subj": "a.>" if self.theme == "ttl" else self.one(*PATTERNS)})

    def message_get(self):
        body = self.selector()
        if self.newer and self.chance(0.1):
            body = self.one({"start_time": "2020-01-01T00:00:00Z"}, {"start_time": "2099-01-01T00:00:00Z"},
                            {"seq": 1, "no_hdr": True})
        return self.ask(f"$JS.API.STREAM.MSG.GET.{self.stream()}", body)

    def direct_stream(self):
        return self.one("A", "B", "M") if self.theme == "origins" else self.stream()

    def direct_get(self):
        if self.chance(0.3):
            return self.ask(f"$JS.API.DIRECT.GET.{self.direct_stream()}.{self.one(*SUBJECTS)}")
        return self.ask(f"$JS.API.DIRECT.GET.{self.direct_stream()}", self.selector())

    def direct_many(self):
        stream = self.direct_stream()
        last = self.last.get(stream) or 1
        body = self.one({"seq": self.one(1, 2, 9), "batch": self.one(2, 5)}, {"next_by_subj": "a.>", "batch": 3},
                        {"seq": 1, "batch": 9, "max_bytes": self.one(1, 40)}, {"multi_last": self.one(["a.>"], ["a.1", "b.1"], [">"])},
                        {"multi_last": ["a.>"], "up_to_seq": min(self.one(1, 3), last)}, {"multi_last": [">"], "batch": 1},
                        {"multi_last": ["x.>"]}, {"batch": 2}, {"seq": 1, "multi_last": ["a.1"]},
                        {"start_time": "2020-01-01T00:00:00Z", "batch": 2}, {"multi_last": [">"], "up_to_time": "2020-01-01T00:00:00Z"},
                        {"multi_last": []}, {"seq": 1, "batch": "x"})
        return Step("ask", f"$JS.API.DIRECT.GET.{stream}", json.dumps(body).encode(), many=True)

    def delete_message(self):
        body = {"seq": self.one(0, 1, 2, 3, 4, 5, 9)}
        if self.chance(0.3):
            body["no_erase"] = True
        return self.ask(f"$JS.API.STREAM.MSG.DELETE.{self.stream()}", body)
