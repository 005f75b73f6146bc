# SPDX-License-Identifier: Apache-2.0
"""The bytes of staged files: written, cut, allocated, copied, synced, as on the stage's file system."""
import fcntl
import itertools
import mmap
import os
import struct

from calls import (COLLAPSE, FICLONE, FICLONERANGE, INSERT, KEEP_SIZE, LIBC, PUNCH_HOLE, UNSHARE, ZERO, checked, errno_name,
                   fallocate, read_file, write_file)
from workspace import WithReference, Workspace, by_root, main, variants

TREE = {"file": b"input\n", "dir": {"deep": b"deep\n"}, "big": bytes(range(256)) * 4096}
STAGED = ("strict", "overlay", "plain")
RANGES = ((4096, 4096), (0, 65536), (100, 50), (0, 0))
RWF_APPEND, RWF_DSYNC = 16, 2


@variants(*STAGED)
class Writing(Workspace):
    tree = TREE

    def test_reading_what_was_written(self):
        data = os.urandom(3 << 20)
        self.new("big_new", data)
        self.assertEqual(read_file(self.path("big_new")), data)
        fd = self.open("big_new", os.O_RDWR)
        os.pwrite(fd, b"HERE", 1 << 20)
        self.assertEqual(os.pread(fd, 4, 1 << 20), b"HERE")
        self.assertEqual(os.stat(self.path("big_new")).st_size, 3 << 20)

    @by_root
    def test_it_is_in_the_stage(self):
        self.new("dir/new", b"staged")
        self.assertEqual(read_file(self.real("dir/new")), b"staged")
        st, real = os.stat(self.path("dir/new")), os.stat(self.real("dir/new"))
        self.assertEqual((st.st_mtime_ns, st.st_blocks, st.st_size, st.st_ino),
                         (real.st_mtime_ns, real.st_blocks, real.st_size, real.st_ino))

    def test_size_and_times_follow_writes(self):
        fd = self.open("grow", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        last = 0
        for i in range(1, 5):
            os.write(fd, b"x" * 1000)
            self.assertEqual((os.fstat(fd).st_size, os.stat(self.path("grow")).st_size), (1000 * i, 1000 * i))
            self.assertGreaterEqual(os.fstat(fd).st_mtime_ns, last)
            last = os.fstat(fd).st_mtime_ns
        self.assertEqual(last, os.stat(self.path("grow")).st_ctime_ns)

    def test_two_descriptors_agree(self):
        self.new("shared", b"")
        one, two = self.open("shared", os.O_RDWR), self.open("shared", os.O_RDWR | os.O_APPEND)
        three = self.open("shared", os.O_RDONLY)
        for i in range(20):
            os.write(two, b"append\n")
            self.assertEqual(os.fstat(one).st_size, 7 * (i + 1))
            os.pwrite(one, b"A", 7 * i)
            self.assertEqual(os.read(three, 7), b"Append\n")
        os.ftruncate(one, 3)
        self.assertEqual((os.fstat(two).st_size, os.fstat(three).st_size, os.stat(self.path("shared")).st_size), (3, 3, 3))
        os.write(two, b"end")
        self.assertEqual(os.pread(three, 9, 0), b"Append"[:3] + b"end")

    def test_vectors(self):
        fd = self.open("v", os.O_CREAT | os.O_RDWR)
        self.assertEqual(os.pwritev(fd, [b"one", b"", b"two"], 2), 6)
        self.assertEqual(os.pwritev(fd, [b"more"], 0, RWF_APPEND), 4)
        self.assertEqual(os.pwritev(fd, [b"S"], 0, RWF_DSYNC), 1)
        self.assertEqual(read_file(self.path("v")), b"S\0onetwomore")

    def test_truncating(self):
        path = self.new("t", b"0123456789")
        os.truncate(path, 4)
        self.assertEqual(read_file(path), b"0123")
        os.truncate(path, 6)
        self.assertEqual(read_file(path), b"0123\0\0")
        write_file(path, b"new")
        self.assertEqual(read_file(path), b"new")
        os.truncate(path, 1 << 40)
        self.assertEqual(os.stat(path).st_size, 1 << 40)
        self.answers("EINVAL", os.truncate, path, -1)
        self.answers("EISDIR", os.truncate, self.path("dir"), 0)

    def test_syncing(self):
        fd = self.open("synced", os.O_CREAT | os.O_WRONLY)
        os.write(fd, b"x")
        os.fsync(fd)
        os.fdatasync(fd)
        os.fsync(self.open("synced", os.O_RDONLY))
        for name in ("", "dir"):
            directory = self.open(name, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(directory)
            os.fdatasync(directory)
        checked(LIBC.syncfs(fd), "syncfs")


@variants(*STAGED)
class DirectIo(WithReference):
    tree = TREE

    def buffer(self, size):
        buffer = mmap.mmap(-1, size)
        buffer[:] = b"d" * size
        return buffer

    def test_aligned(self):
        fd = self.open("direct", os.O_CREAT | os.O_RDWR | os.O_DIRECT)
        self.assertEqual(os.write(fd, self.buffer(8192)), 8192)
        os.pwrite(fd, self.buffer(4096), 4096 * 4)
        self.assertEqual(read_file(self.path("direct")), b"d" * 8192 + b"\0" * 8192 + b"d" * 4096)
        back = mmap.mmap(-1, 4096)
        self.assertEqual((os.preadv(fd, [back], 4096), back[:]), (4096, b"d" * 4096))

    def test_beside_ordinary_writes(self):
        direct = self.open("mixed", os.O_CREAT | os.O_RDWR | os.O_DIRECT)
        plain = self.open("mixed", os.O_RDWR)
        os.pwrite(direct, self.buffer(4096), 0)
        os.pwrite(plain, b"plain", 10)
        back = mmap.mmap(-1, 4096)
        os.preadv(direct, [back], 0)
        self.assertEqual(back[8:17], b"ddplaindd")
        os.pwrite(direct, self.buffer(4096), 0)
        self.assertEqual(os.pread(plain, 4096, 0), b"d" * 4096)

    def test_of_inputs(self):
        fd = self.open("big", os.O_RDONLY | os.O_DIRECT)
        back = mmap.mmap(-1, 8192)
        self.assertEqual(os.preadv(fd, [back], 4096), 8192)
        self.assertEqual(back[:], TREE["big"][4096:12288])

    def test_unaligned(self):
        def unaligned(directory):
            fd = os.open(os.path.join(directory, "direct"), os.O_CREAT | os.O_RDWR | os.O_DIRECT)
            code = errno_name(os.pwrite, fd, b"x" * 100, 1)
            os.close(fd)
            return code

        self.as_reference(unaligned, differs="unaligned O_DIRECT")


@variants(*STAGED)
class Allocating(WithReference):
    tree = TREE

    def test_every_mode(self):
        def allocate(directory, mode, offset, length):
            path = os.path.join(directory, "f")
            write_file(path, b"0123456789abcdef" * 1024)
            fd = os.open(path, os.O_RDWR)
            outcome = errno_name(fallocate, fd, mode, offset, length)
            os.fsync(fd)
            st = os.fstat(fd)
            os.close(fd)
            data = read_file(path)
            os.unlink(path)
            return outcome, st.st_size, st.st_blocks, data

        modes = (0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, PUNCH_HOLE, ZERO, ZERO | KEEP_SIZE)
        for mode, (offset, length) in itertools.product(modes, RANGES):
            with self.subTest(mode=mode, offset=offset, length=length):
                self.as_reference(allocate, mode, offset, length)

    def test_modes_that_move_data(self):
        def allocate(directory, mode, offset, length):
            path = os.path.join(directory, "f")
            write_file(path, b"0123456789abcdef" * 1024)
            fd = os.open(path, os.O_RDWR)
            outcome = errno_name(fallocate, fd, mode, offset, length)
            os.close(fd)
            os.unlink(path)
            return outcome

        for mode, name in ((COLLAPSE, "COLLAPSE_RANGE"), (INSERT, "INSERT_RANGE"), (UNSHARE, "UNSHARE_RANGE")):
            with self.subTest(mode=name):
                self.as_reference(allocate, mode, 4096, 4096, differs="fallocate " + name)
        self.as_reference(allocate, COLLAPSE | KEEP_SIZE, 4096, 4096)
        self.as_reference(allocate, 128, 4096, 4096)

    def test_a_descriptor_for_reading(self):
        self.new("f")
        self.answers("EBADF", fallocate, self.open("f"), 0, 0, 10)

    def test_posix_fallocate(self):
        fd = self.open("f", os.O_CREAT | os.O_RDWR)
        os.posix_fallocate(fd, 0, 1 << 20)
        self.assertEqual(os.fstat(fd).st_size, 1 << 20)
        self.assertGreaterEqual(os.fstat(fd).st_blocks, 2048)

    def test_holes(self):
        def seeks(directory):
            fd = os.open(os.path.join(directory, "sparse"), os.O_CREAT | os.O_RDWR)
            os.pwrite(fd, b"a" * 4096, 1 << 20)
            os.pwrite(fd, b"b", 3 << 20)
            os.fsync(fd)
            found = []
            for whence, offset in itertools.product((os.SEEK_DATA, os.SEEK_HOLE), (0, 1 << 20, (1 << 20) + 4096, 3 << 20, 4 << 20)):
                try:
                    found.append(os.lseek(fd, offset, whence))
                except OSError as error:
                    found.append(error.errno)
            found += [os.fstat(fd).st_size, os.fstat(fd).st_blocks]
            os.close(fd)
            return found

        self.as_reference(seeks)


@variants("strict", "plain")
class CopyingInputs(Workspace):
    tree = TREE

    def test_whole(self):
        source, target = self.open("big"), self.open("copy", os.O_CREAT | os.O_RDWR)
        left = len(TREE["big"])
        while left > 0:
            left -= os.copy_file_range(source, target, left)
        self.assertEqual(read_file(self.path("copy")), TREE["big"])
        self.assertEqual(os.copy_file_range(source, target, 10), 0)

    def test_with_offsets(self):
        source, target = self.open("file"), self.open("f", os.O_CREAT | os.O_RDWR)
        self.assertEqual(os.copy_file_range(source, target, 100, 0, 0), 6)
        self.assertEqual((os.pread(target, 99, 0), os.fstat(target).st_size), (b"input\n", 6))
        self.assertEqual(os.copy_file_range(source, target, 2, 4, 1), 2)
        self.assertEqual(os.pread(target, 99, 0), b"it\nut\n")
        self.assertEqual(os.copy_file_range(source, target, 9, 6, 0), 0)
        self.assertEqual(os.copy_file_range(source, target, 3, 0, 10000), 3)
        self.assertEqual((os.fstat(target).st_size, os.pread(target, 9, 9999)), (10003, b"\0inp"))


@variants(*STAGED)
class Copying(Workspace):
    tree = TREE

    def test_from_an_input(self):
        source, target = self.open("file"), self.open("f", os.O_CREAT | os.O_RDWR)
        self.answers("OK", os.copy_file_range, source, target, 6, differs="copy_file_range of an input")

    def test_between_staged_files(self):
        self.new("one", b"input\n")
        one, two = self.open("one"), self.open("two", os.O_CREAT | os.O_RDWR)
        self.assertEqual(os.copy_file_range(one, two, 3, 1, 2), 3)
        self.assertEqual(os.pread(two, 99, 0), b"\0\0npu")
        self.assertEqual(os.copy_file_range(one, two, 100, 0, 5), 6)
        self.assertEqual(os.pread(two, 99, 0), b"\0\0npuinput\n")

    def test_within_a_file(self):
        self.new("f", b"0123456789")
        fd = self.open("f", os.O_RDWR)
        self.assertEqual(os.copy_file_range(fd, fd, 4, 0, 6), 4)
        self.assertEqual(read_file(self.path("f")), b"0123450123")
        self.answers("EINVAL", os.copy_file_range, fd, fd, 4, 0, 2)

    def test_what_is_refused(self):
        self.new("f")
        source, target = self.open("file"), self.open("f", os.O_WRONLY)
        self.answers("EBADF", os.copy_file_range, target, source, 4)
        self.answers("EBADF", os.copy_file_range, source, self.open("f"), 4)
        self.answers("EBADF", os.copy_file_range, source, self.open("f", os.O_WRONLY | os.O_APPEND), 4)
        self.answers("EISDIR", os.copy_file_range, self.open("dir"), target, 4)

    def test_out_of_the_mount_and_into_it(self):
        directory = self.scratch("outside") if self.user == "root" else "/dev/shm"
        path = os.path.join(directory, os.path.basename(self.point))
        outside = os.open(path, os.O_CREAT | os.O_RDWR)
        os.unlink(path)
        # copy_file_range answers EXDEV between file systems, and programs fall back to sendfile.
        source, target = self.open("big"), self.open("f", os.O_CREAT | os.O_RDWR)
        self.assertEqual(os.sendfile(outside, source, 0, 1 << 20), 1 << 20)
        self.assertEqual(os.sendfile(target, outside, 0, 1 << 20), 1 << 20)
        os.close(outside)
        self.assertEqual(read_file(self.path("f")), TREE["big"])

    def test_splice_into_a_staged_file(self):
        target = self.open("f", os.O_CREAT | os.O_RDWR)
        reader, writer = os.pipe()
        os.write(writer, b"spliced")
        self.assertEqual(os.splice(reader, target, 7), 7)
        self.assertEqual(read_file(self.path("f")), b"spliced")
        os.close(reader)
        os.close(writer)


@variants(*STAGED)
class Cloning(WithReference):
    tree = TREE

    def test_a_clone(self):
        self.new("source", b"c" * 8192)
        for name, differs in (("big", "FICLONE of an input"), ("source", "FICLONE")):
            source, target = self.open(name), self.open("clone_of_" + name, os.O_CREAT | os.O_RDWR)
            expected = self.what_the_stage_says()
            self.answers(expected, fcntl.ioctl, target, FICLONE, source, differs=differs)
            self.answers(expected, fcntl.ioctl, target, FICLONERANGE, struct.pack("=qQQQ", source, 0, 4096, 0),
                         differs=differs)
            if os.fstat(target).st_size > 0:
                self.assertEqual(read_file(self.path("clone_of_" + name)), read_file(self.path(name)))

    def what_the_stage_says(self):
        write_file(os.path.join(self.reference, "a"), b"c" * 8192)
        source = os.open(os.path.join(self.reference, "a"), os.O_RDONLY)
        target = os.open(os.path.join(self.reference, "b"), os.O_CREAT | os.O_RDWR)
        code = errno_name(fcntl.ioctl, target, FICLONE, source)
        os.close(source)
        os.close(target)
        return code


if __name__ == "__main__":
    main()
