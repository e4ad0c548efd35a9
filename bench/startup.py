"""How long until the shop is up, what an idle dure costs, how long a clean build takes."""
import json
import os
import pathlib
import shutil
import signal
import statistics
import subprocess
import time

import world

ROOT = pathlib.Path(__file__).resolve().parent.parent


def copy_shop(run):
    """The shop in a folder of its own, built, on ports of its own."""
    shop = run.folder / "shop"
    shutil.copytree(ROOT / "examples/shop", shop, ignore=shutil.ignore_patterns(".dure", "__pycache__"))
    manifest = shop / "dure.yaml"
    text = manifest.read_text()
    for default in ("8080", "4222"):
        text = text.replace(f"127.0.0.1:{default}", f"127.0.0.1:{world.free_port()}")
    manifest.write_text(text)
    subprocess.run([run.dure, "build", str(shop)], check=True, stdout=subprocess.DEVNULL)
    return shop


def all_up(run, shop):
    done = subprocess.run([run.dure, "status", "--json", "--dir", str(shop)], capture_output=True, text=True)
    if done.returncode != 0:
        return False
    status = json.loads(done.stdout)
    services = status["services"]
    return bool(services) and not status["deploying"] and all(one["up"] >= one["wanted"] for one in services)


def start(run, shop):
    """Starts it from nothing; returns the process and the milliseconds until every service was healthy."""
    shutil.rmtree(shop / ".dure", ignore_errors=True)
    with open(run.log("up"), "ab") as log:
        begin = time.monotonic()
        up = subprocess.Popen([run.dure, "up", str(shop)], stdout=log, stderr=log, **world.child(set(world.CORES)))
    while not all_up(run, shop):
        if up.poll() is not None or time.monotonic() - begin > 60:
            stop(up)
            raise RuntimeError("the shop does not come up:\n" + pathlib.Path(run.log("up")).read_text()[-2000:])
        time.sleep(0.005)
    return up, (time.monotonic() - begin) * 1000


def stop(up):
    if up.poll() is not None:
        return
    up.send_signal(signal.SIGTERM)
    try:
        up.wait(20)
    except subprocess.TimeoutExpired:
        up.kill()
        up.wait()


def own_processes(up, program):
    """Parent and worker: those of its tree that run dure itself, not a service (`dure host`)."""
    found = []
    for pid in world.process_tree(up.pid):
        words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if os.path.realpath(f"/proc/{pid}/exe") == os.path.realpath(program) and words[1] != b"host":
            found.append(pid)
    return found


def measure_idle(run, up):
    time.sleep(2)
    pids = own_processes(up, run.dure)
    before, begin = world.cpu_ns(pids), time.monotonic_ns()
    time.sleep(3 if run.quick else 10)
    spent = (world.cpu_ns(pids) - before) / (time.monotonic_ns() - begin)
    return {"pss_kib": [world.pss_kib(pid) for pid in pids], "cpu": spent}


def measure_build(run):
    """A clean release build of the program, the SDK and the examples, without the tests."""
    folder = run.folder / "clean-build"
    begin = time.monotonic()
    subprocess.run(["meson", "setup", str(folder), "--buildtype", "release", "-Db_lto=true", "-Dtests=false"],
                   cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["ninja", "-C", str(folder)], check=True, stdout=subprocess.DEVNULL)
    size = (folder / "src/app/dure").stat().st_size
    return time.monotonic() - begin, size


def measure(run):
    print("\nstartup: the shop of examples/shop, five services in three languages", flush=True)
    shop = copy_shop(run)
    times, up = [], None
    try:
        for _ in range(run.rounds):
            if up:
                stop(up)
            up, elapsed_ms = start(run, shop)
            times.append(elapsed_ms)
        idle = measure_idle(run, up)
    finally:
        if up:
            stop(up)
    print(f"  until all five are healthy   {statistics.median(times):.0f} ms  ({min(times):.0f} to {max(times):.0f})")
    parts = " + ".join(f"{kib / 1024:.1f}" for kib in idle["pss_kib"])
    print(f"  memory, parent and worker    {sum(idle['pss_kib']) / 1024:.1f} MiB PSS  ({parts})")
    print(f"  CPU when idle                {idle['cpu']:.3%} of a core", flush=True)
    result = {"up_ms": times, **idle}
    if not run.quick:
        result["build_s"], result["program_bytes"] = measure_build(run)
        print(f"  clean release build          {result['build_s']:.0f} s, program of {result['program_bytes'] / 1024:.0f} KiB")
    run.results["startup"] = result
