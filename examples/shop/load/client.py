"""client: places one order until there is an answer. Keeps its connection; never leaves this machine."""
import http.client
import ipaddress
import json
import random
import socket
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

RETRY_STATUS = (502, 503, 504)
ATTEMPT_SECONDS = 20
BACKOFF_SECONDS = (0.05, 1.0)


class Refused(Exception):
    """The gateway's address is not one that this program talks to."""


def loopback(url):
    """(address, port) of the gateway. Everything that its name stands for must be on this machine."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise Refused(f"{url}: give the gateway as http://HOST:PORT")
    try:
        found = {info[4][0] for info in socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)}
    except OSError as trouble:
        raise Refused(f"{url}: {trouble}") from trouble
    if not all(ipaddress.ip_address(address).is_loopback for address in found):
        raise Refused(f"{url}: orders are sent to this machine only (127.0.0.1, ::1)")
    return sorted(found)[0], parts.port or 80


@dataclass
class Answer:
    status: int      # 0: none within the limit
    amount: int      # what the order costs, when the answer says so
    seconds: float   # from the first attempt to the answer
    failed: list     # why each attempt before it failed


class Client:
    def __init__(self, gateway, limit_seconds):
        self.gateway = gateway
        self.limit = limit_seconds
        self.connection = None

    def close(self):
        if self.connection:
            self.connection.close()
        self.connection = None

    def attempt(self, body):
        """(status, amount). OSError and http.client.HTTPException: no answer."""
        if not self.connection:
            self.connection = http.client.HTTPConnection(*self.gateway, timeout=ATTEMPT_SECONDS)
            self.connection.connect()
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self.connection.request("POST", "/orders", body, {"Content-Type": "application/json"})
            response = self.connection.getresponse()
            text = response.read()
        except BaseException:
            self.close()
            raise
        if not self.connection.sock:  # the gateway wanted this to be its last answer
            self.connection = None
        if response.status != 201:
            return response.status, 0
        return 201, json.loads(text)["amount"]

    def place(self, order):
        """Repeats what failed on the way, under the same id, until the limit."""
        start = time.monotonic()
        pause, longest = BACKOFF_SECONDS
        failed = []
        while True:
            try:
                status, amount = self.attempt(order.body)
                if status not in RETRY_STATUS:
                    return Answer(status, amount, time.monotonic() - start, failed)
                failed.append(str(status))
            except (OSError, http.client.HTTPException) as trouble:
                failed.append(f"{type(trouble).__name__}: {trouble}")
                self.close()
            if time.monotonic() - start > self.limit:
                return Answer(0, 0, time.monotonic() - start, failed)
            time.sleep(random.uniform(pause / 2, pause))
            pause = min(pause * 2, longest)
