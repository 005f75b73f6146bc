#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What was synced is there after a crash of the file system below, and a frozen one is waited for."""
import contextlib
import ctypes
import mmap
import os

from kit import (Guest, LIBC, checked, children, drop_caches, errno_name, main, read_file, run, shut_down, unmount,
                 wait_until, write_file)

TREE = {"file": b"content\n", "dir": {"inner": b"inner\n"}}
FIFREEZE, FITHAW = 0xC0045877, 0xC0045878
DATA = b"synced " * 1000


def syncfs_of(fd):
    checked(LIBC.syncfs(fd), "syncfs")


def syncfs(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        syncfs_of(fd)
    finally:
        os.close(fd)


class Crash(Guest):
    """The stage's file system is cut off without a word, and mounted again."""

    def setUp(self):
        super().setUp()
        self.below, self.device = self.loop()
        os.mkdir(self.below + "/stage")
        syncfs(self.below)
        self.point = self.mount(TREE, stage=self.below + "/stage")

    def after_crash(self):
        """{path in the stage: content} of what is left."""
        shut_down(self.below)
        unmount(self.point)
        unmount(self.below)
        run("mount", "-t", "ext4", self.device, self.below)
        found = {}
        for directory, _, names in os.walk(self.below + "/stage"):
            for name in names:
                path = os.path.join(directory, name)
                found[os.path.relpath(path, self.below + "/stage")] = read_file(path)
        return found

    def write(self, name, sync=None, data=DATA):
        fd = os.open(os.path.join(self.point, name), os.O_CREAT | os.O_WRONLY)
        os.write(fd, data)
        if sync is not None:
            sync(fd)
        os.close(fd)

    def test_nothing_is_synced_by_itself(self):
        """Otherwise the tests below would say nothing."""
        self.write("dir/new")
        self.assertNotEqual(self.after_crash().get("dir/new"), DATA)

    def test_fsync(self):
        self.write("dir/new", os.fsync)
        self.assertEqual(self.after_crash().get("dir/new"), DATA)

    def test_fdatasync(self):
        self.write("dir/new", os.fsync, b"")
        self.write("dir/new", os.fdatasync)
        self.assertEqual(self.after_crash().get("dir/new"), DATA)

    def test_o_sync(self):
        fd = os.open(self.point + "/new", os.O_CREAT | os.O_WRONLY | os.O_SYNC)
        os.write(fd, DATA)
        os.close(fd)
        self.assertEqual(self.after_crash().get("new"), DATA)

    def test_msync(self):
        self.write("new", os.fsync, bytes(len(DATA)))
        fd = os.open(self.point + "/new", os.O_RDWR)
        with mmap.mmap(fd, len(DATA)) as mapping:
            mapping[:] = DATA
            mapping.flush()
        os.close(fd)
        self.assertEqual(self.after_crash().get("new"), DATA)

    def test_fsync_of_a_directory(self):
        self.write("dir/new", os.fsync)
        os.rename(self.point + "/dir/new", self.point + "/dir/renamed")
        fd = os.open(self.point + "/dir", os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        self.assertEqual(self.after_crash(), {"dir/renamed": DATA})

    def test_syncfs(self):
        for i in range(10):
            self.write("dir/new%d" % i)
        syncfs(self.point)
        self.assertEqual(self.after_crash(), {"dir/new%d" % i: DATA for i in range(10)})

    def test_sync(self):
        self.write("dir/new")
        os.sync()
        self.assertEqual(self.after_crash().get("dir/new"), DATA)

    def test_errors_are_told(self):
        self.write("dir/new")
        fd = os.open(self.point + "/dir/new", os.O_RDWR)
        shut_down(self.below)
        self.answers("EIO", os.fsync, fd)
        self.answers("EIO", os.write, fd, b"x")
        self.answers(errno_name(syncfs, self.below), syncfs, self.point)
        self.answers("EIO", os.mkdir, self.point + "/made")
        os.close(fd)
        # Inputs are elsewhere.
        self.assertEqual(read_file(self.point + "/dir/inner"), b"inner\n")


class Lost(Guest):
    def test_what_was_not_written_back(self):
        """The stage's disk has less room than it says: syncfs() tells of what was lost, each open file once."""
        small = self.tmpfs("size=16m")
        run("truncate", "-s", "64m", small + "/image")
        run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", small + "/image")
        device = run("losetup", "--find", "--show", small + "/image").strip()
        self.addCleanup(run, "losetup", "--detach", device)
        below = self.scratch("below")
        run("mount", "-t", "ext4", device, below)
        self.addCleanup(self.unmount_if_there, below)
        os.mkdir(below + "/stage")
        point = self.mount(TREE, stage=below + "/stage")
        syncfs(below)
        with contextlib.ExitStack() as opened:
            fds = [os.open(path, os.O_RDONLY) for path in (below, point, point)]
            for fd in fds:
                opened.callback(os.close, fd)
            write_file(point + "/new", b"x" * (32 << 20))
            # Of data it is ENOSPC, of metadata EIO: who syncs first may be told the one, and later ones the other.
            for fd in fds:
                self.assertIn(errno_name(syncfs_of, fd), ("EIO", "ENOSPC"))
            for fd in fds:
                # Something may have been written back in between.
                wait_until(lambda fd=fd: errno_name(syncfs_of, fd) == "OK", "what was lost has been told")
        self.answers("OK", syncfs, point)
        unmount(point)
        unmount(below)


class OfInputs(Guest):
    def test_nothing_to_do(self):
        point = self.mount(TREE)
        for name in ("file", "dir", ""):
            fd = os.open(os.path.join(point, name), os.O_RDONLY)
            os.fsync(fd)
            os.fdatasync(fd)
            os.close(fd)
        syncfs(point)


class Frozen(Guest):
    def freeze(self, path, command):
        fd = os.open(path, os.O_RDONLY)
        try:
            checked(LIBC.ioctl(fd, ctypes.c_ulong(command), 0), "ioctl")
        finally:
            os.close(fd)

    @staticmethod
    def state(pid):
        return read_file("/proc/%d/stat" % pid).rsplit(b")", 1)[1].split()[0]

    def test_writers_wait_and_readers_do_not(self):
        below, _ = self.loop()
        os.mkdir(below + "/stage")
        point = self.mount(TREE, stage=below + "/stage")
        write_file(point + "/dir/old", b"old")
        actions = (lambda: write_file(point + "/dir/old", b"changed"), lambda: write_file(point + "/dir/new", b"new"),
                   lambda: os.mkdir(point + "/made"), lambda: os.rename(point + "/dir/old", point + "/dir/renamed"),
                   lambda: os.symlink("x", point + "/link"), lambda: os.chmod(point + "/dir/other", 0o600))
        write_file(point + "/dir/other", b"other")
        for action in actions:
            self.freeze(below, FIFREEZE)
            thawed = False
            try:
                with children(1, lambda _, action=action: action()) as pids:
                    try:
                        wait_until(lambda: self.state(pids[0]) in (b"D", b"Z"), "the writer waits")
                        self.assertEqual(self.state(pids[0]), b"D")
                        self.assertEqual(read_file(point + "/dir/inner"), b"inner\n")
                        self.assertEqual(read_file(point + "/dir/other"), b"other")
                        os.stat(point + "/file")
                    finally:
                        self.freeze(below, FITHAW)
                        thawed = True
            finally:
                if not thawed:
                    self.freeze(below, FITHAW)
        self.assertEqual(read_file(point + "/dir/renamed"), b"changed")
        self.assertEqual(sorted(os.listdir(point)), ["dir", "file", "link", "made"])

    def test_a_waiting_writer_is_not_in_the_way_of_others(self):
        """It holds none of the module's own locks that a lookup elsewhere would want."""
        below, _ = self.loop()
        os.mkdir(below + "/stage")
        point = self.mount(TREE, stage=below + "/stage")
        other = self.mount(TREE, stage=self.scratch("stage"))
        self.freeze(below, FIFREEZE)
        with children(1, lambda _: write_file(point + "/dir/new")) as pids:
            try:
                wait_until(lambda: self.state(pids[0]) in (b"D", b"Z"), "the writer waits")
                drop_caches()
                write_file(other + "/dir/new")
                self.assertEqual(sorted(os.listdir(other + "/dir")), ["inner", "new"])
                self.assertEqual(read_file(point + "/file"), b"content\n")
                unmount(other)
            finally:
                self.freeze(below, FITHAW)
        self.assertTrue(os.path.exists(point + "/dir/new"))


if __name__ == "__main__":
    main()
