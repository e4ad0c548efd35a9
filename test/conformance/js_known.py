"""Differences to nats-server that are known: each with what happens, why it is not to be mended here, and how narrowly it
is recognised. What a script does that leads to one is noted by js_script.Script.note.

`Nats-Last-Sequence` of a delete marker that is republished is passed over in js_compare.header_lines: the marker comes
after the message has gone, so there is none before it (0); the reference removes the message with the marker."""

import itertools
import json

FEWER, MORE, FREED, EARLY = "fewer", "more", "freed", "early"
ELSEWHERE, PURGED, PUT_OFF, TURNED = "elsewhere", "purged", "put off", "turned"
LIMITS = ("max_msgs", "max_bytes", "max_msgs_per_subject")


def floor_beyond_pending(ours, theirs, unlike):
    """A roll-up or a purge of one subject takes messages that were delivered and not acknowledged: the reference sets the
    consumer's floor to the last of them, also when earlier ones are pending still; and below that floor it takes nothing
    out of what is pending any more (consumer.purge, "isWider"). It then says more pending than there are deliveries above
    its floor, which cannot be; what was delivered again has taken a delivery more, which is counted only where there was
    such a purge and none is given up (those still stand there as delivered again)."""
    floor, delivered = theirs["ack_floor"]["consumer_seq"], theirs["delivered"]["consumer_seq"]
    exact = (PURGED, ours.get("stream_name")) in unlike and theirs.get("config", {}).get("max_deliver", 1) < 1
    again = theirs.get("num_redelivered", 0) if exact else 0
    return floor + theirs.get("num_ack_pending", 0) + again > delivered


def floor_left_behind(ours, theirs, unlike):
    """After such a purge the reference has the two halves of its floor from different messages: the delivery from the one
    that was taken, the sequence from right before the first of the stream. An acknowledgement below the first half moves
    none of them (moveAckFloor), so that the second stays when all before has been acknowledged. Here they belong together."""
    mine, other = ours["ack_floor"], theirs["ack_floor"]
    same = mine["consumer_seq"] == other["consumer_seq"] and ours["num_ack_pending"] == theirs["num_ack_pending"] > 0
    return (PURGED, ours.get("stream_name")) in unlike and same and mine["stream_seq"] > other["stream_seq"]


def floor_of_the_removed(ours, theirs, unlike):
    """The same, when of what it has pending something more has been removed since: the delivery of its floor is that of the
    message that was taken, the sequence right before an earlier one that is pending still."""
    mine, other = ours["ack_floor"], theirs["ack_floor"]
    same = mine["stream_seq"] == other["stream_seq"] and ours["num_ack_pending"] == theirs["num_ack_pending"] > 0
    return (PURGED, ours.get("stream_name")) in unlike and same and mine["consumer_seq"] < other["consumer_seq"]


def timed_without_acks(ours, theirs, unlike):
    """A stream by limits was changed to be one by interest, and a consumer acknowledges nothing: there is no ackq then, and
    the reference notes each delivery as an acknowledgement, with its time (updateAcks). Here nobody has acknowledged."""
    mine, other = ours["ack_floor"], dict(theirs["ack_floor"])
    none = ours.get("config", {}).get("ack_policy") == "none"
    timed = "last_active" not in mine and other.pop("last_active", None)
    return (TURNED, ours.get("stream_name")) in unlike and none and timed and mine == other


def put_off(ours, theirs, unlike):
    """What is refused for an hour after its last delivery (max_deliver) is given up at once: it does not come again, so
    there is nothing to wait for. The reference has it as pending until then (processNak does not ask how often)."""
    limited = (PUT_OFF,) in unlike and ours.get("config", {}).get("max_deliver", -1) > 0
    same = ours["delivered"]["consumer_seq"] == theirs["delivered"]["consumer_seq"]
    floors = ours["ack_floor"]["consumer_seq"] >= theirs["ack_floor"]["consumer_seq"]
    return limited and same and floors and ours["num_ack_pending"] < theirs["num_ack_pending"]


