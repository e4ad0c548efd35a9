"""`dure bus move`: from the bus of this program to a cluster of real servers, while publishers run."""
import base64
import json
import subprocess
import threading
import time

import pytest
from conftest import DURE
from dure_system import dure, free_port, running, wait_until
from nats_cluster import Client, Cluster, available

pytestmark = pytest.mark.skipif(not available(), reason="there is no nats-server here")
KV = {"name": "KV_b", "subjects": ["$KV.b.>"], "storage": "file", "max_msgs_per_subject": 1, "discard": "new",
      "allow_rollup_hdrs": True, "deny_delete": True, "allow_direct": True}


@pytest.fixture
def cluster(tmp_path):
    cluster = Cluster(tmp_path / "nats").start()
    yield cluster
    cluster.stop()


class Bus:
    """`dure bus` with a few streams in it."""

    def __init__(self, folder):
        self.folder, self.port, self.process = folder, free_port(), None
        self.url = f"nats://127.0.0.1:{self.port}"

    def start(self):
        self.process = subprocess.Popen([DURE, "bus", "--listen", f"127.0.0.1:{self.port}", "--data", str(self.folder)],
                                        stdout=subprocess.PIPE)
        assert b"nats://" in self.process.stdout.readline()
        return self

    def fill(self, messages=400):
        client = Client(self.port)
        assert "error" not in client.api("STREAM.CREATE.S", name="S", subjects=["s.>"], storage="file", max_msgs=100000)
        assert "error" not in client.api("STREAM.CREATE.KV_b", **KV)
        for i in range(messages):
            headers = b"NATS/1.0\r\nNats-Msg-Id: id%d\r\nX-Odd: %d\r\n\r\n" % (i, i) if i % 3 else b""
            client.publish(f"s.{i % 5}", bytes(range(256))[:i % 256], headers)
        for i in range(200):
            client.publish(f"$KV.b.k{i % 7}", b"v%d" % i)
        client.publish("$KV.b.k3", b"", b"NATS/1.0\r\nKV-Operation: PURGE\r\nNats-Rollup: sub\r\n\r\n")
        for seq in (1, 2, 3, 50, 51, 200):
            assert client.api("STREAM.MSG.DELETE.S", seq=seq).get("success")
        client.close()
        return self

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=10)


@pytest.fixture
def bus(tmp_path):
    bus = Bus(tmp_path / "store")
    yield bus
    bus.stop()


def move(source, cluster, *arguments):
    moved = dure("bus", "move", "--from", str(source), "--to", cluster.url, "--json", *arguments)
    print(moved.stdout, moved.stderr)
    return moved.returncode, json.loads(moved.stdout) if moved.stdout else None, moved.stderr


def everything(client, stream):
    """All messages: (seq, subject, headers, data)."""
    state = client.api(f"STREAM.INFO.{stream}")["state"]
    found = []
    for seq in range(max(state["first_seq"], 1), state["last_seq"] + 1):
        message = client.api(f"STREAM.MSG.GET.{stream}", seq=seq).get("message")
        if message:
            found.append((seq, message["subject"], base64.b64decode(message.get("hdrs") or ""),
                          base64.b64decode(message.get("data") or "")))
    return found


def compare(bus, cluster, *streams):
    ours, theirs = Client(bus.port), Client(cluster.servers[0].port)
    for stream in streams:
        mine, other = everything(ours, stream), everything(theirs, stream)
        assert mine == other, f"{stream}: {len(mine)} and {len(other)}"
        config, copied = ours.api(f"STREAM.INFO.{stream}")["config"], theirs.api(f"STREAM.INFO.{stream}")["config"]
        for key in ("subjects", "max_msgs", "max_msgs_per_subject", "discard", "duplicate_window", "retention"):
            assert config[key] == copied[key], key
        assert copied["num_replicas"] == 3
    ours.close()
    theirs.close()


class Publisher(threading.Thread):
    def __init__(self, bus):
        super().__init__(daemon=True)
        self.client, self.acknowledged, self.over = Client(bus.port), [], False
        self.start()

    def run(self):
        while not self.over:
            self.acknowledged.append(self.client.publish("s.live", b"%d" % len(self.acknowledged)))
            time.sleep(0.002)

    def end(self):
        self.over = True
        self.join(10)
        return len(self.acknowledged)


def test_everything_is_copied_while_publishers_run(bus, cluster):
    bus.start().fill()
    publisher = Publisher(bus)
    mover = threading.Thread(target=lambda: setattr(bus, "result", move(bus.url, cluster, "--quiet", "1s")))
    mover.start()
    time.sleep(4)
    assert publisher.end() > 100
    mover.join(60)
    code, result, said = bus.result
    assert code == 0 and result["same"] and "caught up" in said
    compare(bus, cluster, "S", "KV_b")
    copied = {s["name"]: s for s in result["streams"]}
    assert copied["S"]["first_seq"] == 4 and copied["S"]["messages"] > 400


