"""The command line: what every command says and how it ends (doc/dure.1)."""
import json
import os
import pathlib
import pty
import re
import select
import signal
import socket
import subprocess
import time

import pytest
from conftest import DURE
from dure_system import Probe, alive, dure, free_port, running, wait_until, write_system

OK, FAILED, USAGE, MANIFEST, NOT_RUNNING, REMOTE = range(6)
COMMANDS = ("up down apply build status logs call ask pub sub req queue stream kv obj bench trace check init host bus "
            "gateway version help").split()


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    services = {"one": "publishes: [thing]\nanswers: [{subject: one.ask, path: /answer}]", "two": ""}
    with running(tmp_path_factory.mktemp("cli"), services) as probe:
        yield probe


@pytest.fixture(scope="module")
def nowhere(tmp_path_factory):
    return tmp_path_factory.mktemp("nowhere")


# ---- help and mistakes on the command line ----


def test_without_a_command():
    run = dure()
    assert run.returncode == USAGE and "dure up" in run.stdout


@pytest.mark.parametrize("word", ["help", "--help", "-h"])
def test_help_names_every_command(word):
    run = dure(word)
    assert (run.returncode, run.stderr) == (OK, "")
    for command in COMMANDS:
        assert f"dure {command}" in run.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(command):
    first = dure("help", command)
    assert (first.returncode, first.stderr) == (OK, "") and first.stdout.startswith(f"dure {command}")
    assert dure(command, "--help").stdout == first.stdout


def test_the_manual_page_has_every_command_and_option():
    """What help shows stands in doc/dure.1, too."""
    manual = (pathlib.Path(__file__).parents[2] / "doc" / "dure.1").read_text().replace("\\-", "-")
    for command in COMMANDS:
        assert re.search(rf"^\.BR {command}\b", manual, re.M), command
        for option in re.findall(r"--[a-z-]+", dure("help", command).stdout.splitlines()[0]):
            assert option in manual, f"{command} {option}"


@pytest.mark.parametrize("wrong, right", [("stauts", "status"), ("aply", "apply"), ("trce", "trace"), ("lgos", "logs")])
def test_an_unknown_command(wrong, right):
    run = dure(wrong)
    assert (run.returncode, run.stdout) == (USAGE, "")
    assert f"no command '{wrong}'" in run.stderr and f"did you mean `dure {right}`" in run.stderr


def test_a_command_like_none():
    run = dure("xyzzyplugh")
    assert run.returncode == USAGE and "did you mean" not in run.stderr and "dure help" in run.stderr


@pytest.mark.parametrize("words, near", [
    (("status", "--jsno"), "--json"), (("logs", "--las", "3"), "--last"), (("call", "--dta", "x", "a", "GET", "/"), "--data"),
    (("ask", "--timeot", "1s", "a"), "--timeout"), (("bus", "--lisen", "x"), "--listen"), (("apply", "--dri", "x"), "--dir"),
])
def test_an_unknown_option(words, near):
    run = dure(*words)
    assert (run.returncode, run.stdout) == (USAGE, "")
    assert f"did you mean {near}?" in run.stderr and f"dure help {words[0]}" in run.stderr


@pytest.mark.parametrize("words", [
    ("status", "--dir"), ("status", "x"), ("up", "a", "b"), ("check", "a", "b"), ("apply", "x"), ("down", "x"), ("call",),
    ("call", "one", "GET"), ("call", "one", "GET", "no-slash"), ("ask",), ("ask", "a", "b", "c"), ("ask", "--timeout", "soon", "a"),
    ("trace", "--last", "many"), ("trace", "--last", "0"), ("trace", "a", "b"), ("logs", "--last", "many"), ("gateway",),
    ("bus", "--listen", "here"), ("bus", "--max-payload", "big"), ("bus", "x"), ("host",), ("help", "nothing"), ("version", "x"),
])
def test_usage(words):
    run = dure(*words)
    assert (run.returncode, run.stdout) == (USAGE, "")
    assert run.stderr.startswith("dure")


def test_version():
    assert re.fullmatch(r"dure \d+\.\d+\.\d+ .*\n", dure("version").stdout)
    assert set(json.loads(dure("version", "--json").stdout)) >= {"version", "nats"}
    assert dure("--version").stdout == dure("version").stdout


# ---- without a system ----


