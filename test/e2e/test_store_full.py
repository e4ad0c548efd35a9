"""A file system that is really full: appends are refused, nothing acknowledged is lost, and when there is
room again they work, without a restart. Needs to mount a small file system: skipped where that is not
permitted."""

import os
import signal
import subprocess

import pytest
from store_tools import built, read_all

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
