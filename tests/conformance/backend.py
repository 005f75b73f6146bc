# SPDX-License-Identifier: Apache-2.0
"""What presents a tree to the tests. ACTIONDFS_BACKEND names it: fuse, fuse-no-passthrough, kernel or plain."""
import os
import subprocess

from calls import mounts_below


class MountError(Exception):
    """The mount was refused; what was said about it."""


class Unavailable(Exception):
    """This host lacks what the backend needs."""


class Backend:
    """One for a run of the tests. Subclasses mount; what they share is here."""

    # Which columns of the table it has. "plain" is an ordinary directory with the tree written into it.
    modes = ("readonly", "strict", "overlay")

    def __init__(self, name, directory, store):
        self.name = name
        self.directory = directory
        self.store = store

    def start(self):
        """Raises Unavailable."""

    def stop(self):
        """True if nothing went wrong that only shows at the end."""
        return True

    def mount(self, digest, mode, point, stage, options):
        """Attaches the tree at `point`; `options` are uid, gid and inodes. Raises MountError."""
        raise NotImplementedError

    def unmount(self, point):
        if mounts_below(point):
            subprocess.run(["umount", point], check=True)

    def real_root(self, mode, point, stage):
        """Where the files that are made in the mount's top directory really are."""
        return {"strict": stage, "overlay": os.path.join(stage or "", "upper"), "plain": point}.get(mode)

    def log(self):
        """What was logged since the start."""
        return ""


def make_backend(directory, store):
    name = os.environ.get("ACTIONDFS_BACKEND", "fuse")
    # Imported here, since each wants something of the host or of the environment.
    if name in ("fuse", "fuse-no-passthrough"):
        from backend_fuse import FuseBackend
        return FuseBackend(name, directory, store)
    if name == "kernel":
        from backend_kernel import KernelBackend
        return KernelBackend(name, directory, store)
    if name == "plain":
        from backend_plain import PlainBackend
        return PlainBackend(name, directory, store)
    raise SystemExit("ACTIONDFS_BACKEND=%s: expected fuse, fuse-no-passthrough, kernel or plain" % name)
