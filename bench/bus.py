"""The bus beside nats-server (Debian's, and the newest that Debian has) and Redis."""
import json
import pathlib
import signal
import socket
import statistics
import subprocess
import time

import soak
import tables
import world

CASES = {
    "1to1-16": ["publish", "--size", "16"],
    "1to1-128": ["publish", "--size", "128"],
    "1to1-4k": ["publish", "--size", "4096"],
    "1to32-16": ["publish", "--size", "16", "--subscribers", "32"],
    "1to32-128": ["publish", "--size", "128", "--subscribers", "32"],
    "1to32-4k": ["publish", "--size", "4096", "--subscribers", "32"],
    "wild-hot": ["wildcard", "--size", "16", "--patterns", "10000", "--subjects", "64"],
    "wild-cold": ["wildcard", "--size", "16", "--patterns", "10000", "--subjects", "100000"],
    "request": ["request", "--size", "16", "--at-once", "64"],
    "request-unix": ["request", "--size", "16", "--at-once", "64"],
}

FILL = 1_000_000
IDLE = 5_000


class Kind:
    """A way to start a server: `make(folder, port)` gives its command line."""

    def __init__(self, name, make, load=None, sync="each"):
        self.name, self.make, self.load, self.sync = name, make, load or ["publish"], sync
        self.port = self.folder = None

    def start(self, run, fresh=True):
        if fresh:
            self.port = world.free_port()
            self.folder = run.folder / f"{self.name}-{self.port}"
            self.folder.mkdir()
        return world.Server(self.name, self.make(self.folder, self.port), self.port, run.log(self.name))


def dure(run, name="dure", sync="each"):
    def make(folder, port):
        config = folder / "bus.yaml"
        config.write_text(f"listen: 127.0.0.1:{port}\nunix: {folder}/bus.sock\ndata: {folder}/data\n")
        return [run.dure, "bus", "--config", str(config)]
    return Kind(name, make, sync=sync)


def nats(program, name, sync_always=False):
    def make(folder, port):
        config = folder / "nats.conf"
        config.write_text(f'listen: "127.0.0.1:{port}"\njetstream {{\n  store_dir: "{folder}/js"\n'
                          + ("  sync_interval: always\n" if sync_always else "") + "}\n")
        return [program, "-c", str(config)]
    return Kind(name, make)


def redis(name):
    return Kind(name, lambda folder, port: ["redis-server", "--bind", "127.0.0.1", "--port", str(port), "--dir",
                                            str(folder), "--save", "", "--appendonly", "yes", "--appendfsync",
                                            "always"], load=["redis"])


def plain_peers(run):
    return [nats("nats-server", "nats-2.9")] + ([nats(run.newest_nats, "nats-new")] if run.newest_nats else [])


def core(run):
    """What is not stored."""
    print(f"\nbus: an operation is a delivered message, or a request with its answer\n{tables.HEADER}", flush=True)
    kinds = [dure(run), *plain_peers(run)]
    copier = Kind("copies-only", lambda folder, port: [str(run.build / "bench/copier"), str(port)])
    servers = {}
    try:
        for kind in [*kinds, copier]:
            servers[kind.name] = kind.start(run)
        for case, arguments in CASES.items():
            # Where nearly all is copying, what copying costs stands beside it.
            shown = [*kinds, copier] if case == "1to1-4k" else kinds

            def once(kind):
                unix = case == "request-unix" and kind.name == "dure"
                address = f"{kind.folder}/bus.sock" if unix else str(kind.port)
                return run.generator("busload", [*arguments, "--server", address], servers[kind.name])
            run.compare(case, {kind.name: lambda k=kind: once(k) for kind in shown})
    finally:
        for server in servers.values():
            server.stop()


def literal(run):
    """A million subscriptions without wildcards; the generator makes them anew for each round."""
    print(f"\nbus: an operation is a delivered message\n{tables.HEADER}", flush=True)
    for case, count in (("literal-10k", "10000"), ("literal-1m", "1000000")):
        arguments = ["literal", "--size", "16", "--patterns", count, "--subjects", count]

        def once(kind):
            server = kind.start(run)
            try:
                return run.generator("busload", [*arguments, "--server", str(kind.port)], server)
            finally:
                server.stop()
        run.compare(case, {kind.name: lambda k=kind: once(k) for kind in [dure(run), *plain_peers(run)]})


def once_alone(run, kind, arguments):
    """One round on a server started for it: what was stored before does not count."""
    server = kind.start(run)
    try:
        return run.generator("streamload", [*arguments, "--sync", kind.sync, "--server", str(kind.port)], server)
    finally:
        server.stop()


