# SPDX-License-Identifier: Apache-2.0
"""What the crash tests share: a host (tests/runtime/host.py) with containers that are nothing but an init process in a
mount namespace of its own, a hook that is started by hand, and a look at all that a workspace consists of.

ACTIONDFS, ACTIONDFS_HOOK and ACTIONDFS_AT_CALL (at_call.cc) are the programs. Standard library only.
"""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.join(HERE, "..", folder) for folder in ("runtime", "fuse", "cli")]
import reapi  # noqa: E402  (the path comes first)
from host import ACTIONDFS, BACKEND, HOOK, SKIP, Host, missing  # noqa: E402
from server import fields  # noqa: E402

AT_CALL = os.environ["ACTIONDFS_AT_CALL"]
MODES = ("strict", "overlay", "readonly")
CONTENT = "content\n"
TIMEOUT = 60  # seconds, of one hook: a hang is a failure


class Container:
    """An init process, a bundle, and the state that a runtime would tell a hook."""

    def __init__(self, scene, name, mode):
        self.scene, self.name, self.mode = scene, name, mode
        self.bundle = scene.path("bundle-" + name)
        self.rootfs = os.path.join(self.bundle, "rootfs")
        if not os.path.isdir(self.rootfs):
            os.makedirs(os.path.join(self.rootfs, "workspace"))
            with open(os.path.join(self.bundle, "config.json"), "w", encoding="utf-8") as file:
                json.dump({"ociVersion": "1.0.2", "root": {"path": "rootfs"},
                           "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["init"]},
                           "linux": {"namespaces": [{"type": "mount"}]}}, file)
        self.init = subprocess.Popen(  # pylint: disable=consider-using-with
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", "echo; exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.init.stdout.readline()  # it is in its namespace
        self.workspace = f"/proc/{self.init.pid}/root{self.rootfs}/workspace"

    def state(self, status="creating"):
        return json.dumps({"ociVersion": "1.0.2", "id": self.name, "pid": self.init.pid, "status": status,
                           "bundle": self.bundle, "annotations": {
                               "dev.actiondfs.input-root": self.scene.root, "dev.actiondfs.mode": self.mode}})

    def has_workspace(self):
        with open(f"/proc/{self.init.pid}/mountinfo", encoding="utf-8") as file:
            return any(line.split()[4] == self.rootfs + "/workspace" for line in file)

    def use(self):
        """Reads an input, and writes and removes a file where that is allowed; what goes wrong is an OSError."""
        with open(self.workspace + "/dir/file", encoding="utf-8") as file:
            text = file.read()
        if text != CONTENT:
            raise AssertionError(f"{self.name}: read {text!r}")
        if self.mode == "readonly":
            return
        with open(self.workspace + "/dir/out", "w", encoding="utf-8") as file:
            file.write(text)
        with open(self.workspace + "/dir/out", encoding="utf-8") as file:
            if file.read() != text:
                raise AssertionError(f"{self.name}: what was written is not there")
        os.unlink(self.workspace + "/dir/out")

    def write(self, name):
        if self.mode != "readonly":
            with open(f"{self.workspace}/{name}", "w", encoding="utf-8") as file:
                file.write(name)

    def kill(self):
        self.init.kill()
        self.init.wait()
        self.init.stdin.close()
        self.init.stdout.close()


class Paused:
    """A program, or a thread that runs already, on its way into its Nth system call (at_call pause)."""

    def __init__(self, scene, call, *program, **options):
        self.tell, self.wait = scene.path("tell"), scene.path("wait")
        for path in (self.tell, self.wait):
            if not os.path.exists(path):
                os.mkfifo(path)
        self.process = subprocess.Popen(  # pylint: disable=consider-using-with
            [AT_CALL, "pause", str(call), self.tell, self.wait, *program],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def command_lines():
    """(pid, words with blanks between) of all processes."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                yield int(pid), file.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it is gone


class Scene(Host):
    def __init__(self, state_on_tmpfs=False):
        super().__init__()
        if state_on_tmpfs:
            os.mkdir(self.state_root, 0o700)
            subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=700", "state", self.state_root], check=True)
        os.makedirs(self.path("tree/dir"))
        with open(self.path("tree/dir/file"), "w", encoding="utf-8") as file:
            file.write(CONTENT)
        self.root = self.import_tree(self.path("tree"))
        self.containers = []
        self.live = None
        self.before = None
        self.start_server()

    def close(self):
        for container in self.containers:
            if container.init.poll() is None:
                container.kill()
        super().close()

    def begin(self, mode="strict"):
        """A workspace that nothing may touch."""
        self.live = self.container("live", mode)
        self.prestart(self.live)
        self.live.write("kept")
        self.live.use()
        self.settle_once()
        self.before = self.snapshot()

    def check(self):
        """After gc: nothing is left of what was killed, and the live workspace is as it was."""
        self.gc()
        self.settle(self.before)
        self.live.use()
        if self.live.mode != "readonly":
            with open(self.live.workspace + "/kept", encoding="utf-8") as file:
                if file.read() != "kept":
                    raise AssertionError("the live workspace has lost what was written")

    def container(self, name, mode="strict"):
        made = Container(self, name, mode)
        self.containers = [c for c in self.containers if c.init.poll() is None] + [made]
        return made

    def kill_server(self):
        self.server.kill()
        self.server.wait()

    def restart_server(self):
        if BACKEND == "fuse":
            os.unlink(self.socket)
            self.start_server()

    # The programs.

    def hook_command(self, stage):
        return [HOOK, stage, "--config", self.config_path]

    def hook(self, stage, container, *at_call):
        """(exit status, stderr). `at_call`: what at_call is told to do with it."""
        command = self.hook_command(stage)
        if at_call:
            command = [AT_CALL, *at_call, "--", *command]
        status = "stopped" if stage == "poststop" else "creating"
        done = subprocess.run(command, input=container.state(status), text=True, check=False, timeout=TIMEOUT,
                              capture_output=True)
        return done.returncode, done.stderr

    def prestart(self, container):
        code, err = self.hook("prestart", container)
        if code != 0:
            raise AssertionError(f"prestart: {code}: {err}")

    def poststop(self, container):
        code, err = self.hook("poststop", container)
        if code != 0 or err:
            raise AssertionError(f"poststop: {code}: {err}")

    def calls(self, stage, container):
        """The names of the system calls of a stage that nothing happens to."""
        path = self.path("calls")
        code, err = self.hook(stage, container, "list", path)
        if code == SKIP:
            print("SKIP: needs ptrace(2)")
            sys.exit(SKIP)
        if code != 0:
            raise AssertionError(f"{stage}: {code}: {err}")
        with open(path, encoding="utf-8") as file:
            return file.read().split()

    def make_orphan(self, name):
        """A stage that nobody owns."""
        path = os.path.join(self.stage_root, name, "stage/dir/sub")
        os.makedirs(path, exist_ok=True)
        for n in range(20):
            with open(os.path.join(path, str(n)), "w", encoding="utf-8") as file:
                file.write(name)

    def gc(self):
        done = self.actiondfs("gc", "--config", self.config_path, check=False)
        if done.code != 0 or done.err:
            raise AssertionError(f"gc: {done.code}: {done.err}")
        return done.out

    # What there is.

    def sessions(self):
        """The ids of the mounts that the FUSE server has."""
        if BACKEND != "fuse":
            return []
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.connect(self.socket)
            client.send(reapi.message(3, b""))
            listed = dict(fields(client.recv(1 << 20))).get(5, b"")
        return sorted(dict(fields(info))[1].decode() for number, info in fields(listed) if number == 1)

    def processes(self):
        """Programs of ours on this host, besides the server."""
        known = {os.getpid(), self.server.pid if self.server else 0}
        return sorted(line for pid, line in command_lines() if self.dir in line and pid not in known)

    def mounts(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            return sorted(line.split()[4] for line in file if line.split()[4].startswith(self.dir + "/"))

    def files(self):
        """Leases, pins and stages, by name."""
        found = []
        for top in (self.state_root, self.stage_root):
            for name in sorted(os.listdir(top)) if os.path.isdir(top) else []:
                path = os.path.join(top, name)
                found.append(path)
                if os.path.isdir(path):
                    found += [os.path.join(path, below) for below in sorted(os.listdir(path))]
        return found

    def server_threads(self):
        return set(os.listdir(f"/proc/{self.server.pid}/task"))

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.server.pid}/fd")) if self.server else 0

    def snapshot(self):
        return {"mounts": self.mounts(), "files": self.files(), "sessions": self.sessions(),
                "processes": self.processes(), "descriptors": self.descriptors()}

    def settle(self, expected, seconds=20):
        """All that was there is there, and no more. A mount ends in the kernel's own time."""
        deadline = time.monotonic() + seconds
        while (now := self.snapshot()) != expected:
            if time.monotonic() > deadline:
                raise AssertionError("\n".join(f"{key}: {now[key]}, expected {expected[key]}"
                                               for key in now if now[key] != expected[key]))
            time.sleep(0.005)

    def settle_once(self, seconds=20):
        """Waits until the server has closed what it needed for a request only."""
        deadline = time.monotonic() + seconds
        count = self.descriptors()
        quiet = 0
        while quiet < 3:
            now = self.descriptors()
            quiet = quiet + 1 if now == count else 0
            count = now
            if time.monotonic() > deadline:
                raise AssertionError("the server's descriptors do not come to rest")
            time.sleep(0.005)

    def record_count(self, name):
        if not os.path.exists(self.records):
            return 0
        with open(self.records, encoding="utf-8") as file:
            return sum(json.loads(line)["container_id"] == name for line in file)


def fails_at_once(call):
    """The errno of a call on a mount that nobody serves any more. One that hangs ends the test: SIGALRM's default."""
    signal.alarm(20)
    try:
        call()
    except OSError as error:
        return errno.errorcode[error.errno]
    finally:
        signal.alarm(0)
    return None


def skip_unless_possible(*programs):
    lacking = missing("unshare", *programs)
    if lacking:
        print("SKIP: needs " + lacking)
        sys.exit(SKIP)
