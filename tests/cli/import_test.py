#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""import where it must fail, is killed, or is not alone."""
import hashlib
import json
import os
import random
import signal
import socket
import subprocess
import time
import unittest

import reapi
from harness import PROGRAM, CliTest


class ImportErrorTest(CliTest):
    def fails(self, *args):
        return self.fail_with(1, "import", self.src, "--cas", self.cas, *args)

    def test_fifo_and_socket_are_all_named(self):
        self.write("ok", b"x")
        os.mkdir(os.path.join(self.src, "d"))
        os.mkfifo(os.path.join(self.src, "d", "pipe"))
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.join(self.src, "sock"))
            lines = self.fails()
        self.assertEqual(len(lines), 2)
        self.assertIn(f"'{self.src}/d/pipe': this is a FIFO", lines[0])
        self.assertIn(f"'{self.src}/sock': this is a socket", lines[1])

    def test_device_is_named(self):
        try:
            os.mknod(os.path.join(self.src, "null"), 0o020666, os.makedev(1, 3))
        except PermissionError as error:
            self.skipTest(f"mknod: {error}")
        (line,) = self.fails()
        self.assertIn("this is a device", line)

    def test_errors_are_bounded(self):
        for i in range(50):
            os.mkfifo(os.path.join(self.src, "pipe%d" % i))
        lines = self.fails()
        self.assertEqual(len(lines), 21)
        self.assertIn("there may be more", lines[-1])

    def test_unreadable_file_and_directory_are_named(self):
        self.write("secret", b"x", 0)
        self.write("closed/f", b"x")
        os.chmod(os.path.join(self.src, "closed"), 0)
        os.mkdir(self.cas)
        os.chmod(self.cas, 0o777)
        done = self.run_as_nobody("import", self.src, "--cas", self.cas)
        os.chmod(os.path.join(self.src, "closed"), 0o755)
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stdout, b"")
        lines = done.stderr.decode().splitlines()
        self.assertEqual(len(lines), 2)
        for line, name in zip(lines, ("closed", "secret")):
            self.assertIn(f"'{self.src}/{name}'", line)
            self.assertIn("Permission denied", line)

    def test_names_and_targets_that_are_not_utf8(self):
        self.write(b"bad\xff".decode("utf-8", "surrogateescape"))
        os.symlink(b"\xc3(", os.path.join(os.fsencode(self.src), b"link"))
        lines = self.fails()
        self.assertEqual(len(lines), 2)
        self.assertIn("/bad\\xff': the name is not UTF-8", lines[0])
        self.assertIn("/link': the target is not UTF-8", lines[1])

    def test_path_that_is_no_directory(self):
        for path, text in ((self.path("none"), "No such file"), (self.write("f"), "Not a directory")):
            (line,) = self.fail_with(1, "import", path, "--cas", self.cas)
            self.assertIn(text, line)

    def test_store_within_the_tree(self):
        self.cas = os.path.join(self.src, "cas")
        (line,) = self.fails()
        self.assertIn("this is the CAS", line)

    def test_store_that_may_not_be_written(self):
        self.write("f", b"x")
        os.mkdir(self.cas, 0o755)
        if os.geteuid() != 0:
            os.chmod(self.cas, 0o555)
        done = self.run_as_nobody("import", self.src, "--cas", self.cas)
        self.assertEqual(done.returncode, 1)
        (line,) = done.stderr.decode().splitlines()
        self.assertIn("Permission denied", line)

    def test_store_below_a_directory_that_is_not_there(self):
        self.cas = self.path("no", "cas")
        (line,) = self.fails()
        self.assertIn("No such file", line)

    def test_store_is_made_with_its_mode(self):
        self.import_tree()
        self.assertEqual(os.stat(self.cas).st_mode & 0o7777, 0o755)


class ConcurrentImportTest(CliTest):
    def setUp(self):
        super().setUp()
        for i in range(800):
            self.write("d%d/f%d" % (i % 20, i), b"%d" % i * 50, 0o755 if i % 3 else 0o644)
        for i in range(4):
            self.write("large%d" % i, os.urandom(5 << 20))

    def start(self):
        return subprocess.Popen([PROGRAM, "import", self.src, "--cas", self.cas], stdin=subprocess.DEVNULL,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def assert_every_blob_is_whole(self):
        """Each file under a blob's name has that hash; returns how many there are."""
        count = 0
        for shard in os.listdir(self.cas):
            if shard == ".tmp-actiondfs":
                continue
            for name in os.listdir(os.path.join(self.cas, shard)):
                with open(os.path.join(self.cas, shard, name), "rb") as file:
                    self.assertEqual(hashlib.sha256(file.read()).hexdigest(), name)
                count += 1
        return count

    def test_killed_import_leaves_no_short_blob(self):
        begin = time.monotonic()
        self.import_tree()
        whole = time.monotonic() - begin
        expected = self.assert_every_blob_is_whole()
        counts = []
        for i in range(15):
            if i % 5 == 0:
                subprocess.run(["rm", "-rf", self.cas], check=True)
            process = self.start()
            try:
                process.communicate(timeout=random.uniform(0, whole))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
            if os.path.isdir(self.cas):
                counts.append(self.assert_every_blob_is_whole())
        self.assertTrue(any(0 < count < expected for count in counts), counts)
        digest = self.import_tree()
        self.assertEqual(self.assert_every_blob_is_whole(), expected)
        self.assertTrue(json.loads(self.succeed("verify", digest, "--cas", self.cas, "--json"))["ok"])

    def test_two_imports_at_once(self):
        digest = reapi.text(reapi.encode_tree(os.fsencode(self.src)))
        for _ in range(3):
            subprocess.run(["rm", "-rf", self.cas], check=True)
            processes = [self.start(), self.start(), self.start()]
            for process in processes:
                out, err = process.communicate()
                self.assertEqual(process.returncode, 0, err)
                self.assertEqual(out.decode().splitlines()[-1], digest)
            self.assert_every_blob_is_whole()
            self.assertEqual(os.listdir(os.path.join(self.cas, ".tmp-actiondfs")), [])
            self.succeed("verify", digest, "--cas", self.cas)


if __name__ == "__main__":
    unittest.main()