def test_it_goes_on_where_it_was_killed(bus, cluster):
    bus.start().fill(6000)
    mover = subprocess.Popen([DURE, "bus", "move", "--from", bus.url, "--to", cluster.url], stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL)
    wait_until(lambda: cluster.streams().get("S", {}).get("state", {}).get("last_seq", 0) > 500, "it is under way")
    mover.kill()
    mover.wait()
    before = cluster.streams()["S"]["state"]["last_seq"]
    assert before < 6000, "too fast for this test"
    code, result, _ = move(bus.url, cluster, "--quiet", "200ms")
    assert code == 0
    copied = {s["name"]: s for s in result["streams"]}["S"]["copied"]
    assert copied <= 6000 - before + 300, "it began anew"
    compare(bus, cluster, "S", "KV_b")


def test_a_server_is_killed_meanwhile(bus, cluster):
    bus.start().fill(6000)
    mover = threading.Thread(target=lambda: setattr(bus, "result", move(bus.url, cluster, "--quiet", "200ms")))
    mover.start()
    wait_until(lambda: cluster.streams().get("S", {}).get("state", {}).get("last_seq", 0) > 500, "it is under way")
    leader = cluster.leader_of("S")
    leader.kill()
    time.sleep(3)
    leader.start()
    cluster.wait()
    mover.join(100)
    assert bus.result[0] == 0 and bus.result[1]["same"]
    compare(bus, cluster, "S", "KV_b")


def test_from_a_folder_in_two_runs(bus, cluster):
    """The bulk while it runs, the rest when it has ended."""
    bus.start().fill()
    code, result, _ = move(bus.url, cluster, "--once")
    assert code == 0 and not any(s["finished"] for s in result["streams"])
    client = Client(bus.port)
    last = [client.publish("s.more", b"%d" % i) for i in range(50)][-1]
    client.close()
    bus.stop()
    code, result, _ = move(bus.folder, cluster, "--quiet", "0ms")
    assert code == 0 and result["same"]
    copied = {s["name"]: s for s in result["streams"]}["S"]
    assert copied["copied"] == 50 and copied["last_seq"] == last
    bus.start()
    compare(bus, cluster, "S", "KV_b")


def test_finished_streams_take_more(bus, cluster):
    bus.start().fill()
    assert move(bus.url, cluster, "--quiet", "100ms")[0] == 0
    client = Client(bus.port)
    seqs = [client.publish("s.more", b"%d" % i) for i in range(20)]
    assert client.api("STREAM.MSG.DELETE.S", seq=seqs[5])["success"]
    client.close()
    code, result, _ = move(bus.url, cluster, "--quiet", "100ms")
    assert code == 0 and result["same"]
    compare(bus, cluster, "S", "KV_b")


def test_consumers_stand_where_they_stood(bus, cluster):
    bus.start().fill(250)
    client = Client(bus.port)
    made = client.api("CONSUMER.DURABLE.CREATE.S.c", stream_name="S",
                      config={"durable_name": "c", "ack_policy": "explicit", "filter_subject": "s.1"})
    assert "error" not in made, made
    code, result, _ = move(bus.url, cluster, "--quiet", "100ms")
    assert code == 0
    (consumer,) = {s["name"]: s for s in result["streams"]}["S"]["consumers"]
    theirs = Client(cluster.servers[0].port)
    there = theirs.api("CONSUMER.INFO.S.c")
    here = client.api("CONSUMER.INFO.S.c")
    assert there["num_pending"] == here["num_pending"] and consumer["ack_floor"] == here["ack_floor"]["stream_seq"]
    assert there["config"]["filter_subject"] == "s.1"
    client.close()
    theirs.close()


def test_what_is_settled_stays_settled(bus, cluster):
    bus.start().fill(600)
    client = Client(bus.port)
    config = {"durable_name": "c", "ack_policy": "explicit", "deliver_policy": "all", "filter_subject": "s.1"}
    made = client.api("CONSUMER.DURABLE.CREATE.S.c", stream_name="S", config=config)
    assert "error" not in made, made
    for _ in range(30):
        client.take("S", "c")
    here = client.api("CONSUMER.INFO.S.c")
    assert here["ack_floor"]["consumer_seq"] == 30
    code, result, _ = move(bus.url, cluster, "--quiet", "100ms")
    assert code == 0
    theirs = Client(cluster.servers[0].port)
    there = theirs.api("CONSUMER.INFO.S.c")
    assert there["config"]["deliver_policy"] == "all"
    assert there["ack_floor"]["stream_seq"] == here["ack_floor"]["stream_seq"]
    assert client.take("S", "c") == theirs.take("S", "c"), "both go on with the same message"
    client.close()
    theirs.close()


