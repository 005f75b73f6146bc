# SPDX-License-Identifier: Apache-2.0
"""Making names: files, directories, symlinks, links, fifos, sockets, files without a name; among inputs and apart."""
import os
import shutil
import socket
import stat
import subprocess

from calls import as_user, errno_name, link_descriptor, linkat, read_file, write_file
from store import Executable, Link
from workspace import USER, WithReference, Workspace, by_root, main, variants

TREE = {
    "file": b"input\n",
    "tool": Executable(b"#!/bin/sh\necho ran\n"),
    "link": Link("file"),
    "dir": {"deep": b"deep\n", "sub": {"deeper": b"x"}},
    "empty": {},
}
STAGED = ("strict", "overlay", "plain")


@variants(*STAGED)
class OpenFlags(WithReference):
    """Each flag of open(2) on names that are there, that are not, and in directories of both kinds."""
    tree = TREE

    def test_creating(self):
        def create(directory, name, flags):
            path = os.path.join(directory, name)
            outcome = [errno_name(os.open, path, flags, 0o640)]
            if outcome == ["OK"]:
                st = os.stat(path)
                outcome += [oct(st.st_mode), st.st_size, st.st_uid, st.st_gid, st.st_nlink]
            return outcome

        for i, flags in enumerate((
                os.O_CREAT, os.O_CREAT | os.O_WRONLY, os.O_CREAT | os.O_RDWR, os.O_CREAT | os.O_EXCL,
                os.O_CREAT | os.O_WRONLY | os.O_TRUNC, os.O_CREAT | os.O_WRONLY | os.O_APPEND,
                os.O_CREAT | os.O_RDWR | os.O_EXCL | os.O_TRUNC, os.O_CREAT | os.O_WRONLY | os.O_SYNC,
                os.O_CREAT | os.O_WRONLY | os.O_DSYNC, os.O_CREAT | os.O_WRONLY | os.O_NONBLOCK,
                os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, os.O_CREAT | os.O_RDWR | os.O_NOATIME,
                os.O_CREAT | os.O_WRONLY | os.O_DIRECTORY)):
            self.as_reference(create, "new%d" % i, flags)

    def test_opening_again(self):
        def again(directory, flags):
            path = os.path.join(directory, "f")
            write_file(path, b"0123456789")
            try:
                fd = os.open(path, flags)
            except OSError as error:
                return error.errno
            written = errno_name(os.write, fd, b"ab")
            read = errno_name(os.read, fd, 2)
            os.close(fd)
            return written, read, read_file(path)

        for flags in (os.O_RDONLY, os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND, os.O_WRONLY | os.O_TRUNC,
                      os.O_RDWR | os.O_TRUNC, os.O_RDWR | os.O_APPEND, os.O_RDONLY | os.O_TRUNC,
                      os.O_RDONLY | os.O_DIRECTORY, os.O_CREAT | os.O_RDWR, os.O_CREAT | os.O_EXCL | os.O_RDWR,
                      os.O_RDWR | os.O_NOFOLLOW, os.O_RDWR | os.O_PATH, os.O_ACCMODE):
            self.as_reference(again, flags)

    def test_a_symlink_in_the_way(self):
        def through(directory, flags):
            for name, target in (("to_file", "made"), ("to_nothing", "nowhere"), ("to_itself", "to_itself")):
                path = os.path.join(directory, name)
                if not os.path.lexists(path):
                    os.symlink(target, path)
            write_file(os.path.join(directory, "made"), b"made")
            outcomes = [errno_name(os.open, os.path.join(directory, name), flags, 0o600)
                        for name in ("to_file", "to_itself", "to_nothing")]
            if os.path.exists(os.path.join(directory, "nowhere")):
                os.unlink(os.path.join(directory, "nowhere"))
            return outcomes

        for flags in (os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT | os.O_EXCL,
                      os.O_RDONLY | os.O_NOFOLLOW, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW):
            self.as_reference(through, flags)

    def test_a_missing_or_wrong_parent(self):
        write_file(self.path("staged"), b"x")
        for name, expected in (("nowhere/f", "ENOENT"), ("staged/f", "ENOTDIR"), ("file/f", "ENOTDIR")):
            self.answers(expected, os.open, self.path(name), os.O_CREAT | os.O_WRONLY)
            self.answers(expected, os.mkdir, self.path(name))
            self.answers(expected, os.symlink, "x", self.path(name))
            self.answers(expected, os.mkfifo, self.path(name))
            self.answers(expected, os.link, self.path("staged"), self.path(name))

    def test_trailing_slashes(self):
        self.answers("EISDIR", os.open, self.path("new/"), os.O_CREAT | os.O_WRONLY)
        os.mkdir(self.path("new/"))
        self.answers("EEXIST", os.mkdir, self.path("new/"))
        self.answers("ENOENT", os.symlink, "x", self.path("other/"))


