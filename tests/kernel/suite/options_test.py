#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Mount options: what is refused, with which error and which words; and each form in which they are given."""
import ctypes
import errno
import os
import re
import struct
import subprocess

from kit import (AT_EMPTY_PATH, AT_FDCWD, CMD_CREATE, CMD_RECONFIGURE, Context, Guest, LIBC, LayoutStore, Link,
                 MOUNT_ATTR_IDMAP, Refused, SET_FD, SET_FLAG, SET_PATH, SET_PATH_EMPTY, SET_STRING, SYS_FSCONFIG,
                 SYS_MOUNT_SETATTR, SYS_OPEN_TREE, attach, checked, counters, errno_name, in_child, main, read_file,
                 run, syscall, unmount, user_namespace, write_file)

TREE = {"file": b"content\n", "dir": {"inner": b"inner\n", "link": Link("inner")}}
FORMS = ("sharded", "flat", "sharded-suffix", "hash-size")


class Refusals(Guest):
    def test_missing(self):
        self.refused("EINVAL", "root: missing", TREE, root=None)
        self.refused("EINVAL", "cas: missing", TREE, cas=None)

    def test_root(self):
        good = self.tree(TREE)[0]
        for bad in (good.upper(), good[:-1], good + "0", good[:-1] + "g", "sha256:" + good, " " + good, good + "\n",
                    good[:-1] + " "):
            with self.subTest(root=bad):
                self.refused("EINVAL", "root: .*64 lowercase hex", TREE, root=bad)
        self.refused("EINVAL", "root", TREE, root="")

    def test_root_size(self):
        for bad in (str((64 << 20) + 1), str(1 << 63), str((1 << 64) - 1)):
            with self.subTest(root_size=bad):
                self.refused("EINVAL", "root_size: .*67108864", TREE, root_size=bad)
        for bad in ("", "-1", "x", "12x", "1 2", str(1 << 64)):
            with self.subTest(root_size=bad):
                self.refused("EINVAL", "root_size", TREE, root_size=bad)

    def test_places(self):
        path = self.directory
        write_file(os.path.join(path, "plain"))
        os.symlink("nowhere", os.path.join(path, "dangling"))
        os.symlink("self", os.path.join(path, "self"))
        for key in ("cas", "stage"):
            for code, text, bad in (
                    ("EINVAL", "absolute path or a descriptor", "relative"), ("EINVAL", "absolute", "./here"),
                    ("ENOENT", "cannot be found", path + "/missing"), ("ENOENT", "cannot be found", path + "/dangling"),
                    ("ELOOP", "cannot be found", path + "/self"), ("ENOTDIR", "not a directory", path + "/plain"),
                    ("ENOTDIR", "cannot be found", path + "/plain/below"), ("EBADF", "cannot be found", "999"),
                    ("EINVAL", "", "")):
                with self.subTest(key=key, value=bad):
                    self.refused(code, key + ".*" + text, TREE, **{key: bad})

    def test_values(self):
        for key, bad in (("layout", "Sharded"), ("layout", "auto"), ("layout", ""), ("inodes", "inode"), ("inodes", ""),
                         ("verify", "all"), ("verify", "1"), ("uid", "root"), ("uid", "-1"), ("uid", str(1 << 32)), ("gid", "x"),
                         ("gid", "")):
            with self.subTest(key=key, value=bad):
                self.refused("EINVAL", key, TREE, **{key: bad})

    def test_unknown(self):
        for key in ("Root", "roots", "mode", "x" * 200):
            with self.subTest(key=key):
                self.refused("EINVAL", "Unknown parameter '%s'" % key, TREE, **{key: "value"})

    def test_doubled(self):
        options = self.options(TREE, stage=self.scratch("stage"), uid=1, gid=1, inodes="path", verify="dirs")
        for doubled, value in options.items():
            with self.subTest(key=doubled), Context() as context:
                for key in options:
                    context.set(key, options[key])
                with self.assertRaises(Refused) as caught:
                    context.set(doubled, value)
                self.assertEqual(caught.exception.errno, errno.EINVAL)
                self.assertRegex("\n".join(caught.exception.messages), doubled + ": given twice")

    def test_what_was_refused_is_not_in_force(self):
        """Whoever goes on after an option was refused has a mount without it."""
        plain = os.path.join(self.directory, "plain")
        write_file(plain)
        options = self.options(TREE, root_size=None)
        for key, bad in (("root", "x"), ("cas", plain), ("stage", plain)):
            with self.subTest(key=key), Context() as context:
                for name, value in options.items():
                    if name != key:
                        context.set(name, value)
                with self.assertRaises(Refused):
                    context.set(key, bad)
                if key == "stage":
                    fd, point = context.mount(), self.scratch("mnt")
                    attach(fd, point)
                    os.close(fd)
                    self.assertNotIn("stage", Forms.shown(point))
                    self.answers("EROFS", write_file, point + "/new")
                    unmount(point)
                    continue
                with self.assertRaises(Refused) as caught:
                    os.close(context.mount())
                self.assertEqual(caught.exception.errno, errno.EINVAL)
                self.assertIn(key + ": missing", "\n".join(caught.exception.messages))

    def test_a_right_one_after_one_that_was_refused(self):
        options = self.options(TREE, stage=self.scratch("stage"))
        with Context() as context:
            for key, bad in (("root", "x"), ("root_size", str(1 << 40)), ("cas", "relative"), ("cas", "/dev/null"),
                             ("stage", "/dev/null"), ("layout", "none")):
                with self.assertRaises(Refused):
                    context.set(key, bad)
            for key, value in options.items():
                context.set(key, value)
            os.close(context.mount())

    def test_without_a_value(self):
        for key in self.options(TREE, stage="/", uid=1, gid=1, inodes="path", verify="dirs"):
            with self.subTest(key=key), Context() as context:
                with self.assertRaises(Refused) as caught:
                    context.config(SET_FLAG, key)
                self.assertEqual(caught.exception.errno, errno.EINVAL)
                self.assertIn(key, "\n".join(caught.exception.messages))

    def test_hash_size_without_the_root_s_size(self):
        store = self.new_store("other", "hash-size")
        self.refused("EINVAL", "root_size: .*hash-size", TREE, store=store, root_size=None)

    def test_a_refused_mount_leaves_nothing(self):
        stage, mounts = self.scratch("stage"), counters()["mounts"]
        for _ in range(3):
            self.refused("EINVAL", "root: missing", TREE, root=None, stage=stage)
            self.refused("ENOENT", "cas", TREE, cas="/missing", stage=stage)
        self.assertEqual(counters()["mounts"], mounts)
        self.mount(TREE, stage=stage)


