"""A cluster of real nats-servers, for tests: started, killed, and cut apart."""
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import time
import urllib.request

from conftest import free_port

SERVER = shutil.which("nats-server") or "/usr/sbin/nats-server"


def available():
    return os.access(SERVER, os.X_OK)


class Server:
    def __init__(self, cluster, index, host="127.0.0.1", prefix=()):
        self.cluster, self.name, self.host, self.prefix = cluster, f"n{index}", host, list(prefix)
        self.port, self.route_port, self.monitor_port = free_port(), free_port(), free_port()
        self.folder = cluster.folder / self.name
        self.process = None

    def configure(self):
        others = [s for s in self.cluster.servers if s is not self]
        routes = "\n".join(f"    nats://{s.host}:{s.route_port}" for s in others)
        self.folder.mkdir(exist_ok=True)
        clustered = "" if not others else f"""
cluster {{
  name: C1
  listen: "{self.host}:{self.route_port}"
  routes: [
{routes}
  ]
}}"""
        (self.folder / "nats.conf").write_text(f"""
server_name: {self.name}
listen: "{self.host}:{self.port}"
http: "{self.host}:{self.monitor_port}"
jetstream {{ store_dir: "{self.folder}/data", max_file: 1GB, max_mem: 64MB }}
{clustered}
{self.cluster.more}
""")

    def start(self):
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen([*self.prefix, SERVER, "-c", str(self.folder / "nats.conf")],
                                            stdout=log, stderr=subprocess.STDOUT)

    def kill(self):
        """kill -9"""
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout=5)
            except subprocess.TimeoutExpired:
                self.kill()

    def ask(self, what):
        with urllib.request.urlopen(f"http://{self.host}:{self.monitor_port}/{what}", timeout=2) as answer:
            return json.load(answer)

    def alive(self):
        return self.process is not None and self.process.poll() is None


class Cluster:
    """`more`: further lines of every server's configuration."""

    def __init__(self, folder, size=3, more="", hosts=None):
        self.folder, self.more = pathlib.Path(folder), more
        self.folder.mkdir(parents=True, exist_ok=True)
        self.servers = []
        for i in range(size):
            host, prefix = hosts[i] if hosts else ("127.0.0.1", ())
            self.servers.append(Server(self, i, host, prefix))
        for server in self.servers:
            server.configure()

    @property
    def url(self):
        return "nats://" + ",".join(f"{s.host}:{s.port}" for s in self.servers)

    def start(self, seconds=30):
        for server in self.servers:
            server.start()
        self.wait(seconds)
        return self

    def wait(self, seconds=30):
        """Until JetStream has a leader."""
        end = time.monotonic() + seconds
        while not self.leader():
            assert time.monotonic() < end, "the cluster does not come up"
            time.sleep(0.1)

    def leader(self):
        """The server that leads JetStream; of a single server itself."""
        for server in self.servers:
            if not server.alive():
                continue
            try:
                jsz = server.ask("jsz")
            except OSError:
                continue
            name = jsz.get("meta_cluster", {}).get("leader") if len(self.servers) > 1 else server.name
            if name:
                return next((s for s in self.servers if s.name == name and s.alive()), None)
        return None

    def streams(self):
        """name -> what /jsz says of it, of any server that answers."""
        for server in self.servers:
            if not server.alive():
                continue
            try:
                jsz = server.ask("jsz?streams=1&config=1&consumers=1")
            except OSError:
                continue
            return {s["name"]: s for account in jsz.get("account_details", []) for s in account.get("stream_detail", [])}
        return {}

    def leader_of(self, stream):
        name = self.streams().get(stream, {}).get("cluster", {}).get("leader")
        return next((s for s in self.servers if s.name == name), None)

    def stop(self):
        for server in self.servers:
            server.stop()


class Client:
    """One connection to a server, for requests one after the other."""

    def __init__(self, port, host="127.0.0.1"):
        self.socket = socket.create_connection((host, port), timeout=20)
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.count = 0
        self.socket.sendall(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB _R.* 1\r\n')

    def request(self, subject, body=b"", headers=b""):
        """The body of the reply; of a reply without one its headers."""
        self.count += 1
        reply = f"_R.{self.count}"
        head = f"{len(headers)} {len(headers) + len(body)}" if headers else f"{len(body)}"
        verb = "HPUB" if headers else "PUB"
        self.socket.sendall(f"{verb} {subject} {reply} {head}\r\n".encode() + headers + body + b"\r\n")
        while True:
            words = self.file.readline().split()
            assert words, "the server has closed the connection"
            if words[0] == b"PING":
                self.socket.sendall(b"PONG\r\n")
            elif words[0] in (b"MSG", b"HMSG"):
                data = self.file.read(int(words[-1]) + 2)[:-2]
                if words[1].decode() == reply:
                    return data[int(words[-2]):] or data if words[0] == b"HMSG" else data

    def publish(self, subject, body=b"", headers=b""):
        ack = json.loads(self.request(subject, body, headers))
        assert "error" not in ack, ack
        return ack["seq"]

    def api(self, what, **body):
        return json.loads(self.request(f"$JS.API.{what}", json.dumps(body).encode() if body else b""))

    def take(self, stream, consumer):
        """The next message of a pull consumer, acknowledged: (sequence, body)."""
        self.count += 1
        self.socket.sendall(f"SUB _T.{self.count} 2\r\nPUB $JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer} _T.{self.count} 1\r\n1\r\n"
                            .encode())
        while True:
            words = self.file.readline().split()
            assert words, "the server has closed the connection"
            if words[0] == b"PING":
                self.socket.sendall(b"PONG\r\n")
            elif words[0] in (b"MSG", b"HMSG"):
                data = self.file.read(int(words[-1]) + 2)[:-2]
                if words[2] != b"2":
                    continue
                assert words[3].startswith(b"$JS.ACK"), data
                self.socket.sendall(b"UNSUB 2\r\n")
                self.request(words[3].decode(), b"+ACK")
                return int(words[3].split(b".")[5]), data[int(words[-2]) if words[0] == b"HMSG" else 0:]

    def close(self):
        self.file.close()
        self.socket.close()
