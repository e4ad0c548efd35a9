"""Unchanged clients over TLS, WebSocket and the Unix socket of `dure bus`, and what its monitoring tells."""

import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from conftest import DURE, Server, free_port, install
from test_bus_clients import CLIENTS, run


@pytest.fixture(scope="session")
def certificates(tmp_path_factory):
    """ca.pem, and NAME.pem with NAME.key for the bus (localhost, 127.0.0.1) and for alice; made by the openssl tool."""
    if not shutil.which("openssl"):
        pytest.skip("the openssl tool is not installed")
    folder = tmp_path_factory.mktemp("certificates")

    def openssl(*argv):
        subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl("req", "-x509", *key, "-subj", "/CN=authority", "-days", "2", "-keyout", "ca.key", "-out", "ca.pem")
    for name, names in (("bus", "DNS:localhost,IP:127.0.0.1"), ("alice", "email:alice@example.com")):
        (folder / "extensions").write_text(f"subjectAltName={names}\n")
        openssl("req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", "extensions", "-out", f"{name}.pem")
    return folder


@pytest.fixture
def start_dure(tmp_path):
    """A function that starts `dure bus` with the lines of a configuration; it ends with the test."""
    if not DURE.exists():
        pytest.skip(f"{DURE} is not built")
    servers = []

    def start(config="{}"):
        port = free_port()
        file = tmp_path / f"bus{port}.yaml"
        file.write_text(config + "\n")
        servers.append(Server([str(DURE), "bus", "--listen", f"127.0.0.1:{port}", "--config", str(file)], port))
        return servers[-1]

    yield start
    for server in servers:
        assert server.process.poll() is None, "the bus ended by itself"
        assert server.stop() == 0


def tls(certificates, more=""):
    return f"tls: {{certificate: {certificates}/bus.pem, key: {certificates}/bus.key, ca: {certificates}/ca.pem{more}}}"


@pytest.fixture
def libnats(tmp_path):
    if not pathlib.Path("/usr/include/nats/nats.h").exists():
        pytest.skip("libnats-dev is not installed")
    program = tmp_path / "client"
    subprocess.run(["cc", "-o", program, CLIENTS / "client.c", "-lnats"], check=True)
    return program


@pytest.fixture(scope="session")
def node_websocket(node_client):
    """The folder of node_client, with a WebSocket for a Node that brings none."""
    if not (node_client / "node_modules" / "ws").exists():
        install("ws", ["npm", "install", "--no-audit", "--no-fund", "ws@8"], node_client)
    return node_client


@pytest.fixture(scope="session")
def python_websocket(python_client):
    """The python of python_client, with what nats-py needs for WebSocket."""
    if subprocess.run([python_client, "-c", "import aiohttp"], capture_output=True).returncode:
        install("aiohttp", [str(python_client), "-m", "pip", "install", "-q", "aiohttp"], CLIENTS)
    return python_client


