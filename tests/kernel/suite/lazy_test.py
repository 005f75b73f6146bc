#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Nothing is read or allocated before somebody looks, and all of it is given back."""
import os
import pathlib

from kit import (Counted, Guest, counters, drop_caches, in_parallel, main, memory, mount_counters, read_file, reapi,
                 scaled, slab, unmount, wait_until, write_file)

FILES = 100  # in each directory
DIRECTORIES = scaled(10000)


def inodes():
    """Inodes of the module in memory: (at most so many, how far that can be off: what the allocator has in advance)."""
    if os.path.exists("/sys/kernel/slab/actiondfs_inode/shrink"):
        pathlib.Path("/sys/kernel/slab/actiondfs_inode/shrink").write_text("1\n", encoding="ascii")
    return slab("actiondfs_inode")


class NothingAtMount(Guest):
    def test_no_blob_is_read(self):
        root = self.tree({"dir": {"file": b"content"}})
        with Counted() as counted:
            point = self.mount(root, stage=self.scratch("stage"))
        for name in ("directory_blob_reads", "cached_dir_requests", "dir_loads", "blob_open_attempts", "lookups"):
            self.assertEqual(counted[name], 0, name)
        self.assertEqual(counted["mounts"], 1)
        unmount(point)
        self.assertEqual(counters()["directory_blob_reads"], counted.before["directory_blob_reads"])

    def test_a_missing_root_can_be_mounted(self):
        point = self.mount(("ab" * 32, 1234), stage=self.scratch("stage"))
        self.answers("EIO", os.listdir, point)
        self.answers("EIO", os.stat, point + "/name")
        self.answers("EIO", write_file, point + "/name")

    def test_a_missing_root_that_comes_later(self):
        digest = reapi.digest_of(b"")
        data = reapi.directory([(b"late", reapi.file_node(b"late", digest, False))], [], [])
        point = self.mount(reapi.digest_of(data))
        self.answers("EIO", os.listdir, point)
        self.store.put(data)
        self.assertEqual(os.listdir(point), ["late"])

    def test_a_broken_root_can_be_mounted(self):
        point = self.mount(self.store.put(b"this is no Directory"))
        self.answers("EUCLEAN", os.listdir, point)

    def test_what_is_read(self):
        # Of this test alone: what was read for another may be used again.
        root = self.tree({"a": {"b": {"file": b"content", "mark b": b""}, "c": {"mark c": b""}, "mark a": b""}, "top": b"top"})
        point = self.mount(root)
        with Counted(point) as counted:
            os.stat(point)
        self.assertEqual(counted["directory_blob_reads"], 1)
        with Counted(point) as counted:
            os.stat(point + "/top")
        self.assertEqual((counted["directory_blob_reads"], counted["blob_open_attempts"]), (0, 0))
        with Counted(point) as counted:
            os.stat(point + "/a/b/file")
        self.assertEqual((counted["directory_blob_reads"], counted["blob_open_attempts"]), (2, 0))
        with Counted(point) as counted:
            self.assertEqual(read_file(point + "/a/b/file"), b"content")
        self.assertEqual((counted["directory_blob_reads"], counted["blob_open_attempts"]), (0, 1))
        self.assertEqual(counted["backing_read_bytes"], len(b"content"))
        with Counted(point) as counted:
            self.assertEqual(sorted(os.listdir(point + "/a")), ["b", "c", "mark a"])
        self.assertEqual((counted["directory_blob_reads"], counted["blob_open_attempts"]), (0, 0))

    def test_a_walk_that_ends_at_a_directory(self):
        point = self.mount(self.tree({"end": {"mark": self.id().encode()}, self.id(): b""}))
        with Counted(point) as counted:
            os.close(os.open(point + "/end", os.O_PATH))
        self.assertEqual((counted["directory_blob_reads"], counted["dir_loads"]), (1, 1))

    def test_a_second_mount_reads_no_directory_again(self):
        root = self.tree({"second": {"file": b"content"}})
        first, second = self.mount(root), self.mount(root)
        read_file(first + "/second/file")
        with Counted(second) as counted:
            read_file(second + "/second/file")
        self.assertEqual((counted["directory_blob_reads"], counted["dir_cache_hits"], counted["blob_path_cache_hits"]), (0, 2, 1))
        unmount(first)
        unmount(second)
        third = self.mount(root)
        with Counted(third) as counted:
            os.listdir(third + "/second")
        self.assertEqual((counted["directory_blob_reads"], counted["dir_cache_hits"]), (0, 2))


