#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Containers with every capability, of the host's user namespace and of one of their own, try each way to change the file
of an input, in every mode. The store has to be what it was: to the content, and to the inode's times.

ACTIONDFS_HOSTILE is the program that tries (hostile.c)."""

import hashlib
import os
import shutil
import stat
import unittest

import checklist
from host import ALL_CAPABILITIES, BACKEND, Bundle, call

HOSTILE = os.environ.get("ACTIONDFS_HOSTILE", "hostile")
MODES = ("readonly", "strict", "overlay")
# Besides what the program does: what needs no special call.
SCRIPT = r"""
PATH=/bin
cd /workspace
cp prog /bin/prog
prog /workspace/file /tmp
prog /workspace/prog /tmp
prog /workspace/dir/empty /tmp
for name in file prog dir/empty; do
  rm -f $name; mv $name /tmp; echo evil > $name; ln -f /bin/busybox $name; cp /bin/busybox $name
  touch $name; truncate -s 1 $name
done 2>/dev/null || true
rm -rf dir 2>/dev/null || true
mount -t overlay -o lowerdir=/tmp,upperdir=/workspace,workdir=/workspace/dir none /mnt 2>/dev/null && echo evil > /mnt/file || true
echo end
"""


class HostileTest(checklist.ContainerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        tree = cls.host.path("hostile-tree")
        os.makedirs(os.path.join(tree, "dir"))
        shutil.copy(HOSTILE, os.path.join(tree, "prog"))
        os.chmod(os.path.join(tree, "prog"), 0o755)
        with open(os.path.join(tree, "file"), "wb") as file:
            file.write(b"input\n" * 1000)
        with open(os.path.join(tree, "dir/empty"), "wb"):
            pass
        cls.root = cls.host.import_tree(tree)
        cls.store = cls.snapshot()

    @classmethod
    def snapshot(cls):
        """All of the store but the times of access."""
        found = {}
        for top, dirs, files in os.walk(cls.host.cas):
            for name in dirs + files:
                path = os.path.join(top, name)
                st = os.lstat(path)
                found[os.path.relpath(path, cls.host.cas)] = (
                    st.st_ino, st.st_mode, st.st_nlink, st.st_uid, st.st_gid, st.st_size, st.st_mtime_ns, st.st_ctime_ns,
                    tuple(os.listxattr(path, follow_symlinks=False)))
        return found

    def check_store(self):
        self.assertEqual(self.snapshot(), self.store)
        blobs = 0
        for top, _, files in os.walk(self.host.cas):
            for name in files:
                with open(os.path.join(top, name), "rb") as file:
                    self.assertEqual(hashlib.sha256(file.read()).hexdigest(), name)
                blobs += 1
        # prog, file, the empty file (which a store need not have), and the Directories.
        self.assertGreaterEqual(blobs, 4)
        super().check_store()

    def attack(self, mode, user_namespace):
        out = self.run_ok(Bundle(self.annotations(mode=mode), SCRIPT, capabilities=ALL_CAPABILITIES,
                                 user_namespace=user_namespace,
                                 prepare_rootfs=lambda rootfs: os.mkdir(os.path.join(rootfs, "mnt"))))
        self.check_store()
        tried = [int(line.split()[1]) for line in out.splitlines() if line.startswith("done ")]
        self.assertEqual(len(tried), 3, out)
        self.assertGreater(min(tried), 50)
        self.assertTrue(out.endswith("end\n"), out)
        if mode != "overlay":  # where writing is what one may do, to a copy
            self.assertEqual([line for line in out.splitlines() if line.startswith("THROUGH")], [])

    def test_every_capability_of_the_host(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                self.attack(mode, user_namespace=False)

    def test_every_capability_of_a_user_namespace(self):
        for mode in MODES:
            with self.subTest(mode=mode):
                self.attack(mode, user_namespace=True)

    def run_with_new_privileges(self, mode, script, **bundle):
        def prepare(rootfs):
            shutil.copy(HOSTILE, os.path.join(rootfs, "bin/prog"))
            with open(os.path.join(rootfs, "etc/passwd"), "w", encoding="utf-8") as file:
                file.write("root:x:0:0::/:/bin/sh\nuser:x:1000:1000::/:/bin/sh\n")
        directory, container_id = self.host.make_bundle(Bundle(
            self.annotations(mode=mode), script, capabilities=ALL_CAPABILITIES, prepare_rootfs=prepare, **bundle))
        checklist.edit_spec(directory, lambda spec: spec["process"].update(noNewPrivileges=False))
        done = call(self.runtime.command("run", "--bundle", directory, container_id))
        self.assertEqual(done.code, 0, done.err)
        self.host.check_clean()
        return done.out

    def test_set_id_programs_have_no_effect(self):
        script = r"""
            for to in /prog /workspace/suid; do
              cp /bin/prog $to; chown 0:0 $to; chmod 4755 $to; su user -c "$to euid"
            done"""
        for mode in ("strict", "overlay"):
            with self.subTest(mode=mode):
                # The first is where set-id works: on the container's own root.
                self.assertEqual(self.run_with_new_privileges(mode, script), "0\n1000\n")

    def test_no_device_can_be_made(self):
        script = r"""
            for to in /null /workspace/null; do
              if ! mknod $to c 1 3 2>/dev/null; then echo "not made"
              elif echo x 2>/dev/null > $to; then echo works
              fi
            done"""
        for mode in ("strict", "overlay"):
            with self.subTest(mode=mode):
                self.assertEqual(self.run_with_new_privileges(mode, script), "works\nnot made\n")

    def test_device_below_an_overlay_does_not_work(self):
        # overlayfs makes none for an action, since the hook that mounted it may not. The flag is to hold by itself.
        directory, container_id = self.host.make_bundle(Bundle(self.annotations(mode="overlay")))
        annotations = self.annotations(mode="overlay")
        with checklist.FakeContainer() as container:
            state = self.state(directory, container_id, container.pid, annotations=annotations)
            self.assertEqual(self.hook("prestart", state).err, "")
            device = os.path.join(self.host.stage_root, container_id, "upper/null")
            os.mknod(device, stat.S_IFCHR | 0o666, os.makedev(1, 3))
            with open(device, "w", encoding="utf-8") as file:
                file.write("works on the host")
            with self.assertRaises(PermissionError):
                open(container.inside(os.path.join(directory, "rootfs/workspace/null")), "wb").close()
        self.assertEqual(self.hook("poststop", self.state(directory, container_id, 0, status="stopped")).err, "")
        self.host.check_clean()


@unittest.skipUnless(BACKEND == "fuse", "no other backend has a server")
class HostileWithoutPassthroughTest(HostileTest):
    """The server reads and writes, not the kernel."""

    server_options = ("--no-passthrough",)


if __name__ == "__main__":
    checklist.main("runc", HOSTILE)
