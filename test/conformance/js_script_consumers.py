"""What a script does with consumers."""

import json

from js_step import HOUR, MILLISECOND, PATTERNS, SECOND, SUBJECTS, Step

CONSUMERS = ["c1", "c2"]
PUSHED = ["p1", "p2"]
FILTERS = ("filter_subject", "filter_subjects")


class Consumers:
    def consumer(self):
        return self.one(*CONSUMERS, *CONSUMERS, *PUSHED, "none") if self.chance(0.3) else self.one(*CONSUMERS)

    # ---- making them

    def consumer_config(self, name, stream):
        config = {"durable_name": name, "ack_policy": self.one("explicit", "explicit", "explicit", "all", "none"),
                  "deliver_policy": self.one("all", "all", "all", "last", "new", "last_per_subject"),
                  "replay_policy": "instant"}
        self.pick(config, [
            ("filter_subject", lambda: self.one(*PATTERNS, *SUBJECTS), 0.3), ("max_deliver", lambda: self.one(-1, 1, 2, 3)),
            ("max_ack_pending", lambda: self.one(1, 2, 5, 1000)), ("headers_only", lambda: True),
            ("ack_wait", lambda: HOUR), ("description", lambda: "words"), ("max_waiting", lambda: self.one(1, 10)),
            ("max_batch", lambda: self.one(1, 3)), ("inactive_threshold", lambda: HOUR),
            ("opt_start_seq", lambda: self.dice.randint(1, (self.last.get(stream) or 1) + (3 if self.chance(0.1) else 0))), ("backoff", lambda: [HOUR, 2 * HOUR]),
            ("max_expires", lambda: HOUR), ("max_bytes", lambda: self.one(100, 1000)),
            ("mem_storage", lambda: True, 0.05), ("sample_freq", lambda: self.one("100%", "50"), 0.05),
            ("replay_policy", lambda: "original", 0.03),
        ], 0.1)
        if "opt_start_seq" in config and stream in self.queues | {"M"}:
            # The reference keeps in a stream by interest what is before the start of a consumer; how far M is, is not known.
            config["opt_start_seq"] = min(config["opt_start_seq"], self.last.get(stream, 0) + 1)
        if config.get("opt_start_seq") and self.chance(0.9):
            config["deliver_policy"] = "by_start_sequence"
        if self.chance(0.04):
            config.pop("opt_start_seq", None)
            config |= {"deliver_policy": "by_start_time", "opt_start_time": "2020-01-01T00:00:00Z" if stream == "M" else self.one("2020-01-01T00:00:00Z", "2099-01-01T00:00:00Z")}
        if self.theme in ("short", "ttl"):
            config["replay_policy"] = "instant"  # to wait for a replay would be to come within reach of other times
        if self.short:
            self.shorten(config)
        if self.newer:
            self.add_newer_consumer(config)
        if self.chance(0.06):
            config.update(self.wrong_consumer())
        return config | self.letters()

    def shorten(self, config):
        wait = self.one("ack_wait", "backoff", "inactive_threshold", "nothing")
        if wait == "ack_wait":
            config["ack_wait"] = 800 * MILLISECOND
        elif wait == "backoff":
            config["backoff"] = [800 * MILLISECOND, HOUR]
            config["max_deliver"] = self.one(3, -1)
        elif wait == "inactive_threshold":
            config["inactive_threshold"] = SECOND

    def add_newer_consumer(self, config):
        self.pick(config, [("metadata", lambda: {"who": "me"}), ("pause_until", lambda: self.one("2099-01-01T00:00:00Z", "2020-01-01T00:00:00Z"))], 0.05)
        if self.chance(0.12):
            config.pop("filter_subject", None)
            config["filter_subjects"] = self.one(["a.1", "a.2"], ["a.>", "b.>"], ["a.1", "a.>"], ["a.b.*"], [""], [], ["a.1", "a.1"])
        if self.theme == "groups" and self.chance(0.7):
            config |= {"priority_groups": self.one(["g"], ["g"], ["g"], [], ["g", "h"], ["a b"], [""]),
                       "priority_policy": self.one("overflow", "overflow", "pinned_client", "none", "some")}
            if self.chance(0.3):
                config["priority_timeout"] = HOUR

    def wrong_consumer(self):
        return self.one({"idle_heartbeat": SECOND}, {"flow_control": True}, {"deliver_group": "g"},
                        {"ack_policy": "most"}, {"deliver_policy": "by_start_sequence"}, {"ack_wait": -1},
                        {"opt_start_time": "2020-01-01T00:00:00Z"}, {"durable_name": "a b"}, {"backoff": [-1]},
                        {"durable_name": None}, {"replay_policy": "fast"}, {"num_replicas": 3}, {"num_replicas": -1},
                        {"sample_freq": self.one("50%", "x")}, {"rate_limit_bps": 1000}, {"filter_subject": "a..b"},
                        {"max_deliver": 1, "backoff": [SECOND, SECOND]}, {"max_ack_pending": "x"}, {"max_waiting": -1},
                        {"max_expires": 5}, {"max_batch": -1})

    def body(self, stream, config):
        body = {"stream_name": stream if self.chance(0.97) else "OTHER", "config": config}
        if self.newer and self.chance(0.15):
            body["action"] = self.one("create", "update", "", "make")
        return body

    def consumer_create(self):
        stream, name = self.stream(), self.one(*CONSUMERS)
        config = self.consumer_config(name, stream)
        body = self.body(stream, config)
        filtered = config.get("filter_subject")
        form = self.one("durable", "durable", "named", "filter", "bare")
        if form == "named" and not filtered or form == "bare" and self.chance(0.2):
            return self.ask(f"$JS.API.CONSUMER.CREATE.{stream}.{name}", body)
        if form == "filter" and filtered and ".." not in filtered:
            wrong = self.chance(0.05)
            return self.ask(f"$JS.API.CONSUMER.CREATE.{stream}.{name}.{'x.y' if wrong else filtered}", body)
        return self.ask(f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{name}", body)

    def ephemeral_create(self):
        """One that has a name without being durable."""
        stream = self.stream()
        config = self.consumer_config("c2", stream)
        del config["durable_name"]
        config["inactive_threshold"] = HOUR
        if self.chance(0.5):
            config["name"] = "c2"
        return self.ask(f"$JS.API.CONSUMER.CREATE.{stream}.c2", self.body(stream, config))

    def push_create(self):
        stream, name = self.stream(), self.one(*PUSHED)
        config = self.consumer_config(name, stream)
        for key in ("max_waiting", "max_batch", "max_expires", "max_bytes", "priority_groups", "priority_policy", "priority_timeout"):
            if self.chance(0.9):
                config.pop(key, None)
        kept = self.filters.setdefault((stream, name), {key: config[key] for key in FILTERS if key in config})
        config = {key: value for key, value in config.items() if key not in FILTERS} | kept
        config["deliver_subject"] = self.one(*[f"_DELIVER.{name}"] * 5, f"_NOBODY.{name}", self.one("_DELIVER.*", "a.1", "a..b"))
        if self.chance(0.2):
            config["idle_heartbeat"] = self.one(HOUR, 200 * MILLISECOND if self.short else HOUR, 5)
            config["flow_control"] = self.chance(0.5)
        if self.chance(0.05) and not self.small:  # the reference never delivers what is larger than max_msg_size with its reply
            config["rate_limit_bps"] = 8_000_000
        return self.ask(f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{name}", self.body(stream, config))

    def watch_create(self):
        """As clients watch a bucket: an ordered consumer."""
        name = self.one(*PUSHED)
        config = {"name": name, "deliver_policy": self.one("last_per_subject", "all", "new"), "ack_policy": "none",
                  "max_deliver": 1, "replay_policy": "instant", "mem_storage": True, "num_replicas": 1, "flow_control": True,
                  "idle_heartbeat": HOUR, "inactive_threshold": HOUR, "deliver_subject": f"_DELIVER.{name}"}
        config |= self.filters.setdefault(("A", name), {"filter_subject": self.one("a.>", "a.k1", "a.*")})
        if self.chance(0.3):
            config["headers_only"] = True
        tail = f".{config['filter_subject']}" if ".." not in config.get("filter_subject", "..") else ""
        return self.ask(f"$JS.API.CONSUMER.CREATE.A.{name}{tail}", {"stream_name": "A", "config": config})

    # ---- asking

    def consumer_info(self):
        return self.ask(f"$JS.API.CONSUMER.INFO.{self.stream()}.{self.consumer()}")

    def consumer_delete(self):
        return self.ask(f"$JS.API.CONSUMER.DELETE.{self.stream()}.{self.consumer()}")

    def pause(self):
        body = self.one({"pause_until": "2099-01-01T00:00:00Z"}, {"pause_until": "2020-01-01T00:00:00Z"}, {}, None,
                        {"pause_until": "soon"})
        return self.ask(f"$JS.API.CONSUMER.PAUSE.{self.stream()}.{self.consumer()}", body)

    def unpin(self):
        return self.ask(f"$JS.API.CONSUMER.UNPIN.{self.stream()}.{self.consumer()}", self.one({"group": "g"}, {"group": "x"}, {}, None))

    # ---- pulling

    def asked(self, batch):
        body = {"batch": batch}
        if self.chance(0.1):
            body["max_bytes"] = self.one(50, 200, 1000)
        if self.theme == "origins" or self.republishes:
            body.pop("max_bytes", None)  # the bytes of copies differ
        if self.theme == "groups" and self.chance(0.6):
            body["group"] = self.one("g", "g", "g", "x")
            self.pick(body, [("min_pending", lambda: self.one(0, 1, 3)), ("min_ack_pending", lambda: self.one(0, 1, 2))], 0.3)
        return body

    def pull(self):
        batch = self.one(1, 1, 2, 5)
        payload = json.dumps(self.asked(batch) | {"no_wait": True}).encode()
        if self.chance(0.07):
            payload, batch = self.one((b'{"batch":-1,"no_wait":true}', 1), (b"{", 1), (b'{"no_wait":true,"batch":0}', 1), (b"x", 1),
                                      (b'{"no_wait":true,"batch":"x"}', 1), (b'{"batch":1,"expires":-1,"no_wait":true}', 1),
                                      (b'{"no_wait":true,"expires":1000000000,"idle_heartbeat":900000000}', 1))
        return Step("pull", f"$JS.API.CONSUMER.MSG.NEXT.{self.stream()}.{self.consumer()}", payload, batch=batch)

    def pull_long(self):
        """A request that stays: until messages come, its time is over, or the script ends."""
        batch = self.one(1, 2, 5)
        body = self.asked(batch)
        if self.short:
            body["expires"] = 700 * MILLISECOND
            self.pick(body, [("idle_heartbeat", lambda: 250 * MILLISECOND), ("no_wait", lambda: True)], 0.3)
        elif self.chance(0.7):
            body["expires"] = HOUR
        return Step("pull", f"$JS.API.CONSUMER.MSG.NEXT.{self.stream()}.{self.consumer()}", json.dumps(body).encode(), batch=batch)

    def acknowledge(self):
        ack = self.one(b"+ACK", b"+ACK", b"+ACK", b"", b"-NAK", b"+TERM", b"+WPI", b"+OK", b"what", b"+TERM because",
                       b'-NAK {"delay": 3600000000000}', b"-NAK 1h", b"+NXT", b'+NXT {"batch":2,"no_wait":true}', b"+NXT 1",
                       b'-NAK {"delay": 500000000}' if self.short else b"+ACK")
        return Step("ack", "", ack, place=self.dice.random())
