# SPDX-License-Identifier: Apache-2.0
"""Mappings of staged files and what write(2), truncate and other mappings show of them, at once."""
import mmap
import os
import signal

from calls import in_child, read_file
from workspace import Workspace, by_root, main, variants

TREE = {"file": b"input\n", "dir": {}, "big": bytes(range(256)) * 4096}
STAGED = ("strict", "overlay", "plain")
PAGE = 4096
SHARED_RW = {"flags": mmap.MAP_SHARED, "prot": mmap.PROT_READ | mmap.PROT_WRITE}


@variants(*STAGED)
class Coherence(Workspace):
    tree = TREE

    def prepare(self):
        self.new("mapped", b"\0" * 4 * PAGE)
        os.chown(self.path("mapped"), self.uid, self.uid)

    def mapped(self, fd, size=4 * PAGE, **how):
        return mmap.mmap(fd, size, **(how or SHARED_RW))

    def test_write_and_map(self):
        fd = self.open("mapped", os.O_RDWR)
        with self.mapped(fd) as mapped:
            mapped[0:5] = b"first"
            self.assertEqual(os.pread(fd, 5, 0), b"first")
            self.assertEqual(read_file(self.path("mapped"))[:5], b"first")
            os.pwrite(fd, b"second", PAGE)
            self.assertEqual(mapped[PAGE:PAGE + 6], b"second")
            other = self.open("mapped", os.O_RDWR)
            os.pwrite(other, b"third", PAGE + 10)
            self.assertEqual(mapped[PAGE + 10:PAGE + 15], b"third")
            mapped[PAGE - 2:PAGE + 2] = b"edge"
            self.assertEqual(os.pread(other, 4, PAGE - 2), b"edge")

    def test_two_mappings(self):
        one, two = self.open("mapped", os.O_RDWR), self.open("mapped", os.O_RDONLY)
        with self.mapped(one) as writer, self.mapped(two, flags=mmap.MAP_SHARED, prot=mmap.PROT_READ) as reader:
            for i in range(100):
                writer[i * 100:i * 100 + 3] = b"%03d" % i
                self.assertEqual(reader[i * 100:i * 100 + 3], b"%03d" % i)

    def test_two_processes(self):
        fd = self.open("mapped", os.O_RDWR)
        with self.mapped(fd) as mapped:
            def child():
                with self.mapped(os.open(self.path("mapped"), os.O_RDWR)) as own:
                    seen = own[:6]
                    own[PAGE:PAGE + 5] = b"child"
                return seen

            mapped[:6] = b"parent"
            self.assertEqual(in_child(child), b"parent")
            self.assertEqual(mapped[PAGE:PAGE + 5], b"child")

    def test_a_mapping_outlives_its_descriptor(self):
        fd = os.open(self.path("mapped"), os.O_RDWR)
        with self.mapped(fd) as mapped:
            os.close(fd)
            mapped[10:14] = b"late"
            mapped.flush()
            self.assertEqual(read_file(self.path("mapped"))[10:14], b"late")

    @by_root
    def test_what_is_mapped_reaches_the_stage(self):
        with self.mapped(self.open("mapped", os.O_RDWR)) as mapped:
            mapped[:5] = b"stage"
            mapped.flush()
            self.assertEqual(read_file(self.real("mapped"))[:5], b"stage")

    def test_a_private_mapping_changes_nothing(self):
        fd = self.open("mapped")
        with self.mapped(fd, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
            mapped[:3] = b"own"
            self.assertEqual((mapped[:3], os.pread(fd, 3, 0)), (b"own", b"\0\0\0"))

    def test_growing_and_cutting(self):
        fd = self.open("mapped", os.O_RDWR)
        with self.mapped(fd) as mapped:
            mapped[3 * PAGE:3 * PAGE + 4] = b"tail"
            os.ftruncate(fd, PAGE)
            os.ftruncate(fd, 4 * PAGE)
            self.assertEqual(mapped[3 * PAGE:3 * PAGE + 4], b"\0\0\0\0")
        os.ftruncate(fd, 8 * PAGE)
        with self.mapped(fd, 8 * PAGE) as mapped:
            mapped[7 * PAGE:7 * PAGE + 3] = b"new"
            self.assertEqual(os.pread(fd, 3, 7 * PAGE), b"new")

    def test_beyond_the_end_is_sigbus(self):
        def touch_beyond():
            signal.signal(signal.SIGBUS, signal.SIG_DFL)
            fd = os.open(self.path("mapped"), os.O_RDWR)
            mapped = self.mapped(fd)
            os.ftruncate(fd, PAGE)
            return mapped[2 * PAGE]

        with self.assertRaisesRegex(RuntimeError, "ended with %d" % signal.SIGBUS):
            in_child(touch_beyond)

    def test_what_may_not_be_mapped(self):
        reading, writing = self.open("mapped", os.O_RDONLY), self.open("mapped", os.O_WRONLY)
        with self.assertRaises(PermissionError):
            self.mapped(reading)
        with self.assertRaises(PermissionError):
            self.mapped(writing)

    def test_mtime_follows(self):
        os.utime(self.path("mapped"), (1, 1))
        with self.mapped(self.open("mapped", os.O_RDWR)) as mapped:
            mapped[0] = 1
            mapped.flush()
        self.assertGreater(os.stat(self.path("mapped")).st_mtime, 1)

    def test_a_file_that_was_just_made(self):
        fd = self.open("dir/new", os.O_CREAT | os.O_RDWR)
        os.ftruncate(fd, 1 << 20)
        with self.mapped(fd, 1 << 20) as mapped:
            for at in range(0, 1 << 20, PAGE):
                mapped[at] = (at // PAGE) % 256
        data = read_file(self.path("dir/new"))
        self.assertEqual([data[at] for at in range(0, 1 << 20, PAGE)], [i % 256 for i in range(256)])


if __name__ == "__main__":
    main()
