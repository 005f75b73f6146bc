#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The state directory as a crash of the machine, a damaged disk or somebody else leaves it."""

import json
import os
import shutil
import subprocess
import unittest

from scene import MODES, Scene, skip_unless_possible

from host import wait_for


class StateTest(unittest.TestCase):
    state_on_tmpfs = False

    def setUp(self):
        self.scene = Scene(self.state_on_tmpfs)
        self.addCleanup(self.scene.close)

    def start(self, name, mode="strict"):
        container = self.scene.container(name, mode)
        self.scene.prestart(container)
        container.write("dir/out")
        return container

    def lease(self, name):
        return os.path.join(self.scene.state_root, name, "lease.json")

    def rewrite(self, name, text):
        with open(self.lease(name), "w", encoding="utf-8") as file:
            file.write(text)

    def read(self, name):
        with open(self.lease(name), encoding="utf-8") as file:
            return file.read()

    def unmount(self, name):
        for pin in ("mnt", "lower"):
            subprocess.run(["umount", "-l", os.path.join(self.scene.state_root, name, pin)], check=False,
                           stderr=subprocess.DEVNULL)
        # gc leaves the stage of a mount that the server still has.
        wait_for("the mount to end", lambda: name not in self.scene.sessions())

    def gc(self):
        return self.scene.actiondfs("gc", "--config", self.scene.config_path, check=False)

    def check_empty(self):
        self.scene.settle({**self.scene.snapshot(), "mounts": [self.scene.state_root], "files": [], "sessions": [],
                           "processes": []})


