"""`dure bus --config`: what the file says holds, and mistakes in it are told."""
import json
import signal
import socket
import subprocess

import pytest
from conftest import DURE, dure, free_port, wait_until
from dure_system import running

CONFIG = """
listen: 127.0.0.1:{port}
unix: bus.sock
data: streams
name: shop-1
advertise: [bus.example.org:4222]
max_payload: 2KiB
lame_duck: {{grace: 50ms, duration: 1s}}
accounts:
  - name: partner
auth:
  users:
    - {{user: order, password: pw}}
    # "pw"
    - user: hashed
      password: $2b$04$MDEyMzQ1Njc4OWFiY2RlZeDAqJkitE/1BR5JqBQXGd1y6EOxFCSyO
    - {{user: partner, password: pw, account: partner}}
    - user: guest
      password: pw
      permissions: {{publish: {{allow: []}}}}
"""


class Client:
    def __init__(self, address, user, first='"pass":"pw"'):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        self.socket.settimeout(10)
        self.socket.connect(address)
        self.file = self.socket.makefile("rb")
        self.info = json.loads(self.file.readline()[5:])
        self.say('CONNECT {"verbose":false,"user":"%s",%s}' % (user, first))

    def say(self, *lines):
        self.socket.sendall("".join(line + "\r\n" for line in lines).encode())

    def answers(self):
        """What comes until the answer of a PING, or the end."""
        self.say("PING")
        found = []
        for line in self.file:
            if line == b"PONG\r\n":
                break
            found.append(line.decode().strip())
        return found


@pytest.fixture
def bus(tmp_path):
    port = free_port()
    (tmp_path / "bus.yaml").write_text(CONFIG.format(port=port))
    process = subprocess.Popen([DURE, "bus", "--config", str(tmp_path / "bus.yaml")], stdout=subprocess.PIPE,
                               stderr=subprocess.DEVNULL, text=True)
    assert process.stdout.readline() == f"bus nats://127.0.0.1:{port}\n"
    process.address, process.folder = ("127.0.0.1", port), tmp_path
    yield process
    process.kill()
    process.wait()


def test_configured(bus):
    order = Client(bus.address, "order")
    assert order.info["server_name"] == "shop-1" and order.info["auth_required"] and order.info["jetstream"]
    assert order.info["connect_urls"] == ["bus.example.org:4222"] and order.info["max_payload"] == 2048
    order.say("SUB > 1", "PUB a 1", "x")
    assert order.answers() == ["MSG a 1 1", "x"]
    partner = Client(str(bus.folder / "bus.sock"), "partner")
    partner.say("SUB > 1", "PUB b 1", "y")
    assert partner.answers() == ["MSG b 1 1", "y"] and order.answers() == []
    assert Client(bus.address, "hashed").answers() == []
    assert Client(bus.address, "stranger").answers() == ["-ERR 'Authorization Violation'"]
    guest = Client(bus.address, "guest")
    guest.say("PUB a 0", "")
    assert guest.answers() == ["-ERR 'Permissions Violation for Publish to \"a\"'"]


def test_accounts_have_streams_of_their_own(bus):
    def create(client):
        body = '{"name":"S","subjects":["s"]}'
        client.say("SUB r 9", f"PUB $JS.API.STREAM.CREATE.S r {len(body)}", body)
        client.say(f"PUB $JS.API.STREAM.NAMES r 0", "")
        lines = []
        wait_until(lambda: lines.extend(client.answers()) or len(lines) >= 4, "two answers")
        return json.loads(lines[3])["streams"]

    assert create(Client(bus.address, "partner")) == ["S"]
    assert (bus.folder / "streams" / ".accounts" / "partner").is_dir()
    order = Client(bus.address, "order")
    order.say("SUB r 9", "PUB $JS.API.STREAM.NAMES r 0", "")
    lines = []
    wait_until(lambda: lines.extend(order.answers()) or len(lines) >= 2, "an answer")
    assert not json.loads(lines[1]).get("streams")


def test_lame_duck(bus):
    client = Client(bus.address, "order")
    assert client.answers() == []
    bus.send_signal(signal.SIGUSR2)
    assert json.loads(client.file.readline()[5:])["ldm"]
    assert client.file.readline() == b""
    assert bus.wait(10) == 0


def test_mistakes(tmp_path):
    config = tmp_path / "bus.yaml"
    config.write_text("lissten: 127.0.0.1:1\nauth: {users: [{user: a, password: b, account: c}]}\n")
    run = dure("bus", "--config", str(config))
    assert run.returncode == 3
    assert f"{config}:1:1: the bus has no key `lissten`" in run.stderr
    assert "Did you mean `listen`?" in run.stderr and "no account of this bus is called `c`" in run.stderr
    run = dure("bus", "--config", str(tmp_path / "none.yaml"))
    assert run.returncode == 3 and "cannot be read" in run.stderr
    config.write_text("tls: {certificate: no.crt, key: no.key}\n")
    run = dure("bus", "--config", str(config), "--listen", "127.0.0.1:0")
    assert run.returncode == 1 and "no.crt" in run.stderr


def test_services_come_as_a_user(tmp_path):
    """A system whose bus asks: its services are told who they are, and nobody else comes in."""
    bus = '{listen: "127.0.0.1:4222", auth: {services: shop, users: [{user: shop, password: "p@:"}]}}'
    with running(tmp_path / "probe", {"one": ""}, bus=bus) as probe:
        pid = probe.pids("one")[0]
        environment = open(f"/proc/{pid}/environ", "rb").read().decode().split("\0")
        url = f"nats://shop:p%40%3A@127.0.0.1:{probe.bus_port}"
        assert f"NATS_URL={url}" in environment
        assert "p%40" not in json.dumps(probe.status())
        with socket.create_connection(("127.0.0.1", probe.bus_port)) as stranger:
            stranger.sendall(b'CONNECT {"verbose":false}\r\n')
            file = stranger.makefile("rb")
            assert b'"auth_required":true' in file.readline()
            assert file.readline() == b"-ERR 'Authorization Violation'\r\n"
        with socket.create_connection(("127.0.0.1", probe.bus_port)) as known:
            known.sendall(b'CONNECT {"verbose":false,"user":"shop","pass":"p@:"}\r\nPING\r\n')
            file = known.makefile("rb")
            file.readline()
            assert file.readline() == b"PONG\r\n"