@pytest.mark.parametrize("words", [("status",), ("down",), ("trace",), ("call", "one", "GET", "/"), ("ask", "a"), ("logs",)])
def test_nothing_is_up(nowhere, words):
    run = dure(words[0], "--dir", str(nowhere), *words[1:])
    assert (run.returncode, run.stdout) == (NOT_RUNNING, "")
    assert str(nowhere) in run.stderr and "dure up" in run.stderr


def test_apply_when_nothing_is_up(tmp_path):
    run = dure("apply", "--dir", str(write_system(tmp_path, {"one": ""})))
    assert (run.returncode, run.stdout) == (NOT_RUNNING, "") and "dure up" in run.stderr


@pytest.mark.parametrize("command", ["up", "check", "apply"])
def test_a_folder_without_a_system(nowhere, command):
    run = dure(command, cwd=nowhere)
    assert (run.returncode, run.stdout) == (MANIFEST, "")
    assert run.stderr.startswith("dure.yaml: this file does not exist, so there is no system here\n")
    assert not (nowhere / ".dure").exists()


def test_a_folder_that_is_not_there(tmp_path):
    run = dure("up", str(tmp_path / "none"))
    assert run.returncode == FAILED and "no folder" in run.stderr


def test_up_says_all_mistakes(tmp_path):
    folder = write_system(tmp_path, {"one": "neds: [two]", "two": "stop: {grace: never}"})
    run = dure("up", cwd=folder)
    assert run.returncode == MANIFEST and "one/service.yaml:" in run.stderr and "two/service.yaml:" in run.stderr
    assert run.stderr.endswith("dure: 2 mistakes in the manifests\n")
    assert dure("check", cwd=folder).stderr == run.stderr


# ---- with a system ----


def test_the_bus_of_the_folder(probe):
    """The bus's commands find the system that runs where they are, without being told."""
    environment = {key: value for key, value in os.environ.items() if key != "NATS_URL"}
    here = subprocess.run([DURE, "stream", "ls", "--names"], cwd=probe.folder, env=environment, capture_output=True, text=True,
                          timeout=30)
    assert here.returncode == OK and "EVENTS" in here.stdout.split()
    assert dure("stream", "ls", "--names", "--dir", str(probe.folder)).stdout == here.stdout
    assert dure("kv", "ls", "--dir", str(probe.folder)).returncode == OK


def test_up_prints_lines(probe):
    said = {"one 1.0.0 is up (one-1-0)", "two 1.0.0 is up (two-1-0)", "all services are up"}
    wait_until(lambda: said <= set(probe.log.read_text().splitlines()), "what is up is said")
    lines = probe.log.read_text().splitlines()
    assert re.fullmatch(rf"gateway {probe.gateway}  bus nats://127.0.0.1:{probe.bus_port}  internal http://127\.0\.0\.1:\d+", lines[0])
    assert not any("\033" in line for line in lines)


def test_status(probe):
    table = probe.dure("status").stdout
    assert "\033" not in table and re.search(r"^one +1\.0\.0 +alone +1/1 +up ", table, re.M)
    status = probe.status()
    assert status["system"] == "probe" and status["deploying"] is False
    assert {"service", "version", "placement", "wanted", "up", "health", "reason", "restarts", "rps", "p99_us", "requests",
            "errors"} <= set(status["services"][0])
    assert dure("status", "--json", cwd=probe.folder).returncode == OK


def test_call(probe):
    run = probe.dure("call", "one", "GET", "/hello")
    assert run.returncode == OK and json.loads(run.stdout)["path"] == "/hello"
    run = probe.dure("call", "one", "GET", "/status/404")
    assert run.returncode == REMOTE and json.loads(run.stdout) == {"status": 404} and "404" in run.stderr
    assert probe.dure("call", "none", "GET", "/").returncode == REMOTE


def test_call_with_data(probe, tmp_path):
    (tmp_path / "body").write_text('{"from": "file"}')
    for words, more in ((("--data", '{"from": "line"}'), {}), (("--data", f"@{tmp_path / 'body'}"), {}),
                        (("--data", "@-"), {"input": '{"from": "stdin"}'})):
        run = dure("call", "--dir", str(probe.folder), *words, "one", "POST", "/answer", **more)
        assert run.returncode == OK, run.stderr
        assert json.loads(run.stdout)["answered"]["from"] in words[1] + more.get("input", "") + "file"
    run = probe.dure("call", "--data", "@/no/such/file", "one", "POST", "/answer")
    assert (run.returncode, run.stdout) == (FAILED, "") and "/no/such/file" in run.stderr


