#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Seeds of request_fuzz: short lives of a mount, in requests of the FUSE protocol (linux/fuse.h)."""
import struct
import sys

import seed_corpus

STRICT, READONLY, MANY_ROOTS, TIGHT, BY_CONTENT = 0, 1, 2, 0x40, 0x80
ROOT, CANNOT_REPLY, NO_HANDLE = 0, 0x80, 0x80

# As fuse_request.cc has them: the order, the structure's size, whether names and data follow.
SHAPES = {name: (number, size) for number, (name, size) in enumerate((
    ("LOOKUP", 0), ("FORGET", 8), ("GETATTR", 16), ("SETATTR", 88), ("READLINK", 0), ("SYMLINK", 0), ("MKNOD", 16),
    ("MKDIR", 8), ("UNLINK", 0), ("RMDIR", 0), ("RENAME", 8), ("LINK", 8), ("OPEN", 8), ("READ", 40), ("WRITE", 40),
    ("STATFS", 0), ("RELEASE", 24), ("FSYNC", 16), ("SETXATTR", 8), ("GETXATTR", 8), ("LISTXATTR", 8),
    ("REMOVEXATTR", 0), ("FLUSH", 24), ("OPENDIR", 8), ("READDIR", 40), ("RELEASEDIR", 24), ("FSYNCDIR", 16),
    ("ACCESS", 8), ("CREATE", 16), ("BATCH_FORGET", 8), ("FALLOCATE", 32), ("READDIRPLUS", 40), ("RENAME2", 16),
    ("LSEEK", 24), ("COPY_FILE_RANGE", 56), ("TMPFILE", 16), ("UNKNOWN", 8)))}
HAVE_DATA = ("WRITE", "SETXATTR")

S_IFREG, S_IFIFO, S_IFSOCK, S_IFBLK = 0o100000, 0o010000, 0o140000, 0o060000
O_RDWR, O_WRONLY = 2, 1
MODE, SIZE, TIMES, OWNER = 1, 8, 0x30, 6


def request(name, *names, node=ROOT, other=0, options=0, fixed=b"", data=b""):
    number, size = SHAPES[name]
    assert len(fixed) <= size
    out = bytes([number, node, other, options]) + fixed.ljust(size, b"\0")
    out += b"".join(n + b"\0" for n in names)
    return out + (len(data).to_bytes(2, "little") + data if name in HAVE_DATA else b"")


def lookup(*names, node=ROOT):
    return b"".join(request("LOOKUP", name, node=node) for name in names)


def create(name, node=ROOT, flags=O_RDWR, mode=0o644, options=0):
    return request("CREATE", name, node=node, fixed=struct.pack("<III", flags, S_IFREG | mode, 0), options=options)


def mkdir(name, node=ROOT, mode=0o755):
    return request("MKDIR", name, node=node, fixed=struct.pack("<II", mode, 0))


def mknod(name, mode):
    return request("MKNOD", name, fixed=struct.pack("<III", mode, 0, 0))


def read(what="READ", offset=0, size=4096, other=0):
    return request(what, other=other, fixed=struct.pack("<QQI", 0, offset, size))


def write(data, offset=0, other=0):
    return request("WRITE", other=other, fixed=struct.pack("<QQI", 0, offset, 0), data=data)


def opened(what="OPEN", node=ROOT, flags=0):
    return request(what, node=node, fixed=struct.pack("<II", flags, 0))


def rename(name, new_name, other=ROOT, flags=0, node=ROOT):
    return request("RENAME2", name, new_name, node=node, other=other, fixed=struct.pack("<QII", 0, flags, 0))


def setattr_(valid, node, mode=0, size=0, uid=0):
    return request("SETATTR", node=node, fixed=struct.pack("<IIQQQQQQIIIIIII", valid, 0, 0, size, 0, 1, 2, 3, 4, 5, 6, mode,
                                                           0, uid, uid))


def inputs():
    names = (b"file", b"empty", b"missing", b"short", b"dir", b"broken", b"gone", b"link", b"out", b"none")
    yield "lookups", STRICT, lookup(*names) + request("READLINK", node=8) + request("GETATTR", node=6)
    yield "names", STRICT, lookup(b"..", b".", b"", b"/etc", b"../canary/file", b"dir/inner", b"x" * 255, b"x" * 1024)
    yield "read", READONLY, lookup(b"file", b"missing", b"short") + b"".join(
        opened(node=node) for node in (1, 2, 3)) + read() + read(offset=2**63, size=2**32 - 1) + request("RELEASE")
    yield "list", STRICT, opened("OPENDIR") + read("READDIR") + read("READDIRPLUS", size=200) + read("READDIR", offset=2**62) + (
        request("RELEASEDIR"))
    yield "list-readonly", READONLY, opened("OPENDIR") + read("READDIRPLUS") + read("READDIR", size=2**32 - 1)
    yield "list-broken", STRICT, lookup(b"broken", b"gone") + opened("OPENDIR", node=1) + read("READDIR") + (
        read("READDIR", other=NO_HANDLE))
    yield "many-roots", MANY_ROOTS | BY_CONTENT, opened("OPENDIR") + read("READDIR") + lookup(b"0" * 64, b"x") + (
        lookup(b"dir", node=1) + lookup(b"inner", b"up", node=2))
    yield "little-room", STRICT | TIGHT, lookup(b"file", b"dir", b"link", b"out", b"empty") + (
        b"".join(opened(node=1) for _ in range(4)) + opened("OPENDIR") + read("READDIRPLUS") + create(b"n") + mkdir(b"d") +
        request("UNLINK", b"n") + lookup(b"inner", node=1))
    yield "changes-refused", READONLY, create(b"n") + mkdir(b"n") + request("UNLINK", b"file") + rename(b"file", b"n") + (
        request("SYMLINK", b"n", b"t") + request("LINK", b"n") + mknod(b"n", S_IFREG) + write(b"x"))
    yield "xattrs", STRICT, lookup(b"file") + b"".join(
        request("GETXATTR", name, node=1, fixed=struct.pack("<I", size)) for size in (0, 4096, 2**32 - 1)
        for name in (b"user.actiondfs.digest", b"user.actiondfs.sha256", b"security.capability")) + (
        request("LISTXATTR", node=1) + request("SETXATTR", b"user.a", node=1, data=b"1"))


