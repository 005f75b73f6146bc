# SPDX-License-Identifier: Apache-2.0
"""What the tests of the FUSE server share: a server and a store of their own for each class, and mounts.

What all backends have in common is in tests/conformance. ACTIONDFS is the program; ACTIONDFS_PASSTHROUGH=0 has files
read and written by the server instead of the kernel.
"""
import os
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "conformance"))
from calls import mounts_below  # noqa: E402  (the path comes first)
from server import PROGRAM, Server  # noqa: E402
from store import Store, reapi  # noqa: E402

PASSTHROUGH = os.environ.get("ACTIONDFS_PASSTHROUGH", "1") == "1"


def skip_all(reason):
    print("skipped:", reason)
    sys.exit(77)


class FuseTest(unittest.TestCase):
    server_args = ()
    server_wrapper = ()
    of_others = ()  # mount points that another server than the class' own serves

    @classmethod
    def setUpClass(cls):
        cls.dir = tempfile.mkdtemp(prefix="actiondfs-fuse-test.", dir=os.environ.get("ACTIONDFS_TEST_DIR", "/var/tmp"))
        os.chmod(cls.dir, 0o755)
        cls.addClassCleanup(subprocess.run, ["rm", "-rf", cls.dir], check=True)
        cls.store = Store(os.path.join(cls.dir, "cas"))
        cls.server = cls.make_server(*([] if PASSTHROUGH else ["--no-passthrough"]), *cls.server_args)
        cls.addClassCleanup(cls.stop_server)
        cls.count = 0

    @classmethod
    def make_server(cls, *args):
        return Server(cls.dir, *args, wrapper=cls.server_wrapper)

    @classmethod
    def stop_server(cls):
        status = cls.server.stop()
        if status != 0:
            raise AssertionError("the server ended with %d: %s" % (status, cls.server.log()))

    def run_program(self, *args):
        return subprocess.run([PROGRAM, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def scratch(self, name):
        type(self).count += 1
        path = os.path.join(self.dir, "%s%d" % (name, self.count))
        os.mkdir(path)
        return path

    def try_mount(self, *args):
        """The finished process, and the mount point."""
        point = self.scratch("mnt")
        backend = [] if "--backend" in args else ["--backend", "fuse", *([] if PASSTHROUGH else ["--no-passthrough"])]
        done = self.run_program("mount", *args, point, *backend, "--cas", self.store.path, "--layout", "sharded",
                                "--socket", self.server.socket)
        return done, point

    def mount(self, digest, mode="strict", stage=None, options=(), more=()):
        """The mount point; `digest` None: many roots."""
        args = ["--roots"] if digest is None else [reapi.text(digest), "--mode", mode]
        if digest is not None and mode != "readonly":
            self.stage = stage or self.scratch("stage")
            args += ["--stage", self.stage]
        for option in options:
            args += ["-o", option]
        # The mount point comes last: the program takes DIGEST MOUNTPOINT in this order.
        done, point = self.try_mount(*args, *more)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.addCleanup(self.unmount, point)
        return point

    def unmount(self, point):
        """Returns when the server has let go of it, too: that comes after the system call."""
        if mounts_below(point):
            before = len(self.server.mounts())
            ours = point not in self.of_others
            done = self.run_program("umount", point)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.settle(lambda: not ours or len(self.server.mounts()) < before)

    def settle(self, condition):
        """Waits for what a server does by itself; asking it is what lets it notice that a mount has ended."""
        deadline = time.monotonic() + 30
        while not condition() and time.monotonic() < deadline:
            self.server.mounts()
        self.assertTrue(condition())


def main():
    if os.geteuid() != 0:
        skip_all("mounting needs root")
    if not os.path.exists("/dev/fuse"):
        skip_all("this host has no /dev/fuse")
    unittest.main()