def run_node(folder, *argv, ca=None):
    script = folder / "client.mjs"
    shutil.copy(CLIENTS / "client.mjs", script)
    environment = dict(os.environ, NODE_EXTRA_CA_CERTS=str(ca)) if ca else None
    result = subprocess.run(["node", script, *argv], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "unsubscribe after three" in result.stdout


# ---- TLS ----


def test_libnats_over_tls(start_dure, certificates, libnats):
    bus = start_dure(tls(certificates))
    run([libnats, f"nats://localhost:{bus.port}", certificates / "ca.pem"])


def test_libnats_with_a_certificate(start_dure, certificates, libnats):
    bus = start_dure(tls(certificates, ", clients: verify"))
    url, ca = f"nats://localhost:{bus.port}", certificates / "ca.pem"
    run([libnats, url, ca, certificates / "alice.pem", certificates / "alice.key"])
    refused = subprocess.run([libnats, url, ca], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 1 and refused.stderr.startswith("connect: ")


def test_certificate_says_who_it_is(start_dure, certificates, libnats):
    users = "auth: {users: [{user: alice@example.com, permissions: {publish: {deny: [c.>]}}}]}"
    bus = start_dure(tls(certificates, ", clients: map") + "\n" + users)
    files = [certificates / name for name in ("ca.pem", "alice.pem", "alice.key")]
    result = subprocess.run([libnats, f"nats://localhost:{bus.port}", *files], capture_output=True, text=True, timeout=60)
    assert "connect" in result.stdout.split("\n") and "next: " in result.stderr  # in, but may not publish c.b.x
    files = [certificates / name for name in ("ca.pem", "bus.pem", "bus.key")]
    result = subprocess.run([libnats, f"nats://localhost:{bus.port}", *files], capture_output=True, text=True, timeout=60)
    assert result.stderr.startswith("connect: ")


def test_transport_node_over_tls(start_dure, certificates, node_client):
    bus = start_dure(tls(certificates))
    run_node(node_client, f"tls://localhost:{bus.port}", str(certificates / "ca.pem"))


def test_nats_py_over_tls(start_dure, certificates, python_client):
    bus = start_dure(tls(certificates))
    run([python_client, CLIENTS / "client.py", f"tls://localhost:{bus.port}", certificates / "ca.pem"])


@pytest.mark.parametrize("first", ("handshake", "either"))
def test_nats_py_handshake_first(start_dure, certificates, python_client, first):
    bus = start_dure(tls(certificates, f", first: {first}, first_wait: 1s"))
    argv = [python_client, CLIENTS / "client.py", f"tls://localhost:{bus.port}", certificates / "ca.pem"]
    run([*argv, "first"])
    if first == "either":
        run(argv)


@pytest.mark.parametrize("version", (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3))
def test_python_ssl(start_dure, certificates, version):
    """Another implementation of the protocol's state: Python's, by hand, with both versions."""
    bus = start_dure(tls(certificates))
    context = ssl.create_default_context(cafile=certificates / "ca.pem")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("localhost", bus.port)) as plain:
        assert b'"tls_required":true' in plain.recv(4096)
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(b'CONNECT {"verbose":false}\r\nSUB a 1\r\nPUB a 5\r\nhello\r\nPING\r\n')
            got = b""
            while not got.endswith(b"PONG\r\n"):
                got += connection.recv(4096)
            assert got == b"MSG a 1 5\r\nhello\r\nPONG\r\n"


def test_certificates_are_renewed(start_dure, certificates, tmp_path):
    for name in ("bus.pem", "bus.key", "ca.pem"):
        shutil.copy(certificates / name, tmp_path)
    bus = start_dure(tls(tmp_path, ", first: handshake"))

    def shown():
        return ssl.get_server_certificate(("127.0.0.1", bus.port))

    def until(certificate):
        for _ in range(100):
            if shown() == certificate:
                return
            time.sleep(0.02)
        raise AssertionError("the certificate is not shown")

    first, second = ((certificates / name).read_text() for name in ("bus.pem", "alice.pem"))
    assert shown() == first
    shutil.copy(certificates / "alice.pem", tmp_path / "bus.pem")  # but the key is another one's
    bus.process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    assert shown() == first
    shutil.copy(certificates / "alice.key", tmp_path / "bus.key")
    bus.process.send_signal(signal.SIGHUP)
    until(second)


# ---- WebSocket ----


def test_wsconnect(start_dure, node_websocket):
    port = free_port()
    start_dure(f"websocket: {{listen: '127.0.0.1:{port}'}}")
    run_node(node_websocket, f"ws://127.0.0.1:{port}")


def test_wsconnect_over_tls(start_dure, certificates, node_websocket):
    port = free_port()
    start_dure(f"websocket: {{listen: '127.0.0.1:{port}'}}\n" + tls(certificates))
    run_node(node_websocket, f"wss://localhost:{port}", ca=certificates / "ca.pem")


def test_nats_py_over_websocket(start_dure, python_websocket):
    port = free_port()
    start_dure(f"websocket: {{listen: '127.0.0.1:{port}'}}")
    run([python_websocket, CLIENTS / "client.py", f"ws://127.0.0.1:{port}"])


# ---- the Unix socket ----


def test_unix_socket(start_dure, tmp_path):
    path = tmp_path / "bus.sock"
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))  # left from a process that died
    stale.close()
    start_dure(f"unix: {path}\nunix_for: group")
    assert path.stat().st_mode & 0o777 == 0o660
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert client.recv(4096).startswith(b"INFO {")
        client.sendall(b'CONNECT {"verbose":false}\r\nPING\r\n')
        assert client.recv(4096) == b"PONG\r\n"


