"""What can be measured from outside: metrics, access log, traces."""
import json
import shutil
import subprocess
import threading
import time

import pytest
from dure_system import running, wait_until

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SERVICES = {
    "front": "needs: [back]\npublishes: [thing.done]",
    "back": "answers: [{subject: back.ask, path: /answer}]",
    "watcher": "subscribes: [{subject: thing.done, path: /events}]",
}
# What an access log line says; the types are those of JSON.
ACCESS = {"time": str, "side": str, "method": str, "host": str, "path": str, "status": int, "attempts": int,
          "bytes_in": int, "bytes_out": int, "duration_us": int, "upstream_us": int, "trace": str, "span": str,
          "service": str, "version": str, "instance": str}


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    with running(tmp_path_factory.mktemp("metrics"), SERVICES) as probe:
        yield probe


class Moved:
    """By how much metrics move within the block."""

    def __init__(self, probe):
        self.probe = probe

    def __enter__(self):
        self.before = self.probe.metrics()
        return self

    def __exit__(self, *_):
        self.after = self.probe.metrics()

    def __call__(self, name, *labels):
        keys = [key for key in self.after if key.partition("{")[0] == name and all(label in key for label in labels)]
        assert keys, f"no metric {name} {labels}"
        return sum(self.after[key] - self.before.get(key, 0) for key in keys)


def test_promtool_has_nothing_to_say(probe):
    promtool = shutil.which("promtool")
    if not promtool:
        pytest.skip("promtool is not installed (apt install prometheus)")
    probe.get("/front/x")
    status, headers, text = probe.request("GET", "/-/metrics", port=probe.internal_port())
    assert status == 200 and headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    checked = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, timeout=30)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")


def test_requests_are_counted_for_route_and_service(probe):
    with Moved(probe) as moved:
        for _ in range(7):
            assert probe.get("/front/x")[0] == 200
        for code in (204, 302, 404, 404, 500):
            probe.request("GET", f"/front/status/{code}")
    for kind in ("service", "route"):
        label = "front"
        assert moved(f"dure_{kind}_requests_total", label) == 12
        assert moved(f"dure_{kind}_responses_2xx_total", label) == 8
        assert moved(f"dure_{kind}_responses_3xx_total", label) == 1
        assert moved(f"dure_{kind}_responses_4xx_total", label) == 2
        assert moved(f"dure_{kind}_responses_5xx_total", label) == 1
        assert moved(f"dure_{kind}_request_duration_seconds_count", label) == 12
        assert moved(f"dure_{kind}_requests_in_flight", label) == 0
    assert moved("dure_service_requests_total", "back") == 0


def test_latency_is_measured(probe):
    with Moved(probe) as moved:
        probe.get("/front/slow/300")
    assert moved("dure_service_request_duration_seconds_count", "front") == 1
    assert 0.3 <= moved("dure_service_request_duration_seconds_sum", "front") < 3
    assert moved("dure_service_request_duration_seconds_bucket", "front", 'le="+Inf"') == 1


def test_what_is_under_way_is_shown(probe):
    thread = threading.Thread(target=probe.get, args=("/front/slow/1000",))
    thread.start()

    def in_flight():
        return [value for key, value in probe.metrics().items() if key.startswith("dure_service_requests_in_flight") and "front" in key] == [1]

    wait_until(in_flight, "the request is under way", 2)
    thread.join()
    wait_until(lambda: not in_flight(), "the request has ended", 2)


def test_a_retry_is_counted_and_no_error(probe):
    with Moved(probe) as moved:
        assert probe.get("/front/once/metrics") == (200, {"once": "metrics"})
    assert moved("dure_service_retries_total", "front") == 1
    assert moved("dure_service_requests_total", "front") == 1
    assert moved("dure_service_errors_total", "front") == 0


def test_errors_are_counted(probe):
    with Moved(probe) as moved:
        assert probe.request("POST", "/front/x")[0] == 404  # of the service
        assert probe.get("/nowhere")[0] == 404  # of the gateway
    assert moved("dure_service_errors_total", "front") == 0
    assert moved("dure_proxy_unrouted_total") == 1


