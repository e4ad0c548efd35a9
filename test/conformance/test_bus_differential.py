"""The same random bytes to Debian's nats-server and to the bus, over several connections at once: what
comes back must be the same, apart from INFO, from which member of a queue group got a message, from
the order of one message's copies, and from the header that newer servers add to a 503."""

import os
import random
import shutil
import socket

import pytest

import conftest

SCRIPTS = int(os.environ.get("DURE_SCRIPTS", "300"))
SEED = int(os.environ.get("DURE_SEED", "1"))
CONNECTIONS = 3


class Gone(Exception):
    pass


class Connection:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(5)
        self.pending = b""
        self.alive = True
        assert self.line().startswith(b"INFO ")

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
                    body = self.take(int(words[-1]) + 2)
                found.append((words, body))
        except (Gone, ConnectionError):
            self.alive = False
            found.append(([b"<closed>"], b""))
            return found


class Script:
    """Random operations, and what must be known of them to compare the answers."""

    def __init__(self, seed):
        self.random = random.Random(seed)
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
        if choice < 0.99:
            return b"PONG\r\n"
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


def short(result):
    return str(result).replace("x" * 90, "")


def play(seed, reference, bus):
    """Runs one script against both; returns the steps taken."""
    script = Script(seed)
    sides = [[Connection(port) for _ in range(CONNECTIONS)] for port in (reference, bus)]
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
                results.append((own, sorted(shared)))
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


@pytest.fixture
def reference():
    exe = shutil.which("nats-server")
    if not exe:
        pytest.skip("nats-server is not installed")
    port = conftest.free_port()
    server = conftest.Server([exe, "-a", "127.0.0.1", "-p", str(port)], port)
    yield server
    server.process.kill()
    server.process.wait()


def test_same_answers(reference, bus):
    steps = 0
    for i in range(SCRIPTS):
        steps += play(SEED * 1_000_000 + i, reference.port, bus.port)
    print(f"{SCRIPTS} scripts, {steps} steps")
