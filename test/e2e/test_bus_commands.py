"""The commands that talk to a bus: the same words, the same ends, on a bus of ours and on nats-server."""
import json
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import subprocess
import time

import pytest
from conftest import DURE
from dure_system import dure, free_port, wait_until

OK, FAILED, USAGE, MANIFEST, NOT_RUNNING, REMOTE = range(6)
NATS_SERVER = shutil.which("nats-server", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/bin")
TIME = re.compile(r"\d{4}-\d\d-\d\dT[\d:]+(\.\d+)?Z?")


class Bus:
    """One engine on a port and in a folder of its own."""

    def __init__(self, engine, folder):
        self.engine, self.folder, self.port, self.process = engine, folder, free_port(), None
        self.url = f"nats://127.0.0.1:{self.port}"

    def start(self):
        words = [DURE, "bus", "--listen", f"127.0.0.1:{self.port}", "--data", str(self.folder)]
        if self.engine == "nats-server":
            words = [NATS_SERVER, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", str(self.folder)]
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.answers, f"{self.engine} answers")

    def answers(self):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self):
        self.process.kill()
        self.process.wait()

    def run(self, *words, data=None):
        return subprocess.run([DURE, *words, "--server", self.url], input=data, capture_output=True, text=True, timeout=60,
                              stdin=None if data is not None else subprocess.DEVNULL)

    def ok(self, *words, data=None):
        run = self.run(*words, data=data)
        assert (run.returncode, run.stderr) == (OK, ""), run
        return run.stdout

    def fails(self, code, *words, data=None):
        run = self.run(*words, data=data)
        assert run.returncode == code, run
        assert run.stderr.startswith("dure"), run
        return run.stderr

    def lines(self, *words, data=None):
        return [json.loads(line) for line in self.ok(*words, "--json", data=data).splitlines()]


@pytest.fixture(scope="module", params=["dure", "nats-server"])
def bus(request, tmp_path_factory):
    if request.param == "nats-server" and not NATS_SERVER:
        pytest.skip("no nats-server on this machine")
    bus = Bus(request.param, tmp_path_factory.mktemp(request.param))
    bus.start()
    yield bus
    bus.stop()


@pytest.fixture
def orders(bus):
    bus.ok("stream", "add", "ORDERS", "--subjects", "orders.>")
    yield bus
    bus.run("stream", "rm", "ORDERS", "--force")


def background(bus, *words):
    return subprocess.Popen([DURE, *words, "--server", bus.url], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)


# ---- messages ----


def test_pub_and_sub(bus):
    sub = background(bus, "sub", "chat.*", "other", "--count", "3")
    assert "listening to chat.* other" in sub.stderr.readline()
    assert bus.ok("pub", "chat.a", "hello", "--header", "Colour: blue", "--reply", "back") == "published 1 message to chat.a\n"
    assert bus.ok("pub", "other", "--count", "2") == "published 2 messages to other\n"
    out, _ = sub.communicate(timeout=20)
    assert sub.returncode == OK
    assert "chat.a  reply to back\nColour: blue\nhello\n" in out and out.count("other\n") == 2


def test_sub_as_json_and_raw(bus):
    raw, as_json = (background(bus, "sub", "x", "--count", "2", word) for word in ("--raw", "--json"))
    time.sleep(0.5)
    bus.ok("pub", "x", "one", "-H", "A:1", "-H", "A:2")
    bus.ok("pub", "x", "-", data="two\nlines")
    assert raw.communicate(timeout=20)[0] == "one\ntwo\nlines\n"
    lines = [json.loads(line) for line in as_json.communicate(timeout=20)[0].splitlines()]
    assert lines == [{"subject": "x", "headers": {"A": ["1", "2"]}, "data": "one"},
                     {"subject": "x", "headers": {}, "data": "two\nlines"}]


def test_sub_ends(bus):
    assert bus.run("sub", "quiet", "--wait", "100ms").returncode == OK
    assert bus.run("sub", "quiet", "--wait", "100ms", "--count", "1").returncode == FAILED
    sub = background(bus, "sub", "quiet")
    sub.stderr.readline()
    sub.send_signal(signal.SIGINT)
    assert sub.wait(timeout=10) == OK


