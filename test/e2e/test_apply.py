"""dure apply: what is deployable is deployed without a lost request; what is not changes nothing."""
import pathlib
import re
import shutil
import socket
import threading

import pytest
from conftest import ROOT
from dure_system import dure, free_port, running, wait_until, write_service

MISTAKES = sorted(path for path in (ROOT / "test" / "golden" / "manifest").iterdir()
                  if path.is_dir() and path.name != "valid")


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """A system of member and order, as the golden mistakes call them, that no test may change."""
    with running(tmp_path_factory.mktemp("calm"), {"member": "", "order": "needs: [member]"}) as probe:
        yield probe


@pytest.fixture
def live(tmp_path):
    with running(tmp_path / "live", {"one": "", "two": ""}) as probe:
        yield probe


@pytest.mark.parametrize("case", MISTAKES, ids=lambda case: case.name)
def test_a_mistake_is_refused_and_changes_nothing(calm, tmp_path, case):
    """The mistaken files are laid over those of a running system."""
    good = tmp_path / "good"
    names = ["dure.yaml", "member", "order"]
    good.mkdir()
    pids = calm.pids()
    for name in names:
        shutil.move(calm.folder / name, good / name)
    try:
        for path in case.iterdir():
            target = calm.folder / path.name
            shutil.copytree(path, target, symlinks=True) if path.is_dir() else shutil.copy(path, target)
        applied = dure("apply", cwd=calm.folder)
    finally:
        for path in case.iterdir():
            target = calm.folder / path.name
            shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        for name in names:
            shutil.move(good / name, calm.folder / name)
    said, _, last = applied.stderr.rstrip("\n").rpartition("\n")
    assert said + "\n" == (case / "expected.txt").read_text()
    assert re.fullmatch(r"dure: \d+ mistakes? in the manifests", last)
    assert (applied.returncode, applied.stdout) == (3, "")
    assert calm.pids() == pids
    assert calm.get("/member/x")[0] == 200


def test_nothing_changed_is_deployed_at_once(calm):
    pids = calm.pids()
    applied = calm.dure("apply")
    assert (applied.returncode, applied.stderr) == (0, "")
    assert "deployed" in applied.stdout
    assert calm.pids() == pids


class Load:
    """Asks for a path all the time; what it saw that was no 200 is in `failed`."""

    def __init__(self, probe, path):
        self.probe, self.path, self.failed, self.count, self.ended = probe, path, [], 0, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        while not self.ended.is_set():
            try:
                status = self.probe.request("GET", self.path)[0]
            except OSError as error:
                status = error
            self.count += 1
            if status != 200:
                self.failed.append(status)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None:  # what was changed may have been quicker than a few requests
                wait_until(lambda: self.count > 10, "there was some load")
        finally:
            self.ended.set()
            self.thread.join()


def apply(probe):
    applied = probe.dure("apply")
    assert applied.returncode == 0, applied.stderr
    return applied


def test_scale_up_and_down(live):
    before = live.pids()
    with Load(live, "/one/x") as load:
        live.edit("  - path: one\n", "  - path: one\n    scale: 3\n")
        apply(live)
        assert len(live.pids("one")) == 3
        assert set(before) <= set(live.pids())
        answered = set()
        wait_until(lambda: answered.add(live.get("/one/x")[1]["instance"]) or len(answered) == 3, "all three answer", 15)
        live.edit("    scale: 3\n", "    scale: 1\n")
        apply(live)
        wait_until(lambda: live.pids() == before, "what was too much has gone")
    assert load.count > 10 and not load.failed


def test_a_new_version_replaces_the_old_behind_its_last_request(live):
    (old,) = live.pids("one")
    other = live.pids("two")
    slow = []
    thread = threading.Thread(target=lambda: slow.append(live.request("GET", "/one/slow/2500")[0]))
    thread.start()
    with Load(live, "/one/x") as load:
        write_service(live.folder, "one", version="1.1.0")
        apply(live)
        wait_until(lambda: live.get("/one/x")[1]["version"] == "1.1.0", "the new version has the traffic", 5)
        thread.join()
        wait_until(lambda: old not in live.pids("one"), "the old version has gone")
    assert slow == [200]
    assert load.count > 10 and not load.failed
    assert live.pids("two") == other


