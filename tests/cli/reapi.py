# SPDX-License-Identifier: Apache-2.0
"""An encoder of REAPI Directories that shares nothing with actiondfs: standard library only.

Written from the protocol buffers encoding and the field numbers of build.bazel.remote.execution.v2. What it and
actiondfs agree on is therefore what any other client computes, too.
"""
import hashlib
import os
import stat
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
import wire  # noqa: E402  (the path comes first)


def integer(field, value):
    """A varint field; proto3 leaves out zero."""
    return wire.num(field, value) if value else b""


def message(field, data):
    """A length-delimited field, which is written even when it is empty."""
    return wire.msg(field, data)


def string(field, data):
    """The same, left out when it is empty."""
    return message(field, data) if data else b""


def digest_of(data):
    return hashlib.sha256(data).hexdigest(), len(data)


def digest_message(digest):
    return string(1, digest[0].encode()) + integer(2, digest[1])


def properties(st, with_mode=True):
    seconds, nanos = divmod(st.st_mtime_ns, 10**9)
    mtime = message(2, integer(1, seconds) + integer(2, nanos))
    mode = message(3, integer(1, stat.S_IMODE(st.st_mode) & 0o777)) if with_mode else b""
    return mtime + mode


def file_node(name, digest, executable, node_properties=None):
    data = string(1, name) + message(2, digest_message(digest)) + integer(4, executable)
    return data + (message(6, node_properties) if node_properties is not None else b"")


def directory_node(name, digest):
    return string(1, name) + message(2, digest_message(digest))


def symlink_node(name, target, node_properties=None):
    data = string(1, name) + string(2, target)
    return data + (message(4, node_properties) if node_properties is not None else b"")


def directory(files, directories, symlinks, node_properties=None):
    """Each list: (name, encoded node)."""
    out = b""
    for field, nodes in ((1, files), (2, directories), (3, symlinks)):
        out += b"".join(message(field, node) for _, node in sorted(nodes))
    return out + (message(5, node_properties) if node_properties is not None else b"")


def encode_tree(path, node_properties=False, blobs=None):
    """The digest of the directory `path` (bytes). `blobs`, if given, gets all blobs by digest."""
    files, directories, symlinks = [], [], []
    for name in os.listdir(path):
        child = os.path.join(path, name)
        st = os.lstat(child)
        if stat.S_ISDIR(st.st_mode):
            directories.append((name, directory_node(name, encode_tree(child, node_properties, blobs))))
        elif stat.S_ISLNK(st.st_mode):
            own = properties(st, with_mode=False) if node_properties else None
            symlinks.append((name, symlink_node(name, os.readlink(child), own)))
        else:
            with open(child, "rb") as file:
                data = file.read()
            digest = digest_of(data)
            if blobs is not None:
                blobs[digest] = data
            own = properties(st) if node_properties else None
            files.append((name, file_node(name, digest, bool(st.st_mode & stat.S_IXUSR), own)))
    own = properties(os.lstat(path)) if node_properties else None
    data = directory(files, directories, symlinks, own)
    digest = digest_of(data)
    if blobs is not None:
        blobs[digest] = data
    return digest


def text(digest):
    return "%s/%d" % digest
