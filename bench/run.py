#!/usr/bin/env python3
"""Measures dure beside its peers: script/bench runs this. See README.md."""
import argparse
import json
import pathlib
import sys
import tempfile
import traceback

import ask
import bus
import startup
import tables
import world

ROOT = pathlib.Path(__file__).resolve().parent.parent

PROXY_CASES = {
    "a64": ["--connections", "64"],
    "a512": ["--connections", "512"],
    "d64": ["--connections", "64", "--body", "65536"],
    "e64": ["--connections", "64", "--close"],
}


class Run:
    """What all cases share: where the programs are, how long and how often, what came out."""

    def __init__(self, arguments, folder):
        self.build = pathlib.Path(arguments.build).resolve()
        self.dure = str(self.build / "src/app/dure")
        self.folder = pathlib.Path(folder)
        self.part, self.newest_nats = arguments.part, arguments.newest_nats
        self.quick = arguments.quick
        self.rounds = arguments.rounds or (2 if self.quick else 5)
        self.seconds, self.warmup = (1, 0.4) if self.quick else (3, 1)
        self.soak_s = arguments.soak_seconds
        self.cases = arguments.case
        self.results = {}

    def generator(self, name, arguments, server):
        """One round of one case against one server."""
        world.wait_until_quiet(0.5 if self.quick else 3)
        argv = [str(self.build / "bench" / name), *arguments, "--pids", ",".join(map(str, server.pids())),
                "--warmup", str(self.warmup), "--seconds", str(self.seconds)]
        return json.loads(world.run_load(argv, self.warmup + self.seconds + 20))

    def compare(self, case, measure):
        """Measures in turn: `measure` is name -> function that returns one round; ours is the first."""
        if self.cases and case not in self.cases:
            return
        rounds = {name: [] for name in measure}
        for _ in range(self.rounds):
            for name, once in measure.items():
                rounds[name].append(once())
        self.results[case] = {"rounds": rounds, "summary": tables.print_case(case, rounds)}

    def log(self, name):
        return str(self.folder / f"{name}.log")

    def config(self, name, **values):
        """A configuration of conf/, filled in."""
        text = (ROOT / "bench/conf" / name).read_text()
        for key, value in {"DIR": self.folder, **values}.items():
            text = text.replace(f"@{key}@", str(value))
        path = self.folder / name
        path.write_text(text)
        return str(path)


def compare_servers(run, title, cases, start, measure):
    """Starts all servers, then runs each case on each of them, in turn."""
    print(f"\n{title}\n{tables.HEADER}", flush=True)
    servers = []
    try:
        for name, start_one in start.items():
            servers.append(start_one(name))
        for case, arguments in cases.items():
            run.compare(case, {server.name: lambda s=server: measure(s, arguments) for server in servers})
    finally:
        for server in servers:
            server.stop()


def proxy(run):
    backend = world.free_port()

    def start(config, *argv):
        def start_one(name):
            port = world.free_port()
            path = run.config(config, LISTEN=port, BACKEND=backend)
            return world.Server(name, [part.replace("@CONF@", path) for part in argv], port, run.log(name))
        return start_one

    compare_servers(
        run, "proxy: an operation is a request with its response", PROXY_CASES,
        {"dure": start("dure.yaml", run.dure, "gateway", "--config", "@CONF@"),
         "nginx": start("nginx.conf", "nginx", "-c", "@CONF@"),
         "haproxy": start("haproxy.cfg", "haproxy", "-f", "@CONF@", "-db")},
        lambda server, arguments: run.generator(
            "httpload", ["--proxy", str(server.port), "--backend", str(backend), *arguments], server))


PARTS = {"proxy": proxy, "bus": bus.measure, "ask": ask.measure, "startup": startup.measure}
BUS_PARTS = list(bus.PARTS)


def main():
    parser = argparse.ArgumentParser(prog="script/bench", description=__doc__)
    parser.add_argument("part", nargs="?", default="all", choices=[*PARTS, *BUS_PARTS, "all"])
    parser.add_argument("--quick", action="store_true", help="short rounds, two of each: a first look")
    parser.add_argument("--rounds", type=int, help="of each case on each server (default 5, quick 2)")
    parser.add_argument("--case", action="append", metavar="NAME", help="of proxy and bus only these (may be repeated)")
    parser.add_argument("--soak-seconds", type=float, default=1800, metavar="N", help="how long soak runs (default 1800)")
    parser.add_argument("--json", metavar="FILE", help="write all rounds there")
    parser.add_argument("--newest-nats", metavar="PROGRAM", help="a newer nats-server than the installed one")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    notes = world.prepare()
    print("\n".join(notes), flush=True)
    failed = []
    with tempfile.TemporaryDirectory(prefix="dure-bench-") as folder:
        run = Run(arguments, folder)
        for name, part in PARTS.items():
            if arguments.part not in (name, "all") and not (name == "bus" and arguments.part in BUS_PARTS):
                continue
            try:
                part(run)
            except Exception:  # one part's failure must not take the others' figures along
                traceback.print_exc()
                failed.append(name)
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps({"notes": notes, "results": run.results}, indent=1))
    if failed:
        print(f"\nbench: FAILED: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