def staged():
    yield "file", STRICT, create(b"n") + write(b"data") + read() + request("FSYNC") + request("FLUSH") + (
        request("LSEEK", fixed=struct.pack("<QQI", 0, 0, 3)) + request("RELEASE"))
    yield "offsets", STRICT, create(b"n") + write(b"x", offset=2**63 - 1) + write(b"x", offset=2**40) + (
        request("FALLOCATE", fixed=struct.pack("<QQQI", 0, 2**62, 2**62, 0)) +
        request("LSEEK", fixed=struct.pack("<QQI", 0, 2**64 - 1, 9)) + read(size=2**32 - 1))
    yield "names", STRICT, create(b"..") + create(b"../canary/n") + mkdir(b"a/b") + request("UNLINK", b"../canary/file") + (
        rename(b"../canary", b"stolen") + request("SYMLINK", b"/n", b"t") + request("RMDIR", b"../canary") + mkdir(b"") +
        request("LINK", b"../canary/link"))
    yield "symlinks", STRICT, request("SYMLINK", b"s", b"../canary") + lookup(b"file", node=1) + opened(node=1, flags=O_RDWR) + (
        setattr_(SIZE | MODE | OWNER, node=1, mode=0o777, uid=1) + request("GETXATTR", b"user.a", node=1) + lookup(b"s"))
    yield "directories", STRICT, mkdir(b"a") + mkdir(b"b", node=1) + create(b"f", node=2) + rename(b"a", b"c") + (
        rename(b"c", b"b", node=0, other=2) + request("RMDIR", b"b", node=1) + opened("OPENDIR", node=1) +
        read("READDIRPLUS") + request("FSYNCDIR") + request("BATCH_FORGET", node=3))
    yield "below-inputs", STRICT, lookup(b"dir", b"gone") + create(b"n", node=1) + mkdir(b"inner", node=1) + create(b"n", node=2) + (
        opened("OPENDIR", node=1) + read("READDIRPLUS", size=65536))
    yield "special", STRICT, mknod(b"p", S_IFIFO | 0o666) + mknod(b"s", S_IFSOCK) + mknod(b"b", S_IFBLK) + opened(node=1, flags=O_WRONLY) + (
        opened(node=2) + setattr_(SIZE, node=1, size=4) + write(b"x") + read())
    yield "unlinked", STRICT, create(b"n") + request("UNLINK", b"n") + write(b"data") + read() + (
        setattr_(MODE | TIMES, node=1, mode=0o6755) + request("LINK", b"again", other=1) + create(b"n") + request("FORGET", node=2))
    yield "exchange", STRICT, create(b"a") + mkdir(b"b") + rename(b"a", b"b", flags=2) + rename(b"a", b"b", flags=1) + (
        rename(b"a", b"file", flags=2) + rename(b"a", b"n", flags=4) + lookup(b"a", b"b"))
    yield "links", STRICT, create(b"a") + request("LINK", b"b", other=1) + request("UNLINK", b"a") + lookup(b"b") + (
        rename(b"b", b"a") + request("LINK", b"file", other=1))
    yield "tmpfile", STRICT, request("TMPFILE", b"x", fixed=struct.pack("<II", O_RDWR, S_IFREG | 0o600)) + write(b"data") + (
        request("LINK", b"n", other=1) + lookup(b"n") + request("RELEASE"))
    yield "copy", STRICT, lookup(b"file") + opened(node=1) + create(b"n") + (
        request("COPY_FILE_RANGE", other=0, fixed=struct.pack("<QQQQQQQ", 0, 0, 0, 1, 0, 2**63, 0)) + read(other=1))
    yield "access-mode-3", STRICT, create(b"n", flags=3) + opened(node=1, flags=3) + write(b"x") + read(other=1)
    yield "set-id", STRICT, create(b"n", mode=0o6777, options=1) + write(b"x") + setattr_(OWNER | SIZE, node=1, uid=1000) + (
        request("SETXATTR", b"user.actiondfs.digest", node=1, data=b"x") +
        request("SETXATTR", b"user.a", node=1, data=b"x" * 300) + request("LISTXATTR", node=1, fixed=struct.pack("<I", 65536)) +
        request("REMOVEXATTR", b"user.a", node=1))
    yield "nobody-listens", STRICT, b"".join(
        bytes([step[0], step[1], step[2], step[3] | CANNOT_REPLY]) + step[4:]
        for step in (create(b"n"), mkdir(b"d"), lookup(b"n"), lookup(b"file"), opened(node=0), opened("OPENDIR"),
                     request("TMPFILE", b"x", fixed=struct.pack("<II", O_RDWR, S_IFREG | 0o600)),
                     request("LINK", b"m", other=0)))
    yield "nobody-listens-to-a-list", STRICT, create(b"n") + request("READDIRPLUS", options=CANNOT_REPLY, other=NO_HANDLE,
                                                                    fixed=struct.pack("<QQI", 0, 0, 4096))
    yield "unknown", STRICT, request("UNKNOWN") + request("ACCESS") + request("STATFS")


def files():
    return {"played." + name: bytes([mount]) + data for name, mount, data in [*inputs(), *staged()]}


if __name__ == "__main__":
    sys.exit(seed_corpus.main(files()))
