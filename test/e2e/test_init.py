"""dure init and dure build: what they make runs, and what is there already stays."""
import json
import os
import pathlib
import shlex
import subprocess
import urllib.request

import pytest
from conftest import DURE, dure

LANGUAGES = ("c", "python", "node")


def get(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.load(response)


@pytest.fixture
def new_system(tmp_path):
    made = dure("init", "system", "first", cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    return tmp_path / "first"


def test_a_new_system_runs(new_system, system):
    running = system(new_system)
    running.up()
    assert get(f"{running.gateway}/hello") == {"hello": "from hello"}
    assert running.down() == 0


@pytest.mark.parametrize("lang", LANGUAGES)
def test_a_new_service_runs_and_passes_its_test(new_system, system, lang):
    made = dure("init", "service", "price", "--lang", lang, "--dir", str(new_system))
    assert made.returncode == 0, made.stderr
    built = dure("build", str(new_system))
    assert built.returncode == 0, built.stderr
    folder = new_system / "price"
    command = [line for line in (folder / "service.yaml").read_text().splitlines() if line.startswith("test: ")]
    subprocess.run(shlex.split(command[0].removeprefix("test: ")), cwd=folder, check=True,
                   env={**os.environ, "DURE_EXE": DURE})
    running = system(new_system)
    running.up()
    assert get(f"{running.gateway}/price") == {"hello": "from price"}
    assert get(f"{running.gateway}/hello") == {"hello": "from hello"}
    called = dure("call", "--dir", str(new_system), "price", "GET", "/price")
    assert json.loads(called.stdout) == {"hello": "from price"}


def test_a_service_is_added_while_the_system_runs(new_system, system):
    running = system(new_system)
    running.up()
    before = running.children()
    assert dure("init", "service", "price", "--lang", "python", "--dir", str(new_system)).returncode == 0
    applied = dure("apply", "--dir", str(new_system))
    assert applied.returncode == 0, applied.stderr
    assert get(f"{running.gateway}/price") == {"hello": "from price"}
    assert before.items() <= running.children().items()


def test_the_manifest_keeps_its_form(new_system):
    manifest = new_system / "dure.yaml"
    before = manifest.read_text()
    for name, more in (("web", ()), ("back", ("--no-route",))):
        assert dure("init", "service", name, "--lang", "python", "--dir", str(new_system), *more).returncode == 0
    after = manifest.read_text()
    added = ["  - path: web", "  - path: back", "    - path: /web", "      to: web"]
    assert [line for line in after.splitlines() if line not in added] == before.splitlines()
    assert all(after.splitlines().count(line) == 1 for line in added)
    assert dure("check", str(new_system)).returncode == 0


@pytest.mark.parametrize("text", [
    "system: first\nservices: [{path: hello}]\n",
    "system: first\nservices:\n  - path: hello\ngateway: {routes: [{path: /hello, to: hello}]}\n",
])
def test_another_form_is_left_alone_and_the_lines_are_told(new_system, text):
    manifest = new_system / "dure.yaml"
    manifest.write_text(text)
    made = dure("init", "service", "web", "--lang", "python", "--dir", str(new_system))
    assert made.returncode == 1
    assert "- path: web" in made.stderr and "to: web" in made.stderr
    assert manifest.read_text() == text
    assert (new_system / "web" / "main.py").exists()


def test_a_route_that_is_taken_is_left_alone(new_system):
    manifest = new_system / "dure.yaml"
    manifest.write_text(manifest.read_text().replace("- path: /hello", "- path: /web"))
    before = manifest.read_text()
    made = dure("init", "service", "web", "--lang", "python", "--dir", str(new_system))
    assert made.returncode == 1 and manifest.read_text() == before
    assert sorted(path.name for path in new_system.iterdir()) == [".gitignore", "README.md", "dure.yaml", "hello", "web"]


def snapshot(folder):
    return {path: path.read_bytes() for path in pathlib.Path(folder).rglob("*") if path.is_file()}


def test_nothing_is_overwritten(new_system, tmp_path):
    (new_system / "taken").mkdir()
    (new_system / "file").write_text("mine")
    before = snapshot(tmp_path)
    assert dure("init", "system", "first", cwd=tmp_path).returncode == 1
    for name in ("hello", "taken", "file"):
        assert dure("init", "service", name, "--lang", "node", "--dir", str(new_system)).returncode == 1
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("arguments", [
    (), ("system",), ("system", "Not_A_Name"), ("system", "a/../.."), ("folder", "x"), ("service", "x"),
    ("service", "x", "--lang", "cobol"), ("service", "x", "--lang", "system"), ("service", "../x", "--lang", "c"),
    ("service", "x", "--lang"), ("service", "x", "--lang", "c", "--fast"),
])
def test_a_wrong_command_line_makes_nothing(tmp_path, arguments):
    assert dure("init", *arguments, cwd=tmp_path).returncode == 2
    assert not list(tmp_path.iterdir())


def test_a_service_needs_a_system(tmp_path):
    made = dure("init", "service", "x", "--lang", "c", cwd=tmp_path)
    assert made.returncode == 3 and "dure.yaml" in made.stderr
    assert not list(tmp_path.iterdir())


def build_commands(folder, commands):
    """A system whose services are built with these commands (None: none)."""
    lines = ["system: s", "services:"]
    for number, command in enumerate(commands):
        (folder / f"s{number}").mkdir()
        build = f"build: {command}\n" if command else ""
        (folder / f"s{number}" / "service.yaml").write_text(
            f"name: s{number}\nversion: 0.1.0\nowner: me\nrun: sleep 1\n{build}")
        lines.append(f"  - path: s{number}")
    (folder / "dure.yaml").write_text("\n".join(lines) + "\n")


def test_build_goes_in_order_and_stops_at_the_first_failure(tmp_path):
    build_commands(tmp_path, ["sh -c 'echo one; pwd'", None, "sh -c 'echo two >&2; exit 7'", "touch never"])
    built = dure("build", str(tmp_path))
    assert built.returncode == 1
    assert f"one\n{tmp_path}/s0\n" in built.stdout
    assert "two\n" in built.stderr and "s2" in built.stderr and "exit status 7" in built.stderr
    assert not (tmp_path / "s3" / "never").exists()


def test_build_tells_what_cannot_be_run(tmp_path):
    build_commands(tmp_path, ["no-such-compiler x.c"])
    built = dure("build", str(tmp_path))
    assert built.returncode == 1 and "no-such-compiler" in built.stderr and "s0" in built.stderr


def test_build_tells_which_signal_ended_it(tmp_path):
    build_commands(tmp_path, ["sh -c 'kill -9 $$'"])
    built = dure("build", str(tmp_path))
    assert built.returncode == 1 and "signal 9" in built.stderr


def test_build_counts_and_takes_the_current_folder(tmp_path):
    build_commands(tmp_path, ["true", None])
    built = dure("build", cwd=tmp_path)
    assert built.returncode == 0 and "built 1 of 2 services" in built.stdout


def test_build_says_mistakes_of_the_manifests(tmp_path):
    build_commands(tmp_path, ["true"])
    (tmp_path / "dure.yaml").write_text("system: s\nservices: 7\n")
    assert dure("build", str(tmp_path)).returncode == 3
