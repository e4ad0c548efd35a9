"""alone: what the services' tests share: one service, started by itself, between neighbours that the test plays."""
import http.client
import json
import os
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

START_SECONDS = 20


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, what, seconds=START_SECONDS):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.02)


def dure():
    """The program under test: $DURE_EXE, or what script/build made."""
    shop = os.path.dirname(os.path.abspath(__file__))
    return os.environ.get("DURE_EXE") or os.path.join(shop, "..", "..", "build-release", "src", "app", "dure")


def build(folder, command):
    subprocess.run(shlex.split(command), cwd=folder, check=True)


class Service:
    """A process in the service's folder, with its database in a folder of its own."""

    def __init__(self, folder, command, store, **environment):
        self.folder, self.command = folder, command
        self.data = tempfile.mkdtemp(prefix="shop-")
        self.database = os.path.join(self.data, store)
        self.port = free_port()
        self.environment = {**os.environ, "PORT": str(self.port), "HOST": "127.0.0.1",
                            "DATABASE_URL": f"sqlite://{self.database}", **environment}
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, cwd=self.folder, env=self.environment)
        wait_until(self.healthy, f"{self.command} is healthy")

    def healthy(self):
        assert self.process.poll() is None, f"{self.command} ended with {self.process.returncode}"
        try:
            return self.ask("GET", "/health")[0] == 200
        except OSError:
            return False

    def ask(self, method, path, body=None, headers=()):
        """(status, what the JSON says)"""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body if body is None or isinstance(body, bytes) else json.dumps(body),
                               {"Content-Type": "application/json", **dict(headers)})
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None
        finally:
            connection.close()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Gracefully; returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=15)

    def close(self):
        if self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.data)


class Neighbour:
    """What stands at $DURE_HTTP and $DURE_BUS: answers with what `answers(method, path, body)` returns."""

    def __init__(self, answers):
        self.requests = []
        neighbour = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = 65536

            def do_GET(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                neighbour.requests.append((self.command, self.path, body, dict(self.headers)))
                status, value = answers(self.command, self.path, body)
                text = json.dumps(value).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)
                self.wfile.flush()

            do_POST = do_GET

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *_: None  # a service that is killed breaks its connections
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


class Bus:
    """A message bus of its own (nats-server, or `dure bus`), and a client that plays whoever is asked there."""

    def __init__(self):
        self.data = tempfile.mkdtemp(prefix="shop-bus-")
        self.port = free_port()
        self.handlers = {}
        server = shutil.which("nats-server") or shutil.which("nats-server", path="/usr/sbin:/usr/local/bin")
        command = ([server, "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd", self.data] if server else
                   [dure(), "bus", "--listen", f"127.0.0.1:{self.port}", "--data", self.data])
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_until(self.connect, "the bus is up")
        threading.Thread(target=self.listen, daemon=True).start()

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    def connect(self):
        try:
            self.socket = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        except OSError:
            return False
        self.socket.settimeout(None)
        self.input = self.socket.makefile("rb")
        self.send(b'CONNECT {"verbose":false,"headers":true}\r\n')
        return True

    def send(self, text):
        self.socket.sendall(text)

    def publish(self, subject, value, reply="", status=200):
        body = json.dumps(value).encode()
        if status < 400:
            return self.send(f"PUB {subject} {reply} {len(body)}\r\n".encode() + body + b"\r\n")
        head = f"NATS/1.0\r\nNats-Service-Error-Code: {status}\r\nNats-Service-Error: refused\r\n\r\n".encode()
        return self.send(f"HPUB {subject} {reply} {len(head)} {len(head) + len(body)}\r\n".encode() + head + body + b"\r\n")

    def answer(self, subject, handler):
        """`handler(value)` returns (status, value), or None: no answer."""
        self.handlers[subject] = handler
        self.send(f"SUB {subject} {len(self.handlers)}\r\nPING\r\n".encode())

    def keep(self, stream, subjects):
        """Makes a stream, and waits until it is there."""
        done = threading.Event()
        self.answer("_INBOX.keep", lambda _: done.set())
        self.publish(f"$JS.API.STREAM.CREATE.{stream}", {"name": stream, "subjects": subjects}, "_INBOX.keep")
        assert done.wait(10), f"the stream {stream} was not made"

    def listen(self):
        for line in self.input:
            words = line.decode().split()
            if words[:1] == ["PING"]:
                self.send(b"PONG\r\n")
            if words[:1] not in (["MSG"], ["HMSG"]):
                continue
            text = self.input.read(int(words[-1]) + 2)[:-2]
            has_reply = len(words) == (5 if words[0] == "MSG" else 6)
            text = text[int(words[-2]):] if words[0] == "HMSG" else text
            answer = self.handlers[words[1]](json.loads(text or b"null"))
            if answer and has_reply:
                self.publish(words[3], answer[1], status=answer[0])

    def close(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.data, ignore_errors=True)
