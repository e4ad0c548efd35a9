"""A long run at part of what the server can do: memory, latency and files must stay where they are. On a virtual machine
latency follows what the host takes away (`stolen`), which is why that stands beside it."""
import json
import pathlib
import subprocess

import world

SHARE = 0.7


def disk_kib(folder):
    """What its files occupy; a file that goes meanwhile counts as gone."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_blocks // 2
        except FileNotFoundError:
            continue
    return total


def processor_ticks():
    """(all, stolen) since the machine started, over all cores: stolen is what it wanted and its host gave to others."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(fields), fields[7]


def capacity(run, kind, server):
    """Messages a second that it stores when as much as possible is sent."""
    argv = [str(run.build / "bench/streamload"), "publish", "--server", str(kind.port), "--at-once", "4096",
            "--pids", ",".join(map(str, server.pids())), "--seconds", "5"]
    return json.loads(world.run_load(argv, 60))["per_second"]


def measure(run, kind, rss_kib):
    """`kind` is a bus.Kind. Prints a line for each report: sixty in all."""
    server = kind.start(run)
    rows = []
    try:
        rate = int(capacity(run, kind, server) / 2 * SHARE)  # each message is also fetched and acknowledged
        print(f"\nsoak: {rate} messages/s published, fetched and acknowledged, for {run.soak_s:.0f} s\n"
              f"{'second':>7} {'published/s':>12} {'consumed/s':>11} {'p50':>9} {'p99':>9} {'behind':>7} {'memory':>9} "
              f"{'files':>9} {'stolen':>7}", flush=True)
        argv = [str(run.build / "bench/streamload"), "soak", "--server", str(kind.port), "--rate", str(rate),
                # So many that the time there and back does not bound the rate.
                "--pulls", "8", "--seconds", str(run.soak_s), "--report", str(max(run.soak_s / 60, 1))]
        with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, **world.child({world.LOAD_CORE})) as load:
            ticks = processor_ticks()
            for line in load.stdout:
                row = json.loads(line)
                before, ticks = ticks, processor_ticks()
                row["stolen"] = (ticks[1] - before[1]) / max(ticks[0] - before[0], 1)
                row["rss_kib"], row["disk_kib"] = rss_kib(server), disk_kib(pathlib.Path(kind.folder))
                rows.append(row)
                print(f"{row['seconds']:>7.0f} {row['published']:>12.0f} {row['consumed']:>11.0f} "
                      f"{row['p50_us']:>7.0f}us {row['p99_us']:>7.0f}us {row['behind']:>7} "
                      f"{row['rss_kib'] / 1024:>6.1f}MiB {row['disk_kib'] / 1024:>6.0f}MiB {row['stolen']:>7.1%}", flush=True)
        if load.returncode != 0:
            raise RuntimeError("the generator ended with an error")
    finally:
        server.stop()
    run.results["soak"] = rows
