#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""In the stage it is the mounter who acts, whoever asks: with the mounter's rights, but without the disk's reserve."""
import mmap
import os
import unittest

from kit import Guest, errno_name, main, read_file, run, write_file
from calls import as_user, fallocate, link_descriptor

TREE = {"input": b"input\n", "dir": {"inner": b"inner\n"}}
MIB = 1 << 20


class Closed(Guest):
    """A stage that is root's alone, below a tree of user 1000."""

    def setUp(self):
        super().setUp()
        self.stage = self.scratch("stage")
        os.chmod(self.stage, 0o700)
        self.point = self.mount(TREE, stage=self.stage, uid=1000, gid=1000)
        self.assertEqual(as_user(errno_name, os.listdir, self.stage), "EACCES")

    def test_every_operation(self):
        def work(top):
            """In order; each needs what those before have made."""
            file, directory = top + "/file", top + "/made"
            yield "mkdir", lambda: os.mkdir(directory)
            yield "create", lambda: write_file(file, b"content")
            yield "create below", lambda: write_file(directory + "/file", b"below")
            yield "open", lambda: self.assertEqual(read_file(file), b"content")
            yield "list", lambda: self.assertEqual(os.listdir(directory), ["file"])
            yield "stat", lambda: self.assertEqual((os.stat(file).st_uid, os.stat(file).st_size), (1000, 7))
            yield "setxattr", lambda: os.setxattr(file, "user.name", b"value")
            yield "getxattr", lambda: self.assertEqual(os.getxattr(file, "user.name"), b"value")
            yield "listxattr", lambda: self.assertEqual(os.listxattr(file), ["user.name"])
            yield "removexattr", lambda: os.removexattr(file, "user.name")
            yield "truncate", lambda: os.truncate(file, 3)
            yield "chmod", lambda: os.chmod(file, 0o640)
            yield "utimes", lambda: os.utime(file, (1, 2))
            yield "fsync", lambda: with_open(file, os.fsync)
            yield "fsync of a directory", lambda: with_open(directory, os.fsync, os.O_RDONLY)
            yield "fallocate", lambda: with_open(file, lambda fd: fallocate(fd, 0, 0, 10000))
            yield "copy_file_range", lambda: with_open(file, lambda fd: with_open(
                self.point + "/input", lambda source: os.copy_file_range(source, fd, 6), os.O_RDONLY))
            yield "symlink", lambda: os.symlink("target", top + "/symlink")
            yield "readlink", lambda: self.assertEqual(os.readlink(top + "/symlink"), "target")
            yield "mkfifo", lambda: os.mkfifo(top + "/fifo")
            yield "link", lambda: os.link(file, top + "/link")
            yield "rename", lambda: os.rename(file, directory + "/file")
            yield "rename of a directory", lambda: os.rename(directory, top + "/moved")
            yield "O_TMPFILE", lambda: with_open(top, lambda fd: link_descriptor(fd, top + "/named"),
                                                 os.O_TMPFILE | os.O_RDWR)
            for name in ("symlink", "fifo", "link", "named", "moved/file"):
                yield "unlink " + name, lambda name=name: os.unlink(top + "/" + name)
            yield "rmdir", lambda: os.rmdir(top + "/moved")
            yield "statvfs", lambda: os.statvfs(top)

        def with_open(path, function, flags=os.O_RDWR):
            fd = os.open(path, flags)
            try:
                return function(fd)
            finally:
                os.close(fd)

        for top in (self.point, self.point + "/dir"):
            there = os.listdir(top)
            for name, function in work(top):
                with self.subTest(top=top, operation=name):
                    as_user(function)
            self.assertEqual(sorted(os.listdir(top)), sorted({*there, "dir"} if top == self.point else there))

    def test_what_is_the_user_s_by_what_the_mount_has_seen(self):
        """And is root's alone since, in the stage: so each call is seen by itself to be the mounter's. Not those that
        only open what was looked up: there the VFS asks for no permission below."""
        of_files = {
            "chmod": lambda file: os.chmod(file, 0o600),
            "utimes": lambda file: os.utime(file, (1, 2)),
            "setxattr": lambda file: os.setxattr(file, "user.new", b"value"),
            "getxattr": lambda file: os.getxattr(file, "user.name"),
            "removexattr": lambda file: os.removexattr(file, "user.name"),
        }
        of_directories = {
            "lookup": lambda top: os.stat(top + "/unseen"),
            "create": lambda top: write_file(top + "/new"),
            "mkdir": lambda top: os.mkdir(top + "/new"),
            "mkfifo": lambda top: os.mkfifo(top + "/new"),
            "symlink": lambda top: os.symlink("target", top + "/new"),
            "link": lambda top: os.link(top + "/file", top + "/new"),
            "rename": lambda top: os.rename(top + "/file", top + "/new"),
            "unlink": lambda top: os.unlink(top + "/file"),
            "rmdir": lambda top: os.rmdir(top + "/empty"),
            "O_TMPFILE": lambda top: os.open(top, os.O_TMPFILE | os.O_RDWR),
        }

        def make(top):
            os.mkdir(top)
            os.mkdir(top + "/empty")
            write_file(top + "/file", b"content")
            os.setxattr(top + "/file", "user.name", b"value")

        os.chmod(self.stage, 0o777)
        for kind, calls in (("file", of_files), ("", of_directories)):
            for name, call in calls.items():
                with self.subTest(kind=kind, call=name):
                    top = os.path.join(self.point, name + kind)
                    as_user(make, top)
                    path = os.path.join(self.stage, name + kind)
                    write_file(path + "/unseen")
                    path = os.path.join(path, kind)
                    os.chown(path, 0, 0)
                    os.chmod(path, 0o700)
                    self.assertEqual(as_user(errno_name, call, os.path.join(top, kind)), "OK")


