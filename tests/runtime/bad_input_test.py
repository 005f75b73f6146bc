#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Bad input: the container does not start, nothing is left behind, and one line says what was wrong."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import unittest

import runtimes
from host import BACKEND, HOOK, SKIP, Bundle, Host, call, has_kernel_module, missing, wait_for


class BadInputTest(unittest.TestCase):
    def setUp(self):
        self.host = Host()
        self.addCleanup(self.host.close)
        tree = self.host.path("tree")
        os.makedirs(os.path.join(tree, "dir"))
        with open(os.path.join(tree, "file"), "w", encoding="utf-8") as file:
            file.write("x")
        self.root = self.host.import_tree(tree)
        self.host.start_server()
        self.runtime = runtimes.Runc(self.host)

    def refuse(self, annotations, *expected, **bundle):
        """Runs; it must not start, and the hook's one line must have every text of `expected`."""
        done = self.runtime.run(Bundle(annotations, "echo STARTED", **bundle))
        self.assertNotEqual(done.code, 0)
        self.assertNotIn("STARTED", done.out)
        # runc quotes the hook's stderr in its own line.
        lines = [line for line in done.err.splitlines() if "actiondfs-hook: " in line]
        self.assertEqual(len(lines), 1, done.err)
        self.assertEqual(lines[0].count("actiondfs-hook: "), 1, lines[0])
        for text in expected:
            self.assertIn(text, lines[0])
        for byte in lines[0]:
            self.assertTrue(byte.isprintable(), repr(lines[0]))
        self.host.check_clean()
        return lines[0]

    def keys(self, **extra):
        keys = {"dev.actiondfs.input-root": self.root}
        keys.update({"dev.actiondfs." + key.replace("_", "-"): value for key, value in extra.items()})
        return keys

    def put(self, blob):
        """Puts a blob into the CAS; its digest."""
        name = hashlib.sha256(blob).hexdigest()
        directory = os.path.join(self.host.cas, name[:2])
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, name), "wb") as file:
            file.write(blob)
        return f"{name}/{len(blob)}"

    # Annotations.

    def test_malformed_digest(self):
        self.refuse({"dev.actiondfs.input-root": "nonsense"}, "dev.actiondfs.input-root", "nonsense")
        self.refuse({"dev.actiondfs.input-root": self.root.upper()}, "dev.actiondfs.input-root")
        self.refuse({"dev.actiondfs.input-root": self.root.split("/", maxsplit=1)[0] + "/-1"}, "dev.actiondfs.input-root")

    def test_unknown_key(self):
        self.refuse(self.keys(inputroot="x"), "dev.actiondfs.inputroot")

    def test_bad_values(self):
        self.refuse(self.keys(mode="loose"), "dev.actiondfs.mode", "loose", "strict")
        self.refuse(self.keys(backend="nfs"), "dev.actiondfs.backend", "nfs", "fuse")
        self.refuse(self.keys(mutates_inputs="maybe"), "dev.actiondfs.mutates-inputs", "maybe")

    def test_contradicting_keys(self):
        self.refuse(self.keys(mode="strict", mutates_inputs="1"), "dev.actiondfs.mode", "dev.actiondfs.mutates-inputs")
        self.refuse(self.keys(action=self.root), "dev.actiondfs.action", "dev.actiondfs.input-root")

    def test_no_root_at_all(self):
        self.refuse({"dev.actiondfs.mode": "strict"}, "dev.actiondfs.input-root")

    def test_backend_that_is_not_built(self):
        self.refuse(self.keys(backend="hardlink"), "hardlink", "does not have")
        if not has_kernel_module():
            self.refuse(self.keys(backend="kernel"), "dev.actiondfs.backend", "kernel", "modprobe actiondfs")

    def test_newline_and_escape_sequences_are_shown_harmless(self):
        line = self.refuse(self.keys(mode="strict\n\x1b[31mfake line\r"), "dev.actiondfs.mode", "fake line")
        self.assertNotIn("\x1b", line)

    def test_huge_annotation(self):
        # Beyond what a command line takes, so by the hook itself.
        state = {"ociVersion": "1.0.2", "id": "huge", "pid": os.getpid(), "status": "creating", "bundle": "/nonexistent",
                 "annotations": {"dev.actiondfs.input-root": self.root, "dev.actiondfs.mode": "x" * 10_000_000}}
        done = self.hook("prestart", json.dumps(state))
        self.assertEqual(done.code, 1)
        self.assertLess(len(done.err), 2000)
        # Somebody else's annotation of any size is none of our business.
        state["annotations"] = {"org.example.huge": "x" * 10_000_000}
        self.assertEqual(self.hook("prestart", json.dumps(state)).code, 0)

    # The CAS.

    def test_digest_that_is_not_in_the_cas(self):
        digest = "0" * 64 + "/17"
        self.refuse({"dev.actiondfs.input-root": digest}, digest, "default")

    def test_root_that_is_no_directory(self):
        self.refuse({"dev.actiondfs.input-root": self.put(b"\xff\xff\xff no Directory")}, "Structure needs cleaning")

    def test_action_that_is_no_text_is_one_line(self):
        # Field 1, command_digest, with a hash that is not UTF-8: libprotobuf has something to say, too.
        action = self.put(b"\x0a\x05\x0a\x03\xff\xfe\xfd")
        bundle = Bundle({"dev.actiondfs.action": action}, "echo STARTED")
        self.assertIn(action, self.refuse(bundle.annotations))
        self.assertNotIn("libprotobuf", self.runtime.run(bundle).err)

    def test_root_with_another_hash(self):
        name, size = self.root.split("/")
        wrong = "1" * 64
        os.makedirs(os.path.join(self.host.cas, "11"), exist_ok=True)
        shutil.copy(os.path.join(self.host.cas, name[:2], name), os.path.join(self.host.cas, "11", wrong))
        self.refuse({"dev.actiondfs.input-root": f"{wrong}/{size}"}, wrong)

    def test_root_of_another_size(self):
        name, size = self.root.split("/")
        self.refuse({"dev.actiondfs.input-root": f"{name}/{int(size) + 1}"}, name)

    def test_root_over_64_mib(self):
        size = (64 << 20) + 1
        path = os.path.join(self.host.cas, "22")
        os.makedirs(path, exist_ok=True)
        with open(os.path.join(path, "2" * 64), "wb") as file:
            file.truncate(size)
        self.refuse({"dev.actiondfs.input-root": "2" * 64 + f"/{size}"}, "2" * 64)

    def test_cas_that_is_not_configured(self):
        self.refuse(self.keys(cas="other"), "other", "default")

    def test_cas_annotation_as_a_path(self):
        self.refuse(self.keys(cas="/etc"), "dev.actiondfs.cas")

    # The configuration.

    def test_configuration_missing(self):
        os.unlink(self.host.config_path)
        done = self.runtime.run(Bundle(self.keys()))
        self.assertNotEqual(done.code, 0)
        self.assertIn(self.host.config_path, done.err)
        self.host.write_config()
        self.host.check_clean()

    def test_configuration_malformed(self):
        with open(self.host.config_path, "w", encoding="utf-8") as file:
            file.write('{"cas": ')
        done = self.runtime.run(Bundle(self.keys()))
        self.assertNotEqual(done.code, 0)
        self.assertIn("hook.json", done.err)
        self.host.write_config()
        self.host.check_clean()

    def test_configuration_writable_by_others(self):
        self.host.write_config(0o666)
        done = self.runtime.run(Bundle(self.keys()))
        self.assertNotEqual(done.code, 0)
        self.assertIn("writable", done.err)
        self.host.write_config()
        self.host.check_clean()

    def test_stage_root_of_another_kind(self):
        open(self.host.stage_root, "w", encoding="utf-8").close()
        done = self.runtime.run(Bundle(self.keys(), "echo STARTED"))
        self.assertNotEqual(done.code, 0)
        self.assertNotIn("STARTED", done.out)
        self.assertIn("stages", done.err)
        os.unlink(self.host.stage_root)
        self.host.check_clean()

    # The destination.

    def test_bad_destinations(self):
        for destination in ("relative", "/", "/proc", "/proc/self", "/sys/x", "/dev/shm", "/a/../../b", "/a//b"):
            with self.subTest(destination=destination):
                self.refuse(self.keys(destination=destination), "dev.actiondfs.destination", destination)

    def test_destination_through_a_symlink(self):
        def prepare(rootfs):
            os.symlink("/tmp", os.path.join(rootfs, "workspace"))
            os.symlink("../../../../../..", os.path.join(rootfs, "up"))
        for destination in ("/workspace", "/workspace/x", "/up/tmp/x"):
            with self.subTest(destination=destination):
                self.refuse(self.keys(destination=destination), destination, "symlink", prepare_rootfs=prepare)

    def test_destination_on_another_mount(self):
        self.refuse(self.keys(destination="/tmp/x"), "/tmp/x", "another mount",
                    mounts=[{"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}])

    def test_destination_missing_on_a_read_only_root(self):
        self.refuse(self.keys(), "/workspace", "read-only", readonly=True)

    # The state and the container.

    def hook(self, stage, state):
        return call([HOOK, stage, "--config", self.host.config_path], input=state)

    def test_bad_states(self):
        good = json.dumps({"ociVersion": "1.0.2", "id": "c", "pid": os.getpid(), "status": "creating",
                           "bundle": "/nonexistent", "annotations": self.keys()})
        deep = '{"annotations":' + "[" * 100_000 + "]" * 100_000 + "}"
        for name, state in (("truncated", good[:-20]), ("empty", ""), ("deep", deep), ("huge", " " * (17 << 20)),
                            ("array", "[]"), ("id", good.replace('"id": "c"', '"id": "../../etc"'))):
            with self.subTest(state=name):
                done = self.hook("prestart", state)
                self.assertEqual(done.code, 1, name)
                self.assertEqual(len(done.err.splitlines()), 1, done.err)
        self.host.check_clean()

    def test_bundle_that_is_not_there(self):
        state = {"ociVersion": "1.0.2", "id": "c", "pid": os.getpid(), "status": "creating",
                 "bundle": "/nonexistent", "annotations": self.keys()}
        done = self.hook("prestart", json.dumps(state))
        self.assertEqual(done.code, 1)
        self.assertIn("/nonexistent/config.json", done.err)

    def test_container_in_the_hosts_mount_namespace(self):
        # No runtime starts one without a fight; the hook is told of one.
        directory, _ = self.host.make_bundle(Bundle(self.keys()))
        init = subprocess.Popen(["sleep", "60"])  # pylint: disable=consider-using-with
        try:
            state = {"ociVersion": "1.0.2", "id": "hostns", "pid": init.pid, "status": "creating",
                     "bundle": directory, "annotations": self.keys()}
            done = self.hook("prestart", json.dumps(state))
            self.assertEqual(done.code, 1)
            self.assertIn("mount namespace", done.err)
        finally:
            init.kill()
            init.wait()
        self.host.check_clean()

    def test_config_json_without_a_mount_namespace(self):
        directory, _ = self.host.make_bundle(Bundle(self.keys(), mount_namespace=False))
        state = {"ociVersion": "1.0.2", "id": "nomnt", "pid": os.getpid(), "status": "creating",
                 "bundle": directory, "annotations": self.keys()}
        done = self.hook("prestart", json.dumps(state))
        self.assertEqual(done.code, 1)
        self.assertIn("mount namespace", done.err)
        self.host.check_clean()

    @unittest.skipUnless(BACKEND == "fuse", "no other backend has a server")
    def test_server_not_running(self):
        self.host.stop_server()
        done = self.runtime.run(Bundle(self.keys(), "echo STARTED"))
        self.assertNotEqual(done.code, 0)
        self.assertNotIn("STARTED", done.out)
        self.assertIn("actiondfs serve", done.err)

    def test_usage(self):
        self.assertEqual(call([HOOK]).code, 2)
        self.assertEqual(call([HOOK, "startContainer"]).code, 2)

    # The stage.

    def test_full_stage_reaches_the_action_and_the_record(self):
        os.mkdir(self.host.stage_root)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", self.host.stage_root], check=True)
        try:
            done = self.runtime.run(Bundle(
                self.keys(), "dd if=/dev/zero of=/workspace/big bs=64k count=64 2>&1 && echo FIT || true"))
            self.assertEqual(done.code, 0, done.err)
            self.assertIn("No space left", done.out)
            self.assertNotIn("FIT", done.out)
            self.assertEqual(self.host.last_record()["stage_error"], "ENOSPC")
        finally:
            # The server lets go of the stage when the kernel has told it that the mount has ended.
            wait_for("the stage to be free", lambda: call(["umount", self.host.stage_root]).code == 0)
        self.host.check_clean()


if __name__ == "__main__":
    lacking = missing("runc", "/bin/busybox")
    if lacking:
        print("SKIP: needs " + lacking)
        sys.exit(SKIP)
    unittest.main(verbosity=2)
