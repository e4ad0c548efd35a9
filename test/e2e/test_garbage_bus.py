"""Garbage, half conversations and crowds at every door of `dure bus`: it stays, and answers all others."""
import base64
import contextlib
import os
import pathlib
import random
import shutil
import socket
import ssl
import subprocess
import time
import urllib.request

import pytest
from conftest import DURE
from dure_system import connect, free_port, wait_until

DOORS = ("tls", "either", "websocket", "secure websocket", "unix", "monitoring")
UPGRADE = (b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
           b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n")


class Bus:
    """One `dure bus`; `first` is of its TLS, None: it has none."""

    def __init__(self, folder, first):
        self.port, self.websocket, self.monitoring = free_port(), free_port(), free_port()
        self.unix, self.first = str(folder / "bus.sock"), first
        tls = f"tls: {{certificate: bus.pem, key: bus.key, first: {first}, first_wait: 1s}}\n" if first else ""
        (folder / "bus.yaml").write_text(f"{tls}unix: {self.unix}\nhttp: 127.0.0.1:{self.monitoring}\n"
                                         f"websocket: {{listen: '127.0.0.1:{self.websocket}'}}\n")
        self.log = folder / "log"
        self.process = subprocess.Popen([DURE, "bus", "--listen", f"127.0.0.1:{self.port}", "--config", folder / "bus.yaml"],
                                        stdout=subprocess.DEVNULL, stderr=self.log.open("w"))
        wait_until(lambda: os.path.exists(self.unix), "the bus listens", 10)

    def secure(self, port=None):
        context = ssl._create_unverified_context()
        plain = connect(port or self.port, 5)
        if self.first == "info" and not port:
            assert plain.recv(4096).startswith(b"INFO ")
        return context.wrap_socket(plain)


@pytest.fixture(scope="module")
def buses(tmp_path_factory):
    if not shutil.which("openssl"):
        pytest.skip("the openssl tool is not installed")
    made = {}
    for first in ("info", "either", None):
        folder = tmp_path_factory.mktemp("garbage")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj",
                        "/CN=bus", "-days", "2", "-keyout", "bus.key", "-out", "bus.pem"], cwd=folder, check=True, capture_output=True)
        made[first] = Bus(folder, first)
    yield made
    for bus in made.values():
        assert bus.process.poll() is None, bus.log.read_text()[-2000:]
        bus.process.terminate()
        assert bus.process.wait(10) == 0
        assert "runtime error" not in bus.log.read_text()


def door_of(buses, door):
    return {"tls": buses["info"].port, "either": buses["either"].port, "websocket": buses[None].websocket,
            "secure websocket": buses["info"].websocket, "unix": buses["info"].unix,
            "monitoring": buses["info"].monitoring}[door]


@pytest.fixture(autouse=True)
def unharmed(buses):
    yield
    for bus in buses.values():
        assert bus.process.poll() is None
        with urllib.request.urlopen(f"http://127.0.0.1:{bus.monitoring}/healthz", timeout=5) as answer:
            assert answer.status == 200
        with contextlib.closing(bus.secure() if bus.first else connect(bus.port)) as client:
            client.sendall(b"CONNECT {\"verbose\":false}\r\nPING\r\n")
            got = b""
            while not got.endswith(b"PONG\r\n"):
                part = client.recv(4096)
                assert part
                got += part


def frame(data, opcode=2):
    """A masked frame of a client."""
    mask = b"\1\2\3\4"
    head = bytes([0x80 | opcode, 0x80 | len(data)]) if len(data) < 126 else bytes([0x80 | opcode, 0xFE]) + len(data).to_bytes(2, "big")
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(data))


