# SPDX-License-Identifier: Apache-2.0
"""The crash matrix: one thing killed on the hook's way into one of its system calls, and what has to hold then.

A point is one call of one stage (prestart, poststop) in one mode. ACTIONDFS_CRASH=all: every call; otherwise all that
change something, and each Nth of the others.
"""

import os
import re
import subprocess

from scene import AT_CALL, CONTENT, TIMEOUT, Paused, Scene, fails_at_once

# What makes, changes or removes something, or is the last of its kind: no call of these is left out.
TELLING = {"mkdirat", "unlinkat", "renameat", "rename", "fsync", "move_mount", "open_tree", "fsmount", "mount_setattr",
           "umount2", "setns", "sendmsg", "recvmsg", "poll", "fchown", "flock", "fstatfs", "capset", "exit_group"}
ALL = os.environ.get("ACTIONDFS_CRASH") == "all"
ONE_LINE = re.compile(r"actiondfs-hook: \w+: [^\n]+\n")


def points(calls, stride, telling):
    """Numbers of system calls, from 1; spread over all, and the same ones each time."""
    chosen = [n for n, name in enumerate(calls, 1) if ALL or name in telling or n % stride == 0]
    # The very end: the hook is through, and has not said so yet.
    return chosen if chosen[-1:] == [len(calls)] else [*chosen, len(calls)]


