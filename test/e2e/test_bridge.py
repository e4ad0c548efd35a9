"""The bridge: durable events and requests of the bus for services that only speak HTTP."""
import json
import os
import re
import signal
import threading
import time

import pytest
from dure_system import running, wait_until

TAKER = """
publishes: [note.taken]
subscribes:
  - {subject: "note.*", path: /events, attempts: 50, timeout: 2s}
  - {subject: doomed, path: /events, attempts: 3}
answers:
  - {subject: taker.ask, path: /answer, timeout: 1s}
  - {subject: taker.gone, path: /nowhere}
"""


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    with running(tmp_path_factory.mktemp("bridge"), {"taker": TAKER, "other": ""}) as probe:
        yield probe


@pytest.fixture(autouse=True)
def willing(probe):
    """Each test starts with a service that takes events."""
    probe.tell("taker", "events", 200)


def publish(probe, subject, value, **headers):
    status, ack = probe.bus("publish", subject, json.dumps(value), {"Content-Type": "application/json", **headers})
    assert status == 200, ack
    assert ack["stream"] == "EVENTS" and ack["seq"] > 0
    return ack


def deliveries(probe, key):
    return [event for event in probe.events("taker") if json.loads(event["body"]).get("key") == key]


def taken(probe, key):
    return [event for event in deliveries(probe, key) if event["answered"] == "200"]


def quiet(probe, key, seconds=1.5):
    """Nothing more of this key comes."""
    count = len(deliveries(probe, key))
    time.sleep(seconds)
    assert len(deliveries(probe, key)) == count


def test_an_event_is_a_cloud_event(probe):
    parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    publish(probe, "note.taken", {"key": "shape"}, **{"Nats-Msg-Id": "shape-1", "traceparent": parent})
    wait_until(lambda: taken(probe, "shape"), "it is delivered")
    (event,) = deliveries(probe, "shape")
    assert event["ce-specversion"] == "1.0" and event["ce-type"] == "note.taken" and event["ce-id"] == "shape-1"
    assert event["ce-source"] == "/dure/probe" and event["ce-dureattempt"] == "1"
    assert event["idempotency-key"] == "shape-1" and event["content-type"] == "application/json"
    assert event["traceparent"].split("-")[1] == parent.split("-")[1]
    quiet(probe, "shape")


def test_what_is_refused_comes_again_with_growing_waits(probe):
    probe.tell("taker", "events", 500)
    publish(probe, "note.taken", {"key": "again"})
    wait_until(lambda: len(deliveries(probe, "again")) == 3, "three deliveries")
    probe.tell("taker", "events", 200)
    first, second, third = (event["at"] for event in deliveries(probe, "again"))
    assert 0.15 < second - first < third - second
    assert third - second > 0.9
    wait_until(lambda: taken(probe, "again"), "it is taken in the end")
    assert [event["ce-dureattempt"] for event in deliveries(probe, "again")] == ["1", "2", "3", "4"]
    assert len({event["ce-id"] for event in deliveries(probe, "again")}) == 1


def test_a_service_that_says_nothing_gets_it_again(probe):
    probe.tell("taker", "events", "hang")
    publish(probe, "note.taken", {"key": "hang"})
    wait_until(lambda: deliveries(probe, "hang"), "a first delivery")
    probe.tell("taker", "events", 200)
    wait_until(lambda: taken(probe, "hang"), "a second delivery")
    first, second = (event["at"] for event in deliveries(probe, "hang"))
    assert second - first > 1.9


def test_kill_9_of_the_service(probe):
    """Half of the events are on their way when it dies; every one is taken by the next process, and what was
    acknowledged before does not come again."""
    publish(probe, "note.taken", {"key": "before"})
    wait_until(lambda: taken(probe, "before"), "it is delivered")
    probe.tell("taker", "events", "hang")
    keys = [f"killed-{n}" for n in range(20)]
    for key in keys:
        publish(probe, "note.taken", {"key": key})
    wait_until(lambda: any(deliveries(probe, key) for key in keys), "some are on their way")
    (old,) = probe.kill("taker")
    probe.tell("taker", "events", 200)
    wait_until(lambda: all(taken(probe, key) for key in keys), "all are taken")
    assert all(event["pid"] != old for key in keys for event in taken(probe, key))
    assert all(len(taken(probe, key)) == 1 for key in keys)
    assert len(deliveries(probe, "before")) == 1


@pytest.mark.parametrize("answer", [500, "hang"])
def test_kill_9_of_the_worker(probe, answer):
    """Events that were acknowledged to their publisher are delivered by the next worker, those that were on their
    way too; what the service had taken does not come again (its acknowledgement was on the disk)."""
    safe, keys = f"safe-{answer}", [f"worker-{answer}-{n}" for n in range(20)]
    publish(probe, "note.taken", {"key": safe})
    wait_until(lambda: taken(probe, safe), "it is delivered")
    wait_until(lambda: probe.metrics()["dure_consumers_ack_pending"] == 0, "it is acknowledged")
    probe.tell("taker", "events", answer)
    for key in keys:
        publish(probe, "note.taken", {"key": key})
    wait_until(lambda: deliveries(probe, keys[0]), "a first delivery")
    services, worker = probe.pids("taker") + probe.pids("other"), probe.worker()
    os.kill(worker, signal.SIGKILL)
    # What the dead worker had sent is answered before the answer changes: taken then, it would come twice,
    # because nobody was there to note it.
    wait_until(lambda: probe.pids("worker") not in ([], [worker]) and probe.healthy(), "the next worker serves")
    probe.tell("taker", "events", 200)
    wait_until(lambda: all(taken(probe, key) for key in keys), "all are taken")
    wait_until(probe.healthy, "the system is up")
    assert probe.worker() != worker
    assert probe.pids("taker") + probe.pids("other") == services
    assert all(len(taken(probe, key)) == 1 for key in keys)
    quiet(probe, keys[0], 0.5)
    assert len(deliveries(probe, safe)) == 1


