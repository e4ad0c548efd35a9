"""What must go on when something else does not."""
import os
import re
import signal
import subprocess
import threading
import time

import pytest

from conftest import DURE
from dure_system import alive, running, wait_until, write_service

HOOK = "subscribes: [{subject: thing.made, path: /events, attempts: 20, timeout: 2s}]"


@pytest.fixture
def probe(tmp_path):
    with running(tmp_path, {"front": "publishes: [thing.made]", "hook": HOOK}) as one:
        yield one


class Publisher:
    """Publishes e0, e1, ... without a pause, each with an id, again until it is acknowledged."""

    def __init__(self, probe):
        self.probe, self.port, self.done, self.over = probe, probe.internal_port(), [], threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.over.is_set():
            event = f"e{len(self.done)}"
            try:
                status, _, _ = self.probe.request("POST", "/-/bus/publish/thing.made", f'"{event}"',
                                                  {"Idempotency-Key": event}, self.port, timeout=5)
            except OSError:
                time.sleep(0.01)
                continue  # nobody there for a moment
            if status == 200:
                self.done.append(event)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *arguments):
        self.over.set()
        self.thread.join()


def missing(probe, publisher):
    seen = probe.folder / ".dure" / "data" / "hook" / "events.jsonl"
    text = seen.read_text() if seen.exists() else ""
    return [event for event in publisher.done if f'"{event}"' not in text and f'\\"{event}\\"' not in text]


def test_power_off_in_the_midst_of_everything(probe):
    """kill -9 of the parent takes all with it; what was acknowledged is there when it comes back."""
    with Publisher(probe) as publisher:
        wait_until(lambda: len(publisher.done) >= 50, "fifty are acknowledged")
        children = probe.children()
        os.kill(probe.process.pid, signal.SIGKILL)
        probe.process.wait()
    wait_until(lambda: not [pid for pid in children if alive(pid)], "no child outlives the parent")
    probe.up()
    wait_until(lambda: not missing(probe, publisher), "all have come", 60)


def test_worker_and_service_die_again_and_again(probe):
    with Publisher(probe) as publisher:
        for name in ("worker", "hook", "worker", "front", "hook", "worker"):
            count = len(publisher.done)
            wait_until(lambda: len(publisher.done) >= count + 20, "twenty more are acknowledged")
            killed = probe.kill(name)
            wait_until(lambda: set(probe.pids(name)) - set(killed), f"there is a new {name}")
    wait_until(probe.healthy, "all is up")
    wait_until(lambda: not missing(probe, publisher), "all have come", 60)
    # Some were sent again, none was stored twice.
    assert probe.bus("publish", "thing.made", b'"last"')[1]["seq"] == len(publisher.done) + 1


def set_version(probe, version, run=None):
    path = probe.folder / "front" / "service.yaml"
    text = re.sub(r"^version: .*$", f"version: {version}", path.read_text(), flags=re.M)
    if run:
        text = re.sub(r"^run: .*$", f"run: {run}", text, flags=re.M)
    path.write_text(text)


def test_a_version_that_ends_at_once_is_taken_back_soon(probe):
    probe.edit("deploy_timeout: 5s", "deploy_timeout: 1m")
    pids = probe.pids()
    before = (probe.folder / "front" / "service.yaml").read_text()
    set_version(probe, "2.0.0", "sh -c 'echo this one quits; exit 3'")
    begin = time.monotonic()
    said = probe.dure("apply")
    assert time.monotonic() - begin < 30  # not only at the end of its minute
    assert said.returncode == 1 and said.stdout == ""
    assert "ended 5 times in a row: exited with status 3" in said.stderr and "dure logs front" in said.stderr
    assert "this one quits" in probe.dure("logs", "front").stdout
    assert probe.pids() == pids
    (probe.folder / "front" / "service.yaml").write_text(before)
    set_version(probe, "2.0.1")
    assert probe.dure("apply").returncode == 0


def test_what_is_edited_but_not_applied_is_no_matter_of_a_new_worker(probe):
    services = set(probe.pids()) - {probe.worker()}
    probe.edit("system: probe", "system: broken [")
    set_version(probe, "9.9.9")
    killed = probe.kill("worker")
    wait_until(lambda: set(probe.pids("worker")) - set(killed), "there is a new worker")
    wait_until(probe.healthy, "all is up")
    assert set(probe.pids()) - {probe.worker()} == services
    assert {one["service"]: one["version"] for one in probe.status()["services"]} == {"front": "1.0.0", "hook": "1.0.0"}


def test_a_first_start_that_fails_is_tried_until_it_works(tmp_path):
    with running(tmp_path, {"front": "run: sh -c 'test -e mended && exec /usr/bin/python3 probe_service.py; exit 3'"},
                 up=False) as probe:
        with open(probe.log, "ab") as log:
            probe.process = subprocess.Popen([DURE, "up", str(tmp_path)], stdin=subprocess.DEVNULL, stdout=log,
                                             stderr=log)
        wait_until(lambda: (probe.status() or {"services": [{"restarts": 0}]})["services"][0]["restarts"] >= 2,
                   "it is tried again")
        wait_until(lambda: "exited with status 3" in probe.dure("status").stdout, "the table says why")
        (tmp_path / "front" / "mended").write_text("")
        wait_until(probe.healthy, "it is up")


def test_what_a_service_leaves_behind_ends_with_it(tmp_path):
    """A service that dies leaves nothing in its process group that would hold its port or its output."""
    with running(tmp_path, {"front": "run: sh -c 'sleep 1000 & /usr/bin/python3 probe_service.py'"}) as probe:
        (shell,) = probe.pids("front")
        group = processes_of_group(shell)
        assert len(group) == 3
        os.kill(shell, signal.SIGKILL)
        wait_until(lambda: not [pid for pid in group if alive(pid)], "the whole group is gone")
        wait_until(probe.healthy, "it is started again")


def processes_of_group(group):
    found = []
    for name in os.listdir("/proc"):
        try:
            if name.isdigit() and os.getpgid(int(name)) == group:
                found.append(int(name))
        except OSError:
            pass
    return found


def test_a_loud_service_has_logs_of_bounded_size(tmp_path):
    loud = "run: sh -c 'yes 0123456789012345678901234567890123456789 | head -c 60000000; echo all said; " \
           "exec /usr/bin/python3 probe_service.py'"
    with running(tmp_path, {"front": loud}) as probe:
        log = tmp_path / ".dure" / "log" / "front.log"
        wait_until(lambda: "all said" in probe.dure("logs", "--last", "1000", "front").stdout, "its last line is there")
        for one in (log, log.with_name("front.log.1")):
            assert one.stat().st_size <= 17 * 1024 * 1024
        assert probe.healthy()


def test_the_admin_socket_is_its_owners(probe):
    assert os.stat(probe.admin_path()).st_mode & 0o777 == 0o600


def test_a_new_service_goes_with_its_processes(probe):
    write_service(probe.folder, "third")
    probe.edit("  - path: hook\n", "  - path: hook\n  - path: third\n")
    assert probe.dure("apply").returncode == 0
    assert probe.dure("call", "third", "GET", "/status/200").returncode == 0
    probe.edit("  - path: third\n", "")
    assert probe.dure("apply").returncode == 0
    wait_until(lambda: not probe.pids("third"), "its process is gone")
    assert probe.dure("call", "third", "GET", "/status/200").returncode == 5