def acknowledged_by_removal(ours, theirs):
    """A limit takes a message that was delivered to a consumer which acknowledges all up to one: the reference takes that
    for an acknowledgement of it, and so of all before it, which nobody has acknowledged. Here they stay pending."""
    if ours.get("config", {}).get("ack_policy") != "all" or ours["delivered"]["consumer_seq"] != theirs["delivered"]["consumer_seq"]:
        return False
    fewer = ours["num_ack_pending"] > theirs["num_ack_pending"]
    return fewer and ours["ack_floor"]["consumer_seq"] < theirs["ack_floor"]["consumer_seq"]


def comes_by_itself(frame):
    """A delete marker or a copy: how many stand behind it when it is delivered depends on when the next one came."""
    return any(line.startswith(("Nats-Marker-Reason:", "Nats-Stream-Source:")) for line in frame["headers"])


def counted_otherwise(ours, theirs, consumer, unlike):
    """How many messages a consumer has not delivered yet, which is exact here.
    FEWER: after a purge or a roll-up the reference counts again, and for a consumer that began with the last of each
    subject only the last of each, though it delivers all (consumer.streamNumPending).
    MORE: for a consumer that begins beyond the end of the stream it counts also what comes before that.
    FREED: see goes_on_later; the message goes out at another time.
    EARLY: a message comes, and for it a limit takes one that counts against max_ack_pending: the reference delivers the next
    one before it counts the one that came.
    ELSEWHERE: see begins_elsewhere."""
    if ours == theirs + 1 and (EARLY, *consumer) in unlike or ours < theirs and (ELSEWHERE, *consumer) in unlike:
        return True
    return ours != theirs and ((FREED, *consumer) in unlike or (FEWER if theirs < ours else MORE, *consumer) in unlike)


def goes_on_later(ours, theirs, unlike):
    """A purge or a roll-up takes messages that count against max_ack_pending, or a paused consumer is to go on before its
    time: here it does at once, that of the reference with the next message (consumer.purge, updatePauseState wake nobody).
    One whose filter was taken away hears of no message there any more: see unheard."""
    freed = (FREED, ours.get("stream_name"), ours.get("name")) in unlike
    return freed and ours["delivered"]["consumer_seq"] > theirs["delivered"]["consumer_seq"]


def floor_below_gap(ours, theirs):
    """A consumer that acknowledges all up to one: here its floor is right below what is pending next, with every policy; the
    reference leaves it at what was acknowledged, when nothing that was delivered lies between."""
    mine, other = ours["ack_floor"], theirs["ack_floor"]
    same = mine["consumer_seq"] == other["consumer_seq"] and ours["num_ack_pending"] == theirs["num_ack_pending"] > 0
    return ours.get("config", {}).get("ack_policy") == "all" and same and mine["stream_seq"] > other["stream_seq"]


def mirror_from(ours, theirs):
    """An empty mirror whose first message will not have the sequence 1 (opt_start_seq, or the origin begins there): the
    reference tells where it will begin, from when it has found its origin on."""
    mine, other = ours["state"], theirs["state"]
    empty = mine["messages"] == other["messages"] == mine["first_seq"] == 0
    return bool(empty and theirs.get("config", {}).get("mirror") and other["first_seq"] == other["last_seq"] + 1)


def excused(key, ours, theirs, unlike):
    """Whether a member of two answers, each with that member, differs in a known way."""
    if key == "state":
        return mirror_from(ours, theirs)
    if key in ("delivered", "ack_floor", "num_ack_pending", "num_pending") and "delivered" in theirs and goes_on_later(ours, theirs, unlike):
        return True
    if key in ("ack_floor", "num_ack_pending") and "delivered" in theirs and "ack_floor" in theirs:
        return (floor_beyond_pending(ours, theirs, unlike) or acknowledged_by_removal(ours, theirs) or put_off(ours, theirs, unlike)
                or key == "ack_floor" and (floor_below_gap(ours, theirs) or floor_left_behind(ours, theirs, unlike)
                                           or floor_of_the_removed(ours, theirs, unlike) or timed_without_acks(ours, theirs, unlike)))
    if key == "num_pending" and "stream_name" in ours:
        return counted_otherwise(ours[key], theirs[key], (ours["stream_name"], ours["name"]), unlike)
    if key == "delivery" and ours[key][:-1] == theirs[key][:-1]:
        return (comes_by_itself(ours) and comes_by_itself(theirs)
                or counted_otherwise(int(ours[key][-1]), int(theirs[key][-1]), tuple(ours[key][:2]), unlike))
    return False