def test_a_queue_group_shares(bus):
    subs = [background(bus, "sub", "shared", "--queue", "g", "--wait", "1s", "--raw") for _ in range(2)]
    time.sleep(0.5)
    bus.ok("pub", "shared", "--lines", data="".join(f"{i}\n" for i in range(20)))
    outs = [sub.communicate(timeout=20)[0].split() for sub in subs]
    assert sorted(map(int, outs[0] + outs[1])) == list(range(20))


def test_req(bus):
    said = bus.fails(REMOTE, "req", "nobody.there", "x")
    assert "nobody answers" in said and "start who answers it" in said
    assert "stand in patterns only" in bus.fails(FAILED, "pub", "a.*", "x")
    sub = background(bus, "sub", "ask", "--count", "1")
    sub.stderr.readline()
    assert "no answer from ask" in bus.fails(REMOTE, "req", "ask", "x", "--timeout", "200ms")
    sub.communicate(timeout=10)
    sub = background(bus, "sub", "ask", "--count", "1", "--json")
    time.sleep(0.5)
    asking = background(bus, "req", "ask", "what?", "--timeout", "10s")
    reply = json.loads(sub.communicate(timeout=20)[0])["reply"]
    bus.ok("pub", reply, "that")
    assert asking.communicate(timeout=20)[0] == "that\n" and asking.returncode == OK


# ---- streams ----


def test_durable_publishing(orders):
    assert orders.ok("pub", "orders.a", "x", "--durable", "--id", "one") == "stored in ORDERS as 1\n"
    assert orders.ok("pub", "orders.a", "x", "--durable", "--id", "one") == "was stored before in ORDERS as 1\n"
    assert orders.ok("pub", "orders.b", "--lines", "--durable", data="a\nb\nlast") == "stored 3 messages to orders.b\n"
    assert orders.lines("pub", "orders.c", "y", "-d") == [{"stream": "ORDERS", "sequence": 5, "duplicate": False}]
    said = orders.fails(FAILED, "pub", "nowhere", "x", "--durable")
    assert "nobody stores this subject" in said and "dure stream ls" in said
    assert orders.ok("stream", "view", "ORDERS", "--raw") == "x\na\nb\nlast\ny\n"
    assert orders.ok("stream", "view", "ORDERS", "--raw", "--subject", "orders.b", "--count", "2") == "a\nb\n"
    assert orders.ok("stream", "view", "ORDERS", "--raw", "--from", "4") == "last\ny\n"
    assert orders.ok("stream", "view", "ORDERS", "--raw", "--from", "last") == "y\n"
    one = orders.lines("stream", "get", "ORDERS", "1")[0]
    assert one["headers"] == {"Nats-Msg-Id": ["one"]} and one["sequence"] == 1 and TIME.fullmatch(one["time"])
    assert orders.lines("stream", "get", "ORDERS", "--last", "orders.b")[0]["data"] == "last"
    assert "no message found" in orders.fails(FAILED, "stream", "get", "ORDERS", "99")
    assert orders.ok("stream", "rm-msg", "ORDERS", "2") == "removed message 2 of stream ORDERS\n"
    assert orders.ok("stream", "purge", "ORDERS", "--keep", "1", "--force") == "took out 3 messages\n"


def test_settings_of_a_stream(bus):
    bus.ok("stream", "add", "S", "--subjects", "s.a,s.b", "--subjects", "s.c", "--retention", "workqueue", "--max-age", "7d",
           "--max-bytes", "1GiB", "--max-msgs", "10", "--discard", "new", "--fsync", "never", "--description", "a b")
    config = bus.lines("stream", "info", "S")[0]["config"]
    assert config["subjects"] == ["s.a", "s.b", "s.c"] and config["retention"] == "workqueue" and config["discard"] == "new"
    assert (config["max_age"], config["max_bytes"], config["max_msgs"]) == (7 * 86400 * 10**9, 2**30, 10)
    assert config["metadata"]["_dure.fsync"] == "never" if bus.engine == "dure" else True
    bus.ok("stream", "edit", "S", "--max-msgs", "unlimited", "--description", "c")
    config = bus.lines("stream", "info", "S")[0]["config"]
    assert config["max_msgs"] == -1 and config["max_bytes"] == 2**30 and config["description"] == "c"
    said = bus.fails(FAILED, "stream", "add", "S", "--subjects", "other")
    assert "already in use" in said and "dure stream edit" in said
    said = bus.fails(FAILED, "stream", "add", "T", "--subjects", "s.a")
    assert "overlap" in said and "dure stream ls" in said
    assert "Nobody is there to ask" in bus.fails(USAGE, "stream", "rm", "S")
    for i in range(3):
        bus.ok("pub", "s.a", str(i), "--durable")
    assert bus.ok("stream", "view", "S", "--raw") == "0\n1\n2\n"  # although a queue's stream wants acknowledgements
    assert bus.ok("stream", "rm", "S", "--force") == "removed stream S\n"
    said = bus.fails(FAILED, "stream", "info", "S")
    assert said == "dure: stream S: stream not found\n  dure stream ls shows the streams\n"


