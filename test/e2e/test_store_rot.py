"""What happens to files behind the bus's back. A byte of a stored message rots under a running bus: that message
is not served, everything around it is, and a worker is not held up. Somebody leaves a copy of a stream's folder
beside it: nothing is removed."""
import base64
import json
import shutil
import subprocess
import sys
import time

import pytest
from conftest import DURE, ROOT
from dure_system import free_port, wait_until

sys.path.insert(0, str(ROOT / "test/lib"))
from nats_wire import Wire  # noqa: E402

COUNT, ROTTEN = 200, 77


def body(number):
    return f"message number {number:06d} " + "x" * 100


@pytest.fixture
def bus(tmp_path):
    port, log = free_port(), tmp_path / "bus.log"
    process = subprocess.Popen([DURE, "bus", "--listen", f"127.0.0.1:{port}", "--data", str(tmp_path / "data")],
                               stdout=log.open("w"), stderr=subprocess.STDOUT)
    wait_until(lambda: "nats://" in log.read_text(), "the bus listens", 10)
    yield Wire(port), tmp_path / "data", log
    process.terminate()
    assert process.wait(20) == 0


def spoil(folder, number):
    """Flips a letter of the message where it is stored."""
    for path in folder.rglob("*.seg"):
        at = path.read_bytes().find(body(number).encode())
        if at >= 0:
            with open(path, "r+b") as file:
                file.seek(at + 30)
                file.write(b"#")
            return
    raise AssertionError("the message stands in no file")


def take_all(wire):
    """The bodies that a worker is given, until nothing comes for longer than it takes to try again."""
    request, taken, heard = '{"batch":50,"expires":500000000}', [], time.monotonic()
    wire.subscribe("_INBOX.w")
    while time.monotonic() - heard < 4:
        wire.send(f"PUB $JS.API.CONSUMER.MSG.NEXT.ROT.worker _INBOX.w {len(request)}\r\n{request}\r\n".encode())
        end = time.monotonic() + 0.6
        while time.monotonic() < end:
            for frame in wire.frames(0.1):
                if frame.reply:
                    taken.append(frame.payload.decode())
                    heard = time.monotonic()
                    wire.send(b"PUB %s 4\r\n+ACK\r\n" % frame.reply)
    return taken


def test_one_rotten_message_is_one_message(bus):
    wire, folder, log = bus
    assert "error" not in wire.ask("$JS.API.STREAM.CREATE.ROT", {"name": "ROT", "subjects": ["rot"]})
    assert "error" not in wire.ask("$JS.API.CONSUMER.DURABLE.CREATE.ROT.worker", {
        "stream_name": "ROT", "config": {"durable_name": "worker", "ack_policy": "explicit"}})
    for number in range(1, COUNT + 1):
        wire.send(f"PUB rot {len(body(number))}\r\n{body(number)}\r\n".encode())
    wait_until(lambda: wire.ask("$JS.API.STREAM.INFO.ROT", None)["state"]["messages"] == COUNT, "all is stored", 10)
    spoil(folder, ROTTEN)

    answer = wire.ask("$JS.API.STREAM.MSG.GET.ROT", {"seq": ROTTEN})
    assert "error" in answer, "a damaged message is served"
    for number in (ROTTEN - 1, ROTTEN + 1):
        message = wire.ask("$JS.API.STREAM.MSG.GET.ROT", {"seq": number})["message"]
        assert base64.b64decode(message["data"]).decode() == body(number)

    assert take_all(wire) == [body(number) for number in range(1, COUNT + 1) if number != ROTTEN]
    events = [json.loads(line) for line in log.read_text().splitlines() if "consumer_message_damaged" in line]
    assert [(event["stream"], event["consumer"], event["seq"]) for event in events] == [("ROT", "worker", ROTTEN)]
    info = wire.ask("$JS.API.CONSUMER.INFO.ROT.worker", None)
    assert (info["num_pending"], info["num_ack_pending"]) == (0, 0)


def test_a_copy_of_a_folder_is_not_taken_for_a_stream(tmp_path):
    port, data, log = free_port(), tmp_path / "data", tmp_path / "bus.log"
    argv = [DURE, "bus", "--listen", f"127.0.0.1:{port}", "--data", str(data)]
    with subprocess.Popen(argv, stdout=log.open("w"), stderr=subprocess.STDOUT) as process:
        wait_until(lambda: "nats://" in log.read_text(), "the bus listens", 10)
        assert "error" not in Wire(port).ask("$JS.API.STREAM.CREATE.ROT", {"name": "ROT", "subjects": ["rot"]})
        process.terminate()
    folder, = (data / "streams").iterdir()
    shutil.copytree(folder, data / "streams" / "ROT.copy")
    refused = subprocess.run(argv, capture_output=True, text=True, timeout=20)
    assert refused.returncode == 1
    assert "stream ROT stands in two folders" in refused.stderr
    assert "move the one that is a copy away" in refused.stderr
    assert {path.name for path in (data / "streams").iterdir()} == {folder.name, "ROT.copy"}
