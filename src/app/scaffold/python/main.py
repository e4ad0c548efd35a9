"""@NAME@: GET /@NAME@."""
import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def answer(path):
    """(status, what to say)"""
    if path == "/health":
        return 200, {"status": "up"}
    if path == "/@NAME@":
        return 200, {"hello": "from @NAME@"}
    return 404, {"detail": "there is nothing here"}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        status, value = answer(self.path.split("?")[0])
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
