#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""On other file systems, and below them: overlayfs, idmapped mounts, set-id files, device nodes."""
import errno
import fcntl
import mmap
import os
import stat
import struct
import subprocess

from kit import (AT_EMPTY_PATH, Guest, LayoutStore, MOUNT_ATTR_IDMAP, MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, Properties,
                 Raw, SYS_MOUNT_SETATTR, attach, errno_name, in_child, main, read_file, run, syscall, unmount,
                 user_namespace, write_file)
from calls import FIDEDUPERANGE
from stale_fs import StaleFs

TREE = {"file": b"content\n", "dir": {"inner": b"inner\n"}}

RWF_NOAPPEND = 32


def as_user(function, *args, uid=1000, gid=1000):
    def child():
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
        return function(*args)

    return in_child(child)


class Overlay(Guest):
    def overlay(self, *lower, base=None):
        point, upper, work = (self.scratch(name, base) for name in ("merged", "upper", "work"))
        options = "lowerdir=%s,upperdir=%s,workdir=%s" % (":".join(lower), upper, work)
        run("mount", "-t", "overlay", "-o", options, "overlay", point)
        self.addCleanup(self.unmount_if_there, point)
        return point

    def scratch(self, name, base=None):
        path = super().scratch(name)
        if base is None:
            return path
        path = os.path.join(base, os.path.basename(path))
        os.mkdir(path)
        return path

    def test_above(self):
        point = self.overlay(self.mount(TREE))
        with open(point + "/file", "ab") as file:
            file.write(b"more")
        self.assertEqual(read_file(point + "/file"), b"content\nmore")
        os.unlink(point + "/dir/inner")
        self.assertEqual(os.listdir(point + "/dir"), [])
        os.rmdir(point + "/dir")
        self.assertEqual(os.listdir(point), ["file"])

    def test_modes_of_directories(self):
        """They are in the directories' own Directories. Overlayfs copies them when it looks up the name."""
        point = self.overlay(self.mount({"closed": Properties({"inner": b"inner"}, mode=0o700),
                                         "open": Properties({"deeper": Properties({}, mode=0o777)}, mode=0o777)}))
        self.assertEqual(as_user(errno_name, read_file, point + "/closed/inner"), "EACCES")
        self.assertEqual(as_user(errno_name, write_file, point + "/open/new"), "OK")
        self.assertEqual(as_user(errno_name, write_file, point + "/open/deeper/new"), "OK")

    def test_a_broken_directory(self):
        """It has a name all the same."""
        point = self.overlay(self.mount({"missing": Raw(("ab" * 32, 100)), "broken": Raw(self.store.put(b"nonsense"))}))
        self.assertEqual(sorted(os.listdir(point)), ["broken", "missing"])
        for name, code in (("missing", "EIO"), ("broken", "EUCLEAN")):
            self.answers("OK", os.lstat, os.path.join(point, name))
            self.answers(code, os.listdir, os.path.join(point, name))

    def test_two_as_layers(self):
        point = self.overlay(self.mount(TREE), self.mount({"file": b"hidden", "dir": {"deeper": b"deeper\n"}}))
        self.assertEqual(read_file(point + "/file"), b"content\n")
        self.assertEqual(sorted(os.listdir(point + "/dir")), ["deeper", "inner"])

    def test_a_third_level_is_refused(self):
        second = self.overlay(self.mount(TREE))
        with self.assertRaises(AssertionError):
            self.overlay(second)
        self.assertEqual(read_file(second + "/file"), b"content\n")

    def test_the_cas_on_overlayfs(self):
        below = self.overlay(self.scratch("lower"))
        store = LayoutStore(below + "/cas")
        point = self.mount(store.make_tree(TREE), store=store, stage=self.scratch("stage"))
        self.assertEqual(read_file(point + "/dir/inner"), b"inner\n")
        write_file(point + "/new", b"new")
        with self.assertRaises(AssertionError):
            self.overlay(point)

    def test_the_stage_on_overlayfs(self):
        below = self.overlay(self.scratch("lower"), base=self.tmpfs())
        os.mkdir(below + "/stage")
        point = self.mount(TREE, stage=below + "/stage")
        write_file(point + "/dir/new", b"new")
        os.rename(point + "/dir/new", point + "/moved")
        self.assertEqual(sorted(os.listdir(point)), ["dir", "file", "moved"])
        self.assertEqual(read_file(below + "/stage/moved"), b"new")

    def test_the_cas_on_two_levels_is_refused(self):
        second = self.overlay(self.overlay(self.scratch("lower"), base=self.tmpfs()))
        store = LayoutStore(second + "/cas")
        self.refused("EINVAL", "too many stacked", store.make_tree(TREE), store=store)

    def test_the_cas_on_actiondfs_is_refused(self):
        """A store could be a tree, but who holds whom would have no end."""
        inner = self.tree(TREE)
        os.mkdir(self.directory + "/blobs")
        store = LayoutStore(self.mount(TREE, stage=self.directory + "/blobs") + "/store")
        self.refused("EINVAL", "cas: on actiondfs", inner, store=store)


