#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What may happen to a CAS below a mount: blobs go, change or lie; the file system goes; other mounts have another."""
import contextlib
import mmap
import os
import signal
import subprocess
import unittest

from kit import (Counted, Guest, LIBC, LayoutStore, checked, drop_caches, drop_pages, errno_name, in_child, main,
                 mount_counters, read_file, reapi, run, shut_down, unmount, wait_until, write_file)

MIB = 1 << 20
IN_OPEN = 0x20


class Holding(Guest):
    """What the module keeps open is nobody else's trouble."""

    def test_the_file_system_is_free_with_the_last_mount(self):
        """A mount of it may go earlier, as below overlayfs; then the file system itself ends with the last of ours."""
        for earlier in (False, True):
            with self.subTest(earlier=earlier):
                below, device = self.loop()
                alive = "/sys/fs/ext4/" + os.path.basename(device)
                store, stage = LayoutStore(below + "/cas"), below + "/stage"
                os.mkdir(stage)
                root = store.make_tree({"d": {"f%d" % i: b"%d" % i for i in range(100)}})
                points = [self.mount(root, store=store, stage=stage), self.mount(root, store=store)]
                for point in points:
                    for i in range(100):
                        self.assertEqual(read_file("%s/d/f%d" % (point, i)), b"%d" % i)
                write_file(points[0] + "/d/new")
                if earlier:
                    unmount(below)
                unmount(points[0])
                self.assertEqual(read_file(points[1] + "/d/f7"), b"7")
                self.assertTrue(os.path.exists(alive))
                unmount(points[1])
                if not earlier:
                    unmount(below)
                self.assertFalse(os.path.exists(alive))

    def test_a_deleted_blob_s_space_comes_back(self):
        for kind in ("tmpfs", "loop"):
            with self.subTest(kind=kind):
                below = self.tmpfs() if kind == "tmpfs" else self.loop()[0]
                store = LayoutStore(below + "/cas")
                root = store.make_tree({"keep": b"keep"})
                space = os.statvfs(below).f_bavail
                root = store.make_tree({"large": b"x" * (16 * MIB), "keep": b"keep"})
                point = self.mount(root, store=store)
                self.assertEqual(len(read_file(point + "/large")), 16 * MIB)
                digest = reapi.digest_of(b"x" * (16 * MIB))
                used = space - os.statvfs(below).f_bavail
                with open(point + "/large", "rb") as held:
                    os.unlink(store.blob_path(digest))
                    # Who has it open may go on.
                    drop_caches()
                    self.assertEqual(held.read(5), b"xxxxx")
                    held.seek(15 * MIB)
                    self.assertEqual(held.read(5), b"xxxxx")
                wait_until(lambda: space - os.statvfs(below).f_bavail < used // 8, "the space of the blob is free")
                self.answers("EIO", read_file, point + "/large")
                self.assertEqual(read_file(point + "/keep"), b"keep")

    def test_a_deleted_blob_that_comes_back(self):
        point = self.mount({"file": b"content"})
        self.assertEqual(read_file(point + "/file"), b"content")
        os.unlink(self.store.blob_path(reapi.digest_of(b"content")))
        self.answers("EIO", read_file, point + "/file")
        self.store.put(b"content")
        self.assertEqual(read_file(point + "/file"), b"content")

    def test_open_blobs_have_a_bound(self):
        parameter = "/sys/module/actiondfs/parameters/blob_cache_max"
        before = read_file(parameter)
        self.addCleanup(write_file, parameter, before, os.O_WRONLY)
        write_file(parameter, b"10", os.O_WRONLY)
        count = 200
        point = self.mount({"f%d" % i: b"bound %d" % i for i in range(count)})
        with Counted() as counted:
            for i in range(count):
                self.assertEqual(read_file("%s/f%d" % (point, i)), b"bound %d" % i)
        self.assertEqual(counted["blob_path_cache_inserts"], count)
        self.assertGreaterEqual(counted["blob_path_cache_evictions"], count - 40)
        for i in range(count):
            self.assertEqual(read_file("%s/f%d" % (point, i)), b"bound %d" % i)

    def test_dropping_caches_closes_them(self):
        count = 200
        point = self.mount({"f%d" % i: b"shrinker %d" % i for i in range(count)})

        def read_all():
            with Counted() as counted:
                for i in range(count):
                    self.assertEqual(read_file("%s/f%d" % (point, i)), b"shrinker %d" % i)
            return counted["blob_path_cache_inserts"], counted["blob_path_cache_evictions"]

        def dropped():
            drop_caches()
            return counted["blob_path_cache_evictions"] >= count

        with Counted() as counted:
            self.assertEqual(read_all(), (count, 0))
            # Who has it open is not disturbed.
            with open(point + "/f7", "rb") as held:
                wait_until(dropped, "all blobs are closed")
                self.assertEqual(held.read(), b"shrinker 7")
        # There were no others in it.
        self.assertEqual(counted["blob_path_cache_evictions"], count)
        self.assertEqual(read_all(), (count, 0))
        self.assertEqual(read_all(), (0, 0))


class Watching(Guest):
    @unittest.skipIf(tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 14), "opens cannot ask for no events")
    def test_who_watches_the_cas_and_the_stage(self):
        """What a mount opens there is no event: the user's file has those."""
        stage = self.scratch("stage")
        point = self.mount({"dir": {"file": b"watched"}}, stage=stage)
        watch = LIBC.inotify_init1(os.O_NONBLOCK)
        self.addCleanup(os.close, watch)
        places = [directory for directory, _, _ in os.walk(self.store.path)] + [stage]
        for place in places:
            checked(LIBC.inotify_add_watch(watch, os.fsencode(place), IN_OPEN), "inotify_add_watch")
        self.assertEqual(read_file(point + "/dir/file"), b"watched")
        write_file(point + "/new")
        self.assertEqual(sorted(os.listdir(point)), ["dir", "new"])
        self.answers("EAGAIN", os.read, watch, 4096)
        read_file(self.store.blob_path(reapi.digest_of(b"watched")))
        self.assertGreater(len(os.read(watch, 4096)), 0)


