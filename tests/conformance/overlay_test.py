# SPDX-License-Identifier: Apache-2.0
"""Mode overlay: inputs can be changed, as in an ordinary directory, and the store never is."""
import mmap
import os
import stat
import subprocess

from backend_plain import PlainBackend
from calls import RENAME_EXCHANGE, RENAME_NOREPLACE, errno_name, read_file, renameat2, write_file
from rename_test import snapshot
from store import Executable, Link
from workspace import WithReference, Workspace, by_root, main, variants

TREE = {
    "file": b"input\n",
    "tool": Executable(b"#!/bin/sh\necho ran\n"),
    "link": Link("dir/deep"),
    "dir": {"deep": b"deep\n", "sub": {"deeper": b"x", "other": b"y"}},
    "empty": {},
    "big": bytes(range(256)) * 4096,
}


@variants("overlay", "plain")
class Changing(WithReference):
    """Each change is made in a copy of the tree in an ordinary directory too, and leaves the same tree."""
    tree = TREE

    def setUp(self):
        super().setUp()
        plain = PlainBackend("plain", None, self.store)
        plain.owner = (self.uid, self.uid)
        plain.write(TREE, self.reference)

    def change(self, function, *args):
        def both(directory):
            outcome = function(directory, *args)
            modes = {os.path.relpath(os.path.join(top, name), directory): oct(os.lstat(os.path.join(top, name)).st_mode)
                     for top, names, files in os.walk(directory) for name in names + files}
            return outcome, snapshot(directory), modes

        self.as_reference(both)

    def test_writing(self):
        def change(directory):
            os.chmod(os.path.join(directory, "file"), 0o644)
            with open(os.path.join(directory, "file"), "ab") as file:
                file.write(b"more\n")
            os.chmod(os.path.join(directory, "big"), 0o600)
            fd = os.open(os.path.join(directory, "big"), os.O_RDWR)
            os.pwrite(fd, b"HERE", 5000)
            os.ftruncate(fd, 9000)
            os.close(fd)
            os.chmod(os.path.join(directory, "dir/deep"), 0o666)
            write_file(os.path.join(directory, "dir/deep"), b"new")
            os.truncate(os.path.join(directory, "dir/deep"), 2)

        self.change(change)

    def test_writing_by_mode(self):
        # An input is 0444 to who does not change that first.
        self.answers("OK" if self.user == "root" else "EACCES", os.open, self.path("file"), os.O_WRONLY)

    def test_removing(self):
        def change(directory):
            os.unlink(os.path.join(directory, "file"))
            os.unlink(os.path.join(directory, "link"))
            os.rmdir(os.path.join(directory, "empty"))
            outcome = [errno_name(os.rmdir, os.path.join(directory, "dir"))]
            os.unlink(os.path.join(directory, "dir/sub/deeper"))
            write_file(os.path.join(directory, "dir/sub/deeper"), b"again")
            subprocess.run(["rm", "-rf", os.path.join(directory, "dir/sub")], check=True)
            os.mkdir(os.path.join(directory, "dir/sub"))
            outcome.append(os.listdir(os.path.join(directory, "dir/sub")))
            return outcome

        self.change(change)

    def test_renaming(self):
        def change(directory):
            def path(*names):
                return os.path.join(directory, *names)

            os.rename(path("file"), path("dir/moved"))
            os.rename(path("dir"), path("moved"))
            os.rename(path("moved/sub"), path("empty/sub"))
            renameat2(path("tool"), path("big"), RENAME_EXCHANGE)
            outcome = [errno_name(renameat2, path("big"), path("link"), RENAME_NOREPLACE)]
            os.rename(path("link"), path("tool"))
            write_file(path("moved/new"), b"new")
            return outcome

        self.change(change)

    def test_linking(self):
        def change(directory):
            os.link(os.path.join(directory, "file"), os.path.join(directory, "dir/second"))
            os.chmod(os.path.join(directory, "file"), 0o600)
            write_file(os.path.join(directory, "dir/second"), b"both")
            one, two = (os.stat(os.path.join(directory, name)) for name in ("file", "dir/second"))
            return one.st_ino == two.st_ino, one.st_nlink

        self.change(change)

    def test_attributes(self):
        def change(directory):
            os.chmod(os.path.join(directory, "tool"), 0o750)
            os.chmod(os.path.join(directory, "dir"), 0o700)
            os.utime(os.path.join(directory, "file"), ns=(1, 2))
            os.setxattr(os.path.join(directory, "dir"), "user.x", b"1")
            return os.stat(os.path.join(directory, "file")).st_mtime_ns, os.getxattr(os.path.join(directory, "dir"), "user.x")

        self.change(change)

    def test_editing_in_place(self):
        def change(directory):
            for name in ("file", "dir/deep"):
                subprocess.run(["sed", "-i", "s/e/E/", os.path.join(directory, name)], check=True)

        self.change(change)

    def test_replacing_a_tree(self):
        def change(directory):
            subprocess.run(["rm", "-rf", os.path.join(directory, "dir")], check=True)
            os.mkdir(os.path.join(directory, "dir"))
            write_file(os.path.join(directory, "dir/only"), b"only")

        self.change(change)


@variants("overlay")
class CopyUp(Workspace):
    tree = TREE

    def prepare(self):
        os.chmod(self.path("big"), 0o644)

    def test_a_shared_mapping_writes_the_copy(self):
        fd = self.open("big", os.O_RDWR)
        with mmap.mmap(fd, 8192) as mapped:
            mapped[4096:4100] = b"here"
            self.assertEqual(os.pread(fd, 4, 4096), b"here")
        self.assertEqual(read_file(self.path("big"))[4096:4100], b"here")

    @by_root
    def test_the_store_is_not_changed(self):
        subprocess.run("for f in file big tool dir/deep; do echo more >> $f; done; rm -rf dir; mv big small", shell=True,
                       cwd=self.point, check=True)
        self.assertEqual(self.store.damaged(), [])
        self.assertEqual(sorted(os.listdir(self.real("."))), ["big", "dir", "file", "small", "tool"])
        self.assertTrue(stat.S_ISCHR(os.lstat(self.real("dir")).st_mode))  # a whiteout


if __name__ == "__main__":
    main()
