"""The same random bytes to Debian's nats-server and to the bus, over several connections at once: what
comes back must be the same, apart from what README.md lists. First with nobody asked who they are,
then with users, permissions and two accounts."""

import json
import os
import random
import shutil
import socket

import pytest

import conftest

SCRIPTS = int(os.environ.get("DURE_SCRIPTS", "300"))
SEED = int(os.environ.get("DURE_SEED", "1"))
CONNECTIONS = 3
DENIED_503 = [b"503 to a.b", b"503 to a.a", b"503 to b"]
INFO_KEYS = ["proto", "headers", "max_payload", "host", "client_ip", "auth_required", "tls_required"]


class Gone(Exception):
    pass


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(5)
        self.pending = b""
        self.alive = True
        line = self.line()
        assert line.startswith(b"INFO ")
        info = json.loads(line[5:])
        self.info = {key: info.get(key) for key in INFO_KEYS} | {"nonce": "nonce" in info}

    def fill(self):
        data = self.socket.recv(65536)
        if not data:
            raise Gone
        self.pending += data

    def line(self):
        while b"\r\n" not in self.pending:
            self.fill()
        line, self.pending = self.pending.split(b"\r\n", 1)
        return line

    def take(self, size):
        while len(self.pending) < size:
            self.fill()
        data, self.pending = self.pending[:size], self.pending[size:]
        return data

    def send(self, pieces):
        try:
            for piece in pieces:
                self.socket.sendall(piece)
        except OSError:
            pass  # what it said before it closed is still to be read

    def collect(self):
        """Everything up to the answer of our PING, or the end."""
        found = []
        try:
            while True:
                line = self.line()
                if line == b"PONG":
                    return found
                if line == b"PING" or line.startswith(b"INFO "):
                    continue
                words = line.split()
                body = b""
                if words[0] in (b"MSG", b"HMSG"):
                    words[-1] = b"%d" % int(words[-1])  # the reference repeats "00"
                    body = self.take(int(words[-1]) + 2)
                found.append((words, body))
        except (Gone, ConnectionError):
            self.alive = False
            found.append(([b"<closed>"], b""))
            return found