class Changing(Guest):
    def blob(self, data):
        return self.store.blob_path(reapi.digest_of(data))

    def test_replaced_by_the_same(self):
        point = self.mount({"file": b"content" * 1000})
        with open(point + "/file", "rb") as held:
            self.assertEqual(held.read(7), b"content")
            for _ in range(10):
                self.store.lie(reapi.digest_of(b"content" * 1000), b"content" * 1000)
                drop_pages(self.blob(b"content" * 1000))
                self.assertEqual(read_file(point + "/file"), b"content" * 1000)
            held.seek(0)
            self.assertEqual(held.read(), b"content" * 1000)
        self.assertEqual(mount_counters(point)["backing_read_stale_retries"], 0)

    def test_truncated(self):
        data = b"content" * 10000
        for length in (0, 1, 5000, len(data) - 1):
            with self.subTest(length=length):
                point = self.mount({"file": data, "other": b"other"}, stage=self.scratch("stage"))
                with open(point + "/file", "rb", buffering=0) as held:
                    self.assertEqual(held.read(7), b"content")
                    os.truncate(self.blob(data), length)
                    self.answers("EIO", os.pread, held.fileno(), 100, length)
                    self.answers("EIO", os.pread, held.fileno(), 100, len(data) - 1)
                    self.answers("OK", os.pread, held.fileno(), 100, len(data))
                    reader, writer = os.pipe()
                    self.answers("EIO", os.splice, held.fileno(), writer, 100, length)
                    os.close(reader)
                    os.close(writer)
                    with open(point + "/copy", "wb") as copy:
                        self.answers("EIO", os.copy_file_range, held.fileno(), copy.fileno(), 100, length)
                self.answers("EIO", os.open, point + "/file", os.O_RDONLY)
                self.assertEqual(os.stat(point + "/file").st_size, len(data))
                self.assertEqual(read_file(point + "/other"), b"other")
                unmount(point)
                self.store.lie(reapi.digest_of(data), data)

    def test_truncated_while_it_is_mapped(self):
        """As with any file that is cut: a signal."""
        data = b"content" * 10000
        point = self.mount({"file": data})

        def touch():
            signal.signal(signal.SIGBUS, signal.SIG_DFL)
            with open(point + "/file", "rb") as file:
                mapping = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ)
            os.truncate(self.blob(data), mmap.PAGESIZE)
            return mapping[2 * mmap.PAGESIZE]

        with self.assertRaisesRegex(RuntimeError, "ended with %d" % signal.SIGBUS):
            in_child(touch)

    def test_longer(self):
        point = self.mount({"file": b"content"})
        self.store.lie(reapi.digest_of(b"content"), b"content and more")
        self.answers("EIO", read_file, point + "/file")

    def test_growing_while_it_is_open(self):
        data = b"content" * 10000
        point = self.mount({"file": data})
        with open(point + "/file", "rb", buffering=0) as held:
            self.assertEqual(held.read(7), b"content")
            with open(self.blob(data), "ab") as blob:
                blob.write(b"more" * 10000)
            self.assertEqual(os.pread(held.fileno(), 2 * len(data), 0), data)
            self.assertEqual(os.pread(held.fileno(), 100, len(data) - 7), b"content")
            self.assertEqual(os.preadv(held.fileno(), [bytearray(10), bytearray(10)], len(data) - 7), 7)
            self.assertEqual(os.pread(held.fileno(), 100, len(data)), b"")
            held.seek(0)
            self.assertEqual(held.read(), data)
            reader, writer = os.pipe()
            self.assertEqual(os.splice(held.fileno(), writer, 4096, len(data) - 7), 7)
            self.assertEqual(os.read(reader, 4096), b"content")
            self.assertEqual(os.splice(held.fileno(), writer, 4096, len(data)), 0)
            os.close(reader)
            os.close(writer)
        self.answers("EIO", os.open, point + "/file", os.O_RDONLY)

    def test_not_a_file(self):
        point = self.mount({"file": b"content"})
        path = self.blob(b"content")
        for make in (os.mkdir, os.mkfifo, lambda path: os.symlink("/etc/passwd", path)):
            run("rm", "-rf", path)
            make(path)
            self.answers("EIO", os.open, point + "/file", os.O_RDONLY)

    def test_a_link_on_the_way(self):
        point = self.mount({"file": b"content"})
        shard = os.path.dirname(self.blob(b"content"))
        os.rename(shard, self.directory + "/moved")
        os.symlink(self.directory + "/moved", shard)
        self.answers("EIO", os.open, point + "/file", os.O_RDONLY)