def client_hello():
    """What a client says first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = ssl._create_unverified_context().wrap_bio(incoming, outgoing, server_hostname="bus")
    with contextlib.suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    return outgoing.read()


def send(door, data, piece=None):
    """Sends it in pieces and reads what comes, for a moment."""
    with contextlib.closing(connect(door, 0.5)) as connection, contextlib.suppress(OSError):
        for at in range(0, len(data), piece or max(len(data), 1)):
            connection.sendall(data[at:at + (piece or len(data))])
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass


CONVERSATION = b"CONNECT {\"verbose\":false}\r\nSUB > 1\r\nPUB a 2\r\nhi\r\nPING\r\n"
RIGHT = {
    "tls": client_hello() + bytes.fromhex("140303000101") + b"\x17\3\3\0\x40" + bytes(64),
    "either": client_hello(),
    "websocket": UPGRADE + frame(CONVERSATION) + frame(b"ping", 9) + frame(b"\3\xe8", 8),
    "secure websocket": client_hello() + UPGRADE,
    "unix": CONVERSATION,
    "monitoring": b"GET /connz?subs=detail&state=any&sort=idle&acc=%24G HTTP/1.1\r\nHost: x\r\n\r\n",
}


@pytest.mark.parametrize("door", DOORS)
def test_random_bytes(buses, door):
    generator = random.Random(f"garbage {door}")
    for _ in range(40):
        send(door_of(buses, door), generator.randbytes(generator.randrange(1, 4096)))


@pytest.mark.parametrize("door", DOORS)
def test_mutated_conversations(buses, door):
    generator = random.Random(f"mutated {door}")
    for _ in range(60):
        data = bytearray(RIGHT[door])
        for _ in range(generator.randrange(1, 6)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        send(door_of(buses, door), bytes(data[:generator.randrange(1, len(data) + 1)]), piece=generator.choice((None, 7, 64)))


@pytest.mark.parametrize("door", DOORS)
def test_of_another_kind(buses, door):
    """What is right at the other doors."""
    for other in DOORS:
        send(door_of(buses, door), RIGHT[other])


def test_websocket_frames_of_all_kinds(buses):
    """Behind a good request: random frames, also with random heads."""
    generator = random.Random("frames")
    for _ in range(60):
        data = b"".join(frame(generator.randbytes(generator.randrange(300)), generator.randrange(16)) for _ in range(5))
        send(buses[None].websocket, UPGRADE)
        with contextlib.closing(connect(buses[None].websocket, 0.5)) as connection, contextlib.suppress(OSError):
            connection.sendall(UPGRADE)
            assert connection.recv(4096).startswith(b"HTTP/1.1 101 ")
            connection.sendall(generator.choice((data, generator.randbytes(100) + data)))
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass


def test_pings_whose_answers_nobody_reads(buses):
    with contextlib.closing(connect(buses[None].websocket, 1)) as connection, contextlib.suppress(OSError):
        connection.sendall(UPGRADE)
        for _ in range(300):
            connection.sendall(frame(b"x" * 125, 9) * 1000)


@pytest.mark.parametrize("door", DOORS)
def test_crowds(buses, door):
    """Connections that say nothing, or half a word, and go, or are reset."""
    open_now = []
    for number in range(1000):
        try:
            connection = connect(door_of(buses, door), 2)
        except OSError:  # the queue of a Unix socket is full: try on
            time.sleep(0.01)
            continue
        if number % 3 == 0:
            connection.send(RIGHT[door][:1 + number % 40])
        if number % 5 == 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        open_now.append(connection)
        if len(open_now) > 100:
            open_now.pop(0).close()
    for connection in open_now:
        connection.close()


def test_memory_is_given_back(buses):
    """Behind all that: no descriptors of dead connections, and not much memory (a sanitizer keeps what was freed)."""
    most = 60 * 1024 if b"__asan_init" not in pathlib.Path(DURE).read_bytes() else 1 << 20
    for bus in buses.values():
        here = pathlib.Path(f"/proc/{bus.process.pid}")
        wait_until(lambda: len(os.listdir(here / "fd")) < 30, "descriptors are closed", 10)
        resident = next(int(line.split()[1]) for line in (here / "status").read_text().split("\n") if line.startswith("VmRSS:"))
        assert resident < most, resident
