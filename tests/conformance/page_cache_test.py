# SPDX-License-Identifier: Apache-2.0
"""One copy in memory: what is read, mapped or run through the workspace is in the real file's own page cache."""
import contextlib
import ctypes
import mmap
import os
import struct
import subprocess

import differences
from calls import LIBC, checked, read_file
from store import Executable, reapi
from workspace import Workspace, main, variants

PAGE = mmap.PAGESIZE
DATA = bytes(range(256)) * (16 * PAGE // 256)
PRESENT = 1 << 63


def frame(pid, address):
    """The page frame that is mapped at the address; 0: none."""
    with open("/proc/%s/pagemap" % pid, "rb", buffering=0) as pagemap:
        entry, = struct.unpack("=Q", os.pread(pagemap.fileno(), 8, address // PAGE * 8))
    return entry & ((1 << 55) - 1) if entry & PRESENT else 0


LIBC.mmap.restype = ctypes.c_void_p
FAILED = ctypes.c_void_p(-1).value


@contextlib.contextmanager
def mapped(path, flags=os.O_RDONLY, size=None):
    """The address of a shared mapping of the file, each page of which was touched, and its size."""
    fd = os.open(path, flags)
    length = size or os.fstat(fd).st_size
    prot = mmap.PROT_READ | (mmap.PROT_WRITE if flags == os.O_RDWR else 0)
    address = LIBC.mmap(None, ctypes.c_size_t(length), prot, mmap.MAP_SHARED, fd, ctypes.c_long(0))
    os.close(fd)
    if address == FAILED:
        raise OSError(ctypes.get_errno(), "mmap")
    try:
        if size is None:
            for at in range(0, length, PAGE):
                ctypes.string_at(address + at, 1)
        yield address, length
    finally:
        LIBC.munmap(ctypes.c_void_p(address), ctypes.c_size_t(length))


def frames(mapping):
    address, size = mapping
    return [frame("self", address + at) for at in range(0, size, PAGE)]


def resident(path):
    """Which pages of the file are in memory."""
    with mapped(path, size=os.stat(path).st_size) as (address, size):
        pages = (ctypes.c_ubyte * ((size + PAGE - 1) // PAGE))()
        checked(LIBC.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), pages), "mincore")
        return [page & 1 for page in pages]


class PageCache(Workspace):
    kind = "inputs"

    def one_copy(self):
        """What the table has, unless a difference is accepted."""
        return differences.holds("one copy of %s in memory" % self.kind, self)

    def check(self, through, real):
        with mapped(through) as seen, mapped(real) as own:
            self.assertNotIn(0, frames(own))
            self.assertEqual(frames(seen) == frames(own), self.one_copy(), "frames of %s" % through)


@variants("readonly", "strict", "overlay", users=("root",))
class Inputs(PageCache):
    tree = {"big": DATA, "nothing": b"", "dir": {"other": b"o" * 5000}}

    def blob(self, data):
        return self.store.blob_path(reapi.digest_of(data))

    def test_a_mapping_has_the_blob_s_pages(self):
        self.check(self.path("big"), self.blob(DATA))
        self.check(self.path("dir/other"), self.blob(b"o" * 5000))

    def test_reading_fills_the_blob_s_pages(self):
        fd = os.open(self.blob(DATA), os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)
        if any(resident(self.blob(DATA))):
            self.skipTest("this file system keeps its pages")
        read_file(self.path("big"))
        self.assertTrue(all(resident(self.blob(DATA))))

    def test_an_empty_one_can_be_mapped(self):
        with mapped(self.path("nothing"), size=PAGE):
            pass


@variants("readonly", "strict", users=("root",))
class Running(PageCache):
    tree = {"cat": Executable(read_file("/bin/cat"))}

    def test_a_program_runs_from_the_blob_s_pages(self):
        blob = self.store.blob_path(reapi.digest_of(read_file("/bin/cat")))
        with subprocess.Popen([self.path("cat")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as running:
            running.stdin.write(b"x")
            self.assertEqual(running.stdout.read(1), b"x")  # so it has run
            text = [frame(running.pid, address) for address in self.text_of(running.pid)]
            with mapped(blob) as mapping:
                shared = [page in frames(mapping) for page in text if page != 0]
            running.stdin.close()
        self.assertTrue(shared)
        self.assertEqual(all(shared), self.one_copy())

    def text_of(self, pid):
        """Addresses of the pages of the program's code."""
        with open("/proc/%d/maps" % pid, encoding="utf-8") as file:
            for line in file:
                words = line.split()
                if words[1].startswith("r-x") and words[-1] == self.path("cat"):
                    start, end = (int(word, 16) for word in words[0].split("-"))
                    return range(start, end, PAGE)
        raise AssertionError("it does not run from the workspace")


@variants("strict", "overlay", users=("root",))
class Staged(PageCache):
    tree = {"dir": {}}
    kind = "staged files"

    def test_a_mapping_has_the_stage_file_s_pages(self):
        self.new("dir/f", DATA)
        self.check(self.path("dir/f"), self.real("dir/f"))

    def test_what_a_mapping_writes_is_there_at_once(self):
        self.new("dir/f", DATA)
        fd = self.open("dir/f", os.O_RDWR)
        with mmap.mmap(fd, 0) as mapping:
            mapping[:5] = b"here!"
            self.assertEqual(read_file(self.real("dir/f"))[:5] == b"here!", self.one_copy())
            mapping.flush()
            self.assertEqual(read_file(self.real("dir/f"))[:5], b"here!")


if __name__ == "__main__":
    main()
