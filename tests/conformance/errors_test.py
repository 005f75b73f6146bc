# SPDX-License-Identifier: Apache-2.0
"""Errors that tell the truth: blobs that are missing or of the wrong size, Directories that are none."""
import os
import sys

from calls import errno_name, read_file, write_file
from store import Link, Missing, Raw, reapi
from workspace import MountError, Workspace, main, variants

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuzz", "seeds"))
import directory_proto_seeds  # noqa: E402  (the path comes first)

FILE_MODES = ("readonly", "strict", "overlay")


class Broken(Workspace):
    """The trees are made, and broken, by root before the test."""

    def replace_blob(self, data, with_data):
        """The blob of `data` gets other content for the time of the test."""
        digest = self.store.put(data)
        path = self.store.blob_path(digest)
        os.unlink(path)
        write_file(path, with_data, mode=0o444)
        self.addCleanup(os.unlink, path)
        return digest

    def remount(self, tree):
        self.unmount(self.point)
        self.point = self.mount(tree)


@variants(*FILE_MODES)
class Blobs(Broken):
    tree = {"gone": Missing(b"never stored"), "short": b"cut off later", "long": b"grows later", "there": b"x",
            "dir": {"gone": Missing(b"never stored either")}}

    def prepare(self):
        self.replace_blob(b"cut off later", b"cut")
        self.replace_blob(b"grows later", b"grows later, and more")

    def test_a_missing_one_is_eio(self):
        for name, size in (("gone", 12), ("dir/gone", 19)):
            self.assertEqual(os.stat(self.path(name)).st_size, size)
            for _ in range(2):
                self.answers("EIO", read_file, self.path(name))
        self.assertIn(reapi.text(reapi.digest_of(b"never stored")), self.log())

    def test_one_of_another_size_is_eio(self):
        for name, data in (("short", b"cut off later"), ("long", b"grows later")):
            self.assertEqual(os.stat(self.path(name)).st_size, len(data))
            self.answers("EIO", read_file, self.path(name))
            self.assertIn(reapi.text(reapi.digest_of(data)), self.log())

    def test_what_is_there_is_not_harmed(self):
        self.answers("EIO", read_file, self.path("gone"))
        self.assertEqual(read_file(self.path("there")), b"x")
        self.assertEqual(sorted(os.listdir(self.point)), sorted(self.tree))


@variants("readonly", "strict", users=("root",))
class BlobsThatComeAndGo(Broken):
    tree = {"late": Missing(b"comes late"), "leaves": b"leaves early"}

    def test_one_that_comes_is_read(self):
        self.answers("EIO", read_file, self.path("late"))
        digest = self.store.put(b"comes late")
        self.addCleanup(os.unlink, self.store.blob_path(digest))
        self.assertEqual(read_file(self.path("late")), b"comes late")

    def test_one_that_goes_is_read_by_who_has_it_open(self):
        fd = self.open("leaves")
        os.unlink(self.store.blob_path(reapi.digest_of(b"leaves early")))
        self.assertEqual(os.pread(fd, 99, 0), b"leaves early")

    def test_the_empty_one_need_not_be_there(self):
        path = self.store.blob_path(reapi.digest_of(b""))
        if os.path.exists(path):
            os.unlink(path)
        point = self.mount({"empty": Missing(b"")})
        self.assertEqual(read_file(os.path.join(point, "empty")), b"")


@variants(*FILE_MODES)
class OtherThingsThanBlobs(Broken):
    """What may lie at a blob's path in a store that somebody has meddled with."""
    tree = {"directory": Missing(b"a directory there"), "symlink": Missing(b"a symlink there"),
            "fifo": Missing(b"a fifo there"), "x": b"x"}

    def prepare(self):
        for data, make in ((b"a directory there", os.mkdir), (b"a fifo there", os.mkfifo),
                           (b"a symlink there", lambda path: os.symlink("/etc/hostname", path))):
            path = self.store.blob_path(reapi.digest_of(data))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            make(path)
            self.addCleanup(os.rmdir if make is os.mkdir else os.unlink, path)

    def test_each_is_eio(self):
        for name in ("directory", "symlink", "fifo"):
            self.answers("EIO", read_file, self.path(name))
        self.assertEqual(read_file(self.path("x")), b"x")


