"""A NATS cluster as the bus of a system: three real servers, of which one is killed, leads no more, or is cut off,
while events are published and taken."""
import base64
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time

import pytest
from dure_system import running, wait_until
from nats_cluster import Cluster, available

pytestmark = pytest.mark.skipif(not available(), reason="there is no nats-server here")

TAKER = """
publishes: [note.taken]
subscribes:
  - {subject: "note.*", path: /events, attempts: 50, timeout: 2s}
  - {subject: doomed, path: /nowhere, attempts: 2}
answers:
  - {subject: taker.ask, path: /answer, timeout: 2s}
"""
SERVICES = {"taker": TAKER, "other": ""}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    cluster = Cluster(tmp_path_factory.mktemp("nats")).start()
    yield cluster
    cluster.stop()


@pytest.fixture
def fresh(tmp_path):
    """Makes clusters that nobody else uses."""
    made = []

    def make(**options):
        made.append(Cluster(tmp_path / f"nats{len(made)}", **options))
        return made[-1]

    yield make
    for cluster in made:
        cluster.stop()


@pytest.fixture(scope="module")
def probe(cluster, tmp_path_factory):
    with running(tmp_path_factory.mktemp("system"), SERVICES, bus=f"'{cluster.url}'") as probe:
        yield probe


def publish(probe, subject, value, **headers):
    return probe.bus("publish", subject, json.dumps(value), {"Content-Type": "application/json", **headers})


def taken(probe):
    """The keys of the events that were answered with 200, in order."""
    return [json.loads(e["body"])["key"] for e in probe.events("taker") if e["answered"] == "200"]


class Publisher(threading.Thread):
    """Publishes numbered events, each until it is acknowledged."""

    def __init__(self, probe, prefix):
        super().__init__(daemon=True)
        self.probe, self.prefix, self.port = probe, prefix, probe.internal_port()
        self.acknowledged, self.failures, self.over = {}, [], False
        self.start()

    def run(self):
        number = 0
        while not self.over:
            key = f"{self.prefix}-{number}"
            try:
                status, _, ack = self.probe.request("POST", "/-/bus/publish/note.taken", json.dumps({"key": key}),
                                                    {"Nats-Msg-Id": key}, self.port)
            except (OSError, http.client.HTTPException) as error:
                status, ack = 0, str(error)
            if status == 200:
                self.acknowledged[key] = json.loads(ack)["seq"]
                number += 1
            else:
                self.failures.append((status, ack))
                time.sleep(0.05)
            time.sleep(0.005)

    def end(self):
        self.over = True
        self.join(30)
        assert not self.is_alive()
        return self


def check_nothing_lost(probe, publisher):
    """Every acknowledged event is stored once, where its publisher was told, and was taken."""
    keys = set(publisher.acknowledged)
    assert len(keys) > 20, publisher.failures[-3:]
    assert len(set(publisher.acknowledged.values())) == len(keys), "two events at one place"
    wait_until(lambda: keys <= set(taken(probe)), "all that was acknowledged is taken", 60)
    print(f"{len(keys)} acknowledged, {len(publisher.failures)} attempts failed,"
          f" {len(taken(probe)) - len(set(taken(probe)))} came again")


def check_settled_stays_settled(cluster, probe, seconds=2):
    """What has been taken does not come again later; what a leader had confirmed and lost with itself has come again,
    within its time, when nothing is pending any more."""
    wait_until(lambda: all(c["num_ack_pending"] == 0 for c in cluster.streams().get("EVENTS", {}).get("consumer_detail", [{}])
                           if "num_ack_pending" in c) and "EVENTS" in cluster.streams(), "nothing is pending", 60)
    time.sleep(seconds)
    before = len(probe.events("taker"))
    time.sleep(seconds)
    assert len(probe.events("taker")) == before


def registry(cluster):
    """How many instances the cluster's bucket has; one key says whose it is."""
    return cluster.streams().get("KV_dure_registry", {}).get("state", {}).get("messages", 0) - 1


def connected_to(cluster, probe):
    server = probe.status()["cluster"]["server"]
    return next(s for s in cluster.servers if f"{s.host}:{s.port}" == server)


# ---- what works on any day ----


