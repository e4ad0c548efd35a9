"""The delivery service, alone: the test delivers events to it and plays the bus that it tells the outcome."""
import json
import os
import sqlite3
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from alone import Neighbour, Service  # noqa: E402

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Delivery(unittest.TestCase):
    def setUp(self):
        self.bus_answer = (200, {"stream": "EVENTS", "seq": 1})
        self.bus = Neighbour(lambda *_: self.bus_answer)
        self.addCleanup(self.bus.close)
        self.delivery = Service(HERE, [sys.executable, "delivery.py"], "delivery.db", DURE_BUS=f"{self.bus.url}/-/bus")
        self.addCleanup(self.delivery.close)

    def placed(self, order, address="Street 1"):
        return self.delivery.ask("POST", "/events/order-placed", {"id": order, "address": address},
                                 {"ce-type": "order.placed", "ce-id": f"placed-{order}", "traceparent": TRACE})

    def told(self):
        return [(path, json.loads(body), headers["Nats-Msg-Id"]) for _, path, body, headers in self.bus.requests]

    def test_an_order_is_brought_and_the_outcome_told(self):
        self.assertEqual(self.placed("o1"), (200, {"order": "o1", "outcome": "done"}))
        self.assertEqual(self.told(), [("/-/bus/publish/delivery.done", {"order": "o1"}, "delivery-o1")])
        self.assertEqual(self.bus.requests[0][3]["traceparent"], TRACE)
        self.assertEqual(self.delivery.ask("GET", "/deliveries/o1")[1]["outcome"], "done")
        self.assertEqual(self.delivery.ask("GET", "/deliveries/o2")[0], 404)

    def test_nobody_is_at_home(self):
        self.assertEqual(self.placed("o1", "the middle of nowhere")[1]["outcome"], "failed")
        self.assertEqual(self.told()[0][0], "/-/bus/publish/delivery.failed")

    def test_an_event_that_comes_again_changes_nothing(self):
        for address in ("Street 1", "nowhere", "Street 1"):
            self.assertEqual(self.placed("o1", address)[1]["outcome"], "done")
        with sqlite3.connect(self.delivery.database) as db:
            self.assertEqual(db.execute("SELECT * FROM delivery").fetchall(), [("o1", "Street 1", "done")])
        self.assertEqual(len(set(map(str, self.told()))), 1)

    def test_what_the_bus_did_not_keep_has_to_come_again(self):
        for answer in ((503, {}), (404, {}), (202, {"deliveries": 0})):
            self.bus_answer = answer
            self.assertEqual(self.placed("o1")[0], 503)
        self.bus_answer = (200, {"stream": "EVENTS", "seq": 1})
        self.delivery.kill()
        self.delivery.start()
        self.assertEqual(self.placed("o1"), (200, {"order": "o1", "outcome": "done"}))

    def test_without_a_bus_it_has_to_come_again(self):
        self.bus.close()
        self.assertEqual(self.placed("o1")[0], 503)

    def test_what_is_no_order_is_refused(self):
        for body in (b"not json", b"[]", b"{}", b'{"id": "o1"}', b'{"id": "o1", "address": 7}'):
            self.assertEqual(self.delivery.ask("POST", "/events/order-placed", body)[0], 400)
        self.assertEqual(self.delivery.ask("POST", "/events/other", b"{}")[0], 404)
        self.assertEqual(self.told(), [])

    def test_it_ends_when_told(self):
        self.assertEqual(self.delivery.stop(), 0)


if __name__ == "__main__":
    unittest.main()
