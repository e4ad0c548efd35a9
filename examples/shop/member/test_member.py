"""The member service, alone."""
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from alone import Service, dure  # noqa: E402


class Member(unittest.TestCase):
    def setUp(self):
        self.member = Service(HERE, [dure(), "host", "member.so"], "member.db")
        self.addCleanup(self.member.close)

    def test_somebody_is_there_from_the_start(self):
        self.assertEqual(self.member.ask("GET", "/members/m1"), (200, {"id": "m1", "name": "Member 1"}))
        self.assertEqual(self.member.ask("GET", "/members/m1000")[0], 200)
        self.assertEqual(self.member.ask("GET", "/members/m1001")[0], 404)

    def test_what_was_put_is_there_also_after_a_kill(self):
        self.assertEqual(self.member.ask("PUT", "/members/m2", {"name": "Kim"}), (200, {"id": "m2", "name": "Kim"}))
        self.assertEqual(self.member.ask("PUT", "/members/new", {"name": "Lee"})[0], 200)
        self.member.kill()
        self.member.start()
        self.assertEqual(self.member.ask("GET", "/members/m2")[1]["name"], "Kim")
        self.assertEqual(self.member.ask("GET", "/members/new")[1]["name"], "Lee")

    def test_put_twice_is_put_once(self):
        for _ in range(2):
            self.assertEqual(self.member.ask("PUT", "/members/m3", {"name": "Park"})[0], 200)
        self.assertEqual(self.member.ask("GET", "/members/m3")[1]["name"], "Park")

    def test_mistakes_are_told(self):
        self.assertEqual(self.member.ask("PUT", "/members/m4", {"nickname": "x"})[0], 400)
        self.assertEqual(self.member.ask("PUT", "/members/m4", b"not json")[0], 400)
        self.assertEqual(self.member.ask("DELETE", "/members/m4")[0], 405)
        self.assertEqual(self.member.ask("GET", "/nothing")[0], 404)

    def test_it_ends_when_told(self):
        self.assertEqual(self.member.stop(), 0)


if __name__ == "__main__":
    unittest.main()
