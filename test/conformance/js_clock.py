"""Scripts with short times are kept clear of them: a difference is to be of the servers, not of when they were asked.

Such a script is played in bursts, each shorter than the shortest time that may begin to run in it. Between them comes a
rest in which everything that runs becomes due on all servers. A burst that took too long (a stalled machine) is not
judged: the script is played again."""

import time

# Of a theme: how long after the begin of a burst the next one begins, until when in it a step may begin, when it is late.
# "short": 0.5 s after -NAK is the shortest, 1 s the longest, to which the reference adds up to 1 s before it removes a
# consumer that nobody uses. "ttl": a second at least, two more for the marker it leaves.
TIMES = {"short": (2.5, 0.3, 0.5), "ttl": (3.6, 0.6, 1)}


class Clock:
    """`rest`: listens to the servers for so many seconds."""

    def __init__(self, script, rest):
        self.every, self.begins, self.ends = TIMES.get(script.theme, (0, 0, 0))
        self.script, self.rest = script, rest
        self.since = time.monotonic()
        self.first = self.last = 0

    def past(self):
        return time.monotonic() - self.since

    def wait(self):
        """The rest between two bursts."""
        self.rest(max(self.every - self.past(), 0))
        self.since = time.monotonic()

    def before(self, step):
        if step.kind == "wait" or (self.every and self.past() > self.begins):
            self.wait()
        if step.kind == "wait":
            self.every = 0  # what begins to run behind the script's own rest comes after its end
        if step.kind == "ask" and not step.subject.startswith("$JS."):
            self.last = time.monotonic()
            self.first = self.first or self.last

    def is_late(self):
        return bool(self.every) and self.past() > self.ends

    def replay_s(self, step):
        """How long a consumer that keeps to the times of the messages may take for them. No longer than a second: this
        wait itself makes the times longer."""
        delivers = step.kind == "pull" or "$JS.API.CONSUMER" in step.subject
        return min(self.last - self.first + 0.1, 1) if delivers and self.script.replays and self.first else 0
