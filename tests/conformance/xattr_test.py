# SPDX-License-Identifier: Apache-2.0
"""Extended attributes: the digests of inputs, and user.* of what is staged."""
import ctypes
import hashlib
import os
import struct

from calls import LIBC, errno_name, read_file
from store import Executable, Link
from workspace import WithReference, Workspace, by_root, main, variants

TREE = {"file": b"content\n", "nothing": b"", "tool": Executable(b"#!/bin/sh\n"), "link": Link("file"),
        "dir": {"deep": b"deep\n"}}
STAGED = ("strict", "overlay", "plain")
SHA256, DIGEST = "user.actiondfs.sha256", "user.actiondfs.digest"


@variants("readonly", "strict", "overlay")
class Digests(Workspace):
    tree = TREE

    def test_files_have_them(self):
        for name, content in (("file", b"content\n"), ("nothing", b""), ("tool", b"#!/bin/sh\n"), ("dir/deep", b"deep\n")):
            digest = hashlib.sha256(content)
            self.assertEqual(os.getxattr(self.path(name), SHA256), digest.digest())
            self.assertEqual(os.getxattr(self.path(name), DIGEST), b"%s/%d" % (digest.hexdigest().encode(), len(content)))
            fd = self.open(name)
            self.assertEqual(os.getxattr(fd, SHA256), digest.digest())

    def test_nothing_else_has(self):
        for name in (SHA256, DIGEST):
            self.answers("ENODATA", os.getxattr, self.path("dir"), name)
            self.answers("ENODATA", os.getxattr, self.point, name)
        self.answers("ENODATA", os.getxattr, self.path("file"), "user.other")
        self.answers("ENODATA", os.getxattr, self.path("file"), "user.actiondfs.other")

    def test_a_buffer_that_is_too_small(self):
        buffer = ctypes.create_string_buffer(31)
        path, name = os.fsencode(self.path("file")), SHA256.encode()
        self.assertEqual(LIBC.getxattr(path, name, None, 0), 32)
        self.assertEqual(LIBC.getxattr(path, name, buffer, 31), -1)
        self.assertEqual(ctypes.get_errno(), 34)  # ERANGE

    def test_they_are_not_listed(self):
        # Who lists attributes copies them, and a changed copy would claim the old digest.
        for name in ("file", "dir", "."):
            self.assertEqual([key for key in os.listxattr(self.path(name)) if key.startswith("user.")], [])

    def test_other_namespaces(self):
        for name in ("trusted.x", "system.x"):
            self.assertIn(errno_name(os.getxattr, self.path("file"), name), ("EOPNOTSUPP", "ENODATA"))


@variants("readonly", "strict")
class OfInputs(Workspace):
    tree = TREE

    def test_a_symlink_has_none(self):
        self.answers("ENODATA", os.getxattr, self.path("link"), SHA256, follow_symlinks=False)
        self.assertEqual(os.getxattr(self.path("link"), SHA256), hashlib.sha256(b"content\n").digest())


@variants(*STAGED)
class Staged(WithReference):
    tree = TREE

    def test_each_call(self):
        def calls(directory, kind):
            path = os.path.join(directory, "x")
            os.mkdir(path) if kind == "directory" else os.close(os.open(path, os.O_CREAT | os.O_WRONLY))
            outcomes = [errno_name(os.setxattr, path, "user.key", b"value"),
                        os.getxattr(path, "user.key"), os.listxattr(path),
                        errno_name(os.setxattr, path, "user.key", b"", os.XATTR_CREATE),
                        errno_name(os.setxattr, path, "user.none", b"", os.XATTR_REPLACE),
                        errno_name(os.setxattr, path, "user.key", b"new", os.XATTR_REPLACE),
                        errno_name(os.setxattr, path, "user.empty", b""),
                        os.getxattr(path, "user.key"), os.getxattr(path, "user.empty"),
                        sorted(os.listxattr(path)),
                        errno_name(os.removexattr, path, "user.key"), errno_name(os.removexattr, path, "user.key"),
                        errno_name(os.getxattr, path, "user.key"), os.listxattr(path),
                        errno_name(os.setxattr, path, "user." + "n" * 250, b"x"),
                        errno_name(os.setxattr, path, "user." + "n" * 251, b"x"),
                        errno_name(os.setxattr, path, "user.", b"x"),
                        errno_name(os.setxattr, path, "other.key", b"x")]
            (os.rmdir if kind == "directory" else os.unlink)(path)
            return outcomes

        for kind in ("file", "directory"):
            with self.subTest(kind=kind):
                self.as_reference(calls, kind)

    def test_on_other_kinds(self):
        def calls(directory):
            fifo, link = (os.path.join(directory, name) for name in ("fifo", "symlink"))
            os.mkfifo(fifo)
            os.symlink("x", link)
            return [errno_name(os.setxattr, fifo, "user.x", b"1"),
                    errno_name(os.setxattr, link, "user.x", b"1", follow_symlinks=False)]

        self.as_reference(calls)

    def test_they_follow_the_file(self):
        path = self.new("x")
        os.setxattr(path, "user.key", b"value")
        os.rename(path, self.path("dir/y"))
        self.assertEqual(os.getxattr(self.path("dir/y"), "user.key"), b"value")
        fd = self.open("dir/y")
        os.unlink(self.path("dir/y"))
        self.assertEqual(os.getxattr(fd, "user.key"), b"value")
        os.setxattr(fd, "user.key", b"later")
        self.assertEqual(os.getxattr(fd, "user.key"), b"later")

    def test_a_file_that_may_not_be_read(self):
        path = self.new("x", mode=0o200)
        os.setxattr(path, "user.key", b"value")
        self.answers("OK" if self.user == "root" else "EACCES", os.getxattr, path, "user.key")


@variants("strict")
class Reserved(Workspace):
    tree = TREE

    def test_nobody_claims_a_digest(self):
        path = self.new("x")
        for name in (SHA256, DIGEST, "user.actiondfs.other"):
            self.answers("EPERM", os.setxattr, path, name, b"x" * 32)
        self.answers("ENODATA", os.getxattr, path, SHA256)
        os.mkdir(self.path("d"))
        self.answers("EPERM", os.setxattr, self.path("d"), SHA256, b"x" * 32)

    def test_only_user_attributes(self):
        path = self.new("x")
        expected = "EOPNOTSUPP" if self.user == "root" else "EPERM"
        self.answers(expected, os.setxattr, path, "trusted.x", b"1")
        # An access control list: owner rw-, a user r--, group r--, mask r--, others ---.
        acl = struct.pack("<I" + "HHI" * 5, 2, 1, 6, 0xFFFFFFFF, 2, 4, 1234, 4, 4, 0xFFFFFFFF, 16, 4, 0xFFFFFFFF,
                          32, 0, 0xFFFFFFFF)
        self.answers("EOPNOTSUPP", os.setxattr, path, "system.posix_acl_access", acl)


@variants("overlay", users=("root",))
class CopiedUp(Workspace):
    tree = TREE

    def test_a_changed_copy_claims_nothing(self):
        os.chmod(self.path("file"), 0o644)
        with open(self.path("file"), "ab") as file:
            file.write(b"more")
        self.assertEqual(read_file(self.path("file")), b"content\nmore")
        self.answers("ENODATA", os.getxattr, self.path("file"), SHA256)
        self.answers("ENODATA", os.getxattr, self.path("file"), DIGEST)


if __name__ == "__main__":
    main()
