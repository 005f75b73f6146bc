# SPDX-License-Identifier: Apache-2.0
"""rename(2) of what is staged: each flag, over each kind of name, of directories with open files below them."""
import itertools
import os

from calls import RENAME_EXCHANGE, RENAME_NOREPLACE, RENAME_WHITEOUT, errno_name, read_file, renameat2, touch, write_file
from store import Link
from workspace import WithReference, Workspace, by_root, main, variants

TREE = {"file": b"input\n", "link": Link("file"), "dir": {"deep": b"deep\n", "sub": {"deeper": b"x"}}, "empty": {}}
STAGED = ("strict", "overlay", "plain")


def snapshot(directory):
    """What is below: {path: kind or content}."""
    found = {}
    for top, names, files in os.walk(directory):
        for name in names + files:
            path = os.path.join(top, name)
            key = os.path.relpath(path, directory)
            found[key] = ("-> " + os.readlink(path) if os.path.islink(path) else
                          "directory" if os.path.isdir(path) else read_file(path))
    return found


@variants(*STAGED)
class EveryPair(WithReference):
    """Each kind of name, renamed to each other, with each flag: errno and outcome as in an ordinary directory."""
    tree = TREE
    KINDS = ("missing", "file", "symlink", "empty_dir", "full_dir")

    @staticmethod
    def make(path, kind):
        if kind == "file":
            write_file(path, os.path.basename(path).encode())
        elif kind == "symlink":
            os.symlink("target", path)
        elif kind.endswith("dir"):
            os.mkdir(path)
        if kind == "full_dir":
            write_file(os.path.join(path, "inside"), b"inside")

    def rename(self, directory, kinds, flags):
        work = os.path.join(directory, "%s-%s-%d" % (*kinds, flags))
        os.mkdir(work)
        for name, kind in zip("ab", kinds):
            self.make(os.path.join(work, name), kind)
        before = {name: os.lstat(os.path.join(work, name)).st_ino for name in os.listdir(work)}
        outcome = errno_name(renameat2, os.path.join(work, "a"), os.path.join(work, "b"), flags)
        numbers = {ino: name for name, ino in before.items()}
        # Which of the two is at a name now, by inode number: it stays with the file.
        after = {name: numbers.get(os.lstat(os.path.join(work, name)).st_ino) for name in sorted(os.listdir(work))}
        return outcome, after, snapshot(work)

    def test_each(self):
        for flags in (0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_NOREPLACE | RENAME_EXCHANGE):
            for kinds in itertools.product(self.KINDS, self.KINDS):
                with self.subTest(kinds=kinds, flags=flags):
                    self.as_reference(self.rename, kinds, flags)

    def test_flags_that_are_none(self):
        for flags in (8, RENAME_WHITEOUT | RENAME_EXCHANGE, 1 << 31):
            self.as_reference(self.rename, ("file", "file"), flags)


@variants("strict", "overlay")
class Whiteout(Workspace):
    tree = TREE

    def test_it_cannot_be_asked_for(self):
        self.new("a")
        self.answers("EINVAL", renameat2, self.path("a"), self.path("b"), RENAME_WHITEOUT)
        self.answers("ENOENT", os.lstat, self.path("b"))


