#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each allocation of the kernel fails once, in each call: it says ENOMEM, leaves nothing half done, and works again.

Needs a kernel with fault injection: vm.sh --uml-debug, whose checkers see what is leaked or used after it was freed.
"""
import mmap
import os
import pathlib

from kit import Executable, Guest, Link, drop_caches, errno_name, main, read_file, unmount, write_file

FAULTS = pathlib.Path("/sys/kernel/debug/failslab")
# More allocations than any of the calls makes.
MOST = 2000


class Faults(Guest):
    TREE = {"dir": {"file": b"content" * 1000, "link": Link("file"), "deep": {"deeper": {"inner": b"inner"}}},
            "program": Executable(read_file("/bin/true"))}

    def setUp(self):
        if not FAULTS.exists() or not os.path.exists("/proc/self/fail-nth"):
            self.skipTest("this kernel has no fault injection: vm.sh --uml-debug")
        super().setUp()
        for kind in FAULTS.parent.glob("fail*"):
            for name, value in (("ignore-gfp-wait", "N"), ("verbose", "0")):
                path = kind / name
                if path.exists():
                    self.addCleanup(path.write_text, path.read_text(encoding="ascii"), encoding="ascii")
                    path.write_text(value, encoding="ascii")
        self.fail_nth = os.open("/proc/self/fail-nth", os.O_RDWR)
        self.addCleanup(os.close, self.fail_nth)
        # On tmpfs, which has few allocations of its own.
        self.stage = self.tmpfs()
        self.point = self.mount(self.TREE, stage=self.stage)

    def each(self, function, *args, undo=None, before=drop_caches, again=None, accepted=("ENOMEM",)):
        """function(*args) with the first, second, ... allocation failing, until there is none left to fail; after each failure
        it works again, after again() (or before())."""
        for nth in range(1, MOST):
            before()
            os.pwrite(self.fail_nth, b"%d" % nth, 0)
            code = errno_name(function, *args)
            left = self.disarm()
            if not left:
                # Some failures are made up for. Copies from and to the caller fail as well: EFAULT.
                self.assertIn(code, ("OK", "EFAULT", *accepted), "allocation %d" % nth)
            if undo is not None and code == "OK":
                undo()
            if left:
                self.assertEqual(code, "OK")
                self.assertGreater(nth, 1, "nothing was tried")
                return
            (again or before)()
            self.answers("OK", function, *args)
            if undo is not None:
                undo()
        self.fail("no end of allocations")

    def disarm(self):
        """Whether the failure is still to come. Asking may meet it."""
        try:
            left = int(os.pread(self.fail_nth, 20, 0)) != 0
        except OSError:
            left = True
        if errno_name(os.pwrite, self.fail_nth, b"0", 0) != "OK":
            os.pwrite(self.fail_nth, b"0", 0)
        return left

    def test_mounting(self):
        stage, root = self.tmpfs(), self.tree(self.TREE)
        self.each(lambda: os.close(self.detached(root, stage=stage)))
        # Nothing of it has the stage.
        self.mount(root, stage=stage)

    def test_lookup(self):
        self.each(os.stat, self.point + "/dir/deep/deeper/inner")
        self.each(os.readlink, self.point + "/dir/link")
        self.each(os.stat, self.point + "/program")

    def test_a_name_that_is_not_there(self):
        def look():
            self.assertIn(errno_name(os.stat, self.point + "/dir/deep/missing"), ("ENOENT", "ENOMEM", "EFAULT"))

        self.each(look)

    def test_reading(self):
        def read():
            fd = os.open(self.point + "/dir/file", os.O_RDONLY)
            try:
                # Less, where the copy to us fails.
                if not b"content".startswith(os.pread(fd, 7, 700)):
                    raise AssertionError("something else was read")
            finally:
                os.close(fd)

        self.each(read)

    def test_mapping(self):
        def read():
            fd = os.open(self.point + "/dir/file", os.O_RDONLY)
            try:
                with mmap.mmap(fd, 7000, prot=mmap.PROT_READ) as mapping:
                    if mapping[:7] != b"content":
                        raise AssertionError("something else is mapped")
            finally:
                os.close(fd)

        self.each(read)

    def test_listing(self):
        def names():
            fd = os.open(self.point + "/dir", os.O_RDONLY)
            try:
                found = os.listdir(fd)
            finally:
                os.close(fd)
            if sorted(found) != ["deep", "file", "link", "staged"]:
                raise AssertionError("these are not all: %s" % found)

        write_file(self.point + "/dir/staged")
        self.each(names)

    def test_making(self):
        for path in (self.point + "/dir/new", self.point + "/new"):
            self.each(write_file, path, undo=lambda path=path: os.unlink(path), accepted=("ENOMEM", "ENOSPC", "EEXIST"),
                      before=lambda path=path: self.without(path))

    def without(self, path):
        """What failed at the end may have been made."""
        drop_caches()
        errno_name(os.unlink, path)

    def test_making_directories(self):
        self.each(os.mkdir, self.point + "/dir/deep/new", accepted=("ENOMEM", "ENOSPC"),
                  before=lambda: errno_name(os.rmdir, self.point + "/dir/deep/new"))
        self.assertEqual(sorted(os.listdir(self.point + "/dir/deep")), ["deeper", "new"])

    def test_mirrors(self):
        """The place in the stage of an input directory."""
        root = self.tree(self.TREE)

        def fresh():
            unmount(self.point)
            for name in os.listdir(self.stage):
                os.system("rm -rf %s/%s" % (self.stage, name))
            self.mount(root, self.point, stage=self.stage)
            os.stat(self.point + "/dir/deep/deeper")

        # Another try is made where the first has left off: on the same mount, with what is in the stage.
        new = self.point + "/dir/deep/deeper/new"
        self.each(os.mkdir, new, accepted=("ENOMEM", "ENOSPC"), before=fresh, again=lambda: errno_name(os.rmdir, new))
        self.assertEqual(os.listdir(self.stage), ["dir"])
        self.assertEqual(sorted(os.listdir(self.point + "/dir/deep/deeper")), ["inner", "new"])

    def test_names(self):
        source, target = self.point + "/dir/one", self.point + "/two"

        def back():
            drop_caches()
            errno_name(os.unlink, target)
            write_file(source)

        self.each(os.rename, source, target, before=back, accepted=("ENOMEM", "ENOSPC"))
        self.each(os.link, source, target, before=back, accepted=("ENOMEM", "ENOSPC"))
        self.each(os.symlink, source, target, before=back, accepted=("ENOMEM", "ENOSPC"))
        self.each(os.unlink, source, before=back)

    def test_unnamed(self):
        self.each(lambda: os.close(os.open(self.point + "/dir", os.O_TMPFILE | os.O_RDWR)), accepted=("ENOMEM", "ENOSPC"))

    def test_statistics(self):
        for path in ("/proc/actiondfs_stats", "/proc/self/mountstats"):
            fd = os.open(path, os.O_RDONLY)

            def read(fd=fd):
                os.lseek(fd, 0, os.SEEK_SET)
                while os.read(fd, 1 << 16):
                    pass

            self.each(read)
            os.close(fd)

    def test_attributes(self):
        self.each(os.getxattr, self.point + "/dir/file", "user.actiondfs.digest")
        self.each(os.statvfs, self.point)
        write_file(self.point + "/staged")
        self.each(os.chmod, self.point + "/staged", 0o600)


if __name__ == "__main__":
    main()
