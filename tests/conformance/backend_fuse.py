# SPDX-License-Identifier: Apache-2.0
"""The FUSE server of ACTIONDFS (the program), with the kernel's passthrough or without."""
import os
import subprocess
import sys

from backend import Backend, MountError, Unavailable
from calls import mounts_below

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fuse"))
import server  # noqa: E402  (the path comes first)
import reapi  # noqa: E402


class FuseBackend(Backend):
    def start(self):
        if not os.path.exists("/dev/fuse"):
            raise Unavailable("this host has no /dev/fuse")
        self.more = ["--no-passthrough"] if self.name == "fuse-no-passthrough" else []
        self.server = server.Server(self.directory, *self.more)

    def stop(self):
        status = self.server.stop()
        if status != 0:
            print("the server ended with %d:\n%s" % (status, self.log()), file=sys.stderr)
        return status == 0

    def mount(self, digest, mode, point, stage, options):
        args = ["mount", reapi.text(digest), point, "--cas", self.store.path, "--layout", "sharded", "--backend", "fuse",
                "--mode", mode, "--socket", self.server.socket, *self.more]
        if stage is not None:
            args += ["--stage", stage]
        for key, value in options.items():
            args += ["-o", "%s=%s" % (key, value)]
        done = subprocess.run([server.PROGRAM, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise MountError(done.stderr)

    def unmount(self, point):
        if mounts_below(point):
            subprocess.run([server.PROGRAM, "umount", point], stdin=subprocess.DEVNULL, check=True)

    def log(self):
        return self.server.log()
