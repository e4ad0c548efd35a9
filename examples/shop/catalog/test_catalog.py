"""The catalogue, alone."""
import http.client
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from alone import Service  # noqa: E402


class Catalog(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.catalog = Service(HERE, [sys.executable, "catalog.py"], "catalog.db")

    @classmethod
    def tearDownClass(cls):
        cls.catalog.close()

    def test_a_product_has_a_name_and_a_price(self):
        self.assertEqual(self.catalog.ask("GET", "/products/p1"), (200, {"id": "p1", "name": "Product 1", "price": 137}))
        self.assertEqual(self.catalog.ask("GET", "/products/p10000")[0], 200)

    def test_an_unknown_one_is_told(self):
        self.assertEqual(self.catalog.ask("GET", "/products/p0")[0], 404)
        self.assertEqual(self.catalog.ask("GET", "/products/")[0], 404)
        self.assertEqual(self.catalog.ask("GET", "/products/p1'%20OR%201=1")[0], 404)

    def test_the_list_is_taken_page_by_page(self):
        status, first = self.catalog.ask("GET", "/products?limit=3")
        self.assertEqual((status, len(first)), (200, 3))
        second = self.catalog.ask("GET", f"/products?limit=3&after={first[-1]['id']}")[1]
        self.assertEqual([p["id"] for p in first + second], sorted(p["id"] for p in first + second))
        self.assertEqual(len({p["id"] for p in first + second}), 6)
        self.assertEqual(len(self.catalog.ask("GET", "/products?limit=100000")[1]), 200)
        self.assertEqual(self.catalog.ask("GET", "/products?limit=many")[0], 400)

    def test_the_catalogue_is_the_same_after_a_restart(self):
        before = self.catalog.ask("GET", "/products?limit=200")
        self.catalog.kill()
        self.catalog.start()
        self.assertEqual(self.catalog.ask("GET", "/products?limit=200"), before)

    def test_it_ends_when_told_and_says_so_to_who_is_connected(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.catalog.port, timeout=10)
        connection.request("GET", "/health")
        connection.getresponse().read()
        self.assertEqual(self.catalog.stop(), 0)
        self.assertEqual(self.catalog.process.returncode, 0)
        self.catalog.start()
        connection.close()


if __name__ == "__main__":
    unittest.main()