class Several(Guest):
    def test_each_mount_has_its_own_blobs(self):
        """Of one digest, but nobody hashes files."""
        stores = [self.store, self.new_store("other")]
        roots = [store.make_tree({"file": b"content", "dir": {"more": b"content"}}) for store in stores]
        stores[1].lie(reapi.digest_of(b"content"), b"CONTENT")
        points = [self.mount(root, store=store) for root, store in zip(roots, stores)]
        for _ in range(3):
            for point, expected in zip(points, (b"content", b"CONTENT")):
                self.assertEqual(read_file(point + "/file"), expected)
                self.assertEqual(read_file(point + "/dir/more"), expected)
        unmount(points[0])
        self.assertEqual(read_file(points[1] + "/file"), b"CONTENT")
        again = self.mount(roots[0])
        self.assertEqual(read_file(again + "/file"), b"content")

    def test_whose_space_statfs_tells(self):
        root, tmpfs = self.tree({"file": b"content"}), self.tmpfs()
        for point, below in ((self.mount(root), self.store.path), (self.mount(root, stage=tmpfs), tmpfs)):
            self.assertEqual(os.statvfs(point).f_blocks, os.statvfs(below).f_blocks)
        self.assertNotEqual(os.statvfs(tmpfs).f_blocks, os.statvfs(self.store.path).f_blocks)

    def lying(self):
        """A store in which a Directory has other names than its digest says: (store, digest, honest, lie)."""
        honest, lie = {"names": {"honest": b"x"}}, {"names": {"lying!": b"x"}}
        store = self.new_store("lying")
        root, wrong = self.store.make_tree(honest), store.make_tree(lie)
        inner = self.store.make_tree(honest["names"])
        data = read_file(store.blob_path(store.make_tree(lie["names"])))
        self.assertEqual(len(data), inner[1])
        store.put(read_file(self.store.blob_path(root)))
        store.lie(inner, data)
        self.assertNotEqual(root, wrong)
        return store, root

    def test_what_was_not_verified_is_not_used_by_others(self):
        store, root = self.lying()
        for order in ("lie first", "honest first"):
            with self.subTest(order=order):
                drop_caches()
                lying = self.mount(root, store=store, verify="none")
                honest = self.mount(root)
                first, second = (lying, honest) if order == "lie first" else (honest, lying)
                for point in (first, second, first):
                    self.assertEqual(os.listdir(point + "/names"), ["lying!" if point == lying else "honest"])
                # Nor by another that does not want it verified, of the honest store.
                third = self.mount(root, verify="none")
                self.assertEqual(os.listdir(third + "/names"), ["honest"])
                for point in (lying, honest, third):
                    unmount(point)

    def test_a_lie_is_refused(self):
        store, root = self.lying()
        drop_caches()
        drop_caches()
        point = self.mount(root, store=store)
        self.assertEqual(os.listdir(point), ["names"])
        self.answers("EUCLEAN", os.listdir, point + "/names")

    def test_what_was_not_verified_goes_with_its_mount(self):
        root = self.tree({"names": {"file": b"x"}})
        for _ in range(2):
            point = self.mount(root, verify="none")
            with Counted(point) as counted:
                os.listdir(point + "/names")
            self.assertEqual(counted["directory_blob_reads"], 2)
            unmount(point)