@variants(*STAGED)
class Making(Workspace):
    tree = TREE

    def test_a_file_has_mode_owner_and_content(self):
        old = os.umask(0o027)
        write_file(self.path("made"), b"made", mode=0o666)
        os.umask(old)
        st = os.stat(self.path("made"))
        self.assertEqual((oct(st.st_mode), st.st_uid, st.st_gid, st.st_size, st.st_nlink),
                         ("0o100640", self.uid, self.uid, 4, 1))
        self.assertEqual(read_file(self.path("made")), b"made")

    def test_below_input_directories(self):
        self.new("dir/sub/made")
        self.assertEqual(sorted(os.listdir(self.path("dir/sub"))), ["deeper", "made"])
        os.mkdir(self.path("empty/new"))
        self.new("empty/new/file")
        self.assertEqual(os.listdir(self.path("empty")), ["new"])
        self.assertEqual(read_file(self.path("dir/sub/deeper")), b"x")

    def test_a_file_that_may_not_be_written_is_written_by_who_made_it(self):
        fd = self.open("locked", os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o400)
        os.write(fd, b"written")
        self.assertEqual(read_file(self.path("locked")), b"written")
        self.answers("OK" if self.user == "root" else "EACCES", os.open, self.path("locked"), os.O_WRONLY)

    def test_directories(self):
        os.mkdir(self.path("d"), 0o750)
        st = os.stat(self.path("d"))
        self.assertEqual((oct(st.st_mode), st.st_uid, st.st_gid), ("0o40750", self.uid, self.uid))
        os.makedirs(self.path("d/e/f/g/h"))
        self.new("d/e/f/g/h/file")
        self.assertEqual(os.listdir(self.path("d/e/f/g/h")), ["file"])
        os.mkdir(self.path("sticky"), 0o1777)
        self.assertEqual(oct(os.stat(self.path("sticky")).st_mode & 0o7000), "0o1000")

    @by_root
    def test_another_user_needs_permission(self):
        self.assertEqual(errno_name(lambda: as_user(write_file, self.path("no"), uid=USER + 1)), "EACCES")
        self.assertEqual(errno_name(lambda: as_user(os.mkdir, self.path("dir/no"), uid=USER + 1)), "EACCES")

    @by_root
    def test_directories_hand_down_their_group(self):
        os.mkdir(self.path("shared"))
        os.chown(self.path("shared"), USER, 1234)
        os.chmod(self.path("shared"), 0o2777)

        def make():
            write_file(self.path("shared/file"))
            os.mkdir(self.path("shared/dir"))

        as_user(make)
        self.assertEqual(os.stat(self.path("shared/file")).st_gid, 1234)
        st = os.stat(self.path("shared/dir"))
        self.assertEqual((st.st_gid, st.st_mode & stat.S_ISGID, st.st_uid), (1234, stat.S_ISGID, USER))

    @by_root
    def test_the_sticky_bit_protects(self):
        os.mkdir(self.path("tmp"))
        os.chmod(self.path("tmp"), 0o1777)
        as_user(write_file, self.path("tmp/theirs"), uid=USER + 1)
        self.assertEqual(errno_name(lambda: as_user(os.unlink, self.path("tmp/theirs"), uid=USER + 2)), "EPERM")
        as_user(os.unlink, self.path("tmp/theirs"), uid=USER + 1)

    def test_symlinks(self):
        os.symlink("dir/deep", self.path("new_link"))
        self.assertEqual(os.readlink(self.path("new_link")), "dir/deep")
        self.assertEqual(read_file(self.path("new_link")), b"deep\n")
        os.symlink("/etc/passwd", self.path("outside"))
        self.assertEqual(os.readlink(self.path("outside")), "/etc/passwd")
        st = os.lstat(self.path("outside"))
        self.assertEqual((oct(st.st_mode), st.st_size, st.st_uid), ("0o120777", 11, self.uid))
        long_target = "x" * 4095
        os.symlink(long_target, self.path("long"))
        self.assertEqual(os.readlink(self.path("long")), long_target)
        self.answers("ENAMETOOLONG", os.symlink, "x" * 4096, self.path("longer"))
        self.answers("ENOENT", os.symlink, "", self.path("void"))

    def test_executing_what_was_made(self):
        self.new("script", b"#!/bin/sh\necho made\n", 0o755)
        self.assertEqual(subprocess.check_output([self.path("script")]), b"made\n")
        with open("/bin/true", "rb") as program:
            self.new("true", program.read(), 0o755)
        self.assertEqual(subprocess.call([self.path("true")]), 0)
        self.new("text", b"#!/bin/sh\n")
        self.answers("EACCES", os.execv, self.path("text"), ["text"])


