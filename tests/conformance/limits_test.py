# SPDX-License-Identifier: Apache-2.0
"""Where things get large: directories, depth, files; and where they end: a full stage, a limit on file size."""
import os
import random
import resource
import signal
import subprocess

from calls import errno_name, getdents, in_child, read_file, touch, write_file
from store import Raw, reapi
from workspace import WithReference, Workspace, main, variants

MANY = 10000
DEPTH = 1500
TIB = 1 << 40


@variants("readonly", "strict", "overlay", users=("root",))
class LargeDirectory(Workspace):
    tree = {"large": {"n%05d" % i: b"same" for i in range(MANY)}}

    def test_each_name_once(self):
        found = os.listdir(self.path("large"))
        self.assertEqual(len(found), MANY)
        self.assertEqual(set(found), set(self.tree["large"]))

    def test_seeking(self):
        fd = self.open("large")
        offsets = []
        while entries := getdents(fd, 1 << 16):
            offsets += [(entry[1], entry[3]) for entry in entries]
        choose = random.Random(1)
        for at in sorted(choose.sample(range(MANY), 20)) + [0, MANY - 1]:
            os.lseek(fd, offsets[at][0], os.SEEK_SET)
            self.assertEqual(getdents(fd, 1024)[0][3], offsets[at + 1][1])

    def test_lookups(self):
        choose = random.Random(2)
        for i in choose.sample(range(MANY), 200):
            self.assertEqual(os.stat(self.path("large/n%05d" % i)).st_size, 4)
            self.answers("ENOENT", os.stat, self.path("large/n%05dx" % i))

    def test_removing_what_is_staged_between(self):
        if self.mode == "readonly":
            self.answers("EROFS", touch, self.path("large/s"))
            return
        self.fill("large", 1000, "n%05d.new")
        fd = self.open("large")
        left = 0
        while entries := getdents(fd, 1 << 15):
            for entry in entries:
                if entry[3].endswith(b".new"):
                    os.unlink(self.path("large", entry[3].decode()))
                elif entry[3] not in (b".", b".."):
                    left += 1
        self.assertEqual(left, MANY)
        self.assertEqual(set(os.listdir(self.path("large"))), set(self.tree["large"]))


@variants("readonly", "strict", users=("root",))
class DeepTree(Workspace):
    """A path of 1,500 input directories, below each a file."""

    def prepare(self):
        digest = self.store.make_tree({"f": b"bottom"})
        for _ in range(DEPTH):
            digest = self.store.make_tree({"d": Raw(digest), "f": b"above"})
        self.unmount(self.point)
        self.point = self.mount(digest)

    def test_the_bottom(self):
        bottom = self.path("/".join(["d"] * DEPTH))
        self.assertEqual(read_file(os.path.join(bottom, "f")), b"bottom")
        if self.mode == "strict":
            os.mkdir(os.path.join(bottom, "new"))
            write_file(os.path.join(bottom, "new/file"), b"made")
            self.assertEqual(sorted(os.listdir(bottom)), ["f", "new"])
            os.rename(os.path.join(bottom, "new"), self.path("new"))
            self.assertEqual(read_file(self.path("new/file")), b"made")
        else:
            self.answers("EROFS", os.mkdir, os.path.join(bottom, "new"))

    def test_walking(self):
        done = subprocess.run(["find", ".", "-name", "f"], cwd=self.point, capture_output=True, check=True)
        self.assertEqual(done.stdout.count(b"\n"), DEPTH + 1)