def test_list_of_streams(bus):
    assert bus.ok("stream", "ls").startswith("no streams: dure stream add")
    for name in ("B", "A"):
        bus.ok("stream", "add", name, "--subjects", f"{name}.>")
    bus.ok("pub", "A.x", "hello", "--durable", "--id", "1")
    table = bus.ok("stream", "ls").splitlines()
    assert table[0].split() == ["STREAM", "SUBJECTS", "MESSAGES", "SIZE", "QUEUES", "LAST", "MESSAGE"]
    assert [line.split()[0] for line in table[1:]] == ["A", "B"]
    assert bus.ok("stream", "ls", "--names") == "A\nB\n"
    first, second = bus.lines("stream", "ls")
    assert first["messages"] == 1 and TIME.fullmatch(first["last_time"]) and second["last_time"] is None
    for name in ("A", "B"):
        bus.ok("stream", "rm", name, "--force")


def test_view_follows(orders):
    orders.ok("pub", "orders.a", "before", "--durable")
    view = background(orders, "stream", "view", "ORDERS", "--follow", "--raw", "--count", "2")
    time.sleep(0.5)
    for text in ("one", "two"):
        orders.ok("pub", "orders.a", text, "--durable")
    assert view.communicate(timeout=20)[0] == "one\ntwo\n"


def test_backup_and_restore(orders, tmp_path):
    file = tmp_path / "orders.backup"
    for i in range(5):
        orders.ok("pub", f"orders.{i}", "-", "-H", "A:b", "-H", "A:", "--durable", data=f"{i}\ntext\0\n")
        orders.ok("pub", f"orders.{i}", "--durable", "--id", f"number-{i}")
    before = orders.lines("stream", "view", "ORDERS")
    count = len(before)
    assert orders.ok("stream", "backup", "ORDERS", str(file)) == f"backed up {count} messages of stream ORDERS\n"
    orders.ok("stream", "rm", "ORDERS", "--force")
    assert orders.ok("stream", "restore", str(file)) == f"restored {count} messages to stream ORDERS\n"
    after = orders.lines("stream", "view", "ORDERS")
    for message in before + after:
        del message["time"]
    assert after == before
    whole = file.read_bytes()
    for damaged in (whole[:-30], whole.replace(b"text", b"tixt", 1), whole.replace(b"orders.1", b"orders.7", 1), b"", b"x"):
        file.write_bytes(damaged)
        assert "damaged" in orders.fails(FAILED, "stream", "restore", str(file), "COPY")
    assert "COPY" not in orders.ok("stream", "ls", "--names")


# ---- queues ----


def test_a_queue(orders):
    orders.ok("pub", "orders.a", "--lines", "--durable", data="1\n2\n3\n")
    orders.ok("queue", "add", "ORDERS", "work", "--ack-wait", "1s", "--max-deliver", "3")
    assert orders.lines("queue", "ls") == [{"stream": "ORDERS", "queue": "work", "filter": "", "waiting": 3, "in_work": 0,
                                            "delivered_again": 0}]
    assert orders.ok("queue", "next", "ORDERS", "work", "--raw") == "1\n"
    assert orders.ok("queue", "next", "ORDERS", "work", "--raw", "--settle", "nak") == "2\n"
    rest = orders.ok("queue", "next", "ORDERS", "work", "--raw", "--count", "5", "--wait", "500ms").split()
    assert sorted(rest) == ["2", "3"]
    assert "nothing waits" in orders.fails(FAILED, "queue", "next", "ORDERS", "work", "--wait", "100ms")
    info = orders.lines("queue", "info", "ORDERS", "work")[0]
    assert (info["num_pending"], info["num_ack_pending"], info["ack_floor"]["stream_seq"]) == (0, 0, 3)
    said = orders.fails(FAILED, "queue", "next", "ORDERS", "none")
    assert said == "dure: queue none of stream ORDERS: consumer not found\n  dure queue ls shows the queues\n"
    assert orders.ok("queue", "rm", "ORDERS", "work", "--force") == "removed queue work of stream ORDERS\n"
    assert orders.ok("queue", "ls", "ORDERS").startswith("no queues")


