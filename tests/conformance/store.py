# SPDX-License-Identifier: Apache-2.0
"""A content-addressed store in the sharded layout, and trees for it that are described as dictionaries."""
import hashlib
import os
import sys

from calls import read_file, write_file

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "cli"))
import reapi  # noqa: E402  (the path comes first)


class Executable(bytes):
    """A file's content, of one with is_executable."""


class Missing(bytes):
    """A file's content that is not put into the store."""


class Link(str):
    """A symlink's target."""


class Raw(tuple):
    """The digest of a Directory that is there already, or is nowhere."""


class Properties:
    """A value of a tree (file content, Link or dict) with node_properties."""

    def __init__(self, value, mode=None, mtime=None):
        self.value = value
        self.encoded = b""
        if mtime is not None:
            seconds, nanos = divmod(mtime, 10**9)
            self.encoded += reapi.message(2, reapi.integer(1, seconds) + reapi.integer(2, nanos))
        if mode is not None:
            self.encoded += reapi.message(3, reapi.integer(1, mode))


class Store:
    def __init__(self, path):
        self.path = path
        self.trees = {}  # by digest, for the backend that writes them out
        os.mkdir(path)

    def put(self, data):
        digest = reapi.digest_of(data)
        path = self.blob_path(digest)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if not os.path.exists(path):
            write_file(path, data, mode=0o444)
        return digest

    def blob_path(self, digest):
        return os.path.join(self.path, digest[0][:2], digest[0])

    def make_tree(self, tree, own_properties=None):
        """Stores {name: bytes, Executable, Missing, Link, Raw, Properties or dict}; returns the root's digest."""
        files, directories, symlinks = [], [], []
        for name, value in tree.items():
            encoded, own = os.fsencode(name), None
            if isinstance(value, Properties):
                value, own = value.value, value.encoded
            if isinstance(value, Raw):
                directories.append((encoded, reapi.directory_node(encoded, value)))
            elif isinstance(value, dict):
                directories.append((encoded, reapi.directory_node(encoded, self.make_tree(value, own))))
            elif isinstance(value, Link):
                symlinks.append((encoded, reapi.symlink_node(encoded, os.fsencode(value), own)))
            else:
                digest = reapi.digest_of(value) if isinstance(value, Missing) else self.put(value)
                files.append((encoded, reapi.file_node(encoded, digest, isinstance(value, Executable), own)))
        digest = self.put(reapi.directory(files, directories, symlinks, own_properties))
        self.trees[digest] = tree
        return digest

    def damaged(self):
        """The blobs that do not have the hash they are named by."""
        return [name for directory, _, names in os.walk(self.path) for name in names
                if hashlib.sha256(read_file(os.path.join(directory, name))).hexdigest() != name]
