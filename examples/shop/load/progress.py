"""progress: one line that changes, on a terminal; a line every few seconds elsewhere."""
import time


class Progress:
    LINE_SECONDS = 5
    REDRAW_SECONDS = 0.5

    def __init__(self, stream, total):
        self.stream = stream
        self.total = total
        self.terminal = stream.isatty()
        self.last = time.monotonic()

    def __call__(self, numbers):
        if time.monotonic() - self.last >= (self.REDRAW_SECONDS if self.terminal else self.LINE_SECONDS):
            self.last = time.monotonic()
            self.show(numbers(), "\r" if self.terminal else "\n")

    def finish(self, numbers):
        self.show(numbers, "\n")

    def show(self, n, end):
        text = (f"{n['orders']:>7} of {self.total} orders  {n['per_second']:>7.1f}/s  p50 {n['p50_ms']:.1f} ms  "
                f"p99 {n['p99_ms']:.1f} ms  first attempts failed: {n['failed_first_attempts']}")
        print(f"{text}\x1b[K" if self.terminal else text, end=end, file=self.stream, flush=True)
