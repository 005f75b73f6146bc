# SPDX-License-Identifier: Apache-2.0
"""The list of accepted differences is no longer than what the tests need, and each entry says why."""
import glob
import os
import re
import unittest
import unittest.mock

import differences
from workspace import main

MADE_UP = ("fallocate ", "one copy of ")  # names of which a test writes only the beginning
HERE = os.path.dirname(os.path.abspath(__file__))


class DifferencesTest(unittest.TestCase):
    def test_each_is_needed_by_a_test(self):
        text = ""
        for path in glob.glob(os.path.join(HERE, "*_test.py")):
            with open(path, encoding="utf-8") as file:
                text += file.read()
        for entry in differences.ACCEPTED:
            start = next((start for start in MADE_UP if entry.name.startswith(start)), entry.name + '"')
            self.assertIn('"' + start, text)

    def test_each_says_why(self):
        for entry in differences.ACCEPTED:
            self.assertRegex(entry.why, re.compile(r"^[A-Z].*\.$", re.DOTALL), entry.name)

    def test_no_two_contradict_each_other(self):
        for mode in ("readonly", "strict", "overlay", "plain"):
            for user in ("root", "user"):
                for backend in ("fuse", "fuse-no-passthrough", "kernel", "plain"):
                    test = unittest.mock.Mock(mode=mode, user=user, backend=unittest.mock.Mock())
                    test.backend.name = backend
                    applying = [entry.name for entry in differences.ACCEPTED if entry.applies(test)]
                    self.assertEqual(len(applying), len(set(applying)), (mode, user, backend, applying))


if __name__ == "__main__":
    main()