def make_dead(bus, *bodies):
    """Messages that were given up: by our bus itself; on nats-server, as one of ours would have written them."""
    if bus.engine == "nats-server":
        bus.run("stream", "add", "DEAD", "--subjects", "DEAD.>")
        for n, body in enumerate(bodies):
            headers = {"Stream": "ORDERS", "Consumer": "work", "Subject": "orders.a", "Sequence": n + 1, "Attempts": 1,
                       "Reason": "by hand", "Time": "2026-11-21T12:00:00Z"}
            words = [word for key, value in headers.items() for word in ("-H", f"Dure-Dead-{key}:{value}")]
            bus.ok("pub", "DEAD.ORDERS.work", body, "--durable", "-H", "Colour:blue", *words)
        return
    bus.ok("queue", "add", "ORDERS", "work", "--max-deliver", "1", "--ack-wait", "200ms")
    for body in bodies:
        bus.ok("pub", "orders.a", body, "--durable", "-H", "Colour:blue")
    for _ in bodies:
        bus.ok("queue", "next", "ORDERS", "work", "--settle", "term", "--raw")
    wait_until(lambda: len(bus.lines("queue", "dead")) == len(bodies), "letters are written")


def test_dead_letters(orders):
    assert orders.ok("queue", "dead") == "no dead letters\n"
    make_dead(orders, "first", "second", "third")
    letters = orders.lines("queue", "dead")
    assert [letter["data"] for letter in letters] == ["first", "second", "third"]
    for letter in letters:
        assert (letter["stream"], letter["queue"], letter["subject"]) == ("ORDERS", "work", "orders.a")
        assert letter["reason"] and TIME.fullmatch(letter["time"]) and letter["attempts"] == "1"
    table = orders.ok("queue", "dead").splitlines()
    assert table[0].split() == ["LETTER", "TIME", "STREAM", "QUEUE", "SUBJECT", "TRIES", "SIZE", "REASON"] and len(table) == 4
    assert orders.lines("queue", "dead", "--queue", "other") == []
    first = str(letters[0]["letter"])
    assert "because" in orders.ok("queue", "dead", "show", first)
    before = len(orders.lines("stream", "view", "ORDERS", "--from", "1"))
    replayed = orders.lines("queue", "replay", first)[0]
    assert replayed["subject"] == "orders.a" and replayed["stream"] == "ORDERS"
    again = orders.lines("stream", "get", "ORDERS", str(replayed["sequence"]))[0]
    assert again["data"] == "first" and again["headers"]["Colour"] == ["blue"]
    assert not any(name.startswith("Dure-Dead") for name in again["headers"])
    assert "no dead letter" in orders.fails(FAILED, "queue", "replay", first)
    assert orders.ok("queue", "replay", "--all") == "replayed 2 dead letters\n"
    assert orders.ok("queue", "dead") == "no dead letters\n"
    assert len(orders.lines("stream", "view", "ORDERS", "--from", "1")) == before + 3
    orders.run("stream", "rm", "DEAD", "--force")


def test_a_message_that_was_tried_too_often(orders):
    if orders.engine != "dure":
        pytest.skip("dead letters of its own are what our bus adds")
    orders.ok("queue", "add", "ORDERS", "picky", "--max-deliver", "2", "--ack-wait", "300ms")
    orders.ok("pub", "orders.a", "too hard", "--durable", "--id", "hard")
    orders.ok("queue", "next", "ORDERS", "picky", "--settle", "nak")
    orders.ok("queue", "next", "ORDERS", "picky", "--settle", "none")
    wait_until(lambda: orders.lines("queue", "dead"), "it is given up", 10)
    letter = orders.lines("queue", "dead")[0]
    assert (letter["queue"], letter["reason"], letter["attempts"], letter["data"]) == ("picky", "max_deliver", "2", "too hard")
    assert orders.ok("queue", "replay", "--all") == "replayed 1 dead letter\n"
    assert orders.ok("queue", "next", "ORDERS", "picky", "--raw") == "too hard\n"
    orders.run("stream", "rm", "DEAD", "--force")


