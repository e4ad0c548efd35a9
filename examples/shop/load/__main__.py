#!/usr/bin/env python3
"""Places orders in the shop, then checks that the books of its five services agree.

    python3 examples/shop/load --orders 2000

Ends with 0 when every order was answered and the books agree, 1 when not, 2 when it cannot even try."""
import argparse
import json
import os
import sys

from client import Refused, loopback
from orders import tasks
from progress import Progress
from reconcile import Unreadable, reconcile, show
from run import run

STATE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), ".dure", "data")


def arguments():
    parser = argparse.ArgumentParser(prog="load", description=__doc__.splitlines()[0])
    parser.add_argument("--orders", type=int, default=2000, metavar="N", help="how many (2000)")
    parser.add_argument("--gateway", default="http://127.0.0.1:8080", metavar="URL", help="on this machine")
    parser.add_argument("--seed", default="1", help="another seed: other orders, with other ids (1)")
    parser.add_argument("--workers", type=int, default=32, metavar="N", help="clients at the same time (32)")
    parser.add_argument("--rate", type=float, metavar="N", help="requests per second; without it: as fast as it goes")
    parser.add_argument("--limit", type=float, default=60, metavar="S", help="for how long an order is tried (60 s)")
    parser.add_argument("--settle", type=float, default=60, metavar="S", help="how long events may take after it (60 s)")
    parser.add_argument("--state", default=STATE, metavar="DIR", help="the shop's .dure/data")
    parser.add_argument("--strict", action="store_true", help="a single attempt that fails is a failure")
    parser.add_argument("--no-reconcile", action="store_true", help="place orders only")
    parser.add_argument("--reconcile-only", action="store_true", help="place nothing, compare the books")
    parser.add_argument("--json", action="store_true", help="the result as JSON on standard output")
    return parser.parse_args()


def place(options, stream):
    progress = Progress(stream, options.orders)
    state = run(loopback(options.gateway), tasks(options.seed, options.orders), options.workers, options.rate,
                options.limit, progress)
    numbers = state.numbers()
    progress.finish(numbers)
    for why, count in numbers["failed_attempts"].items():
        print(f"{count:>7} attempts failed: {why}", file=stream)
    for why in numbers["crashed"]:
        print(f"load is broken: {why}", file=stream)
    return state, numbers


def main():
    options = arguments()
    stream = sys.stderr if options.json else sys.stdout
    answers, result, ok = {}, {}, True
    try:
        if not options.reconcile_only:
            state, result = place(options, stream)
            answers = state.answers
            ok = not (result["crashed"] or result["given_up"] or (options.strict and result["failed_first_attempts"]))
            ok = ok and len(answers) == options.orders
        if not options.no_reconcile:
            lines, discrepancies = reconcile(options.state, answers, options.settle)
            show(lines, discrepancies, stream)
            result["books"] = {what.strip(): {"orders": count, "cents": money} for what, count, money in lines}
            result["discrepancies"] = [{"order": order, "what": what} for order, what in discrepancies]
            ok = ok and not discrepancies
    except (Refused, Unreadable) as trouble:
        print(f"load: {trouble}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps({"ok": ok, **result}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main())