class DamageTest(StateTest):
    def test_lease_of_another_boot_is_of_nobody(self):
        for mode in MODES:
            container = self.start("old", mode)
            lease = json.loads(self.read("old"))
            # Its process number is in use again, even from the same moment on.
            lease["boot_id"] = "00000000-0000-0000-0000-000000000000"
            self.rewrite("old", json.dumps(lease))
            self.assertIn("old", self.gc().out)
            self.check_empty()
            container.kill()

    def test_process_number_that_is_in_use_again(self):
        container = self.start("old")
        lease = json.loads(self.read("old"))
        lease["init_start_time"] -= 1
        self.rewrite("old", json.dumps(lease))
        self.assertIn("old", self.gc().out)
        self.check_empty()
        container.kill()

    def test_record_that_cannot_be_written_keeps_nobody_from_starting(self):
        container = self.start("again")
        container.kill()
        records, self.scene.records = self.scene.records, self.scene.path("none/records.jsonl")
        lease = json.loads(self.read("again"))
        self.assertEqual(lease["records_path"], records)
        lease["records_path"] = self.scene.records
        self.rewrite("again", json.dumps(lease))
        second = self.scene.container("again")
        code, err = self.scene.hook("prestart", second)
        self.assertEqual(code, 0, err)
        self.assertIn(self.scene.records, err)
        second.use()
        second.kill()
        self.scene.poststop(second)
        self.check_empty()

    def test_damaged_lease_of_a_workspace_that_is_gone(self):
        for text in ("", "{", '{"version": 1}', "\0" * 4096, "x" * (2 << 20)):
            with self.subTest(size=len(text)):
                container = self.start("damaged")
                container.kill()
                self.unmount("damaged")  # as a reboot does
                self.rewrite("damaged", text)
                done = self.gc()
                self.assertEqual((done.code, done.err), (0, ""))
                self.check_empty()

    def test_damaged_lease_of_a_live_workspace_is_told_and_left(self):
        other = self.start("other")
        container = self.start("damaged")
        whole = self.read("damaged")
        for text in ("", whole[:len(whole) // 2]):
            self.rewrite("damaged", text)
            done = self.gc()
            self.assertEqual(done.code, 1)
            self.assertEqual(len(done.err.splitlines()), 1, done.err)
            self.assertIn("damaged", done.err)
            self.assertIn("umount", done.err)
            container.use()
            other.use()
        # The others are not held up by it.
        other.kill()
        self.assertIn("other", self.gc().out)
        container.kill()
        self.unmount("damaged")
        self.scene.gc()
        self.check_empty()

    def test_lease_that_cannot_be_opened(self):
        container = self.start("odd")
        container.kill()
        os.unlink(self.lease("odd"))
        os.mkdir(self.lease("odd"))
        self.assertEqual(self.gc().code, 1)
        os.rmdir(self.lease("odd"))
        self.unmount("odd")
        self.scene.gc()
        self.check_empty()

    def test_half_written_lease_beside_the_whole_one(self):
        container = self.start("half")
        with open(self.lease("half") + ".tmp.1.0", "w", encoding="utf-8") as file:
            file.write(self.read("half")[:10])
        self.scene.gc()
        container.use()
        container.kill()
        self.scene.poststop(container)
        self.check_empty()

    def test_what_is_not_ours_is_left(self):
        container = self.start("live")
        foreign = [os.path.join(top, "foreign") for top in (self.scene.state_root, self.scene.stage_root)]
        for path in foreign:
            os.mkdir(path)
            with open(os.path.join(path, "file"), "w", encoding="utf-8") as file:
                file.write("precious")
            with open(path + ".txt", "w", encoding="utf-8") as file:
                file.write("precious")
            os.symlink("/", path + ".link")
        self.gc()
        for path in foreign:
            for name in (path + "/file", path + ".txt"):
                with open(name, encoding="utf-8") as file:
                    self.assertEqual(file.read(), "precious")
            self.assertTrue(os.path.islink(path + ".link"))
        container.use()
        container.kill()
        self.scene.poststop(container)

    def test_full_state_directory_starts_no_container(self):
        container = self.start("live")
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700,size=16k", "full", self.scene.state_root], check=True)
        with open(os.path.join(self.scene.state_root, "filler"), "wb") as file:
            try:
                file.write(b"x" * (1 << 20))
            except OSError:
                pass
        with self.assertRaises(OSError), open(os.path.join(self.scene.state_root, "more"), "wb") as file:
            file.write(b"x")
        os.unlink(os.path.join(self.scene.state_root, "more"))
        refused = self.scene.container("refused")
        code, err = self.scene.hook("prestart", refused)
        self.assertEqual(code, 1)
        self.assertIn("No space left", err)
        self.assertFalse(refused.has_workspace())
        self.assertEqual(os.listdir(self.scene.state_root), ["filler"])
        self.assertEqual(os.listdir(self.scene.stage_root), ["live"])
        subprocess.run(["umount", "-l", self.scene.state_root], check=True)
        container.use()


class PowerLossTest(StateTest):
    """The state directory is on a tmpfs, and is gone; processes and mounts are, too. Stages and records are not."""

    state_on_tmpfs = True

    def lose_power(self, containers):
        for container in containers:
            container.kill()
        self.scene.kill_server()
        subprocess.run(["umount", "-R", "-l", self.scene.state_root], check=True)
        os.rmdir(self.scene.state_root)
        self.scene.restart_server()

    def test_stages_are_removed(self):
        containers = [self.start(mode, mode) for mode in MODES]
        self.lose_power(containers)
        self.assertTrue(os.listdir(self.scene.stage_root))
        self.scene.gc()
        self.check_empty()

    def test_stages_whose_making_and_removal_were_cut_short(self):
        self.lose_power([])
        for path in ("made", "removed/.remove.0/deep/deeper", "removed/.remove.1"):
            os.makedirs(os.path.join(self.scene.stage_root, path))
        self.scene.gc()
        self.check_empty()

    def test_names_start_again_without_gc(self):
        self.lose_power([self.start(mode, mode) for mode in MODES])
        for mode in MODES:
            container = self.scene.container(mode, mode)
            self.scene.prestart(container)
            container.use()
            with self.assertRaises(FileNotFoundError):
                os.stat(container.workspace + "/dir/out")
            container.kill()
            self.scene.poststop(container)
        self.check_empty()

    def test_late_poststop_finds_nothing_to_do(self):
        container = self.start("late")
        self.lose_power([container])
        self.scene.poststop(container)
        self.scene.gc()
        self.scene.poststop(container)
        self.check_empty()

    def test_kept_stages_stay(self):
        self.scene.config["keep_stage"] = True
        self.scene.write_config()
        container = self.start("kept")
        container.kill()
        self.scene.poststop(container)
        self.lose_power([])
        self.scene.gc()
        self.assertTrue(os.path.exists(os.path.join(self.scene.stage_root, "kept/stage/dir/out")))

    def test_kept_stage_that_the_operator_has_removed_already(self):
        self.scene.config["keep_stage"] = True
        self.scene.write_config()
        container = self.start("kept")
        container.kill()
        shutil.rmtree(os.path.join(self.scene.stage_root, "kept"))
        self.scene.poststop(container)
        self.check_empty()


if __name__ == "__main__":
    skip_unless_possible()
    unittest.main(verbosity=2)