def test_unix_socket_alone(tmp_path):
    if not DURE.exists():
        pytest.skip(f"{DURE} is not built")
    path = tmp_path / "bus.sock"
    process = subprocess.Popen([DURE, "bus", "--listen", f"unix:{path}"], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == f"bus unix:{path}\n"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert client.recv(4096).startswith(b"INFO {")
    assert path.stat().st_mode & 0o777 == 0o600
    process.terminate()
    assert process.wait(10) == 0
    assert not path.exists()


# ---- monitoring ----


def get(port, path):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def talk(port):
    """A client that stays, with two subscriptions, a stream and a message in it."""
    client = socket.create_connection(("127.0.0.1", port))
    stream = b'{"name":"S","subjects":["s.>"],"storage":"file","retention":"limits","num_replicas":1}'
    client.sendall(b'CONNECT {"verbose":false,"name":"x","lang":"py","version":"1"}\r\nSUB a.> q 1\r\nSUB b 2\r\n'
                   b"PUB $JS.API.STREAM.CREATE.S _I.1 %d\r\n%s\r\nPUB b 2\r\nhi\r\nPING\r\n" % (len(stream), stream))
    got = b""
    while not got.endswith(b"PONG\r\n"):
        got += client.recv(4096)
    time.sleep(0.3)
    consumer = b'{"stream_name":"S","config":{"durable_name":"C","ack_policy":"explicit"}}'
    client.sendall(b"PUB s.1 2\r\nhi\r\nPUB $JS.API.CONSUMER.DURABLE.CREATE.S.C _I.2 %d\r\n%s\r\n" % (len(consumer), consumer))
    time.sleep(0.3)
    return client


# What nats-server tells and we do not, and why.
NOT_HERE = {
    "/varz": {
        "go": "not written in Go",
        "git_commit": "a build's, not the server's",
        "system_account": "there is none",
        "http_host": "",
    },
    "/accountz?acc=$G": {"system_account": "there is none", "account_detail.imports": "accounts share nothing"},
    "/accstatz": {"account_statz.slow_consumers": "counted for all accounts together, in /varz"},
    "/jsz?streams=1&consumers=1&config=1": {"account_details.stream_detail.cluster": "no cluster"},
    "/accountz": {"system_account": "there is none"},
}


def fields(value, prefix=""):
    """The paths of all members; of a list, those of its elements together."""
    found = set()
    if isinstance(value, list):
        return found.union(*(fields(element, prefix) for element in value))
    if isinstance(value, dict):
        for key, member in value.items():
            found |= {prefix + key} | fields(member, prefix + key + ".")
    return found


PAGES = ("/varz", "/connz", "/connz?subs=1", "/connz?subs=detail", "/connz?state=closed", "/subsz", "/subsz?subs=1",
         "/jsz", "/jsz?streams=1&consumers=1&config=1", "/healthz", "/routez", "/gatewayz", "/accountz", "/accountz?acc=$G", "/accstatz")


@pytest.fixture
def both(start_dure, tmp_path):
    """The monitoring ports of nats-server and of ours, each with the same client."""
    if not shutil.which("nats-server"):
        pytest.skip("nats-server is not installed")
    port, theirs, ours = free_port(), free_port(), free_port()
    server = Server(["nats-server", "-a", "127.0.0.1", "-p", str(port), "-m", str(theirs), "-js", "-sd", str(tmp_path / "n")], port)
    bus = start_dure(f"http: 127.0.0.1:{ours}\ndata: {tmp_path}/d")
    clients = [talk(server.port), talk(bus.port)]
    yield theirs, ours
    for client in clients:
        client.close()
    server.stop()


def test_monitoring_has_the_fields_of_nats_server(both):
    """Every field that nats-server (of Debian) tells is told by us too, with a value of the same kind."""
    missing = {}
    for page in PAGES:
        (status, theirs), (our_status, ours) = get(both[0], page), get(both[1], page)
        assert status == our_status == 200, (page, ours)
        lacks = {f for f in fields(theirs) - fields(ours) if f not in NOT_HERE.get(page, {})}
        # what only a client that was pinged has, and the paths that were asked for
        lacks -= {"connections.rtt", *(f for f in lacks if f.startswith("http_req_stats."))}
        lacks = {f for f in lacks if not any(f.startswith(k + ".") for k in NOT_HERE.get(page, {}))}
        if lacks:
            missing[page] = lacks
    assert missing == {}


def test_monitoring_tells_the_same_numbers(both):
    for page, members in {
        "/connz?subs=1": ("num_connections", "total", "limit", "offset"),
        "/jsz": ("streams", "consumers", "messages"),
        "/varz": ("connections", "max_payload", "max_connections", "ping_interval", "max_control_line", "slow_consumers"),
    }.items():
        theirs, ours = get(both[0], page)[1], get(both[1], page)[1]
        assert {m: ours[m] for m in members} == {m: theirs[m] for m in members}
    connection = [get(port, "/connz?subs=1")[1]["connections"][0] for port in both]
    for member in ("in_msgs", "in_bytes", "out_msgs", "out_bytes", "subscriptions", "name", "lang", "version", "kind", "type", "ip"):
        assert connection[0][member] == connection[1][member], member
    assert sorted(connection[0]["subscriptions_list"]) == sorted(connection[1]["subscriptions_list"])


@pytest.mark.parametrize("page", ("/connz?sort=bogus", "/connz?limit=x", "/nope"))
def test_monitoring_refuses_as_nats_server_does(both, page):
    assert get(both[0], page)[0] == get(both[1], page)[0]
