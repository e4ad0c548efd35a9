"""What the end-to-end tests share: systems of probe services, and what one sees of them from outside."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import textwrap

from conftest import System, dure, free_port, wait_until

HERE = pathlib.Path(__file__).parent
FAST_HEALTH = "health: {path: /health, interval: 200ms, successes: 1, failures: 2}"


def write_service(folder, name, keys="", version="1.0.0"):
    """A folder with a service.yaml and the probe program; `keys`: what else its service.yaml says."""
    folder = pathlib.Path(folder) / name
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "probe_service.py", folder)
    text = f"name: {name}\nversion: {version}\n"
    keys = textwrap.dedent(keys).strip("\n")
    if not re.search(r"^run:", keys, re.M):
        text += "run: /usr/bin/python3 probe_service.py\n"
    if not re.search(r"^health:", keys, re.M):
        text += FAST_HEALTH + "\n"
    if not re.search(r"^stop:", keys, re.M):
        text += "stop: {grace: 2s}\n"
    (folder / "service.yaml").write_text(text + keys + "\n")


OWN_BUS = "{listen: 127.0.0.1:4222}"


def write_system(folder, services, more="", bus=OWN_BUS):
    """A system named probe; services: {name: keys}; each gets the route /NAME. `more`: keys of dure.yaml."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lines = ["system: probe", "deploy_timeout: 5s", "services:"]
    lines += [f"  - path: {name}" for name in services]
    lines += ["gateway:", "  listen: 127.0.0.1:8080", "  routes:"]
    lines += [f"    - {{path: /{name}, to: {name}, rewrite: /}}" for name in services]
    lines += [f"bus: {bus}", textwrap.dedent(more)]
    (folder / "dure.yaml").write_text("\n".join(lines).rstrip() + "\n")
    for name, keys in services.items():
        write_service(folder, name, keys)
    return folder


class Probe(System):
    """A system of probe services that is up, on ports of its own."""

    def __init__(self, folder, services, more="", bus=OWN_BUS):
        super().__init__(write_system(folder, services, more, bus))

    def dure(self, command, *arguments):
        return dure(command, "--dir", str(self.folder), *arguments)

    def internal_port(self):
        return int(self.status()["internal"].rpartition(":")[2])

    def admin_path(self):
        return str(self.folder / ".dure" / "admin.sock")

    def pids(self, name=None):
        return sorted(pid for pid, what in self.children().items() if name in (None, what))

    def worker(self):
        (pid,) = self.pids("worker")
        return pid

    def request(self, method, path, body=None, headers=None, port=None, timeout=20):
        """(status, headers, body) of one request to the gateway."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port or self.gateway_port, timeout=timeout)) as c:
            c.request(method, path, body, headers or {})
            response = c.getresponse()
            return response.status, response.headers, response.read()

    def get(self, path, **options):
        status, _, body = self.request("GET", path, **options)
        return status, json.loads(body) if body else None

    def bus(self, what, subject, body=b"", headers=None, query=""):
        """POST to $DURE_BUS: (status, what the answer says)."""
        status, _, text = self.request("POST", f"/-/bus/{what}/{subject}{query}", body, headers, self.internal_port())
        try:
            return status, json.loads(text)
        except ValueError:
            return status, text.decode()

    def metrics(self):
        """name{labels} -> value."""
        status, _, text = self.request("GET", "/-/metrics", port=self.internal_port())
        assert status == 200
        lines = (line.rpartition(" ") for line in text.decode().splitlines() if not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}

    def tell(self, service, what, status):
        """What /events or /health of a service answers from now on."""
        path = self.folder / ".dure" / "data" / service / f"{what}.status"
        path.with_suffix(".new").write_text(str(status))
        os.replace(path.with_suffix(".new"), path)

    def events(self, service):
        path = self.folder / ".dure" / "data" / service / "events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@contextlib.contextmanager
def running(folder, services, more="", up=True, bus=OWN_BUS):
    probe = Probe(folder, services, more, bus)
    try:
        if up:
            probe.up()
        yield probe
    finally:
        left = probe.children() if probe.process and probe.process.poll() is None else {}
        probe.close()
        print(f"--- {probe.log}\n{probe.log.read_text()[-4000:] if probe.log.exists() else ''}")
        own = probe.folder / ".dure" / "log" / "dure.log"
        said = own.read_text() if own.exists() else ""
        print(f"--- {own}\n{said[-4000:]}")
    assert not re.search(r"Assertion|Sanitizer|runtime error", said + probe.log.read_text()), "the worker has a bug"
    wait_until(lambda: not [pid for pid in left if alive(pid)], f"all of {left} are gone", 15)


def alive(pid):
    """A process that is there and no zombie."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def connect(address, timeout=10):
    """A connection to a port of this machine or a Unix socket's path."""
    family, where = (socket.AF_INET, ("127.0.0.1", address)) if isinstance(address, int) else (socket.AF_UNIX, address)
    connection = socket.socket(family, socket.SOCK_STREAM)
    connection.settimeout(timeout)
    connection.connect(where)
    return connection


__all__ = ["Probe", "alive", "connect", "dure", "free_port", "running", "wait_until", "write_service", "write_system"]
