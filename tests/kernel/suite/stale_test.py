#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Errors of the file system below the CAS. ESTALE: looked up and opened again; what stays stale, and any other error,
is EIO for who opens or reads, and never another file."""
import errno
import mmap
import os

from kit import Counted, Guest, drop_caches, main, read_file
from stale_fs import LOOKUP, OPEN, READ, StaleFs

CONTENT = b"content" * 100


class Stale(Guest):
    def setUp(self):
        super().setUp()
        if not os.path.exists("/dev/fuse"):
            self.skipTest("this kernel has no FUSE")
        # Directories of its own: those of the test before may still be in memory.
        self.inner = self.id().encode()
        root = self.store.make_tree({"file": CONTENT, "dir": {"inner": self.inner}, self.id(): b""})
        view = self.scratch("view")
        self.below = StaleFs(self.store.path, view)
        self.below.__enter__()
        self.addCleanup(self.below.__exit__)
        plain, self.store.path = self.store.path, view
        self.point = self.mount(root, stage=self.scratch("stage"))
        self.store.path = plain

    def again(self, kind, count, counter, name="file"):
        """The file is read although the next requests are stale."""
        self.below.set(kind, count)
        with Counted(self.point) as counted:
            self.assertEqual(read_file(os.path.join(self.point, name)), CONTENT if name == "file" else self.inner)
        self.assertEqual(self.below.left(kind), 0)
        self.assertGreater(counted[counter], 0)

    def test_opening_a_blob(self):
        os.stat(self.point + "/file")
        # One answer of ESTALE is tried again by the VFS itself where a path is walked, not where a blob is opened.
        self.again(OPEN, 1, "blob_open_stale_retries")

    def test_opening_a_blob_more_than_once(self):
        os.stat(self.point + "/file")
        self.again(OPEN, 3, "blob_open_stale_retries")

    def test_looking_up_a_blob(self):
        os.stat(self.point + "/file")
        # The walk tries twice; then the module does.
        self.again(LOOKUP, 4, "blob_open_stale_retries")

    def test_opening_a_directory(self):
        self.again(OPEN, 1, "blob_open_stale_retries", "dir/inner")

    def test_reading_a_directory(self):
        self.assertEqual(sorted(os.listdir(self.point)), sorted(["dir", "file", self.id()]))
        self.below.set(READ, 1)
        with Counted(self.point) as counted:
            self.assertEqual(os.listdir(self.point + "/dir"), ["inner"])
        self.assertEqual((self.below.left(READ), counted["blob_open_stale_retries"]), (0, 1))

    def test_reading(self):
        with open(self.point + "/file", "rb", buffering=0) as file:
            self.assertEqual(file.read(7), b"content")
            self.below.set(READ, 1)
            with Counted(self.point) as counted:
                self.assertEqual(file.read(7), b"content")
            self.assertEqual((self.below.left(READ), counted["backing_read_stale_retries"]), (0, 1))

    def test_splicing(self):
        if not self.below.tells_splices():
            self.skipTest("FUSE does not tell who splices what its server said")
        with open(self.point + "/file", "rb", buffering=0) as file:
            reader, writer = os.pipe()
            # The first is that of the readahead, whose failure tells nobody.
            self.below.set(READ, 2)
            with Counted(self.point) as counted:
                self.assertEqual(os.splice(file.fileno(), writer, 7), 7)
            self.assertEqual(os.read(reader, 7), b"content")
            self.assertEqual((self.below.left(READ), counted["splice_read_stale_retries"]), (0, 1))
            os.close(reader)
            os.close(writer)

    def test_mapping(self):
        """A mapping has an open file of its own, for which a server is asked when the file is opened: not later, when
        the memory of the process is locked."""
        self.assertEqual(read_file(self.point + "/file"), CONTENT)
        self.below.set(OPEN, 1)
        with open(self.point + "/file", "rb") as file:
            self.assertEqual(self.below.left(OPEN), 0)
            for kind in (OPEN, LOOKUP):
                self.below.set(kind, 1000)
            with mmap.mmap(file.fileno(), 0, mmap.MAP_PRIVATE, mmap.PROT_READ) as mapping:
                self.assertEqual(mapping[:], CONTENT)
            self.assertEqual((self.below.left(OPEN), self.below.left(LOOKUP)), (1000, 1000))
            self.assertEqual(file.read(), CONTENT)

    def test_copying(self):
        # Copies are splices.
        if not self.below.tells_splices():
            self.skipTest("FUSE does not tell who splices what its server said")
        with open(self.point + "/file", "rb") as file, open(self.point + "/copy", "wb") as out:
            # The first is that of the readahead.
            self.below.set(READ, 2)
            self.assertEqual(os.copy_file_range(file.fileno(), out.fileno(), len(CONTENT)), len(CONTENT))
            self.assertEqual((self.below.left(READ), read_file(self.point + "/copy")), (0, CONTENT))

    def test_copying_for_ever(self):
        with open(self.point + "/file", "rb") as file, open(self.point + "/copy", "wb") as out:
            self.below.set(READ, 1000)
            self.answers("EIO", os.copy_file_range, file.fileno(), out.fileno(), len(CONTENT))

    def test_reading_for_ever(self):
        with open(self.point + "/file", "rb", buffering=0) as file:
            self.below.set(READ, 1000)
            self.answers("EIO", os.pread, file.fileno(), 7, 0)
            reader, writer = os.pipe()
            self.answers("EIO", os.splice, file.fileno(), writer, 7, 0)
            os.close(reader)
            os.close(writer)
            self.below.set(READ, 0)
            self.assertEqual(file.read(7), b"content")

    def test_other_errors(self):
        """Whatever it is called below, above it is EIO: not ENOENT, which would make a compiler look elsewhere."""
        for code in (errno.ENOENT, errno.EACCES, errno.ENOTCONN, errno.EINVAL):
            with self.subTest(code=errno.errorcode[code]):
                drop_caches()
                self.below.set(OPEN, 1, code)
                self.answers("EIO", open, self.point + "/file", "rb")
                with open(self.point + "/file", "rb", buffering=0) as file:
                    self.below.set(READ, 1, code)
                    self.answers("EIO", os.pread, file.fileno(), 7, 0)
                    # The first is that of the readahead.
                    self.below.set(READ, 2, code)
                    reader, writer = os.pipe()
                    self.answers("EIO", os.splice, file.fileno(), writer, 7, 0)
                    os.close(reader)
                    os.close(writer)
                    self.below.set(READ, 0)
                # The blob is open; the file for mappings is opened.
                self.below.set(OPEN, 1, code)
                self.answers("EIO", open, self.point + "/file", "rb")
                self.assertEqual(read_file(self.point + "/file"), CONTENT)

    def test_for_ever(self):
        os.stat(self.point + "/file")
        for kind in (OPEN, LOOKUP):
            drop_caches()
            self.below.set(kind, 1000)
            self.answers("EIO", open, self.point + "/file", "rb")
            self.below.set(kind, 0)
            self.assertEqual(read_file(self.point + "/file"), CONTENT)
            self.assertEqual(os.listdir(self.point + "/dir"), ["inner"])

    def test_a_directory_for_ever(self):
        self.below.set(OPEN, 1000)
        self.answers("EIO", os.listdir, self.point)
        self.answers("EIO", os.stat, self.point + "/file")
        self.below.set(OPEN, 0)
        self.assertEqual(sorted(os.listdir(self.point)), sorted(["dir", "file", self.id()]))


if __name__ == "__main__":
    main()
