#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an operator asks without a container: plan, doctor, ps, stats."""

import errno
import json
import os
import subprocess
import sys
import unittest

from host import ACTIONDFS, BACKEND, SKIP, Bundle, Host, call, missing


class OperatorTest(unittest.TestCase):
    def setUp(self):
        self.host = Host()
        self.addCleanup(self.host.close)
        tree = self.host.path("tree")
        os.makedirs(os.path.join(tree, "dir"))
        self.root = self.host.import_tree(tree)
        self.host.start_server()

    def ask(self, *args, **kwargs):
        return call([ACTIONDFS, *args, "--config", self.host.config_path], **kwargs)

    def state(self, **annotations):
        keys = {"dev.actiondfs." + key.replace("_", "-"): value for key, value in annotations.items()}
        directory, container_id = self.host.make_bundle(Bundle(keys, uid=1000, gid=1000, user_namespace=True))
        return json.dumps({"ociVersion": "1.0.2", "id": container_id, "pid": os.getpid(), "status": "creating",
                           "bundle": directory, "annotations": keys})

    def levels(self, done):
        return {row["check"]: row["level"] for row in json.loads(done.out)}

    def test_plan_decides_and_does_nothing(self):
        done = self.ask("plan", "--json", input=self.state(input_root=self.root, mutates_inputs="yes"))
        self.assertEqual(done.code, 0, done.err)
        plan = json.loads(done.out)
        self.assertEqual((plan["input_root"], plan["mode"], plan["backend"], plan["destination"]),
                         (self.root, "overlay", BACKEND, "/workspace"))
        self.assertEqual((plan["owner_uid"], plan["owner_gid"], plan["map_ids"]), (101000, 101000, False))
        self.assertFalse(os.path.exists(self.host.stage_root))
        self.assertFalse(os.path.exists(self.host.state_root))

    def test_plan_refuses_as_the_hook_does(self):
        done = self.ask("plan", input=self.state(input_root=self.root, mode="loose"))
        self.assertEqual(done.code, 1)
        self.assertIn("dev.actiondfs.mode", done.err)
        done = self.ask("plan", input=self.state(input_root=self.root, cas="other"))
        self.assertEqual(done.code, 1)
        self.assertIn("'other'", done.err)

    def test_doctor_finds_nothing_wrong_here(self):
        done = self.ask("doctor", "--json")
        self.assertEqual(done.code, 0, done.out)
        levels = self.levels(done)
        self.assertEqual(levels["configuration"], "ok")
        self.assertEqual(levels["cas.default"], "ok")
        self.assertEqual(levels["fuse server" if BACKEND == "fuse" else "kernel module"], "ok")

    def test_plan_maps_the_ids_of_a_user_namespace_by_the_kernels_mount(self):
        done = self.ask("plan", "--json", input=self.state(input_root=self.root))
        self.assertEqual(done.code, 0, done.err)
        plan = json.loads(done.out)
        expected = (1000, 1000, True) if BACKEND == "kernel" else (101000, 101000, False)
        self.assertEqual((plan["owner_uid"], plan["owner_gid"], plan["map_ids"]), expected)

    def test_doctor_finds_each_fault(self):
        self.host.stop_server()
        done = self.ask("doctor", "--json")
        # With the module there is a backend without it.
        self.assertEqual(self.levels(done)["fuse server"], "warn" if BACKEND == "kernel" else "fail", done.out)
        self.assertEqual(done.code, 0 if BACKEND == "kernel" else 1)
        self.host.config["stage_root"] = os.path.join(self.host.cas, "stages")
        os.mkdir(self.host.config["stage_root"])
        self.host.write_config()
        done = self.ask("doctor", "--json")
        self.assertEqual((done.code, self.levels(done)["stage_root"]), (1, "fail"))
        self.host.config["cas"]["default"]["path"] = self.host.path("nowhere")
        self.host.write_config()
        done = self.ask("doctor", "--json")
        self.assertEqual((done.code, self.levels(done)["cas.default"]), (1, "fail"))
        self.host.write_config(0o666)
        done = self.ask("doctor", "--json")
        self.assertEqual((done.code, self.levels(done)["configuration"]), (1, "fail"))

    def test_ps_and_stats_show_mounts_without_a_container(self):
        mountpoint = self.host.path("mnt")
        os.mkdir(mountpoint)
        self.host.actiondfs("mount", self.root, mountpoint, "--cas", self.host.cas, "--mode", "readonly",
                            "--backend", BACKEND, "--socket", self.host.socket)
        os.listdir(mountpoint)
        rows = json.loads(self.ask("ps", "--json").out)
        self.assertEqual([(row["state"], row["mode"], row["backend"], row["input_root"]) for row in rows],
                         [("mount", "readonly", BACKEND, self.root)])
        self.assertIn("DESTINATION", self.ask("ps").out)
        self.assertEqual(json.loads(self.ask("stats", "--json").out)["mounts"], 1)
        self.assertIn(f'actiondfs_mounts{{id="{rows[0]["id"]}"}} 1',
                      self.ask("stats", rows[0]["id"], "--prometheus").out)
        self.host.actiondfs("umount", mountpoint)
        self.host.check_clean()

    def mount(self, mountpoint, *args, check=True):
        os.makedirs(mountpoint, exist_ok=True)
        return self.host.actiondfs("mount", self.root, mountpoint, "--cas", self.host.cas, "--backend", BACKEND,
                                   "--socket", self.host.socket, *args, check=check)

    def test_mount_and_umount_in_each_mode(self):
        for mode in ("readonly", "strict", "overlay"):
            with self.subTest(mode=mode):
                mountpoint, stage = self.host.path("mnt"), self.host.path("stage-" + mode)
                self.mount(mountpoint, "--mode", mode, *(["--stage", stage] if mode != "readonly" else []),
                           "-o", "uid=7,gid=8")
                st = os.stat(os.path.join(mountpoint, "dir"))
                self.assertEqual((st.st_uid, st.st_gid), (7, 8))
                if mode == "readonly":
                    with self.assertRaises(OSError) as caught:
                        os.mkdir(os.path.join(mountpoint, "new"))
                    self.assertEqual(caught.exception.errno, errno.EROFS)
                else:
                    os.mkdir(os.path.join(mountpoint, "dir/new"))
                    self.assertTrue(os.path.isdir(os.path.join(stage, "upper" if mode == "overlay" else "", "dir/new")))
                self.host.actiondfs("umount", mountpoint)
                self.assertEqual(os.listdir(mountpoint), [])
        self.host.check_clean()

    def test_more_mounts_than_the_server_lists_at_once(self):
        mountpoints = [self.host.path(f"mnt-{n}") for n in range(35)]
        for mountpoint in mountpoints:
            self.mount(mountpoint, "--mode", "readonly")
        self.assertEqual(len(json.loads(self.ask("ps", "--json").out)), len(mountpoints))
        for mountpoint in mountpoints:
            self.host.actiondfs("umount", mountpoint)
        self.host.check_clean()

    def test_umount_takes_what_is_on_top(self):
        """Not what is later in the kernel's table: a mount that was moved there keeps its place in it."""
        below, above = self.host.path("below"), self.host.path("above")
        os.makedirs(above)
        subprocess.run(["mount", "-t", "tmpfs", "none", above], check=True)
        self.mount(below, "--mode", "readonly")
        subprocess.run(["mount", "--move", above, below], check=True)
        done = self.host.actiondfs("umount", below, check=False)
        self.assertNotEqual(done.code, 0)
        self.assertIn("tmpfs", done.err)
        subprocess.run(["umount", below], check=True)
        self.host.actiondfs("umount", below)
        self.host.check_clean()

    @unittest.skipUnless(BACKEND == "kernel", "about the kernel's messages")
    def test_what_the_kernel_says_of_an_option_is_in_the_error(self):
        done = self.mount(self.host.path("mnt"), "--stage", os.path.join(self.host.cas, "stage"), check=False)
        self.assertEqual((done.code, done.out), (1, ""))
        self.assertIn("stage: inside the CAS", done.err)
        self.assertEqual(len(done.err.splitlines()), 1, done.err)

    @unittest.skipUnless(BACKEND == "kernel", "FUSE has servers of its own")
    def test_auto_takes_the_kernel_where_the_module_is_loaded(self):
        mountpoint = self.host.path("mnt")
        os.mkdir(mountpoint)
        self.host.actiondfs("mount", self.root, mountpoint, "--cas", self.host.cas, "--mode", "readonly")
        self.assertEqual([row["backend"] for row in json.loads(self.ask("ps", "--json").out)], ["kernel"])
        self.host.actiondfs("umount", mountpoint)
        del self.host.config["defaults"]
        self.host.write_config()
        done = self.ask("plan", "--json", input=self.state(input_root=self.root))
        self.assertEqual(json.loads(done.out)["backend"], "kernel", done.err)

    def test_stats_of_what_is_not_there(self):
        done = self.ask("stats", "nobody")
        self.assertEqual(done.code, 1)
        self.assertIn("'nobody'", done.err)


if __name__ == "__main__":
    lacking = missing("/bin/busybox")
    if lacking:
        print("SKIP: needs " + lacking)
        sys.exit(SKIP)
    unittest.main(verbosity=2)
