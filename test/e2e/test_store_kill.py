"""A writer is killed (SIGKILL) again and again at random moments; whatever it had acknowledged over its
pipe is there afterwards, in order, with its content, in each of its journals."""

import os
import random
import signal
import subprocess
import time

import pytest
from store_tools import built, read_all

KILLS = int(os.environ.get("DURE_KILLS", "200"))


def run_and_kill(program, folder, journals, seconds):
    """Returns what was there at the start and the last numbers that were acknowledged."""
    with subprocess.Popen([program, "write", folder, str(journals)], stdout=subprocess.PIPE) as process:
        there = []
        for journal in range(journals):
            word, number, count = process.stdout.readline().split()
            assert (word, int(number)) == (b"open", journal)
            there.append(int(count))
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)
        # Only whole lines count: the last one may have been cut by the kill.
        lines = process.stdout.read().split(b"\n")[:-1]
    last = list(there)
    for line in lines:
        journal, number = map(int, line.split())
        assert number == last[journal] + 1
        last[journal] = number
    return there, last


@pytest.mark.parametrize("journals", [1, 7])
def test_everything_acknowledged_survives_kill(tmp_path, journals):
    program, folder = built("store_writer"), str(tmp_path / "store")
    chance = random.Random(20261121)
    acknowledged = [0] * journals
    total = 0
    for kill in range(KILLS):
        if kill % 25 == 24:  # keep it small enough to read again
            subprocess.run(["rm", "-r", folder], check=True)
            total += sum(acknowledged)
            acknowledged = [0] * journals
        there, last = run_and_kill(program, folder, journals, chance.random() * 0.02)
        assert all(found >= known for found, known in zip(there, acknowledged)), f"kill {kill}: {acknowledged}, {there}"
        acknowledged = last
    found = read_all(program, folder, journals)
    assert all(n >= known for n, known in zip(found, acknowledged))
    assert total + sum(acknowledged) > KILLS, "hardly anything was written"
