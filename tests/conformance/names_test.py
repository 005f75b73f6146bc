# SPDX-License-Identifier: Apache-2.0
"""Names: letter case, encodings, every byte, the longest ones, and paths that are longer than a path may be."""
import os
import unicodedata

from calls import errno_name, getdents, read_file, touch, write_file
from store import Link
from workspace import WithReference, Workspace, main, variants

LONG = "n" * 255
TREE = {
    "case": b"lower", "Case": b"capital", "CASE": b"upper",
    "gr\u00fc\u00df": b"composed", unicodedata.normalize("NFD", "gr\u00fc\u00df"): b"decomposed",
    "\u540d\u524d": b"cjk", "\U0001f600": b"beyond the first plane",
    "with space": b"s", "tab\there": b"t", "line\nbreak": b"l", "back\\slash": b"b", "-dash": b"d", "...": b"dots",
    "..two": b"2", "*?[a]": b"glob", "\x01\x7f": b"control", "trailing ": b"t", "a:b,c=d": b"punctuation",
    LONG: b"long", "x" * 254: {"y" * 255: b"deep and long"}, "dir": {"case": b"below"},
    "to long": Link(LONG),
}
# Linux knows no encoding: all but NUL and slash is a name.
STRANGE = [b"\xff\xfe", b"caf\xe9", b"\xc3", b"\xed\xa0\x80", bytes(range(1, 47)), bytes(range(48, 256)), b"\xff" * 255]


@variants("readonly", "strict", "overlay", "plain")
class Inputs(Workspace):
    tree = TREE

    def test_each_is_there_once(self):
        self.assertEqual(sorted(os.listdir(self.point)), sorted(TREE))
        for name, content in TREE.items():
            if isinstance(content, bytes):
                self.assertEqual(read_file(self.path(name)), content, name)
        self.assertEqual(read_file(self.path("x" * 254, "y" * 255)), b"deep and long")
        self.assertEqual(read_file(self.path("to long")), b"long")

    def test_others_are_not(self):
        for name in ("cASE", "DIR", "gr\u00dc\u00df", "with  space", "trailing", "n" * 254, "x" * 255, "....", "line"):
            self.answers("ENOENT", os.lstat, self.path(name))

    def test_too_long(self):
        self.answers("ENAMETOOLONG", os.lstat, self.path("n" * 256))
        self.answers("ENAMETOOLONG", os.lstat, self.path("dir", "n" * 256))
        self.answers("ENAMETOOLONG", os.open, self.path("n" * 256), os.O_RDONLY)
        self.answers("ENAMETOOLONG", os.lstat, self.path("x/" * 2048))

    def test_bytes_that_are_no_text(self):
        for name in STRANGE:
            self.answers("ENOENT", os.lstat, os.path.join(os.fsencode(self.point), name))


@variants("strict", "overlay", "plain")
class Staged(WithReference):
    tree = TREE

    def at(self, name):
        return os.path.join(os.fsencode(self.point), name)

    def test_any_bytes(self):
        for name in STRANGE:
            with self.subTest(name=name):
                write_file(self.at(name), name)
                self.assertEqual(read_file(self.at(name)), name)
                os.rename(self.at(name), self.at(b"dir/" + name))
                self.assertIn(name, os.listdir(self.at(b"dir")))
                self.assertIn(name, [entry[3] for entry in getdents(self.open("dir"))])
                os.symlink(name, self.at(name))
                self.assertEqual(os.readlink(self.at(name)), name)
                os.unlink(self.at(name))
                os.unlink(self.at(b"dir/" + name))
                os.mkdir(self.at(name))
                touch(self.at(name + b"/" + name))
                self.assertEqual(os.listdir(self.at(name)), [name])

    def test_case_is_kept(self):
        for name in ("cASE", "DIR", "Dir", "dir/CASE"):
            write_file(self.path(name), name.encode())
        self.assertEqual((read_file(self.path("DIR")), read_file(self.path("Dir"))), (b"DIR", b"Dir"))
        self.assertEqual(read_file(self.path("dir/case")), b"below")
        os.rename(self.path("DIR"), self.path("dIR"))
        self.assertLessEqual({"dIR", "Dir", "dir"}, set(os.listdir(self.point)))

    def test_the_longest(self):
        for make in (touch, os.mkdir, os.mkfifo, lambda path: os.symlink("x", path)):
            make(self.path("dir", "m" * 255))
            self.assertIn("m" * 255, os.listdir(self.path("dir")))
            self.answers("ENAMETOOLONG", make, self.path("dir", "m" * 256))
            os.rename(self.path("dir", "m" * 255), self.path("dir", "k" * 255))
            self.answers("ENAMETOOLONG", os.rename, self.path("dir", "k" * 255), self.path("dir", "k" * 256))
            (os.rmdir if make is os.mkdir else os.unlink)(self.path("dir", "k" * 255))
        self.new("f")
        self.answers("ENAMETOOLONG", os.link, self.path("f"), self.path("m" * 256))

    def test_deeper_than_a_path_is_long(self):
        def deep(directory):
            here = os.open(directory, os.O_RDONLY)
            for _ in range(40):
                os.mkdir("d" * 200, dir_fd=here)
                below = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
                os.close(here)
                here = below
            os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
            listed, above = os.listdir(here), os.stat("/".join([".."] * 40), dir_fd=here).st_ino
            os.close(here)
            name = os.path.join(directory, "d" * 200)
            os.rename(name, os.path.join(directory, "e"))
            return listed, above == os.stat(directory).st_ino, errno_name(os.stat, "/".join([directory] + ["d" * 200] * 40))

        self.as_reference(deep)

    def test_symlink_chains(self):
        os.symlink("case", self.path("s0"))
        for i in range(1, 50):
            os.symlink("s%d" % (i - 1), self.path("s%d" % i))
        self.assertEqual(read_file(self.path("s39")), b"lower")
        self.answers("ELOOP", read_file, self.path("s40"))


if __name__ == "__main__":
    main()
