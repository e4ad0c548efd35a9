"""delivery: brings what was ordered. Hears of orders as events (POST /events/order-placed, CloudEvents in
binary mode) and tells how each delivery ended: delivery.done or delivery.failed, once for each order."""
import http.client
import json
import os
import signal
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

local = threading.local()


def database_path():
    return os.environ["DATABASE_URL"].removeprefix("sqlite://")


def connection():
    """One connection for each thread: SQLite's are not to be shared."""
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(database_path(), isolation_level=None, timeout=10)
        local.connection.execute("PRAGMA synchronous = FULL")
    return local.connection


def prepare():
    db = sqlite3.connect(database_path())
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE IF NOT EXISTS delivery (order_id TEXT PRIMARY KEY, address TEXT NOT NULL, outcome TEXT NOT NULL)")
    db.close()


def outcome_for(address):
    """Nobody is at home at an address that says so: how a test makes a delivery fail."""
    return "failed" if "nowhere" in address else "done"


def deliver(order):
    """Decides once; a repeated event finds what was decided."""
    outcome = outcome_for(order["address"])
    connection().execute("INSERT OR IGNORE INTO delivery VALUES (?, ?, ?)", (order["id"], order["address"], outcome))
    row = connection().execute("SELECT outcome FROM delivery WHERE order_id = ?", (order["id"],)).fetchone()
    return row[0]


def publish(subject, event, event_id, trace):
    """Returns when the bus has it on disk. The id makes a repeat harmless."""
    url = urlsplit(os.environ["DURE_BUS"])
    headers = {"Content-Type": "application/json", "Nats-Msg-Id": event_id}
    if trace:
        headers["traceparent"] = trace
    bus = http.client.HTTPConnection(url.hostname, url.port, timeout=10)
    try:
        bus.request("POST", f"{url.path}/publish/{subject}", json.dumps(event), headers)
        response = bus.getresponse()
        text = response.read()
        if response.status != 200:
            raise OSError(f"{subject} was not stored: {response.status} {text[:200]!r}")
    finally:
        bus.close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    counted = False  # as busy, in the server
    wbufsize = 65536

    def handle_one_request(self):
        try:
            super().handle_one_request()
        finally:
            if self.counted:
                self.counted = False
                self.server.working(-1)

    def parse_request(self):
        """Called when the first line of a request is there."""
        self.counted = True
        self.server.working(+1)
        return super().parse_request()

    def do_GET(self):
        if self.path == "/health":
            return self.answer(200, {"status": "up"})
        if self.path.startswith("/deliveries/"):
            row = connection().execute("SELECT order_id, address, outcome FROM delivery WHERE order_id = ?",
                                       (unquote(self.path.removeprefix("/deliveries/")),)).fetchone()
            if row:
                return self.answer(200, dict(zip(("order", "address", "outcome"), row)))
        return self.answer(404, {"detail": "there is nothing here"})

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/events/order-placed":
            return self.answer(404, {"detail": "there is nothing here"})
        try:
            order = json.loads(body)
            outcome = deliver(order)
        except (ValueError, KeyError, TypeError) as mistake:
            return self.answer(400, {"detail": f"not an order: {mistake}"})
        except sqlite3.Error as trouble:
            return self.later(order, trouble)
        try:
            publish(f"delivery.{outcome}", {"order": order["id"]}, f"delivery-{order['id']}", self.headers.get("traceparent"))
        except (OSError, http.client.HTTPException) as trouble:
            return self.later(order, trouble)
        return self.answer(200, {"order": order["id"], "outcome": outcome})

    def later(self, order, trouble):
        """Not a mistake of the event's: it has to come again."""
        print(f"delivery of {order['id']}: {trouble}", file=sys.stderr, flush=True)
        return self.answer(503, {"detail": "the outcome could not be told; deliver the event again"})

    def answer(self, status, value):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if self.server.stopping:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *_):
        """The gateway keeps the access log."""


class Server(ThreadingHTTPServer):
    """Ends on SIGTERM when everything that was asked has been answered."""
    daemon_threads = True
    request_queue_size = 1024
    stopping = False

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.busy = 0
        self.idle = threading.Condition()

    def working(self, change):
        with self.idle:
            self.busy += change
            self.idle.notify_all()

    def stop(self, *_):
        self.stopping = True
        threading.Thread(target=self.shutdown).start()

    def handle_error(self, request, client_address):
        """A caller that went away is no news."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def finish(self):
        with self.idle:
            self.idle.wait_for(lambda: not self.busy, timeout=8)


def main():
    prepare()
    server = Server((os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])), Handler)
    signal.signal(signal.SIGTERM, server.stop)
    print(f"delivery: on port {server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.05)
    server.finish()


if __name__ == "__main__":
    sys.exit(main())
