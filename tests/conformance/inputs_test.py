# SPDX-License-Identifier: Apache-2.0
"""The input column of the table: inputs are read as they are, and nothing changes them."""
import fcntl
import mmap
import os
import socket
import stat
import subprocess

from calls import (RENAME_EXCHANGE, RENAME_NOREPLACE, as_user, errno_name, fallocate, getdents, link_descriptor, linkat,
                   read_file, renameat2)
from store import Executable, Link
from workspace import USER, Workspace, by_root, main, variants

TREE = {
    "file": b"input\n",
    "nothing": b"",
    "tool": Executable(b"#!/bin/sh\necho ran\n"),
    "link": Link("dir/deep"),
    "dir": {"deep": b"deep\n", "sub": {"deeper": b"x"}},
    "empty": {},
    "big": bytes(range(256)) * 4096,
}
WAYS_TO_WRITE = (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_RDWR | os.O_TRUNC, os.O_WRONLY | os.O_APPEND,
                 os.O_RDONLY | os.O_TRUNC, os.O_RDWR | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC,
                 os.O_WRONLY | os.O_DIRECT, os.O_WRONLY | os.O_SYNC, os.O_WRONLY | os.O_NONBLOCK)


@variants("readonly", "strict", "overlay")
class Reading(Workspace):
    tree = TREE

    def test_read(self):
        for name in ("file", "nothing", "big"):
            self.assertEqual(read_file(self.path(name)), TREE[name], name)
        self.assertEqual(read_file(self.path("dir/deep")), b"deep\n")

    def test_every_flag_for_reading(self):
        for flag in ("O_RDONLY", "O_NONBLOCK", "O_NOCTTY", "O_CLOEXEC", "O_SYNC", "O_NOATIME", "O_NOFOLLOW", "O_CREAT"):
            fd = self.open("file", os.O_RDONLY | getattr(os, flag))
            self.assertEqual(os.read(fd, 99), b"input\n", flag)

    def test_flags_that_do_not_fit(self):
        self.answers("ENOTDIR", os.open, self.path("file"), os.O_RDONLY | os.O_DIRECTORY)
        self.answers("ELOOP", os.open, self.path("link"), os.O_RDONLY | os.O_NOFOLLOW)
        self.answers("EISDIR", os.open, self.path("dir"), os.O_RDONLY | os.O_CREAT)
        self.answers("EISDIR", os.open, self.path("dir"), os.O_WRONLY)

    def test_a_path_descriptor(self):
        fd = self.open("file", os.O_PATH)
        self.assertEqual(os.fstat(fd).st_size, 6)
        self.answers("EBADF", os.read, fd, 1)
        again = os.open("/proc/self/fd/%d" % fd, os.O_RDONLY)
        self.assertEqual(os.read(again, 99), b"input\n")
        os.close(again)
        fd = self.open("link", os.O_PATH | os.O_NOFOLLOW)
        self.assertTrue(stat.S_ISLNK(os.fstat(fd).st_mode))

    def test_positions(self):
        fd = self.open("big")
        self.assertEqual(os.pread(fd, 5, 1 << 19), TREE["big"][1 << 19:(1 << 19) + 5])
        self.assertEqual(os.pread(fd, 99, (1 << 20) - 3), TREE["big"][-3:])
        self.assertEqual(os.pread(fd, 99, 1 << 20), b"")
        self.assertEqual(os.pread(fd, 99, 1 << 40), b"")
        buffers = [bytearray(3), bytearray(4)]
        self.assertEqual(os.preadv(fd, buffers, 1), 7)
        self.assertEqual(b"".join(buffers), TREE["big"][1:8])
        self.assertEqual((os.lseek(fd, -6, os.SEEK_END), os.read(fd, 99)), ((1 << 20) - 6, TREE["big"][-6:]))

    def test_holes_and_data(self):
        fd = self.open("big")
        self.assertEqual((os.lseek(fd, 0, os.SEEK_DATA), os.lseek(fd, 0, os.SEEK_HOLE)), (0, 1 << 20))
        self.answers("ENXIO", os.lseek, fd, 1 << 20, os.SEEK_DATA)
        self.answers("ENXIO", os.lseek, fd, 1 << 20, os.SEEK_HOLE)

    def test_sendfile_and_splice(self):
        fd = self.open("big")
        sink = os.memfd_create("sink")
        self.addCleanup(os.close, sink)
        self.assertEqual(os.sendfile(sink, fd, 0, 1 << 20), 1 << 20)
        self.assertEqual(os.pread(sink, 1 << 20, 0), TREE["big"])
        reader, writer = os.pipe()
        self.assertEqual(os.splice(fd, writer, 4096, 4096), 4096)
        self.assertEqual(os.read(reader, 9999), TREE["big"][4096:8192])
        os.close(reader)
        os.close(writer)

    def test_mapping(self):
        with open(self.path("big"), "rb") as file:
            with mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ) as mapped:
                self.assertEqual(mapped[:], TREE["big"])
            with mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
                mapped[0:3] = b"own"
                self.assertEqual(mapped[:6], b"own" + TREE["big"][3:6])
        self.assertEqual(read_file(self.path("big")), TREE["big"])

    def test_executing(self):
        self.assertEqual(subprocess.check_output([self.path("tool")]), b"ran\n")
        self.assertEqual(errno_name(os.execv, self.path("file"), ["file"]), "EACCES")
        fd = self.open("tool", os.O_PATH)
        self.assertEqual(subprocess.check_output(["/proc/self/fd/%d" % fd], pass_fds=[fd]), b"ran\n")

    def test_symlinks(self):
        self.assertEqual(os.readlink(self.path("link")), "dir/deep")
        self.assertEqual(read_file(self.path("link")), b"deep\n")
        self.answers("EINVAL", os.readlink, self.path("file"))

    def test_access(self):
        self.assertTrue(os.access(self.path("file"), os.R_OK))
        self.assertFalse(os.access(self.path("file"), os.X_OK))
        self.assertTrue(os.access(self.path("tool"), os.R_OK | os.X_OK))
        self.assertTrue(os.access(self.path("dir"), os.R_OK | os.X_OK))

    def test_what_is_not_there(self):
        for _ in range(2):  # the second answer is the kernel's own
            self.answers("ENOENT", os.stat, self.path("nowhere"))
        self.answers("ENOTDIR", os.stat, self.path("file/x"))
        self.answers("ENOENT", os.open, self.path("nowhere/new"), os.O_WRONLY | os.O_CREAT)
        self.answers("ENOENT", os.stat, self.path("empty/file"))

    @by_root
    def test_other_users_may_read(self):
        self.assertEqual(as_user(read_file, self.path("big"), uid=USER + 1), TREE["big"])
        self.assertEqual(sorted(as_user(os.listdir, self.point, uid=USER + 1)), sorted(TREE))