def durable(run):
    """What is stored. The peers differ in what they promise; the names say it."""
    print("\nstreams: an operation is an acknowledged publish, or a message fetched and acknowledged\n"
          f"{tables.HEADER}", flush=True)
    synced = [redis("redis-always")]
    if run.newest_nats:
        synced.insert(0, nats(run.newest_nats, "nats-always", sync_always=True))
    cases = {
        "store-256": (["--at-once", "256"], [dure(run), *synced, *plain_peers(run)]),
        "store-1": (["--at-once", "1"], [dure(run), *synced]),
        "nosync-256": (["--at-once", "256"], [dure(run, "dure-nosync", "never"), *plain_peers(run)]),
    }
    for case, (arguments, kinds) in cases.items():
        run.compare(case, {kind.name: lambda k=kind: once_alone(run, k, [*k.load, *arguments]) for kind in kinds})
    run.compare("fetch-256", {kind.name: lambda k=kind: once_alone(run, k, ["fetch", "--batch", "256"])
                              for kind in [dure(run), *plain_peers(run)]})


# ---- memory and restart -------------------------------------------------------------------------------


def rss_kib(server):
    for line in pathlib.Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise RuntimeError("the server has no memory")


def streamload(run, kind, *arguments):
    return [str(run.build / "bench/streamload"), *arguments, "--server", str(kind.port)]


def idle_memory(run, kind):
    """Of the server as it starts, and for each connection that waits."""
    server = kind.start(run)
    try:
        time.sleep(1)
        before = rss_kib(server)
        with subprocess.Popen(streamload(run, kind, "idle", "--count", str(IDLE)), stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as load:
            if "connected" not in load.stdout.readline():
                raise RuntimeError("the connections could not be made")
            time.sleep(2)
            after = rss_kib(server)
            load.stdin.close()
        return before, (after - before) * 1024 / IDLE
    finally:
        server.stop()


class Asker:
    """Just enough of a client to ask for a message while the server is still starting."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.socket.settimeout(5)
        self.data = b""
        self.socket.sendall(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nSUB _INBOX.r.1 1\r\n')

    def ask(self, subject, body):
        """The answer's frame: True when it is no status and no error."""
        self.socket.sendall(f"PUB {subject} _INBOX.r.1 {len(body)}\r\n{body}\r\n".encode())
        while True:
            line, found, rest = self.data.partition(b"\r\n")
            words = line.split()
            if found and words[0] in (b"MSG", b"HMSG"):
                size = int(words[-1]) + 2
                if len(rest) >= size:
                    self.data = rest[size:]
                    return words[0] == b"MSG" and b'"error"' not in rest[:size]
            elif found:
                self.data = rest
                continue
            got = self.socket.recv(65536)
            if not got:
                raise ConnectionError("closed")
            self.data += got


def first_fetch_ms(server, limit_s=60):
    """Waits until a message can be fetched; how long after the server's exec."""
    while time.monotonic() - server.began < limit_s:
        try:
            asker = Asker(server.port)
            while not asker.ask("$JS.API.CONSUMER.MSG.NEXT.BENCH.puller", '{"batch":1,"no_wait":true}'):
                time.sleep(0.0002)
            return (time.monotonic() - server.began) * 1000
        except OSError:
            time.sleep(0.0002)
    raise RuntimeError("no message after the restart")


def stored_memory_and_restart(run, kind):
    """Bytes of memory for each stored message; milliseconds from the start after kill -9 to the first fetch. The kill
    comes right behind the last acknowledgement: no server has had the time to tidy up."""
    server = kind.start(run)
    try:
        time.sleep(1)
        before = rss_kib(server)
        world.run_load(streamload(run, kind, "fill", "--count", str(FILL), "--at-once", "1024"), 300)
        stored = (rss_kib(server) - before) * 1024 / FILL
        asker = Asker(kind.port)
        if not asker.ask("$JS.API.CONSUMER.DURABLE.CREATE.BENCH.puller", json.dumps(
                {"stream_name": "BENCH", "config": {"durable_name": "puller", "ack_policy": "explicit"}})):
            raise RuntimeError("the consumer could not be made")
    finally:
        server.process.send_signal(signal.SIGKILL)
        server.process.wait()
    server = kind.start(run, fresh=False)
    restart = first_fetch_ms(server)
    server.stop()
    return stored, restart


def memory(run):
    print(f"\nmemory and restart ({FILL:,} messages of 128 B, kill -9)\n{'server':<14} {'idle':>9} "
          f"{'connection':>11} {'message':>9} {'restart':>10}", flush=True)
    for kind in [dure(run), *plain_peers(run)]:
        idle, connection = idle_memory(run, kind)
        # Filled anew for each: who has recovered once has an easier time the next time.
        rounds = [stored_memory_and_restart(run, kind) for _ in range(run.rounds)]
        stored, restart = (statistics.median(column) for column in zip(*rounds))
        run.results[f"memory {kind.name}"] = {"idle_kib": idle, "connection_bytes": connection,
                                              "message_bytes": stored, "restart_ms": restart}
        print(f"{kind.name:<14} {idle / 1024:>6.1f}MiB {connection:>10.0f}B {stored:>8.1f}B {restart:>8.0f}ms",
              flush=True)


def soaking(run):
    soak.measure(run, dure(run), rss_kib)


PARTS = {"core": core, "durable": durable, "memory": memory, "literal": literal, "soak": soaking}
LONG = ("literal", "soak")  # minutes, and half an hour: only when asked


def measure(run):
    for name, part in PARTS.items():
        if run.part == name or (run.part in ("bus", "all") and name not in LONG):
            part(run)
