#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a file system below has that tmpfs and ext4 lack: blocks that files share. And the modes of fallocate that move
data, and O_DIRECT, which ext4 has, too: they do what they do without the mount between."""
import errno
import fcntl
import mmap
import os
import struct

from kit import Counted, Guest, LayoutStore, drop_pages, errno_name, main, read_file, reapi, resident, write_file
from calls import (COLLAPSE, FICLONE, FICLONERANGE, FIDEDUPERANGE, INSERT, KEEP_SIZE, PUNCH_HOLE, UNSHARE, ZERO,
                   fallocate)

FS_IOC_FIEMAP = 0xC020660B
FIEMAP_FLAG_SYNC, FIEMAP_EXTENT_SHARED = 1, 0x2000
SAME, DIFFERS = 0, 1
BLOCK = 4096
SIZE = 64 * BLOCK
DATA = b"".join(b"%07d\n" % i for i in range(SIZE // 8))


def blocks(path):
    """Where the file's blocks are: {block in the file: (block on the disk, whether another file has it, too)}."""
    request = bytearray(struct.pack("=QQIIII", 0, 1 << 62, FIEMAP_FLAG_SYNC, 0, 256, 0) + bytes(256 * 56))
    fd = os.open(path, os.O_RDONLY)
    try:
        fcntl.ioctl(fd, FS_IOC_FIEMAP, request)
    finally:
        os.close(fd)
    found = {}
    for i in range(struct.unpack_from("=I", request, 20)[0]):
        logical, physical, length, _, _, flags = struct.unpack_from("=QQQQQI", request, 32 + 56 * i)
        for at in range(0, length, BLOCK):
            found[(logical + at) // BLOCK] = ((physical + at) // BLOCK, bool(flags & FIEMAP_EXTENT_SHARED))
    return found


def clone_range(source, target, offset, length, at):
    fcntl.ioctl(target, FICLONERANGE, struct.pack("=qQQQ", source, offset, length, at))


def dedupe(source, target, offset=0, length=SIZE, at=0):
    """(status, bytes that are shared now)."""
    request = bytearray(struct.pack("=QQHHIqQQiI", offset, length, 1, 0, 0, target, at, 0, 0, 0))
    fcntl.ioctl(source, FIDEDUPERANGE, request)
    shared, status = struct.unpack_from("=Qi", request, 40)
    return status, shared


class Shared(Guest):
    """CAS and stage on one XFS."""

    def setUp(self):
        super().setUp()
        self.below = self.loop("320m", "xfs")[0]
        self.store, self.stage = LayoutStore(self.below + "/cas"), self.below + "/stage"
        os.mkdir(self.stage)
        self.point = self.mount({"input": DATA, "dir": {"other": DATA[::-1]}}, stage=self.stage)
        write_file(self.point + "/staged", DATA)

    def open(self, name, flags=os.O_RDONLY):
        fd = os.open(os.path.join(self.point, name), flags, 0o644)
        self.addCleanup(os.close, fd)
        return fd

    def target(self, name):
        return self.open(name, os.O_CREAT | os.O_RDWR)

    def real(self, name):
        """The blob or the file in the stage."""
        digests = {"input": reapi.digest_of(DATA), "dir/other": reapi.digest_of(DATA[::-1])}
        return self.store.blob_path(digests[name]) if name in digests else os.path.join(self.stage, name)

    def shared(self, one, other, count=SIZE // BLOCK, offset=0, at=0):
        """These have the same blocks on the disk, and are known to share them."""
        first, second = blocks(self.real(one)), blocks(self.real(other))
        for i in range(count):
            self.assertEqual(first[offset // BLOCK + i], second[at // BLOCK + i], "block %d" % i)
            self.assertTrue(second[at // BLOCK + i][1], "block %d" % i)

    def apart(self, one, other):
        places = [{place for place, _ in blocks(self.real(name)).values()} for name in (one, other)]
        self.assertEqual(places[0] & places[1], set())

    def has(self, name, data):
        """Content and size, at once, by name, and when the pages come from the disk again."""
        path = os.path.join(self.point, name)
        self.assertEqual(os.stat(path).st_size, len(data))
        self.assertEqual(read_file(path), data)
        drop_pages(self.real(name))
        self.assertEqual(read_file(path), data)

    def test_a_clone(self):
        for source in ("input", "dir/other", "staged"):
            with self.subTest(source=source):
                data, name = read_file(self.real(source)), "clone of " + os.path.basename(source)
                self.assertEqual(len(data), SIZE)
                target, reader = self.target(name), self.open(name)
                self.assertEqual(os.fstat(reader).st_size, 0)
                fcntl.ioctl(target, FICLONE, self.open(source))
                self.assertEqual((os.fstat(target).st_size, os.lseek(reader, 0, os.SEEK_END)), (SIZE, SIZE))
                self.assertEqual(os.pread(reader, SIZE, 0), data)
                self.has(name, data)
                self.shared(source, name)
                # From here on each is its own.
                os.pwrite(target, b"HERE", 2 * BLOCK + 5)
                os.ftruncate(target, SIZE - 1)
                os.fsync(target)
                self.has(name, data[:2 * BLOCK + 5] + b"HERE" + data[2 * BLOCK + 9:-1])
                self.has(source, data)
                self.assertNotEqual(blocks(self.real(source))[2], blocks(self.real(name))[2])
                self.assertEqual(blocks(self.real(source))[3], blocks(self.real(name))[3])
        self.assertEqual(self.store.damaged(), [])

    def test_a_clone_over_what_was_there(self):
        write_file(self.point + "/old", b"old" * SIZE)
        target = self.target("old")
        # FICLONE leaves what is beyond the source.
        fcntl.ioctl(target, FICLONE, self.open("input"))
        self.has("old", DATA + (b"old" * SIZE)[SIZE:])
        with open(self.point + "/old", "r+b") as file:
            file.write(b"first")
        self.has("old", b"first" + DATA[5:] + (b"old" * SIZE)[SIZE:])
        self.has("input", DATA)

    def test_a_part(self):
        for source in ("input", "staged"):
            with self.subTest(source=source):
                name = "part of " + source
                fd, target = self.open(source), self.target(name)
                clone_range(fd, target, 8 * BLOCK, 4 * BLOCK, 2 * BLOCK)
                self.assertEqual((os.fstat(target).st_size, os.lseek(target, 0, os.SEEK_END)), (6 * BLOCK, 6 * BLOCK))
                self.has(name, bytes(2 * BLOCK) + DATA[8 * BLOCK:12 * BLOCK])
                self.shared(source, name, 4, 8 * BLOCK, 2 * BLOCK)
                # Without a length: to the end.
                clone_range(fd, target, 60 * BLOCK, 0, BLOCK)
                expected = bytes(BLOCK) + DATA[60 * BLOCK:] + DATA[11 * BLOCK:12 * BLOCK]
                self.has(name, expected)
                bad = ((1, BLOCK, 0), (0, BLOCK, 1), (0, 100, 0), (SIZE, BLOCK, 0), (0, 2 * SIZE, 0))
                for offset, length, at in bad:
                    self.answers("EINVAL", clone_range, fd, target, offset, length, at)
                self.has(name, expected)
        self.assertEqual(self.store.damaged(), [])

    def test_within_a_file(self):
        fd = self.target("staged")
        clone_range(fd, fd, 0, 4 * BLOCK, SIZE)
        self.has("staged", DATA + DATA[:4 * BLOCK])
        self.shared("staged", "staged", 4, 0, SIZE)
        self.answers("EINVAL", clone_range, fd, fd, 0, 4 * BLOCK, 2 * BLOCK)

    def test_an_input_is_no_target(self):
        for source in ("staged", "dir/other"):
            fd, target = self.open(source), self.open("input")
            self.answers("EBADF", fcntl.ioctl, target, FICLONE, fd)
            self.answers("EBADF", clone_range, fd, target, 0, BLOCK, 0)
        # For this one root needs no descriptor to write to, and the content would stay what it is.
        self.assertEqual(dedupe(self.open("staged"), self.open("input")), (-errno.EROFS, 0))
        self.apart("staged", "input")
        self.has("input", DATA)

    def test_nor_from_another_file_system(self):
        os.mkdir(self.directory + "/elsewhere")
        point = self.mount({"x": b"x"}, stage=self.directory + "/elsewhere")
        write_file(point + "/file", DATA)
        fd = os.open(point + "/file", os.O_RDWR)
        self.addCleanup(os.close, fd)
        self.answers("EXDEV", fcntl.ioctl, fd, FICLONE, self.open("input"))
        self.answers("EXDEV", fcntl.ioctl, self.target("new"), FICLONE, fd)

    def test_equal_files_come_to_share(self):
        for source in ("staged", "input"):
            with self.subTest(source=source):
                name = "equal to " + source
                write_file(os.path.join(self.point, name), DATA)
                self.apart(source, name)
                before = os.stat(os.path.join(self.point, name))
                self.assertEqual(dedupe(self.open(source), self.target(name)), (SAME, SIZE))
                self.shared(source, name)
                self.has(name, DATA)
                self.assertEqual(os.stat(os.path.join(self.point, name)).st_mtime_ns, before.st_mtime_ns)
        write_file(self.point + "/different", DATA[:-1] + b"!")
        self.assertEqual(dedupe(self.open("staged"), self.target("different")), (DIFFERS, 0))
        self.assertEqual(dedupe(self.open("staged"), self.target("different"), 0, BLOCK, 0), (SAME, BLOCK))
        self.shared("staged", "different", 1)
        self.has("different", DATA[:-1] + b"!")

    def test_copying_shares(self):
        for source in ("input", "staged"):
            with self.subTest(source=source), Counted(self.point) as counted:
                name = "copy of " + source
                self.assertEqual(os.copy_file_range(self.open(source), self.target(name), SIZE), SIZE)
                self.has(name, DATA)
                self.shared(source, name)
                self.assertEqual(counted["stage_copy_file_range_fallbacks"], 0)
                self.assertEqual(counted["stage_copy_file_range_bytes"], SIZE)
        self.assertEqual(self.store.damaged(), [])

    def test_space(self):
        """Sixteen clones of 8 MiB take less than half of one."""
        large = DATA * 32
        write_file(self.point + "/large", large)
        os.sync()
        free = os.statvfs(self.point).f_bfree
        source = self.open("large")
        for i in range(16):
            fcntl.ioctl(self.target("clone%d" % i), FICLONE, source)
        os.sync()
        self.assertLess((free - os.statvfs(self.point).f_bfree) * os.statvfs(self.point).f_frsize, len(large) // 2)

    def test_unsharing(self):
        fcntl.ioctl(self.target("clone"), FICLONE, self.open("input"))
        self.shared("input", "clone")
        target = self.target("clone")
        fallocate(target, UNSHARE, 0, SIZE // 2)
        self.assertEqual(os.fstat(target).st_size, SIZE)
        self.has("clone", DATA)
        first, second = blocks(self.real("input")), blocks(self.real("clone"))
        for i in range(SIZE // BLOCK):
            self.assertEqual(first[i] == second[i], i >= SIZE // BLOCK // 2, "block %d" % i)


class Kinds(Guest):
    """A mount with the stage on ext4 and one with the stage on XFS, each beside a directory of the same file system."""

    def each(self):
        """(kind, mount, directory)"""
        for kind in ("ext4", "xfs"):
            below = self.scratch("below") if kind == "ext4" else self.loop("320m", "xfs")[0]
            stage, plain = below + "/stage", below + "/plain"
            os.mkdir(stage)
            os.mkdir(plain)
            yield kind, self.mount({"input": DATA}, stage=stage), plain


class Allocating(Kinds):
    RANGES = ((4 * BLOCK, 2 * BLOCK), (0, BLOCK), (SIZE - 2 * BLOCK, BLOCK), (SIZE - BLOCK, 2 * BLOCK), (SIZE, BLOCK),
              (100, 50), (0, SIZE))

    @staticmethod
    def allocate(directory, mode, offset, length):
        """What can be seen of it: the outcome, sizes and holes at once, digests of what is there, and with more."""
        path = os.path.join(directory, "file")
        write_file(path, DATA)
        fd, reader = os.open(path, os.O_RDWR), os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
            outcome = errno_name(fallocate, fd, mode, offset, length)
            sizes = (os.fstat(fd).st_size, os.fstat(reader).st_size, os.stat(path).st_size,
                     os.lseek(reader, 0, os.SEEK_END))
            hole = os.lseek(fd, 0, os.SEEK_HOLE)
            data = os.pread(reader, 2 * SIZE, 0)
            with open(path, "ab") as file:
                file.write(b"more")
            return outcome, sizes, hole, reapi.digest_of(data), reapi.digest_of(read_file(path))
        finally:
            os.close(fd)
            os.close(reader)
            os.unlink(path)

    def test_each_mode_does_what_it_does_below(self):
        modes = {"ZERO": ZERO, "ZERO|KEEP_SIZE": ZERO | KEEP_SIZE, "COLLAPSE": COLLAPSE, "INSERT": INSERT,
                 "PUNCH_HOLE": PUNCH_HOLE | KEEP_SIZE, "UNSHARE": UNSHARE, "UNSHARE|KEEP_SIZE": UNSHARE | KEEP_SIZE}
        for kind, point, plain in self.each():
            for name, mode in modes.items():
                outcomes = set()
                for offset, length in self.RANGES:
                    with self.subTest(kind=kind, mode=name, offset=offset, length=length):
                        expected = self.allocate(plain, mode, offset, length)
                        self.assertEqual(self.allocate(point, mode, offset, length), expected)
                        outcomes.add(expected[0])
                # It was really done, unless this file system has no such thing.
                self.assertIn("EOPNOTSUPP" if kind == "ext4" and mode & UNSHARE else "OK", outcomes, name)

    def test_sizes(self):
        """By themselves, not only as below."""
        for kind, point, _ in self.each():
            for mode, offset, length, expected in (
                    (COLLAPSE, BLOCK, 3 * BLOCK, DATA[:BLOCK] + DATA[4 * BLOCK:]),
                    (INSERT, BLOCK, 3 * BLOCK, DATA[:BLOCK] + bytes(3 * BLOCK) + DATA[BLOCK:]),
                    (ZERO, 10, 3 * BLOCK, DATA[:10] + bytes(3 * BLOCK) + DATA[10 + 3 * BLOCK:]),
                    (ZERO, SIZE - 10, BLOCK, DATA[:-10] + bytes(BLOCK))):
                with self.subTest(kind=kind, mode=mode, offset=offset):
                    outcome, sizes, _, data, _ = self.allocate(point, mode, offset, length)
                    self.assertEqual((outcome, set(sizes)), ("OK", {len(expected)}))
                    self.assertEqual(data, reapi.digest_of(expected))


class Direct(Kinds):
    @staticmethod
    def tries(directory):
        """Writes and reads at good and bad offsets, of good and bad lengths, from good and bad addresses."""
        memory = mmap.mmap(-1, 8 * BLOCK)
        path = os.path.join(directory, "direct")
        fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_DIRECT)
        found = []
        for offset, length, address in ((0, 2 * BLOCK, 0), (16 * BLOCK, BLOCK, BLOCK), (512, 512, 0), (0, 512, 512),
                                        (0, 4 * BLOCK, 512), (100, 512, 0), (0, 100, 0), (BLOCK, BLOCK, 1)):
            memory[:] = b"".join(b"%07d\n" % (offset + i) for i in range(BLOCK))
            view = memoryview(memory)[address:address + length]
            outcome = errno_name(os.pwrite, fd, view, offset)
            memory[:] = bytes(8 * BLOCK)
            read = errno_name(os.preadv, fd, [view], offset)
            found.append((outcome, read, reapi.digest_of(view), os.fstat(fd).st_size))
            view.release()
        os.close(fd)
        return found, reapi.digest_of(read_file(path))

    def test_as_below(self):
        for kind, point, plain in self.each():
            with self.subTest(kind=kind):
                expected = self.tries(plain)
                self.assertEqual(self.tries(point), expected)
                self.assertEqual({outcome for outcome, *_ in expected[0]}, {"OK", "EINVAL"})

    def test_no_page_is_kept(self):
        """What is written is on the disk and not in the page cache; nor is what was read."""
        for kind, point, _ in self.each():
            with self.subTest(kind=kind):
                path = point + "/file"
                memory = mmap.mmap(-1, SIZE)
                memory[:] = DATA
                fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_DIRECT)
                self.addCleanup(os.close, fd)
                self.assertEqual(os.pwrite(fd, memory, 0), SIZE)
                memory[:] = bytes(SIZE)
                self.assertEqual(os.preadv(fd, [memory], 0), SIZE)
                self.assertEqual(memory[:], DATA)
                self.assertEqual(resident(path), 0)
                self.assertEqual(read_file(path), DATA)
                self.assertEqual(resident(path), SIZE)


if __name__ == "__main__":
    main()