def body_of(step):
    try:
        body = json.loads(step.payload)
    except ValueError:
        body = None
    return body if isinstance(body, dict) else {}


def last_of_all(script, step, answers):
    """The last message of all (">"), when the last that was given out has gone: a reference that keeps the stream in memory
    looks for that one alone, and says that there is none (memStore.loadLastLocked)."""
    words = step.subject.split(".")
    if "GET" not in words or body_of(step).get("last_by_subj") != ">" or not all(len(answer) == 1 for answer in answers):
        return False
    ours, theirs = answers[0][0], answers[-1][0]
    none = theirs["headers"][:1] == ["NATS/1.0 404 Message Not Found"] or (
        isinstance(theirs["body"], dict) and theirs["body"].get("error", {}).get("code") == 404)
    seqs = [int(line.split(": ")[1]) for line in ours["headers"] if line.startswith("Nats-Sequence: ")]
    if isinstance(ours["body"], dict) and "message" in ours["body"]:
        seqs = [ours["body"]["message"]["seq"]]
    return none and bool(seqs) and seqs[0] < script.last.get(words[-1], 0)


def from_mirror(script, step, answers):
    """A direct get of a stream that has a mirror with mirror_direct: in the reference either of them answers, the mirror
    also when the stream does not allow it any more."""
    words = step.subject.split(".")
    if not step.subject.startswith("$JS.API.DIRECT.GET.") or words[4] not in script.mirrored:
        return False
    if [frame["headers"][:1] for frame in answers[0]] == [["NATS/1.0 503"]]:
        return True
    answered = [frame | {"headers": [f"Nats-Stream: {words[4]}" if line == "Nats-Stream: M" else line
                                     for line in frame["headers"]]} for frame in answers[-1]]
    return answered == answers[0]


def failed_store(ours, theirs):
    """A stream in files that is made soon after one of the same name has gone: the reference, which removes the folder in
    its own time, now and then fails with an error of its own (500, 10049)."""
    bodies = [frame["body"] for frame in theirs if isinstance(frame["body"], dict)]
    failed = any(body.get("error", {}).get("description") == "error creating store for stream" for body in bodies)
    return failed and all(isinstance(frame["body"], dict) and "error" not in frame["body"] for frame in ours)


def infos_in(answer):
    """What an answer tells of streams: by their names."""
    bodies = [frame["body"] for frame in answer if isinstance(frame["body"], dict)]
    infos = bodies + [info for body in bodies for info in body.get("streams") or [] if isinstance(info, dict)]
    return {info["config"]["name"]: info for info in infos if "state" in info and "config" in info}


def unheard(script, step, ours, theirs):
    """A consumer had a filter, and was changed to have none: the reference tells it of no message any more (swapSigSubs
    takes an empty list for filters of which none matches). It does not count them, waits, and in a stream by interest
    nobody wants them, so that they are not kept; and there is nothing to acknowledge. Here it gets them all."""
    if step.kind == "ack" and script.deaf and ours and not theirs:
        return True
    if more_in(step, ours, theirs, {consumer[0] for consumer in script.deaf}):
        return True
    mine, other = [[frame for frame in answer if "delivery" in frame] for answer in (ours, theirs)]
    more = len(mine) > len(other) and mine[: len(other)] == other
    return more and all(tuple(frame["delivery"][:2]) in script.deaf for frame in mine)


def purged_of(step, answer, streams):
    """How many messages a purge of one of these streams took; -1 when it is none."""
    if not step.subject.startswith("$JS.API.STREAM.PURGE.") or step.subject.split(".")[-1] not in streams:
        return -1
    return answer[0]["body"].get("purged", -1) if len(answer) == 1 and isinstance(answer[0]["body"], dict) else -1


def more_in(step, more, less, streams):
    """Whether one of these streams is seen to have more messages on one server than on the other."""
    mine, other = infos_in(more), infos_in(less)
    return (any(mine[name]["state"]["messages"] > other[name]["state"]["messages"] for name in streams & set(mine) & set(other))
            or purged_of(step, more, streams) > purged_of(step, less, streams) >= 0)


