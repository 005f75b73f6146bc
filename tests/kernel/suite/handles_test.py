#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""File handles of inputs: good for what they were made of, and for nothing else."""
import ctypes
import os
import stat
import struct

from kit import (AT_EMPTY_PATH, AT_FDCWD, Counted, Executable, Guest, LIBC, Link, MODULE, Properties, checked, drop_caches, errno_name,
                 in_child, main, read_file, run, unmount, write_file)

TREE = {"file": b"content\n", "program": Executable(b"program"), "dir": {"inner": b"inner\n", "link": Link("inner")},
        "empty": b"", "dated": Properties(b"dated", mode=0o640, mtime=1234567890123456789)}


def handle_of(path):
    """(type, bytes); the path may be a descriptor."""
    at, path, flags = (path, "", AT_EMPTY_PATH) if isinstance(path, int) else (AT_FDCWD, path, 0)
    buffer = ctypes.create_string_buffer(struct.pack("=II", 128, 0) + bytes(128), 136)
    mount_id = ctypes.c_int()
    checked(LIBC.name_to_handle_at(at, os.fsencode(path), buffer, ctypes.byref(mount_id), flags), "name_to_handle_at")
    size, kind = struct.unpack_from("=Ii", buffer.raw)
    return kind, buffer.raw[8:8 + size]


def open_handle(point, handle, flags=os.O_RDONLY):
    kind, data = handle
    directory = os.open(point, os.O_RDONLY)
    try:
        buffer = ctypes.create_string_buffer(struct.pack("=Ii", len(data), kind) + data, 8 + len(data))
        return checked(LIBC.open_by_handle_at(directory, buffer, flags), "open_by_handle_at")
    finally:
        os.close(directory)


def content(point, handle):
    with open(open_handle(point, handle), "rb") as file:
        return file.read()


