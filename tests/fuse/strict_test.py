# SPDX-License-Identifier: Apache-2.0
"""The table of operations in strict mode, cell by cell: inputs cannot change, what is new is as on the stage."""
import ctypes
import fcntl
import mmap
import os
import socket
import stat
import subprocess

from harness import (AT_FDCWD, EPOCH, LIBC, RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, USER, Executable,
                     FuseTest, Link, as_user, errno_name, main, read_file, renameat2, write_file)

FICLONE = 0x40049409

TREE = {
    "file": b"input\n",
    "tool": Executable(b"#!/bin/sh\necho ran\n"),
    "link": Link("file"),
    "dir": {"deep": b"deep\n", "sub": {"deeper": b"x"}},
    "empty": {},
}


AT_SYMLINK_FOLLOW = 0x400


def link_descriptor(fd, path):
    """linkat(2) of an open file; os.link has no way to say AT_SYMLINK_FOLLOW."""
    if LIBC.linkat(AT_FDCWD, b"/proc/self/fd/%d" % fd, AT_FDCWD, os.fsencode(path), AT_SYMLINK_FOLLOW) != 0:
        raise OSError(ctypes.get_errno(), "linkat")


class StrictTest(FuseTest):
    def setUp(self):
        self.point = self.mount(self.make_tree(TREE), options=["uid=%d,gid=%d" % (USER, USER)])
        self.addCleanup(self.check_store)

    def path(self, name):
        return os.path.join(self.point, name)

    def each_user(self, function):
        """Once as root and once as the owner of the inputs."""
        for uid in (0, USER):
            with self.subTest(uid=uid):
                if uid == 0:
                    function()
                else:
                    as_user(function)

    def new(self, name, data=b"new\n"):
        write_file(self.path(name), data)
        return self.path(name)


