"""The same ask of the SDK twice: in one process, and between two over the bus."""
import http.client
import json
import time

import tables
import world

CASES = {"one": 1, "64-at-once": 64}


class Hosts:
    """`dure host` processes with the asker and the answerer, and the bus."""

    def __init__(self, run, name, together):
        modules = [str(run.build / "bench" / f"{module}.so") for module in ("asker", "answerer")]
        bus_port, self.port = world.free_port(), world.free_port()
        env = {"NATS_URL": f"nats://127.0.0.1:{bus_port}", "HOST": "127.0.0.1", "DURE_TIMEOUT_MS": "30000"}
        self.name, self.servers = name, []

        def start(what, argv, port, **more):
            self.servers.append(world.Server(what, [run.dure, *argv], port, run.log(f"{what}-{name}"), **more))

        start("bus", ["bus", "--listen", f"127.0.0.1:{bus_port}"], bus_port)
        if together:
            world.free_port()  # the second module listens on the port behind the first one's
            start("host", ["host", *modules], self.port, env={**env, "PORT": str(self.port)})
        else:
            port = world.free_port()
            start("answerer", ["host", modules[1]], port, env={**env, "PORT": str(port)})
            start("asker", ["host", modules[0]], self.port, env={**env, "PORT": str(self.port)})
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=35)
        self.wait_until_answered()

    def wait_until_answered(self):
        end = time.monotonic() + 5
        while True:
            try:
                return self.ask(1, 1)
            except RuntimeError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def ask(self, count, at_once):
        self.connection.request("GET", f"/ask?count={count}&at_once={at_once}")
        response = self.connection.getresponse()
        body = response.read()
        if response.status != 200:
            raise RuntimeError(f"{self.name}: {response.status} {body.decode(errors='replace')}")
        return json.loads(body)

    def once(self, run, at_once):
        """Asks for the time of a round, in batches of 2,048."""
        world.wait_until_quiet(0.5 if run.quick else 3)
        self.ask(2048, at_once)
        latencies, count = [], 0
        machine, start, before = world.machine_ns(), time.monotonic_ns(), sum(s.cpu_ns() for s in self.servers)
        own = time.process_time_ns()
        while time.monotonic_ns() - start < run.seconds * 1e9:
            answer = self.ask(2048, at_once)
            latencies += answer["us"]
            count += answer["count"]
        spent = sum(server.cpu_ns() for server in self.servers) - before
        elapsed, own = time.monotonic_ns() - start, time.process_time_ns() - own
        foreign = world.machine_ns() - machine - spent - own
        latencies.sort()
        return {"operations": count, "seconds": elapsed / 1e9, "cpu_us": spent / count / 1e3,
                "per_second": count / elapsed * 1e9, "server_load": spent / elapsed, "generator_load": own / elapsed,
                "foreign_load": max(0, foreign / elapsed), "p50_us": latencies[len(latencies) // 2],
                "p99_us": latencies[len(latencies) * 99 // 100], "errors": 0}

    def stop(self):
        self.connection.close()
        for server in reversed(self.servers):
            server.stop()


def measure(run):
    print(f"\nask: the SDK's dure_ask, all processes together (64-at-once: p50 and p99 are of all 64)\n{tables.HEADER}",
          flush=True)
    hosts = []
    try:
        hosts.append(Hosts(run, "in-process", True))
        hosts.append(Hosts(run, "two-processes", False))
        for case, at_once in CASES.items():
            run.compare(case, {host.name: lambda h=host: h.once(run, at_once) for host in hosts})
    finally:
        for host in hosts:
            host.stop()