@variants(*STAGED)
class Running(WithReference):
    def test_writing_to_a_running_program(self):
        def write_to_running(directory):
            path = os.path.join(directory, "sleep")
            shutil.copy("/bin/sleep", path)
            with subprocess.Popen([path, "1000"]) as running:
                try:
                    return errno_name(os.open, path, os.O_WRONLY)
                finally:
                    running.kill()

        self.as_reference(write_to_running)


@variants(*STAGED)
class SpecialFiles(Workspace):
    tree = TREE

    def test_kinds(self):
        os.mkfifo(self.path("fifo"), 0o640)
        self.assertEqual(oct(os.stat(self.path("fifo")).st_mode), "0o10640")
        os.mknod(self.path("plain"), stat.S_IFREG | 0o600)
        self.assertEqual(read_file(self.path("plain")), b"")
        os.mknod(self.path("socket"), stat.S_IFSOCK | 0o600)
        self.assertTrue(stat.S_ISSOCK(os.stat(self.path("socket")).st_mode))
        for kind in (stat.S_IFCHR, stat.S_IFBLK):
            self.answers("EPERM", os.mknod, self.path("device%o" % kind), kind | 0o600, os.makedev(1, 3),
                         differs="device nodes")

    def test_opening_what_has_nobody_behind_it(self):
        os.mkfifo(self.path("fifo"))
        os.mknod(self.path("socket"), stat.S_IFSOCK | 0o600)
        self.answers("ENXIO", os.open, self.path("fifo"), os.O_WRONLY | os.O_NONBLOCK)
        self.answers("ENXIO", os.open, self.path("socket"), os.O_RDWR)
        with socket.socket(socket.AF_UNIX) as client:
            directory = self.open("")
            self.answers("ECONNREFUSED", client.connect, "/proc/self/fd/%d/socket" % directory)
        self.answers("EINVAL", os.truncate, self.path("fifo"), 0)

    def test_a_fifo_carries_data(self):
        for name in ("fifo", "dir/fifo"):
            os.mkfifo(self.path(name))
            reader = self.open(name, os.O_RDONLY | os.O_NONBLOCK)
            writer = self.open(name, os.O_WRONLY)
            os.write(writer, b"through")
            self.assertEqual(os.read(reader, 99), b"through")

    def test_a_socket_is_met(self):
        for name in ("socket", "dir/socket"):
            with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
                # By a short path: sun_path has room for 108 bytes.
                directory = os.open(self.point, os.O_RDONLY)
                short = "/proc/self/fd/%d/%s" % (directory, name)
                server.bind(short)
                server.listen()
                client.connect(short)
                accepted, _ = server.accept()
                client.send(b"met")
                self.assertEqual(accepted.recv(9), b"met")
                accepted.close()
                os.close(directory)