def test_a_system_runs_on_a_cluster(cluster, probe):
    status = probe.status()
    assert status["cluster"]["state"] == "connected" and status["cluster"]["servers"] == 3
    assert status["cluster"]["replicas"] == 3
    assert "connected to" in probe.dure("status").stdout
    streams = cluster.streams()
    assert streams["EVENTS"]["config"]["num_replicas"] == 3
    assert streams["KV_dure_registry"]["config"]["num_replicas"] == 3
    assert registry(cluster) == 2
    assert probe.get("/taker/env")[1]["NATS_URL"] == cluster.url.replace(",", ",nats://")
    metrics = probe.request("GET", "/-/metrics", port=probe.internal_port())[2].decode()
    assert "dure_client_up 1" in metrics and "dure_bus_connections" not in metrics


def test_events_are_stored_and_taken(probe):
    status, ack = publish(probe, "note.taken", {"key": "first"}, **{"Nats-Msg-Id": "first"})
    assert status == 200 and ack["stream"] == "EVENTS"
    again, second = publish(probe, "note.taken", {"key": "first"}, **{"Nats-Msg-Id": "first"})
    assert again == 200 and second == {**ack, "duplicate": True}
    wait_until(lambda: "first" in taken(probe), "it is taken")


def test_a_request_is_answered(probe):
    status, answer = probe.bus("request", "taker.ask", b"{}")
    assert status == 200 and answer["answered"] == {}
    assert probe.bus("request", "nobody.there", b"{}")[0] == 503


def test_what_no_stream_takes_is_told_to_who_listens(probe):
    assert probe.bus("publish", "just.said", b"hello") == (202, {})


def test_a_refused_event_comes_again_and_then_is_dead(cluster, probe):
    probe.tell("taker", "events", 500)
    assert publish(probe, "note.later", {"key": "later"})[0] == 200
    wait_until(lambda: len(probe.events("taker")) > 0 and
               any(json.loads(e["body"])["key"] == "later" for e in probe.events("taker")), "it was tried")
    probe.tell("taker", "events", 200)
    wait_until(lambda: "later" in taken(probe), "it comes again")
    attempts = [int(e["ce-dureattempt"]) for e in probe.events("taker") if json.loads(e["body"])["key"] == "later"]
    assert attempts == list(range(1, len(attempts) + 1)) and len(attempts) > 1


def test_a_message_that_fails_for_good_is_in_the_dead_letter_stream(cluster, probe):
    assert publish(probe, "doomed", {"key": "dead"}, **{"Nats-Msg-Id": "dead"})[0] == 200
    wait_until(lambda: cluster.streams().get("DEAD", {}).get("state", {}).get("messages") == 1, "it is buried")
    wait_until(lambda: all(c["num_ack_pending"] == 0 for c in cluster.streams()["EVENTS"]["consumer_detail"]),
               "its original is settled")
    time.sleep(1)
    assert cluster.streams()["DEAD"]["state"]["messages"] == 1
    assert cluster.streams()["DEAD"]["config"]["num_replicas"] == 3


# ---- bad days ----


def test_a_server_that_is_killed_takes_nothing_with_it(cluster, probe):
    publisher = Publisher(probe, "killed")
    time.sleep(1)
    server = connected_to(cluster, probe)
    server.kill()
    time.sleep(4)
    server.start()
    cluster.wait()
    wait_until(lambda: probe.status()["cluster"]["state"] == "connected", "it is connected again")
    time.sleep(1)
    check_nothing_lost(probe, publisher.end())
    check_settled_stays_settled(cluster, probe)
    assert probe.status()["cluster"]["connects"] >= 2
    assert probe.healthy() and registry(cluster) == 2


def test_a_leader_that_is_killed_takes_nothing_with_it(cluster, probe):
    publisher = Publisher(probe, "leader")
    time.sleep(1)
    server = cluster.leader_of("EVENTS")
    server.kill()
    time.sleep(4)
    server.start()
    cluster.wait()
    time.sleep(1)
    check_nothing_lost(probe, publisher.end())
    check_settled_stays_settled(cluster, probe)


def test_the_worker_dies_in_the_midst_of_it(cluster, probe):
    publisher = Publisher(probe, "worker")
    time.sleep(1)
    os.kill(probe.worker(), 9)
    wait_until(probe.healthy, "a new worker is there")
    time.sleep(2)
    check_nothing_lost(probe, publisher.end())
    assert registry(cluster) == 2


