# SPDX-License-Identifier: Apache-2.0
"""The reference: the tree written into an ordinary directory of the stage's file system."""
import os

from backend import Backend
from calls import write_file
from store import Executable, Link, Properties

EPOCH_NS = 946684800 * 10**9


class PlainBackend(Backend):
    modes = ("plain",)

    def mount(self, digest, mode, point, stage, options):
        self.owner = (options.get("uid", 0), options.get("gid", 0))
        self.write(self.store.trees[digest], point)

    def write(self, tree, directory):
        for name, value in tree.items():
            path = os.path.join(directory, name)
            if isinstance(value, Properties):
                value = value.value
            if isinstance(value, dict):
                os.mkdir(path)
                self.write(value, path)
            elif isinstance(value, Link):
                os.symlink(value, path)
                self.dress(path)
            else:
                write_file(path, value)
                os.chmod(path, 0o555 if isinstance(value, Executable) else 0o444)
                self.dress(path)
        self.dress(directory)

    def dress(self, path):
        os.chown(path, *self.owner, follow_symlinks=False)
        os.utime(path, ns=(EPOCH_NS, EPOCH_NS), follow_symlinks=False)
