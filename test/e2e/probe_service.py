"""A service that does what a test asks of it: run by `dure up` as `python3 probe_service.py`.

    GET  /status/N            answers with status N
    GET  /slow/MS             answers after MS milliseconds
    GET  /once/KEY            breaks the connection the first time KEY is asked for, answers the second time
    GET  /env                 its environment
    GET  /call/SERVICE/PATH   calls another service with the trace that it was given
    POST /publish/SUBJECT     publishes the body with the trace that it was given
    POST /request/SUBJECT     asks on the bus with the trace that it was given
    POST /events              an event: noted in $DURE_DATA/events.jsonl, then answered as told
    POST /answer              a request of the bus: {"status": N, "wait_ms": N} says how to answer

What /events and /health answer stands in $DURE_DATA/events.status and health.status: a status, or "hang"."""
import http.server
import json
import os
import pathlib
import signal
import sys
import threading
import time
import urllib.error
import urllib.request

DATA = pathlib.Path(os.environ["DURE_DATA"])
LOCK = threading.Lock()
ASKED = set()


def told(what, default):
    try:
        return (DATA / f"{what}.status").read_text().strip() or default
    except FileNotFoundError:
        return default


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format, *arguments):
        print(format % arguments, flush=True)

    def answer(self, status, value=None):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answer_as(self, status):
        if status == "hang":
            time.sleep(60)
        self.answer(int(status), {"told": status})

    def relay(self, url, body=None):
        headers = {"Content-Type": "application/json"}
        if self.headers["traceparent"]:
            headers["traceparent"] = self.headers["traceparent"]
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(urllib.request.Request(url, body, headers), timeout=20) as response:
                self.answer(response.status, {"body": response.read().decode()})
        except urllib.error.HTTPError as error:
            self.answer(error.code, {"body": error.read().decode()})

    def do_GET(self):
        what, _, rest = self.path.partition("?")[0].lstrip("/").partition("/")
        if what == "health":
            self.answer_as(told("health", "200"))
        elif what == "status":
            status = int(rest)
            self.answer(status, None if status in (204, 304) else {"status": status})
        elif what == "slow":
            time.sleep(int(rest) / 1000)
            self.answer(200, {"slept_ms": int(rest)})
        elif what == "once":
            with LOCK:
                first = rest not in ASKED
                ASKED.add(rest)
            if first:
                self.close_connection = True
                return
            self.answer(200, {"once": rest})
        elif what == "env":
            self.answer(200, dict(os.environ))
        elif what == "call":
            self.relay(f"{os.environ['DURE_HTTP']}/{rest}")
        else:
            self.answer(200, {"service": os.environ["DURE_SERVICE"], "version": os.environ["DURE_VERSION"],
                              "instance": os.environ["DURE_INSTANCE"], "path": self.path, "pid": os.getpid(),
                              "traceparent": self.headers["traceparent"]})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        what, _, rest = self.path.lstrip("/").partition("/")
        if what in ("publish", "request"):
            self.relay(f"{os.environ['DURE_BUS']}/{what}/{rest}", body)
        elif what == "events":
            status = told("events", "200")
            self.note(body, status)
            self.answer_as(status)
        elif what == "answer":
            wish = json.loads(body or b"{}")
            time.sleep(wish.get("wait_ms", 0) / 1000)
            self.answer(wish.get("status", 200), {"answered": wish, "traceparent": self.headers["traceparent"]})
        else:
            self.answer(404)

    def note(self, body, status):
        names = ("ce-id", "ce-type", "ce-source", "ce-specversion", "ce-time", "ce-dureattempt", "Content-Type",
                 "Idempotency-Key", "traceparent")
        line = {name.lower(): self.headers[name] for name in names}
        line.update(body=body.decode(), at=time.time(), pid=os.getpid(), answered=status)
        with LOCK, open(DATA / "events.jsonl", "a") as file:
            file.write(json.dumps(line) + "\n")
            file.flush()
            os.fsync(file.fileno())


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print("probe is up", flush=True)
    Server(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