class Idmapped(Guest):
    """Users 100000 to 165535 of the mount are 0 to 65535 of the file system."""

    def setUp(self):
        super().setUp()
        self.stage = self.scratch("stage")
        os.chown(self.stage, 5, 6)
        fd = self.detached(TREE, stage=self.stage, uid=5, gid=6)
        syscall(SYS_MOUNT_SETATTR, fd, b"", AT_EMPTY_PATH,
                struct.pack("=QQQQ", MOUNT_ATTR_IDMAP, 0, 0, user_namespace(self)), 32)
        self.point = self.scratch("mnt")
        attach(fd, self.point)
        os.close(fd)
        self.addCleanup(self.unmount_if_there, self.point)

    def owner(self, path):
        found = os.lstat(path)
        return found.st_uid, found.st_gid

    @staticmethod
    def as_user(function, *args, uid=100005, gid=100006):
        return as_user(function, *args, uid=uid, gid=gid)

    def test_inputs(self):
        for name in ("", "file", "dir", "dir/inner"):
            self.assertEqual(self.owner(os.path.join(self.point, name)), (100005, 100006), name)

    def test_what_is_made(self):
        def make():
            write_file(self.point + "/dir/new", b"new")
            os.mkdir(self.point + "/made")
            os.symlink("x", self.point + "/link")
            os.mkfifo(self.point + "/made/fifo")
            fd = os.open(self.point + "/dir", os.O_TMPFILE | os.O_RDWR)
            return os.fstat(fd).st_uid

        self.assertEqual(self.as_user(make), 100005)
        for name in ("dir/new", "made", "link", "made/fifo"):
            self.assertEqual(self.owner(os.path.join(self.point, name)), (100005, 100006), name)
            self.assertEqual(self.owner(os.path.join(self.stage, name)), (5, 6), name)
        # What mirrors an input directory is the tree's.
        self.assertEqual(self.owner(self.stage + "/dir"), (5, 6))

    def test_another_user_of_the_mapping(self):
        os.chmod(self.stage, 0o777)
        self.as_user(os.mkdir, self.point + "/made")
        self.as_user(os.chmod, self.point + "/made", 0o777)
        self.as_user(write_file, self.point + "/made/theirs", uid=100042, gid=100043)
        self.assertEqual(self.owner(self.point + "/made/theirs"), (100042, 100043))
        self.assertEqual(self.owner(self.stage + "/made/theirs"), (42, 43))
        self.assertEqual(self.as_user(errno_name, write_file, self.point + "/made/theirs"), "EACCES")

    def test_who_is_not_in_the_mapping(self):
        """Root of the host has no name there; a file of nobody's must not come to be."""
        self.answers("EOVERFLOW", write_file, self.point + "/new")
        self.answers("EOVERFLOW", os.mkdir, self.point + "/new")
        self.assertEqual(os.listdir(self.stage), [])

    def test_chown(self):
        self.as_user(write_file, self.point + "/new")
        os.chown(self.point + "/new", 100007, 100008)
        self.assertEqual((self.owner(self.point + "/new"), self.owner(self.stage + "/new")), ((100007, 100008), (7, 8)))
        self.answers("EOVERFLOW", os.chown, self.point + "/new", 7, 8)
        self.assertEqual(self.owner(self.stage + "/new"), (7, 8))
        self.assertEqual(self.as_user(errno_name, os.chown, self.point + "/new", 100005, 100006), "EPERM")

    def test_the_same_stage_mounted_plainly_afterwards(self):
        self.as_user(write_file, self.point + "/new")
        unmount(self.point)
        point = self.mount(TREE, stage=self.stage)
        self.assertEqual(self.owner(point + "/new"), (5, 6))


