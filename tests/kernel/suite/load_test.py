#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The module comes and goes, and leaves nothing behind. Runs in the guest: vm.sh --no-load."""

import os
import pathlib
import subprocess
import unittest

MODULE = os.environ.get("ACTIONDFS_KO")
STATISTICS = pathlib.Path("/proc/actiondfs_stats")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True)


def registered():
    return "actiondfs" in pathlib.Path("/proc/filesystems").read_text().split()


def loaded():
    return pathlib.Path("/sys/module/actiondfs").exists()


@unittest.skipIf(MODULE is None, "there is no module")
class LoadTest(unittest.TestCase):

    def tearDown(self):
        if loaded():
            run("rmmod", "actiondfs")

    def load(self):
        done = run("insmod", MODULE)
        self.assertEqual(done.returncode, 0, done.stderr)

    def unload(self):
        done = run("rmmod", "actiondfs")
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_registers_the_file_system_and_its_statistics(self):
        self.assertFalse(registered())
        self.load()
        self.assertTrue(registered())
        self.assertTrue(STATISTICS.exists())

    def test_unloading_takes_everything_back(self):
        self.load()
        self.unload()
        self.assertFalse(loaded())
        self.assertFalse(registered())
        self.assertFalse(STATISTICS.exists())

    def test_loads_again_after_unloading(self):
        for _ in range(10):
            self.load()
            self.assertTrue(registered())
            self.unload()

    def test_a_second_load_is_refused(self):
        self.load()
        self.assertNotEqual(run("insmod", MODULE).returncode, 0)
        self.assertTrue(registered())

    def test_statistics_are_names_and_numbers(self):
        self.load()
        lines = STATISTICS.read_text().splitlines()
        self.assertTrue(lines)
        for line in lines:
            self.assertRegex(line, r"^[a-z0-9_]+ [0-9]+$")

    def test_statistics_held_open_do_not_outlive_the_module(self):
        self.load()
        with STATISTICS.open() as statistics:
            first = statistics.readline()
            self.unload()
            self.assertRegex(first, r"^[a-z0-9_]+ [0-9]+\n$")
        self.assertFalse(STATISTICS.exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