def test_bytes_are_counted(probe):
    with Moved(probe) as moved:
        body = probe.request("POST", "/front/publish/thing.done", b"x" * 1000)[2]
    assert moved("dure_service_request_bytes_total", "front") == 1000
    assert moved("dure_service_response_bytes_total", "front") == len(body)


def test_bus_and_streams_move(probe):
    wait_until(lambda: probe.metrics()["dure_consumers_ack_pending"] == 0, "what came before is over")
    seen = len(probe.events("watcher"))
    with Moved(probe) as moved:
        for _ in range(5):
            assert probe.bus("publish", "thing.done", b"{}")[0] == 200
        wait_until(lambda: len(probe.events("watcher")) == seen + 5, "they are delivered")
        wait_until(lambda: probe.metrics()["dure_consumers_ack_pending"] == 0, "they are acknowledged")
        assert probe.bus("request", "back.ask", b"{}")[0] == 200
        assert probe.bus("request", "nobody", b"{}")[0] == 503
    assert moved("dure_bus_messages_in_total") >= 6
    assert moved("dure_bus_messages_captured_total") == 5
    assert moved("dure_streams_stored_total") >= 5
    assert moved("dure_consumers_delivered_total") == 5
    assert moved("dure_consumers_acked_total") == 5
    assert moved("dure_consumers_redelivered_total") == 0
    assert moved("dure_bus_no_responders_total") == 1
    assert moved("dure_store_appends_total") >= 5
    assert moved("dure_store_commit_duration_seconds_count") >= 1


def test_a_duplicate_is_counted(probe):
    with Moved(probe) as moved:
        for _ in range(2):
            probe.bus("publish", "thing.done", b"{}", {"Nats-Msg-Id": "metrics-twice"})
    assert moved("dure_streams_duplicates_total") == 1


def test_status_counts_as_the_metrics_do(probe):
    (front,) = [s for s in probe.status()["services"] if s["service"] == "front"]
    key = next(key for key in probe.metrics() if key.startswith("dure_service_requests_total{") and "front" in key)
    assert front["requests"] == probe.metrics()[key]


def access_lines(probe, trace):
    """The lines of one trace; they are written behind the answer."""
    path = probe.folder / ".dure" / "log" / "access.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [line for line in lines if line["trace"] == trace]


def test_the_access_log(probe):
    trace = "5" * 32
    probe.request("GET", "/front/status/418?x=1", headers={"traceparent": f"00-{trace}-{'6' * 16}-01", "Host": "shop.example"})
    wait_until(lambda: access_lines(probe, trace), "its line is written", 10)
    (line,) = access_lines(probe, trace)
    for member, kind in ACCESS.items():
        assert type(line[member]) is kind, member
    assert (line["side"], line["method"], line["host"], line["status"]) == ("edge", "GET", "shop.example", 418)
    assert line["path"].startswith("/front/status/418")
    assert (line["service"], line["version"], line["instance"], line["attempts"]) == ("front", "1.0.0", "front-1-0", 1)
    assert 0 < line["upstream_us"] <= line["duration_us"]
    assert line["bytes_out"] == len('{"status": 418}')


def test_the_access_log_says_why_it_failed(probe):
    trace = "7" * 32
    assert probe.request("GET", "/nowhere", headers={"traceparent": f"00-{trace}-{'6' * 16}-01"})[0] == 404
    wait_until(lambda: access_lines(probe, trace), "its line is written", 10)
    (line,) = access_lines(probe, trace)
    assert line["status"] == 404 and not line["service"]


def trace_of(probe, trace, count):
    """The spans of a trace, when there are `count`."""
    def spans():
        shown = probe.dure("trace", "--json", trace)
        assert shown.returncode == 0, shown.stderr
        traces = json.loads(shown.stdout)["traces"]
        return traces[0]["spans"] if traces else []

    wait_until(lambda: len(spans()) >= count, f"{count} spans", 10)
    return spans()