class SetId(Guest):
    """A file that was made set-id gives nobody anything, even on a mount that forgot nosuid."""

    def ids(self, path):
        """What the program there says as user 1000; or the error of running it."""
        def child():
            os.setgroups([])
            os.setgid(1000)
            os.setuid(1000)
            try:
                return subprocess.run([path, "-n", "-u"], capture_output=True, text=True).stdout.split()
            except OSError as error:
                return errno.errorcode[error.errno]

        return in_child(child)

    def test_with_and_without_nosuid(self):
        with open("/usr/bin/id", "rb") as file:
            program = file.read()
        for attributes in (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, MOUNT_ATTR_NODEV, 0):
            with self.subTest(attributes=attributes):
                point = self.mount({"program": Properties(program, mode=0o6755)}, attributes=attributes,
                                   stage=self.scratch("stage"))
                # An input cannot even have the bits.
                self.assertEqual(os.stat(point + "/program").st_mode & 0o7777, 0o755)
                write_file(point + "/staged", program, mode=0o755)
                os.chmod(point + "/staged", 0o6755)
                self.assertEqual(os.stat(point + "/staged").st_mode & 0o7777, 0o6755)
                self.assertEqual(len(self.ids(point + "/program")), 1)
                self.assertNotEqual(self.ids(point + "/program"), ["root"])
                if attributes & MOUNT_ATTR_NOSUID:
                    self.assertNotEqual(self.ids(point + "/staged"), ["root"])
                else:
                    self.assertIn(self.ids(point + "/staged"), ("EACCES", "EPERM"))
                # Without the bits it is a program like any other.
                os.chmod(point + "/staged", 0o755)
                self.assertEqual(self.ids(point + "/staged"), self.ids(point + "/program"))

    def test_file_capabilities(self):
        if subprocess.run(["sh", "-c", "command -v setcap"], capture_output=True).returncode != 0:
            self.skipTest("there is no setcap")
        stage = self.scratch("stage")
        with open("/bin/cat", "rb") as file:
            write_file(stage + "/cat", file.read(), mode=0o755)
        run("setcap", "cap_dac_override,cap_dac_read_search+ep", stage + "/cat")
        secret = os.path.join(self.directory, "secret")
        write_file(secret, b"secret", mode=0o600)

        def child(path):
            os.setgroups([])
            os.setgid(1000)
            os.setuid(1000)
            try:
                return subprocess.run([path, secret], capture_output=True).stdout
            except OSError:
                return b"refused"

        self.assertEqual(in_child(child, stage + "/cat"), b"secret")  # so it would count
        for attributes in (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0):
            with self.subTest(attributes=attributes):
                point = self.mount(TREE, attributes=attributes, stage=stage)
                self.assertIn(in_child(child, point + "/cat"), (b"", b"refused"))
                unmount(point)


