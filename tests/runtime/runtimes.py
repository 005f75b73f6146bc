# SPDX-License-Identifier: Apache-2.0
"""runc, crun, podman and containerd, started so that they also run where cgroups are hybrid and limits cannot be raised."""

import json
import os
import shlex
import subprocess

from host import ALL_CAPABILITIES, HOOK, call, wait_for


def in_private_cgroup2(command):
    """In a mount namespace where cgroup2 is alone: crun refuses hybrid cgroups."""
    script = ("umount -R /sys/fs/cgroup 2>/dev/null; mount -t cgroup2 none /sys/fs/cgroup && exec "
              + shlex.join(command))
    return ["unshare", "-m", "--propagation", "private", "sh", "-c", script]


class Runc:
    name = "runc"
    programs = ["runc"]

    def __init__(self, host):
        self.host = host
        self.root = host.path("runc-root")

    def command(self, *args):
        return ["runc", "--root", self.root, *args]

    def run(self, bundle):
        directory, container_id = self.host.make_bundle(bundle)
        done = call(self.command("run", "--bundle", directory, container_id))
        call(self.command("delete", "--force", container_id))
        return done

    def close(self):
        pass


class Crun(Runc):
    name = "crun"
    programs = ["crun", "unshare"]

    def __init__(self, host):
        super().__init__(host)
        self.root = host.path("crun-root")

    def command(self, *args):
        return in_private_cgroup2(["crun", "--root", self.root, "--cgroup-manager=disabled", *args])


class Podman:
    name = "podman"
    programs = ["podman", "runc"]

    def __init__(self, host):
        self.host = host
        self.hooks = host.path("hooks.d")
        os.mkdir(self.hooks)
        for stage in ("prestart", "poststop"):
            entry = {"version": "1.0.0", "hook": host.hook_entry(stage),
                     "when": {"annotations": {"^dev\\.actiondfs\\.": ".*"}}, "stages": [stage]}
            with open(os.path.join(self.hooks, f"10-actiondfs-{stage}.json"), "w", encoding="utf-8") as file:
                json.dump(entry, file)
        self.rootfs_count = 0

    def command(self, *args):
        storage = ["--root", self.host.path("podman-root"), "--runroot", self.host.path("podman-run"),
                   "--storage-driver", "vfs", "--tmpdir", self.host.path("podman-tmp")]
        return ["podman", *storage, "--runtime", "runc", "--cgroup-manager=cgroupfs",
                "--events-backend=none", "--hooks-dir", self.hooks, *args]

    def run(self, bundle):
        directory, container_id = self.host.make_bundle(bundle)
        args = ["run", "--rm", "--name", container_id, "--network=none", "--log-driver=none",
                "--attach=stdout", "--attach=stderr",
                "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024",
                "--user", f"{bundle.uid}:{bundle.gid}", "--workdir", bundle.cwd]
        for key, value in bundle.annotations.items():
            args += ["--annotation", f"{key}={value}"]
        if bundle.readonly:
            args += ["--read-only"]
        if bundle.user_namespace:
            args += ["--uidmap", "0:100000:65536", "--gidmap", "0:100000:65536"]
        args += ["--rootfs", os.path.join(directory, "rootfs"), "/bin/sh", "-ec", bundle.script]
        done = call(self.command(*args))
        call(self.command("rm", "--force", container_id))
        return done

    def close(self):
        pass


class Containerd:
    """A containerd of our own, without CRI, and `ctr run --config`."""

    name = "containerd"
    programs = ["containerd", "ctr", "runc"]

    def __init__(self, host):
        self.host = host
        self.address = host.path("containerd.sock")
        config = host.path("containerd.toml")
        with open(config, "w", encoding="utf-8") as file:
            file.write(f'version = 2\nroot = "{host.path("containerd-root")}"\n'
                       f'state = "{host.path("containerd-state")}"\n'
                       'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
                       f'[grpc]\n  address = "{self.address}"\n'
                       f'[ttrpc]\n  address = "{self.address}.ttrpc"\n')
        with open(host.path("containerd.log"), "wb") as log:
            self.daemon = subprocess.Popen(  # pylint: disable=consider-using-with
                ["containerd", "--config", config], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_for("containerd", lambda: call(self.command("version")).code == 0, 30)

    def command(self, *args):
        return ["ctr", "--address", self.address, *args]

    def run(self, bundle):
        directory, container_id = self.host.make_bundle(bundle)
        config = os.path.join(directory, "config.json")
        with open(config, encoding="utf-8") as file:
            spec = json.load(file)
        spec["root"]["path"] = os.path.join(directory, "rootfs")
        with open(config, "w", encoding="utf-8") as file:
            json.dump(spec, file)
        done = call(self.command("run", "--rm", "--config", config, container_id))
        call(self.command("container", "rm", container_id))
        return done

    def close(self):
        self.daemon.terminate()
        self.daemon.wait(20)


class CtrAnnotation(Containerd):
    """`ctr run --annotation`, with a runtime that puts the hooks into each bundle and then becomes runc.

    ctr's flags can say less than a specification: no user, no mounts.
    """

    name = "ctr_annotation"
    programs = ["containerd", "ctr", "runc", "jq"]

    def __init__(self, host):
        super().__init__(host)
        self.wrapper = host.path("runc-with-hooks")
        add_hooks = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../config/runc/add-hooks")
        with open(self.wrapper, "w", encoding="utf-8") as file:
            file.write(f"""#!/bin/sh
set -eu
bundle=. previous=
for word; do
  case $previous in --bundle|-b) bundle=$word ;; esac
  previous=$word
done
case " $* " in *" create "*) {add_hooks} "$bundle" {HOOK} {host.config_path} ;; esac
exec runc "$@"
""")
        os.chmod(self.wrapper, 0o755)

    def run(self, bundle):
        directory, container_id = self.host.make_bundle(bundle)
        args = ["run", "--rm", "--runc-binary", self.wrapper, "--rootfs", "--cwd", bundle.cwd]
        for key, value in bundle.annotations.items():
            args += ["--annotation", f"{key}={value}"]
        if bundle.capabilities == ALL_CAPABILITIES:
            args += ["--privileged"]
        args += [os.path.join(directory, "rootfs"), container_id, "/bin/sh", "-ec", bundle.script]
        done = call(self.command(*args))
        call(self.command("container", "rm", container_id))
        return done


ALL = {runtime.name: runtime for runtime in (Runc, Crun, Podman, Containerd, CtrAnnotation)}
