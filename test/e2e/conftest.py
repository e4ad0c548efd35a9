"""Fixtures: a system that `dure up` runs, in a folder and on ports of its own."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
DURE = os.environ.get("DURE_EXE", str(ROOT / "build-release" / "src" / "app" / "dure"))
START_SECONDS = 30


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def dure(*arguments, check=False, **options):
    """Runs one command of the program under test to its end."""
    return subprocess.run([DURE, *arguments], capture_output=True, text=True, timeout=120, check=check, **options)


def wait_until(condition, what, seconds=START_SECONDS):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        time.sleep(0.02)


def set_ports(manifest, gateway, bus):
    """Other ports than the usual ones in a dure.yaml: several systems may run here at once."""
    text = manifest.read_text()
    text = re.sub(r"127\.0\.0\.1:8080\b", f"127.0.0.1:{gateway}", text)
    manifest.write_text(re.sub(r"127\.0\.0\.1:4222\b", f"127.0.0.1:{bus}", text))


class System:
    """`dure up` of a folder."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.gateway_port, self.bus_port = free_port(), free_port()
        set_ports(self.folder / "dure.yaml", self.gateway_port, self.bus_port)
        self.gateway = f"http://127.0.0.1:{self.gateway_port}"
        self.state = self.folder / ".dure" / "data"
        self.log = self.folder / "up.log"
        self.process = None

    def up(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([DURE, "up", str(self.folder)], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=subprocess.STDOUT)
        start = time.monotonic()
        wait_until(self.healthy, "every service is up")
        return time.monotonic() - start

    def status(self):
        answer = dure("status", "--json", "--dir", str(self.folder))
        return json.loads(answer.stdout) if answer.returncode == 0 else None

    def healthy(self):
        assert self.process.poll() is None, f"dure up ended:\n{self.log.read_text()}"
        status = self.status()
        return bool(status) and all(s["up"] == s["wanted"] for s in status["services"]) and not status["deploying"]

    def children(self):
        """pid -> what it is: a service's name, or "worker"."""
        found = {}
        for task in pathlib.Path(f"/proc/{self.process.pid}/task").iterdir():
            for pid in map(int, (task / "children").read_text().split()):
                try:
                    words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
                    environment = dict(pair.split(b"=", 1) for pair in
                                       pathlib.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0") if b"=" in pair)
                except OSError:
                    continue  # it has just gone
                if words[1:2] == [b"worker"]:
                    found[pid] = "worker"
                elif b"DURE_SERVICE" in environment:
                    found[pid] = environment[b"DURE_SERVICE"].decode()
        return found

    def children_left(self):
        """Processes of this system that have outlived `dure up`."""
        mark = f"DURE_DATA={self.state}/".encode()
        left = []
        for process in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if mark in (process / "environ").read_bytes():
                    left.append(int(process.name))
        return left

    def kill(self, name):
        """kill -9 to every process of that name; returns the pids."""
        pids = [pid for pid, what in self.children().items() if what == name]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        return pids

    def edit(self, old, new):
        manifest = self.folder / "dure.yaml"
        text = manifest.read_text()
        assert old in text
        manifest.write_text(text.replace(old, new))

    def down(self):
        """Gracefully; returns the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def close(self):
        if not self.process:
            return
        try:
            self.down()
        except subprocess.TimeoutExpired:
            orphans = self.children()
            self.process.kill()
            self.process.wait()
            for pid in orphans:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass


@pytest.fixture
def system(tmp_path):
    """Makes a System of a folder; all are ended behind the test, and their logs shown when it failed."""
    systems = []

    def make(folder):
        systems.append(System(folder))
        return systems[-1]

    yield make
    for one in systems:
        one.close()
        print(f"--- {one.log}")
        print(one.log.read_text()[-4000:] if one.log.exists() else "")


@pytest.fixture(scope="session")
def built_shop():
    """The shop's folder, with its C services built."""
    shop = ROOT / "examples" / "shop"
    built = dure("build", str(shop))
    assert built.returncode == 0, built.stderr
    return shop


@pytest.fixture
def shop(tmp_path, built_shop, system):
    """A copy of the shop that nobody else uses; not up yet."""
    folder = tmp_path / "shop"
    shutil.copytree(built_shop, folder, ignore=shutil.ignore_patterns(".dure", "__pycache__"))
    return system(folder)
