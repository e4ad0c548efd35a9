"""What is compared of the answers of two servers, and what may differ between them."""

import base64
import json

import js_known

# Tell of time and place, or are drawn by lot: both must have them, and both the zero time or neither.
TIMES = {"ts", "created", "first_ts", "last_ts", "last_active", "time", "pinned_ts", "pause_remaining", "active", "pinned_client_id"}
ZERO_TIME = "0001-01-01T00:00:00Z"

# Members that nats-server 2.9 does not know.
NEWER = {"metadata", "name", "compression", "consumer_limits", "allow_msg_ttl", "num_deleted_ranges", "mirror_direct",
         "discard_new_per_subject", "max_consumers", "sealed", "offset", "limit", "total"}

# Members of later levels of the API than ours, which a newer server tells with their defaults.
LATER = {"seq", "allow_msg_counter", "allow_atomic", "allow_msg_schedules", "allow_batched", "persist_mode"}

# What follows are the words of a parser: of JSON, of a subject's transform.
PARSERS = ("invalid JSON", "NATS/1.0 400 Bad Request - ", "stream transform: ")

MASKED = ("Nats-Time-Stamp", "Nats-Consumer-Stalled", "Nats-Pin-Id")


def header_lines(headers):
    """The status line and the headers; of those that tell of a time or are drawn by lot only that they are there."""
    lines, marker = [], b"\r\nNats-Marker-Reason:" in headers
    for line in headers.decode(errors="replace").split("\r\n"):
        name = line.split(":")[0]
        if name == "Nats-Stream-Source":
            line = " ".join(line.split(" ")[:3])
        drawn = name in MASKED or line.startswith("Nats-Subject: $JS.") or (marker and name == "Nats-Last-Sequence")
        lines += [f"{name}: *" if drawn else line] if line else []
    return lines


def plain(frame):
    """A frame as something that can be compared."""
    try:
        body = json.loads(frame.payload) if frame.payload[:1] == b"{" else frame.payload.decode(errors="replace")
    except ValueError:
        body = frame.payload.decode(errors="replace")
    if isinstance(body, dict):
        uncover(body)
    answer = {"headers": header_lines(frame.headers), "body": body}
    if frame.reply.startswith(b"$JS.ACK."):
        fields = frame.reply.decode().split(".")
        answer["subject"] = frame.subject.decode()
        answer["delivery"] = fields[2:7] + fields[8:]  # without the time
    elif frame.reply:
        answer["reply"] = b".".join(frame.reply.split(b".")[:2]).decode()
    elif not frame.subject.startswith(b"_"):
        answer["subject"] = frame.subject.decode()
    return answer


def uncover(body):
    """Makes headers in base64 readable; takes the stream of the dead letters, which the reference does not have, out of
    a list of streams, and the consumers with which the reference follows origins out of a list of consumers; and orders what
    has no order; and does not tell how far a stream that was changed is behind its origins."""
    message = body.get("message")
    if isinstance(message, dict) and isinstance(message.get("hdrs"), str):
        message["hdrs"] = header_lines(base64.b64decode(message["hdrs"]))
    consumers = body.get("consumers")
    if isinstance(consumers, list):
        kept = [one for one in consumers if not str(one["name"] if isinstance(one, dict) else one).startswith(("JS_SRC_", "JS_MIRROR_"))]
        body["total"] -= len(consumers) - len(kept)
        body["consumers"] = kept
    streams = body.get("streams")
    for info in [body, *(streams if isinstance(streams, list) else ())]:
        if isinstance(info, dict) and isinstance(info.get("sources"), list):
            info["sources"].sort(key=lambda origin: str(origin.get("name")))  # the reference has them in no order
    if str(body.get("type", "")).endswith("stream_update_response"):
        for origin in [body.get("mirror"), *(body.get("sources") or ())]:
            if isinstance(origin, dict) and "lag" in origin:
                origin["lag"] = 0  # it begins to follow anew
    if not isinstance(streams, list):
        return
    kept = [one for one in streams if one != "DEAD" and not (isinstance(one, dict) and one["config"]["name"] == "DEAD")]
    body["total"] -= len(streams) - len(kept)
    body["offset"] = min(body["offset"], body["total"])
    body["streams"] = kept


