#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Each of the 102 counters: what counts it, and nothing else."""
import functools
import mmap
import os
import stat

from kit import (Counted, Guest, LayoutStore, Raw, counters, drop_caches, getdents, in_parallel, main, mount_counters,
                 read_file, run, shut_down, write_file)
from stale_fs import OPEN, READ, StaleFs

# As the first actiondfs printed them. Not those of the header that the module is built of.
NAMES = """
    mounts dir_loads root_dir_parses cached_dir_requests dir_cache_hits dir_cache_misses dir_cache_races
    cached_dir_builds cached_dir_bytes cached_file_records cached_dir_records lookups lookup_hits lookup_negative
    readdirs readdir_entries readdir_resumes readdir_skipped_entries_avoided blob_open_attempts blob_open_stale_retries
    blob_open_backing_total_ns blob_open_backing_path_ns blob_open_backing_file_ns blob_path_cache_hits
    blob_path_cache_misses blob_path_cache_inserts blob_path_cache_evictions blob_path_cache_races node_blob_cache_hits
    node_blob_cache_misses backing_reads backing_read_bytes backing_read_stale_retries splice_reads splice_read_bytes
    splice_read_stale_retries mmaps mmap_bytes mmap_failures directory_blob_reads directory_blob_bytes
    stage_child_lookups stage_child_lookup_hits stage_child_lookup_negative stage_child_lookup_errors
    stage_ensure_dir_calls stage_ensure_dir_components stage_ensure_dir_existing stage_ensure_dir_created
    stage_ensure_dir_errors stage_parent_dentry_hits stage_inode_lookups stage_inode_lookup_unstaged_parent
    stage_inode_lookup_hits stage_inode_lookup_negative stage_inode_lookup_errors stage_inode_lookup_input_dir_merges
    stage_backing_open_attempts stage_backing_open_failures stage_backing_open_total_ns stage_backing_open_lookup_ns
    stage_backing_open_file_ns stage_read_calls stage_read_bytes stage_read_total_ns stage_write_calls stage_write_bytes
    stage_write_total_ns stage_splice_read_calls stage_splice_read_bytes stage_splice_read_total_ns stage_mmap_calls
    stage_mmap_bytes stage_mmap_failures stage_mmap_total_ns stage_create_calls stage_create_success
    stage_create_failures stage_mkdir_calls stage_mkdir_success stage_mkdir_failures stage_unlink_calls
    stage_unlink_success stage_unlink_failures stage_rmdir_calls stage_rmdir_success stage_rmdir_failures
    stage_rename_calls stage_rename_success stage_rename_failures stage_setattr_size_calls stage_setattr_size_success
    stage_setattr_size_failures stage_readdir_calls stage_readdir_hits stage_readdir_misses stage_readdir_errors
    stage_copy_file_range_attempts stage_copy_file_range_success stage_copy_file_range_bytes
    stage_copy_file_range_fallbacks stage_copy_file_range_total_ns
    """.split()
# Nothing is looked up when a staged file is opened: its dentry is held.
ALWAYS_ZERO = {"stage_backing_open_lookup_ns"}
# Times, and bytes that depend on how a tree is encoded: more than 0.
SOME = object()

INNER_LOADED = {"dir_loads": 1, "cached_dir_requests": 1, "dir_cache_misses": 1, "cached_dir_builds": 1,
                "cached_dir_bytes": SOME, "cached_file_records": 2, "directory_blob_reads": 1,
                "directory_blob_bytes": SOME}
FOUND = {"lookups": 1, "lookup_hits": 1}
# In the top directory, whose mirror is the stage; and in an input directory that has no mirror.
MISSING = {"lookups": 1, "lookup_negative": 1, "stage_inode_lookups": 1, "stage_inode_lookup_negative": 1,
           "stage_child_lookups": 1, "stage_child_lookup_negative": 1}
