#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Statistics: never less, one mount's apart from another's, and the sum of all in /proc."""
import mmap
import os
import pathlib

from counters_test import NAMES
from kit import (Counted, Guest, Link, children, counters, drop_caches, errno_name, main, mount_counters, read_file, run,
                 scaled, unmount, write_file)

# What the caches do on no mount's behalf.
OF_THE_MODULE = ("blob_path_cache_evictions",)


class Statistics(Guest):
    TREE = {"dir": {"file": b"statistics" * 1000, "link": Link("file")}, "top": b"top"}

    def use(self, point, staged=True):
        """Something of everything."""
        os.listdir(point)
        os.listdir(point + "/dir")
        read_file(point + "/dir/file")
        errno_name(os.stat, point + "/missing")
        with open(point + "/dir/file", "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapping:
            self.assertEqual(mapping[:10], b"statistics")
            reader, writer = os.pipe()
            os.splice(file.fileno(), writer, 100, 0)
            os.close(reader)
            os.close(writer)
        if not staged:
            return
        write_file(point + "/dir/new", b"n" * 100)
        os.mkdir(point + "/dir/made")
        os.rename(point + "/dir/new", point + "/dir/made/renamed")
        read_file(point + "/dir/made/renamed")
        os.truncate(point + "/dir/made/renamed", 10)
        with open(point + "/dir/file", "rb") as one, open(point + "/copy", "wb") as other:
            os.copy_file_range(one.fileno(), other.fileno(), 50)
        os.listdir(point + "/dir/made")
        os.unlink(point + "/dir/made/renamed")
        os.rmdir(point + "/dir/made")

    def test_what_is_counted(self):
        point = self.mount(self.TREE, stage=self.scratch("stage"))
        self.use(point)
        found = mount_counters(point)
        exactly = {"mounts": 1, "root_dir_parses": 1, "blob_open_attempts": 3, "node_blob_cache_misses": 1,
                   "node_blob_cache_hits": 2, "backing_read_bytes": 10000, "mmaps": 1, "splice_reads": 1, "splice_read_bytes": 100,
                   "stage_mkdir_calls": 1, "stage_mkdir_success": 1, "stage_create_calls": 2, "stage_create_success": 2,
                   "stage_rename_calls": 1, "stage_rename_success": 1, "stage_unlink_calls": 1, "stage_unlink_success": 1,
                   "stage_rmdir_calls": 1, "stage_rmdir_success": 1, "stage_write_bytes": 100, "stage_read_bytes": 100,
                   "stage_setattr_size_calls": 1, "stage_setattr_size_success": 1, "stage_ensure_dir_created": 1,
                   "stage_copy_file_range_attempts": 1, "stage_copy_file_range_bytes": 50}
        self.assertEqual({name: found[name] for name in exactly}, exactly)
        for name in NAMES:
            if name.endswith(("failures", "errors", "retries")):
                self.assertEqual(found[name], 0, name)
        self.assertEqual(found["lookups"], found["lookup_hits"] + found["lookup_negative"])

    def test_failures_are_counted(self):
        point = self.mount(self.TREE, stage=self.scratch("stage"))
        with Counted(point) as counted:
            self.answers("EROFS", os.unlink, point + "/top")
            self.answers("EROFS", os.rename, point + "/top", point + "/other")
            self.answers("EROFS", os.rmdir, point + "/dir")
        self.assertEqual([counted["stage_%s_failures" % name] for name in ("unlink", "rename", "rmdir")], [1, 1, 1])

    def test_never_less(self):
        last = counters()
        for _ in range(5):
            point = self.mount(self.TREE, stage=self.scratch("stage"))
            self.use(point)
            for step in (lambda: None, lambda point=point: unmount(point), drop_caches):
                step()
                now = counters()
                self.assertEqual({name: (last[name], now[name]) for name in NAMES if now[name] < last[name]}, {})
                last = now

    def test_never_less_while_mounts_go(self):
        """A reader never sees a moment at which a mount's figures are in neither sum."""
        root = self.tree(self.TREE)
        points = [self.mount(root) for _ in range(scaled(50))]
        for point in points:
            self.use(point, staged=False)

        def leave(_):
            for point in points:
                unmount(point)

        last = counters()
        with children(1, leave) as pids:
            while os.waitid(os.P_PID, pids[0], os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                now = counters()
                self.assertEqual([name for name in NAMES if now[name] < last[name]], [])
                last = now
        self.assertEqual([name for name in NAMES if counters()[name] < last[name]], [])

    def test_the_sum_of_the_mounts(self):
        with Counted() as total:
            points = [self.mount(self.TREE, stage=self.scratch("stage")) for _ in range(3)]
            for i, point in enumerate(points):
                for _ in range(i + 1):
                    self.use(point)
        each = [mount_counters(point) for point in points]
        for name in NAMES:
            if name not in OF_THE_MODULE:
                self.assertEqual(total[name], sum(one[name] for one in each), name)
        for point in points:
            unmount(point)
        with Counted() as after:
            pass
        for name in NAMES:
            if name not in OF_THE_MODULE:
                self.assertEqual(after.before[name], total.after[name], name)

    def test_mounts_do_not_mix(self):
        used, idle = self.mount(self.TREE, stage=self.scratch("stage")), self.mount(self.TREE, stage=self.scratch("stage"))
        with Counted(idle) as counted:
            self.use(used)
        self.assertEqual([name for name in NAMES if counted[name]], [])

    def test_one_mount_at_two_places(self):
        """A bind mount is the same file system, and counts as one."""
        point, other = self.mount(self.TREE), self.scratch("bind")
        run("mount", "--bind", point, other)
        self.addCleanup(self.unmount_if_there, other)
        self.use(other, staged=False)
        self.assertEqual(mount_counters(point), mount_counters(other))

    def test_the_file_in_proc(self):
        path = pathlib.Path("/proc/actiondfs_stats")
        self.assertEqual(path.stat().st_mode & 0o777, 0o444)
        text = path.read_text(encoding="ascii")
        self.assertRegex(text, r"\A(?:[a-z_0-9]+ [0-9]+\n){102}\Z")
        with open(path, "rb", buffering=0) as file:
            self.assertEqual(b"".join(iter(lambda: file.read(7), b"")).decode().split()[::2], text.split()[::2])


if __name__ == "__main__":
    main()
