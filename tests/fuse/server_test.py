# SPDX-License-Identifier: Apache-2.0
"""What only the FUSE server has: mounts of many roots, roots that are refused before the mount, its counters."""
import os

from harness import PASSTHROUGH, FuseTest, main, reapi
from calls import errno_name, read_file


class ManyRoots(FuseTest):
    def test_roots_by_name(self):
        one, two = self.store.make_tree({"a": b"1"}), self.store.make_tree({"b": b"2"})
        point = self.mount(None)
        self.assertEqual(errno_name(os.listdir, point), "EPERM")
        self.assertEqual(os.listdir(os.path.join(point, "%s-%d" % one)), ["a"])
        self.assertEqual(read_file(os.path.join(point, two[0], "b")), b"2")
        wrong = ["nothing", one[0].upper() + "-1", one[0] + "-x", one[0] + "-99", "0" * 64, "%s-0%d" % one, one[0] + "-"]
        for name in wrong:
            self.assertEqual(errno_name(os.stat, os.path.join(point, name)), "ENOENT", name)
        self.assertEqual(errno_name(os.mkdir, os.path.join(point, "new")), "EROFS")

    def test_a_root_that_comes_later_is_found(self):
        data = reapi.directory([(b"late", reapi.file_node(b"late", reapi.digest_of(b"late root"), False))], [], [])
        name = "%s-%d" % reapi.digest_of(data)
        point = self.mount(None)
        self.assertEqual(errno_name(os.stat, os.path.join(point, name)), "ENOENT")
        self.store.make_tree({"late": b"late root"})
        self.assertEqual(os.listdir(os.path.join(point, name)), ["late"])

    def test_a_blob_that_is_no_directory(self):
        junk = self.store.put(b"\xff\xff junk")
        point = self.mount(None)
        self.assertEqual(errno_name(os.stat, os.path.join(point, "%s-%d" % junk)), "EUCLEAN")

    def test_listing_where_it_is_allowed(self):
        digest = self.store.make_tree({"a": b"1"})
        point = self.mount(None, more=["--list-roots"])
        self.assertEqual(os.listdir(point), [])
        os.stat(os.path.join(point, "%s-%d" % digest))
        self.assertEqual(os.listdir(point), ["%s-%d" % digest])


class Refused(FuseTest):
    def test_a_bad_root_is_refused_before_the_mount(self):
        for data in (b"\xff\xff not a Directory", None):
            digest = self.store.put(data) if data else reapi.digest_of(b"not stored")
            done, point = self.try_mount(reapi.text(digest), "--mode", "readonly")
            self.assertEqual(done.returncode, 1)
            self.assertIn(digest[0], done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1)
            self.assertFalse(os.path.ismount(point))


class Counters(FuseTest):
    def test_passthrough_is_what_was_asked_for(self):
        data = os.urandom(1 << 16)
        point = self.mount(self.store.make_tree({"f": data}), "readonly")
        self.assertEqual(read_file(os.path.join(point, "f")), data)
        counters, _ = self.server.counters(self.server.mounts()[-1])
        self.assertEqual(counters["backing_reads"] == 0, PASSTHROUGH)
        self.assertEqual(counters["mounts"], 1)
        self.assertGreater(counters["lookups"], 0)

    def test_copies_are_made_between_the_real_files(self):
        point = self.mount(self.store.make_tree({"f": b"content"}))
        source = os.open(os.path.join(point, "f"), os.O_RDONLY)
        target = os.open(os.path.join(point, "new"), os.O_CREAT | os.O_WRONLY)
        self.assertEqual(os.copy_file_range(source, target, 100, 0, 0), 7)
        os.close(source)
        os.close(target)
        counters, _ = self.server.counters(self.server.mounts()[-1])
        self.assertEqual((counters["stage_copy_file_range_success"], counters["stage_copy_file_range_bytes"]), (1, 7))


if __name__ == "__main__":
    main()
