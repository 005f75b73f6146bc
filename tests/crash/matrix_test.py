#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""matrix.py's points in unittest's clothes; README.md."""

import unittest

from matrix import TELLING, Matrix, points
from scene import BACKEND, MODES, skip_unless_possible

# What a killed server can do to the hook: where it is asked, and where its mount is touched.
ABOUT_THE_SERVER = {"connect", "sendmsg", "recvmsg", "poll", "move_mount", "open_tree", "fsmount", "umount2", "setns",
                    "fstatfs", "exit_group"}


class MatrixTest(unittest.TestCase):
    def setUp(self):
        self.matrix = Matrix()
        self.addCleanup(self.matrix.close)
        self.matrix.scene.begin()

    def each(self, numbers, point):
        for number in numbers:
            with self.subTest(call=number):
                point(number)

    def test_hook_killed_in_prestart(self):
        for mode in MODES:
            calls, _, _ = self.matrix.measure(mode)
            self.each(points(calls, 40, TELLING), lambda n, mode=mode: self.matrix.kill_prestart(n, mode))

    def test_hook_killed_in_prestart_and_tried_again(self):
        for mode in MODES:
            calls, _, _ = self.matrix.measure(mode)
            self.each(points(calls, 25, {"move_mount", "exit_group"}),
                      lambda n, mode=mode: self.matrix.kill_prestart_without_gc(n, mode))

    def test_hook_killed_in_poststop(self):
        for mode in MODES:
            _, calls, _ = self.matrix.measure(mode)
            self.each(points(calls, 40, TELLING), lambda n, mode=mode: self.matrix.kill_poststop(n, mode))

    @unittest.skipIf(BACKEND != "fuse", "this backend has no server")
    def test_server_killed_in_prestart(self):
        for mode in MODES:
            calls, _, last = self.matrix.measure(mode)
            self.assertGreater(last, 0, "prestart does not ask whether the tree answers")
            self.each(points(calls, 60, ABOUT_THE_SERVER),
                      lambda n, mode=mode, last=last: self.matrix.kill_server_in_prestart(n, last, mode))

    @unittest.skipIf(BACKEND != "fuse", "this backend has no server")
    def test_server_killed_in_poststop(self):
        for mode in MODES:
            _, calls, _ = self.matrix.measure(mode)
            self.each(points(calls, 60, ABOUT_THE_SERVER),
                      lambda n, mode=mode: self.matrix.kill_server_in_poststop(n, mode))

    @unittest.skipIf(BACKEND != "fuse", "this backend has no server")
    def test_server_killed_at_its_own_calls(self):
        calls = self.matrix.server_calls("strict")
        self.each(points(calls, 6, {"sendmsg", "fsmount", "accept4"}),
                  lambda n: self.matrix.kill_server_at_its_own(n, "strict"))


if __name__ == "__main__":
    skip_unless_possible()
    unittest.main(verbosity=2)