@variants("readonly", "strict", users=("root",))
class HugeInput(Workspace):
    """A blob of 1 TiB, all hole but its ends."""

    def prepare(self):
        digest = ("%064x" % 0xb16, TIB)  # nobody hashes files
        path = self.store.blob_path(digest)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        fd = os.open(path, os.O_CREAT | os.O_WRONLY, 0o444)
        self.addCleanup(os.unlink, path)
        try:
            os.ftruncate(fd, TIB)
        except OSError:
            self.skipTest("this file system has no files of that size")
        os.pwrite(fd, b"start", 0)
        os.pwrite(fd, b"end", TIB - 3)
        os.close(fd)
        root = self.store.put(reapi.directory([(b"huge", reapi.file_node(b"huge", digest, False))], [], []))
        self.unmount(self.point)
        self.point = self.mount(root)

    def test_it_is_read_at_both_ends(self):
        fd = self.open("huge")
        self.assertEqual((os.fstat(fd).st_size, os.fstat(fd).st_blocks), (TIB, TIB // 512))
        self.assertEqual((os.pread(fd, 5, 0), os.pread(fd, 9, TIB - 3), os.pread(fd, 4, TIB // 2)),
                         (b"start", b"end", b"\0\0\0\0"))
        self.assertGreater(os.lseek(fd, 1 << 30, os.SEEK_DATA), TIB - (1 << 20))


@variants("strict", "overlay", users=("root",))
class FullStage(Workspace):
    tree = {"file": b"input\n", "dir": {"deep": b"d"}}

    def setUp(self):
        super().setUp()
        self.unmount(self.point)
        stage = self.scratch("full")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,nr_inodes=40", "tmpfs", stage], check=True)
        # Lazily: the FUSE server lets go of it a moment after the mount.
        self.addCleanup(subprocess.run, ["umount", "-l", stage], check=True)
        self.point = self.mount(self.tree, stage=stage)

    def test_without_space(self):
        fd = self.open("big", os.O_CREAT | os.O_WRONLY)
        written = 0
        code = "OK"
        while code == "OK" and written < 1 << 20:
            code = errno_name(os.write, fd, b"x" * 4096)
            written += 4096
        self.assertEqual(code, "ENOSPC")
        self.assertEqual(read_file(self.path("file")), b"input\n")
        os.unlink(self.path("big"))
        os.ftruncate(fd, 0)
        self.new("small", b"fits again")
        self.assertEqual(read_file(self.path("small")), b"fits again")

    def test_without_inodes(self):
        codes = [errno_name(touch, self.path("f%d" % i)) for i in range(60)]
        self.assertEqual(sorted(set(codes)), ["ENOSPC", "OK"])
        self.answers("ENOSPC", os.mkdir, self.path("d"))
        self.answers("ENOSPC", os.mkdir, self.path("dir/d"))
        self.answers("ENOSPC", os.symlink, "x", self.path("s"))
        made = [name for name in os.listdir(self.point) if name.startswith("f") and name != "file"]
        self.assertEqual(len(made), codes.count("OK"))
        self.assertEqual(read_file(self.path("dir/deep")), b"d")


@variants("strict", "overlay", "plain")
class Limits(WithReference):
    tree = {"file": b"input\n"}

    def test_the_size_a_process_may_write(self):
        def write_too_much(directory):
            path = os.path.join(directory, "f")

            def child():
                resource.setrlimit(resource.RLIMIT_FSIZE, (10000, 10000))
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                fd = os.open(path, os.O_CREAT | os.O_RDWR)
                return [os.write(fd, b"x" * 8192), os.write(fd, b"x" * 8192), errno_name(os.write, fd, b"x"),
                        errno_name(os.ftruncate, fd, 10001), errno_name(os.ftruncate, fd, 9999), os.fstat(fd).st_size,
                        errno_name(os.posix_fallocate, fd, 0, 20000)]

            outcome = in_child(child)
            return outcome, os.stat(path).st_size

        self.as_reference(write_too_much)

    def test_the_largest_file(self):
        def largest(directory):
            fd = os.open(os.path.join(directory, "f"), os.O_CREAT | os.O_RDWR)
            codes = [errno_name(os.ftruncate, fd, 1 << bit) for bit in (40, 44, 62)]
            codes += [errno_name(os.pwrite, fd, b"x", 1 << bit) for bit in (40, 62)]
            os.close(fd)
            return codes

        def seek(directory):
            fd = os.open(os.path.join(directory, "f"), os.O_RDONLY)
            code = errno_name(os.lseek, fd, 1 << 62, os.SEEK_SET)
            os.close(fd)
            return code

        self.as_reference(largest)
        self.as_reference(seek, differs="seek beyond the largest file")

    def test_open_files(self):
        for i in range(500):
            touch(self.path("f%d" % i))
        descriptors = [os.open(self.path("f%d" % i), os.O_RDWR) for i in range(500)]
        for i, fd in enumerate(descriptors):
            os.write(fd, b"%d" % i)
        for i, fd in enumerate(descriptors):
            self.assertEqual(os.pread(fd, 9, 0), b"%d" % i)
            os.close(fd)


if __name__ == "__main__":
    main()
