"""The machine that is measured on: its network, its cores, the processes that run on them."""
import ctypes
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import time

CORES = sorted(os.sched_getaffinity(0))
SERVER_CORE, LOAD_CORE = CORES[0], CORES[-1]


def loopback_up():
    """Brings lo up, as `ip link set lo up` would."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sH14x", b"lo", 0x41)  # IFF_UP | IFF_RUNNING
        fcntl.ioctl(any_socket, 0x8914, request)  # SIOCSIFFLAGS


def set_kernel(name, value):
    pathlib.Path("/proc/sys/net/ipv4", name).write_text(value)


def prepare():
    """Sets up the network; returns what a reader of the figures must know about the machine."""
    notes = []
    own_network = os.readlink("/proc/self/ns/net") != os.readlink(f"/proc/{os.getppid()}/ns/net")
    try:
        if own_network:
            loopback_up()
            set_kernel("tcp_congestion_control", "reno")
            set_kernel("ip_local_port_range", "20000 65000")  # the servers are below
    except OSError as error:
        notes.append(f"the network could not be set up ({error})")
    if not own_network:
        notes.append("not permitted to make a network namespace: measured in the machine's network")
    control = pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    if control not in ("reno", "cubic"):
        notes.append(f"TCP congestion control is {control}, which slows bulk traffic over loopback for all")
    if len(CORES) < 2:
        notes.append("one core only: server and generator share it, operations per second mean little")
    try:
        os.nice(-10)
    except OSError:
        notes.append("not permitted to raise the priority")
    return [f"{len(CORES)} cores, TCP {control}, server on core {SERVER_CORE}, generator on core {LOAD_CORE}"] + notes


_port = 10000


def free_port():
    """A port that nobody listens on now, below those that the kernel gives to clients."""
    global _port
    while True:
        _port += 1
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", _port))
                return _port
            except OSError:
                continue


def child(cores):
    """What a new process does before its program: takes its cores, goes ahead of what else runs here,
    and ends when the run does."""
    def prepare_child():
        os.sched_setaffinity(0, cores)
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
        try:
            with open("/proc/self/autogroup", "w", encoding="ascii") as group:
                group.write("-10")
        except OSError:
            pass  # no groups on this kernel, or not permitted: nice() is all there is

    return {"preexec_fn": prepare_child, "start_new_session": True, "stdin": subprocess.DEVNULL}


class Server:
    """A server process on the server's core, with those that it starts."""

    def __init__(self, name, argv, port, log, env=None):
        self.name, self.port = name, port
        self.log = log
        path = shutil.which(argv[0]) or shutil.which(argv[0], path="/usr/sbin:/usr/local/sbin")
        if not path:
            raise RuntimeError(f"{argv[0]} is not installed: script/bootstrap --bench")
        with open(log, "ab") as out:
            self.process = subprocess.Popen([path, *argv[1:]], stdout=out, stderr=out,
                                            env={**os.environ, **(env or {})}, **child({SERVER_CORE}))
        self.began = time.monotonic()  # its program runs: what this process needs for a fork does not count
        if port:
            self.wait_for_port()

    def wait_for_port(self):
        end = time.monotonic() + 10
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.0002)
        said = pathlib.Path(self.log).read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{self.name} does not listen on port {self.port}\n{said}")

    def pids(self):
        return process_tree(self.process.pid)

    def cpu_ns(self):
        return cpu_ns(self.pids())

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(12)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def process_tree(pid):
    pids = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            for child in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split():
                pids += process_tree(int(child))
    except FileNotFoundError:
        pass
    return pids


def cpu_ns(pids):
    """What all threads of the processes have spent on a core."""
    total = 0
    for pid in pids:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                total += int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return total


def pss_kib(pid):
    """Memory of a process, what it shares divided among those that share it."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def machine_ns():
    """What everything on the machine has spent on a core, with what the hypervisor took."""
    fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def wait_until_quiet(seconds):
    """Waits until the machine has nothing else to do, but not for long: the figures say how it was."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        before, start = machine_ns(), time.monotonic_ns()
        time.sleep(0.25)
        if (machine_ns() - before) / (time.monotonic_ns() - start) < 0.25:
            return


def run_load(argv, timeout):
    """Runs a generator on its core; returns the line of JSON that it prints."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, **child({LOAD_CORE}))
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}:\n{done.stderr}{done.stdout}")
    return done.stdout
