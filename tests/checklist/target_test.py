#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Images and volumes that would have the workspace attached somewhere else; propagation to the host."""

import os
import subprocess
import unittest

import checklist
from host import Bundle


class TargetTest(checklist.ContainerTest):
    def refuse(self, destination, expected, **bundle):
        before = self.host_mounts()
        done = self.runtime.run(Bundle(self.annotations(destination=destination), "echo STARTED", **bundle))
        self.assertNotEqual(done.code, 0, done.out)
        self.assertNotIn("STARTED", done.out)
        self.assertIn(expected, done.err)
        self.assertEqual(self.host_mounts(), before)
        self.host.check_clean()

    def host_mounts(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            return sorted(line.split()[4] for line in file if self.host.dir in line and line.split()[4] != self.host.state_root)

    def test_symlinks_of_the_image(self):
        victim = self.host.path("victim")
        os.mkdir(victim)
        for target in ("/proc", "/proc/self/root", "/proc/1/root", "/dev", "/sys/fs", "../../../../../..", victim, ".", "tmp", "nowhere"):
            for destination in ("/workspace", "/workspace/deeper"):
                with self.subTest(target=target, destination=destination):
                    self.refuse(destination, "symlink",
                                prepare_rootfs=lambda rootfs, to=target: os.symlink(to, os.path.join(rootfs, "workspace")))
        self.assertEqual(os.listdir(victim), [])

    def test_destinations_that_are_the_systems(self):
        # As text, whatever is mounted there or is not.
        for destination in ("/", "/proc", "/proc/self/cwd", "/sys", "/dev", "/dev/shm/x", "/..", "/a/../..", "/a/./b", "//"):
            with self.subTest(destination=destination):
                self.refuse(destination, "dev.actiondfs.destination")

    def test_destination_that_is_mounted_over(self):
        volume = self.host.path("volume")
        os.makedirs(os.path.join(volume, "below"), exist_ok=True)
        for mount in ({"type": "tmpfs", "source": "tmpfs"},
                      {"type": "bind", "source": volume, "options": ["rbind", "rw"]},
                      {"type": "bind", "source": volume, "options": ["rbind", "rw", "rshared"]}):
            for destination in ("/workspace", "/workspace/below", "/workspace/new"):
                with self.subTest(mount=mount["type"], destination=destination):
                    self.refuse(destination, "another mount", mounts=[{"destination": "/workspace", **mount}])
        self.assertEqual(os.listdir(volume), ["below"])

    def test_shared_volume_spreads_nothing_to_the_host(self):
        # The way that a Bidirectional volume of Kubernetes has it: what is mounted below is the host's, too.
        volume = self.host.path("shared")
        os.makedirs(os.path.join(volume, "ws"))
        subprocess.run(["mount", "--bind", volume, volume], check=True)
        self.addCleanup(subprocess.run, ["umount", "-l", volume], check=True)
        subprocess.run(["mount", "--make-shared", volume], check=True)
        self.refuse_on_shared(volume)

    def refuse_on_shared(self, volume):
        before = self.host_mounts()
        done = self.runtime.run(Bundle(
            self.annotations(destination="/vol/ws"), "echo STARTED",
            mounts=[{"destination": "/vol", "type": "bind", "source": volume, "options": ["rbind", "rshared"]}]))
        self.assertIn("another mount", done.err)
        self.assertNotIn("STARTED", done.out)
        self.assertEqual(self.host_mounts(), before)

    def test_propagation_of_the_root_spreads_nothing_to_the_host(self):
        for propagation in ("shared", "slave", "private"):
            with self.subTest(propagation=propagation):
                seen = self.host.path("seen-" + propagation)
                bundle = Bundle(self.annotations(), "cat /workspace/hello.txt; cat < /gate > /dev/null",
                                prepare_rootfs=lambda rootfs: os.mkfifo(os.path.join(rootfs, "gate")))
                directory, container_id = self.host.make_bundle(bundle)
                checklist.edit_spec(directory, lambda spec, to=propagation: spec["linux"].update(rootfsPropagation=to))
                with open(seen, "wb") as out:
                    init = subprocess.Popen(self.runtime.command("run", "--bundle", directory, container_id), stdout=out)
                # Opened when the container has come to its end: the workspace is attached.
                with open(os.path.join(directory, "rootfs/gate"), "wb"):
                    points = self.host_mounts()
                self.assertEqual(init.wait(60), 0)
                self.assertFalse([point for point in points if point.startswith(directory)], points)
                with open(seen, "rb") as out:
                    self.assertEqual(out.read(), b"hello\n")
                self.host.check_clean()

    def test_parents_are_made_in_the_root_and_owned_by_nobody_else(self):
        out = self.run_ok(Bundle(self.annotations(destination="/made/for/it"), "stat -c '%u %a' /made /made/for"))
        self.assertEqual(out, "0 755\n0 755\n")


if __name__ == "__main__":
    checklist.main("runc")
