"""reconcile: opens the books of all five services and compares them, order by order. It only reads."""
import collections
import json
import os
import sqlite3
import time
from dataclasses import dataclass, field

UNDER_WAY = ("pending", "paid", "placed", "cancelling")
STORES = {"member": "member.db", "catalog": "catalog.db", "order": "order.db", "delivery": "delivery.db",
          "payment": "payment.jsonl"}
SHOWN = 50


class Unreadable(Exception):
    """A book is missing or cannot be read."""


@dataclass
class Placed:
    """An order, as the order service has it."""
    status: str
    amount: int
    request: dict


@dataclass
class Books:
    members: set
    prices: dict
    orders: dict
    charges: dict = field(default_factory=lambda: collections.defaultdict(list))
    refunds: dict = field(default_factory=lambda: collections.defaultdict(list))
    deliveries: dict = field(default_factory=dict)
    void: list = field(default_factory=list)


def path_of(state, service):
    path = os.path.join(state, service, STORES[service])
    if not os.path.exists(path):
        raise Unreadable(f"{path} is not there: is this the shop's .dure/data?")
    return path


def rows(state, service, sql):
    """Other processes may be writing: WAL gives a reader one consistent state, without holding anybody up."""
    path = path_of(state, service)
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()
    except sqlite3.Error as trouble:
        raise Unreadable(f"{path}: {trouble}") from trouble


def settle(state, limit_seconds):
    """Waits until every order has reached an end. Returns how many have not within the limit."""
    end = time.monotonic() + limit_seconds
    marks = ", ".join(f"'{status}'" for status in UNDER_WAY)
    while True:
        waiting = rows(state, "order", f"SELECT count(*) FROM orders WHERE status IN ({marks})")[0][0]
        if not waiting or time.monotonic() > end:
            return waiting
        time.sleep(0.25)


def read(state):
    books = Books(
        members={row[0] for row in rows(state, "member", "SELECT id FROM member")},
        prices=dict(rows(state, "catalog", "SELECT id, price FROM product")),
        orders={row[0]: Placed(row[1], row[2], json.loads(row[3]))
                for row in rows(state, "order", "SELECT id, status, amount, request FROM orders")},
        deliveries=dict(rows(state, "delivery", "SELECT order_id, outcome FROM delivery")))
    with open(path_of(state, "payment"), "rb") as journal:
        text = journal.read()
    for line in text[:text.rfind(b"\n") + 1].splitlines():  # what follows the last newline never counted
        record = json.loads(line)
        lines = (books.charges if record["kind"] == "charge" else books.refunds)[record["order"]]
        (books.void if is_void(record, lines) else lines).append(record)
    return books


def is_void(record, earlier):
    """As payment.js reads them: of two instances that were asked at the same moment, the first line counts. The
    same instance never writes a second one."""
    return bool(earlier) and record.get("by") not in [line.get("by") for line in earlier]


def expected(books, request):
    """(status, amount) that this order must have in the end."""
    prices = [books.prices.get(item["product"]) for item in request["items"]]
    if request["member"] not in books.members or None in prices:
        return "rejected", 0
    amount = sum(price * item.get("quantity", 1) for price, item in zip(prices, request["items"]))
    if request.get("card") == "declined":
        return "declined", amount
    return ("cancelled" if "nowhere" in request.get("address", "") else "delivered"), amount


def check_order(books, order_id, order):
    """What is wrong with one order, over all books."""
    status, amount = expected(books, order.request)
    charges, refunds = books.charges.get(order_id, []), books.refunds.get(order_id, [])
    if order.status != status:
        yield f"is {order.status}, must be {status}"
    if order.amount != amount:
        yield f"costs {order.amount}, the catalogue says {amount}"
    outcome = {"rejected": None, "declined": "declined"}.get(status, "charged")
    if [charge["outcome"] for charge in charges] != ([outcome] if outcome else []):
        yield f"has the charges {[charge['outcome'] for charge in charges]}, must have {[outcome] if outcome else []}"
    if any(charge["amount"] != amount for charge in charges):
        yield f"was charged {[charge['amount'] for charge in charges]}, costs {amount}"
    if any(charge["member"] != order.request["member"] for charge in charges):
        yield f"was charged to {[charge['member'] for charge in charges]}, not to {order.request['member']}"
    if [refund["amount"] for refund in refunds] != ([amount] if status == "cancelled" else []):
        yield (f"was given back {[refund['amount'] for refund in refunds]}, "
               f"must be {[amount] if status == 'cancelled' else []}")
    brought = {"delivered": "done", "cancelled": "failed"}.get(status)
    if books.deliveries.get(order_id) != brought:
        yield f"has the delivery {books.deliveries.get(order_id)}, must have {brought}"


