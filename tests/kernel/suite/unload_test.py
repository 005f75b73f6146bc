#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What is used, unmounted and unloaded leaves nothing in the kernel: figures of the allocator after each of several rounds.

A leak grows with each round, and what caches keep for a while does not: each figure is allowed less than one object
for every second time that a thing was done. What the kernel itself keeps for a while was up to 16 objects of one size."""
import contextlib
import mmap
import os
import pathlib

from kit import (Context, Guest, MODULE, Refused, drop_caches, main, memory, read_file, run, unmount,
                 write_file)

TIMES, MOUNTS, ROUNDS, LOADS = 40, 20, 3, 60


def objects():
    """{cache: objects in use}. All files are open before the first is read: opening one takes objects, and a slab that
    a processor allocates from counts as full."""
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n", encoding="ascii")
    drop_caches()
    found = {}
    with contextlib.ExitStack() as stack:
        caches = {cache.name: [stack.enter_context(open(cache / name, mode, buffering=0))
                               for name, mode in (("shrink", "wb"), ("objects", "rb"))]
                  for cache in pathlib.Path("/sys/kernel/slab").iterdir() if not cache.is_symlink()}
        for name, (shrink, count) in caches.items():
            shrink.write(b"1")
            found[name] = int(count.read(4096).split()[0])
    return found


def settled():
    """Figures once what is freed by RCU and by workers in the background is gone: the least of several."""
    least = objects()
    for _ in range(5):
        os.sync()
        for name, count in objects().items():
            least[name] = min(count, least.get(name, count))
    return least, memory("Percpu"), memory("VmallocUsed")


class Unload(Guest):
    def setUp(self):
        super().setUp()
        if not os.path.isdir("/sys/kernel/slab"):
            self.skipTest("the kernel does not tell of its allocator's caches")
        self.root = self.store.make_tree({"d%d" % i: {"file": b"content %d" % i, "empty": b""} for i in range(TIMES)})
        self.broken = self.store.put(b"\x0a\xff")

    def reload(self):
        run("rmmod", "actiondfs")
        run("insmod", MODULE)

    def read(self, point):
        for i in range(TIMES):
            path = "%s/d%d/file" % (point, i)
            self.assertEqual(read_file(path), b"content %d" % i)
            with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapping:
                self.assertEqual(mapping[:], b"content %d" % i)
            os.getxattr(path, "user.actiondfs.digest")
            os.listdir(os.path.dirname(path))
            self.answers("ENOENT", os.stat, path + "s")
            self.answers("EROFS", os.unlink, path)

    def write(self, point):
        for i in range(TIMES):
            new = "%s/d%d/new" % (point, i)
            write_file(new, b"new")
            os.setxattr(new, "user.some", b"value")
            os.listxattr(new)
            os.link(new, new + "-linked")
            os.rename(new, new + "-renamed")
            os.symlink("file", new + "-link")
            os.readlink(new + "-link")
            os.mkdir(new + "-dir")
            os.rename(new + "-dir", "%s/moved%d" % (point, i))
            write_file("%s/moved%d/inner" % (point, i), b"inner")
            with open("%s/d%d/file" % (point, i), "rb") as source, open(new, "wb") as target:
                os.copy_file_range(source.fileno(), target.fileno(), 100)
            fd = os.open(os.path.dirname(new), os.O_TMPFILE | os.O_RDWR, 0o600)
            os.write(fd, b"x")
            os.close(fd)
            self.answers("EEXIST", os.mkdir, os.path.dirname(new))
            os.unlink(new)
            os.listdir(os.path.dirname(new))
            os.statvfs(new + "-link")

    def mount_and_fail(self):
        """Mounts that come to nothing, at each of the places where they can."""
        for _ in range(TIMES):
            with self.assertRaises(Refused):
                os.close(self.detached(self.root, verify="nonsense"))
            with self.assertRaises(Refused):
                os.close(self.detached(self.root, stage=self.store.path))
            with self.assertRaises(Refused), Context() as context:
                context.set("root", self.root[0])
                context.mount()
            with Context() as context:
                for key, value in self.options(self.root).items():
                    context.set(key, value)
            # Made, and never attached.
            os.close(self.detached(self.root))

    def use(self, stage):
        point = self.mount(self.root, stage=stage)
        self.read(point)
        self.write(point)
        # Another of the same stage is refused after its superblock was begun.
        for _ in range(TIMES):
            with self.assertRaises(Refused):
                os.close(self.detached(self.root, stage=stage))
        unmount(point)
        for i in range(MOUNTS):
            point = self.mount(self.root, verify=["none", "dirs"][i % 2], inodes=["path", "content"][i % 2])
            if i < 2:
                self.read(point)
            os.stat(point + "/d0/file")
            unmount(point)
        point = self.mount(self.broken)
        for _ in range(TIMES):
            self.answers("EUCLEAN", os.listdir, point)
        unmount(point)
        self.mount_and_fail()

    def assert_nothing_grows(self, before, after, allowed):
        # The checkers' own, of any object anywhere: what is kept for good has grown its own cache, too.
        # And what is read and written below: 7.3 keeps up to 256 bios of each kind for each processor.
        others = ("kmemleak_object", "debug_objects_cache", "bio-")
        grown = {name: (before[0].get(name, 0), count) for name, count in after[0].items()
                 if count - before[0].get(name, 0) >= allowed and not name.startswith(others)}
        self.assertEqual(grown, {})
        for kind, had, has in zip(("Percpu", "VmallocUsed"), before[1:], after[1:]):
            self.assertLess(has - had, 1 << 20, kind)

    def rounds(self, count, function):
        """What there is after the first few, and after `count` more."""
        for _ in range(2):
            function()
        before = settled()
        for _ in range(count):
            function()
        return before, settled()

    def test_after_use(self):
        def once():
            stage = self.scratch("stage")
            self.use(stage)
            run("rm", "-rf", stage)
            self.reload()

        self.assert_nothing_grows(*self.rounds(ROUNDS, once), ROUNDS * min(TIMES, MOUNTS) // 2)

    def test_loading_alone(self):
        self.assert_nothing_grows(*self.rounds(LOADS, self.reload), LOADS // 2)


if __name__ == "__main__":
    main()
