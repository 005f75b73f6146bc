#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a container gets by annotation, under one runtime: workspace_test.py runc|crun|podman|containerd."""

import os
import sys
import unittest

import runtimes
from host import ALL_CAPABILITIES, BACKEND, SKIP, Bundle, Host, missing

RUNTIME = sys.argv.pop(1) if len(sys.argv) > 1 else "runc"

# Each line is tried; its outcome goes to stdout as "<word> ok" or "<word> refused".
CHANGES = r"""
try() { word=$1; shift; if "$@" 2>/dev/null; then echo $word ok; else echo $word refused; fi; }
cd /workspace
try append sh -c 'echo evil >> hello.txt'
try truncate sh -c ': > hello.txt'
try chmod chmod 666 hello.txt
try touch touch -d @1 hello.txt
try unlink rm -f hello.txt
try rename mv sub/deep.txt sub/moved.txt
try replace sh -c 'echo evil > /tmp/evil && mv -f /tmp/evil run.sh'
try rmdir rm -rf sub
"""

# What a container with all capabilities may do on top of it: nothing of it may reach the store.
HOSTILE = CHANGES + r"""
mount -o remount,rw /workspace 2>/dev/null || true
mount -o remount,rw,bind /workspace 2>/dev/null || true
chown 0:0 hello.txt 2>/dev/null || true
ln hello.txt hard 2>/dev/null && echo evil >> hard || true
dd if=/dev/zero of=hello.txt bs=1 count=1 conv=notrunc 2>/dev/null || true
dd if=/dev/zero of=/proc/self/fd/9 bs=1 count=1 conv=notrunc 9<hello.txt 2>/dev/null || true
setfattr -n user.x -v y hello.txt 2>/dev/null || true
mkdir -p /tmp/m && mount --bind /workspace /tmp/m 2>/dev/null && echo evil >> /tmp/m/hello.txt 2>/dev/null || true
echo done
"""


class WorkspaceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.host = Host()
        cls.addClassCleanup(cls.host.close)
        tree = cls.host.path("tree")
        os.makedirs(os.path.join(tree, "sub/empty"))
        with open(os.path.join(tree, "hello.txt"), "w", encoding="utf-8") as file:
            file.write("hello\n")
        with open(os.path.join(tree, "run.sh"), "w", encoding="utf-8") as file:
            file.write("#!/bin/sh\necho I ran\n")
        os.chmod(os.path.join(tree, "run.sh"), 0o755)
        with open(os.path.join(tree, "sub/deep.txt"), "w", encoding="utf-8") as file:
            file.write("deep\n")
        os.symlink("sub/deep.txt", os.path.join(tree, "link"))
        cls.root = cls.host.import_tree(tree)
        cls.host.start_server()
        cls.runtime = runtimes.ALL[RUNTIME](cls.host)
        cls.addClassCleanup(cls.runtime.close)

    def annotations(self, **extra):
        keys = {"dev.actiondfs.input-root": self.root}
        keys.update({"dev.actiondfs." + key.replace("_", "-"): value for key, value in extra.items()})
        return keys

    def run_ok(self, bundle):
        done = self.runtime.run(bundle)
        self.assertEqual(done.code, 0, done.out + done.err + self.host.server_log())
        self.host.check_clean()
        return done.out

    def check_store(self):
        done = self.host.verify(self.root)
        self.assertEqual(done.code, 0, done.out + done.err)

    READ = "cd /workspace; cat hello.txt link; ./run.sh; ls sub; stat -c '%a %u %Y' hello.txt sub"
    SEEN = "hello\ndeep\nI ran\ndeep.txt\nempty\n444 {uid} 946684800\n755 {uid} 946684800\n"

    def test_strict_shows_the_tree_and_stages_outputs(self):
        out = self.run_ok(Bundle(self.annotations(), self.READ + "; echo out > sub/out; cat sub/out"))
        self.assertEqual(out, self.SEEN.format(uid=0) + "out\n")
        record = self.host.last_record()
        self.assertEqual(record["mode"], "strict")
        self.assertEqual(record["backend"], BACKEND)
        self.assertEqual(record["input_root"], self.root)
        self.assertEqual(record["exit"], "stopped")
        self.assertEqual(record["staged"]["files"], 1)
        self.assertEqual(record["staged"]["bytes"], 4)
        self.assertGreater(record["counters"]["lookups"], 0)
        steps = [step["name"] for step in record["steps"]]
        self.assertEqual(steps[0], "prestart.plan")
        self.assertIn("poststop.unmount", steps)

    def test_strict_as_another_user(self):
        out = self.run_ok(Bundle(self.annotations(), self.READ + "; echo out > sub/out; mkdir d; rm -r d sub/out",
                                 uid=1000, gid=1000))
        self.assertEqual(out, self.SEEN.format(uid=1000))

    def test_strict_in_a_user_namespace(self):
        out = self.run_ok(Bundle(self.annotations(), self.READ + "; echo out > sub/out; stat -c %u sub/out",
                                 user_namespace=True))
        self.assertEqual(out, self.SEEN.format(uid=0) + "0\n")

    def test_strict_in_a_user_namespace_as_another_user(self):
        out = self.run_ok(Bundle(self.annotations(), self.READ + "; echo out > out; stat -c %u out",
                                 user_namespace=True, uid=1000, gid=1000))
        self.assertEqual(out, self.SEEN.format(uid=1000) + "1000\n")

    def test_files_staged_in_a_user_namespace_can_be_given_away(self):
        out = self.run_ok(Bundle(self.annotations(), "cd /workspace; echo x > out; chown 7:8 out; stat -c '%u %g' out",
                                 user_namespace=True))
        self.assertEqual(out, "7 8\n")

    def test_strict_refuses_every_change_of_inputs(self):
        out = self.run_ok(Bundle(self.annotations(), CHANGES))
        self.assertEqual([line for line in out.splitlines() if not line.endswith(" refused")], [])
        self.assertEqual(len(out.splitlines()), 8)

    def test_overlay_takes_every_change(self):
        for bundle in (Bundle(self.annotations(mode="overlay"), CHANGES),
                       Bundle(self.annotations(mutates_inputs="1"), CHANGES, user_namespace=True)):
            out = self.run_ok(bundle)
            self.assertEqual([line for line in out.splitlines() if not line.endswith(" ok")], [])
            self.assertEqual(len(out.splitlines()), 8)
        record = self.host.last_record()
        self.assertEqual(record["mode"], "overlay")
        # Of the tree below: what the overlay asks it.
        self.assertGreater(record["counters"]["lookups"], 0)
        self.check_store()

    def test_overlay_as_another_user_goes_by_the_modes_of_the_inputs(self):
        out = self.run_ok(Bundle(self.annotations(mode="overlay"), CHANGES, uid=1000, gid=1000))
        refused = [line for line in out.splitlines() if not line.endswith(" ok")]
        # 0444 is 0444 for its owner too; chmod, which is tried after these, is the owner's right.
        self.assertEqual(refused, ["append refused", "truncate refused"])
        self.check_store()

    def test_overlay_shows_the_tree_to_root(self):
        out = self.run_ok(Bundle(self.annotations(mode="overlay"), self.READ))
        self.assertEqual(out, self.SEEN.format(uid=0))

    def test_overlay_shows_the_tree_to_another_user(self):
        out = self.run_ok(Bundle(self.annotations(mode="overlay"), self.READ, uid=1000, gid=1000))
        self.assertEqual(out, self.SEEN.format(uid=1000))

    def test_readonly_refuses_everything(self):
        out = self.run_ok(Bundle(self.annotations(mode="readonly"),
                                 CHANGES + "try create touch new\ntry mkdir mkdir sub/new\n"))
        self.assertEqual([line for line in out.splitlines() if not line.endswith(" refused")], [])
        self.assertEqual(len(out.splitlines()), 10)

    def test_all_capabilities_cannot_change_the_store(self):
        for mode in ("strict", "overlay", "readonly"):
            with self.subTest(mode=mode):
                out = self.run_ok(Bundle(self.annotations(mode=mode), HOSTILE, capabilities=ALL_CAPABILITIES))
                self.assertTrue(out.endswith("done\n"), out)
                self.check_store()

    def test_another_destination_that_has_to_be_made(self):
        out = self.run_ok(Bundle(self.annotations(destination="/build/here"), "cat /build/here/hello.txt"))
        self.assertEqual(out, "hello\n")

    def test_working_directory_inside_the_workspace(self):
        # podman wants to see the directory in the image before any hook runs; the others do not care.
        out = self.run_ok(Bundle(self.annotations(), "cat deep.txt", cwd="/workspace/sub",
                                 prepare_rootfs=lambda rootfs: os.makedirs(os.path.join(rootfs, "workspace/sub"))))
        self.assertEqual(out, "deep\n")

    def test_read_only_root_with_the_directory(self):
        out = self.run_ok(Bundle(self.annotations(), "cat /workspace/hello.txt; echo x > /workspace/out", readonly=True,
                                 prepare_rootfs=lambda rootfs: os.mkdir(os.path.join(rootfs, "workspace"))))
        self.assertEqual(out, "hello\n")

    def test_without_annotation_nothing_is_touched(self):
        out = self.run_ok(Bundle({"org.example": "x"}, "ls -d /workspace 2>&1 || true"))
        self.assertIn("No such file", out)

    def test_failing_container_is_cleaned_up_too(self):
        done = self.runtime.run(Bundle(self.annotations(), "echo x > /workspace/out; exit 3"))
        self.assertEqual(done.code, 3, done.err)
        self.host.check_clean()


if __name__ == "__main__":
    lacking = missing(*runtimes.ALL[RUNTIME].programs, "/bin/busybox")
    if lacking:
        print("SKIP: needs " + lacking)
        sys.exit(SKIP)
    unittest.main(verbosity=2)