@variants(*STAGED)
class Renaming(Workspace):
    tree = TREE

    def test_into_an_input_directory_and_out(self):
        self.new("a", b"A")
        self.new("b", b"B")
        ino = os.stat(self.path("a")).st_ino
        os.rename(self.path("a"), self.path("dir/c"))
        self.assertEqual(os.stat(self.path("dir/c")).st_ino, ino)
        self.answers("ENOENT", os.stat, self.path("a"))
        self.assertEqual(sorted(os.listdir(self.path("dir"))), ["c", "deep", "sub"])
        os.rename(self.path("dir/c"), self.path("b"))
        self.assertEqual((read_file(self.path("b")), sorted(os.listdir(self.path("dir")))), (b"A", ["deep", "sub"]))
        os.mkdir(self.path("d"))
        touch(self.path("d/x"))
        os.rename(self.path("d"), self.path("dir/sub/d"))
        self.assertEqual(os.listdir(self.path("dir/sub/d")), ["x"])
        os.rename(self.path("dir/sub/d"), self.path("empty/d"))
        self.assertEqual((os.listdir(self.path("empty")), os.listdir(self.path("dir/sub"))), (["d"], ["deeper"]))

    def test_an_exchange_between_directories(self):
        self.new("a", b"A")
        self.new("dir/b", b"B")
        renameat2(self.path("a"), self.path("dir/b"), RENAME_EXCHANGE)
        self.assertEqual((read_file(self.path("a")), read_file(self.path("dir/b"))), (b"B", b"A"))
        os.makedirs(self.path("one/x"))
        os.makedirs(self.path("dir/two/y"))
        renameat2(self.path("one"), self.path("dir/two"), RENAME_EXCHANGE)
        self.assertEqual((os.listdir(self.path("one")), os.listdir(self.path("dir/two"))), (["y"], ["x"]))
        self.new("one/y/file")
        self.assertEqual(os.listdir(self.path("one/y")), ["file"])
        renameat2(self.path("a"), self.path("dir/two"), RENAME_EXCHANGE)
        self.assertEqual((os.listdir(self.path("a")), read_file(self.path("dir/two"))), (["x"], b"B"))

    def test_directories_with_open_descendants(self):
        os.makedirs(self.path("top/mid/low"))
        self.new("top/mid/low/file", b"below")
        fd = self.open("top/mid/low/file", os.O_RDWR)
        directory = self.open("top/mid/low", os.O_RDONLY)
        os.rename(self.path("top/mid"), self.path("dir/moved"))
        os.pwrite(fd, b"BELOW", 0)
        os.fchmod(fd, 0o600)
        self.assertEqual(os.listdir(directory), ["file"])
        self.assertEqual(read_file(self.path("dir/moved/low/file")), b"BELOW")
        os.close(os.open("another", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
        self.assertEqual(sorted(os.listdir(self.path("dir/moved/low"))), ["another", "file"])
        os.rename(self.path("dir/moved"), self.path("top/back"))
        self.assertEqual(os.stat("another", dir_fd=directory).st_size, 0)
        self.assertEqual(os.stat("../..", dir_fd=directory).st_ino, os.stat(self.path("top")).st_ino)

    def test_over_an_open_file(self):
        self.new("old", b"old")
        fd = self.open("old", os.O_RDWR)
        self.new("new", b"new")
        os.rename(self.path("new"), self.path("old"))
        self.assertEqual((os.pread(fd, 9, 0), read_file(self.path("old"))), (b"old", b"new"))
        os.pwrite(fd, b"OLD", 0)
        self.assertEqual((os.pread(fd, 9, 0), read_file(self.path("old"))), (b"OLD", b"new"))
        self.assertEqual(os.fstat(fd).st_nlink, 0)

    def test_two_names_of_one_file(self):
        self.new("a", b"A")
        os.link(self.path("a"), self.path("b"))
        os.rename(self.path("a"), self.path("b"))
        self.assertEqual((read_file(self.path("a")), os.stat(self.path("b")).st_nlink), (b"A", 2))
        os.rename(self.path("a"), self.path("a"))
        self.assertEqual(read_file(self.path("a")), b"A")

    def test_a_directory_into_itself(self):
        os.makedirs(self.path("d/e"))
        self.answers("EINVAL", os.rename, self.path("d"), self.path("d/e/f"))
        self.answers("ENOTEMPTY", os.rename, self.path("d/e"), self.path("d"))
        self.answers("EINVAL", renameat2, self.path("d"), self.path("d/e"), RENAME_EXCHANGE)
        self.answers("EBUSY", os.rename, self.path("d/."), self.path("x"))

    def test_between_file_systems(self):
        self.new("a")
        self.answers("EXDEV", os.rename, self.path("a"), os.path.join("/dev/shm", os.path.basename(self.point)))

    def test_an_atomic_replacement_is_seen_whole(self):
        """As Go, and many, write files: a temporary name, then rename; a reader never finds less than one of them."""
        self.new("config", b"0" * 1000)
        for i in range(1, 50):
            data = b"%d" % (i % 10) * 1000
            write_file(self.path("config.tmp"), data)
            fd = self.open("config.tmp", os.O_WRONLY)
            os.fsync(fd)
            os.rename(self.path("config.tmp"), self.path("config"))
            self.assertEqual(read_file(self.path("config")), data)
        self.assertEqual(sorted(os.listdir(self.point)), sorted([*TREE, "config"]))

    def test_deep_moves_keep_what_is_below(self):
        path = "a"
        for i in range(30):
            os.mkdir(self.path(path))
            touch(self.path(path, "f%d" % i))
            path += "/d"
        before, last = snapshot(self.path("a")), self.path("a")
        for new in ("b", "dir/b", "dir/sub/b", "empty/b", "a"):
            os.rename(last, self.path(new))
            last = self.path(new)
            self.assertEqual(snapshot(last), before)

    @by_root
    def test_the_stage_follows(self):
        os.makedirs(self.path("one/x"))
        self.new("one/x/file", b"1")
        self.new("two", b"2")
        os.rename(self.path("one"), self.path("dir/sub/three"))
        renameat2(self.path("dir/sub/three/x"), self.path("two"), RENAME_EXCHANGE)
        self.assertEqual((read_file(self.real("dir/sub/three/x")), os.listdir(self.real("two"))), (b"2", ["file"]))
        self.answers("ENOENT", os.lstat, self.real("one"))


if __name__ == "__main__":
    main()
