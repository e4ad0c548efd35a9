"""What an account's JWT allows it in JetStream holds, with the errors of nats-server."""
import base64
import json
import shutil
import subprocess
import time

import pytest
from conftest import DURE, free_port, wait_until
from test_bus_config import Client

ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")
serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")

OPERATOR, ACCOUNT, USER = 14 << 3, 0, 20 << 3
LIMITS = {"subs": -1, "data": -1, "payload": -1, "conn": -1, "leaf": -1, "imports": -1, "exports": -1, "wildcards": True,
          "mem_storage": 2000, "disk_storage": 0, "streams": 2, "consumer": 1}


def crc16(data):
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xffff
    return crc


class Key:
    def __init__(self, prefix):
        self.private = ed25519.Ed25519PrivateKey.generate()
        raw = bytes([prefix]) + self.private.public_key().public_bytes(serialization.Encoding.Raw,
                                                                       serialization.PublicFormat.Raw)
        self.text = base64.b32encode(raw + crc16(raw).to_bytes(2, "little")).decode().rstrip("=")


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def jwt(issuer, subject, **nats):
    head = {"typ": "JWT", "alg": "ed25519-nkey"}
    claims = {"jti": "x", "iat": int(time.time()) - 10, "iss": issuer.text, "sub": subject.text, "name": "n",
              "nats": {"version": 2, **nats}}
    text = ".".join(base64url(json.dumps(part).encode()) for part in (head, claims))
    return f"{text}.{base64url(issuer.private.sign(text.encode()))}"


class JetStream(Client):
    def __init__(self, port, token):
        super().__init__(("127.0.0.1", port), "nobody", f'"jwt":"{token}"')
        self.say("SUB r 1")

    def ask(self, subject, body):
        text = body if isinstance(body, str) else json.dumps(body)
        self.say(f"PUB {subject} r {len(text)}", text)
        while not (line := self.file.readline()).startswith(b"MSG r "):
            assert line and not line.startswith(b"-ERR"), line
        return json.loads(self.file.readline())

    def refusal(self, subject, body):
        return self.ask(subject, body).get("error", {}).get("err_code", 0)

    def make(self, name, **more):
        return self.refusal(f"$JS.API.STREAM.CREATE.{name}", {"name": name, "subjects": [name], "storage": "memory",
                                                              "retention": "limits", "discard": "old", **more})


def dure_config(folder, port, operator, jwts):
    return [DURE, "bus", "--config"], {
        "listen": f"127.0.0.1:{port}", "data": str(folder / "data"),
        "accounts": [{"name": "A", "jwt": jwts["account"][1]}], "auth": {"operators": [operator]}}


def nats_config(folder, port, operator, jwts):
    return ["nats-server", "-c"], {
        "listen": f"127.0.0.1:{port}", "jetstream": {"store_dir": str(folder / "data")}, "operator": operator,
        "system_account": jwts["system"][0], "resolver": "MEMORY", "resolver_preload": dict(jwts.values())}


@pytest.fixture(params=[dure_config, nats_config])
def client(request, tmp_path):
    if request.param is nats_config and not shutil.which("nats-server"):
        pytest.skip("nats-server is not installed")
    operator, account, system, user = Key(OPERATOR), Key(ACCOUNT), Key(ACCOUNT), Key(USER)
    jwts = {"account": (account.text, jwt(operator, account, type="account", limits=LIMITS)),
            "system": (system.text, jwt(operator, system, type="account", limits={**LIMITS, "mem_storage": 0}))}
    port = free_port()
    argv, config = request.param(tmp_path, port, jwt(operator, operator, type="operator"), jwts)
    (tmp_path / "config").write_text(json.dumps(config))
    token = jwt(account, user, type="user", bearer_token=True, subs=-1, data=-1, payload=-1)
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen([*argv, str(tmp_path / "config")], stdout=log, stderr=log)
    try:
        wait_until(lambda: b"ready" in (tmp_path / "log").read_bytes() or b"nats://" in (tmp_path / "log").read_bytes(),
                   "the server listens")
        yield JetStream(port, token)
    finally:
        process.kill()
        process.wait()
        print((tmp_path / "log").read_text())


def test_limits(client):
    limits = client.ask("$JS.API.INFO", "")["limits"]
    assert [limits[key] for key in ("max_memory", "max_storage", "max_streams", "max_consumers")] == [2000, 0, 2, 1]
    assert client.make("D", storage="file") == 10047
    assert client.make("BIG", max_bytes=2001) == 10028
    assert client.make("MANY", max_consumers=2) == 10026
    assert client.make("A", max_bytes=1500) == 0
    assert client.make("B", max_bytes=501) == 10028
    assert client.make("B", max_bytes=500) == 0
    assert client.make("C") == 10027
    assert client.refusal("$JS.API.STREAM.UPDATE.B", {"name": "B", "subjects": ["B"], "storage": "memory",
                                                      "max_bytes": 501}) == 10028

    def consume(name):
        return client.refusal(f"$JS.API.CONSUMER.DURABLE.CREATE.A.{name}",
                              {"stream_name": "A", "config": {"durable_name": name, "ack_policy": "explicit"}})

    assert consume("one") == 0 and consume("two") == 10026


def test_what_is_published(client):
    assert client.make("A") == 0
    codes = [client.refusal("A", "x" * 300) for _ in range(10)]
    assert codes[:5] == [0] * 5 and codes[-1] == 10002 and set(codes) == {0, 10002}
