# SPDX-License-Identifier: Apache-2.0
"""A host to test on: a CAS, a backend, a configuration and bundles below one scratch directory.

Each runtime is an object with `run(bundle) -> Run`; they differ only in how they are started. Standard library only.
"""

import json
import os
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, field

ACTIONDFS = os.environ.get("ACTIONDFS", "actiondfs")
HOOK = os.environ.get("ACTIONDFS_HOOK", "actiondfs-hook")
BUSYBOX = "/bin/busybox"
# What the containers of the tests get where they do not say: fuse or kernel.
BACKEND = os.environ.get("ACTIONDFS_BACKEND", "fuse")
SKIP = 77
RUN_TIMEOUT = 120  # seconds, of one container

ALL_CAPABILITIES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE"
    " NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO"
    " SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_TIME SYS_TTY_CONFIG MKNOD"
    " LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP"
).split()
SOME_CAPABILITIES = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID MKNOD".split()


@dataclass
class Run:
    code: int
    out: str
    err: str


def call(args, **kwargs):
    done = subprocess.run(
        args, capture_output=True, text=True, errors="replace", timeout=RUN_TIMEOUT,
        stdin=kwargs.pop("stdin", subprocess.DEVNULL) if "input" not in kwargs else None, **kwargs)
    return Run(done.returncode, done.stdout, done.stderr)