class Forms(Guest):
    def check(self, point):
        self.assertEqual(read_file(os.path.join(point, "file")), b"content\n")
        self.assertEqual(read_file(os.path.join(point, "dir/link")), b"inner\n")
        self.assertEqual(sorted(os.listdir(os.path.join(point, "dir"))), ["inner", "link"])

    def test_layouts(self):
        for layout in FORMS:
            with self.subTest(layout=layout):
                store = self.new_store("cas." + layout, layout)
                self.check(self.mount(TREE, store=store))
                # No other layout finds anything there.
                for other in FORMS:
                    if other != layout:
                        point = self.mount(store.make_tree(TREE), store=store, layout=other)
                        self.answers("EIO", read_file, os.path.join(point, "file"))

    def test_without_the_root_s_size(self):
        for layout in FORMS[:3]:
            with self.subTest(layout=layout):
                self.check(self.mount(TREE, store=self.new_store("cas." + layout, layout), root_size=None))

    def test_places_as_descriptors(self):
        stage = self.scratch("stage")
        cas_fd, stage_fd = os.open(self.store.path, os.O_RDONLY), os.open(stage, os.O_RDONLY)
        digest = self.tree(TREE)
        for form in ("fd", "number", "path", "path at", "empty path"):
            with self.subTest(form=form), Context() as context:
                context.set("root", digest[0])
                for key, path, fd in (("cas", self.store.path, cas_fd), ("stage", stage, stage_fd)):
                    if form == "fd":
                        context.config(SET_FD, key, aux=fd)
                    elif form == "number":
                        context.set(key, str(fd))
                    elif form == "path":
                        context.config(SET_PATH, key, path, AT_FDCWD)
                    elif form == "path at":
                        directory = os.open(self.directory, os.O_PATH)
                        context.config(SET_PATH, key, os.path.basename(path), directory)
                        os.close(directory)
                    else:
                        context.config(SET_PATH_EMPTY, key, "", fd)
                mounted, point = context.mount(), self.scratch("mnt")
                attach(mounted, point)
                os.close(mounted)
                self.check(point)
                write_file(os.path.join(point, form), b"staged")
                self.assertEqual(read_file(os.path.join(stage, form)), b"staged")
                line = [line for line in read_file("/proc/mounts").decode().splitlines() if line.split()[1] == point][0]
                self.assertIn(",cas=%s," % self.store.path, line)
                self.assertIn(",stage=%s," % stage, line)
                unmount(point)
        os.close(cas_fd)
        os.close(stage_fd)

    def test_a_descriptor_of_a_file(self):
        fd = os.open("/dev/null", os.O_RDONLY)
        with Context() as context, self.assertRaises(Refused) as caught:
            context.config(SET_FD, "cas", aux=fd)
        os.close(fd)
        self.assertEqual(caught.exception.errno, errno.ENOTDIR)
        self.assertIn("cas: not a directory", "\n".join(caught.exception.messages))

    def test_mount_8(self):
        point, stage = self.scratch("mnt"), self.scratch("stage")
        words = ",".join("%s=%s" % item for item in self.options(TREE, stage=stage, uid=7, gid=8).items())
        run("mount", "-t", "actiondfs", "-o", words, "none", point)
        self.addCleanup(self.unmount_if_there, point)
        self.check(point)
        owner = os.stat(point + "/file")
        self.assertEqual((owner.st_uid, owner.st_gid), (7, 8))
        run("umount", point)
        done = subprocess.run(["mount", "-t", "actiondfs", "-o", words + ",nonsense", "none", point], capture_output=True)
        self.assertNotEqual(done.returncode, 0)

    def test_shown_options_mount_again(self):
        """Whatever the names of CAS and stage have in them."""
        for name in ("plain", "a space", "back\\slash", "comma,comma", "tab\tnewline\nend", "\\040", "#hash", "quote\"'",
                     "ünï"):
            for options in ({}, {"uid": 12, "gid": 34, "inodes": "content", "verify": "none", "root_size": None}):
                with self.subTest(name=name, options=options):
                    top = self.scratch("top")
                    store = LayoutStore(os.path.join(top, name + ".cas"), "flat")
                    stage = os.path.join(top, name)
                    os.mkdir(stage)
                    point = self.mount(TREE, store=store, stage=stage, **options)
                    shown = self.shown(point)
                    self.assertEqual((shown["cas"], shown["stage"], shown["layout"]), (store.path, stage, "flat"))
                    for key, value in options.items():
                        self.assertEqual(shown.get(key), None if value is None else str(value))
                    unmount(point)
                    with Context() as context:
                        for key, value in shown.items():
                            context.set(key, value)
                        fd = context.mount()
                    attach(fd, point)
                    os.close(fd)
                    self.check(point)
                    self.assertEqual(self.shown(point), shown)
                    unmount(point)
                    # A comma ends an option of mount(8).
                    if "," in name:
                        continue
                    words = ",".join("%s=%s" % item for item in shown.items())
                    run("mount", "-t", "actiondfs", "-o", words, "none", point)
                    self.check(point)
                    self.assertEqual(self.shown(point), shown)
                    unmount(point)

    @staticmethod
    def shown(point):
        """Our options of the mount, as whoever reads /proc/mounts takes them."""
        def plain(text):
            return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), os.fsencode(text)))

        with open("/proc/mounts", encoding="utf-8") as file:
            line = [line.split(" ") for line in file if plain(line.split(" ")[1]) == point][-1]
        return dict(plain(word).split("=", 1) for word in line[3].split(",") if "=" in word)