class LargeTree(Guest):
    def setUp(self):
        super().setUp()
        self.blob = self.store.put(b"the same for all")
        names = [b"f%06d" % i for i in range(FILES)]
        self.inner = self.store.put(reapi.directory([(name, reapi.file_node(name, self.blob, False)) for name in names], [], []))
        names = [b"d%05d" % i for i in range(DIRECTORIES)]
        self.root = self.store.put(reapi.directory([], [(name, reapi.directory_node(name, self.inner)) for name in names], []))
        drop_caches()

    def test_touching_one_file(self):
        """DIRECTORIES * FILES files: a million."""
        before, per_slab = inodes()
        point = self.mount(self.root)
        slab_before = memory("Slab")
        self.assertEqual(read_file("%s/d%05d/f%06d" % (point, DIRECTORIES // 2, FILES // 2)), b"the same for all")
        self.assertEqual(mount_counters(point)["lookups"], 2)
        self.assertEqual(mount_counters(point)["directory_blob_reads"], 2)
        # Root, directory and file; the allocator takes whole slabs.
        now, per_slab = inodes()
        self.assertLessEqual(now - before, 2 * per_slab)
        # The root's own Directory is of the cache's, and as large as it is.
        self.assertLess(memory("Slab") - slab_before, self.root[1] + (1 << 20))
        # Reading names makes no inodes either.
        os.listdir(point)
        self.assertLessEqual(inodes()[0] - before, 2 * per_slab)

    def test_unmounting_gives_everything_back(self):
        before, _ = inodes()
        for _ in range(3):
            point = self.mount(self.root, stage=self.scratch("stage"))
            for i in range(scaled(50)):
                directory = "%s/d%05d" % (point, i)
                for entry in os.scandir(directory):
                    entry.stat()
                write_file(directory + "/new")
            self.assertGreater(inodes()[0], before + scaled(50) * FILES)
            self.assertEqual(read_file(directory + "/f000000"), b"the same for all")
            unmount(point)
            # Inodes are freed after a grace period of RCU.
            wait_until(lambda: inodes()[0] <= before, "the inodes are freed: %s of %d" % (inodes(), before))

    def test_dropping_caches_gives_inodes_back(self):
        point = self.mount(self.root)
        before, per_slab = inodes()
        for entry in os.scandir(point + "/d00000"):
            entry.stat()
        self.assertGreaterEqual(inodes()[0], before + FILES - per_slab)
        fd = os.open(point + "/d00001/f000001", os.O_RDONLY)

        def dropped():
            drop_caches()
            return inodes()[0] <= before + per_slab

        wait_until(dropped, "inodes nobody uses are freed")
        self.assertEqual(os.read(fd, 100), b"the same for all")
        os.close(fd)


class DirectoryCache(Guest):
    COUNT = 64

    def test_dropping_caches_shrinks_it(self):
        """Seen by what a mount afterwards has to read again, and by the memory."""
        def names(i):
            return [b"%03d.%s.%d" % (i, b"x" * 200, j) for j in range(200)]

        blob = self.store.put(b"")
        inner = [self.store.put(reapi.directory([(name, reapi.file_node(name, blob, False)) for name in names(i)], [], []))
                 for i in range(self.COUNT)]
        root = self.store.put(reapi.directory([], [(b"%03d" % i, reapi.directory_node(b"%03d" % i, digest))
                                                   for i, digest in enumerate(inner)], []))

        def walk():
            point = self.mount(root)
            for name in os.listdir(point):
                os.listdir(os.path.join(point, name))
            found = mount_counters(point)
            self.assertEqual(found["cached_dir_requests"], self.COUNT + 1)
            unmount(point)
            return found

        first = walk()
        self.assertEqual(first["directory_blob_reads"], self.COUNT + 1)
        self.assertEqual(walk()["directory_blob_reads"], 0)

        def dropped():
            drop_caches()
            return walk()["directory_blob_reads"] == self.COUNT + 1

        wait_until(dropped, "the cache is empty after drop_caches")

    def test_what_is_in_use_stays(self):
        point = self.mount({"used": {"file": b"in use"}})
        os.listdir(point + "/used")
        directory = os.open(point + "/used", os.O_RDONLY)
        for _ in range(4):
            drop_caches()
        with Counted(point) as counted:
            self.assertEqual(os.listdir(directory), ["file"])
            self.assertEqual(os.listdir(point + "/used"), ["file"])
        os.close(directory)
        self.assertEqual(counted["directory_blob_reads"], 0)

    def test_a_control_group_gets_its_own_back(self):
        """Directories are accounted to who read them first, and nobody else's memory is short: without a way to free
        them from there, the group would be out of memory while all that it has is a cache."""
        limit, count = 48 << 20, 64
        self.set_bound(1 << 30)
        blob = self.store.put(b"")

        def files(names):
            return reapi.directory([(name, reapi.file_node(name, blob, False)) for name in names], [], [])

        # 2 MiB each; only the first name is another one.
        common = files([b"x" * 240 + b"%04d" % i for i in range(6000)])
        inner = [self.store.put(files([b"%03d" % i]) + common) for i in range(count)]
        root = self.store.put(reapi.directory([], [(b"%03d" % i, reapi.directory_node(b"%03d" % i, digest))
                                                   for i, digest in enumerate(inner)], []))
        group = pathlib.Path("/sys/fs/cgroup/directories")
        group.mkdir()
        self.addCleanup(group.rmdir)
        (group / "memory.max").write_text("%d" % limit, encoding="ascii")

        def walk(_):
            (group / "cgroup.procs").write_text("%d" % os.getpid(), encoding="ascii")
            for _ in range(2):
                point = self.mount(root)
                for name in os.listdir(point):
                    with os.scandir(os.path.join(point, name)) as entries:
                        next(entries)
                unmount(point)

        with Counted() as counted:
            in_parallel(1, walk)
        self.assertGreater(counted["directory_blob_bytes"], 2 * limit)
        events = dict(line.split() for line in (group / "memory.events").read_text(encoding="ascii").splitlines())
        self.assertGreater(int(events["max"]), 0)
        self.assertEqual((events["oom"], events["oom_kill"]), ("0", "0"))

    def set_bound(self, size):
        parameter = pathlib.Path("/sys/module/actiondfs/parameters/dir_cache_max")
        before = parameter.read_text(encoding="ascii")
        self.addCleanup(parameter.write_text, before, encoding="ascii")
        parameter.write_text("%d" % size, encoding="ascii")

    def test_its_bound(self):
        self.set_bound(0)
        trees = [self.tree({"bound%d" % i: b"x"}) for i in range(100)]
        for _ in range(2):
            for root in trees:
                point = self.mount(root)
                os.listdir(point)
                unmount(point)
        # With no room at all the trees of the first round are not there for the second.
        with Counted() as counted:
            for root in trees[:50]:
                point = self.mount(root)
                os.listdir(point)
                unmount(point)
        self.assertGreater(counted["directory_blob_reads"], 40)


if __name__ == "__main__":
    main()
