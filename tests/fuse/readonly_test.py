# SPDX-License-Identifier: Apache-2.0
"""Inputs as a read-only mount shows them."""
import ctypes
import mmap
import os
import stat
import subprocess

from harness import (EPOCH, LIBC, PASSTHROUGH, Executable, FuseTest, Link, Missing, as_user, errno_name, main, read_file,
                     write_file)
import reapi

TREE = {
    "file": b"content\n",
    "empty": b"",
    "tool": Executable(b"#!/bin/sh\necho ran\n"),
    "link": Link("dir/deep"),
    "dir": {"deep": b"deep\n", "sub": {}},
    "big": bytes(range(256)) * 4096,
    "gr\u00fc\u00df": b"utf-8",
}


class Attributes(FuseTest):
    def setUp(self):
        self.point = self.mount(self.make_tree(TREE), "readonly", options=["uid=1000,gid=1001"])

    def test_modes_owner_and_times(self):
        expected = {"file": 0o100444, "tool": 0o100555, "dir": 0o40755, "link": 0o120777, ".": 0o40755}
        for name, mode in expected.items():
            st = os.lstat(os.path.join(self.point, name))
            self.assertEqual((oct(st.st_mode), st.st_uid, st.st_gid, st.st_nlink), (oct(mode), 1000, 1001, 1), name)
            self.assertEqual({st.st_atime_ns, st.st_mtime_ns, st.st_ctime_ns}, {EPOCH * 10**9}, name)

    def test_sizes_and_blocks(self):
        for name, size in {"file": 8, "empty": 0, "big": 1 << 20, "link": 8}.items():
            st = os.lstat(os.path.join(self.point, name))
            self.assertEqual((st.st_size, st.st_blocks), (size, (size + 511) // 512), name)

    def test_two_mounts_of_one_root_stat_alike(self):
        other = self.mount(self.make_tree(TREE), "readonly", options=["uid=1000,gid=1001"])
        for name in [*TREE, "dir/deep", "dir/sub", "."]:
            one, two = (os.lstat(os.path.join(point, name)) for point in (self.point, other))
            self.assertEqual(tuple(one)[:2] + tuple(one)[3:], tuple(two)[:2] + tuple(two)[3:], name)
            self.assertEqual((one.st_mtime_ns, one.st_blocks), (two.st_mtime_ns, two.st_blocks))

    def test_a_lookup_after_the_caches_were_dropped_finds_the_same_inode(self):
        before = os.stat(os.path.join(self.point, "dir/deep")).st_ino
        write_file("/proc/sys/vm/drop_caches", b"2", os.O_WRONLY)
        self.assertEqual(os.stat(os.path.join(self.point, "dir/deep")).st_ino, before)

    def test_inode_numbers_are_unique_and_readdir_agrees(self):
        numbers = []
        for directory, _, _ in os.walk(self.point):
            for entry in os.scandir(directory):
                st = entry.stat(follow_symlinks=False)
                self.assertEqual(entry.inode(), st.st_ino, entry.path)
                self.assertEqual(entry.is_symlink(), stat.S_ISLNK(st.st_mode))
                self.assertEqual(entry.is_dir(follow_symlinks=False), stat.S_ISDIR(st.st_mode))
                numbers.append(st.st_ino)
        self.assertEqual(len(numbers), len(set(numbers)))

    def test_nosuid_and_nodev(self):
        flags = os.statvfs(self.point).f_flag
        self.assertEqual(flags & (os.ST_NOSUID | os.ST_NODEV | os.ST_RDONLY),
                         os.ST_NOSUID | os.ST_NODEV | os.ST_RDONLY)


class Content(FuseTest):
    def setUp(self):
        self.point = self.mount(self.make_tree(TREE), "readonly")

    def path(self, name):
        return os.path.join(self.point, name)

    def test_reading(self):
        for name in ("file", "empty", "big", "dir/deep", "gr\u00fc\u00df"):
            expected = TREE["dir"]["deep"] if name == "dir/deep" else TREE[name]
            self.assertEqual(read_file(self.path(name)), expected, name)
        self.assertEqual(os.readlink(self.path("link")), "dir/deep")
        self.assertEqual(read_file(self.path("link")), b"deep\n")

    def test_reading_as_another_user(self):
        self.assertEqual(as_user(read_file, self.path("big")), TREE["big"])

    def test_executing(self):
        self.assertEqual(subprocess.check_output([self.path("tool")]), b"ran\n")
        self.assertEqual(errno_name(os.execv, self.path("file"), ["file"]), "EACCES")

    def test_mapping(self):
        with open(self.path("big"), "rb") as file:
            with mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as mapped:
                self.assertEqual(mapped[:], TREE["big"])

    def test_sendfile_and_seek(self):
        source = os.open(self.path("big"), os.O_RDONLY)
        self.addCleanup(os.close, source)
        sink = os.memfd_create("sink")
        self.addCleanup(os.close, sink)
        self.assertEqual(os.sendfile(sink, source, 0, 1 << 20), 1 << 20)
        self.assertEqual(os.pread(sink, 1 << 20, 0), TREE["big"])
        self.assertEqual(os.lseek(source, 0, os.SEEK_DATA), 0)
        self.assertEqual(os.lseek(source, 0, os.SEEK_HOLE), 1 << 20)
        self.assertEqual(errno_name(os.lseek, source, 1 << 20, os.SEEK_DATA), "ENXIO")

    def test_negative_lookups(self):
        for _ in range(2):
            self.assertEqual(errno_name(os.stat, self.path("nothing")), "ENOENT")
        self.assertEqual(errno_name(os.stat, self.path("n" * 256)), "ENAMETOOLONG")
        self.assertEqual(errno_name(os.stat, self.path("file/x")), "ENOTDIR")

    def test_listing_is_complete_twice(self):
        for _ in range(2):
            self.assertEqual(sorted(os.listdir(self.point)), sorted(TREE))

    def test_changes_are_refused(self):
        calls = [(os.unlink, "file"), (os.rmdir, "dir/sub"), (os.mkdir, "new"), (os.mkfifo, "new"),
                 (os.chmod, "file", 0o777), (os.utime, "file"), (os.truncate, "file", 0),
                 (write_file, "file"), (write_file, "new"), (os.chown, "file", 1, 1)]
        for function, name, *args in calls:
            self.assertEqual(errno_name(function, self.path(name), *args), "EROFS", (function, name))
        self.assertEqual(errno_name(os.rename, self.path("file"), self.path("new")), "EROFS")
        self.assertEqual(errno_name(os.symlink, "x", self.path("new")), "EROFS")

    def test_digests_as_extended_attributes(self):
        digest = reapi.digest_of(TREE["file"])
        path = self.path("file")
        self.assertEqual(os.getxattr(path, "user.actiondfs.sha256"), bytes.fromhex(digest[0]))
        self.assertEqual(os.getxattr(path, "user.actiondfs.digest").decode(), reapi.text(digest))
        self.assertEqual(os.listxattr(path), [], "what is listed is copied, and a copy can change")
        self.assertEqual(os.listxattr(self.path("dir")), [])
        self.assertEqual(errno_name(os.getxattr, path, "user.other"), "ENODATA")
        self.assertEqual(errno_name(os.getxattr, self.path("dir"), "user.actiondfs.digest"), "ENODATA")
        small = ctypes.create_string_buffer(8)
        self.assertEqual(LIBC.getxattr(os.fsencode(path), b"user.actiondfs.sha256", small, 8), -1)
        self.assertEqual(os.strerror(ctypes.get_errno()), os.strerror(34))  # ERANGE

    def test_blobs_are_unchanged(self):
        self.check_store()


class ByContent(FuseTest):
    def test_equal_contents_share_a_number(self):
        digest = self.make_tree({"a": b"same", "b": b"same", "c": b"other", "d": {"e": b"same"}})
        point = self.mount(digest, "readonly", options=["inodes=content"])
        a, b, c, e = (os.stat(os.path.join(point, name)).st_ino for name in ("a", "b", "c", "d/e"))
        self.assertEqual((a, a), (b, e))
        self.assertNotEqual(a, c)
        for entry in os.scandir(point):
            self.assertEqual(entry.inode(), entry.stat().st_ino)


class BrokenStore(FuseTest):
    def test_a_missing_blob_is_eio_and_logged(self):
        digest = self.make_tree({"gone": Missing(b"never stored"), "there": b"x"})
        point = self.mount(digest, "readonly")
        self.assertEqual(os.stat(os.path.join(point, "gone")).st_size, 12)
        self.assertEqual(errno_name(read_file, os.path.join(point, "gone")), "EIO")
        self.assertIn(reapi.text(reapi.digest_of(b"never stored")), self.server.log())
        self.assertIn("/gone", self.server.log())
        self.assertEqual(read_file(os.path.join(point, "there")), b"x")

    def test_a_short_blob_is_eio(self):
        data = b"cut off later"
        digest = self.make_tree({"short": data})
        os.truncate(self.blob_path(reapi.digest_of(data)), 3)
        self.addCleanup(os.unlink, self.blob_path(reapi.digest_of(data)))
        point = self.mount(digest, "readonly")
        self.assertEqual(errno_name(read_file, os.path.join(point, "short")), "EIO")
        self.assertIn(reapi.text(reapi.digest_of(data)), self.server.log())

    def test_the_empty_blob_need_not_be_stored(self):
        digest = self.make_tree({"empty": Missing(b"")})
        stored = self.blob_path(reapi.digest_of(b""))
        if os.path.exists(stored):
            os.unlink(stored)
        point = self.mount(digest, "readonly")
        self.assertEqual(read_file(os.path.join(point, "empty")), b"")

    def test_what_is_no_directory_is_euclean_and_logged(self):
        junk = self.put(b"\xff\xff not a Directory")
        root = self.put(reapi.directory([], [(b"bad", reapi.directory_node(b"bad", junk))], []))
        point = self.mount(root, "readonly")
        self.assertEqual(os.listdir(point), ["bad"])
        self.assertEqual(errno_name(os.listdir, os.path.join(point, "bad")), "EUCLEAN")
        self.assertEqual(errno_name(os.stat, os.path.join(point, "bad/x")), "EUCLEAN")
        self.assertIn(junk[0], self.server.log())

    def test_a_missing_directory_is_eio(self):
        missing = reapi.digest_of(b"a Directory that is nowhere")
        root = self.put(reapi.directory([], [(b"gone", reapi.directory_node(b"gone", missing))], []))
        point = self.mount(root, "readonly")
        self.assertEqual(errno_name(os.listdir, os.path.join(point, "gone")), "EIO")

    def test_a_bad_root_is_refused_before_the_mount(self):
        for data in (b"\xff\xff not a Directory", None):
            digest = self.put(data) if data else reapi.digest_of(b"not stored")
            done, point = self.try_mount(reapi.text(digest), "--mode", "readonly")
            self.assertEqual(done.returncode, 1)
            self.assertIn(digest[0], done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
            self.assertFalse(os.path.ismount(point))


class ManyRoots(FuseTest):
    def test_roots_by_name(self):
        one, two = self.make_tree({"a": b"1"}), self.make_tree({"b": b"2"})
        point = self.mount(None)
        self.assertEqual(errno_name(os.listdir, point), "EPERM")
        self.assertEqual(os.listdir(os.path.join(point, "%s-%d" % one)), ["a"])
        self.assertEqual(read_file(os.path.join(point, two[0], "b")), b"2")
        wrong = ["nothing", one[0].upper() + "-1", one[0] + "-x", one[0] + "-99", "0" * 64, "%s-0%d" % one, one[0] + "-"]
        for name in wrong:
            self.assertEqual(errno_name(os.stat, os.path.join(point, name)), "ENOENT", name)
        self.assertEqual(errno_name(os.mkdir, os.path.join(point, "new")), "EROFS")

    def test_a_root_that_comes_later_is_found(self):
        late = {"late": b"late root"}
        data = reapi.directory([(b"late", reapi.file_node(b"late", reapi.digest_of(b"late root"), False))], [], [])
        name = "%s-%d" % reapi.digest_of(data)
        point = self.mount(None)
        self.assertEqual(errno_name(os.stat, os.path.join(point, name)), "ENOENT")
        self.make_tree(late)
        self.assertEqual(os.listdir(os.path.join(point, name)), ["late"])

    def test_a_blob_that_is_no_directory(self):
        junk = self.put(b"\xff\xff junk")
        point = self.mount(None)
        self.assertEqual(errno_name(os.stat, os.path.join(point, "%s-%d" % junk)), "EUCLEAN")

    def test_listing_where_it_is_allowed(self):
        digest = self.make_tree({"a": b"1"})
        point = self.mount(None, more=["--list-roots"])
        self.assertEqual(os.listdir(point), [])
        os.stat(os.path.join(point, "%s-%d" % digest))
        self.assertEqual(os.listdir(point), ["%s-%d" % digest])


class Whole(FuseTest):
    def test_a_real_tree_is_the_same(self):
        source = "/usr/include/linux"
        if not os.path.isdir(source):
            self.skipTest("no " + source)
        blobs = {}
        digest = reapi.encode_tree(os.fsencode(source), blobs=blobs)
        for data in blobs.values():
            self.put(data)
        point = self.mount(digest, "readonly")
        done = subprocess.run(["diff", "-r", "--no-dereference", source, point], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stdout), (0, ""))

    def test_passthrough_is_what_was_asked_for(self):
        data = os.urandom(1 << 16)
        point = self.mount(self.make_tree({"f": data}), "readonly")
        self.assertEqual(read_file(os.path.join(point, "f")), data)
        counters, _ = self.server.counters(self.server.mounts()[-1])
        self.assertEqual(counters["backing_reads"] == 0, PASSTHROUGH)
        self.assertEqual(counters["mounts"], 1)
        self.assertGreater(counters["lookups"], 0)


if __name__ == "__main__":
    main()