def test_a_replay_that_was_cut_short_doubles_nothing(orders):
    """The letter is stored again, but was not taken out of DEAD: the next replay finds it there."""
    make_dead(orders, "once")
    first = orders.lines("queue", "replay", "--all")[0]
    held = orders.lines("stream", "get", "ORDERS", str(first["sequence"]))[0]["headers"]["Nats-Msg-Id"][0]
    assert held.startswith("dead-")
    again = orders.lines("pub", "orders.a", "once", "--durable", "--id", held)[0]
    assert again["duplicate"] and again["sequence"] == first["sequence"]
    orders.run("stream", "rm", "DEAD", "--force")


def test_dead_letters_are_forgotten(orders):
    make_dead(orders, "a", "b")
    assert orders.ok("queue", "purge-dead", "--stream", "OTHER", "--force") == "forgot 0 dead letters\n"
    assert orders.ok("queue", "purge-dead", "--stream", "ORDERS", "--force") == "forgot 2 dead letters\n"
    assert orders.ok("queue", "purge-dead", "--all", "--force") == "forgot 0 dead letters\n"
    orders.run("stream", "rm", "DEAD", "--force")


# ---- values and files ----


def test_kv(bus):
    assert bus.ok("kv", "ls").startswith("no buckets")
    bus.ok("kv", "add", "cfg", "--history", "3", "--ttl", "1h")
    assert bus.ok("kv", "put", "cfg", "a.b", "one") == "a.b is revision 1\n"
    assert bus.ok("kv", "put", "cfg", "a.b", "-", data="two\n") == "a.b is revision 2\n"
    assert bus.ok("kv", "get", "cfg", "a.b", "--raw") == "two\n"
    assert bus.ok("kv", "get", "cfg", "a.b", "--revision", "1") == "one\n"
    assert "the key exists" in bus.fails(FAILED, "kv", "create", "cfg", "a.b", "x")
    assert bus.ok("kv", "create", "cfg", "c", "x") == "c is revision 3\n"
    assert bus.ok("kv", "update", "cfg", "a.b", "three", "2") == "a.b is revision 4\n"
    assert "another revision" in bus.fails(FAILED, "kv", "update", "cfg", "a.b", "four", "2")
    assert bus.ok("kv", "keys", "cfg") == "c\na.b\n" and bus.ok("kv", "keys", "cfg", "a.*") == "a.b\n"
    assert bus.ok("kv", "del", "cfg", "a.b") == "deleted a.b\n"
    assert "deleted" in bus.fails(FAILED, "kv", "get", "cfg", "a.b")
    assert "key not found" in bus.fails(FAILED, "kv", "get", "cfg", "none")
    history = bus.lines("kv", "history", "cfg", "a.b")
    assert [(line["revision"], line["operation"]) for line in history] == [(2, "put"), (4, "put"), (5, "delete")]
    watch = background(bus, "kv", "watch", "cfg", "--json")
    time.sleep(0.5)
    bus.ok("kv", "purge", "cfg", "c")
    lines = [json.loads(watch.stdout.readline()) for _ in range(3)]
    assert [(line["key"], line["operation"]) for line in lines] == [("c", "put"), ("a.b", "delete"), ("c", "purge")]
    watch.send_signal(signal.SIGINT)
    assert watch.wait(timeout=10) == OK
    assert bus.lines("kv", "ls")[0]["history"] == 3
    said = bus.fails(FAILED, "kv", "get", "none", "x")
    assert said == "dure: key x of bucket none: bucket not found\n  dure kv ls and dure obj ls show the buckets\n"
    assert bus.ok("kv", "rm", "cfg", "--force") == "removed bucket cfg\n"


