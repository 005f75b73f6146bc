# SPDX-License-Identifier: Apache-2.0
"""Mounts come and go; the server keeps nothing of them. And what `actiondfs mount` says to mistakes."""
import os
import signal
import socket
import subprocess
import unittest

from harness import PASSTHROUGH, FuseTest, Server, Store, main, reapi
from calls import LIBC, as_user, errno_name, mounts_below, read_file, write_file

TREE = {"file": b"content", "dir": {"deep": b"x"}}


class Life(FuseTest):
    def test_nothing_is_left(self):
        # Not 1: a sanitizer may have a thread of its own.
        threads = self.server.threads()
        digest = self.store.make_tree(TREE)
        self.mount_and_use(digest)
        self.settle(lambda: self.server.threads() == threads)
        descriptors = self.held()
        self.assertFalse([path for path in descriptors if path == "/dev/fuse" or "/stage" in path])
        for _ in range(20):
            self.mount_and_use(digest)
        self.settle(lambda: self.server.threads() == threads)
        self.assertEqual(self.held(), descriptors)
        self.assertEqual((self.server.mounts(), mounts_below(self.dir)), ([], []))

    def test_what_was_open_at_the_end_is_given_back(self):
        digest = self.store.make_tree({"f%d" % i: b"x" for i in range(30)})
        self.unmount(self.mount(digest))
        before = self.held()
        point = self.mount(digest)
        opened = [os.open(os.path.join(point, "f%d" % i), os.O_RDONLY) for i in range(30)]
        opened.append(os.open(point, os.O_RDONLY))
        os.listdir(opened[-1])
        # The kernel drops the closes that the server has not read when the mount goes.
        os.kill(self.server.process.pid, signal.SIGSTOP)
        for fd in opened:
            os.close(fd)
        status = LIBC.umount2(os.fsencode(point), 0)
        os.kill(self.server.process.pid, signal.SIGCONT)
        self.assertEqual(status, 0)
        self.settle(lambda: not self.server.mounts())
        self.assertEqual(self.held(), before)

    def held(self):
        """What the server has open, but for the connections of clients, which come and go with these tests."""
        return [path for path in self.server.descriptors() if not path.startswith("socket:")]

    def mount_and_use(self, digest):
        point = self.mount(digest)
        read_file(os.path.join(point, "file"))
        write_file(os.path.join(point, "dir/new"), b"data")
        os.listdir(os.path.join(point, "dir"))
        self.unmount(point)

    def test_a_busy_mount_stays(self):
        point = self.mount(self.store.make_tree(TREE), "readonly")
        with open(os.path.join(point, "file"), "rb"):
            done = self.run_program("umount", point)
            self.assertEqual(done.returncode, 1)
            self.assertIn("busy", done.stderr)
        self.unmount(point)
        self.assertFalse(os.path.ismount(point))

    def test_only_our_own_mounts_are_unmounted(self):
        done = self.run_program("umount", "/proc")
        self.assertEqual(done.returncode, 1)
        self.assertIn("proc", done.stderr)
        self.assertEqual(self.run_program("umount", self.dir).returncode, 1)
        self.assertTrue(os.path.ismount("/proc"))

    def test_other_users_are_not_answered(self):
        os.chmod(self.server.socket, 0o666)  # as if the file's mode did not keep them out already
        self.addCleanup(os.chmod, self.server.socket, 0o600)

        def ask():
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
                client.connect(self.server.socket)
                try:
                    client.send(reapi.message(4, b""))
                    return client.recv(100)
                except ConnectionError:
                    return b""

        self.assertEqual(as_user(ask), b"")
        self.assertEqual(self.server.process.poll(), None)

    def test_malformed_requests(self):
        for request in (b"\xff\xff\xff", b"\x00", reapi.message(1, b""), reapi.message(2, b""), b""):
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
                client.connect(self.server.socket)
                client.send(request)
                client.recv(1 << 16)
        self.assertEqual(self.server.mounts(), [])

    def test_a_silent_client_holds_up_nobody(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent:
            silent.connect(self.server.socket)
            self.mount_and_use(self.store.make_tree(TREE))

    def test_without_a_server_the_mount_has_its_own(self):
        digest = self.store.make_tree(TREE)
        point, stage = self.scratch("own"), self.scratch("stage")
        done = self.run_program("mount", reapi.text(digest), point, "--backend", "fuse", "--cas", self.store.path, "--layout",
                                "sharded", "--stage", stage, "--socket", os.path.join(self.dir, "nowhere"),
                                *([] if PASSTHROUGH else ["--no-passthrough"]))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.of_others = (point,)
        self.addCleanup(self.unmount, point)
        self.assertIn("of its own", done.stderr)
        self.assertEqual(read_file(os.path.join(point, "file")), b"content")
        write_file(os.path.join(point, "new"))
        self.unmount(point)

    def test_overlay(self):
        digest = self.store.make_tree(TREE)
        point = self.mount(digest, "overlay")
        self.assertTrue(os.getxattr(os.path.join(point, "file"), "user.actiondfs.sha256"))
        write_file(os.path.join(point, "file"), b"changed")
        # The copy does not claim to be what it was copied from.
        self.assertEqual(errno_name(os.getxattr, os.path.join(point, "file"), "user.actiondfs.sha256"), "ENODATA")
        os.unlink(os.path.join(point, "dir/deep"))
        os.rename(os.path.join(point, "dir"), os.path.join(point, "moved"))
        self.assertEqual((read_file(os.path.join(point, "file")), os.listdir(os.path.join(point, "moved"))),
                         (b"changed", []))
        self.unmount(point)
        self.assertEqual(mounts_below(self.dir), [])
        self.assertEqual(self.store.damaged(), [])

    def test_a_full_stage_is_remembered(self):
        stage = self.scratch("full")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", stage], check=True)
        self.addCleanup(subprocess.run, ["umount", stage], check=True)
        point = self.mount(self.store.make_tree(TREE), stage=stage)
        self.assertEqual(errno_name(write_all, os.path.join(point, "big"), 1 << 20), "ENOSPC")
        _, stage_error = self.server.counters(self.server.mounts()[-1])
        self.assertEqual(stage_error, 28)
        self.unmount(point)

    def test_mistakes(self):
        digest = reapi.text(self.store.make_tree(TREE))
        cases = {2: [["nonsense"], [digest], [digest, "--mode", "wrong"], [digest, "--mode", "readonly", "-o", "uid=x"],
                     ["--roots", "--mode", "strict"], [digest, "--mode", "readonly", "--list-roots"]],
                 1: [["0" * 64 + "/5", "--mode", "readonly"], [digest, "--mode", "readonly", "--backend", "hardlink"]]}
        for code, lines in cases.items():
            for args in lines:
                done, point = self.try_mount(*args)
                self.assertEqual(done.returncode, code, (args, done.stderr))
                self.assertFalse(os.path.ismount(point))


def write_all(path, size):
    with open(path, "wb", buffering=0) as file:
        while size > 0:
            size -= file.write(b"x" * min(size, 4096))


class Stopping(unittest.TestCase):
    def test_stopping_cuts_mounts_off(self):
        directory = subprocess.check_output(["mktemp", "-d", "/var/tmp/actiondfs-fuse-test.XXXXXX"], text=True).strip()
        self.addCleanup(subprocess.run, ["rm", "-rf", directory], check=True)
        server = Server(directory)
        helper = Life("mount")
        helper.dir, helper.server, helper.store = directory, server, Store(os.path.join(directory, "cas"))
        Life.count = 0
        point = helper.mount(helper.store.make_tree(TREE), "readonly")
        self.assertEqual(server.stop(), 0)
        self.assertEqual(errno_name(os.listdir, os.path.join(point, "dir")), "ENOTCONN")
        subprocess.run(["umount", point], check=True)


if __name__ == "__main__":
    main()