MISSING_UNSTAGED = {"lookups": 1, "lookup_negative": 1, "stage_inode_lookup_unstaged_parent": 1}
BLOB_TIMES = {"blob_open_backing_total_ns": SOME, "blob_open_backing_path_ns": SOME, "blob_open_backing_file_ns": SOME}
BLOB_OPENED = {"blob_open_attempts": 1, "node_blob_cache_misses": 1, "blob_path_cache_misses": 1,
               "blob_path_cache_inserts": 1, **BLOB_TIMES}
STAGE_TIMES = {"stage_backing_open_total_ns": SOME, "stage_backing_open_file_ns": SOME}

# Counted in the same breath, or compared by a test of their own.
ALIKE = [["dir_loads", "cached_dir_requests"], ["blob_open_backing_total_ns", "blob_open_backing_file_ns"],
         ["stage_backing_open_total_ns", "stage_backing_open_file_ns"]]

ROWS = []


def counts(**expected):
    """The test prepares, yields mounts (none: the module), and does something: that counts these, and nothing else."""
    ROWS.append(expected)

    def decorate(function):
        @functools.wraps(function)
        def test(self):
            steps = function(self)
            with Counted(*next(steps)) as counted:
                self.assertRaises(StopIteration, next, steps)
            found = {name: counted[name] for name in NAMES if counted[name]}
            for name, value in expected.items():
                if value is SOME and found.get(name, 0) > 0:
                    found[name] = SOME
            self.assertEqual(found, expected)

        return test

    return decorate


class Counters(Guest):
    CONTENT = b"content" * 1000

    def inputs(self):
        """Of this test alone: what was read for another may be used again."""
        return {"dir": {"file": self.CONTENT, self.id(): b""}, "top": b"top"}

    def known(self, point):
        """Where everything was looked at; what is done next looks up nothing but new names."""
        os.stat(point + "/top")
        os.stat(point + "/dir/file")
        return point

    def staged(self, stage=None):
        """Such a mount with a stage; and the stage."""
        stage = stage or self.scratch("stage")
        return self.known(self.mount(self.inputs(), stage=stage)), stage

    def opened(self, path, flags=os.O_RDONLY):
        fd = os.open(path, flags)
        self.addCleanup(os.close, fd)
        return fd

    def splice(self, fd, size):
        reader, writer = os.pipe()
        self.assertEqual(os.splice(fd, writer, size, 0), size)
        os.close(reader)
        os.close(writer)


class Names(Guest):
    def test_every_name_in_its_place(self):
        self.assertEqual(len(NAMES), 102)
        self.assertEqual(list(counters()), NAMES)
        self.assertEqual(list(mount_counters(self.mount({}))), NAMES)

    def test_every_name_is_counted_by_a_test(self):
        covered = set().union(*ROWS)
        self.assertEqual(set(NAMES) - covered, ALWAYS_ZERO)
        self.assertEqual(covered - set(NAMES), set())

    def test_no_two_names_can_be_swapped(self):
        alike = {}
        for name in NAMES:
            alike.setdefault(tuple(row.get(name, 0) for row in ROWS), []).append(name)
        self.assertEqual([names for names in alike.values() if len(names) > 1], ALIKE)