def test_a_new_route_and_a_new_service(live):
    before = live.pids()
    assert live.get("/alias/x")[0] == 404
    write_service(live.folder, "three")
    live.edit("  - path: two\n", "  - path: two\n  - path: three\n")
    live.edit("  routes:\n", "  routes:\n    - {path: /alias, to: one}\n    - {path: /three, to: three}\n")
    apply(live)
    assert live.get("/alias/x")[1]["path"] == "/alias/x"
    assert live.get("/three/x")[1]["service"] == "three"
    assert set(before) < set(live.pids())
    live.edit("  - path: three\n", "")
    live.edit("    - {path: /three, to: three}\n", "")
    apply(live)
    wait_until(lambda: live.pids() == before, "the service that was taken out has gone")
    assert live.get("/three/x")[0] == 404


BROKEN = {
    "never healthy": ("health: {path: /status/503, interval: 100ms}", r"one-\d+-0 did not become healthy within 2 s: .*503"),
    "exits at once": ("run: sh -c 'echo no; exit 7'", r"one-\d+-0 ended 5 times in a row: .*7"),
    "no such program": ("run: ./no-such-program", r"no-such-program"),
    "does not listen": ("run: sleep 60", r"one-\d+-0 did not become healthy within 2 s: .+"),
}


@pytest.fixture(scope="module")
def steady(tmp_path_factory):
    with running(tmp_path_factory.mktemp("steady"), {"one": "", "two": ""}) as probe:
        probe.edit("deploy_timeout: 5s", "deploy_timeout: 2s")
        assert probe.dure("apply").returncode == 0
        yield probe


@pytest.mark.parametrize("keys, reason", BROKEN.values(), ids=BROKEN)
def test_what_does_not_come_up_is_taken_back(steady, keys, reason):
    pids = steady.pids()
    write_service(steady.folder, "one", keys, version="2.0.0")
    steady.edit("  - path: two\n", "  - path: two\n    scale: 2\n")
    try:
        applied = steady.dure("apply")
    finally:
        write_service(steady.folder, "one")
        steady.edit("    scale: 2\n", "")
    assert (applied.returncode, applied.stdout) == (1, "")
    assert re.search(reason, applied.stderr), applied.stderr
    assert "dure logs one" in applied.stderr
    wait_until(lambda: steady.pids() == pids, "only what ran before runs")
    assert steady.get("/one/x")[1]["version"] == "1.0.0"
    assert steady.dure("apply").returncode == 0


def test_nothing_is_stopped_for_a_deployment_that_fails(tmp_path):
    """Less of one service and a broken other in the same deployment: the first keeps all its instances."""
    with running(tmp_path / "both", {"one": "", "two": ""}) as probe:
        probe.edit("deploy_timeout: 5s", "deploy_timeout: 2s")
        probe.edit("  - path: two\n", "  - path: two\n    scale: 2\n")
        apply(probe)
        pids = probe.pids()
        probe.edit("    scale: 2\n", "")
        write_service(probe.folder, "one", "run: sh -c 'exit 1'", version="2.0.0")
        assert probe.dure("apply").returncode == 1
        wait_until(lambda: len(probe.pids()) == len(pids), "only what ran before runs")
        assert probe.pids() == pids


def test_a_moved_address_needs_a_new_start(calm):
    pids, text = calm.pids(), (calm.folder / "dure.yaml").read_text()
    try:
        for old, key in ((f"127.0.0.1:{calm.gateway_port}", "gateway.listen"), (f"127.0.0.1:{calm.bus_port}", "bus.listen")):
            (calm.folder / "dure.yaml").write_text(text.replace(old, f"127.0.0.1:{free_port()}"))
            applied = calm.dure("apply")
            assert (applied.returncode, applied.stdout) == (1, "")
            assert applied.stderr == f"dure: {key} has changed, which needs a new start: dure down, then dure up\n"
    finally:
        (calm.folder / "dure.yaml").write_text(text)
    assert calm.pids() == pids
    assert calm.get("/order/x")[0] == 200


def test_two_at_once(live):
    write_service(live.folder, "one", "env: {SLOW: start}", version="1.1.0")
    codes = []
    threads = [threading.Thread(target=lambda: codes.append(live.dure("apply"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 0 in [run.returncode for run in codes]
    for run in codes:
        assert run.returncode == 0 or "a deployment is under way" in run.stderr
    wait_until(lambda: live.get("/one/x")[1]["version"] == "1.1.0", "the new version has the traffic", 5)