class Inputs(StrictTest):
    def refused(self, expected, function, *args, **kwargs):
        self.assertEqual(errno_name(function, *args, **kwargs), expected, (function, args))

    def test_changing_is_erofs(self):
        path = self.path

        def check():
            for name in ("file", "dir", "dir/deep", "tool"):
                self.refused("EROFS", os.chmod, path(name), 0o700)
                self.refused("EROFS", os.utime, path(name))
                self.refused("EROFS", os.utime, path(name), (1, 1))
                self.refused("EROFS", os.chown, path(name), -1, USER)
            self.refused("EROFS", os.setxattr, path("dir"), "user.x", b"1")

        self.each_user(check)
        self.refused("EROFS", os.setxattr, path("file"), "user.x", b"1")
        self.refused("EROFS", os.removexattr, path("file"), "user.actiondfs.digest")

    def test_opening_for_writing(self):
        def check(expected):
            for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND,
                          os.O_RDONLY | os.O_TRUNC, os.O_RDWR | os.O_CREAT):
                self.refused(expected, os.open, self.path("file"), flags)
            self.refused(expected, os.truncate, self.path("file"), 0)

        check("EROFS")
        # An input's mode is 0444: for its owner the kernel has an answer before anybody is asked.
        as_user(check, "EACCES")

    def test_a_descriptor_for_reading_changes_nothing(self):
        fd = os.open(self.path("file"), os.O_RDONLY)
        self.addCleanup(os.close, fd)
        self.refused("EBADF", os.posix_fallocate, fd, 0, 10)
        self.refused("EROFS", os.fchmod, fd, 0o777)
        self.refused("EINVAL", os.ftruncate, fd, 0)
        with self.assertRaises(PermissionError):
            mmap.mmap(fd, 6, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)

    def test_names_stay(self):
        self.new("staged")
        os.mkdir(self.path("staged_dir"))
        path = self.path

        def check():
            self.refused("EROFS", os.unlink, path("file"))
            self.refused("EROFS", os.unlink, path("link"))
            self.refused("EROFS", os.rmdir, path("empty"))
            self.refused("EROFS", os.rename, path("file"), path("other"))
            self.refused("EROFS", os.rename, path("dir"), path("other"))
            self.refused("EROFS", os.rename, path("staged"), path("file"))
            self.refused("EROFS", os.rename, path("staged_dir"), path("empty"))
            self.refused("EROFS", renameat2, path("staged"), path("file"), RENAME_EXCHANGE)
            self.refused("EROFS", renameat2, path("file"), path("staged"), RENAME_EXCHANGE)
            self.refused("EEXIST", renameat2, path("staged"), path("file"), RENAME_NOREPLACE)
            self.refused("EROFS", os.link, path("file"), path("second"))

        self.each_user(check)
        self.assertEqual(read_file(path("file")), b"input\n")

    def test_taken_names_exist(self):
        self.new("staged")
        path = self.path

        def check():
            for name in ("file", "dir", "link", "staged"):
                self.refused("EEXIST", os.open, path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                self.refused("EEXIST", os.mkdir, path(name))
                self.refused("EEXIST", os.mkfifo, path(name))
                self.refused("EEXIST", os.symlink, "x", path(name))
                self.refused("EEXIST", os.link, path("staged"), path(name))

        self.each_user(check)

    def test_a_clone_is_not_supported(self):
        # The kernel's FUSE has no way to ask for it; copy_file_range shares blocks where the file system can.
        source = os.open(self.path("file"), os.O_RDONLY)
        target = os.open(self.new("target"), os.O_WRONLY)
        self.addCleanup(os.close, source)
        self.addCleanup(os.close, target)
        self.refused("EOPNOTSUPP", fcntl.ioctl, target, FICLONE, source)

    def test_digests(self):
        self.assertEqual(len(os.getxattr(self.path("file"), "user.actiondfs.sha256")), 32)


class Making(StrictTest):
    def test_a_file_has_mode_owner_and_content(self):
        def make(name):
            os.umask(0o027)
            write_file(self.path(name), b"made", mode=0o666)

        for uid in (0, USER):
            name = "by%d" % uid
            as_user(make, name, uid=uid)
            st = os.stat(self.path(name))
            self.assertEqual((oct(st.st_mode), st.st_uid, st.st_size, st.st_nlink), ("0o100640", uid, 4, 1))
            self.assertEqual(read_file(self.path(name)), b"made")
            self.assertEqual(os.stat(os.path.join(self.stage, name)).st_ino, st.st_ino)

    def test_below_input_directories(self):
        self.new("dir/sub/made")
        self.assertEqual(sorted(os.listdir(self.path("dir/sub"))), ["deeper", "made"])
        self.assertEqual(os.listdir(os.path.join(self.stage, "dir/sub")), ["made"])
        os.mkdir(self.path("empty/new"))
        self.new("empty/new/file")
        self.assertEqual(os.listdir(self.path("empty")), ["new"])

    def test_another_user_needs_permission(self):
        self.assertEqual(errno_name(lambda: as_user(write_file, self.path("no"), uid=USER + 1)), "EACCES")

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

    def test_special_files(self):
        os.mkfifo(self.path("fifo"))
        self.assertTrue(stat.S_ISFIFO(os.stat(self.path("fifo")).st_mode))
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        old = os.getcwd()
        os.chdir(self.point)
        self.addCleanup(os.chdir, old)
        server.bind("socket")
        server.listen()
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect("socket")
        os.chdir(old)
        for kind in (stat.S_IFCHR, stat.S_IFBLK):
            self.assertEqual(errno_name(os.mknod, self.path("device"), kind | 0o600, os.makedev(1, 3)), "EPERM")
        os.mknod(self.path("plain"), stat.S_IFREG | 0o600)
        self.assertEqual(read_file(self.path("plain")), b"")

    def test_a_fifo_carries_data(self):
        os.mkfifo(self.path("fifo"))
        reader = os.open(self.path("fifo"), os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(self.path("fifo"), os.O_WRONLY)
        os.write(writer, b"through")
        self.assertEqual(os.read(reader, 99), b"through")
        os.close(writer)
        os.close(reader)

    def test_symlinks(self):
        os.symlink("dir/deep", self.path("new_link"))
        self.assertEqual(os.readlink(self.path("new_link")), "dir/deep")
        self.assertEqual(read_file(self.path("new_link")), b"deep\n")
        os.symlink("/etc/passwd", self.path("outside"))
        self.assertEqual(os.readlink(self.path("outside")), "/etc/passwd")
        os.chown(self.path("outside"), 7, 7, follow_symlinks=False)
        self.assertEqual(os.lstat(self.path("outside")).st_uid, 7)

    def test_hard_links_are_one_inode(self):
        one = self.new("one")
        os.link(one, self.path("dir/two"))
        two = self.path("dir/two")
        self.assertEqual((os.stat(one).st_ino, os.stat(one).st_nlink), (os.stat(two).st_ino, 2))
        write_file(two, b"both", os.O_WRONLY | os.O_TRUNC)
        self.assertEqual(read_file(one), b"both")
        os.unlink(one)
        self.assertEqual((read_file(two), os.stat(two).st_nlink), (b"both", 1))
        os.rename(two, one)
        self.assertEqual(read_file(one), b"both")

    def unnamed(self, directory, flags=0):
        fd = os.open(self.path(directory), os.O_TMPFILE | os.O_RDWR | flags, 0o640)
        self.addCleanup(os.close, fd)
        os.write(fd, b"unnamed")
        return fd

    def test_a_file_without_a_name_gets_one(self):
        fd = self.unnamed(".")
        st = os.fstat(fd)
        self.assertEqual((st.st_nlink, oct(st.st_mode), sorted(os.listdir(self.point))), (0, "0o100640", sorted(TREE)))
        self.assertEqual(os.pread(fd, 99, 0), b"unnamed")
        link_descriptor(fd, self.path("named"))
        self.assertEqual((read_file(self.path("named")), os.stat(self.path("named")).st_nlink), (b"unnamed", 1))

    def test_a_file_without_a_name_goes(self):
        fd = self.unnamed("dir", os.O_EXCL)
        self.assertEqual(errno_name(link_descriptor, fd, self.path("named")), "ENOENT")


class Removing(StrictTest):
    def test_unlinked_files_stay_while_open(self):
        fd = os.open(self.new("gone"), os.O_RDWR)
        os.unlink(self.path("gone"))
        self.assertEqual(errno_name(os.stat, self.path("gone")), "ENOENT")
        os.pwrite(fd, b"still", 0)
        self.assertEqual((os.pread(fd, 99, 0), os.fstat(fd).st_nlink), (b"still", 0))
        os.fchmod(fd, 0o600)
        os.ftruncate(fd, 2)
        self.assertEqual((os.fstat(fd).st_size, os.fstat(fd).st_mode & 0o777), (2, 0o600))
        again = os.open("/proc/self/fd/%d" % fd, os.O_RDONLY)
        self.assertEqual(os.read(again, 9), b"st")
        os.close(again)
        os.close(fd)

    def test_a_name_can_be_used_again(self):
        for i in range(3):
            self.new("again", b"%d" % i)
            self.assertEqual(read_file(self.path("again")), b"%d" % i)
            os.unlink(self.path("again"))
        os.mkdir(self.path("again"))
        os.rmdir(self.path("again"))

    def test_directories(self):
        os.mkdir(self.path("d"))
        self.new("d/f")
        self.assertEqual(errno_name(os.rmdir, self.path("d")), "ENOTEMPTY")
        self.assertEqual(errno_name(os.unlink, self.path("d")), "EISDIR")
        self.assertEqual(errno_name(os.rmdir, self.path("d/f")), "ENOTDIR")
        fd = os.open(self.path("d"), os.O_RDONLY)
        self.addCleanup(os.close, fd)
        os.unlink(self.path("d/f"))
        os.rmdir(self.path("d"))
        self.assertEqual(os.listdir(fd), [])
        self.assertEqual(errno_name(os.open, "x", os.O_CREAT | os.O_WRONLY, dir_fd=fd), "ENOENT")

    def test_many_among_inputs(self):
        for i in range(10000):
            os.close(os.open(self.path("dir/f%d" % i), os.O_CREAT | os.O_WRONLY))
        os.mkdir(self.path("dir/whole"))
        self.assertEqual(len(os.listdir(self.path("dir"))), 10003)
        done = subprocess.run("rm -rf dir/f* dir/whole", cwd=self.point, shell=True, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(sorted(os.listdir(self.path("dir"))), ["deep", "sub"])

    def test_deleting_while_reading_skips_nothing(self):
        os.mkdir(self.path("many"))
        for i in range(5000):
            os.close(os.open(self.path("many/%d" % i), os.O_CREAT | os.O_WRONLY))
        with os.scandir(self.path("many")) as entries:
            for entry in entries:
                os.unlink(entry.path)
        os.rmdir(self.path("many"))

    def test_names_that_come_while_reading_do_not_repeat(self):
        for i in range(2000):
            self.new("dir/f%d" % i)
        seen = []
        with os.scandir(self.path("dir")) as entries:
            for i, entry in enumerate(entries):
                seen.append(entry.name)
                if i % 100 == 0:
                    self.new("dir/late%d" % i)
        self.assertEqual(len(seen), len(set(seen)))
        self.assertLessEqual({"deep", "sub", *("f%d" % i for i in range(2000))}, set(seen))


class Renaming(StrictTest):
    def test_files(self):
        self.new("a", b"A")
        self.new("b", b"B")
        ino = os.stat(self.path("a")).st_ino
        os.rename(self.path("a"), self.path("dir/c"))
        self.assertEqual((os.stat(self.path("dir/c")).st_ino, errno_name(os.stat, self.path("a"))), (ino, "ENOENT"))
        os.rename(self.path("dir/c"), self.path("b"))
        self.assertEqual((read_file(self.path("b")), os.listdir(os.path.join(self.stage, "dir"))), (b"A", []))

    def test_flags(self):
        self.new("a", b"A")
        self.new("dir/b", b"B")
        self.assertEqual(errno_name(renameat2, self.path("a"), self.path("dir/b"), RENAME_NOREPLACE), "EEXIST")
        renameat2(self.path("a"), self.path("dir/b"), RENAME_EXCHANGE)
        self.assertEqual((read_file(self.path("a")), read_file(self.path("dir/b"))), (b"B", b"A"))
        renameat2(self.path("a"), self.path("dir/c"), RENAME_NOREPLACE)
        self.assertEqual(read_file(self.path("dir/c")), b"B")
        self.assertEqual(errno_name(renameat2, self.path("dir/c"), self.path("w"), RENAME_WHITEOUT), "EINVAL")

    def test_directories_with_open_descendants(self):
        os.makedirs(self.path("top/mid/low"))
        self.new("top/mid/low/file", b"below")
        fd = os.open(self.path("top/mid/low/file"), os.O_RDWR)
        directory = os.open(self.path("top/mid/low"), os.O_RDONLY)
        os.rename(self.path("top/mid"), self.path("dir/moved"))
        os.pwrite(fd, b"BELOW", 0)
        os.fchmod(fd, 0o600)
        self.assertEqual(os.listdir(directory), ["file"])
        self.assertEqual(read_file(self.path("dir/moved/low/file")), b"BELOW")
        os.close(os.open("another", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
        self.assertEqual(sorted(os.listdir(os.path.join(self.stage, "dir/moved/low"))), ["another", "file"])
        os.rename(self.path("dir/moved"), self.path("top/back"))
        self.assertEqual(os.stat("another", dir_fd=directory).st_size, 0)
        os.close(fd)
        os.close(directory)

    def test_exchanged_directories(self):
        os.makedirs(self.path("one/x"))
        os.makedirs(self.path("two/y"))
        renameat2(self.path("one"), self.path("two"), RENAME_EXCHANGE)
        self.assertEqual((os.listdir(self.path("one")), os.listdir(self.path("two"))), (["y"], ["x"]))
        self.new("one/y/file")
        self.assertEqual(os.listdir(os.path.join(self.stage, "one/y")), ["file"])

    def test_over_an_open_file(self):
        fd = os.open(self.new("old", b"old"), os.O_RDWR)
        self.new("new", b"new")
        os.rename(self.path("new"), self.path("old"))
        self.assertEqual((os.pread(fd, 9, 0), read_file(self.path("old"))), (b"old", b"new"))
        os.pwrite(fd, b"OLD", 0)
        self.assertEqual((os.pread(fd, 9, 0), read_file(self.path("old"))), (b"OLD", b"new"))
        self.assertEqual(os.fstat(fd).st_nlink, 0)
        os.close(fd)

    def test_two_names_of_one_file(self):
        self.new("a", b"A")
        os.link(self.path("a"), self.path("b"))
        os.rename(self.path("a"), self.path("b"))
        self.assertEqual((read_file(self.path("a")), os.stat(self.path("b")).st_nlink), (b"A", 2))

    def test_over_a_directory(self):
        os.makedirs(self.path("from/x"))
        os.makedirs(self.path("full/y"))
        self.assertEqual(errno_name(os.rename, self.path("from"), self.path("full")), "ENOTEMPTY")
        os.rmdir(self.path("full/y"))
        os.rename(self.path("from"), self.path("full"))
        self.assertEqual(os.listdir(self.path("full")), ["x"])
        self.assertEqual(errno_name(os.rename, self.path("full"), self.path("full/x/z")), "EINVAL")


class Files(StrictTest):
    def test_reading_what_was_written(self):
        data = os.urandom(3 << 20)
        self.new("big", data)
        self.assertEqual(read_file(self.path("big")), data)
        fd = os.open(self.path("big"), os.O_RDWR)
        os.pwrite(fd, b"HERE", 1 << 20)
        self.assertEqual(os.pread(fd, 4, 1 << 20), b"HERE")
        self.assertEqual(os.stat(self.path("big")).st_size, 3 << 20)
        os.close(fd)
        self.assertEqual(read_file(os.path.join(self.stage, "big"))[1 << 20:(1 << 20) + 4], b"HERE")

    def test_size_and_times_follow_writes(self):
        fd = os.open(self.path("grow"), os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        for i in range(1, 5):
            os.write(fd, b"x" * 1000)
            self.assertEqual((os.fstat(fd).st_size, os.stat(self.path("grow")).st_size), (1000 * i, 1000 * i))
        os.close(fd)
        st = os.stat(self.path("grow"))
        real = os.stat(os.path.join(self.stage, "grow"))
        self.assertEqual((st.st_mtime_ns, st.st_blocks), (real.st_mtime_ns, real.st_blocks))

    def test_truncating(self):
        path = self.new("t", b"0123456789")
        os.truncate(path, 4)
        self.assertEqual(read_file(path), b"0123")
        os.truncate(path, 6)
        self.assertEqual(read_file(path), b"0123\0\0")
        write_file(path, b"new")
        self.assertEqual(read_file(path), b"new")

    def test_attributes(self):
        path = self.new("a")
        os.chmod(path, 0o4711)
        self.assertEqual(oct(os.stat(path).st_mode), "0o104711")
        os.chown(path, 12, 34)
        st = os.stat(path)
        self.assertEqual((st.st_uid, st.st_gid, oct(st.st_mode)), (12, 34, "0o100711"))
        os.utime(path, ns=(1_000_000_001, 2_000_000_002))
        st = os.stat(path)
        self.assertEqual((st.st_atime_ns, st.st_mtime_ns), (1_000_000_001, 2_000_000_002))

    def test_set_id_bits_go_with_a_change(self):
        def check(change, name):
            write_file(self.path(name))
            os.chmod(self.path(name), 0o6777)
            change(self.path(name))
            return os.stat(self.path(name)).st_mode & 0o7777

        self.assertEqual(oct(as_user(check, lambda path: os.truncate(path, 0), "t")), "0o777")

    def test_shared_mappings(self):
        path = self.new("mapped", b"\0" * 8192)
        fd = os.open(path, os.O_RDWR)
        with mmap.mmap(fd, 8192) as mapped:
            mapped[0:5] = b"first"
            self.assertEqual(os.pread(fd, 5, 0), b"first")
            self.assertEqual(read_file(path)[:5], b"first")
            os.pwrite(fd, b"second", 4096)
            self.assertEqual(mapped[4096:4102], b"second")
            os.close(fd)
            mapped[10:14] = b"late"
            mapped.flush()
            self.assertEqual(read_file(path)[10:14], b"late")
        self.assertEqual(read_file(os.path.join(self.stage, "mapped"))[:14], b"first\0\0\0\0\0late")

    def test_executing_what_was_made(self):
        self.new("script", b"#!/bin/sh\necho made\n")
        os.chmod(self.path("script"), 0o755)
        self.assertEqual(subprocess.check_output([self.path("script")]), b"made\n")
        with open("/bin/true", "rb") as program:
            self.new("true", program.read())
        os.chmod(self.path("true"), 0o755)
        self.assertEqual(subprocess.call([self.path("true")]), 0)

    def test_direct_io(self):
        fd = os.open(self.path("direct"), os.O_CREAT | os.O_RDWR | os.O_DIRECT, 0o644)
        buffer = mmap.mmap(-1, 8192)
        buffer[:] = b"d" * 8192
        self.assertEqual(os.write(fd, buffer), 8192)
        os.close(fd)
        self.assertEqual(read_file(self.path("direct")), b"d" * 8192)

    def test_holes(self):
        fd = os.open(self.path("sparse"), os.O_CREAT | os.O_RDWR)
        os.pwrite(fd, b"end", 1 << 20)
        os.fsync(fd)
        real = os.open(os.path.join(self.stage, "sparse"), os.O_RDONLY)
        for whence in (os.SEEK_DATA, os.SEEK_HOLE):
            self.assertEqual(os.lseek(fd, 0, whence), os.lseek(real, 0, whence))
        os.close(real)
        os.posix_fallocate(fd, 0, 2 << 20)
        self.assertEqual(os.fstat(fd).st_size, 2 << 20)
        os.fdatasync(fd)
        os.close(fd)
        directory = os.open(self.path("dir"), os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)

    def test_copying_between_real_files(self):
        source = os.open(self.path("file"), os.O_RDONLY)
        one = os.open(self.path("one"), os.O_CREAT | os.O_RDWR)
        two = os.open(self.path("two"), os.O_CREAT | os.O_RDWR)
        self.assertEqual(os.copy_file_range(source, one, 100, 0, 0), 6)
        self.assertEqual((os.pread(one, 99, 0), os.fstat(one).st_size), (b"input\n", 6))
        self.assertEqual(os.copy_file_range(one, two, 3, 1, 2), 3)
        self.assertEqual(os.pread(two, 99, 0), b"\0\0npu")
        for fd in (source, one, two):
            os.close(fd)
        counters, _ = self.server.counters(self.server.mounts()[-1])
        self.assertEqual(counters["stage_copy_file_range_success"], 2)

    def test_locks(self):
        path = self.new("locked")
        fd = os.open(path, os.O_RDWR)
        self.addCleanup(os.close, fd)
        fcntl.flock(fd, fcntl.LOCK_EX)

        def try_both():
            other = os.open(path, os.O_RDWR)
            return (errno_name(fcntl.flock, other, fcntl.LOCK_EX | fcntl.LOCK_NB),
                    errno_name(fcntl.lockf, other, fcntl.LOCK_EX | fcntl.LOCK_NB))

        self.assertEqual(as_user(try_both, uid=0), ("EAGAIN", "OK"))
        fcntl.flock(fd, fcntl.LOCK_UN)
        fcntl.lockf(fd, fcntl.LOCK_EX)
        self.assertEqual(as_user(try_both, uid=0), ("OK", "EAGAIN"))

    def test_extended_attributes(self):
        path = self.new("x")
        os.setxattr(path, "user.key", b"value")
        self.assertEqual((os.getxattr(path, "user.key"), os.listxattr(path)), (b"value", ["user.key"]))
        self.assertEqual(errno_name(os.setxattr, path, "user.key", b"", os.XATTR_CREATE), "EEXIST")
        os.removexattr(path, "user.key")
        self.assertEqual((errno_name(os.getxattr, path, "user.key"), os.listxattr(path)), ("ENODATA", []))
        self.assertEqual(errno_name(os.setxattr, path, "user.actiondfs.sha256", b"x" * 32), "EPERM")
        self.assertEqual(errno_name(os.setxattr, path, "trusted.x", b"1"), "EOPNOTSUPP")

    def test_statfs_is_the_stage_s(self):
        one, two = os.statvfs(self.point), os.statvfs(self.stage)
        self.assertEqual((one.f_blocks, one.f_bsize, one.f_files), (two.f_blocks, two.f_bsize, two.f_files))


class DirectoryTimes(StrictTest):
    def mtime(self, name):
        return os.stat(self.path(name)).st_mtime_ns

    def test_only_what_changed_itself_changes(self):
        self.new("dir/sub/file")
        self.assertEqual((self.mtime("."), self.mtime("dir")), (EPOCH * 10**9, EPOCH * 10**9))
        self.assertGreater(self.mtime("dir/sub"), EPOCH * 10**9)
        first = self.mtime("dir/sub")
        self.new("dir/sub/other")
        self.assertGreater(self.mtime("dir/sub"), first)
        self.new("dir/file")
        self.assertGreater(self.mtime("dir"), EPOCH * 10**9)
        self.assertEqual(self.mtime("."), EPOCH * 10**9)

    def test_a_later_mount_of_the_same_stage_agrees(self):
        self.new("dir/sub/file", b"kept")
        times = [self.mtime(name) for name in (".", "dir", "dir/sub", "dir/sub/file")]
        stage = self.stage
        self.unmount(self.point)
        self.point = self.mount(self.make_tree(TREE), stage=stage)
        self.assertEqual(times, [self.mtime(name) for name in (".", "dir", "dir/sub", "dir/sub/file")])
        self.assertEqual(read_file(self.path("dir/sub/file")), b"kept")
        self.assertEqual(sorted(os.listdir(self.path("dir/sub"))), ["deeper", "file"])


class LinkAt(StrictTest):
    def test_a_staged_symlink_can_be_linked(self):
        os.symlink("target", self.path("s"))
        self.assertEqual(LIBC.linkat(AT_FDCWD, os.fsencode(self.path("s")), AT_FDCWD, os.fsencode(self.path("t")), 0), 0)
        self.assertEqual(os.readlink(self.path("t")), "target")


if __name__ == "__main__":
    main()
