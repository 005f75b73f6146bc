# SPDX-License-Identifier: Apache-2.0
"""Run by survive_test.py below a mount: changes of each kind, again and again, each of which has to be made exactly once."""
import os
import sys

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "conformance"))
from calls import (RENAME_EXCHANGE, RENAME_NOREPLACE, link_descriptor, read_file, renameat2,  # noqa: E402  (the path
                   write_file)  # comes first)

ROUNDS = 60


def expect(found, expected, what):
    if found != expected:
        raise AssertionError("%s: %r, not %r" % (what, found, expected))


def one_round(directory, number):
    def path(name):
        return os.path.join(directory, name)

    data = b"%d" % number
    for name in ("a", "b"):  # O_EXCL: EEXIST if a lost answer lets it be made twice
        write_file(path(name), data + name.encode(), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    os.mkdir(path("d"), 0o750)
    os.symlink("a" * 50, path("s"))
    os.mkfifo(path("p"))
    os.link(path("a"), path("hard"))
    expect(os.stat(path("a")).st_nlink, 2, "links")
    renameat2(path("a"), path("b"), RENAME_EXCHANGE)
    expect((read_file(path("a")), read_file(path("b"))), (data + b"b", data + b"a"), "exchanged")
    renameat2(path("a"), path("d/moved"), RENAME_NOREPLACE)
    expect(read_file(path("d/moved")), data + b"b", "moved")
    os.setxattr(path("b"), "user.x", data, os.XATTR_CREATE)
    expect(os.getxattr(path("hard"), "user.x"), data, "attribute")
    os.removexattr(path("b"), "user.x")
    fd = os.open(path("b"), os.O_RDWR)
    write_file(path("c"), b"new")
    os.rename(path("c"), path("b"))
    expect((os.pread(fd, 100, 0), os.fstat(fd).st_nlink), (data + b"a", 1), "replaced")
    os.unlink(path("hard"))
    expect((os.pread(fd, 100, 0), os.fstat(fd).st_nlink), (data + b"a", 0), "unlinked")
    os.close(fd)
    fd = os.open(path("d"), os.O_RDWR | os.O_TMPFILE, 0o600)
    os.write(fd, data)
    link_descriptor(fd, path("named"))
    os.close(fd)
    expect((read_file(path("named")), read_file(path("b"))), (data, b"new"), "named")
    expect(sorted(os.listdir(directory)), ["b", "d", "named", "p", "s"], "names")
    os.chmod(path("b"), 0o4711)
    os.truncate(path("b"), 1)
    expect((os.stat(path("b")).st_size, os.stat(path("d")).st_mode & 0o7777), (1, 0o750), "attributes")
    os.rename(path("d"), path("e"))
    for name in ("e/moved", "b", "named", "p", "s"):
        os.unlink(path(name))
    os.rmdir(path("e"))
    expect(os.listdir(directory), [], "left")


def main(point, storm):
    os.umask(0)
    for number in range(ROUNDS):
        # Sometimes among inputs, and in a directory whose every part of the stage is new.
        directory = os.path.join(point, "in" if number % 2 else "", "storm%s.%d" % (storm, number))
        os.mkdir(directory)
        one_round(directory, number)
        os.rmdir(directory)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
