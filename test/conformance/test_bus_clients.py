"""Unchanged NATS clients against the bus: publish, wildcards, queue groups, headers, requests."""

import pathlib
import shutil
import subprocess

import pytest

CLIENTS = pathlib.Path(__file__).parent / "clients"
COMMON = [
    "connect",
    "wildcard *",
    "wildcard >",
    "queue group",
    "headers",
    "request and reply",
    "large payload",
    "no responders",
    "unsubscribe after three",
]


def run(argv, cwd=None):
    result = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.split("\n")
    assert [line for line in COMMON if line not in lines] == []


def test_libnats(bus, tmp_path):
    if not pathlib.Path("/usr/include/nats/nats.h").exists():
        pytest.skip("libnats-dev is not installed")
    program = tmp_path / "client"
    subprocess.run(["cc", "-o", program, CLIENTS / "client.c", "-lnats"], check=True)
    run([program, bus.url])


def test_transport_node(bus, node_client):
    # A module is looked up from where the script is.
    script = node_client / "client.mjs"
    shutil.copy(CLIENTS / "client.mjs", script)
    run(["node", script, bus.url], cwd=node_client)


def test_nats_py(bus, python_client):
    run([python_client, CLIENTS / "client.py", bus.url])


