"""Fixtures: a bus under test, and what its clients are run with."""

import os
import pathlib
import signal
import socket
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DURE_BUILD", ROOT / "build"))
CACHE = BUILD / "conformance"
DURE = pathlib.Path(os.environ.get("DURE_EXE", BUILD / "src" / "app" / "dure"))


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for(port, process):
    for _ in range(100):
        assert process.poll() is None, "the server ended"
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"nothing listens on {port}")


class Server:
    """A NATS server as a child process."""

    def __init__(self, argv, port):
        self.port = port
        self.url = f"nats://127.0.0.1:{port}"
        self.process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(port, self.process)

    def stop(self):
        """Ends it and returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


def bus_argv(port, options=()):
    exe = pathlib.Path(
        os.environ.get("DURE_BUS_EXE", BUILD / "test" / "conformance" / "bus_server")
    )
    if not exe.exists():
        pytest.skip(f"{exe} is not built")
    address = f"127.0.0.1:{port}"
    if exe.name != "dure":
        return [str(exe), address, *options]
    if options:
        pytest.skip("the bus inside dure takes no test options")
    return [str(exe), "bus", "--listen", address]


@pytest.fixture
def start_bus():
    """A function that starts a bus with options ("max_pending=1000"); all end with the test."""
    servers = []

    def start(*options):
        port = free_port()
        servers.append(Server(bus_argv(port, options), port))
        return servers[-1]

    yield start
    for server in servers:
        assert server.process.poll() is None, "the bus ended by itself"
        assert server.stop() == 0


@pytest.fixture
def bus(start_bus):
    return start_bus()


def install(name, argv, cwd):
    """Runs a package manager, or skips with its words."""
    try:
        result = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=180)
    except (OSError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"{name} cannot be installed: {error}")
    if result.returncode:
        pytest.skip(f"{name} cannot be installed: {result.stderr.strip()[-300:]}")


@pytest.fixture(scope="session")
def node_client():
    """A folder with @nats-io/transport-node installed."""
    folder = CACHE / "node"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "node_modules" / "@nats-io" / "transport-node").exists():
        (folder / "package.json").write_text('{"private": true, "type": "module"}\n')
        install(
            "@nats-io/transport-node",
            ["npm", "install", "--no-audit", "--no-fund", "@nats-io/transport-node@3.4.0"],
            folder,
        )
    return folder


@pytest.fixture(scope="session")
def python_client():
    """A python with nats-py."""
    folder = CACHE / "venv"
    python = folder / "bin" / "python"
    if not any(folder.glob("lib/*/site-packages/nats")):
        install("a venv", ["python3", "-m", "venv", str(folder)], ROOT)
        install("nats-py", [str(python), "-m", "pip", "install", "-q", "nats-py"], ROOT)
    return python
