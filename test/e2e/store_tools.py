"""What the tests of the store share: the program that writes, and reading what it has left."""

import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


def built(name):
    for build in ("build-release", "build"):
        for program in (ROOT / build / "test" / "e2e" / name, ROOT / build / "test" / "e2e" / f"lib{name}.so"):
            if program.exists():
                return str(program)
    pytest.skip(f"{name} is not built")


def read_all(program, folder, journals):
    """The last record of each journal; they are complete, in order, and have their content."""
    result = subprocess.run([program, "read", folder, str(journals)], capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stdout[-200:] + result.stderr
    lines = result.stdout.split("\n")
    assert lines[-2:] == ["end", ""]
    last = [0] * journals
    for line in lines[:-2]:
        journal, number = map(int, line.split())
        assert number == last[journal] + 1, f"journal {journal}: {number} after {last[journal]}"
        last[journal] = number
    return last