class Script:
    """Random operations, and what must be known of them to compare the answers."""

    def __init__(self, seed, users=None):
        self.random = random.Random(seed)
        self.users = users
        self.queues = [{} for _ in range(CONNECTIONS)]  # sid -> queue
        self.payloads = 0

    def token(self, wild):
        r = self.random
        if wild and r.random() < 0.3:
            return "*"
        if r.random() < 0.02:
            return r.choice(["", "a*", ">b", "*", ">"])
        return r.choice("ab") if r.random() < 0.9 else "a-longer-token-than-the-others"

    def subject(self, wild=False):
        tokens = [self.token(wild) for _ in range(self.random.choice([1, 1, 2, 2, 3]))]
        if wild and self.random.random() < 0.15:
            tokens[-1] = ">"
        # An empty argument would be no argument at all.
        return ".".join(tokens) or "a"

    def blank(self):
        return self.random.choice([" "] * 12 + ["  ", "\t", " \t "])

    def verb(self, name):
        return name if self.random.random() < 0.9 else name.lower()

    def line(self, verb, *arguments):
        text = self.verb(verb)
        for argument in arguments:
            text += self.blank() + str(argument)
        end = "\r\n" if self.random.random() < 0.97 else "\n"
        return (text + end).encode()

    def connect(self):
        r = self.random
        flags = {
            name: r.random() < chance
            for name, chance in [
                ("verbose", 0.2),
                ("pedantic", 0.3),
                ("echo", 0.8),
                ("headers", 0.9),
                ("no_responders", 0.8),
            ]
            if r.random() < 0.9
        }
        text = ",".join(f'"{k}":{str(v).lower()}' for k, v in flags.items())
        if r.random() < 0.1:
            text += ("," if text else "") + '"protocol":1'
        if self.users and r.random() < 0.98:
            user = r.choice(self.users)
            secret = "pw" if r.random() < 0.97 else "wrong"
            text += ("," if text else "") + f'"user":"{user}","pass":"{secret}"'
        return f"CONNECT {{{text}}}\r\n".encode()

    def pub(self):
        r = self.random
        self.payloads += 1
        body = b"%d:" % self.payloads
        size = r.choice([0, 0, 3, 16, 100, 900, 1200, 5000])
        body += b"x" * size
        reply = [self.subject(r.random() < 0.1)] if r.random() < 0.4 else []
        if r.random() < 0.3:
            header = b"NATS/1.0\r\nKey: value\r\n\r\n"
            line = self.line("HPUB", self.subject(), *reply, len(header), len(header + body))
            return line + header + body + b"\r\n"
        return self.line("PUB", self.subject(), *reply, len(body)) + body + b"\r\n"

    def sub(self, connection):
        sid = str(self.random.randint(1, 6))
        queue = [self.random.choice(["q", "p"])] if self.random.random() < 0.3 else []
        known = self.queues[connection]
        # A sid must be of a group or of none for the whole script, for messages to be told apart.
        if sid in known and known[sid] != (queue[0] if queue else None):
            return b""
        known[sid] = queue[0] if queue else None
        return self.line("SUB", self.subject(True), *queue, sid)

    def again(self):
        """CONNECT once more, which changes options; as somebody it would be somebody else."""
        return b"" if self.users else self.connect()

    def unsub(self, connection):
        sid = str(self.random.randint(1, 7))
        # Which member of a group counts up to its maximum is not the same on both sides.
        if self.random.random() < 0.5 and not self.queues[connection].get(sid):
            return self.line("UNSUB", sid, self.random.choice([0, 1, 2, 3, 5, "x"]))
        return self.line("UNSUB", sid)

    def junk(self):
        return self.random.choice(
            [
                b"PUB a 5\r\nhellox\r\n",
                b"PUB a\r\n",
                b"SUB a\r\n",
                b"XYZ\r\n",
                b"UNSUB 1 2 3\r\n",
                b"PUB a -1\r\n\r\n",
                b"HPUB a 30 12\r\nNATS/1.0\r\n\r\n\r\n",
                b"PUB a 1048577\r\n",
                b"SUB " + b"a" * 5000 + b" 1\r\n",
                b"CONNECT {\"verbose\":3}\r\n",
                b"CONNECT {\"no_responders\":true,\"headers\":false}\r\n",
                b"CONNECT {\"protocol\":7}\r\n",
                b"CONNECT\r\n",
                b"CONNECT []\r\n",
                b"PUB a 1 2 3 4\r\n",
                b"PUB a 00\r\n\r\n",
                b"PUB a 01\r\nx\r\n",
                b"PUB  0\r\n\r\n",
                b"HPUB a 0 0\r\n\r\n",
                b"HPUB a 12 12\r\nNATS/1.0\r\n\r\n\r\n",
                b"HPUB a r 12 13\r\nNATS/1.0\r\n\r\nx\r\n",
                b"HPUB a 5 5\r\nhello\r\n",
                b"SUB a b c d\r\n",
                b"SUB  a  1 \r\n",
                b"UNSUB\r\n",
                b"UNSUB 1 -1\r\n",
                b"UNSUB 1 99999999999999999999\r\n",
                b"PUBx a 0\r\n\r\n",
                b"MSG a 1 1\r\nx\r\n",
                b"\r\n",
                b"+OK\r\n",
                b"PONG\r\n",
            ]
        )

    def operation(self, connection):
        choice = self.random.random()
        if choice < 0.45:
            return self.pub()
        if choice < 0.78:
            return self.sub(connection)
        if choice < 0.95:
            return self.unsub(connection)
        if choice < 0.97:
            return b"PONG\r\n"
        if choice < 0.985:
            return self.again()
        return self.junk()

    def step(self, connection, first):
        data = self.connect() if first and self.random.random() < 0.9 else b""
        for _ in range(self.random.randint(1, 4)):
            data += self.operation(connection)
        data += b"PING\r\n"
        pieces = []
        while data:
            size = len(data) if self.random.random() < 0.6 else self.random.randint(1, len(data))
            pieces.append(data[:size])
            data = data[size:]
        return pieces


def normal(found, queues):
    """What one connection got: its own part in order, and what came through queue groups."""
    own, shared, run = [], [], []

    def end_run():
        own.extend(sorted(run))
        run.clear()

    for words, body in found:
        if words[0] not in (b"MSG", b"HMSG"):
            end_run()
            line = b" ".join(words)
            # The reference says it again when the payload comes in two parts.
            if own[-1:] != [line] or line != b"-ERR 'Invalid Publish Subject'":
                own.append(line)
            continue
        sid = words[2].decode()
        if body.startswith(b"NATS/1.0 503"):
            end_run()
            own.append(b"503 to " + words[1])
        elif queues.get(sid):
            # Members may differ in whether they take headers, so those do not count here.
            sizes = 2 if words[0] == b"HMSG" else 1
            header = int(words[-2]) if sizes == 2 else 0
            shared.append((queues[sid], words[1], words[3:-sizes], body[header:]))
        else:
            if run and run[-1][1] != body:
                end_run()
            run.append((b" ".join(words), body))
    end_run()
    return own, shared


def without_denied_503(own):
    """The reference tells "no responders" even where deliveries to the reply subject are denied."""
    return [(connection, [item for item in mine if item not in DENIED_503]) for connection, mine in own]


def short(result):
    return str(result).replace("x" * 90, "")


