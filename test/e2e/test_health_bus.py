"""health: {bus: true}: a service without a port is healthy as long as this very instance answers pings."""
import pytest

from conftest import wait_until
from dure_system import running

# A service that only speaks NATS: it answers its pings until somebody publishes to probe.mute.
ONLY_BUS = '''
import os, socket, sys
host, port = os.environ["NATS_URL"].removeprefix("nats://").split(":")
bus = socket.create_connection((host, int(port)))
lines = bus.makefile("rb")
lines.readline()
name = f"$SRV.PING.{os.environ['DURE_SERVICE']}.{os.environ['DURE_INSTANCE']}"
bus.sendall(f'CONNECT {{"verbose":false}}\\r\\nSUB {name} 1\\r\\nSUB probe.mute 2\\r\\n'.encode())
mute = False
for line in lines:
    words = line.split()
    if words[0] == b"PING":
        bus.sendall(b"PONG\\r\\n")
    if words[0] == b"MSG":
        lines.readline()
        mute = mute or words[2] == b"2"
        if words[2] == b"1" and not mute:
            bus.sendall(b"PUB " + words[3] + b" 2\\r\\nok\\r\\n")
'''


@pytest.fixture
def system(tmp_path):
    keys = "run: /usr/bin/python3 only_bus.py\nhealth: {bus: true, interval: 200ms, timeout: 200ms, failures: 2}"
    (tmp_path / "listener").mkdir(parents=True)
    (tmp_path / "listener" / "only_bus.py").write_text(ONLY_BUS)
    with running(tmp_path, {"listener": keys}) as probe:
        yield probe


def listener(system):
    (service,) = system.status()["services"]
    return service


def test_it_is_up_while_it_answers_and_restarted_when_it_does_not(system):
    assert listener(system)["up"] == 1
    before = system.pids("listener") or system.pids()
    assert system.bus("publish", "probe.mute")[0] == 202
    wait_until(lambda: listener(system)["restarts"] >= 1, "a mute instance is restarted", 20)
    wait_until(lambda: listener(system)["up"] == 1, "the next one answers", 20)
    assert (system.pids("listener") or system.pids()) != before