@variants(*FILE_MODES)
class Directories(Broken):
    tree = {"file": b"x"}

    def prepare(self):
        self.junk = self.store.put(b"\xff\xff not a Directory")
        self.other = self.replace_blob(b"\n\x02\n\x00", b"\n\x02\n\x01")
        self.missing = Raw(reapi.digest_of(b"a Directory that is nowhere"))
        self.remount({"junk": Raw(self.junk), "missing": self.missing, "other": Raw(self.other), "file": b"x"})

    def refused(self, name, expected):
        path = self.path(name)
        self.assertTrue(os.path.isdir(path))  # its name is there all the same
        self.answers(expected, os.listdir, path)
        self.answers(expected, os.stat, os.path.join(path, "x"))
        self.answers(expected, os.open, os.path.join(path, "x"), os.O_RDONLY)
        if self.mode == "strict":
            self.answers(expected, os.open, os.path.join(path, "x"), os.O_CREAT | os.O_WRONLY)
            self.answers(expected, os.mkdir, os.path.join(path, "x"))

    def test_one_that_does_not_parse(self):
        self.refused("junk", "EUCLEAN")
        self.assertIn(self.junk[0], self.log())

    def test_one_that_does_not_match_its_digest(self):
        self.refused("other", "EUCLEAN")
        self.assertIn(self.other[0], self.log())

    def test_one_that_is_missing(self):
        self.refused("missing", "EIO")
        self.assertIn(self.missing[0], self.log())

    def test_the_others_are_not_harmed(self):
        self.assertEqual(sorted(os.listdir(self.point)), ["file", "junk", "missing", "other"])
        self.assertEqual(read_file(self.path("file")), b"x")


@variants("readonly", users=("root",))
class Roots(Broken):
    """A root is refused by the mount itself, or by the first who looks: never is there a tree."""

    def refusal(self, digest):
        try:
            point = self.mount(digest)
        except MountError:
            return "mount"
        return errno_name(os.listdir, point)

    def test_bad_ones(self):
        junk = self.store.put(b"\xff\xff junk root")
        missing = reapi.digest_of(b"a root that is nowhere")
        self.assertIn(self.refusal(junk), ("mount", "EUCLEAN"))
        self.assertIn(self.refusal(missing), ("mount", "EIO"))


@variants("readonly", users=("root",))
class RefusedDirectories(Broken):
    """Every Directory of the parser's corpus, which names them by their fault, below a root of good ones."""

    def test_each(self):
        corpus = directory_proto_seeds.files()
        tree = {name: Raw(self.store.put(data)) for name, data in corpus.items()}
        self.remount(tree)
        for name in corpus:
            with self.subTest(directory=name):
                self.answers("OK" if name.startswith("none.") else "EUCLEAN", os.listdir, self.path(name))

    def test_one_that_is_too_large(self):
        size = (64 << 20) + 1
        digest = ("%064x" % 0x64, size)
        path = self.store.blob_path(digest)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o444)
        self.addCleanup(os.unlink, path)
        os.ftruncate(fd, size)
        os.close(fd)
        self.remount({"large": Raw(digest)})
        self.answers("EUCLEAN", os.listdir, self.path("large"))
        self.assertIn(digest[0], self.log())

    def test_the_log_has_digest_and_fault(self):
        for fault, data in (("slash-in-name", directory_proto_seeds.file(b"a/b")),
                            ("unsorted-names", directory_proto_seeds.file(b"b") + directory_proto_seeds.file(b"a"))):
            digest = self.store.put(data)
            self.remount({"bad": Raw(digest)})
            self.answers("EUCLEAN", os.listdir, self.path("bad"))
            lines = [line for line in self.log().splitlines() if digest[0] in line]
            self.assertTrue(lines)
            for line in lines:
                self.assertIn(fault, line)

    def test_names_of_every_length(self):
        tree = {"n" * 255: b"x", "d" * 255: {}, "l" * 255: Link("x" * 4095)}
        self.remount(tree)
        self.assertEqual(sorted(os.listdir(self.point)), sorted(tree))
        self.assertEqual(os.readlink(self.path("l" * 255)), "x" * 4095)


if __name__ == "__main__":
    main()
