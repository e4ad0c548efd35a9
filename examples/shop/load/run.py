"""run: workers that place orders side by side, and what they found out."""
import collections
import threading
import time

from client import Client


class Run:
    """All numbers of one run. Every field is guarded by `lock`."""

    def __init__(self, tasks, rate=None):
        self.lock = threading.Lock()
        self.tasks = iter(tasks)
        self.rate = rate
        self.start = time.monotonic()
        self.end = None
        self.taken = 0
        self.answers = collections.defaultdict(list)  # order id -> [Answer]
        self.seconds = []
        self.failed_first = 0
        self.failed_attempts = collections.Counter()
        self.crashed = []

    def take(self):
        with self.lock:
            order = next(self.tasks, None)
            turn = self.taken
            self.taken += 1
        if order and self.rate:
            time.sleep(max(0, self.start + turn / self.rate - time.monotonic()))
        return order

    def note(self, order, answer):
        with self.lock:
            self.answers[order.id].append(answer)
            self.seconds.append(answer.seconds)
            self.failed_first += bool(answer.failed)
            self.failed_attempts.update(answer.failed)

    def work(self, gateway, limit):
        client = Client(gateway, limit)
        try:
            while order := self.take():
                self.note(order, client.place(order))
                if order.again:
                    self.note(order, client.place(order))
        except Exception as mistake:  # of this program: the run must not look as if it had gone well
            with self.lock:
                self.crashed.append(f"{type(mistake).__name__}: {mistake}")
        finally:
            client.close()

    def numbers(self):
        with self.lock:
            seconds = sorted(self.seconds)
            first = [answers[0] for answers in self.answers.values()]
            elapsed = (self.end or time.monotonic()) - self.start
            return {
                "orders": len(first),
                "requests": len(seconds),
                "seconds": round(elapsed, 3),
                "per_second": round(len(seconds) / elapsed, 1) if elapsed > 0 else 0,
                "p50_ms": percentile_ms(seconds, 0.50),
                "p99_ms": percentile_ms(seconds, 0.99),
                "max_ms": percentile_ms(seconds, 1),
                "failed_first_attempts": self.failed_first,
                "failed_attempts": dict(self.failed_attempts.most_common(20)),
                "given_up": sum(not answer.status for answer in first),
                "status": dict(sorted(collections.Counter(str(answer.status) for answer in first).items())),
                "crashed": list(self.crashed),
            }


def percentile_ms(ordered, share):
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000, 1) if ordered else 0


def run(gateway, tasks, workers, rate, limit, progress):
    """Places all of `tasks`; `progress` is called about ten times a second."""
    state = Run(tasks, rate)
    threads = [threading.Thread(target=state.work, args=(gateway, limit), daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        progress(state.numbers)
        time.sleep(0.1)
    state.end = time.monotonic()
    return state