def test_ask(probe):
    assert json.loads(probe.dure("ask", "one.ask", "{}").stdout)["answered"] == {}
    assert probe.dure("ask", "nobody").returncode == REMOTE


def test_trace(probe):
    probe.get("/one/traced")
    assert "GET /one/traced" in probe.dure("trace").stdout
    assert probe.dure("trace", "--last", "1").stdout.count("GET ") == 1
    traces = json.loads(probe.dure("trace", "--json", "--last", "5").stdout)["traces"]
    assert 1 <= len(traces) <= 5 and all(re.fullmatch("[0-9a-f]{32}", trace["trace"]) for trace in traces)


def test_logs(probe):
    probe.get("/one/logged")
    wait_until(lambda: "GET /logged" in probe.dure("logs", "one").stdout, "the line is there", 5)
    assert "GET /logged" not in probe.dure("logs", "two").stdout
    everything = probe.dure("logs").stdout
    assert "one-1-0" in everything and "two-1-0" in everything
    assert len(probe.dure("logs", "--last", "1", "one").stdout.splitlines()) == 1
    for line in probe.dure("logs", "--json", "one").stdout.splitlines():
        assert {"time", "service", "instance", "stream", "line"} <= set(json.loads(line))
    assert probe.dure("logs", "dure").stdout
    run = probe.dure("logs", "none")
    assert run.returncode == FAILED and "none" in run.stderr


def test_logs_follow(probe):
    with subprocess.Popen([DURE, "logs", "-f", "--dir", str(probe.folder), "one"], stdout=subprocess.PIPE) as following:
        try:
            os.set_blocking(following.stdout.fileno(), False)
            time.sleep(0.3)
            probe.get("/one/followed")
            seen = []
            wait_until(lambda: seen.append(following.stdout.read() or b"") or b"GET /followed" in b"".join(seen), "it follows", 10)
        finally:
            following.send_signal(signal.SIGINT)
            following.wait(10)


def test_a_second_up(probe):
    pids = probe.pids()
    run = dure("up", str(probe.folder))
    assert (run.returncode, run.stdout) == (FAILED, "")
    assert "this system is up already" in run.stderr and "dure down" in run.stderr
    assert probe.pids() == pids and probe.get("/one/x")[0] == 200
    assert probe.status()["system"] == "probe"


def test_a_port_in_use(tmp_path):
    probe = Probe(tmp_path / "busy", {"one": ""})
    with socket.create_server(("127.0.0.1", probe.bus_port)):
        run = dure("up", str(probe.folder))
    assert (run.returncode, run.stdout) == (FAILED, "")
    assert f"cannot listen on 127.0.0.1:{probe.bus_port}" in run.stderr and "another address in dure.yaml" in run.stderr
    assert not (probe.folder / ".dure" / "admin.sock").exists()


def test_a_worker_that_dies_is_told(tmp_path):
    with running(tmp_path / "killed", {"one": ""}) as probe:
        services, worker = probe.pids("one"), probe.worker()
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: "the worker was replaced" in probe.log.read_text(), "it is told", 10)
        wait_until(probe.healthy, "the system is up", 10)
        assert probe.pids("one") == services and probe.worker() != worker


# ---- the end ----


