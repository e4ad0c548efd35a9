"""catalog: what the shop sells. GET /products/ID, GET /products?after=ID&limit=N."""
import json
import os
import signal
import sqlite3
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

PRODUCTS = 10_000
local = threading.local()


def database_path():
    return os.environ["DATABASE_URL"].removeprefix("sqlite://")


def connection():
    """One connection for each thread: SQLite's are not to be shared."""
    if not hasattr(local, "connection"):
        local.connection = sqlite3.connect(database_path(), isolation_level=None)
    return local.connection


def seed():
    """Fills an empty catalogue; product N costs 100 + (N * 37) % 9900 cents."""
    db = sqlite3.connect(database_path())
    db.execute("PRAGMA journal_mode = WAL")
    with db:
        db.execute("CREATE TABLE IF NOT EXISTS product (id TEXT PRIMARY KEY, name TEXT NOT NULL, price INTEGER NOT NULL)")
        if db.execute("SELECT count(*) FROM product").fetchone()[0] < PRODUCTS:
            rows = ((f"p{n}", f"Product {n}", 100 + n * 37 % 9900) for n in range(1, PRODUCTS + 1))
            db.executemany("INSERT OR IGNORE INTO product VALUES (?, ?, ?)", rows)
    db.close()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    counted = False  # as busy, in the server
    wbufsize = 65536  # head and body in one segment

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
        url = urlsplit(self.path)
        if url.path == "/health":
            return self.answer(200, {"status": "up"})
        if url.path == "/products":
            return self.list(parse_qs(url.query))
        if url.path.startswith("/products/"):
            return self.show(unquote(url.path.removeprefix("/products/")))
        return self.answer(404, {"detail": "there is nothing here"})

    def show(self, product):
        row = connection().execute("SELECT id, name, price FROM product WHERE id = ?", (product,)).fetchone()
        if not row:
            return self.answer(404, {"detail": f"there is no product {product}"})
        return self.answer(200, dict(zip(("id", "name", "price"), row)))

    def list(self, query):
        after = query.get("after", [""])[0]
        try:
            limit = min(max(int(query.get("limit", ["20"])[0]), 1), 200)
        except ValueError:
            return self.answer(400, {"detail": "limit must be a number"})
        rows = connection().execute("SELECT id, name, price FROM product WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        return self.answer(200, [dict(zip(("id", "name", "price"), row)) for row in rows])

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
    seed()
    server = Server((os.environ.get("HOST", "127.0.0.1"), int(os.environ["PORT"])), Handler)
    signal.signal(signal.SIGTERM, server.stop)
    print(f"catalog: {PRODUCTS} products on port {server.server_port}", flush=True)
    server.serve_forever(poll_interval=0.05)
    server.finish()


if __name__ == "__main__":
    sys.exit(main())