def is_heartbeat(answer):
    return answer["headers"][:1] == ["NATS/1.0 100 Idle Heartbeat"]


def calm(frames):
    """Frames in which heartbeats that say the same stand once."""
    kept = []
    for one in frames:
        if not (kept and is_heartbeat(one) and one == kept[-1]):
            kept.append(one)
    return kept


def passed_over(key, ours, theirs, old):
    """Whether a member is not compared; the head of js_differential.py gives the reasons."""
    mine, other = ours.get(key), theirs.get(key)
    if key[:1] == "_" or key in ("cluster", "api") or (mine in ([], None) and other in ([], None)):
        return True
    if key in LATER and key not in ours and (not other or "lag" in theirs):
        return True
    if "lag" in ours and (key == "error" or theirs.get("active") == -1):
        return True
    if key in TIMES and (key in ours) == (key in theirs):
        return (mine == ZERO_TIME) == (other == ZERO_TIME)
    if key == "stream_seq" and ours.get("consumer_seq") == theirs.get("consumer_seq") == 0:
        return True
    if key == "first_seq" and (mine, other) == (0, 1):
        return True
    if key in ("deleted", "num_deleted") and theirs.get("deleted") == [0]:
        return True
    if key == "push_bound" and str(ours.get("type", "")).endswith("consumer_create_response"):
        return mine or not other
    kind = str(ours.get("type", ""))
    if key == "state" and (kind.endswith("stream_update_response") or kind.endswith("create_response") and "lag" in str(ours)):
        return True
    if key in ("delivered", "ack_floor", "num_pending", "num_ack_pending") and kind.endswith("consumer_create_response"):
        return "deliver_subject" in ours.get("config", ())
    return old and key in NEWER and (key not in theirs or key not in ours)


def different(ours, theirs, path="", old=False, unlike=()):
    """The first place where two answers differ, or None. `old`: theirs are those of nats-server 2.9. `unlike`: members
    that are not compared, and what js_known.py wants to know."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in sorted(set(ours) | set(theirs)):
            if key in unlike or passed_over(key, ours, theirs, old):
                continue
            if key not in ours or key not in theirs:
                where = "missing" if key not in ours else "unknown there"
                return f"{path}.{key}: {where} ({(theirs if key in theirs else ours)[key]!r})"
            found = different(ours[key], theirs[key], f"{path}.{key}", old, unlike)
            if found and not js_known.excused(key, ours, theirs, unlike):
                return found
        return None
    for text in PARSERS:
        if isinstance(ours, str) and isinstance(theirs, str) and ours.startswith(text) and theirs.startswith(text):
            return None
    if isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for i, pair in enumerate(zip(ours, theirs)):
            found = different(*pair, f"{path}[{i}]", old, unlike)
            if found:
                return found
        return None
    return None if ours == theirs else f"{path}: {ours!r} instead of {theirs!r}"


def told_apart(ours, theirs):
    """nats-server 2.9 says nothing where we, as later ones, say that nobody answers."""
    return theirs == [] and len(ours) == 1 and ours[0]["headers"][:1] == ["NATS/1.0 503"]


def from_all(answers, old, unlike=()):
    """Where the first answer differs from the last one; None when it is the same as any of the others. `old` says of
    each server whether it is a nats-server 2.9."""
    found = None
    for theirs, is_old in zip(answers[1:], old[1:]):
        found = None if is_old and told_apart(answers[0], theirs) else different(answers[0], theirs, "", is_old, unlike)
        if not found:
            return None
    return found


def where_peers_differ(answers, unlike=()):
    """Where nats-server 2.9 and a newer one do not say the same: the path, or None."""
    found = different(answers[-1], answers[1], "", True, unlike) if len(answers) > 2 else None
    return found.split(":")[0] if found else None
