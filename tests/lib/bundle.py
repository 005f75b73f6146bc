#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Makes an OCI bundle whose root is the host's own toolchain, read-only: /usr and /etc are bind mounts, /workspace is
an empty directory, /tmp is the container's. For the demonstration and the benchmark; nothing needs an image."""

import argparse
import json
import os
import pathlib

CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD", "CAP_SETGID",
                "CAP_SETUID", "CAP_SYS_CHROOT"]
# On the host's root these are symlinks into /usr (Debian 12), or directories of their own.
TOP = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


def mount(kind, source, destination, *options):
    return {"type": kind, "source": source, "destination": destination, "options": list(options)}


def bind(path):
    return mount("bind", path, path, "rbind", "ro", "nosuid", "nodev")


def make_rootfs(rootfs):
    """Creates the root and returns the mounts that fill it."""
    mounts = [bind("/usr"), bind("/etc")]
    for name in ("usr", "etc", "proc", "dev", "tmp", "workspace"):
        (rootfs / name).mkdir(parents=True, exist_ok=True)
    for name in TOP:
        host = pathlib.Path("/", name)
        if host.is_symlink():
            (rootfs / name).symlink_to(os.readlink(host))
        elif host.is_dir():
            (rootfs / name).mkdir()
            mounts.append(bind(str(host)))
    mounts += [mount("proc", "proc", "/proc", "nosuid", "noexec", "nodev"),
               mount("tmpfs", "tmpfs", "/dev", "nosuid", "mode=755"),
               mount("tmpfs", "tmpfs", "/tmp", "nosuid", "nodev", "mode=1777")]
    return mounts


def hooks(program, config):
    """The hook's registration: one entry a stage, each with an environment of its own."""
    if not program:
        return {}
    extra = ["--config", config] if config else []
    return {stage: [{"path": program, "args": [os.path.basename(program), stage, *extra], "env": ["PATH=/usr/bin:/bin"],
                     "timeout": 60}] for stage in ("prestart", "poststop")}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=pathlib.Path)
    parser.add_argument("--annotation", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--hook", help="program to register for prestart and poststop")
    parser.add_argument("--hook-config")
    parser.add_argument("--cwd", default="/workspace")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()

    capabilities = {kind: CAPABILITIES for kind in ("bounding", "effective", "permitted")}
    config = {
        "ociVersion": "1.0.2",
        "process": {"terminal": False, "user": {"uid": 0, "gid": 0}, "args": options.command, "cwd": options.cwd,
                    "env": ["PATH=/usr/bin:/bin", "LC_ALL=C", "HOME=/tmp"], "capabilities": capabilities,
                    "noNewPrivileges": True},
        "root": {"path": "rootfs", "readonly": True},
        "hostname": "actiondfs",
        "mounts": make_rootfs(options.bundle / "rootfs"),
        "hooks": hooks(options.hook, options.hook_config),
        "annotations": dict(a.split("=", 1) for a in options.annotation),
        "linux": {"namespaces": [{"type": t} for t in ("pid", "ipc", "uts", "mount", "network")]},
    }
    (options.bundle / "config.json").write_text(json.dumps(config, indent=1))


if __name__ == "__main__":
    main()
