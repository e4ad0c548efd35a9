"""A NATS connection with nothing between the test and the bytes."""
import json
import socket
import time


class Closed(Exception):
    """The server has gone; connect again."""


class Frame:
    __slots__ = ("subject", "sid", "reply", "status", "headers", "payload")

    def __init__(self, subject, sid, reply, headers, payload):
        """`status`: what stands behind NATS/1.0 ("404 No Messages"); empty for a message."""
        self.subject, self.sid, self.reply, self.headers, self.payload = subject, sid, reply, headers, payload
        self.status = headers.split(b"\r\n", 1)[0][8:].strip().decode()


class Wire:
    def __init__(self, port, timeout=5, user=None):
        """`user`: who it is, whose password is his name."""
        try:
            self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        except OSError as error:
            raise Closed(str(error)) from error
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""
        options = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "protocol": 1}
        if user:
            options |= {"user": user, "pass": user}
        self.send(f"CONNECT {json.dumps(options)}\r\n".encode())

    def close(self):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise Closed(str(error)) from error

    def subscribe(self, pattern, sid=1):
        self.send(f"SUB {pattern} {sid}\r\n".encode())

    def frames(self, timeout):
        """What comes within the time: at least one frame, or none when nothing came."""
        self.socket.settimeout(timeout)
        try:
            data = self.socket.recv(1 << 18)
        except (socket.timeout, BlockingIOError):
            return []
        except OSError as error:
            raise Closed(str(error)) from error
        if not data:
            raise Closed("end of stream")
        self.data += data
        return self.parse()

    def parse(self):
        found, at, data = [], 0, self.data
        while True:
            end = data.find(b"\r\n", at)
            if end < 0:
                break
            words = data[at:end].split(b" ")
            verb = words[0]
            if verb in (b"MSG", b"HMSG"):
                size = int(words[-1])
                if len(data) < end + 4 + size:
                    break
                body, head, fixed = data[end + 2:end + 2 + size], b"", 4
                if verb == b"HMSG":
                    head, body, fixed = body[:int(words[-2])], body[int(words[-2]):], 5
                reply = words[3] if len(words) > fixed else b""
                found.append(Frame(words[1], words[2], reply, head, body))
                at = end + 4 + size
                continue
            at = end + 2
            if verb == b"PING":
                self.send(b"PONG\r\n")
            elif verb == b"-ERR":
                raise Closed(data[at - 60:end].decode(errors="replace"))
        self.data = data[at:]
        return found

    def ask(self, subject, body, inbox="_INBOX.ask", timeout=10):
        """One request of the JetStream API; the connection must do nothing else meanwhile."""
        text = json.dumps(body) if body else ""
        self.send(f"SUB {inbox} 9\r\nPUB {subject} {inbox} {len(text)}\r\n{text}\r\n".encode())
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            for frame in self.frames(1):
                if frame.subject == inbox.encode():
                    self.send(b"UNSUB 9\r\n")
                    if frame.status:
                        raise Closed(f"{subject}: {frame.status}")
                    return json.loads(frame.payload)
        raise Closed(f"no answer to {subject}")