def wait_for(what, condition, seconds=20):
    """Polls: for what another process does in its own time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"timed out: {what}")
        time.sleep(0.02)


@dataclass
class Bundle:
    """What a container is to be; Host.make_bundle writes it as an OCI bundle."""

    annotations: dict
    script: str = "true"  # for busybox sh -e
    uid: int = 0
    gid: int = 0
    cwd: str = "/"
    user_namespace: bool = False
    readonly: bool = False
    mount_namespace: bool = True
    capabilities: list = field(default_factory=lambda: SOME_CAPABILITIES)
    mounts: list = field(default_factory=list)
    prepare_rootfs: object = None  # called with the rootfs' path


class Host:
    def __init__(self):
        base = os.environ.get("ACTIONDFS_TEST_DIR", "/var/tmp")
        self.dir = tempfile.mkdtemp(prefix="actiondfs-test.", dir=base)
        os.chmod(self.dir, 0o755)  # user namespaces have to pass through
        self.cas = self.path("cas")
        self.stage_root = self.path("stages")
        self.state_root = self.path("state")
        self.socket = self.path("serve.sock")
        self.records = self.path("records.jsonl")
        self.config_path = self.path("hook.json")
        self.config = {
            "cas": {"default": {"path": self.cas, "layout": "sharded"}},
            "stage_root": self.stage_root,
            "state_root": self.state_root,
            "serve_socket": self.socket,
            "defaults": {"backend": BACKEND},
            "records": {"path": self.records, "prometheus_textfile": self.path("actiondfs.prom")},
        }
        os.mkdir(self.cas)
        self.write_config()
        self.server = None
        self.server_prefix = []  # a program that starts it: setpriv, say
        self.count = 0

    def path(self, name):
        return os.path.join(self.dir, name)

    def write_config(self, mode=0o600):
        with open(self.config_path, "w", encoding="utf-8") as file:
            json.dump(self.config, file)
        os.chmod(self.config_path, mode)

    # The FUSE server. The other backends have none.

    def start_server(self, *options):
        if BACKEND != "fuse":
            return
        log = open(self.path("serve.log"), "ab")  # pylint: disable=consider-using-with
        self.server = subprocess.Popen(  # pylint: disable=consider-using-with
            [*self.server_prefix, ACTIONDFS, "serve", "--foreground", "--socket", self.socket, *options],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()
        wait_for("the server's socket", lambda: os.path.exists(self.socket) or self.server.poll() is not None)
        assert self.server.poll() is None, self.server_log()

    def stop_server(self):
        if self.server:
            self.server.terminate()
            try:
                self.server.wait(10)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()
            self.server = None

    def server_log(self):
        if not os.path.exists(self.path("serve.log")):
            return ""
        with open(self.path("serve.log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def close(self):
        self.stop_server()
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            points = [line.split()[4] for line in file if self.dir in line.split()[4]]
        for point in reversed(points):
            subprocess.run(["umount", "-l", point], check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    # Content.

    def actiondfs(self, *args, check=True):
        done = call([ACTIONDFS, *args])
        if check and done.code != 0:
            raise AssertionError(f"actiondfs {args}: {done.code}: {done.err}")
        return done

    def import_tree(self, directory):
        done = self.actiondfs("import", directory, "--cas", self.cas)
        return done.out.strip().splitlines()[-1]

    def verify(self, digest):
        return self.actiondfs("verify", digest, "--cas", self.cas, check=False)

    # Containers.

    def make_rootfs(self, bundle_dir):
        rootfs = os.path.join(bundle_dir, "rootfs")
        for name in ("bin", "dev", "etc", "proc", "sys", "tmp"):
            os.makedirs(os.path.join(rootfs, name))
        os.chmod(os.path.join(rootfs, "tmp"), 0o1777)
        shutil.copy(BUSYBOX, os.path.join(rootfs, "bin/busybox"))
        for applet in call([BUSYBOX, "--list"]).out.split():
            if applet != "busybox":
                os.symlink("busybox", os.path.join(rootfs, "bin", applet))
        return rootfs

    def hook_entry(self, stage):
        return {"path": HOOK, "args": ["actiondfs-hook", stage, "--config", self.config_path],
                "env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"], "timeout": 30}

    def make_spec(self, bundle):
        capabilities = ["CAP_" + name for name in bundle.capabilities]
        namespaces = [{"type": kind} for kind in ("pid", "ipc", "uts", "network")]
        if bundle.mount_namespace:
            namespaces.append({"type": "mount"})
        spec = {
            "ociVersion": "1.0.2",
            "process": {
                "terminal": False,
                "user": {"uid": bundle.uid, "gid": bundle.gid},
                "args": ["/bin/sh", "-ec", bundle.script],
                "env": ["PATH=/bin", "HOME=/tmp"],
                "cwd": bundle.cwd,
                "capabilities": {kind: capabilities for kind in
                                 ("bounding", "effective", "inheritable", "permitted")},
                "noNewPrivileges": True,
            },
            "root": {"path": "rootfs", "readonly": bundle.readonly},
            "hostname": "test",
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {"destination": "/dev", "type": "tmpfs", "source": "tmpfs",
                 "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
                *bundle.mounts,
            ],
            "annotations": bundle.annotations,
            "hooks": {"prestart": [self.hook_entry("prestart")],
                      "poststop": [self.hook_entry("poststop")]},
            "linux": {"namespaces": namespaces},
        }
        if bundle.user_namespace:
            namespaces.append({"type": "user"})
            mapping = [{"containerID": 0, "hostID": 100000, "size": 65536}]
            spec["linux"]["uidMappings"] = mapping
            spec["linux"]["gidMappings"] = mapping
        return spec

    def make_bundle(self, bundle):
        """Writes the bundle; (its directory, a container id)."""
        self.count += 1
        container_id = f"adfs-test-{os.getpid()}-{self.count}"
        bundle_dir = self.path(f"bundle{self.count}")
        os.mkdir(bundle_dir)
        rootfs = self.make_rootfs(bundle_dir)
        if bundle.prepare_rootfs:
            bundle.prepare_rootfs(rootfs)
        if bundle.user_namespace:
            for top, dirs, files in os.walk(rootfs):
                for name in [*dirs, *files, "."]:
                    os.chown(os.path.join(top, name), 100000, 100000, follow_symlinks=False)
        with open(os.path.join(bundle_dir, "config.json"), "w", encoding="utf-8") as file:
            json.dump(self.make_spec(bundle), file)
        return bundle_dir, container_id

    # What is left.

    def leftovers(self):
        """What a container that has ended must not leave: mounts, stages, leases, mounts of a tree."""
        left = []
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            for line in file:
                point = line.split()[4]
                if self.dir in point and point != self.state_root:
                    left.append("mount " + point)
        for directory in (self.stage_root, self.state_root):
            if os.path.isdir(directory):
                left += [os.path.join(directory, name) for name in os.listdir(directory)
                         if name != os.path.basename(self.socket)]
        rows = json.loads(self.actiondfs("ps", "--json", "--config", self.config_path).out)
        left += [f"{row['backend']} mount {row['id']}" for row in rows]
        return left

    def check_clean(self):
        # The kernel ends a superblock when the container's mount namespace is taken apart, in its own time.
        state = {}

        def clean():
            state["left"] = self.leftovers()
            return not state["left"]

        try:
            wait_for("nothing is left", clean)
        except AssertionError:
            raise AssertionError("left behind: " + ", ".join(state["left"])) from None

    def last_record(self):
        with open(self.records, encoding="utf-8") as file:
            return json.loads(file.read().splitlines()[-1])


def has_kernel_module():
    with open("/proc/filesystems", encoding="utf-8") as file:
        return "\tactiondfs\n" in file.read()


def missing(*programs):
    """What this host lacks: root, the backend or the first of `programs`; or None."""
    if os.geteuid() != 0:
        return "root"
    if BACKEND == "fuse" and not os.path.exists("/dev/fuse"):
        return "/dev/fuse"
    if BACKEND == "kernel" and not has_kernel_module():
        return "the kernel module actiondfs"
    return next((name for name in programs if shutil.which(name) is None), None)