class Going(Guest):
    """The CAS' file system goes away below the mount."""

    TREE = {"dir": {"read": b"r" * 100000, "unread": b"u" * 100000}, "other": {"file": b"o"}}

    def check(self, point, below, stage):
        """Everything ends, nothing with ENOENT, and the mount can be undone."""
        drop_caches()
        for name in ("dir/unread", "dir/read"):
            self.assertIn(errno_name(read_file, point + "/" + name), ("EIO", "OK"), name)
        self.answers("EIO", read_file, point + "/dir/unread")
        self.answers("EIO", os.listdir, point + "/other")
        self.assertEqual(sorted(os.listdir(point + "/dir")), ["read", "unread"])
        write_file(point + "/dir/new", b"the stage is elsewhere")
        self.assertEqual(read_file(stage + "/dir/new"), b"the stage is elsewhere")
        os.close(self.used)
        unmount(point)
        unmount(below)

    def prepared(self, below):
        store, stage = LayoutStore(below + "/cas"), self.scratch("stage")
        root = store.make_tree(self.TREE)
        os.sync()
        point = self.mount(root, store=store, stage=stage)
        self.assertEqual(len(read_file(point + "/dir/read")), 100000)
        # What is in use stays in memory.
        self.used = os.open(point + "/dir", os.O_RDONLY)
        return store, stage, point

    def test_shut_down(self):
        below, _ = self.loop()
        store, stage, point = self.prepared(below)
        drop_pages(store.blob_path(reapi.digest_of(self.TREE["dir"]["unread"])))
        drop_pages(store.blob_path(self.store.make_tree(self.TREE["other"])))
        shut_down(below)
        self.check(point, below, stage)

    def test_the_disk_fails(self):
        below, device = self.loop()
        unmount(below)
        sectors = run("blockdev", "--getsz", device).strip()
        if subprocess.run(["dmsetup", "version"], capture_output=True).returncode != 0:
            self.skipTest("no device mapper in this kernel")
        name = "actiondfs-%d" % os.getpid()
        run("dmsetup", "create", name, "--noudevsync", "--noudevrules", "--verifyudev", "--table",
            "0 %s linear %s 0" % (sectors, device))
        self.addCleanup(run, "dmsetup", "remove", "--noudevsync", "--noudevrules", "--retry", name)
        run("mount", "-t", "ext4", "/dev/mapper/" + name, below)
        self.addCleanup(self.unmount_if_there, below)
        store, stage, point = self.prepared(below)
        for digest in (reapi.digest_of(self.TREE["dir"]["unread"]), self.store.make_tree(self.TREE["other"])):
            drop_pages(store.blob_path(digest))
        run("dmsetup", "suspend", "--noudevsync", name)
        run("dmsetup", "load", name, "--table", "0 %s error" % sectors)
        run("dmsetup", "resume", "--noudevsync", "--noudevrules", name)
        self.check(point, below, stage)

    def test_while_it_is_read(self):
        below, _ = self.loop()
        store, stage, point = self.prepared(below)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            code = "OK"
            try:
                os.close(reader)
                with open(point + "/dir/unread", "rb", buffering=0) as file:
                    os.write(writer, b"x")
                    blob = store.blob_path(reapi.digest_of(self.TREE["dir"]["unread"]))
                    while code == "OK":
                        with contextlib.suppress(OSError):
                            drop_pages(blob)
                        code = errno_name(os.pread, file.fileno(), 4096, 0)
            finally:
                os._exit(0 if code == "EIO" else 1)
        os.close(writer)
        os.read(reader, 1)
        shut_down(below)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        os.close(reader)
        os.close(self.used)
        unmount(point)
        unmount(below)


if __name__ == "__main__":
    main()
