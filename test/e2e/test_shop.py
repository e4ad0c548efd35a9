"""The shop under load while things die, move and are misconfigured. Whatever happens, the books of the five
services agree afterwards. Each test is short; the environment makes it longer:

    DURE_SHOP_ORDERS   orders of each test (600)
    DURE_SHOP_SEED     which orders, and which service dies when (1)
    DURE_SHOP_SECONDS  for how long services are killed (15): one that dies again and again is started later
                       and later, so killing without end leaves nobody to answer"""
import contextlib
import json
import os
import pathlib
import random
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time

import pytest
from conftest import DURE, dure, wait_until

ORDERS = int(os.environ.get("DURE_SHOP_ORDERS", "600"))
SEED = os.environ.get("DURE_SHOP_SEED", "1")
SECONDS = float(os.environ.get("DURE_SHOP_SECONDS", "15"))
SERVICES = ("member", "catalog", "payment", "delivery", "order")


class Load:
    """The shop's load program, running beside the test."""

    def __init__(self, shop, *options, orders=ORDERS, seed=SEED):
        command = [sys.executable, str(shop.folder / "load"), "--json", "--orders", str(orders), "--seed", seed,
                   "--gateway", shop.gateway, "--state", str(shop.state), *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def running(self):
        return self.process.poll() is None

    def finish(self):
        """Its result; the test fails when an order was not answered or the books do not agree."""
        out, told = self.process.communicate(timeout=600)
        print(told)
        assert self.process.returncode == 0, told[-4000:]
        return json.loads(out)


@pytest.fixture
def load(shop):
    started = []

    def start(*options, **more):
        started.append(Load(shop, *options, **more))
        return started[-1]

    yield start
    for one in started:
        if one.running():
            one.process.kill()
            one.process.communicate()


@contextlib.contextmanager
def again_and_again(action, seconds):
    """Runs `action` every `seconds` behind the test's back."""
    done = threading.Event()
    mistakes = []

    def repeat():
        while not done.wait(seconds):
            try:
                action()
            except Exception as mistake:
                mistakes.append(mistake)
                return

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    assert not mistakes, mistakes


@pytest.mark.parametrize("service", SERVICES)
def test_of_the_service_alone(built_shop, service):
    folder = built_shop / service
    command = [line for line in (folder / "service.yaml").read_text().splitlines() if line.startswith("test: ")]
    done = subprocess.run(shlex.split(command[0].removeprefix("test: ")), cwd=folder, capture_output=True, text=True,
                          timeout=120, env={**os.environ, "DURE_EXE": DURE})
    assert done.returncode == 0, done.stdout + done.stderr


def test_of_the_load_program(built_shop):
    done = subprocess.run([sys.executable, "test_load.py"], cwd=built_shop / "load", capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_orders_reconcile(shop, load):
    print(f"up after {shop.up():.2f} s")
    result = load("--strict").finish()
    assert result["orders"] == ORDERS
    assert set(result["status"]) == {"201", "402", "422"}
    assert shop.down() == 0
    assert not shop.children_left()


def test_services_die_and_nothing_is_lost(shop, load):
    shop.up()
    dice = random.Random(SEED)
    killed = []

    def kill_one():
        name = dice.choice(SERVICES)
        killed.extend((name, pid) for pid in shop.kill(name))

    work = load("--rate", "80", orders=max(ORDERS, 600))  # long enough to kill a few times
    end = time.monotonic() + SECONDS
    with again_and_again(kill_one, 1):
        while work.running() and time.monotonic() < end:
            time.sleep(0.1)
    print(f"killed {len(killed)}: {[name for name, _ in killed]}")
    assert len(killed) >= 3
    work.finish()
    wait_until(shop.healthy, "everything is back")


class Edge(threading.Thread):
    """Asks the gateway for a new connection again and again, and remembers for how long none was answered."""

    def __init__(self, port):
        super().__init__(daemon=True)
        self.port, self.done, self.longest, self.answered = port, threading.Event(), 0.0, 0

    def ask(self):
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as edge:
            edge.sendall(b"GET /products/p1 HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
            return edge.recv(12) == b"HTTP/1.1 200"

    def run(self):
        last = time.monotonic()
        while not self.done.wait(0.005):
            try:
                good = self.ask()
            except OSError:
                good = False
            if good:
                self.longest = max(self.longest, time.monotonic() - last)
                last = time.monotonic()
                self.answered += 1

    def finish(self):
        self.done.set()
        self.join()
        return self.longest


def test_the_worker_dies_and_nothing_is_lost(shop, load):
    shop.up()
    before = {pid: name for pid, name in shop.children().items() if name != "worker"}
    edge = Edge(shop.gateway_port)
    edge.start()
    killed = []
    work = load("--rate", "80", orders=max(ORDERS, 600))  # long enough to kill a few times
    with again_and_again(lambda: killed.extend(shop.kill("worker")), 2.5):
        while work.running():
            time.sleep(0.1)
    longest = edge.finish()
    print(f"worker killed {len(killed)} times; longest time without an answer at the edge: {longest * 1000:.0f} ms "
          f"({edge.answered} answered)")
    assert len(killed) >= 2 and len(set(killed)) == len(killed)
    work.finish()
    after = {pid: name for pid, name in shop.children().items() if name != "worker"}
    assert after == before, "services must not notice that the worker died"
    assert longest < 2


def test_a_service_moves_into_a_process_and_back_and_no_request_fails(shop, load):
    shop.up()
    work = load("--strict", "--rate", "100")
    moves = 0
    while work.running():
        time.sleep(1)
        for old, new in (("    # in: member", "    in: member #"), ("    in: member #", "    # in: member")):
            shop.edit(old, new)
            applied = dure("apply", "--dir", str(shop.folder))
            assert applied.returncode == 0, applied.stderr
            order = [s for s in shop.status()["services"] if s["service"] == "order"][0]
            assert order["placement"] == ("alone" if "#" in new.split("in:")[0] else "member")
            moves += 1
            time.sleep(0.5)
    print(f"{moves} moves")
    assert moves >= 2
    result = work.finish()
    assert result["failed_first_attempts"] == 0
    services = sorted(name for name in shop.children().values() if name != "worker")
    assert services == sorted(SERVICES)


@pytest.mark.parametrize("old, new", [
    ("to: order", "to: ordr"),
    ("- path: catalog", "- path: katalog"),
    ("system: shop", "system: [shop"),
    ("method: [GET, HEAD]", "methods: [GET, HEAD]"),
])
def test_a_mistake_is_refused_and_the_system_runs_on(shop, load, old, new):
    shop.up()
    before = shop.children()
    work = load("--strict", orders=100)
    shop.edit(old, new)
    applied = dure("apply", "--dir", str(shop.folder))
    assert applied.returncode == 3, (applied.returncode, applied.stderr)
    assert "dure.yaml" in applied.stderr
    work.finish()
    assert shop.children() == before
    shop.edit(new, old)
    assert dure("apply", "--dir", str(shop.folder)).returncode == 0


def test_a_version_that_does_not_start_changes_nothing(shop, load):
    shop.up()
    before = shop.children()
    work = load("--strict", orders=200)
    catalog = shop.folder / "catalog" / "service.yaml"
    good = catalog.read_text()
    catalog.write_text(good.replace("run: python3 catalog.py", "run: python3 missing.py").replace("-1", "-2"))
    applied = dure("apply", "--dir", str(shop.folder))
    assert applied.returncode == 1, (applied.returncode, applied.stderr)
    assert "catalog" in applied.stderr
    work.finish()
    assert before.items() <= shop.children().items()
    catalog.write_text(good)
    assert dure("apply", "--dir", str(shop.folder)).returncode == 0
    wait_until(lambda: shop.children() == before, "only what ran before is left")


def test_new_versions_under_load(shop, load):
    """Every service is replaced by a new version of itself, and no request fails."""
    shop.up()
    before = shop.children()
    work = load("--strict", "--rate", "100")
    time.sleep(1)
    for name in SERVICES:
        manifest = shop.folder / name / "service.yaml"
        manifest.write_text(manifest.read_text().replace("v1_20261121-1", "v1_20261121-2"))
    applied = dure("apply", "--dir", str(shop.folder))
    assert applied.returncode == 0, applied.stderr
    work.finish()
    assert {s["version"] for s in shop.status()["services"]} == {"v1_20261121-2"}
    kept = {name for pid, name in shop.children().items() if pid in before}
    assert kept == {"worker"}


def test_everything_dies_at_once(shop, load):
    """As when the power fails: all processes are gone, and the state on the disk goes on."""
    shop.up()
    work = load("--limit", "90")
    time.sleep(2)
    children = shop.children()
    shop.process.kill()
    shop.process.wait()
    for pid in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not any(pathlib.Path(f"/proc/{pid}").exists() for pid in children), "all are gone")
    shop.up()
    work.finish()


def test_a_port_in_use_is_told(shop):
    with socket.create_server(("127.0.0.1", shop.gateway_port)):
        refused = dure("up", str(shop.folder))
    assert refused.returncode == 1
    assert str(shop.gateway_port) in refused.stderr
    assert not (pathlib.Path(shop.folder) / ".dure" / "admin.sock").exists()