def test_without_a_cluster_calls_fail_at_once_and_the_rest_goes_on(fresh, tmp_path):
    cluster = fresh(size=1).start()
    with running(tmp_path / "sys", SERVICES, bus=f"'{cluster.url}'") as probe:
        assert probe.status()["cluster"]["replicas"] == 1
        assert publish(probe, "note.taken", {"key": "before"})[0] == 200
        cluster.servers[0].kill()
        wait_until(lambda: probe.status()["cluster"]["state"] != "connected", "it is seen")
        start = time.monotonic()
        status, _, body = probe.request("POST", "/-/bus/publish/note.taken", b"{}", port=probe.internal_port())
        assert status == 503 and b"cannot be reached" in body and time.monotonic() - start < 1
        assert probe.get("/taker/")[0] == 200, "the registry's snapshot stays"
        wait_until(lambda: "refused" in probe.dure("status").stdout, "the status says why")
        cluster.servers[0].start()
        wait_until(lambda: publish(probe, "note.taken", {"key": "after"})[0] == 200, "it is back")
        wait_until(lambda: {"before", "after"} <= set(taken(probe)), "both are taken")


def test_it_waits_for_a_cluster_that_is_not_there_yet(fresh, tmp_path):
    cluster = fresh(size=1)
    with running(tmp_path / "sys", SERVICES, bus=f"'{cluster.url}'", up=False) as probe:
        thread = threading.Thread(target=probe.up)
        thread.start()
        wait_until(lambda: probe.log.exists() and "waiting for the bus" in probe.log.read_text(), "it says so", 15)
        status = probe.status()
        assert status["starting"] and status["cluster"]["state"] != "connected"
        assert "starting" in probe.dure("status").stdout
        cluster.start()
        thread.join(20)
        assert not thread.is_alive() and probe.healthy()


def test_it_can_be_ended_while_it_waits(fresh, tmp_path):
    cluster = fresh(size=1)
    with running(tmp_path / "sys", SERVICES, bus=f"'{cluster.url}'", up=False) as probe:
        thread = threading.Thread(target=lambda: pytest.raises(AssertionError, probe.up))
        thread.start()
        wait_until(lambda: probe.log.exists() and "waiting for the bus" in probe.log.read_text(), "it waits", 15)
        assert probe.down() == 0
        thread.join(5)


# ---- coming in ----


def test_user_and_password(fresh, tmp_path):
    cluster = fresh(size=1, more='authorization { user: shop, password: "s3:cret@" }').start()
    bus = f"{{url: '{cluster.url}', user: shop, password: 's3:cret@'}}"
    with running(tmp_path / "sys", SERVICES, bus=bus) as probe:
        assert publish(probe, "note.taken", {"key": "in"})[0] == 200
        assert "s3:cret" not in probe.dure("status").stdout
        assert "shop:s3%3Acret%40@" in probe.get("/taker/env")[1]["NATS_URL"]


def test_a_wrong_token_is_told(fresh, tmp_path):
    cluster = fresh(size=1, more="authorization { token: right }").start()
    with running(tmp_path / "sys", SERVICES, bus=f"{{url: '{cluster.url}', token: wrong}}", up=False) as probe:
        thread = threading.Thread(target=lambda: pytest.raises(AssertionError, probe.up))
        thread.start()
        wait_until(lambda: probe.log.exists() and "Authorization Violation" in probe.log.read_text(), "it is told", 15)
        probe.down()
        thread.join(5)


def test_another_system_is_not_let_into_the_same_account(cluster, probe, tmp_path):
    with running(tmp_path / "sys", {"thief": TAKER}, bus=f"'{cluster.url}'", up=False) as other:
        manifest = other.folder / "dure.yaml"
        manifest.write_text(manifest.read_text().replace("system: probe", "system: other"))
        thread = threading.Thread(target=lambda: pytest.raises(AssertionError, other.up))
        thread.start()
        wait_until(lambda: other.log.exists() and "belongs to the system probe" in other.log.read_text(), "it is told")
        other.down()
        thread.join(5)
    assert registry(cluster) == 2


def openssl(*arguments, data=None):
    return subprocess.run(["openssl", *map(str, arguments)], input=data, check=True, capture_output=True).stdout