class Stages(Guest):
    def test_and_the_cas(self):
        inside = os.path.join(self.store.path, "stage")
        os.mkdir(inside)
        self.refused("EINVAL", "stage: inside the CAS", TREE, stage=inside)
        self.refused("EINVAL", "stage: inside the CAS", TREE, stage=self.store.path)
        self.refused("EINVAL", "stage: the CAS is inside", TREE, stage=self.directory)

    def test_and_the_cas_by_another_mount(self):
        inside, other = os.path.join(self.store.path, "stage"), self.scratch("bind")
        os.mkdir(inside)
        run("mount", "--bind", inside, other)
        self.addCleanup(self.unmount_if_there, other)
        self.refused("EINVAL", "stage: inside the CAS", TREE, stage=other)

    def test_of_another_mount(self):
        stage = self.scratch("stage")
        below, above = os.path.join(stage, "below"), self.directory
        os.mkdir(below)
        other = LayoutStore(os.path.join(self.tmpfs(), "cas"))
        point = self.mount(TREE, stage=stage)
        for place in (stage, below):
            with self.subTest(stage=place):
                self.refused("EBUSY", "stage", TREE, stage=place)
        self.refused("EBUSY", "stage", TREE, stage=above, store=other)
        beside = self.mount(TREE, stage=self.scratch("stage"))
        unmount(point)
        self.refused("EBUSY", "stage", TREE, stage=above, store=other)
        unmount(beside)
        self.mount(TREE, stage=above, store=other)

    def test_and_the_cas_of_another_mount(self):
        stores = [self.store] + [LayoutStore(os.path.join(self.tmpfs(), "cas")) for _ in range(2)]
        inside = os.path.join(self.store.path, "stage")
        os.mkdir(inside)
        point = self.mount(TREE)
        for place in (inside, self.store.path, self.directory):
            with self.subTest(stage=place):
                self.refused("EBUSY", "stage: another mount has its CAS there", TREE, stage=place, store=stores[1])
        # One CAS is for as many as like.
        beside = self.mount(TREE, stage=self.scratch("stage"))
        unmount(point)
        unmount(beside)
        point = self.mount(TREE, stage=inside, store=stores[1])
        self.refused("EBUSY", "cas: another mount has its stage there", TREE)
        self.refused("EBUSY", "cas: another mount has its stage there", TREE, stage=os.path.dirname(stores[2].path))
        self.mount(TREE, store=stores[2])
        unmount(point)
        self.mount(TREE)

    def test_read_only(self):
        stage = self.scratch("stage")
        run("mount", "--bind", stage, stage)
        self.addCleanup(self.unmount_if_there, stage)
        run("mount", "-o", "remount,bind,ro", stage)
        self.refused("EROFS", "stage: .*read-only", TREE, stage=stage)
        tmpfs = self.tmpfs("ro")
        self.refused("EROFS", "stage: .*read-only", TREE, stage=tmpfs)

    def test_becoming_read_only(self):
        stage = self.tmpfs()
        point = self.mount(TREE, stage=stage)
        write_file(point + "/before", b"x")
        run("mount", "-o", "remount,ro", stage)
        self.answers("EROFS", write_file, point + "/after")
        self.answers("EROFS", os.mkdir, point + "/dir/new")
        self.answers("EROFS", os.unlink, point + "/before")
        self.assertEqual(read_file(point + "/before"), b"x")
        run("mount", "-o", "remount,rw", stage)
        os.unlink(point + "/before")
        unmount(point)

    def test_on_another_file_system_than_the_cas(self):
        point = self.mount(TREE, stage=self.tmpfs())
        write_file(point + "/dir/new", b"x" * 100000)
        self.assertEqual(sorted(os.listdir(point + "/dir")), ["inner", "link", "new"])
        fd_in, fd_out = os.open(point + "/file", os.O_RDONLY), os.open(point + "/copy", os.O_CREAT | os.O_WRONLY)
        self.assertEqual(os.copy_file_range(fd_in, fd_out, 100), 8)
        os.close(fd_in)
        os.close(fd_out)
        self.assertEqual(read_file(point + "/copy"), b"content\n")

    def test_on_actiondfs(self):
        point = self.mount({"x": {}}, stage=self.scratch("stage"))
        os.mkdir(point + "/stage")
        self.refused("EINVAL", "stage: on actiondfs", TREE, stage=point + "/stage")

    def test_on_an_idmapped_mount(self):
        user_ns = user_namespace(self)
        tree = syscall(SYS_OPEN_TREE, AT_FDCWD, os.fsencode(self.scratch("stage")), 1)
        syscall(SYS_MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, struct.pack("=QQQQ", MOUNT_ATTR_IDMAP, 0, 0, user_ns), 32)
        point = self.scratch("mapped")
        attach(tree, point)
        os.close(tree)
        self.addCleanup(self.unmount_if_there, point)
        self.refused("EINVAL", "stage: on an idmapped mount", TREE, stage=point)

    def test_what_is_mounted_over_it_later_is_not_in_the_way(self):
        stage = self.scratch("stage")
        point = self.mount(TREE, stage=stage)
        run("mount", "-t", "tmpfs", "tmpfs", stage)
        self.addCleanup(self.unmount_if_there, stage)
        write_file(point + "/new", b"new")
        self.assertEqual(os.listdir(stage), [])
        unmount(stage)
        self.assertEqual(os.listdir(stage), ["new"])


