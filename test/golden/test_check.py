"""`dure check DIR` says about each broken system below manifest/ exactly its expected.txt."""

import os
import pathlib
import subprocess

import pytest

CASES = sorted(path for path in (pathlib.Path(__file__).parent / "manifest").iterdir() if path.is_dir())


@pytest.fixture(scope="session")
def dure():
    exe = os.environ.get("DURE_EXE")
    if not exe:
        pytest.skip("DURE_EXE names no program")
    return exe


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_check(dure, case):
    expected = (case / "expected.txt").read_text()
    run = subprocess.run([dure, "check", "."], cwd=case, capture_output=True, text=True, timeout=30)
    if expected == "no mistake\n":
        assert (run.returncode, run.stderr) == (0, "")
        return
    assert run.returncode != 0
    assert run.stdout == ""
    said, _, last = run.stderr.rstrip("\n").rpartition("\n")
    assert said + "\n" == expected
    assert last.startswith("dure: ") and "mistake" in last
