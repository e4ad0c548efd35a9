"""A writer is killed (SIGKILL) again and again at random moments; whatever it had acknowledged over its
pipe is there afterwards, in order, with its content."""

import os
import pathlib
import random
import signal
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("DURE_KILLS", "200"))


def writer_program():
    for build in ("build-release", "build"):
        program = ROOT / build / "test" / "e2e" / "store_writer"
        if program.exists():
            return str(program)
    pytest.skip("store_writer is not built")


def read_all(program, folder):
    result = subprocess.run([program, "read", folder], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout[-200:] + result.stderr
    lines = result.stdout.split()
    assert lines[-1] == "end"
    return [int(line) for line in lines[:-1]]


def run_and_kill(program, folder, seconds):
    """Returns what was there at the start and the last number that was acknowledged."""
    with subprocess.Popen([program, "write", folder], stdout=subprocess.PIPE) as process:
        first = process.stdout.readline().split()
        assert first[0] == b"open", first
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        # Only whole lines count: the last one may have been cut by the kill.
        lines = process.stdout.read().split(b"\n")[:-1]
    there = int(first[1])
    numbers = [int(line) for line in lines]
    assert numbers == list(range(there + 1, there + 1 + len(numbers)))
    return there, numbers[-1] if numbers else there


def test_everything_acknowledged_survives_kill(tmp_path):
    program, folder = writer_program(), str(tmp_path / "journal")
    chance = random.Random(20261121)
    acknowledged = total = 0
    for kill in range(KILLS):
        if kill % 25 == 24:  # keep it small enough to read again
            subprocess.run(["rm", "-r", folder], check=True)
            total += acknowledged
            acknowledged = 0
        there, last = run_and_kill(program, folder, chance.random() * 0.02)
        assert there >= acknowledged, f"kill {kill}: {acknowledged} acknowledged, {there} found"
        acknowledged = last
    found = read_all(program, folder)
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= acknowledged
    assert total + acknowledged > KILLS, "hardly anything was written"
