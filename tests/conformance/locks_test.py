# SPDX-License-Identifier: Apache-2.0
"""Locks on staged files (and shared ones on inputs): flock, POSIX, and those of an open file description."""
import fcntl
import os
import struct

from calls import errno_name, in_child
from workspace import Workspace, main, variants

F_OFD_GETLK, F_OFD_SETLK = 36, 37


def ofd_lock(fd, kind, start=0, length=0):
    fcntl.fcntl(fd, F_OFD_SETLK, struct.pack("=hhiqqii", kind, os.SEEK_SET, 0, start, length, 0, 0))


@variants("strict", "overlay", "plain")
class Locks(Workspace):
    tree = {"file": b"input\n", "dir": {}}

    def setUp(self):
        super().setUp()
        os.close(os.open(self.path("locked"), os.O_CREAT | os.O_WRONLY, 0o666))
        os.chmod(self.path("locked"), 0o666)

    def tried(self, function, *args):
        """What another process is told."""
        def attempt():
            fd = os.open(self.path("locked"), os.O_RDWR)
            return errno_name(function, fd, *args)

        return in_child(attempt)

    def test_flock(self):
        fd = self.open("locked", os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_EX)
        self.assertEqual(self.tried(fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB), "EAGAIN")
        self.assertEqual(self.tried(fcntl.flock, fcntl.LOCK_SH | fcntl.LOCK_NB), "EAGAIN")
        fcntl.flock(fd, fcntl.LOCK_SH)
        self.assertEqual(self.tried(fcntl.flock, fcntl.LOCK_SH | fcntl.LOCK_NB), "OK")
        fcntl.flock(fd, fcntl.LOCK_UN)
        self.assertEqual(self.tried(fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB), "OK")

    def test_posix_locks(self):
        fd = self.open("locked", os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX, 10, 0)
        self.assertEqual(self.tried(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 5), "EAGAIN")
        self.assertEqual(self.tried(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 10), "OK")
        fcntl.lockf(fd, fcntl.LOCK_UN)
        self.assertEqual(self.tried(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB), "OK")

    def test_posix_locks_go_with_any_descriptor(self):
        fd = self.open("locked", os.O_RDWR)
        fcntl.lockf(fd, fcntl.LOCK_EX)
        os.close(os.open(self.path("locked"), os.O_RDONLY))
        self.assertEqual(self.tried(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB), "OK")

    def test_locks_of_a_description(self):
        fd = self.open("locked", os.O_RDWR)
        ofd_lock(fd, fcntl.F_WRLCK)
        self.assertEqual(self.tried(ofd_lock, fcntl.F_WRLCK), "EAGAIN")
        self.assertEqual(self.tried(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB), "EAGAIN")
        self.answers("EAGAIN", ofd_lock, self.open("locked", os.O_RDWR), fcntl.F_WRLCK)
        os.close(os.open(self.path("locked"), os.O_RDONLY))
        self.assertEqual(self.tried(ofd_lock, fcntl.F_WRLCK), "EAGAIN")
        ofd_lock(fd, fcntl.F_UNLCK)
        self.assertEqual(self.tried(ofd_lock, fcntl.F_WRLCK), "OK")

    def test_the_kinds_are_apart(self):
        fd = self.open("locked", os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_EX)
        self.assertEqual(self.tried(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB), "OK")
        fcntl.flock(fd, fcntl.LOCK_UN)
        fcntl.lockf(fd, fcntl.LOCK_EX)
        self.assertEqual(self.tried(fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB), "OK")

    def test_locks_go_with_the_process(self):
        def take():
            fd = os.open(self.path("locked"), os.O_RDWR)
            fcntl.flock(fd, fcntl.LOCK_EX)
            fcntl.lockf(fd, fcntl.LOCK_EX)

        in_child(take)
        self.assertEqual(self.tried(fcntl.flock, fcntl.LOCK_EX | fcntl.LOCK_NB), "OK")
        self.assertEqual(self.tried(fcntl.lockf, fcntl.LOCK_EX | fcntl.LOCK_NB), "OK")

    def test_one_waits_for_the_other(self):
        fd = self.open("locked", os.O_RDWR)
        fcntl.flock(fd, fcntl.LOCK_EX)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.write(writer, b"w")
            fcntl.flock(os.open(self.path("locked"), os.O_RDWR), fcntl.LOCK_EX)
            os.write(writer, b"g")
            os._exit(0)
        self.assertEqual(os.read(reader, 1), b"w")
        os.set_blocking(reader, False)
        with self.assertRaises(BlockingIOError):
            os.read(reader, 1)
        os.set_blocking(reader, True)
        fcntl.flock(fd, fcntl.LOCK_UN)
        self.assertEqual(os.read(reader, 1), b"g")
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)

    def test_a_lock_of_a_kind_that_does_not_fit(self):
        self.answers("EBADF", fcntl.lockf, self.open("locked", os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.answers("EBADF", fcntl.lockf, self.open("locked", os.O_WRONLY), fcntl.LOCK_SH | fcntl.LOCK_NB)

    def test_inputs_and_directories(self):
        for name in ("file", "dir"):
            one, two = self.open(name), self.open(name)
            fcntl.flock(one, fcntl.LOCK_EX)
            self.answers("EAGAIN", fcntl.flock, two, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.lockf(self.open("file"), fcntl.LOCK_SH | fcntl.LOCK_NB)


if __name__ == "__main__":
    main()
