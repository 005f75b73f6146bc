#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a hook inherits, what it runs and opens, and what it leaves open: as little as can be."""

import os
import re
import shutil
import subprocess
import unittest

import checklist
from host import BACKEND, HOOK, Bundle, call, wait_for

PRELOADED = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void evil(void)
{
  close(open("MARK", O_CREAT | O_WRONLY, 0600));
}
"""


class QuietTest(checklist.HostTest):
    def setUp(self):
        self.directory, self.container_id = self.host.make_bundle(Bundle(self.annotations()))
        self.container = checklist.FakeContainer()
        self.addCleanup(self.end)
        self.told = self.state(self.directory, self.container_id, self.container.pid)

    def end(self):
        self.container.kill()
        self.assertEqual(self.hook("poststop", self.told).err, "")
        self.host.check_clean()

    @unittest.skipUnless(shutil.which("cc"), "needs a C compiler")
    def test_libraries_of_the_environment_are_not_loaded(self):
        mark, source, library = (self.host.path(name) for name in ("mark", "evil.c", "evil.so"))
        with open(source, "w", encoding="utf-8") as file:
            file.write(PRELOADED.replace("MARK", mark))
        subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
        evil = {"LD_PRELOAD": library, "LD_AUDIT": library, "LD_LIBRARY_PATH": self.host.dir, "PATH": "/usr/bin:/bin"}
        # It does work: on a program that has a loader.
        call(["/usr/bin/env", "true"], env=evil)
        self.assertTrue(os.path.exists(mark))
        os.unlink(mark)
        for stage in ("prestart", "poststop"):
            self.assertIn(self.hook(stage, self.told, env=evil).code, (0, 1))
            self.assertFalse(os.path.exists(mark), stage)

    # (call, arguments) of one strace line; what is not finished at once is not looked for here.
    LINE = re.compile(r"^(?:\d+ +)?(?P<name>\w+)\((?P<arguments>.*)$")

    def traced(self, *options, state=None, **kwargs):
        log = self.host.path("strace")
        done = self.hook("prestart", state or self.told, prefix=["strace", "-f", "-o", log, *options], **kwargs)
        with open(log, encoding="utf-8", errors="replace") as file:
            found = [self.LINE.match(line) for line in file]
        return done, [(match["name"], match["arguments"]) for match in found if match]

    @unittest.skipUnless(shutil.which("strace"), "needs strace")
    def test_environment_names_no_file(self):
        evil = {name: self.host.path("evil-" + name) for name in (
            "TZDIR", "LOCPATH", "GCONV_PATH", "NLSPATH", "HOSTALIASES", "RESOLV_HOST_CONF", "MALLOC_TRACE", "TMPDIR", "HOME",
            "ACTIONDFS_SOCKET", "ACTIONDFS_CONFIG", "LD_LIBRARY_PATH")}
        evil.update(TZ=":" + self.host.path("evil-TZ"), LC_ALL="xx_XX", LANGUAGE="xx", PATH="/usr/bin:/bin")
        # One that fails, since telling so is what looks at most: syslog(3) wants to know the time of day.
        state = self.state(self.directory, self.container_id, self.container.pid,
                           annotations=self.annotations(mode="loose"))
        done, calls = self.traced("-e", "trace=%file", state=state, env=evil)
        self.assertEqual(done.code, 1)
        self.assertIn("openat", dict(calls))
        self.assertEqual([line for line in calls[1:] if "evil" in line[1]], [])

    @unittest.skipUnless(shutil.which("strace"), "needs strace")
    def test_in_the_container_nothing_is_opened_but_root_and_target(self):
        done, calls = self.traced("-e", "trace=%file,%process,%desc,%network,setns,chdir,move_mount,open_tree")
        self.assertEqual(done.code, 0, done.err)
        self.assertEqual([name for name, _ in calls].count("execve"), 1, "it runs other programs")
        moves = [i for i, (name, _) in enumerate(calls) if name == "setns"]
        self.assertEqual(len(moves), 2, "into the container, and back")
        inside = [call for call in calls[moves[0] + 1:moves[1]] if call[0] not in ("close", "fstat", "newfstatat")]
        rootfs = os.path.join(self.directory, "rootfs")
        expected = [("openat", f'AT_FDCWD, "{rootfs}", O_RDONLY|O_CLOEXEC|O_PATH|O_DIRECTORY'), ("openat2", '"workspace"'),
                    ("mkdirat", '"workspace"'), ("openat2", '"workspace"'), ("move_mount", '""')]
        self.assertEqual([name for name, _ in inside], [name for name, _ in expected], inside)
        for (name, arguments), (_, text) in zip(inside, expected):
            self.assertIn(text, arguments, name)

    @unittest.skipUnless(BACKEND == "fuse", "nothing else can be held up")
    def test_descriptors_and_directory_of_the_caller_are_given_up(self):
        secret = self.host.path("secret")
        with open(secret, "w", encoding="utf-8") as file:
            hook = self.held_hook(self.told, self.container_id, pass_fds=[file.fileno()], cwd=self.directory)
            process = f"/proc/{hook.pid}"
            wait_for("the hook to wait", lambda: self.sleeps(hook.pid))
            opened = [os.readlink(os.path.join(process, "fd", name)) for name in os.listdir(process + "/fd")]
        self.assertNotIn(secret, opened)
        self.assertEqual(sorted(int(name) for name in os.listdir(process + "/fd"))[:3], [0, 1, 2])
        self.assertEqual(os.readlink(process + "/cwd"), "/")
        self.assertEqual(os.listdir(process + "/task"), [str(hook.pid)], "it has threads")
        self.assertEqual(self.let_go(hook), (0, ""))

    @staticmethod
    def sleeps(pid):
        with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
            return file.read().rpartition(")")[2].split()[0] == "S"

    def test_nothing_is_said_and_nobody_holds_the_pipes(self):
        # communicate() returns when the last of those who hold the pipe has ended.
        with subprocess.Popen([HOOK, "prestart", "--config", self.host.config_path], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as hook:
            out, _ = hook.communicate(self.told, timeout=30)
        self.assertEqual((hook.returncode, out), (0, ""))


class InitTest(checklist.ContainerTest):
    def test_nothing_of_the_hook_reaches_init(self):
        out = self.run_ok(Bundle(self.annotations(), "ls -l /proc/self/fd /proc/1/fd; readlink /proc/1/cwd"))
        for name in (self.host.cas, self.host.state_root, self.host.stage_root, self.host.socket, "actiondfs"):
            self.assertNotIn(name, out)
        self.assertTrue(out.endswith("\n/\n"), out)


if __name__ == "__main__":
    checklist.main("unshare", "runc")
