# SPDX-License-Identifier: Apache-2.0
"""System calls as tests want them: what Python's os module lacks, their errors by name, and calls as another user."""
import ctypes
import errno
import os
import pickle
import struct
import traceback

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = 0x400, 0x1000
RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_WHITEOUT = 1, 2, 4
FICLONE, FICLONERANGE, FIDEDUPERANGE = 0x40049409, 0x4020940D, 0xC0189436
# Modes of fallocate().
KEEP_SIZE, PUNCH_HOLE, COLLAPSE, ZERO, INSERT, UNSHARE = 1, 2, 8, 16, 32, 64
SYS_GETDENTS64 = {"x86_64": 217, "aarch64": 61}[os.uname().machine]


def checked(result, name):
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, "%s: %s" % (name, os.strerror(code)))
    return result


def errno_name(function, *args, **kwargs):
    """"OK", or the name of the errno that the call failed with; what os.open opened is closed again."""
    try:
        result = function(*args, **kwargs)
    except OSError as error:
        return name_of(error.errno)
    if function is os.open:
        os.close(result)
    return "OK"


def name_of(code):
    # One number has two names; the table of the design says EOPNOTSUPP.
    return "EOPNOTSUPP" if code == errno.EOPNOTSUPP else errno.errorcode[code]


def renameat2(old, new, flags):
    checked(LIBC.renameat2(AT_FDCWD, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags), "renameat2")


def linkat(old, new, flags=0, old_fd=AT_FDCWD):
    checked(LIBC.linkat(old_fd, os.fsencode(old), AT_FDCWD, os.fsencode(new), flags), "linkat")


def link_descriptor(fd, path):
    """A name for an open file; os.link has no way to say AT_SYMLINK_FOLLOW."""
    linkat("/proc/self/fd/%d" % fd, path, AT_SYMLINK_FOLLOW)


def fallocate(fd, mode, offset, length):
    checked(LIBC.fallocate(fd, mode, ctypes.c_long(offset), ctypes.c_long(length)), "fallocate")


def getdents(fd, size=32768):
    """One getdents64: [(inode, offset of the next, type, name as bytes)]; empty at the end."""
    buffer = ctypes.create_string_buffer(size)
    got = checked(LIBC.syscall(SYS_GETDENTS64, fd, buffer, size), "getdents64")
    data, entries, position = buffer.raw[:got], [], 0
    while position < got:
        ino, offset, length, kind = struct.unpack_from("=QqHB", data, position)
        name = data[position + 19:position + length].split(b"\0", 1)[0]
        entries.append((ino, offset, kind, name))
        position += length
    return entries


def write_file(path, data=b"x", flags=os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode=0o644):
    fd = os.open(path, flags, mode)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def read_file(path):
    with open(path, "rb") as file:
        return file.read()


def touch(path, mode=0o644):
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, mode))


def _portable(error):
    """The exception with its traceback, as far as it can be sent to another process."""
    text = "".join(traceback.format_exception(error))
    try:
        pickle.loads(pickle.dumps(error))
    except Exception:  # pylint: disable=broad-except
        return RuntimeError(text)
    error.add_note(text)
    return error


def in_child(function, *args):
    """function(*args) in a child process; its result or exception comes back."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            result = (True, function(*args))
        except BaseException as error:  # pylint: disable=broad-except
            result = (False, _portable(error))
        with os.fdopen(write_end, "wb") as pipe:
            pickle.dump(result, pipe)
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        data = pipe.read()
    _, status = os.waitpid(child, 0)
    if not data:
        raise RuntimeError("the child ended with %d" % status)
    good, value = pickle.loads(data)
    if not good:
        raise value
    return value


def as_user(function, *args, uid=1000):
    """The same with `uid` as user and group, and nothing else."""
    def call():
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        return function(*args)

    return in_child(call)


def mounts_below(path):
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return [line for line in file if (line.split(" ")[4] + "/").startswith(path.rstrip("/") + "/")]