class Inputs(Counters):
    @counts(mounts=1)
    def test_mounting(self):
        root = self.tree(self.inputs())
        yield ()
        self.mount(root, stage=self.scratch("stage"))

    @counts(root_dir_parses=1, dir_loads=2, cached_dir_requests=2, dir_cache_misses=2, cached_dir_builds=2,
            cached_dir_bytes=SOME, cached_file_records=3, cached_dir_records=1, directory_blob_reads=2,
            directory_blob_bytes=SOME, **FOUND)
    def test_directories(self):
        point = self.mount(self.inputs())
        yield (point,)
        os.stat(point + "/dir")

    @counts(root_dir_parses=1, dir_loads=2, cached_dir_requests=2, dir_cache_hits=2, **FOUND)
    def test_directories_that_another_mount_has(self):
        root = self.tree(self.inputs())
        self.known(self.mount(root))
        point = self.mount(root)
        yield (point,)
        os.stat(point + "/dir")

    @counts(dir_loads=1, cached_dir_requests=1, dir_cache_misses=1, directory_blob_reads=1, directory_blob_bytes=8,
            **FOUND)
    def test_a_broken_directory(self):
        point = self.mount({"broken": Raw(self.store.put(b"nonsense")), self.id(): b""})
        os.stat(point)
        yield (point,)
        self.answers("EUCLEAN", os.listdir, point + "/broken")

    @counts(dir_loads=1, cached_dir_requests=1, dir_cache_misses=1, **FOUND)
    def test_a_missing_directory(self):
        point = self.mount({"missing": Raw(("ab" * 32, 100)), self.id(): b""})
        os.stat(point)
        yield (point,)
        self.answers("EIO", os.listdir, point + "/missing")

    @counts(dir_loads=2, cached_dir_requests=2, dir_cache_misses=2, dir_cache_races=1, cached_dir_builds=2,
            cached_dir_bytes=SOME, cached_file_records=4, directory_blob_reads=2, directory_blob_bytes=SOME, lookups=2,
            lookup_hits=2)
    def test_a_directory_read_by_two_at_once(self):
        below, points = self.view(2)
        for point in points:
            os.stat(point)
        yield points
        below.together(OPEN, 2)
        in_parallel(2, lambda i: os.stat(points[i] + "/dir"))

    @counts(lookups=3, lookup_hits=1, lookup_negative=2)
    def test_lookups(self):
        point = self.mount(self.inputs())
        os.stat(point)
        yield (point,)
        os.stat(point + "/top")
        self.answers("ENOENT", os.stat, point + "/missing")
        self.answers("ENOENT", os.stat, point + "/missing too")

    @counts(readdirs=2, readdir_entries=2, readdir_resumes=1, readdir_skipped_entries_avoided=2, stage_readdir_calls=1,
            stage_readdir_misses=1)
    def test_a_listing(self):
        point, _ = self.staged()
        yield (point,)
        self.assertEqual(len(os.listdir(point + "/dir")), 2)

    @counts(readdirs=1, readdir_entries=17, readdir_resumes=1, readdir_skipped_entries_avoided=33)
    def test_a_listing_that_goes_on(self):
        point = self.mount({"many": {"%02d" % i: b"" for i in range(50)}})
        fd = self.opened(point + "/many")
        at = [offset for _, offset, _, name in getdents(fd) if name == b"32"][0]
        os.lseek(fd, at, os.SEEK_SET)
        yield (point,)
        self.assertEqual(len(getdents(fd)), 17)

    @counts(**BLOB_OPENED)
    def test_opening(self):
        point = self.known(self.mount(self.inputs()))
        yield (point,)
        self.opened(point + "/dir/file")

    @counts(blob_open_attempts=2, node_blob_cache_hits=2)
    def test_opening_again(self):
        point = self.known(self.mount(self.inputs()))
        self.opened(point + "/dir/file")
        yield (point,)
        self.opened(point + "/dir/file")
        self.opened(point + "/dir/file")

    @counts(blob_open_attempts=1, node_blob_cache_misses=1, blob_path_cache_hits=1)
    def test_opening_what_another_mount_has(self):
        root = self.tree(self.inputs())
        points = [self.known(self.mount(root)) for _ in range(2)]
        self.opened(points[0] + "/dir/file")
        yield (points[1],)
        self.opened(points[1] + "/dir/file")

    @counts(blob_open_attempts=1, node_blob_cache_misses=1, blob_path_cache_misses=1, blob_open_backing_path_ns=SOME)
    def test_opening_what_is_short(self):
        point = self.known(self.mount(self.inputs()))
        os.truncate(self.store.blob_path(self.store.put(self.CONTENT)), 10)
        yield (point,)
        self.answers("EIO", os.open, point + "/dir/file", os.O_RDONLY)

    @counts(blob_open_attempts=2, node_blob_cache_misses=2, blob_path_cache_misses=2, blob_path_cache_inserts=1,
            blob_path_cache_races=1, **BLOB_TIMES)
    def test_opening_by_two_at_once(self):
        below, points = self.view(2)
        for point in points:
            self.known(point)
        yield points
        below.together(OPEN, 2)
        in_parallel(2, lambda i: os.close(os.open(points[i] + "/dir/file", os.O_RDONLY)))

    @counts(blob_open_stale_retries=1, **BLOB_OPENED)
    def test_opening_what_is_stale(self):
        below, (point,) = self.view(1)
        self.known(point)
        yield (point,)
        below.set(OPEN, 1)
        self.opened(point + "/dir/file")

    @counts(blob_path_cache_evictions=2)
    def test_blobs_that_nobody_uses(self):
        """No mount's doing: the module's."""
        point = self.known(self.mount(self.inputs()))
        for name in ("top", "dir/file"):
            read_file(os.path.join(point, name))
        yield ()
        drop_caches()
        self.assertEqual(mount_counters(point)["blob_path_cache_evictions"], 0)

    def test_the_times_of_opening(self):
        point = self.known(self.mount(self.inputs()))
        with Counted(point) as counted:
            self.opened(point + "/dir/file")
        path, file, total = (counted["blob_open_backing_%s_ns" % name] for name in ("path", "file", "total"))
        self.assertLessEqual(path + file, total)

    @counts(backing_reads=2, backing_read_bytes=150)
    def test_reading(self):
        point = self.mount(self.inputs())
        fd = self.opened(point + "/dir/file")
        yield (point,)
        self.assertEqual(len(os.pread(fd, 100, 0)), 100)
        self.assertEqual(len(os.pread(fd, 50, 10)), 50)

    @counts(backing_read_stale_retries=1, backing_reads=1, backing_read_bytes=7, **BLOB_OPENED)
    def test_reading_what_is_stale(self):
        below, (point,) = self.view(1)
        fd = self.opened(point + "/dir/file")
        yield (point,)
        below.set(READ, 1)
        self.assertEqual(os.pread(fd, 7, 0), b"content")

    @counts(splice_reads=1, splice_read_bytes=100)
    def test_splicing(self):
        point = self.mount(self.inputs())
        fd = self.opened(point + "/dir/file")
        yield (point,)
        self.splice(fd, 100)

    @counts(splice_read_stale_retries=1, splice_reads=1, splice_read_bytes=7, **BLOB_OPENED)
    def test_splicing_what_is_stale(self):
        below, (point,) = self.view(1)
        if not below.tells_splices():
            self.skipTest("FUSE does not tell who splices what its server said")
        fd = self.opened(point + "/dir/file")
        yield (point,)
        # The first is that of the readahead, whose failure tells nobody.
        below.set(READ, 2)
        self.splice(fd, 7)

    @counts(mmaps=1, mmap_bytes=2 * mmap.PAGESIZE)
    def test_mapping(self):
        point = self.mount(self.inputs())
        fd = self.opened(point + "/dir/file")
        yield (point,)
        mmap.mmap(fd, len(self.CONTENT), prot=mmap.PROT_READ).close()

    @counts(mmaps=1, mmap_failures=1)
    def test_mapping_from_a_disk_that_is_gone(self):
        below, _ = self.loop()
        point = self.mount(self.inputs(), store=LayoutStore(below + "/cas"))
        fd = self.opened(point + "/dir/file")
        yield (point,)
        shut_down(below)
        self.answers("EIO", mmap.mmap, fd, len(self.CONTENT), prot=mmap.PROT_READ)

    def view(self, count):
        """A CAS that does as it is told, and as many mounts of one root in it."""
        if not os.path.exists("/dev/fuse"):
            self.skipTest("this kernel has no FUSE")
        root, plain, view = self.tree(self.inputs()), self.store.path, self.scratch("view")
        below = StaleFs(plain, view)
        below.__enter__()
        self.addCleanup(below.__exit__)
        self.store.path = view
        points = [self.mount(root) for _ in range(count)]
        self.store.path = plain
        return below, points