class Privilege(Guest):
    def without(self, function, *args):
        """The error of the call for someone who has no CAP_SYS_ADMIN."""
        def child():
            os.setgroups([])
            os.setgid(1000)
            os.setuid(1000)
            return errno_name(function, *args)

        return in_child(child)

    def test_without_it(self):
        self.assertEqual(self.without(Context), "EPERM")
        point, options = self.scratch("mnt"), ",".join("%s=%s" % item for item in self.options(TREE).items())
        self.assertEqual(self.without(plain_mount, point, options), "EPERM")
        plain_mount(point, options)
        self.assertEqual(self.without(unmount, point), "EPERM")
        unmount(point)

    def test_in_a_user_namespace(self):
        tree = self.tree(TREE)
        point, options = self.scratch("mnt"), ",".join("%s=%s" % item for item in self.options(tree).items())

        def child():
            checked(LIBC.unshare(0x10000000 | 0x20000), "unshare")  # CLONE_NEWUSER | CLONE_NEWNS
            return errno_name(plain_mount, point, options), errno_name(self.detached, tree)

        self.assertEqual(in_child(child), ("EPERM", "EPERM"))

    def test_a_context_that_was_handed_on(self):
        """Whoever has the descriptor of a privileged context still needs the privilege to make the mount."""
        with Context() as context:
            for key, value in self.options(TREE).items():
                context.set(key, value)
            self.assertEqual(self.without(context.config, CMD_CREATE), "EPERM")


