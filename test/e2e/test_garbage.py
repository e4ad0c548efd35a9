"""Garbage, half requests, slow clients and crowds at every door: the worker stays, the system answers."""
import contextlib
import random
import resource
import socket
import time

import pytest
from dure_system import connect, running, wait_until

DOORS = ("gateway", "internal", "bus", "admin")


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8192), hard))
    with running(tmp_path_factory.mktemp("garbage"), {"one": "publishes: [thing]"}) as probe:
        probe.doors = {"gateway": probe.gateway_port, "internal": probe.internal_port(), "bus": probe.bus_port,
                       "admin": probe.admin_path()}
        yield probe
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(autouse=True)
def unharmed(probe):
    pids = probe.pids()
    yield
    assert probe.get("/one/x")[0] == 200
    assert probe.request("GET", "/one/x", port=probe.doors["internal"])[0] == 200
    assert probe.bus("publish", "thing", b"{}")[0] == 200
    assert probe.status()["services"][0]["health"] == "up"
    with contextlib.closing(connect(probe.bus_port)) as bus:
        assert bus.recv(4096).startswith(b"INFO ")
        bus.sendall(b"CONNECT {\"verbose\":false}\r\nPING\r\n")
        assert bus.recv(4096).startswith(b"PONG")
    assert probe.pids() == pids


def send(door, data, piece=None, wait=0.0):
    """Sends it, then reads until the other side has had enough or says nothing more; returns what came."""
    got = b""
    with contextlib.closing(connect(door, 5)) as connection:
        try:
            for at in range(0, len(data), piece or max(len(data), 1)):
                connection.sendall(data[at:at + (piece or len(data))])
                time.sleep(wait)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                got += part
                if len(got) > 1 << 20:
                    break
        except OSError:
            pass
    return got


HTTP = {
    "no request": b"hello\r\n\r\n",
    "no version": b"GET /\r\n\r\n",
    "version 9": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "nul bytes": b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n",
    "no host": b"GET /one/x HTTP/1.1\r\n\r\n",
    "two lengths": b"POST /one/x HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "length and chunks": b"POST /one/x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "huge length": b"POST /one/x HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    "minus length": b"POST /one/x HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "bad chunk": b"POST /one/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\nhello\r\n",
    "folded": b"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "spaces in a name": b"GET / HTTP/1.1\r\nHost: x\r\nA b : c\r\n\r\n",
    "tls": bytes.fromhex("16030100c8010000c40303") + bytes(200),
    "http2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(64),
}
BAD = set(HTTP) - {"http2"}


@pytest.mark.parametrize("door", ("gateway", "internal", "admin"))
@pytest.mark.parametrize("what", HTTP)
def test_broken_requests(probe, door, what):
    got = send(probe.doors[door], HTTP[what])
    assert b" 200 " not in got.split(b"\r\n")[0], got[:200]
    if got:
        assert got.split(b" ")[1][:1] in (b"4", b"5"), got[:100]


@pytest.mark.parametrize("door", ("gateway", "internal", "admin"))
def test_half_requests(probe, door):
    whole = b"POST /one/x HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 10\r\n\r\n0123456789"
    for cut in range(0, len(whole), 3):
        with contextlib.closing(connect(probe.doors[door])) as connection:
            connection.sendall(whole[:cut])


BUS = {
    "no command": b"HELLO\r\n",
    "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "negative size": b"PUB a -1\r\n\r\n",
    "huge size": b"PUB a 99999999999999999999\r\n",
    "above the limit": b"PUB a 2000000\r\n",
    "wrong size": b"PUB a 2\r\nhello\r\n",
    "bad json": b"CONNECT {\"a\":\r\n",
    "no json": b"CONNECT \r\n",
    "header sizes": b"HPUB a 100 10\r\n0123456789\r\n",
    "a long line": b"PUB " + b"a" * 100000 + b" 0\r\n\r\n",
    "no subject": b"SUB  1\r\n",
    "bad subject": b"CONNECT {\"pedantic\":true}\r\nSUB a..b 1\r\nPUB .x 0\r\n\r\nPING\r\n",
    "the bus's own": b"CONNECT {}\r\nPUB $JS.API.STREAM.CREATE.X 5\r\n{\"a\":\r\nPUB $JS.API.CONSUMER.CREATE 0\r\n\r\nPING\r\n",
    "many stars": b"SUB " + b"*." * 2000 + b"* 1\r\n",
}


@pytest.mark.parametrize("what", BUS)
def test_broken_bus_clients(probe, what):
    got = send(probe.bus_port, BUS[what])
    assert got.startswith(b"INFO ")


