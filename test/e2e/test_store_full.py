"""A file system that is really full: appends are refused, nothing acknowledged is lost, and when there is
room again they work, without a restart. Needs to mount a small file system: skipped where that is not
permitted."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import DURE, ROOT
from dure_system import free_port, wait_until
from store_tools import built, read_all

sys.path.insert(0, str(ROOT / "test/lib"))
from nats_wire import Wire  # noqa: E402

JOURNALS = 4


@pytest.fixture
def small_disk(tmp_path):
    image, folder = tmp_path / "image", tmp_path / "disk"
    folder.mkdir()
    with open(image, "wb") as file:
        file.truncate(64 << 20)
    for command in (["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop", str(image), str(folder)]):
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.CalledProcessError) as error:
            pytest.skip(f"no small disk: {error}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True, timeout=60)


def test_a_full_disk_refuses_and_recovers(small_disk):
    program, folder, filler = built("store_writer"), str(small_disk / "store"), small_disk / "filler"
    filler.write_bytes(os.urandom(20 << 20))
    acknowledged = [0] * JOURNALS
    with subprocess.Popen([program, "fill", folder, str(JOURNALS)], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as process:
        def follow(until):
            for line in process.stdout:
                words = line.split()
                if words == [b"full"]:
                    return
                if words[0] != b"open":
                    journal, number = map(int, words)
                    acknowledged[journal] += 1
                    assert number == acknowledged[journal], "out of order"
                if sum(acknowledged) >= until:
                    return
        follow(1 << 30)
        assert sum(acknowledged) > 1000, "full too early"
        filler.unlink()
        process.stdin.write(b"go on\n")
        process.stdin.flush()
        before = list(acknowledged)
        follow(sum(before) + 2000)
        assert all(now > then for now, then in zip(acknowledged, before)), "a journal does not go on"
        process.send_signal(signal.SIGKILL)
        for line in process.stdout:
            if line.endswith(b"\n"):
                journal, number = map(int, line.split())
                acknowledged[journal] = number
    found = read_all(program, folder, JOURNALS)
    assert all(n >= known for n, known in zip(found, acknowledged)), f"{acknowledged}, {found}"


class Bus:
    """The program on a small disk."""

    def __init__(self, disk, log):
        self.disk, self.log, self.port = disk, log, free_port()
        self.start()

    def start(self):
        said = self.log.read_text().count("bus nats://") if self.log.exists() else 0
        self.process = subprocess.Popen(
            [DURE, "bus", "--listen", f"127.0.0.1:{self.port}", "--data", str(self.disk / "data")],
            stdout=self.log.open("a"), stderr=subprocess.STDOUT)
        wait_until(lambda: self.log.read_text().count("bus nats://") > said, "the bus listens", 10)
        self.wire = Wire(self.port)

    def kill_and_start(self):
        self.process.kill()
        self.process.wait()
        self.start()

    def state(self, stream):
        return self.wire.ask(f"$JS.API.STREAM.INFO.{stream}", None)["state"]

    def work(self, count):
        """What a worker of WORK is given, each confirmed."""
        wire, request, taken, confirmed = Wire(self.port), f'{{"batch":{count},"expires":3000000000}}', [], 0
        wire.subscribe("_INBOX.w.*")
        wire.send(f"PUB $JS.API.CONSUMER.MSG.NEXT.WORK.worker _INBOX.w.m {len(request)}\r\n{request}\r\n".encode())
        end = time.monotonic() + 10
        while confirmed < count:
            assert time.monotonic() < end, f"{len(taken)} messages came, {confirmed} acknowledgements are confirmed"
            for frame in wire.frames(1):
                if frame.subject == b"_INBOX.w.a":
                    confirmed += 1
                    continue
                assert frame.reply, frame.status
                taken.append(json.loads(frame.payload))
                wire.send(b"PUB %s _INBOX.w.a 4\r\n+ACK\r\n" % frame.reply)
        wire.close()
        return taken


@pytest.fixture
def bus(small_disk, tmp_path):
    bus = Bus(small_disk, tmp_path / "bus.log")
    yield bus
    bus.process.terminate()
    assert bus.process.wait(20) == 0


def test_a_bus_on_a_full_disk_can_be_worked_with(bus):
    ask = bus.wire.ask
    for name, more in (("BULK", {}), ("WORK", {"retention": "workqueue"})):
        assert "error" not in ask(f"$JS.API.STREAM.CREATE.{name}", {"name": name, "subjects": [name.lower()], **more})
    assert "error" not in ask("$JS.API.CONSUMER.DURABLE.CREATE.WORK.worker", {
        "stream_name": "WORK", "config": {"durable_name": "worker", "ack_policy": "explicit"}})
    for number in range(60):
        assert "error" not in ask("work", f"job {number}")
    stored, answer = 0, {}
    while "error" not in answer:
        answer = ask("bulk", "x" * 60000)
        stored += "error" not in answer
        assert stored < 2000, "the disk does not fill"
    assert answer["error"]["err_code"] == 10047, answer
    wait_until(lambda: '"disk_full"' in bus.log.read_text(), "the log says it", 5)

    # What makes room and what was being worked on goes on, and holds.
    assert bus.work(20) == [f"job {number}" for number in range(20)]
    assert ask("$JS.API.STREAM.MSG.DELETE.BULK", {"seq": 5})["success"]
    bus.kill_and_start()
    assert (bus.state("WORK")["messages"], bus.state("BULK")["messages"]) == (40, stored - 1)
    assert bus.work(20) == [f"job {number}" for number in range(20, 40)]

    assert bus.wire.ask("$JS.API.STREAM.PURGE.BULK", None)["purged"] == stored - 1
    wait_until(lambda: "error" not in bus.wire.ask("bulk", "x" * 60000), "there is room again", 10)
    bus.kill_and_start()
    assert (bus.state("WORK")["messages"], bus.state("BULK")["last_seq"]) == (20, stored + 1)