class Devices(Guest):
    def test_in_a_stage_that_was_prepared(self):
        stage = self.scratch("stage")
        os.mkdir(stage + "/dir")
        os.mknod(stage + "/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
        os.mknod(stage + "/dir/zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
        os.mknod(stage + "/loop", stat.S_IFBLK | 0o666, os.makedev(7, 0))
        os.close(os.open(stage + "/null", os.O_RDWR))  # so it would open
        for attributes in (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, MOUNT_ATTR_NOSUID, 0):
            with self.subTest(attributes=attributes):
                point = self.mount(TREE, attributes=attributes, stage=stage)
                for name in ("null", "dir/zero", "loop"):
                    self.answers("EACCES", os.open, os.path.join(point, name), os.O_RDONLY)
                    self.answers("EACCES", os.open, os.path.join(point, name), os.O_RDWR)
                self.answers("EPERM", os.mknod, point + "/new", stat.S_IFCHR | 0o666, os.makedev(1, 3))
                unmount(point)

    def test_other_nodes_open(self):
        stage = self.scratch("stage")
        os.mkfifo(stage + "/fifo")
        point = self.mount(TREE, stage=stage)
        fd = os.open(point + "/fifo", os.O_RDWR)
        os.write(fd, b"through")
        self.assertEqual(os.read(fd, 100), b"through")
        os.close(fd)


class Asking(Guest):
    """Whoever reads, it is the mounter who asks the file system below."""

    def test_of_fuse(self):
        root = self.store.make_tree({"file": b"content", "dir": {"inner": b"inner", "more": {}}, self.id(): b""})
        view, plain = self.scratch("view"), self.store.path
        below = StaleFs(plain, view)
        below.__enter__()
        self.addCleanup(below.__exit__)
        self.store.path = view
        point = self.mount(root)
        self.store.path = plain

        def ask():
            found = read_file(point + "/file"), sorted(os.listdir(point + "/dir")), read_file(point + "/dir/inner")
            os.statvfs(point)
            fd = os.open(point + "/file", os.O_RDONLY)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
            mmap.mmap(fd, 7, mmap.MAP_PRIVATE, mmap.PROT_READ).close()
            os.close(fd)
            return found

        self.assertEqual(as_user(ask), (b"content", ["inner", "more"], b"inner"))
        self.assertEqual(below.strangers(), 0)


class Stage(Guest):
    def test_a_mirror_that_is_there_already(self):
        """Made below after the input was looked up, or made by us and left when it could not be given a mode and a time."""
        stage = self.scratch("stage")
        point = self.mount({"dir": Properties({"inner": b"inner"}, mode=0o750, mtime=1234567890 * 10**9), "other": {}},
                           stage=stage)
        for name in ("dir", "other"):
            os.stat(os.path.join(point, name))
        os.mkdir(stage + "/dir", 0o700)
        write_file(stage + "/other", b"not a directory")
        write_file(point + "/dir/new", b"new")
        self.assertEqual(sorted(os.listdir(point + "/dir")), ["inner", "new"])
        self.assertEqual(read_file(stage + "/dir/new"), b"new")
        self.assertEqual(stat.S_IMODE(os.stat(stage + "/dir").st_mode), 0o750)
        self.answers("EEXIST", write_file, point + "/other/new")

    def test_not_appending_for_once(self):
        """What was opened to append, or was told to later: one write may ask for its own place all the same."""
        point = self.mount(TREE, stage=self.scratch("stage"))
        for flags in (os.O_APPEND, 0):
            with self.subTest(flags=flags):
                path = "%s/appended%d" % (point, flags)
                write_file(path, b"aaaa")
                fd = os.open(path, os.O_RDWR | flags)
                fcntl.fcntl(fd, fcntl.F_SETFL, os.O_APPEND)
                os.write(fd, b"end")
                self.assertEqual(os.pwritev(fd, [b"X"], 1, RWF_NOAPPEND), 1)
                self.assertEqual(read_file(path), b"aXaaend")
                fcntl.fcntl(fd, fcntl.F_SETFL, 0)
                self.assertEqual(os.pwrite(fd, b"Y", 0), 1)
                self.assertEqual(read_file(path), b"YXaaend")
                os.close(fd)

    def test_sharing_blocks_keeps_set_id_bits(self):
        """An equal file's content does not change, whether the file system below can share or not."""
        point = self.mount(TREE, stage=self.scratch("stage"))
        for name in ("one", "two"):
            write_file(os.path.join(point, name), b"x" * 65536)
            os.chown(os.path.join(point, name), 1000, 1000)
        os.chmod(point + "/two", 0o4755)

        def share():
            source, target = os.open(point + "/one", os.O_RDONLY), os.open(point + "/two", os.O_WRONLY)
            request = struct.pack("=QQHHIqQQiI", 0, 65536, 1, 0, 0, target, 0, 0, 0, 0)
            return errno_name(fcntl.ioctl, source, FIDEDUPERANGE, request)

        as_user(share)
        self.assertEqual(stat.S_IMODE(os.stat(point + "/two").st_mode), 0o4755)
        # So they would be lost if it were written to.
        as_user(write_file, point + "/two", b"y", os.O_WRONLY)
        self.assertEqual(stat.S_IMODE(os.stat(point + "/two").st_mode), 0o755)

    def test_what_cannot_be_made_leaves_the_stage_usable(self):
        """A failing call gives back the lock of the directory below, exactly once, whoever does it in this kernel."""
        below = self.tmpfs("size=1m,nr_inodes=8")
        os.mkdir(below + "/stage")
        point = self.mount(TREE, stage=below + "/stage")
        made = 0
        while errno_name(os.mkdir, "%s/made%d" % (point, made)) == "OK":
            made += 1
        self.assertGreater(made, 0)
        self.answers("ENOSPC", os.mkdir, point + "/one more")
        self.answers("ENOSPC", os.mkfifo, point + "/one more")
        self.answers("ENOSPC", os.symlink, "target", point + "/one more")
        os.rmdir(point + "/made0")
        os.mkdir(point + "/one more")
        os.rename(point + "/one more", point + "/another")
        self.assertIn("another", os.listdir(point))

    def test_leases(self):
        point = self.mount(TREE)
        fd = os.open(point + "/file", os.O_RDONLY)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        self.assertEqual(fcntl.fcntl(fd, fcntl.F_GETLEASE), fcntl.F_RDLCK)
        os.close(fd)


class Names(Guest):
    def test_links_in_a_prepared_stage_stay_inside(self):
        """A staged symlink is the reader's to follow, from where the reader stands; its parts are not looked up by us."""
        stage = self.scratch("stage")
        os.symlink("/etc", stage + "/dir")  # the name of an input directory
        os.symlink("/etc/hostname", stage + "/file")
        point = self.mount(TREE, stage=stage)
        self.assertEqual(os.listdir(point + "/dir"), ["inner"])
        self.assertEqual(read_file(point + "/file"), b"content\n")
        self.assertIn(errno_name(write_file, point + "/dir/new"), ("EEXIST", "ENOTDIR", "ESTALE", "EIO"))
        self.assertFalse(os.path.exists("/etc/new"))
        self.assertEqual(sorted(os.listdir(point)), ["dir", "file"])


if __name__ == "__main__":
    main()