class Reserve(Guest):
    """A part of the stage's disk is for whom its file system says: nobody gets it through a mount that root made."""

    @staticmethod
    def write(fd):
        os.write(fd, bytes(MIB))

    @staticmethod
    def allocate(fd):
        fallocate(fd, 0, os.fstat(fd).st_size, MIB)

    @staticmethod
    def write_direct(fd):
        with mmap.mmap(-1, MIB) as memory:
            os.pwrite(fd, memory, os.fstat(fd).st_size)

    def check(self, reserved_for, fill, flags=0):
        below, _ = self.loop("64m", reserved=20)
        run("mount", "-o", "remount,resuid=%d" % reserved_for, below)
        os.mkdir(below + "/stage")
        point = self.mount(TREE, stage=below + "/stage")
        for top in (point, below):
            fd = os.open(top + "/file", os.O_CREAT | os.O_RDWR | flags)
            code = "OK"
            while code == "OK":
                code = errno_name(fill, fd)
            os.close(fd)
            self.assertEqual(code, "ENOSPC")
            status = os.statvfs(below)
            free = status.f_bfree * status.f_frsize
            if top == point:
                self.assertGreater(free, 10 * MIB)
            else:
                # So somebody else has it.
                self.assertLess(free, 2 * MIB)

    def test_of_another_user(self):
        """Root may have it by CAP_SYS_RESOURCE."""
        for fill, flags in ((self.write, 0), (self.allocate, 0), (self.write_direct, os.O_DIRECT)):
            with self.subTest(fill=fill.__name__):
                self.check(65534, fill, flags)

    @unittest.expectedFailure
    def test_of_root(self):
        """As mke2fs makes it: ext4 then looks at the fsuid as well, and that of the mounter is root's."""
        for fill, flags in ((self.write, 0), (self.allocate, 0), (self.write_direct, os.O_DIRECT)):
            with self.subTest(fill=fill.__name__):
                self.check(0, fill, flags)


if __name__ == "__main__":
    main()