class Stage(Counters):
    @counts(**MISSING)
    def test_what_it_has_not(self):
        point, _ = self.staged()
        yield (point,)
        self.answers("ENOENT", os.stat, point + "/missing")

    @counts(**MISSING_UNSTAGED)
    def test_what_it_need_not_be_asked(self):
        point, _ = self.staged()
        yield (point,)
        self.answers("ENOENT", os.stat, point + "/dir/missing")

    @counts(stage_inode_lookups=1, stage_inode_lookup_hits=1, stage_child_lookups=1, stage_child_lookup_hits=1,
            **FOUND)
    def test_what_it_has(self):
        stage = self.scratch("stage")
        write_file(stage + "/old")
        point, _ = self.staged(stage)
        yield (point,)
        os.stat(point + "/old")

    @counts(stage_child_lookups=1, stage_child_lookup_negative=1, **FOUND, **INNER_LOADED)
    def test_an_input_directory_without_a_mirror(self):
        point = self.mount(self.inputs(), stage=self.scratch("stage"))
        os.stat(point)
        yield (point,)
        os.stat(point + "/dir")

    @counts(stage_inode_lookup_input_dir_merges=1, stage_child_lookups=1, stage_child_lookup_hits=1, **FOUND,
            **INNER_LOADED)
    def test_an_input_directory_with_a_mirror(self):
        stage = self.scratch("stage")
        os.mkdir(stage + "/dir")
        point = self.mount(self.inputs(), stage=stage)
        os.stat(point)
        yield (point,)
        os.stat(point + "/dir")

    @counts(lookups=1, stage_inode_lookups=1, stage_inode_lookup_errors=1, stage_child_lookups=1,
            stage_child_lookup_errors=1)
    def test_a_lookup_where_somebody_went_behind_our_back(self):
        point, stage = self.staged()
        os.mkdir(point + "/made")
        os.rmdir(stage + "/made")
        yield (point,)
        self.answers("ENOENT", os.stat, point + "/made/below")

    @counts(lookups=1, stage_child_lookups=1, stage_child_lookup_errors=1)
    def test_a_mirror_where_somebody_went_behind_our_back(self):
        stage = self.scratch("stage")
        point = self.mount({"one": {"two": {}}}, stage=stage)
        os.mkdir(point + "/one/new")
        run("rm", "-r", stage + "/one")
        yield (point,)
        self.answers("ENOENT", os.stat, point + "/one/two")

    @counts(readdirs=1, stage_readdir_calls=1, stage_readdir_errors=1)
    def test_a_listing_where_somebody_went_behind_our_back(self):
        point, stage = self.staged()
        os.mkdir(point + "/made")
        fd = self.opened(point + "/made")
        os.rmdir(stage + "/made")
        yield (point,)
        self.answers("ENOENT", getdents, fd)

    @counts(readdirs=2, readdir_entries=3, readdir_resumes=1, readdir_skipped_entries_avoided=2, stage_readdir_calls=1,
            stage_readdir_hits=1)
    def test_a_listing_of_both(self):
        point, _ = self.staged()
        os.mkdir(point + "/dir/made")
        yield (point,)
        self.assertEqual(len(os.listdir(point + "/dir")), 3)

    @counts(readdirs=2, readdir_entries=3, readdir_resumes=1, stage_readdir_calls=2, stage_readdir_hits=2)
    def test_a_listing_of_a_staged_directory(self):
        point, _ = self.staged()
        for name in ("made", "made/one", "made/two", "made/three"):
            os.mkdir(os.path.join(point, name))
        yield (point,)
        self.assertEqual(len(os.listdir(point + "/made")), 3)

    @counts(stage_create_calls=1, stage_create_success=1, stage_parent_dentry_hits=1, **MISSING)
    def test_creating(self):
        point, _ = self.staged()
        yield (point,)
        os.mknod(point + "/new", stat.S_IFREG | 0o644)

    @counts(stage_mkdir_calls=1, stage_mkdir_success=1, stage_parent_dentry_hits=1, **MISSING)
    def test_mkdir(self):
        point, _ = self.staged()
        yield (point,)
        os.mkdir(point + "/new")

    @counts(stage_unlink_calls=1, stage_unlink_success=1)
    def test_unlink(self):
        point = self.with_a_file()
        yield (point,)
        os.unlink(point + "/new")

    @counts(stage_rmdir_calls=1, stage_rmdir_success=1)
    def test_rmdir(self):
        point, _ = self.staged()
        os.mkdir(point + "/new")
        yield (point,)
        os.rmdir(point + "/new")

    @counts(stage_rename_calls=1, stage_rename_success=1, stage_parent_dentry_hits=1, **MISSING)
    def test_rename(self):
        point = self.with_a_file()
        yield (point,)
        os.rename(point + "/new", point + "/renamed")

    @counts(stage_setattr_size_calls=1, stage_setattr_size_success=1)
    def test_truncate(self):
        point = self.with_a_file()
        yield (point,)
        os.truncate(point + "/new", 10)

    @counts(stage_create_calls=1, stage_create_failures=1, stage_mkdir_calls=2, stage_mkdir_failures=2,
            stage_unlink_calls=3, stage_unlink_failures=3, stage_rmdir_calls=4, stage_rmdir_failures=4,
            stage_rename_calls=5, stage_rename_failures=5, stage_setattr_size_calls=6, stage_setattr_size_failures=6,
            stage_parent_dentry_hits=8)
    def test_what_fails(self):
        stage = self.tmpfs()
        point, _ = self.staged(stage)
        write_file(point + "/file")
        os.mkdir(point + "/made")
        self.answers("ENOENT", os.stat, point + "/new")
        run("mount", "-o", "remount,ro", stage)
        yield (point,)
        for count, call, name, *more in ((1, os.mknod, "new", stat.S_IFREG | 0o644), (2, os.mkdir, "new"),
                                         (3, os.unlink, "file"), (4, os.rmdir, "made"),
                                         (5, os.rename, "file", point + "/new"), (6, os.truncate, "file", 0)):
            for _ in range(count):
                self.answers("EROFS", call, os.path.join(point, name), *more)

    @counts(stage_ensure_dir_calls=1, stage_ensure_dir_components=2, stage_ensure_dir_created=2, stage_mkdir_calls=1,
            stage_mkdir_success=1, **MISSING_UNSTAGED)
    def test_mirrors(self):
        point = self.mount({"one": {"two": {}}}, stage=self.scratch("stage"))
        os.stat(point + "/one/two")
        yield (point,)
        os.mkdir(point + "/one/two/new")

    @counts(stage_ensure_dir_calls=1, stage_ensure_dir_components=1, stage_ensure_dir_existing=1, stage_mkdir_calls=1,
            stage_mkdir_success=1, stage_child_lookups=1, stage_child_lookup_hits=1, **MISSING_UNSTAGED)
    def test_a_mirror_that_is_there_already(self):
        point, stage = self.staged()
        os.mkdir(stage + "/dir")
        yield (point,)
        os.mkdir(point + "/dir/new")

    @counts(stage_ensure_dir_calls=1, stage_ensure_dir_components=1, stage_ensure_dir_errors=1, stage_mkdir_calls=1,
            stage_mkdir_failures=1, stage_child_lookups=1, stage_child_lookup_hits=1, **MISSING_UNSTAGED)
    def test_a_mirror_that_cannot_be(self):
        point, stage = self.staged()
        write_file(stage + "/dir")
        yield (point,)
        self.answers("EEXIST", os.mkdir, point + "/dir/new")

    def with_a_file(self, stage=None):
        point, _ = self.staged(stage)
        write_file(point + "/new", b"n" * 100)
        return point


