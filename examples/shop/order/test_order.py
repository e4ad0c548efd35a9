"""The order service, alone: the test plays member, catalog and payment, and keeps the bus."""
import os
import sqlite3
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from alone import Bus, Neighbour, Service, dure, wait_until  # noqa: E402

PRICES = {"/catalog/products/p1": 100, "/catalog/products/p2": 250}


class Order(unittest.TestCase):
    def setUp(self):
        self.neighbours_answer = self.neighbours
        self.others = Neighbour(lambda *request: self.neighbours_answer(*request))
        self.addCleanup(self.others.close)
        self.charges, self.refunds, self.placed = [], [], []
        self.charge_answer = lambda charge: (402 if charge["card"] == "declined" else 200, {})
        self.bus = Bus()
        self.addCleanup(self.bus.close)
        self.bus.keep("EVENTS", ["order.placed"])
        self.bus.answer("payment.charge", self.charge)
        self.bus.answer("payment.refund", lambda refund: self.refunds.append(refund) or (200, {}))
        self.bus.answer("order.placed", self.placed.append)
        self.order = Service(HERE, [dure(), "host", "order.so"], "order.db", DURE_HTTP=self.others.url,
                             NATS_URL=self.bus.url)
        self.addCleanup(self.order.close)

    def neighbours(self, method, path, body):
        if path == "/member/members/m1":
            return 200, {"id": "m1", "name": "Member 1"}
        return (200, {"price": PRICES[path]}) if path in PRICES else (404, {"detail": "unknown"})

    def charge(self, charge):
        self.charges.append(charge)
        return self.charge_answer(charge)

    def place(self, order="o1", member="m1", items=(("p1", 2), ("p2", 1)), card="good", address="Street 1"):
        items = [{"product": product, "quantity": quantity} for product, quantity in items]
        return self.order.ask("POST", "/orders", {"id": order, "member": member, "items": items, "card": card,
                                                  "address": address})

    def delivered(self, order, outcome="done"):
        return self.order.ask("POST", "/events/delivery", {"order": order}, {"ce-type": f"delivery.{outcome}"})[0]

    def status(self, order="o1"):
        return self.order.ask("GET", f"/orders/{order}")[1]["status"]

    def test_an_order_is_priced_charged_and_told(self):
        self.assertEqual(self.place(), (201, {"id": "o1", "status": "placed", "amount": 450}))
        self.assertEqual(self.charges, [{"order": "o1", "member": "m1", "card": "good", "amount": 450}])
        wait_until(lambda: self.placed, "order.placed was told")
        self.assertEqual(self.placed, [{"id": "o1", "address": "Street 1"}])
        self.assertEqual(self.order.ask("GET", "/orders/o1"), (200, {"id": "o1", "status": "placed", "amount": 450}))
        self.assertEqual(self.order.ask("GET", "/orders/o2")[0], 404)

    def test_an_order_that_is_sent_again_is_the_same_order(self):
        for _ in range(3):
            self.assertEqual(self.place()[0], 201)
        self.assertEqual(len(self.charges), 1)
        self.assertEqual(self.place(items=(("p1", 9),))[0], 409)
        self.assertEqual(self.delivered("o1"), 204)
        self.assertEqual(self.place(), (201, {"id": "o1", "status": "delivered", "amount": 450}))

    def test_an_order_that_is_sent_twice_at_once_ends_once(self):
        answers = []
        threads = [threading.Thread(target=lambda: answers.append(self.place())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual([(status, body["amount"]) for status, body in answers], [(201, 450)] * 8)
        self.assertEqual({str(charge) for charge in self.charges},
                         {str({"order": "o1", "member": "m1", "card": "good", "amount": 450})})
        self.assertEqual(self.status(), "placed")

    def test_what_does_not_exist_is_rejected_and_not_charged(self):
        self.assertEqual(self.place("o1", member="nobody")[0], 422)
        self.assertEqual(self.place("o2", items=(("p1", 1), ("p3", 1)))[0], 422)
        for number, name in enumerate(("", "../products/p1", "p1?x=1", "p1 HTTP/1.1\r\nX: y", "ü")):
            self.assertEqual(self.place(f"odd-{number}", items=((name, 1),))[0], 422, name)
        self.assertEqual(self.place("o1", member="nobody")[0], 422)
        self.assertEqual(self.status("o1"), "rejected")
        self.assertEqual((self.charges, self.placed), ([], []))

    def test_a_declined_payment_ends_it(self):
        self.assertEqual(self.place(card="declined")[0], 402)
        self.assertEqual(self.place(card="declined")[0], 402)
        self.assertEqual(self.status(), "declined")
        self.assertEqual((len(self.charges), self.placed), (1, []))

    def test_a_failed_delivery_gives_the_money_back_once(self):
        self.place()
        for _ in range(3):
            self.assertEqual(self.delivered("o1", "failed"), 204)
        self.assertEqual(self.status(), "cancelled")
        self.assertEqual(self.refunds, [{"order": "o1"}])
        self.assertEqual(self.delivered("o1", "done"), 204)
        self.assertEqual(self.status(), "cancelled")
        self.assertEqual(self.delivered("unknown"), 422)

    def test_what_failed_on_the_way_goes_on_by_itself(self):
        self.neighbours_answer = lambda *_: (503, {})
        self.assertIn(self.place()[0], (502, 503))
        self.assertEqual(self.status(), "pending")
        self.neighbours_answer = self.neighbours
        wait_until(lambda: self.status() == "placed", "the order was taken up")
        self.assertEqual(len(self.charges), 1)

    def test_an_order_survives_its_process(self):
        charged = threading.Event()
        self.charge_answer = lambda _: charged.set()  # and no answer: the process dies while it waits
        thread = threading.Thread(target=self.place_and_lose)
        thread.start()
        self.assertTrue(charged.wait(10))
        self.order.kill()
        thread.join()
        self.charge_answer = lambda _: (200, {})
        self.order.start()
        self.assertEqual(self.place()[0], 201)
        self.assertEqual({charge["order"] for charge in self.charges}, {"o1"})

    def place_and_lose(self):
        try:
            self.place()
        except OSError:
            pass

    def test_more_orders_than_are_taken_up_at_once_do_not_hide_each_other(self):
        """60 that can never go on, then one that can: it must not wait behind them for good."""
        with sqlite3.connect(self.order.database) as db:
            for number in range(60):
                body = f'{{"id": "bad{number}", "member": "m1", "items": [{{"product": "broken"}}]}}'
                db.execute("INSERT INTO orders VALUES (?, 'pending', ?, 0, ?)", (f"bad{number}", body, number))
            body = '{"id": "good", "member": "m1", "items": [{"product": "p1"}]}'
            db.execute("INSERT INTO orders VALUES ('good', 'pending', ?, 0, ?)", (body, 1000))
        self.neighbours_answer = lambda method, path, body: (
            (500, {}) if "broken" in path else self.neighbours(method, path, body))
        wait_until(lambda: self.status("good") == "placed", "the good one was taken up")

    def test_mistakes_are_told(self):
        for body in (b"not json", b"{}", b'{"id": "o1", "items": []}', b'{"id": "o1", "items": [{"quantity": 0}]}'):
            self.assertEqual(self.order.ask("POST", "/orders", body)[0], 400)
        self.assertEqual(self.place("x" * 64)[0], 400)
        self.assertEqual(self.place(items=[("p1", 1)] * 21)[0], 400)

    def test_it_ends_when_told_and_finishes_what_it_has(self):
        self.charge_answer = lambda _: time.sleep(1) or (200, {})
        answers = []
        thread = threading.Thread(target=lambda: answers.append(self.place()))
        thread.start()
        wait_until(lambda: self.charges, "the payment was asked for")
        self.assertEqual(self.order.stop(), 0)
        thread.join()
        self.assertEqual(answers[0][0], 201)


if __name__ == "__main__":
    unittest.main()
