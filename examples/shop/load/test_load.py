"""The load program: does it send what it says, and does its reconciliation notice every kind of mistake?"""
import json
import os
import sqlite3
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.path.insert(0, os.path.dirname(HERE))
from alone import Neighbour  # noqa: E402
from client import Answer, Refused, loopback  # noqa: E402
from orders import make, tasks  # noqa: E402
from reconcile import reconcile  # noqa: E402
from run import run  # noqa: E402

# id -> status, amount, member, product, card, address, charge outcome, refunded, delivery
GOOD = {
    "d": ("delivered", 100, "m1", "p1", "good", "Street", "charged", False, "done"),
    "c": ("cancelled", 100, "m1", "p1", "good", "nowhere", "charged", True, "failed"),
    "n": ("declined", 100, "m1", "p1", "declined", "Street", "declined", False, None),
    "r": ("rejected", 0, "m1", "p9", "good", "Street", None, False, None),
}
TOLD = {"d": (201, 100), "c": (201, 100), "n": (402, 0), "r": (422, 0)}


class Books(unittest.TestCase):
    """The books of four orders that agree; each test spoils one thing."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.state = folder.name
        self.answers = {order: [Answer(status, amount, 0.0, [])] for order, (status, amount) in TOLD.items()}
        self.write("member", "CREATE TABLE member (id, name)", [("m1", "Kim")])
        self.write("catalog", "CREATE TABLE product (id, name, price)", [("p1", "Product", 100)])
        self.write("order", "CREATE TABLE orders (id, status, request, amount, changed_ms)", [
            (order, o[0], json.dumps({"id": order, "member": o[2], "items": [{"product": o[3], "quantity": 1}],
                                      "card": o[4], "address": o[5]}), o[1], 0) for order, o in GOOD.items()])
        self.write("delivery", "CREATE TABLE delivery (order_id, address, outcome)",
                   [(order, o[5], o[8]) for order, o in GOOD.items() if o[8]])
        os.mkdir(os.path.join(self.state, "payment"))
        for order, o in GOOD.items():
            if o[6]:
                self.pay({"kind": "charge", "order": order, "member": o[2], "amount": o[1], "outcome": o[6]})
            if o[7]:
                self.pay({"kind": "refund", "order": order, "amount": o[1]})

    def write(self, service, schema, rows):
        os.mkdir(os.path.join(self.state, service))
        db = self.open(service)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute(schema)
        db.executemany(f"INSERT INTO {schema.split()[2]} VALUES ({','.join('?' * len(rows[0]))})", rows)
        db.commit()

    def open(self, service):
        """Stays open, as the database of a running service does."""
        db = sqlite3.connect(os.path.join(self.state, service, f"{service}.db"))
        self.addCleanup(db.close)
        return db

    def spoil(self, service, sql):
        db = self.open(service)
        db.execute(sql)
        db.commit()

    def pay(self, record, end="\n"):
        with open(os.path.join(self.state, "payment", "payment.jsonl"), "a", encoding="utf-8") as journal:
            journal.write(json.dumps(record) + end)

    def wrong(self):
        return {order for order, _ in reconcile(self.state, self.answers, 0.1)[1]}

    def test_good_books(self):
        lines, found = reconcile(self.state, self.answers, 0.1)
        self.assertEqual(found, [])
        self.assertIn(("delivered", 1, 100), lines)
        self.assertIn(("  charges less refunds", 1, 100), lines)
        self.pay({"kind": "charge", "order": "torn"}, end="")
        self.assertEqual(self.wrong(), set())

    def test_lost_order(self):
        self.spoil("order", "DELETE FROM orders WHERE id = 'd'")
        self.assertEqual(self.wrong(), {"d", "all"})

    def test_lost_order_that_nobody_knows_but_its_client(self):
        self.answers["x"] = [Answer(201, 100, 0.0, [])]
        self.assertEqual(self.wrong(), {"x"})

    def test_no_answer(self):
        self.answers["d"] = [Answer(0, 0, 60.0, ["503"])]
        self.assertEqual(self.wrong(), {"d"})

    def test_two_answers(self):
        self.answers["d"].append(Answer(402, 0, 0.0, []))
        self.assertEqual(self.wrong(), {"d"})

    def test_wrong_amount_answered(self):
        self.answers["d"] = [Answer(201, 99, 0.0, [])]
        self.assertEqual(self.wrong(), {"d"})

    def test_wrong_amount_in_the_order(self):
        self.spoil("order", "UPDATE orders SET amount = 99 WHERE id = 'd'")
        self.assertEqual(self.wrong(), {"d", "all"})

    def test_charged_twice(self):
        self.pay({"kind": "charge", "order": "d", "member": "m1", "amount": 100, "outcome": "charged"})
        self.assertEqual(self.wrong(), {"d", "all"})

    def test_a_second_line_counts_when_the_same_instance_wrote_it(self):
        again = {"kind": "charge", "order": "d", "member": "m1", "amount": 100, "outcome": "charged"}
        self.pay({**again, "by": "payment-2-0"})
        self.assertEqual(self.wrong(), set())
        self.pay({**again, "by": "payment-2-0"})
        self.assertIn(("void payments", 2, 200), reconcile(self.state, self.answers, 0.1)[0])
        self.pay({**again, "order": "new", "by": "payment-2-0"})
        self.pay({**again, "order": "new", "by": "payment-2-0"})
        self.assertEqual(self.wrong(), {"new", "all"})

    def test_charged_to_somebody_else(self):
        self.spoil("order", "UPDATE orders SET request = replace(request, 'm1', 'm2') WHERE id = 'd'")
        self.spoil("member", "INSERT INTO member VALUES ('m2', 'Lee')")
        self.assertEqual(self.wrong(), {"d"})

    def test_rejected_but_charged(self):
        self.pay({"kind": "charge", "order": "r", "member": "m1", "amount": 1, "outcome": "charged"})
        self.assertEqual(self.wrong(), {"r", "all"})

    def test_refunded_twice(self):
        self.pay({"kind": "refund", "order": "c", "amount": 100})
        self.assertEqual(self.wrong(), {"c", "all"})

    def test_refunded_too_little(self):
        journal = os.path.join(self.state, "payment", "payment.jsonl")
        with open(journal, encoding="utf-8") as file:
            lines = file.read().splitlines()
        with open(journal, "w", encoding="utf-8") as file:
            file.writelines(line.replace("100", "99") + "\n" if "refund" in line else line + "\n" for line in lines)
        self.assertEqual(self.wrong(), {"c", "all"})

    def test_not_delivered(self):
        self.spoil("delivery", "DELETE FROM delivery WHERE order_id = 'd'")
        self.assertEqual(self.wrong(), {"d", "all"})

    def test_delivered_and_given_back(self):
        self.spoil("delivery", "UPDATE delivery SET outcome = 'done' WHERE order_id = 'c'")
        self.assertEqual(self.wrong(), {"c", "all"})

    def test_delivered_without_an_order(self):
        self.spoil("delivery", "INSERT INTO delivery VALUES ('x', 'Street', 'done')")
        self.assertEqual(self.wrong(), {"x", "all"})

    def test_an_order_that_does_not_end(self):
        self.spoil("order", "UPDATE orders SET status = 'placed' WHERE id = 'd'")
        self.assertEqual(self.wrong(), {"d", "all"})


class Sending(unittest.TestCase):
    def test_a_seed_decides_everything(self):
        self.assertEqual([make("1", n) for n in range(50)], [make("1", n) for n in range(50)])
        self.assertNotEqual(make("1", 0).body, make("2", 0).body)

    def test_the_mix_is_what_it_should_be(self):
        bodies = [json.loads(make("1", number).body) for number in range(5000)]
        self.assertAlmostEqual(sum(b["card"] == "declined" for b in bodies) / 50, 5, delta=1)
        self.assertAlmostEqual(sum("nowhere" in b["address"] for b in bodies) / 50, 3, delta=1)
        self.assertAlmostEqual(sum(b["member"].startswith("nobody") for b in bodies) / 50, 2, delta=1)
        self.assertAlmostEqual(sum(order.again or order.twice for order in tasks("1", 5000)) / 50, 15, delta=2)

    def test_only_this_machine(self):
        self.assertEqual(loopback("http://127.0.0.1:8080"), ("127.0.0.1", 8080))
        self.assertEqual(loopback("http://localhost")[1], 80)
        for url in ("http://192.0.2.1", "http://0.0.0.0:8080", "https://127.0.0.1", "127.0.0.1:8080"):
            with self.assertRaises(Refused):
                loopback(url)

    def test_what_fails_is_sent_again_and_counted(self):
        seen = {}

        def answers(method, path, body):
            order = json.loads(body)["id"]
            seen.setdefault(order, []).append(body)
            return (503, {}) if len(seen[order]) == 1 else (201, {"amount": 7})

        shop = Neighbour(answers)
        self.addCleanup(shop.close)
        state = run(loopback(shop.url), [make("1", n) for n in range(20)], 4, None, 10, lambda _: None)
        numbers = state.numbers()
        self.assertEqual((numbers["failed_first_attempts"], numbers["given_up"], numbers["status"]), (20, 0, {"201": 20}))
        for order, bodies in seen.items():
            self.assertEqual(len(set(bodies)), 1, order)
            self.assertEqual([answer.amount for answer in state.answers[order]], [7] * (len(bodies) - 1))

    def test_the_limit_ends_it(self):
        shop = Neighbour(lambda *_: (502, {}))
        self.addCleanup(shop.close)
        state = run(loopback(shop.url), [make("1", 0)], 1, None, 0.3, lambda _: None)
        self.assertEqual(state.numbers()["given_up"], 1)

    def test_other_answers_are_not_tried_again(self):
        shop = Neighbour(lambda *_: (500, {}))
        self.addCleanup(shop.close)
        run(loopback(shop.url), [make("1", 0)], 1, None, 10, lambda _: None)
        self.assertEqual(len(shop.requests), 1)


if __name__ == "__main__":
    unittest.main()
