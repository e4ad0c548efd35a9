import unittest

from main import answer


class Answers(unittest.TestCase):
    def test_it_says_hello(self):
        self.assertEqual(answer("/@NAME@"), (200, {"hello": "from @NAME@"}))

    def test_what_is_not_there(self):
        self.assertEqual(answer("/other")[0], 404)


if __name__ == "__main__":
    unittest.main()