class Remounting(Guest):
    def test_read_only_and_back(self):
        point = self.mount(TREE, stage=self.scratch("stage"))
        write_file(point + "/before")
        run("mount", "-o", "remount,ro", point)
        self.answers("EROFS", write_file, point + "/after")
        self.answers("EROFS", os.unlink, point + "/before")
        self.answers("EROFS", os.mkdir, point + "/dir/new")
        run("mount", "-o", "remount,rw", point)
        write_file(point + "/after")
        os.unlink(point + "/before")
        self.assertEqual(sorted(os.listdir(point)), ["after", "dir", "file"])

    def test_the_file_system_itself(self):
        point = self.mount(TREE, stage=self.scratch("stage"))
        with open(point + "/open", "wb"):
            self.answers("EBUSY", self.reconfigure, point, "ro")
        self.reconfigure(point, "ro")
        self.answers("EROFS", write_file, point + "/after")
        self.reconfigure(point, "rw")
        write_file(point + "/after")

    def test_without_a_stage(self):
        point = self.mount(TREE)
        self.answers("EROFS", self.reconfigure, point, "rw")
        self.assertNotEqual(subprocess.run(["mount", "-o", "remount,rw", point], capture_output=True).returncode, 0)
        self.answers("EROFS", write_file, point + "/new")

    def test_nothing_else_changes(self):
        stage = self.scratch("stage")
        point = self.mount(TREE, stage=stage)
        before = Forms.shown(point)
        for key, value in (("root", "0" * 64), ("root_size", "1"), ("cas", stage), ("stage", self.store.path), ("layout", "flat"),
                           ("uid", "5"), ("gid", "5"), ("inodes", "content"), ("verify", "none")):
            with self.subTest(key=key):
                self.answers("EINVAL", self.reconfigure, point, "rw", (key, value))
                self.assertEqual(Forms.shown(point), before)
        # What is as it was is no change.
        self.reconfigure(point, "rw", *before.items())
        write_file(point + "/new")

    @staticmethod
    def reconfigure(point, flag, *options):
        fd = syscall(433, AT_FDCWD, os.fsencode(point), 1)  # fspick
        try:
            for key, value in options:
                syscall(SYS_FSCONFIG, fd, SET_STRING, key.encode(), os.fsencode(value), 0)
            syscall(SYS_FSCONFIG, fd, SET_FLAG, flag.encode(), None, 0)
            syscall(SYS_FSCONFIG, fd, CMD_RECONFIGURE, None, None, 0)
        finally:
            os.close(fd)


def plain_mount(point, options):
    checked(LIBC.mount(b"none", os.fsencode(point), b"actiondfs", ctypes.c_ulong(0), options.encode()), "mount")


if __name__ == "__main__":
    main()
