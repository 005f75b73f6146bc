#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What happens around a container's run: Actions, leases, gc, missed and repeated hooks; under runc."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import unittest

import runtimes
from host import BACKEND, HOOK, SKIP, Bundle, Host, call, missing, wait_for

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from wire import msg, num  # noqa: E402  (the path comes first)


def digest_message(digest):
    name, size = digest.split("/")
    return msg(1, name) + num(2, int(size))


def platform(**properties):
    return b"".join(msg(1, msg(1, name) + msg(2, value)) for name, value in properties.items())


class LifeCycleTest(unittest.TestCase):
    def setUp(self):
        self.host = Host()
        self.addCleanup(self.host.close)
        tree = self.host.path("tree")
        os.makedirs(os.path.join(tree, "dir"))
        with open(os.path.join(tree, "file"), "w", encoding="utf-8") as file:
            file.write("content\n")
        self.root = self.host.import_tree(tree)
        self.host.start_server()
        self.runc = runtimes.Runc(self.host)

    def keys(self, **extra):
        keys = {"dev.actiondfs.input-root": self.root}
        keys.update({"dev.actiondfs." + key.replace("_", "-"): value for key, value in extra.items()})
        return keys

    def put(self, blob):
        name = hashlib.sha256(blob).hexdigest()
        os.makedirs(os.path.join(self.host.cas, name[:2]), exist_ok=True)
        with open(os.path.join(self.host.cas, name[:2], name), "wb") as file:
            file.write(blob)
        return f"{name}/{len(blob)}"

    def action(self, command=b"", action_platform=b""):
        command_digest = self.put(command)
        blob = msg(1, digest_message(command_digest)) + msg(2, digest_message(self.root))
        if action_platform:
            blob += msg(10, action_platform)
        return self.put(blob)

    def gc(self):
        return self.host.actiondfs("gc", "--config", self.host.config_path, check=False)

    def ps(self):
        return json.loads(self.host.actiondfs("ps", "--json", "--config", self.host.config_path).out)

    def start(self, bundle):
        """Creates and starts a container that goes on by itself; (bundle directory, id)."""
        directory, container_id = self.host.make_bundle(bundle)
        # Not through pipes: the container would hold them open.
        subprocess.run(
            self.runc.command("run", "--detach", "--bundle", directory, container_id), check=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return directory, container_id

    def state_json(self, directory, container_id, pid):
        return json.dumps({"ociVersion": "1.0.2", "id": container_id, "pid": pid, "status": "creating",
                           "bundle": directory, "annotations": self.keys()})

    def pid_of(self, container_id):
        return json.loads(call(self.runc.command("state", container_id)).out)["pid"]

    def hook(self, stage, state):
        return call([HOOK, stage, "--config", self.host.config_path], input=state)

    def record_count(self):
        with open(self.host.records, encoding="utf-8") as file:
            return len(file.readlines())

    # Actions.

    def test_action_by_digest(self):
        action = self.action(command=msg(6, "dir"))
        done = self.runc.run(Bundle({"dev.actiondfs.action": action}, "cat /workspace/file; echo x > /workspace/dir/out"))
        self.assertEqual((done.code, done.out), (0, "content\n"), done.err)
        record = self.host.last_record()
        self.assertEqual((record["action"], record["input_root"], record["mode"]), (action, self.root, "strict"))
        self.host.check_clean()

    def test_mutates_inputs_of_the_action_or_its_command_selects_overlay(self):
        on = platform(mutates_inputs="1")
        off = platform(mutates_inputs="0")
        for action, mode in ((self.action(action_platform=on), "overlay"),
                             (self.action(command=msg(5, on)), "overlay"),
                             (self.action(command=msg(5, on), action_platform=off), "strict")):
            done = self.runc.run(Bundle({"dev.actiondfs.action": action}, "true"))
            self.assertEqual(done.code, 0, done.err)
            self.assertEqual(self.host.last_record()["mode"], mode)

    def test_action_with_bad_content(self):
        for blob, expected in ((b"\xff\xff", "Action"), (b"", "input_root_digest")):
            done = self.runc.run(Bundle({"dev.actiondfs.action": self.put(blob)}, "true"))
            self.assertNotEqual(done.code, 0)
            self.assertIn(expected, done.err)
        done = self.runc.run(Bundle({"dev.actiondfs.action": self.action(command=msg(6, "missing"))}, "true"))
        self.assertNotEqual(done.code, 0)
        self.assertIn("working directory", done.err)
        done = self.runc.run(Bundle({"dev.actiondfs.action": self.action(command=msg(6, "../.."))}, "true"))
        self.assertNotEqual(done.code, 0)
        self.host.check_clean()

    # Life cycle.

    def test_ps_and_stats_of_a_live_container(self):
        _, container_id = self.start(Bundle(self.keys(), "ls /workspace; sleep 300"))
        row = self.ps()[0]
        self.assertEqual((row["id"], row["state"], row["mode"]), (container_id, "live", "strict"))
        def lookups():
            done = self.host.actiondfs("stats", container_id, "--json", "--config", self.host.config_path)
            return json.loads(done.out)["readdirs"]
        wait_for("ls to be counted", lambda: lookups() > 0)
        self.assertEqual(self.gc().out, "", "gc touches nothing that lives")
        self.assertEqual(self.ps()[0]["state"], "live")
        call(self.runc.command("delete", "--force", container_id))
        self.host.check_clean()

    def test_hooks_are_idempotent(self):
        directory, container_id = self.start(Bundle(self.keys(), "sleep 300"))
        state = self.state_json(directory, container_id, self.pid_of(container_id))
        again = self.hook("prestart", state)
        self.assertEqual((again.code, again.err), (0, ""))
        with open(f"/proc/{self.pid_of(container_id)}/mountinfo", encoding="utf-8") as file:
            self.assertEqual(sum(line.split()[4] == "/workspace" for line in file), 1)
        call(self.runc.command("delete", "--force", container_id))
        self.host.check_clean()
        records = self.record_count()
        for _ in range(2):
            self.assertEqual(self.hook("poststop", state).code, 0)
        self.assertEqual(self.record_count(), records)

    def test_container_that_is_not_ours_is_left_alone_whatever_its_state_says(self):
        state = json.dumps({"ociVersion": "1.0.2", "id": "a:b", "pid": -1, "status": "", "bundle": "x",
                            "annotations": {"io.example.key": "value"}})
        for stage in ("prestart", "poststop"):
            done = self.hook(stage, state)
            self.assertEqual((done.code, done.err), (0, ""), stage)
        self.host.check_clean()

    def test_create_runtime_does_the_same_as_prestart(self):
        directory, container_id = self.host.make_bundle(Bundle(self.keys(), "cat /workspace/file"))
        path = os.path.join(directory, "config.json")
        with open(path, encoding="utf-8") as file:
            spec = json.load(file)
        del spec["hooks"]["prestart"]
        spec["hooks"]["createRuntime"] = [self.host.hook_entry("createRuntime")]
        with open(path, "w", encoding="utf-8") as file:
            json.dump(spec, file)
        done = call(self.runc.command("run", "--bundle", directory, container_id))
        self.assertEqual((done.code, done.out), (0, "content\n"), done.err)
        self.host.check_clean()

    def test_missed_poststop_is_made_up_for_by_gc(self):
        _, container_id = self.start(Bundle(self.keys(), "echo out > /workspace/out; sleep 300"))
        pid = self.pid_of(container_id)
        wait_for("the output", lambda: os.path.exists(os.path.join(self.host.stage_root, container_id, "stage/out")))
        os.kill(pid, signal.SIGKILL)
        wait_for("init to be gone", lambda: not os.path.exists(f"/proc/{pid}/ns/mnt"))
        self.assertEqual(self.ps()[0]["state"], "dead")
        self.assertIn(container_id, self.gc().out)
        self.assertEqual(self.host.last_record()["exit"], "reaped")
        self.assertEqual(self.host.last_record()["staged"]["files"], 1)
        self.host.check_clean()
        # The runtime's own poststop comes late and finds nothing to do.
        self.assertEqual(call(self.runc.command("delete", "--force", container_id)).code, 0)

    def test_prestart_reaps_what_a_dead_container_left(self):
        _, container_id = self.start(Bundle(self.keys(), "sleep 300"))
        pid = self.pid_of(container_id)
        os.kill(pid, signal.SIGKILL)
        wait_for("init to be gone", lambda: not os.path.exists(f"/proc/{pid}/ns/mnt"))
        done = self.runc.run(Bundle(self.keys(), "cat /workspace/file"))
        self.assertEqual(done.code, 0, done.err)
        # The dead one's poststop may be on its way; not for an hour.
        noted = os.path.join(self.host.state_root, container_id, "lease.json.dead")
        os.utime(noted, (0, os.stat(noted).st_mtime - 3600))
        done = self.runc.run(Bundle(self.keys(), "cat /workspace/file"))
        self.assertEqual(done.code, 0, done.err)
        self.host.check_clean()
        self.assertEqual(self.record_count(), 3)
        call(self.runc.command("delete", "--force", container_id))

    def test_stage_without_an_owner_is_removed_by_gc(self):
        orphan = os.path.join(self.host.stage_root, "gone", "stage")
        os.makedirs(orphan)
        self.assertIn("gone", self.gc().out)
        self.assertFalse(os.path.exists(orphan))

    def test_gc_leaves_what_is_not_a_stage(self):
        foreign = os.path.join(self.host.stage_root, "data", "of-somebody")
        os.makedirs(foreign)
        self.assertEqual(self.gc().out, "")
        self.assertTrue(os.path.isdir(foreign))

    def test_poststop_of_another_container_of_the_same_id_leaves_the_live_one_alone(self):
        directory, container_id = self.start(Bundle(self.keys(), "sleep 300"))
        state = json.loads(self.state_json(directory, container_id, 0))
        state.update(status="stopped", annotations={})
        done = self.hook("poststop", json.dumps(state))
        self.assertIn("live container", done.err)
        self.assertEqual(self.ps()[0]["state"], "live")
        self.assertTrue(os.path.isdir(os.path.join(self.host.stage_root, container_id, "stage")))
        call(self.runc.command("delete", "--force", container_id))
        self.host.check_clean()

    def test_deep_outputs_are_removed_and_recorded_once(self):
        done = self.runc.run(Bundle(self.keys(), "cd /workspace; i=0; while [ $i -lt 1500 ]; do mkdir d; cd d; i=$((i+1)); done"))
        self.assertEqual(done.code, 0, done.err)
        self.host.check_clean()
        self.assertEqual(self.record_count(), 1)

    def test_kept_stage_stays(self):
        self.host.config["keep_stage"] = True
        self.host.write_config()
        done = self.runc.run(Bundle(self.keys(), "echo out > /workspace/dir/out"))
        self.assertEqual(done.code, 0, done.err)
        container_id = self.host.last_record()["container_id"]
        path = os.path.join(self.host.stage_root, container_id, "stage/dir/out")
        self.gc()
        with open(path, encoding="utf-8") as file:
            self.assertEqual(file.read(), "out\n")

    def test_staged_files_of_a_user_namespace_on_disk(self):
        self.host.config["keep_stage"] = True
        self.host.write_config()
        done = self.runc.run(Bundle(self.keys(), "echo out > /workspace/dir/out", user_namespace=True))
        self.assertEqual(done.code, 0, done.err)
        stage = os.path.join(self.host.stage_root, self.host.last_record()["container_id"], "stage")
        # The kernel's mount maps ids; the FUSE server stages with those of the host.
        owner = 0 if BACKEND == "kernel" else 100000
        st = os.lstat(os.path.join(stage, "dir/out"))
        self.assertEqual((st.st_uid, st.st_gid), (owner, owner))

    def test_poststop_works_from_the_lease_when_the_cas_is_gone_from_the_configuration(self):
        _, container_id = self.start(Bundle(self.keys(), "sleep 300"))
        self.host.config["cas"]["default"]["path"] = "/nonexistent"
        self.host.write_config()
        call(self.runc.command("delete", "--force", container_id))
        self.host.check_clean()

    def test_two_containers_on_one_root_do_not_see_each_other(self):
        _, first = self.start(Bundle(self.keys(), "echo one > /workspace/out; sleep 300"))
        wait_for("the output", lambda: os.path.exists(os.path.join(self.host.stage_root, first, "stage/out")))
        done = self.runc.run(Bundle(self.keys(), "ls /workspace"))
        self.assertEqual(done.out, "dir\nfile\n")
        call(self.runc.command("delete", "--force", first))
        self.host.check_clean()

    def test_failed_prestart_of_a_container_leaves_the_live_one_alone(self):
        directory, container_id = self.start(Bundle(self.keys(), "sleep 300"))
        _, victim = self.start(Bundle(self.keys(), "sleep 300"))
        # Another container, told to have the first one's id.
        done = self.hook("prestart", self.state_json(directory, container_id, self.pid_of(victim)))
        self.assertEqual(done.code, 1)
        self.assertIn("live container", done.err)
        states = {row["id"]: row["state"] for row in self.ps()}
        self.assertEqual(states, {container_id: "live", victim: "live"})
        for name in (container_id, victim):
            call(self.runc.command("delete", "--force", name))
        self.host.check_clean()


if __name__ == "__main__":
    lacking = missing("runc", "/bin/busybox")
    if lacking:
        print("SKIP: needs " + lacking)
        sys.exit(SKIP)
    unittest.main(verbosity=2)