class StagedFiles(Counters):
    def setUp(self):
        super().setUp()
        self.below, _ = self.loop()
        os.mkdir(self.below + "/stage")
        self.point, _ = self.staged(self.below + "/stage")
        write_file(self.point + "/new", b"n" * 100)

    @counts(stage_backing_open_attempts=1, **STAGE_TIMES)
    def test_opening(self):
        yield (self.point,)
        os.close(os.open(self.point + "/new", os.O_RDWR))

    @counts(stage_backing_open_attempts=2, stage_backing_open_failures=2, **STAGE_TIMES)
    def test_opening_on_a_disk_that_is_gone(self):
        yield (self.point,)
        shut_down(self.below)
        for _ in range(2):
            self.answers("EIO", os.open, self.point + "/new", os.O_RDWR)

    def test_the_times_of_opening(self):
        with Counted(self.point) as counted:
            os.close(os.open(self.point + "/new", os.O_RDWR))
        self.assertLessEqual(counted["stage_backing_open_file_ns"], counted["stage_backing_open_total_ns"])

    @counts(stage_read_calls=2, stage_read_bytes=150, stage_read_total_ns=SOME)
    def test_reading(self):
        with open(self.point + "/new", "rb", buffering=0) as file:
            yield (self.point,)
            self.assertEqual(len(os.pread(file.fileno(), 100, 0)), 100)
            self.assertEqual(len(os.pread(file.fileno(), 50, 0)), 50)

    @counts(stage_write_calls=2, stage_write_bytes=150, stage_write_total_ns=SOME)
    def test_writing(self):
        with open(self.point + "/new", "r+b", buffering=0) as file:
            yield (self.point,)
            os.pwrite(file.fileno(), b"w" * 100, 0)
            os.pwrite(file.fileno(), b"w" * 50, 0)

    @counts(stage_splice_read_calls=1, stage_splice_read_bytes=50, stage_splice_read_total_ns=SOME)
    def test_splicing(self):
        with open(self.point + "/new", "rb", buffering=0) as file:
            yield (self.point,)
            self.splice(file.fileno(), 50)

    @counts(stage_mmap_calls=1, stage_mmap_bytes=mmap.PAGESIZE, stage_mmap_total_ns=SOME)
    def test_mapping(self):
        with open(self.point + "/new", "r+b", buffering=0) as file:
            yield (self.point,)
            mmap.mmap(file.fileno(), 100).close()

    @counts(stage_mmap_calls=2, stage_mmap_failures=2, stage_mmap_total_ns=SOME)
    def test_mapping_from_a_disk_that_is_gone(self):
        with open(self.point + "/new", "r+b", buffering=0) as file:
            yield (self.point,)
            shut_down(self.below)
            for _ in range(2):
                self.answers("EIO", mmap.mmap, file.fileno(), 100)

    @counts(stage_copy_file_range_attempts=2, stage_copy_file_range_success=2, stage_copy_file_range_bytes=80,
            stage_copy_file_range_total_ns=SOME)
    def test_copying(self):
        write_file(self.point + "/copy")
        with open(self.point + "/new", "rb") as one, open(self.point + "/copy", "r+b") as other:
            yield (self.point,)
            for size in (50, 30):
                self.assertEqual(os.copy_file_range(one.fileno(), other.fileno(), size), size)

    @counts(stage_copy_file_range_attempts=1, stage_copy_file_range_success=1, stage_copy_file_range_bytes=50,
            stage_copy_file_range_fallbacks=1, stage_copy_file_range_total_ns=SOME)
    def test_copying_from_another_file_system(self):
        with open(self.point + "/dir/file", "rb") as one, open(self.point + "/new", "r+b") as other:
            yield (self.point,)
            self.assertEqual(os.copy_file_range(one.fileno(), other.fileno(), 50), 50)

    @counts(stage_copy_file_range_attempts=2, stage_copy_file_range_fallbacks=2, stage_copy_file_range_total_ns=SOME)
    def test_copying_to_a_disk_that_is_gone(self):
        with open(self.point + "/dir/file", "rb") as one, open(self.point + "/new", "r+b") as other:
            yield (self.point,)
            shut_down(self.below)
            for _ in range(2):
                self.answers("EIO", os.copy_file_range, one.fileno(), other.fileno(), 50)


if __name__ == "__main__":
    main()
