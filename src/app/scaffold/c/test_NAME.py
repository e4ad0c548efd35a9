"""Starts the module alone and asks it. $DURE_EXE: the program to host it (dure)."""
import json
import os
import socket
import subprocess
import time
import unittest
import urllib.error
import urllib.request


class Answers(unittest.TestCase):
    def setUp(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        self.host = subprocess.Popen([os.environ.get("DURE_EXE", "dure"), "host", "./@NAME@.so"],
                                     env={**os.environ, "PORT": str(port)})
        self.addCleanup(self.host.wait)
        self.addCleanup(self.host.terminate)
        for _ in range(250):
            try:
                urllib.request.urlopen(f"{self.url}/health").close()
                return
            except OSError:
                time.sleep(0.02)
        self.fail("the module does not start")

    def test_it_says_hello(self):
        with urllib.request.urlopen(f"{self.url}/@NAME@") as answer:
            self.assertEqual(json.load(answer), {"hello": "from @NAME@"})

    def test_what_is_not_there(self):
        with self.assertRaises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(f"{self.url}/other")
        self.assertEqual(refused.exception.code, 404)
        refused.exception.close()


if __name__ == "__main__":
    unittest.main()