@pytest.mark.parametrize("door", DOORS)
def test_random_bytes(probe, door):
    generator = random.Random(f"garbage {door}")
    for _ in range(60):
        send(probe.doors[door], generator.randbytes(generator.randrange(1, 4096)))


@pytest.mark.parametrize("door", DOORS)
def test_mutated_conversations(probe, door):
    """Right conversations with some bytes changed, in pieces."""
    generator = random.Random(f"mutated {door}")
    right = (b"CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB > 1\r\nHPUB thing r 12 14\r\nNATS/1.0\r\n\r\n{}\r\nPUB x 1\r\na\r\nPING\r\nUNSUB 1\r\n"
             if door == "bus" else
             b"POST /-/bus/publish/thing HTTP/1.1\r\nHost: one\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
             b"GET /status HTTP/1.1\r\nHost: one\r\nConnection: close\r\n\r\n")
    for _ in range(60):
        data = bytearray(right)
        for _ in range(generator.randrange(1, 6)):
            data[generator.randrange(len(data))] = generator.randrange(256)
        if b"/stop" in data:
            continue
        send(probe.doors[door], bytes(data[:generator.randrange(1, len(data) + 1)]), piece=generator.choice((None, 7, 64)))


@pytest.mark.parametrize("door", ("gateway", "internal", "admin"))
def test_huge_heads(probe, door):
    many = b"".join(b"X-%d: y\r\n" % n for n in range(20000))
    for head in (b"GET /" + b"a" * 1000000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"b" * 1000000 + b"\r\n\r\n",
                 b"GET / HTTP/1.1\r\nHost: x\r\n" + many + b"\r\n"):
        got = send(probe.doors[door], head)
        if got:  # the answer may be lost in the reset of a connection that still sends
            assert got.split(b" ")[1] in (b"400", b"414", b"431"), got[:100]


@pytest.mark.parametrize("door", DOORS)
def test_slow_clients(probe, door):
    """Twenty clients that send one byte at a time and read nothing: others are not slower for it."""
    data = b"CONNECT {\"verbose\":true}\r\nPING\r\n" if door == "bus" else b"GET /one/x HTTP/1.1\r\nHost: one\r\n\r\n"
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(contextlib.closing(connect(probe.doors[door]))) for _ in range(20)]
        for at in range(12):
            for connection in slow:
                connection.send(data[at:at + 1])
            begin = time.monotonic()
            assert probe.get("/one/x")[0] == 200
            assert time.monotonic() - begin < 2


def test_a_client_that_reads_nothing(probe):
    """Pipelined requests whose answers nobody takes."""
    with contextlib.closing(connect(probe.gateway_port, 2)) as connection:
        with contextlib.suppress(OSError):
            for _ in range(60):
                connection.sendall(b"GET /nowhere HTTP/1.1\r\nHost: one\r\n\r\n" * 500)


def test_a_bus_client_that_reads_nothing(probe):
    with contextlib.closing(connect(probe.bus_port, 2)) as connection:
        connection.sendall(b"CONNECT {\"verbose\":false}\r\nSUB > 1\r\n")
        message = b"PUB flood 100000\r\n" + b"x" * 100000 + b"\r\n"
        with contextlib.suppress(OSError):
            for _ in range(400):
                connection.sendall(message)


@pytest.mark.parametrize("door", DOORS)
def test_crowds(probe, door):
    """Two thousand connections opened and dropped; some say half a word, some are reset."""
    open_now = []
    for number in range(2000):
        try:
            connection = connect(probe.doors[door], 2)
        except OSError:  # the queue of a Unix socket is full: try on
            time.sleep(0.01)
            continue
        if number % 3 == 0:
            connection.send(b"GE")
        if number % 5 == 0:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        open_now.append(connection)
        if len(open_now) > 200:
            open_now.pop(0).close()
    for connection in open_now:
        connection.close()
    name = "dure_bus_connections" if door == "bus" else "dure_http_server_connections"
    wait_until(lambda: sum(v for k, v in probe.metrics().items() if k.partition("{")[0] == name) < 20, "the connections are gone", 10)


def test_memory_is_given_back(probe):
    """Behind all that, the worker holds no file descriptors of dead connections and no hundreds of megabytes."""
    import os
    worker = probe.worker()
    wait_until(lambda: len(os.listdir(f"/proc/{worker}/fd")) < 80, "descriptors are closed", 10)
    with open(f"/proc/{worker}/status") as file:
        kib = next(int(line.split()[1]) for line in file if line.startswith("VmRSS:"))
    assert kib < 200 * 1024