def test_obj(bus, tmp_path):
    bus.ok("obj", "add", "files")
    file = tmp_path / "a file.bin"
    file.write_bytes(os.urandom(3_000_000))
    put = bus.lines("obj", "put", "files", str(file), "--description", "noise")[0]
    assert (put["name"], put["size"], put["chunks"]) == ("a file.bin", 3_000_000, 23)
    copy = tmp_path / "copy.bin"
    bus.ok("obj", "get", "files", "a file.bin", "--output", str(copy))
    assert copy.read_bytes() == file.read_bytes()
    assert bus.ok("obj", "put", "files", "-", "--name", "text", "--json", data="hello")
    assert bus.ok("obj", "get", "files", "text", "--output", "-") == "hello"
    assert [line["name"] for line in bus.lines("obj", "ls", "files")] == ["a file.bin", "text"]
    info = bus.lines("obj", "info", "files", "a file.bin")[0]
    assert info["digest"] == put["digest"] and info["description"] == "noise"
    assert bus.ok("obj", "del", "files", "text") == "deleted text\n"
    assert "deleted" in bus.fails(FAILED, "obj", "get", "files", "text")
    assert "object not found" in bus.fails(FAILED, "obj", "info", "files", "none")
    assert bus.ok("obj", "seal", "files", "--force") == "sealed bucket files\n"
    assert bus.run("obj", "put", "files", str(file)).returncode == FAILED
    assert bus.ok("obj", "rm", "files", "--force") == "removed bucket files\n"


def test_bench(bus):
    names = [line["bench"] for line in bus.lines("bench", "--count", "500")]
    assert names == ["pub", "pubsub", "request", "sync", "async", "pull"]
    assert "DURE_BENCH" not in bus.ok("stream", "ls", "--names")


# ---- finding the bus, and mistakes ----


def test_where_the_bus_is(bus, tmp_path):
    environment = {**os.environ, "NATS_URL": bus.url}
    assert dure("pub", "x", env=environment, cwd=tmp_path).returncode == OK
    environment["NATS_URL"] = "nats://127.0.0.1:1"
    run = dure("pub", "x", env=environment, cwd=tmp_path)
    assert run.returncode == NOT_RUNNING and "nats://127.0.0.1:1: cannot connect: connection refused" in run.stderr
    assert "--server" in run.stderr
    assert dure("pub", "x", "--server", f"nats://127.0.0.1:1,{bus.url}", env=environment).returncode == OK
    run = dure("pub", "x", "--dir", str(tmp_path))
    assert run.returncode == NOT_RUNNING and "dure up" in run.stderr
    assert dure("pub", "x", "--server", "http://x").returncode == USAGE


@pytest.mark.parametrize("words, says", [
    (("stream", "lst"), "did you mean `dure stream ls`?"), (("stream",), "dure stream ls"), (("kv", "gett", "a", "b"), "`dure kv get`"),
    (("stream", "add", "X", "--retention", "limit"), "did you mean limits?"), (("stream", "view", "X", "--frm", "1"), "--from?"),
    (("stream", "view", "X", "--from", "soon"), "--from needs"), (("stream", "add"), "Usage: dure stream add STREAM"),
    (("stream", "get", "X"), "Usage: dure stream get"), (("pub",), "Usage: dure pub"), (("pub", "a", "--count", "many"), "a number"),
    (("pub", "a", "-H", "colour"), "Colour:blue"), (("sub",), "Usage: dure sub"), (("req",), "Usage: dure req"),
    (("queue", "replay"), "LETTER, --all or --stream"), (("queue", "dead", "shw"), "list"), (("bench", "fast"), "pub, pubsub"),
    (("queue", "next", "A", "b", "--settle", "x"), "ack, nak, term or none"), (("kv", "add", "a", "--ttl", "long"), "a duration"),
    (("kv", "add", "a", "--max-value", "big"), "a size"), (("kv", "update", "a", "b", "c"), "REVISION"), (("obj", "put", "a"), "FILE"),
    (("kv", "add", "a", "--history", "65"), "at most 64"), (("queue", "purge-dead"), "--all or --stream"),
])
def test_usage(bus, words, says):
    assert says in bus.fails(USAGE, *words)


def test_on_a_terminal(orders):
    """Colours, and nothing from outside steers the terminal."""
    orders.ok("pub", "orders.a", "red \033[31m alarm\a", "--durable")
    master, slave = pty.openpty()
    process = subprocess.Popen([DURE, "stream", "view", "ORDERS", "--server", orders.url], stdout=slave, stderr=slave,
                               stdin=slave)
    os.close(slave)
    seen = b""
    while select.select([master], [], [], 10)[0]:
        try:
            piece = os.read(master, 4096)
        except OSError:
            break
        if not piece:
            break
        seen += piece
    process.wait(timeout=10)
    assert b"\033[1m" in seen and b"red ?[31m alarm?" in seen