class Key:
    """An nkey: kind is its first letter (github.com/nats-io/nkeys)."""

    PREFIX = {"A": 0, "O": 14 << 3, "U": 20 << 3}

    def __init__(self, folder, kind):
        self.file = folder / f"{kind}{len(list(folder.iterdir()))}.pem"
        openssl("genpkey", "-algorithm", "ed25519", "-out", self.file)
        seed = openssl("pkey", "-in", self.file, "-outform", "DER")[-32:]
        public = openssl("pkey", "-in", self.file, "-pubout", "-outform", "DER")[-32:]
        prefix = self.PREFIX[kind]
        self.public = self.text(bytes([prefix]) + public)
        self.seed = self.text(bytes([18 << 3 | prefix >> 5, (prefix & 31) << 3]) + seed)

    @staticmethod
    def text(raw):
        crc = 0
        for byte in raw:
            crc ^= byte << 8
            for _ in range(8):
                crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
        return base64.b32encode(raw + crc.to_bytes(2, "little")).decode().rstrip("=")

    def token(self, folder, subject, name, claims):
        """A JWT of `subject`, signed by this key."""
        def part(value):
            return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")
        text = part({"typ": "JWT", "alg": "ed25519-nkey"}) + "." + part(
            {"iss": self.public, "sub": subject.public, "name": name, "iat": int(time.time()), "jti": name,
             "nats": {"version": 2, **claims}})
        (folder / "text").write_text(text)
        signature = openssl("pkeyutl", "-sign", "-inkey", self.file, "-rawin", "-in", folder / "text")
        return text + "." + base64.urlsafe_b64encode(signature).decode().rstrip("=")


def test_an_nkey(fresh, tmp_path):
    keys = tmp_path / "keys"
    keys.mkdir()
    user = Key(keys, "U")
    (keys / "user.nk").write_text(user.seed + "\n")
    cluster = fresh(size=1, more=f"authorization {{ users: [{{nkey: {user.public}}}] }}").start()
    with running(tmp_path / "sys", SERVICES, bus=f"{{url: '{cluster.url}', creds: '{keys / 'user.nk'}'}}") as probe:
        assert publish(probe, "note.taken", {"key": "in"})[0] == 200


