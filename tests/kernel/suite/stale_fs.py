# SPDX-License-Identifier: Apache-2.0
"""A file system that answers with errors when it is told to, ESTALE above all, as a network's does when a server was
changed behind it: a read-only FUSE view of a directory. The protocol's numbers are those of <linux/fuse.h>."""
import ctypes
import errno
import mmap
import os
import stat
import struct
import sys

from kit import LIBC, checked, errno_name, write_file

LOOKUP, FORGET, GETATTR, READLINK, OPEN, READ, STATFS, RELEASE, INIT, OPENDIR, READDIR, RELEASEDIR = (
    1, 2, 3, 5, 14, 15, 17, 18, 26, 27, 28, 29)
BATCH_FORGET, INTERRUPT, FLUSH = 42, 36, 25
IN_HEADER = struct.Struct("=IIQQIIII")
OUT_HEADER = struct.Struct("=IiQ")
ATTR = struct.Struct("=QQQQQQIIIIIIIIII")
FOPEN_DIRECT_IO = 1
BUFFER = 1 << 18


def attributes(path, node):
    status = os.lstat(path)
    return ATTR.pack(node, status.st_size, status.st_blocks, 0, int(status.st_mtime), 0, 0, 0, 0, status.st_mode,
                     status.st_nlink, status.st_uid, status.st_gid, 0, status.st_blksize, 0)


class StaleFs:
    """Mounted while in use as a context; set(KIND, N) makes the next N requests of that kind fail, with ESTALE or
    another error; together(KIND, N) makes them wait for the last of them. It also counts who asks."""

    KINDS = {LOOKUP: 0, OPEN: 1, READ: 2}

    def __init__(self, below, point):
        self.below = below
        self.point = point
        self.budget = mmap.mmap(-1, mmap.PAGESIZE)

    # In the memory that is shared with the server: what is left of each kind, then these.
    STRANGERS, ERROR, TOGETHER, COUNT = range(len(KINDS), len(KINDS) + 4)

    def put(self, place, number):
        struct.pack_into("=q", self.budget, 8 * place, number)

    def get(self, place):
        return struct.unpack_from("=q", self.budget, 8 * place)[0]

    def set(self, kind, count, error=errno.ESTALE):
        self.put(self.ERROR, error)
        self.put(self.KINDS[kind], count)

    def tells_splices(self):
        """Whether FUSE tells who splices what its server said. Where it reads by iomap that is EIO, whatever it was."""
        write_file(os.path.join(self.below, "spliced"), b"content")
        reader, writer = os.pipe()
        with open(os.path.join(self.point, "spliced"), "rb", buffering=0) as file:
            # The first is that of the readahead, whose failure tells nobody.
            self.set(READ, 2)
            told = errno_name(os.splice, file.fileno(), writer, 7)
            self.set(READ, 0)
        os.close(reader)
        os.close(writer)
        if told not in ("ESTALE", "EIO"):
            raise AssertionError("a splice of what is stale: %s" % told)
        return told == "ESTALE"

    def together(self, kind, count):
        self.put(self.TOGETHER, kind)
        self.put(self.COUNT, count)

    def strangers(self):
        """Requests of somebody who is not root."""
        return self.get(self.STRANGERS)

    def left(self, kind):
        return self.get(self.KINDS[kind])

    def all_of(self, opcode, request):
        """The requests to be answered now that this one is there."""
        kind, count = self.get(self.TOGETHER), self.get(self.COUNT)
        if opcode != kind or count == 0:
            return [request]
        self.waiting.append(request)
        if len(self.waiting) < count:
            return []
        self.together(0, 0)
        found, self.waiting = self.waiting, []
        return found

    def __enter__(self):
        device = os.open("/dev/fuse", os.O_RDWR)
        options = "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other" % device
        checked(LIBC.mount(b"stale", os.fsencode(self.point), b"fuse", ctypes.c_ulong(0), options.encode()), "mount")
        self.server = os.fork()
        if self.server == 0:
            try:
                self.serve(device)
            finally:
                sys.stderr.flush()
                os._exit(0)
        os.close(device)
        return self

    def __exit__(self, *_):
        LIBC.umount2(os.fsencode(self.point), 2)
        os.waitpid(self.server, 0)

    def serve(self, device):
        self.paths = {1: self.below}
        self.nodes = {self.below: 1}
        self.waiting = []
        while True:
            try:
                request = os.read(device, BUFFER)
            except OSError as error:
                if error.errno == errno.ENODEV:  # unmounted
                    return
                raise
            _, opcode, _, _, user, *_ = IN_HEADER.unpack_from(request)
            if user != 0:
                self.put(self.STRANGERS, self.strangers() + 1)
            if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            for each in self.all_of(opcode, request):
                self.reply(device, each)

    def reply(self, device, request):
        _, opcode, unique, node, *_ = IN_HEADER.unpack_from(request)
        code, answer = 0, b""
        try:
            if opcode in self.KINDS and self.left(opcode) > 0:
                self.put(self.KINDS[opcode], self.left(opcode) - 1)
                raise OSError(self.get(self.ERROR), "told so")
            answer = self.answer(opcode, node, request[IN_HEADER.size:])
        except OSError as error:
            code = -error.errno
        os.write(device, OUT_HEADER.pack(OUT_HEADER.size + len(answer), code, unique) + answer)

    def answer(self, opcode, node, body):
        path = self.paths.get(node)
        if opcode == INIT:
            return struct.pack("=IIIIHHIIHHIII", 7, 31, 65536, 0, 12, 10, 65536, 1, 16, 0, 0, 0, 0) + bytes(20)
        if opcode == LOOKUP:
            child = os.path.join(path, os.fsdecode(body.split(b"\0")[0]))
            os.lstat(child)
            number = self.nodes.setdefault(child, len(self.nodes) + 1)
            self.paths[number] = child
            # No name and no attribute is kept: each lookup comes here.
            return struct.pack("=QQQQII", number, 0, 0, 0, 0, 0) + attributes(child, number)
        if opcode == GETATTR:
            return struct.pack("=QII", 0, 0, 0) + attributes(path, node)
        if opcode in (OPEN, OPENDIR):
            if opcode == OPEN and not stat.S_ISREG(os.lstat(path).st_mode):
                raise OSError(errno.EINVAL, path)
            return struct.pack("=QII", node, FOPEN_DIRECT_IO if opcode == OPEN else 0, 0)
        if opcode == READ:
            _, offset, size = struct.unpack_from("=QQI", body)
            with open(path, "rb") as file:
                return os.pread(file.fileno(), size, offset)
        if opcode == STATFS:
            return bytes(80)
        if opcode in (RELEASE, RELEASEDIR, FLUSH):
            return b""
        raise OSError(errno.ENOSYS, "opcode %d" % opcode)