class Matrix:
    """One scene, a container that lives through it all, and the points."""

    def __init__(self):
        self.scene = Scene()

    def close(self):
        self.scene.close()

    def try_again(self, container):
        """The next one of that name finds nothing in its way."""
        scene = self.scene
        again = scene.container(container.name, container.mode)
        scene.prestart(again)
        again.use()
        again.kill()
        scene.poststop(again)
        scene.check()

    # The hook is killed.

    def kill_prestart(self, call, mode):
        scene = self.scene
        container = scene.container("victim", mode)
        code, _ = scene.hook("prestart", container, "kill", str(call))
        assert code in (0, 137), code
        # Its init lives still: that is no rubbish, whether it has got a workspace or not.
        had = container.has_workspace()
        scene.gc()
        assert had == container.has_workspace()
        if code == 0:
            container.use()
        container.kill()  # what a runtime does when its hook fails
        scene.check()
        self.try_again(container)

    def kill_prestart_without_gc(self, call, mode):
        """The runtime tries again at once."""
        scene = self.scene
        container = scene.container("victim", mode)
        scene.hook("prestart", container, "kill", str(call))
        container.kill()
        self.try_again(container)

    def kill_poststop(self, call, mode):
        scene = self.scene
        container = scene.container("victim", mode)
        scene.prestart(container)
        container.write("dir/out")
        container.kill()
        before = scene.record_count("victim")
        code, _ = scene.hook("poststop", container, "kill", str(call))
        assert code in (0, 137), code
        scene.check()
        # Told of at least once; twice where it was killed between the record and the lease that says so.
        assert scene.record_count("victim") - before in (1, 2)

    # The FUSE server is killed.

    def with_server_killed_at(self, stage, call, container):
        """(exit status, stderr) of a hook, on whose way into `call` the server was killed."""
        scene = self.scene
        command = scene.hook_command(stage)
        paused = Paused(scene, call, "--", *command, stdin=subprocess.PIPE)
        paused.process.stdin.write(container.state("stopped" if stage == "poststop" else "creating"))
        paused.process.stdin.close()
        paused.process.stdin = None
        with open(paused.tell, "rb") as tell:
            reached = tell.read(1)
        scene.kill_server()
        if reached:
            with open(paused.wait, "wb"):
                pass
        _, err = paused.process.communicate(timeout=TIMEOUT)
        return paused.process.returncode, err

    @staticmethod
    def assert_dead(container):
        """Calls fail, and none hangs."""
        got = fails_at_once(lambda: os.stat(container.workspace + "/dir/file"))
        assert got == "ENOTCONN", f"{container.mode}: {got}"

    def kill_server_in_prestart(self, call, last, mode):
        """`last`: the number of the call that asks whether the tree still answers."""
        scene = self.scene
        container = scene.container("victim", mode)
        code, err = self.with_server_killed_at("prestart", call, container)
        if code == 0:
            assert call > last, "prestart was content with a tree that nobody serves"
            assert container.has_workspace()
        else:
            assert ONE_LINE.fullmatch(err), err
            assert not err.count("not all could be undone"), err
        if container.has_workspace():
            self.assert_dead(container)
        self.end_without_server(container)

    def kill_server_in_poststop(self, call, mode):
        scene = self.scene
        container = scene.container("victim", mode)
        scene.prestart(container)
        container.write("dir/out")
        container.kill()
        code, err = self.with_server_killed_at("poststop", call, container)
        assert code == 0 and (not err or ONE_LINE.fullmatch(err)), err
        self.end_without_server(container)

    def end_without_server(self, container):
        """The live workspace has lost its server, and is not rubbish: its files are kept until it ends."""
        scene = self.scene
        for mounted in (True, False):
            # With nobody at the socket, and with a new server.
            if not mounted:
                scene.restart_server()
            scene.gc()
            assert scene.live.has_workspace()
            self.assert_dead(scene.live)
            with open(os.path.join(scene.stage_root, "live/stage/kept"), encoding="utf-8") as file:
                assert file.read() == "kept"
        if container.init.poll() is None:
            container.kill()
        scene.gc()
        scene.live.kill()
        scene.poststop(scene.live)
        scene.settle({"mounts": [scene.state_root], "files": [], "sessions": [], "processes": [],
                      "descriptors": scene.descriptors()})
        scene.begin(scene.live.mode)

    def kill_server_at_its_own(self, call, mode):
        """The server is killed on its way into a call of its own, while prestart waits for its answer."""
        scene = self.scene
        container = scene.container("victim", mode)
        tracer = subprocess.Popen(  # pylint: disable=consider-using-with
            [AT_CALL, "kill", str(call), "--pid", str(scene.server.pid)], stdout=subprocess.PIPE)
        assert tracer.stdout.readline() == b"ready\n"
        code, err = scene.hook("prestart", container)
        died = tracer.poll() is not None or code != 0
        if not died:
            tracer.terminate()
            tracer.wait()
            tracer.stdout.close()
            container.use()
            container.kill()
            scene.poststop(container)
            scene.check()
            return
        tracer.wait()
        tracer.stdout.close()
        scene.kill_server()
        if code != 0:
            assert ONE_LINE.fullmatch(err), err
        self.end_without_server(container)

    def server_calls(self, mode):
        """How many calls the server's first thread makes for one prestart."""
        scene = self.scene
        container = scene.container("victim", mode)
        path = scene.path("server-calls")
        tracer = subprocess.Popen(  # pylint: disable=consider-using-with
            [AT_CALL, "list", path, "--pid", str(scene.server.pid)], stdout=subprocess.PIPE)
        assert tracer.stdout.readline() == b"ready\n"
        scene.prestart(container)
        tracer.kill()
        tracer.wait()
        tracer.stdout.close()
        container.kill()
        scene.poststop(container)
        scene.check()
        with open(path, encoding="utf-8") as file:
            return file.read().split()

    def measure(self, mode):
        """The calls of prestart and poststop; and the number of the last one that the tree's answer is needed for."""
        scene = self.scene
        container = scene.container("victim", mode)
        prestart = scene.calls("prestart", container)
        with open(container.workspace + "/dir/file", encoding="utf-8") as file:
            assert file.read() == CONTENT
        container.write("dir/out")
        container.kill()
        poststop = scene.calls("poststop", container)
        scene.check()
        last = max((n for n, name in enumerate(prestart, 1) if name == "fstatfs"), default=0)
        return prestart, poststop, last