def play(seed, reference, bus, users=None):
    """Runs one script against both; returns the steps taken."""
    script = Script(seed, users)
    sides = [[Connection(port) for _ in range(CONNECTIONS)] for port in (reference, bus)]
    for theirs, ours in zip(*sides):
        assert ours.info == theirs.info
    fresh = [True] * CONNECTIONS
    log = []
    try:
        for _ in range(script.random.randint(4, 14)):
            c = script.random.randrange(CONNECTIONS)
            if not sides[0][c].alive:
                script.queues[c] = {}
                fresh[c] = True
                for side, port in zip(sides, (reference, bus)):
                    side[c].socket.close()
                    side[c] = Connection(port)
            pieces = script.step(c, fresh[c])
            fresh[c] = False
            log.append((c, b"".join(pieces).replace(b"x" * 100, b"")))
            results = []
            for side in sides:
                side[c].send(pieces)
                found = [(c, side[c].collect())]
                for other in range(CONNECTIONS):
                    if other != c and side[other].alive:
                        side[other].send([b"PING\r\n"])
                        found.append((other, side[other].collect()))
                own, shared = [], []
                for connection, items in found:
                    mine, groups = normal(items, script.queues[connection])
                    own.append((connection, mine))
                    shared.extend(groups)
                results.append((without_denied_503(own) if users else own, sorted(shared)))
            if results[1] != results[0]:
                steps = "\n".join(f"  {connection} {data}" for connection, data in log)
                pytest.fail(
                    f"seed {seed}\nsteps:\n{steps}\nfirst {short(results[0])}\nbus   {short(results[1])}",
                    pytrace=False,
                )
    finally:
        for side in sides:
            for connection in side:
                connection.socket.close()
    return len(log)


def start_reference(*options):
    exe = shutil.which("nats-server")
    if not exe:
        pytest.skip("nats-server is not installed")
    port = conftest.free_port()
    return conftest.Server([exe, "-a", "127.0.0.1", "-p", str(port), *options], port)


@pytest.fixture
def reference():
    server = start_reference()
    yield server
    server.process.kill()
    server.process.wait()


def test_same_answers(reference, bus):
    steps = 0
    for i in range(SCRIPTS):
        steps += play(SEED * 1_000_000 + i, reference.port, bus.port)
    print(f"{SCRIPTS} scripts, {steps} steps")


# ---- users, permissions, accounts ----

USERS = ["root", "root", "limited", "reader", "writer", "answerer", "queuer", "other"]

# Allowed patterns have no "*": README.md says why.
REFERENCE_CONFIG = """
accounts {
  one { users: [
    {user: root, password: pw}
    {user: limited, password: pw, permissions: {
      publish: {allow: ["a", "a.>", "b.b"], deny: ["a.b", "a.a.a"]}
      subscribe: {allow: ["a.>", "b"], deny: ["a.b"]}}}
    {user: reader, password: pw, permissions: {publish: {deny: ">"}, subscribe: {deny: ["b", "a.a"]}}}
    {user: writer, password: pw, permissions: {subscribe: {deny: ">"}}}
    {user: answerer, password: pw, permissions: {allow_responses: {max: 2, expires: "1h"}}}
    {user: queuer, password: pw, permissions: {subscribe: {allow: ["a q", "b", "a.> p"]}}}
  ]}
  two { users: [{user: other, password: pw}] }
}
"""

BUS_CONFIG = """
accounts: [{name: two, jetstream: false}]
auth:
  users:
    - {user: root, password: pw}
    - user: limited
      password: pw
      permissions:
        publish: {allow: [a, a.>, b.b], deny: [a.b, a.a.a]}
        subscribe: {allow: [a.>, b], deny: [a.b]}
    - {user: reader, password: pw, permissions: {publish: {deny: [">"]}, subscribe: {deny: [b, a.a]}}}
    - {user: writer, password: pw, permissions: {subscribe: {deny: [">"]}}}
    - {user: answerer, password: pw, permissions: {responses: {max: 2, ttl: 1h}}}
    - {user: queuer, password: pw, permissions: {subscribe: {allow: [a q, b, a.> p]}}}
    - {user: other, password: pw, account: two}
"""


def test_same_answers_to_users(tmp_path):
    (tmp_path / "nats.conf").write_text(REFERENCE_CONFIG)
    (tmp_path / "bus.yaml").write_text(BUS_CONFIG)
    dure = conftest.DURE
    if not dure.exists():
        pytest.skip(f"{dure} is not built")
    port = conftest.free_port()
    servers = [start_reference("-c", str(tmp_path / "nats.conf"))]
    argv = [str(dure), "bus", "--config", str(tmp_path / "bus.yaml"), "--listen", f"127.0.0.1:{port}"]
    servers.append(conftest.Server(argv, port))
    try:
        steps = 0
        for i in range(SCRIPTS):
            steps += play(SEED * 2_000_000 + i, servers[0].port, port, USERS)
        print(f"{SCRIPTS} scripts, {steps} steps")
        assert servers[1].process.poll() is None
    finally:
        for server in servers:
            server.process.kill()
            server.process.wait()