@variants(*STAGED)
class HardLinks(Workspace):
    tree = TREE

    def test_they_are_one_inode(self):
        one, two = self.new("one"), self.path("dir/two")
        os.link(one, two)
        self.assertEqual((os.stat(one).st_ino, os.stat(one).st_nlink), (os.stat(two).st_ino, 2))
        write_file(two, b"both", os.O_WRONLY | os.O_TRUNC)
        self.assertEqual(read_file(one), b"both")
        os.unlink(one)
        self.assertEqual((read_file(two), os.stat(two).st_nlink), (b"both", 1))
        os.rename(two, one)
        self.assertEqual(read_file(one), b"both")

    def test_of_an_open_file(self):
        fd = self.open("one", os.O_CREAT | os.O_RDWR)
        os.link(self.path("one"), self.path("two"))
        os.unlink(self.path("one"))
        os.write(fd, b"through the first")
        self.assertEqual((read_file(self.path("two")), os.fstat(fd).st_nlink), (b"through the first", 1))

    def test_of_other_kinds(self):
        os.symlink("target", self.path("s"))
        linkat(self.path("s"), self.path("t"))
        self.assertEqual((os.readlink(self.path("t")), os.lstat(self.path("s")).st_nlink), ("target", 2))
        os.mkfifo(self.path("fifo"))
        os.link(self.path("fifo"), self.path("fifo2"))
        self.assertTrue(stat.S_ISFIFO(os.stat(self.path("fifo2")).st_mode))
        os.mkdir(self.path("d"))
        self.answers("EPERM", os.link, self.path("d"), self.path("d2"))
        self.answers("EPERM", os.link, self.path("dir"), self.path("d2"))

    def test_what_is_refused(self):
        one = self.new("one")
        self.answers("EEXIST", os.link, one, one)
        self.answers("ENOENT", os.link, self.path("nothing"), self.path("two"))
        self.answers("ENOENT", os.link, one, self.path("nowhere/two"))
        self.answers("EXDEV", os.link, one, os.path.join("/dev/shm", os.path.basename(self.point)))


@variants(*STAGED)
class UnnamedFiles(Workspace):
    tree = TREE

    def unnamed(self, directory, flags=0):
        fd = self.open(directory, os.O_TMPFILE | os.O_RDWR | flags, 0o640)
        os.write(fd, b"unnamed")
        return fd

    def test_one_gets_a_name(self):
        for directory in ("", "dir", "empty"):
            with self.subTest(directory=directory):
                before = sorted(os.listdir(self.path(directory)))
                fd = self.unnamed(directory)
                st = os.fstat(fd)
                self.assertEqual((st.st_nlink, oct(st.st_mode), st.st_uid), (0, "0o100640", self.uid))
                self.assertEqual(sorted(os.listdir(self.path(directory))), before)
                self.assertEqual(os.pread(fd, 99, 0), b"unnamed")
                link_descriptor(fd, self.path(directory, "named"))
                self.assertEqual(read_file(self.path(directory, "named")), b"unnamed")
                self.assertEqual(os.fstat(fd).st_nlink, 1)
                os.unlink(self.path(directory, "named"))

    def test_one_gets_a_name_elsewhere(self):
        fd = self.unnamed("dir")
        os.mkdir(self.path("other"))
        link_descriptor(fd, self.path("other/named"))
        os.pwrite(fd, b"UN", 0)
        self.assertEqual(read_file(self.path("other/named")), b"UNnamed")

    def test_one_that_may_not_be_named_is_not(self):
        fd = self.unnamed("dir", os.O_EXCL)
        self.answers("ENOENT", link_descriptor, fd, self.path("named"))

    def test_it_must_be_writable(self):
        self.answers("EINVAL", os.open, self.point, os.O_TMPFILE | os.O_RDONLY)
        self.answers("ENOTDIR", os.open, self.path("file"), os.O_TMPFILE | os.O_RDWR)
        self.answers("ENOENT", os.open, self.path("nowhere"), os.O_TMPFILE | os.O_RDWR)


if __name__ == "__main__":
    main()
