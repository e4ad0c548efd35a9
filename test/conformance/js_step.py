"""One thing that a script does."""

SECOND = 1_000_000_000
MILLISECOND = 1_000_000
HOUR = 3600 * SECOND
SUBJECTS = ["a.1", "a.2", "a.b.3", "b.1", "b.x.y"]
PATTERNS = ["a.*", "a.>", "b.1", "b.>", "a.b.*", ">", "*.1", "x.y"]


class Step:
    """`kind`: "ask" (one answer; with `many` until a status), "pull" (until `batch` frames or a status), "ack" (to what
    was delivered, at a share `place` of all deliveries), "wait" (`seconds`). `quiet`: perhaps nothing comes."""

    def __init__(self, kind, subject, payload=b"", headers=b"", batch=1, place=None, many=False, seconds=0, quiet=False):
        self.kind, self.subject, self.payload, self.headers = kind, subject, payload, headers
        self.batch, self.place, self.many, self.seconds, self.quiet = batch, place, many, seconds, quiet

    def __str__(self):
        head = self.headers.replace(b"\r\n", b"|").decode(errors="replace")
        more = self.place or self.seconds or ""
        return f"{self.kind} {self.subject} {head} {self.payload.decode(errors='replace')} {more}".strip()


def may_be_silent(step):
    """Some servers do not answer these at all."""
    return (step.quiet or step.kind != "ask" or "DIRECT.GET" in step.subject or "a.b" in step.subject
            or "x" * 300 in step.subject or b"\x00" in step.payload)


def header_block(lines):
    return ("NATS/1.0\r\n" + "".join(line + "\r\n" for line in lines) + "\r\n").encode() if lines else b""