@variants("readonly", "strict")
class Changing(Workspace):
    """What of the input column is EROFS, in both modes. Where a test makes a staged name, only in strict."""
    tree = TREE

    def test_opening_for_writing(self):
        for flags in WAYS_TO_WRITE:
            self.answers("EROFS", os.open, self.path("file"), flags, differs="write-open by mode")
        self.answers("EROFS", os.truncate, self.path("file"), 0, differs="write-open by mode")
        self.assertEqual(os.access(self.path("file"), os.W_OK), self.user == "root" and self.mode == "strict")

    def test_attributes(self):
        for name in ("file", "tool", "dir", "dir/deep", "empty"):
            self.answers("EROFS", os.chmod, self.path(name), 0o700)
            self.answers("EROFS", os.utime, self.path(name))
            self.answers("EROFS", os.utime, self.path(name), (1, 1))
            self.answers("EROFS", os.chown, self.path(name), -1, self.uid)
        self.answers("EROFS", os.utime, self.path("link"), (1, 1), follow_symlinks=False)
        self.answers("EROFS", os.chown, self.path("link"), -1, self.uid, follow_symlinks=False)
        self.answers("EROFS", os.chmod, self.path(), 0o700)

    def test_extended_attributes(self):
        self.answers("EROFS", os.setxattr, self.path("dir"), "user.x", b"1")
        self.answers("EROFS", os.removexattr, self.path("dir"), "user.x")
        self.answers("EROFS", os.setxattr, self.path("file"), "user.x", b"1", differs="write-open by mode")
        self.answers("EROFS", os.removexattr, self.path("file"), "user.actiondfs.digest", differs="write-open by mode")

    def test_a_descriptor_for_reading_changes_nothing(self):
        fd = self.open("file")
        self.answers("EBADF", os.write, fd, b"x")
        self.answers("EBADF", fallocate, fd, 0, 0, 10)
        self.answers("EINVAL", os.ftruncate, fd, 0)
        self.answers("EROFS", os.fchmod, fd, 0o777)
        self.answers("EROFS", os.fchown, fd, -1, self.uid)
        self.answers("EROFS", os.utime, fd, (1, 1))
        with self.assertRaises(PermissionError):
            mmap.mmap(fd, 6, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)

    def test_names_stay(self):
        self.answers("EROFS", os.unlink, self.path("file"))
        self.answers("EROFS", os.unlink, self.path("link"))
        self.answers("EROFS", os.unlink, self.path("dir/deep"))
        self.answers("EROFS", os.rmdir, self.path("empty"))
        self.answers("EROFS", os.rename, self.path("file"), self.path("other"))
        self.answers("EROFS", os.rename, self.path("dir"), self.path("other"))
        self.answers("EROFS", os.rename, self.path("file"), self.path("dir/deep"))
        self.answers("EROFS", os.link, self.path("file"), self.path("second"))
        self.assertEqual(sorted(os.listdir(self.point)), sorted(TREE))

    def test_taken_names_exist(self):
        for name in ("file", "dir", "link", "dir/deep"):
            self.answers("EEXIST", os.open, self.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            self.answers("EEXIST", os.mkdir, self.path(name))
            self.answers("EEXIST", os.mkfifo, self.path(name))
            self.answers("EEXIST", os.symlink, "x", self.path(name))
            with socket.socket(socket.AF_UNIX) as unix:
                self.answers("EADDRINUSE", unix.bind, self.path(name))

    def test_locks_and_sync_are_no_change(self):
        fd = self.open("file")
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        fcntl.lockf(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        os.fsync(fd)
        os.fdatasync(fd)
        os.fsync(self.open("dir", os.O_RDONLY | os.O_DIRECTORY))


@variants("readonly")
class ReadOnly(Workspace):
    tree = TREE

    def test_every_change_is_erofs(self):
        path = self.path
        for directory in ("", "dir", "empty"):
            new = path(directory, "new")
            self.answers("EROFS", os.open, new, os.O_WRONLY | os.O_CREAT)
            self.answers("EROFS", os.open, new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
            self.answers("EROFS", os.mkdir, new)
            self.answers("EROFS", os.mkfifo, new)
            self.answers("EROFS", os.mknod, new, stat.S_IFREG | 0o600)
            self.answers("EROFS", os.symlink, "x", new)
            self.answers("EROFS", os.open, path(directory), os.O_TMPFILE | os.O_RDWR)
        with socket.socket(socket.AF_UNIX) as unix:
            self.answers("EROFS", unix.bind, path("new"))
        for flags in (0, RENAME_NOREPLACE, RENAME_EXCHANGE):
            self.answers("EROFS", renameat2, path("file"), path("tool"), flags)

    def test_the_mount_says_so(self):
        self.assertTrue(os.statvfs(self.point).f_flag & os.ST_RDONLY)


@variants("strict")
class BesideStaged(Workspace):
    """Inputs when there are staged names to link, rename and exchange with."""
    tree = TREE

    def prepare(self):
        self.new("staged")
        os.mkdir(self.path("staged_dir"))
        for name in ("staged", "staged_dir"):
            os.chown(self.path(name), self.uid, self.uid)

    def test_renames_over_inputs(self):
        for old, new in (("staged", "file"), ("staged", "link"), ("staged", "dir/deep"), ("staged_dir", "empty"),
                         ("staged_dir", "dir")):
            self.answers("EROFS", os.rename, self.path(old), self.path(new))
            self.answers("EEXIST", renameat2, self.path(old), self.path(new), RENAME_NOREPLACE)
            self.answers("EROFS", renameat2, self.path(old), self.path(new), RENAME_EXCHANGE)
            self.answers("EROFS", renameat2, self.path(new), self.path(old), RENAME_EXCHANGE)
        self.assertEqual(read_file(self.path("file")), b"input\n")

    def test_renames_of_inputs(self):
        self.answers("EROFS", os.rename, self.path("file"), self.path("staged"))
        self.answers("EROFS", os.rename, self.path("file"), self.path("staged_dir/file"))
        self.answers("EROFS", os.rename, self.path("dir"), self.path("staged_dir"))
        self.answers("EEXIST", renameat2, self.path("file"), self.path("staged"), RENAME_NOREPLACE)

    def test_links(self):
        self.answers("EEXIST", os.link, self.path("staged"), self.path("file"))
        self.answers("EEXIST", os.link, self.path("file"), self.path("staged"))
        self.answers("EROFS", os.link, self.path("file"), self.path("staged_dir/file"))
        self.answers("EROFS", linkat, self.path("link"), self.path("second"))

    def test_a_name_cannot_be_taken_by_a_file_without_one(self):
        fd = self.open("", os.O_TMPFILE | os.O_RDWR)
        self.answers("EEXIST", link_descriptor, fd, self.path("file"))

    def test_an_input_directory_that_has_staged_names_stays(self):
        self.new("empty/new")
        self.answers("EROFS", os.rmdir, self.path("empty"))
        self.answers("EROFS", os.rename, self.path("empty"), self.path("other"))
        self.assertEqual([entry[3] for entry in getdents(self.open("empty", os.O_RDONLY))], [b".", b"..", b"new"])


if __name__ == "__main__":
    main()
