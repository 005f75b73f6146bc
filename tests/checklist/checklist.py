# SPDX-License-Identifier: Apache-2.0
"""What the tests here share: a host, a tree, hooks that are called by hand, processes that are containers."""

import json
import os
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../runtime"))

# pylint: disable=wrong-import-position
import runtimes
from host import HOOK, SKIP, Bundle, Host, call, missing, wait_for


class HostTest(unittest.TestCase):
    """A host with a small tree, whose blobs are all checked when the tests have had their way."""

    server_options = ()

    @classmethod
    def setUpClass(cls):
        cls.host = Host()
        cls.addClassCleanup(cls.host.close)
        tree = cls.host.path("tree")
        os.makedirs(os.path.join(tree, "sub"))
        for name, content in (("hello.txt", "hello\n"), ("run.sh", "#!/bin/sh\necho I ran\n"), ("sub/deep.txt", "deep\n")):
            with open(os.path.join(tree, name), "w", encoding="utf-8") as file:
                file.write(content)
        os.chmod(os.path.join(tree, "run.sh"), 0o755)
        cls.root = cls.host.import_tree(tree)
        cls.host.start_server(*cls.server_options)

    def annotations(self, **extra):
        keys = {"dev.actiondfs.input-root": self.root}
        keys.update({"dev.actiondfs." + key.replace("_", "-"): value for key, value in extra.items()})
        return keys

    def check_store(self):
        done = self.host.verify(self.root)
        self.assertEqual(done.code, 0, done.out + done.err)

    def state(self, directory, container_id, pid, **changes):
        """What a runtime would tell the hook, as text."""
        state = {"ociVersion": "1.0.2", "id": container_id, "pid": pid, "status": "creating", "bundle": directory,
                 "annotations": self.annotations()}
        state.update(changes)
        return json.dumps(state)

    def hook(self, stage, state, prefix=(), **kwargs):
        return call([*prefix, HOOK, stage, "--config", self.host.config_path], input=state, **kwargs)

    # A hook in the middle of its work. Only the FUSE server can hold one up.

    def held_hook(self, state, container_id, **kwargs):
        """A prestart hook that waits for the FUSE server, which does not answer: it has found its container, and has
        written the lease."""
        self.host.server.send_signal(signal.SIGSTOP)
        self.addCleanup(self.host.server.send_signal, signal.SIGCONT)
        hook = subprocess.Popen(  # pylint: disable=consider-using-with
            [HOOK, "prestart", "--config", self.host.config_path], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)
        hook.stdin.write(state)
        hook.stdin.close()
        hook.stdin = None  # what communicate() would flush
        lease = os.path.join(self.host.state_root, container_id, "lease.json")
        wait_for("the lease", lambda: os.path.exists(lease) or hook.poll() is not None)
        return hook

    def let_go(self, hook):
        """(its exit status, what it said)"""
        self.host.server.send_signal(signal.SIGCONT)
        _, err = hook.communicate(timeout=30)
        return hook.returncode, err


class ContainerTest(HostTest):
    """... with a runtime."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.runtime = runtimes.Runc(cls.host)

    def run_ok(self, bundle):
        done = self.runtime.run(bundle)
        self.assertEqual(done.code, 0, done.out + done.err + self.host.server_log())
        self.host.check_clean()
        return done.out


class FakeContainer:
    """A process with a mount namespace of its own, which waits: for the hook it is a container's init. `script` is for
    sh, run in that namespace before; its output ends up in `self.ready`."""

    def __init__(self, script=":", options=()):
        # unshare(1) becomes the shell, and the shell cat: the process that is told of is the init.
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            ["unshare", "--mount", "--propagation", "private", *options, "sh", "-ec", script + "\necho ready; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.pid = self.process.pid
        self.ready = self.process.stdout.readline()
        assert self.ready == b"ready\n", self.ready

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.kill()

    def kill(self):
        self.process.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def inside(self, path):
        return f"/proc/{self.pid}/root{path}"

    def mounts(self):
        """(mount point, file system type) of all that it sees."""
        with open(f"/proc/{self.pid}/mountinfo", encoding="utf-8") as file:
            rows = [line.split() for line in file]
        return [(row[4], row[row.index("-") + 1]) for row in rows]


def edit_spec(directory, edit):
    """Has edit(spec) change a bundle's configuration."""
    path = os.path.join(directory, "config.json")
    with open(path, encoding="utf-8") as file:
        spec = json.load(file)
    edit(spec)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(spec, file)


def main(*programs):
    lacking = missing(*programs, "/bin/busybox")
    if lacking:
        print("SKIP: needs " + lacking)
        sys.exit(SKIP)
    unittest.main(verbosity=2)


__all__ = ["Bundle", "ContainerTest", "FakeContainer", "HostTest", "edit_spec", "main"]