def everything_gone(probe, pids):
    wait_until(lambda: not [pid for pid in pids if alive(pid)], "no process is left", 10)
    assert not (probe.folder / ".dure" / "admin.sock").exists()
    for port in (probe.gateway_port, probe.bus_port):
        with pytest.raises(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()


def test_down(tmp_path):
    with running(tmp_path / "down", {"one": "", "two": ""}) as probe:
        pids = probe.pids()
        run = probe.dure("down")
        assert (run.returncode, run.stdout, run.stderr) == (OK, "stopping\n", "")
        assert probe.process.wait(15) == 0
        everything_gone(probe, pids)
        assert probe.dure("status").returncode == NOT_RUNNING
        assert "probe is up" in probe.dure("logs", "one").stdout  # also when it is down


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_is_graceful(tmp_path, which):
    with running(tmp_path / "graceful", {"one": ""}) as probe:
        pids = probe.pids()
        with socket.create_connection(("127.0.0.1", probe.gateway_port)) as client:
            client.sendall(b"GET /one/slow/1000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            time.sleep(0.3)
            probe.process.send_signal(which)
            client.settimeout(10)
            answer = b""
            while part := client.recv(4096):
                answer += part
        assert answer.startswith(b"HTTP/1.1 200")
        assert probe.process.wait(10) == 0
        everything_gone(probe, pids)
        assert "once more to stop at once" in probe.log.read_text()


def test_two_signals_end_at_once(tmp_path):
    stubborn = "run: sh -c \"trap '' TERM; /usr/bin/python3 probe_service.py & wait; sleep 60\"\nstop: {grace: 50s}"
    with running(tmp_path / "stubborn", {"one": stubborn, "two": ""}) as probe:
        pids = probe.pids()
        probe.process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        assert probe.process.poll() is None
        begin = time.monotonic()
        probe.process.send_signal(signal.SIGINT)
        probe.process.wait(10)
        assert time.monotonic() - begin < 5
        everything_gone(probe, pids)


# ---- on a terminal ----


class Terminal:
    """`dure up` on a terminal of its own, and what would stand on its screen."""

    def __init__(self, probe, rows=40, columns=120):
        import fcntl
        import struct
        import termios
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.process = probe.process = subprocess.Popen([DURE, "up", str(probe.folder)], stdin=slave, stdout=slave,
                                                        stderr=slave, start_new_session=True)
        os.close(slave)
        self.raw = b""

    def read(self, seconds=0.0):
        end = time.monotonic() + seconds
        while select.select([self.master], [], [], max(0, end - time.monotonic()))[0]:
            try:
                part = os.read(self.master, 65536)
            except OSError:
                break
            if not part:
                break
            self.raw += part
        return self.raw.decode(errors="replace")

    def screen(self):
        """The lines as they stand now: carriage return, newline, cursor up and clear are all that is used."""
        lines, row, column = [""], 0, 0
        for token in re.findall(r"\033\[[0-9;]*[A-Za-z]|\r|\n|[^\033\r\n]+", self.read(0.05)):
            if token == "\n":
                row, column = row + 1, 0
                lines += [""] * (row + 1 - len(lines))
            elif token == "\r":
                column = 0
            elif token.startswith("\033["):
                if token.endswith("A"):
                    row = max(0, row - int(token[2:-1] or 1))
                elif token.endswith("J"):
                    lines[row + 1:] = []
                    lines[row] = lines[row][:column]
            else:
                lines[row] = lines[row][:column].ljust(column) + token + lines[row][column + len(token):]
                column += len(token)
        return lines


def test_the_live_table(tmp_path):
    with running(tmp_path / "terminal", {"one": "", "two": ""}, up=False) as probe:
        terminal = Terminal(probe)
        probe.log.touch()
        try:
            wait_until(lambda: sum(bool(re.match(r"(one|two) +1\.0\.0 +alone +1/1 +up", line)) for line in terminal.screen()) == 2,
                       "the table shows both", 20)
            drawn = terminal.read().count("SERVICE")
            wait_until(lambda: terminal.read(0.1).count("SERVICE") > drawn + 1, "it is drawn again", 10)
            screen = terminal.screen()
            assert sum("SERVICE" in line for line in screen) == 1  # over the old one
            os.kill(probe.worker(), signal.SIGKILL)
            wait_until(lambda: any("the worker was replaced" in line for line in terminal.screen()), "it is told", 10)
            for _ in range(20):
                probe.get("/one/x")
            time.sleep(1.2)
            screen = terminal.screen()
            told = next(n for n, line in enumerate(screen) if "the worker was replaced" in line)
            table = [n for n, line in enumerate(screen) if line.startswith("SERVICE")]
            assert len(table) == 1 and told < table[0]  # the line survives above the table
            pids = probe.pids()
            terminal.process.send_signal(signal.SIGINT)
            wait_until(lambda: terminal.read(0.1) and terminal.process.poll() is not None, "it ends", 15)
            assert terminal.process.returncode == 0
            assert any("once more to stop at once" in line for line in terminal.screen())
            everything_gone(probe, pids)
        finally:
            os.close(terminal.master)


def test_a_narrow_terminal(tmp_path):
    with running(tmp_path / "narrow", {"one": ""}, up=False) as probe:
        terminal = Terminal(probe, columns=40)
        probe.log.touch()
        try:
            wait_until(lambda: any(re.match(r"one +1\.0\.0 +alone", line) for line in terminal.screen()), "the table is there", 20)
            assert all(len(line) <= 40 for line in terminal.screen())
            terminal.process.send_signal(signal.SIGTERM)
            wait_until(lambda: terminal.read(0.1) and terminal.process.poll() is not None, "it ends", 15)
        finally:
            os.close(terminal.master)