def check_answers(books, answers):
    """What the clients were told, against what is in the books. `answers`: id -> [Answer]."""
    said = {201: ("placed", "paid", "delivered", "cancelling", "cancelled"), 402: ("declined",), 422: ("rejected",)}
    for order_id, given in answers.items():
        order = books.orders.get(order_id)
        for answer in given:
            if not answer.status:
                yield order_id, f"was never answered: {answer.failed[-1] if answer.failed else 'no attempt'}"
            elif answer.status not in said:
                yield order_id, f"was answered {answer.status}"
            elif not order:
                yield order_id, f"was answered {answer.status} and is lost"
            elif order.status not in said[answer.status]:
                yield order_id, f"was answered {answer.status} and is {order.status}"
            elif answer.status == 201 and answer.amount != order.amount:
                yield order_id, f"was answered with {answer.amount} and costs {order.amount}"


def table(books):
    """(what, orders, money) for each line of the table: the same number must stand in what belongs together."""
    def by_status(*statuses):
        chosen = [order.amount for order in books.orders.values() if order.status in statuses]
        return len(chosen), sum(chosen)

    def records(book, outcome=None):
        chosen = [r["amount"] for many in book.values() for r in many if outcome in (None, r.get("outcome"))]
        return len(chosen), sum(chosen)

    def brought(outcome):
        chosen = [order for order, ended in books.deliveries.items() if ended == outcome]
        return len(chosen), sum(books.orders[order].amount for order in chosen if order in books.orders)

    charged, refunded = records(books.charges, "charged"), records(books.refunds)
    return [
        ("orders", len(books.orders), sum(order.amount for order in books.orders.values())),
        ("rejected", *by_status("rejected")),
        ("declined", *by_status("declined")),
        ("  charges declined", *records(books.charges, "declined")),
        ("delivered", *by_status("delivered")),
        ("  charges less refunds", charged[0] - refunded[0], charged[1] - refunded[1]),
        ("  deliveries done", *brought("done")),
        ("cancelled", *by_status("cancelled")),
        ("  refunds", *refunded),
        ("  deliveries failed", *brought("failed")),
        ("under way", *by_status(*UNDER_WAY)),
        ("void payments", len(books.void), sum(record["amount"] for record in books.void)),
    ]


GROUPS = (("declined", "  charges declined"), ("delivered", "  charges less refunds", "  deliveries done"),
          ("cancelled", "  refunds", "  deliveries failed"))


def compare(books, answers):
    """Every discrepancy: (order id, what is wrong)."""
    found = list(check_answers(books, answers))
    for order_id, order in books.orders.items():
        found += [(order_id, wrong) for wrong in check_order(books, order_id, order)]
    for what, book in (("charge", books.charges), ("refund", books.refunds), ("delivery", books.deliveries)):
        found += [(order_id, f"has a {what} and is no order") for order_id in book if order_id not in books.orders]
    lines = {what: (count, money) for what, count, money in table(books)}
    for group in GROUPS:
        if len({lines[what] for what in group}) > 1:
            found.append(("all", "differ: " + ", ".join(f"{what.strip()} {lines[what]}" for what in group)))
    return found


def reconcile(state, answers, settle_seconds):
    """Waits, reads, compares. Returns (table, discrepancies)."""
    settle(state, settle_seconds)
    books = read(state)
    return table(books), compare(books, answers)


def show(lines, discrepancies, stream):
    print(f"{'in the books':<24}{'orders':>10}{'cents':>16}", file=stream)
    for what, count, money in lines:
        print(f"{what:<24}{count:>10}{money:>16}", file=stream)
    for order_id, wrong in discrepancies[:SHOWN]:
        print(f"order {order_id} {wrong}", file=stream)
    if len(discrepancies) > SHOWN:
        print(f"... and {len(discrepancies) - SHOWN} more", file=stream)
    print(f"reconciled: {len(discrepancies)} discrepancies", file=stream)
