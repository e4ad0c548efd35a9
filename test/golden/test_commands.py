"""What the commands of the bus say to somebody who made a mistake, word for word: each file in commands/ is a
session in a shell, `$ dure ...`, then all that is said, then the exit status in brackets when it is not 0."""

import os
import pathlib
import re
import shlex
import subprocess

import pytest

SESSIONS = sorted((pathlib.Path(__file__).parent / "commands").glob("*.txt"))


def said(exe, line):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("NATS_")}
    environment["NATS_URL"] = "nats://127.0.0.1:1"  # nobody listens there
    run = subprocess.run([exe, *shlex.split(line)[1:]], capture_output=True, text=True, timeout=30, env=environment,
                         stdin=subprocess.DEVNULL, cwd="/")
    return run.stdout + run.stderr + (f"[{run.returncode}]\n" if run.returncode else "")


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session.stem)
def test_commands(session):
    exe = os.environ.get("DURE_EXE")
    if not exe:
        pytest.skip("DURE_EXE names no program")
    expected = session.read_text()
    lines = re.findall(r"^\$ (.*)$", expected, re.M)
    got = "".join(f"$ {line}\n{said(exe, line)}\n" for line in lines)
    if os.environ.get("GOLDEN_WRITE"):
        session.write_text(got)
    assert got == expected