def let_go(script, step, ours, theirs):
    """A consumer of a stream by interest is given another filter, which messages do not match that are out and not
    acknowledged: the reference removes them (cleanupNoInterestMessages). Here they stay until they are settled."""
    return more_in(step, ours, theirs, {consumer[0] for consumer in script.refiltered})


def kept(script, step, ours, theirs):
    """A stream by limits was changed to be one by interest: what no consumer wants goes, and what is delivered to one
    without acknowledgements. The reference looks only at what its consumers have acknowledged until then
    (checkStateForInterestStream), and keeps these."""
    return more_in(step, theirs, ours, script.turned)


def room_first(script, step, ours, theirs):
    """A message rolls its subject up in a stream with a limit: here that makes room first, and the limit may take nothing.
    The reference lets the limit take the oldest message of all first, then rolls up."""
    streams = script.rolled & script.limited
    if more_in(step, ours, theirs, streams):
        return True
    gone = [one["body"].get("error", {}).get("err_code") for one in theirs if isinstance(one["body"], dict)]
    there = [one["body"].get("error") for one in ours if isinstance(one["body"], dict)]
    return step.subject.split(".")[-1] in streams and there == [None] and gone in ([10037], [10043])


def given_up(script, step, ours, theirs):
    """See put_off: what was given up can not be acknowledged any more, and so stays in a stream by interest."""
    names = {name for name, info in infos_in(ours).items() if info["config"]["retention"] != "limits"}
    return (PUT_OFF,) in script.unlike and more_in(step, ours, theirs, names)


def begins_elsewhere(script, ours, theirs):
    """A consumer that began with the last of each subject is given another filter: here it goes on from where it began,
    which is right behind all there was if nothing matched. The reference has it begin with the first of the stream, if that
    keeps one message of each subject (selectStartingSeqNo takes it for any other then), or, if nothing matched, with the
    last of it; with the other filter it delivers these too. And it passes over what is no last one of the first filter."""
    for frames in itertools.zip_longest(ours, theirs, fillvalue={}):
        if frames[0] != frames[1]:
            return any((ELSEWHERE, *frame.get("delivery", ())[:2]) in script.unlike for frame in frames)
    return False


def passes(script, step, answers):
    """Whether the answers to a step differ in a known way, and the script goes on."""
    return last_of_all(script, step, answers) or from_mirror(script, step, answers)


def ends(script, step, answers):
    """Why the servers differ from here on, and the script ends; "" when that is not known.
    A purge and a roll-up take from the reference what it has queued for a delivery that was asked for by -NAK, also when
    they remove nothing: it comes again only after ack_wait (consumer.purge keeps of the queue what is above its next
    sequence, and what was delivered is below). Here it comes at once."""
    if len(answers) > 1 and failed_store(answers[0], answers[-1]):
        return "the reference can not make its store"
    freed = [one[1:] for one in script.unlike if one[0] == FREED]
    if answers and freed and answers[0][: len(answers[-1])] == answers[-1] and len(answers[0]) > len(answers[-1]):
        if all(tuple(frame.get("delivery", ())[:2]) in freed for frame in answers[0]):
            return "nobody wakes a consumer"  # goes_on_later
    if len(answers) > 1 and unheard(script, step, answers[0], answers[-1]):
        return "a consumer without its filter hears nothing"
    if len(answers) > 1 and let_go(script, step, answers[0], answers[-1]):
        return "what is out goes with its filter"
    if len(answers) > 1 and kept(script, step, answers[0], answers[-1]):
        return "what nobody wants is kept"
    if len(answers) > 1 and room_first(script, step, answers[0], answers[-1]):
        return "a limit takes before a roll-up"
    if len(answers) > 1 and given_up(script, step, answers[0], answers[-1]):
        return "what was given up stays"
    if len(answers) > 1 and begins_elsewhere(script, answers[0], answers[-1]):
        return "the last of each subject begin elsewhere with another filter"
    for frame in answers[0] if script.dropped and answers else []:
        if "delivery" in frame and int(frame["delivery"][2]) > 1 and frame not in answers[-1]:
            return "a purge delays what was refused"
    return ""