def test_an_event_under_way_survives_a_restart(probe):
    probe.tell("taker", "events", "hang")
    publish(probe, "note.taken", {"key": "restart"})
    wait_until(lambda: deliveries(probe, "restart"), "a first delivery")
    assert probe.down() == 0
    probe.tell("taker", "events", 200)
    probe.up()
    wait_until(lambda: taken(probe, "restart"), "it is delivered again")


def test_an_event_that_nobody_takes_is_kept_in_the_dead_letter_stream(probe):
    probe.tell("taker", "events", 500)
    before = probe.metrics()["dure_consumers_dead_total"]
    ack = publish(probe, "doomed", {"key": "dead"})
    wait_until(lambda: len(deliveries(probe, "dead")) == 3, "three attempts")
    wait_until(lambda: probe.metrics()["dure_consumers_dead_total"] == before + 1, "it is a dead letter", 5)
    stored = b"".join(path.read_bytes() for path in (probe.folder / ".dure" / "store").rglob("*")
                      if path.is_file() and any(part.startswith("DEAD.") for part in path.parts))
    (letter,) = re.findall(rb"DEAD\.EVENTS\.taker_\w+NATS/1\.0\r\n.*?\r\n\r\n\{.*?\}", stored, re.S)
    assert letter.endswith(b'\r\n\r\n{"key": "dead"}')
    assert b"doomed" in letter and str(ack["seq"]).encode() in letter
    probe.tell("taker", "events", 200)
    quiet(probe, "dead", 2)
    assert len(deliveries(probe, "dead")) == 3


@pytest.mark.parametrize("header", ["Nats-Msg-Id", "Idempotency-Key", "ce-id"])
def test_the_same_message_twice_is_stored_once(probe, header):
    key = f"twice-{header}"
    first = publish(probe, "note.taken", {"key": key}, **{header: key})
    second = publish(probe, "note.taken", {"key": key}, **{header: key})
    assert second["seq"] == first["seq"] and second.get("duplicate") is True and "duplicate" not in first
    wait_until(lambda: taken(probe, key), "it is delivered")
    quiet(probe, key, 0.5)
    assert len(deliveries(probe, key)) == 1


def test_many_publishers_at_once(probe):
    keys = [f"many-{n}" for n in range(100)]
    seqs = []
    threads = [threading.Thread(target=lambda part: seqs.extend(publish(probe, "note.taken", {"key": k})["seq"] for k in part),
                                args=(keys[n::5],)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seqs)) == 100
    wait_until(lambda: all(taken(probe, key) for key in keys), "all are delivered")
    assert all(len(deliveries(probe, key)) == 1 for key in keys)


def test_publishing_what_nobody_wants_says_so(probe):
    status, problem = probe.bus("publish", "nobody.cares", b"{}")
    assert status == 404 and "nobody.cares" in problem["detail"]
    status, problem = probe.bus("publish", "note.*", b"{}")
    assert status == 400 and "note.*" in problem["detail"]
    assert probe.bus("publish", "note.taken", b"x" * (1024 * 1024 + 1))[0] == 413
    assert probe.request("GET", "/-/bus/publish/note.taken", port=probe.internal_port())[0] == 405


def test_a_request_is_answered(probe):
    status, reply = probe.bus("request", "taker.ask", json.dumps({"status": 200, "n": 7}))
    assert (status, reply["answered"]) == (200, {"status": 200, "n": 7})
    asked = probe.dure("ask", "taker.ask", json.dumps({"n": 8}))
    assert (asked.returncode, json.loads(asked.stdout)["answered"]) == (0, {"n": 8})


@pytest.mark.parametrize("code", [400, 402, 404, 409, 500, 503])
def test_a_refusal_comes_through(probe, code):
    status, reply = probe.bus("request", "taker.ask", json.dumps({"status": code}))
    assert (status, reply["answered"]) == (code, {"status": code})
    asked = probe.dure("ask", "taker.ask", json.dumps({"status": code}))
    assert asked.returncode == 5 and json.loads(asked.stdout)["answered"] == {"status": code}


def test_nobody_answers(probe):
    begin = time.monotonic()
    status, problem = probe.bus("request", "nobody.there", b"{}")
    assert status == 503 and "nobody.there" in problem["detail"]
    asked = probe.dure("ask", "nobody.there")
    assert asked.returncode == 5 and "nobody.there" in asked.stdout + asked.stderr
    assert time.monotonic() - begin < 3


def test_a_path_that_the_service_does_not_have(probe):
    assert probe.bus("request", "taker.gone", b"{}")[0] == 404


def test_timeouts(probe):
    begin = time.monotonic()
    status, problem = probe.bus("request", "taker.ask", json.dumps({"wait_ms": 3000}), query="?timeout=300ms")
    assert status == 504 and "300 ms" in problem["detail"] and time.monotonic() - begin < 1.5
    begin = time.monotonic()
    assert probe.bus("request", "taker.ask", json.dumps({"wait_ms": 3000}))[0] == 504  # the service's own: 1s
    assert 0.9 < time.monotonic() - begin < 2.5
    assert probe.bus("request", "taker.ask", b"{}", query="?timeout=soon")[0] == 400
    assert probe.dure("ask", "--timeout", "200ms", "taker.ask", '{"wait_ms": 3000}').returncode == 5