class Handles(Guest):
    def setUp(self):
        super().setUp()
        self.point = self.mount(TREE, stage=self.scratch("stage"))

    def test_of_files(self):
        for name in ("file", "program", "dir/inner", "empty", "dated"):
            with self.subTest(name=name):
                path = os.path.join(self.point, name)
                before, handle = os.stat(path), handle_of(path)
                for dropped in (False, True):
                    if dropped:
                        drop_caches()
                    fd = open_handle(self.point, handle)
                    now = os.fstat(fd)
                    with open(fd, "rb") as file:
                        self.assertEqual(file.read(), read_file(path))
                    for field in ("st_ino", "st_mode", "st_size", "st_mtime_ns", "st_uid", "st_gid", "st_dev", "st_blocks"):
                        self.assertEqual(getattr(now, field), getattr(before, field), field)
                self.assertEqual(handle_of(path), handle)

    def test_open_for_writing(self):
        handle = handle_of(self.point + "/file")
        self.answers("EROFS", open_handle, self.point, handle, os.O_RDWR)

    def look(self, handle):
        os.close(open_handle(self.point, handle, os.O_PATH))

    def test_of_directories_and_links_in_memory(self):
        directory, link = handle_of(self.point + "/dir"), handle_of(self.point + "/dir/link")
        held = [os.open(os.path.join(self.point, name), os.O_PATH | os.O_NOFOLLOW) for name in ("dir", "dir/link")]
        for dropped in (False, True):
            if dropped:
                drop_caches()
            fd = open_handle(self.point, directory)
            self.assertEqual(sorted(os.listdir(fd)), ["inner", "link"])
            os.close(fd)
            fd = open_handle(self.point, link, os.O_PATH)
            self.assertTrue(stat.S_ISLNK(os.fstat(fd).st_mode))
            os.close(fd)
        for fd in held:
            os.close(fd)

    def test_of_directories_and_links_that_nobody_has(self):
        """They are not made anew, until somebody looks them up."""
        handles = {name: handle_of(os.path.join(self.point, name)) for name in ("dir", "dir/link", "dir/inner")}
        unmount(self.point)
        self.mount(TREE, self.point)
        self.look(handles["dir/inner"])
        for name in ("dir", "dir/link"):
            self.answers("ESTALE", self.look, handles[name])
            os.lstat(os.path.join(self.point, name))
            self.look(handles[name])

    def test_of_a_directory_before_and_after_it_is_read(self):
        """Its mode and time are not known before: they are no part of the handle."""
        point = self.mount({"dir": Properties({"inner": b"x"}, mode=0o700, mtime=1234567890 * 10**9), self.id(): b""})
        fd = os.open(point + "/dir", os.O_PATH)
        self.addCleanup(os.close, fd)
        before = handle_of(fd)
        with Counted(point) as counted:
            os.stat(point + "/dir")
        self.assertEqual(counted["dir_loads"], 1)
        self.assertEqual(handle_of(fd), before)
        os.close(open_handle(point, before))

    def test_one_bit_changed(self):
        kind, data = handle_of(self.point + "/file")
        self.assertEqual(content(self.point, (kind, data)), b"content\n")
        for bit in range(len(data) * 8):
            changed = bytearray(data)
            changed[bit // 8] ^= 1 << bit % 8
            self.answers("ESTALE", open_handle, self.point, (kind, bytes(changed)))
        for bit in range(8):
            self.answers("ESTALE", open_handle, self.point, (kind ^ 1 << bit, data))

    def test_another_length(self):
        kind, data = handle_of(self.point + "/file")
        for length in range(4, len(data), 4):
            self.answers("ESTALE", open_handle, self.point, (kind, data[:length]))
        self.assertEqual(content(self.point, (kind, data + bytes(8))), b"content\n")

    def test_a_small_buffer(self):
        buffer = ctypes.create_string_buffer(struct.pack("=II", 8, 0) + bytes(8), 16)
        mount_id = ctypes.c_int()
        self.answers("EOVERFLOW", lambda: checked(LIBC.name_to_handle_at(
            AT_FDCWD, os.fsencode(self.point + "/file"), buffer, ctypes.byref(mount_id), 0), "name_to_handle_at"))
        self.assertEqual(struct.unpack_from("=I", buffer.raw)[0], len(handle_of(self.point + "/file")[1]))

    def test_of_another_root(self):
        handle = handle_of(self.point + "/file")
        other = self.mount({"file": b"content\n", "other": b""})
        self.answers("ESTALE", open_handle, other, handle)
        os.stat(other + "/file")
        self.answers("ESTALE", open_handle, other, handle)

    def test_of_the_same_root(self):
        """Two mounts of one root show the same."""
        other = self.mount(TREE)
        self.assertEqual(content(other, handle_of(self.point + "/dir/inner")), b"inner\n")

    def test_after_the_module_was_away(self):
        """A handle is no secret that outlives the key."""
        handle = handle_of(self.point + "/file")
        if MODULE is None:
            self.skipTest("there is no module to load again")
        unmount(self.point)
        run("rmmod", "actiondfs")
        run("insmod", MODULE)
        point = self.mount(TREE)
        self.answers("ESTALE", open_handle, point, handle)

    def test_of_staged_files(self):
        write_file(self.point + "/new")
        os.mkdir(self.point + "/newdir")
        for name in ("new", "newdir"):
            self.assertNotEqual(errno_name(handle_of, os.path.join(self.point, name)), "OK")

    def test_needs_the_privilege(self):
        handle = handle_of(self.point + "/file")

        def child():
            os.setgroups([])
            os.setgid(1000)
            os.setuid(1000)
            return errno_name(open_handle, self.point, handle)

        self.assertEqual(in_child(child), "EPERM")


class BelowOverlay(Guest):
    """What overlayfs makes of them."""

    def overlay(self, lower):
        point, upper, work = (self.scratch(name) for name in ("merged", "upper", "work"))
        # As the hook mounts it. It also makes overlayfs look up the origins of files in a lower layer without a UUID.
        options = "lowerdir=%s,upperdir=%s,workdir=%s,redirect_dir=on" % (lower, upper, work)
        run("mount", "-t", "overlay", "-o", options, "overlay", point)
        self.addCleanup(self.unmount_if_there, point)
        return point, options

    def test_st_ino_survives_copy_up(self):
        lower = self.mount(TREE)
        point, options = self.overlay(lower)
        before = os.stat(point + "/file")
        os.chmod(point + "/file", 0o644)
        with open(point + "/file", "ab") as file:
            file.write(b"more")
        self.assertEqual(os.stat(point + "/file").st_ino, before.st_ino)
        drop_caches()
        self.assertEqual(os.stat(point + "/file").st_ino, before.st_ino)
        unmount(point)
        run("mount", "-t", "overlay", "-o", options, "overlay", point)
        self.assertEqual(os.stat(point + "/file").st_ino, before.st_ino)
        self.assertEqual(read_file(point + "/file"), b"content\nmore")
        self.assertEqual(read_file(lower + "/file"), b"content\n")

    def test_an_index_can_be_had(self):
        """index=on asks file handles of the lower layer."""
        lower = self.mount(TREE)
        point, upper, work = (self.scratch(name) for name in ("merged", "upper", "work"))
        options = "lowerdir=%s,upperdir=%s,workdir=%s,index=on" % (lower, upper, work)
        run("mount", "-t", "overlay", "-o", options, "overlay", point)
        self.addCleanup(self.unmount_if_there, point)
        os.link(point + "/file", point + "/second")
        with open(point + "/second", "ab") as file:
            file.write(b"more")
        self.assertEqual(read_file(point + "/file"), b"content\nmore")
        unmount(point)


if __name__ == "__main__":
    main()
