#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""synthesise.py CAS WIDTH FILES: writes a tree of WIDTH x WIDTH directories with FILES files each straight into a
`sharded` CAS, as encoded Directories and a few blobs, without making any file of the tree. Prints the root's digest."""

import hashlib
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from wire import msg, num  # noqa: E402  (the path comes first)


class Cas:
    def __init__(self, path):
        self.path = path

    def put(self, data):
        """Stores a blob; returns its Digest message and its text form."""
        name = hashlib.sha256(data).hexdigest()
        folder = os.path.join(self.path, name[:2])
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
        os.chmod(os.path.join(folder, name), 0o444)
        size = num(2, len(data)) if data else b""
        return msg(1, name.encode()) + size, f"{name}/{len(data)}"


def directory(cas, nodes):
    """`nodes`: already encoded, in the order of their names."""
    return cas.put(b"".join(nodes))


def main(path, width, files):
    cas = Cas(path)
    blobs = [cas.put(b"contents %d\n" % i)[0] for i in range(16)]
    root = []
    for i in range(width):
        middle = []
        for j in range(width):
            # A name of its own in each directory, so that no two are the same blob.
            nodes = [msg(1, msg(1, b"file-%04d-%04d-%04d" % (i, j, k)) + msg(2, blobs[k % len(blobs)]))
                     for k in range(files)]
            leaf, _ = directory(cas, nodes)
            middle.append(msg(2, msg(1, b"%04d" % j) + msg(2, leaf)))
        message, _ = directory(cas, middle)
        root.append(msg(2, msg(1, b"%04d" % i) + msg(2, message)))
    print(directory(cas, root)[1])


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