def test_interest_comes_before_messages(bus, cluster):
    """Two queues of a stream that keeps what one of them has not settled; one is ahead of the other."""
    bus.start()
    client = Client(bus.port)
    assert "error" not in client.api("STREAM.CREATE.I", name="I", subjects=["i.>"], retention="interest")
    for name in ("ahead", "behind"):
        made = client.api(f"CONSUMER.DURABLE.CREATE.I.{name}", stream_name="I",
                          config={"durable_name": name, "ack_policy": "explicit", "deliver_policy": "all"})
        assert "error" not in made, made
    made = client.api("CONSUMER.CREATE.I", stream_name="I",
                      config={"ack_policy": "explicit", "filter_subject": "i.b", "inactive_threshold": 60 * 10**9})
    assert "error" not in made, made
    for i in range(100):
        client.publish("i.a", b"%d" % i)
    for _ in range(40):
        client.take("I", "ahead")
    for _ in range(10):
        client.take("I", "behind")
    for seq in (15, 60):
        assert client.api("STREAM.MSG.DELETE.I", seq=seq)["success"]
    code, result, said = move(bus.url, cluster, "--quiet", "100ms")
    stream = {s["name"]: s for s in result["streams"]}["I"]
    assert code == 0 and stream["same"], said
    assert stream["ephemerals_left"] == 1 and "1 ephemeral consumer is not moved" in said
    theirs = Client(cluster.servers[0].port)
    assert theirs.api("STREAM.INFO.I")["config"]["retention"] == "interest"
    assert everything(client, "I") == everything(theirs, "I")
    for name in ("ahead", "behind"):
        assert client.take("I", name) == theirs.take("I", name), f"{name} goes on with the same message"
        here, there = client.api(f"CONSUMER.INFO.I.{name}"), theirs.api(f"CONSUMER.INFO.I.{name}")
        assert here["num_pending"] == there["num_pending"] and there["num_redelivered"] == 0
    client.close()
    theirs.close()


@pytest.mark.parametrize("origin, why", [({"mirror": {"name": "S"}}, "become one"),
                                         ({"sources": [{"name": "S"}]}, "subjects of its origins")])
def test_copies_of_streams_are_refused(bus, cluster, origin, why):
    bus.start().fill()
    client = Client(bus.port)
    assert "error" not in client.api("STREAM.CREATE.COPY", name="COPY", **origin)
    client.close()
    code, _, said = move(bus.url, cluster, "--quiet", "100ms")
    assert code == 1 and "COPY" in said and why in said and "make it anew" in said


def test_what_is_in_use_at_the_target_is_left_alone(bus, cluster):
    bus.start().fill(250)
    assert move(bus.url, cluster, "--quiet", "100ms")[0] == 0
    theirs = Client(cluster.servers[0].port)
    theirs.publish("s.new", b"of the cluster")
    code, result, said = move(bus.url, cluster, "--quiet", "100ms")
    assert code == 1 and "in use there" in said
    theirs.close()


def test_a_system_goes_on_where_it_was(cluster, tmp_path):
    """Up on its own bus, moved, up on the cluster: events that were stored are taken once."""
    services = {"taker": "subscribes: [{subject: 'note.*', path: /events}]\npublishes: [note.taken]\n"}
    with running(tmp_path / "sys", services) as probe:
        for i in range(20):
            assert probe.bus("publish", "note.taken", json.dumps({"n": i}))[0] == 200
        wait_until(lambda: len(probe.events("taker")) == 20, "all are taken")
        code, result, _ = move(probe.folder, cluster, "--once")
        assert code == 0
        for i in range(20, 25):
            assert probe.bus("publish", "note.taken", json.dumps({"n": i}))[0] == 200
        wait_until(lambda: len(probe.events("taker")) == 25, "all are taken")
        assert probe.down() == 0
        code, result, _ = move(probe.folder, cluster, "--quiet", "0ms")
        assert code == 0 and result["same"]
        manifest = probe.folder / "dure.yaml"
        lines = [f"bus: '{cluster.url}'" if line.startswith("bus:") else line for line in manifest.read_text().split("\n")]
        manifest.write_text("\n".join(lines))
        probe.up()
        assert probe.bus("publish", "note.taken", json.dumps({"n": 25}))[1]["seq"] == 26
        wait_until(lambda: len(probe.events("taker")) >= 26, "the new one is taken")
        time.sleep(1)
        assert sorted(json.loads(e["body"])["n"] for e in probe.events("taker")) == list(range(26))
