#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What containers leave in their stage: counting and removing it follows nothing, and touches nothing outside."""

import json
import os
import signal
import socket
import stat
import subprocess
import unittest

import checklist
from host import Bundle, call, wait_for


class OutputsTest(checklist.ContainerTest):
    def setUp(self):
        # Of another container, of the host: whatever must not change.
        self.victim = self.host.path("victim")
        os.makedirs(os.path.join(self.victim, "deep"), exist_ok=True)
        for name in ("keep", "deep/keep"):
            with open(os.path.join(self.victim, name), "w", encoding="utf-8") as file:
                file.write("kept")
        self.before = self.listing()
        self.addCleanup(lambda: self.assertEqual(self.listing(), self.before))

    def listing(self):
        found = []
        for top, dirs, files in os.walk(self.victim):
            for name in ["."] + dirs + files:
                st = os.lstat(os.path.join(top, name))
                found.append((top, name, st.st_ino, st.st_mode, st.st_uid, st.st_size, st.st_mtime_ns, st.st_ctime_ns))
        return sorted(found)

    def staged(self):
        staged = self.host.last_record()["staged"]
        return {name: int(staged.get(name, 0)) for name in ("files", "directories", "others", "bytes")}

    def test_links_fifos_and_sockets_in_strict_mode(self):
        self.run_ok(Bundle(self.annotations(), f"""
            cd /workspace
            ln -s {self.victim} link; ln -s {self.victim}/keep file; ln -s / root; ln -s . self; ln -s .. up; ln -s /dev/zero zero
            mkdir d; ln -s {self.victim}/deep d/link; mkfifo d/fifo; ln -s ../../../../../../../../{self.victim} d/up
            printf 12345 > d/plain; ln d/plain d/again
            """))
        self.assertEqual(self.staged(), {"files": 2, "directories": 1, "others": 9, "bytes": 10})

    def test_whiteouts_in_overlay_mode(self):
        self.run_ok(Bundle(self.annotations(mode="overlay"), f"""
            cd /workspace
            rm hello.txt; rm -r sub; mkdir sub; ln -s {self.victim} sub/link
            mkfifo fifo; ln -s {self.victim}/keep run.link; printf 123 > new
            """))
        # whiteout, link, fifo, link; "sub", which is opaque now
        self.assertEqual(self.staged(), {"files": 1, "directories": 1, "others": 4, "bytes": 3})

    def stopped(self, mode="strict"):
        """A container whose init is dead, and that no poststop was run for; the directory it staged in, the state."""
        directory, container_id = self.host.make_bundle(Bundle(self.annotations(mode=mode)))
        with checklist.FakeContainer() as container:
            done = self.hook("prestart", self.state(directory, container_id, container.pid))
            self.assertEqual(done.err, "")
        state = self.state(directory, container_id, 0, status="stopped")
        return os.path.join(self.host.stage_root, container_id, "stage"), state

    def test_anything_that_a_stage_could_hold(self):
        stage, state = self.stopped()
        os.mknod(os.path.join(stage, "device"), stat.S_IFBLK | 0o666, os.makedev(7, 0))
        os.mknod(os.path.join(stage, "whiteout"), stat.S_IFCHR | 0o666, os.makedev(0, 0))
        os.mkfifo(os.path.join(stage, "fifo"))  # whoever opens it waits
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(os.path.join(stage, "socket"))
        os.mkdir(os.path.join(stage, "closed"), 0)
        for name in ("\x1b[31m", "new\nline", "-rf", "\udcff", " ", "x" * 255, ".remove.0"):
            os.mkdir(os.path.join(stage, name))
            os.symlink(self.victim, os.path.join(stage, name, "link"))
        self.assertEqual(self.hook("poststop", state).err, "")
        self.assertEqual(self.staged(), {"files": 0, "directories": 8, "others": 11, "bytes": 0})
        self.host.check_clean()

    def test_stage_that_was_replaced_by_a_link(self):
        # Nobody but root of the host can; if it happens all the same, the link goes and nothing else.
        stage, state = self.stopped()
        os.rmdir(stage)
        os.symlink(self.victim, stage)
        err = self.hook("poststop", state).err
        self.assertIn("Not a directory", err)
        self.assertFalse(os.path.lexists(stage))
        call([*self.gc()])
        self.host.check_clean()

    def gc(self):
        return [os.environ.get("ACTIONDFS", "actiondfs"), "gc", "--config", self.host.config_path]

    def test_mount_in_a_stage_is_not_entered(self):
        stage, state = self.stopped()
        point = os.path.join(stage, "deep/point")
        os.makedirs(point)
        # Of the same file system: the device's number does not tell.
        subprocess.run(["mount", "--bind", self.victim, point], check=True)
        try:
            err = self.hook("poststop", state).err
            self.assertIn("another mount", err)
            self.assertEqual(sorted(os.listdir(point)), ["deep", "keep"])
            self.assertEqual(self.staged()["files"], 0)
        finally:
            subprocess.run(["umount", point], check=True)
        self.assertEqual(call(self.gc()).code, 0)
        self.host.check_clean()

    def test_stage_that_is_written_to_while_it_is_removed(self):
        # Somebody of the container who outlives it (nsenter, a shared volume): exchanges what is being removed.
        directory, container_id = self.host.make_bundle(Bundle(self.annotations()))
        for _ in range(20):
            with checklist.FakeContainer() as container:
                self.assertEqual(self.hook("prestart", self.state(directory, container_id, container.pid)).err, "")
            stage = os.path.join(self.host.stage_root, container_id, "stage")
            script = (f"cd '{stage}' && mkdir a b && ln -s '{self.victim}' a/link && echo ready && i=0 && "
                      f"while mkdir -p a/$i/x b; do ln -s '{self.victim}' b/$i; mv -T b a/$i/y; ln -sfn '{self.victim}' a/$i/x/l;"
                      " i=$((i+1)); done")
            with subprocess.Popen(["sh", "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as writer:
                writer.stdout.readline()
                self.hook("poststop", self.state(directory, container_id, 0, status="stopped"))
                writer.send_signal(signal.SIGKILL)
            wait_for("gc to end it", lambda: call(self.gc()).code == 0)
            self.host.check_clean()
            self.assertEqual(self.listing(), self.before)

    def test_record_is_one_line_whatever_it_is_about(self):
        self.run_ok(Bundle(self.annotations(), "printf x > '/workspace/a\nb'; mkdir '/workspace/{\"x\":1}'"))
        with open(self.host.records, encoding="utf-8") as file:
            lines = file.read().splitlines()
        self.assertEqual(json.loads(lines[-1])["staged"]["files"], 1)


if __name__ == "__main__":
    checklist.main("runc")