def test_a_credentials_file(fresh, tmp_path):
    keys = tmp_path / "keys"
    keys.mkdir()
    operator, account, system, user = (Key(keys, kind) for kind in "OAAU")
    limits = {"subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": True, "conn": -1,
              "leaf": -1}
    jetstream = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
    trusted = operator.token(keys, operator, "operator", {"type": "operator"})
    its = operator.token(keys, account, "account", {"type": "account", "limits": {**limits, **jetstream}})
    theirs = operator.token(keys, system, "system", {"type": "account", "limits": limits})
    ours = account.token(keys, user, "user", {"type": "user", "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1})
    (keys / "shop.creds").write_text(f"-----BEGIN NATS USER JWT-----\n{ours}\n------END NATS USER JWT------\n\n"
                                     f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n")
    more = (f"operator: {trusted}\nsystem_account: {system.public}\nresolver: MEMORY\n"
            f"resolver_preload: {{ {account.public}: {its}, {system.public}: {theirs} }}")
    cluster = fresh(size=1, more=more)
    cluster.servers[0].start()
    with running(tmp_path / "sys", SERVICES, bus=f"{{url: '{cluster.url}', creds: '{keys / 'shop.creds'}'}}") as probe:
        assert publish(probe, "note.taken", {"key": "in"})[0] == 200
        assert probe.get("/taker/env")[1]["NATS_CREDS"] == str(keys / "shop.creds")


def certificates(folder):
    """A certificate for 127.0.0.1 that is its own authority."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                    "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out",
                    "cert.pem"], cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def test_encrypted(fresh, tmp_path):
    cert, key = certificates(tmp_path / "tls")
    cluster = fresh(size=1, more=f'tls {{ cert_file: "{cert}", key_file: "{key}" }}').start()
    with running(tmp_path / "sys", SERVICES, bus=f"{{url: '{cluster.url}', ca: '{cert}'}}") as probe:
        assert publish(probe, "note.taken", {"key": "secret"})[0] == 200
        wait_until(lambda: "secret" in taken(probe), "it is taken")
        assert cluster.servers[0].ask("connz")["connections"][0].get("tls_version")


# ---- the network is cut ----


def may_cut():
    if os.geteuid() != 0 or not shutil.which("ip"):
        return False
    name = f"dure{os.getpid()}x"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True).returncode == 0
    if made:
        subprocess.run(["ip", "netns", "del", name])
    return made


class Network:
    """Three network namespaces, each with its server's address, joined with this one by a bridge here."""

    def __init__(self):
        self.tag, self.net = f"du{os.getpid() % 10000}", f"10.{200 + os.getpid() % 50}.{os.getpid() // 50 % 250}"
        self.run("ip", "link", "add", f"{self.tag}b", "type", "bridge")
        self.run("ip", "addr", "add", f"{self.net}.1/24", "dev", f"{self.tag}b")
        self.run("ip", "link", "set", f"{self.tag}b", "up")
        for i in range(3):
            space, here, there = f"{self.tag}n{i}", f"{self.tag}h{i}", f"{self.tag}t{i}"
            self.run("ip", "netns", "add", space)
            self.run("ip", "link", "add", here, "type", "veth", "peer", "name", there, "netns", space)
            self.run("ip", "link", "set", here, "master", f"{self.tag}b", "up")
            self.run("ip", "-n", space, "addr", "add", f"{self.net}.{10 + i}/24", "dev", there)
            self.run("ip", "-n", space, "link", "set", there, "up")
            self.run("ip", "-n", space, "link", "set", "lo", "up")

    @staticmethod
    def run(*words):
        subprocess.run(words, check=True, capture_output=True, timeout=20)

    def hosts(self):
        return [(f"{self.net}.{10 + i}", ("ip", "netns", "exec", f"{self.tag}n{i}")) for i in range(3)]

    def cut(self, index, cut=True):
        self.run("ip", "link", "set", f"{self.tag}h{index}", "down" if cut else "up")

    def close(self):
        for i in range(3):
            subprocess.run(["ip", "netns", "del", f"{self.tag}n{i}"], capture_output=True)
        subprocess.run(["ip", "link", "del", f"{self.tag}b"], capture_output=True)


@pytest.fixture
def network():
    if not may_cut():
        pytest.skip("network namespaces need root")
    network = Network()
    yield network
    network.close()


def test_a_server_that_is_cut_off(network, fresh, tmp_path):
    cluster = fresh(hosts=network.hosts()).start()
    with running(tmp_path / "sys", SERVICES, bus=f"'{cluster.url}'") as probe:
        publisher = Publisher(probe, "cut")
        time.sleep(1)
        for _ in range(2):
            index = cluster.servers.index(connected_to(cluster, probe))
            network.cut(index)
            wait_until(lambda: probe.status()["cluster"]["state"] != "connected"
                       or connected_to(cluster, probe) is not cluster.servers[index], "the cut is seen", 30)
            wait_until(lambda: probe.status()["cluster"]["state"] == "connected", "another server takes over", 30)
            time.sleep(3)
            network.cut(index, False)
            time.sleep(4)
        wait_until(lambda: cluster.leader_of("EVENTS"), "the stream has a leader")
        leader = cluster.servers.index(cluster.leader_of("EVENTS"))
        network.cut(leader)
        time.sleep(8)
        network.cut(leader, False)
        time.sleep(5)
        check_nothing_lost(probe, publisher.end())
        check_settled_stays_settled(cluster, probe)
        assert probe.healthy() and registry(cluster) == 2


# ---- a whole system: services in three languages, some with a bus client of their own ----


def test_the_shop_on_a_cluster_whose_servers_die(fresh, shop):
    cluster = fresh().start()
    manifest = shop.folder / "dure.yaml"
    manifest.write_text(re.sub(r"bus:\n  listen: .*", f"bus: '{cluster.url}'", manifest.read_text()))
    shop.up()
    load = subprocess.Popen([sys.executable, str(shop.folder / "load"), "--json", "--orders", "600", "--seed", "1",
                             "--gateway", shop.gateway, "--state", str(shop.state)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        for server in cluster.servers:
            time.sleep(2)
            server.kill()
            time.sleep(3)
            server.start()
            cluster.wait()
        out, said = load.communicate(timeout=200)
    finally:
        load.kill()
    assert load.returncode == 0, f"the books do not agree:\n{said[-4000:]}"
    print(out[-300:])
