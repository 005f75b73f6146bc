# SPDX-License-Identifier: Apache-2.0
"""unlink and rmdir of what is staged, and what is left of a file that is still open."""
import mmap
import os
import subprocess

from calls import errno_name, link_descriptor, read_file, touch, write_file
from store import Link
from workspace import WithReference, Workspace, main, variants

TREE = {"file": b"input\n", "link": Link("file"), "dir": {"deep": b"deep\n", "sub": {"deeper": b"x"}}, "empty": {}}
STAGED = ("strict", "overlay", "plain")


@variants(*STAGED)
class Removing(WithReference):
    tree = TREE

    def test_each_kind(self):
        def remove(directory, kind, call):
            path = os.path.join(directory, "victim")
            if kind == "file":
                touch(path)
            elif kind == "symlink":
                os.symlink("dir", path)
            elif kind == "fifo":
                os.mkfifo(path)
            elif kind != "missing":
                os.mkdir(path)
            if kind == "full":
                touch(os.path.join(path, "f"))
            outcome = errno_name(call, path), errno_name(call, path + "/"), os.path.lexists(path)
            subprocess.run(["rm", "-rf", path], check=True)
            return outcome

        for kind in ("missing", "file", "symlink", "fifo", "empty", "full"):
            for call in (os.unlink, os.rmdir):
                with self.subTest(kind=kind, call=call.__name__):
                    self.as_reference(remove, kind, call)

    def test_dots(self):
        os.mkdir(self.path("d"))
        self.answers("EINVAL", os.rmdir, self.path("d/."))
        self.answers("ENOTEMPTY", os.rmdir, self.path("d/.."))
        self.answers("EISDIR", os.unlink, self.path("d/."))

    def test_a_file_stays_while_it_is_open(self):
        self.new("gone")
        fd = self.open("gone", os.O_RDWR)
        os.unlink(self.path("gone"))
        self.answers("ENOENT", os.stat, self.path("gone"))
        os.pwrite(fd, b"still", 0)
        self.assertEqual((os.pread(fd, 99, 0), os.fstat(fd).st_nlink), (b"still", 0))
        os.fchmod(fd, 0o600)
        os.utime(fd, (5, 6))
        os.ftruncate(fd, 2)
        os.fsync(fd)
        self.assertEqual((os.fstat(fd).st_size, os.fstat(fd).st_mode & 0o777), (2, 0o600))
        again = os.open("/proc/self/fd/%d" % fd, os.O_RDONLY)
        self.assertEqual(os.read(again, 9), b"st")
        os.close(again)
        self.answers("ENOENT", link_descriptor, fd, self.path("back"))

    def test_a_mapping_outlives_the_name(self):
        self.new("gone", b"mapped".ljust(4096, b"\0"))
        fd = self.open("gone", os.O_RDWR)
        with mmap.mmap(fd, 4096) as mapped:
            os.unlink(self.path("gone"))
            mapped[:6] = b"MAPPED"
            mapped.flush()
            self.assertEqual(os.pread(fd, 6, 0), b"MAPPED")

    def test_a_name_can_be_used_again(self):
        for i in range(3):
            self.new("again", b"%d" % i)
            self.assertEqual(read_file(self.path("again")), b"%d" % i)
            os.unlink(self.path("again"))
            self.answers("ENOENT", os.stat, self.path("again"))
        os.mkdir(self.path("again"))
        os.rmdir(self.path("again"))
        os.symlink("x", self.path("again"))
        self.assertEqual(os.readlink(self.path("again")), "x")

    def test_old_and_new_of_one_name_are_apart(self):
        self.new("again", b"old")
        old = self.open("again", os.O_RDWR)
        os.unlink(self.path("again"))
        self.new("again", b"new")
        os.pwrite(old, b"OLD", 0)
        self.assertEqual((os.pread(old, 9, 0), read_file(self.path("again"))), (b"OLD", b"new"))
        self.assertNotEqual(os.fstat(old).st_ino, os.stat(self.path("again")).st_ino)

    def test_a_removed_directory(self):
        os.mkdir(self.path("d"))
        fd = self.open("d", os.O_RDONLY)
        os.rmdir(self.path("d"))
        self.assertEqual(os.listdir(fd), [])
        self.answers("ENOENT", os.open, "x", os.O_CREAT | os.O_WRONLY, dir_fd=fd)
        self.answers("ENOENT", os.mkdir, "x", dir_fd=fd)
        self.answers("ENOENT", os.stat, "x", dir_fd=fd)
        os.mkdir(self.path("d"))
        touch(self.path("d/x"))
        self.answers("ENOENT", os.stat, "x", dir_fd=fd)

    def test_link_counts(self):
        self.new("a")
        fd = self.open("a")
        for i in range(5):
            os.link(self.path("a"), self.path("dir/a%d" % i))
        self.assertEqual(os.fstat(fd).st_nlink, 6)
        os.unlink(self.path("a"))
        for i in range(4):
            os.unlink(self.path("dir/a%d" % i))
        self.assertEqual((os.fstat(fd).st_nlink, os.stat(self.path("dir/a4")).st_nlink), (1, 1))


@variants(*STAGED)
class Trees(Workspace):
    tree = TREE

    def test_rm_of_a_staged_tree(self):
        for i in range(8):
            os.makedirs(self.path("tree/d%d/e" % i))
            for j in range(8):
                write_file(self.path("tree/d%d/e/f%d" % (i, j)), b"x")
        done = subprocess.run(["rm", "-rf", self.path("tree")], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(sorted(os.listdir(self.point)), sorted(TREE))

    def test_rm_of_what_was_staged_among_inputs(self):
        self.fill("dir", 1000)
        os.mkdir(self.path("dir/whole"))
        self.assertEqual(len(os.listdir(self.path("dir"))), 1003)
        done = subprocess.run("rm -rf dir/f* dir/whole", cwd=self.point, shell=True, capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(sorted(os.listdir(self.path("dir"))), ["deep", "sub"])


@variants("strict")
class MergedTrees(Workspace):
    tree = TREE

    def test_rm_of_a_merged_directory_leaves_the_inputs(self):
        self.fill("dir/sub", 200)
        os.mkdir(self.path("dir/new"))
        done = subprocess.run(["rm", "-rf", self.path("dir")], capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertIn("Read-only file system", done.stderr)
        self.assertEqual(sorted(os.path.relpath(os.path.join(top, name), self.point)
                                for top, names, files in os.walk(self.path("dir")) for name in names + files),
                         ["dir/deep", "dir/sub", "dir/sub/deeper"])


if __name__ == "__main__":
    main()
