"""Unchanged clients use JetStream, key-value, object store and services: what they say must be what
they say of nats-server 2.15.1, which is written down in clients/expected. With NATS_SERVER_EXE (a
nats-server from 2.11 on) that server is asked too."""

import difflib
import os
import pathlib
import shutil
import subprocess

import pytest

import conftest

CLIENTS = pathlib.Path(__file__).parent / "clients"
NODE_PACKAGES = [
    "@nats-io/transport-node@3.4.0",
    "@nats-io/jetstream@3.4.0",
    "@nats-io/kv@3.4.0",
    "@nats-io/obj@3.4.0",
    "@nats-io/services@3.0.0-25",
]


def build_libnats():
    if not pathlib.Path("/usr/include/nats/nats.h").exists():
        pytest.skip("libnats-dev is not installed")
    folder = conftest.CACHE / "libnats"
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "jetstream"
    subprocess.run(["cc", "-o", program, CLIENTS / "jetstream.c", "-lnats"], check=True)
    return [program], folder


def build_node():
    folder = conftest.CACHE / "node-jetstream"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules" / "@nats-io" / "obj").exists():
        (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
        conftest.install(
            "nats.js", ["npm", "install", "--no-audit", "--no-fund", *NODE_PACKAGES], folder
        )
    # A module is looked up from where the script is.
    shutil.copy(CLIENTS / "jetstream.mjs", folder)
    return ["node", folder / "jetstream.mjs"], folder


def build_python():
    folder = conftest.CACHE / "venv"
    python = folder / "bin" / "python"
    if not any(folder.glob("lib/*/site-packages/nats")):
        conftest.install("a venv", ["python3", "-m", "venv", str(folder)], conftest.ROOT)
        conftest.install("nats-py", [str(python), "-m", "pip", "install", "-q", "nats-py"], folder)
    return [python, CLIENTS / "jetstream.py"], folder


def build_go():
    go = shutil.which("go") or "/usr/local/go/bin/go"
    if not pathlib.Path(go).exists():
        pytest.skip("go is not installed")
    folder = conftest.CACHE / "go"
    shutil.copytree(CLIENTS / "go", folder, dirs_exist_ok=True)
    conftest.install("nats.go", [go, "build", "-o", "jetstream", "."], folder)
    return [folder / "jetstream"], folder


def build_java():
    if not shutil.which("mvn") or not shutil.which("java"):
        pytest.skip("java or mvn is not installed")
    folder = conftest.CACHE / "java"
    shutil.copytree(CLIENTS / "java", folder, dirs_exist_ok=True)
    goals = ["compile", "dependency:build-classpath", "-Dmdep.outputFile=classpath.txt"]
    conftest.install("jnats", ["mvn", "-q", "-B", *goals], folder)
    jars = (folder / "classpath.txt").read_text().strip()
    return ["java", "-cp", f"{folder / 'target' / 'classes'}:{jars}", "Main"], folder


BUILDS = {
    "libnats": build_libnats,
    "node": build_node,
    "python": build_python,
    "go": build_go,
    "java": build_java,
}


def run(name, url):
    argv, folder = BUILDS[name]()
    result = subprocess.run([*argv, url], cwd=folder, capture_output=True, text=True, timeout=120)
    expected = (CLIENTS / "expected" / f"{name}.txt").read_text().splitlines()
    found = result.stdout.splitlines()
    if found != expected:
        diff = difflib.unified_diff(expected, found, "nats-server", "found", lineterm="", n=2)
        pytest.fail("\n".join([*diff, result.stderr[-2000:]]))


@pytest.fixture
def bus_with_data(tmp_path):
    exe = pathlib.Path(os.environ.get("DURE_BUS_EXE", conftest.BUILD / "src" / "app" / "dure"))
    if not exe.exists() or exe.name != "dure":
        pytest.skip("dure is not built")
    port = conftest.free_port()
    argv = [str(exe), "bus", "--listen", f"127.0.0.1:{port}", "--data", str(tmp_path / "data")]
    server = conftest.Server(argv, port)
    yield server
    assert server.process.poll() is None, "the bus ended by itself"
    assert server.stop() == 0


@pytest.mark.parametrize("client", BUILDS)
def test_client(client, bus_with_data):
    run(client, bus_with_data.url)


@pytest.mark.parametrize("client", BUILDS)
def test_reference(client, tmp_path):
    exe = os.environ.get("NATS_SERVER_EXE")
    if not exe:
        pytest.skip("NATS_SERVER_EXE does not name a nats-server")
    port = conftest.free_port()
    argv = [exe, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(tmp_path)]
    server = conftest.Server(argv, port)
    try:
        run(client, server.url)
    finally:
        server.process.kill()
        server.process.wait()
