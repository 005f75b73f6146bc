# SPDX-License-Identifier: Apache-2.0
"""Identity and metadata: what stat, statx, statfs and d_type say; of inputs always the same, of staged files the stage's."""
import os
import stat

import differences
from calls import as_user, getdents, read_file, touch, write_file
from store import Executable, Link, Properties
from workspace import EPOCH, USER, WithReference, Workspace, by_root, main, variants

EPOCH_NS = EPOCH * 10**9
TREE = {
    "file": b"content\n",
    "nothing": b"",
    "tool": Executable(b"#!/bin/sh\necho ran\n"),
    "link": Link("dir/deep"),
    "dir": {"deep": b"deep\n", "sub": {}},
    "big": bytes(range(256)) * 4096,
}
STAGED = ("strict", "overlay", "plain")


def everything(path):
    """All of stat but what belongs to the mount or to who reads."""
    st = os.lstat(path)
    return (st.st_ino, oct(st.st_mode), st.st_nlink, st.st_uid, st.st_gid, st.st_size, st.st_blocks, st.st_blksize,
            st.st_mtime_ns, st.st_ctime_ns)


@variants("readonly", "strict", "overlay")
class Inputs(Workspace):
    tree = TREE

    def test_modes_owner_and_links(self):
        expected = {"file": 0o100444, "nothing": 0o100444, "tool": 0o100555, "dir": 0o40755, "link": 0o120777, ".": 0o40755}
        for name, mode in expected.items():
            st = os.lstat(self.path(name))
            self.assertEqual((oct(st.st_mode), st.st_uid, st.st_gid, st.st_nlink), (oct(mode), self.uid, self.uid, 1), name)

    def test_times(self):
        for name in (*TREE, "dir/deep", "dir/sub", "."):
            st = os.lstat(self.path(name))
            self.assertEqual(st.st_mtime_ns, EPOCH_NS, name)
            if name != "." or differences.holds("times of the top", self):
                self.assertEqual((st.st_ctime_ns, st.st_atime_ns), (EPOCH_NS, EPOCH_NS), name)

    def test_sizes_and_blocks(self):
        for name, size in {"file": 8, "nothing": 0, "big": 1 << 20, "link": 8}.items():
            st = os.lstat(self.path(name))
            self.assertEqual((st.st_size, st.st_blocks), (size, (size + 511) // 512), name)

    def test_inode_numbers_are_unique_and_readdir_agrees(self):
        numbers = []
        for directory, _, _ in os.walk(self.point):
            for entry in os.scandir(directory):
                st = entry.stat(follow_symlinks=False)
                if differences.holds("numbers in listings", self):
                    self.assertEqual(entry.inode(), st.st_ino, entry.path)
                self.assertEqual(entry.is_symlink(), stat.S_ISLNK(st.st_mode))
                self.assertEqual(entry.is_dir(follow_symlinks=False), stat.S_ISDIR(st.st_mode))
                self.assertEqual(entry.is_file(follow_symlinks=False), stat.S_ISREG(st.st_mode))
                numbers.append((st.st_dev, st.st_ino))
        self.assertEqual(len(numbers), len(set(numbers)))

    def test_reading_does_not_touch(self):
        before = {name: everything(self.path(name)) for name in ("file", "dir", "link")}
        read_file(self.path("file"))
        os.listdir(self.path("dir"))
        os.readlink(self.path("link"))
        for name, st in before.items():
            self.assertEqual(everything(self.path(name)), st)

    def test_a_descriptor_agrees_with_the_path(self):
        for name in ("file", "dir", "tool"):
            by_fd, by_path = os.fstat(self.open(name)), os.stat(self.path(name))
            self.assertEqual((by_fd.st_ino, by_fd.st_dev, by_fd.st_mode, by_fd.st_size),
                             (by_path.st_ino, by_path.st_dev, by_path.st_mode, by_path.st_size))

    def test_equal_contents_are_different_files(self):
        # Compilers and tar take (st_dev, st_ino) for identity.
        self.assertNotEqual(os.stat(self.path("dir")).st_ino, os.stat(self.path("dir/sub")).st_ino)

    def test_nosuid_and_nodev(self):
        flags = os.statvfs(self.point).f_flag
        self.assertEqual(flags & (os.ST_NOSUID | os.ST_NODEV), os.ST_NOSUID | os.ST_NODEV)
        self.assertEqual(bool(flags & os.ST_RDONLY), self.mode == "readonly")

    @by_root
    def test_a_lookup_after_the_caches_were_dropped_finds_the_same_inode(self):
        before = everything(self.path("dir/deep"))
        write_file("/proc/sys/vm/drop_caches", b"2", os.O_WRONLY)
        self.assertEqual(everything(self.path("dir/deep")), before)


@variants("readonly", "strict")
class TwoMounts(Workspace):
    """Two mounts of one root at once, each with a stage of its own."""
    tree = TREE

    def setUp(self):
        super().setUp()
        self.other = self.mount(TREE)

    def test_they_stat_alike(self):
        for name in [*TREE, "dir/deep", "dir/sub", "."]:
            one, two = (everything(os.path.join(point, name)) for point in (self.point, self.other))
            self.assertEqual(one, two, name)
            self.assertNotEqual(os.lstat(self.path(name)).st_dev, os.lstat(os.path.join(self.other, name)).st_dev)

    def test_they_list_in_one_order(self):
        for name in ("", "dir"):
            one, two = self.open(name), self.open(os.path.join(self.other, name))
            self.assertEqual([entry[3] for entry in getdents(one)], [entry[3] for entry in getdents(two)])

    def test_a_blob_is_read_through_both(self):
        self.assertEqual(read_file(self.path("big")), read_file(os.path.join(self.other, "big")))


@variants("strict", "overlay")
class TwoStages(Workspace):
    tree = TREE

    def setUp(self):
        super().setUp()
        self.other = self.mount(TREE)

    def test_what_one_stages_the_other_has_not(self):
        self.new("dir/mine", b"mine")
        self.new("mine", b"mine")
        self.assertEqual(sorted(os.listdir(os.path.join(self.other, "dir"))), ["deep", "sub"])
        self.answers("ENOENT", os.stat, os.path.join(self.other, "mine"))
        write_file(os.path.join(self.other, "mine"), b"theirs")
        self.assertEqual((read_file(self.path("mine")), read_file(os.path.join(self.other, "mine"))), (b"mine", b"theirs"))


@variants("readonly", "strict")
class NodeProperties(Workspace):
    tree = {
        "file": Properties(b"x", mode=0o640, mtime=1_234_567_890_123_456_789),
        "tool": Properties(Executable(b"x"), mode=0o700),
        "mtime_only": Properties(b"y", mtime=5),
        "suid": Properties(b"z", mode=0o6755),
        "sticky": Properties(b"s", mode=0o1777),
        "link": Properties(Link("file"), mtime=7_000_000_000),
        "dir": Properties({"deep": b"d"}, mode=0o700, mtime=3_000_000_001),
        "old": Properties(b"o", mtime=-86_400 * 10**9),
    }

    def test_modes_and_times(self):
        expected = {"file": (0o100640, 1_234_567_890_123_456_789), "tool": (0o100700, EPOCH_NS),
                    "mtime_only": (0o100444, 5), "suid": (0o100755, EPOCH_NS), "sticky": (0o100777, EPOCH_NS),
                    "link": (0o120777, 7_000_000_000), "dir": (0o40700, 3_000_000_001), "old": (0o100444, -86_400 * 10**9)}
        for name, (mode, mtime) in expected.items():
            st = os.lstat(self.path(name))
            self.assertEqual((oct(st.st_mode), st.st_mtime_ns), (oct(mode), mtime), name)

    @by_root
    def test_modes_count(self):
        point = self.mount(self.tree, uid=USER, gid=USER)
        self.assertEqual(as_user(read_file, os.path.join(point, "dir/deep")), b"d")
        with self.assertRaises(PermissionError):
            as_user(read_file, os.path.join(point, "dir/deep"), uid=USER + 1)
        with self.assertRaises(PermissionError):
            as_user(read_file, os.path.join(point, "file"), uid=USER + 1)


@variants("readonly", "strict", users=("root",))
class InodesByContent(Workspace):
    tree = {"a": b"same", "b": b"same", "c": b"other", "x": Executable(b"same"), "d": {"e": b"same"}}
    options = {"inodes": "content"}

    def test_equal_contents_share_a_number(self):
        a, b, c, e = (os.stat(self.path(name)).st_ino for name in ("a", "b", "c", "d/e"))
        self.assertEqual((a, a), (b, e))
        self.assertNotEqual(a, c)
        for entry in os.scandir(self.point):
            self.assertEqual(entry.inode(), entry.stat().st_ino)
        self.assertNotEqual(os.stat(self.path("d")).st_ino, os.stat(self.point).st_ino)

    def test_each_reads_as_itself(self):
        for name, content in (("a", b"same"), ("c", b"other"), ("d/e", b"same"), ("x", b"same")):
            self.assertEqual(read_file(self.path(name)), content)
        self.assertEqual([oct(os.stat(self.path(name)).st_mode) for name in "abx"], ["0o100444", "0o100444", "0o100555"])


@variants("readonly", "strict", "overlay", users=("root",))
class OwnerOfInputs(Workspace):
    tree = TREE
    options = {"uid": 1234, "gid": 5678}

    def test_uid_and_gid(self):
        for name in (*TREE, ".", "dir/deep", "dir/sub"):
            st = os.lstat(self.path(name))
            self.assertEqual((st.st_uid, st.st_gid), (1234, 5678), name)


@variants(*STAGED)
class Staged(WithReference):
    tree = TREE

    def test_changing_attributes(self):
        path = self.new("a")
        os.chmod(path, 0o751)
        self.assertEqual(oct(os.stat(path).st_mode), "0o100751")
        os.utime(path, ns=(1_000_000_001, 2_000_000_002))
        st = os.stat(path)
        self.assertEqual((st.st_atime_ns, st.st_mtime_ns), (1_000_000_001, 2_000_000_002))
        before = st.st_mtime_ns
        os.utime(path)
        self.assertGreater(os.stat(path).st_mtime_ns, before)
        os.mkdir(self.path("d"))
        os.chmod(self.path("d"), 0o700)
        os.utime(self.path("d"), ns=(3, 4))
        self.assertEqual((oct(os.stat(self.path("d")).st_mode), os.stat(self.path("d")).st_mtime_ns), ("0o40700", 4))
        os.symlink("x", self.path("s"))
        os.utime(self.path("s"), ns=(5, 6), follow_symlinks=False)
        self.assertEqual(os.lstat(self.path("s")).st_mtime_ns, 6)

    @by_root
    def test_changing_the_owner(self):
        path = self.new("a")
        os.chmod(path, 0o4711)
        self.assertEqual(oct(os.stat(path).st_mode), "0o104711")
        os.chown(path, 12, 34)
        st = os.stat(path)
        self.assertEqual((st.st_uid, st.st_gid, oct(st.st_mode)), (12, 34, "0o100711"))
        os.symlink("x", self.path("s"))
        os.chown(self.path("s"), 7, 8, follow_symlinks=False)
        self.assertEqual((os.lstat(self.path("s")).st_uid, os.lstat(self.path("s")).st_gid), (7, 8))

    @by_root
    def test_only_the_owner_changes(self):
        path = self.new("a")
        os.chmod(path, 0o666)
        for call, args in ((os.chmod, (0o777,)), (os.utime, ((1, 1),)), (os.chown, (USER, USER))):
            with self.assertRaises(PermissionError, msg=call.__name__):
                as_user(call, path, *args)
        as_user(os.utime, path)  # "now" needs only that it may be written

    def test_giving_away_needs_privilege(self):
        self.new("a")
        expected = "OK" if self.user == "root" else "EPERM"
        self.answers("OK", os.chown, self.path("a"), self.uid, self.uid)
        self.answers(expected, os.chown, self.path("a"), -1, 7)
        self.answers(expected, os.chown, self.path("a"), 7, 7)

    @by_root
    def test_set_id_bits_go_with_a_change(self):
        def change(name, how):
            path = self.path(name)
            fd = os.open(path, os.O_RDWR)
            if how == "write":
                os.write(fd, b"x")
            elif how == "truncate":
                os.truncate(path, 0)
            elif how == "ftruncate":
                os.ftruncate(fd, 1)
            elif how == "fallocate":
                os.posix_fallocate(fd, 0, 100)
            elif how == "open":
                os.close(os.open(path, os.O_WRONLY | os.O_TRUNC))
            os.close(fd)
            return oct(os.stat(path).st_mode & 0o7777)

        for how in ("truncate", "ftruncate", "open", "write", "fallocate"):
            write_file(self.path(how), b"program")
            os.chmod(self.path(how), 0o6777)
            expected = "0o777"
            if how == "write":
                expected = differences.answer("set-id bits after write", self, expected)
            self.assertEqual(as_user(change, how, how), expected, how)

    @by_root
    def test_statfs_is_the_stage_s(self):
        one, two = os.statvfs(self.point), os.statvfs(self.reference)
        self.assertEqual((one.f_blocks, one.f_bsize, one.f_files, one.f_namemax),
                         (two.f_blocks, two.f_bsize, two.f_files, two.f_namemax))

    def test_types_in_listings(self):
        os.mkdir(self.path("kinds"))
        touch(self.path("kinds/file"))
        os.mkdir(self.path("kinds/directory"))
        os.symlink("x", self.path("kinds/symlink"))
        os.mkfifo(self.path("kinds/fifo"))
        os.mknod(self.path("kinds/socket"), stat.S_IFSOCK | 0o600)
        kinds = {name.decode(): kind for _, _, kind, name in getdents(self.open("kinds", os.O_RDONLY))}
        self.assertEqual(kinds, {".": 4, "..": 4, "file": 8, "directory": 4, "symlink": 10, "fifo": 1, "socket": 12})

    def test_staged_numbers_are_none_of_an_input(self):
        for i in range(20):
            touch(self.path("dir/f%d" % i))
        numbers = [entry.inode() for entry in os.scandir(self.path("dir"))]
        self.assertEqual(len(numbers), len(set(numbers)))


@variants("strict")
class DirectoryTimes(Workspace):
    """An input directory has its own times until something in itself changes."""
    tree = {"dir": {"deep": b"deep\n", "sub": {"deeper": b"x"}}}

    def mtime(self, name):
        return os.stat(self.path(name)).st_mtime_ns

    def test_only_what_changed_itself_changes(self):
        self.new("dir/sub/file")
        self.assertEqual((self.mtime("."), self.mtime("dir")), (EPOCH_NS, EPOCH_NS))
        self.assertGreater(self.mtime("dir/sub"), EPOCH_NS)
        first = self.mtime("dir/sub")
        self.new("dir/sub/other")
        self.assertGreaterEqual(self.mtime("dir/sub"), first)
        self.new("dir/file")
        self.assertGreater(self.mtime("dir"), EPOCH_NS)
        self.assertEqual(self.mtime("."), EPOCH_NS)

    @by_root
    def test_a_later_mount_of_the_same_stage_agrees(self):
        self.new("dir/sub/file", b"kept")
        times = [self.mtime(name) for name in (".", "dir", "dir/sub", "dir/sub/file")]
        stage = self.stage
        self.unmount(self.point)
        self.point = self.mount(self.tree, stage=stage)
        self.assertEqual(times, [self.mtime(name) for name in (".", "dir", "dir/sub", "dir/sub/file")])
        self.assertEqual(read_file(self.path("dir/sub/file")), b"kept")
        self.assertEqual(sorted(os.listdir(self.path("dir/sub"))), ["deeper", "file"])


if __name__ == "__main__":
    main()