def below(spans, parent):
    return sorted(span["name"] for span in spans if span["parent"] == parent)


def by_name(spans, name, service=None):
    (span,) = [s for s in spans if s["name"] == name and service in (None, s["service"])]
    return span


def test_a_request_through_two_services_is_one_tree(probe):
    client = "00f067aa0ba902b7"
    status, _ = probe.get("/front/call/back/x", headers={"traceparent": f"00-{TRACE}-{client}-01"})
    assert status == 200
    spans = trace_of(probe, TRACE, 2)
    assert len(spans) == 2
    edge, inner = by_name(spans, "GET /front/call/back/x"), by_name(spans, "GET /x", "back") if \
        any(s["name"] == "GET /x" for s in spans) else [s for s in spans if s["service"] == "back"][0]
    assert edge["parent"] == client  # the client's trace is continued
    assert edge["service"] == "front" and inner["service"] == "back"
    assert inner["parent"] == edge["span"]
    assert edge["status"] == inner["status"] == 200
    assert inner["duration_us"] <= edge["duration_us"]


def test_a_request_over_the_bus_is_one_tree(probe):
    trace, client = "8" * 32, "9" * 16
    status, _, _ = probe.request("POST", "/front/request/back.ask", b"{}", {"traceparent": f"00-{trace}-{client}-01"})
    assert status == 200
    spans = trace_of(probe, trace, 3)
    edge = next(s for s in spans if s["parent"] == client)
    assert edge["service"] == "front"
    served = next(s for s in spans if s["service"] == "back")
    known = {s["span"]: s for s in spans}
    at, path = served, []
    while at["span"] != edge["span"]:
        assert at["parent"] in known, f"{at} hangs in the air"
        at = known[at["parent"]]
        path.append(at["name"])
    assert any("back.ask" in name for name in path)
    assert sum(s["parent"] not in known for s in spans) == 1


def test_an_event_belongs_to_the_trace_of_its_publisher(probe):
    trace, client = "a" * 32, "b" * 16
    seen = len(probe.events("watcher"))
    status, _, _ = probe.request("POST", "/front/publish/thing.done", b"{}", {"traceparent": f"00-{trace}-{client}-01"})
    assert status == 200
    wait_until(lambda: len(probe.events("watcher")) > seen, "the event is delivered")
    assert probe.events("watcher")[-1]["traceparent"].split("-")[1] == trace
    spans = trace_of(probe, trace, 2)
    wait_until(lambda: any(s["service"] == "watcher" for s in trace_of(probe, trace, 2)), "the delivery is in the trace", 5)
    spans = trace_of(probe, trace, 2)
    known = {s["span"] for s in spans}
    assert sum(s["parent"] not in known for s in spans) == 1


def test_without_a_trace_one_begins(probe):
    _, answer = probe.get("/front/x")
    version, trace, span, flags = answer["traceparent"].split("-")
    assert version == "00" and len(trace) == 32 and len(span) == 16 and flags in ("01", "03")
    (root,) = trace_of(probe, trace, 1)
    assert not root["parent"] and root["span"] == span


def test_a_broken_traceparent_is_not_continued(probe):
    for bad in ("00-" + "0" * 32 + "-00f067aa0ba902b7-01", "hello", "00-XYZ-1-01"):
        _, answer = probe.get("/front/x", headers={"traceparent": bad})
        assert answer["traceparent"] != bad and len(answer["traceparent"]) == 55


def test_the_tree_for_people(probe):
    shown = probe.dure("trace", TRACE)
    lines = shown.stdout.splitlines()
    assert shown.returncode == 0 and TRACE in lines[0] and "front" in lines[0]
    assert "└─" in lines[1] and "back" in lines[1]
    assert TRACE in probe.dure("trace", "--last", "100").stdout
    assert probe.dure("trace", "nonsense").returncode == 1
